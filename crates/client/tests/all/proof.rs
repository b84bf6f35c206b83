//! Proofs that a release is in the log: believed only for the very record of the receipt, under the log's key.

use skerry_client::RecordProofError as Error;
use skerry_jose::json::Object;
use skerry_tlog::{
    CheckpointError, InclusionProof, InclusionProofError, NoteError, ProofError, SignedCheckpoint, SigningKey,
    leaf_hash, node_hash,
};

use crate::support::*;

fn key() -> SigningKey {
    SigningKey::from_seed("log.example/one", &[7; 32]).unwrap()
}

fn record() -> Object {
    Object::new()
        .with("event", "release")
        .with("policy", hex::encode([2; 32]))
        .with("token", hex::encode(digest_of_token()))
        .with("verdict", "permitted")
        .with("version", VERSION.to_ascii_lowercase())
}

fn entry(record: &Object) -> Vec<u8> {
    [&[9; 56][..], record.to_json().as_bytes()].concat()
}

/// A log of two records, of which the second is this one.
fn proof_of(entry: &[u8]) -> InclusionProof {
    let before = leaf_hash(b"before");
    let root = node_hash(&before, &leaf_hash(entry));
    let note = SignedCheckpoint::sign(&key(), 2, root).note().to_owned();
    InclusionProof { entry: Some(entry.to_vec()), index: 1, path: vec![before], note }
}

/// The verdict on a proof of this record that comes with an answer whose receipt names it.
fn verdict(record: &Object, change: impl FnOnce(&mut InclusionProof)) -> Result<u64, Error> {
    let entry = entry(record);
    let mut proof = proof_of(&entry);
    change(&mut proof);
    let release = release_with_receipt([2; 32], 1, leaf_hash(&entry));
    release.prove(Some(&proof.to_string()), key().public()).map(|proved| proved.checkpoint().size())
}

/// The right one is believed, and says under which checkpoint.
#[test]
fn proofs_of_the_very_record_are_believed() {
    assert_eq!(verdict(&record(), |_| ()), Ok(2));
}

/// None at all, one of another record, of another leaf, of another log, or with a signature that does not hold.
#[test]
fn other_proofs_are_refused() {
    let release = release_with_receipt([2; 32], 1, leaf_hash(&entry(&record())));
    assert_eq!(release.prove(None, key().public()), Err(Error::Missing));
    let form = InclusionProofError::Line { line: 1 };
    assert_eq!(release.prove(Some("nonsense"), key().public()), Err(Error::Proof(form)));
    assert_eq!(verdict(&record(), |proof| proof.index = 0), Err(Error::OtherRecord { named: 1, seen: 0 }));
    let other = |proof: &mut InclusionProof| proof.entry = Some(b"other".to_vec());
    assert_eq!(verdict(&record(), other), Err(Error::Proof(InclusionProofError::OtherEntry)));
    let root = Err(Error::Proof(InclusionProofError::Proof(ProofError::Root)));
    assert_eq!(verdict(&record(), |proof| proof.path = vec![[0; 32]]), root);
    assert_eq!(verdict(&record(), |proof| proof.entry = None), Err(Error::RecordMissing));
    let error = |error| Err(Error::Proof(InclusionProofError::Checkpoint(CheckpointError::Note(error))));
    let signed = |seed, name: &str| {
        let key = SigningKey::from_seed(name, &[seed; 32]).unwrap();
        let root = node_hash(&leaf_hash(b"before"), &leaf_hash(&entry(&record())));
        SignedCheckpoint::sign(&key, 2, root).note().to_owned()
    };
    assert_eq!(verdict(&record(), |proof| proof.note = signed(7, "log.example/two")), error(NoteError::OtherKey));
    assert_eq!(verdict(&record(), |proof| proof.note = signed(8, "log.example/one")), error(NoteError::OtherKey));
    let tampered = |proof: &mut InclusionProof| proof.note = proof.note.replacen("\n2\n", "\n3\n", 1);
    assert_eq!(verdict(&record(), tampered), error(NoteError::Signature));
}

/// A record of something else proves nothing of this release, though it is in the log.
#[test]
fn records_of_something_else_are_refused() {
    for (member, value) in [
        ("event", "release-denied".to_owned()),
        ("verdict", "denied".to_owned()),
        ("version", VERSION.to_owned()),
        ("token", hex::encode([1; 32])),
        ("policy", hex::encode([1; 32])),
    ] {
        let mut other = record();
        other.insert(member, value);
        assert_eq!(verdict(&other, |_| ()), Err(Error::RecordOf(member)));
    }
    for octets in [&[9; 55][..], &[9; 56], &[&[9; 56][..], b"[]"].concat()] {
        let release = release_with_receipt([2; 32], 1, leaf_hash(octets));
        assert_eq!(release.prove(Some(&proof_of(octets).to_string()), key().public()), Err(Error::RecordForm));
    }
}
