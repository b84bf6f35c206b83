//! The certificate chain of an endorsement (RFC 5280, 6.1, as far as a chain that is given whole
//! and ends at a pinned certificate needs it).
//!
//! Every link of the chain is verified, those above the pinned certificate too, and so is the
//! self-signature of a root: no byte of the header goes unexplained. Revocation is not checked: the
//! chain carries no CRL and CCF checks none; the defence against a bad endorsement is the lowest
//! security version on the trust list. Name constraints are critical by RFC 5280 and so refused.

use std::time::SystemTime;

use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::limits::Limits;
use crate::x509::{self, BASIC_CONSTRAINTS, Budget, Certificate, EXTENDED_KEY_USAGE, KEY_USAGE, X509Error};

/// Why a chain does not lead from its leaf to its last certificate. Indexes count from the leaf, which is 0.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// No certificate at all.
    #[error("no certificate")]
    Empty,
    /// A certificate, or an extension of it, does not parse.
    #[error("certificate {index} is malformed")]
    Malformed {
        /// Its place.
        index: usize,
        /// What is wrong with it.
        source: X509Error,
    },
    /// A critical extension that is not understood here.
    #[error("certificate {index} has an unknown critical extension {oid}")]
    UnknownCritical {
        /// Its place.
        index: usize,
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// The leaf says it is a CA.
    #[error("the leaf is a ca")]
    LeafIsCa,
    /// An issuer without basic constraints, or with cA false.
    #[error("certificate {index} is no ca")]
    NotCa {
        /// Its place.
        index: usize,
    },
    /// Key usage forbids what the key did: digitalSignature for the leaf, keyCertSign for issuers.
    #[error("certificate {index} has another key usage")]
    KeyUsage {
        /// Its place.
        index: usize,
    },
    /// More intermediates below an issuer than its path length allows.
    #[error("certificate {index} allows {max} intermediates below it, found {found}")]
    PathLength {
        /// Its place.
        index: usize,
        /// Intermediates that are not self-issued.
        found: usize,
        /// Its pathLenConstraint.
        max: u8,
    },
    /// The issuer's name is not the next certificate's subject.
    #[error("certificate {index} names another issuer")]
    IssuerName {
        /// Its place.
        index: usize,
    },
    /// The signature on a certificate does not verify with the next one's key (the root's with its own).
    #[error("signature on certificate {index}")]
    Signature {
        /// Its place.
        index: usize,
        /// What failed.
        source: X509Error,
    },
    /// Signed before a certificate was valid.
    #[error("certificate {index} is not valid yet")]
    NotYetValid {
        /// Its place.
        index: usize,
        /// The first moment it is valid.
        not_before: SystemTime,
        /// The time judged.
        at: SystemTime,
    },
    /// Signed after a certificate had expired.
    #[error("certificate {index} has expired")]
    Expired {
        /// Its place.
        index: usize,
        /// The last moment it was valid.
        not_after: SystemTime,
        /// The time judged.
        at: SystemTime,
    },
}

/// Parses the DER certificates of a chain, leaf first; no signature is verified.
pub(super) fn parse(chain: &[Vec<u8>]) -> Result<Vec<Certificate>, ChainError> {
    let limits = Limits::default();
    let parse = |(index, der): (usize, &Vec<u8>)| {
        Certificate::from_der(der, &limits).map_err(|source| ChainError::Malformed { index, source })
    };
    chain.iter().enumerate().map(parse).collect()
}

/// Verifies every link of a chain, leaf first. That it ends at something trusted is the business of
/// the did:x509 fingerprint.
pub(super) fn verify(chain: &[Certificate], at: Option<SystemTime>, budget: &mut Budget) -> Result<(), ChainError> {
    let [leaf, issuers @ ..] = chain else {
        return Err(ChainError::Empty);
    };
    for link in chain.iter().enumerate().map(Link::from) {
        link.check_extensions()?;
        at.map_or(Ok(()), |at| link.check_time(at))?;
    }
    Link { index: 0, cert: leaf }.check_leaf()?;
    check_issuers(issuers)?;
    check_signatures(chain, budget)
}

