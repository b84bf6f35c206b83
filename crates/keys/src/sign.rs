//! Signatures over digests that the caller made (RFC 7518, 3.2 to 3.5; RFC 8812, 3.2), and ML-DSA over messages as they
//! are (FIPS 204, 5.2; RFC 9964).
//!
//! An [`OpenedKey`] signs. [`verify()`] is its counterpart for public halves, [`OpenedKey::verify`] for symmetric keys;
//! both say false for every signature that does not hold, whatever is wrong with it; only what the caller must not have
//! asked is an error.
//!
//! RSNULL, and ML-DSA with a context or over a message representative made elsewhere ("external mu"), are the library's too,
//! through a door of ours ([`skerry_lc`], docs/decisions).
//!
//! Deliberately not here: hashing.

use crate::custody::{Binding, SealedMaterial, Software};
use crate::key_type::{Curve, KeyType, MlDsa, PublicKey, PublicKeyError};
use crate::limits::MESSAGE_LEN_MAX;
use crate::material::{UNCOMPRESSED, ml_dsa_verification, verification};
use crate::opened::{OpenError, OpenedKey, Secret};
use crate::strict::TokenKey;
use aws_lc_rs::digest::{self, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use aws_lc_rs::signature::{
    ParsedPublicKey, PqdsaKeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaParameters,
};
use rand_core::CryptoRng;
use skerry_pkcs11::{Fault, Hash};
use subtle::ConstantTimeEq;

/// How a digest is signed: the closed list, by Azure's names, which but for the last are those of RFC 7518 and RFC
/// 8812.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256, MGF1 of the same, a salt of 32 octets.
    Ps256,
    /// RSASSA-PSS with SHA-384, MGF1 of the same, a salt of 48 octets.
    Ps384,
    /// RSASSA-PSS with SHA-512, MGF1 of the same, a salt of 64 octets.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// ECDSA on secp256k1 with SHA-256.
    Es256K,
    /// HMAC with SHA-256, over a digest like all others: Azure's sentence on digests makes no exception for it. Whether
    /// its service insists on their length here too is not known.
    Hs256,
    /// HMAC with SHA-384, likewise.
    Hs384,
    /// HMAC with SHA-512, likewise.
    Hs512,
    /// ML-DSA-44 over a message as it is, with an empty context.
    MlDsa44,
    /// ML-DSA-65, likewise.
    MlDsa65,
    /// ML-DSA-87, likewise.
    MlDsa87,
    /// RSASSA-PKCS1-v1_5 over the octets as given, without a DigestInfo. Who may sign so can sign any digest of any hash.
    RsNull,
}

