//! Evidence judged step by step, for people and for runners of vectors.
//!
//! The functions called here are the ones that [`Verifier`](crate::Verifier) calls, in its order; there is no second
//! implementation. When one of them refuses, a table (`table.rs`) tells which check its error belongs to: those
//! before it held, that one failed, those after it were not reached. An [`Examination`] authorises nothing: whoever
//! wants a token asks the Verifier. Deliberately not here: the appraisal policy, which judges claims and not evidence.

mod table;

use std::error::Error;
use std::fmt::Debug;
use std::time::SystemTime;

use skerry_evidence::anchors::{Anchors, Provenance};
use skerry_evidence::evidence::{BindingError, BoundEvidence, UvmMismatch, VerifiedEvidence};
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{
    ChainError, Crl, CrlError, CrlPolicy, EndorsementError, Endorsements, Options, ParseError, Report, ReportError,
    Role, VerifiedVek,
};
use skerry_evidence::uvm::{Endorsement, TrustList, UvmError, VerifiedEndorsement};
use skerry_evidence::x509::{Budget, Certificate, X509Error};

use crate::floor::{Floor, FloorRefusal};
use table::{Row, Subject};

/// The pieces of one set of SEV-SNP evidence; nobody vouches for any of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SnpPieces<'a> {
    /// The attestation report.
    pub report: &'a [u8],
    /// VEK and CA certificates, each piece DER or a PEM bundle, in any order.
    pub certificates: &'a [&'a [u8]],
    /// The product's revocation list, DER.
    pub crl: Option<&'a [u8]>,
    /// UVM endorsements (COSE_Sign1); every one must hold.
    pub uvm: &'a [&'a [u8]],
    /// What REPORT_DATA is to cover.
    pub runtime_data: Option<&'a [u8]>,
    /// What HOST_DATA is to cover.
    pub init_data: Option<&'a [u8]>,
}

/// What evidence is judged by. The caller vouches for all of it.
#[derive(Debug, Clone)]
pub struct Criteria {
    /// Roots that chains may end at.
    pub anchors: Anchors,
    /// Who may endorse utility VMs.
    pub uvm: TrustList,
    /// Demands on revocation lists.
    pub options: Options,
    /// What evidence must be beyond authentic.
    pub floor: Floor,
    /// The time of the judgement.
    pub now: SystemTime,
    /// Sizes and counts.
    pub limits: Limits,
}

impl Criteria {
    /// AMD's roots, Microsoft's endorsements, revocation lists where present, the default floor and limits.
    pub fn real(now: SystemTime) -> Criteria {
        Criteria {
            anchors: Anchors::amd(),
            uvm: TrustList::microsoft(),
            options: Options { crl: CrlPolicy::IfPresent },
            floor: Floor::default(),
            now,
            limits: Limits::default(),
        }
    }
}

/// One check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Stable name, kebab-case.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// The clause that demands it.
    pub clause: &'static str,
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not, and why.
    Failed(String),
    /// An earlier check, or one that is done together with it, failed.
    NotReached,
    /// Nothing was given that it could be made of.
    NotAsked,
}

/// What came of all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every check that was asked for holds.
    Accepted {
        /// By the anchors that ended the chains.
        provenance: Provenance,
    },
    /// One does not.
    Refused {
        /// Name of the check that failed.
        check: &'static str,
        /// The error: its type, then its variants from outside to inside, such as `ChainError.Vek.Missing`.
        code: String,
        /// The error in words.
        error: String,
    },
}

/// The record of a judgement, to be shown. It is no proof of anything and opens nothing.
#[derive(Debug)]
pub struct Examination {
    /// Every check that this kind of evidence has, in the order in which they are made.
    pub checks: Vec<Check>,
    /// What came of them.
    pub outcome: Outcome,
    /// Whether signatures and endorsements hold, whatever they say: `VerifiedEvidence` of docs/design.md. A UVM
    /// endorsement alone is authentic when its signature, chain and issuer hold, on the trust list or not.
    pub authentic: bool,
    /// Where authentic evidence comes from.
    pub provenance: Option<Provenance>,
    /// The evidence, if it is authentic and covers the data that came with it; the floor may have refused it.
    pub evidence: Option<BoundEvidence>,
}

impl Examination {
    /// Whether every check that was asked for holds.
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted { .. })
    }

    /// The check that decided: the one that failed.
    pub fn failed(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::Accepted { .. } => None,
            Outcome::Refused { check, .. } => Some(check),
        }
    }
}

/// Judges one set of SEV-SNP evidence: accepted iff the Verifier would hand it to its policy.
pub fn examine_snp(pieces: &SnpPieces<'_>, criteria: &Criteria) -> Examination {
    let mut found = Found::default();
    let refusal = walk_snp(pieces, criteria, &mut found).err();
    let asked = Asked {
        crl: pieces.crl.is_some(),
        crl_required: criteria.options.crl == CrlPolicy::Required,
        uvm: !pieces.uvm.is_empty(),
        measurement: !pieces.uvm.is_empty(),
        runtime_data: pieces.runtime_data.is_some(),
        init_data: pieces.init_data.is_some(),
    };
    found.conclude(&[Subject::Report, Subject::Chain, Subject::Uvm, Subject::Data, Subject::Floor], asked, refusal)
}

