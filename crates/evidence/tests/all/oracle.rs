//! `sev` (virtee) as oracle: where the two implementations differ, the difference is on a committed list with its reason.
//!
//! Cases are the vectors and several hundred flips of two of them, grouped by the field that was flipped. A difference that is
//! not on the list fails, and so does one on the list that no longer occurs.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use sev::{
    certs::snp::{Certificate as SevCertificate, Chain as SevChain, Verifiable, ca::Chain as SevCa},
    firmware::guest::AttestationReport,
    parser::ByteParser,
};
use skerry_evidence::{
    limits::Limits,
    snp::{Generation, Report, VerifiedVek},
    x509::Certificate,
};

use crate::support::{Vector, vectors};

/// Names of the fields of a report, by their end.
const FIELDS: [(usize, &str); 40] = [
    (0x004, "version"),
    (0x008, "guest_svn"),
    (0x010, "policy"),
    (0x020, "family_id"),
    (0x030, "image_id"),
    (0x034, "vmpl"),
    (0x038, "signature_algo"),
    (0x040, "current_tcb"),
    (0x048, "platform_info"),
    (0x04C, "key_info"),
    (0x050, "reserved_04c"),
    (0x090, "report_data"),
    (0x0C0, "measurement"),
    (0x0E0, "host_data"),
    (0x110, "id_key_digest"),
    (0x140, "author_key_digest"),
    (0x160, "report_id"),
    (0x180, "report_id_ma"),
    (0x188, "reported_tcb"),
    (0x189, "cpuid_family"),
    (0x18A, "cpuid_model"),
    (0x18B, "cpuid_stepping"),
    (0x1A0, "reserved_18b"),
    (0x1E0, "chip_id"),
    (0x1E8, "committed_tcb"),
    (0x1EB, "current_version"),
    (0x1EC, "reserved_1eb"),
    (0x1EF, "committed_version"),
    (0x1F0, "reserved_1ef"),
    (0x1F8, "launch_tcb"),
    (0x200, "launch_mit_vector"),
    (0x208, "current_mit_vector"),
    (0x2A0, "reserved_208"),
    (0x2D0, "signature_r"),
    (0x2E8, "padding_r"),
    (0x318, "signature_s"),
    (0x330, "padding_s"),
    (0x400, "reserved_330"),
    (0x480, "reserved_400"),
    (0x4A0, "reserved_480"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Accept,
    Refuse,
}

fn verdict(accepted: bool) -> Verdict {
    if accepted { Verdict::Accept } else { Verdict::Refuse }
}

/// The committed differences are the differences, no more and no fewer.
#[test]
fn differences_are_known() {
    let Some(all) = vectors("differences_are_known") else { return };
    let mut found = BTreeMap::new();
    for vector in all.iter().filter(|v| v.vek().is_some()) {
        let chain = sev_chain(vector);
        let now = vector.time();
        let ours = |bytes: &[u8]| {
            let vek = vector.verified_vek();
            verdict(vek.is_ok_and(|v| Report::parse(bytes).is_ok_and(|r| v.verify_report(r, now).is_ok())))
        };
        compare(&mut found, vector.id().to_owned(), ours(&vector.report()), theirs(&chain, &vector.report()));
    }
    for vector in all.iter().filter(|v| ["milan-v3-caci", "turin-v5-caci"].contains(&v.id())) {
        compare_flips(&mut found, vector, &vector.verified_vek().unwrap());
    }
    assert_eq!(found, listed());
}

fn compare_flips(found: &mut Found, vector: &Vector, vek: &VerifiedVek) {
    let (chain, report, now) = (sev_chain(vector), vector.report(), vector.time());
    let leaf = chain.vek.clone();
    assert_eq!(theirs(&chain, &report), Verdict::Accept);
    for offset in (0..report.len()).step_by(3) {
        let mut flipped = report.clone();
        flipped[offset] ^= 1 << (offset % 8);
        let ours = verdict(Report::parse(&flipped).is_ok_and(|r| vek.verify_report(r, now).is_ok()));
        let theirs = attempt(|| {
            let report = AttestationReport::from_bytes(&flipped)?;
            (&leaf, &report).verify()
        });
        compare(found, format!("{} {}", vector.id(), place(offset, vek.generation())), ours, theirs);
    }
}

/// The field, and for TCB versions whether the byte in it is a reserved one.
fn place(offset: usize, generation: Generation) -> String {
    let field = FIELDS.iter().find(|(end, _)| offset < *end).unwrap().1;
    let reserved = if generation == Generation::Turin { 4..7 } else { 2..6 };
    let is_reserved = field.ends_with("_tcb") && reserved.contains(&(offset % 8));
    format!("{field}{}", if is_reserved { " (reserved byte)" } else { "" })
}

type Found = BTreeMap<String, BTreeSet<(Verdict, Verdict)>>;

fn compare(found: &mut Found, case: String, ours: Verdict, theirs: Verdict) {
    if ours != theirs {
        found.entry(case).or_default().insert((ours, theirs));
    }
}

fn sev_chain(vector: &Vector) -> SevChain {
    let limits = Limits::default();
    let issuer = vector.json["chain_issuer"].as_str().unwrap();
    let certificates = Certificate::from_pem_bundle(&vector.chain(), &limits).unwrap();
    let named = |prefix: &str, not: &str| {
        let fits = |c: &&Certificate| {
            let name = c.subject().common_name().unwrap();
            name.starts_with(prefix) && (not.is_empty() || !name.starts_with(not))
        };
        SevCertificate::from_der(certificates.iter().find(fits).unwrap().der()).unwrap()
    };
    let ask = if issuer == "ASK" { named("SEV-", "SEV-VLEK-") } else { named("SEV-VLEK-", "") };
    let vek = vector.vek().unwrap();
    let vek = if vek.starts_with(b"-----") { SevCertificate::from_pem(&vek) } else { SevCertificate::from_der(&vek) };
    SevChain { ca: SevCa { ark: named("ARK-", ""), ask }, vek: vek.unwrap() }
}

fn theirs(chain: &SevChain, bytes: &[u8]) -> Verdict {
    attempt(|| {
        let report = AttestationReport::from_bytes(bytes)?;
        (chain, &report).verify()
    })
}

/// A panic of the oracle counts as a refusal.
fn attempt(verify: impl FnOnce() -> std::io::Result<()>) -> Verdict {
    verdict(catch_unwind(AssertUnwindSafe(verify)).is_ok_and(|r| r.is_ok()))
}

fn listed() -> Found {
    let list: serde_json::Value = serde_json::from_str(include_str!("sev_disagreements.json")).unwrap();
    let mut found = Found::new();
    for entry in list.as_array().unwrap() {
        assert!(entry["reason"].as_str().is_some_and(|r| !r.is_empty()));
        let read = |side: &str| verdict(entry[side] == "accept");
        let case = entry["case"].as_str().unwrap().to_owned();
        found.entry(case).or_default().insert((read("ours"), read("sev")));
    }
    found
}
