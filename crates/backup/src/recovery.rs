//! The private half: what opens a backup. It is kept away from servers until one is lost.

use crate::error::{ReadError, RecoveryKeyError};
use crate::format::{How, Wrapped, sha256};
use crate::recipient::{agreed_key, curve, zero_nonce};
use aws_lc_rs::aead::Aad;
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use zeroize::Zeroizing;

/// A recovery key. No Debug, no Clone; the library wipes what it holds.
pub struct RecoveryKey {
    spki: [u8; 32],
    private: Private,
}

enum Private {
    Rsa(OaepPrivateDecryptingKey),
    Ec { key: PrivateKey, how: How, point: Vec<u8> },
}

impl RecoveryKey {
    /// The key of PKCS#8 in DER, not encrypted. The caller vouches that no copy of the octets stays.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, RecoveryKeyError> {
        Self::rsa(der)
            .or_else(|_| Self::ec(How::EcdhP256, der))
            .or_else(|_| Self::ec(How::EcdhP384, der))
            .map_err(|_| RecoveryKeyError::NotAKey)
    }

    fn rsa(der: &[u8]) -> Result<Self, Unspecified> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| Unspecified)?;
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der()?;
        Ok(Self { spki: sha256(&[spki.as_ref()]), private: Private::Rsa(OaepPrivateDecryptingKey::new(key)?) })
    }

    fn ec(how: How, der: &[u8]) -> Result<Self, Unspecified> {
        let key = PrivateKey::from_private_key_der(curve(how)?, der).map_err(|_| Unspecified)?;
        let public = key.compute_public_key()?;
        let spki: PublicKeyX509Der<'_> = public.as_der()?;
        let (spki, point) = (sha256(&[spki.as_ref()]), public.as_ref().to_vec());
        Ok(Self { spki, private: Private::Ec { key, how, point } })
    }

    /// The data key that one of these recipients has for this key, and SHA-256 of its certificate.
    pub(crate) fn unwrap(&self, recipients: &[Wrapped]) -> Result<Zeroizing<[u8; 32]>, ReadError> {
        let wrapped = recipients.iter().find(|recipient| recipient.key == self.spki);
        let wrapped = wrapped.ok_or(ReadError::OtherRecoveryKey)?;
        let opened = match &self.private {
            Private::Rsa(key) if wrapped.how == How::RsaOaepSha256 => oaep(key, &wrapped.octets),
            Private::Ec { key, how, point } if wrapped.how == *how => ecdh(*how, key, point, &wrapped.octets),
            _ => Err(Unspecified),
        };
        opened.map_err(|_| ReadError::DataKey)
    }
}

fn oaep(key: &OaepPrivateDecryptingKey, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
    let opened = key.decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut room, None)?;
    data_key(opened)
}

fn ecdh(how: How, key: &PrivateKey, point: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    // Both points are uncompressed, and so of one length.
    let (ephemeral, sealed) = wrapped.split_at_checked(point.len()).ok_or(Unspecified)?;
    let peer = UnparsedPublicKey::new(curve(how)?, ephemeral);
    agreement::agree(key, peer, Unspecified, |secret| {
        let key = agreed_key(secret, ephemeral, point)?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let opened = key.open_in_place(zero_nonce(), Aad::empty(), &mut text)?;
        data_key(opened)
    })
}

fn data_key(octets: &[u8]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let mut key = Zeroizing::new([0; 32]);
    if octets.len() != key.len() {
        return Err(Unspecified);
    }
    key.copy_from_slice(octets);
    Ok(key)
}