/// Judges the certificates of a VEK alone.
pub fn examine_chain(certificates: &[&[u8]], crl: Option<&[u8]>, criteria: &Criteria) -> Examination {
    let mut found = Found::default();
    let mut budget = Budget::from(&criteria.limits);
    let vek = verified_vek(certificates, crl, criteria, &mut budget);
    let refusal = vek.map(|vek| found.authentic(vek.provenance())).err();
    let crl_required = criteria.options.crl == CrlPolicy::Required;
    found.conclude(&[Subject::Chain], Asked { crl: crl.is_some(), crl_required, ..Asked::default() }, refusal)
}

/// Judges a UVM endorsement alone: authentic by its signature, accepted by the trust list.
pub fn examine_uvm(endorsement: &[u8], criteria: &Criteria) -> Examination {
    let mut found = Found::default();
    let refusal = walk_uvm(endorsement, criteria, &mut found).err();
    found.conclude(&[Subject::Uvm], Asked { uvm: true, ..Asked::default() }, refusal.map(Refusal::Uvm))
}

fn walk_snp(pieces: &SnpPieces<'_>, criteria: &Criteria, found: &mut Found) -> Result<(), Refusal> {
    let mut budget = Budget::from(&criteria.limits);
    let report = Report::parse(pieces.report).map_err(Refusal::Parse)?;
    let vek = verified_vek(pieces.certificates, pieces.crl, criteria, &mut budget)?;
    let report = vek.verify_report(report, criteria.now).map_err(Refusal::Report)?;
    let mut evidence = VerifiedEvidence::snp(report);
    for endorsement in pieces.uvm {
        let verified = verified_uvm(endorsement, criteria, &mut budget).map_err(Refusal::Uvm)?;
        evidence = evidence.with_uvm(verified).map_err(Refusal::UvmMismatch)?;
    }
    found.authentic(evidence.provenance());
    let bound = evidence.bind(pieces.runtime_data, pieces.init_data, &criteria.limits).map_err(Refusal::Binding)?;
    let bound = found.evidence.insert(bound);
    let report = bound.evidence().snp_report();
    report.map_or(Ok(()), |snp| criteria.floor.check(snp.report(), snp.generation())).map_err(Refusal::Floor)
}

fn walk_uvm(endorsement: &[u8], criteria: &Criteria, found: &mut Found) -> Result<(), UvmError> {
    let endorsement = Endorsement::parse(endorsement)?;
    let authentic = endorsement.authenticate(&mut Budget::from(&criteria.limits))?;
    found.authentic = true;
    let trusted = authentic.trust(&criteria.uvm)?;
    found.authentic(trusted.provenance());
    Ok(())
}

fn verified_uvm(bytes: &[u8], criteria: &Criteria, budget: &mut Budget) -> Result<VerifiedEndorsement, UvmError> {
    Endorsement::parse(bytes)?.verify(&criteria.uvm, budget)
}

fn verified_vek(
    certificates: &[&[u8]],
    crl: Option<&[u8]>,
    criteria: &Criteria,
    budget: &mut Budget,
) -> Result<VerifiedVek, Refusal> {
    let certificates = parse_certificates(certificates, &criteria.limits)
        .map_err(|source| Refusal::Endorsements(EndorsementError::X509(source)))?;
    let mut endorsements = Endorsements::new(certificates).map_err(Refusal::Endorsements)?;
    if let Some(crl) = crl {
        endorsements = endorsements.with_crl(Crl::from_der(crl, &criteria.limits).map_err(Refusal::Crl)?);
    }
    VerifiedVek::verify(&endorsements, &criteria.anchors, &criteria.options, criteria.now, budget)
        .map_err(Refusal::Chain)
}

/// Certificates out of pieces that are DER or PEM each; the limit is on all of them together.
fn parse_certificates(pieces: &[&[u8]], limits: &Limits) -> Result<Vec<Certificate>, X509Error> {
    let mut all = Vec::new();
    for piece in pieces {
        match piece.trim_ascii_start().starts_with(b"-----") {
            true => all.extend(Certificate::from_pem_bundle(piece, limits)?),
            false => all.push(Certificate::from_der(piece, limits)?),
        }
        if all.len() > limits.certificates_max {
            return Err(X509Error::TooMany { count_max: limits.certificates_max });
        }
    }
    Ok(all)
}

/// The error of whichever step refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    Parse(ParseError),
    Endorsements(EndorsementError),
    Crl(CrlError),
    Chain(ChainError),
    Report(ReportError),
    Uvm(UvmError),
    UvmMismatch(UvmMismatch),
    Binding(BindingError),
    Floor(FloorRefusal),
}

