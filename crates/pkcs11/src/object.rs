//! Keys in a session, and what they may do.

use crate::session::Session;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};

/// A key in the token that lives as long as this value: it is destroyed when this is dropped.
pub struct Object<'s> {
    session: &'s Session<'s>,
    pub(crate) handle: ObjectHandle,
}

impl<'s> Object<'s> {
    pub(crate) fn new(session: &'s Session<'s>, handle: ObjectHandle) -> Self {
        Self { session, handle }
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.session.destroy(self.handle);
    }
}

/// What an unwrapped or given key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An RSA private key, from PKCS#8.
    Rsa,
    /// An elliptic curve private key, from PKCS#8.
    Ec,
    /// An AES key, from its octets.
    Aes,
    /// Octets that are a key of HMAC, or are wrapped.
    Generic,
}

impl Shape {
    pub(crate) fn attributes(self) -> [Attribute; 2] {
        let (class, key_type) = match self {
            Self::Rsa => (ObjectClass::PRIVATE_KEY, KeyType::RSA),
            Self::Ec => (ObjectClass::PRIVATE_KEY, KeyType::EC),
            Self::Aes => (ObjectClass::SECRET_KEY, KeyType::AES),
            Self::Generic => (ObjectClass::SECRET_KEY, KeyType::GENERIC_SECRET),
        };
        [Attribute::Class(class), Attribute::KeyType(key_type)]
    }
}

/// What a key may do while it is in a session: nothing, unless it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// It may be wrapped under another key.
    pub extractable: bool,
    /// It may be read. Only for what a caller gets in the clear anyway.
    pub readable: bool,
    /// Signatures, HMAC.
    pub sign: bool,
    /// Decryption.
    pub decrypt: bool,
    /// Encryption.
    pub encrypt: bool,
    /// Wrapping other keys.
    pub wrap: bool,
    /// Unwrapping other keys.
    pub unwrap: bool,
}

impl Use {
    pub(crate) fn of_private(self) -> Vec<Attribute> {
        let mut attributes = self.kept();
        attributes.extend([
            Attribute::Sign(self.sign),
            Attribute::Decrypt(self.decrypt),
            Attribute::Unwrap(self.unwrap),
        ]);
        attributes
    }

    pub(crate) fn of_secret(self) -> Vec<Attribute> {
        let mut attributes = self.of_private();
        attributes.extend([Attribute::Encrypt(self.encrypt), Attribute::Wrap(self.wrap)]);
        attributes
    }

    pub(crate) fn of(self, shape: Shape) -> Vec<Attribute> {
        match shape {
            Shape::Rsa | Shape::Ec => self.of_private(),
            Shape::Aes | Shape::Generic => self.of_secret(),
        }
    }

    /// A session's: gone with it at the latest.
    fn kept(self) -> Vec<Attribute> {
        vec![
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(!self.readable),
            Attribute::Extractable(self.extractable || self.readable),
        ]
    }
}
