//! The closed list of signature algorithms (RFC 7518, 3.1) and what each means to the cryptographic library.

use aws_lc_rs::signature::{self, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm};

/// A JWS signature algorithm. There is no `none` and no HMAC: a text that is neither of these names is not an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 9] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
    ];

    /// The algorithm of this name, exact in case (RFC 7515, 4.1.1).
    pub fn parse(name: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
        }
    }

    pub(crate) fn family(self) -> Family {
        use signature as s;
        match self {
            Algorithm::Rs256 => Family::Rsa(&s::RSA_PKCS1_2048_8192_SHA256, &s::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => Family::Rsa(&s::RSA_PKCS1_2048_8192_SHA384, &s::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => Family::Rsa(&s::RSA_PKCS1_2048_8192_SHA512, &s::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => Family::Rsa(&s::RSA_PSS_2048_8192_SHA256, &s::RSA_PSS_SHA256),
            Algorithm::Ps384 => Family::Rsa(&s::RSA_PSS_2048_8192_SHA384, &s::RSA_PSS_SHA384),
            Algorithm::Ps512 => Family::Rsa(&s::RSA_PSS_2048_8192_SHA512, &s::RSA_PSS_SHA512),
            Algorithm::Es256 => {
                Family::Ec(&s::ECDSA_P256_SHA256_FIXED, &s::ECDSA_P256_SHA256_FIXED_SIGNING, Curve::P256)
            }
            Algorithm::Es384 => {
                Family::Ec(&s::ECDSA_P384_SHA384_FIXED, &s::ECDSA_P384_SHA384_FIXED_SIGNING, Curve::P384)
            }
            Algorithm::Es512 => {
                Family::Ec(&s::ECDSA_P521_SHA512_FIXED, &s::ECDSA_P521_SHA512_FIXED_SIGNING, Curve::P521)
            }
        }
    }
}

/// What an algorithm needs of a key.
pub(crate) enum Family {
    Rsa(&'static signature::RsaParameters, &'static dyn signature::RsaEncoding),
    Ec(&'static EcdsaVerificationAlgorithm, &'static EcdsaSigningAlgorithm, Curve),
}

/// A NIST curve of RFC 7518, 6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    pub(crate) fn parse(name: &str) -> Option<Curve> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Curve::P256 => "P-256",
            Curve::P384 => "P-384",
            Curve::P521 => "P-521",
        }
    }

    /// Bytes of one coordinate.
    pub(crate) fn coordinate_len(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }
}
