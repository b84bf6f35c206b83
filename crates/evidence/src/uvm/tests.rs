//! Real endorsements, and made ones for what no real one shows.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self, RsaPssSaltLength, RsaSignatureEncoding};

use super::limits::{CHAIN_CERTS_MAX, COSE_BYTES_MAX, COSE_DEPTH_MAX, COSE_ITEMS_MAX, HEADERS_MAX, LABEL_BYTES_MAX};
use super::testpki::*;
use super::*;

const CACI: &str = "caci-milan-2023.cose";
const ENVELOPE: &str = "hash-envelope-receipt.cose";
const TRANSPARENCY: &str = "transparency-trust-list.cose";
const RAISED: &str = "neg-svn-raised.cose";

/// A real object, or `None` (said aloud) where the vectors are not at hand.
fn vector(name: &str) -> Option<Vec<u8>> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let root = std::env::var_os("SKERRY_VECTORS").map_or_else(|| PathBuf::from(shared), PathBuf::from);
    let found = std::fs::read(root.join("uvm").join(name)).ok();
    if found.is_none() {
        eprintln!("skipped: vector uvm/{name} is absent, set SKERRY_VECTORS");
    }
    found
}

fn budget() -> Budget {
    Budget::new(16)
}

fn authenticate(bytes: &[u8]) -> Result<AuthenticEndorsement, UvmError> {
    Endorsement::parse(bytes)?.authenticate(&mut budget())
}

fn verify(bytes: &[u8], trust: &TrustList) -> Result<VerifiedEndorsement, UvmError> {
    Endorsement::parse(bytes)?.verify(trust, &mut budget())
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn cose(error: CoseError) -> Option<UvmError> {
    Some(UvmError::Cose(error))
}

fn chain(error: ChainError) -> Option<UvmError> {
    Some(UvmError::Chain(error))
}

fn did_error(error: DidError) -> Option<UvmError> {
    Some(UvmError::Did(error))
}

/// A signed classic statement over an untouched chain, for tests that change the statement.
fn made(change: impl FnOnce(Statement) -> Statement) -> Result<AuthenticEndorsement, UvmError> {
    let pki = Pki::new();
    let chain = pki.chain();
    authenticate(&change(Statement::classic(&chain, &did(&chain))).sign(&pki.leaf_key))
}

/// A signed classic statement over a chain that a test changes.
fn made_with(change: impl FnOnce(&mut Pki)) -> Result<AuthenticEndorsement, UvmError> {
    let mut pki = Pki::new();
    change(&mut pki);
    let chain = pki.chain();
    authenticate(&Statement::classic(&chain, &did(&chain)).sign(&pki.leaf_key))
}

/// A statement whose issuer has `policies`, over a leaf that a test changes.
fn made_for(policies: &str, change: impl FnOnce(&mut Cert)) -> Option<UvmError> {
    let mut pki = Pki::new();
    change(&mut pki.leaf);
    let chain = pki.chain();
    authenticate(&Statement::classic(&chain, &did_of(&chain[2], policies)).sign(&pki.leaf_key)).err()
}

// ---- Real objects.

/// The endorsement of a real container group is trusted, and carries the measurement of its report.
#[test]
fn real_endorsement_is_trusted() {
    let Some(bytes) = vector(CACI) else { return };
    let verified = verify(&bytes, &TrustList::microsoft()).unwrap();
    let measurement =
        "51068107cdc7ee3d89c7821b05bca6147eb77b2005ae759050fc049b65a1b0beabc65a9d857acecf23225f5ec76849f5";
    assert_eq!(hex::encode(verified.measurement()), measurement);
    assert_eq!(verified.svn(), 22);
    assert_eq!(verified.issuer(), MICROSOFT_ISSUER);
    assert_eq!(verified.feed(), MICROSOFT_FEED);
    assert_eq!(verified.provenance(), Provenance::Real);
    let endorsement = Endorsement::parse(&bytes).unwrap();
    assert_eq!(endorsement.receipts(), 0);
    let authentic = endorsement.authenticate(&mut budget()).unwrap();
    assert_eq!(authentic.signed_at(), Some(at(1_675_834_943)));
    assert_eq!(authentic.content_type(), Some("application/json"));
    assert_eq!(authentic.header_svn(), None);
}

/// A hash envelope is authentic, but its payload is no measurement.
#[test]
fn real_hash_envelope_is_authentic_and_detached() {
    let Some(bytes) = vector(ENVELOPE) else {
        return;
    };
    assert_eq!(Endorsement::parse(&bytes).unwrap().receipts(), 1);
    let authentic = authenticate(&bytes).unwrap();
    assert_eq!(authentic.issuer(), MICROSOFT_ISSUER);
    assert_eq!(authentic.feed(), MICROSOFT_FEED);
    assert_eq!(authentic.header_svn(), Some(104));
    assert_eq!(authentic.signed_at(), Some(at(1_774_544_607)));
    assert!(authentic.is_hash_envelope());
    assert_eq!(authentic.payload().len(), 48);
    assert_eq!(authentic.trust(&TrustList::microsoft()), Err(UvmError::DetachedPayload));
}

/// A statement under a test root is authentic (ES384 with a P-256 key), and nobody trusts its issuer.
#[test]
fn real_statement_of_a_test_root_is_untrusted() {
    let Some(bytes) = vector(TRANSPARENCY) else {
        return;
    };
    let authentic = authenticate(&bytes).unwrap();
    let (issuer, feed) = (authentic.issuer().to_owned(), authentic.feed().to_owned());
    assert_eq!(feed, "acidevacr.azurecr.io/internal/aci/aci-cc-ttl");
    assert_eq!(authentic.header_svn(), Some(0));
    let refused = authentic.trust(&TrustList::microsoft());
    assert_eq!(refused, Err(UvmError::UnknownIssuer { issuer: issuer.clone() }));
    let listed = TrustList::microsoft().with_simulated(&issuer, &feed, 0);
    let found = Some("application/vnd.transparency-trust-list.v1+cose".to_owned());
    assert_eq!(verify(&bytes, &listed), Err(UvmError::ContentType { found }));
}

/// A raised version in the payload breaks the signature.
#[test]
fn real_endorsement_with_raised_svn_is_refused() {
    let Some(bytes) = vector(RAISED) else { return };
    assert_eq!(authenticate(&bytes).err(), cose(CoseError::Signature));
}

/// An endorsement older than the list allows is a rollback.
#[test]
fn rollback_is_refused() {
    let Some(bytes) = vector(CACI) else { return };
    let raised = |min| TrustList::microsoft().with_svn_min(MICROSOFT_ISSUER, MICROSOFT_FEED, min);
    assert_eq!(verify(&bytes, &raised(23)), Err(UvmError::SvnBelowMinimum { svn: 22, svn_min: 23 }));
    assert_eq!(verify(&bytes, &raised(22)).map(|e| e.svn()), Ok(22));
}

/// Flipping a bit of a real object is refused everywhere but inside the one unprotected header,
/// where it changes nothing.
#[test]
fn every_byte_counts() {
    let Some(bytes) = vector(CACI) else { return };
    let whole = authenticate(&bytes).unwrap();
    // The label `timestamp` without its head, and the time stamp without its head.
    let (label, value) = (5077..5086, 5089..10302);
    for index in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 7);
        match authenticate(&flipped) {
            Ok(authentic) => {
                assert!(label.contains(&index) || value.contains(&index), "byte {index} does not count");
                assert_eq!(authentic, whole, "byte {index}");
            }
            Err(error) => assert!(!value.contains(&index), "byte {index}: {error:?}"),
        }
    }
}

