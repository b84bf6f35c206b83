//! Key material in the clear. It exists only while it is made, sealed or wrapped, and has no name outside this crate.
//!
//! RSA and EC material is PKCS#8 v1 DER (RFC 5208), with the public key inside that of EC (RFC 5915); symmetric
//! material is the raw octets; ML-DSA material is PKCS#8 of its seed (RFC 9881, 6). RSA and EC pairs come from the
//! cryptographic library's own generator: it takes no other.

use crate::import::{ImportError, ImportKey, RsaComponents};
use crate::key_type::{Curve, KeyType, MlDsa, OctBits, PublicKey, RsaBits};
use crate::transfer::Family;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED,
    ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, KeyPair, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87,
    ML_DSA_87_SIGNING, ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use der::asn1::{AnyRef, UintRef};
use der::{Decode, Sequence};
use rand_core::CryptoRng;
use skerry_keywrap::{Plaintext, TargetKey};
use zeroize::Zeroizing;

/// Material of one key version. Wiped when dropped; no Debug, no Clone, no Serialize.
pub(crate) struct Material(Zeroizing<Vec<u8>>);

impl Material {
    /// Material that custody opened: authentic, hence well-formed.
    pub(crate) fn opened(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The same once more, wiped on its own.
    fn copy(&self) -> Self {
        Self(Zeroizing::new(self.0.to_vec()))
    }

    /// The material as what a key wrap takes.
    pub(crate) fn into_plaintext(self) -> Plaintext {
        Plaintext::new(self.0)
    }
}

/// A fresh key.
pub(crate) fn generate(key_type: KeyType, rng: &mut dyn CryptoRng) -> Result<(PublicKey, Material), Unspecified> {
    match key_type {
        KeyType::Rsa { bits } => generate_rsa(bits),
        KeyType::Ec { curve } => ec_parts(curve, &EcdsaKeyPair::generate(signing(curve))?),
        KeyType::Oct { bits } => Ok(oct(bits, rng)),
        KeyType::Akp { set } => {
            let mut seed = Zeroizing::new([0; SEED_LEN]);
            rng.fill_bytes(seed.as_mut_slice());
            let pair = PqdsaKeyPair::from_seed(ml_dsa_signing(set), seed.as_slice()).map_err(|_| Unspecified)?;
            akp_parts(set, &pair)
        }
    }
}

/// A fresh RSA key.
pub(crate) fn generate_rsa(bits: RsaBits) -> Result<(PublicKey, Material), Unspecified> {
    rsa_parts(&RsaKeyPair::generate(key_size(bits))?)
}

/// A key brought in, iff its parts are consistent; with the type that they show.
pub(crate) fn import(key: &ImportKey) -> Result<(KeyType, PublicKey, Material), ImportError> {
    match key {
        ImportKey::Rsa(components) => import_rsa(components),
        ImportKey::Ec { curve, d, x, y } => import_ec(*curve, d, x, y),
        ImportKey::Oct { k } => import_oct(k),
        ImportKey::Akp { set, seed, public } => import_akp(*set, seed, public),
        ImportKey::Transferred(key) => Ok((key.key_type, key.public.clone(), key.material.copy())),
    }
}

/// A key that was unwrapped, iff it is one of this family that is offered.
pub(crate) fn transferred(family: Family, octets: &[u8]) -> Result<(KeyType, PublicKey, Material), Unspecified> {
    if family == Family::Oct {
        return import_oct(octets).map_err(|_| Unspecified);
    }
    // aws-lc overlooks octets behind the document; `der` does not.
    AnyRef::from_der(octets).map_err(|_| Unspecified)?;
    let (public, material) = match family {
        Family::Rsa => rsa_parts(&RsaKeyPair::from_pkcs8(octets).map_err(|_| Unspecified)?)?,
        _ => {
            let pair = |curve| EcdsaKeyPair::from_pkcs8(signing(curve), octets).ok().map(|pair| (curve, pair));
            let (curve, pair) = Curve::ALL.into_iter().find_map(pair).ok_or(Unspecified)?;
            ec_parts(curve, &pair)?
        }
    };
    // The bounds that an import in the clear has: size, exponent.
    let key_type = public.key_type().map_err(|_| Unspecified)?.ok_or(Unspecified)?;
    Ok((key_type, public, material))
}

fn oct(bits: OctBits, rng: &mut dyn CryptoRng) -> (PublicKey, Material) {
    let mut octets = Zeroizing::new(vec![0; bits.bits() / 8]);
    rng.fill_bytes(&mut octets);
    (PublicKey::Oct, Material(octets))
}

fn import_oct(k: &[u8]) -> Result<(KeyType, PublicKey, Material), ImportError> {
    let bits = OctBits::from_bits(k.len().saturating_mul(8)).ok_or(ImportError::OctSize { len: k.len() })?;
    let material = Material(Zeroizing::new(k.to_vec()));
    Ok((KeyType::Oct { bits }, PublicKey::Oct, material))
}

fn import_rsa(components: &RsaComponents) -> Result<(KeyType, PublicKey, Material), ImportError> {
    TargetKey::from_components(&components.n, &components.e).map_err(ImportError::RsaPublic)?;
    let bits = components.n.len().saturating_mul(8);
    let bits = RsaBits::from_bits(bits).ok_or(ImportError::RsaSize { bits })?;
    components.check_lengths()?;
    let pair = RsaKeyPair::from_components(&rsa_components(components)).map_err(|_| ImportError::RsaInconsistent)?;
    let (public, material) = rsa_parts(&pair).map_err(|_| ImportError::Library)?;
    Ok((KeyType::Rsa { bits }, public, material))
}

fn rsa_components(components: &RsaComponents) -> KeyPairComponents<&[u8]> {
    KeyPairComponents {
        public_key: PublicKeyComponents { n: &components.n, e: &components.e },
        d: &components.d,
        p: &components.p,
        q: &components.q,
        dP: &components.dp,
        dQ: &components.dq,
        qInv: &components.qi,
    }
}

fn rsa_parts(pair: &RsaKeyPair) -> Result<(PublicKey, Material), Unspecified> {
    let public = RsaPublicKey::from_der(pair.public_key().as_ref()).map_err(|_| Unspecified)?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der()?;
    let public = PublicKey::Rsa { n: public.n.as_bytes().to_vec(), e: public.e.as_bytes().to_vec() };
    Ok((public, Material(Zeroizing::new(pkcs8.as_ref().to_vec()))))
}

fn import_ec(curve: Curve, d: &[u8], x: &[u8], y: &[u8]) -> Result<(KeyType, PublicKey, Material), ImportError> {
    for (component, octets) in [("d", d), ("x", x), ("y", y)] {
        check_field_len(curve, component, octets)?;
    }
    let point = [&[UNCOMPRESSED], x, y].concat();
    ParsedPublicKey::new(verification(curve), &point).map_err(|_| ImportError::EcPoint)?;
    if !is_scalar(curve, d) {
        return Err(ImportError::EcScalar);
    }
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(signing(curve), d, &point).map_err(|_| ImportError::EcPair)?;
    let (public, material) = ec_parts(curve, &pair).map_err(|_| ImportError::Library)?;
    Ok((KeyType::Ec { curve }, public, material))
}

fn check_field_len(curve: Curve, component: &'static str, octets: &[u8]) -> Result<(), ImportError> {
    if octets.len() != curve.field_len() {
        return Err(ImportError::EcLength { component, len: octets.len() });
    }
    Ok(())
}

/// Whether 0 < d < n for a d as long as n. What the comparison's time may tell is how far d agrees with n from the top,
/// which for an honest d is nothing.
fn is_scalar(curve: Curve, d: &[u8]) -> bool {
    d.iter().any(|octet| *octet != 0) && d < order(curve)
}

fn ec_parts(curve: Curve, pair: &EcdsaKeyPair) -> Result<(PublicKey, Material), Unspecified> {
    let public = ec_public(curve, pair.public_key().as_ref()).ok_or(Unspecified)?;
    let pkcs8 = pair.to_pkcs8v1()?;
    Ok((public, Material(Zeroizing::new(pkcs8.as_ref().to_vec()))))
}

/// Coordinates of an uncompressed point (SEC 1, 2.3.3).
fn ec_public(curve: Curve, point: &[u8]) -> Option<PublicKey> {
    let (&UNCOMPRESSED, coordinates) = point.split_first()? else {
        return None;
    };
    let (x, y) = coordinates.split_at_checked(curve.field_len())?;
    (y.len() == curve.field_len()).then(|| PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() })
}

