//! What the service states of a key: where it came from, who holds it, whether it may leave.
//!
//! No hardware vouches for a key in software custody, and a PKCS#11 token does not for those that it holds, so this is not what a
//! Managed HSM gives: it is the word of the key that signs releases, in a form of our own, which says in `custody` where the key
//! is in the clear, and no more than is so.

use std::sync::Arc;

use skerry_attestation_result::unix_secs;
use skerry_keys::PublicKey;

use crate::command::{Context, Named};
use crate::record::Key;
use crate::refusal::Refusal;
use crate::vault::Vault;
use crate::wire;

/// Statements about a version of a key, each a compact JWS of type [`STATEMENT_TYPE`](crate::STATEMENT_TYPE).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttestation {
    /// The certificates that the statements are checked under, leaf first, PEM.
    pub certificates: String,
    /// About the private half, or the whole of a symmetric key.
    pub private: String,
    /// About the public half, which is in it; none of a symmetric key.
    pub public: Option<String>,
}

impl Vault {
    /// A version of a key, for who may see it, and what is stated of it, at the host that was addressed.
    pub async fn attestation(
        &self,
        context: &Context<'_>,
        key: Named<'_>,
        host: &str,
    ) -> Result<(Key, KeyAttestation), Refusal> {
        let key = self.get(context, key).await?;
        let rules = self.rules;
        let (signer, vault, host, now) = (Arc::clone(&self.signer), self.id, host.to_owned(), unix_secs(context.now));
        let state = move || {
            let about = |public| {
                let statement = wire::key_statement(&rules, (&host, vault), &key, public, now);
                signer.sign_statement(&statement.to_json()).map_err(|_| Refusal::Signing)
            };
            let symmetric = key.version.public == PublicKey::Oct;
            let public = if symmetric { None } else { Some(about(true)?) };
            let private = about(false)?;
            Ok((key, KeyAttestation { certificates: signer.chain_pem().to_owned(), private, public }))
        };
        self.work(state).await?
    }
}
