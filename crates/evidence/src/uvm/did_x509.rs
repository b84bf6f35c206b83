//! did:x509, version 0 (github.com/microsoft/did-x509, specification.md): names a CA by fingerprint
//! and a leaf by policies.
//!
//! An identifier is resolved against a chain whose links somebody else verified: the fingerprint
//! must be that of a certificate above the leaf, and every policy must hold of the leaf. Nothing
//! here makes a DID document, and nothing is fetched. Fragments, queries and paths are no part of
//! an issuer and are refused.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::ObjectIdentifier;
use der::{Decode, Tag};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};
use x509_cert::name::Name;

use super::limits::{DID_BYTES_MAX, DID_POLICIES_MAX};
use crate::x509::{Certificate, EXTENDED_KEY_USAGE};

/// Why a did:x509 identifier is malformed, or does not name the leaf of a chain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DidError {
    /// Longer than [`DID_BYTES_MAX`].
    #[error("{len} bytes, at most {max}")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Another DID method than x509.
    #[error("not did:x509")]
    Method,
    /// Another version than 0.
    #[error("unknown version of did:x509")]
    Version,
    /// A fingerprint of another hash than SHA-256, SHA-384 or SHA-512.
    #[error("unknown fingerprint algorithm")]
    FingerprintAlgorithm,
    /// A fingerprint that is not unpadded base64url of the length of its hash.
    #[error("malformed fingerprint")]
    Fingerprint,
    /// No policy: the identifier would name every leaf of the CA.
    #[error("no policy")]
    NoPolicy,
    /// More policies than [`DID_POLICIES_MAX`].
    #[error("{found} policies, at most {max}")]
    TooManyPolicies {
        /// Policies found.
        found: usize,
        /// Policies allowed.
        max: usize,
    },
    /// A policy of an unknown name.
    #[error("policy {index} is unknown")]
    UnknownPolicy {
        /// Its place, from 0.
        index: usize,
    },
    /// A policy whose value has not the shape its name demands.
    #[error("policy {index} is malformed")]
    MalformedPolicy {
        /// Its place, from 0.
        index: usize,
    },
    /// A value with a character that must be percent-encoded, a broken escape, or no UTF-8.
    #[error("policy {index} is not percent-encoded")]
    PercentEncoding {
        /// Its place, from 0.
        index: usize,
    },
    /// No certificate above the leaf has the fingerprint.
    #[error("no certificate above the leaf has the fingerprint")]
    NoSuchCertificate,
    /// A policy does not hold of the leaf.
    #[error("policy {index} does not hold of the leaf")]
    PolicyUnmet {
        /// Its place, from 0.
        index: usize,
    },
    /// The leaf's extension that a policy speaks of is malformed.
    #[error("extension for policy {index} is malformed")]
    MalformedExtension {
        /// Its place, from 0.
        index: usize,
    },
}

/// A parsed did:x509 identifier; syntax only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DidX509 {
    hash: FingerprintHash,
    fingerprint: Vec<u8>,
    policies: Vec<Policy>,
}

impl DidX509 {
    /// Parses `did:x509:0:<hash>:<fingerprint>::<policy>:<value>[::<policy>:<value>...]`;
    /// everything else is refused.
    pub fn parse(did: &str) -> Result<Self, DidError> {
        if did.len() > DID_BYTES_MAX {
            return Err(DidError::TooLong { len: did.len(), max: DID_BYTES_MAX });
        }
        let rest = did.strip_prefix("did:x509:").ok_or(DidError::Method)?;
        let rest = rest.strip_prefix("0:").ok_or(DidError::Version)?;
        let (authority, policies) = rest.split_once("::").ok_or(DidError::NoPolicy)?;
        let (hash, fingerprint) = authority.split_once(':').ok_or(DidError::Fingerprint)?;
        let hash = FingerprintHash::named(hash)?;
        Ok(Self { hash, fingerprint: hash.decode(fingerprint)?, policies: parse_policies(policies)? })
    }