fn import_akp(set: MlDsa, seed: &[u8], public: &[u8]) -> Result<(KeyType, PublicKey, Material), ImportError> {
    for (component, octets, expected) in [("priv", seed, SEED_LEN), ("pub", public, set.public_len())] {
        if octets.len() != expected {
            return Err(ImportError::AkpLength { component, len: octets.len() });
        }
    }
    let pair = PqdsaKeyPair::from_seed(ml_dsa_signing(set), seed).map_err(|_| ImportError::Library)?;
    if pair.public_key().as_ref() != public {
        return Err(ImportError::AkpPair);
    }
    let (public, material) = akp_parts(set, &pair).map_err(|_| ImportError::Library)?;
    Ok((KeyType::Akp { set }, public, material))
}

fn akp_parts(set: MlDsa, pair: &PqdsaKeyPair) -> Result<(PublicKey, Material), Unspecified> {
    let pkcs8 = pair.to_pkcs8v1()?;
    let public = PublicKey::Akp { set, key: pair.public_key().as_ref().to_vec() };
    Ok((public, Material(Zeroizing::new(pkcs8.as_ref().to_vec()))))
}

fn key_size(bits: RsaBits) -> KeySize {
    match bits {
        RsaBits::B2048 => KeySize::Rsa2048,
        RsaBits::B3072 => KeySize::Rsa3072,
        RsaBits::B4096 => KeySize::Rsa4096,
    }
}

