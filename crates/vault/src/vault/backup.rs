//! Backing keys up and restoring them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skerry_audit::{Event, Verdict};
use skerry_identity::Permission;
use skerry_keys::custody::{Binding, SealedMaterial};
use skerry_policy::permit::KeyRef;
use skerry_store::{At, Check, Op, OpId, Outcome, Revision, Settled, Txn};
use uuid::Uuid;

use crate::backup::Backup;
use crate::command::{Context, Named};
use crate::decide;
use crate::entries;
use crate::limits::ATTEMPTS_MAX;
use crate::meter::Custody;
use crate::record::{Key, KeyHead, KeyName, KeyVersion, VersionRef};
use crate::refusal::Refusal;
use crate::stored::{self, Corrupted, Tombstone};
use crate::vault::{Vault, random};

impl Vault {
    /// Everything of a key in one sealed blob. It is on record before it is answered.
    pub async fn backup(&self, context: &Context<'_>, name: &KeyName) -> Result<Vec<u8>, Refusal> {
        self.check(context, Permission::Backup)?;
        let (key, versions) = self.whole(name).await?;
        let head = KeyHead::clone(&key.head);
        let rotation = self.rotation_of(head.id).await?.map(|(policy, _)| policy);
        let backup = Backup { vault: self.id, head, versions, rotation };
        let sealer = self.installation.sealer(BACKUPS, Uuid::nil());
        let blob = backup.seal(&sealer, self.rules.kind, &mut (context.randomness)()).map_err(Refusal::Backup)?;
        let unique = random(&mut (context.randomness)());
        let entry = entries::change(context, Event::KeyBackedUp, &key.head, key.binding(self.id).key, unique);
        drop(self.record(skerry_audit::Entry { verdict: Verdict::Permitted, ..entry }).await?);
        Ok(blob)
    }

