//! `skerry evidence verify`: sorts files, has them examined, prints every check and what to do about the one that failed.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, bail};
use clap::Args;
use skerry_evidence::anchors::{Anchors, Provenance};
use skerry_evidence::snp::Generation;
use skerry_evidence::uvm::{MICROSOFT_FEED, MICROSOFT_ISSUER, TrustList};
use skerry_jose::json::{Object, Value};
use skerry_verifier::Floor;
use skerry_verifier::examine::{
    Check, Criteria, Examination, Outcome, SnpPieces, Verdict, examine_chain, examine_snp, examine_uvm,
};

use super::piece::{Piece, read_bytes};
use super::time_text;
use crate::edge;

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Files, in any order: report, certificates, revocation list, UVM endorsements, host-amd-cert.json
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Judges at this time instead of now, such as 2026-03-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<SystemTime>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Trusts this simulated root instead of AMD's: its generation and the SHA-256 of its public key (may be repeated)
    #[arg(long, value_name = "GENERATION:SHA256HEX", value_parser = parse_anchor)]
    anchor: Vec<(Generation, [u8; 32])>,
    /// Trusts UVM endorsements of this issuer (did:x509), as simulated
    #[arg(long, value_name = "DID", requires = "uvm_feed")]
    uvm_issuer: Option<String>,
    /// The feed of that issuer
    #[arg(long, value_name = "FEED", requires = "uvm_issuer")]
    uvm_feed: Option<String>,
    /// Lowest security version of UVM endorsements
    #[arg(long, value_name = "N", default_value_t = 0)]
    uvm_svn_min: u64,
    /// What the report data is to cover, byte for byte as it was hashed
    #[arg(long, value_name = "FILE")]
    runtime_data: Option<PathBuf>,
    /// What the host data is to cover, byte for byte as it was hashed
    #[arg(long, value_name = "FILE")]
    init_data: Option<PathBuf>,
    /// Accepts guests whose memory the host may read
    #[arg(long)]
    allow_debug: bool,
    /// Accepts reports asked for from VMPL 0 up to this
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3))]
    vmpl_max: u32,
}

/// Verifies the files; the second of the pair is whether all of it is accepted. `now` is for want of `--at`.
pub(super) fn verify(options: &Options, now: SystemTime) -> Result<(String, bool)> {
    let criteria = options.criteria(now);
    let files = Files::read(options)?;
    let examinations = files.examine(&criteria)?;
    let summary = Summary::of(&examinations);
    let text = match options.json {
        true => as_json(&examinations, &summary, criteria.now),
        false => as_text(&examinations, &summary, criteria.now),
    };
    Ok((text, summary.acceptable))
}

impl Options {
    /// Roots are AMD's or simulated ones, never both.
    fn criteria(&self, now: SystemTime) -> Criteria {
        let mut criteria = Criteria::real(self.at.unwrap_or(now));
        if !self.anchor.is_empty() {
            let add = |anchors: Anchors, (generation, key): &_| anchors.with_simulated(*generation, *key);
            criteria.anchors = self.anchor.iter().fold(Anchors::none(), add);
        }
        criteria.uvm = match (&self.uvm_issuer, &self.uvm_feed) {
            (Some(issuer), Some(feed)) => TrustList::none().with_simulated(issuer, feed, self.uvm_svn_min),
            _ => TrustList::microsoft().with_svn_min(MICROSOFT_ISSUER, MICROSOFT_FEED, self.uvm_svn_min),
        };
        criteria.floor = Floor::default().vmpl_max(self.vmpl_max);
        if self.allow_debug {
            criteria.floor = criteria.floor.danger().allow_debug();
        }
        criteria
    }
}

/// The files, sorted by what they are.
#[derive(Default)]
struct Files {
    report: Option<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
    crl: Option<Vec<u8>>,
    uvm: Vec<Vec<u8>>,
    runtime_data: Option<Vec<u8>>,
    init_data: Option<Vec<u8>>,
}

impl Files {
    fn read(options: &Options) -> Result<Files> {
        let mut files = Files {
            runtime_data: options.runtime_data.as_deref().map(read_bytes).transpose()?,
            init_data: options.init_data.as_deref().map(read_bytes).transpose()?,
            ..Files::default()
        };
        for path in &options.files {
            let twice = match Piece::read(path)? {
                Piece::Report(bytes) => files.report.replace(bytes).map(|_| "report"),
                Piece::Crl(bytes) => files.crl.replace(bytes).map(|_| "revocation list"),
                Piece::Certificates(bytes) | Piece::Host { certificates: bytes, .. } => {
                    files.certificates.push(bytes);
                    None
                }
                Piece::Uvm(bytes) => {
                    files.uvm.push(bytes);
                    None
                }
            };
            if let Some(what) = twice {
                bail!("{}: a second {what}; verify one set of evidence at a time", path.display());
            }
        }
        Ok(files)
    }

