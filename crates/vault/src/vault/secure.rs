//! Keys that only TEEs see: made here and given out wrapped, unwrapped to a TEE that attests itself.
//!
//! Azure's secure wrap and unwrap, of a Managed HSM. The key that wraps stays and has a release policy, which says here who may
//! have what is wrapped under it. What is unwrapped leaves as a released key does: wrapped to the TEE's key of the very token
//! that met the policy, in a release's envelope, after it is on record.

use std::sync::Arc;

use skerry_attestation_result::{IssuerUrl, TrustedResult, unix_secs};
use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_keys::{CipherError, GuardingKey, KeyType, OpenedKey, ReleaseError, SECURE_KEY_LEN, WrapAlgorithm};
use skerry_keywrap::Algorithm;
use skerry_policy::permit::{Permit, VaultFloor};

use crate::command::{Context, Named, Operation, SecureUnwrapCommand};
use crate::decide;
use crate::entries;
use crate::meter::Custody;
use crate::record::Key;
use crate::records::FoundKey;
use crate::refusal::Refusal;
use crate::vault::Vault;
use crate::wire;

/// An unwrapping to a TEE that happened.
#[derive(Debug, Clone)]
pub struct UnwrapAnswer {
    /// The key that it was wrapped under.
    pub key: Key,
    /// A release's envelope.
    pub envelope: String,
    /// The proof that it is in the audit log, as text (C2SP tlog-proof), if it was asked for.
    pub proof: Option<String>,
}

impl Vault {
    /// Makes a key of 256 bits and gives its wrapped form, to whoever may wrap.
    pub async fn secure_wrap(
        &self,
        context: &Context<'_>,
        key: Named<'_>,
        algorithm: WrapAlgorithm,
    ) -> Result<(Key, Vec<u8>), Refusal> {
        let found = self.permitted(context, Permission::WrapKey, key, Operation::SecureWrapKey).await?;
        let noting = self.noting(context, Event::SecureWrapKey, &found.key);
        noting.end(self.secure_wrap_with(context, found, algorithm).await)
    }

    async fn secure_wrap_with(
        &self,
        context: &Context<'_>,
        found: FoundKey,
        algorithm: WrapAlgorithm,
    ) -> Result<(Key, Vec<u8>), Refusal> {
        let mut rng = (context.randomness)();
        if let KeyType::Oct { .. } = found.key.version.key_type {
            let wrap = move |key: &OpenedKey| key.secure_wrap(algorithm, &mut *rng).map_err(Refusal::Cipher);
            return self.with_opened(found, SECURE_KEY_LEN, wrap).await;
        }
        let (version, custody) = (Arc::clone(&found.key.version), Arc::clone(&self.custody));
        let wrap = move || custody.secure_wrap(&version.public, algorithm, &mut *rng);
        let wrapped = self.key_work(wrap).await?.map_err(Refusal::Cipher)?;
        Ok((found.key, wrapped))
    }

    /// Unwraps a key to the TEE that `command.target` attests, or says why not; the octets are a release's envelope. A denial is
    /// on record before it is answered, and an unwrapping before the key is touched.
    pub async fn secure_unwrap(
        &self,
        context: &Context<'_>,
        command: &SecureUnwrapCommand<'_>,
    ) -> Result<UnwrapAnswer, Refusal> {
        self.check(context, Permission::UnwrapKey)?;
        let (found, floor) = self.find_under_floor(command.key).await?;
        let key = found.key;
        let mut believed = None;
        match self.may_unwrap(context, command, (&key, &floor), &mut believed).await {
            Ok((permit, result)) => self.unwrap_to(context, command, key, permit, &result).await,
            Err(refusal) if refusal.is_denial() => {
                self.meter.denied(&refusal);
                let (of, event) = (key.binding(self.id).key, Event::SecureUnwrapDenied);
                let (head, believed) = (&key.head, believed.as_deref());
                let entry = || entries::denied((context, event), head, of, command.target, believed, &refusal);
                self.record_denial(context, entry).await?;
                Err(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    async fn may_unwrap(
        &self,
        context: &Context<'_>,
        command: &SecureUnwrapCommand<'_>,
        (key, floor): (&Key, &VaultFloor),
        believed: &mut Option<Arc<TrustedResult>>,
    ) -> Result<(Permit, Arc<TrustedResult>), Refusal> {
        decide::usable(key, Operation::SecureUnwrapKey, unix_secs(context.now))?;
        let (algorithm, key_type) = (command.algorithm, key.version.key_type);
        if !algorithm.is_secure() || !algorithm.fits(key_type) {
            let (algorithm, key_type) = (algorithm.as_str(), Some(key_type));
            return Err(Refusal::Cipher(CipherError::Algorithm { algorithm, key_type }));
        }
        let (permit, result) = self.permit(context, command.target, (key, floor), believed).await?;
        match command.issuer {
            Some(asked) if !is_issuer(asked, &result) => {
                Err(Refusal::OtherIssuer { asked: asked.to_owned(), issuer: result.issuer().to_string() })
            }
            _ => Ok((permit, result)),
        }
    }

    async fn unwrap_to(
        &self,
        context: &Context<'_>,
        command: &SecureUnwrapCommand<'_>,
        key: Key,
        permit: Permit,
        result: &TrustedResult,
    ) -> Result<UnwrapAnswer, Refusal> {
        self.custody.check_release(Algorithm::RsaAesKeyWrap256).map_err(Refusal::Release)?;
        let recorded = self.record(entries::unwrapping(context, &permit, result, command.wrapped)).await?;
        let (entry, leaf) = (command.proof.then(|| recorded.entry_octets()), recorded.leaf());
        let installation = Arc::clone(&self.installation);
        let (custody, mut rng) = (Arc::clone(&self.custody), (context.randomness)());
        let (binding, algorithm, wrapped) = (key.binding(self.id), command.algorithm, command.wrapped.to_vec());
        let unwrap = move || {
            let guarding = GuardingKey::new(&key.version.material, &binding).map_err(Refusal::Release)?;
            let (wrapped, enc) = ((algorithm, wrapped.as_slice()), Algorithm::RsaAesKeyWrap256);
            let unwrapped = skerry_keys::secure_unwrap(&*custody, guarding, wrapped, permit, recorded, enc, &mut *rng);
            let unwrapped = unwrapped.map_err(|error| match error {
                ReleaseError::Unwrap(error) => Refusal::Cipher(error),
                error => Refusal::Release(error),
            })?;
            let envelope = wire::unwrapped(&unwrapped);
            let proof = entry.map(|entry| installation.proof(&leaf, entry)).transpose()?;
            Ok(UnwrapAnswer { key, envelope, proof })
        };
        let unwrapped = self.key_work(unwrap).await?;
        self.meter.custody(Custody::Unwrap, &unwrapped);
        if unwrapped.is_ok() {
            self.meter.released();
        }
        unwrapped
    }
}

/// The policy holds for the token's issuer, which is one of its authorities; so this one is too.
fn is_issuer(asked: &str, result: &TrustedResult) -> bool {
    IssuerUrl::parse(asked).is_ok_and(|asked| asked == *result.issuer())
}
