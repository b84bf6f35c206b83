//! Backing keys up and restoring them.

use std::sync::Arc;

use skerry_audit::{Event, Verdict};
use skerry_identity::Permission;
use skerry_keys::custody::{Binding, SealedMaterial};
use skerry_policy::permit::KeyRef;
use skerry_store::{At, Check, Op, OpId, Outcome, Revision, Txn};
use uuid::Uuid;

use crate::backup::Backup;
use crate::command::{Context, Named};
use crate::decide;
use crate::entries;
use crate::limits::ATTEMPTS_MAX;
use crate::record::{Key, KeyHead, KeyName, KeyVersion, VersionRef};
use crate::refusal::Refusal;
use crate::stored::{self, Corrupted, Tombstone};
use crate::vault::{Vault, random};

impl Vault {
    /// Everything of a key in one sealed blob. It is on record before it is answered.
    pub async fn backup(&self, context: &Context<'_>, name: &KeyName) -> Result<Vec<u8>, Refusal> {
        self.check(context, Permission::Backup)?;
        let key = self.find(Named { name, version: None }).await?.key;
        let head = KeyHead::clone(&key.head);
        let mut versions = Vec::new();
        for of in &head.versions {
            let (version, _) = self.records.version(&head, of).await?;
            versions.push(KeyVersion::clone(&version));
        }
        let rotation = self.rotation_of(head.id).await?.map(|(policy, _)| policy);
        let backup = Backup { vault: self.id, head, versions, rotation };
        let sealer = self.installation.sealer(BACKUPS, Uuid::nil());
        let blob = backup.seal(&sealer, self.rules.kind, &mut (context.randomness)()).map_err(Refusal::Backup)?;
        let unique = random(&mut (context.randomness)());
        let entry = entries::change(context, Event::KeyBackedUp, &key.head, key.binding(self.id).key, unique);
        drop(self.record(skerry_audit::Entry { verdict: Verdict::Permitted, ..entry }).await?);
        Ok(blob)
    }

    /// Brings a key back from a blob, with its name, versions and policies, iff its name is free here and nothing newer or
    /// stricter of it was purged here. Its versions are written first, where nothing refers to them; its head makes them a
    /// key in one step.
    pub async fn restore(&self, context: &Context<'_>, blob: &[u8]) -> Result<Key, Refusal> {
        self.check(context, Permission::Restore)?;
        let sealer = self.installation.sealer(BACKUPS, Uuid::nil());
        let backup = Backup::open(blob, &sealer, self.rules.kind).map_err(Refusal::Backup)?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.records.slot(&backup.head.name).await?;
            let known = self.tombstone(backup.head.id).await?;
            let tombstone = known.as_ref().map(|(tombstone, _)| tombstone);
            decide::admit_restored(&self.rules, &found.slot, tombstone, &backup)?;
            let (head, versions) = self.resealed(context, &backup).await?;
            let staged = self.stage(context, head.id, &versions).await?;
            let newest = versions.into_iter().last().ok_or(Corrupted::Form("a key without versions"))?;
            let key = Key { head: Arc::new(head), version: Arc::new(newest) };
            let change = self.restoration(context, &backup, known.map(|(_, at)| at), staged, &key)?;
            match self.commit(context, change).await {
                Ok(true) => return Ok(key),
                Ok(false) => self.remove_leftovers(context.now, context.randomness, key.head.id).await?,
                Err(refusal) => return Err(refusal),
            }
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
        self.work(reseal).await?
    }

    /// Puts versions whose key is not there yet, under a mark that keeps others from doing the same and that has a start-up
    /// remove them if their key never comes.
    async fn stage(&self, context: &Context<'_>, key: Uuid, versions: &[KeyVersion]) -> Result<Revision, Refusal> {
        let (place, mut staged) = (self.records.place(), None);
        let mark = place.leftover(key);
        for some in versions.chunks(VERSIONS_AT_A_TIME) {
            let (check, mut ops) = match staged {
                Some(revision) => (Check::Unchanged(mark.clone(), revision), Vec::new()),
                None => (Check::Absent(mark.clone()), vec![Op::Put(mark.clone(), Vec::new())]),
            };
            for version in some {
                ops.push(self.put_version(context, place.version(key, version.version), version)?);
            }
            let txn = Txn { op: OpId(random(&mut (context.randomness)())), checks: vec![check], ops };
            match self.installation.commit(txn, context.now, (context.randomness)()).await? {
                Outcome::Committed(revision) => staged = staged.or(Some(revision)),
                Outcome::Conflict(_) => return Err(Refusal::Contended),
                Outcome::Unknown => return Err(Refusal::Unsettled),
            }
        }
        staged.ok_or_else(|| Corrupted::Form("a key without versions").into())
    }
}

/// Purpose of the key that seals backups.
const BACKUPS: &str = "key backups";
/// A version has up to 4 kB and a transaction up to a megabyte and 127 operations.
const VERSIONS_AT_A_TIME: usize = 64;
