//! Types of keys: the closed list of what is made, taken in and released; and their form in storage.
//!
//! ```text
//! type, 2 octets: family, size
//!   1 RSA:       1 2048 bits   2 3072   3 4096
//!   2 EC:        1 P-256       2 P-384  3 P-521   4 P-256K
//!   3 symmetric: 1 128 bits    2 192    3 256
//!   4 ML-DSA:    1 ML-DSA-44   2 -65    3 -87
//!
//! public key
//!   0  1  format, 1
//!   1  2  type; a symmetric key, which has no public half, has size 0
//! RSA
//!   3  n  modulus, big-endian: 256, 384 or 512 octets by its size, first bit and last bit set
//!  +n  e  exponent, big-endian, to the end: 3 to 5 octets, the first not zero
//! EC
//!   3  f  first coordinate, big-endian: 32, 48, 66 or 32 octets by its curve
//!  +f  f  second coordinate
//! ML-DSA
//!   3  p  public key (FIPS 204, 7.2): 1312, 1952 or 2592 octets by its parameter set
//! ```
//!
//! One key has one form: what is read and written again is the same octets.

use skerry_keywrap::limits::{EXPONENT_MAX, EXPONENT_MIN};

/// Bits of an RSA modulus: what Azure offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RsaBits {
    /// 2048 bits.
    B2048,
    /// 3072 bits.
    B3072,
    /// 4096 bits.
    B4096,
}

impl RsaBits {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::B2048, Self::B3072, Self::B4096];

    /// The number.
    pub fn bits(self) -> usize {
        match self {
            Self::B2048 => 2048,
            Self::B3072 => 3072,
            Self::B4096 => 4096,
        }
    }

    /// The size of exactly these bits.
    pub fn from_bits(bits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bits() == bits)
    }
}

/// An elliptic curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// secp256k1, on Azure's wire "P-256K" (RFC 8812: secp256k1).
    P256K,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::P256K];

    /// Octets of a coordinate, and of a private scalar (SEC 1, 2.3.5; RFC 7518, 6.2.1.2).
    pub fn field_len(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// Bits of a symmetric key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OctBits {
    /// 128 bits.
    B128,
    /// 192 bits.
    B192,
    /// 256 bits.
    B256,
}

impl OctBits {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::B128, Self::B192, Self::B256];

    /// The number.
    pub fn bits(self) -> usize {
        match self {
            Self::B128 => 128,
            Self::B192 => 192,
            Self::B256 => 256,
        }
    }

    /// The size of exactly these bits.
    pub fn from_bits(bits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bits() == bits)
    }
}

/// A parameter set of ML-DSA (FIPS 204, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MlDsa {
    /// ML-DSA-44, category 2.
    S44,
    /// ML-DSA-65, category 3.
    S65,
    /// ML-DSA-87, category 5.
    S87,
}

impl MlDsa {
    /// Every parameter set.
    pub const ALL: [Self; 3] = [Self::S44, Self::S65, Self::S87];

    /// The name in a JWK's `alg` (RFC 9964), which is also that of the signature algorithm.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S44 => "ML-DSA-44",
            Self::S65 => "ML-DSA-65",
            Self::S87 => "ML-DSA-87",
        }
    }

    /// The parameter set of exactly this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.as_str() == name)
    }

    /// Octets of a public key (FIPS 204, table 2).
    pub fn public_len(self) -> usize {
        match self {
            Self::S44 => 1312,
            Self::S65 => 1952,
            Self::S87 => 2592,
        }
    }
}

