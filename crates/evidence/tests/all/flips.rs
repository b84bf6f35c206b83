//! What is signed cannot be changed: every bit of real reports, every byte of real certificates and of a simulated CRL.

use skerry_evidence::{
    anchors::Anchors,
    limits::Limits,
    snp::{Crl, Endorsements, Report, VerifiedVek},
    x509::Certificate,
};

use crate::support::{self, OPTIONAL_CRL, budget};

/// Each bit of the 672 signed bytes and of the 144 bytes of the signature, flipped alone, makes the report refused.
#[test]
fn every_bit_of_a_report_counts() {
    for id in ["milan-v3-caci", "turin-v5-caci"] {
        let Some(vector) = support::vector("every_bit_of_a_report_counts", id) else { return };
        let (vek, report, now) = (vector.verified_vek().unwrap(), vector.report(), vector.time());
        let verifies = |bytes: &[u8]| Report::parse(bytes).is_ok_and(|r| vek.verify_report(r, now).is_ok());
        assert!(verifies(&report));
        for bit in 0..(672 + 144) * 8 {
            let mut flipped = report.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&flipped), "{id}, bit {bit}");
        }
    }
}

/// The unsigned rest of a report is refused too when it is not zero: nothing about a report is malleable.
#[test]
fn every_byte_after_the_signature_counts() {
    let Some(vector) = support::vector("every_byte_after_the_signature_counts", "milan-v3-caci") else { return };
    for offset in 0x330..1184 {
        let mut flipped = vector.report();
        flipped[offset] ^= 0x40;
        assert!(Report::parse(&flipped).is_err(), "{offset:#x}");
    }
}

/// Each byte of VEK, ASK and ARK, flipped alone, makes the chain refused; none is unsigned or ignored.
#[test]
fn every_byte_of_the_certificates_counts() {
    let Some(vector) = support::vector("every_byte_of_the_certificates_counts", "milan-v2-vcek") else { return };
    let limits = Limits::default();
    let chain = Certificate::from_pem_bundle(&vector.chain(), &limits).unwrap();
    let vek = vector.vek().unwrap();
    let originals = [vek.as_slice(), chain[0].der(), chain[1].der()];
    let verifies = |all: &[&[u8]]| {
        let given = Endorsements::from_der(all, &limits);
        given.is_ok_and(|g| {
            VerifiedVek::verify(&g, &Anchors::amd(), &OPTIONAL_CRL, vector.time(), &mut budget()).is_ok()
        })
    };
    assert!(verifies(&originals));
    for which in 0..originals.len() {
        for at in 0..originals[which].len() {
            let mut flipped = originals[which].to_vec();
            flipped[at] ^= 1;
            let mut all = originals;
            all[which] = &flipped;
            assert!(!verifies(&all), "certificate {which}, byte {at}");
        }
    }
}

/// A certificate cut off anywhere, or with bytes after it, does not parse.
#[test]
fn truncated_certificates_are_refused() {
    let Some(vector) = support::vector("truncated_certificates_are_refused", "milan-v2-vcek") else { return };
    let (mut vek, limits) = (vector.vek().unwrap(), Limits::default());
    assert!((0..vek.len()).all(|len| Certificate::from_der(&vek[..len], &limits).is_err()));
    vek.push(0);
    assert!(Certificate::from_der(&vek, &limits).is_err());
}

/// Each byte of a revocation list counts, and a list cut off anywhere does not parse.
#[test]
fn every_byte_of_a_crl_counts() {
    let (root, limits) = (support::milan(), Limits::default());
    let der = root.crl(&[0x10_001F], support::made(), support::made() + 30 * support::DAY).unwrap();
    let given = support::endorsements(&support::milan_chip());
    let verifies =
        |der: &[u8]| Crl::from_der(der, &limits).is_ok_and(|crl| support::verify(&given.clone().with_crl(crl)).is_ok());
    assert!(verifies(&der));
    for at in 0..der.len() {
        let mut flipped = der.clone();
        flipped[at] ^= 1;
        assert!(!verifies(&flipped), "byte {at}");
        assert!(Crl::from_der(&der[..at], &limits).is_err(), "cut at {at}");
    }
}
