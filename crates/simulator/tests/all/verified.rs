//! What the simulator makes passes the verifier, under an anchor of its own only.

use skerry_evidence::anchors::{Anchors, Provenance};
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{ChainError, CrlPolicy, Endorsements, Options, Report, VerifiedReport, VerifiedVek};
use skerry_evidence::uvm::{Endorsement, TrustList};
use skerry_evidence::x509::Budget;
use skerry_simulator::{Chip, EndorsementForm, Evidence, Generation, TeeConfig, UVM_FEED, UvmSigner, VlekConfig};

use crate::stock::{chip, days_later, made, rng, root};

/// VCEKs of each generation verify in each report version.
#[test]
fn vcek_evidence_is_genuine() {
    for generation in Generation::ALL {
        for version in [2, 3, 4, 5] {
            let config = TeeConfig { version: Some(version), ..TeeConfig::default() };
            let report = verified(&chip(generation), config);
            assert_eq!(report.provenance(), Provenance::Simulated);
            assert_eq!(report.report().version(), version);
        }
    }
}

/// VLEKs of each generation verify.
#[test]
fn vlek_evidence_is_genuine() {
    for generation in Generation::ALL {
        let vlek = root(generation).vlek(VlekConfig::recent(generation), made()).unwrap();
        assert_eq!(verified(&vlek, TeeConfig::default()).provenance(), Provenance::Simulated);
    }
}

/// AMD's anchors do not trust a simulated root.
#[test]
fn the_anchor_makes_the_difference() {
    let evidence = evidence(&chip(Generation::Milan), TeeConfig::default());
    let spki_sha256 = root(Generation::Milan).ark_spki_sha256().unwrap();
    let refused = vek(&evidence, &Anchors::amd()).err();
    assert_eq!(refused, Some(ChainError::UnknownRoot { spki_sha256 }));
}

/// Endorsements of utility VMs verify in both forms for whoever lists the signer.
#[test]
fn uvm_endorsements_are_genuine() {
    let signer = UvmSigner::generate(made(), &mut rng()).unwrap();
    let trust = TrustList::none().with_simulated(&signer.did(), UVM_FEED, 100);
    for form in [EndorsementForm::TextSvn, EndorsementForm::IntegerSvn] {
        let cose = signer.endorse_as(form, [5; 48], 104, UVM_FEED).unwrap();
        let endorsement = Endorsement::parse(&cose).unwrap();
        let verified = endorsement.verify(&trust, &mut Budget::new(8)).unwrap();
        assert_eq!((verified.measurement(), verified.svn()), (&[5; 48], 104));
    }
}

fn evidence(chip: &Chip, config: TeeConfig) -> Evidence {
    chip.boot(config, &mut rng()).attest(b"runtime data").unwrap()
}

fn vek(evidence: &Evidence, anchors: &Anchors) -> Result<VerifiedVek, ChainError> {
    let limits = Limits::default();
    let endorsements = Endorsements::from_pem(evidence.vek_chain_pem.as_bytes(), &limits).unwrap();
    let options = Options { crl: CrlPolicy::IfPresent };
    VerifiedVek::verify(&endorsements, anchors, &options, days_later(30), &mut Budget::from(&limits))
}

fn verified(chip: &Chip, config: TeeConfig) -> VerifiedReport {
    let generation = chip.generation();
    let spki_sha256 = root(generation).ark_spki_sha256().unwrap();
    let anchors = Anchors::none().with_simulated(generation, spki_sha256);
    let evidence = evidence(chip, config);
    let report = Report::parse(&evidence.report).unwrap();
    vek(&evidence, &anchors).unwrap().verify_report(report, days_later(30)).unwrap()
}
