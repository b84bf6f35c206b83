//! The exit: what it takes, and that nothing less opens it.

use crate::fixtures::{audit, binding, custody, decide, key_ref, permit_for, released, rng, tee};
use skerry_attestation_result::TargetKeyError;
use skerry_audit::Event;
use skerry_jose::JwkError;
use skerry_keys::{
    Binding, CustodyError, ExportableKey, GuardingKey, KeyType, OctBits, ReleaseError, ReleasedKey, SealedMaterial,
    WrapAlgorithm, release, secure_unwrap,
};
use skerry_keywrap::{Algorithm, UnwrapError, unwrap};
use skerry_policy::permit::{Denied, KeyRef, Permit, Version};
use uuid::Uuid;

const OCT: KeyType = KeyType::Oct { bits: OctBits::B256 };
const ALGORITHM: Algorithm = Algorithm::RsaAesKeyWrap256;

fn sealed() -> SealedMaterial {
    custody().generate(binding(OCT), &mut rng()).unwrap().1
}

/// Releases with this permit, recorded as given.
fn attempt(binding: &Binding, permit: Permit, event: Event, subject: &[u8; 32]) -> Result<ReleasedKey, ReleaseError> {
    let recorded = audit().record(event, subject);
    let sealed = sealed();
    let key = ExportableKey::new(&sealed, binding)?;
    release(&custody(), key, permit, recorded, ALGORITHM, &mut rng())
}

#[test]
fn release_says_what_it_rests_on() {
    // The released key opens at the TEE under its own algorithm, and names permit, record and target.
    for algorithm in Algorithm::ALL {
        let released = released(&sealed(), &binding(OCT), algorithm).unwrap();
        assert_eq!(released.algorithm(), algorithm);
        assert_eq!(released.key_type(), OCT);
        assert_eq!(released.target_kid(), "tee-key");
        assert_eq!(released.permit_digest(), permit_for(key_ref()).digest());
        assert_eq!(released.permit().key(), key_ref());
        assert_eq!(released.leaf().index(), 0);
        assert_eq!(unwrap(algorithm, tee(), released.ciphertext()).unwrap().expose().len(), 32);
        let other = Algorithm::ALL.into_iter().find(|other| *other != algorithm).unwrap();
        assert_eq!(unwrap(other, tee(), released.ciphertext()).err(), Some(UnwrapError::Refused));
    }
}

#[test]
fn other_record_is_refused() {
    // A record of another subject does not go with this permit, whichever bit differs.
    for bit in 0..256 {
        let permit = permit_for(key_ref());
        let mut subject = *permit.digest();
        subject[bit / 8] ^= 1 << (bit % 8);
        let found = attempt(&binding(OCT), permit, Event::Release, &subject).err();
        assert_eq!(found, Some(ReleaseError::NotRecorded));
    }
}

#[test]
fn record_of_another_event_is_refused() {
    // The record of a denial, even with the permit's digest, releases nothing.
    for event in [Event::ReleaseDenied, Event::KeyCreated, Event::PolicyChanged] {
        let permit = permit_for(key_ref());
        let subject = *permit.digest();
        let found = attempt(&binding(OCT), permit, event, &subject).err();
        assert_eq!(found, Some(ReleaseError::RecordedOtherwise { event }));
    }
}

#[test]
fn permit_for_another_key_is_refused() {
    // A permit for another version, key or vault does not release this one, though the record is its own.
    let others = [
        KeyRef { vault: Uuid::from_bytes([9; 16]), ..key_ref() },
        KeyRef { key: Uuid::from_bytes([9; 16]), ..key_ref() },
        KeyRef { version: Version([9; 16]), ..key_ref() },
    ];
    for permitted in others {
        let permit = permit_for(permitted);
        let subject = *permit.digest();
        let found = attempt(&binding(OCT), permit, Event::Release, &subject).err();
        assert_eq!(found, Some(ReleaseError::OtherKey { permitted, asked: key_ref() }));
    }
}

#[test]
fn key_that_is_not_exportable_stays() {
    // Neither with the flag as it is, nor with the flag changed beside a record that was sealed without it.
    let inner = Binding { exportable: false, ..binding(OCT) };
    let (_, sealed) = custody().generate(inner, &mut rng()).unwrap();
    let found = released(&sealed, &inner, ALGORITHM).err();
    assert_eq!(found, Some(ReleaseError::NotExportable { key: key_ref() }));
    let found = released(&sealed, &binding(OCT), ALGORITHM).err();
    assert_eq!(found, Some(ReleaseError::Custody(CustodyError::Integrity)));
}

