//! Making, importing and updating keys, and how every change is committed.

use std::sync::Arc;
use std::time::SystemTime;

use skerry_attestation_result::unix_secs;
use skerry_audit::{Entry, Event, Verdict};
use skerry_identity::Permission;
use skerry_keys::custody::Binding;
use skerry_keys::{ImportKey, KeyType};
use skerry_policy::permit::{KeyRef, Version};
use skerry_store::{Check, Op, OpId, Outcome, Settled, Txn};
use uuid::Uuid;

use crate::command::{Changes, Context, ImportCommand, Named, NewKey, Randomness};
use crate::decide::{self, Admitted, Made};
use crate::entries;
use crate::installation::Installation;
use crate::limits::ATTEMPTS_MAX;
use crate::meter::Custody;
use crate::record::{Key, KeyHead, KeyVersion, Origin};
use crate::records::Found;
use crate::refusal::Refusal;
use crate::stored;
use crate::throttle::Load;
use crate::vault::{Vault, random, random_uuid, refuse_pool};

impl Vault {
    /// Makes a key, or a new version of one.
    pub async fn create(&self, context: &Context<'_>, new: &NewKey) -> Result<Key, Refusal> {
        self.check(context, Permission::Create)?;
        self.add(context, Event::KeyCreated, new, None).await
    }

    /// Brings in a key that exists elsewhere; else as [`create`](Self::create).
    pub async fn import(&self, context: &Context<'_>, command: ImportCommand) -> Result<Key, Refusal> {
        self.check(context, Permission::Import)?;
        let ImportCommand { new, key, padded } = command;
        decide::check_imported(new.key_ops.as_deref())?;
        self.add(context, Event::KeyImported, &new, Some(Arc::new(Brought { key, padded }))).await
    }

