//! The document by which a policy is set or reset: a JWS, unsigned or signed by whoever sets it (attestation specification,
//! 2).
//!
//! The payload is `{"AttestationPolicy": BASE64URL(text)}`; that of a reset is empty. An unsigned document says `alg` `none`
//! and has no signature; a signed one carries its certificate, in `x5c` or within `jwk`, and `RS256`, which one of the
//! service's clients writes `RSA256` (recorded). Nothing else of a header is used; no URL in it is followed. Documents are
//! kept and given back octet for octet.

use std::sync::Arc;

use aws_lc_rs::digest;
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{Algorithm, JwkError, PublicKey, VerifyingKey, b64};

use super::{AppraisalPolicy, EvidenceType, PolicyParsingError};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_JSON, SIGNER_CERTIFICATES_MAX};

/// Why a document sets and resets nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum DocumentError {
    #[error("policy document has {len} bytes, more than {max}")]
    TooLarge { len: usize, max: usize },
    #[error("Malformed JWT: Could not find first period in the token.")]
    NoFirstPeriod,
    #[error("Malformed JWT: {parts} parts, where 3 are expected")]
    Parts { parts: usize },
    #[error("{part} is not base64url without padding")]
    NotBase64 { part: &'static str },
    #[error("{part} is not acceptable JSON")]
    Json { part: &'static str, source: json::Error },
    #[error("{part} is not a JSON object")]
    NotAnObject { part: &'static str },
    #[error("header member {0} is not supported")]
    HeaderMember(&'static str),
    #[error("algorithm {0:?} is none of none, RS256, RSA256")]
    Algorithm(String),
    #[error("no algorithm")]
    NoAlgorithm,
    #[error("an unsigned document has a signature")]
    UnsignedWithSignature,
    #[error("no certificate in x5c or jwk.x5c of the header")]
    NoCertificate,
    #[error("certificates both in x5c and in jwk")]
    CertificatesTwice,
    #[error("certificates are a list of 1 to {SIGNER_CERTIFICATES_MAX} texts of base64")]
    Certificates,
    #[error("certificate of the signer")]
    Certificate(#[source] JwkError),
    #[error("the signature does not hold")]
    Signature,
    #[error("Could not find \"AttestationPolicy\" claim in policy token")]
    NoPolicy,
    #[error("payload member {0:?} is not known")]
    PayloadMember(String),
    #[error("AttestationPolicy is not base64url of UTF-8")]
    PolicyText,
    #[error(transparent)]
    Policy(PolicyParsingError),
    #[error("a document that resets a policy has no payload")]
    ResetPayload,
    #[error("an unsigned policy is refused: this service has policy signers")]
    Unsigned,
    #[error("the policy's signer is none of this service's")]
    UnknownSigner,
}

/// Whose documents are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's, signed or not: who may set a policy is decided by the caller's identity alone (trust model AAD). A
    /// signature holds all the same, or the document is refused.
    Callers,
    /// Those that one of these keys signed, whatever else its certificate says (trust model Isolated).
    Signers(Vec<PublicKey>),
}

impl Trust {
    /// Those of these signers, by their certificates (DER): their keys count and nothing else, so that a signer is one until
    /// it is taken out of the list. Refused where one has no RSA key, with which documents are signed, and for no signer at all.
    pub fn signers(certificates: &[Vec<u8>]) -> Result<Trust, DocumentError> {
        let keys = certificates.iter().map(|der| key_of(Object::new(), vec![b64::encode_standard(der)]));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(DocumentError::Certificates) } else { Ok(Trust::Signers(keys)) }
    }

    fn check(&self, signer: Option<&Signer>) -> Result<(), DocumentError> {
        match (self, signer) {
            (Trust::Callers, _) => Ok(()),
            (Trust::Signers(_), None) => Err(DocumentError::Unsigned),
            (Trust::Signers(keys), Some(signer)) if keys.contains(&signer.key) => Ok(()),
            (Trust::Signers(_), Some(_)) => Err(DocumentError::UnknownSigner),
        }
    }
}

/// Who signed a document: a key that did, and certificates of it that nobody looked at beyond the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    key: PublicKey,
    certificates: Vec<String>,
}

impl Signer {
    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// `x-ms-policy-signer` of an attestation token (recorded: without `alg` and `use`).
    pub fn claim(&self) -> Object {
        Object::new().with("kty", "RSA").with("x5c", self.certificates.clone())
    }

    /// `x-ms-policy-signer` of the result of setting a policy (recorded).
    pub fn result(&self) -> Object {
        let certificates = self.certificates.clone();
        Object::new().with("alg", "RS256").with("kty", "RSA").with("use", "sig").with("x5c", certificates)
    }
}

/// A document that sets a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDocument {
    text: Arc<str>,
    policy: AppraisalPolicy,
    signer: Option<Signer>,
}