/// Every bit of a small object counts.
#[test]
fn every_bit_counts() {
    let pki = Pki::new();
    let chain = pki.chain();
    let bytes = Statement::with_claims(&chain, &did(&chain)).sign(&pki.leaf_key);
    authenticate(&bytes).unwrap();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << bit;
            assert!(authenticate(&flipped).is_err(), "byte {index} bit {bit}");
        }
    }
}

/// A truncated object is refused as such, wherever it ends; so is one byte too many.
#[test]
fn truncation_is_refused() {
    for name in [CACI, ENVELOPE, TRANSPARENCY] {
        let Some(mut bytes) = vector(name) else {
            return;
        };
        for len in 0..bytes.len() {
            let refused = Endorsement::parse(&bytes[..len]);
            assert!(
                matches!(refused, Err(UvmError::Cose(CoseError::Truncated { .. }))),
                "{name} at {len}: {refused:?}"
            );
        }
        bytes.push(0);
        assert_eq!(Endorsement::parse(&bytes).err(), cose(CoseError::TrailingBytes { count: 1 }));
    }
}

// ---- COSE.

/// Both forms of a made object are authentic, so that the refusals below are due to what they change.
#[test]
fn made_objects_are_authentic() {
    assert_eq!(made(|s| s).map(|e| e.signed_at()), Ok(Some(at(1_700_000_000))));
    let pki = Pki::new();
    let chain = pki.chain();
    let bytes = Statement::with_claims(&chain, &did(&chain)).sign(&pki.leaf_key);
    let trust = TrustList::none().with_simulated(&did(&chain), "feed", 100);
    let verified = verify(&bytes, &trust).unwrap();
    assert_eq!(
        (verified.svn(), verified.measurement(), verified.provenance()),
        (100, &[0x5a; 48], Provenance::Simulated)
    );
}

