//! Wrapping anew what a token holds, under its newest root, while the vault serves.
//!
//! A record names the root that it is wrapped under, and the token has all of them, so a key serves before, while and after it is
//! moved; one that is cut short is taken up by the next pass, which finds what is left by looking. Nothing is remembered of a
//! rotation but what the records say.

use std::sync::Arc;

use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_keys::{Custody, SealedMaterial};
use skerry_store::{At, Check, Revision};

use super::rotate::Rows;
use crate::command::Context;
use crate::record::{Key, KeyHead, KeyName, KeyVersion, VersionRef};
use crate::refusal::Refusal;
use crate::vault::Vault;

/// How far a pass has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rewrapped {
    /// Keys that were looked at, deleted ones among them.
    pub keys: u64,
    /// Versions that were moved to the newest root.
    pub moved: u64,
    /// Keys of which a version was not moved, and why; the next pass tries again.
    pub failed: Vec<(KeyName, Refusal)>,
}

/// What is to be done with a pass after each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrap {
    /// The next key.
    GoOn,
    /// No more: the rest is for another pass.
    Stop,
}

impl Vault {
    /// Moves every version that is wrapped under an older root. Without a token there is nothing to do.
    ///
    /// A key that cannot be moved stops no other, but for a token that is away.
    pub async fn rewrap(
        &self,
        context: &Context<'_>,
        mut after_each: impl FnMut(&Rewrapped) -> Rewrap + Send,
    ) -> Result<Rewrapped, Refusal> {
        self.check(context, Permission::Rotate)?;
        let mut done = Rewrapped::default();
        if self.custody.strict().is_none() {
            return Ok(done);
        }
        for prefix in [self.records.place().heads(), self.records.place().deleted_heads()] {
            let mut rows = Rows::of(prefix);
            while let Some(page) = rows.next(self).await? {
                for row in &page {
                    let head = self.records.head_of(row)?;
                    match self.rewrap_key(context, (row.key.clone(), row.entry.modified), Arc::clone(&head)).await {
                        Ok(moved) => done.moved = done.moved.saturating_add(moved),
                        Err(refusal) if is_of_the_token(&refusal) => return Err(refusal),
                        Err(refusal) => done.failed.push((head.name.clone(), refusal)),
                    }
                    done.keys = done.keys.saturating_add(1);
                    if after_each(&done) == Rewrap::Stop {
                        return Ok(done);
                    }
                }
            }
        }
        Ok(done)
    }

    /// How many keys a pass looks at.
    pub async fn count(&self, context: &Context<'_>) -> Result<u64, Refusal> {
        self.check(context, Permission::Rotate)?;
        let mut count = 0_u64;
        for prefix in [self.records.place().heads(), self.records.place().deleted_heads()] {
            let mut rows = Rows::of(prefix);
            while let Some(page) = rows.next(self).await? {
                count = count.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
            }
        }
        Ok(count)
    }

    /// Some versions with each commit, the head with them, since it has the digests of their material.
    async fn rewrap_key(
        &self,
        context: &Context<'_>,
        (at, mut revision): (Vec<u8>, Revision),
        mut head: Arc<KeyHead>,
    ) -> Result<u64, Refusal> {
        let mut moved = 0_u64;
        for refs in head.versions.clone().chunks(VERSIONS_AT_A_TIME) {
            let (mut versions, mut checks) = (Vec::new(), vec![Check::Unchanged(at.clone(), revision)]);
            for of in refs {
                let (version, found) = self.records.version_at(&head, of, At::Linearizable).await?;
                let place = self.records.place().version(head.id, of.version);
                if let Some(anew) = self.rewrapped(context, &head, &version).await? {
                    checks.push(Check::Unchanged(place, found));
                    versions.push(KeyVersion { material: anew, ..KeyVersion::clone(&version) });
                }
            }
            let Some(last) = versions.last() else { continue };
            let key = Key { head: Arc::new(with(&head, &versions)), version: Arc::new(last.clone()) };
            let mut change = self.change(context, Event::KeyChanged, &key);
            change.intent.explanation = format!("{} versions wrapped under the newest root", versions.len());
            change.checks = checks;
            change.ops.push(self.put_head(context, at.clone(), &key.head)?);
            for version in &versions {
                let place = self.records.place().version(key.head.id, version.version);
                change.ops.push(self.put_version(context, place, version)?);
            }
            if !self.commit(context, change).await? {
                // Somebody changed the key: the next pass sees it as it is then.
                return Err(Refusal::Contended);
            }
            moved = moved.saturating_add(u64::try_from(versions.len()).unwrap_or(u64::MAX));
            head = key.head;
            revision = self.head_revision(&head).await?.ok_or(Refusal::Contended)?;
        }
        Ok(moved)
    }

    /// Of the head as it now stands, if it is this one.
    async fn head_revision(&self, head: &Arc<KeyHead>) -> Result<Option<Revision>, Refusal> {
        let found = match head.deletion {
            Some(_) => self.records.deleted(&head.name).await?,
            None => self.records.live(&head.name).await?,
        };
        Ok(found.filter(|(found, _)| found == head).map(|(_, revision)| revision))
    }

    async fn rewrapped(
        &self,
        context: &Context<'_>,
        head: &KeyHead,
        version: &Arc<KeyVersion>,
    ) -> Result<Option<SealedMaterial>, Refusal> {
        let (custody, binding) = (Arc::clone(&self.custody), head.binding(self.id, version));
        let (version, mut rng) = (Arc::clone(version), (context.randomness)());
        let rewrap = move || match &*custody {
            Custody::Strict(custody) => custody.rewrap(&version.material, &binding, &mut *rng),
            Custody::Software(_) => Ok(None),
        };
        self.key_work(rewrap).await?.map_err(Refusal::Custody)
    }
}

fn with(head: &KeyHead, versions: &[KeyVersion]) -> KeyHead {
    let material = |of: &VersionRef| {
        let moved = versions.iter().find(|version| version.version == of.version);
        moved.map_or(*of, |version| VersionRef { material: version.material.digest(), ..*of })
    };
    KeyHead { versions: head.versions.iter().map(material).collect(), ..head.clone() }
}

fn is_of_the_token(refusal: &Refusal) -> bool {
    use skerry_keys::Fault;
    matches!(refusal.fault(), Some(Fault::Gone | Fault::Silent | Fault::Busy))
}

/// Each is an operation of the transaction, and each has to be opened and closed in the token.
const VERSIONS_AT_A_TIME: usize = 16;
