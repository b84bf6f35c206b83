//! Unwrapping: what code in a TEE does.

use crate::limits::{KWP_LEN_MAX, KWP_LEN_MIN};
use crate::{Algorithm, Plaintext, TargetKey, TargetKeyError};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesBlockCipher, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{KeyPair, KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::KeyPair as _;
use der::asn1::{AnyRef, UintRef};
use der::{Decode, Sequence};
use zeroize::Zeroizing;

/// The RSA private key of a TEE: opens what was wrapped to its [`TargetKey`].
///
/// The cryptographic library keeps the private half and wipes it when dropped. It can be neither printed
/// nor exported.
pub struct UnwrapKey {
    private: OaepPrivateDecryptingKey,
    target: TargetKey,
}

impl UnwrapKey {
    /// A fresh key of 2048, 3072 or 4096 bits with exponent 65537, from the cryptographic library's own
    /// generator: it takes no other.
    pub fn generate(bits: usize) -> Result<Self, UnwrapKeyError> {
        let private = PrivateDecryptingKey::generate(size(bits)?).map_err(|_| UnwrapKeyError::Library)?;
        let pkcs8: Pkcs8V1Der<'_> = private.as_der().map_err(|_| UnwrapKeyError::Library)?;
        Self::new(private, pkcs8.as_ref())
    }

    /// The key of a PKCS#8 v1 document (RFC 5208), under the same bounds as a [`TargetKey`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, UnwrapKeyError> {
        // aws-lc overlooks octets behind the document; `der` does not.
        AnyRef::from_der(pkcs8).map_err(|_| UnwrapKeyError::Pkcs8)?;
        let private = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| UnwrapKeyError::Pkcs8)?;
        Self::new(private, pkcs8)
    }

    /// The public half, to put in front of an attestation service.
    pub fn target(&self) -> &TargetKey {
        &self.target
    }

    /// Modulus and exponent, big-endian, no leading zeros.
    pub fn public_components(&self) -> (&[u8], &[u8]) {
        (self.target.modulus(), self.target.exponent())
    }

    fn new(private: PrivateDecryptingKey, pkcs8: &[u8]) -> Result<Self, UnwrapKeyError> {
        Ok(Self {
            target: public_half(pkcs8)?,
            private: OaepPrivateDecryptingKey::new(private).map_err(|_| UnwrapKeyError::Library)?,
        })
    }
}

/// Opens a wrapped blob: OAEP(target, K) || KWP(K, key data), with a K of 16 or 32 octets.
///
/// Every failure that depends on a secret is [`UnwrapError::Refused`], so an answer tells no sender which
/// part failed. Authentic it is not: anybody can wrap to a public key, so the caller must have checked
/// the signature around the blob.
pub fn unwrap(algorithm: Algorithm, key: &UnwrapKey, wrapped: &[u8]) -> Result<Plaintext, UnwrapError> {
    let (oaep, kwp) = split(wrapped, key.target.modulus().len())?;
    let mut buffer = Zeroizing::new(vec![0; key.private.min_output_size()]);
    let k = key.private.decrypt(algorithm.oaep(), oaep, &mut buffer, None).map_err(|_| UnwrapError::Refused)?;
    unwrap_padded(k, kwp)
}

fn split(wrapped: &[u8], oaep_len: usize) -> Result<(&[u8], &[u8]), UnwrapError> {
    let malformed = UnwrapError::Malformed { len: wrapped.len() };
    let (oaep, kwp) = wrapped.split_at_checked(oaep_len).ok_or(malformed)?;
    let fits = (KWP_LEN_MIN..=KWP_LEN_MAX).contains(&kwp.len()) && kwp.len().is_multiple_of(8);
    if !fits {
        return Err(malformed);
    }
    Ok((oaep, kwp))
}

fn unwrap_padded(k: &[u8], kwp: &[u8]) -> Result<Plaintext, UnwrapError> {
    let kek = AesKek::new(cipher(k.len())?, k).map_err(|_| UnwrapError::Refused)?;
    let mut data = Zeroizing::new(vec![0; kwp.len()]);
    let len = kek.unwrap_with_padding(kwp, &mut data).map_err(|_| UnwrapError::Refused)?.len();
    data.truncate(len);
    Ok(Plaintext::new(data))
}

/// aws-lc has no AES-192 key wrap, so a K of 24 octets is refused like any other wrong K.
fn cipher(k_len: usize) -> Result<&'static AesBlockCipher, UnwrapError> {
    match k_len {
        16 => Ok(&AES_128),
        32 => Ok(&AES_256),
        _ => Err(UnwrapError::Refused),
    }
}

fn size(bits: usize) -> Result<KeySize, UnwrapKeyError> {
    match bits {
        2048 => Ok(KeySize::Rsa2048),
        3072 => Ok(KeySize::Rsa3072),
        4096 => Ok(KeySize::Rsa4096),
        _ => Err(UnwrapKeyError::Size { bits }),
    }
}

fn public_half(pkcs8: &[u8]) -> Result<TargetKey, UnwrapKeyError> {
    let pair = KeyPair::from_pkcs8(pkcs8).map_err(|_| UnwrapKeyError::Pkcs8)?;
    let public = RsaPublicKey::from_der(pair.public_key().as_ref()).map_err(|_| UnwrapKeyError::Library)?;
    TargetKey::from_components(public.n.as_bytes(), public.e.as_bytes()).map_err(UnwrapKeyError::Public)
}

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    n: UintRef<'a>,
    e: UintRef<'a>,
}

/// Why there is no key to unwrap with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapKeyError {
    /// No key of this size is generated.
    #[error("no key of {bits} bits is generated")]
    Size {
        /// The bits asked for.
        bits: usize,
    },
    /// Not PKCS#8 of a consistent RSA key.
    #[error("not a consistent rsa private key in pkcs#8")]
    Pkcs8,
    /// The public half is no target key.
    #[error("public half is no target key")]
    Public(#[source] TargetKeyError),
    /// The cryptographic library failed.
    #[error("cryptographic library failed")]
    Library,
}

/// Why nothing was unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The length alone shows that this was not wrapped to this key.
    #[error("{len} octets are no wrapped key")]
    Malformed {
        /// Octets of the blob.
        len: usize,
    },
    /// It does not open. One word for every cause: wrong key, wrong algorithm, wrong K, altered.
    #[error("wrapped key does not open")]
    Refused,
}
