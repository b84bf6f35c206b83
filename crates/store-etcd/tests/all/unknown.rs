//! Commits whose answer does not come, and how they are settled.

use crate::cluster::{Cluster, open_on_runtime};
use crate::engines::quick_engines;
use crate::proxy::{Mode, Proxy};
use crate::suite::fixtures::*;
use skerry_store::{Outcome, Settled, Store};
use skerry_store_etcd::Make;
use std::time::Duration;

fn store(cluster: &Cluster) -> (Store, Proxy) {
    let proxy = Proxy::before(&cluster.members[0].endpoint);
    let mut options = cluster.options();
    options.endpoints = vec![proxy.endpoint.clone()];
    options.commit_timeout = Duration::from_millis(300);
    (open_on_runtime(options, Make::New([1; 16])).unwrap(), proxy)
}

#[test]
#[ignore = "needs etcd"]
fn unanswered_commit_is_settled_as_committed() {
    // It happened, once: the same transaction again meets its own op id.
    let cluster = Cluster::single();
    let (store, proxy) = store(&cluster);
    proxy.set(Mode::Mute);
    let txn = txn(&[absent("a")], &[put("a", "1")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    proxy.set(Mode::Cut);
    proxy.set(Mode::Pass);
    let Ok(Settled::Committed(revision)) = wait(store.settle(txn.op)) else { panic!("not committed") };
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())));
    let entry = get(&store, "a", skerry_store::At::Linearizable).unwrap().unwrap();
    assert_eq!((entry.modified, entry.version), (revision, 1));
}

#[test]
#[ignore = "needs etcd"]
fn lost_commit_is_settled_as_aborted() {
    // The abort wins, and the transaction that comes later meets it.
    let cluster = Cluster::single();
    let (store, proxy) = store(&cluster);
    proxy.set(Mode::Lose);
    let txn = txn(&[], &[put("a", "1")]);
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown));
    proxy.set(Mode::Cut);
    proxy.set(Mode::Pass);
    assert_eq!(wait(store.settle(txn.op)), Ok(Settled::Aborted));
    assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())));
    assert_eq!(value(&store, "a"), None);
}

#[test]
#[ignore = "needs etcd"]
fn commit_given_up_is_settled() {
    // Whoever comes first: what was settled stays so.
    for (_, store, _guard) in quick_engines() {
        for round in 0..50 {
            let txn = txn(&[], &[put(&round.to_string(), "1")]);
            {
                let mut commit = std::pin::pin!(store.commit(&txn));
                let _ = is_pending(commit.as_mut());
            }
            let settled = wait(store.settle(txn.op)).unwrap();
            assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())));
            let held = get(&store, &round.to_string(), skerry_store::At::Linearizable).unwrap();
            match settled {
                Settled::Committed(revision) => assert_eq!(held.unwrap().modified, revision),
                Settled::Aborted => assert_eq!(held, None),
            }
        }
    }
}

#[test]
#[ignore = "needs etcd"]
fn slow_commits_are_waited_for() {
    // Answers that take half a second: none is given up, though all were looked after, and none of those beside each other.
    let cluster = Cluster::single();
    let proxy = Proxy::before(&cluster.members[0].endpoint);
    let mut options = cluster.options();
    options.endpoints = vec![proxy.endpoint.clone()];
    options.commit_timeout = Duration::from_secs(600);
    let store = open_on_runtime(options, Make::New([1; 16])).unwrap();
    proxy.set(Mode::Slow);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..3 {
                    let outcome = commit(store, &[], &[put(&format!("{thread}/{round}"), "")]);
                    assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
                }
            });
        }
    });
}
