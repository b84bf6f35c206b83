//! Deleting, recovering and purging.

use skerry_attestation_result::unix_secs;
use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_store::{At, Check, Op, OpId, Outcome, Revision, Txn};
use uuid::Uuid;

use crate::command::{Context, Named, Randomizer};
use crate::decide::{self, Rules};
use crate::limits::ATTEMPTS_MAX;
use crate::record::{Key, KeyName};
use crate::refusal::Refusal;
use crate::stored;
use crate::vault::{Vault, random};
use std::sync::Arc;
use std::time::SystemTime;

impl Vault {
    /// Deletes a key with all its versions; it can be recovered until it is purged.
    pub async fn delete(&self, context: &Context<'_>, name: &KeyName) -> Result<Key, Refusal> {
        self.check(context, Permission::Delete)?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(Named { name, version: None }).await?;
            let head = decide::delete(&self.rules, &found.key.head, unix_secs(context.now));
            let deleted = Key { head: Arc::new(head), ..found.key };
            let (from, to) = (self.records.place().head(name), self.records.place().deleted_head(name));
            let as_found = [(from, found.head), (self.version_of(&deleted), found.version)];
            if self.moved(context, Event::KeyDeleted, as_found, to, &deleted).await? {
                self.drop_opened(&deleted.head);
                return Ok(deleted);
            }
        }
        Err(Refusal::Contended)
    }

    /// Brings a deleted key back as it was.
    pub async fn recover(&self, context: &Context<'_>, name: &KeyName) -> Result<Key, Refusal> {
        self.check(context, Permission::Recover)?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find_deleted(name).await?;
            let recovered = Key { head: Arc::new(decide::recover(&found.key.head)), ..found.key };
            let (from, to) = (self.records.place().deleted_head(name), self.records.place().head(name));
            let as_found = [(from, found.head), (self.version_of(&recovered), found.version)];
            if self.moved(context, Event::KeyRecovered, as_found, to, &recovered).await? {
                return Ok(recovered);
            }
        }
        Err(Refusal::Contended)
    }

    /// Removes a deleted key for good. Its head goes in one step with the mark that it was here, so that nothing of it can be
    /// reached from then on; its versions go before this answers.
    pub async fn purge(&self, context: &Context<'_>, name: &KeyName) -> Result<(), Refusal> {
        self.check(context, Permission::Purge)?;
        self.purge_under(&self.rules, context, name).await
    }

    /// As [`purge`](Self::purge), but iff the key's time is over, in every vault: for jobs, since a key that was found due may
    /// have been recovered and deleted again before its turn.
    pub async fn purge_due(&self, context: &Context<'_>, name: &KeyName) -> Result<(), Refusal> {
        self.check(context, Permission::Purge)?;
        self.purge_under(&Rules { purge_protection: true, ..self.rules }, context, name).await
    }

    async fn purge_under(&self, rules: &Rules, context: &Context<'_>, name: &KeyName) -> Result<(), Refusal> {
        if rules.purge_protection {
            // What is gone for good is gone by a time that is not in doubt.
            self.installation.check_clock(context.now)?;
        }
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find_deleted(name).await?;
            let tombstone = decide::purge(rules, &found.key.head, unix_secs(context.now))?;
            let place = self.records.place();
            let mut change = self.change(context, Event::KeyPurged, &found.key);
            let (from, mark) = (place.deleted_head(name), place.tombstone(tombstone.id));
            change.checks.push(Check::Unchanged(from.clone(), found.head));
            change.ops.push(Op::Delete(from));
            change.ops.push(self.put(context, mark, &stored::encode_tombstone(&tombstone))?);
            change.ops.push(Op::Put(place.leftover(tombstone.id), Vec::new()));
            change.ops.push(Op::Delete(place.rotation(tombstone.id)));
            if self.commit(context, change).await? {
                self.drop_opened(&found.key.head);
                return self.remove_leftovers(context.now, context.randomness, tombstone.id).await;
            }
        }
        Err(Refusal::Contended)
    }

    /// Removes versions without a key, which purges and restores leave that a crash cut short. For start-up, before anything
    /// is answered.
    pub async fn sweep(&self, now: SystemTime, randomness: &Randomizer) -> Result<(), Refusal> {
        loop {
            let page =
                self.records.store().range(&self.records.place().leftovers(), None, ROWS, At::Linearizable).await?;
            for row in &page.rows {
                if let Some(key) = row.key.last_chunk() {
                    self.remove_leftovers(now, randomness, Uuid::from_bytes(*key)).await?;
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Removes the versions of a key that has no head, and their mark, as many at a time as a transaction holds. Each step
    /// holds only while the mark stands as it was found: who comes late finds it gone, and must not touch what a restore
    /// has put there since.
    pub(super) async fn remove_leftovers(
        &self,
        now: SystemTime,
        randomness: &Randomizer,
        key: Uuid,
    ) -> Result<(), Refusal> {
        let place = self.records.place();
        let mark = place.leftover(key);
        let Some(found) = self.records.store().get(&mark, At::Linearizable).await? else { return Ok(()) };
        loop {
            let page = self.records.store().range(&place.versions(key), None, ROWS, At::Linearizable).await?;
            let mut ops: Vec<Op> = page.rows.into_iter().map(|row| Op::Delete(row.key)).collect();
            if !page.more {
                ops.push(Op::Delete(mark.clone()));
            }
            let checks = vec![Check::Unchanged(mark.clone(), found.modified)];
            let txn = Txn { op: OpId(random(&mut randomness())), checks, ops };
            match self.installation.commit(txn, now, randomness()).await? {
                Outcome::Committed(_) if !page.more => return Ok(()),
                Outcome::Committed(_) => {}
                // Another removes them, or a restore has made a key of them.
                Outcome::Conflict(_) => return Ok(()),
                // Whether these went or not, start-up goes through them again.
                Outcome::Unknown => return Err(Refusal::Unsettled),
            }
        }
    }

    fn version_of(&self, key: &Key) -> Vec<u8> {
        self.records.place().version(key.head.id, key.version.version)
    }

    /// Moves a head, iff it and the version that is shown with it are as they were found.
    async fn moved(
        &self,
        context: &Context<'_>,
        event: Event,
        [from, version]: [(Vec<u8>, Revision); 2],
        to: Vec<u8>,
        key: &Key,
    ) -> Result<bool, Refusal> {
        let mut change = self.change(context, event, key);
        change.checks.push(Check::Unchanged(from.0.clone(), from.1));
        change.checks.push(Check::Unchanged(version.0, version.1));
        change.checks.push(Check::Absent(to.clone()));
        change.ops.push(Op::Delete(from.0));
        change.ops.push(self.put_head(context, to, &key.head)?);
        self.commit(context, change).await
    }
}

/// Fewer than a transaction's operations (128), with room for what the installation adds.
const ROWS: usize = 100;
