//! Keys that come wrapped to a key of ours: what is taken in is what was wrapped, and whatever is wrong is one error.

use crate::fixtures::{binding, custody, material, rng};
use skerry_keys::{Binding, Curve, Family, ImportKey, KeyType, OctBits, OpenedKey, PublicKey, RsaBits, TransferError};
use skerry_keywrap::{Algorithm, Plaintext, TargetKey, wrap};
use std::sync::OnceLock;
use zeroize::Zeroizing;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };

struct Kek {
    opened: OpenedKey,
    target: TargetKey,
}

/// A key to unwrap with, which is slow to make.
fn kek() -> &'static Kek {
    static KEK: OnceLock<Kek> = OnceLock::new();
    KEK.get_or_init(made)
}

fn made() -> Kek {
    let binding = Binding { exportable: false, ..binding(RSA) };
    let (public, sealed) = custody().generate(binding, &mut rng()).unwrap();
    let PublicKey::Rsa { n, e } = public else { panic!("not RSA") };
    let target = TargetKey::from_components(&n, &e).unwrap();
    Kek { opened: custody().open_for_use(&sealed, &binding).unwrap(), target }
}

fn wrapped(octets: &[u8]) -> Vec<u8> {
    wrapped_by(Algorithm::CkmRsaAesKeyWrap, octets)
}

fn wrapped_by(algorithm: Algorithm, octets: &[u8]) -> Vec<u8> {
    wrap(algorithm, &kek().target, &plain(octets), &mut rng()).unwrap()
}

fn plain(octets: &[u8]) -> Plaintext {
    Plaintext::new(Zeroizing::new(octets.to_vec()))
}

/// A key of this type, as a tool elsewhere has it: public half, and PKCS#8 or raw octets.
fn elsewhere(key_type: KeyType) -> (PublicKey, Vec<u8>) {
    let (public, sealed) = custody().generate(binding(key_type), &mut rng()).unwrap();
    (public, material(&sealed, &binding(key_type)).expose().to_vec())
}

fn refused(family: Family, blob: &[u8]) -> Option<TransferError> {
    kek().opened.unwrap_import(family, blob).err()
}

/// Every type that is offered comes in as it was wrapped, with the type and public half that it shows.
#[test]
fn what_was_wrapped_is_taken_in() {
    let curves = Curve::ALL.map(|curve| (Family::Ec, KeyType::Ec { curve }));
    let octs = OctBits::ALL.map(|bits| (Family::Oct, KeyType::Oct { bits }));
    for (family, key_type) in curves.into_iter().chain(octs).chain([(Family::Rsa, RSA)]) {
        let (public, octets) = elsewhere(key_type);
        let key = kek().opened.unwrap_import(family, &wrapped(&octets)).unwrap();
        assert_eq!((key.key_type(), key.public()), (key_type, &public), "{key_type:?}");
        let key = ImportKey::Transferred(Box::new(key));
        let (found, sealed) = custody().import(binding(key_type), &key, &mut rng()).unwrap();
        assert_eq!(found, public);
        assert_eq!(material(&sealed, &binding(key_type)).expose(), octets, "{key_type:?}");
    }
}

/// Whatever is wrong with a blob, at whichever step, is the same error: every part altered, cut, grown, by another
/// algorithm, to another key.
#[test]
fn every_failure_is_one_error() {
    let (_, octets) = elsewhere(KeyType::Ec { curve: Curve::P256 });
    let good = wrapped(&octets);
    assert_eq!(refused(Family::Ec, &good), None, "the control");
    for at in [0, 1, 128, 255, 256, 257, 264, good.len() - 9, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(refused(Family::Ec, &bad), Some(TransferError::Refused), "octet {at}");
    }
    for len in [0, 1, 255, 256, 264, 272, good.len() - 8, good.len() - 1] {
        assert_eq!(refused(Family::Ec, &good[..len]), Some(TransferError::Refused), "{len} octets");
    }
    for more in [1, 8, 4096] {
        let grown = [good.as_slice(), &vec![0; more]].concat();
        assert_eq!(refused(Family::Ec, &grown), Some(TransferError::Refused), "{more} octets more");
    }
    for other in [Algorithm::RsaAesKeyWrap256, Algorithm::RsaAesKeyWrap384] {
        assert_eq!(refused(Family::Ec, &wrapped_by(other, &octets)), Some(TransferError::Refused), "{other}");
    }
    assert_eq!(made().opened.unwrap_import(Family::Ec, &good).err(), Some(TransferError::Refused), "another key");
}

/// What opens and is not a key of the kind that was said, or not one that is offered, is that error too.
#[test]
fn what_is_no_such_key_is_the_same_error() {
    let (_, ec) = elsewhere(KeyType::Ec { curve: Curve::P384 });
    let (_, rsa) = elsewhere(RSA);
    let (_, akp) = elsewhere(KeyType::Akp { set: skerry_keys::MlDsa::S44 });
    let behind = [ec.as_slice(), &[0]].concat();
    for (family, octets) in [
        (Family::Rsa, &ec[..]),
        (Family::Ec, &rsa),
        (Family::Oct, &rsa),
        (Family::Oct, &[7; 33]),
        (Family::Oct, &[7; 15]),
        (Family::Rsa, &[7; 32]),
        (Family::Ec, &[7; 32]),
        (Family::Ec, &behind),
        (Family::Ec, &ec[..ec.len() - 1]),
        (Family::Ec, &akp),
        (Family::Rsa, &akp),
    ] {
        assert_eq!(refused(family, &wrapped(octets)), Some(TransferError::Refused), "{family:?}, {}", octets.len());
    }
}

/// Keys that an import in the clear refuses are refused wrapped: an exponent that is too small, a modulus of a size that is
/// not offered.
#[test]
fn weak_keys_are_not_taken_in() {
    use rsa::pkcs8::EncodePrivateKey;
    let mut rng = rng();
    let refuses = |key: rsa::PrivateKey| {
        let octets = key.to_pkcs8_der().unwrap();
        assert_eq!(refused(Family::Rsa, &wrapped(octets.as_bytes())), Some(TransferError::Refused));
    };
    refuses(rsa::PrivateKey::new_with_exp(&mut rng, 2048, rsa::BoxedUint::from(3_u64)).unwrap());
    refuses(rsa::PrivateKey::new_unchecked(&mut rng, 1024).unwrap());
}

/// A key of another type unwraps nothing, and says so.
#[test]
fn only_rsa_unwraps() {
    let key_type = KeyType::Oct { bits: OctBits::B256 };
    let (_, sealed) = custody().generate(binding(key_type), &mut rng()).unwrap();
    let opened = custody().open_for_use(&sealed, &binding(key_type)).unwrap();
    assert_eq!(opened.unwrap_import(Family::Oct, &[0; 300]).err(), Some(TransferError::NotRsa { key_type }));
}
