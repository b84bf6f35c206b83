//! The key to which a release is wrapped: the first suitable RSA key of `x-ms-runtime.keys`.
//!
//! Suitable is an RSA key with a `kid` and `use` (or `key_use`) "enc" or `key_ops` containing "encrypt" (a bare string is
//! seen from clients). The keys below `x-ms-isolation-tee.x-ms-runtime` are the paravisor's own and are never looked at.
//! A suitable key that is malformed, weak, or whose modulus does not fill its octets is a refusal, not a reason to try the
//! next; so is a kid that two suitable keys share.

use skerry_jose::json::{Object, Value};
use skerry_jose::{JwkError, PublicKey, RsaPublicKey};

use crate::limits::RUNTIME_KEYS_MAX;
use crate::names;

/// Why a token has no key to release to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TargetKeyError {
    #[error("the token has no x-ms-runtime.keys")]
    NoKeys,
    #[error("x-ms-runtime.keys is not an array of at most {RUNTIME_KEYS_MAX} objects")]
    NotAKeySet,
    #[error("x-ms-runtime.keys has no RSA key with a kid that is for encryption")]
    NoneSuitable,
    #[error("two keys for encryption have the kid {kid:?}")]
    Ambiguous { kid: String },
    #[error("key {kid:?}: {reason}")]
    Unusable { kid: String, reason: JwkError },
}

/// The TEE's public key, as a verified token states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetKey {
    kid: String,
    key: RsaPublicKey,
    thumbprint: String,
}

impl TargetKey {
    /// Picks the key from the claims of a token that was verified.
    pub(crate) fn select(claims: &Object) -> Result<TargetKey, TargetKeyError> {
        let runtime = claims.get(names::RUNTIME).and_then(Value::as_object);
        let keys = runtime.and_then(|runtime| runtime.get("keys")).ok_or(TargetKeyError::NoKeys)?;
        let keys = keys.as_array().filter(|keys| keys.len() <= RUNTIME_KEYS_MAX).ok_or(TargetKeyError::NotAKeySet)?;
        let objects: Option<Vec<&Object>> = keys.iter().map(Value::as_object).collect();
        let objects = objects.ok_or(TargetKeyError::NotAKeySet)?;
        let mut suitable = objects.into_iter().filter_map(|jwk| suitable_kid(jwk).map(|kid| (kid, jwk)));
        let (kid, jwk) = suitable.next().ok_or(TargetKeyError::NoneSuitable)?;
        if suitable.any(|(other, _)| other == kid) {
            return Err(TargetKeyError::Ambiguous { kid: kid.to_owned() });
        }
        Self::read(kid, jwk).map_err(|reason| TargetKeyError::Unusable { kid: kid.to_owned(), reason })
    }

    /// The key's id, as the TEE named it.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The modulus, big-endian without leading zeros.
    pub fn modulus(&self) -> &[u8] {
        self.key.modulus()
    }

    /// The public exponent, big-endian without leading zeros.
    pub fn exponent(&self) -> &[u8] {
        self.key.exponent()
    }

    /// SHA-256 thumbprint of the key (RFC 7638), base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn read(kid: &str, jwk: &Object) -> Result<TargetKey, JwkError> {
        let key = PublicKey::from_jwk(jwk)?;
        let thumbprint = key.thumbprint();
        match key {
            PublicKey::Rsa(key) if key.bits() % 8 == 0 => Ok(TargetKey { kid: kid.to_owned(), key, thumbprint }),
            PublicKey::Rsa(key) => Err(JwkError::ModulusSize { bits: key.bits() }),
            _ => Err(JwkError::InvalidKey),
        }
    }
}

fn suitable_kid(jwk: &Object) -> Option<&str> {
    let member = |name| jwk.get(name).and_then(Value::as_str);
    let kid = member("kid").filter(|kid| !kid.is_empty())?;
    let is_rsa = member("kty") == Some("RSA");
    let by_use = member("use") == Some("enc") || member("key_use") == Some("enc");
    (is_rsa && (by_use || may_encrypt(jwk))).then_some(kid)
}

fn may_encrypt(jwk: &Object) -> bool {
    match jwk.get("key_ops") {
        Some(Value::Array(operations)) => operations.iter().any(|one| one.as_str() == Some("encrypt")),
        Some(Value::String(operation)) => operation == "encrypt",
        _ => false,
    }
}
