//! Public keys and types in storage: one form each, and every refusal.

use crate::fixtures::{binding, custody, rng};
use skerry_keys::{Curve, KeyType, MlDsa, OctBits, PublicKey, PublicKeyError, RsaBits};
use std::collections::BTreeSet;

fn rsa(len: usize) -> PublicKey {
    let mut n = vec![0x55; len];
    n[0] = 0x80;
    PublicKey::Rsa { n, e: vec![1, 0, 1] }
}

fn ec(curve: Curve) -> PublicKey {
    PublicKey::Ec { curve, x: vec![1; curve.field_len()], y: vec![2; curve.field_len()] }
}

fn akp(set: MlDsa) -> PublicKey {
    PublicKey::Akp { set, key: vec![1; set.public_len()] }
}

fn all() -> Vec<PublicKey> {
    let rsa = RsaBits::ALL.map(|bits| rsa(bits.bits() / 8));
    rsa.into_iter().chain(Curve::ALL.map(ec)).chain([PublicKey::Oct]).chain(MlDsa::ALL.map(akp)).collect()
}

#[test]
fn tags_name_types() {
    // Each type has a tag of its own and is found by it; these octets are in storage and never change.
    let tags: BTreeSet<[u8; 2]> = KeyType::ALL.into_iter().map(KeyType::tag).collect();
    let families = [(1, 1..=3), (2, 1..=4), (3, 1..=3), (4, 1..=3)];
    let expected = families.into_iter().flat_map(|(family, sizes)| sizes.map(move |size| [family, size]));
    assert_eq!(tags, expected.collect());
    assert_eq!(KeyType::Akp { set: MlDsa::S65 }.tag(), [4, 2]);
    assert_eq!(KeyType::Ec { curve: Curve::P256K }.tag(), [2, 4]);
    assert_eq!(KeyType::Rsa { bits: RsaBits::B3072 }.tag(), [1, 2]);
    assert_eq!(KeyType::Oct { bits: OctBits::B256 }.tag(), [3, 3]);
    for family in 0..=255 {
        for size in 0..=255 {
            let found = KeyType::from_tag([family, size]).map(KeyType::tag);
            assert_eq!(found, tags.get(&[family, size]).copied());
        }
    }
}

#[test]
fn written_keys_are_read_back() {
    // Every kind of key has the drawn octets, and they give the same key.
    for key in all() {
        let octets = key.to_bytes().unwrap();
        assert_eq!(PublicKey::from_bytes(&octets), Ok(key.clone()));
        assert_eq!(octets[0], 1);
        let tag = key.key_type().unwrap().map_or([3, 0], KeyType::tag);
        assert_eq!(octets[1..3], tag);
    }
    assert_eq!(PublicKey::Oct.to_bytes().unwrap(), [1, 3, 0]);
    let p521 = [&[1, 2, 3][..], &[1; 66], &[2; 66]].concat();
    assert_eq!(ec(Curve::P521).to_bytes().unwrap(), p521);
    assert_eq!(rsa(256).to_bytes().unwrap().len(), 3 + 256 + 3);
}

#[test]
fn keys_of_custody_are_canonical() {
    // What custody makes has the type it was made as.
    for key_type in [KeyType::Rsa { bits: RsaBits::B2048 }, KeyType::Ec { curve: Curve::P521 }] {
        let (public, _) = custody().generate(binding(key_type), &mut rng()).unwrap();
        assert_eq!(public.key_type(), Ok(Some(key_type)));
        assert_eq!(PublicKey::from_bytes(&public.to_bytes().unwrap()), Ok(public));
    }
}

