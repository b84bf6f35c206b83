//! The decision to release: a key's terms and a trusted result in, a [`Permit`] or the reason for its denial out.
//!
//! A permit authorises one release of one version of one key, under one policy, to one key of the TEE, on the word of one
//! token. It says nothing of the caller, nor whether the key is enabled or exportable: those are the vault's checks, made
//! before this one. The checks here are ordered from the floor (what no policy may loosen) to the policy.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use skerry_attestation_result::{Provenance, TargetKey, TargetKeyError, TrustedResult, unix_secs};
use uuid::Uuid;

use crate::release::{Explanation, Policy};

/// A version of a key: 16 bytes, 32 lower-case hex digits on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub [u8; 16]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One version of one key of one vault, by ids and never by names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyRef {
    /// The vault's id.
    pub vault: Uuid,
    /// The key's id, which outlives its name.
    pub key: Uuid,
    /// The version.
    pub version: Version,
}

/// What a vault demands whatever a key's policy says. Default: real hardware, no limit on a token's age beyond its own.
#[derive(Debug, Clone, Default)]
pub struct VaultFloor {
    accept_simulated: bool,
    token_age_max_secs: Option<u64>,
    min_iat: u64,
    policy: Option<Arc<Policy>>,
}

impl VaultFloor {
    /// Refuses tokens older than this, in seconds. Of two the smaller counts.
    pub fn token_age_max_secs(mut self, secs: u64) -> VaultFloor {
        self.token_age_max_secs = Some(self.token_age_max_secs.map_or(secs, |known| known.min(secs)));
        self
    }

    /// Refuses tokens issued before this, in seconds since the epoch. Of two the later counts.
    pub fn min_iat(mut self, secs: u64) -> VaultFloor {
        self.min_iat = self.min_iat.max(secs);
        self
    }

    /// Demands that this policy holds beside the key's own, and instead of one that was demanded so before.
    pub fn policy(mut self, policy: Arc<Policy>) -> VaultFloor {
        self.policy = Some(policy);
        self
    }

    /// The oldest token that is taken, in seconds, if that is limited.
    pub fn oldest_token_secs(&self) -> Option<u64> {
        self.token_age_max_secs
    }

    /// Whether results of simulated roots are taken.
    pub fn accepts_simulated(&self) -> bool {
        self.accept_simulated
    }

    /// The loosenings.
    pub fn danger(self) -> danger::Loosen {
        danger::Loosen(self)
    }
}

/// What no production vault has.
pub mod danger {
    use super::VaultFloor;

    /// Loosens a [`VaultFloor`].
    #[derive(Debug)]
    pub struct Loosen(pub(super) VaultFloor);

    impl Loosen {
        /// Accepts results whose evidence came from a simulated root: keys of such a vault protect nothing.
        pub fn accept_simulated(self) -> VaultFloor {
            VaultFloor { accept_simulated: true, ..self.0 }
        }
    }
}

/// What a key's head says of its release. The vault vouches that it is the current head.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Which version is asked for.
    pub key: KeyRef,
    /// The key's release policy.
    pub policy: &'a Policy,
    /// How often the policy has been set.
    pub generation: u64,
    /// Earliest token that is good for this key, in seconds since the epoch.
    pub min_iat: u64,
    /// The vault's floor.
    pub floor: &'a VaultFloor,
}

/// Why a release is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum Denied {
    #[error("the evidence came from a simulated root, which this vault refuses")]
    Simulated,
    #[error("the token was issued at {iat}, before this key's earliest, {min_iat}")]
    TokenRevoked { iat: u64, min_iat: u64 },
    #[error("the token was issued at {iat}, before this vault's earliest, {min_iat}")]
    VaultRevoked { iat: u64, min_iat: u64 },
    #[error("the token is {age_secs} s old, this vault takes at most {max_secs} s")]
    TokenTooOld { age_secs: u64, max_secs: u64 },
    #[error("the claims do not meet the vault's floor")]
    Floor(Box<Explanation>),
    #[error("the claims do not meet the release policy")]
    Policy(Box<Explanation>),
    #[error("no key to release to")]
    Target(#[source] TargetKeyError),
}

/// One permitted release. Made by [`permit`] alone, used once: it is consumed with its record by the release.
#[derive(Debug)]
pub struct Permit {
    key: KeyRef,
    policy: [u8; 32],
    generation: u64,
    token: [u8; 32],
    target: TargetKey,
    digest: [u8; 32],
}

impl Permit {
    /// What may be released.
    pub fn key(&self) -> KeyRef {
        self.key
    }

    /// Digest of the policy that held.
    pub fn policy_digest(&self) -> &[u8; 32] {
        &self.policy
    }

    /// Generation of that policy.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Digest of the token that was believed.
    pub fn token_digest(&self) -> &[u8; 32] {
        &self.token
    }

    /// The only key to which this release may be wrapped.
    pub fn target(&self) -> &TargetKey {
        &self.target
    }

    /// SHA-256 over everything above: what is put on record before the release happens.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Permits the release iff the vault's floor holds, the token is fresh for this key, the policy holds for its claims and
/// it names a key to release to. `result` was verified by the caller for the authority it names; `now` is its clock.
pub fn permit(terms: &Terms<'_>, result: &TrustedResult, now: SystemTime) -> Result<Permit, Denied> {
    check_floor(terms, result, now)?;
    check_policy(terms.policy, result, Denied::Policy)?;
    let target = result.target().map_err(|reason| Denied::Target(reason.clone()))?.clone();
    let policy = terms.policy.digest().0;
    let token = *result.token_digest();
    let digest = permit_digest(&terms.key, &policy, terms.generation, &token, &target);
    Ok(Permit { key: terms.key, policy, generation: terms.generation, token, target, digest })
}

fn check_floor(terms: &Terms<'_>, result: &TrustedResult, now: SystemTime) -> Result<(), Denied> {
    if result.provenance() == Provenance::Simulated && !terms.floor.accept_simulated {
        return Err(Denied::Simulated);
    }
    let iat = result.issued_at();
    if iat < terms.min_iat {
        return Err(Denied::TokenRevoked { iat, min_iat: terms.min_iat });
    }
    if iat < terms.floor.min_iat {
        return Err(Denied::VaultRevoked { iat, min_iat: terms.floor.min_iat });
    }
    let age_secs = unix_secs(now).saturating_sub(iat);
    if let Some(max_secs) = terms.floor.token_age_max_secs.filter(|max_secs| age_secs > *max_secs) {
        return Err(Denied::TokenTooOld { age_secs, max_secs });
    }
    terms.floor.policy.as_ref().map_or(Ok(()), |policy| check_policy(policy, result, Denied::Floor))
}

fn check_policy(policy: &Policy, result: &TrustedResult, denied: fn(Box<Explanation>) -> Denied) -> Result<(), Denied> {
    if policy.holds(result.issuer(), result.claims()) {
        return Ok(());
    }
    Err(denied(Box::new(policy.explain(result.issuer(), result.claims()).explanation)))
}

/// Every field has a fixed length but the last, so no two permits have one encoding.
fn permit_digest(key: &KeyRef, policy: &[u8; 32], generation: u64, token: &[u8; 32], target: &TargetKey) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"skerry permit v1\0");
    context.update(key.vault.as_bytes());
    context.update(key.key.as_bytes());
    context.update(&key.version.0);
    context.update(policy);
    context.update(&generation.to_be_bytes());
    context.update(token);
    context.update(target.thumbprint().as_bytes());
    context.update(b"\0");
    context.update(target.kid().as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}
