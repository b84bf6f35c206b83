//! From endorsements to a trusted key, and from a report to a fact.
//!
//! [`VerifiedVek::verify`] walks ARK, ASK or ASVK, VEK and CRL; the result may be kept and used for many reports of that chip
//! until [`VerifiedVek::valid_until`]. [`VerifiedVek::verify_report`] then settles that AMD's firmware on that chip, at that
//! TCB, made a report for a guest, and that the report does not contradict itself. Not decided here: whether debug,
//! migration, a VMPL, a TCB or a guest SVN is acceptable.

use std::time::SystemTime;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey};

use super::{
    crl::{Crl, CrlError},
    generation::{Generation, UnsupportedProcessor},
    report::{FirmwareVersion, Report, SigningKey},
    tcb::{RawTcb, TcbReserved, TcbVersion},
    vek::{self, Holder, VekError, VekExtensions, VekKind},
};
use crate::{
    anchors::{Anchor, Anchors, Provenance},
    limits::Limits,
    x509::{self, Budget, Certificate, KeyKind, SignatureAlgorithm, X509Error},
};

/// Place of a certificate in AMD's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// AMD Root Key, self-signed.
    Ark,
    /// AMD SEV Key, issues VCEKs.
    Ask,
    /// AMD SEV VLEK Key, issues VLEKs.
    Asvk,
    /// VCEK or VLEK, signs reports.
    Vek,
}

/// Why certificates do not make a set of endorsements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndorsementError {
    /// A certificate or the bundle does not parse.
    #[error("endorsement cannot be read")]
    X509(#[source] X509Error),
    /// The common name of a certificate is not one of AMD's, or there is not exactly one.
    #[error("certificate {index} has no place in the chain")]
    UnknownRole {
        /// Index in the bundle.
        index: usize,
    },
    /// Two different certificates for one place.
    #[error("two different certificates for {role:?}")]
    Ambiguous {
        /// Which place.
        role: Role,
    },
    /// Neither VCEK nor VLEK.
    #[error("no vcek or vlek")]
    NoVek,
}

/// Certificates that came with, or were fetched for, a report; nobody vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsements {
    vek: Certificate,
    kind: VekKind,
    ark: Option<Certificate>,
    ask: Option<Certificate>,
    asvk: Option<Certificate>,
    crl: Option<Crl>,
}

impl Endorsements {
    /// Sorts certificates by the role their common name claims, in whatever order they come; the same one twice is once.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Result<Self, EndorsementError> {
        let (mut vek, mut ark, mut ask, mut asvk) = (None, None, None, None);
        for (index, certificate) in certificates.into_iter().enumerate() {
            let role = role_of(certificate.subject().common_name()).ok_or(EndorsementError::UnknownRole { index })?;
            let place = match role {
                Role::Ark => &mut ark,
                Role::Ask => &mut ask,
                Role::Asvk => &mut asvk,
                Role::Vek => &mut vek,
            };
            if place.replace(certificate.clone()).is_some_and(|earlier| earlier != certificate) {
                return Err(EndorsementError::Ambiguous { role });
            }
        }
        let vek = vek.ok_or(EndorsementError::NoVek)?;
        let kind = vek_kind(vek.subject().common_name()).ok_or(EndorsementError::NoVek)?;
        Ok(Self { vek, kind, ark, ask, asvk, crl: None })
    }

    /// A PEM bundle of VEK and CA certificates in any order, as Azure THIM serves them (`vcekCert` followed by `certificateChain`).
    pub fn from_pem(bundle: &[u8], limits: &Limits) -> Result<Self, EndorsementError> {
        Self::new(Certificate::from_pem_bundle(bundle, limits).map_err(EndorsementError::X509)?)
    }

    /// The VEK in DER, as AMD's KDS and the extended report's certificate table hold it, and CA certificates in PEM, as KDS serves them.
    pub fn from_der_and_pem(vek: &[u8], chain: &[u8], limits: &Limits) -> Result<Self, EndorsementError> {
        let mut all = Certificate::from_pem_bundle(chain, limits).map_err(EndorsementError::X509)?;
        all.push(Certificate::from_der(vek, limits).map_err(EndorsementError::X509)?);
        Self::new(all)
    }

    /// Certificates in DER, in any order.
    pub fn from_der(certificates: &[&[u8]], limits: &Limits) -> Result<Self, EndorsementError> {
        if certificates.len() > limits.certificates_max {
            return Err(EndorsementError::X509(X509Error::TooMany { count_max: limits.certificates_max }));
        }
        let parsed: Result<Vec<_>, _> = certificates.iter().map(|der| Certificate::from_der(der, limits)).collect();
        Self::new(parsed.map_err(EndorsementError::X509)?)
    }

    /// Adds the product's revocation list.
    #[must_use]
    pub fn with_crl(self, crl: Crl) -> Self {
        Self { crl: Some(crl), ..self }
    }

    /// Adds the one of these lists that claims to be the ARK's, if there is one and none was added before.
    #[must_use]
    pub fn with_crl_among(self, lists: &[Crl]) -> Self {
        let own = |list: &&Crl| self.ark.as_ref().is_some_and(|ark| list.names_as_issuer(ark));
        let crl = self.crl.clone().or_else(|| lists.iter().find(own).cloned());
        Self { crl, ..self }
    }

    /// Which key the VEK certificate claims to hold.
    pub fn kind(&self) -> VekKind {
        self.kind
    }
}

