//! Rotation: a new version like the one before, when asked for, and the policies that say when it is due.

use std::collections::HashSet;
use std::sync::Arc;

use skerry_attestation_result::unix_secs;
use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_store::{At, Check, Row};
use uuid::Uuid;

use crate::command::{Context, Named, NewKey, Operation};
use crate::decide;
use crate::limits::ATTEMPTS_MAX;
use crate::record::{Key, KeyHead, KeyName, Slot};
use crate::records::Found;
use crate::refusal::Refusal;
use crate::rotation::{self, RotationInput, RotationPolicy};
use crate::signer::VaultKind;
use crate::stored::{self, Corrupted};
use crate::vault::Vault;
use crate::vault::change::Attempt;

impl Vault {
    /// Makes a new version with the type, uses, tags and release policy of the newest, iff that is enabled: who disabled a
    /// key to stop its use does not find it in use again because it was due.
    pub async fn rotate(&self, context: &Context<'_>, name: &KeyName) -> Result<Key, Refusal> {
        self.check(context, Permission::Rotate)?;
        let mut kept = None;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(Named { name, version: None }).await?;
            decide::usable(&found.key, Operation::Rotate, unix_secs(context.now))?;
            let (new, of_policy) = self.successor(context, &found.key).await?;
            let at = self.records.place().version(found.key.head.id, found.key.version.version);
            let slot = Found { slot: Slot::Live(Arc::clone(&found.key.head)), revision: Some(found.head) };
            let as_found = Check::Unchanged(at, found.version);
            let attempt =
                Attempt { event: Event::KeyCreated, new: &new, import: None, also: vec![as_found, of_policy] };
            if let Some(key) = self.try_add(context, attempt, slot, &mut kept).await? {
                return Ok(key);
            }
        }
        Err(Refusal::Contended)
    }

    /// The new version, and the condition that the policy it follows is still the one.
    async fn successor(&self, context: &Context<'_>, key: &Key) -> Result<(NewKey, Check), Refusal> {
        let (policy, check) = match self.found_rotation_of(key).await? {
            (Some(policy), check) => (policy, check),
            (None, _) if self.rules.kind == VaultKind::ManagedHsm => {
                return Err(Refusal::NoRotationPolicy { name: key.head.name.to_string() });
            }
            (None, check) => (RotationPolicy::unset(self.rules.kind), check),
        };
        Ok((decide::rotation(key, &policy, unix_secs(context.now)), check))
    }

    async fn found_rotation_of(&self, key: &Key) -> Result<(Option<RotationPolicy>, Check), Refusal> {
        let at = self.records.place().rotation(key.head.id);
        Ok(match self.rotation_of(key.head.id).await? {
            Some((policy, revision)) => (Some(policy), Check::Unchanged(at, revision)),
            None => (None, Check::Absent(at)),
        })
    }

    /// The rotation policy of a key; what holds without one if none was set.
    pub async fn rotation_policy(
        &self,
        context: &Context<'_>,
        name: &KeyName,
    ) -> Result<(Key, RotationPolicy), Refusal> {
        self.check(context, Permission::GetRotationPolicy)?;
        let key = self.find(Named { name, version: None }).await?.key;
        let policy = self.rotation_of(key.head.id).await?.map(|(policy, _)| policy);
        Ok((key, policy.unwrap_or_else(|| RotationPolicy::unset(self.rules.kind))))
    }

    /// Sets the rotation policy of a key.
    pub async fn set_rotation_policy(
        &self,
        context: &Context<'_>,
        name: &KeyName,
        input: &RotationInput,
    ) -> Result<(Key, RotationPolicy), Refusal> {
        self.check(context, Permission::SetRotationPolicy)?;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(Named { name, version: None }).await?;
            let (before, as_found) = self.found_rotation_of(&found.key).await?;
            let policy = rotation::set(self.rules.kind, before.as_ref(), input, unix_secs(context.now));
            let policy = policy.map_err(Refusal::Rotation)?;
            let place = self.records.place();
            let at = place.rotation(found.key.head.id);
            let mut change = self.change(context, Event::KeyChanged, &found.key);
            change.checks.push(Check::Unchanged(place.head(name), found.head));
            change.checks.push(as_found);
            change.ops.push(self.put(context, at, &stored::encode_rotation(&policy))?);
            if self.commit(context, change).await? {
                return Ok((found.key, policy));
            }
        }
        Err(Refusal::Contended)
    }

    pub(super) async fn rotation_of(
        &self,
        key: Uuid,
    ) -> Result<Option<(RotationPolicy, skerry_store::Revision)>, Refusal> {
        let at = self.records.place().rotation(key);
        let Some(entry) = self.records.store().get(&at, At::Linearizable).await? else { return Ok(None) };
        let plain = self.records.sealer().open(&at, &entry.value).map_err(Corrupted::Seal)?;
        Ok(Some((stored::decode_rotation(&plain)?, entry.modified)))
    }

    /// Keys whose newest version is due to be replaced, and is enabled, so that [`rotate`](Self::rotate) does it.
    pub async fn due_for_rotation(&self, context: &Context<'_>) -> Result<Due, Refusal> {
        self.check(context, Permission::Rotate)?;
        let (now, place) = (unix_secs(context.now), self.records.place());
        let mut due = Due::default();
        let ids = self.with_rotation_policy().await?;
        if ids.is_empty() {
            return Ok(due);
        }
        let mut rows = Rows::of(place.heads());
        while let Some(page) = rows.next(self).await? {
            for row in &page {
                let Some(head) = due.unless_damaged(self.records.head_of(row))? else { continue };
                if ids.contains(&head.id) {
                    let at = due.unless_damaged(self.rotates_at(Arc::clone(&head)).await)?.flatten();
                    due.keys.extend(at.filter(|at| *at <= now).map(|_| head.name.clone()));
                }
            }
        }
        Ok(due)
    }

    /// When the newest version is to be replaced; never while it is disabled.
    async fn rotates_at(&self, head: Arc<KeyHead>) -> Result<Option<u64>, Refusal> {
        let Some((policy, _)) = self.rotation_of(head.id).await? else { return Ok(None) };
        let Some(key) = self.newest(head).await? else { return Ok(None) };
        let at = policy.rotates_at(key.version.created, key.version.expires);
        Ok(at.filter(|_| key.version.enabled))
    }

    /// Keys that have a policy: few of many, so that the others' records are not read on.
    async fn with_rotation_policy(&self) -> Result<HashSet<Uuid>, Refusal> {
        let prefix = self.records.place().rotations();
        let (mut rows, mut ids) = (Rows::of(prefix.clone()), HashSet::new());
        while let Some(page) = rows.next(self).await? {
            let id = |row: &Row| Uuid::from_slice(row.key.strip_prefix(prefix.as_slice())?).ok();
            ids.extend(page.iter().filter_map(id));
        }
        Ok(ids)
    }

    /// Deleted keys whose time is over; none by a clock that is in doubt, of which others tell.
    pub async fn due_for_purge(&self, context: &Context<'_>) -> Result<Due, Refusal> {
        self.check(context, Permission::Purge)?;
        if self.installation.check_clock(context.now).is_err() {
            return Ok(Due::default());
        }
        let now = unix_secs(context.now);
        let (mut rows, mut due) = (Rows::of(self.records.place().deleted_heads()), Due::default());
        while let Some(page) = rows.next(self).await? {
            for row in &page {
                let Some(head) = due.unless_damaged(self.records.head_of(row))? else { continue };
                if head.deletion.is_some_and(|deletion| deletion.purge <= now) {
                    due.keys.push(head.name.clone());
                }
            }
        }
        Ok(due)
    }
}

/// What is to be done without being asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Due {
    /// Names of keys.
    pub keys: Vec<KeyName>,
    /// Why nothing is known of others: their records do not open. They stop nobody else's.
    pub damaged: Vec<Refusal>,
}

impl Due {
    fn unless_damaged<T>(&mut self, read: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(refusal @ Refusal::Corrupted(_)) => {
                self.damaged.push(refusal);
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }
}

/// All rows under a prefix, some at a time.
pub(super) struct Rows {
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    more: bool,
}

impl Rows {
    pub(super) fn of(prefix: Vec<u8>) -> Rows {
        Rows { prefix, after: None, more: true }
    }

    pub(super) async fn next(&mut self, vault: &Vault) -> Result<Option<Vec<Row>>, Refusal> {
        if !self.more {
            return Ok(None);
        }
        // A vault of many keys is read beside requests, not instead of them.
        tokio::task::yield_now().await;
        let page = vault.records.store().range(&self.prefix, self.after.as_deref(), ROWS, At::Linearizable).await?;
        self.after = page.rows.last().map(|row| row.key.clone());
        self.more = page.more;
        Ok(Some(page.rows))
    }
}

/// Rows read at a time by the jobs.
const ROWS: usize = 256;
