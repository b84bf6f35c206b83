//! Signing and verifying with keys that stay here.

use std::sync::Arc;

use skerry_attestation_result::unix_secs;
use skerry_identity::Permission;
use skerry_keys::{OpenedKey, SignError};
use skerry_store::Revision;

use crate::command::{Context, Operation, SignCommand, VerifyCommand};
use crate::decide;
use crate::record::{Key, KeyHead};
use crate::records::FoundKey;
use crate::refusal::Refusal;
use crate::vault::Vault;

/// An opened key. It signs only while head and version are the very records under which it was opened: what was disabled,
/// deleted or replaced since is opened anew, or not at all.
#[derive(Clone)]
pub(super) struct KeptSigner {
    state: (Revision, Revision),
    signer: Arc<OpenedKey>,
}

/// A signature and the version that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// The key, at the version that signed.
    pub key: Key,
    /// The signature; of EC keys R and S, each of the field's length.
    pub value: Vec<u8>,
}

impl Vault {
    /// Signs a digest.
    pub async fn sign(&self, context: &Context<'_>, command: &SignCommand<'_>) -> Result<Signature, Refusal> {
        self.check(context, Permission::Sign)?;
        let FoundKey { key, head, version: at } = self.find(command.key).await?;
        decide::usable(&key, Operation::Sign, unix_secs(context.now))?;
        let (algorithm, digest, mut rng) = (command.algorithm, command.digest.to_vec(), (context.randomness)());
        let (place, state) = ((key.head.id, key.version.version), (head, at));
        let kept = self.signers.get(&place).filter(|kept| kept.state == state).map(|kept| kept.signer);
        let (custody, binding, version) = (Arc::clone(&self.custody), key.binding(self.id), Arc::clone(&key.version));
        let sign = move || -> Result<(Arc<OpenedKey>, Vec<u8>), SignError> {
            let signer = match kept {
                Some(signer) => signer,
                None => Arc::new(custody.open_for_use(&version.material, &binding).map_err(SignError::Open)?),
            };
            let value = signer.sign(algorithm, &digest, &mut *rng)?;
            Ok((signer, value))
        };
        let (signer, value) = self.work(sign).await?.map_err(Refusal::Sign)?;
        self.signers.insert(place, KeptSigner { state, signer });
        Ok(Signature { key, value })
    }

    /// Whether a signature is one by this key over the digest. A false one is an answer, not a refusal.
    pub async fn verify(&self, context: &Context<'_>, command: &VerifyCommand<'_>) -> Result<bool, Refusal> {
        self.check(context, Permission::Verify)?;
        let key = self.find(command.key).await?.key;
        decide::usable(&key, Operation::Verify, unix_secs(context.now))?;
        let (algorithm, digest, signature) = (command.algorithm, command.digest.to_vec(), command.signature.to_vec());
        let verify = move || skerry_keys::verify(&key.version.public, algorithm, &digest, &signature);
        self.work(verify).await?.map_err(Refusal::Verify)
    }

    /// Drops the opened keys of all versions: what cannot sign is not kept in memory.
    pub(super) fn drop_signers(&self, head: &KeyHead) {
        for of in &head.versions {
            self.signers.remove(&(head.id, of.version));
        }
    }
}
