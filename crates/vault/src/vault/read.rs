//! Looking keys up.

use skerry_identity::Permission;
use skerry_policy::permit::Version;

use crate::command::{Context, Named, Operation};
use crate::decide;
use crate::limits::ATTEMPTS_MAX;
use crate::record::KeyHead;
use crate::record::{Key, KeyName};
use crate::records::{FoundKey, Read};
use crate::refusal::Refusal;
use crate::stored::Corrupted;
use crate::vault::Vault;
use skerry_attestation_result::unix_secs;

impl Vault {
    /// A version of a key, for who may see it.
    pub async fn get(&self, context: &Context<'_>, key: Named<'_>) -> Result<Key, Refusal> {
        self.check(context, Permission::Get)?;
        let found = self.find(key).await?.key;
        decide::usable(&found, Operation::Get, unix_secs(context.now))?;
        Ok(found)
    }

    /// A deleted key, at its newest version.
    pub async fn get_deleted(&self, context: &Context<'_>, name: &KeyName) -> Result<Key, Refusal> {
        self.check(context, Permission::Get)?;
        Ok(self.find_deleted(name).await?.key)
    }

    /// The version that is named, whatever its state.
    pub(super) async fn find(&self, key: Named<'_>) -> Result<FoundKey, Refusal> {
        let missing = || Refusal::KeyNotFound { name: key.name.to_string() };
        for _ in 0..ATTEMPTS_MAX {
            let head = self.records.live(key.name).await?.ok_or_else(missing)?;
            if let Some(found) = self.at_version(head, key.version).await? {
                return Ok(found);
            }
        }
        Err(Refusal::Contended)
    }

    pub(super) async fn find_deleted(&self, name: &KeyName) -> Result<FoundKey, Refusal> {
        let missing = || Refusal::DeletedKeyNotFound { name: name.to_string() };
        for _ in 0..ATTEMPTS_MAX {
            let head = self.records.deleted(name).await?.ok_or_else(missing)?;
            if let Some(found) = self.at_version(head, None).await? {
                return Ok(found);
            }
        }
        Err(Refusal::Contended)
    }

    /// The key at that version; none if its head was replaced while the version was read, since a purge takes the head
    /// first and the versions after it. A version that is missing under a head that still stands is an integrity error.
    async fn at_version(&self, head: Read<KeyHead>, version: Option<Version>) -> Result<Option<FoundKey>, Refusal> {
        let (head, revision) = head;
        let missing = || match version {
            Some(version) => Refusal::VersionNotFound { name: head.name.to_string(), version: version.to_string() },
            None => Refusal::KeyNotFound { name: head.name.to_string() },
        };
        let of = *head.version(version).ok_or_else(missing)?;
        match self.records.version(&head, &of).await {
            Ok((version, at)) => Ok(Some(FoundKey { key: Key { head, version }, head: revision, version: at })),
            Err(Refusal::Corrupted(Corrupted::VersionMissing { version })) => {
                let standing = match head.deletion {
                    Some(_) => self.records.deleted(&head.name).await?,
                    None => self.records.live(&head.name).await?,
                };
                match standing.is_some_and(|(_, at)| at == revision) {
                    true => Err(Corrupted::VersionMissing { version }.into()),
                    false => Ok(None),
                }
            }
            Err(refusal) => Err(refusal),
        }
    }
}