pub(crate) fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        Curve::P256K => &ECDSA_P256K1_SHA256_FIXED_SIGNING,
    }
}

pub(crate) fn verification(curve: Curve) -> &'static EcdsaVerificationAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED,
        Curve::P256K => &ECDSA_P256K1_SHA256_FIXED,
    }
}

pub(crate) fn ml_dsa_signing(set: MlDsa) -> &'static PqdsaSigningAlgorithm {
    match set {
        MlDsa::S44 => &ML_DSA_44_SIGNING,
        MlDsa::S65 => &ML_DSA_65_SIGNING,
        MlDsa::S87 => &ML_DSA_87_SIGNING,
    }
}

pub(crate) fn ml_dsa_verification(set: MlDsa) -> &'static PqdsaVerificationAlgorithm {
    match set {
        MlDsa::S44 => &ML_DSA_44,
        MlDsa::S65 => &ML_DSA_65,
        MlDsa::S87 => &ML_DSA_87,
    }
}

fn order(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::P256 => &P256_ORDER,
        Curve::P384 => &P384_ORDER,
        Curve::P521 => &P521_ORDER,
        Curve::P256K => &P256K_ORDER,
    }
}

/// Octets of an ML-DSA seed (FIPS 204, 5.1), whatever the parameter set.
const SEED_LEN: usize = 32;

/// First octet of an uncompressed point (SEC 1, 2.3.3).
pub(crate) const UNCOMPRESSED: u8 = 4;

/// Order of the group (SP 800-186, 3.2.1.3).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Order of the group (SP 800-186, 3.2.1.4).
const P384_ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// Order of the group (SP 800-186, 3.2.1.5).
const P521_ORDER: [u8; 66] = [
    0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83,
    0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47,
    0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
];

/// Order of the group (SEC 2, 2.4.1).
const P256K_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    n: UintRef<'a>,
    e: UintRef<'a>,
}
