//! UVM endorsements of Confidential ACI: a COSE_Sign1 in which the maker of the utility VM vouches
//! for its launch measurement.
//!
//! ```text
//! bytes -> Endorsement            syntax only, bounded
//!       -> AuthenticEndorsement   signature, certificate chain and did:x509 issuer verified
//!       -> VerifiedEndorsement    issuer, feed and security version on the trust list; carries the measurement
//! ```
//!
//! Authentic is not trusted: anybody can be an authentic issuer of their own. That the measurement
//! is the report's is for whoever holds the report. Deliberately not here: ledger receipts, RFC
//! 3161 time stamps, revocation, and the preimage of a hash envelope.

mod chain;
mod cose;
mod did_x509;
pub mod limits;
mod payload;
#[cfg(test)]
mod testpki;
#[cfg(test)]
mod tests;
mod trust;

use std::time::SystemTime;

pub use chain::ChainError;
pub use cose::{Algorithm, CoseError, Label};
pub use did_x509::{DidError, DidX509};
pub use payload::PayloadError;
pub use trust::{MICROSOFT_FEED, MICROSOFT_ISSUER, MICROSOFT_SVN_MIN, TrustList};

use crate::anchors::Provenance;
use crate::x509::{self, Budget, Certificate, X509Error};
use cose::{Headers, Sign1};
use payload::Payload;