    /// The place of the first certificate above the leaf that has the fingerprint. `chain` is leaf first.
    pub(super) fn anchor(&self, chain: &[Certificate]) -> Result<usize, DidError> {
        let mut above = chain.iter().enumerate().skip(1);
        let found = above.find(|(_, cert)| self.hash.digest(cert.der()).as_ref() == self.fingerprint);
        found.map(|(index, _)| index).ok_or(DidError::NoSuchCertificate)
    }

    /// Checks every policy against the leaf, whose chain the caller has verified.
    pub(super) fn check_leaf(&self, leaf: &Certificate) -> Result<(), DidError> {
        for (index, policy) in self.policies.iter().enumerate() {
            match policy.holds(leaf) {
                Ok(true) => {}
                Ok(false) => return Err(DidError::PolicyUnmet { index }),
                Err(_) => return Err(DidError::MalformedExtension { index }),
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FingerprintHash {
    Sha256,
    Sha384,
    Sha512,
}

impl FingerprintHash {
    fn named(name: &str) -> Result<Self, DidError> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DidError::FingerprintAlgorithm),
        }
    }

    fn decode(self, text: &str) -> Result<Vec<u8>, DidError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| DidError::Fingerprint)?;
        if bytes.len() != self.algorithm().output_len() {
            return Err(DidError::Fingerprint);
        }
        Ok(bytes)
    }

    fn digest(self, der: &[u8]) -> digest::Digest {
        digest::digest(self.algorithm(), der)
    }

    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Policy {
    Eku(ObjectIdentifier),
    Subject(Vec<(ObjectIdentifier, String)>),
    San(SanType, String),
    FulcioIssuer(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SanType {
    Email,
    Dns,
    Uri,
}

impl Policy {
    fn parse(index: usize, policy: &str) -> Result<Self, DidError> {
        let malformed = DidError::MalformedPolicy { index };
        let (name, value) = policy.split_once(':').unwrap_or((policy, ""));
        match name {
            "eku" => oid(value).map(Self::Eku).ok_or(malformed),
            "subject" => subject(index, value).map(Self::Subject),
            "san" => san(index, value),
            "fulcio-issuer" => decoded(index, value).map(|host| Self::FulcioIssuer(format!("https://{host}"))),
            _ => Err(DidError::UnknownPolicy { index }),
        }
    }

    fn holds(&self, leaf: &Certificate) -> der::Result<bool> {
        match self {
            Self::Eku(oid) => {
                let usage = decode::<ExtendedKeyUsage>(leaf, EXTENDED_KEY_USAGE)?;
                Ok(usage.is_some_and(|usage| usage.0.contains(oid)))
            }
            Self::Subject(wanted) => {
                let subject = Name::from_der(leaf.subject().der())?;
                Ok(wanted.iter().all(|(oid, value)| subject_is(&subject, oid, value)))
            }
            Self::San(kind, value) => {
                let names = decode::<SubjectAltName>(leaf, SUBJECT_ALT_NAME)?;
                Ok(names.is_some_and(|names| names.0.iter().any(|name| kind.matches(name, value))))
            }
            Self::FulcioIssuer(issuer) => {
                Ok(leaf.extension(FULCIO_ISSUER).is_some_and(|found| found == issuer.as_bytes()))
            }
        }
    }
}

impl SanType {
    fn matches(self, name: &GeneralName, value: &str) -> bool {
        match (self, name) {
            (Self::Email, GeneralName::Rfc822Name(found)) => found.as_str() == value,
            (Self::Dns, GeneralName::DnsName(found)) => found.as_str() == value,
            (Self::Uri, GeneralName::UniformResourceIdentifier(found)) => found.as_str() == value,
            _ => false,
        }
    }
}

fn parse_policies(policies: &str) -> Result<Vec<Policy>, DidError> {
    if policies.is_empty() {
        return Err(DidError::NoPolicy);
    }
    let found = policies.split("::").count();
    if found > DID_POLICIES_MAX {
        return Err(DidError::TooManyPolicies { found, max: DID_POLICIES_MAX });
    }
    policies.split("::").enumerate().map(|(index, policy)| Policy::parse(index, policy)).collect()
}

/// A dotted OID in its only spelling.
fn oid(text: &str) -> Option<ObjectIdentifier> {
    let oid = ObjectIdentifier::new(text).ok()?;
    (oid.to_string() == text).then_some(oid)
}

fn subject(index: usize, value: &str) -> Result<Vec<(ObjectIdentifier, String)>, DidError> {
    let malformed = DidError::MalformedPolicy { index };
    let mut wanted: Vec<(ObjectIdentifier, String)> = Vec::new();
    let mut parts = value.split(':');
    while let Some(key) = parts.next() {
        let Some(value) = parts.next() else {
            return Err(malformed);
        };
        let Some(oid) = attribute(key) else {
            return Err(malformed);
        };
        if wanted.iter().any(|(other, _)| *other == oid) {
            return Err(malformed);
        }
        wanted.push((oid, decoded(index, value)?));
    }
    Ok(wanted)
}

fn attribute(key: &str) -> Option<ObjectIdentifier> {
    ATTRIBUTES.iter().find(|(name, _)| *name == key).map(|(_, oid)| *oid).or_else(|| oid(key))
}

fn san(index: usize, value: &str) -> Result<Policy, DidError> {
    let malformed = DidError::MalformedPolicy { index };
    let Some((kind, value)) = value.split_once(':') else {
        return Err(malformed);
    };
    let Some((_, kind)) = SAN_TYPES.iter().find(|(name, _)| *name == kind) else {
        return Err(malformed);
    };
    Ok(Policy::San(*kind, decoded(index, value)?))
}

/// One or more of ALPHA, DIGIT, "-", ".", "_" and complete escapes, which together are UTF-8.
fn decoded(index: usize, text: &str) -> Result<String, DidError> {
    if text.is_empty() {
        return Err(DidError::MalformedPolicy { index });
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => escape(&mut rest).ok_or(DidError::PercentEncoding { index })?,
            b'-' | b'.' | b'_' => byte,
            _ if byte.is_ascii_alphanumeric() => byte,
            _ => return Err(DidError::PercentEncoding { index }),
        });
    }
    String::from_utf8(bytes).map_err(|_| DidError::PercentEncoding { index })
}

