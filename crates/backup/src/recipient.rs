//! Who can recover: certificates, to whose keys the data key of a backup is wrapped.
//!
//! A certificate here is a public key that somebody wrote the name of a custodian on. Nobody above it vouches for it and none is
//! asked for: who names the file vouches. That its time is over says nothing of whether the key is still in its safe, and a
//! nightly backup that stops for it would be worse, so it is a [`Warning`]. A key that is too weak, or meant for something else,
//! is refused.

use crate::error::{RecipientError, WriteError, secs};
use crate::format::{How, Octets, Wrapped, sha256};
use crate::limits::{CERTIFICATE_LEN_MAX, RSA_BITS_MAX, RSA_BITS_MIN};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use der::asn1::UintRef;
use der::oid::ObjectIdentifier;
use der::{Decode as _, Encode as _, Sequence};
use std::time::SystemTime;
use x509_cert::Certificate;
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

/// A certificate that backups are sealed to.
pub struct Recipient {
    certificate: [u8; 32],
    key: [u8; 32],
    public: Public,
    not_before: u64,
    not_after: u64,
}

enum Public {
    Rsa(OaepPublicEncryptingKey),
    Ec { how: How, point: Vec<u8> },
}

/// What is odd about a certificate, and no reason to make no backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Its time is over; whoever keeps the key may think it of no use any more.
    Expired {
        /// When, in seconds since 1970.
        not_after: u64,
    },
    /// Its time has not begun.
    NotYet {
        /// When it does, in seconds since 1970.
        not_before: u64,
    },
}

impl Recipient {
    /// The recipient of a certificate in DER. Its signature is not looked at: who names the file vouches for it.
    pub fn from_der(der: &[u8]) -> Result<Self, RecipientError> {
        if der.len() > CERTIFICATE_LEN_MAX {
            return Err(RecipientError::NotACertificate);
        }
        let certificate = Certificate::from_der(der).map_err(|_| RecipientError::NotACertificate)?;
        let certificate = certificate.tbs_certificate();
        let spki = certificate.subject_public_key_info();
        let spki_der = spki.to_der().map_err(|_| RecipientError::NotACertificate)?;
        let point = spki.subject_public_key.as_bytes().unwrap_or_default();
        let curve = spki.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
        let public = match (spki.algorithm.oid, curve) {
            (RSA_ENCRYPTION, _) => Public::rsa(&spki_der)?,
            (EC_PUBLIC_KEY, Some(SECP256R1)) => Public::ec(How::EcdhP256, point)?,
            (EC_PUBLIC_KEY, Some(SECP384R1)) => Public::ec(How::EcdhP384, point)?,
            _ => return Err(RecipientError::KeyType),
        };
        let usage = certificate.get_extension::<KeyUsage>().map_err(|_| RecipientError::NotACertificate)?;
        public.may(usage.map(|(_, usage)| usage))?;
        let [not_before, not_after] = {
            let validity = certificate.validity();
            [validity.not_before, validity.not_after].map(|time| secs(time.to_system_time()))
        };
        Ok(Self { certificate: sha256(&[der]), key: sha256(&[&spki_der]), public, not_before, not_after })
    }

    /// SHA-256 of the certificate.
    pub fn certificate(&self) -> &[u8; 32] {
        &self.certificate
    }

    /// What is odd about it now.
    pub fn warning(&self, now: SystemTime) -> Option<Warning> {
        let (now, not_before, not_after) = (secs(now), self.not_before, self.not_after);
        match () {
            () if now > not_after => Some(Warning::Expired { not_after }),
            () if now < not_before => Some(Warning::NotYet { not_before }),
            () => None,
        }
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn wrap(&self, data_key: &[u8; 32]) -> Result<Wrapped, WriteError> {
        let (how, octets) = match &self.public {
            Public::Rsa(key) => (How::RsaOaepSha256, oaep(key, data_key)),
            Public::Ec { how, point } => (*how, ecdh(*how, point, data_key)),
        };
        let octets = octets.map_err(|_| WriteError::Library)?;
        Ok(Wrapped { certificate: self.certificate, key: self.key, how, octets })
    }
}

impl Public {
    fn rsa(spki: &[u8]) -> Result<Self, RecipientError> {
        // aws-lc takes no key below 2048 bits, so how many those have is asked of the DER.
        let bits = modulus_bits(spki).ok_or(RecipientError::NotACertificate)?;
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(RecipientError::RsaBits { bits });
        }
        let key = PublicEncryptingKey::from_der(spki).map_err(|_| RecipientError::KeyType)?;
        // One spelling: a recovery key is found by the digest of this.
        let one: PublicKeyX509Der<'_> = key.as_der().map_err(|_| RecipientError::KeyType)?;
        if one.as_ref() != spki {
            return Err(RecipientError::KeyType);
        }
        OaepPublicEncryptingKey::new(key).map(Self::Rsa).map_err(|_| RecipientError::KeyType)
    }