/// Why an endorsement is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UvmError {
    /// Not the COSE object that is expected, or its signature fails.
    #[error("cose object")]
    Cose(#[source] CoseError),
    /// The certificates do not lead from the leaf to the last of them.
    #[error("certificate chain")]
    Chain(#[source] ChainError),
    /// The issuer is no did:x509, or does not name the leaf.
    #[error("issuer")]
    Did(#[source] DidError),
    /// x5t is not the digest of the leaf (RFC 9360, 2).
    #[error("x5t is not the digest of the leaf")]
    X5t,
    /// The leaf's public key is of no supported kind.
    #[error("key of the leaf")]
    LeafKey(#[source] X509Error),
    /// No signature check is left for this caller.
    #[error("budget of signature checks is spent")]
    BudgetExhausted,
    /// Authentic, but nobody trusts the issuer.
    #[error("issuer {issuer} is not on the trust list")]
    UnknownIssuer {
        /// The did:x509 identifier.
        issuer: String,
    },
    /// The issuer is trusted, for other feeds.
    #[error("feed {feed:?} is not on the trust list")]
    UnknownFeed {
        /// The feed.
        feed: String,
    },
    /// A rollback: older than the trust list allows.
    #[error("security version {svn} is below {svn_min}")]
    SvnBelowMinimum {
        /// The version endorsed.
        svn: u64,
        /// The lowest accepted.
        svn_min: u64,
    },
    /// The version of the header is not the version of the payload.
    #[error("security version {header} in the header, {payload} in the payload")]
    SvnConflict {
        /// The claim `svn`.
        header: u64,
        /// The member of the payload.
        payload: u64,
    },
    /// A hash envelope (label 258): the payload is a digest, and what it is a digest of is not at hand.
    #[error("payload is a digest of something detached")]
    DetachedPayload,
    /// A payload of another type than `application/json`.
    #[error("content type {found:?} is not application/json")]
    ContentType {
        /// The type, if one is named.
        found: Option<String>,
    },
    /// The payload is not the object expected.
    #[error("payload")]
    Payload(#[source] PayloadError),
}

/// How the validity of certificates is judged. No clock is asked either way: leaves live one year,
/// and endorsements of running utility VMs are older.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CertificateTime {
    /// At the time the signer claims to have signed (`signingtime`, or claim `iat`); an endorsement
    /// without one is not judged. The claim is protected but the signer's own, so this finds
    /// mistakes, not malice.
    #[default]
    AtSigning,
    /// Not at all, as CCF does.
    Ignored,
}

/// A parsed endorsement. Nothing in it is authentic; what it says of itself is not shown before it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endorsement {
    sign1: Sign1,
    chain: Vec<Certificate>,
    issuer: DidX509,
    certificate_time: CertificateTime,
}

impl Endorsement {
    /// Parses one tagged COSE_Sign1 (RFC 9052, 4.2) of at most [`limits::COSE_BYTES_MAX`] bytes,
    /// its certificates and issuer.
    pub fn parse(bytes: &[u8]) -> Result<Self, UvmError> {
        let sign1 = Sign1::parse(bytes).map_err(UvmError::Cose)?;
        let chain = chain::parse(&sign1.headers.chain).map_err(UvmError::Chain)?;
        let issuer = DidX509::parse(&sign1.headers.issuer).map_err(UvmError::Did)?;
        Ok(Self { sign1, chain, issuer, certificate_time: CertificateTime::default() })
    }

    /// Judges certificates by another time.
    #[must_use]
    pub fn with_certificate_time(self, certificate_time: CertificateTime) -> Self {
        Self { certificate_time, ..self }
    }

    /// Receipts in the unprotected header (label 394). They are neither signed over nor verified here.
    pub fn receipts(&self) -> usize {
        self.sign1.receipts
    }

    /// Authentic iff the leaf's key signed the object, the chain holds, and the issuer names a
    /// certificate above the leaf by fingerprint and the leaf by policies. Costs one check of
    /// `budget` per certificate, and one more.
    pub fn authenticate(&self, budget: &mut Budget) -> Result<AuthenticEndorsement, UvmError> {
        let leaf = self.chain.first().ok_or(UvmError::Chain(ChainError::Empty))?;
        self.check_thumbprint(leaf)?;
        self.check_signature(leaf, budget)?;
        chain::verify(&self.chain, self.judged_at(), budget).map_err(exhausted_or_chain)?;
        self.issuer.anchor(&self.chain).map_err(UvmError::Did)?;
        self.issuer.check_leaf(leaf).map_err(UvmError::Did)?;
        Ok(AuthenticEndorsement { headers: self.sign1.headers.clone(), payload: self.sign1.payload.clone() })
    }

    /// Authentic, and trusted by `trust`.
    pub fn verify(&self, trust: &TrustList, budget: &mut Budget) -> Result<VerifiedEndorsement, UvmError> {
        self.authenticate(budget)?.trust(trust)
    }

    fn check_thumbprint(&self, leaf: &Certificate) -> Result<(), UvmError> {
        match &self.sign1.headers.x5t {
            Some(digest) if *digest != x509::sha256(leaf.der()) => Err(UvmError::X5t),
            _ => Ok(()),
        }
    }

    fn check_signature(&self, leaf: &Certificate, budget: &mut Budget) -> Result<(), UvmError> {
        let key = leaf.public_key().map_err(UvmError::LeafKey)?;
        budget.spend().map_err(|_| UvmError::BudgetExhausted)?;
        self.sign1.verify(key).map_err(UvmError::Cose)
    }

    fn judged_at(&self) -> Option<SystemTime> {
        match self.certificate_time {
            CertificateTime::AtSigning => self.sign1.headers.signed_at,
            CertificateTime::Ignored => None,
        }
    }
}

/// Proof that an endorsement is its issuer's. Whether the issuer is anybody is another question:
/// [`AuthenticEndorsement::trust`].
#[derive(PartialEq, Eq, Debug)]
pub struct AuthenticEndorsement {
    headers: Headers,
    payload: Vec<u8>,
}

impl AuthenticEndorsement {
    /// The issuer, a did:x509 identifier, verified.
    pub fn issuer(&self) -> &str {
        &self.headers.issuer
    }

    /// The feed: what kind of thing is endorsed, in the issuer's words.
    pub fn feed(&self) -> &str {
        &self.headers.feed
    }

    /// The security version in the header (claim `svn`); classic endorsements have it in the payload instead.
    pub fn header_svn(&self) -> Option<u64> {
        self.headers.svn
    }

    /// When the issuer says it signed.
    pub fn signed_at(&self) -> Option<SystemTime> {
        self.headers.signed_at
    }

    /// The payload's content type, if the header names one.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.content_type.as_deref()
    }

    /// The payload as signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether the payload is a digest of something detached (COSE hash envelope, label 258).
    pub fn is_hash_envelope(&self) -> bool {
        self.headers.hash_envelope
    }

    /// Trusted iff issuer and feed are listed, the payload is the classic JSON object, and its
    /// version is not below the listed one.
    pub fn trust(self, list: &TrustList) -> Result<VerifiedEndorsement, UvmError> {
        let listed = list.find(self.issuer(), self.feed())?;
        let Payload { svn, measurement } = self.classic_payload()?;
        let provenance = listed.admit(svn)?;
        let Headers { issuer, feed, .. } = self.headers;
        Ok(VerifiedEndorsement { measurement, svn, issuer, feed, provenance })
    }

    fn classic_payload(&self) -> Result<Payload, UvmError> {
        if self.headers.hash_envelope {
            return Err(UvmError::DetachedPayload);
        }
        if self.content_type() != Some(JSON) {
            return Err(UvmError::ContentType { found: self.headers.content_type.clone() });
        }
        let payload = Payload::parse(&self.payload).map_err(UvmError::Payload)?;
        match self.headers.svn {
            Some(header) if header != payload.svn => Err(UvmError::SvnConflict { header, payload: payload.svn }),
            _ => Ok(payload),
        }
    }
}

/// Proof that a trusted issuer endorses a launch measurement.
#[derive(PartialEq, Eq, Debug)]
pub struct VerifiedEndorsement {
    measurement: [u8; 48],
    svn: u64,
    issuer: String,
    feed: String,
    provenance: Provenance,
}

impl VerifiedEndorsement {
    /// The launch measurement endorsed; the caller compares it with the report's (AMD 56860,
    /// ATTESTATION_REPORT, MEASUREMENT).
    pub fn measurement(&self) -> &[u8; 48] {
        &self.measurement
    }

    /// The security version of the utility VM.
    pub fn svn(&self) -> u64 {
        self.svn
    }

    /// The issuer, a did:x509 identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The feed.
    pub fn feed(&self) -> &str {
        &self.feed
    }

    /// Real iff the trust list's entry is compiled in.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }
}

fn exhausted_or_chain(error: ChainError) -> UvmError {
    match error {
        ChainError::Signature { source: X509Error::BudgetExhausted, .. } => UvmError::BudgetExhausted,
        error => UvmError::Chain(error),
    }
}

const JSON: &str = "application/json";
