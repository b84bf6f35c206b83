//! A vault's statements about its keys: believed after the checks that a release is believed after.
//!
//! They are the vault's own word, signed under the certificate that it signs releases under. What they say of custody is read
//! and shown, and proves nothing of hardware.

use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use skerry_attestation_result::unix_secs;
use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm, JwsError, Unverified, VerifyingKey, b64};

use crate::limits;
use crate::release::{ReleaseAnswerError, Roots, check_host, is_version_of, trusted_leaf};

/// `typ` of a statement.
pub const STATEMENT_TYPE: &str = "skerry-key-attestation+jwt";

/// Which key was asked about, and where.
#[derive(Debug, Clone, Copy)]
pub struct StatementAsked<'a> {
    /// Host name of the vault, without port.
    pub host: &'a str,
    /// Key identifier as addressed, with or without version: `https://host[:port]/keys/name[/version]`.
    pub kid: &'a str,
}

/// A statement that holds: the vault said this of the key that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement {
    /// The key identifier, with version.
    pub kid: String,
    /// RFC 7638 thumbprint of the public half; none of a symmetric key.
    pub thumbprint: Option<String>,
    /// `generated`, `imported` or `unknown`.
    pub origin: String,
    /// Who holds the private half, as the vault says: `software`.
    pub custody: String,
    /// Whether the key may be released.
    pub exportable: bool,
    /// Whether its release policy is fixed for good.
    pub policy_immutable: bool,
    /// When this was said, in seconds since the epoch.
    pub issued_at: u64,
}

/// Why a statement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum StatementError {
    #[error(transparent)]
    Certificates(#[from] ReleaseAnswerError),
    #[error("statement")]
    Jws(#[from] JwsError),
    #[error("it was signed under another certificate")]
    OtherCertificate,
    #[error("member {0} is missing or malformed")]
    Member(&'static str),
    #[error("it is about key {seen}, asked about {asked}")]
    Key { asked: String, seen: String },
    #[error("it is of {issued_at}, later than now, {now}")]
    Future { issued_at: u64, now: u64 },
    #[error("the public half in it has another thumbprint")]
    Thumbprint,
}

impl VerifiedStatement {
    /// Checks a statement, with the certificates that came beside it (PEM, leaf first), for the key that was asked about. `now`
    /// is the caller's clock.
    pub fn verify(
        statement: &str,
        certificates: &[u8],
        asked: &StatementAsked<'_>,
        roots: &Roots,
        now: SystemTime,
    ) -> Result<VerifiedStatement, StatementError> {
        let chain = chain(certificates)?;
        let (leaf, _) = trusted_leaf(&chain, asked.host, roots, now)?;
        check_host(asked.host, asked.kid)?;
        // A release of the same key has another type, and so has everything else that this certificate may sign.
        let unverified = Unverified::parse_typed(statement, STATEMENT_TYPE, &limits::jws())?;
        check_header(unverified.header().members(), &chain)?;
        let key = VerifyingKey::new("pem", &leaf, Some(Algorithm::Rs256)).map_err(ReleaseAnswerError::LeafKey)?;
        let claims = unverified.verify(&key)?.into_claims();
        Self::read(&claims, asked, unix_secs(now))
    }

    fn read(claims: &Object, asked: &StatementAsked<'_>, now: u64) -> Result<VerifiedStatement, StatementError> {
        let kid = text(claims, "kid")?;
        if !is_version_of(kid, asked.kid) {
            return Err(StatementError::Key { asked: asked.kid.to_owned(), seen: kid.to_owned() });
        }
        let issued_at = claims.get("iat").and_then(Value::as_u64).ok_or(StatementError::Member("iat"))?;
        if issued_at > now.saturating_add(SKEW_SECS) {
            return Err(StatementError::Future { issued_at, now });
        }
        let thumbprint = claims.get("jkt").map(|_| text(claims, "jkt").map(str::to_owned)).transpose()?;
        if let Some(jwk) = claims.get("jwk") {
            let jwk = jwk.as_object().ok_or(StatementError::Member("jwk"))?;
            let own = b64::encode(digest::digest(&digest::SHA256, jwk.to_json().as_bytes()));
            if thumbprint.as_deref() != Some(own.as_str()) {
                return Err(StatementError::Thumbprint);
            }
        }
        Ok(VerifiedStatement {
            kid: kid.to_owned(),
            thumbprint,
            origin: text(claims, "origin")?.to_owned(),
            custody: text(claims, "custody")?.to_owned(),
            exportable: flag(claims, "exportable")?,
            policy_immutable: flag(claims, "policy_immutable")?,
            issued_at,
        })
    }
}

fn chain(certificates: &[u8]) -> Result<Vec<Vec<u8>>, StatementError> {
    let blocks = CertificateDer::pem_slice_iter(certificates).take(limits::CERTIFICATES_MAX + 1);
    let chain: Vec<Vec<u8>> = blocks
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| ReleaseAnswerError::Chain)?;
    match (1..=limits::CERTIFICATES_MAX).contains(&chain.len()) {
        true => Ok(chain),
        false => Err(ReleaseAnswerError::Chain.into()),
    }
}

fn check_header(header: &Object, chain: &[Vec<u8>]) -> Result<(), StatementError> {
    let leaf = chain.first().ok_or(ReleaseAnswerError::Chain)?;
    let own = b64::encode(digest::digest(&digest::SHA256, leaf));
    match header.get("x5t#S256").and_then(Value::as_str) == Some(own.as_str()) {
        true => Ok(()),
        false => Err(StatementError::OtherCertificate),
    }
}

fn text<'a>(claims: &'a Object, name: &'static str) -> Result<&'a str, StatementError> {
    claims.get(name).and_then(Value::as_str).ok_or(StatementError::Member(name))
}

fn flag(claims: &Object, name: &'static str) -> Result<bool, StatementError> {
    claims.get(name).and_then(Value::as_bool).ok_or(StatementError::Member(name))
}

/// As for all tokens here.
const SKEW_SECS: u64 = 60;
