//! Certificates and revocation lists, DER and PEM: read without panic, kept as received, and nothing leads to AMD's roots.
//!
//! An input is read as one DER certificate, as one list, as a PEM bundle, and as DER certificates with `|DER|` between.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_evidence::anchors::{Anchors, Provenance};
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{Crl, CrlPolicy, Endorsements, Generation, Options, VerifiedVek};
use skerry_evidence::x509::{Budget, Certificate};
use skerry_fuzz::{milan_root, now, vector};

static CHAIN: LazyLock<Vec<u8>> = LazyLock::new(|| vector("certs/milan_ask_ark_asvk.pem"));
static VEK: LazyLock<Vec<u8>> = LazyLock::new(|| vector("certs/milan.vcek.der"));
static SIMULATED: LazyLock<Anchors> = LazyLock::new(|| Anchors::none().with_simulated(Generation::Milan, milan_root()));

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    if let Ok(certificate) = Certificate::from_der(data, &limits) {
        look(&certificate, data);
    }
    let several: Vec<&[u8]> = pieces(data);
    for given in [
        Endorsements::from_pem(data, &limits),
        Endorsements::from_der_and_pem(data, &CHAIN, &limits),
        Endorsements::from_der(&several, &limits),
    ] {
        given.iter().for_each(verify);
    }
    if let Ok(crl) = Crl::from_der(data, &limits) {
        let given = Endorsements::from_der_and_pem(&VEK, &CHAIN, &limits).expect("the vector parses");
        verify(&given.with_crl(crl));
    }
});

fn look(certificate: &Certificate, der: &[u8]) {
    assert_eq!(certificate.der(), der);
    for inner in [certificate.tbs(), certificate.spki()] {
        assert!(der.windows(inner.len().max(1)).any(|window| window == inner), "not the bytes as received");
    }
    let _ = (certificate.public_key(), certificate.signature_algorithm(), format!("{certificate:?}"));
    let _ = (certificate.not_before(), certificate.not_after(), certificate.subject().common_name());
}

fn verify(given: &Endorsements) {
    for crl in [CrlPolicy::Required, CrlPolicy::IfPresent] {
        let mut budget = Budget::new(4);
        let verified = VerifiedVek::verify(given, &Anchors::amd(), &Options { crl }, now(), &mut budget);
        assert!(verified.is_err(), "a chain leads to AMD's roots");
        let mut budget = Budget::new(4);
        if let Ok(vek) = VerifiedVek::verify(given, &SIMULATED, &Options { crl }, now(), &mut budget) {
            assert_eq!(vek.provenance(), Provenance::Simulated);
            assert!(vek.valid_from() <= now() && now() <= vek.valid_until());
        }
    }
}

fn pieces(data: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"|DER|";
    let mut pieces = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        pieces.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    pieces.push(rest);
    pieces
}
