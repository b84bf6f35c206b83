//! An opened key: material out of its seal and parsed once, so that a vault can keep it while it is used.
//!
//! It signs ([`OpenedKey::sign`]), decrypts and unwraps ([`OpenedKey::decrypt`], [`OpenedKey::unwrap`]), and where the
//! key is symmetric does the other half too. Of itself it gives nothing out.
//!
//! Deliberately not here: what a public half suffices for ([`crate::verify()`], [`crate::encrypt()`],
//! [`crate::wrap()`]), and whether a use is allowed: who keeps an opened key asks for key operations, times and
//! permissions before each use, and drops it when the key is disabled or deleted.

use crate::custody::{Binding, CustodyError, SealedMaterial, Software};
use crate::key_type::KeyType;
use crate::material::{Material, ml_dsa_signing, signing};
use crate::padding::Decrypting;
use crate::strict::TokenKey;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{EcdsaKeyPair, PqdsaKeyPair, RsaKeyPair};
use skerry_lc::PrivateKey;
use std::sync::OnceLock;

/// A key ready for use. No Debug, no Clone; the secret is wiped when it is dropped.
///
/// Made by [`Software::open_for_use`] and [`Strict::open_for_use`](crate::Strict::open_for_use) alone. Threads may share it.
pub struct OpenedKey {
    key_type: KeyType,
    pub(crate) secret: Secret,
}

/// The library wipes what it frees, these pairs with it.
pub(crate) enum Secret {
    Rsa(Box<RsaSecret>),
    Ec(Box<EcdsaKeyPair>),
    Oct(Material),
    Akp(Box<AkpSecret>),
    /// Not here: unwrapped in the token for each use.
    Token(Box<TokenKey>),
}

impl Software {
    /// Opens a record for use, iff it opens under this binding and holds a key of its type.
    ///
    /// The caller vouches that the binding is what the key's head says.
    pub fn open_for_use(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<OpenedKey, OpenError> {
        let material = self.open(sealed, binding).map_err(OpenError::Custody)?;
        let secret = parsed(binding.key_type, material).map_err(|_| OpenError::Material)?;
        Ok(OpenedKey { key_type: binding.key_type, secret })
    }
}

impl OpenedKey {
    /// What the key is.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Whether a token holds it, so that each use is a few calls there.
    pub fn is_in_token(&self) -> bool {
        matches!(self.secret, Secret::Token(_))
    }

    pub(crate) fn in_token(key_type: KeyType, key: TokenKey) -> OpenedKey {
        OpenedKey { key_type, secret: Secret::Token(Box::new(key)) }
    }
}

fn parsed(key_type: KeyType, material: Material) -> Result<Secret, Unspecified> {
    let pkcs8 = material.expose();
    match key_type {
        KeyType::Rsa { .. } => Ok(Secret::Rsa(Box::new(RsaSecret::from_pkcs8(pkcs8)?))),
        KeyType::Ec { curve } => Ok(Secret::Ec(Box::new(EcdsaKeyPair::from_pkcs8(signing(curve), pkcs8)?))),
        KeyType::Oct { bits } if pkcs8.len() == bits.bits() / 8 => Ok(Secret::Oct(material)),
        KeyType::Oct { .. } => Err(Unspecified),
        KeyType::Akp { set } => {
            let pair = PqdsaKeyPair::from_pkcs8(ml_dsa_signing(set), pkcs8).map_err(|_| Unspecified)?;
            Ok(Secret::Akp(Box::new(AkpSecret { pair, raw: OnceLock::new() })))
        }
    }
}

/// An RSA key pair. The library has one type for signing and others for decrypting and for signing without a DigestInfo, and
/// checks a whole key for each, so the others are made when they are first asked for.
pub(crate) struct RsaSecret {
    pub(crate) pair: RsaKeyPair,
    decrypting: OnceLock<Decrypting>,
    raw: OnceLock<PrivateKey>,
}

/// An ML-DSA key pair, and likewise the same for signing with more than a message.
pub(crate) struct AkpSecret {
    pub(crate) pair: PqdsaKeyPair,
    raw: OnceLock<PrivateKey>,
}

impl AkpSecret {
    pub(crate) fn raw(&self) -> Result<&PrivateKey, Unspecified> {
        kept(&self.raw, || PrivateKey::from_pkcs8(self.pair.to_pkcs8v1()?.as_ref()).map_err(|_| Unspecified))
    }
}

fn kept<T>(place: &OnceLock<T>, make: impl FnOnce() -> Result<T, Unspecified>) -> Result<&T, Unspecified> {
    if let Some(made) = place.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(place.get_or_init(|| made))
}

impl RsaSecret {
    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Unspecified> {
        Ok(Self { pair: RsaKeyPair::from_pkcs8(pkcs8)?, decrypting: OnceLock::new(), raw: OnceLock::new() })
    }

    pub(crate) fn decrypting(&self) -> Result<&Decrypting, Unspecified> {
        kept(&self.decrypting, || Decrypting::from_pkcs8(self.pkcs8()?.as_ref()))
    }

    pub(crate) fn raw(&self) -> Result<&PrivateKey, Unspecified> {
        kept(&self.raw, || PrivateKey::from_pkcs8(self.pkcs8()?.as_ref()).map_err(|_| Unspecified))
    }

    fn pkcs8(&self) -> Result<Pkcs8V1Der<'static>, Unspecified> {
        self.pair.as_der()
    }
}

/// Why no key was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The material does not open.
    #[error("material does not open")]
    Custody(#[source] CustodyError),
    /// The material opened, and is no key of its type.
    #[error("material is no key of its type")]
    Material,
}
