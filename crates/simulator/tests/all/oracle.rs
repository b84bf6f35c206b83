//! The verifier of another author, the `sev` crate, on the simulator's evidence.

use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use skerry_simulator::{Chip, Generation, TeeConfig, VlekConfig};

use crate::stock::{chip, made, rng, root};

/// Chains and reports with VCEKs verify.
#[test]
fn sev_accepts_vceks() {
    for generation in Generation::ALL {
        accepts(generation, root(generation).ask_der(), &chip(generation));
    }
}

/// Chains and reports with VLEKs verify.
#[test]
fn sev_accepts_vleks() {
    let generation = Generation::Milan;
    let root = root(generation);
    let vlek = root.vlek(VlekConfig::recent(generation), made()).unwrap();
    accepts(generation, root.asvk_der().unwrap(), &vlek);
}

fn accepts(generation: Generation, issuer: &[u8], chip: &Chip) {
    let ark = root(generation).ark_der();
    let chain = Chain::from_der(ark, issuer, chip.vek_der()).unwrap();
    let report = chip.boot(TeeConfig::default(), &mut rng()).report([3; 64]).unwrap();
    let parsed = AttestationReport::from_bytes(&report).unwrap();
    (&chain, &parsed).verify().unwrap();
}
