//! Real reports: each is decided, and by the check that its reason names.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use skerry_evidence::{
    anchors::{Anchors, Provenance},
    limits::Limits,
    snp::{
        ChainError, Generation, ParseError, Report, ReportError, Role, SigningKey, TcbVersion, VekKind, VerifiedReport,
    },
    x509::Certificate,
};

use crate::support::{self, OPTIONAL_CRL, Vector, budget, vectors};

#[derive(Debug, PartialEq)]
enum Refusal {
    Parse(ParseError),
    Chain(ChainError),
    Report(ReportError),
}

fn decide(vector: &Vector) -> Result<VerifiedReport, Refusal> {
    let report = Report::parse(&vector.report()).map_err(Refusal::Parse)?;
    let vek = vector.verified_vek().map_err(Refusal::Chain)?;
    vek.verify_report(report, vector.time()).map_err(Refusal::Report)
}

/// Every genuine vector verifies and says what is expected of it, debug and VMPL 1 included: they are authentic.
#[test]
fn genuine_reports_verify() {
    let Some(all) = vectors("genuine_reports_verify") else { return };
    for vector in all.iter().filter(|v| v.json["verdict"] != "reject") {
        let verified = decide(vector).unwrap_or_else(|e| panic!("{}: {e:?}", vector.id()));
        assert_eq!(claims(&verified), vector.json["expected_claims"], "{}", vector.id());
        assert_eq!(verified.provenance(), Provenance::Real);
        assert_eq!(verified.generation().name().to_lowercase(), vector.json["generation"].as_str().unwrap());
        assert_eq!(verified.csp_id().is_some(), verified.kind() == VekKind::Vlek);
        assert!(verified.valid_until() > vector.time());
    }
}

/// Every forged vector is refused by the check its reason names.
#[test]
fn forged_reports_are_refused_for_their_reason() {
    let Some(all) = vectors("forged_reports_are_refused_for_their_reason") else { return };
    let mut seen = BTreeSet::new();
    for vector in all.iter().filter(|v| v.json["verdict"] == "reject") {
        let refusal = decide(vector).expect_err(vector.id());
        seen.insert(vector.id().to_owned());
        let named = match (vector.id(), &refusal) {
            ("neg-version0", Refusal::Parse(e)) => *e == ParseError::UnsupportedVersion { version: 0 },
            ("neg-version1-prerelease", Refusal::Parse(e)) => *e == ParseError::UnsupportedVersion { version: 1 },
            ("neg-vcek-selfissued-legacy", Refusal::Chain(e)) => *e == ChainError::BadSignature { role: Role::Vek },
            ("neg-measurement-flip", Refusal::Report(e)) => *e == ReportError::BadSignature,
            ("neg-wrong-vcek", Refusal::Chain(e)) => *e == ChainError::Issuer { role: Role::Vek },
            ("neg-tcb-raised", Refusal::Report(e)) => matches!(e, ReportError::TcbMismatch { .. }),
            _ => false,
        };
        assert!(named, "{}: {refusal:?}", vector.id());
    }
    assert_eq!(seen.len(), 6, "a new negative vector needs a row here");
}

/// The certificate of another chip of the same product is refused, by TCB or by chip id.
#[test]
fn another_chip_does_not_endorse() {
    let Some(vector) = support::vector("another_chip_does_not_endorse", "turin-v5-caci") else { return };
    let vek = std::fs::read(support::vectors_dir().join("snp/certs/other-turin-vcek.der")).unwrap();
    let limits = Limits::default();
    let given = skerry_evidence::snp::Endorsements::from_der_and_pem(&vek, &vector.chain(), &limits).unwrap();
    let now = vector.time();
    let vek =
        skerry_evidence::snp::VerifiedVek::verify(&given, &Anchors::amd(), &OPTIONAL_CRL, now, &mut budget()).unwrap();
    let refusal = vek.verify_report(Report::parse(&vector.report()).unwrap(), now).unwrap_err();
    assert_eq!(refusal, ReportError::ChipIdMismatch);
}

