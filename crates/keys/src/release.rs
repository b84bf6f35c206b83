//! The only exit of key material, and of keys that were wrapped for TEEs alone.
//!
//! [`release`] takes the permit and its record by value and opens the material between two lines of its own. Nothing
//! else in this crate gives material out, in any form. [`secure_unwrap`] does the same for a key that is wrapped under one that
//! stays; a permit for one of the two is of no use to the other, since it is recorded as what it is for.

use crate::cipher::{CipherError, SECURE_KEY_LEN, WrapAlgorithm, check_secure};
use crate::custody::{Binding, CustodyError, SealedMaterial};
use crate::keeper::Keeper;
use crate::key_type::{KeyType, OctBits};
use crate::opened::OpenError;
use rand_core::CryptoRng;
use skerry_audit::{Event, Leaf, Recorded};
use skerry_keywrap::{Algorithm, Plaintext, TargetKey, TargetKeyError, WrapError, wrap};
use skerry_pkcs11::Fault;
use skerry_policy::permit::{KeyRef, Permit};
use subtle::ConstantTimeEq;

/// A sealed key that may leave at all.
pub struct ExportableKey<'a> {
    sealed: &'a SealedMaterial,
    binding: &'a Binding,
}

impl<'a> ExportableKey<'a> {
    /// The key, iff its binding says exportable. A binding that says so falsely does not open.
    pub fn new(sealed: &'a SealedMaterial, binding: &'a Binding) -> Result<Self, ReleaseError> {
        if !binding.exportable {
            return Err(ReleaseError::NotExportable { key: binding.key });
        }
        Ok(Self { sealed, binding })
    }
}

/// A sealed key under which keys are wrapped that only TEEs may see. It stays.
pub struct GuardingKey<'a> {
    sealed: &'a SealedMaterial,
    binding: &'a Binding,
}

impl<'a> GuardingKey<'a> {
    /// The key, iff its binding says not exportable. The caller vouches that it is used for nothing else.
    pub fn new(sealed: &'a SealedMaterial, binding: &'a Binding) -> Result<Self, ReleaseError> {
        if binding.exportable {
            return Err(ReleaseError::Exportable { key: binding.key });
        }
        Ok(Self { sealed, binding })
    }
}

/// A key on its way to a TEE: ciphertext, and what it was released on. Made by [`release`] alone.
#[derive(Debug)]
pub struct ReleasedKey {
    ciphertext: Vec<u8>,
    algorithm: Algorithm,
    key_type: KeyType,
    permit: Permit,
    leaf: Leaf,
}

impl ReleasedKey {
    /// OAEP(target, K) || KWP(K, material): raw octets of a symmetric key, PKCS#8 of all others.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// How it is wrapped.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What the key is.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Where the release stands in the audit log.
    pub fn leaf(&self) -> Leaf {
        self.leaf
    }

    /// Digest of the permit that was spent.
    pub fn permit_digest(&self) -> &[u8; 32] {
        self.permit.digest()
    }

    /// The TEE's name for the key that opens the ciphertext.
    pub fn target_kid(&self) -> &str {
        self.permit.target().kid()
    }

    /// The spent permit, for the receipt. A reference authorises nothing.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }
}

/// Releases a key: wraps its material to the permit's target, iff the release of this permit is on record and the
/// permit is for this key.
///
/// The permit vouches for policy, token and target, the record for the audit log, the caller for the binding being the
/// current one. All checks and the target's own come before the material is opened; it is wiped before this returns.
pub fn release<'c>(
    custody: impl Into<Keeper<'c>>,
    key: ExportableKey<'_>,
    permit: Permit,
    recorded: Recorded,
    algorithm: Algorithm,
    rng: &mut dyn CryptoRng,
) -> Result<ReleasedKey, ReleaseError> {
    check_record(&permit, &recorded, Event::Release)?;
    check_key(&permit, key.binding)?;
    let target = target(&permit)?;
    let ciphertext = match custody.into() {
        Keeper::Software(custody) => {
            let material = custody.open(key.sealed, key.binding).map_err(ReleaseError::Custody)?;
            wrap(algorithm, &target, &material.into_plaintext(), rng).map_err(ReleaseError::Wrap)?
        }
        Keeper::Strict(custody) => custody.wrap_to((key.sealed, key.binding), &target, algorithm)?,
    };
    Ok(ReleasedKey { ciphertext, algorithm, key_type: key.binding.key_type, leaf: recorded.leaf(), permit })
}