/// Each algorithm verifies with a key of its kind.
#[test]
fn algorithms_verify() {
    let rsa: [(i64, &'static RsaSignatureEncoding); 3] =
        [(-37, &signature::RSA_PSS_SHA256), (-38, &signature::RSA_PSS_SHA384), (-39, &signature::RSA_PSS_SHA512)];
    let pki = Pki::with_leaf(Key::rsa());
    let chain = pki.chain();
    let statement = Statement::classic(&chain, &did(&chain));
    for (alg, pss) in rsa {
        let signed = statement.clone().set(int(1), int(alg)).sign_pss(&pki.leaf_key, pss);
        assert_eq!(authenticate(&signed).err(), None, "{alg}");
    }
    let ec = [
        (-7, Key::p256()),
        (-35, Key::p384()),
        (-7, Key::p521(&signature::ECDSA_P521_SHA256_FIXED_SIGNING)),
        (-35, Key::p521(&signature::ECDSA_P521_SHA384_FIXED_SIGNING)),
        (-36, Key::p521(&signature::ECDSA_P521_SHA512_FIXED_SIGNING)),
    ];
    for (alg, key) in ec {
        let pki = Pki::with_leaf(key);
        let chain = pki.chain();
        let signed = Statement::classic(&chain, &did(&chain)).set(int(1), int(alg)).sign(&pki.leaf_key);
        assert_eq!(authenticate(&signed).err(), None, "{alg}");
    }
}

/// PSS has one salt length, that of the hash; and the hash is the one the header names.
#[test]
fn other_pss_parameters_are_refused() {
    static SHORT: RsaSignatureEncoding = signature::RSA_PSS_SHA384.with_pss_salt_length(RsaPssSaltLength::Custom(20));
    let pki = Pki::with_leaf(Key::rsa());
    let chain = pki.chain();
    let statement = Statement::classic(&chain, &did(&chain)).set(int(1), int(-38));
    for pss in [&SHORT, &signature::RSA_PSS_SHA256, &signature::RSA_PKCS1_SHA384] {
        assert_eq!(authenticate(&statement.sign_pss(&pki.leaf_key, pss)).err(), cose(CoseError::Signature));
    }
}

/// Algorithms outside the list are refused, unsigned and MACed ones among them, and those that do
/// not fit the key.
#[test]
fn other_algorithms_are_refused() {
    for alg in [0, 4, 5, -8, -47, -257, -258, -259, -48, i64::MIN + 1] {
        assert_eq!(made(|s| s.set(int(1), int(alg))).err(), cose(CoseError::Algorithm { alg }));
    }
    let malformed = CoseError::MalformedHeader { label: 1.into() };
    assert_eq!(made(|s| s.set(int(1), text("ES384"))).err(), cose(malformed));
    assert_eq!(made(|s| s.set(int(1), int(-38))).err(), cose(CoseError::KeyMismatch { alg: Algorithm::Ps384 }));
    assert_eq!(made(|s| s.set(int(1), int(-36))).err(), cose(CoseError::Signature));
    let rsa = Pki::with_leaf(Key::rsa());
    let chain = rsa.chain();
    let signed = Statement::classic(&chain, &did(&chain)).sign(&rsa.leaf_key);
    assert_eq!(authenticate(&signed).err(), cose(CoseError::KeyMismatch { alg: Algorithm::Es384 }));
}

/// ECDSA signatures are r and s of the curve's width, in range.
#[test]
fn other_ecdsa_signatures_are_refused() {
    let pki = Pki::new();
    let chain = pki.chain();
    let statement = Statement::classic(&chain, &did(&chain));
    for found in [0, 47, 48, 95, 97, 102, 132] {
        let refused = authenticate(&statement.assemble(&vec![1; found])).err();
        assert_eq!(refused, cose(CoseError::SignatureLength { found, expected: 96 }));
    }
    for fill in [0, 0xff] {
        assert_eq!(authenticate(&statement.assemble(&[fill; 96])).err(), cose(CoseError::Signature));
    }
}

/// The frame is tag 18 around an array of four, each of its type, and nothing else.
#[test]
fn other_frames_are_refused() {
    let whole = Statement::classic(&[b"x".to_vec()], "").assemble(&[]);
    let four = [bytes(&map(&[])), map(&[]), bytes(b""), bytes(b"")];
    let with = |index: usize, item: Vec<u8>| {
        let mut items = four.clone();
        items[index] = item;
        tag(18, array(&items))
    };
    let table = [
        (whole[1..].to_vec(), CoseError::Untagged),
        (tag(17, whole[1..].to_vec()), CoseError::WrongTag { tag: 17 }),
        (tag(18, whole.clone()), CoseError::Unexpected { at: 1 }),
        (tag(18, array(&four[..3])), CoseError::Elements { found: 3 }),
        (tag(18, array(&[&four[..], &four[3..]].concat())), CoseError::Elements { found: 5 }),
        (with(0, text("")), CoseError::Unexpected { at: 2 }),
        (with(0, bytes(b"")), CoseError::Truncated { at: 0 }),
        (with(0, bytes(&array(&[]))), CoseError::Unexpected { at: 0 }),
        (with(0, bytes(&[0xa0, 0])), CoseError::TrailingBytes { count: 1 }),
        (with(1, array(&[])), CoseError::Unexpected { at: 4 }),
        (with(2, vec![0xf6]), CoseError::NilPayload),
        (with(2, text("")), CoseError::Unexpected { at: 5 }),
        (with(3, vec![0xf6]), CoseError::Unexpected { at: 6 }),
        (with(1, map(&[(int(9), vec![0xf9, 0, 0])])), CoseError::Unexpected { at: 6 }),
        (with(1, map(&[(int(9), vec![0xf7])])), CoseError::Unexpected { at: 6 }),
        (with(1, map(&[(bytes(b"x"), int(0))])), CoseError::Unexpected { at: 5 }),
        (with(1, map(&[(text("\u{7f}"), vec![0x61, 0xff])])), CoseError::Unexpected { at: 7 }),
        (vec![0xff], CoseError::Unexpected { at: 0 }),
        (vec![], CoseError::Truncated { at: 0 }),
    ];
    for (bytes, error) in table {
        assert_eq!(Endorsement::parse(&bytes).err(), cose(error), "{}", hex::encode(bytes));
    }
}

/// Indefinite lengths are refused at every place.
#[test]
fn indefinite_lengths_are_refused() {
    let table: [(&[u8], usize); 5] = [
        (&[0xd2, 0x9f, 0x40, 0xa0, 0x40, 0x40, 0xff], 1),
        (&[0xd2, 0x84, 0x5f, 0x41, 0xa0, 0xff, 0xa0, 0x40, 0x40], 2),
        (&[0xd2, 0x84, 0x41, 0xa0, 0xbf, 0xff, 0x40, 0x40], 4),
        (&[0xd2, 0x84, 0x41, 0xa0, 0xa0, 0x5f, 0xff, 0x40], 5),
        (&[0xd2, 0x84, 0x42, 0xbf, 0xff, 0xa0, 0x40, 0x40], 0),
    ];
    for (bytes, at) in table {
        assert_eq!(Endorsement::parse(bytes).err(), cose(CoseError::Indefinite { at }), "{}", hex::encode(bytes));
    }
    let text = made(|s| s.add(int(99), vec![0x7f, 0xff])).err();
    assert!(matches!(text, Some(UvmError::Cose(CoseError::Indefinite { .. }))));
}

/// Huge claims and deep nests end early, in time and in memory.
#[test]
fn bombs_are_refused() {
    for major in [0x5b, 0x7b, 0x9b, 0xbb] {
        let claim = [&[major], [0xff; 8].as_slice()].concat();
        let places = [claim.clone(), [&[0xd2], claim.as_slice()].concat(), [&[0xd2, 0x84], claim.as_slice()].concat()];
        for bytes in places {
            let refused = Endorsement::parse(&bytes).err();
            assert!(
                matches!(refused, Some(UvmError::Cose(CoseError::Truncated { .. } | CoseError::Unexpected { .. }))),
                "{}: {refused:?}",
                hex::encode(&bytes)
            );
        }
    }
    let deep = CoseError::TooDeep { max: COSE_DEPTH_MAX };
    for nest in [0x81, 0xc1] {
        assert_eq!(Endorsement::parse(&vec![nest; COSE_BYTES_MAX]).err(), cose(deep.clone()));
    }
    let many = CoseError::TooManyItems { max: COSE_ITEMS_MAX };
    let flat = array(&vec![int(0); COSE_ITEMS_MAX]);
    assert_eq!(Endorsement::parse(&flat).err(), cose(many.clone()));
    let wide = [&[0x9b, 0, 0, 0, 1, 0, 0, 0, 0], vec![0; 60_000].as_slice()].concat();
    assert_eq!(Endorsement::parse(&wide).err(), cose(many.clone()));
    assert_eq!(made(|s| s.add(int(99), flat.clone())).err(), cose(many.clone()));
    assert_eq!(made(|s| s.add_unprotected(int(99), flat)).err(), cose(many));
    let len = COSE_BYTES_MAX + 1;
    assert_eq!(Endorsement::parse(&vec![0; len]).err(), cose(CoseError::TooLong { len, max: COSE_BYTES_MAX }));
}

/// Maps have bounded size and unique labels, alone and together; what is read must be protected.
#[test]
fn spoiled_header_maps_are_refused() {
    let duplicate = |label: Label| cose(CoseError::DuplicateLabel { label });
    assert_eq!(made(|s| s.add(int(3), text("application/json"))).err(), duplicate(3.into()));
    assert_eq!(made(|s| s.add(vec![0x18, 3], text("a"))).err(), duplicate(3.into()));
    assert_eq!(made(|s| s.add(text("iss"), text("x"))).err(), duplicate("iss".into()));
    let twice = |s: Statement| s.add_unprotected(text("x"), int(0)).add_unprotected(text("x"), int(0));
    assert_eq!(made(twice).err(), duplicate("x".into()));
    assert_eq!(made(|s| s.add(int(99), int(0)).add_unprotected(int(99), int(0))).err(), duplicate(99.into()));
    for label in [1, 2, 3, 15, 33, 34, 258, 259] {
        let refused = made(|s| s.add_unprotected(int(label), int(0))).err();
        assert_eq!(refused, cose(CoseError::Unprotected { label: label.into() }));
    }
    for label in ["iss", "feed", "signingtime"] {
        let refused = made(|s| s.add_unprotected(text(label), int(0))).err();
        assert_eq!(refused, cose(CoseError::Unprotected { label: label.into() }));
    }
    let many = |s| (100..132).fold(s, |s: Statement, label| s.add(int(label), int(0)));
    assert_eq!(made(many).err(), cose(CoseError::TooManyHeaders { found: 39, max: HEADERS_MAX }));
    let len = LABEL_BYTES_MAX + 1;
    let long = CoseError::LabelTooLong { len, max: LABEL_BYTES_MAX };
    assert_eq!(made(|s| s.add(text(&"x".repeat(len)), int(0))).err(), cose(long));
    assert_eq!(made(|s| s.add(int(99), int(0)).add_unprotected(int(98), int(0))).err(), None);
}

/// Headers that are needed are there, and each has the shape of its standard.
#[test]
fn missing_and_malformed_headers_are_refused() {
    for label in [1, 33] {
        assert_eq!(made(|s| s.without(int(label))).err(), cose(CoseError::MissingHeader { label: label.into() }));
    }
    for label in ["iss", "feed"] {
        assert_eq!(made(|s| s.without(text(label))).err(), cose(CoseError::MissingHeader { label: label.into() }));
    }
    let table: [(Vec<u8>, Vec<u8>, Label); 17] = [
        (int(3), int(50), 3.into()),
        (int(15), int(0), 15.into()),
        (int(15), map(&[(int(1), int(0))]), 1.into()),
        (int(15), map(&[(text("svn"), int(-1))]), "svn".into()),
        (int(15), map(&[(text("svn"), text("104"))]), "svn".into()),
        (int(15), map(&[(int(6), tag(1, tag(1, int(0))))]), 6.into()),
        (int(33), text("x"), 33.into()),
        (int(33), array(&[]), 33.into()),
        (int(33), array(&[bytes(b"x"), text("x")]), 33.into()),
        (int(34), bytes(b"x"), 34.into()),
        (int(34), array(&[int(-16)]), 34.into()),
        (int(258), text("SHA-384"), 258.into()),
        (text("iss"), int(0), "iss".into()),
        (text("feed"), bytes(b"feed"), "feed".into()),
        (text("signingtime"), int(1_700_000_000), "signingtime".into()),
        (text("signingtime"), tag(2, int(1_700_000_000)), "signingtime".into()),
        (text("signingtime"), tag(1, int(-1)), "signingtime".into()),
    ];
    for (header, value, label) in table {
        let refused = made(|s| s.set(header, value)).err();
        assert_eq!(refused, cose(CoseError::MalformedHeader { label: label.clone() }), "{label}");
    }
    let receipts = CoseError::MalformedHeader { label: 394.into() };
    assert_eq!(made(|s| s.add_unprotected(int(394), bytes(b"x"))).err(), cose(receipts));
}

/// Critical headers are understood or refused (RFC 9052, 3.1).
#[test]
fn critical_headers() {
    assert_eq!(made(|s| s.add(int(2), array(&[int(33), text("iss")]))).err(), None);
    let unknown = |label: Label| cose(CoseError::UnknownCritical { label });
    assert_eq!(made(|s| s.add(int(2), array(&[int(99)])).add(int(99), int(0))).err(), unknown(99.into()));
    assert_eq!(made(|s| s.add(int(2), array(&[text("x")]))).err(), unknown("x".into()));
    assert_eq!(made(|s| s.add(int(2), array(&[int(15)]))).err(), unknown(15.into()));
    for value in [array(&[]), int(33), array(&[bytes(b"x")])] {
        assert_eq!(made(|s| s.add(int(2), value)).err(), cose(CoseError::MalformedHeader { label: 2.into() }));
    }
}

/// Claims agree with the text headers, and none restricts what nobody here could judge.
#[test]
fn spoiled_claims_are_refused() {
    let claims = |pairs: &[(Vec<u8>, Vec<u8>)]| made(|s| s.add(int(15), map(pairs))).err();
    let conflict = |label: &str| cose(CoseError::Conflict { label: label.into() });
    assert_eq!(claims(&[(int(1), text("other"))]), conflict("iss"));
    assert_eq!(claims(&[(int(2), text("other"))]), conflict("feed"));
    assert_eq!(claims(&[(int(6), int(1))]), conflict("signingtime"));
    assert_eq!(claims(&[(int(2), text("feed")), (int(6), int(1_700_000_000))]), None);
    for claim in [3, 4, 5] {
        assert_eq!(claims(&[(int(claim), int(0))]), cose(CoseError::UnsupportedClaim { claim }));
    }
    let twice = [(int(2), text("feed")), (int(2), text("feed"))];
    assert_eq!(claims(&twice), cose(CoseError::DuplicateLabel { label: 2.into() }));
}

/// A hash envelope names no content type, and a preimage type has an envelope (COSE hash envelope).
#[test]
fn spoiled_hash_envelopes_are_refused() {
    let with_type = made(|s| s.add(int(258), int(-43))).err();
    assert_eq!(with_type, cose(CoseError::MalformedHeader { label: 3.into() }));
    let alone = made(|s| s.add(int(259), text("application/json"))).err();
    assert_eq!(alone, cose(CoseError::MissingHeader { label: 258.into() }));
    let envelope = made(|s| s.without(int(3)).add(int(258), int(-43)).add(int(259), text("a")));
    assert_eq!(envelope.map(|e| e.is_hash_envelope()), Ok(true));
}

/// x5t is the SHA-256 of the leaf, where it is given.
#[test]
fn spoiled_thumbprints_are_refused() {
    let sha384 = array(&[int(-43), bytes(&[0; 48])]);
    assert_eq!(made(|s| s.set(int(34), sha384)).err(), cose(CoseError::X5tAlgorithm { alg: -43 }));
    for digest in [vec![0; 32], vec![], vec![0; 31]] {
        assert_eq!(made(|s| s.set(int(34), array(&[int(-16), bytes(&digest)]))).err(), Some(UvmError::X5t));
    }
    assert_eq!(made(|s| s.without(int(34))).err(), None);
}

// ---- Chain.

/// Without an issuer no fingerprint can match; past the limit nothing is parsed.
#[test]
fn other_lengths_of_chain_are_refused() {
    let pki = Pki::new();
    let leaf = pki.chain().swap_remove(0);
    for x5chain in [bytes(&leaf), array(&[bytes(&leaf)])] {
        let only = std::slice::from_ref(&leaf);
        let alone = Statement::classic(only, &did(only)).set(int(33), x5chain);
        assert_eq!(authenticate(&alone.sign(&pki.leaf_key)).err(), did_error(DidError::NoSuchCertificate));
    }
    let long = vec![leaf; CHAIN_CERTS_MAX + 1];
    let refused = authenticate(&Statement::classic(&long, "").sign(&pki.leaf_key)).err();
    assert_eq!(refused, cose(CoseError::TooManyCertificates { found: 6, max: CHAIN_CERTS_MAX }));
    assert_eq!(super::chain::verify(&[], None, &mut budget()), Err(ChainError::Empty));
}

/// The pinned certificate may be any above the leaf; the chain may end at it, or go on.
#[test]
fn pinned_certificate_may_be_an_intermediate() {
    let pki = Pki::new();
    let whole = pki.chain();
    let issuer = did(&whole[..2]);
    for chain in [&whole[..2], &whole[..]] {
        assert_eq!(authenticate(&Statement::classic(chain, &issuer).sign(&pki.leaf_key)).err(), None);
    }
    let unpinned = authenticate(&Statement::classic(&whole[..2], &did(&whole)).sign(&pki.leaf_key)).err();
    assert_eq!(unpinned, did_error(DidError::NoSuchCertificate));
    let leaf_pinned = Statement::classic(&whole, &did(&whole[..1])).sign(&pki.leaf_key);
    assert_eq!(authenticate(&leaf_pinned).err(), did_error(DidError::NoSuchCertificate));
}

/// Spoiled certificates are refused with their place.
#[test]
fn spoiled_certificates_are_refused() {
    let pki = Pki::new();
    for index in 0..3 {
        let mut spoiled = pki.chain();
        spoiled[index].push(0);
        let refused = authenticate(&Statement::classic(&spoiled, "").sign(&pki.leaf_key)).err();
        assert_eq!(refused, chain(ChainError::Malformed { index, source: X509Error::Der }));
    }
    let duplicate = made_with(|pki| pki.leaf.extensions.push(eku(&[EKU_OID]))).err();
    let source = X509Error::DuplicateExtension { oid: x509::EXTENDED_KEY_USAGE };
    assert_eq!(duplicate, chain(ChainError::Malformed { index: 0, source }));
    let usage = made_with(|pki| pki.root.extensions[1] = extension("2.5.29.15", true, b"x")).err();
    let source = X509Error::MalformedExtension { oid: x509::KEY_USAGE };
    assert_eq!(usage, chain(ChainError::Malformed { index: 2, source }));
    let basic = made_with(|pki| pki.intermediate.extensions[0] = extension("2.5.29.19", true, b"x")).err();
    let source = X509Error::MalformedExtension { oid: x509::BASIC_CONSTRAINTS };
    assert_eq!(basic, chain(ChainError::Malformed { index: 1, source }));
}

/// Critical extensions nobody here judges are refused: name constraints among them.
#[test]
fn unknown_critical_extensions_are_refused() {
    let oid = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.30");
    let constraint = |critical| extension("2.5.29.30", critical, &sequence(&[]));
    let changes: [fn(&mut Pki) -> &mut Cert; 3] =
        [|pki| &mut pki.leaf, |pki| &mut pki.intermediate, |pki| &mut pki.root];
    for (index, cert) in changes.into_iter().enumerate() {
        let refused = made_with(|pki| cert(pki).extensions.push(constraint(true))).err();
        assert_eq!(refused, chain(ChainError::UnknownCritical { index, oid }));
        assert_eq!(made_with(|pki| cert(pki).extensions.push(constraint(false))).err(), None);
    }
}

/// Issuers are CAs that may sign certificates, and the leaf is none and may sign data.
#[test]
fn roles_are_enforced() {
    assert_eq!(made_with(|pki| pki.leaf.extensions[0] = constraints(true, None)).err(), chain(ChainError::LeafIsCa));
    for extension in [key_usage(KEY_CERT_SIGN), key_usage(0x20)] {
        let refused = made_with(|pki| pki.leaf.extensions[1] = extension).err();
        assert_eq!(refused, chain(ChainError::KeyUsage { index: 0 }));
    }
    assert_eq!(made_with(|pki| drop(pki.leaf.extensions.remove(1))).err(), chain(ChainError::KeyUsage { index: 0 }));
    assert_eq!(made_with(|pki| drop(pki.leaf.extensions.remove(0))).err(), None);
    let issuers: [fn(&mut Pki) -> &mut Cert; 2] = [|pki| &mut pki.intermediate, |pki| &mut pki.root];
    for (index, cert) in (1..).zip(issuers) {
        let not_ca = chain(ChainError::NotCa { index });
        assert_eq!(made_with(|pki| cert(pki).extensions[0] = constraints(false, None)).err(), not_ca);
        assert_eq!(made_with(|pki| drop(cert(pki).extensions.remove(0))).err(), not_ca);
        let usage = chain(ChainError::KeyUsage { index });
        assert_eq!(made_with(|pki| cert(pki).extensions[1] = key_usage(DIGITAL_SIGNATURE)).err(), usage);
        assert_eq!(made_with(|pki| drop(cert(pki).extensions.remove(1))).err(), usage);
    }
}

/// A root allows as many intermediates as it says.
#[test]
fn path_length_is_enforced() {
    let refused = made_with(|pki| pki.root.extensions[0] = constraints(true, Some(0))).err();
    assert_eq!(refused, chain(ChainError::PathLength { index: 2, found: 1, max: 0 }));
    let held = made_with(|pki| {
        pki.root.extensions[0] = constraints(true, Some(1));
        pki.intermediate.extensions[0] = constraints(true, Some(0));
    });
    assert_eq!(held.err(), None);
}

/// Each link is held by name and by signature, the root's own included.
#[test]
fn broken_links_are_refused() {
    let name = |index| chain(ChainError::IssuerName { index });
    assert_eq!(made_with(|pki| pki.leaf.issuer = common_name("root")).err(), name(0));
    assert_eq!(made_with(|pki| pki.intermediate.issuer = common_name("other")).err(), name(1));
    for index in 0..3 {
        let (pki, other) = (Pki::new(), Pki::new());
        let mut certs = pki.chain();
        certs[index] = match index {
            0 => pki.leaf.sign(&other.intermediate_key),
            1 => pki.intermediate.sign(&other.root_key),
            _ => pki.root.sign(&other.root_key),
        };
        let signed = Statement::classic(&certs, &did(&certs)).sign(&pki.leaf_key);
        let source = X509Error::BadSignature;
        assert_eq!(authenticate(&signed).err(), chain(ChainError::Signature { index, source }));
    }
}

/// A chain of somebody else, with the pinned root behind it, is no chain.
#[test]
fn grafted_root_is_refused() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let mut certs = theirs.chain();
    certs[2] = ours.chain().swap_remove(2);
    let signed = Statement::classic(&certs, &did(&certs)).sign(&theirs.leaf_key);
    let source = X509Error::BadSignature;
    assert_eq!(authenticate(&signed).err(), chain(ChainError::Signature { index: 1, source }));
}

/// Certificates are judged at the time of signing, where one is claimed, unless the caller says otherwise.
#[test]
fn validity_is_judged_at_signing() {
    let time = at(1_700_000_000);
    let early = ChainError::NotYetValid { index: 1, not_before: at(1_735_689_600), at: time };
    assert_eq!(made_with(|pki| pki.intermediate.not_before = "250101000000Z").err(), chain(early));
    let late = ChainError::Expired { index: 0, not_after: at(1_640_995_200), at: time };
    assert_eq!(made_with(|pki| pki.leaf.not_after = "220101000000Z").err(), chain(late));
    let mut pki = Pki::new();
    pki.leaf.not_after = "220101000000Z";
    let certs = pki.chain();
    let statement = Statement::classic(&certs, &did(&certs));
    let unjudged = Endorsement::parse(&statement.sign(&pki.leaf_key)).unwrap();
    let unjudged = unjudged.with_certificate_time(CertificateTime::Ignored).authenticate(&mut budget());
    assert_eq!(unjudged.err(), None);
    assert_eq!(authenticate(&statement.without(text("signingtime")).sign(&pki.leaf_key)).err(), None);
}

/// A leaf key of another kind verifies nothing.
#[test]
fn other_leaf_keys_are_refused() {
    let ed25519 = sequence(&[&sequence(&[&oid("1.3.101.112")]), &[&[3, 33, 0], [1; 32].as_slice()].concat()]);
    let refused = made_with(|pki| pki.leaf.spki = ed25519).err();
    assert_eq!(refused, Some(UvmError::LeafKey(X509Error::UnsupportedKey)));
}

/// One signature check per certificate and one for the object; with fewer nothing is authentic.
#[test]
fn budget_is_kept() {
    let pki = Pki::new();
    let certs = pki.chain();
    let endorsement = Endorsement::parse(&Statement::classic(&certs, &did(&certs)).sign(&pki.leaf_key)).unwrap();
    for checks in 0..4 {
        let refused = endorsement.authenticate(&mut Budget::new(checks));
        assert_eq!(refused.err(), Some(UvmError::BudgetExhausted), "{checks}");
    }
    let mut enough = Budget::new(4);
    assert_eq!(endorsement.authenticate(&mut enough).err(), None);
    assert_eq!(enough.remaining(), 0);
}

// ---- did:x509.

/// What is no did:x509 of version 0 is refused, each fault by its name.
#[test]
fn malformed_dids_are_refused() {
    let fingerprint = "I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s";
    let with = |policies: &str| format!("did:x509:0:sha256:{fingerprint}::{policies}");
    let long = with(&format!("eku:1.{}", "2.".repeat(500)));
    let policy = |index| DidError::MalformedPolicy { index };
    let escape = |index| DidError::PercentEncoding { index };
    let table = [
        (long.clone(), DidError::TooLong { len: long.len(), max: 1024 }),
        (String::new(), DidError::Method),
        ("did:web:example.com".to_owned(), DidError::Method),
        (with("eku:1.2.3").to_uppercase(), DidError::Method),
        (format!(" {}", with("eku:1.2.3")), DidError::Method),
        (format!("did:x509:1:sha256:{fingerprint}::eku:1.2.3"), DidError::Version),
        (format!("did:x509:sha256:{fingerprint}::eku:1.2.3"), DidError::Version),
        (format!("did:x509:00:sha256:{fingerprint}::eku:1.2.3"), DidError::Version),
        (format!("did:x509:0:sha1:{fingerprint}::eku:1.2.3"), DidError::FingerprintAlgorithm),
        (format!("did:x509:0:SHA256:{fingerprint}::eku:1.2.3"), DidError::FingerprintAlgorithm),
        (format!("did:x509:0:sha256:{fingerprint}=::eku:1.2.3"), DidError::Fingerprint),
        (format!("did:x509:0:sha256:{fingerprint}:x::eku:1.2.3"), DidError::Fingerprint),
        (format!("did:x509:0:sha384:{fingerprint}::eku:1.2.3"), DidError::Fingerprint),
        (format!("did:x509:0:sha256:{}::eku:1.2.3", fingerprint.replace('_', "/")), DidError::Fingerprint),
        (format!("did:x509:0:sha256:{}t::eku:1.2.3", &fingerprint[..42]), DidError::Fingerprint),
        ("did:x509:0:sha256::eku:1.2.3".to_owned(), DidError::Fingerprint),
        (format!("did:x509:0:sha256:{fingerprint}"), DidError::NoPolicy),
        (with(""), DidError::NoPolicy),
        (with(&["eku:1.2.3"; 9].join("::")), DidError::TooManyPolicies { found: 9, max: 8 }),
        (with("issuer:x"), DidError::UnknownPolicy { index: 0 }),
        (with("EKU:1.2.3"), DidError::UnknownPolicy { index: 0 }),
        (with("eku:1.2.3::"), DidError::UnknownPolicy { index: 1 }),
        (with("eku:1.2.3::x"), DidError::UnknownPolicy { index: 1 }),
        (with("eku"), policy(0)),
        (with("eku:"), policy(0)),
        (with("eku:x"), policy(0)),
        (with("eku:1.02.3"), policy(0)),
        (with("eku:1.2.3:4"), policy(0)),
        (with("eku:1.2.3#key"), policy(0)),
        (with("subject"), policy(0)),
        (with("subject:CN"), policy(0)),
        (with("subject:CN:"), policy(0)),
        (with("subject:CN:a:O"), policy(0)),
        (with("subject:cn:a"), policy(0)),
        (with("subject:CN:a:CN:b"), policy(0)),
        (with("subject:CN:a:2.5.4.3:b"), policy(0)),
        (with("san:dns"), policy(0)),
        (with("san:ip:1"), policy(0)),
        (with("san:dns:"), policy(0)),
        (with("fulcio-issuer:"), policy(0)),
        (with("subject:CN:a b"), escape(0)),
        (with("subject:CN:a%2"), escape(0)),
        (with("subject:CN:a%"), escape(0)),
        (with("subject:CN:%zz"), escape(0)),
        (with("subject:CN:%+1"), escape(0)),
        (with("subject:CN:%ff"), escape(0)),
        (with("subject:CN:\u{e9}"), escape(0)),
        (with("eku:1.2.3::san:uri:https%3A//x"), escape(1)),
        (with("san:email:a@b"), escape(0)),
        (with("fulcio-issuer:a:b"), escape(0)),
        (with("eku:1.2.3::san:dns:a?x"), escape(1)),
    ];
    for (did, error) in table {
        assert_eq!(DidX509::parse(&did), Err(error), "{did}");
    }
    let refused = made(|s| s.set(text("iss"), text("did:web:x"))).err();
    assert_eq!(refused, did_error(DidError::Method));
}

/// Fingerprints of all three hashes name the root.
#[test]
fn fingerprints_of_every_hash_match() {
    use base64::Engine;
    let pki = Pki::new();
    let certs = pki.chain();
    for (name, hash) in [("sha256", &digest::SHA256), ("sha384", &digest::SHA384), ("sha512", &digest::SHA512)] {
        let fingerprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest::digest(hash, &certs[2]));
        let issuer = format!("did:x509:0:{name}:{fingerprint}::eku:{EKU_OID}");
        assert_eq!(authenticate(&Statement::classic(&certs, &issuer).sign(&pki.leaf_key)).err(), None, "{name}");
    }
}

