//! Endorsements of utility VMs.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use der::Decode;
use minicbor::Decoder;
use minicbor::data::Tag;
use skerry_simulator::{EndorsementForm, SimulatorError, UVM_FEED, UvmSigner};
use x509_cert::Certificate;

use crate::stock::{made, rng};

/// The leaf's key signed Sig_structure, and the payload has the text observed.
#[test]
fn an_endorsement_is_a_cose_sign1() {
    let signer = UvmSigner::generate(made(), &mut rng()).unwrap();
    let cose = signer.endorse([0xab; 48], 100, UVM_FEED).unwrap();
    let mut at = Decoder::new(&cose);
    assert_eq!(at.tag().unwrap(), Tag::new(18));
    assert_eq!(at.array().unwrap(), Some(4));
    let protected = at.bytes().unwrap();
    assert_eq!(at.map().unwrap(), Some(0));
    let (payload, signature) = (at.bytes().unwrap(), at.bytes().unwrap());
    assert_eq!(at.position(), cose.len());
    let measurement = "ab".repeat(48);
    let json = format!(
        "{{\n  \"x-ms-sevsnpvm-guestsvn\": \"100\",\n  \"x-ms-sevsnpvm-launchmeasurement\": \"{measurement}\"\n}}"
    );
    assert_eq!(payload, json.as_bytes());
    let signed = [b"\x84\x6aSignature1\x59".as_slice(), &u16::try_from(protected.len()).unwrap().to_be_bytes()];
    let rest = [protected, b"\x40\x58", &[u8::try_from(payload.len()).unwrap()], payload];
    let signed = [signed.concat(), rest.concat()].concat();
    let leaf = leaf(protected);
    let spki = leaf.tbs_certificate().subject_public_key_info();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, spki.subject_public_key.raw_bytes());
    key.verify(&signed, signature).unwrap();
}

/// The security version as a number differs from the text in its quotes alone.
#[test]
fn the_integer_form_has_no_quotes() {
    let signer = UvmSigner::generate(made(), &mut rng()).unwrap();
    let cose = signer.endorse_as(EndorsementForm::IntegerSvn, [1; 48], 104, UVM_FEED).unwrap();
    let needle = b"\"x-ms-sevsnpvm-guestsvn\": 104,";
    assert!(cose.windows(needle.len()).any(|window| window == needle));
}

/// A stored signer is the same issuer.
#[test]
fn a_signer_survives_storage() {
    let signer = UvmSigner::generate(made(), &mut rng()).unwrap();
    let text = signer.to_pem().unwrap();
    let again = UvmSigner::from_pem(&text).unwrap();
    assert_eq!(again.did(), signer.did());
    assert_eq!(*again.to_pem().unwrap(), *text);
    let did = signer.did();
    assert!(did.starts_with("did:x509:0:sha256:"));
    assert!(did.ends_with("::eku:1.3.6.1.4.1.311.76.59.1.2"));
}

/// A signer whose certificate has another key, or with parts missing, is refused.
#[test]
fn damaged_storage_is_refused() {
    let signer = UvmSigner::generate(made(), &mut rng()).unwrap();
    let text = signer.to_pem().unwrap();
    let last = text.rfind("-----BEGIN").unwrap();
    let refused = UvmSigner::from_pem(&text[..last]).err();
    assert_eq!(refused, Some(SimulatorError::MalformedPem { index: 4 }));
    let more = format!("{}{}", *text, &text[last..]);
    let refused = UvmSigner::from_pem(&more).err();
    assert_eq!(refused, Some(SimulatorError::MalformedPem { index: 5 }));
    let starts: Vec<usize> = text.match_indices("-----BEGIN").map(|(at, _)| at).collect();
    let swapped = format!(
        "{}{}{}{}",
        &text[..starts[2]],
        &text[starts[3]..starts[4]],
        &text[starts[2]..starts[3]],
        &text[last..]
    );
    let refused = UvmSigner::from_pem(&swapped).err();
    assert_eq!(refused, Some(SimulatorError::KeyMismatch { index: 0 }));
}

/// A header of another length, and a key that is none, are refused.
#[test]
fn a_wrong_header_or_key_is_refused() {
    let header = |base64| format!("-----BEGIN {LABEL}-----\n{base64}\n-----END {LABEL}-----\n");
    let refused = UvmSigner::from_pem(&header("AQ==")).err();
    assert_eq!(refused, Some(SimulatorError::MalformedHeader { len: 1 }));
    let key = "-----BEGIN PRIVATE KEY-----\nAQ==\n-----END PRIVATE KEY-----\n";
    let refused = UvmSigner::from_pem(&format!("{}{key}", header("AAAAAAAAAAA="))).err();
    assert_eq!(refused, Some(SimulatorError::KeyRejected { index: 0 }));
}

const LABEL: &str = "SKERRY SIMULATED UVM SIGNER";

fn leaf(protected: &[u8]) -> Certificate {
    let mut at = Decoder::new(protected);
    assert_eq!(at.map().unwrap(), Some(7));
    for expected in [(1, -35), (3, 0)] {
        assert_eq!(at.i64().unwrap(), expected.0);
        if expected.0 == 1 {
            assert_eq!(at.i64().unwrap(), expected.1);
        } else {
            assert_eq!(at.str().unwrap(), "application/json");
        }
    }
    assert_eq!((at.i64().unwrap(), at.array().unwrap()), (33, Some(3)));
    Certificate::from_der(at.bytes().unwrap()).unwrap()
}