fn check_issuers(issuers: &[Certificate]) -> Result<(), ChainError> {
    let mut intermediates = 0_usize;
    for (above_leaf, cert) in issuers.iter().enumerate() {
        Link { index: above_leaf.saturating_add(1), cert }.check_issuer(intermediates)?;
        // RFC 5280, 4.2.1.9: self-issued certificates do not count.
        intermediates = intermediates.saturating_add(usize::from(!cert.is_self_issued()));
    }
    Ok(())
}

fn check_signatures(chain: &[Certificate], budget: &mut Budget) -> Result<(), ChainError> {
    let mut links = chain.iter().enumerate().map(Link::from);
    for (link, issuer) in links.clone().zip(chain.iter().skip(1)) {
        link.check_issued_by(issuer, budget)?;
    }
    match links.next_back() {
        Some(root) if root.cert.is_self_issued() => root.check_issued_by(root.cert, budget),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Link<'a> {
    index: usize,
    cert: &'a Certificate,
}

impl<'a> From<(usize, &'a Certificate)> for Link<'a> {
    fn from((index, cert): (usize, &'a Certificate)) -> Self {
        Self { index, cert }
    }
}

impl Link<'_> {
    fn check_extensions(self) -> Result<(), ChainError> {
        match self.cert.critical_extension_outside(&UNDERSTOOD) {
            Some(oid) => Err(ChainError::UnknownCritical { index: self.index, oid }),
            None => Ok(()),
        }
    }

    fn check_leaf(self) -> Result<(), ChainError> {
        if self.constraints()?.is_some_and(|constraints| constraints.ca) {
            return Err(ChainError::LeafIsCa);
        }
        self.check_usage(KeyUsage::digital_signature)
    }

    fn check_issuer(self, intermediates: usize) -> Result<(), ChainError> {
        let index = self.index;
        let Some(BasicConstraints { ca: true, path_len_constraint }) = self.constraints()? else {
            return Err(ChainError::NotCa { index });
        };
        self.check_usage(KeyUsage::key_cert_sign)?;
        match path_len_constraint {
            Some(max) if intermediates > usize::from(max) => {
                Err(ChainError::PathLength { index, found: intermediates, max })
            }
            _ => Ok(()),
        }
    }

    /// Key usage is demanded, though RFC 5280 lets leaves do without: every certificate observed has it.
    fn check_usage(self, allows: impl FnOnce(&KeyUsage) -> bool) -> Result<(), ChainError> {
        let index = self.index;
        let usage = self.cert.key_usage().map_err(|source| ChainError::Malformed { index, source })?;
        if usage.is_some_and(|usage| allows(&usage)) { Ok(()) } else { Err(ChainError::KeyUsage { index }) }
    }

    fn check_time(self, at: SystemTime) -> Result<(), ChainError> {
        let index = self.index;
        let (not_before, not_after) = (self.cert.not_before(), self.cert.not_after());
        if at < not_before {
            return Err(ChainError::NotYetValid { index, not_before, at });
        }
        if at > not_after {
            return Err(ChainError::Expired { index, not_after, at });
        }
        Ok(())
    }

    fn check_issued_by(self, issuer: &Certificate, budget: &mut Budget) -> Result<(), ChainError> {
        let index = self.index;
        if !self.cert.names_as_issuer(issuer) {
            return Err(ChainError::IssuerName { index });
        }
        x509::verify_signature(self.cert, issuer.spki(), budget)
            .map_err(|source| ChainError::Signature { index, source })
    }

    fn constraints(self) -> Result<Option<BasicConstraints>, ChainError> {
        let index = self.index;
        self.cert.basic_constraints().map_err(|source| ChainError::Malformed { index, source })
    }
}

/// RFC 5280, 4.2.1.6.
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// What may be critical: all of it is judged here or by did:x509.
const UNDERSTOOD: [ObjectIdentifier; 4] = [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME];