/// Every policy must hold of the leaf, not merely of some certificate, nor one for another.
#[test]
fn policies_are_held_against_the_leaf() {
    let unmet = |index| did_error(DidError::PolicyUnmet { index });
    let same = |_: &mut Cert| {};
    assert_eq!(made_for(&format!("eku:{EKU_OID}::eku:1.3.6.1.4.1.311.76.59.1.1"), same), None);
    assert_eq!(made_for("eku:1.3.6.1.4.1.311.76.59.1", same), unmet(0));
    assert_eq!(made_for(&format!("eku:{EKU_OID}::eku:1.3.6.1.4.1.311.76.59.1.5"), same), unmet(1));
    assert_eq!(made_for(&format!("eku:{EKU_OID}"), |leaf| drop(leaf.extensions.remove(2))), unmet(0));
    assert_eq!(made_for("subject:CN:leaf", same), None);
    assert_eq!(made_for("subject:CN:Leaf", same), unmet(0));
    assert_eq!(made_for("subject:CN:leaf:O:x", same), unmet(0));
    assert_eq!(made_for("subject:CN:root", same), unmet(0));
    for policies in ["san:dns:a.example", "fulcio-issuer:a.example"] {
        assert_eq!(made_for(policies, same), unmet(0));
    }
}

/// Subjects are compared decoded, exactly, and only where an attribute stands once.
#[test]
fn subject_policy() {
    let unmet = did_error(DidError::PolicyUnmet { index: 0 });
    let subject = |attributes: &'static [(&'static str, u8, &'static str)], policies: &str| {
        made_for(policies, |leaf| leaf.subject = name(attributes))
    };
    let usual: &[_] = &[("2.5.4.6", 0x13, "US"), ("2.5.4.10", 0x0c, "A: B & C"), ("2.5.4.3", 0x16, "x")];
    assert_eq!(subject(usual, "subject:O:A%3A%20B%20%26%20C:C:US:2.5.4.3:x"), None);
    assert_eq!(subject(usual, "subject:O:A%3a%20B%20%26%20C"), None);
    assert_eq!(subject(usual, "subject:O:A"), unmet);
    let twice: &[_] = &[("2.5.4.3", 0x0c, "x"), ("2.5.4.3", 0x0c, "y")];
    assert_eq!(subject(twice, "subject:CN:x"), unmet);
    let teletex: &[_] = &[("2.5.4.3", 0x14, "x")];
    assert_eq!(subject(teletex, "subject:CN:x"), unmet);
}

