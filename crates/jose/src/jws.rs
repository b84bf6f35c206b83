//! JWS in compact form (RFC 7515, 3.1): parsing and verification.
//!
//! [`Unverified`] is syntax; only [`Unverified::verify`] makes a [`Verified`], whose payload may be believed as far as the
//! key's owner is believed. What the header says of keys (`jku`, `x5u`, `jwk`, `x5c`) is never followed. `crit`, `b64`,
//! `zip` and nested tokens are refused, whatever they ask for.

use crate::algorithm::Algorithm;
use crate::b64;
use crate::json::{self, Object, Value};
use crate::jwk::VerifyingKey;
use crate::limits::JwsLimits;

/// Why a text is not a JWS that holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum JwsError {
    #[error("token has {len} bytes, more than {max}")]
    TooLarge { len: usize, max: usize },
    #[error("token has {parts} parts, not 3")]
    Parts { parts: usize },
    #[error("{part} is not strict base64url")]
    NotBase64 { part: &'static str },
    #[error("{part} is not acceptable JSON")]
    Json { part: &'static str, source: json::Error },
    #[error("{part} is not a JSON object")]
    NotAnObject { part: &'static str },
    #[error("header member {0} has the wrong JSON type")]
    HeaderType(&'static str),
    #[error("header member alg is missing")]
    NoAlgorithm,
    #[error("algorithm {0:?} is not allowed")]
    Algorithm(String),
    #[error("header member {0} is not supported")]
    Unsupported(&'static str),
    #[error("header type {0:?} is not JWT")]
    Type(String),
    #[error("key {kid:?} is not for {}", .algorithm.name())]
    KeyAlgorithm { kid: String, algorithm: Algorithm },
    #[error("signature does not verify")]
    Signature,
}

/// The protected header, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
    members: Object,
}

impl Header {
    /// The signature's algorithm, one of the closed list.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key id, a name to look up and nothing else.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Every member, for those that a caller knows (`x5c` of a release JWS).
    pub fn members(&self) -> &Object {
        &self.members
    }

    fn parse(text: &str, kind: Kind<'_>, limits: &json::Limits) -> Result<Header, JwsError> {
        let members = object("header", text, limits)?;
        if let Some(name) = REFUSED_MEMBERS.into_iter().find(|name| members.get(name).is_some()) {
            return Err(JwsError::Unsupported(name));
        }
        let algorithm = string(&members, "alg")?.ok_or(JwsError::NoAlgorithm)?;
        let algorithm = Algorithm::parse(algorithm).ok_or_else(|| JwsError::Algorithm(algorithm.to_owned()))?;
        let found = string(&members, "typ")?;
        let is_expected = match kind {
            Kind::Jwt => found.is_none_or(|found| found.eq_ignore_ascii_case("JWT")),
            Kind::Explicit(kind) => found.is_some_and(|found| found.eq_ignore_ascii_case(kind)),
        };
        if !is_expected {
            return Err(JwsError::Type(found.unwrap_or_default().to_owned()));
        }
        let kid = string(&members, "kid")?.map(str::to_owned);
        Ok(Header { algorithm, kid, members })
    }
}

/// What `typ` may be (RFC 7515, 4.1.9).
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// `JWT`, or nothing.
    Jwt,
    /// This and nothing else (RFC 8725, 3.11).
    Explicit(&'a str),
}

/// A JWS whose syntax is good and whose signature has not been checked.
#[derive(Debug)]
pub struct Unverified<'a> {
    header: Header,
    claims: Object,
    signing_input: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Reads the compact form with a JSON object as payload, iff its `typ` is none or `JWT`.
    pub fn parse(token: &'a str, limits: &JwsLimits) -> Result<Unverified<'a>, JwsError> {
        Self::parse_kind(token, Kind::Jwt, limits)
    }

    /// Reads the compact form likewise, iff its `typ` is this one: one kind of token is not taken for another.
    pub fn parse_typed(token: &'a str, kind: &str, limits: &JwsLimits) -> Result<Unverified<'a>, JwsError> {
        Self::parse_kind(token, Kind::Explicit(kind), limits)
    }

    fn parse_kind(token: &'a str, kind: Kind<'_>, limits: &JwsLimits) -> Result<Unverified<'a>, JwsError> {
        if token.len() > limits.token_bytes_max {
            return Err(JwsError::TooLarge { len: token.len(), max: limits.token_bytes_max });
        }
        let parts = token.bytes().filter(|byte| *byte == b'.').count() + 1;
        let split =
            token.rsplit_once('.').and_then(|(input, signature)| Some((input, input.split_once('.')?, signature)));
        let (3, Some((signing_input, (header, payload), signature))) = (parts, split) else {
            return Err(JwsError::Parts { parts });
        };
        let header = Header::parse(header, kind, &limits.json)?;
        let claims = object("payload", payload, &limits.json)?;
        let signature = b64::decode(signature).map_err(|_| JwsError::NotBase64 { part: "signature" })?;
        Ok(Unverified { header, claims, signing_input, signature })
    }

    /// The header: says which key to look for, not that it signed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload before anybody vouches for it: good for finding the issuer's keys and for nothing else.
    pub fn claims_nobody_vouches_for(&self) -> &Object {
        &self.claims
    }

    /// Checks the signature with `key`; iff it holds the result is [`Verified`]. The caller vouches that `key` belongs to
    /// whom the token is attributed.
    pub fn verify(self, key: &VerifyingKey) -> Result<Verified, JwsError> {
        key.verify(self.header.algorithm, self.signing_input.as_bytes(), &self.signature)?;
        Ok(Verified { header: self.header, claims: self.claims })
    }
}

/// A JWS whose signature was verified.
#[derive(Debug)]
pub struct Verified {
    header: Header,
    claims: Object,
}

impl Verified {
    /// The header that was signed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload that was signed.
    pub fn claims(&self) -> &Object {
        &self.claims
    }

    /// The payload that was signed, owned.
    pub fn into_claims(self) -> Object {
        self.claims
    }
}

fn object(part: &'static str, text: &str, limits: &json::Limits) -> Result<Object, JwsError> {
    let bytes = b64::decode(text).map_err(|_| JwsError::NotBase64 { part })?;
    match json::parse(&bytes, limits).map_err(|source| JwsError::Json { part, source })? {
        Value::Object(object) => Ok(object),
        _ => Err(JwsError::NotAnObject { part }),
    }
}

fn string<'a>(members: &'a Object, name: &'static str) -> Result<Option<&'a str>, JwsError> {
    members.get(name).map(|value| value.as_str().ok_or(JwsError::HeaderType(name))).transpose()
}

/// RFC 7515, 4.1.11 (`crit`); RFC 7797 (`b64`); RFC 7516 (`zip`, `enc`); RFC 7519, 5.2 (`cty`, a nested token).
const REFUSED_MEMBERS: [&str; 5] = ["crit", "b64", "zip", "enc", "cty"];
