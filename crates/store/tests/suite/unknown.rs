//! Outcomes that are unknown, and how they are settled.

use super::fixtures::*;
use crate::engines::*;
use skerry_store::{Outcome, Revision, Settled};

pub(crate) fn settling_twice_answers_alike() {
    // An abort is a commit of its own, once.
    for (engine, store, _guard) in engines() {
        let (lost, done) = (op(), txn(&[], &[]));
        assert_eq!(wait(store.settled(lost)), Ok(None), "{engine}: looking decides nothing");
        assert_eq!(wait(store.fence()), Ok(Revision(0)), "{engine}");
        assert_eq!(wait(store.settle(lost)), Ok(Settled::Aborted), "{engine}");
        assert_eq!(wait(store.settle(lost)), Ok(Settled::Aborted), "{engine}");
        assert_eq!(wait(store.fence()), Ok(Revision(1)), "{engine}");
        assert_eq!(wait(store.commit(&done)), Ok(Outcome::Committed(Revision(2))), "{engine}");
        assert_eq!(wait(store.settle(done.op)), Ok(Settled::Committed(Revision(2))), "{engine}");
        assert_eq!(wait(store.settle(done.op)), Ok(Settled::Committed(Revision(2))), "{engine}");
        assert_eq!(wait(store.settled(lost)), Ok(Some(Settled::Aborted)), "{engine}");
        assert_eq!(wait(store.settled(done.op)), Ok(Some(Settled::Committed(Revision(2)))), "{engine}");
        assert_eq!(wait(store.fence()), Ok(Revision(2)), "{engine}");
    }
}

pub(crate) fn commit_and_settle_at_once_agree() {
    // Whichever wins, both callers are told the same.
    for (engine, store, _guard) in engines() {
        for round in 0..100 {
            let txn = txn(&[], &[put("a", "1")]);
            let (outcome, settled) = std::thread::scope(|scope| {
                let commit = scope.spawn(|| wait(store.commit(&txn)));
                let settle = scope.spawn(|| wait(store.settle(txn.op)));
                (commit.join().unwrap().unwrap(), settle.join().unwrap().unwrap())
            });
            match (outcome, settled) {
                (Outcome::Committed(one), Settled::Committed(other)) => assert_eq!(one, other, "{engine}: {round}"),
                (Outcome::Conflict(key), Settled::Aborted) => assert_eq!(key, txn.op.key(), "{engine}: {round}"),
                other => panic!("{engine}: {round}: {other:?}"),
            }
        }
    }
}
