//! Bundles and certificates as bytes: armour, limits, lengths that lie, algorithms that differ.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding,
    },
};
use skerry_evidence::{
    limits::Limits,
    x509::{Budget, Certificate, KeyKind, PublicKey, SignatureAlgorithm, X509Error, verify_signature},
};

use crate::support::{authority_key, milan, milan_chip, resign, resign_with, rsa_signature, wrap};

fn bundle(text: &[u8]) -> Result<Vec<Certificate>, X509Error> {
    Certificate::from_pem_bundle(text, &Limits::default())
}

/// LF, CRLF, leading, trailing and inner white space, one long line: all the same certificates.
#[test]
fn pem_white_space_is_free() {
    let lf = milan_chip().vek_chain_pem().unwrap();
    let expected = bundle(lf.as_bytes()).unwrap();
    assert_eq!(expected.len(), 3);
    let one_line = lf.replace('\n', "");
    for text in [lf.replace('\n', "\r\n"), format!("\r\n \t{lf}\n\n  "), lf.replace('\n', "\n\n \t"), one_line] {
        assert_eq!(bundle(text.as_bytes()).unwrap(), expected);
    }
}

/// Anything else around the blocks, another label, a block without end, a body that is no base64: refused by index.
#[test]
fn bad_pem_is_refused() {
    let one = milan_chip().vek_chain_pem().unwrap();
    let one = one.split_inclusive("-----END CERTIFICATE-----").next().unwrap().to_owned();
    let armour = |block| Err(X509Error::PemArmour { block });
    assert_eq!(bundle(b""), Err(X509Error::Empty));
    assert_eq!(bundle(b" \r\n"), Err(X509Error::Empty));
    assert_eq!(bundle(b"hello"), armour(0));
    assert_eq!(bundle(format!("comment\n{one}").as_bytes()), armour(0));
    assert_eq!(bundle(format!("{one}\0").as_bytes()), armour(1));
    assert_eq!(bundle(one.replace("CERTIFICATE", "PRIVATE KEY").as_bytes()), armour(0));
    assert_eq!(bundle(one.replace("-----END CERTIFICATE-----", "").as_bytes()), armour(0));
    for bad in ["=", "*", "-", "\0"] {
        let text = format!("{one}\n{}", one.replace("\n", &format!("\n{bad}")));
        assert_eq!(bundle(text.as_bytes()), Err(X509Error::PemBase64 { block: 1 }), "{bad:?}");
    }
    let len_max = Limits::default().pem_bytes_max;
    assert_eq!(bundle(&vec![b' '; len_max + 1]), Err(X509Error::TooLong { len: len_max + 1, len_max }));
    assert_eq!(bundle(one.repeat(9).as_bytes()), Err(X509Error::TooMany { count_max: 8 }));
    assert_eq!(bundle(one.repeat(8).as_bytes()).unwrap().len(), 8);
}

/// Lengths that lie, in either direction and in long form, and a certificate over the limit, are refused.
#[test]
fn lying_lengths_are_refused() {
    let (der, limits) = (milan().ask_der(), Limits::default());
    for at in [2, 3, 6, 7] {
        for delta in [1_u8, 2, 0x7F, 0x80, 0xFF] {
            let mut lying = der.to_vec();
            lying[at] = lying[at].wrapping_add(delta);
            assert!(Certificate::from_der(&lying, &limits).is_err(), "byte {at} + {delta}");
        }
    }
    for head in
        [&[0x30, 0x80][..], &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], &[0x30, 0x83, 0x00, 0x01, 0x00], &[0x30], &[]]
    {
        let lying = [head, &der[4..]].concat();
        assert_eq!(Certificate::from_der(&lying, &limits), Err(X509Error::Der));
    }
    let len_max = limits.certificate_bytes_max;
    let refused = Certificate::from_der(&vec![0x30; len_max + 1], &limits);
    assert_eq!(refused, Err(X509Error::TooLong { len: len_max + 1, len_max }));
}

/// The algorithm outside of the signed part must be the one inside, byte for byte.
#[test]
fn differing_algorithms_are_refused() {
    let mut der = milan().ask_der().to_vec();
    let at = der.windows(5).rposition(|w| w == [0xA2, 3, 2, 1, 0x30]).unwrap();
    der[at + 4] = 0x20;
    assert_eq!(Certificate::from_der(&der, &Limits::default()), Err(X509Error::AlgorithmsDiffer));
}

