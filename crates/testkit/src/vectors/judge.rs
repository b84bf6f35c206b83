//! Verdicts: what each asks for, and whether an examination gives it.

use std::path::Path;

use serde_json::Value;
use skerry_evidence::uvm::Endorsement;
use skerry_verifier::Floor;
use skerry_verifier::examine::{Criteria, Examination, Outcome, examine_snp, examine_uvm};

use super::vector::{self, Files, Kind};
use super::{Agreement, Line, claims};

/// What a verdict asks for.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// Accepted, with the claims and provenance that the vector names.
    Accept,
    /// Refused by this check of the floor, authentic; accepted with that floor.
    AcceptOnlyWith(&'static str, fn(Floor) -> Floor),
    /// Authentic; who is trusted is a matter of configuration.
    Authentic,
    /// Authentic, and refused by this check.
    AuthenticRefusedBy(&'static str),
    /// Authentic, and refused by a check of the floor that the reason speaks of.
    RefusedByFloor,
    /// Refused; by the check that the vector names, if it names one.
    Refuse,
    /// Something that only evidence of a kind not verified here can show, or a part of it.
    NotSupported(&'static str),
}

/// The verdicts of the vectors' README.
const VERDICTS: &[(&str, Want)] = &[
    ("accept", Want::Accept),
    ("verify-ok", Want::Accept),
    ("accept-if-vmpl-1-allowed", Want::AcceptOnlyWith("floor-vmpl", |floor| floor.vmpl_max(1))),
    ("reject-debug", Want::AcceptOnlyWith("floor-debug", |floor| floor.danger().allow_debug())),
    ("reject-debug-unless-allowed", Want::AcceptOnlyWith("floor-debug", |floor| floor.danger().allow_debug())),
    ("reject-migration", Want::AcceptOnlyWith("floor-migration", |floor| floor.danger().allow_migration())),
    ("reject-policy", Want::RefusedByFloor),
    ("accept-signature", Want::Authentic),
    ("reject-untrusted", Want::AuthenticRefusedBy("uvm-trust")),
    ("reject", Want::Refuse),
    ("reject-receipt", Want::NotSupported(LEDGER_RECEIPT)),
    ("verify-ok-if-policy-allows", Want::NotSupported("SEPT_VE_DISABLE")),
    ("reject-tcb", Want::NotSupported("TCB levels")),
    ("signatures-ok-no-collateral", Want::NotSupported("collateral")),
    ("reject-or-needs-pccs", Want::NotSupported("PCK certificates")),
    ("accept-report-only", Want::NotSupported("vTPM quote")),
    ("unverifiable-alone", Want::NotSupported("TDREPORT")),
];

/// Receipts are counted by the parser of endorsements and verified by nobody.
const LEDGER_RECEIPT: &str = "ledger receipt";

/// Judges one vector, whose files are in `folder`.
pub fn judge(folder: &Path, vector: &Value) -> Line {
    let text = |name| vector.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut line = Line {
        folder: folder.to_owned(),
        id: text("id"),
        wanted: text("verdict"),
        decided: "-".to_owned(),
        check: "-".to_owned(),
        code: String::new(),
        result: Agreement::Ok,
        apart: Vec::new(),
    };
    line.result = match decide(folder, vector, &mut line) {
        Ok(Decided::NotSupported(what)) => Agreement::NotSupported(what),
        Ok(Decided::Judged(failures)) if failures.is_empty() => Agreement::Ok,
        Ok(Decided::Judged(failures)) => Agreement::Fail(failures),
        Err(failure) => Agreement::Fail(vec![failure]),
    };
    if line.result != Agreement::Ok {
        line.apart.clear();
    }
    line
}

enum Decided {
    /// With every way in which it is not as wanted.
    Judged(Vec<String>),
    NotSupported(&'static str),
}

fn decide(folder: &Path, vector: &Value, line: &mut Line) -> Result<Decided, String> {
    let (_, want) =
        VERDICTS.iter().find(|(verdict, _)| *verdict == line.wanted).ok_or("the verdict is none that is known")?;
    let kind = Kind::of(vector);
    match (kind, *want) {
        (Kind::NotSupported(what), _) => return Ok(Decided::NotSupported(what)),
        (Kind::Uvm, Want::NotSupported(LEDGER_RECEIPT)) => return Ok(Decided::NotSupported(LEDGER_RECEIPT)),
        (Kind::Snp | Kind::Uvm, Want::NotSupported(what)) => return Err(format!("{what}: no verdict on this kind")),
        (Kind::Unknown, _) => return Err("no member names a file of evidence".to_owned()),
        (Kind::Snp | Kind::Uvm, _) => {}
    }
    let files = Files::read(folder, vector)?;
    let criteria = vector::criteria(vector)?;
    if let Some(cose) = &files.cose {
        line.apart.extend(receipts(cose).then_some(LEDGER_RECEIPT));
    }
    let ways = match kind {
        Kind::Snp => files.pieces(|pieces| examination_of(want, &|criteria| examine_snp(pieces, criteria), &criteria)),
        _ => {
            let cose = files.cose.as_deref().unwrap_or_default();
            vec![examination_of(want, &|criteria| examine_uvm(cose, criteria), &criteria)]
        }
    };
    let mut failures = Vec::new();
    for both in ways {
        show(line, &both.first, both.second.as_ref(), &mut failures);
        failures.extend(compare(want, vector, &both));
    }
    Ok(Decided::Judged(failures))
}

/// The examination with the default floor and, where a verdict has a second half, the one with the loosened floor.
struct Both {
    first: Examination,
    second: Option<Examination>,
}

fn examination_of(want: &Want, examine: &dyn Fn(&Criteria) -> Examination, criteria: &Criteria) -> Both {
    let second = match want {
        Want::AcceptOnlyWith(_, loosen) => {
            Some(examine(&Criteria { floor: loosen(criteria.floor.clone()), ..criteria.clone() }))
        }
        _ => None,
    };
    Both { first: examine(criteria), second }
}

fn receipts(cose: &[u8]) -> bool {
    Endorsement::parse(cose).is_ok_and(|endorsement| endorsement.receipts() > 0)
}

/// Writes into the line what was decided; two ways to the same evidence must agree.
fn show(line: &mut Line, first: &Examination, second: Option<&Examination>, failures: &mut Vec<String>) {
    let (mut decided, check, code) = outcome(first);
    if let Some(second) = second {
        decided = format!("{decided}; loosened: {}", outcome(second).0);
    }
    let earlier = (line.decided.clone(), line.check.clone());
    if earlier.0 != "-" && earlier != (decided.clone(), check.clone()) {
        failures.push(format!("the vector's two sets of certificates disagree: {} by {}", earlier.0, earlier.1));
    }
    (line.decided, line.check, line.code) = (decided, check, code);
}

fn outcome(examination: &Examination) -> (String, String, String) {
    match &examination.outcome {
        Outcome::Accepted { provenance } => {
            (format!("accepted, {provenance:?}").to_lowercase(), "all".to_owned(), String::new())
        }
        Outcome::Refused { check, code, .. } if examination.authentic => {
            ("authentic, refused".to_owned(), (*check).to_owned(), code.clone())
        }
        Outcome::Refused { check, code, .. } => ("refused".to_owned(), (*check).to_owned(), code.clone()),
    }
}

/// Every way in which the outcome is not what the verdict asks for.
fn compare(want: &Want, vector: &Value, both: &Both) -> Vec<String> {
    let first = &both.first;
    match want {
        Want::Accept => accepted(vector, first),
        Want::AcceptOnlyWith(check, _) => {
            let mut failures = refused_by(first, check);
            failures.extend(both.second.iter().flat_map(|second| accepted(vector, second)));
            failures
        }
        Want::Authentic => wrong(first.authentic, || format!("not authentic: {}", refusal(first))).collect(),
        Want::AuthenticRefusedBy(check) => refused_by(first, check),
        Want::RefusedByFloor => {
            let named = first.failed().is_some_and(|check| floor_check_in(vector, check));
            wrong(first.authentic && named, || format!("not refused as the reason says: {}", refusal(first))).collect()
        }
        Want::Refuse => refused(vector, first),
        Want::NotSupported(what) => vec![format!("{what}: not supported")],
    }
}

fn accepted(vector: &Value, examination: &Examination) -> Vec<String> {
    if !examination.is_accepted() {
        return vec![format!("refused: {}", refusal(examination))];
    }
    let wanted = vector::provenance(vector);
    let provenance = examination.provenance;
    let mut failures: Vec<String> =
        wrong(provenance == Some(wanted), || format!("provenance is {provenance:?}, not {wanted:?}")).collect();
    let report = examination.evidence.as_ref().and_then(|bound| bound.evidence().snp_report());
    for expected in CLAIMS.iter().filter_map(|name| vector.get(name)) {
        match (expected.as_object(), report) {
            (Some(claims), Some(snp)) => {
                failures.extend(claims::differences(claims, snp.report(), snp.generation()));
            }
            _ => failures.push("there are claims to compare and nothing to compare them with".to_owned()),
        }
    }
    failures
}

fn refused_by(examination: &Examination, check: &str) -> Vec<String> {
    let right = examination.authentic && examination.failed() == Some(check);
    wrong(right, || format!("not refused by {check} alone: {}", refusal(examination))).collect()
}

/// A vector's `check` is a check's name, or an error's type and variants.
fn refused(vector: &Value, examination: &Examination) -> Vec<String> {
    let Outcome::Refused { check, code, .. } = &examination.outcome else {
        return vec!["accepted".to_owned()];
    };
    match vector.get("check") {
        None | Some(Value::Null) => Vec::new(),
        Some(named) => {
            let right = named.as_str().is_some_and(|named| named == *check || named == code);
            wrong(right, || format!("refused by {check} ({code}), the vector says {named}")).collect()
        }
    }
}

/// Whether the vector's reason speaks of what a check of the floor is named for.
fn floor_check_in(vector: &Value, check: &str) -> bool {
    let reason = vector.get("reason").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    check.strip_prefix("floor-").is_some_and(|attribute| reason.contains(&attribute.replace('-', " ")))
}

fn refusal(examination: &Examination) -> String {
    match &examination.outcome {
        Outcome::Accepted { .. } => "accepted".to_owned(),
        Outcome::Refused { check, error, .. } => format!("{check}: {error}"),
    }
}

fn wrong(right: bool, failure: impl FnOnce() -> String) -> impl Iterator<Item = String> {
    (!right).then(failure).into_iter()
}

/// The names under which vectors say what a report says.
const CLAIMS: &[&str] = &["expected_claims", "snp_claims", "expected_snp_claims"];
