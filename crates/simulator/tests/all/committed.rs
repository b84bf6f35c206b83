//! The committed vectors of `vectors/simulated`, each against the verifier.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use skerry_evidence::anchors::Anchors;
use skerry_evidence::evidence::VerifiedEvidence;
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{Crl, CrlPolicy, Endorsements, Generation, Options, Report, VerifiedVek};
use skerry_evidence::uvm::{Endorsement, TrustList};
use skerry_evidence::x509::Budget;

/// Every vector gets its verdict, and every refusal comes from the check that is named.
#[test]
fn every_vector_gets_its_verdict() {
    let index: Value = serde_json::from_slice(&file("vectors.json")).unwrap();
    let vectors = index["vectors"].as_array().unwrap();
    assert!(vectors.len() > 70);
    let mut wrong = Vec::new();
    for vector in vectors {
        let expected = match text(&vector["verdict"]) {
            "reject" => Some(vector["check"].as_str().unwrap_or("a check that is not named")),
            _ => None,
        };
        let found = verify(vector).err();
        if found.as_deref() != expected {
            wrong.push(format!("{}: {found:?} instead of {expected:?}", text(&vector["id"])));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a parser reads from reports that are not rejected is what the vectors say.
#[test]
fn claims_are_those_expected() {
    let index: Value = serde_json::from_slice(&file("vectors.json")).unwrap();
    for vector in index["vectors"].as_array().unwrap() {
        let claims = &vector["expected_claims"];
        assert_eq!(claims.is_null(), vector["verdict"] == "reject");
        if claims.is_null() {
            continue;
        }
        let report = Report::parse(&file(text(&vector["report"]))).unwrap();
        assert_eq!(claims["version"], report.version());
        assert_eq!(claims["guest_svn"], report.guest_svn());
        assert_eq!(claims["vmpl"], report.vmpl());
        assert_eq!(claims["measurement"], hex::encode(report.measurement()));
        assert_eq!(claims["report_data"], hex::encode(report.report_data()));
        assert_eq!(claims["host_data"], hex::encode(report.host_data()));
        assert_eq!(claims["chip_id"], hex::encode(report.chip_id()));
    }
}

/// What is signed by whom: reports, certificates, lists and endorsements, to the names of variants.
fn verify(vector: &Value) -> Result<(), String> {
    let limits = Limits::default();
    let report = Report::parse(&file(text(&vector["report"]))).map_err(path)?;
    let (vek, chain) = (file(text(&vector["vek"])), file(text(&vector["chain"])));
    let mut endorsements = Endorsements::from_der_and_pem(&vek, &chain, &limits).map_err(path)?;
    if let Some(crl) = vector["crl"].as_str() {
        endorsements = endorsements.with_crl(Crl::from_der(&file(crl), &limits).map_err(path)?);
    }
    let now = at(&vector["verify_at_unix"]);
    let options = Options { crl: CrlPolicy::IfPresent };
    let mut budget = Budget::new(100);
    let vek = VerifiedVek::verify(&endorsements, &anchors(vector), &options, now, &mut budget);
    let report = vek.map_err(path)?.verify_report(report, now).map_err(path)?;
    let evidence = VerifiedEvidence::snp(report);
    let Some(cose) = vector["cose"].as_str() else {
        return Ok(());
    };
    let endorsement = Endorsement::parse(&file(cose)).map_err(path)?;
    let endorsement = endorsement.verify(&trust(vector), &mut budget).map_err(path)?;
    evidence.with_uvm(endorsement).map(|_| ()).map_err(path)
}

fn anchors(vector: &Value) -> Anchors {
    let anchor = &vector["anchor"];
    let name = text(&anchor["generation"]);
    let generation = Generation::ALL.into_iter().find(|of| of.name().eq_ignore_ascii_case(name)).unwrap();
    let hash = hex::decode(text(&anchor["ark_spki_sha256"])).unwrap();
    Anchors::none().with_simulated(generation, hash.try_into().unwrap())
}

fn trust(vector: &Value) -> TrustList {
    let trust = &vector["uvm_trust"];
    let svn_min = trust["svn_min"].as_u64().unwrap();
    TrustList::none().with_simulated(text(&trust["issuer"]), text(&trust["feed"]), svn_min)
}

/// The type of the error, then names of variants from the outermost to the innermost, with dots.
fn path<E: Debug>(error: E) -> String {
    let shown = format!("{error:?}");
    let variants = shown.split([' ', ')']).next().unwrap().replace('(', ".");
    let kind = std::any::type_name::<E>().rsplit("::").next().unwrap();
    if variants == kind { variants } else { format!("{kind}.{variants}") }
}

fn at(secs: &Value) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs.as_u64().unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/simulated");
    std::fs::read(folder.join(name)).unwrap()
}