/// A cloud provider's key is refused after its one year, and before it.
#[test]
fn vlek_is_refused_out_of_date() {
    let Some(vector) = support::vector("vlek_is_refused_out_of_date", "milan-v3-vlek-aws") else { return };
    let given = vector.endorsements().unwrap();
    let at = |now| {
        skerry_evidence::snp::VerifiedVek::verify(&given, &Anchors::amd(), &OPTIONAL_CRL, now, &mut budget())
            .unwrap_err()
    };
    let late = vector.time() + 400 * support::DAY;
    assert!(matches!(at(late), ChainError::Expired { role: Role::Vek, now, .. } if now == late));
    let early = vector.time() - 400 * support::DAY;
    assert!(matches!(at(early), ChainError::NotYetValid { role: Role::Vek, now, .. } if now == early));
}

/// The compiled-in anchors are the keys of the AMD roots in the vectors; no other certificate of a chain is one.
#[test]
fn anchors_are_the_roots() {
    let Some(all) = vectors("anchors_are_the_roots") else { return };
    for vector in all.iter().filter(|v| v.json["verdict"] == "accept") {
        let chain = Certificate::from_pem_bundle(&vector.chain(), &Limits::default()).unwrap();
        let own = |c: &&Certificate| c.subject().common_name().unwrap().starts_with("ARK-");
        assert_eq!(chain.iter().filter(own).count(), 1);
        let vek = vector.verified_vek().unwrap();
        assert_eq!(vek.generation(), Generation::from_product_name(vek.generation().name()).unwrap());
        let none = skerry_evidence::snp::VerifiedVek::verify(
            &vector.endorsements().unwrap(),
            &Anchors::none(),
            &OPTIONAL_CRL,
            vector.time(),
            &mut budget(),
        );
        let spki_sha256 = chain.iter().find(own).unwrap().spki_sha256();
        assert_eq!(none.unwrap_err(), ChainError::UnknownRoot { spki_sha256 });
    }
}

/// The fields of `expected_claims`, out of the verified report.
fn claims(verified: &VerifiedReport) -> Value {
    let r = verified.report();
    let (policy, keys) = (r.policy(), r.key_info());
    json!({
        "version": r.version(),
        "guest_svn": r.guest_svn(),
        "policy": format!("{:#x}", policy.0),
        "vmpl": r.vmpl(),
        "signature_algo": r.signature_algo(),
        "platform_info": r.platform_info().0,
        "key_info": keys.0,
        "signing_key": match keys.signing_key() { SigningKey::Vcek => "VCEK", SigningKey::Vlek => "VLEK", _ => "?" },
        "author_key_en": u8::from(keys.author_key_en()),
        "mask_chip_key": u8::from(keys.mask_chip_key()),
        "abi": format!("{}.{}", policy.abi_major(), policy.abi_minor()),
        "smt_allowed": policy.smt_allowed(),
        "migrate_ma_allowed": policy.migrate_ma_allowed(),
        "debug_allowed": policy.debug_allowed(),
        "single_socket": policy.single_socket(),
        "family_id": hex::encode(r.family_id()),
        "image_id": hex::encode(r.image_id()),
        "report_data": hex::encode(r.report_data()),
        "measurement": hex::encode(r.measurement()),
        "host_data": hex::encode(r.host_data()),
        "id_key_digest": hex::encode(r.id_key_digest()),
        "author_key_digest": hex::encode(r.author_key_digest()),
        "report_id": hex::encode(r.report_id()),
        "report_id_ma": hex::encode(r.report_id_ma()),
        "reported_tcb_raw": hex::encode(r.reported_tcb().0),
        "reported_tcb": tcb(verified.reported_tcb()),
        "current_tcb_raw": hex::encode(verified.current_tcb().encode().0),
        "committed_tcb_raw": hex::encode(verified.committed_tcb().encode().0),
        "launch_tcb_raw": hex::encode(verified.launch_tcb().encode().0),
        "cpuid_fam_mod_step": r.cpu_id().map(|c| hex::encode([c.family, c.model, c.stepping])),
        "chip_id": hex::encode(r.chip_id()),
        "current_version": r.current_version().to_string(),
        "committed_version": r.committed_version().to_string(),
        "launch_mit_vector": r.launch_mit_vector(),
        "current_mit_vector": r.current_mit_vector(),
    })
}

fn tcb(tcb: TcbVersion) -> Value {
    let mut out = json!({
        "bootloader": tcb.bootloader,
        "tee": tcb.tee,
        "snp": tcb.snp,
        "microcode": tcb.microcode,
    });
    if let Some(fmc) = tcb.fmc {
        out["fmc"] = fmc.into();
    }
    out
}