    /// With a report everything is one set of evidence; without, certificates and endorsements stand alone.
    fn examine(&self, criteria: &Criteria) -> Result<Vec<(&'static str, Examination)>> {
        let certificates: Vec<&[u8]> = self.certificates.iter().map(Vec::as_slice).collect();
        let uvm: Vec<&[u8]> = self.uvm.iter().map(Vec::as_slice).collect();
        let (crl, runtime_data, init_data) =
            (self.crl.as_deref(), self.runtime_data.as_deref(), self.init_data.as_deref());
        if let Some(report) = &self.report {
            let certificates = &certificates;
            let pieces = SnpPieces { report, certificates, crl, uvm: &uvm, runtime_data, init_data };
            return Ok(vec![("SEV-SNP evidence", examine_snp(&pieces, criteria))]);
        }
        if runtime_data.or(init_data).is_some() {
            bail!("--runtime-data and --init-data are covered by a report; add the report");
        }
        let mut examinations = Vec::new();
        if !certificates.is_empty() {
            examinations.push(("certificate chain", examine_chain(&certificates, crl, criteria)));
        }
        examinations.extend(uvm.iter().map(|bytes| ("UVM endorsement", examine_uvm(bytes, criteria))));
        if examinations.is_empty() {
            bail!("a revocation list alone verifies nothing; add a report, certificates or a UVM endorsement");
        }
        Ok(examinations)
    }
}

/// The worst of all examinations.
struct Summary {
    authentic: bool,
    acceptable: bool,
    provenance: Option<Provenance>,
}

impl Summary {
    fn of(examinations: &[(&str, Examination)]) -> Summary {
        let all = || examinations.iter().map(|(_, examination)| examination);
        let provenances: Option<Vec<Provenance>> = all().map(|examination| examination.provenance).collect();
        Summary {
            authentic: all().all(|examination| examination.authentic),
            acceptable: all().all(Examination::is_accepted),
            provenance: provenances.and_then(|all| all.into_iter().reduce(Provenance::worst)),
        }
    }

    fn line(&self) -> String {
        let word = |yes| if yes { "yes" } else { "no" };
        let (authentic, acceptable) = (word(self.authentic), word(self.acceptable));
        format!("authentic: {authentic}   acceptable: {acceptable}   provenance: {}", provenance(self.provenance))
    }
}

fn provenance(provenance: Option<Provenance>) -> &'static str {
    match provenance {
        Some(Provenance::Real) => "real",
        Some(Provenance::Simulated) => "simulated",
        None => "none",
    }
}

fn as_text(examinations: &[(&str, Examination)], summary: &Summary, at: SystemTime) -> String {
    let mut text = String::new();
    for (what, examination) in examinations {
        let mut table = edge::table(["check", "verdict", "clause"]);
        table.add_rows(examination.checks.iter().map(|check| [check.name, verdict(check), check.clause]));
        text.push_str(&format!("{what}, judged at {}\n{table}\n", time_text(at)));
        if let Outcome::Refused { check, code, error } = &examination.outcome {
            text.push_str(&format!("refused by {check}: {error} ({code})\n"));
            text.extend(next_step(check).map(|next| format!("next: {next}\n")));
        }
    }
    text + &summary.line()
}

fn verdict(check: &Check) -> &'static str {
    match check.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::NotReached => "not reached",
        Verdict::NotAsked => "not asked",
    }
}

fn as_json(examinations: &[(&str, Examination)], summary: &Summary, at: SystemTime) -> String {
    let each: Vec<Value> = examinations.iter().map(|(what, examination)| one_json(what, examination).into()).collect();
    Object::new()
        .with("judged_at", time_text(at))
        .with("authentic", summary.authentic)
        .with("acceptable", summary.acceptable)
        .with("provenance", provenance(summary.provenance))
        .with("examinations", each)
        .to_json()
}

