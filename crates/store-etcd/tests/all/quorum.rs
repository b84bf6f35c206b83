//! Three servers with TLS on both sides, some of which fail.

use crate::cluster::{Ca, Cluster, open_on_runtime, until};
use crate::suite::fixtures::*;
use skerry_store::{At, Outcome, Settled, Store, StoreError};
use skerry_store_etcd::limits::READ_TIMEOUT;
use skerry_store_etcd::{Make, OpenError};
use std::time::{Duration, Instant};

/// Commits, and settles what is unknown, until it is acknowledged or refused.
fn surely(store: &Store, key: &str) -> Result<(), StoreError> {
    loop {
        let txn = txn(&[], &[put(key, "")]);
        match wait(store.commit(&txn))? {
            Outcome::Committed(_) => return Ok(()),
            Outcome::Unknown if matches!(wait(store.settle(txn.op))?, Settled::Committed(_)) => return Ok(()),
            Outcome::Unknown => {}
            Outcome::Conflict(key) => panic!("{key:?}"),
        }
    }
}

#[test]
#[ignore = "needs etcd"]
fn without_quorum_everything_is_refused_and_comes_back() {
    // Two of three are killed: reads of what is cached, of what is not, and commits are refused by name in the time they
    // have. When one is back all goes on, and nothing acknowledged is missing.
    let mut cluster = Cluster::three();
    let mut options = cluster.options();
    options.timeout = Duration::from_secs(3);
    let store = open_on_runtime(options, Make::New([1; 16])).unwrap();
    surely(&store, "a").unwrap();
    assert!(get(&store, "a", At::Linearizable).unwrap().is_some());
    cluster.members[0].kill();
    cluster.members[1].kill();
    // The last one takes its time to find out that it is alone; until then nobody answers.
    let refused = |error: StoreError| match error {
        StoreError::NoQuorum => true,
        StoreError::Unreachable => false,
        other => panic!("{other:?}"),
    };
    until(|| refused(get(&store, "a", At::Linearizable).unwrap_err()));
    let begun = Instant::now();
    assert_eq!(get(&store, "a", At::Linearizable), Err(StoreError::NoQuorum));
    assert_eq!(get(&store, "b", At::Linearizable), Err(StoreError::NoQuorum));
    assert_eq!(range(&store, "", None, 1, At::Linearizable).map(drop), Err(StoreError::NoQuorum));
    assert_eq!(commit(&store, &[], &[put("a", "")]), Err(StoreError::NoQuorum));
    assert_eq!(wait(store.settle(op())), Err(StoreError::NoQuorum));
    assert_eq!(wait(store.fence()), Err(StoreError::NoQuorum));
    // Six calls of three seconds, and the attempt each is in when its time is over.
    assert!(begun.elapsed() < Duration::from_secs(6 * 10));
    cluster.members[0].start();
    until(|| surely(&store, "b").is_ok());
    assert!(get(&store, "a", At::Linearizable).unwrap().is_some());
}

#[test]
#[ignore = "needs etcd"]
fn a_leader_that_stands_still_is_passed_by() {
    // It keeps its connections and says nothing. The others elect, and the node goes on with them; what was acknowledged
    // before and during it is there, also once the old leader goes on.
    let cluster = Cluster::three();
    let store = open_on_runtime(cluster.options(), Make::New([1; 16])).unwrap();
    surely(&store, "before").unwrap();
    let leader = cluster.leader();
    cluster.members[leader].pause(true);
    until(|| surely(&store, "during").is_ok());
    until(|| get(&store, "before", At::Linearizable).is_ok_and(|entry| entry.is_some()));
    cluster.members[leader].pause(false);
    surely(&store, "after").unwrap();
    for key in ["before", "during", "after"] {
        assert!(get(&store, key, At::Linearizable).unwrap().is_some(), "{key}");
    }
}

/// A store whose node asks this server first, and would wait for a commit for ever.
fn patient(cluster: &Cluster, first: usize) -> Store {
    let mut options = cluster.options();
    options.endpoints.rotate_left(first);
    options.commit_timeout = Duration::from_secs(24 * 3600);
    open_on_runtime(options, Make::New([1; 16])).unwrap()
}

#[test]
#[ignore = "needs etcd"]
fn a_commit_is_not_waited_for_in_vain() {
    // It was sent to a server that stands still from then on. A leader: the others elect another, and that is seen. A follower:
    // it says nothing while others do. Either way its outcome is unknown and can be settled, though no time-out is over.
    let cluster = Cluster::three();
    for follows in [false, true] {
        cluster.until_all_answer();
        let leader = cluster.leader();
        let stands = if follows { (leader + 1) % 3 } else { leader };
        let store = patient(&cluster, stands);
        surely(&store, "before").unwrap();
        cluster.members[stands].pause(true);
        let txn = txn(&[], &[put("during", "")]);
        assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Unknown), "{follows}");
        let mut settled = None;
        until(|| {
            settled = wait(store.settle(txn.op)).ok();
            settled.is_some()
        });
        cluster.members[stands].pause(false);
        assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())));
        let held = get(&store, "during", At::Linearizable).unwrap();
        match settled.unwrap() {
            Settled::Committed(revision) => assert_eq!(held.unwrap().modified, revision),
            Settled::Aborted => assert_eq!(held, None),
        }
    }
}

#[test]
#[ignore = "needs etcd"]
fn a_read_asks_another_server_when_one_is_late() {
    // A follower stands still. The time that a read has is less than one attempt may take, so none is answered but by an
    // attempt beside it, until the connection is given up, for which five reads are too short.
    let cluster = Cluster::three();
    cluster.until_all_answer();
    let stands = (cluster.leader() + 1) % 3;
    let prefix = cluster.options().prefix;
    let hasty = || {
        let mut options = cluster.options();
        options.prefix = prefix.clone();
        options.endpoints.rotate_left(stands);
        options.timeout = READ_TIMEOUT.mul_f32(0.9);
        open_on_runtime(options, Make::Either([1; 16])).ok()
    };
    let mut store = None;
    until(|| {
        store = hasty();
        store.is_some()
    });
    let store = store.unwrap();
    until(|| surely(&store, "a").is_ok());
    cluster.members[stands].pause(true);
    assert!((0..5).any(|_| get(&store, "a", At::Linearizable).is_ok_and(|entry| entry.is_some())));
    cluster.members[stands].pause(false);
}

#[test]
#[ignore = "needs etcd"]
fn servers_and_nodes_know_each_other() {
    // A node of another CA is not taken by the servers, nor servers of another CA by a node; both are told as such.
    let cluster = Cluster::three();
    let ours = cluster.ca.as_ref().unwrap();
    let refused = |options| match open_on_runtime(options, Make::Either([1; 16])).err() {
        Some(OpenError::Store(StoreError::Denied { detail })) => detail,
        other => panic!("{other:?}"),
    };
    let stranger = Ca::new();
    let mut options = cluster.options_of(Some(&stranger));
    assert!(refused(options).contains("invalid peer certificate"));
    options = cluster.options_of(Some(&stranger));
    if let skerry_store_etcd::Trust::Mutual { roots, .. } = &mut options.trust {
        *roots = ours.pem().into();
    }
    assert!(refused(options).contains("received fatal alert"));
    assert!(open_on_runtime(cluster.options_of(Some(ours)), Make::Either([1; 16])).is_ok());
}
