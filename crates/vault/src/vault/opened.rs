//! Keys that are opened in memory: for work that needs the private half, on the pool.

use std::sync::Arc;

use skerry_keys::{Curve, KeyType, OpenedKey};
use skerry_store::Revision;

use crate::meter::Custody;
use crate::record::{Key, KeyHead};
use crate::records::FoundKey;
use crate::refusal::Refusal;
use crate::vault::Vault;

/// An opened key. It is used only while head and version are the very records under which it was opened: what was
/// disabled, deleted or replaced since is opened anew, or not at all.
#[derive(Clone)]
pub(super) struct Kept {
    state: (Revision, Revision),
    opened: Arc<OpenedKey>,
}

impl Vault {
    /// Has the pool do a job on so many octets with the opened key, and keeps that for the next. Work that takes less than handing it over is
    /// done at once.
    pub(super) async fn with_opened<T: Send + 'static>(
        &self,
        found: FoundKey,
        octets: usize,
        job: impl FnOnce(&OpenedKey) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<(Key, T), Refusal> {
        let FoundKey { key, head, version: at, .. } = found;
        let (place, state) = ((key.head.id, key.version.version), (head, at));
        let kept = self.opened.get(&place).filter(|kept| kept.state == state).map(|kept| kept.opened);
        // What is kept was opened by `work`, after the store was verified.
        if let Some(opened) = kept.as_ref().filter(|opened| is_short(opened, octets)) {
            let done = job(opened);
            self.meter.custody(Custody::Use, &done);
            let done = done?;
            return Ok((key, done));
        }
        let (custody, binding, version) = (Arc::clone(&self.custody), key.binding(self.id), Arc::clone(&key.version));
        let meter = Arc::clone(&self.meter);
        let work = move || -> Result<(Arc<OpenedKey>, Result<T, Refusal>), Refusal> {
            let opened = match kept {
                Some(opened) => opened,
                None => {
                    let opened = custody.open_for_use(&version.material, &binding).map_err(Refusal::Open);
                    meter.custody(Custody::Open, &opened);
                    Arc::new(opened?)
                }
            };
            let done = job(&opened);
            meter.custody(Custody::Use, &done);
            Ok((opened, done))
        };
        let (opened, done) = self.key_work(work).await??;
        // Kept after a refusal too: a text that does not decrypt shall not cost more than one that does.
        self.opened.insert(place, Kept { state, opened });
        Ok((key, done?))
    }

    /// Drops the opened keys of all versions: what cannot be used is not kept in memory.
    pub(super) fn drop_opened(&self, head: &KeyHead) {
        for of in &head.versions {
            self.opened.remove(&(head.id, of.version));
        }
    }
}

/// Whether using an opened key takes a few tens of microseconds at most: a signature on P-256 takes 17, 16 KiB under AES-CBC
/// about 30, which is what handing a job to another thread and back takes. Other curves, RSA and ML-DSA take longer by an
/// order.
fn is_short(opened: &OpenedKey, octets: usize) -> bool {
    match opened.key_type() {
        // A call into a module may take as long as it likes.
        _ if opened.is_in_token() => false,
        KeyType::Ec { curve: Curve::P256 } | KeyType::Oct { .. } => octets <= SHORT_OCTETS_MAX,
        KeyType::Ec { .. } | KeyType::Rsa { .. } | KeyType::Akp { .. } => false,
    }
}

const SHORT_OCTETS_MAX: usize = 16 * 1024;
