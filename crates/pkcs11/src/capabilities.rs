//! What a token does, as its self-test found out.

use crate::error::Fault;
use crate::mechanism::{Curve, Hash};
use std::collections::BTreeMap;

/// Something that a token does, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // `as_str` says what each is
pub enum Ability {
    GenerateAes,
    GenerateRsa,
    GenerateEc(Curve),
    CreateSecret,
    Kw,
    Kwp,
    KwpOdd,
    KwpPrivate,
    Unextractable,
    WrapOaep(Hash),
    UnwrapOaep(Hash),
    DecryptOaep(Hash),
    DecryptPkcs1,
    SignPkcs1,
    SignPss(Hash),
    SignEc(Curve),
    Hmac(Hash),
    Gcm,
    Cbc,
    MlDsa,
}

impl Ability {
    /// What it is, as a person says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GenerateAes => "AES key generation",
            Self::GenerateRsa => "RSA key generation",
            Self::GenerateEc(Curve::P256) => "key generation on P-256",
            Self::GenerateEc(Curve::P384) => "key generation on P-384",
            Self::GenerateEc(Curve::P521) => "key generation on P-521",
            Self::GenerateEc(Curve::P256K) => "key generation on secp256k1",
            Self::CreateSecret => "secret keys from given octets",
            Self::Kw => "AES key wrap (RFC 3394)",
            Self::Kwp => "AES key wrap with padding (RFC 5649)",
            Self::KwpOdd => "the same of octets that are not whole blocks of eight",
            Self::KwpPrivate => "the same of private keys, with nothing behind their PKCS#8",
            Self::Unextractable => "unwrapping to CKA_EXTRACTABLE=false",
            Self::WrapOaep(Hash::Sha1) => "RSA-OAEP key wrapping with SHA-1",
            Self::WrapOaep(Hash::Sha256) => "RSA-OAEP key wrapping with SHA-256",
            Self::WrapOaep(Hash::Sha384) => "RSA-OAEP key wrapping with SHA-384",
            Self::WrapOaep(Hash::Sha512) => "RSA-OAEP key wrapping with SHA-512",
            Self::UnwrapOaep(Hash::Sha1) => "RSA-OAEP key unwrapping with SHA-1",
            Self::UnwrapOaep(Hash::Sha256) => "RSA-OAEP key unwrapping with SHA-256",
            Self::UnwrapOaep(Hash::Sha384) => "RSA-OAEP key unwrapping with SHA-384",
            Self::UnwrapOaep(Hash::Sha512) => "RSA-OAEP key unwrapping with SHA-512",
            Self::DecryptOaep(Hash::Sha1) => "RSA-OAEP decryption with SHA-1",
            Self::DecryptOaep(Hash::Sha256) => "RSA-OAEP decryption with SHA-256",
            Self::DecryptOaep(Hash::Sha384) => "RSA-OAEP decryption with SHA-384",
            Self::DecryptOaep(Hash::Sha512) => "RSA-OAEP decryption with SHA-512",
            Self::DecryptPkcs1 => "RSA PKCS#1 v1.5 decryption",
            Self::SignPkcs1 => "RSA PKCS#1 v1.5 signatures",
            Self::SignPss(Hash::Sha1) => "RSA-PSS signatures with SHA-1",
            Self::SignPss(Hash::Sha256) => "RSA-PSS signatures with SHA-256",
            Self::SignPss(Hash::Sha384) => "RSA-PSS signatures with SHA-384",
            Self::SignPss(Hash::Sha512) => "RSA-PSS signatures with SHA-512",
            Self::SignEc(Curve::P256) => "ECDSA on P-256",
            Self::SignEc(Curve::P384) => "ECDSA on P-384",
            Self::SignEc(Curve::P521) => "ECDSA on P-521",
            Self::SignEc(Curve::P256K) => "ECDSA on secp256k1",
            Self::Hmac(Hash::Sha1) => "HMAC with SHA-1",
            Self::Hmac(Hash::Sha256) => "HMAC with SHA-256",
            Self::Hmac(Hash::Sha384) => "HMAC with SHA-384",
            Self::Hmac(Hash::Sha512) => "HMAC with SHA-512",
            Self::Gcm => "AES-GCM",
            Self::Cbc => "AES-CBC",
            Self::MlDsa => "ML-DSA",
        }
    }
}

/// Which number of a mechanism does RFC 5649.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kwp {
    /// CKM_AES_KEY_WRAP_KWP, 0x210B: the standard's (PKCS#11 v3.0).
    Standard,
    /// CKM_AES_KEY_WRAP_PAD, 0x210A, which PKCS#11 v3.0 takes for something else: SoftHSM's.
    Pad,
}

impl Kwp {
    /// The mechanism's name and number.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "CKM_AES_KEY_WRAP_KWP (0x210B)",
            Self::Pad => "CKM_AES_KEY_WRAP_PAD (0x210A)",
        }
    }
}

/// What a token does, found out by doing it and comparing with what this process computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub(crate) found: BTreeMap<Ability, Result<(), Fault>>,
    pub(crate) kwp: Option<Kwp>,
}

impl Capabilities {
    /// Nothing, iff the token does it.
    pub fn demand(&self, ability: Ability) -> Result<(), Fault> {
        match self.found.get(&ability) {
            Some(Ok(())) => Ok(()),
            _ => Err(Fault::Unsupported(ability)),
        }
    }

    /// All that was tried, in order, with what came of it.
    pub fn iter(&self) -> impl Iterator<Item = (Ability, Result<(), Fault>)> {
        self.found.iter().map(|(ability, found)| (*ability, *found))
    }

    /// Which mechanism does RFC 5649, if one does.
    pub fn kwp(&self) -> Option<Kwp> {
        self.kwp
    }
}
