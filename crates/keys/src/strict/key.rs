//! A key in a token, as an opened key uses it: unwrapped, used, destroyed, each time.

use super::made::{EXTRACTABLE, in_token, of_unwrap};
use super::{Blob, demand};
use crate::custody::Binding;
use crate::key_type::KeyType;
use crate::padding::Padding;
use skerry_pkcs11::{Ability, Fault, Hash, Object, Session, Shape, Token, Use, Wrapping};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What is needed to use a key in a token; nothing of it is secret.
pub(crate) struct TokenKey {
    token: Arc<Token>,
    binding: Binding,
    blob: Blob,
}

const SIGN: Use = Use { extractable: false, sign: true, ..EXTRACTABLE };
const DECRYPT: Use = Use { extractable: false, decrypt: true, ..EXTRACTABLE };
const ENCRYPT: Use = Use { extractable: false, encrypt: true, ..EXTRACTABLE };
const WRAP: Use = Use { extractable: false, wrap: true, ..EXTRACTABLE };
const UNWRAP: Use = Use { extractable: false, unwrap: true, ..EXTRACTABLE };
/// What a caller gives or gets in the clear.
const READABLE: Use = Use { readable: true, ..EXTRACTABLE };

impl TokenKey {
    pub(super) fn new(token: Arc<Token>, binding: Binding, blob: Blob) -> Self {
        Self { token, binding, blob }
    }

    pub(crate) fn sign_pkcs1(&self, octets: &[u8]) -> Result<Vec<u8>, Fault> {
        self.with(Ability::SignPkcs1, SIGN, |session, key| self.of_modulus(session.sign_pkcs1(key, octets)?))
    }

    pub(crate) fn sign_pss(&self, hash: Hash, digest: &[u8]) -> Result<Vec<u8>, Fault> {
        let sign = |session: &Session<'_>, key: &Object<'_>| self.of_modulus(session.sign_pss(key, hash, digest)?);
        self.with(Ability::SignPss(hash), SIGN, sign)
    }

    pub(crate) fn sign_ec(&self, digest: &[u8]) -> Result<Vec<u8>, Fault> {
        let KeyType::Ec { curve } = self.binding.key_type else { return Err(Fault::Malformed("key on a curve")) };
        let curve = in_token(curve);
        self.with(Ability::SignEc(curve), SIGN, |session, key| session.sign_ec(key, curve, digest))
    }

    pub(crate) fn hmac(&self, hash: Hash, octets: &[u8]) -> Result<Vec<u8>, Fault> {
        self.token.run(|session| {
            demand(session, Ability::Hmac(hash))?;
            let key = self.blob.unwrapped_as(session, &self.binding, Shape::Generic, SIGN)?;
            session.hmac(&key, hash, octets)
        })
    }

    pub(crate) fn rsa_decrypt(&self, padding: Padding, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let ability = match padding {
            Padding::Pkcs1 => Ability::DecryptPkcs1,
            Padding::OaepSha1 => Ability::DecryptOaep(Hash::Sha1),
            Padding::OaepSha256 => Ability::DecryptOaep(Hash::Sha256),
        };
        self.with(ability, DECRYPT, |session, key| match padding {
            Padding::Pkcs1 => session.decrypt_pkcs1(key, ciphertext),
            Padding::OaepSha1 => session.decrypt_oaep(key, Hash::Sha1, ciphertext),
            Padding::OaepSha256 => session.decrypt_oaep(key, Hash::Sha256, ciphertext),
        })
    }

    pub(crate) fn gcm_seal(&self, iv: [u8; 12], aad: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.with(Ability::Gcm, ENCRYPT, |session, key| session.encrypt_gcm(key, iv, aad, text))
    }

    pub(crate) fn gcm_open(&self, iv: [u8; 12], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.with(Ability::Gcm, DECRYPT, |session, key| session.decrypt_gcm(key, iv, aad, sealed))
    }

    pub(crate) fn cbc_encrypt(&self, iv: [u8; 16], blocks: &[u8]) -> Result<Vec<u8>, Fault> {
        self.with(Ability::Cbc, ENCRYPT, |session, key| session.encrypt_cbc(key, iv, blocks))
    }

    pub(crate) fn cbc_decrypt(&self, iv: [u8; 16], blocks: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.with(Ability::Cbc, DECRYPT, |session, key| session.decrypt_cbc(key, iv, blocks))
    }

    /// Wraps octets that the caller gave.
    pub(crate) fn wrap(&self, by: Wrapping, octets: &[u8]) -> Result<Vec<u8>, Fault> {
        self.with(of_unwrap(by), WRAP, |session, key| {
            demand(session, Ability::CreateSecret)?;
            if by == Wrapping::Kwp && !octets.len().is_multiple_of(8) {
                demand(session, Ability::KwpOdd)?;
            }
            let given = session.create_secret(octets, Shape::Generic, READABLE)?;
            session.wrap(by, key, &given)
        })
    }

    /// Makes a key and wraps it; nobody has seen it.
    pub(crate) fn wrap_fresh(&self, by: Wrapping) -> Result<Vec<u8>, Fault> {
        self.with(of_unwrap(by), WRAP, |session, key| session.wrap(by, key, &session.generate_aes(32, EXTRACTABLE)?))
    }

    /// Unwraps octets that the caller gets.
    pub(crate) fn unwrap(&self, by: Wrapping, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.with(of_unwrap(by), UNWRAP, |session, key| {
            let got = session.unwrap((by, key), wrapped, Shape::Generic, READABLE)?;
            session.value(&got)
        })
    }

    fn with<T>(
        &self,
        ability: Ability,
        uses: Use,
        job: impl FnOnce(&Session<'_>, &Object<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.token.run(|session| {
            demand(session, ability)?;
            let key = self.blob.unwrapped(session, &self.binding, uses)?;
            job(session, &key)
        })
    }

    fn of_modulus(&self, signature: Vec<u8>) -> Result<Vec<u8>, Fault> {
        match self.binding.key_type {
            KeyType::Rsa { bits } if signature.len() == bits.bits() / 8 => Ok(signature),
            _ => Err(Fault::Malformed("RSA signature of that size")),
        }
    }
}