impl PolicyDocument {
    /// Reads a document for evidence of this type: accepts iff its form holds, its signature does where it has one, `trust`
    /// takes its signer, and its text is a policy. It may come from anyone.
    pub fn parse(kind: EvidenceType, text: &str, trust: &Trust) -> Result<PolicyDocument, DocumentError> {
        let parts = Parts::of(text)?;
        let signer = parts.signer()?;
        trust.check(signer.as_ref())?;
        let policy = AppraisalPolicy::parse(kind, &parts.policy()?).map_err(DocumentError::Policy)?;
        Ok(PolicyDocument { text: text.into(), policy, signer })
    }

    /// The document, octet for octet.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `x-ms-policy-token-hash`: base64url of SHA-256 over the document as it came (recorded). Not the policy's hash.
    pub fn hash(&self) -> String {
        b64::encode(digest::digest(&digest::SHA256, self.text.as_bytes()))
    }

    /// The policy.
    pub fn policy(&self) -> &AppraisalPolicy {
        &self.policy
    }

    /// Who signed it, if anybody did.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }
}

/// A document that resets a policy to the service's default: proof that it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset(());

impl Reset {
    /// Reads a document: accepts iff its form holds, it has no payload, its signature holds where it has one, and `trust`
    /// takes its signer.
    pub fn parse(text: &str, trust: &Trust) -> Result<Reset, DocumentError> {
        let parts = Parts::of(text)?;
        let signer = parts.signer()?;
        trust.check(signer.as_ref())?;
        if parts.payload.is_empty() { Ok(Reset(())) } else { Err(DocumentError::ResetPayload) }
    }
}

