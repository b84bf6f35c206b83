//! Many threads on one store.

use super::fixtures::*;
use crate::engines::*;
use skerry_store::{At, Check, Op, Outcome, Revision, Store};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const THREADS: usize = 8;
const ROUNDS: usize = 25;

/// Reads a counter and puts one more, until nobody came between.
fn increment(store: &Store, keys: &[&str]) {
    loop {
        let entry = get(store, keys[0], At::Linearizable).unwrap();
        let (check, count) = match entry {
            None => (Check::Absent(keys[0].into()), 0),
            Some(entry) => {
                let count: usize = String::from_utf8(entry.value).unwrap().parse().unwrap();
                (Check::Unchanged(keys[0].into(), entry.modified), count)
            }
        };
        let ops: Vec<_> = keys.iter().map(|key| Op::Put((*key).into(), (count + 1).to_string().into())).collect();
        match commit(store, &[check], &ops).unwrap() {
            Outcome::Committed(_) => return,
            Outcome::Conflict(key) => assert_eq!(key, keys[0].as_bytes()),
            Outcome::Unknown => panic!("unknown"),
        }
    }
}

pub(crate) fn no_update_is_lost() {
    // Counters that are read, checked and put by many threads count every one of them.
    for (engine, store, _guard) in engines() {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..ROUNDS).for_each(|_| increment(&store, &["a"])));
            }
        });
        assert_eq!(value(&store, "a"), Some((THREADS * ROUNDS).to_string()), "{engine}");
        assert_eq!(wait(store.fence()).unwrap().0, u64::try_from(THREADS * ROUNDS).unwrap(), "{engine}");
    }
}

pub(crate) fn readers_see_transactions_whole() {
    // Two keys that change together are equal in every page, of the present and of the past.
    for (engine, store, _guard) in engines() {
        write(&store, &[put("a", "0"), put("b", "0")]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let now = range(&store, "", None, 10, At::Linearizable).unwrap();
                        let past = At::Snapshot(Revision(now.revision.0 / 2 + 1));
                        let past = range(&store, "", None, 10, past).unwrap();
                        for page in [now, past] {
                            assert_eq!(page.rows[0].entry.value, page.rows[1].entry.value, "{engine}");
                            assert_eq!(page.rows[0].entry.modified, page.revision, "{engine}");
                        }
                    }
                });
            }
            (0..ROUNDS * 4).for_each(|_| increment(&store, &["a", "b"]));
            done.store(true, Ordering::Relaxed);
        });
    }
}

pub(crate) fn own_writes_are_read() {
    // What a thread was told is committed, that and every other thread reads from then on.
    for (engine, store, _guard) in engines() {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (engine, store) = (&engine, &store);
                scope.spawn(move || {
                    let key = thread.to_string();
                    for round in 0..ROUNDS {
                        let revision = write(store, &[put(&key, &round.to_string())]);
                        assert!(wait(store.fence()).unwrap() >= revision, "{engine}");
                        assert_eq!(value(store, &key), Some(round.to_string()), "{engine}");
                        let at = get(store, &key, At::Snapshot(revision)).unwrap().unwrap();
                        assert_eq!(at.modified, revision, "{engine}");
                    }
                });
            }
        });
    }
}

pub(crate) fn watch_sees_every_commit_once() {
    // Among many writers: revisions in order, without gap or repetition.
    for (engine, store, _guard) in engines() {
        let mut watch = store.watch(b"", Revision(0)).unwrap();
        let total = u64::try_from(THREADS * ROUNDS).unwrap();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let store = &store;
                scope.spawn(move || {
                    (0..ROUNDS).for_each(|_| {
                        let _ = write(store, &[put(&thread.to_string(), "")]);
                    })
                });
            }
            for revision in 1..=total {
                assert_eq!(wait(watch.next()).unwrap().revision, Revision(revision), "{engine}");
            }
        });
        fence(&store);
        assert_eq!(watch.ready(), Ok(None), "{engine}");
    }
}
