//! Looking keys up.

use skerry_identity::Permission;

use crate::command::{Context, Named, Operation};
use crate::decide;
use crate::limits::ATTEMPTS_MAX;
use crate::record::{Key, KeyName};
use crate::records::FoundKey;
use crate::refusal::Refusal;
use crate::vault::Vault;
use skerry_attestation_result::unix_secs;
use skerry_store::At;

impl Vault {
    /// A version of a key, for who may see it.
    pub async fn get(&self, context: &Context<'_>, key: Named<'_>) -> Result<Key, Refusal> {
        self.check(context, Permission::Get)?;
        let found = self.find(key).await?.key;
        decide::usable(&found, Operation::Get, unix_secs(context.now))?;
        self.spend_on(context, &found)?;
        Ok(found)
    }

    /// A deleted key, at its newest version.
    pub async fn get_deleted(&self, context: &Context<'_>, name: &KeyName) -> Result<Key, Refusal> {
        self.check(context, Permission::Get)?;
        let found = self.find_deleted(name).await?.key;
        self.spend_on(context, &found)?;
        Ok(found)
    }

    /// The version that is named, whatever its state.
    pub(super) async fn find(&self, key: Named<'_>) -> Result<FoundKey, Refusal> {
        let missing = || Refusal::KeyNotFound { name: key.name.to_string() };
        for _ in 0..ATTEMPTS_MAX {
            let seen = self.records.fence().await?;
            let head = self.records.live_at(key.name, At::Cached(seen)).await?.ok_or_else(missing)?;
            if let Some(found) = self.records.at_version(head, key.version, seen).await? {
                return Ok(found);
            }
        }
        Err(Refusal::Contended)
    }

    pub(super) async fn find_deleted(&self, name: &KeyName) -> Result<FoundKey, Refusal> {
        let missing = || Refusal::DeletedKeyNotFound { name: name.to_string() };
        for _ in 0..ATTEMPTS_MAX {
            let seen = self.records.fence().await?;
            let head = self.records.deleted_at(name, At::Cached(seen)).await?.ok_or_else(missing)?;
            if let Some(found) = self.records.at_version(head, None, seen).await? {
                return Ok(found);
            }
        }
        Err(Refusal::Contended)
    }
}