fn escape(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice([rest.next()?, rest.next()?], &mut byte).ok()?;
    byte.first().copied()
}

/// Exactly one attribute of the type, with exactly this text: of two, nobody knows which one is meant.
fn subject_is(subject: &Name, oid: &ObjectIdentifier, value: &str) -> bool {
    let mut found = subject.iter().filter(|attribute| attribute.oid == *oid);
    let only = (found.next(), found.next());
    matches!(only, (Some(attribute), None) if attribute_text(attribute) == Some(value))
}

fn attribute_text(attribute: &AttributeTypeAndValue) -> Option<&str> {
    match attribute.value.header().tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => std::str::from_utf8(attribute.value.value()).ok(),
        _ => None,
    }
}

fn decode<'a, T: Decode<'a, Error = der::Error>>(
    leaf: &'a Certificate,
    oid: ObjectIdentifier,
) -> der::Result<Option<T>> {
    leaf.extension(oid).map(T::from_der).transpose()
}

/// The short names of the specification ("subject" policy); others are written as OIDs. RFC 5280, A.1.
const ATTRIBUTES: [(&str, ObjectIdentifier); 7] = [
    ("CN", ObjectIdentifier::new_unwrap("2.5.4.3")),
    ("L", ObjectIdentifier::new_unwrap("2.5.4.7")),
    ("ST", ObjectIdentifier::new_unwrap("2.5.4.8")),
    ("O", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("OU", ObjectIdentifier::new_unwrap("2.5.4.11")),
    ("C", ObjectIdentifier::new_unwrap("2.5.4.6")),
    ("STREET", ObjectIdentifier::new_unwrap("2.5.4.9")),
];

const SAN_TYPES: [(&str, SanType); 3] = [("email", SanType::Email), ("dns", SanType::Dns), ("uri", SanType::Uri)];

/// RFC 5280, 4.2.1.6.
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// Fulcio, oid-info.md: the issuer, as bare text.
const FULCIO_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
