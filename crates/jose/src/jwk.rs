//! Public keys in JWK form (RFC 7517): parsing, thumbprints, key sets and the choice of a key for a token.
//!
//! A key is read from `n`/`e` or `crv`/`x`/`y`, or from the first certificate of `x5c` where those are absent (an
//! attestation service publishes just that); where both are given they must agree. The certificate is a container only:
//! who vouches for a key set is its fetcher or its configuration. Private keys are not read here, see `skerry-keys`.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::ParsedPublicKey;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use crate::algorithm::{Algorithm, Curve, Family};
use crate::b64;
use crate::json::{self, Object, Value};
use crate::jws::JwsError;
use crate::limits::{KEYS_MAX, RSA_BITS_MAX, RSA_BITS_MIN, RSA_EXPONENT_MIN};

/// Why a JWK is not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum JwkError {
    #[error("not a JSON object")]
    NotAnObject,
    #[error("member {0} is missing")]
    Missing(&'static str),
    #[error("member {0} has the wrong JSON type")]
    WrongType(&'static str),
    #[error("member {0} is not strict base64url")]
    NotBase64(&'static str),
    #[error("key type {0} is not supported")]
    KeyType(String),
    #[error("curve {0} is not supported")]
    Curve(String),
    #[error("algorithm {0} is not supported")]
    Algorithm(String),
    #[error("algorithm {0} does not fit the key")]
    AlgorithmForKey(&'static str),
    #[error("RSA modulus has {bits} bits, not {RSA_BITS_MIN} to {RSA_BITS_MAX}")]
    ModulusSize { bits: usize },
    #[error("RSA modulus is even")]
    ModulusEven,
    #[error("RSA public exponent is even, below {RSA_EXPONENT_MIN} or above 32 bits")]
    Exponent,
    #[error("coordinate {name} has {len} bytes")]
    CoordinateLength { name: &'static str, len: usize },
    #[error("the key is not one of its kind")]
    InvalidKey,
    #[error("x5c[0] is not a certificate with a supported key")]
    Certificate,
    #[error("x5c[0] holds another key than the members do")]
    CertificateMismatch,
    #[error("JSON")]
    Json(#[from] json::Error),
    #[error("a set has more than {KEYS_MAX} keys")]
    TooManyKeys,
}

/// An RSA public key whose size and exponent are within limits. Big-endian, no leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl RsaPublicKey {
    /// Makes a key of big-endian components; leading zero octets are dropped (RFC 7518, 6.3.1.1 forbids them,
    /// but Azure echoes them, so they are not refused). Refused: sizes and exponents outside the limits.
    pub fn new(n: &[u8], e: &[u8]) -> Result<RsaPublicKey, JwkError> {
        let (n, e) = (significant(n), significant(e));
        let bits = bits(n);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(JwkError::ModulusSize { bits });
        }
        if n.last().is_none_or(|last| last % 2 == 0) {
            return Err(JwkError::ModulusEven);
        }
        let exponent = e.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        if e.len() > 4 || exponent < RSA_EXPONENT_MIN || exponent % 2 == 0 {
            return Err(JwkError::Exponent);
        }
        Ok(RsaPublicKey { n: n.to_vec(), e: e.to_vec() })
    }

    /// Bits of the modulus.
    pub fn bits(&self) -> usize {
        bits(&self.n)
    }

    /// The modulus, big-endian without leading zeros.
    pub fn modulus(&self) -> &[u8] {
        &self.n
    }

    /// The public exponent, big-endian without leading zeros.
    pub fn exponent(&self) -> &[u8] {
        &self.e
    }
}

/// A public key of a supported kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// RSA, for signatures or as the target of a release.
    Rsa(RsaPublicKey),
    /// A point on a NIST curve, coordinates of the curve's length.
    Ec {
        /// The curve.
        curve: Curve,
        /// Affine coordinates, big-endian, of the curve's length.
        x: Vec<u8>,
        /// As `x`.
        y: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads the key of a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    pub fn from_spki_der(der: &[u8]) -> Result<PublicKey, JwkError> {
        let spki = x509_cert::spki::SubjectPublicKeyInfoRef::from_der(der).map_err(|_| JwkError::InvalidKey)?;
        let bits = spki.subject_public_key.as_bytes().ok_or(JwkError::InvalidKey)?;
        let oid = spki.algorithm.oid.to_string();
        match oid.as_str() {
            OID_RSA_ENCRYPTION => rsa_from_pkcs1(bits),
            OID_EC_PUBLIC_KEY => {
                let curve = spki.algorithm.parameters_oid().map_err(|_| JwkError::InvalidKey)?.to_string();
                ec_from_point(&curve, bits)
            }
            _ => Err(JwkError::KeyType(oid)),
        }
    }

    /// SHA-256 thumbprint (RFC 7638), base64url.
    pub fn thumbprint(&self) -> String {
        let text = match self {
            PublicKey::Rsa(key) => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64::encode(&key.e), b64::encode(&key.n))
            }
            PublicKey::Ec { curve, x, y } => {
                format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, curve.name(), b64::encode(x), b64::encode(y))
            }
        };
        b64::encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }

    /// The members `kty` and those of the key, sorted.
    pub fn to_jwk(&self) -> Object {
        let mut jwk = Object::new();
        match self {
            PublicKey::Rsa(key) => {
                jwk.insert("e", b64::encode(&key.e));
                jwk.insert("kty", "RSA");
                jwk.insert("n", b64::encode(&key.n));
            }
            PublicKey::Ec { curve, x, y } => {
                jwk.insert("crv", curve.name());
                jwk.insert("kty", "EC");
                jwk.insert("x", b64::encode(x));
                jwk.insert("y", b64::encode(y));
            }
        }
        jwk
    }

    /// The members of a JWK, strictly read.
    pub fn from_jwk(jwk: &Object) -> Result<PublicKey, JwkError> {
        let kty = text(jwk, "kty")?.ok_or(JwkError::Missing("kty"))?;
        let from_members = match kty {
            "RSA" => rsa_members(jwk)?,
            "EC" => ec_members(jwk)?,
            _ => return Err(JwkError::KeyType(kty.to_owned())),
        };
        match (from_members, from_certificate(jwk)?) {
            (Some(key), None) | (None, Some(key)) => Ok(key),
            (Some(key), Some(certified)) if key == certified => Ok(key),
            (Some(_), Some(_)) => Err(JwkError::CertificateMismatch),
            (None, None) => Err(JwkError::Missing("n")),
        }
    }
}