/// Unwraps a key of 256 bits that is wrapped under `key`, and wraps it to the permit's target, iff the unwrapping of this permit
/// is on record and the permit is for `key`.
///
/// The permit vouches for policy, token and target, the record for the audit log, the caller for the binding being the
/// current one. All checks and the target's own come before the key is opened; whatever is wrong with what is wrapped is
/// [`CipherError::Refused`], but for its length. Under RSA anybody wraps, so what comes out is not authentic.
pub fn secure_unwrap<'c>(
    custody: impl Into<Keeper<'c>>,
    key: GuardingKey<'_>,
    wrapped: (WrapAlgorithm, &[u8]),
    permit: Permit,
    recorded: Recorded,
    algorithm: Algorithm,
    rng: &mut dyn CryptoRng,
) -> Result<ReleasedKey, ReleaseError> {
    check_record(&permit, &recorded, Event::SecureUnwrap)?;
    check_key(&permit, key.binding)?;
    check_secure(wrapped.0, Some(key.binding.key_type)).map_err(ReleaseError::Unwrap)?;
    let target = target(&permit)?;
    let ciphertext = match custody.into() {
        Keeper::Software(custody) => {
            let opened = custody.open_for_use(key.sealed, key.binding).map_err(ReleaseError::Open)?;
            let plain = opened.unwrap(wrapped.0, wrapped.1).map_err(ReleaseError::Unwrap)?;
            if plain.len() != SECURE_KEY_LEN {
                return Err(ReleaseError::Unwrap(CipherError::Refused));
            }
            wrap(algorithm, &target, &Plaintext::new(plain), rng).map_err(ReleaseError::Wrap)?
        }
        Keeper::Strict(custody) => custody.unwrap_to((key.sealed, key.binding), wrapped, &target, algorithm)?,
    };
    let key_type = KeyType::Oct { bits: OctBits::B256 };
    Ok(ReleasedKey { ciphertext, algorithm, key_type, leaf: recorded.leaf(), permit })
}

/// The record of a denial carries a digest too: only that of what is about to happen will do.
fn check_record(permit: &Permit, recorded: &Recorded, expected: Event) -> Result<(), ReleaseError> {
    if recorded.event() != expected {
        return Err(ReleaseError::RecordedOtherwise { event: recorded.event() });
    }
    if !bool::from(permit.digest().ct_eq(recorded.subject())) {
        return Err(ReleaseError::NotRecorded);
    }
    Ok(())
}

fn check_key(permit: &Permit, binding: &Binding) -> Result<(), ReleaseError> {
    if permit.key() != binding.key {
        return Err(ReleaseError::OtherKey { permitted: permit.key(), asked: binding.key });
    }
    Ok(())
}

fn target(permit: &Permit) -> Result<TargetKey, ReleaseError> {
    let target = permit.target();
    TargetKey::from_components(target.modulus(), target.exponent()).map_err(ReleaseError::Target)
}

/// Why nothing was released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The key is not exportable.
    #[error("key is not exportable")]
    NotExportable {
        /// The key.
        key: KeyRef,
    },
    /// The key may leave, so it guards nothing.
    #[error("key is exportable")]
    Exportable {
        /// The key.
        key: KeyRef,
    },
    /// The wrapped key does not open, or is not of 256 bits.
    #[error("wrapped key does not open")]
    Unwrap(#[source] CipherError),
    /// The key was not opened.
    #[error("key was not opened")]
    Open(#[source] OpenError),
    /// What is on record is something else.
    #[error("record is of {event:?}, which is not this")]
    RecordedOtherwise {
        /// What is on record.
        event: Event,
    },
    /// What is on record is another permit.
    #[error("permit is not the one on record")]
    NotRecorded,
    /// The permit is for another key.
    #[error("permit is for another key")]
    OtherKey {
        /// The permit's key.
        permitted: KeyRef,
        /// The key that was to be released.
        asked: KeyRef,
    },
    /// The TEE's key is no target.
    #[error("target key is not acceptable")]
    Target(#[source] TargetKeyError),
    /// The material does not open.
    #[error("material does not open")]
    Custody(#[source] CustodyError),
    /// The material could not be wrapped.
    #[error("material could not be wrapped")]
    Wrap(#[source] WrapError),
    /// The token does not do it.
    #[error(transparent)]
    Token(Fault),
    /// No token is asked to wrap so.
    #[error("no token wraps so")]
    UnknownWrap,
}