/// What a key is. Whether the wire calls it RSA or RSA-HSM is the vault's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: RsaBits,
    },
    /// An elliptic curve key.
    Ec {
        /// Its curve.
        curve: Curve,
    },
    /// A symmetric key.
    Oct {
        /// Its bits.
        bits: OctBits,
    },
    /// An ML-DSA key; on the wire of the family AKP.
    Akp {
        /// Its parameter set.
        set: MlDsa,
    },
}

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::Rsa { bits: RsaBits::B2048 },
        Self::Rsa { bits: RsaBits::B3072 },
        Self::Rsa { bits: RsaBits::B4096 },
        Self::Ec { curve: Curve::P256 },
        Self::Ec { curve: Curve::P384 },
        Self::Ec { curve: Curve::P521 },
        Self::Ec { curve: Curve::P256K },
        Self::Oct { bits: OctBits::B128 },
        Self::Oct { bits: OctBits::B192 },
        Self::Oct { bits: OctBits::B256 },
        Self::Akp { set: MlDsa::S44 },
        Self::Akp { set: MlDsa::S65 },
        Self::Akp { set: MlDsa::S87 },
    ];

    /// Family and size in two octets, as storage and the associated data of a sealed record have them. Never renumbered.
    pub fn tag(self) -> [u8; 2] {
        match self {
            Self::Rsa { bits } => match bits {
                RsaBits::B2048 => [RSA, 1],
                RsaBits::B3072 => [RSA, 2],
                RsaBits::B4096 => [RSA, 3],
            },
            Self::Ec { curve } => match curve {
                Curve::P256 => [EC, 1],
                Curve::P384 => [EC, 2],
                Curve::P521 => [EC, 3],
                Curve::P256K => [EC, 4],
            },
            Self::Oct { bits } => match bits {
                OctBits::B128 => [OCT, 1],
                OctBits::B192 => [OCT, 2],
                OctBits::B256 => [OCT, 3],
            },
            Self::Akp { set } => match set {
                MlDsa::S44 => [AKP, 1],
                MlDsa::S65 => [AKP, 2],
                MlDsa::S87 => [AKP, 3],
            },
        }
    }

    /// The type with this tag.
    pub fn from_tag(tag: [u8; 2]) -> Option<Self> {
        Self::ALL.into_iter().find(|key_type| key_type.tag() == tag)
    }
}

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// RSA: big-endian, without leading zeros.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Public exponent.
        e: Vec<u8>,
    },
    /// Elliptic curve: big-endian coordinates of [`Curve::field_len`] octets.
    Ec {
        /// The curve.
        curve: Curve,
        /// First coordinate.
        x: Vec<u8>,
        /// Second coordinate.
        y: Vec<u8>,
    },
    /// A symmetric key has no public half.
    Oct,
    /// ML-DSA.
    Akp {
        /// The parameter set.
        set: MlDsa,
        /// The encoded key of [`MlDsa::public_len`] octets.
        key: Vec<u8>,
    },
}

impl PublicKey {
    /// What the key is, iff it is canonical as the variants say; none for a symmetric key, whose size does not show.
    ///
    /// Whether a point is on its curve is not looked at: what makes public keys, and what uses them, does.
    pub fn key_type(&self) -> Result<Option<KeyType>, PublicKeyError> {
        match self {
            Self::Rsa { n, e } => {
                check_exponent(e)?;
                modulus_bits(n).map(|bits| Some(KeyType::Rsa { bits }))
            }
            Self::Ec { curve, x, y } => {
                check_coordinate(*curve, "x", x)?;
                check_coordinate(*curve, "y", y)?;
                Ok(Some(KeyType::Ec { curve: *curve }))
            }
            Self::Oct => Ok(None),
            Self::Akp { set, key } if key.len() == set.public_len() => Ok(Some(KeyType::Akp { set: *set })),
            Self::Akp { key, .. } => Err(PublicKeyError::AkpLength { len: key.len() }),
        }
    }

    /// The octets to store (drawn at the module's head), iff the key is canonical: what is written can be read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PublicKeyError> {
        let tag = self.key_type()?.map_or(SYMMETRIC, KeyType::tag);
        let (first, second): (&[u8], &[u8]) = match self {
            Self::Rsa { n, e } => (n, e),
            Self::Ec { x, y, .. } => (x, y),
            Self::Oct => (&[], &[]),
            Self::Akp { key, .. } => (key, &[]),
        };
        Ok([&[FORMAT], tag.as_slice(), first, second].concat())
    }

    /// The key of these octets, iff [`PublicKey::to_bytes`] gives the same. The store vouches for their origin.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let (&format, rest) = bytes.split_first().ok_or(PublicKeyError::Truncated)?;
        if format != FORMAT {
            return Err(PublicKeyError::UnknownFormat { format });
        }
        let (&tag, rest) = rest.split_first_chunk().ok_or(PublicKeyError::Truncated)?;
        let key = Self::of(tag, rest)?;
        key.key_type()?;
        Ok(key)
    }

    fn of(tag: [u8; 2], rest: &[u8]) -> Result<Self, PublicKeyError> {
        if tag == SYMMETRIC {
            return if rest.is_empty() { Ok(Self::Oct) } else { Err(PublicKeyError::Trailing { len: rest.len() }) };
        }
        match KeyType::from_tag(tag) {
            Some(KeyType::Rsa { bits }) => {
                let (n, e) = split(rest, bits.bits() / 8)?;
                Ok(Self::Rsa { n, e })
            }
            Some(KeyType::Ec { curve }) => {
                let (x, y) = split(rest, curve.field_len())?;
                Ok(Self::Ec { curve, x, y })
            }
            Some(KeyType::Akp { set }) => Ok(Self::Akp { set, key: rest.to_vec() }),
            Some(KeyType::Oct { .. }) | None => Err(PublicKeyError::UnknownType { tag }),
        }
    }
}