/// What a chain must come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether a chain needs a revocation list.
    pub crl: CrlPolicy,
}

/// Whether a chain needs a revocation list. One that is given is always checked in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrlPolicy {
    /// Without a list the chain is refused.
    Required,
    /// Without a list revocation stays unknown.
    IfPresent,
}

/// Why a chain does not lead from an anchor to the VEK.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The certificate for this place was not given.
    #[error("certificate {role:?} is missing")]
    Missing {
        /// Which place.
        role: Role,
    },
    /// A VCEK issued by an ASVK, or a VLEK issued by an ASK.
    #[error("{kind:?} comes from the issuer of the other kind")]
    Crossed {
        /// What the VEK claims to be.
        kind: VekKind,
    },
    /// The ARK's key and name are not an anchor.
    #[error("root is not an anchor")]
    UnknownRoot {
        /// SHA-256 of the SubjectPublicKeyInfo that was offered.
        spki_sha256: [u8; 32],
    },
    /// The certificate belongs to another generation than the root.
    #[error("certificate {role:?} belongs to another generation than {generation:?}")]
    Product {
        /// Which certificate.
        role: Role,
        /// Generation of the root.
        generation: Generation,
    },
    /// The issuer name is not the subject name of the next certificate.
    #[error("issuer of {role:?} is another name")]
    Issuer {
        /// Which certificate.
        role: Role,
    },
    /// A CA certificate without CA basic constraints, key usage or path length to match.
    #[error("certificate {role:?} may not issue certificates")]
    NotCa {
        /// Which certificate.
        role: Role,
    },
    /// The VEK says it is a CA.
    #[error("vek is a ca")]
    VekIsCa,
    /// A critical extension that is not known here.
    #[error("certificate {role:?} has an unknown critical extension")]
    CriticalExtension {
        /// Which certificate.
        role: Role,
    },
    /// Not RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    #[error("signature algorithm of {role:?} is not rsassa-pss with sha-384")]
    SignatureAlgorithm {
        /// Which certificate.
        role: Role,
    },
    /// The signature does not verify.
    #[error("signature of {role:?} does not verify")]
    BadSignature {
        /// Which certificate.
        role: Role,
    },
    /// An extension or key that does not parse.
    #[error("certificate {role:?} is malformed")]
    Malformed {
        /// Which certificate.
        role: Role,
        /// How.
        source: X509Error,
    },
    /// notBefore lies in the future.
    #[error("certificate {role:?} is not yet valid")]
    NotYetValid {
        /// Which certificate.
        role: Role,
        /// notBefore of the certificate.
        not_before: SystemTime,
        /// Time of the verification.
        now: SystemTime,
    },
    /// notAfter has passed.
    #[error("certificate {role:?} is expired")]
    Expired {
        /// Which certificate.
        role: Role,
        /// notAfter of the certificate.
        not_after: SystemTime,
        /// Time of the verification.
        now: SystemTime,
    },
    /// A revocation list is required and was not given.
    #[error("certificate revocation list is missing")]
    CrlMissing,
    /// The revocation list was refused.
    #[error("certificate revocation list is refused")]
    Crl(#[source] CrlError),
    /// The revocation list names this certificate.
    #[error("certificate {role:?} is revoked")]
    Revoked {
        /// Which certificate.
        role: Role,
    },
    /// The VEK's extensions or key were refused.
    #[error("vek certificate is refused")]
    Vek(#[source] VekError),
    /// The budget of signature checks is used up.
    #[error("budget of signature checks is used up")]
    BudgetExhausted,
}

/// An endorsement key whose chain held at the time of verification.
///
/// Made by [`VerifiedVek::verify`] only. It may be cached by callers until [`VerifiedVek::valid_until`] or until anchors change.
#[derive(Debug)]
pub struct VerifiedVek {
    key: ParsedPublicKey,
    kind: VekKind,
    generation: Generation,
    tcb: TcbVersion,
    holder: Holder,
    provenance: Provenance,
    window: Window,
}

impl VerifiedVek {
    /// Verifies the chain: `Ok` iff the ARK is an anchor, every signature, name, role, product and date holds at `now`, and the
    /// revocation list (where given or required) is the ARK's, in date, and names none of it.
    ///
    /// The caller vouches for `anchors` and `now`; nobody vouches for `endorsements`.
    pub fn verify(
        endorsements: &Endorsements,
        anchors: &Anchors,
        options: &Options,
        now: SystemTime,
        budget: &mut Budget,
    ) -> Result<Self, ChainError> {
        let chain = Chain::select(endorsements)?;
        let anchor = chain.anchor(anchors)?;
        chain.check_shape(anchor.generation)?;
        chain.check_signatures(budget)?;
        let dates = chain.check_dates(now)?;
        let window = chain.check_crl(options.crl, now, budget)?.map_or(dates, |crl| dates.meet(crl));
        let extensions = VekExtensions::read(chain.vek, chain.kind, anchor.generation).map_err(ChainError::Vek)?;
        Ok(Self {
            key: report_key(chain.vek)?,
            kind: chain.kind,
            generation: anchor.generation,
            tcb: extensions.tcb,
            holder: extensions.holder,
            provenance: anchor.provenance,
            window,
        })
    }

    /// VCEK or VLEK.
    pub fn kind(&self) -> VekKind {
        self.kind
    }

    /// Generation of the root.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The TCB that the key is bound to.
    pub fn tcb(&self) -> TcbVersion {
        self.tcb
    }

    /// The cloud provider of a VLEK.
    pub fn csp_id(&self) -> Option<&str> {
        match &self.holder {
            Holder::Provider(id) => Some(id),
            Holder::Chip(_) => None,
        }
    }

    /// Set by the anchor.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// Latest notBefore and thisUpdate of what was verified.
    pub fn valid_from(&self) -> SystemTime {
        self.window.from
    }

    /// Earliest notAfter and nextUpdate of what was verified.
    pub fn valid_until(&self) -> SystemTime {
        self.window.until
    }

    /// Verifies that this key signed `report` for a guest and that the report is consistent in itself and with the certificate.
    ///
    /// The signature is checked over the bytes as received. The caller vouches for `now`.
    pub fn verify_report(&self, report: Report, now: SystemTime) -> Result<VerifiedReport, ReportError> {
        self.check_in_date(now)?;
        self.check_signer(&report)?;
        self.check_generation(&report)?;
        let tcbs = Tcbs::decode(&report, self.generation)?;
        self.check_holder(&report)?;
        if tcbs.reported != self.tcb {
            return Err(ReportError::TcbMismatch { reported: tcbs.reported, certificate: self.tcb });
        }
        self.check_signature(&report)?;
        check_statement(&report, &tcbs)?;
        Ok(VerifiedReport {
            tcbs,
            generation: self.generation,
            kind: self.kind,
            csp_id: self.csp_id().map(str::to_owned),
            provenance: self.provenance,
            valid_until: self.window.until,
            report,
        })
    }

    fn check_in_date(&self, now: SystemTime) -> Result<(), ReportError> {
        if now < self.window.from {
            return Err(ReportError::VekNotYetValid { valid_from: self.window.from, now });
        }
        if now > self.window.until {
            return Err(ReportError::VekExpired { valid_until: self.window.until, now });
        }
        Ok(())
    }

    fn check_signer(&self, report: &Report) -> Result<(), ReportError> {
        if report.signature_algo() != ECDSA_P384_SHA384 {
            return Err(ReportError::UnsupportedSignatureAlgorithm { algorithm: report.signature_algo() });
        }
        let signer = match report.key_info().signing_key() {
            SigningKey::Vcek => VekKind::Vcek,
            SigningKey::Vlek => VekKind::Vlek,
            SigningKey::None => return Err(ReportError::Unsigned),
            SigningKey::Reserved(value) => return Err(ReportError::ReservedSigningKey { value }),
        };
        if signer != self.kind {
            return Err(ReportError::SigningKeyMismatch { report: signer, certificate: self.kind });
        }
        if report.key_info().mask_chip_key() { Err(ReportError::ChipKeyMasked) } else { Ok(()) }
    }

    /// Version 2 has no CPUID; then the certificate alone says what the processor is.
    fn check_generation(&self, report: &Report) -> Result<(), ReportError> {
        match report.generation().map_err(ReportError::UnsupportedProcessor)? {
            Some(generation) if generation != self.generation => {
                Err(ReportError::GenerationMismatch { report: generation, certificate: self.generation })
            }
            _ => Ok(()),
        }
    }

    fn check_holder(&self, report: &Report) -> Result<(), ReportError> {
        let masked = is_zero(report.chip_id());
        match &self.holder {
            Holder::Provider(_) if masked => Ok(()),
            Holder::Provider(_) => Err(ReportError::ChipIdNotMasked),
            Holder::Chip(_) if masked => Err(ReportError::ChipIdMasked),
            Holder::Chip(id) if is_padded(report.chip_id(), id) => Ok(()),
            Holder::Chip(_) => Err(ReportError::ChipIdMismatch),
        }
    }

    fn check_signature(&self, report: &Report) -> Result<(), ReportError> {
        let r = scalar(report.signature_r()).ok_or(ReportError::SignatureRange { scalar: 'r' })?;
        let s = scalar(report.signature_s()).ok_or(ReportError::SignatureRange { scalar: 's' })?;
        let verified = self.key.verify_sig(report.signed(), &[r, s].concat());
        verified.map_err(|_| ReportError::BadSignature)
    }
}

/// Why a report is not a genuine, consistent statement about a guest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The verified chain starts later.
    #[error("vek is not yet valid")]
    VekNotYetValid {
        /// First moment of the chain.
        valid_from: SystemTime,
        /// Time of the verification.
        now: SystemTime,
    },
    /// The verified chain, or the revocation list it was checked with, has run out.
    #[error("vek is expired")]
    VekExpired {
        /// Last moment of the chain.
        valid_until: SystemTime,
        /// Time of the verification.
        now: SystemTime,
    },
    /// SIGNATURE_ALGO is not 1.
    #[error("signature algorithm {algorithm} is not supported")]
    UnsupportedSignatureAlgorithm {
        /// As the report says.
        algorithm: u32,
    },
    /// SIGNING_KEY is 7: nobody signed.
    #[error("report is not signed")]
    Unsigned,
    /// SIGNING_KEY is undefined.
    #[error("signing key {value} is reserved")]
    ReservedSigningKey {
        /// As the report says.
        value: u8,
    },
    /// The report names another kind of key than the certificate's.
    #[error("report says {report:?}, certificate is {certificate:?}")]
    SigningKeyMismatch {
        /// As the report says.
        report: VekKind,
        /// As the certificate says.
        certificate: VekKind,
    },
    /// MASK_CHIP_KEY is set.
    #[error("chip key is masked")]
    ChipKeyMasked,
    /// A processor without a root here.
    #[error("processor is not supported")]
    UnsupportedProcessor(#[source] UnsupportedProcessor),
    /// CPUID and root belong to different generations.
    #[error("report is of {report:?}, certificate of {certificate:?}")]
    GenerationMismatch {
        /// By CPUID of the report.
        report: Generation,
        /// By the root.
        certificate: Generation,
    },
    /// A reserved byte in one of the four TCB versions.
    #[error("tcb version has a reserved byte that is not zero")]
    TcbReserved(#[source] TcbReserved),
    /// REPORTED_TCB is not the certificate's.
    #[error("reported tcb is not the tcb of the certificate")]
    TcbMismatch {
        /// As the report says.
        reported: TcbVersion,
        /// As the certificate says.
        certificate: TcbVersion,
    },
    /// CHIP_ID is zero, so no VCEK can be matched with it.
    #[error("chip id is masked")]
    ChipIdMasked,
    /// CHIP_ID is not zero in a report that a VLEK signed.
    #[error("chip id is present beside a vlek")]
    ChipIdNotMasked,
    /// CHIP_ID is not the hwID of the certificate followed by zeroes.
    #[error("chip id is not that of the certificate")]
    ChipIdMismatch,
    /// FIPS 186-5, 6.4.2: r or s is zero or not below the order of the curve.
    #[error("{scalar} of the signature is out of range")]
    SignatureRange {
        /// `r` or `s`.
        scalar: char,
    },
    /// The signature does not verify.
    #[error("signature of the report does not verify")]
    BadSignature,
    /// Signed, but POLICY has bit 17 clear or a reserved bit set.
    #[error("policy {policy:#x} is malformed")]
    MalformedPolicy {
        /// As the report says.
        policy: u64,
    },
    /// Signed, but for the host or for a VMPL that does not exist.
    #[error("report was not requested by a guest, vmpl {vmpl}")]
    NotGuestRequested {
        /// As the report says.
        vmpl: u32,
    },
    /// Signed, but AUTHOR_KEY_EN is zero and AUTHOR_KEY_DIGEST is not.
    #[error("author key digest without author key")]
    AuthorKeyDigestUnexpected,
    /// Signed, but AUTHOR_KEY_EN is one and AUTHOR_KEY_DIGEST is zero.
    #[error("author key without author key digest")]
    AuthorKeyDigestMissing,
    /// Signed, but a component of COMMITTED_TCB is above CURRENT_TCB.
    #[error("committed tcb is above current tcb")]
    CommittedAboveCurrent {
        /// COMMITTED_TCB.
        committed: TcbVersion,
        /// CURRENT_TCB.
        current: TcbVersion,
    },
    /// Signed, but a component of REPORTED_TCB is above COMMITTED_TCB.
    #[error("reported tcb is above committed tcb")]
    ReportedAboveCommitted {
        /// REPORTED_TCB.
        reported: TcbVersion,
        /// COMMITTED_TCB.
        committed: TcbVersion,
    },
    /// Signed, but the committed firmware is newer than the current.
    #[error("committed firmware {committed} is above current firmware {current}")]
    CommittedVersionAboveCurrent {
        /// COMMITTED version.
        committed: FirmwareVersion,
        /// CURRENT version.
        current: FirmwareVersion,
    },
}

/// A report that AMD's firmware (or a simulator, see [`VerifiedReport::provenance`]) made for a guest.
///
/// Made by [`VerifiedVek::verify_report`] only. Authentic is not acceptable: a debug guest's report can be one.
#[derive(Debug)]
pub struct VerifiedReport {
    report: Report,
    tcbs: Tcbs,
    generation: Generation,
    kind: VekKind,
    csp_id: Option<String>,
    provenance: Provenance,
    valid_until: SystemTime,
}

impl VerifiedReport {
    /// The report; every field of it is vouched for by the VEK.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Generation of the processor.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Kind of key that signed.
    pub fn kind(&self) -> VekKind {
        self.kind
    }

    /// The cloud provider, when a VLEK signed.
    pub fn csp_id(&self) -> Option<&str> {
        self.csp_id.as_deref()
    }

    /// Set by the anchor.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// When the endorsements that vouch for it run out.
    pub fn valid_until(&self) -> SystemTime {
        self.valid_until
    }

    /// REPORTED_TCB.
    pub fn reported_tcb(&self) -> TcbVersion {
        self.tcbs.reported
    }

    /// CURRENT_TCB.
    pub fn current_tcb(&self) -> TcbVersion {
        self.tcbs.current
    }

    /// COMMITTED_TCB.
    pub fn committed_tcb(&self) -> TcbVersion {
        self.tcbs.committed
    }

    /// LAUNCH_TCB.
    pub fn launch_tcb(&self) -> TcbVersion {
        self.tcbs.launch
    }
}

/// The certificates of one chain, picked by role.
struct Chain<'a> {
    ark: &'a Certificate,
    intermediate: &'a Certificate,
    intermediate_role: Role,
    vek: &'a Certificate,
    kind: VekKind,
    crl: Option<&'a Crl>,
}

impl<'a> Chain<'a> {
    fn select(given: &'a Endorsements) -> Result<Self, ChainError> {
        let kind = given.kind;
        let (intermediate_role, other_role, intermediate) = match kind {
            VekKind::Vcek => (Role::Ask, Role::Asvk, given.ask.as_ref()),
            VekKind::Vlek => (Role::Asvk, Role::Ask, given.asvk.as_ref()),
        };
        if role_of(given.vek.issuer().common_name()) == Some(other_role) {
            return Err(ChainError::Crossed { kind });
        }
        Ok(Self {
            ark: given.ark.as_ref().ok_or(ChainError::Missing { role: Role::Ark })?,
            intermediate: intermediate.ok_or(ChainError::Missing { role: intermediate_role })?,
            intermediate_role,
            vek: &given.vek,
            kind,
            crl: given.crl.as_ref(),
        })
    }

    /// Each certificate with its role and its issuer.
    fn links(&self) -> [(Role, &'a Certificate, &'a Certificate); 3] {
        [
            (Role::Ark, self.ark, self.ark),
            (self.intermediate_role, self.intermediate, self.ark),
            (Role::Vek, self.vek, self.intermediate),
        ]
    }

    /// The root is pinned by key: that a root we know has signed it would also be true of an ASK offered as ARK.
    fn anchor(&self, anchors: &Anchors) -> Result<Anchor, ChainError> {
        let spki_sha256 = self.ark.spki_sha256();
        let name = self.ark.subject().common_name().unwrap_or_default();
        anchors.find(&spki_sha256, name).ok_or(ChainError::UnknownRoot { spki_sha256 })
    }

    /// Everything that can be said without a signature check.
    fn check_shape(&self, generation: Generation) -> Result<(), ChainError> {
        for (role, certificate, issuer) in self.links() {
            if !certificate.names_as_issuer(issuer) {
                return Err(ChainError::Issuer { role });
            }
            check_critical(role, certificate)?;
        }
        self.check_product(generation)?;
        check_ca(Role::Ark, self.ark, PATH_BELOW_ARK)?;
        check_ca(self.intermediate_role, self.intermediate, 0)?;
        let vek_is_ca = self.vek.basic_constraints().map_err(malformed(Role::Vek))?.is_some_and(|b| b.ca);
        if vek_is_ca { Err(ChainError::VekIsCa) } else { Ok(()) }
    }

    /// The ARK's name was matched with its anchor, the VEK's product name is checked with its extensions.
    fn check_product(&self, generation: Generation) -> Result<(), ChainError> {
        let role = self.intermediate_role;
        let name = match self.kind {
            VekKind::Vcek => generation.ask_name(),
            VekKind::Vlek => generation.asvk_name(),
        };
        let agrees = self.intermediate.subject().common_name() == Some(name);
        if agrees { Ok(()) } else { Err(ChainError::Product { role, generation }) }
    }

    fn check_signatures(&self, budget: &mut Budget) -> Result<(), ChainError> {
        for (role, certificate, issuer) in self.links() {
            if certificate.signature_algorithm() != Ok(SignatureAlgorithm::RsaPssSha384) {
                return Err(ChainError::SignatureAlgorithm { role });
            }
            x509::verify_signature(certificate, issuer.spki(), budget).map_err(|source| match source {
                X509Error::BadSignature => ChainError::BadSignature { role },
                X509Error::BudgetExhausted => ChainError::BudgetExhausted,
                source => ChainError::Malformed { role, source },
            })?;
        }
        Ok(())
    }

    fn check_dates(&self, now: SystemTime) -> Result<Window, ChainError> {
        let [first, second, third] = self.links().map(|(role, cert, _)| check_date(role, cert, now));
        Ok(first?.meet(second?).meet(third?))
    }

    fn check_crl(&self, policy: CrlPolicy, now: SystemTime, budget: &mut Budget) -> Result<Option<Window>, ChainError> {
        let crl = match (self.crl, policy) {
            (Some(crl), _) => crl.verify(self.ark, now, budget).map_err(crl_refused)?,
            (None, CrlPolicy::Required) => return Err(ChainError::CrlMissing),
            (None, CrlPolicy::IfPresent) => return Ok(None),
        };
        for (role, certificate) in [(Role::Ark, self.ark), (self.intermediate_role, self.intermediate)] {
            if crl.lists(certificate) {
                return Err(ChainError::Revoked { role });
            }
        }
        Ok(Some(Window { from: crl.this_update(), until: crl.next_update() }))
    }
}

/// When everything that was verified is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    from: SystemTime,
    until: SystemTime,
}