/// One entry of a key set: a public key and what its publisher says of it.
#[derive(Debug, Clone)]
pub struct Jwk {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    for_signatures: bool,
    key: PublicKey,
}

impl Jwk {
    /// Reads one JWK. Unknown members are ignored (RFC 7517, 4).
    pub fn from_value(value: &Value) -> Result<Jwk, JwkError> {
        let jwk = value.as_object().ok_or(JwkError::NotAnObject)?;
        let algorithm = match text(jwk, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::parse(name).ok_or_else(|| JwkError::Algorithm(name.to_owned()))?),
        };
        Ok(Jwk {
            kid: text(jwk, "kid")?.map(str::to_owned),
            algorithm,
            for_signatures: may_verify(jwk)?,
            key: PublicKey::from_jwk(jwk)?,
        })
    }

    /// The key id, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// A public key made ready to verify with the algorithms that it may be used with.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: String,
    prepared: Vec<(Algorithm, ParsedPublicKey)>,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Prepares `key`; `algorithm` narrows what it may be used with, else every algorithm of its kind.
    pub fn new(kid: &str, key: &PublicKey, algorithm: Option<Algorithm>) -> Result<VerifyingKey, JwkError> {
        let wanted = Algorithm::ALL.into_iter().filter(|one| algorithm.is_none_or(|narrow| narrow == *one));
        let prepared: Vec<_> = wanted
            .filter_map(|one| prepare(key, one).transpose().map(|parsed| parsed.map(|parsed| (one, parsed))))
            .collect::<Result<_, _>>()?;
        match (prepared.is_empty(), algorithm) {
            (true, Some(algorithm)) => Err(JwkError::AlgorithmForKey(algorithm.name())),
            (true, None) => Err(JwkError::InvalidKey),
            (false, _) => Ok(VerifyingKey { kid: kid.to_owned(), prepared }),
        }
    }

    /// The key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Checks a signature over `message`, whatever frame it came in; iff it holds, this key made it with `algorithm`. For
    /// documents that are nearly a JWS; tokens go through [`Unverified`](crate::Unverified).
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), JwsError> {
        let wrong = || JwsError::KeyAlgorithm { kid: self.kid.clone(), algorithm };
        let key = self.for_algorithm(algorithm).ok_or_else(wrong)?;
        key.verify_sig(message, signature).map_err(|_| JwsError::Signature)
    }

    pub(crate) fn for_algorithm(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.prepared.iter().find(|(one, _)| *one == algorithm).map(|(_, key)| key)
    }
}