    /// One spelling here too, uncompressed: what is sealed to the same point written short is found by no recovery key. And a point
    /// that nothing agrees with is better known now than at night.
    fn ec(how: How, point: &[u8]) -> Result<Self, RecipientError> {
        let uncompressed = point.first() == Some(&UNCOMPRESSED);
        match uncompressed && ecdh(how, point, &[0; 32]).is_ok() {
            true => Ok(Self::Ec { how, point: point.to_vec() }),
            false => Err(RecipientError::Point),
        }
    }

    fn may(&self, usage: Option<KeyUsage>) -> Result<(), RecipientError> {
        let Some(usage) = usage else { return Ok(()) };
        let (allowed, needed) = match self {
            Self::Rsa(_) => (usage.key_encipherment(), "keyEncipherment"),
            Self::Ec { .. } => (usage.key_agreement(), "keyAgreement"),
        };
        if allowed { Ok(()) } else { Err(RecipientError::KeyUsage { needed }) }
    }
}

fn modulus_bits(spki: &[u8]) -> Option<usize> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    let key = RsaPublicKey::from_der(spki.subject_public_key.as_bytes()?).ok()?;
    let octets = key.modulus.as_bytes();
    let first = octets.first()?;
    octets.len().checked_mul(8)?.checked_sub(usize::try_from(first.leading_zeros()).ok()?)
}

/// RFC 8017, A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    _exponent: UintRef<'a>,
}

fn oaep(key: &OaepPublicEncryptingKey, data_key: &[u8; 32]) -> Result<Vec<u8>, Unspecified> {
    let mut wrapped = vec![0; key.ciphertext_size()];
    let len = key.encrypt(&OAEP_SHA256_MGF1SHA256, data_key, &mut wrapped, None)?.len();
    wrapped.truncate(len);
    Ok(wrapped)
}

/// The point of a key made for this, then the data key under what the two agree on.
fn ecdh(how: How, point: &[u8], data_key: &[u8; 32]) -> Result<Vec<u8>, Unspecified> {
    let algorithm = curve(how)?;
    let ephemeral = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new())?;
    let own = ephemeral.compute_public_key()?;
    let peer = UnparsedPublicKey::new(algorithm, point);
    agreement::agree_ephemeral(ephemeral, peer, Unspecified, |secret| {
        let key = agreed_key(secret, own.as_ref(), point)?;
        let mut text = Zeroizing::new(data_key.to_vec());
        let tag = key.seal_in_place_separate_tag(zero_nonce(), Aad::empty(), &mut text)?;
        Ok([own.as_ref(), &text, tag.as_ref()].concat())
    })
}

pub(crate) fn curve(how: How) -> Result<&'static agreement::Algorithm, Unspecified> {
    match how {
        How::EcdhP256 => Ok(&ECDH_P256),
        How::EcdhP384 => Ok(&ECDH_P384),
        How::RsaOaepSha256 => Err(Unspecified),
    }
}

/// A key that wraps once, so that one nonce is enough: both points are in it.
pub(crate) fn agreed_key(secret: &[u8], ephemeral: &[u8], point: &[u8]) -> Result<LessSafeKey, Unspecified> {
    let mut key = Zeroizing::new([0; 32]);
    let info = [b"skerry backup recipient".as_slice(), ephemeral, point];
    Salt::new(HKDF_SHA256, &[]).extract(secret).expand(&info, Octets)?.fill(key.as_mut_slice())?;
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new)
}

pub(crate) fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// SEC 1, 2.3.3.
const UNCOMPRESSED: u8 = 4;
/// RFC 3279, 2.3.1 and 2.3.5; RFC 5480, 2.1.1.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
