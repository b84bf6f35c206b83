//! A report that parses is the bytes it was parsed from, and none verifies but those that the simulator signed.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_evidence::anchors::Anchors;
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{
    CrlPolicy, Endorsements, Generation, Options, REPORT_BYTES, Report, SIGNED_BYTES, VerifiedVek,
};
use skerry_evidence::x509::Budget;
use skerry_fuzz::{milan_root, now, vector, vectors};
use skerry_verifier::Floor;

const GENERATIONS: [Generation; 3] = [Generation::Milan, Generation::Genoa, Generation::Turin];

/// What the simulator signed, with its signatures and without what vectors have beside them.
static SIGNED: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
    let signed = vectors(".report.bin").into_iter().map(|mut report| {
        report.resize(REPORT_BYTES, 0);
        for beside in [0x2D0..0x2E8, 0x318..REPORT_BYTES] {
            report[beside].fill(0);
        }
        report
    });
    signed.collect()
});

static VEK: LazyLock<VerifiedVek> = LazyLock::new(|| {
    let (vek, chain) = (vector("certs/milan.vcek.der"), vector("certs/milan_ask_ark_asvk.pem"));
    let given = Endorsements::from_der_and_pem(&vek, &chain, &Limits::default()).expect("the vector parses");
    let anchors = Anchors::none().with_simulated(Generation::Milan, milan_root());
    let options = Options { crl: CrlPolicy::IfPresent };
    VerifiedVek::verify(&given, &anchors, &options, now(), &mut Budget::new(8)).expect("the vector verifies")
});

fuzz_target!(|data: &[u8]| {
    read(data);
    let mut whole = data.to_vec();
    whole.resize(REPORT_BYTES, 0);
    read(&whole);
});

fn read(data: &[u8]) {
    let Ok(report) = Report::parse(data) else { return };
    assert_eq!(report.raw().as_slice(), data);
    assert_eq!(report.signed(), &data[..SIGNED_BYTES]);
    assert_eq!(report.version(), u32::from_le_bytes(data[..4].try_into().unwrap()));
    assert_eq!(report.report_data().as_slice(), &data[0x50..0x90]);
    assert_eq!(report.measurement().as_slice(), &data[0x90..0xC0]);
    let _ = (format!("{report:?}"), report.generation());
    for generation in GENERATIONS {
        for tcb in [report.current_tcb(), report.reported_tcb(), report.committed_tcb(), report.launch_tcb()] {
            if let Ok(decoded) = tcb.decode(generation) {
                assert_eq!(decoded.encode(), tcb);
                assert!(decoded.at_least(&decoded));
            }
        }
        let _ = Floor::default().check(&report, generation);
        skerry_verifier::claims::of_snp(&report, generation).to_json();
    }
    if VEK.verify_report(report, now()).is_ok() {
        assert!(SIGNED.contains(data), "a report that nobody signed verifies");
    }
}
