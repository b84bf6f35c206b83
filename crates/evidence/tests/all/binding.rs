//! Evidence and the data it covers.

use aws_lc_rs::digest::{SHA256, digest};
use skerry_evidence::{
    anchors::Provenance,
    evidence::{BindingError, BoundEvidence, UvmMismatch, VerifiedEvidence},
    limits::Limits,
    snp::Report,
    uvm,
    x509::Budget,
};
use skerry_simulator::{TeeConfig, UVM_FEED, UvmSigner};

use crate::support::{made, milan_chip, rng, simulated_vek, soon};

const RUNTIME: &[u8] = br#"{"keys":[]}"#;
const INIT: &[u8] = b"package policy";

fn sha256(data: &[u8]) -> [u8; 32] {
    digest(&SHA256, data).as_ref().try_into().unwrap()
}

fn evidence(config: TeeConfig, report_data: [u8; 64]) -> VerifiedEvidence {
    let chip = milan_chip();
    let report = chip.boot(config, &mut rng()).report(report_data).unwrap();
    VerifiedEvidence::snp(simulated_vek(&chip).verify_report(Report::parse(&report).unwrap(), soon()).unwrap())
}

fn bind(report_data: [u8; 64], runtime: Option<&[u8]>, init: Option<&[u8]>) -> Result<BoundEvidence, BindingError> {
    let config = TeeConfig { host_data: sha256(INIT), ..TeeConfig::default() };
    evidence(config, report_data).bind(runtime, init, &Limits::default())
}

fn bound() -> [u8; 64] {
    let mut report_data = [0; 64];
    report_data[..32].copy_from_slice(&sha256(RUNTIME));
    report_data
}

/// Runtime and init data are bound by their SHA-256, kept as received, and may be absent.
#[test]
fn data_is_bound() {
    let both = bind(bound(), Some(RUNTIME), Some(INIT)).unwrap();
    assert_eq!((both.runtime_data(), both.init_data()), (Some(RUNTIME), Some(INIT)));
    assert_eq!(both.evidence().provenance(), Provenance::Simulated);
    let neither = bind([7; 64], None, None).unwrap();
    assert_eq!((neither.runtime_data(), neither.init_data()), (None, None));
    let zero_host = evidence(TeeConfig::default(), [0; 64]).bind(None, None, &Limits::default());
    assert!(zero_host.is_ok(), "an all-zero host data is normal");
}

/// Each bit of the report data counts, the zero half too; so does each byte of the data.
#[test]
fn other_runtime_data_is_refused() {
    for bit in 0..512 {
        let mut report_data = bound();
        report_data[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(bind(report_data, Some(RUNTIME), None).unwrap_err(), BindingError::RuntimeData);
    }
    for other in [&RUNTIME[1..], &[], b"{\"keys\":[]} ", b"{ \"keys\":[]}"] {
        assert_eq!(bind(bound(), Some(other), None).unwrap_err(), BindingError::RuntimeData);
    }
    assert_eq!(bind([0; 64], Some(&[]), None).unwrap_err(), BindingError::RuntimeData);
}

/// Init data must hash to the host data, also where the host data is zero.
#[test]
fn other_init_data_is_refused() {
    assert_eq!(bind(bound(), None, Some(b"package polic")).unwrap_err(), BindingError::InitData);
    let zero_host = evidence(TeeConfig::default(), [0; 64]).bind(None, Some(&[]), &Limits::default());
    assert_eq!(zero_host.unwrap_err(), BindingError::InitData);
}

/// A measurement of zero says that nothing was measured.
#[test]
fn zero_measurement_is_refused() {
    let config = TeeConfig { measurement: [0; 48], ..TeeConfig::default() };
    let refused = evidence(config, [0; 64]).bind(None, None, &Limits::default());
    assert_eq!(refused.unwrap_err(), BindingError::ZeroMeasurement);
}

/// Data over the limit is refused before it is hashed.
#[test]
fn oversized_data_is_refused() {
    let limits = Limits { bound_data_bytes_max: RUNTIME.len() - 1, ..Limits::default() };
    let expected = BindingError::TooLong { len: RUNTIME.len(), len_max: RUNTIME.len() - 1 };
    for (runtime, init) in [(Some(RUNTIME), None), (None, Some(RUNTIME))] {
        let refused = evidence(TeeConfig::default(), bound()).bind(runtime, init, &limits);
        assert_eq!(refused.unwrap_err(), expected);
    }
}

fn endorsement(measurement: &[u8; 48]) -> uvm::VerifiedEndorsement {
    let signer = UvmSigner::generate(made(), &mut rng()).unwrap();
    let cose = signer.endorse(*measurement, 100, UVM_FEED).unwrap();
    let trust = uvm::TrustList::none().with_simulated(&signer.did(), UVM_FEED, 100);
    uvm::Endorsement::parse(&cose).unwrap().verify(&trust, &mut Budget::new(8)).unwrap()
}

/// An endorsement of the utility VM goes with the measurement it endorses and no other.
#[test]
fn uvm_endorsement_matches_the_measurement() {
    let config = TeeConfig::default();
    let matching = evidence(config.clone(), [0; 64]).with_uvm(endorsement(&config.measurement)).unwrap();
    assert_eq!(matching.uvm().map(|u| u.svn()), Some(100));
    assert_eq!(matching.provenance(), Provenance::Simulated);
    let other = evidence(config, [0; 64]).with_uvm(endorsement(&[1; 48]));
    assert_eq!(other.unwrap_err(), UvmMismatch);
}