/// Alternative names are compared by type and text.
#[test]
fn san_policy() {
    let unmet = did_error(DidError::PolicyUnmet { index: 0 });
    let with = |tag, value: &str, policy: &str| made_for(policy, |leaf| leaf.extensions.push(san(tag, value)));
    assert_eq!(with(0x81, "a@b.example", "san:email:a%40b.example"), None);
    assert_eq!(with(0x82, "b.example", "san:dns:b.example"), None);
    assert_eq!(with(0x86, "https://b.example/x", "san:uri:https%3A%2F%2Fb.example%2Fx"), None);
    assert_eq!(with(0x82, "b.example", "san:uri:b.example"), unmet);
    assert_eq!(with(0x82, "b.example", "san:dns:B.example"), unmet);
    assert_eq!(with(0x82, "x.b.example", "san:dns:b.example"), unmet);
}

/// The Fulcio issuer is an https origin, as bare text in its extension.
#[test]
fn fulcio_policy() {
    let unmet = did_error(DidError::PolicyUnmet { index: 0 });
    let with = |value: &str, policy: &str| {
        made_for(policy, |leaf| leaf.extensions.push(extension("1.3.6.1.4.1.57264.1.1", false, value.as_bytes())))
    };
    assert_eq!(with("https://token.example/x", "fulcio-issuer:token.example%2Fx"), None);
    assert_eq!(with("http://token.example", "fulcio-issuer:token.example"), unmet);
    assert_eq!(with("https://token.example.evil", "fulcio-issuer:token.example"), unmet);
}

