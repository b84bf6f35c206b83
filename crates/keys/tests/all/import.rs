//! Import: what is taken comes out again, and every refusal.

use crate::fixtures::{binding, custody, material, rng};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use skerry_keys::{Curve, ImportError, ImportKey, KeyType, OctBits, PublicKey, RsaBits, RsaComponents};
use skerry_keywrap::TargetKeyError;
use std::sync::OnceLock;
use zeroize::Zeroizing;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };

fn refusal(key_type: KeyType, key: &ImportKey) -> Option<ImportError> {
    custody().import(binding(key_type), key, &mut rng()).err()
}

fn secret(octets: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(octets.to_vec())
}

pub(crate) fn components() -> RsaComponents {
    static KEY: OnceLock<rsa::PrivateKey> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let binding = binding(RSA);
        let (_, sealed) = custody().generate(binding, &mut rng()).unwrap();
        rsa::PrivateKey::from_pkcs8_der(material(&sealed, &binding).expose()).unwrap()
    });
    let octets = |number: &rsa::BoxedUint| secret(&number.to_be_bytes_trimmed_vartime());
    RsaComponents {
        n: key.n_bytes().to_vec(),
        e: key.e_bytes().to_vec(),
        d: octets(key.d()),
        p: octets(&key.primes()[0]),
        q: octets(&key.primes()[1]),
        dp: octets(key.dp().unwrap()),
        dq: octets(key.dq().unwrap()),
        qi: octets(&key.crt_coefficient().unwrap()),
    }
}

fn rsa_with(change: impl FnOnce(&mut RsaComponents)) -> ImportKey {
    let mut components = components();
    change(&mut components);
    ImportKey::Rsa(Box::new(components))
}

#[test]
fn rsa_comes_out_as_it_went_in() {
    // The released PKCS#8 of an imported key has its modulus, private exponent and primes.
    let key = rsa_with(|_| {});
    let (public, sealed) = custody().import(binding(RSA), &key, &mut rng()).unwrap();
    let parts = components();
    assert_eq!(public, PublicKey::Rsa { n: parts.n.clone(), e: parts.e.clone() });
    let out = rsa::PrivateKey::from_pkcs8_der(material(&sealed, &binding(RSA)).expose()).unwrap();
    assert_eq!(&*out.n_bytes(), parts.n);
    assert_eq!(&*out.d().to_be_bytes_trimmed_vartime(), parts.d.as_slice());
    assert_eq!(&*out.primes()[0].to_be_bytes_trimmed_vartime(), parts.p.as_slice());
}

#[test]
fn rsa_components_must_fit() {
    // Every component is checked against the others: one changed bit anywhere refuses the key.
    let flips: [fn(&mut RsaComponents); 6] = [
        |key| flip(&mut key.d),
        |key| flip(&mut key.p),
        |key| flip(&mut key.q),
        |key| flip(&mut key.dp),
        |key| flip(&mut key.dq),
        |key| flip(&mut key.qi),
    ];
    for change in flips {
        assert_eq!(refusal(RSA, &rsa_with(change)), Some(ImportError::RsaInconsistent));
    }
    let other_n = rsa_with(|key| key.n[10] ^= 1);
    assert_eq!(refusal(RSA, &other_n), Some(ImportError::RsaInconsistent));
    let other_e = rsa_with(|key| key.e = vec![1, 0, 3]);
    assert_eq!(refusal(RSA, &other_e), Some(ImportError::RsaInconsistent));
}

type Component = fn(&mut RsaComponents) -> &mut Vec<u8>;

fn flip(octets: &mut [u8]) {
    octets[20] ^= 2;
}

#[test]
fn rsa_sizes_are_exact() {
    // Leading zeros of the public half, other sizes, and empty or overlong private components are refused.
    let padded = rsa_with(|key| key.n.insert(0, 0));
    let expected = ImportError::RsaPublic(TargetKeyError::ModulusLeadingZero);
    assert_eq!(refusal(RSA, &padded), Some(expected));
    let odd_size = rsa_with(|key| key.n.insert(0, 0x80));
    assert_eq!(refusal(RSA, &odd_size), Some(ImportError::RsaSize { bits: 2056 }));
    let small_e = rsa_with(|key| key.e = vec![3]);
    let expected = ImportError::RsaPublic(TargetKeyError::ExponentTooSmall { exponent: 3 });
    assert_eq!(refusal(RSA, &small_e), Some(expected));

    let changes: [(&str, Component); 6] = [
        ("d", |key| &mut key.d),
        ("p", |key| &mut key.p),
        ("q", |key| &mut key.q),
        ("dp", |key| &mut key.dp),
        ("dq", |key| &mut key.dq),
        ("qi", |key| &mut key.qi),
    ];
    for (component, of) in changes {
        for len in [0, 257] {
            let key = rsa_with(|key| *of(key) = vec![1; len]);
            assert_eq!(refusal(RSA, &key), Some(ImportError::RsaLength { component, len }));
        }
    }
}

struct EcParts {
    d: Vec<u8>,
    x: Vec<u8>,
    y: Vec<u8>,
}

fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
        Curve::P256K => &ECDSA_P256K1_SHA256_FIXED_SIGNING,
    }
}

fn ec_parts(curve: Curve) -> EcParts {
    let pair = EcdsaKeyPair::generate(signing(curve)).unwrap();
    let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(curve.field_len());
    EcParts { d: d.as_ref().to_vec(), x: x.to_vec(), y: y.to_vec() }
}

