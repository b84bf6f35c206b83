//! Tests of the table, and of what an examination calls passed. That real evidence is judged so is for the runner of vectors.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skerry_attestation_result::{IssuerUrl, TokenSigner};
use skerry_evidence::snp::{ChainError, Generation, Role};
use skerry_evidence::uvm::{CoseError, UvmError};
use skerry_evidence::x509::X509Error;
use skerry_jose::{Algorithm, SigningKey};

use super::table::{CHECKS, ERRORS, begins_with, check_of};
use super::*;
use crate::wire::SnpRequest;
use crate::{Verifier, VerifierConfig};

/// Where each error type is defined, below `crates/`; its key in the table; whether each variant needs a row.
const SOURCES: &[(&str, &str, &str, bool)] = &[
    ("evidence/src/snp/report.rs", "ParseError", "ParseError", true),
    ("evidence/src/snp/verify.rs", "EndorsementError", "EndorsementError", true),
    ("evidence/src/snp/crl.rs", "CrlError", "CrlError", false),
    ("evidence/src/snp/crl.rs", "CrlError", "ChainError.Crl", true),
    ("evidence/src/snp/verify.rs", "ChainError", "ChainError", true),
    ("evidence/src/snp/vek.rs", "VekError", "ChainError.Vek", true),
    ("evidence/src/snp/verify.rs", "ReportError", "ReportError", true),
    ("evidence/src/uvm/mod.rs", "UvmError", "UvmError", true),
    ("evidence/src/uvm/cose.rs", "CoseError", "UvmError.Cose", false),
    ("evidence/src/uvm/chain.rs", "ChainError", "UvmError.Chain", true),
    ("evidence/src/uvm/did_x509.rs", "DidError", "UvmError.Did", true),
    ("evidence/src/evidence.rs", "BindingError", "BindingError", true),
    ("verifier/src/floor.rs", "FloorRefusal", "FloorRefusal", true),
];

/// Variants of an enum, out of its source as rustfmt writes it.
fn variants(file: &str, name: &str) -> Vec<String> {
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).unwrap();
    let body = source.split_once(&format!("pub enum {name} {{\n")).unwrap().1.split_once("\n}").unwrap().0;
    let indented = body.lines().filter_map(|line| line.strip_prefix("    "));
    let starts = indented.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    starts.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap().to_owned()).collect()
}

/// Every variant of every error has a row of its own, so that none falls to the first check of its step unseen.
#[test]
fn every_error_has_a_check() {
    for (file, name, key, each) in SOURCES {
        let variants = variants(file, name);
        assert!(variants.len() >= 4, "{name}: {variants:?}");
        for variant in variants.iter().filter(|_| *each) {
            let key = format!("{key}.{variant}");
            assert!(ERRORS.iter().any(|(row, _)| *row == key), "{key} has no check");
        }
        assert!(ERRORS.iter().any(|(row, _)| row == key), "{key} has no check");
    }
}

/// Every row is about an error that exists, and names a check that exists; no key and no check is there twice.
#[test]
fn every_row_is_used() {
    let mut known: Vec<String> = vec!["UvmMismatch".to_owned(), "ChainError.Malformed.Extension".to_owned()];
    for (file, name, key, _) in SOURCES {
        known.push((*key).to_owned());
        known.extend(variants(file, name).iter().map(|variant| format!("{key}.{variant}")));
    }
    for (at, (key, check)) in ERRORS.iter().enumerate() {
        let bare = key.split('@').next().unwrap();
        assert!(known.iter().any(|k| k == bare), "{key} is no error");
        assert!(CHECKS.iter().any(|row| row.name == *check), "{key}: {check} is no check");
        assert!(ERRORS.iter().skip(at + 1).all(|(other, _)| other != key), "{key} twice");
    }
    for (at, row) in CHECKS.iter().enumerate() {
        assert!(CHECKS.iter().skip(at + 1).all(|other| other.name != row.name), "{} twice", row.name);
        let named = ERRORS.iter().any(|(_, check)| *check == row.name);
        assert!(named, "{}: no error leads to it", row.name);
    }
    assert!(CHECKS.is_sorted_by_key(|row| row.stage));
}

/// The longest key decides, and a name that merely begins like another is another.
#[test]
fn the_longest_key_decides() {
    assert_eq!(check_of("ChainError.Crl.Expired"), "crl-validity");
    assert_eq!(check_of("ChainError.BadSignature@Asvk"), "intermediate-signature");
    assert_eq!(check_of("UvmError.Payload.NoSvn"), "uvm-payload");
    assert_eq!(check_of("UvmError.NeverHeardOf"), "uvm-format");
    assert!(!begins_with("FloorRefusal.TcbReserved", "FloorRefusal.Tcb"));
}

