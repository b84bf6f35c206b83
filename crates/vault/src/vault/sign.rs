//! Signing and verifying with keys that stay here.

use skerry_identity::Permission;
use skerry_keys::{KeyType, OpenedKey};

use crate::command::{Context, Operation, SignCommand, VerifyCommand};
use crate::record::Key;
use crate::refusal::Refusal;
use crate::vault::Vault;

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
        let found = self.permitted(context, Permission::Sign, command.key, Operation::Sign).await?;
        let (algorithm, digest, mut rng) = (command.algorithm, command.digest.to_vec(), (context.randomness)());
        let sign = move |key: &OpenedKey| key.sign(algorithm, &digest, &mut *rng).map_err(Refusal::Sign);
        let (key, value) = self.with_opened(found, command.digest.len(), sign).await?;
        Ok(Signature { key, value })
    }

    /// Whether a signature is one by this key over the digest. A false one is an answer, not a refusal.
    pub async fn verify(&self, context: &Context<'_>, command: &VerifyCommand<'_>) -> Result<bool, Refusal> {
        let found = self.permitted(context, Permission::Verify, command.key, Operation::Verify).await?;
        let (algorithm, digest, signature) = (command.algorithm, command.digest.to_vec(), command.signature.to_vec());
        if let KeyType::Oct { .. } = found.key.version.key_type {
            let verify = move |key: &OpenedKey| key.verify(algorithm, &digest, &signature).map_err(Refusal::Verify);
            return Ok(self.with_opened(found, command.digest.len(), verify).await?.1);
        }
        let verify = move || skerry_keys::verify(&found.key.version.public, algorithm, &digest, &signature);
        self.work(verify).await?.map_err(Refusal::Verify)
    }
}