impl Window {
    fn meet(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

/// The four TCB versions of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tcbs {
    reported: TcbVersion,
    committed: TcbVersion,
    current: TcbVersion,
    launch: TcbVersion,
}

impl Tcbs {
    fn decode(report: &Report, generation: Generation) -> Result<Self, ReportError> {
        let decode = |raw: RawTcb| raw.decode(generation).map_err(ReportError::TcbReserved);
        Ok(Self {
            reported: decode(report.reported_tcb())?,
            committed: decode(report.committed_tcb())?,
            current: decode(report.current_tcb())?,
            launch: decode(report.launch_tcb())?,
        })
    }
}

/// Facts that a genuine report for a guest cannot lack. Not among them: launch above current, since provisional firmware may be rolled back.
fn check_statement(report: &Report, tcbs: &Tcbs) -> Result<(), ReportError> {
    let (policy, vmpl) = (report.policy(), report.vmpl());
    if !policy.is_well_formed() {
        return Err(ReportError::MalformedPolicy { policy: policy.0 });
    }
    if vmpl > VMPL_MAX {
        return Err(ReportError::NotGuestRequested { vmpl });
    }
    check_author_key(report)?;
    check_tcb_order(tcbs)?;
    let (committed, current) = (report.committed_version(), report.current_version());
    if committed > current { Err(ReportError::CommittedVersionAboveCurrent { committed, current }) } else { Ok(()) }
}

fn check_author_key(report: &Report) -> Result<(), ReportError> {
    match (report.key_info().author_key_en(), is_zero(report.author_key_digest())) {
        (false, false) => Err(ReportError::AuthorKeyDigestUnexpected),
        (true, true) => Err(ReportError::AuthorKeyDigestMissing),
        _ => Ok(()),
    }
}

fn check_tcb_order(tcbs: &Tcbs) -> Result<(), ReportError> {
    let Tcbs { reported, committed, current, .. } = *tcbs;
    if !current.at_least(&committed) {
        return Err(ReportError::CommittedAboveCurrent { committed, current });
    }
    if !committed.at_least(&reported) {
        return Err(ReportError::ReportedAboveCommitted { reported, committed });
    }
    Ok(())
}

fn check_ca(role: Role, certificate: &Certificate, path_below: u8) -> Result<(), ChainError> {
    let constraints = certificate.basic_constraints().map_err(malformed(role))?;
    let reaches = constraints.is_some_and(|b| b.path_len_constraint.is_none_or(|len| len >= path_below));
    let is_ca = certificate.is_ca().map_err(malformed(role))?;
    if is_ca && reaches { Ok(()) } else { Err(ChainError::NotCa { role }) }
}

fn check_critical(role: Role, certificate: &Certificate) -> Result<(), ChainError> {
    let amd: &[_] = if role == Role::Vek { &vek::KNOWN } else { &[] };
    let known = [&[x509::BASIC_CONSTRAINTS, x509::KEY_USAGE], amd].concat();
    let unknown = certificate.critical_extension_outside(&known);
    unknown.map_or(Ok(()), |_| Err(ChainError::CriticalExtension { role }))
}

fn check_date(role: Role, certificate: &Certificate, now: SystemTime) -> Result<Window, ChainError> {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    if now < not_before {
        return Err(ChainError::NotYetValid { role, not_before, now });
    }
    if now > not_after {
        return Err(ChainError::Expired { role, not_after, now });
    }
    Ok(Window { from: not_before, until: not_after })
}

fn report_key(vek: &Certificate) -> Result<ParsedPublicKey, ChainError> {
    let key = vek.public_key().map_err(malformed(Role::Vek))?;
    let uncompressed =
        key.kind == KeyKind::P384 && key.bits.len() == P384_POINT_BYTES && key.bits.first() == Some(&0x04);
    let parsed = uncompressed.then(|| ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key.bits).ok()).flatten();
    parsed.ok_or(ChainError::Vek(VekError::Key))
}