/// Why a public key is not canonical, or octets are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The octets end inside the key.
    #[error("public key is cut short")]
    Truncated,
    /// Octets follow where none may.
    #[error("{len} octets follow the public key")]
    Trailing {
        /// How many.
        len: usize,
    },
    /// The octets have a format that this version does not know.
    #[error("unknown format {format} of a public key")]
    UnknownFormat {
        /// The format found.
        format: u8,
    },
    /// The octets have a type that is not on the list, or has no public half.
    #[error("no public key has type {tag:?}")]
    UnknownType {
        /// The type found.
        tag: [u8; 2],
    },
    /// The modulus has none of the sizes offered, or does not fill its octets.
    #[error("rsa modulus of {len} octets has no size that is offered")]
    RsaSize {
        /// Its octets.
        len: usize,
    },
    /// The modulus is even.
    #[error("rsa modulus is even")]
    RsaEven,
    /// The exponent begins with a zero octet, is even, below 65537, or has more than 33 bits.
    #[error("rsa exponent of {len} octets is not acceptable")]
    RsaExponent {
        /// Its octets.
        len: usize,
    },
    /// A coordinate has not the length of the curve's field.
    #[error("ec coordinate {component} has {len} octets")]
    EcLength {
        /// Its JWK name.
        component: &'static str,
        /// Its octets.
        len: usize,
    },
    /// An ML-DSA key has not the length of its parameter set's.
    #[error("ml-dsa public key has {len} octets")]
    AkpLength {
        /// Its octets.
        len: usize,
    },
}

fn modulus_bits(n: &[u8]) -> Result<RsaBits, PublicKeyError> {
    let full = n.first().is_some_and(|first| *first >= 0x80);
    let bits = RsaBits::from_bits(n.len().saturating_mul(8)).filter(|_| full);
    let bits = bits.ok_or(PublicKeyError::RsaSize { len: n.len() })?;
    if n.last().is_none_or(|last| last & 1 == 0) {
        return Err(PublicKeyError::RsaEven);
    }
    Ok(bits)
}

/// As an import checks it: SP 800-56B rev. 2, 6.2, and as far as the library goes.
fn check_exponent(e: &[u8]) -> Result<(), PublicKeyError> {
    let value = if e.len() > 8 { 0 } else { e.iter().fold(0, |sum, octet| (sum << 8) | u64::from(*octet)) };
    let acceptable = e.first() != Some(&0) && value & 1 == 1 && (EXPONENT_MIN..=EXPONENT_MAX).contains(&value);
    if acceptable { Ok(()) } else { Err(PublicKeyError::RsaExponent { len: e.len() }) }
}

fn check_coordinate(curve: Curve, component: &'static str, octets: &[u8]) -> Result<(), PublicKeyError> {
    if octets.len() != curve.field_len() {
        return Err(PublicKeyError::EcLength { component, len: octets.len() });
    }
    Ok(())
}

fn split(octets: &[u8], at: usize) -> Result<(Vec<u8>, Vec<u8>), PublicKeyError> {
    let (first, second) = octets.split_at_checked(at).ok_or(PublicKeyError::Truncated)?;
    Ok((first.to_vec(), second.to_vec()))
}

const FORMAT: u8 = 1;
const RSA: u8 = 1;
const EC: u8 = 2;
const OCT: u8 = 3;
const AKP: u8 = 4;
/// In place of a type: a symmetric key's public half, which is nothing.
const SYMMETRIC: [u8; 2] = [OCT, 0];