    /// Changes what can be changed of a version, and of its key.
    pub async fn update(&self, context: &Context<'_>, key: Named<'_>, changes: &Changes) -> Result<Key, Refusal> {
        self.check(context, Permission::Update)?;
        let event = if changes.policy.is_some() || changes.min_iat.is_some() {
            Event::PolicyChanged
        } else {
            Event::KeyChanged
        };
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(key).await?;
            let updated = decide::update(&found.key, key.version.is_some(), changes, unix_secs(context.now))?;
            let mut change = self.change(context, event, &updated);
            change.intent.explanation = changes.words();
            let at = self.records.place().head(&updated.head.name);
            change.checks.push(Check::Unchanged(at.clone(), found.head));
            if !Arc::ptr_eq(&updated.head, &found.key.head) {
                change.ops.push(self.put_head(context, at, &updated.head)?);
            }
            let at = self.records.place().version(updated.head.id, updated.version.version);
            change.checks.push(Check::Unchanged(at.clone(), found.version));
            change.ops.push(self.put_version(context, at, &updated.version)?);
            if self.commit(context, change).await? {
                if !updated.version.enabled {
                    self.opened.remove(&(updated.head.id, updated.version.version));
                }
                return Ok(updated);
            }
        }
        Err(Refusal::Contended)
    }

    pub(super) async fn add(
        &self,
        context: &Context<'_>,
        event: Event,
        new: &NewKey,
        import: Option<Arc<Brought>>,
    ) -> Result<Key, Refusal> {
        let mut kept = None;
        for _ in 0..ATTEMPTS_MAX {
            let attempt = Attempt { event, new, import: import.as_ref(), also: Vec::new() };
            let found = self.records.slot(&new.name).await?;
            if let Some(key) = self.try_add(context, attempt, found, &mut kept).await? {
                return Ok(key);
            }
        }
        Err(Refusal::Contended)
    }

    /// Makes a version of what was found under the name; none if that has changed. What was made then is kept for the next
    /// attempt.
    pub(super) async fn try_add(
        &self,
        context: &Context<'_>,
        attempt: Attempt<'_>,
        found: Found,
        kept: &mut Option<Kept>,
    ) -> Result<Option<Key>, Refusal> {
        let Attempt { event, new, import, also } = attempt;
        let admitted = decide::admit(&self.rules, &found.slot, new)?;
        let made = match kept.take().filter(|kept| kept.serves(&admitted, new)) {
            Some(kept) => kept.made,
            None => {
                self.spend(context, load(new, &admitted, import.is_some()))?;
                self.make(context, self.binding(context, new, &admitted), import.cloned()).await?
            }
        };
        let of = (id_of(&admitted), admitted.exportable);
        *kept = Some(Kept { key: of.0, exportable: of.1, key_type: new.key_type, made: made.clone() });
        let key = decide::assemble(new, admitted, made, unix_secs(context.now));
        let mut change = self.addition(context, event, &found, &key)?;
        change.checks.extend(also);
        Ok(self.commit(context, change).await?.then_some(key))
    }

    /// The new version under ids that are its own; a new key under a new id.
    fn binding(&self, context: &Context<'_>, new: &NewKey, admitted: &Admitted) -> Binding {
        let mut rng = (context.randomness)();
        let id = admitted.key.as_ref().map_or_else(|| random_uuid(&mut rng), |head| head.id);
        let key = KeyRef { vault: self.id, key: id, version: Version(random(&mut rng)) };
        Binding { key, key_type: new.key_type, exportable: admitted.exportable }
    }

    async fn make(
        &self,
        context: &Context<'_>,
        binding: Binding,
        import: Option<Arc<Brought>>,
    ) -> Result<Made, Refusal> {
        let prepared = match (&import, binding.key_type) {
            (None, KeyType::Rsa { bits }) if self.custody.strict().is_none() => self.pools.stock.take(bits),
            _ => None,
        };
        let origin = import.as_ref().map_or(Origin::Generated, |brought| brought.origin());
        let slow = import.is_none() && prepared.is_none() && matches!(binding.key_type, KeyType::Rsa { .. });
        let pool = if slow { &self.pools.generation } else { &self.pools.work };
        let (custody, mut rng) = (Arc::clone(&self.custody), (context.randomness)());
        let make = move || match (import, prepared) {
            (Some(brought), _) => custody.import(binding, &brought.key, &mut *rng).map_err(Refusal::Import),
            (None, Some(prepared)) => custody.place(binding, prepared, &mut *rng).map_err(Refusal::Custody),
            (None, None) => custody.generate(binding, &mut *rng).map_err(Refusal::Custody),
        };
        let what = if matches!(origin, Origin::Generated) { Custody::Generate } else { Custody::Import };
        let made = match self.installation.held() {
            Some(held) => held.run(make).await?,
            None => pool.run(make).await.map_err(refuse_pool)?,
        };
        self.meter.custody(what, &made);
        let (public, material) = made?;
        Ok(Made { id: binding.key.key, version: binding.key.version, public, material, origin })
    }

    fn addition(&self, context: &Context<'_>, event: Event, found: &Found, key: &Key) -> Result<Change, Refusal> {
        let place = self.records.place();
        let mut change = self.change(context, event, key);
        let at = place.head(&key.head.name);
        match found.revision {
            Some(revision) => change.checks.push(Check::Unchanged(at.clone(), revision)),
            None => {
                change.checks.push(Check::Absent(at.clone()));
                change.checks.push(Check::Absent(place.deleted_head(&key.head.name)));
            }
        }
        change.ops.push(self.put_head(context, at, &key.head)?);
        let at = place.version(key.head.id, key.version.version);
        change.checks.push(Check::Absent(at.clone()));
        change.ops.push(self.put_version(context, at, &key.version)?);
        Ok(change)
    }

    pub(super) fn change(&self, context: &Context<'_>, event: Event, key: &Key) -> Change {
        let unique = random(&mut (context.randomness)());
        let intent = entries::change(context, event, &key.head, key.binding(self.id).key, unique);
        Change { intent, checks: Vec::new(), ops: Vec::new() }
    }

    pub(super) fn put(&self, context: &Context<'_>, at: Vec<u8>, plain: &[u8]) -> Result<Op, Refusal> {
        let sealed = self.records.sealer().seal(&at, plain, &mut *(context.randomness)()).map_err(Refusal::Seal)?;
        Ok(Op::Put(at, sealed))
    }

    pub(super) fn put_head(&self, context: &Context<'_>, at: Vec<u8>, head: &KeyHead) -> Result<Op, Refusal> {
        self.put(context, at, &stored::encode_head(head))
    }

    pub(super) fn put_version(&self, context: &Context<'_>, at: Vec<u8>, version: &KeyVersion) -> Result<Op, Refusal> {
        self.put(context, at, &stored::encode_version(version)?)
    }

    /// Puts the intent on record, commits, and puts the outcome on record: true if the change was made, false if something
    /// it depends on has changed. While it is unknown which, nothing is answered but that: start-up settles it.
    ///
    /// It is a task of its own, which goes on when the caller has gone away: a stranger who hangs up must not leave
    /// changes that were made without an outcome on record.
    pub(super) async fn commit(&self, context: &Context<'_>, change: Change) -> Result<bool, Refusal> {
        change.commit(&self.installation, context.now, (context.randomness)()).await
    }
}

