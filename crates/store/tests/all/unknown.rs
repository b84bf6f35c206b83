//! Outcomes that are unknown by a fault, and how they are settled, on engines that can be told to fail.

use crate::engines::*;
use crate::suite::fixtures::*;
use skerry_store::{At, Fault, Faults, Outcome, Revision, Settled, Store, StoreError, WatchError};

#[test]
fn lost_commit_is_settled_as_aborted() {
    // The abort wins, and the transaction that arrives later meets it.
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    faults.then(Fault::Lost);
    let txn = txn(&[], &[put("a", "1")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    assert_eq!(wait(store.settle(txn.op)), Ok(Settled::Aborted));
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())));
    assert_eq!(value(&store, "a"), None);
}

#[test]
fn late_commit_is_settled_as_committed() {
    // It arrives before anybody settles: the commit wins.
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    faults.then(Fault::Lost);
    let txn = txn(&[], &[put("a", "1")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Committed(Revision(1))));
    assert_eq!(wait(store.settle(txn.op)), Ok(Settled::Committed(Revision(1))));
}

#[test]
fn unanswered_commit_is_settled_as_committed() {
    // It happened, with its own revision, and does not happen twice.
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    faults.pass(1).then(Fault::Unanswered);
    write(&store, &[put("a", "1")]);
    let txn = txn(&[present("a")], &[put("a", "2")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    write(&store, &[put("a", "3")]);
    assert_eq!(wait(store.settle(txn.op)), Ok(Settled::Committed(Revision(2))));
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())));
    assert_eq!(value(&store, "a").as_deref(), Some("3"));
}

#[test]
fn unanswered_conflict_is_settled_as_aborted() {
    // A transaction that conflicted did not happen, and settling keeps it so.
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    faults.then(Fault::Unanswered);
    let txn = txn(&[present("a")], &[put("a", "1")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    assert_eq!(wait(store.settle(txn.op)), Ok(Settled::Aborted));
    write(&store, &[put("a", "0")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())));
}

#[test]
fn commit_given_up_is_settled() {
    // A caller that goes away leaves its transaction in the queue; settling comes after it.
    for (engine, store, _guard) in engines() {
        let txn = txn(&[], &[put("a", "1")]);
        {
            let mut commit = std::pin::pin!(store.commit(&txn));
            let _ = is_pending(commit.as_mut());
        }
        assert_eq!(wait(store.settle(txn.op)), Ok(Settled::Committed(Revision(1))), "{engine}");
        assert_eq!(value(&store, "a").as_deref(), Some("1"), "{engine}");
    }
}

#[test]
fn failed_engine_refuses_everything() {
    // The commit that met the failure is unknown; nothing is read or written after it.
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    let mut watch = store.watch(b"", Revision(0)).unwrap();
    faults.then(Fault::Failed);
    let txn = txn(&[], &[put("a", "1")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    assert_eq!(wait(store.commit(&txn)), Err(StoreError::Failed));
    assert_eq!(wait(store.settle(txn.op)), Err(StoreError::Failed));
    assert_eq!(get(&store, "a", At::Linearizable), Err(StoreError::Failed));
    assert_eq!(range(&store, "", None, 1, At::Linearizable), Err(StoreError::Failed));
    assert_eq!(wait(store.fence()), Err(StoreError::Failed));
    assert_eq!(store.watch(b"", Revision(0)).map(drop), Err(StoreError::Failed));
    assert_eq!(wait(watch.next()), Err(WatchError::Failed));
}
