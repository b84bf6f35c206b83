//! The key and certificates that sign release answers, and the two forms of their JWS header.
//!
//! Real clients read the signing key from `x5c[0]` and demand RSA there, so nothing else is made. The header is the same
//! for every answer and is encoded once.

use aws_lc_rs::digest;
use skerry_jose::json::Object;
use skerry_jose::{Algorithm, JwkError, ProtectedHeader, PublicKey, SigningError, SigningKey, b64};
use x509_cert::Certificate;
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::der::{Decode as _, Encode as _};

/// Which of Azure's two services a vault is like: it decides the form of answers, and the default key types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaultKind {
    /// A key vault without HSM keys.
    Standard,
    /// A key vault that has HSM keys.
    Premium,
    /// A Managed HSM.
    ManagedHsm,
}

/// Why a key and a chain cannot sign releases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum SignerError {
    #[error("release answers are signed with RS256, not {}", .0.name())]
    Algorithm(Algorithm),
    #[error("the chain is empty")]
    NoCertificate,
    #[error("the first certificate cannot be read")]
    Certificate,
    #[error("the first certificate's key")]
    Key(#[source] JwkError),
    #[error("the first certificate is for another key")]
    KeyMismatch,
}

/// Signs release answers.
pub struct ReleaseSigner {
    key: SigningKey,
    vault: ProtectedHeader,
    managed_hsm: ProtectedHeader,
    statement: ProtectedHeader,
    chain_pem: String,
}

impl ReleaseSigner {
    /// Binds a key to its certificates: leaf first, root last, DER. Configuration vouches for the chain; that the leaf is
    /// this key's is checked.
    pub fn new(key: SigningKey, chain: &[Vec<u8>]) -> Result<ReleaseSigner, SignerError> {
        if key.algorithm() != Algorithm::Rs256 {
            return Err(SignerError::Algorithm(key.algorithm()));
        }
        let leaf = chain.first().ok_or(SignerError::NoCertificate)?;
        if leaf_key(leaf)? != *key.public() {
            return Err(SignerError::KeyMismatch);
        }
        let x5c: Vec<String> = chain.iter().map(b64::encode_standard).collect();
        let vault = ProtectedHeader::new(&vault_header(leaf, x5c.clone()).to_json());
        let managed_hsm = ProtectedHeader::new(&managed_hsm_header(leaf, x5c).to_json());
        let statement = ProtectedHeader::new(&statement_header(leaf).to_json());
        let blocks = chain.iter().map(|der| encode_string("CERTIFICATE", LineEnding::LF, der));
        let chain_pem = blocks.collect::<Result<String, _>>().map_err(|_| SignerError::Certificate)?;
        Ok(ReleaseSigner { key, vault, managed_hsm, statement, chain_pem })
    }

    /// Signs a statement about a key, under a type of its own: nobody takes it for a release, or a release for it.
    pub(crate) fn sign_statement(&self, payload: &str) -> Result<String, SigningError> {
        self.statement.sign(payload.as_bytes(), &self.key)
    }

    /// The certificates, leaf first, as PEM (RFC 7468).
    pub(crate) fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    pub(crate) fn sign(&self, kind: VaultKind, payload: &str) -> Result<String, SigningError> {
        let header = match kind {
            VaultKind::Standard | VaultKind::Premium => &self.vault,
            VaultKind::ManagedHsm => &self.managed_hsm,
        };
        header.sign(payload.as_bytes(), &self.key)
    }
}

fn leaf_key(leaf: &[u8]) -> Result<PublicKey, SignerError> {
    let leaf = Certificate::from_der(leaf).map_err(|_| SignerError::Certificate)?;
    let spki = leaf.tbs_certificate().subject_public_key_info().to_der().map_err(|_| SignerError::Certificate)?;
    PublicKey::from_spki_der(&spki).map_err(SignerError::Key)
}

/// Recorded from Azure Key Vault, api 7.3-preview: kid is the SHA-1 thumbprint in upper-case hex. SHA-1 names the
/// certificate here and protects nothing.
fn vault_header(leaf: &[u8], x5c: Vec<String>) -> Object {
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf);
    Object::new()
        .with("alg", "RS256")
        .with("kid", hex::encode_upper(sha1))
        .with("x5t", b64::encode(sha1))
        .with("typ", "JWT")
        .with("x5t#S256", sha256_thumbprint(leaf))
        .with("x5c", x5c)
}

/// Recorded from Managed HSM: kid is the SHA-256 thumbprint, no typ and no x5t.
fn managed_hsm_header(leaf: &[u8], x5c: Vec<String>) -> Object {
    let thumbprint = sha256_thumbprint(leaf);
    Object::new()
        .with("alg", "RS256")
        .with("kid", thumbprint.as_str())
        .with("x5c", x5c)
        .with("x5t#S256", thumbprint.as_str())
}

/// Our own: the certificates come beside it.
fn statement_header(leaf: &[u8]) -> Object {
    Object::new().with("alg", "RS256").with("typ", STATEMENT_TYPE).with("x5t#S256", sha256_thumbprint(leaf))
}

/// `typ` of statements about keys (RFC 8725, 3.11: each kind of token has a type of its own).
pub const STATEMENT_TYPE: &str = "skerry-key-attestation+jwt";

fn sha256_thumbprint(leaf: &[u8]) -> String {
    b64::encode(digest::digest(&digest::SHA256, leaf))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::ca::{Ca, CaError};

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::Rs256).unwrap()
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn ca() -> Ca {
        Ca::generate("test", now()).unwrap()
    }

    fn refused(key: SigningKey, chain: &[Vec<u8>]) -> SignerError {
        ReleaseSigner::new(key, chain).map(drop).unwrap_err()
    }

    /// A chain for another key, none, or one that is no certificate cannot sign; the key's own can.
    #[test]
    fn chain_must_be_that_of_the_key() {
        let (ca, own) = (ca(), key());
        let chain = ca.issue(&own, &["vault.example"], now()).unwrap();
        assert_eq!(chain.len(), 3);
        assert!(ReleaseSigner::new(own, &chain).is_ok());
        assert_eq!(refused(key(), &chain), SignerError::KeyMismatch);
        assert_eq!(refused(key(), &chain[1..]), SignerError::KeyMismatch);
        assert_eq!(refused(key(), &[]), SignerError::NoCertificate);
        assert_eq!(refused(key(), &[vec![0x30, 0]]), SignerError::Certificate);
        let ec = SigningKey::generate(Algorithm::Es256).unwrap();
        assert_eq!(refused(ec, &chain), SignerError::Algorithm(Algorithm::Es256));
    }

    /// The CA certifies RSA keys for DNS names, `host:port` among them, and nothing else.
    #[test]
    fn ca_refuses_other_keys_and_names() {
        let (ca, own) = (ca(), key());
        assert!(ca.issue(&own, &["localhost", "localhost:8443"], now()).is_ok());
        assert_eq!(ca.issue(&own, &["h\u{f6}st"], now()), Err(CaError::Name("h\u{f6}st".into())));
        let ec = SigningKey::generate(Algorithm::Es256).unwrap();
        assert_eq!(ca.issue(&ec, &["localhost"], now()), Err(CaError::LeafKey));
    }
}