    /// A key at its newest version, and all its versions, all of them seen under one head.
    async fn whole(&self, name: &KeyName) -> Result<(Key, Vec<KeyVersion>), Refusal> {
        'anew: for _ in 0..ATTEMPTS_MAX {
            let found = self.find(Named { name, version: None }).await?;
            let (head, mut versions) = (&found.key.head, Vec::new());
            for of in &head.versions {
                match self.records.at_version((Arc::clone(head), found.head), Some(of.version), found.seen).await? {
                    Some(version) => versions.push(KeyVersion::clone(&version.key.version)),
                    None => continue 'anew,
                }
            }
            return Ok((found.key, versions));
        }
        Err(Refusal::Contended)
    }

    /// Brings a key back from a blob, with its name, versions and policies, iff its name is free here and nothing newer or
    /// stricter of it was purged here. Its versions are written first, where nothing refers to them; its head makes them a
    /// key in one step. Two restores of one key do not run at once: the second is [`Refusal::Contended`].
    pub async fn restore(&self, context: &Context<'_>, blob: &[u8]) -> Result<Key, Refusal> {
        self.check(context, Permission::Restore)?;
        let sealer = self.installation.sealer(BACKUPS, Uuid::nil());
        let backup = Backup::open(blob, &sealer, self.rules.kind).map_err(Refusal::Backup)?;
        let id = backup.head.id;
        let _restoring = self.restoring.begin(id).ok_or(Refusal::Contended)?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.records.slot(&backup.head.name).await?;
            let known = self.tombstone(id).await?;
            let tombstone = known.as_ref().map(|(tombstone, _)| tombstone);
            decide::admit_restored(&self.rules, &found.slot, tombstone, &backup)?;
            // Of a purge, or of a restore whose caller went away.
            self.remove_leftovers(context.now, context.randomness, id).await?;
            let (head, versions) = self.resealed(context, &backup).await?;
            let Some(staged) = self.stage(context, &head, &versions).await? else { continue };
            let newest = versions.into_iter().last().ok_or(Corrupted::Form("a key without versions"))?;
            let key = Key { head: Arc::new(head), version: Arc::new(newest) };
            let change = self.restoration(context, &backup, known.map(|(_, at)| at), staged, &key)?;
            if self.commit(context, change).await? {
                return Ok(key);
            }
            self.remove_leftovers(context.now, context.randomness, id).await?;
        }
        Err(Refusal::Contended)
    }

    fn restoration(
        &self,
        context: &Context<'_>,
        backup: &Backup,
        known: Option<Revision>,
        staged: Revision,
        key: &Key,
    ) -> Result<super::change::Change, Refusal> {
        let (place, id, name) = (self.records.place(), key.head.id, &key.head.name);
        let mut change = self.change(context, Event::KeyRestored, key);
        let (head, mark, leftover) = (place.head(name), place.tombstone(id), place.leftover(id));
        change.checks.push(Check::Absent(head.clone()));
        change.checks.push(Check::Absent(place.deleted_head(name)));
        change.checks.push(Check::Unchanged(leftover.clone(), staged));
        change.ops.push(self.put_head(context, head, &key.head)?);
        change.ops.push(Op::Delete(leftover));
        match known {
            Some(revision) => {
                change.checks.push(Check::Unchanged(mark.clone(), revision));
                change.ops.push(Op::Delete(mark));
            }
            None => change.checks.push(Check::Absent(mark)),
        }
        if let Some(policy) = &backup.rotation {
            change.ops.push(self.put(context, place.rotation(id), &stored::encode_rotation(policy))?);
        }
        Ok(change)
    }

    async fn tombstone(&self, key: Uuid) -> Result<Option<(Tombstone, Revision)>, Refusal> {
        let at = self.records.place().tombstone(key);
        let Some(entry) = self.records.store().get(&at, At::Linearizable).await? else { return Ok(None) };
        let plain = self.records.sealer().open(&at, &entry.value).map_err(Corrupted::Seal)?;
        Ok(Some((stored::decode_tombstone(&plain)?, entry.modified)))
    }

    /// Head and versions with their material sealed for this vault.
    async fn resealed(&self, context: &Context<'_>, backup: &Backup) -> Result<(KeyHead, Vec<KeyVersion>), Refusal> {
        let from = self.installation.keks(backup.vault).material;
        let (to, id, backup, mut rng) = (Arc::clone(&self.custody), self.id, backup.clone(), (context.randomness)());
        let reseal = move || -> Result<(KeyHead, Vec<KeyVersion>), Refusal> {
            let mut versions = Vec::new();
            for version in &backup.versions {
                let binding = backup.head.binding(backup.vault, version);
                let place = Binding { key: KeyRef { vault: id, ..binding.key }, ..binding };
                let material: SealedMaterial =
                    from.reseal(&version.material, &binding, (&to, &place), &mut *rng).map_err(Refusal::Custody)?;
                versions.push(KeyVersion { material, ..version.clone() });
            }
            let of =
                |version: &KeyVersion| VersionRef { version: version.version, material: version.material.digest() };
            let head = KeyHead { versions: versions.iter().map(of).collect(), deletion: None, ..backup.head.clone() };
            Ok((head, versions))
        };
        let resealed = self.key_work(reseal).await?;
        self.meter.custody(Custody::Reseal, &resealed);
        resealed
    }

    /// Puts versions whose key is not there yet, under a mark that keeps others from doing the same and that has a start-up
    /// remove them if their key never comes; none if something came in between.
    ///
    /// The name has to be free when the mark is put, and not only when it was looked at: else a restore of the same key
    /// that came first would have its versions replaced, and then removed, by this one.
    async fn stage(
        &self,
        context: &Context<'_>,
        head: &KeyHead,
        versions: &[KeyVersion],
    ) -> Result<Option<Revision>, Refusal> {
        let place = self.records.place();
        let mark = place.leftover(head.id);
        let mut checks =
            [mark.clone(), place.head(&head.name), place.deleted_head(&head.name)].map(Check::Absent).to_vec();
        let mut ops = vec![Op::Put(mark.clone(), Vec::new())];
        let (mut len, mut staged) = (0_usize, None);
        for version in versions {
            let op = self.put_version(context, place.version(head.id, version.version), version)?;
            let more = len_of(&op);
            if ops.len() >= OPS_AT_A_TIME || len.saturating_add(more) > LEN_AT_A_TIME {
                let Some(at) = self.put_staged(context, checks, ops).await? else { return Ok(None) };
                let at = *staged.get_or_insert(at);
                (checks, ops, len) = (vec![Check::Unchanged(mark.clone(), at)], Vec::new(), 0);
            }
            ops.push(op);
            len = len.saturating_add(more);
        }
        let last = self.put_staged(context, checks, ops).await?;
        Ok(last.map(|at| staged.unwrap_or(at)))
    }

    async fn put_staged(
        &self,
        context: &Context<'_>,
        checks: Vec<Check>,
        ops: Vec<Op>,
    ) -> Result<Option<Revision>, Refusal> {
        let op = OpId(random(&mut (context.randomness)()));
        match self.installation.commit(Txn { op, checks, ops }, context.now, (context.randomness)()).await? {
            Outcome::Committed(revision) => Ok(Some(revision)),
            Outcome::Conflict(_) => Ok(None),
            Outcome::Unknown => match self.records.store().settle(op).await {
                Ok(Settled::Committed(revision)) => Ok(Some(revision)),
                Ok(Settled::Aborted) => Ok(None),
                Err(_) => Err(Refusal::Unsettled),
            },
        }
    }
}

fn len_of(op: &Op) -> usize {
    match op {
        Op::Put(key, value) => key.len().saturating_add(value.len()),
        Op::Delete(key) => key.len(),
    }
}

/// Keys that are being restored by this process, so that what is staged for one is not taken for something left over.
#[derive(Default)]
pub(super) struct Restoring(Mutex<HashSet<Uuid>>);

impl Restoring {
    /// None while another restores this key; until the value is dropped this one does.
    fn begin(&self, key: Uuid) -> Option<Begun<'_>> {
        self.keys().insert(key).then(|| Begun { all: self, key })
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        // A set of ids is whole whatever a thread that held it did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Begun<'a> {
    all: &'a Restoring,
    key: Uuid,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.all.keys().remove(&self.key);
    }
}

/// Purpose of the key that seals backups.
const BACKUPS: &str = "key backups";
/// Operations of a transaction that stages versions: of the 127 there can be (skerry_store::limits) the installation adds one.
const OPS_AT_A_TIME: usize = 100;
/// Octets of such a transaction, of the 1.4 MiB there can be. A version has a few kB, and with the longest tags 31.
const LEN_AT_A_TIME: usize = 512 * 1024;
