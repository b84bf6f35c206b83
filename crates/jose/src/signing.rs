//! Private keys that sign tokens and release answers, and the signing itself.
//!
//! These are keys of the service, held in process memory. Keys of a vault's users never come here.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use zeroize::Zeroizing;

use crate::algorithm::{Algorithm, Family};
use crate::b64;
use crate::jwk::{JwkError, PublicKey, VerifyingKey};

/// Why a key cannot be made or cannot sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum SigningError {
    #[error("private key is not one for {}", .0.name())]
    Key(Algorithm),
    #[error("key generation failed")]
    Generation,
    #[error("signing failed")]
    Signing,
    #[error("public half")]
    Public(#[from] JwkError),
}

/// A private key of the service and the one algorithm it signs with. Cannot be printed.
pub struct SigningKey {
    algorithm: Algorithm,
    public: PublicKey,
    spki: Vec<u8>,
    inner: Inner,
}

enum Inner {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl SigningKey {
    /// Makes a new key: RSA of 2048 bits, or on the algorithm's curve.
    pub fn generate(algorithm: Algorithm) -> Result<SigningKey, SigningError> {
        let inner = match algorithm.family() {
            Family::Rsa(..) => rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map(|pair| Inner::Rsa(Box::new(pair))),
            Family::Ec(_, signing, _) => EcdsaKeyPair::generate(signing).map(|pair| Inner::Ec(Box::new(pair))),
        };
        Self::new(algorithm, inner.map_err(|_| SigningError::Generation)?)
    }

    /// Reads a PKCS#8 private key (RFC 5958).
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<SigningKey, SigningError> {
        let inner = match algorithm.family() {
            Family::Rsa(..) => RsaKeyPair::from_pkcs8(der).map(|pair| Inner::Rsa(Box::new(pair))),
            Family::Ec(_, signing, _) => EcdsaKeyPair::from_pkcs8(signing, der).map(|pair| Inner::Ec(Box::new(pair))),
        };
        Self::new(algorithm, inner.map_err(|_| SigningError::Key(algorithm))?)
    }

    /// The key as PKCS#8, to be stored under a seal.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        let der = match &self.inner {
            Inner::Rsa(pair) => pair.as_der().map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Inner::Ec(pair) => pair.to_pkcs8v1().map(|der| Zeroizing::new(der.as_ref().to_vec())),
        };
        der.map_err(|_| SigningError::Key(self.algorithm))
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public half as SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The public half, ready to verify what this key signed.
    pub fn verifying_key(&self, kid: &str) -> Result<VerifyingKey, SigningError> {
        Ok(VerifyingKey::new(kid, &self.public, Some(self.algorithm))?)
    }

    /// Signs `message`: RSA signature, or R||S for ECDSA (RFC 7518, 3.4).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        match (&self.inner, self.algorithm.family()) {
            (Inner::Rsa(pair), Family::Rsa(_, encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| SigningError::Signing)?;
                Ok(signature)
            }
            (Inner::Ec(pair), Family::Ec(..)) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| SigningError::Signing)?;
                Ok(signature.as_ref().to_vec())
            }
            _ => Err(SigningError::Key(self.algorithm)),
        }
    }

    fn new(algorithm: Algorithm, inner: Inner) -> Result<SigningKey, SigningError> {
        let spki = match &inner {
            Inner::Rsa(pair) => pair.public_key().as_der(),
            Inner::Ec(pair) => pair.public_key().as_der(),
        };
        let spki = spki.map_err(|_| SigningError::Key(algorithm))?.as_ref().to_vec();
        Ok(SigningKey { algorithm, public: PublicKey::from_spki_der(&spki)?, spki, inner })
    }
}

/// A protected header in its encoded form: made once per key, since it is the same in every token.
#[derive(Debug, Clone)]
pub struct ProtectedHeader(String);

impl ProtectedHeader {
    /// Encodes header JSON. The caller vouches that its `alg` is that of the key it will be used with.
    pub fn new(json: &str) -> ProtectedHeader {
        ProtectedHeader(b64::encode(json))
    }

    /// Signs `payload` under this header: the compact form (RFC 7515, 7.1).
    pub fn sign(&self, payload: &[u8], key: &SigningKey) -> Result<String, SigningError> {
        let mut token = String::with_capacity(self.0.len() + payload.len() / 3 * 4 + 700);
        token.push_str(&self.0);
        token.push('.');
        b64::encode_to(payload, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        b64::encode_to(signature, &mut token);
        Ok(token)
    }
}