/// A signature verifies with the issuer's key only, costs one check, and needs a key of its kind.
#[test]
fn signatures_need_the_right_key() {
    let limits = Limits::default();
    let [ark, ask] = [milan().ark_der(), milan().ask_der()].map(|der| Certificate::from_der(der, &limits).unwrap());
    let vek = Certificate::from_der(milan_chip().vek_der(), &limits).unwrap();
    let mut budget = Budget::new(2);
    assert_eq!(verify_signature(&ask, ark.spki(), &mut budget), Ok(()));
    assert_eq!(verify_signature(&ask, ask.spki(), &mut budget), Err(X509Error::BadSignature));
    assert_eq!(budget.remaining(), 0);
    assert_eq!(verify_signature(&ask, ark.spki(), &mut budget), Err(X509Error::BudgetExhausted));
    assert_eq!(verify_signature(&ask, vek.spki(), &mut Budget::new(1)), Err(X509Error::KeyMismatch));
    assert_eq!(verify_signature(&ask, b"", &mut Budget::new(1)), Err(X509Error::Der));
    assert_eq!(ask.signature_algorithm(), Ok(SignatureAlgorithm::RsaPssSha384));
    assert_eq!(vek.public_key().unwrap().kind, KeyKind::P384);
}

/// Algorithms and keys off the list are refused, as are parameters where there may be none.
#[test]
fn unlisted_algorithms_are_refused() {
    let key = authority_key(milan(), 0);
    let algorithm = |der: &[u8]| {
        let cert = resign(milan().ask_der(), &key, |tbs| tbs[2] = der.to_vec());
        Certificate::from_der(&cert, &Limits::default()).unwrap().signature_algorithm()
    };
    let null = [5, 0];
    assert_eq!(algorithm(&pkcs1(11, &null)), Ok(SignatureAlgorithm::RsaPkcs1Sha256));
    assert_eq!(algorithm(&pkcs1(12, &[])), Ok(SignatureAlgorithm::RsaPkcs1Sha384));
    assert_eq!(algorithm(&pkcs1(13, &null)), Ok(SignatureAlgorithm::RsaPkcs1Sha512));
    assert_eq!(algorithm(&ecdsa(2, &[])), Ok(SignatureAlgorithm::EcdsaSha256));
    assert_eq!(algorithm(&ecdsa(3, &[])), Ok(SignatureAlgorithm::EcdsaSha384));
    assert_eq!(algorithm(&ecdsa(4, &[])), Ok(SignatureAlgorithm::EcdsaSha512));
    let sha1_pkcs1 = pkcs1(5, &null);
    for other in [sha1_pkcs1, pkcs1(4, &null), pkcs1(10, &[]), ecdsa(1, &[]), ecdsa(3, &null), pkcs1(12, &[4, 0])] {
        assert_eq!(algorithm(&other), Err(X509Error::UnsupportedAlgorithm), "{other:02x?}");
    }
    let p224 = wrap(
        0x30,
        &[&wrap(0x30, &[&[6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1], &[6, 5, 0x2B, 0x81, 4, 0, 33]]), &[3, 2, 0, 4]],
    );
    assert_eq!(PublicKey::from_spki(&p224), Err(X509Error::UnsupportedKey));
}

fn pkcs1(last_arc: u8, parameters: &[u8]) -> Vec<u8> {
    wrap(0x30, &[&[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, last_arc], parameters])
}

fn ecdsa(last_arc: u8, parameters: &[u8]) -> Vec<u8> {
    wrap(0x30, &[&[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, last_arc], parameters])
}