/// Why a set has no key for a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum KeyLookupError {
    #[error("no key {kid:?} in the set")]
    Unknown { kid: String },
    #[error("key {kid:?} is not for {}", .algorithm.name())]
    WrongAlgorithm { kid: String, algorithm: Algorithm },
    #[error("more than one key {kid:?} for {}", .algorithm.name())]
    Ambiguous { kid: String, algorithm: Algorithm },
}

/// The keys that an issuer signs with.
#[derive(Debug, Clone, Default)]
pub struct JwkSet {
    keys: Vec<VerifyingKey>,
    ignored: Vec<JwkError>,
}

impl JwkSet {
    /// Reads `{"keys": [...]}`. Entries that are unsupported, without a kid or not for signatures are left out
    /// (RFC 7517, 5: the attestation service publishes a 1024-bit key beside its good ones) and listed in
    /// [`ignored`](Self::ignored).
    pub fn parse(text: &[u8], limits: &json::Limits) -> Result<JwkSet, JwkError> {
        let value = json::parse(text, limits)?;
        let set = value.as_object().ok_or(JwkError::NotAnObject)?;
        let keys = set.get("keys").ok_or(JwkError::Missing("keys"))?;
        let keys = keys.as_array().ok_or(JwkError::WrongType("keys"))?;
        if keys.len() > KEYS_MAX {
            return Err(JwkError::TooManyKeys);
        }
        let mut read = JwkSet::default();
        for key in keys {
            match verifying_key(key) {
                Ok(key) => read.keys.push(key),
                Err(reason) => read.ignored.push(reason),
            }
        }
        Ok(read)
    }

    /// A set of keys already at hand.
    pub fn of(keys: Vec<VerifyingKey>) -> JwkSet {
        JwkSet { keys, ignored: Vec::new() }
    }

    /// The one key with this id for this algorithm. Several fitting keys are a refusal, never a choice by order.
    pub fn find(&self, kid: &str, algorithm: Algorithm) -> Result<&VerifyingKey, KeyLookupError> {
        let mut known = false;
        let mut found = None;
        for key in self.keys.iter().filter(|key| key.kid == kid) {
            known = true;
            if key.for_algorithm(algorithm).is_some() && found.replace(key).is_some() {
                return Err(KeyLookupError::Ambiguous { kid: kid.to_owned(), algorithm });
            }
        }
        let kid = kid.to_owned();
        found.ok_or(if known {
            KeyLookupError::WrongAlgorithm { kid, algorithm }
        } else {
            KeyLookupError::Unknown { kid }
        })
    }

    /// Why entries were left out.
    pub fn ignored(&self) -> &[JwkError] {
        &self.ignored
    }

    /// How many keys the set has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the set has no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn verifying_key(value: &Value) -> Result<VerifyingKey, JwkError> {
    let jwk = Jwk::from_value(value)?;
    if !jwk.for_signatures {
        return Err(JwkError::AlgorithmForKey("verify"));
    }
    let kid = jwk.kid().ok_or(JwkError::Missing("kid"))?;
    VerifyingKey::new(kid, jwk.key(), jwk.algorithm)
}

fn prepare(key: &PublicKey, algorithm: Algorithm) -> Result<Option<ParsedPublicKey>, JwkError> {
    match (key, algorithm.family()) {
        (PublicKey::Rsa(key), Family::Rsa(parameters, _)) => PublicKeyComponents { n: &key.n, e: &key.e }
            .to_parsed_public_key(parameters)
            .map(Some)
            .map_err(|_| JwkError::InvalidKey),
        (PublicKey::Ec { curve, x, y }, Family::Ec(verification, _, needed)) if *curve == needed => {
            let point = [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat();
            ParsedPublicKey::new(verification, point).map(Some).map_err(|_| JwkError::InvalidKey)
        }
        _ => Ok(None),
    }
}

fn may_verify(jwk: &Object) -> Result<bool, JwkError> {
    let by_use = text(jwk, "use")?.is_none_or(|usage| usage == "sig");
    let by_operations = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|one| one.as_str() == Some("verify")),
        Some(_) => return Err(JwkError::WrongType("key_ops")),
    };
    Ok(by_use && by_operations)
}