/// A change about to be committed.
pub(crate) struct Change {
    pub(crate) intent: Entry,
    pub(crate) checks: Vec<Check>,
    pub(crate) ops: Vec<Op>,
}

impl Change {
    /// See [`Vault::commit`].
    pub(crate) async fn commit(
        self,
        installation: &Arc<Installation>,
        now: SystemTime,
        rng: Randomness,
    ) -> Result<bool, Refusal> {
        let installation = Arc::clone(installation);
        tokio::spawn(async move { self.carry_out(&installation, now, rng).await }).await.map_err(|_| Refusal::Failed)?
    }

    async fn carry_out(self, installation: &Installation, now: SystemTime, rng: Randomness) -> Result<bool, Refusal> {
        let Change { intent, checks, ops } = self;
        let op = op_id(&intent);
        drop(installation.record(intent.clone()).await?);
        let committed = match installation.commit(Txn { op, checks, ops }, now, rng).await? {
            Outcome::Committed(_) => true,
            Outcome::Conflict(_) => false,
            Outcome::Unknown => match installation.store().settle(op).await {
                Ok(Settled::Committed(_)) => true,
                Ok(Settled::Aborted) => false,
                Err(_) => return Err(Refusal::Unsettled),
            },
        };
        let verdict = if committed { Verdict::Committed } else { Verdict::Aborted };
        drop(installation.record(Entry { verdict, ..intent }).await?);
        Ok(committed)
    }
}

/// Material that was made elsewhere.
pub(super) struct Brought {
    pub(super) key: ImportKey,
    /// Whether its modulus came with a leading zero octet.
    pub(super) padded: bool,
}

impl Brought {
    fn origin(&self) -> Origin {
        if self.padded { Origin::ImportedPadded } else { Origin::Imported }
    }
}

/// A version about to be made.
pub(super) struct Attempt<'a> {
    pub(super) event: Event,
    pub(super) new: &'a NewKey,
    pub(super) import: Option<&'a Arc<Brought>>,
    /// What it depends on besides the name.
    pub(super) also: Vec<Check>,
}

/// What was made for an attempt that came too late: it serves the next if that is for the same key on the same terms.
pub(super) struct Kept {
    key: Option<Uuid>,
    exportable: bool,
    key_type: KeyType,
    made: Made,
}

impl Kept {
    fn serves(&self, admitted: &Admitted, new: &NewKey) -> bool {
        (self.key, self.exportable, self.key_type) == (id_of(admitted), admitted.exportable, new.key_type)
    }
}

fn load(new: &NewKey, admitted: &Admitted, is_import: bool) -> Load {
    match is_import {
        true => Load::Use { hsm: admitted.hsm, key_type: new.key_type },
        false => Load::Make { hsm: admitted.hsm },
    }
}

fn id_of(admitted: &Admitted) -> Option<Uuid> {
    admitted.key.as_ref().map(|head| head.id)
}

/// The store's id of a change is the start of its digest, by which the log names it.
pub(crate) fn op_id(intent: &Entry) -> OpId {
    op_id_of(&intent.subject)
}

/// See [`op_id`].
pub(crate) fn op_id_of(subject: &[u8; 32]) -> OpId {
    let mut id = [0; 16];
    id.iter_mut().zip(subject).for_each(|(to, from)| *to = *from);
    OpId(id)
}
