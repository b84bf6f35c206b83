//! Sealing: what opens, and that nothing else does.

use crate::fixtures::{KEK_ID, binding, custody, key_ref, rng};
use skerry_keys::limits::MATERIAL_LEN_MAX;
use skerry_keys::{Binding, CustodyError, KeyType, OctBits, SealedMaterial, Software};
use skerry_policy::permit::{KeyRef, Version};
use std::collections::BTreeSet;
use uuid::Uuid;
use zeroize::Zeroizing;

const OCT: KeyType = KeyType::Oct { bits: OctBits::B256 };

fn sealed() -> SealedMaterial {
    custody().generate(binding(OCT), &mut rng()).unwrap().1
}

#[test]
fn record_opens_under_its_binding() {
    // The record has the drawn length and opens, also after a way through bytes.
    let sealed = sealed();
    assert_eq!(sealed.as_bytes().len(), 77 + 32);
    assert_eq!(sealed.as_bytes()[0], 1);
    assert_eq!(sealed.as_bytes()[1..17], KEK_ID);
    let again = SealedMaterial::from_bytes(sealed.as_bytes().to_vec()).unwrap();
    assert_eq!(again, sealed);
    assert_eq!(custody().check(&again, &binding(OCT)), Ok(()));
    assert_eq!(custody().kek_id(), &KEK_ID);
}

#[test]
fn every_member_of_the_binding_counts() {
    // Another vault, key, version, type or flag does not open the record.
    let sealed = sealed();
    let of = |key: KeyRef| Binding { key, ..binding(OCT) };
    let mut others = vec![
        of(KeyRef { vault: Uuid::from_bytes([9; 16]), ..key_ref() }),
        of(KeyRef { key: Uuid::from_bytes([9; 16]), ..key_ref() }),
        of(KeyRef { version: Version([9; 16]), ..key_ref() }),
        // Vault and key exchanged: fields have places, not only values.
        of(KeyRef { vault: key_ref().key, key: key_ref().vault, ..key_ref() }),
        Binding { exportable: false, ..binding(OCT) },
    ];
    others.extend(KeyType::ALL.into_iter().filter(|other| *other != OCT).map(binding));
    for other in others {
        assert_eq!(custody().check(&sealed, &other), Err(CustodyError::Integrity), "{other:?}");
    }
}

#[test]
fn every_type_seals_as_itself() {
    // No two types have one tag: a record made as one opens as no other.
    for made in KeyType::ALL.into_iter().filter(|made| !matches!(made, KeyType::Rsa { .. })) {
        let (_, sealed) = custody().generate(binding(made), &mut rng()).unwrap();
        for tried in KeyType::ALL {
            let expected = if made == tried { Ok(()) } else { Err(CustodyError::Integrity) };
            assert_eq!(custody().check(&sealed, &binding(tried)), expected);
        }
    }
}

#[test]
fn every_byte_of_the_record_counts() {
    // No bit of a record can change: format and KEK id are told apart, all else is integrity.
    let sealed = sealed();
    for at in 0..sealed.as_bytes().len() {
        for bit in 0..8 {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let expected = match at {
                0 => CustodyError::UnknownFormat { format: bytes[0] },
                1..17 => CustodyError::OtherKek { kek: *bytes[1..].first_chunk().unwrap() },
                _ => CustodyError::Integrity,
            };
            let altered = SealedMaterial::from_bytes(bytes).unwrap();
            assert_eq!(custody().check(&altered, &binding(OCT)), Err(expected), "octet {at}");
        }
    }
}

#[test]
fn every_length_of_the_record_counts() {
    // Cut anywhere, or with an octet behind it, a record is malformed or does not open.
    let bytes = sealed().as_bytes().to_vec();
    for len in 0..bytes.len() {
        match SealedMaterial::from_bytes(bytes[..len].to_vec()) {
            Err(error) => {
                assert!(len < 78);
                assert_eq!(error, CustodyError::Malformed { len });
            }
            Ok(cut) => assert_eq!(custody().check(&cut, &binding(OCT)), Err(CustodyError::Integrity)),
        }
    }
    let longer = SealedMaterial::from_bytes([bytes.as_slice(), &[0]].concat()).unwrap();
    assert_eq!(custody().check(&longer, &binding(OCT)), Err(CustodyError::Integrity));
    let len = 77 + MATERIAL_LEN_MAX + 1;
    let refused = SealedMaterial::from_bytes(vec![1; len]);
    assert_eq!(refused, Err(CustodyError::Malformed { len }));
}

#[test]
fn other_kek_does_not_open() {
    // A KEK that only claims the id opens nothing.
    let other = Software::new(Zeroizing::new([0x78; 32]), KEK_ID);
    assert_eq!(other.check(&sealed(), &binding(OCT)), Err(CustodyError::Integrity));
    let renamed = Software::new(Zeroizing::new([0x77; 32]), [0; 16]);
    let expected = Err(CustodyError::OtherKek { kek: KEK_ID });
    assert_eq!(renamed.check(&sealed(), &binding(OCT)), expected);
}

#[test]
fn records_share_nothing() {
    // Two records of one custody have their own salt and nonce, so their own keys, and their own digest.
    let mut rng = rng();
    let mut records = BTreeSet::new();
    let mut digests = BTreeSet::new();
    for _ in 0..16 {
        let (_, sealed) = custody().generate(binding(OCT), &mut rng).unwrap();
        records.insert(sealed.as_bytes()[17..61].to_vec());
        digests.insert(sealed.digest());
    }
    assert_eq!((records.len(), digests.len()), (16, 16));
}
