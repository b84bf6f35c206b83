//! Migration between engines of this crate. Those with servers have the same cases over there.

use crate::engines::*;
use crate::suite::fixtures::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use skerry_store::migrate::{MOVING_KEY, MigrateError, Phase, Report, migrate};
use skerry_store::stamp::{Kind, MOVED_KEY, STAMP_KEY, StampError};
use skerry_store::{At, Fault, Faults, Op, Revision, Row, Store, StoreError};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A stamped store with rows of all lengths.
fn source() -> Store {
    let store = Store::memory();
    let _ = wait(store.stamp(Kind::Serve, &root(1), &mut rng())).unwrap();
    for group in 0..10 {
        let puts = (0..100).map(|n| Op::Put(format!("k/{group}/{n}").into(), vec![n; usize::from(n) * 30]));
        write(&store, &puts.collect::<Vec<_>>());
    }
    write(&store, &[Op::Put(b"long".into(), vec![7; 1024 * 1024])]);
    write(&store, &[Op::Put(b"longer".into(), vec![8; 1024 * 1024])]);
    store
}

fn go(from: &Store, to: &Store) -> Result<Report, MigrateError> {
    wait(migrate(from, to, Kind::Serve, &root(1), &mut fresh(), async || Ok(false), |_, _| {}))
}

/// Randomness that no other call gives: op ids are used once.
fn fresh() -> ChaCha20Rng {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&op().0);
    ChaCha20Rng::from_seed(seed)
}

fn rows(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut rows, mut after) = (Vec::<Row>::new(), None);
    loop {
        let page = wait(store.range(b"", after.as_deref(), 1000, At::Linearizable)).unwrap();
        rows.extend(page.rows);
        after = rows.last().map(|row| row.key.clone());
        if !page.more {
            break;
        }
    }
    rows.into_iter().map(|row| (row.key, row.entry.value)).collect()
}

#[test]
fn rows_come_as_they_are() {
    // All of them, the stamp among them and marks not; the source is not served from then on, and a second time says so.
    for (engine, to, _guard) in engines() {
        let from = source();
        let before = rows(&from);
        let stamp = wait(from.stamped(Kind::Serve, &root(1))).unwrap();
        let report = go(&from, &to).unwrap();
        assert_eq!((report.rows, report.changed), (1002, 1002), "{engine}");
        assert_eq!(rows(&to), before, "{engine}");
        assert_eq!(wait(to.stamped(Kind::Serve, &root(1))), Ok(stamp), "{engine}");
        assert_eq!(wait(from.stamped(Kind::Serve, &root(1))), Err(StampError::Moved), "{engine}");
        assert_eq!(wait(from.stamp(Kind::Serve, &root(1), &mut rng())), Err(StampError::Moved), "{engine}");
        assert_eq!(go(&from, &to), Err(MigrateError::Done), "{engine}");
        // And back, to a third.
        let back = Store::memory();
        assert_eq!(go(&to, &back).map(|report| report.digest), Ok(report.digest), "{engine}");
        assert_eq!(rows(&back), before, "{engine}");
    }
}

#[test]
fn history_of_filling_is_not_shown() {
    // A page token of the source names a revision of the source: it is not answered from a target that was half full then.
    for (engine, to, _guard) in engines() {
        go(&source(), &to).unwrap();
        let newest = wait(to.fence()).unwrap();
        for revision in 1..newest.0 {
            let refused = range(&to, "", None, 1, At::Snapshot(Revision(revision))).map(drop);
            let asked = Revision(revision);
            assert_eq!(refused, Err(StoreError::Compacted { asked, oldest: newest }), "{engine}");
        }
        assert!(range(&to, "", None, 1, At::Snapshot(newest)).is_ok(), "{engine}");
    }
}

#[test]
fn cut_short_anywhere_it_goes_on() {
    // Killed before the copy, after any part of it, while both are compared: what is there is no store to anybody, and the
    // second run completes it.
    let copying = (0..20).map(|count| (Phase::Copying, count));
    for (phase, count) in copying.chain([(Phase::Counting, 0), (Phase::Comparing, 0)]) {
        let (from, to) = (source(), Store::memory());
        let before = rows(&from);
        partly(&from, &to, phase, count);
        let stamped = wait(to.stamped(Kind::Serve, &root(1)));
        let report = go(&from, &to);
        if stamped.is_ok() {
            assert!(count > 5 && report == Err(MigrateError::Done), "{phase:?} {count}");
        } else {
            assert_eq!(stamped, Err(StampError::Missing), "{phase:?} {count}");
            assert_eq!(report.map(|report| report.rows), Ok(1002), "{phase:?} {count}");
        }
        assert_eq!(rows(&to), before, "{phase:?} {count}");
    }
}

