//! What the service says about its policies, signed: a result token (recorded: one hour, no `jti`, no `x-ms-ver`).

use std::sync::Arc;
use std::time::SystemTime;

use skerry_attestation_result::{IssuerUrl, unix_secs};
use skerry_jose::json::Object;
use skerry_jose::{ProtectedHeader, SigningError, SigningKey, b64};
use skerry_policy::attestation::PolicyDocument;

/// Signs results as the issuer of attestation tokens, with the same key and header.
pub struct ResultSigner {
    issuer: String,
    key: SigningKey,
    header: ProtectedHeader,
}

impl ResultSigner {
    /// The caller vouches that `kid` is published for `key` among the issuer's signing certificates.
    pub fn new(issuer: &IssuerUrl, kid: &str, key: SigningKey) -> ResultSigner {
        let issuer = issuer.as_str().to_owned();
        let header = Object::new()
            .with("alg", key.algorithm().name())
            .with("jku", format!("{}/certs", issuer.trim_end_matches('/')))
            .with("kid", kid)
            .with("typ", "JWT");
        ResultSigner { issuer, key, header: ProtectedHeader::new(&header.to_json()) }
    }

    pub(super) fn sign(&self, said: &Said, now: SystemTime) -> Result<String, SigningError> {
        let issued = unix_secs(now);
        let claims = Object::new()
            .with("exp", issued.saturating_add(RESULT_LIFETIME_SECS))
            .with("iat", issued)
            .with("iss", self.issuer.as_str())
            .with("nbf", issued);
        let claims = match said {
            Said::Policy(document) => claims.with("x-ms-policy", document.as_str()),
            Said::Default(text) => claims.with("x-ms-policy", unsigned(text)),
            Said::NoPolicy => claims.with("x-ms-policy", NO_POLICY),
            Said::Updated(document) => updated(claims, document),
            Said::Removed => claims.with("x-ms-policy-result", "Removed"),
            Said::Certificates(certificates) => {
                let keys: Vec<Object> = certificates.iter().map(|der| policy_signer(der)).collect();
                claims.with("x-ms-policy-certificates", Object::new().with("keys", keys))
            }
        };
        self.header.sign(claims.to_json().as_bytes(), &self.key)
    }
}

/// What is said in a result.
pub(super) enum Said {
    /// This document is set, octet for octet as it came.
    Policy(String),
    /// Nothing is set; this is the default.
    Default(&'static str),
    /// Nothing is set, and there is no default.
    NoPolicy,
    /// This has just been set.
    Updated(Arc<PolicyDocument>),
    /// What was set has just been removed.
    Removed,
    /// These certificates may sign policies; none where every caller may who may set one (recorded).
    Certificates(Vec<Vec<u8>>),
}

fn updated(claims: Object, document: &PolicyDocument) -> Object {
    let claims = claims.with("x-ms-policy-result", "Updated");
    let claims = match document.signer() {
        Some(signer) => claims.with("x-ms-policy-signer", signer.result()),
        None => claims,
    };
    claims.with("x-ms-policy-token-hash", document.hash())
}

fn policy_signer(der: &[u8]) -> Object {
    let x5c = vec![b64::encode_standard(der)];
    Object::new().with("alg", "RS256").with("kty", "RSA").with("use", "sig").with("x5c", x5c)
}

/// A default policy is given as if somebody had set it unsigned (recorded). This is data within a claim, never verified.
fn unsigned(text: &str) -> String {
    let policy = Object::new().with("AttestationPolicy", b64::encode(text)).to_json();
    format!("{UNSIGNED_HEADER}.{}.", b64::encode(policy))
}

/// `{"alg":"none"}`.
const UNSIGNED_HEADER: &str = "eyJhbGciOiJub25lIn0";

/// An unsigned policy without a body (recorded of the type `Tpm`).
const NO_POLICY: &str = "eyJhbGciOiJub25lIn0..";

/// Recorded: `exp - iat` of every result.
const RESULT_LIFETIME_SECS: u64 = 3_600;