/// A code is the type and the variants of the error, without what they carry.
#[test]
fn codes_name_type_and_variants() {
    let oid = skerry_evidence::x509::BASIC_CONSTRAINTS;
    for (refusal, code) in [
        (Refusal::Parse(ParseError::Length { len: 3 }), "ParseError.Length"),
        (Refusal::Chain(ChainError::BadSignature { role: Role::Ark }), "ChainError.BadSignature"),
        (Refusal::Chain(ChainError::Crl(CrlError::Issuer)), "ChainError.Crl.Issuer"),
        (
            Refusal::Endorsements(EndorsementError::X509(X509Error::DuplicateExtension { oid })),
            "EndorsementError.X509.DuplicateExtension",
        ),
        (Refusal::Uvm(UvmError::Cose(CoseError::Signature)), "UvmError.Cose.Signature"),
        (Refusal::Uvm(UvmError::UnknownIssuer { issuer: "Did(X(Y".into() }), "UvmError.UnknownIssuer"),
        (Refusal::UvmMismatch(UvmMismatch), "UvmMismatch"),
        (Refusal::Floor(FloorRefusal::Debug), "FloorRefusal.Debug"),
    ] {
        assert_eq!(refusal.code(), code);
    }
}

/// Which certificate an error is about decides between checks that exist for each.
#[test]
fn roles_decide_between_signatures() {
    let check = |error| check_of(&Refusal::Chain(error).key());
    assert_eq!(check(ChainError::BadSignature { role: Role::Ark }), "root-self-signature");
    assert_eq!(check(ChainError::BadSignature { role: Role::Ask }), "intermediate-signature");
    assert_eq!(check(ChainError::SignatureAlgorithm { role: Role::Vek }), "vek-signature");
    let oid = skerry_evidence::x509::BASIC_CONSTRAINTS;
    let source = X509Error::MalformedExtension { oid };
    assert_eq!(check(ChainError::Malformed { role: Role::Vek, source }), "ca-constraints");
    assert_eq!(check(ChainError::Malformed { role: Role::Vek, source: X509Error::KeyMismatch }), "vek-signature");
}

fn verdict<'a>(examination: &'a Examination, name: &str) -> &'a Verdict {
    &examination.checks.iter().find(|check| check.name == name).unwrap().verdict
}

/// Nothing counts as passed that comes after the refusal, and what nothing was given for is not asked.
#[test]
fn nothing_passes_after_a_refusal() {
    let mut report = [0; 1184];
    report[0] = 3;
    let criteria = Criteria::real(SystemTime::UNIX_EPOCH);
    let examination = examine_snp(&SnpPieces { report: &report, ..SnpPieces::default() }, &criteria);
    assert_eq!(examination.failed(), Some("certificates-roles"));
    assert_eq!(verdict(&examination, "report-reserved"), &Verdict::Passed);
    assert_eq!(verdict(&examination, "certificates-parse"), &Verdict::Passed);
    assert_eq!(verdict(&examination, "certificates-roles"), &Verdict::Failed("no vcek or vlek".to_owned()));
    assert_eq!(verdict(&examination, "report-signature"), &Verdict::NotReached);
    assert_eq!(verdict(&examination, "floor-debug"), &Verdict::NotReached);
    assert_eq!(verdict(&examination, "uvm-signature"), &Verdict::NotAsked);
    assert_eq!(verdict(&examination, "crl-signature"), &Verdict::NotAsked);
    assert!(!examination.authentic && !examination.is_accepted() && examination.evidence.is_none());
}

/// A stage is passed as a whole or not at all: a critical extension of the root is met before the names of the VEK.
#[test]
fn a_stage_passes_as_a_whole() {
    let rows: Vec<&Row> = CHECKS.iter().collect();
    let failed = ("critical-extensions", String::new());
    let checks = judge(&rows, Asked::default(), Some(&failed));
    let of = |name: &str| checks.iter().find(|check| check.name == name).unwrap().verdict.clone();
    assert_eq!(of("root-pinned"), Verdict::Passed);
    assert_eq!(of("names-link"), Verdict::NotReached);
    assert_eq!(of("critical-extensions"), Verdict::Failed(String::new()));
}