fn ec(curve: Curve, d: &[u8], x: &[u8], y: &[u8]) -> ImportKey {
    ImportKey::Ec { curve, d: secret(d), x: x.to_vec(), y: y.to_vec() }
}

#[test]
fn ec_comes_out_as_it_went_in() {
    // The released PKCS#8 of an imported key has its scalar and its point.
    for curve in Curve::ALL {
        let binding = binding(KeyType::Ec { curve });
        let EcParts { d, x, y } = ec_parts(curve);
        let key = ec(curve, &d, &x, &y);
        let (public, sealed) = custody().import(binding, &key, &mut rng()).unwrap();
        let released = material(&sealed, &binding);
        let pair = EcdsaKeyPair::from_pkcs8(signing(curve), released.expose()).unwrap();
        let out: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
        assert_eq!(out.as_ref(), d);
        assert_eq!(public, PublicKey::Ec { curve, x, y });
    }
}

#[test]
fn ec_refusals_are_told_apart() {
    // Lengths, a point off the curve, a scalar out of range, halves of two keys.
    for curve in Curve::ALL {
        let key_type = KeyType::Ec { curve };
        let refused = |d: &[u8], x: &[u8], y: &[u8]| refusal(key_type, &ec(curve, d, x, y));
        let EcParts { d, x, y } = ec_parts(curve);
        let zero = vec![0; curve.field_len()];

        let off_curve: Vec<u8> =
            y.iter().enumerate().map(|(i, octet)| if i == 9 { octet ^ 1 } else { *octet }).collect();
        assert_eq!(refused(&d, &x, &off_curve), Some(ImportError::EcPoint));
        assert_eq!(refused(&d, &zero, &zero), Some(ImportError::EcPoint));
        assert_eq!(refused(&zero, &x, &y), Some(ImportError::EcScalar));
        assert_eq!(refused(&vec![0xff; curve.field_len()], &x, &y), Some(ImportError::EcScalar));
        assert_eq!(refused(&ec_parts(curve).d, &x, &y), Some(ImportError::EcPair));

        for len in [0, curve.field_len() - 1, curve.field_len() + 1] {
            let wrong = vec![0; len];
            let of = |component| Some(ImportError::EcLength { component, len });
            assert_eq!(refused(&wrong, &x, &y), of("d"));
            assert_eq!(refused(&d, &wrong, &y), of("x"));
            assert_eq!(refused(&d, &x, &wrong), of("y"));
        }
    }
}

#[test]
fn scalars_end_below_the_order() {
    // The order itself is out of range, one less is in range: checked against the library's own verdict.
    let orders = [
        (Curve::P256, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551".to_owned()),
        (Curve::P384, format!("{}c7634d81f4372ddf581a0db248b0a77aecec196accc52973", "f".repeat(48))),
        (
            Curve::P521,
            format!("01ff{}fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", "f".repeat(62)),
        ),
        (Curve::P256K, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".to_owned()),
    ];
    for (curve, order) in orders {
        let order = hex::decode(order).unwrap();
        let mut below = order.clone();
        *below.last_mut().unwrap() -= 1;
        let EcParts { x, y, .. } = ec_parts(curve);
        let refused = |d: &[u8]| refusal(KeyType::Ec { curve }, &ec(curve, d, &x, &y));
        assert_eq!(refused(&order), Some(ImportError::EcScalar));
        assert_eq!(refused(&below), Some(ImportError::EcPair));
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        let library = |d: &[u8]| {
            EcdsaKeyPair::from_private_key_and_public_key(signing(curve), d, &point).unwrap_err().to_string()
        };
        assert_eq!(library(&below), "InconsistentComponents");
        assert_ne!(library(&order), "InconsistentComponents");
    }
}

#[test]
fn curves_do_not_mix() {
    // P-256 and secp256k1 have the same lengths; a key of one is no key of the other.
    let EcParts { d, x, y } = ec_parts(Curve::P256);
    let curve = Curve::P256K;
    let refused = refusal(KeyType::Ec { curve }, &ec(curve, &d, &x, &y));
    assert_eq!(refused, Some(ImportError::EcPoint));
}

#[test]
fn symmetric_keys_have_three_sizes() {
    // 16, 24 and 32 octets come out as they went in; other lengths are refused.
    for bits in OctBits::ALL {
        let binding = binding(KeyType::Oct { bits });
        let k = secret(&vec![0xab; bits.bits() / 8]);
        let (public, sealed) = custody().import(binding, &ImportKey::Oct { k: k.clone() }, &mut rng()).unwrap();
        assert_eq!(public, PublicKey::Oct);
        assert_eq!(material(&sealed, &binding).expose(), k.as_slice());
    }
    for len in [0, 1, 15, 17, 31, 33, 64] {
        let key = ImportKey::Oct { k: secret(&vec![1; len]) };
        let refused = refusal(KeyType::Oct { bits: OctBits::B256 }, &key);
        assert_eq!(refused, Some(ImportError::OctSize { len }));
    }
}

#[test]
fn type_must_be_the_bindings() {
    // A key of another size or family than it is to be stored as is refused.
    let found = KeyType::Oct { bits: OctBits::B128 };
    for expected in [KeyType::Oct { bits: OctBits::B256 }, RSA, KeyType::Ec { curve: Curve::P256 }] {
        let key = ImportKey::Oct { k: secret(&[1; 16]) };
        assert_eq!(refusal(expected, &key), Some(ImportError::OtherType { expected, found }));
    }
}