fn crl_refused(error: CrlError) -> ChainError {
    match error {
        CrlError::X509(X509Error::BudgetExhausted) => ChainError::BudgetExhausted,
        other => ChainError::Crl(other),
    }
}

fn malformed(role: Role) -> impl Fn(X509Error) -> ChainError {
    move |source| ChainError::Malformed { role, source }
}

fn role_of(common_name: Option<&str>) -> Option<Role> {
    let name = common_name?;
    if vek_kind(Some(name)).is_some() {
        return Some(Role::Vek);
    }
    Generation::ALL.into_iter().find_map(|g| {
        let names = [(g.ark_name(), Role::Ark), (g.ask_name(), Role::Ask), (g.asvk_name(), Role::Asvk)];
        names.into_iter().find(|(n, _)| *n == name).map(|(_, role)| role)
    })
}

fn vek_kind(common_name: Option<&str>) -> Option<VekKind> {
    match common_name? {
        "SEV-VCEK" => Some(VekKind::Vcek),
        "SEV-VLEK" => Some(VekKind::Vlek),
        _ => None,
    }
}

/// Little-endian scalar of a report to the big-endian form, iff 1 <= scalar < n.
fn scalar(little_endian: &[u8; 48]) -> Option<[u8; 48]> {
    let mut big_endian = *little_endian;
    big_endian.reverse();
    (!is_zero(&big_endian) && big_endian < P384_ORDER).then_some(big_endian)
}

/// `long` is `short` followed by zeroes.
fn is_padded(long: &[u8], short: &[u8]) -> bool {
    long.strip_prefix(short).is_some_and(is_zero)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

/// AMD 56860, ATTESTATION_REPORT, SIGNATURE_ALGO.
const ECDSA_P384_SHA384: u32 = 1;
/// AMD 56860: VMPLs are 0 to 3, the host's requests carry 0xFFFFFFFF.
const VMPL_MAX: u32 = 3;
/// CA certificates that follow the ARK: one.
const PATH_BELOW_ARK: u8 = 1;
/// SEC 1, 2.3.3: 0x04, x, y.
const P384_POINT_BYTES: usize = 97;
/// Order of the base point of P-384, SP 800-186, 3.2.1.4.
const P384_ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];
