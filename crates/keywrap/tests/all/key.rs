//! Target keys and unwrap keys: what is taken and every refusal.

use crate::fixtures::{pair_2048, pairs, pkcs8};
use aws_lc_rs::rsa::KeySize;
use rsa::traits::PublicKeyParts;
use skerry_keywrap::{TargetKey, TargetKeyError, UnwrapKey, UnwrapKeyError};

const F4: [u8; 3] = [1, 0, 1];

fn modulus() -> Vec<u8> {
    pair_2048().ours.public_components().0.to_vec()
}

fn refusal(n: &[u8], e: &[u8]) -> Option<TargetKeyError> {
    TargetKey::from_components(n, e).err()
}

#[test]
fn public_half_matches_the_oracle() {
    // Modulus and exponent are those that the other implementation reads from the same document.
    for pair in pairs() {
        let (n, e) = pair.ours.public_components();
        assert_eq!(n, &*pair.theirs.n_bytes());
        assert_eq!(e, &*pair.theirs.e_bytes());
        assert_eq!(e, F4);
    }
}

#[test]
fn modulus_has_an_exact_size() {
    // Bits are counted, not octets, and a modulus fills its octets.
    let n = modulus();
    let padded = [&[0], n.as_slice()].concat();
    assert_eq!(refusal(&padded, &F4), Some(TargetKeyError::ModulusLeadingZero));
    assert_eq!(refusal(&[], &F4), Some(TargetKeyError::ModulusSize { bits: 0 }));

    let mut n_2047 = n.clone();
    n_2047[0] = 0x7f;
    assert_eq!(refusal(&n_2047, &F4), Some(TargetKeyError::ModulusSize { bits: 2047 }));
    let n_2049 = [&[1], n.as_slice()].concat();
    assert_eq!(refusal(&n_2049, &F4), Some(TargetKeyError::ModulusTopBit { bits: 2049 }));
    let n_4097 = [&[1], [0xff; 512].as_slice()].concat();
    assert_eq!(refusal(&n_4097, &F4), Some(TargetKeyError::ModulusSize { bits: 4097 }));
}

#[test]
fn even_modulus_is_refused() {
    // An even modulus is no product of two odd primes.
    let mut n = modulus();
    n[255] &= 0xfe;
    assert_eq!(refusal(&n, &F4), Some(TargetKeyError::ModulusEven));
}

#[test]
fn exponent_has_bounds() {
    // 65537 to 33 bits, odd, without leading zeros; the ends of the range are taken.
    let n = modulus();
    let cases: [(&[u8], TargetKeyError); 9] = [
        (&[], TargetKeyError::ExponentTooSmall { exponent: 0 }),
        (&[0], TargetKeyError::ExponentLeadingZero),
        (&[0, 1, 0, 1], TargetKeyError::ExponentLeadingZero),
        (&[1], TargetKeyError::ExponentTooSmall { exponent: 1 }),
        (&[3], TargetKeyError::ExponentTooSmall { exponent: 3 }),
        (&[0xff, 0xff], TargetKeyError::ExponentTooSmall { exponent: 65_535 }),
        (&[1, 0, 2], TargetKeyError::ExponentEven { exponent: 65_538 }),
        (&[2, 0, 0, 0, 1], TargetKeyError::ExponentTooLarge),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 1], TargetKeyError::ExponentTooLarge),
    ];
    for (e, expected) in cases {
        assert_eq!(refusal(&n, e), Some(expected), "{e:?}");
    }
    assert_eq!(refusal(&n, &F4), None);
    assert_eq!(refusal(&n, &[1, 0xff, 0xff, 0xff, 0xff]), None);
}

#[test]
fn generated_keys_have_the_size_asked_for() {
    // A generated key has exactly the bits asked for; other sizes are refused.
    let key = UnwrapKey::generate(2048).unwrap();
    assert_eq!(key.public_components().0.len(), 256);
    for bits in [0, 1024, 2047, 8192] {
        assert_eq!(UnwrapKey::generate(bits).err(), Some(UnwrapKeyError::Size { bits }));
    }
}

#[test]
fn pkcs8_is_checked() {
    // Not PKCS#8, cut short, with octets behind it, inconsistent, and too large are each refused.
    let pkcs8_2048 = &pair_2048().pkcs8;
    let refusal = |der: &[u8]| UnwrapKey::from_pkcs8(der).err();
    assert_eq!(refusal(&[]), Some(UnwrapKeyError::Pkcs8));
    assert_eq!(refusal(&pkcs8_2048[..pkcs8_2048.len() - 1]), Some(UnwrapKeyError::Pkcs8));
    assert_eq!(refusal(&[pkcs8_2048.as_slice(), &[0]].concat()), Some(UnwrapKeyError::Pkcs8));
    let mut inconsistent = pkcs8_2048.clone();
    inconsistent[100] ^= 1;
    assert_eq!(refusal(&inconsistent), Some(UnwrapKeyError::Pkcs8));
    let too_large = UnwrapKeyError::Public(TargetKeyError::ModulusSize { bits: 8192 });
    assert_eq!(refusal(&pkcs8_8192()), Some(too_large));
}

fn pkcs8_8192() -> Vec<u8> {
    pkcs8(KeySize::Rsa8192)
}

#[test]
fn debug_shows_the_size_only() {
    // A target key is public, but a log line wants its size, not 512 digits.
    let text = format!("{:?}", pair_2048().ours.target());
    assert_eq!(text, "TargetKey { bits: 2048, .. }");
}
