//! AMD's certificate revocation list of one product: signed by the ARK, lists revoked ASKs and ASVKs (AMD 57230, 4).
//!
//! VEKs are not on it: AMD withdraws firmware by raising the TCB and a chip by withdrawing its CA. Delta and indirect lists are
//! refused, because their extensions are critical and not known here. A list without nextUpdate is refused too: nobody could
//! tell a fresh one from one that an attacker has kept.

use std::time::SystemTime;

use der::{Decode, Reader, SliceReader};
use x509_cert::{crl::CertificateList, ext::Extension, serial_number::SerialNumber};

use crate::{
    limits::Limits,
    x509::{self, Budget, Certificate, SignatureAlgorithm, Signed, X509Error},
};

/// Why a certificate revocation list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// Not a list, too long, or its signature could not be checked.
    #[error("certificate revocation list cannot be read")]
    X509(#[source] X509Error),
    /// More entries than the limit allows.
    #[error("more than {count_max} revoked certificates")]
    TooMany {
        /// Entries allowed.
        count_max: usize,
    },
    /// A critical extension, of the list or of an entry: delta, indirect or partitioned lists.
    #[error("critical extension in certificate revocation list")]
    CriticalExtension,
    /// Issued under another name than that of the ARK.
    #[error("certificate revocation list of another issuer")]
    Issuer,
    /// Not RSASSA-PSS with SHA-384.
    #[error("signature algorithm of certificate revocation list is not rsassa-pss with sha-384")]
    SignatureAlgorithm,
    /// The ARK's key usage does not allow it to sign lists.
    #[error("issuer may not sign certificate revocation lists")]
    IssuerMayNotSign,
    /// Not signed by the ARK.
    #[error("signature of certificate revocation list does not verify")]
    BadSignature,
    /// thisUpdate lies in the future.
    #[error("certificate revocation list is not yet valid")]
    NotYetValid {
        /// thisUpdate of the list.
        this_update: SystemTime,
        /// Time of the verification.
        now: SystemTime,
    },
    /// nextUpdate is absent.
    #[error("certificate revocation list has no next update")]
    NoNextUpdate,
    /// nextUpdate has passed.
    #[error("certificate revocation list is expired")]
    Expired {
        /// nextUpdate of the list.
        next_update: SystemTime,
        /// Time of the verification.
        now: SystemTime,
    },
}

/// A parsed certificate revocation list (RFC 5280, 5.1); nobody vouches for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Crl {
    signed: Signed,
    issuer: Vec<u8>,
    this_update: SystemTime,
    next_update: Option<SystemTime>,
    revoked: Vec<Vec<u8>>,
}

impl Crl {
    /// Parses one DER list without trailing bytes.
    pub fn from_der(der: &[u8], limits: &Limits) -> Result<Self, CrlError> {
        x509::within(der.len(), limits.crl_bytes_max).map_err(CrlError::X509)?;
        let parsed = CertificateList::from_der(der).map_err(x509::malformed).map_err(CrlError::X509)?;
        let signed = Signed::from_der(der).map_err(CrlError::X509)?;
        let (algorithm, issuer) = algorithm_and_issuer(&signed.tbs).map_err(x509::malformed).map_err(CrlError::X509)?;
        if algorithm != signed.algorithm {
            return Err(CrlError::X509(X509Error::AlgorithmsDiffer));
        }
        let list = parsed.tbs_cert_list;
        let entries = list.revoked_certificates.unwrap_or_default();
        if entries.len() > limits.crl_entries_max {
            return Err(CrlError::TooMany { count_max: limits.crl_entries_max });
        }
        refuse_critical(list.crl_extensions.as_deref())?;
        entries.iter().try_for_each(|e| refuse_critical(e.crl_entry_extensions.as_deref()))?;
        Ok(Self {
            issuer: issuer.to_vec(),
            this_update: list.this_update.to_system_time(),
            next_update: list.next_update.map(|t| t.to_system_time()),
            revoked: entries.iter().map(|e| serial(&e.serial_number)).collect(),
            signed,
        })
    }

    /// Whether the list claims to be issued by this certificate's subject. Nobody vouches for the claim.
    pub(crate) fn names_as_issuer(&self, ark: &Certificate) -> bool {
        self.issuer == ark.subject().der()
    }

    /// Checks issuer, signature and dates against an ARK that the caller has pinned; the proof answers about serials.
    pub(crate) fn verify<'a>(
        &'a self,
        ark: &Certificate,
        now: SystemTime,
        budget: &mut Budget,
    ) -> Result<VerifiedCrl<'a>, CrlError> {
        if !self.names_as_issuer(ark) {
            return Err(CrlError::Issuer);
        }
        self.verify_signature(ark, budget)?;
        if now < self.this_update {
            return Err(CrlError::NotYetValid { this_update: self.this_update, now });
        }
        let next_update = self.next_update.ok_or(CrlError::NoNextUpdate)?;
        if now > next_update {
            return Err(CrlError::Expired { next_update, now });
        }
        Ok(VerifiedCrl { crl: self, next_update })
    }

    fn verify_signature(&self, ark: &Certificate, budget: &mut Budget) -> Result<(), CrlError> {
        if self.signed.signature_algorithm() != Ok(SignatureAlgorithm::RsaPssSha384) {
            return Err(CrlError::SignatureAlgorithm);
        }
        if !ark.may_sign_crl().map_err(CrlError::X509)? {
            return Err(CrlError::IssuerMayNotSign);
        }
        self.signed.verify(ark.spki(), budget).map_err(|e| match e {
            X509Error::BadSignature => CrlError::BadSignature,
            other => CrlError::X509(other),
        })
    }
}

impl std::fmt::Debug for Crl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crl").field("revoked", &self.revoked.len()).finish_non_exhaustive()
    }
}

/// A list that the ARK signed and that is in date.
pub(crate) struct VerifiedCrl<'a> {
    crl: &'a Crl,
    next_update: SystemTime,
}

impl VerifiedCrl<'_> {
    pub(crate) fn lists(&self, cert: &Certificate) -> bool {
        self.crl.revoked.iter().any(|serial| serial == cert.serial())
    }

    pub(crate) fn this_update(&self) -> SystemTime {
        self.crl.this_update
    }

    pub(crate) fn next_update(&self) -> SystemTime {
        self.next_update
    }
}

fn serial(serial: &SerialNumber) -> Vec<u8> {
    serial.as_bytes().to_vec()
}

fn refuse_critical(extensions: Option<&[Extension]>) -> Result<(), CrlError> {
    let extensions = extensions.unwrap_or_default();
    x509::refuse_duplicates(extensions).map_err(CrlError::X509)?;
    x509::critical_outside(extensions, &[]).map_or(Ok(()), |_| Err(CrlError::CriticalExtension))
}

/// RFC 5280, 5.1.2: version, signature, issuer, ...
fn algorithm_and_issuer(tbs: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(tbs)?;
    reader.sequence(|r| {
        let _version = r.tlv_bytes()?;
        let fields = (r.tlv_bytes()?, r.tlv_bytes()?);
        while !r.is_finished() {
            r.tlv_bytes()?;
        }
        Ok(fields)
    })
}
