//! Keys brought in as JWK components (RFC 7518, 6), and every reason to refuse them.

use crate::custody::CustodyError;
use crate::key_type::{Curve, KeyType, MlDsa};
use crate::transfer::TransferredKey;
use skerry_keywrap::TargetKeyError;
use zeroize::Zeroizing;

/// A key to bring in: the decoded components of its JWK, or what was unwrapped. No Debug; private parts are wiped when dropped.
pub enum ImportKey {
    /// RSA with all components of RFC 7518, 6.3.2, two primes.
    Rsa(Box<RsaComponents>),
    /// Elliptic curve; every component has [`Curve::field_len`] octets.
    Ec {
        /// The curve.
        curve: Curve,
        /// Private scalar.
        d: Zeroizing<Vec<u8>>,
        /// First coordinate.
        x: Vec<u8>,
        /// Second coordinate.
        y: Vec<u8>,
    },
    /// Symmetric.
    Oct {
        /// The octets.
        k: Zeroizing<Vec<u8>>,
    },
    /// ML-DSA (RFC 9964).
    Akp {
        /// The parameter set.
        set: MlDsa,
        /// The seed of 32 octets that both halves come from: the JWK's `priv`.
        seed: Zeroizing<Vec<u8>>,
        /// The public half: the JWK's `pub`.
        public: Vec<u8>,
    },
    /// One that came wrapped and was unwrapped here.
    Transferred(Box<TransferredKey>),
}

/// Components of an RSA key, big-endian. `n` and `e` have no leading zeros; the others may, up to the length of `n`.
pub struct RsaComponents {
    /// Modulus.
    pub n: Vec<u8>,
    /// Public exponent.
    pub e: Vec<u8>,
    /// Private exponent.
    pub d: Zeroizing<Vec<u8>>,
    /// First prime.
    pub p: Zeroizing<Vec<u8>>,
    /// Second prime.
    pub q: Zeroizing<Vec<u8>>,
    /// d mod (p - 1).
    pub dp: Zeroizing<Vec<u8>>,
    /// d mod (q - 1).
    pub dq: Zeroizing<Vec<u8>>,
    /// q^-1 mod p.
    pub qi: Zeroizing<Vec<u8>>,
}

impl RsaComponents {
    pub(crate) fn check_lengths(&self) -> Result<(), ImportError> {
        let private =
            [("d", &self.d), ("p", &self.p), ("q", &self.q), ("dp", &self.dp), ("dq", &self.dq), ("qi", &self.qi)];
        for (component, octets) in private {
            if octets.is_empty() || octets.len() > self.n.len() {
                return Err(ImportError::RsaLength { component, len: octets.len() });
            }
        }
        Ok(())
    }
}

/// Why a key is not brought in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The RSA public half is not acceptable.
    #[error("rsa public half is not acceptable")]
    RsaPublic(#[source] TargetKeyError),
    /// The modulus is none of the sizes offered.
    #[error("rsa key of {bits} bits is not offered")]
    RsaSize {
        /// Bits of the modulus.
        bits: usize,
    },
    /// A private RSA component is empty or longer than the modulus.
    #[error("rsa component {component} has {len} octets")]
    RsaLength {
        /// Its JWK name.
        component: &'static str,
        /// Its octets.
        len: usize,
    },
    /// The RSA components do not belong together.
    #[error("rsa components are inconsistent")]
    RsaInconsistent,
    /// An EC component has not the length of the curve's field.
    #[error("ec component {component} has {len} octets")]
    EcLength {
        /// Its JWK name.
        component: &'static str,
        /// Its octets.
        len: usize,
    },
    /// The public point is not on the curve.
    #[error("ec point is not on the curve")]
    EcPoint,
    /// The private scalar is zero, or not below the order of the group.
    #[error("ec scalar is out of range")]
    EcScalar,
    /// The point is not the public half of the scalar.
    #[error("ec halves are no pair")]
    EcPair,
    /// The symmetric key is none of the sizes offered.
    #[error("symmetric key of {len} octets is not offered")]
    OctSize {
        /// Its octets.
        len: usize,
    },
    /// An ML-DSA component has not its length.
    #[error("ml-dsa component {component} has {len} octets")]
    AkpLength {
        /// Its JWK name.
        component: &'static str,
        /// Its octets.
        len: usize,
    },
    /// The public half is not that of the seed.
    #[error("ml-dsa halves are no pair")]
    AkpPair,
    /// The key is not of the type that it is to be stored as.
    #[error("key is {found:?} instead of {expected:?}")]
    OtherType {
        /// The type in the binding.
        expected: KeyType,
        /// The type of the key.
        found: KeyType,
    },
    /// The cryptographic library failed on a consistent key.
    #[error("cryptographic library failed")]
    Library,
    /// The key could not be sealed.
    #[error("key could not be sealed")]
    Custody(#[source] CustodyError),
}
