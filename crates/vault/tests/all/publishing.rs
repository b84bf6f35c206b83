//! The log signed for and published: proofs of releases, and an installation that goes on with what is there.

use std::fs;
use std::path::Path;

use skerry_audit::{CheckError, PublishError, check};
use skerry_client::RecordProofError;
use skerry_store::Store;
use skerry_tlog::{SignedCheckpoint, VerifyingKey};
use skerry_vault::command::ReleaseCommand;
use skerry_vault::{InstallationError, Refusal, origin};

use crate::support::*;

fn proved(scene: &Scene) -> (String, String) {
    let token = good_token();
    let answer = scene.answer(&ReleaseCommand { proof: true, ..command(&token) }).unwrap();
    (answer.value, answer.proof.unwrap())
}

/// A release that is asked for with its proof is proved to be in the log; one that is not asked for it has none.
#[test]
fn releases_carry_their_proof_when_asked() {
    let scene = Setup::default().scene();
    let key = scene.installation.log_key().clone();
    let token = good_token();
    for _ in 0..5 {
        let (answer, proof) = proved(&scene);
        let release = scene.verify(&answer, &asked(&token)).unwrap();
        let found = release.prove(Some(&proof), &key).unwrap();
        assert_eq!(found.index(), release.receipt().audit_index);
        assert!(found.checkpoint().size() > found.index());
        assert_eq!(release.prove(None, &key), Err(RecordProofError::Missing));
    }
    assert_eq!(scene.release(&token).unwrap().proof, None);
    let (first, second) = (proved(&scene), proved(&scene));
    let release = scene.verify(&first.0, &asked(&token)).unwrap();
    let other = Err(RecordProofError::OtherRecord {
        named: release.receipt().audit_index,
        seen: release.receipt().audit_index + 1,
    });
    assert_eq!(release.prove(Some(&second.1), &key), other, "the proof of another release");
    let elsewhere = Setup { root: [0x78; 32], ..Setup::default() }.scene();
    assert!(release.prove(Some(&first.1), elsewhere.installation.log_key()).is_err(), "the log of another");
}

/// A denial has no proof and is refused as ever.
#[test]
fn denials_have_none() {
    let scene = Setup::default().scene();
    let token = good_token();
    let denied = scene.answer(&ReleaseCommand { proof: true, target: "x", ..command(&token) });
    assert!(matches!(denied, Err(Refusal::Token(_))));
}

fn checked(folder: &Path, key: &VerifyingKey) -> Result<u64, CheckError> {
    let found = check(folder, Some(key), &[], |_| ())?;
    Ok(found.published.map_or(0, |checkpoint| checkpoint.size()))
}

/// What is published is all there was at the stop, under the log's own name and key, and the next start goes on with it.
#[test]
fn logs_are_published_over_stops() {
    let store = Store::memory();
    let scene = Setup { store: store.clone(), ..Setup::default() }.scene();
    let key = scene.installation.log_key().clone();
    let id = scene.installation.log().head().unwrap().log;
    assert_eq!(key.name(), origin(&id));
    scene.installation.publish(scene.folder()).unwrap();
    assert!(scene.release(&good_token()).is_ok());
    let records = scene.installation.log().head().unwrap().records;
    scene.installation.stop_publishing();
    assert_eq!(scene.installation.publishing_failure(), None);
    assert_eq!(checked(scene.folder(), &key), Ok(records));
    let folder = scene.into_folder();
    let again = Setup { store, ..Setup::default() }.try_in(folder).unwrap();
    assert_eq!(again.installation.log_key(), &key, "the same key after a stop");
    again.installation.publish(again.folder()).unwrap();
    drop(again.installation.log_checkpoint().unwrap());
    again.installation.stop_publishing();
    assert_eq!(checked(again.folder(), &key), Ok(records + 1), "with the record of the start");
}

/// A checkpoint that says more than the log has, or of another key, keeps a log from being published.
#[test]
fn logs_that_were_put_back_are_not_published() {
    // Each start is a record, and the store of each knows nothing of the log.
    let first = Setup::default().bare();
    let log = fs::read(first.folder().join("audit.log")).unwrap();
    let second = Setup::default().try_in(first.into_folder()).unwrap();
    let third = Setup::default().try_in(second.into_folder()).unwrap();
    let note = third.installation.log_checkpoint().unwrap();
    assert_eq!(note.size(), 3);
    let refused = |scene: &Scene, note: &SignedCheckpoint| {
        fs::write(scene.folder().join("checkpoint"), note.note()).unwrap();
        scene.installation.publish(scene.folder()).err()
    };
    assert_eq!(refused(&third, &note), None, "the control: as much as the log has");
    third.installation.stop_publishing();
    let other = Setup { root: [0x78; 32], ..Setup::default() }.bare();
    let foreign = other.installation.log_checkpoint().unwrap();
    assert!(matches!(refused(&third, &foreign), Some(InstallationError::Publish(PublishError::Checkpoint(_)))));
    let folder = third.into_folder();
    fs::write(folder.path().join("audit.log"), log).unwrap();
    let fourth = Setup::default().try_in(folder).unwrap();
    let behind = PublishError::Behind { known: 3, found: 2 };
    assert_eq!(refused(&fourth, &note), Some(InstallationError::Publish(behind)));
}

/// Checkpoints for others are of all that is durable, and each continues the one before.
#[test]
fn checkpoints_are_of_what_is_durable() {
    let scene = Setup::default().scene();
    let first = scene.installation.log_checkpoint().unwrap();
    assert_eq!(first.size(), scene.installation.log().head().unwrap().records);
    let read = SignedCheckpoint::verify(first.note().as_bytes(), scene.installation.log_key()).unwrap();
    assert_eq!(read, first);
    assert!(scene.release(&good_token()).is_ok());
    let second = scene.installation.log_checkpoint().unwrap();
    assert_eq!(second.size(), first.size() + 1);
    assert_eq!(*second.root(), scene.installation.log().durable().unwrap().tree.root());
}
