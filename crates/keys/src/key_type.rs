//! Types of keys: the closed list of what is made, taken in and released.

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
}

impl KeyType {
    /// Family and size in two octets, as the associated data of a sealed record has them. Never renumbered.
    pub(crate) fn tag(self) -> [u8; 2] {
        match self {
            Self::Rsa { bits } => match bits {
                RsaBits::B2048 => [1, 1],
                RsaBits::B3072 => [1, 2],
                RsaBits::B4096 => [1, 3],
            },
            Self::Ec { curve } => match curve {
                Curve::P256 => [2, 1],
                Curve::P384 => [2, 2],
                Curve::P521 => [2, 3],
                Curve::P256K => [2, 4],
            },
            Self::Oct { bits } => match bits {
                OctBits::B128 => [3, 1],
                OctBits::B192 => [3, 2],
                OctBits::B256 => [3, 3],
            },
        }
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
}
