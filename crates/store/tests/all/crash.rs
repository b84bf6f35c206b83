//! Crashes and failures of the disk: what was acknowledged is there, what was not is whole or absent.

use crate::disk::{Disk, Fault};
use crate::engines::*;
use crate::suite::fixtures::*;
use skerry_store::{At, OpId, Options, Outcome, Revision, Settled, Step, Store, StoreError, Txn, WatchError};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};

/// What the hook of a store was called with.
type Calls = Arc<Mutex<Vec<StoreError>>>;

fn hook() -> (Options, Calls) {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    (Options::new(move |failure| seen.lock().unwrap().push(failure)), calls)
}

/// A commit whose outcome is unknown: its number and op id.
type Unknown = Option<(usize, OpId)>;

/// Commits up to `commits` transactions of two keys each, until one is not acknowledged. Gives those that were, by
/// number, and the one that was not.
fn run(store: &Store, commits: usize) -> (Vec<(Revision, usize)>, Unknown) {
    let mut acknowledged = Vec::new();
    for number in 0..commits {
        let txn = transaction(number);
        match wait(store.commit(&txn)).unwrap() {
            Outcome::Committed(revision) => acknowledged.push((revision, number)),
            Outcome::Unknown => return (acknowledged, Some((number, txn.op))),
            Outcome::Conflict(key) => panic!("{key:?}"),
        }
    }
    (acknowledged, None)
}

/// Puts the same number under a key of its own and one that all share.
fn transaction(number: usize) -> Txn {
    let filler = "x".repeat(number * 37 % 3000);
    txn(&[], &[put(&format!("own/{number:04}"), &filler), put("shared", &number.to_string())])
}

/// Checks that a reopened store has everything acknowledged, and the rest whole or not at all.
fn check(store: &Store, acknowledged: &[(Revision, usize)], unknown: Unknown, what: &str) -> Settled {
    for (revision, number) in acknowledged {
        let entry = get(store, &format!("own/{number:04}"), At::Linearizable).unwrap().unwrap();
        assert_eq!(entry.modified, *revision, "{what}");
    }
    let own = range(store, "own/", None, 1000, At::Linearizable).unwrap().rows.len();
    let newest = value(store, "shared").map_or(0, |number| number.parse::<usize>().unwrap() + 1);
    assert_eq!(own, newest, "{what}: a transaction is there in part");
    assert_eq!(wait(store.fence()).unwrap().0, u64::try_from(newest).unwrap(), "{what}");
    let Some((number, op)) = unknown else { return Settled::Aborted };
    let settled = wait(store.settle(op)).unwrap();
    let happened = get(store, &format!("own/{number:04}"), At::Linearizable).unwrap().is_some();
    assert_eq!(matches!(settled, Settled::Committed(_)), happened, "{what}");
    settled
}

#[test]
fn acknowledged_commits_survive_a_crash_after_any_write() {
    // The disk stops at the n-th write, for every n of a run; unsynced sectors are there or not, at random.
    let mut outcomes = BTreeMap::new();
    for n in 0.. {
        let disk = Disk::new();
        let (options, calls) = hook();
        let store = Store::create_on(disk.clone(), &root(1), options).unwrap();
        disk.fail(Fault::Write(n));
        let (acknowledged, unknown) = run(&store, 12);
        drop(store);
        if unknown.is_none() {
            break;
        }
        assert_eq!(calls.lock().unwrap().len(), 1);
        for seed in 0..4 {
            let what = format!("write {n}, seed {seed}");
            let left = Disk::holding(if seed == 0 { disk.durable() } else { disk.torn(seed) });
            let store = Store::open_on(left, &root(1), options_of(&what)).unwrap();
            let settled = check(&store, &acknowledged, unknown, &what);
            *outcomes.entry(matches!(settled, Settled::Committed(_))).or_insert(0) += 1;
            // It goes on from there.
            assert!(matches!(commit(&store, &[], &[put("after", "")]), Ok(Outcome::Committed(_))), "{what}");
        }
    }
    assert!(outcomes.values().sum::<i32>() > 100, "{outcomes:?}");
}