impl SignAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 17] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Es256K,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
        Self::RsNull,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Es256K => "ES256K",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::MlDsa44 => MlDsa::S44.as_str(),
            Self::MlDsa65 => MlDsa::S65.as_str(),
            Self::MlDsa87 => MlDsa::S87.as_str(),
            Self::RsNull => "RSNULL",
        }
    }

    /// The algorithm of exactly this name; letter case counts (RFC 7515, 4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether a key of this type can sign so. ECDSA has one algorithm for each curve, ML-DSA for
    /// each parameter set. HMAC takes a symmetric key of any
    /// size, as Azure lists it, though RFC 7518, 3.2 asks for one as long as the hash.
    pub fn fits(self, key_type: KeyType) -> bool {
        match (self.scheme(), key_type) {
            (Scheme::Rsa(..) | Scheme::RawRsa, KeyType::Rsa { .. }) | (Scheme::Hmac(_), KeyType::Oct { .. }) => true,
            (Scheme::Ecdsa(needed), KeyType::Ec { curve }) => needed == curve,
            (Scheme::MlDsa(needed), KeyType::Akp { set }) => needed == set,
            _ => false,
        }
    }

    /// Octets of the digest that is signed; none where a message is signed as it is (ML-DSA, RSNULL).
    pub fn digest_len(self) -> Option<usize> {
        hash(self).map(digest::Algorithm::output_len)
    }

    /// How the library makes and checks such a signature. PSS has salts as long as the hash there, unless told
    /// otherwise.
    fn scheme(self) -> Scheme {
        match self {
            Self::Rs256 => Scheme::Rsa(&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Scheme::Rsa(&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Scheme::Rsa(&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Scheme::Rsa(&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Scheme::Rsa(&RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Scheme::Rsa(&RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Scheme::Ecdsa(Curve::P256),
            Self::Es384 => Scheme::Ecdsa(Curve::P384),
            Self::Es512 => Scheme::Ecdsa(Curve::P521),
            Self::Es256K => Scheme::Ecdsa(Curve::P256K),
            Self::Hs256 => Scheme::Hmac(hmac::HMAC_SHA256),
            Self::Hs384 => Scheme::Hmac(hmac::HMAC_SHA384),
            Self::Hs512 => Scheme::Hmac(hmac::HMAC_SHA512),
            Self::MlDsa44 => Scheme::MlDsa(MlDsa::S44),
            Self::MlDsa65 => Scheme::MlDsa(MlDsa::S65),
            Self::MlDsa87 => Scheme::MlDsa(MlDsa::S87),
            Self::RsNull => Scheme::RawRsa,
        }
    }
}

enum Scheme {
    Rsa(&'static dyn RsaEncoding, &'static RsaParameters),
    RawRsa,
    Ecdsa(Curve),
    Hmac(hmac::Algorithm),
    MlDsa(MlDsa),
}

impl Software {
    /// Signs once, as [`Software::open_for_use`] and [`OpenedKey::sign`] do: opening and parsing are paid each time.
    pub fn sign(
        &self,
        sealed: &SealedMaterial,
        binding: &Binding,
        algorithm: SignAlgorithm,
        digest: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, SignError> {
        self.open_for_use(sealed, binding).map_err(SignError::Open)?.sign(algorithm, digest, rng)
    }
}

impl OpenedKey {
    /// Signs a digest: as many octets as the modulus for RSA, R || S of fixed length for ECDSA (64, 96, 132; secp256k1
    /// 64), as many as the hash for HMAC, 2420, 3309 or 4627 for ML-DSA, whose digest is the message, of
    /// [`MESSAGE_LEN_MAX`] octets at most.
    ///
    /// The caller vouches that the digest is one, of the algorithm's hash; only its length can be checked. `rng` is not
    /// drawn from in this custody: salts of PSS and the secret numbers of ECDSA and ML-DSA come from the library's own
    /// generator, which takes no other. So signatures do not repeat under a seeded one.
    pub fn sign(
        &self,
        algorithm: SignAlgorithm,
        digest: &[u8],
        _rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, SignError> {
        if !algorithm.fits(self.key_type()) {
            return Err(SignError::Algorithm { algorithm, key_type: self.key_type() });
        }
        if let Secret::Token(key) = &self.secret {
            return sign_in_token(key, self.key_type(), algorithm, digest);
        }
        if let Secret::Akp(akp) = &self.secret {
            check_message(digest).map_err(|found| SignError::MessageLength { found })?;
            return ml_dsa_sign(&akp.pair, digest).map_err(|_| SignError::Library);
        }
        if let (Secret::Rsa(key), SignAlgorithm::RsNull) = (&self.secret, algorithm) {
            check_raw(digest, key.pair.public_modulus_len()).map_err(|found| SignError::MessageLength { found })?;
            let raw = key.raw().map_err(|_| SignError::Library)?;
            return raw.rsa_pkcs1(digest).map_err(|_| SignError::Library);
        }
        let hash = hash(algorithm).ok_or(SignError::Library)?;
        let digest = imported(hash, digest).map_err(|found| SignError::DigestLength {
            algorithm,
            expected: hash.output_len(),
            found,
        })?;
        self.sign_imported(algorithm, &digest).map_err(|_| SignError::Library)
    }

    /// Signs with more than a message: as [`OpenedKey::sign`] by the ML-DSA algorithm of the key, iff it has one, with a
    /// context of at most 255 octets, or over a message representative of 64.
    pub fn sign_ml_dsa(&self, text: &MlDsaText<'_>) -> Result<Vec<u8>, SignError> {
        let Secret::Akp(akp) = &self.secret else {
            return Err(SignError::NotMlDsa { key_type: self.key_type() });
        };
        let checked = text.checked()?;
        let raw = akp.raw().map_err(|_| SignError::Library)?;
        match checked {
            Checked::Message(message, context) => raw.ml_dsa(message, context),
            Checked::Mu(mu) => raw.ml_dsa_mu(mu),
        }
        .map_err(|_| SignError::Library)
    }

    fn sign_imported(&self, algorithm: SignAlgorithm, digest: &Digest) -> Result<Vec<u8>, Unspecified> {
        match (&self.secret, algorithm.scheme()) {
            (Secret::Rsa(key), Scheme::Rsa(encoding, _)) => {
                let mut signature = vec![0; key.pair.public_modulus_len()];
                key.pair.sign_digest(encoding, digest, &mut signature)?;
                Ok(signature)
            }
            (Secret::Ec(pair), Scheme::Ecdsa(_)) => Ok(pair.sign_digest(digest)?.as_ref().to_vec()),
            (Secret::Oct(key), Scheme::Hmac(hmac)) => {
                Ok(hmac::sign(&hmac::Key::new(hmac, key.expose()), digest.as_ref()).as_ref().to_vec())
            }
            _ => Err(Unspecified),
        }
    }

    /// Whether a symmetric key made this signature over a digest; compared in constant time. Other keys verify under
    /// their public half: [`verify()`].
    ///
    /// True iff it did: a signature of any other length, as a cut one, is false. The caller vouches that the digest is
    /// one.
    pub fn verify(&self, algorithm: SignAlgorithm, digest: &[u8], signature: &[u8]) -> Result<bool, VerifyError> {
        let key_type = self.key_type();
        if !algorithm.fits(key_type) {
            return Err(VerifyError::Algorithm { algorithm, key_type: Some(key_type) });
        }
        if let (Secret::Token(key), Some(hash)) = (&self.secret, hmac_hash(algorithm)) {
            let digest = verifiable(algorithm, digest)?;
            let tag = key.hmac(hash, digest.as_ref()).map_err(VerifyError::Token)?;
            return Ok(tag.as_slice().ct_eq(signature).into());
        }
        let (Secret::Oct(key), Scheme::Hmac(hmac)) = (&self.secret, algorithm.scheme()) else {
            return Err(VerifyError::PublicHalf { algorithm });
        };
        let digest = verifiable(algorithm, digest)?;
        Ok(hmac::verify(&hmac::Key::new(hmac, key.expose()), digest.as_ref(), signature).is_ok())
    }
}

/// As [`OpenedKey::sign`], of a key that fits and is in a token.
fn sign_in_token(
    key: &TokenKey,
    key_type: KeyType,
    algorithm: SignAlgorithm,
    digest: &[u8],
) -> Result<Vec<u8>, SignError> {
    let signed = match (algorithm, key_type) {
        (SignAlgorithm::RsNull, KeyType::Rsa { bits }) => {
            check_raw(digest, bits.bits() / 8).map_err(|found| SignError::MessageLength { found })?;
            key.sign_pkcs1(digest)
        }
        _ => {
            let hash = hash(algorithm).ok_or(SignError::Library)?;
            imported(hash, digest).map_err(|found| SignError::DigestLength {
                algorithm,
                expected: hash.output_len(),
                found,
            })?;
            match in_token(algorithm) {
                InToken::Pkcs1(info) => key.sign_pkcs1(&[info, digest].concat()),
                InToken::Pss(hash) => key.sign_pss(hash, digest),
                InToken::Ec => key.sign_ec(digest),
                InToken::Hmac(hash) => key.hmac(hash, digest),
                InToken::Not => return Err(SignError::Library),
            }
        }
    };
    signed.map_err(SignError::Token)
}

/// How a token is asked for a signature; PKCS#1 with what stands before the digest (RFC 8017, 9.2, note 1).
enum InToken {
    Pkcs1(&'static [u8]),
    Pss(Hash),
    Ec,
    Hmac(Hash),
    Not,
}

fn in_token(algorithm: SignAlgorithm) -> InToken {
    match algorithm {
        SignAlgorithm::Rs256 => InToken::Pkcs1(&INFO_SHA256),
        SignAlgorithm::Rs384 => InToken::Pkcs1(&INFO_SHA384),
        SignAlgorithm::Rs512 => InToken::Pkcs1(&INFO_SHA512),
        SignAlgorithm::Ps256 => InToken::Pss(Hash::Sha256),
        SignAlgorithm::Ps384 => InToken::Pss(Hash::Sha384),
        SignAlgorithm::Ps512 => InToken::Pss(Hash::Sha512),
        SignAlgorithm::Es256 | SignAlgorithm::Es384 | SignAlgorithm::Es512 | SignAlgorithm::Es256K => InToken::Ec,
        SignAlgorithm::Hs256 => InToken::Hmac(Hash::Sha256),
        SignAlgorithm::Hs384 => InToken::Hmac(Hash::Sha384),
        SignAlgorithm::Hs512 => InToken::Hmac(Hash::Sha512),
        SignAlgorithm::MlDsa44 | SignAlgorithm::MlDsa65 | SignAlgorithm::MlDsa87 | SignAlgorithm::RsNull => {
            InToken::Not
        }
    }
}

fn hmac_hash(algorithm: SignAlgorithm) -> Option<Hash> {
    match in_token(algorithm) {
        InToken::Hmac(hash) => Some(hash),
        _ => None,
    }
}

const INFO_SHA256: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
const INFO_SHA384: [u8; 19] =
    [0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30];
const INFO_SHA512: [u8; 19] =
    [0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40];

/// Whether a signature over a digest holds under a public key.
///
/// True iff it does. A signature of any other length is false, like every one that does not hold. The caller vouches
/// that the public key is that of the key meant, and that the digest is one.
pub fn verify(
    public: &PublicKey,
    algorithm: SignAlgorithm,
    digest: &[u8],
    signature: &[u8],
) -> Result<bool, VerifyError> {
    let key_type = public.key_type().map_err(VerifyError::Key)?;
    if !key_type.is_some_and(|key_type| algorithm.fits(key_type)) {
        return Err(VerifyError::Algorithm { algorithm, key_type });
    }
    if let PublicKey::Akp { .. } = public {
        check_message(digest).map_err(|found| VerifyError::MessageLength { found })?;
        let key = parsed(public, algorithm).map_err(|_| VerifyError::Refused)?;
        return Ok(key.verify_sig(digest, signature).is_ok());
    }
    if let (PublicKey::Rsa { n, e }, SignAlgorithm::RsNull) = (public, algorithm) {
        check_raw(digest, n.len()).map_err(|found| VerifyError::MessageLength { found })?;
        let key: Result<PublicEncryptingKey, _> = PublicKeyComponents { n, e }.try_into();
        let key: PublicKeyX509Der<'_> =
            key.map_err(|_| VerifyError::Refused)?.as_der().map_err(|_| VerifyError::Refused)?;
        let key = skerry_lc::PublicKey::from_spki(key.as_ref()).map_err(|_| VerifyError::Refused)?;
        return key.rsa_pkcs1(digest, signature).map_err(|_| VerifyError::Refused);
    }
    let digest = verifiable(algorithm, digest)?;
    let key = parsed(public, algorithm).map_err(|_| VerifyError::Refused)?;
    Ok(key.verify_digest_sig(&digest, signature).is_ok())
}

/// Whether a signature by [`OpenedKey::sign_ml_dsa`] holds under a public key: true iff it does, as [`verify()`].
pub fn verify_ml_dsa(public: &PublicKey, text: &MlDsaText<'_>, signature: &[u8]) -> Result<bool, VerifyError> {
    let key_type = public.key_type().map_err(VerifyError::Key)?;
    let PublicKey::Akp { set, key } = public else {
        return Err(VerifyError::NotMlDsa { key_type });
    };
    let checked = text.checked()?;
    let key = skerry_lc::PublicKey::from_ml_dsa(raw_set(*set), key).map_err(|_| VerifyError::Refused)?;
    match checked {
        Checked::Message(message, context) => key.ml_dsa(message, context, signature),
        Checked::Mu(mu) => key.ml_dsa_mu(mu, signature),
    }
    .map_err(|_| VerifyError::Refused)
}

/// What ML-DSA signs, where it is more than a message. The caller vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlDsaText<'a> {
    /// A message as it is, under a context (FIPS 204, 5.2).
    Message {
        /// The message, of [`MESSAGE_LEN_MAX`] octets at most.
        message: &'a [u8],
        /// The context, of 255 octets at most.
        context: &'a [u8],
    },
    /// The message representative that somebody else made of both and the public half (FIPS 204, 6.2, step 6): 64 octets.
    Mu(&'a [u8]),
}

/// The same, with lengths that are possible.
enum Checked<'a> {
    Message(&'a [u8], &'a [u8]),
    Mu(&'a [u8; MU_LEN]),
}

impl<'a> MlDsaText<'a> {
    fn checked(&self) -> Result<Checked<'a>, TextError> {
        match *self {
            Self::Mu(mu) => mu.try_into().map(Checked::Mu).map_err(|_| TextError::Mu { found: mu.len() }),
            Self::Message { context, .. } if context.len() > CONTEXT_LEN_MAX => {
                Err(TextError::Context { found: context.len() })
            }
            Self::Message { message, context } => {
                check_message(message).map_err(|found| TextError::Message { found })?;
                Ok(Checked::Message(message, context))
            }
        }
    }
}

/// Why a text is none that ML-DSA signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TextError {
    #[error("message of {found} octets is too long")]
    Message { found: usize },
    #[error("context of {found} octets, at most {CONTEXT_LEN_MAX}")]
    Context { found: usize },
    #[error("message representative of {found} octets instead of {MU_LEN}")]
    Mu { found: usize },
}

fn raw_set(set: MlDsa) -> skerry_lc::MlDsa {
    match set {
        MlDsa::S44 => skerry_lc::MlDsa::S44,
        MlDsa::S65 => skerry_lc::MlDsa::S65,
        MlDsa::S87 => skerry_lc::MlDsa::S87,
    }
}

/// RFC 8017, 9.2, step 3: eleven octets are padding.
fn check_raw(octets: &[u8], modulus_len: usize) -> Result<(), usize> {
    if octets.len() > modulus_len.saturating_sub(11) { Err(octets.len()) } else { Ok(()) }
}

/// FIPS 204, 5.2.
const CONTEXT_LEN_MAX: usize = 255;
/// FIPS 204, 6.2.
const MU_LEN: usize = 64;

fn check_message(message: &[u8]) -> Result<(), usize> {
    if message.len() > MESSAGE_LEN_MAX { Err(message.len()) } else { Ok(()) }
}

fn ml_dsa_sign(pair: &PqdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut signature = vec![0; pair.algorithm().signature_len()];
    let len = pair.sign(message, &mut signature)?;
    if len == signature.len() { Ok(signature) } else { Err(Unspecified) }
}

fn verifiable(algorithm: SignAlgorithm, digest: &[u8]) -> Result<Digest, VerifyError> {
    let hash = hash(algorithm).ok_or(VerifyError::Refused)?;
    let length = |found| VerifyError::DigestLength { algorithm, expected: hash.output_len(), found };
    imported(hash, digest).map_err(length)
}

fn parsed(public: &PublicKey, algorithm: SignAlgorithm) -> Result<ParsedPublicKey, Unspecified> {
    match (public, algorithm.scheme()) {
        (PublicKey::Rsa { n, e }, Scheme::Rsa(_, parameters)) => {
            PublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| Unspecified)
        }
        (PublicKey::Ec { curve, x, y }, Scheme::Ecdsa(_)) => {
            let point = [&[UNCOMPRESSED], x.as_slice(), y].concat();
            ParsedPublicKey::new(verification(*curve), point).map_err(|_| Unspecified)
        }
        (PublicKey::Akp { set, key }, Scheme::MlDsa(_)) => {
            ParsedPublicKey::new(ml_dsa_verification(*set), key).map_err(|_| Unspecified)
        }
        _ => Err(Unspecified),
    }
}

/// The digest as the library takes it, or the length that is not that of the hash.
fn imported(hash: &'static digest::Algorithm, digest: &[u8]) -> Result<Digest, usize> {
    Digest::import_less_safe(digest, hash).map_err(|_| digest.len())
}

fn hash(algorithm: SignAlgorithm) -> Option<&'static digest::Algorithm> {
    match algorithm {
        SignAlgorithm::Rs256
        | SignAlgorithm::Ps256
        | SignAlgorithm::Es256
        | SignAlgorithm::Es256K
        | SignAlgorithm::Hs256 => Some(&SHA256),
        SignAlgorithm::Rs384 | SignAlgorithm::Ps384 | SignAlgorithm::Es384 | SignAlgorithm::Hs384 => Some(&SHA384),
        SignAlgorithm::Rs512 | SignAlgorithm::Ps512 | SignAlgorithm::Es512 | SignAlgorithm::Hs512 => Some(&SHA512),
        SignAlgorithm::MlDsa44 | SignAlgorithm::MlDsa65 | SignAlgorithm::MlDsa87 | SignAlgorithm::RsNull => None,
    }
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key was not opened.
    #[error("key was not opened")]
    Open(#[source] OpenError),
    /// The algorithm is one for keys of another type or curve.
    #[error("{} does not fit {key_type:?}", .algorithm.as_str())]
    Algorithm {
        /// The algorithm asked for.
        algorithm: SignAlgorithm,
        /// What the key is.
        key_type: KeyType,
    },
    /// A context or message representative is for ML-DSA alone.
    #[error("a context or external mu is for ML-DSA keys, not {key_type:?}")]
    NotMlDsa {
        /// What the key is.
        key_type: KeyType,
    },
    /// What ML-DSA is to sign cannot be.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The message is longer than [`MESSAGE_LEN_MAX`]; of RSNULL, than the modulus less 11 octets.
    #[error("message of {found} octets is too long")]
    MessageLength {
        /// Octets of the message.
        found: usize,
    },
    /// The digest is not as long as the algorithm's hash.
    #[error("digest for {} has {found} octets instead of {expected}", .algorithm.as_str())]
    DigestLength {
        /// The algorithm asked for.
        algorithm: SignAlgorithm,
        /// Octets of its hash.
        expected: usize,
        /// Octets of the digest.
        found: usize,
    },
    /// The token does not do it.
    #[error(transparent)]
    Token(Fault),
    /// The cryptographic library failed.
    #[error("cryptographic library failed")]
    Library,
}

/// Why a signature could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token does not do it.
    #[error(transparent)]
    Token(Fault),
    /// The public key is not in its canonical form.
    #[error("public key is not canonical")]
    Key(#[source] PublicKeyError),
    /// The library refuses the public key: its point is not on the curve.
    #[error("public key is refused")]
    Refused,
    /// The algorithm is one for keys of another type or curve; a symmetric key has none.
    #[error("{} does not fit {key_type:?}", .algorithm.as_str())]
    Algorithm {
        /// The algorithm asked for.
        algorithm: SignAlgorithm,
        /// What the key is; none for a symmetric one.
        key_type: Option<KeyType>,
    },
    /// The algorithm fits the key and takes its public half, not an opened key.
    #[error("{} takes the public half", .algorithm.as_str())]
    PublicHalf {
        /// The algorithm asked for.
        algorithm: SignAlgorithm,
    },
    /// A context or message representative is for ML-DSA alone.
    #[error("a context or external mu is for ML-DSA keys, not {key_type:?}")]
    NotMlDsa {
        /// What the key is.
        key_type: Option<KeyType>,
    },
    /// What ML-DSA is to sign cannot be.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The message is longer than [`MESSAGE_LEN_MAX`]; of RSNULL, than the modulus less 11 octets.
    #[error("message of {found} octets is too long")]
    MessageLength {
        /// Octets of the message.
        found: usize,
    },
    /// The digest is not as long as the algorithm's hash.
    #[error("digest for {} has {found} octets instead of {expected}", .algorithm.as_str())]
    DigestLength {
        /// The algorithm asked for.
        algorithm: SignAlgorithm,
        /// Octets of its hash.
        expected: usize,
        /// Octets of the digest.
        found: usize,
    },
}