struct Parts<'a> {
    header: Object,
    payload: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Parts<'a>, DocumentError> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLarge { len: text.len(), max: DOCUMENT_BYTES_MAX });
        }
        let parts = text.split('.').count();
        let (header, _) = text.split_once('.').ok_or(DocumentError::NoFirstPeriod)?;
        let split =
            text.rsplit_once('.').and_then(|(signed, signature)| Some((signed, signed.split_once('.')?.1, signature)));
        let (3, Some((signed, payload, signature))) = (parts, split) else {
            return Err(DocumentError::Parts { parts });
        };
        let signature = b64::decode(signature).map_err(|_| DocumentError::NotBase64 { part: "signature" })?;
        let header = object("header", header)?;
        match REFUSED_MEMBERS.into_iter().find(|name| header.contains(name)) {
            Some(name) => Err(DocumentError::HeaderMember(name)),
            None => Ok(Parts { header, payload, signed, signature }),
        }
    }

    /// Who signed, iff it is said that somebody did and that holds.
    fn signer(&self) -> Result<Option<Signer>, DocumentError> {
        match self.header.get("alg").and_then(Value::as_str).ok_or(DocumentError::NoAlgorithm)? {
            "none" if self.signature.is_empty() => Ok(None),
            "none" => Err(DocumentError::UnsignedWithSignature),
            "RS256" | "RSA256" => self.verified().map(Some),
            other => Err(DocumentError::Algorithm(other.to_owned())),
        }
    }

    fn verified(&self) -> Result<Signer, DocumentError> {
        let certificates = self.certificates()?;
        // Whatever else a jwk says of the key has to be what the certificate says.
        let jwk = self.header.get("jwk").and_then(Value::as_object).cloned().unwrap_or_default();
        let key = key_of(jwk, certificates.clone())?;
        let verifying = VerifyingKey::new("", &key, Some(Algorithm::Rs256)).map_err(DocumentError::Certificate)?;
        verifying
            .verify(Algorithm::Rs256, self.signed.as_bytes(), &self.signature)
            .map_err(|_| DocumentError::Signature)?;
        Ok(Signer { key, certificates })
    }

    /// In `x5c` (recorded of two clients) or in `jwk.x5c` (of a third), never in both.
    fn certificates(&self) -> Result<Vec<String>, DocumentError> {
        let within = match self.header.get("jwk") {
            None => None,
            Some(Value::Object(jwk)) => {
                if jwk.get("kty").is_some_and(|kty| kty.as_str() != Some("RSA")) {
                    return Err(DocumentError::Certificates);
                }
                jwk.get("x5c")
            }
            Some(_) => return Err(DocumentError::Certificates),
        };
        let list = match (self.header.get("x5c"), within) {
            (Some(_), Some(_)) => return Err(DocumentError::CertificatesTwice),
            (None, None) => return Err(DocumentError::NoCertificate),
            (Some(list), None) | (None, Some(list)) => list,
        };
        let texts: Option<Vec<&str>> =
            list.as_array().map(|list| list.iter().map(Value::as_str).collect()).unwrap_or_default();
        let texts = texts.filter(|texts| (1..=SIGNER_CERTIFICATES_MAX).contains(&texts.len()));
        let texts = texts.filter(|texts| texts.iter().all(|text| b64::decode_standard(text).is_ok()));
        Ok(texts.ok_or(DocumentError::Certificates)?.into_iter().map(str::to_owned).collect())
    }

    fn policy(&self) -> Result<String, DocumentError> {
        if self.payload.is_empty() {
            return Err(DocumentError::NoPolicy);
        }
        let payload = object("payload", self.payload)?;
        let encoded = payload.get(POLICY).and_then(Value::as_str).ok_or(DocumentError::NoPolicy)?;
        if let Some((name, _)) = payload.iter().find(|(name, _)| *name != POLICY) {
            return Err(DocumentError::PayloadMember(name.to_owned()));
        }
        let text = b64::decode(encoded).map_err(|_| DocumentError::PolicyText)?;
        String::from_utf8(text).map_err(|_| DocumentError::PolicyText)
    }
}

/// The key of the first certificate, which may be of no other kind.
fn key_of(jwk: Object, certificates: Vec<String>) -> Result<PublicKey, DocumentError> {
    let jwk = jwk.with("kty", "RSA").with("x5c", certificates);
    match PublicKey::from_jwk(&jwk).map_err(DocumentError::Certificate)? {
        key @ PublicKey::Rsa(_) => Ok(key),
        _ => Err(DocumentError::Certificate(JwkError::KeyType("EC".to_owned()))),
    }
}

fn object(part: &'static str, text: &str) -> Result<Object, DocumentError> {
    let bytes = b64::decode(text).map_err(|_| DocumentError::NotBase64 { part })?;
    let value = json::parse(&bytes, &DOCUMENT_JSON).map_err(|source| DocumentError::Json { part, source })?;
    value.into_object().ok_or(DocumentError::NotAnObject { part })
}

const POLICY: &str = "AttestationPolicy";

/// RFC 7515, 4.1.11 (`crit`); RFC 7797 (`b64`); RFC 7516 (`zip`, `enc`).
const REFUSED_MEMBERS: [&str; 4] = ["crit", "b64", "zip", "enc"];