#[test]
fn acknowledged_commits_survive_a_crash_at_any_sync() {
    // The n-th sync fails, with its work done or undone: the unknown commit is settled both ways.
    let mut outcomes = BTreeMap::new();
    for n in 0.. {
        let mut ended = true;
        for done in [false, true] {
            let disk = Disk::new();
            let (options, calls) = hook();
            let store = Store::create_on(disk.clone(), &root(1), options).unwrap();
            disk.fail(if done { Fault::SyncDone(n) } else { Fault::Sync(n) });
            let (acknowledged, unknown) = run(&store, 12);
            drop(store);
            if unknown.is_none() {
                continue;
            }
            ended = false;
            assert_eq!(*calls.lock().unwrap(), [write_failed()]);
            let what = format!("sync {n}, done: {done}");
            let store = Store::open_on(Disk::holding(disk.durable()), &root(1), options_of(&what)).unwrap();
            let settled = check(&store, &acknowledged, unknown, &what);
            *outcomes.entry((done, matches!(settled, Settled::Committed(_)))).or_insert(0) += 1;
        }
        if ended {
            break;
        }
    }
    assert!(outcomes.contains_key(&(false, false)), "{outcomes:?}");
    assert!(outcomes.contains_key(&(true, true)), "{outcomes:?}");
}

