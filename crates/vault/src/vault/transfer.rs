//! Bringing in keys that are wrapped to a key of the vault (BYOK).

use std::sync::Arc;

use skerry_attestation_result::unix_secs;
use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_keys::{ImportKey, OpenedKey, TransferError};

use crate::command::{Context, Named, TransferCommand};
use crate::decide;
use crate::record::{Key, KeyName};
use crate::records::FoundKey;
use crate::refusal::Refusal;
use crate::vault::Vault;
use crate::vault::change::Brought;
use skerry_policy::permit::Version;

impl Vault {
    /// Brings in a key that comes wrapped to a key of this vault; else as [`import`](Self::import), whose rules it obeys.
    ///
    /// Whatever is wrong with what comes is one refusal, and so is whatever is wrong with the key it was wrapped to: who
    /// may import need not learn which keys there are, nor what is in a blob that is not his.
    pub async fn import_wrapped(&self, context: &Context<'_>, command: TransferCommand) -> Result<Key, Refusal> {
        self.check(context, Permission::Import)?;
        let TransferCommand { new, family, claimed, kek, wrapped } = command;
        decide::check_imported(new.key_ops.as_deref())?;
        let kek = self.transfer_key(context, &kek).await?;
        let octets = wrapped.len();
        let unwrap = move |key: &OpenedKey| key.unwrap_import(family, &wrapped).map_err(Refusal::Transfer);
        let (_, key) = self.with_opened(kek, octets, unwrap).await?;
        if !claimed.agrees(key.public()) {
            return Err(Refusal::Transfer(TransferError::Refused));
        }
        let new = new.of(key.key_type());
        let brought = Brought { key: ImportKey::Transferred(Box::new(key)), padded: false };
        self.add(context, Event::KeyImported, &new, Some(Arc::new(brought))).await
    }

    async fn transfer_key(&self, context: &Context<'_>, kek: &(KeyName, Version)) -> Result<FoundKey, Refusal> {
        let found = match self.find(Named { name: &kek.0, version: Some(kek.1) }).await {
            Err(Refusal::KeyNotFound { .. } | Refusal::VersionNotFound { .. }) => return Err(Refusal::TransferKey),
            found => found?,
        };
        match decide::takes_keys(&found.key, unix_secs(context.now)) {
            true => Ok(found),
            false => Err(Refusal::TransferKey),
        }
    }
}