fn one_json(what: &str, examination: &Examination) -> Object {
    let mut object = Object::new()
        .with("what", what)
        .with("authentic", examination.authentic)
        .with("acceptable", examination.is_accepted())
        .with("provenance", provenance(examination.provenance));
    if let Outcome::Refused { check, code, error } = &examination.outcome {
        object.insert(
            "refused",
            Object::new().with("check", *check).with("code", code.as_str()).with("error", error.as_str()),
        );
    }
    let checks: Vec<Value> = examination.checks.iter().map(|check| check_json(check).into()).collect();
    object.with("checks", checks)
}

fn check_json(check: &Check) -> Object {
    let object = Object::new().with("name", check.name).with("verdict", verdict(check).to_lowercase());
    let object = object.with("clause", check.clause);
    match &check.verdict {
        Verdict::Failed(error) => object.with("error", error.as_str()),
        _ => object,
    }
}

fn next_step(check: &str) -> Option<&'static str> {
    NEXT_STEPS.iter().find(|(name, _)| *name == check).map(|(_, next)| *next)
}

/// Check, what to do when it fails.
const NEXT_STEPS: &[(&str, &str)] = &[
    ("report-format", "give the 1184 bytes as the TEE made them: raw, hex or base64"),
    ("report-version", "versions 2 to 5 are read here; 0 and 1 are of pre-release firmware"),
    ("report-reserved", "the report was changed, or is of a later version: gather it again"),
    ("certificates-parse", "give certificates as PEM or DER, as AMD or the host served them"),
    (
        "certificates-roles",
        "add the VCEK or VLEK: host-amd-cert.json, or https://kdsintf.amd.com/vcek/v1/{product}/{chip id}",
    ),
    ("chain-complete", "add the CA certificates: https://kdsintf.amd.com/{vcek or vlek}/v1/{product}/cert_chain"),
    (
        "root-pinned",
        "this root is none of those trusted; a simulated one is trusted with --anchor GENERATION:SHA256HEX, where \
         `skerry evidence show` prints the hash as spki sha256",
    ),
    ("names-link", "take VEK and CA certificates of one product"),
    ("certificates-validity", "judge at the time the evidence is from, with --at"),
    ("crl-present", "add the list: https://kdsintf.amd.com/vcek/v1/{product}/crl"),
    (
        "crl-validity",
        "fetch the list anew: https://kdsintf.amd.com/vcek/v1/{product}/crl; or judge at its time, with --at",
    ),
    ("processor", "take the certificates of the product that the report is from"),
    ("chip-id", "take the VCEK of the chip that the report is from"),
    ("tcb-match", "take the VEK of the TCB that the report reports; `skerry evidence show` prints both"),
    ("report-signature", "the report was changed, or another key signed it: gather it again"),
    ("guest-requested", "have the guest ask for the report, not the host"),
    ("uvm-signature", "the endorsement was changed: fetch it again"),
    ("uvm-trust", "if you trust this issuer and feed, name them with --uvm-issuer and --uvm-feed"),
    ("uvm-payload", "endorsements that are digests of something detached are not supported yet"),
    ("uvm-svn", "take an endorsement of a newer utility VM, or lower --uvm-svn-min"),
    ("uvm-measurement", "take the endorsement of the utility VM that the report is from"),
    ("runtime-data", "give the very bytes that were hashed; an added line end makes them others"),
    ("init-data", "give the very bytes that were hashed; an added line end makes them others"),
    ("floor-debug", "launch the guest without debug; --allow-debug judges it all the same"),
    ("floor-migration", "launch the guest without a migration agent"),
    ("floor-vmpl", "ask from VMPL 0, or accept higher ones with --vmpl-max"),
];

fn parse_time(text: &str) -> std::result::Result<SystemTime, String> {
    let time = text.parse::<der::DateTime>().map(|time| time.to_system_time());
    time.map_err(|_| "write it like 2026-03-01T00:00:00Z, in UTC".to_owned())
}

fn parse_anchor(text: &str) -> std::result::Result<(Generation, [u8; 32]), String> {
    let wrong = || "write it like milan:9f056b..., with the 64 hex digits of SHA-256".to_owned();
    let (name, digits) = text.split_once(':').ok_or_else(wrong)?;
    let generation = Generation::ALL.into_iter().find(|generation| generation.name().eq_ignore_ascii_case(name));
    let generation = generation.ok_or("the generation is milan, genoa or turin")?;
    let mut key = [0; 32];
    hex::decode_to_slice(digits, &mut key).map_err(|_| wrong())?;
    Ok((generation, key))
}

#[cfg(test)]
pub(super) fn next_step_checks() -> impl Iterator<Item = &'static str> {
    NEXT_STEPS.iter().map(|(check, _)| *check)
}