#[test]
fn cut_or_longer_octets_are_refused() {
    // No octet can be missing or added; an RSA exponent, which runs to the end, stays within its bounds.
    for key in all() {
        let octets = key.to_bytes().unwrap();
        for len in 0..octets.len() {
            let error = PublicKey::from_bytes(&octets[..len]).unwrap_err();
            let expected = match &key {
                PublicKey::Rsa { n, .. } if len >= 3 + n.len() => {
                    PublicKeyError::RsaExponent { len: len - 3 - n.len() }
                }
                PublicKey::Akp { .. } if len >= 3 => PublicKeyError::AkpLength { len: len - 3 },
                PublicKey::Ec { x, .. } if len >= 3 + x.len() => {
                    PublicKeyError::EcLength { component: "y", len: len - 3 - x.len() }
                }
                _ => PublicKeyError::Truncated,
            };
            assert_eq!(error, expected, "{key:?} {len}");
        }
        let longer = [octets.as_slice(), &[1, 0, 0]].concat();
        let expected = match &key {
            PublicKey::Rsa { .. } => PublicKeyError::RsaExponent { len: 6 },
            PublicKey::Ec { y, .. } => PublicKeyError::EcLength { component: "y", len: y.len() + 3 },
            PublicKey::Oct => PublicKeyError::Trailing { len: 3 },
            PublicKey::Akp { key, .. } => PublicKeyError::AkpLength { len: key.len() + 3 },
        };
        assert_eq!(PublicKey::from_bytes(&longer), Err(expected));
    }
}

#[test]
fn unknown_formats_and_types_are_refused() {
    // The first octets say what follows, or nothing is read.
    let octets = rsa(256).to_bytes().unwrap();
    for format in (0..=255).filter(|format| *format != 1) {
        let changed = [&[format], &octets[1..]].concat();
        assert_eq!(PublicKey::from_bytes(&changed), Err(PublicKeyError::UnknownFormat { format }));
    }
    for tag in [[0, 0], [1, 0], [1, 4], [2, 5], [3, 1], [3, 3], [4, 0], [4, 4], [5, 1]] {
        let changed = [&[1], &tag[..], &octets[3..]].concat();
        assert_eq!(PublicKey::from_bytes(&changed), Err(PublicKeyError::UnknownType { tag }));
    }
}

#[test]
fn numbers_that_no_key_has_are_refused() {
    // The same when written as when read, so that nothing is stored that does not come back.
    let odd = |n: Vec<u8>, e: &[u8]| PublicKey::Rsa { n, e: e.to_vec() };
    let n = || vec![0xff; 256];
    let with = |at: usize, octet: u8| {
        let mut n = n();
        n[at] = octet;
        n
    };
    let cases = [
        (odd(with(0, 0x7f), &[1, 0, 1]), PublicKeyError::RsaSize { len: 256 }),
        (odd(with(0, 0), &[1, 0, 1]), PublicKeyError::RsaSize { len: 256 }),
        (odd(vec![0xff; 128], &[1, 0, 1]), PublicKeyError::RsaSize { len: 128 }),
        (odd(vec![], &[1, 0, 1]), PublicKeyError::RsaSize { len: 0 }),
        (odd(with(255, 0xfe), &[1, 0, 1]), PublicKeyError::RsaEven),
        (odd(n(), &[]), PublicKeyError::RsaExponent { len: 0 }),
        (odd(n(), &[3]), PublicKeyError::RsaExponent { len: 1 }),
        (odd(n(), &[0xff, 0xff]), PublicKeyError::RsaExponent { len: 2 }),
        (odd(n(), &[1, 0, 2]), PublicKeyError::RsaExponent { len: 3 }),
        (odd(n(), &[0, 1, 0, 1]), PublicKeyError::RsaExponent { len: 4 }),
        (odd(n(), &[2, 0, 0, 0, 1]), PublicKeyError::RsaExponent { len: 5 }),
        (odd(n(), &[1; 9]), PublicKeyError::RsaExponent { len: 9 }),
        (
            PublicKey::Ec { curve: Curve::P256, x: vec![1; 33], y: vec![1; 32] },
            PublicKeyError::EcLength { component: "x", len: 33 },
        ),
        (
            PublicKey::Ec { curve: Curve::P521, x: vec![1; 66], y: vec![1; 65] },
            PublicKeyError::EcLength { component: "y", len: 65 },
        ),
        (PublicKey::Akp { set: MlDsa::S44, key: vec![1; 1952] }, PublicKeyError::AkpLength { len: 1952 }),
    ];
    for (key, expected) in cases {
        assert_eq!(key.key_type(), Err(expected));
        assert_eq!(key.to_bytes(), Err(expected));
        let PublicKey::Rsa { n, e } = &key else { continue };
        if n.len() == 256 {
            let octets = [&[1, 1, 1], n.as_slice(), e].concat();
            assert_eq!(PublicKey::from_bytes(&octets), Err(expected));
        }
    }
    assert!(odd(n(), &[1, 0xff, 0xff, 0xff, 0xff]).to_bytes().is_ok());
}