#[test]
fn failed_sync_closes_the_store() {
    // The commit is unknown, the hook is called once, and everything afterwards is refused.
    let disk = Disk::new();
    let (options, calls) = hook();
    let store = Store::create_on(disk.clone(), &root(1), options).unwrap();
    write(&store, &[put("a", "1")]);
    let mut watch = store.watch(b"", Revision(1)).unwrap();
    disk.fail(Fault::Sync(0));
    let txn = txn(&[], &[put("a", "2")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    assert_eq!(*calls.lock().unwrap(), [write_failed()]);
    assert_eq!(wait(store.commit(&txn)), Err(StoreError::Failed));
    assert_eq!(wait(store.settle(txn.op)), Err(StoreError::Failed));
    assert_eq!(get(&store, "a", At::Linearizable), Err(StoreError::Failed));
    assert_eq!(get(&store, "a", At::Snapshot(Revision(1))), Err(StoreError::Failed));
    assert_eq!(range(&store, "", None, 1, At::Linearizable), Err(StoreError::Failed));
    assert_eq!(wait(store.fence()), Err(StoreError::Failed));
    assert_eq!(store.watch(b"", Revision(1)).map(drop), Err(StoreError::Failed));
    assert_eq!(wait(watch.next()), Err(WatchError::Failed));
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[test]
fn store_is_closed_before_the_hook_is_called() {
    // Whoever asks while the process is being ended is refused, and nobody of the group was answered yet.
    let disk = Disk::new();
    let (called, calls) = std::sync::mpsc::channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let options = Options::new(move |_| {
        called.send(()).unwrap();
        let _ = gate.recv();
    });
    let store = Store::create_on(disk.clone(), &root(1), options).unwrap();
    // Dropped before the store, which waits for its writer: so a failing test ends.
    let go = go;
    disk.fail(Fault::Sync(0));
    let txn = transaction(0);
    let mut commit = pin!(store.commit(&txn));
    begin(commit.as_mut());
    calls.recv().unwrap();
    assert_eq!(wait(store.fence()), Err(StoreError::Failed));
    assert!(is_pending(commit.as_mut()));
    drop(go);
    assert_eq!(wait(commit), Ok(Outcome::Unknown));
}

#[test]
fn queued_requests_are_refused_by_a_failure() {
    // Those in the failing group do not know; those behind it did not happen.
    let disk = Disk::new();
    let (options, _calls) = hook();
    let store = Store::create_on(disk.clone(), &root(1), options).unwrap();
    let syncs = disk.hold_syncs();
    let txns: Vec<_> = (0..3).map(transaction).collect();
    let mut first = pin!(store.commit(&txns[0]));
    begin(first.as_mut());
    syncs.entered.recv().unwrap();
    let (mut second, mut settle) = (pin!(store.commit(&txns[1])), pin!(store.settle(op())));
    begin(second.as_mut());
    begin(settle.as_mut());
    disk.fail(Fault::Sync(0));
    syncs.release();
    assert_eq!(wait(first), Ok(Outcome::Unknown));
    assert_eq!(wait(second), Err(StoreError::Failed));
    assert_eq!(wait(settle), Err(StoreError::Failed));
}

#[test]
fn waiting_commits_share_one_sync() {
    // While one is being synced 31 more queue, and these take together what the first took alone.
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    let before = disk.syncs();
    write(&store, &[put("a", "")]);
    let alone = disk.syncs() - before;
    let syncs = disk.hold_syncs();
    let txns: Vec<_> = (0..32).map(|number: u8| txn(&[], &[put(&number.to_string(), "")])).collect();
    let mut commits: Vec<Pin<Box<_>>> = txns.iter().map(|txn| Box::pin(store.commit(txn))).collect();
    begin(commits[0].as_mut());
    syncs.entered.recv().unwrap();
    commits[1..].iter_mut().for_each(|commit| begin(commit.as_mut()));
    syncs.release();
    for (number, commit) in commits.into_iter().enumerate() {
        let revision = Revision(u64::try_from(number).unwrap() + 2);
        assert_eq!(wait(commit), Ok(Outcome::Committed(revision)));
    }
    assert_eq!(disk.syncs() - before, alone * 3);
}

#[test]
fn one_group_decides_in_order() {
    // Transactions that share a sync see each other: the second of two that need the key absent conflicts.
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    let syncs = disk.hold_syncs();
    let first = transaction(0);
    let mut first = pin!(store.commit(&first));
    begin(first.as_mut());
    syncs.entered.recv().unwrap();
    let (one, other) = (txn(&[absent("a")], &[put("a", "1")]), txn(&[absent("a")], &[put("a", "2")]));
    let (mut one_commit, mut other_commit) = (pin!(store.commit(&one)), pin!(store.commit(&other)));
    let mut settle = pin!(store.settle(one.op));
    begin(one_commit.as_mut());
    begin(other_commit.as_mut());
    begin(settle.as_mut());
    syncs.release();
    assert_eq!(wait(one_commit), Ok(Outcome::Committed(Revision(2))));
    assert_eq!(wait(other_commit), Ok(Outcome::Conflict(b"a".into())));
    assert_eq!(wait(settle), Ok(Settled::Committed(Revision(2))));
    assert_eq!(value(&store, "a").as_deref(), Some("1"));
}

#[test]
fn nothing_is_seen_before_the_sync() {
    // Until it returns, readers see the state before, and nobody is answered.
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    write(&store, &[put("shared", "before")]);
    let mut watch = store.watch(b"", Revision(1)).unwrap();
    let syncs = disk.hold_syncs();
    let txn = transaction(0);
    let mut commit = pin!(store.commit(&txn));
    begin(commit.as_mut());
    syncs.entered.recv().unwrap();
    assert!(is_pending(commit.as_mut()));
    assert_eq!(value(&store, "shared").as_deref(), Some("before"));
    assert_eq!(wait(store.fence()), Ok(Revision(1)));
    assert_eq!(watch.ready(), Ok(None));
    syncs.release();
    assert_eq!(wait(commit), Ok(Outcome::Committed(Revision(2))));
    assert_eq!(value(&store, "shared").as_deref(), Some("0"));
}

#[test]
fn conflicts_cost_no_sync() {
    // A group that changes nothing leaves the disk alone.
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    let (syncs, writes) = (disk.syncs(), disk.writes());
    for _ in 0..10 {
        assert_eq!(commit(&store, &[present("a")], &[put("b", "")]), Ok(Outcome::Conflict(b"a".into())));
    }
    assert_eq!((disk.syncs(), disk.writes()), (syncs, writes));
}

fn write_failed() -> StoreError {
    StoreError::Io { step: Step::Write, kind: ErrorKind::StorageFull }
}

fn options_of(what: &str) -> Options {
    let what = what.to_owned();
    Options::new(move |failure| panic!("{what}: store failed: {failure}"))
}
