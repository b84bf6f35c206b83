//! The vault's floor: shown, set, and read for every release.

use std::sync::{Arc, Mutex, PoisonError};

use skerry_attestation_result::unix_secs;
use skerry_identity::Permission;
use skerry_policy::permit::VaultFloor;
use skerry_store::{At, Check, Revision};

use crate::command::{Context, Named};
use crate::entries;
use crate::floor::{FloorChanges, FloorSettings};
use crate::limits::ATTEMPTS_MAX;
use crate::records::FoundKey;
use crate::refusal::Refusal;
use crate::stored::{self, Corrupted};
use crate::vault::change::Change;
use crate::vault::{Vault, random};

/// The floor as it was read last, with the revision it is of.
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<(Revision, Arc<FloorSettings>)>>);

impl Vault {
    /// What is set; nothing is by default.
    pub async fn floor(&self, context: &Context<'_>) -> Result<FloorSettings, Refusal> {
        self.check(context, Permission::GetVaultFloor)?;
        Ok(self.floor_set(At::Linearizable).await?.0.as_ref().clone())
    }

    /// What configuration demands beside it.
    pub fn configured_floor(&self) -> &VaultFloor {
        &self.configured
    }

    /// Sets what is named. From when it is acknowledged no release that begins rests on what was before.
    pub async fn set_floor(&self, context: &Context<'_>, changes: &FloorChanges) -> Result<FloorSettings, Refusal> {
        self.check(context, Permission::SetVaultFloor)?;
        for _ in 0..ATTEMPTS_MAX {
            let (known, at) = self.floor_set(At::Linearizable).await?;
            let floor = known.with(changes, unix_secs(context.now))?;
            let place = self.records.place().floor();
            let check = match at {
                Some(revision) => Check::Unchanged(place.clone(), revision),
                None => Check::Absent(place.clone()),
            };
            let unique = random(&mut (context.randomness)());
            let mut intent = entries::vault_change(context, self.id, changes.words(), unique);
            intent.policy = floor.policy.as_ref().map(|policy| policy.digest().0);
            let put = self.put(context, place, &stored::encode_floor(&floor))?;
            if self.commit(context, Change { intent, checks: vec![check], ops: vec![put] }).await? {
                return Ok(floor);
            }
        }
        Err(Refusal::Contended)
    }

    /// A key, and what configuration and what is set demand together of every release, as both were at one time: a policy from
    /// before a change and the floor from after the next were never together, and could permit what neither did.
    pub(super) async fn find_under_floor(&self, key: Named<'_>) -> Result<(FoundKey, VaultFloor), Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(key).await?;
            let (floor, at) = self.floor_set(At::Cached(found.newest())).await?;
            if found.was_together_with(at) {
                return Ok((found, floor.over(&self.configured)));
            }
        }
        Err(Refusal::Contended)
    }

    async fn floor_set(&self, when: At) -> Result<(Arc<FloorSettings>, Option<Revision>), Refusal> {
        let at = self.records.place().floor();
        let Some(entry) = self.records.store().get(&at, when).await? else {
            return Ok((Arc::default(), None));
        };
        let mut kept = self.set.0.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = match kept.as_ref().filter(|(of, _)| *of == entry.modified) {
            Some((_, floor)) => Arc::clone(floor),
            None => {
                let plain = self.records.sealer().open(&at, &entry.value).map_err(Corrupted::Seal)?;
                Arc::new(stored::decode_floor(&plain)?)
            }
        };
        *kept = Some((entry.modified, Arc::clone(&floor)));
        Ok((floor, Some(entry.modified)))
    }
}