/// An extension that a policy speaks of and that does not parse is refused, not skipped.
#[test]
fn malformed_policy_extensions_are_refused() {
    let malformed = did_error(DidError::MalformedExtension { index: 0 });
    let broken_eku = |leaf: &mut Cert| leaf.extensions[2] = extension("2.5.29.37", false, b"x");
    assert_eq!(made_for(&format!("eku:{EKU_OID}"), broken_eku), malformed);
    let broken_san = |leaf: &mut Cert| leaf.extensions.push(extension("2.5.29.17", false, b"x"));
    assert_eq!(made_for("san:dns:x", broken_san), malformed);
}

// ---- Trust.

/// A signed statement and its issuer.
fn statement(change: impl FnOnce(Statement) -> Statement) -> (Vec<u8>, String) {
    let pki = Pki::new();
    let certs = pki.chain();
    let issuer = did(&certs);
    (change(Statement::classic(&certs, &issuer)).sign(&pki.leaf_key), issuer)
}

/// Issuer, feed and version are each needed.
#[test]
fn trust_needs_issuer_feed_and_version() {
    let (bytes, issuer) = statement(|s| s);
    let unknown = UvmError::UnknownIssuer { issuer: issuer.clone() };
    assert_eq!(verify(&bytes, &TrustList::none()), Err(unknown.clone()));
    assert_eq!(verify(&bytes, &TrustList::microsoft()), Err(unknown.clone()));
    assert_eq!(verify(&bytes, &TrustList::none().with_svn_min(&issuer, "feed", 0)), Err(unknown));
    let other = TrustList::none().with_simulated(&issuer, "Feed", 0).with_simulated(MICROSOFT_ISSUER, "feed", 0);
    assert_eq!(verify(&bytes, &other), Err(UvmError::UnknownFeed { feed: "feed".to_owned() }));
    let newer = TrustList::none().with_simulated(&issuer, "feed", 101);
    assert_eq!(verify(&bytes, &newer), Err(UvmError::SvnBelowMinimum { svn: 100, svn_min: 101 }));
    let held = TrustList::none().with_simulated(&issuer, "feed", 100);
    assert_eq!(verify(&bytes, &held).map(|e| e.provenance()), Ok(Provenance::Simulated));
}

