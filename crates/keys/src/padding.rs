//! RSA encryption schemes (RFC 8017, 7), as the cryptographic library does them: constant in time up to the verdict,
//! the private half blinded.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

/// How a text is padded to the length of a modulus.
#[derive(Clone, Copy)]
pub(crate) enum Padding {
    Pkcs1,
    OaepSha1,
    OaepSha256,
}

impl Padding {
    /// Octets that padding takes at least (RFC 8017, 7.1.1 and 7.2.1).
    pub(crate) fn overhead(self) -> usize {
        match self {
            Self::Pkcs1 => 11,
            Self::OaepSha1 => 2 * 20 + 2,
            Self::OaepSha256 => 2 * 32 + 2,
        }
    }

    fn oaep(self) -> Option<&'static OaepAlgorithm> {
        match self {
            Self::Pkcs1 => None,
            Self::OaepSha1 => Some(&OAEP_SHA1_MGF1SHA1),
            Self::OaepSha256 => Some(&OAEP_SHA256_MGF1SHA256),
        }
    }
}

/// A ciphertext as long as the modulus. Padding is drawn from the library's own generator, which takes no other.
pub(crate) fn encrypt(padding: Padding, key: PublicEncryptingKey, text: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut out = vec![0; key.key_size_bytes()];
    let len = match padding.oaep() {
        None => Pkcs1PublicEncryptingKey::new(key)?.encrypt(text, &mut out)?.len(),
        Some(oaep) => OaepPublicEncryptingKey::new(key)?.encrypt(oaep, text, &mut out, None)?.len(),
    };
    if len == out.len() { Ok(out) } else { Err(Unspecified) }
}

/// A private key as the library decrypts with it, under each scheme.
pub(crate) struct Decrypting {
    pkcs1: Pkcs1PrivateDecryptingKey,
    oaep: OaepPrivateDecryptingKey,
}

impl Decrypting {
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Unspecified> {
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8)?;
        // A clone counts references to one key.
        Ok(Self { pkcs1: Pkcs1PrivateDecryptingKey::new(key.clone())?, oaep: OaepPrivateDecryptingKey::new(key)? })
    }

    pub(crate) fn decrypt(&self, padding: Padding, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let mut text = Zeroizing::new(vec![0; self.oaep.min_output_size()]);
        let len = match padding.oaep() {
            None => self.pkcs1.decrypt(ciphertext, &mut text)?.len(),
            Some(oaep) => self.oaep.decrypt(oaep, ciphertext, &mut text, None)?.len(),
        };
        text.truncate(len);
        Ok(text)
    }
}
