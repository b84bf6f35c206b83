//! The RSA public key of a TEE.

use crate::limits::{EXPONENT_MAX, EXPONENT_MIN, MODULUS_BITS_MAX, MODULUS_BITS_MIN};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use core::fmt;

/// The RSA public key that key data is wrapped to.
///
/// Well-formed iff made: it says nothing about who holds the private half. That, the caller has from an
/// attestation result.
pub struct TargetKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    key: OaepPublicEncryptingKey,
}

impl TargetKey {
    /// A key of big-endian modulus `n` and exponent `e`, both without leading zeros (RFC 7518, 6.3.1).
    ///
    /// Accepted iff the modulus is odd, of 2048 to 4096 bits and fills its octets, and the exponent is odd
    /// with 65537 <= e < 2^33.
    pub fn from_components(n: &[u8], e: &[u8]) -> Result<Self, TargetKeyError> {
        check_modulus(n)?;
        check_exponent(e)?;
        let key: PublicEncryptingKey = PublicKeyComponents { n, e }.try_into().map_err(|_| TargetKeyError::Refused)?;
        Ok(Self {
            modulus: n.to_vec(),
            exponent: e.to_vec(),
            key: OaepPublicEncryptingKey::new(key).map_err(|_| TargetKeyError::Refused)?,
        })
    }

    /// The modulus, big-endian, no leading zeros.
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The public exponent, big-endian, no leading zeros.
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    pub(crate) fn oaep(&self) -> &OaepPublicEncryptingKey {
        &self.key
    }
}

impl fmt::Debug for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetKey").field("bits", &bits(&self.modulus)).finish_non_exhaustive()
    }
}

fn check_modulus(n: &[u8]) -> Result<(), TargetKeyError> {
    if n.first() == Some(&0) {
        return Err(TargetKeyError::ModulusLeadingZero);
    }
    let bits = bits(n);
    if !(MODULUS_BITS_MIN..=MODULUS_BITS_MAX).contains(&bits) {
        return Err(TargetKeyError::ModulusSize { bits });
    }
    if !bits.is_multiple_of(8) {
        return Err(TargetKeyError::ModulusTopBit { bits });
    }
    if !is_odd(n) {
        return Err(TargetKeyError::ModulusEven);
    }
    Ok(())
}

fn check_exponent(e: &[u8]) -> Result<(), TargetKeyError> {
    if e.first() == Some(&0) {
        return Err(TargetKeyError::ExponentLeadingZero);
    }
    let exponent = integer(e).ok_or(TargetKeyError::ExponentTooLarge)?;
    if exponent < EXPONENT_MIN {
        return Err(TargetKeyError::ExponentTooSmall { exponent });
    }
    if exponent > EXPONENT_MAX {
        return Err(TargetKeyError::ExponentTooLarge);
    }
    if !is_odd(e) {
        return Err(TargetKeyError::ExponentEven { exponent });
    }
    Ok(())
}

/// Bits of a big-endian number without leading zero octets; none for no octets.
fn bits(octets: &[u8]) -> usize {
    let blank = octets.first().map_or(0, |first| first.leading_zeros());
    let blank = usize::try_from(blank).unwrap_or_default();
    octets.len().saturating_mul(8).saturating_sub(blank)
}

fn is_odd(octets: &[u8]) -> bool {
    octets.last().is_some_and(|last| last & 1 == 1)
}

/// The big-endian number, if it fits in eight octets.
fn integer(octets: &[u8]) -> Option<u64> {
    if octets.len() > 8 {
        return None;
    }
    Some(octets.iter().fold(0, |sum, octet| (sum << 8) | u64::from(*octet)))
}

/// Why a public key is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetKeyError {
    /// The modulus begins with a zero octet, so its length does not tell its size.
    #[error("modulus has a leading zero octet")]
    ModulusLeadingZero,
    /// The modulus is smaller or larger than [`crate::limits`] allow.
    #[error("modulus of {bits} bits is out of range")]
    ModulusSize {
        /// Exact bits of the modulus.
        bits: usize,
    },
    /// The modulus does not fill its octets.
    #[error("modulus of {bits} bits does not fill its octets")]
    ModulusTopBit {
        /// Exact bits of the modulus.
        bits: usize,
    },
    /// The modulus is even.
    #[error("modulus is even")]
    ModulusEven,
    /// The exponent begins with a zero octet.
    #[error("exponent has a leading zero octet")]
    ExponentLeadingZero,
    /// The exponent is below 65537, or empty.
    #[error("exponent {exponent} is too small")]
    ExponentTooSmall {
        /// The exponent.
        exponent: u64,
    },
    /// The exponent has more than 33 bits.
    #[error("exponent is too large")]
    ExponentTooLarge,
    /// The exponent is even.
    #[error("exponent {exponent} is even")]
    ExponentEven {
        /// The exponent.
        exponent: u64,
    },
    /// The cryptographic library refuses the key for a reason of its own.
    #[error("key refused by the cryptographic library")]
    Refused,
}