/// Migrates, and is killed when it tells of this phase so often, if it does.
fn partly(from: &Store, to: &Store, phase: Phase, count: usize) {
    let mut told = 0;
    let kill = |now, _| {
        if now == phase {
            told += 1;
            if told > count {
                resume_unwind(Box::new("killed"));
            }
        }
    };
    let run =
        AssertUnwindSafe(|| wait(migrate(from, to, Kind::Serve, &root(1), &mut fresh(), async || Ok(false), kill)));
    let _killed = catch_unwind(run);
}

#[test]
fn rows_that_are_there_are_not_written_again() {
    // Of a target that has most, that has a row too many, and one that differs.
    let (from, to) = (source(), Store::memory());
    partly(&from, &to, Phase::Copying, 3);
    write(&to, &[put("zz", "too many"), put("k/0/1", "other")]);
    let report = go(&from, &to).unwrap();
    assert!(report.changed < 1002, "{}", report.changed);
    assert_eq!(rows(&to).len(), 1003);
    assert_eq!(value(&to, "zz"), None);
}

#[test]
fn targets_that_are_not_ours_are_refused() {
    // One with rows; one being filled from another source; another target than the first; a mark that was altered.
    let from = source();
    let full = Store::memory();
    write(&full, &[put("a", "1")]);
    assert_eq!(go(&from, &full), Err(MigrateError::NotEmpty));
    let other = Store::memory();
    let _ = wait(other.stamp(Kind::Serve, &root(1), &mut fresh())).unwrap();
    let to = Store::memory();
    partly(&from, &to, Phase::Copying, 1);
    write(&other, &[put("a", "1")]);
    assert_eq!(go(&other, &to), Err(MigrateError::OtherSource));
    let (key, mark) = (MOVING_KEY.to_vec(), wait(to.get(MOVING_KEY, At::Linearizable)).unwrap().unwrap());
    for at in [0, 40, mark.value.len() - 1] {
        let mut altered = mark.value.clone();
        altered[at] ^= 1;
        write(&to, &[Op::Put(key.clone(), altered)]);
        assert!(matches!(go(&from, &to), Err(MigrateError::Seal(_))), "{at}");
    }
    write(&to, &[Op::Put(key, mark.value)]);
    go(&from, &to).unwrap();
    assert_eq!(go(&from, &Store::memory()), Err(MigrateError::MovedElsewhere));
    assert_eq!(go(&from, &full), Err(MigrateError::NotEmpty));
}

#[test]
fn sources_that_are_not_ours_are_refused() {
    // Nothing, another root, the other kind.
    let to = Store::memory();
    assert_eq!(go(&Store::memory(), &to), Err(MigrateError::Source(StampError::Missing)));
    let from = source();
    let of = |kind, octet| wait(migrate(&from, &to, kind, &root(octet), &mut fresh(), async || Ok(false), |_, _| {}));
    assert_eq!(of(Kind::Serve, 2), Err(MigrateError::Source(StampError::OtherRoot)));
    let kind = StampError::OtherKind { expected: Kind::Dev, found: Kind::Serve };
    assert_eq!(of(Kind::Dev, 1), Err(MigrateError::Source(kind)));
    assert!(rows(&to).is_empty());
}

#[test]
fn a_source_that_is_written_to_is_found_out() {
    // Between the first count and the end: the target gets no stamp, and doing it again brings what was written.
    let (from, to) = (source(), Store::memory());
    let end = wait(migrate(
        &from,
        &to,
        Kind::Serve,
        &root(1),
        &mut fresh(),
        async || Ok(false),
        |phase, _| {
            if phase == Phase::Comparing {
                let late = txn(&[], &[put("late", "1")]);
                assert!(!is_pending(std::pin::pin!(from.commit(&late))));
            }
        },
    ));
    assert_eq!(end, Err(MigrateError::SourceChanged));
    assert_eq!(wait(to.get(STAMP_KEY, At::Linearizable)), Ok(None));
    assert!(wait(from.get(MOVED_KEY, At::Linearizable)).unwrap().is_some());
    go(&from, &to).unwrap();
    assert_eq!(value(&to, "late").as_deref(), Some("1"));
}

#[test]
fn unknown_outcomes_are_settled() {
    // Lost and unanswered commits to the target, some in a row.
    let (from, faults) = (source(), Faults::default());
    let to = Store::memory_with(faults.clone());
    faults
        .then(Fault::Lost)
        .then(Fault::Unanswered)
        .pass(1)
        .then(Fault::Lost)
        .then(Fault::Lost)
        .then(Fault::Unanswered);
    assert_eq!(go(&from, &to).map(|report| report.rows), Ok(1002));
    assert_eq!(rows(&to).len(), 1003);
}
