//! Mechanisms by what they do, with the parameters that JOSE and Azure mean.

use crate::capabilities::Kwp;
use crate::number;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};

/// A hash, and MGF1 of the same where one is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each is what its name says
pub enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// Every hash.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    fn types(self) -> (MechanismType, PkcsMgfType) {
        match self {
            Self::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        }
    }

    /// Octets of a digest.
    pub fn output_len(self) -> u8 {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn oaep(self) -> Mechanism<'static> {
        let (hash, mgf) = self.types();
        Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()))
    }

    pub(crate) fn pss(self) -> Mechanism<'static> {
        let (hash_alg, mgf) = self.types();
        let s_len = std::ffi::c_ulong::from(self.output_len()).into();
        Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len })
    }

    pub(crate) fn hmac(self) -> Mechanism<'static> {
        match self {
            Self::Sha1 => Mechanism::Sha1Hmac,
            Self::Sha256 => Mechanism::Sha256Hmac,
            Self::Sha384 => Mechanism::Sha384Hmac,
            Self::Sha512 => Mechanism::Sha512Hmac,
        }
    }
}

/// How a key is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// RFC 3394.
    Kw,
    /// RFC 5649.
    Kwp,
    /// RSAES-OAEP.
    Oaep(Hash),
}

impl Wrapping {
    /// None where the token has no key wrap with padding that is RFC 5649's.
    pub(crate) fn mechanism(self, kwp: Option<Kwp>) -> Option<Mechanism<'static>> {
        match self {
            Self::Kw => Some(Mechanism::AesKeyWrap),
            Self::Kwp => kwp.map(of_kwp),
            Self::Oaep(hash) => Some(hash.oaep()),
        }
    }
}

pub(crate) fn of_kwp(kwp: Kwp) -> Mechanism<'static> {
    match kwp {
        Kwp::Standard => Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(number::kwp(), None)),
        Kwp::Pad => Mechanism::AesKeyWrapPad,
    }
}

/// An elliptic curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each is what its name says
pub enum Curve {
    P256,
    P384,
    P521,
    P256K,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::P256K];

    /// DER of its object identifier (RFC 5480, 2.1.1.1; SEC 2, A.2.1): CKA_EC_PARAMS.
    pub(crate) fn params(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
            Self::P256K => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        }
    }

    /// Octets of a coordinate.
    pub fn field_len(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}