/// PSS parameters are matched on their values: one hash, one mask, one salt, the trailer field 1 or left out, nothing more.
#[test]
fn other_pss_parameters_are_refused() {
    let sha = |last| wrap(0x30, &[&[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, last], &[5, 0]]);
    let mgf1 = |hash: &[u8]| wrap(0x30, &[&[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 8], hash]);
    let (hash, mask) = (wrap(0xA0, &[&sha(2)]), wrap(0xA1, &[&mgf1(&sha(2))]));
    let salt = |n| [0xA2, 3, 2, 1, n];
    let trailer = |n| [0xA3, 3, 2, 1, n];
    let key = authority_key(milan(), 0);
    let algorithm = |parts: &[&[u8]]| {
        let der = wrap(0x30, &[&[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 10], &wrap(0x30, parts)]);
        let cert = resign(milan().ask_der(), &key, |tbs| tbs[2] = der);
        Certificate::from_der(&cert, &Limits::default()).unwrap().signature_algorithm()
    };
    for good in [&[&hash[..], &mask, &salt(48)][..], &[&hash, &mask, &salt(48), &trailer(1)]] {
        assert_eq!(algorithm(good), Ok(SignatureAlgorithm::RsaPssSha384));
    }
    let (hash_256, mask_256) = (wrap(0xA0, &[&sha(1)]), wrap(0xA1, &[&mgf1(&sha(1))]));
    let unlisted: [&[&[u8]]; 8] = [
        &[],
        &[&hash_256, &mask, &salt(48)],
        &[&hash, &mask_256, &salt(48)],
        &[&hash, &mask, &salt(32)],
        &[&hash, &mask, &salt(48), &trailer(2)],
        &[&mask, &salt(48)],
        &[&hash, &salt(48)],
        &[&hash, &mask],
    ];
    for other in unlisted {
        assert_eq!(algorithm(other), Err(X509Error::UnsupportedAlgorithm), "{other:02x?}");
    }
    for trailing in [&[0xA4, 3, 2, 1, 1][..], &[5, 0], &trailer(1)] {
        assert_eq!(
            algorithm(&[&hash, &mask, &salt(48), &trailer(1), trailing]),
            Err(X509Error::Der),
            "{trailing:02x?}"
        );
    }
}

/// Each PKCS#1 and ECDSA algorithm verifies with the key that signed, with no other, and with no other algorithm's name.
#[test]
fn every_algorithm_verifies() {
    let limits = Limits::default();
    let verify = |cert: &[u8], spki: &[u8]| {
        verify_signature(&Certificate::from_der(cert, &limits).unwrap(), spki, &mut Budget::new(1))
    };
    let [ark, ask] = [milan().ark_der(), milan().ask_der()].map(|der| Certificate::from_der(der, &limits).unwrap());
    let key = authority_key(milan(), 0);
    let paddings: [(u8, &'static dyn RsaEncoding); 3] =
        [(11, &RSA_PKCS1_SHA256), (12, &RSA_PKCS1_SHA384), (13, &RSA_PKCS1_SHA512)];
    for (arc, padding) in paddings {
        let named =
            |arc| resign_with(ask.der(), |m| rsa_signature(&key, padding, m), |tbs| tbs[2] = pkcs1(arc, &[5, 0]));
        assert_eq!(verify(&named(arc), ark.spki()), Ok(()));
        assert_eq!(verify(&named(arc), ask.spki()), Err(X509Error::BadSignature));
        assert_eq!(verify(&named(if arc == 11 { 12 } else { 11 }), ark.spki()), Err(X509Error::BadSignature));
    }
    let curves = [
        (2, &ECDSA_P256_SHA256_ASN1_SIGNING, &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7][..]),
        (3, &ECDSA_P384_SHA384_ASN1_SIGNING, &[6, 5, 0x2B, 0x81, 4, 0, 34]),
        (4, &ECDSA_P521_SHA512_ASN1_SIGNING, &[6, 5, 0x2B, 0x81, 4, 0, 35]),
    ];
    for (arc, algorithm, curve) in curves {
        let pair = || EcdsaKeyPair::generate(algorithm).unwrap();
        let spki = |pair: &EcdsaKeyPair| {
            let identifier = wrap(0x30, &[&[6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1], curve]);
            wrap(0x30, &[&identifier, &wrap(3, &[&[0], pair.public_key().as_ref()])])
        };
        let (signer, stranger) = (pair(), pair());
        let sign = |m: &[u8]| signer.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec();
        let named = |arc| resign_with(ask.der(), sign, |tbs| tbs[2] = ecdsa(arc, &[]));
        assert_eq!(verify(&named(arc), &spki(&signer)), Ok(()));
        assert_eq!(verify(&named(arc), &spki(&stranger)), Err(X509Error::BadSignature));
        assert_eq!(verify(&named(if arc == 2 { 3 } else { 2 }), &spki(&signer)), Err(X509Error::BadSignature));
        assert_eq!(verify(&named(arc), ark.spki()), Err(X509Error::KeyMismatch));
    }
}