impl Refusal {
    fn error(&self) -> (&'static str, &dyn Reason) {
        match self {
            Self::Parse(error) => ("ParseError", error),
            Self::Endorsements(error) => ("EndorsementError", error),
            Self::Crl(error) => ("CrlError", error),
            Self::Chain(error) => ("ChainError", error),
            Self::Report(error) => ("ReportError", error),
            Self::Uvm(error) => ("UvmError", error),
            Self::UvmMismatch(error) => ("", error),
            Self::Binding(error) => ("BindingError", error),
            Self::Floor(error) => ("FloorRefusal", error),
        }
    }

    /// Type and variants, from outside to inside. Variants are those that `Debug` shows; a test pins it.
    fn code(&self) -> String {
        let (kind, error) = self.error();
        let debug = format!("{error:?}");
        let mut code = kind.to_owned();
        for variant in debug.split('(').map_while(leading_variant) {
            let whole = variant.is_whole;
            let dot = if code.is_empty() { "" } else { "." };
            code.extend([dot, variant.name]);
            if !whole {
                break;
            }
        }
        code
    }

    /// The code as the table knows it: with the certificate it speaks of, where one check exists per certificate.
    fn key(&self) -> String {
        let code = self.code();
        match self {
            Self::Chain(ChainError::Malformed { source: X509Error::MalformedExtension { .. }, .. }) => {
                format!("{code}.Extension")
            }
            Self::Chain(error) => role(error).map_or(code.clone(), |role| format!("{code}@{role:?}")),
            _ => code,
        }
    }

    /// The error and its sources.
    fn text(&self) -> String {
        let (_, error) = self.error();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

trait Reason: Error + Debug {}

impl<T: Error + Debug> Reason for T {}

/// An identifier at the start of a piece of `Debug` output, and whether the piece is nothing else.
struct LeadingVariant<'a> {
    name: &'a str,
    is_whole: bool,
}

fn leading_variant(piece: &str) -> Option<LeadingVariant<'_>> {
    let end = piece.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(piece.len());
    let (name, rest) = piece.split_at_checked(end)?;
    name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(LeadingVariant { name, is_whole: rest.is_empty() })
}

fn role(error: &ChainError) -> Option<Role> {
    match error {
        ChainError::SignatureAlgorithm { role }
        | ChainError::BadSignature { role }
        | ChainError::Malformed { role, .. } => Some(*role),
        _ => None,
    }
}

/// Which of the optional checks there is something for.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    crl: bool,
    crl_required: bool,
    uvm: bool,
    measurement: bool,
    runtime_data: bool,
    init_data: bool,
}

impl Asked {
    fn includes(&self, row: &Row) -> bool {
        match row.name {
            "crl-present" => self.crl || self.crl_required,
            "crl-format" | "crl-signature" | "crl-validity" | "not-revoked" => self.crl,
            "uvm-measurement" => self.measurement,
            "data-size" => self.runtime_data || self.init_data,
            "runtime-data" => self.runtime_data,
            "init-data" => self.init_data,
            _ => row.subject != Subject::Uvm || self.uvm,
        }
    }
}

/// What a walk has made so far.
#[derive(Default)]
struct Found {
    authentic: bool,
    provenance: Option<Provenance>,
    evidence: Option<BoundEvidence>,
}

impl Found {
    fn authentic(&mut self, provenance: Provenance) {
        self.authentic = true;
        self.provenance = Some(provenance);
    }

    fn conclude(self, subjects: &[Subject], asked: Asked, refusal: Option<Refusal>) -> Examination {
        let rows: Vec<&Row> = table::CHECKS.iter().filter(|row| subjects.contains(&row.subject)).collect();
        let failed = refusal.as_ref().map(|refusal| (table::check_of(&refusal.key()), refusal.text()));
        let checks = judge(&rows, asked, failed.as_ref());
        let outcome = match (refusal, failed, self.provenance) {
            (None, None, Some(provenance)) => Outcome::Accepted { provenance },
            (refusal, failed, _) => refused(refusal, failed),
        };
        Examination { checks, outcome, authentic: self.authentic, provenance: self.provenance, evidence: self.evidence }
    }
}

fn refused(refusal: Option<Refusal>, failed: Option<(&'static str, String)>) -> Outcome {
    let (check, error) = failed.unwrap_or((table::FIRST, String::new()));
    Outcome::Refused { check, code: refusal.map(|refusal| refusal.code()).unwrap_or_default(), error }
}

fn judge(rows: &[&Row], asked: Asked, failed: Option<&(&'static str, String)>) -> Vec<Check> {
    let at = failed.and_then(|(name, _)| rows.iter().position(|row| row.name == *name));
    let stage = at.and_then(|at| rows.get(at)).map(|row| row.stage);
    let verdict = |(index, row): (usize, &&Row)| match failed {
        Some((name, text)) if row.name == *name => Verdict::Failed(text.clone()),
        _ if !asked.includes(row) => Verdict::NotAsked,
        None => Verdict::Passed,
        Some(_) if at.is_some_and(|at| index < at) && stage != Some(row.stage) => Verdict::Passed,
        Some(_) => Verdict::NotReached,
    };
    let check = |(index, row)| Check { name: Row::name(row), verdict: verdict((index, row)), clause: Row::clause(row) };
    rows.iter().enumerate().map(check).collect()
}

#[cfg(test)]
mod tests;