#[test]
fn record_moved_to_another_key_stays() {
    // A permit for one key and the sealed record of another release nothing.
    let elsewhere = KeyRef { key: Uuid::from_bytes([8; 16]), ..key_ref() };
    let moved = Binding { key: elsewhere, ..binding(OCT) };
    let found = released(&sealed(), &moved, ALGORITHM).err();
    assert_eq!(found, Some(ReleaseError::Custody(CustodyError::Integrity)));
}

#[test]
fn unfit_target_is_refused() {
    // A token may carry a key that no wrap takes; there is no permit for it, so nothing is put on record or opened.
    let mut n = vec![1];
    n.extend(tee().public_components().0);
    let reason = JwkError::ModulusSize { bits: 2049 };
    let expected = Denied::Target(TargetKeyError::Unusable { kid: "tee-key".into(), reason });
    assert_eq!(decide(key_ref(), &n, &[1, 0, 1]).err(), Some(expected));
    assert!(decide(key_ref(), tee().public_components().0, &[1, 0, 1]).is_ok());
}

#[test]
fn secrets_do_not_print() {
    // What prints of a released key holds nothing of its material.
    let sealed = sealed();
    let released = released(&sealed, &binding(OCT), ALGORITHM).unwrap();
    let k = unwrap(ALGORITHM, tee(), released.ciphertext()).unwrap();
    let text = format!("{released:?}");
    let listed = format!("{:?}", k.expose());
    assert!(!text.contains(listed.trim_matches(['[', ']'])));
    assert!(!text.contains(&hex::encode(k.expose())));
}

/// A key that stays, and a key of 256 bits wrapped under it.
fn guarded() -> (SealedMaterial, Binding, Vec<u8>) {
    let binding = Binding { exportable: false, ..binding(OCT) };
    let sealed = custody().generate(binding, &mut rng()).unwrap().1;
    let opened = custody().open_for_use(&sealed, &binding).unwrap();
    let wrapped = opened.secure_wrap(WrapAlgorithm::A256Kw, &mut rng()).unwrap();
    (sealed, binding, wrapped)
}

fn unwraps(permit: Permit, event: Event, subject: &[u8; 32]) -> Result<ReleasedKey, ReleaseError> {
    let (sealed, binding, wrapped) = guarded();
    let recorded = audit().record(event, subject);
    let key = GuardingKey::new(&sealed, &binding)?;
    let wrapped = (WrapAlgorithm::A256Kw, wrapped.as_slice());
    secure_unwrap(&custody(), key, wrapped, permit, recorded, ALGORITHM, &mut rng())
}

#[test]
fn unwrapping_takes_its_own_record() {
    // A wrapped key comes out to the permit's target, on the record of just that: not of a release, a denial, or another permit.
    let permit = permit_for(key_ref());
    let subject = *permit.digest();
    let unwrapped = unwraps(permit, Event::SecureUnwrap, &subject).unwrap();
    assert_eq!(unwrap(ALGORITHM, tee(), unwrapped.ciphertext()).unwrap().expose().len(), 32);
    assert_eq!((unwrapped.key_type(), unwrapped.permit_digest()), (OCT, &subject));
    for event in [Event::Release, Event::SecureUnwrapDenied, Event::ReleaseDenied] {
        let found = unwraps(permit_for(key_ref()), event, &subject).err();
        assert_eq!(found, Some(ReleaseError::RecordedOtherwise { event }));
    }
    let other = [0; 32];
    assert_eq!(unwraps(permit_for(key_ref()), Event::SecureUnwrap, &other).err(), Some(ReleaseError::NotRecorded));
    let found = attempt(&binding(OCT), permit_for(key_ref()), Event::SecureUnwrap, &subject).err();
    assert_eq!(found, Some(ReleaseError::RecordedOtherwise { event: Event::SecureUnwrap }), "nor the other way round");
}

#[test]
fn unwrapping_takes_a_permit_for_its_key() {
    let other = KeyRef { version: Version([9; 16]), ..key_ref() };
    let permit = permit_for(other);
    let subject = *permit.digest();
    let found = unwraps(permit, Event::SecureUnwrap, &subject).err();
    assert_eq!(found, Some(ReleaseError::OtherKey { permitted: other, asked: key_ref() }));
    let sealed = sealed();
    let exportable = GuardingKey::new(&sealed, &binding(OCT)).err();
    assert_eq!(exportable, Some(ReleaseError::Exportable { key: key_ref() }), "a key that may leave guards nothing");
}