/// Adding to the list never loosens it: a real pair named again becomes simulated, and the higher
/// version stays.
#[test]
fn trust_lists_only_tighten() {
    let Some(bytes) = vector(CACI) else { return };
    let again = |min| TrustList::microsoft().with_simulated(MICROSOFT_ISSUER, MICROSOFT_FEED, min);
    assert_eq!(verify(&bytes, &again(0)).map(|e| e.provenance()), Ok(Provenance::Simulated));
    let raised = again(23).with_svn_min(MICROSOFT_ISSUER, MICROSOFT_FEED, 0);
    let raised = raised.with_simulated(MICROSOFT_ISSUER, MICROSOFT_FEED, 1);
    assert_eq!(verify(&bytes, &raised), Err(UvmError::SvnBelowMinimum { svn: 22, svn_min: 23 }));
}

/// Only a JSON payload carries a measurement, and its version is the header's.
#[test]
fn trust_needs_the_classic_payload() {
    let judge = |change: fn(Statement) -> Statement| {
        let (bytes, issuer) = statement(change);
        verify(&bytes, &TrustList::none().with_simulated(&issuer, "feed", 0)).err()
    };
    assert_eq!(judge(|s| s.without(int(3))), Some(UvmError::ContentType { found: None }));
    let found = Some("application/JSON".to_owned());
    assert_eq!(judge(|s| s.set(int(3), text("application/JSON"))), Some(UvmError::ContentType { found }));
    assert_eq!(judge(|s| s.without(int(3)).add(int(258), int(-43))), Some(UvmError::DetachedPayload));
    assert_eq!(judge(|s| s.payload("{}")), Some(UvmError::Payload(PayloadError::Syntax { at: 1 })));
    let claim = |s: Statement, svn| s.add(int(15), map(&[(text("svn"), int(svn))]));
    assert_eq!(claimed(claim, 101), Some(UvmError::SvnConflict { header: 101, payload: 100 }));
    assert_eq!(claimed(claim, 100), None);
}

fn claimed(claim: impl FnOnce(Statement, i64) -> Statement, svn: i64) -> Option<UvmError> {
    let (bytes, issuer) = statement(|s| claim(s, svn));
    verify(&bytes, &TrustList::none().with_simulated(&issuer, "feed", 0)).err()
}
