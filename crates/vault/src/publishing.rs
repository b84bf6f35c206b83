//! Signing for the log, and publishing it beside itself.
//!
//! The key that signs is derived from the installation's root for the one log, by its id: there is nothing to keep, to lose, or
//! to bring along with a log that is another one. The log's name in checkpoints is made of its id too, so that no
//! configuration makes two logs of one, or one of two (docs/decisions/017).
//!
//! A thread publishes: every few seconds, or after so many records, what is durable then; once more at the end. What fails is
//! tried again, is shown ([`Publishing::failure`]), and stops nothing: tiles can be made at any time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use skerry_audit::{Leaf, Log, PublishError, Publisher};
use skerry_store::seal::Root;
use skerry_tlog::{InclusionProof, KeyError, SignedCheckpoint, SigningKey, VerifyingKey};

use crate::limits::{PUBLISH_INTERVAL, PUBLISH_RECORDS_MAX};
use crate::refusal::Refusal;
use crate::witness::Witnessed;

/// The name of the log with this id: RFC 2606 keeps the domain from being anybody's.
pub fn origin(log: &[u8; 16]) -> String {
    format!("log.skerry.invalid/{}", hex::encode(log))
}

/// The key of the log with this id.
pub(crate) fn signing_key(root: &Root, log: &[u8; 16]) -> Result<SigningKey, KeyError> {
    SigningKey::from_seed(&origin(log), &root.kek(LABEL, log).0)
}

/// Signs for a log.
pub(crate) struct Signing {
    key: SigningKey,
    /// The newest that was signed for an answer: whoever is in it needs no other.
    newest: Mutex<Option<SignedCheckpoint>>,
}

impl Signing {
    pub(crate) fn new(key: SigningKey) -> Signing {
        Signing { key, newest: Mutex::default() }
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        self.key.public()
    }

    /// A checkpoint of at least this many records, all durable; else of all that are.
    pub(crate) fn checkpoint(&self, log: &Log, records: u64) -> Result<SignedCheckpoint, Refusal> {
        // No code that panics runs under the lock.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = newest.as_ref().filter(|signed| signed.size() >= records) {
            return Ok(signed.clone());
        }
        let durable = log.durable().map_err(Refusal::Audit)?;
        let signed = SignedCheckpoint::sign(&self.key, durable.head.records, durable.tree.root());
        *newest = Some(signed.clone());
        Ok(signed)
    }

    /// The proof, as text, that a record is in the log: the record, its way to a root, and the checkpoint of that.
    pub(crate) fn proof(&self, log: &Log, leaf: &Leaf, entry: Vec<u8>) -> Result<String, Refusal> {
        let checkpoint = self.checkpoint(log, leaf.index().saturating_add(1))?;
        let path = log.inclusion(leaf.index(), checkpoint.size()).map_err(Refusal::Audit)?;
        // None is for a record that is thousands behind the newest, which the one asked about is not.
        let path = path.ok_or(Refusal::Failed)?;
        let note = checkpoint.note().to_owned();
        Ok(InclusionProof { entry: Some(entry), index: leaf.index(), path, note }.to_string())
    }
}

/// The thread that publishes a log. It ends with this, after it has published all that is durable then.
pub(crate) struct Publishing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The last time seen, in seconds since the epoch.
    seen: Arc<AtomicU64>,
    /// What is kept beside the log of others.
    witnessed: Arc<Witnessed>,
    folder: PathBuf,
    log_id: [u8; 16],
}

#[derive(Default)]
struct State {
    stopping: bool,
    failure: Option<PublishError>,
}

impl Publishing {
    pub(crate) fn start(
        log: Arc<Log>,
        folder: &Path,
        key: SigningKey,
        (seen, witnessed): (Arc<AtomicU64>, Arc<Witnessed>),
    ) -> Result<Publishing, StartError> {
        let durable = log.durable().map_err(|error| StartError::Publish(error.into()))?;
        let publisher = Publisher::open(folder, key, &durable).map_err(StartError::Publish)?;
        let (log_id, folder) = (durable.head.log, folder.to_owned());
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), seen, witnessed, folder, log_id });
        let own = Arc::clone(&shared);
        let work = move || own.publish(publisher, &log);
        let thread = thread::Builder::new().name("audit-tiles".to_owned()).spawn(work);
        let thread = thread.map_err(|error| StartError::Thread(error.kind()))?;
        Ok(Publishing { shared, thread: Some(thread) })
    }

    /// Why the last time failed; none when it did not.
    pub(crate) fn failure(&self) -> Option<PublishError> {
        self.shared.lock().failure
    }
}

/// Why a log is not published.
pub(crate) enum StartError {
    Publish(PublishError),
    Thread(std::io::ErrorKind),
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn publish(&self, mut publisher: Publisher, log: &Log) {
        let (mut last, mut published) = (None::<Instant>, 0);
        loop {
            let stopping = self.lock().stopping;
            let records = log.head().map_or(0, |head| head.records);
            let many = records.saturating_sub(published) >= PUBLISH_RECORDS_MAX;
            if stopping || many || last.is_none_or(|last| last.elapsed() >= PUBLISH_INTERVAL) {
                let now = UNIX_EPOCH.checked_add(Duration::from_secs(self.seen.load(Ordering::Relaxed)));
                let durable = log.durable().map_err(PublishError::from);
                let outcome =
                    durable.and_then(|durable| publisher.publish(&durable, now.unwrap_or(SystemTime::UNIX_EPOCH)));
                let kept = self.witnessed.save(&self.folder, &self.log_id).map_err(PublishError::from);
                self.lock().failure = outcome.and(kept).err();
                (last, published) = (Some(Instant::now()), records);
            }
            if stopping {
                return;
            }
            self.wait();
        }
    }

    /// Waits a while, or until the end is asked for: then what is durable is published once more.
    fn wait(&self) {
        let state = self.lock();
        if !state.stopping {
            // Woken for whatever reason: who waited looks.
            drop(self.changed.wait_timeout(state, LOOK_INTERVAL));
        }
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often it is looked whether there is something to publish.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// What the key is derived for.
const LABEL: &str = "audit log signature";
