//! Every refusal of wrapping and unwrapping, by its exact variant.

use crate::fixtures::{pair_2048, pairs, plaintext, rng};
use crate::oracle::their_wrap;
use skerry_keywrap::limits::PLAINTEXT_LEN_MAX;
use skerry_keywrap::{Algorithm, Plaintext, UnknownAlgorithm, UnwrapError, WrapError, unwrap, wrap};

const ALGORITHM: Algorithm = Algorithm::RsaAesKeyWrap256;

fn blob(data: &[u8]) -> Vec<u8> {
    wrap(ALGORITHM, pair_2048().ours.target(), &plaintext(data), &mut rng()).unwrap()
}

fn refusal(algorithm: Algorithm, blob: &[u8]) -> Option<UnwrapError> {
    unwrap(algorithm, &pair_2048().ours, blob).err()
}

#[test]
fn names_are_exact() {
    // Each algorithm has one spelling, and nothing near it is taken.
    for algorithm in Algorithm::ALL {
        let name = algorithm.as_str();
        assert_eq!(Algorithm::parse(name), Ok(algorithm));
        assert_eq!(algorithm.to_string(), name);
        for near in [name.to_lowercase(), format!("{name} "), format!(" {name}")] {
            assert_eq!(Algorithm::parse(&near), Err(UnknownAlgorithm));
        }
    }
    for other in ["", "RSA1_5", "RSA-OAEP", "CKM_RSA_AES_KEY_WRAP_PAD"] {
        assert_eq!(Algorithm::parse(other), Err(UnknownAlgorithm));
    }
}

#[test]
fn every_byte_counts() {
    // No byte of a wrapped blob can change without refusal.
    let blob = blob(&[0x11; 45]);
    for index in 0..blob.len() {
        for mask in [0x01, 0x80] {
            let mut changed = blob.clone();
            changed[index] ^= mask;
            assert_eq!(refusal(ALGORITHM, &changed), Some(UnwrapError::Refused), "byte {index}");
        }
    }
}

#[test]
fn every_length_counts() {
    // A blob cut anywhere is refused, and so is one with octets behind it.
    let blob = blob(&[0x11; 45]);
    for len in 0..blob.len() {
        let expected =
            if len >= 256 + 16 && len % 8 == 0 { UnwrapError::Refused } else { UnwrapError::Malformed { len } };
        assert_eq!(refusal(ALGORITHM, &blob[..len]), Some(expected), "length {len}");
    }
    let mut longer = blob.clone();
    longer.push(0);
    assert_eq!(refusal(ALGORITHM, &longer), Some(UnwrapError::Malformed { len: blob.len() + 1 }));
    longer.extend([0; 7]);
    assert_eq!(refusal(ALGORITHM, &longer), Some(UnwrapError::Refused));
}

#[test]
fn oversized_blob_is_malformed() {
    // The upper bound is checked before any private-key work.
    let len = 256 + PLAINTEXT_LEN_MAX + 16;
    assert_eq!(refusal(ALGORITHM, &vec![0; len]), Some(UnwrapError::Malformed { len }));
}

#[test]
fn other_algorithm_is_refused() {
    // A blob opens under its own algorithm only.
    let blob = blob(b"key");
    assert_eq!(refusal(Algorithm::CkmRsaAesKeyWrap, &blob), Some(UnwrapError::Refused));
    assert_eq!(refusal(Algorithm::RsaAesKeyWrap384, &blob), Some(UnwrapError::Refused));
}

#[test]
fn other_key_is_refused() {
    // A blob opens with its own key only.
    let other = skerry_keywrap::UnwrapKey::generate(2048).unwrap();
    let refused = unwrap(ALGORITHM, &other, &blob(b"key")).err();
    assert_eq!(refused, Some(UnwrapError::Refused));
}

#[test]
fn k_of_24_octets_is_refused() {
    // The library has no AES-192 key wrap; the refusal looks like any other.
    let blob = their_wrap(ALGORITHM, pair_2048(), 24, b"key");
    assert_eq!(refusal(ALGORITHM, &blob), Some(UnwrapError::Refused));
}

#[test]
fn mixed_halves_are_refused() {
    // The first part of one blob does not open the second part of another.
    let target = pair_2048().ours.target();
    let mut rng = rng();
    let mut make = |data: &[u8]| wrap(ALGORITHM, target, &plaintext(data), &mut rng).unwrap();
    let (one, two) = (make(b"one"), make(b"two"));
    let mixed = [&one[..256], &two[256..]].concat();
    assert_eq!(refusal(ALGORITHM, &mixed), Some(UnwrapError::Refused));
}

#[test]
fn key_data_has_bounds() {
    // No key data and too much of it are refused; the longest is taken.
    let target = pair_2048().ours.target();
    let wrapped = |len: usize| wrap(ALGORITHM, target, &plaintext(&vec![1; len]), &mut rng());
    assert_eq!(wrapped(0), Err(WrapError::Empty));
    let len = PLAINTEXT_LEN_MAX + 1;
    assert_eq!(wrapped(len), Err(WrapError::TooLong { len }));
    assert!(wrapped(PLAINTEXT_LEN_MAX).is_ok());
}

#[test]
fn first_part_is_as_long_as_the_modulus() {
    // The parts need no length between them.
    for pair in pairs() {
        let (n, _) = pair.ours.public_components();
        let blob = wrap(ALGORITHM, pair.ours.target(), &plaintext(&[1; 32]), &mut rng()).unwrap();
        assert_eq!(blob.len(), n.len() + 40);
    }
}

#[test]
fn plaintexts_compare_by_content() {
    // Equal octets are equal; a changed one, or another length, is not.
    let of = |octets: &[u8]| -> Plaintext { plaintext(octets) };
    assert!(of(b"abc") == of(b"abc"));
    assert!(of(b"abc") != of(b"abd"));
    assert!(of(b"abc") != of(b"ab"));
    assert_eq!(of(b"abc").expose(), b"abc");
}