/// Parts stand alone: an endorsement that is none, certificates that are none.
#[test]
fn parts_are_judged_alone() {
    let criteria = Criteria::real(SystemTime::UNIX_EPOCH);
    let uvm = examine_uvm(b"", &criteria);
    assert_eq!(uvm.failed(), Some("uvm-format"));
    assert!(uvm.checks.iter().all(|check| check.name.starts_with("uvm-")));
    let chain = examine_chain(&[b"x"], None, &criteria);
    assert_eq!(chain.failed(), Some("certificates-parse"));
    assert!(chain.checks.iter().all(|check| !check.name.starts_with("report-")));
    let many: Vec<&[u8]> = vec![b"-----BEGIN CERTIFICATE-----"; 2];
    assert_eq!(examine_chain(&many, None, &criteria).failed(), Some("certificates-parse"));
}

/// One simulated vector as the wire brings it: certificates in PEM, and the configuration that trusts its root.
fn of_vector(folder: &Path, vector: &serde_json::Value) -> (SnpRequest, VerifierConfig, Criteria) {
    let read = |name: &str| vector[name].as_str().map(|file| std::fs::read(folder.join(file)).unwrap());
    let mut chain_pem = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    chain_pem.extend(STANDARD.encode(read("vek").unwrap()).into_bytes());
    chain_pem.extend(b"\n-----END CERTIFICATE-----\n");
    chain_pem.extend(read("chain").unwrap());
    let name = vector["anchor"]["generation"].as_str().unwrap();
    let generation = Generation::ALL.into_iter().find(|g| g.name().eq_ignore_ascii_case(name)).unwrap();
    let mut key = [0; 32];
    hex::decode_to_slice(vector["anchor"]["ark_spki_sha256"].as_str().unwrap(), &mut key).unwrap();
    let trust = &vector["uvm_trust"];
    let uvm = trust["issuer"].as_str().map_or_else(TrustList::none, |issuer| {
        let (feed, svn_min) = (trust["feed"].as_str().unwrap(), trust["svn_min"].as_u64().unwrap());
        TrustList::none().with_simulated(issuer, feed, svn_min)
    });
    let mut config = VerifierConfig::simulated(&[(generation, key)], uvm.clone());
    if let Some(crl) = read("crl") {
        config = config.crl(Crl::from_der(&crl, &Limits::default()).unwrap());
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(vector["verify_at_unix"].as_u64().unwrap());
    let anchors = Anchors::none().with_simulated(generation, key);
    let criteria = Criteria { anchors, uvm, ..Criteria::real(now) };
    let uvm = read("cose").into_iter().collect();
    let report = read("report").unwrap();
    (SnpRequest { report, chain_pem, uvm, runtime_data: None, init_data: None, nonce: None }, config, criteria)
}

/// The causes of an error, the error itself left out: the Verifier's only names the step.
fn causes(error: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(error) = source {
        causes.push(error.to_string());
        source = error.source();
    }
    causes.join(": ")
}

/// An examination says what the Verifier says, accepted or refused and why, of every simulated vector.
#[test]
fn examinations_agree_with_the_verifier() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/simulated");
    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("vectors.json")).unwrap()).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for vector in list["vectors"].as_array().unwrap() {
        let (request, config, criteria) = of_vector(&folder, vector);
        let crl = vector["crl"].as_str().map(|file| std::fs::read(folder.join(file)).unwrap());
        let uvm: Vec<&[u8]> = request.uvm.iter().map(Vec::as_slice).collect();
        let certificates: &[&[u8]] = &[&request.chain_pem];
        let pieces =
            SnpPieces { report: &request.report, certificates, crl: crl.as_deref(), uvm: &uvm, ..SnpPieces::default() };
        let examination = examine_snp(&pieces, &criteria);
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let signer = TokenSigner::new(IssuerUrl::parse("https://attest.example").unwrap(), key);
        match (Verifier::new(config, signer).verify(&request, criteria.now), &examination.outcome) {
            (Ok(evidence), _) if examination.authentic => {
                assert_eq!(Some(evidence.provenance()), examination.provenance, "{}", vector["id"]);
                accepted += 1;
            }
            (Err(said), Outcome::Refused { error, .. }) if !examination.authentic => {
                assert_eq!(causes(&said), *error, "{}", vector["id"]);
                refused += 1;
            }
            (verified, outcome) => panic!("{}: {verified:?}, {outcome:?}", vector["id"]),
        }
    }
    assert!(accepted > 10 && refused > 30, "{accepted} accepted, {refused} refused");
}