fn rsa_members(jwk: &Object) -> Result<Option<PublicKey>, JwkError> {
    match (bytes(jwk, "n")?, bytes(jwk, "e")?) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(JwkError::Missing("n")),
        (Some(_), None) => Err(JwkError::Missing("e")),
        (Some(n), Some(e)) => RsaPublicKey::new(&n, &e).map(|key| Some(PublicKey::Rsa(key))),
    }
}

fn ec_members(jwk: &Object) -> Result<Option<PublicKey>, JwkError> {
    let Some(name) = text(jwk, "crv")? else { return Ok(None) };
    let curve = Curve::parse(name).ok_or_else(|| JwkError::Curve(name.to_owned()))?;
    let coordinate = |name| {
        let value = bytes(jwk, name)?.ok_or(JwkError::Missing(name))?;
        match value.len() == curve.coordinate_len() {
            true => Ok(value),
            false => Err(JwkError::CoordinateLength { name, len: value.len() }),
        }
    };
    ec_on_curve(curve, coordinate("x")?, coordinate("y")?).map(Some)
}

fn ec_on_curve(curve: Curve, x: Vec<u8>, y: Vec<u8>) -> Result<PublicKey, JwkError> {
    let key = PublicKey::Ec { curve, x, y };
    let algorithm = match curve {
        Curve::P256 => Algorithm::Es256,
        Curve::P384 => Algorithm::Es384,
        Curve::P521 => Algorithm::Es512,
    };
    prepare(&key, algorithm)?;
    Ok(key)
}

fn from_certificate(jwk: &Object) -> Result<Option<PublicKey>, JwkError> {
    let Some(chain) = jwk.get("x5c") else { return Ok(None) };
    let leaf = chain.as_array().and_then(|chain| chain.first()).and_then(Value::as_str);
    let leaf = b64::decode_standard(leaf.ok_or(JwkError::Certificate)?).map_err(|_| JwkError::Certificate)?;
    let leaf = Certificate::from_der(&leaf).map_err(|_| JwkError::Certificate)?;
    let spki = leaf.tbs_certificate().subject_public_key_info().to_der().map_err(|_| JwkError::Certificate)?;
    PublicKey::from_spki_der(&spki).map(Some)
}

fn rsa_from_pkcs1(der: &[u8]) -> Result<PublicKey, JwkError> {
    let key = Pkcs1PublicKey::from_der(der).map_err(|_| JwkError::InvalidKey)?;
    RsaPublicKey::new(key.modulus.as_bytes(), key.public_exponent.as_bytes()).map(PublicKey::Rsa)
}

fn ec_from_point(curve_oid: &str, point: &[u8]) -> Result<PublicKey, JwkError> {
    let curve = match curve_oid {
        OID_P256 => Curve::P256,
        OID_P384 => Curve::P384,
        OID_P521 => Curve::P521,
        _ => return Err(JwkError::Curve(curve_oid.to_owned())),
    };
    match point.split_first() {
        Some((&UNCOMPRESSED, coordinates)) if coordinates.len() == 2 * curve.coordinate_len() => {
            let (x, y) = coordinates.split_at(curve.coordinate_len());
            ec_on_curve(curve, x.to_vec(), y.to_vec())
        }
        _ => Err(JwkError::InvalidKey),
    }
}

#[derive(x509_cert::der::Sequence)]
struct Pkcs1PublicKey<'a> {
    modulus: der::asn1::UintRef<'a>,
    public_exponent: der::asn1::UintRef<'a>,
}

fn text<'a>(jwk: &'a Object, name: &'static str) -> Result<Option<&'a str>, JwkError> {
    jwk.get(name).map(|value| value.as_str().ok_or(JwkError::WrongType(name))).transpose()
}

fn bytes(jwk: &Object, name: &'static str) -> Result<Option<Vec<u8>>, JwkError> {
    text(jwk, name)?.map(|text| b64::decode(text).map_err(|_| JwkError::NotBase64(name))).transpose()
}

fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn bits(n: &[u8]) -> usize {
    n.first().map_or(0, |first| n.len() * 8 - leading_zeros(*first))
}

fn leading_zeros(byte: u8) -> usize {
    usize::try_from(byte.leading_zeros()).unwrap_or(8)
}

const UNCOMPRESSED: u8 = 4;
const OID_RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const OID_EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const OID_P256: &str = "1.2.840.10045.3.1.7";
const OID_P384: &str = "1.3.132.0.34";
const OID_P521: &str = "1.3.132.0.35";
