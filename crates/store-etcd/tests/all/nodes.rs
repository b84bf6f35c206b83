//! Several nodes on one store: none shows a state that is older than what was acknowledged on any.

use crate::cluster::{Cluster, open_on_runtime};
use crate::engines::root;
use crate::proxy::{Mode, Proxy};
use crate::suite::export::rest;
use crate::suite::fixtures::*;
use skerry_store::{At, Outcome, Revision, Store, StoreError, WatchError};
use skerry_store_etcd::Make;
use std::time::Duration;

fn nodes(cluster: &Cluster, count: usize) -> Vec<Store> {
    let prefix = cluster.options().prefix;
    let node = |_| {
        let mut options = cluster.options();
        options.prefix = prefix.clone();
        open_on_runtime(options, Make::Either([1; 16])).unwrap()
    };
    (0..count).map(node).collect()
}

#[test]
#[ignore = "needs etcd"]
fn what_one_acknowledges_the_other_reads() {
    // Thousands of times, by several at once: each key is warm in the reader's cache, is changed on one node, and is read
    // on the other as soon as that is acknowledged.
    let cluster = Cluster::single();
    let nodes = nodes(&cluster, 2);
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let (writer, reader) = (&nodes[thread % 2], &nodes[(thread + 1) % 2]);
            scope.spawn(move || {
                let key = format!("k{thread}");
                for round in 0..300 {
                    let revision = write(writer, &[put(&key, &round.to_string())]);
                    if round % 2 == 0 {
                        assert_eq!(value(reader, &key), Some(round.to_string()), "{key}");
                    }
                    let least = get(reader, &key, At::Cached(revision)).unwrap().unwrap();
                    assert!(least.modified >= revision);
                    if round % 10 == 9 {
                        write(writer, &[delete(&key)]);
                        assert_eq!(value(reader, &key), None);
                    }
                }
            });
        }
    });
}

#[test]
#[ignore = "needs etcd"]
fn other_prefixes_stand_in_no_page_s_way() {
    // A store at rest is older than all that another of the cluster has had compacted, and is read in as many parts as it takes.
    let cluster = Cluster::single();
    let (quiet, busy) = (nodes(&cluster, 1).remove(0), nodes(&cluster, 1).remove(0));
    let mut newest = Revision(0);
    for group in 0..8 {
        let puts = (0..100).map(|n| put(&format!("k/{group}/{n}"), "1"));
        newest = write(&quiet, &puts.collect::<Vec<_>>());
    }
    write(&busy, &[put("a", "1")]);
    wait(busy.forget()).unwrap();
    let page = range(&quiet, "", None, 1000, At::Linearizable).unwrap();
    assert_eq!((page.rows.len(), page.revision), (800, newest));
    // So are the rest of a list that began before, one key as it was then, and all of it.
    assert_eq!(range(&quiet, "", Some("k/5/"), 1000, At::Snapshot(newest)).unwrap().rows.len(), 300);
    assert!(wait(quiet.get(b"k/0/0", At::Snapshot(newest))).unwrap().is_some());
    assert_eq!(rest(&mut wait(quiet.export(&root(1))).unwrap()).len(), 808);
    // What was before the newest commit is gone with the history.
    let refused = range(&quiet, "", None, 1000, At::Snapshot(Revision(newest.0 - 1))).unwrap_err();
    assert!(matches!(refused, StoreError::Compacted { .. }), "{refused}");
}

#[test]
#[ignore = "needs etcd"]
fn a_node_whose_watch_stands_still_reads_the_newest() {
    // Its cache is warm; what servers tell it is lost, then the connection; what it reads after that is not from before.
    let cluster = Cluster::single();
    let proxy = Proxy::before(&cluster.members[0].endpoint);
    let mut options = cluster.options();
    let writer = open_on_runtime(cluster_options(&cluster, &options.prefix), Make::New([1; 16])).unwrap();
    options.endpoints = vec![proxy.endpoint.clone()];
    let reader = open_on_runtime(options, Make::Existing).unwrap();
    for round in 0..20 {
        write(&writer, &[put("a", &round.to_string())]);
        assert_eq!(value(&reader, "a"), Some(round.to_string()));
        if round % 4 == 1 {
            proxy.set(Mode::Mute);
            write(&writer, &[put("a", "unseen")]);
            proxy.set(Mode::Cut);
            proxy.set(Mode::Pass);
            assert_eq!(value(&reader, "a").as_deref(), Some("unseen"));
        }
    }
}

#[test]
#[ignore = "needs etcd"]
fn a_watch_goes_on_after_its_connection() {
    // Nothing is missed and nothing comes twice, though the node was cut off in between.
    let cluster = Cluster::single();
    let proxy = Proxy::before(&cluster.members[0].endpoint);
    let mut options = cluster.options();
    let writer = open_on_runtime(cluster_options(&cluster, &options.prefix), Make::New([1; 16])).unwrap();
    options.endpoints = vec![proxy.endpoint.clone()];
    let reader = open_on_runtime(options, Make::Existing).unwrap();
    let mut watch = reader.watch(b"", wait(reader.fence()).unwrap()).unwrap();
    let mut written = Vec::new();
    for round in 0..12 {
        proxy.set(if round % 3 == 1 { Mode::Cut } else { Mode::Pass });
        written.push(write(&writer, &[put("a", &round.to_string())]));
    }
    proxy.set(Mode::Pass);
    for revision in written {
        assert_eq!(wait(watch.next()).unwrap().revision, revision);
    }
    assert_eq!(watch.ready(), Ok(None));
}

#[test]
#[ignore = "needs etcd"]
fn history_compacted_under_a_watch_is_told() {
    // The node was cut off when others compacted what it had not seen: watches end by name, and the cache begins anew.
    let cluster = Cluster::single();
    let proxy = Proxy::before(&cluster.members[0].endpoint);
    let mut options = cluster.options();
    let writer = open_on_runtime(cluster_options(&cluster, &options.prefix), Make::New([1; 16])).unwrap();
    options.endpoints = vec![proxy.endpoint.clone()];
    let reader = open_on_runtime(options, Make::Existing).unwrap();
    write(&writer, &[put("a", "1")]);
    assert_eq!(value(&reader, "a").as_deref(), Some("1"));
    let seen = wait(reader.fence()).unwrap();
    let mut watch = reader.watch(b"", seen).unwrap();
    assert_eq!(watch.ready(), Ok(None));
    proxy.set(Mode::Cut);
    for round in 0..5 {
        write(&writer, &[put("a", &round.to_string())]);
    }
    let status = cluster.etcdctl(0, &["endpoint", "status", "--write-out=fields"]);
    let revision = status.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).unwrap().to_owned();
    assert!(cluster.etcdctl(0, &["compact", &revision]).contains("compacted"));
    proxy.set(Mode::Pass);
    let newest = wait(writer.fence()).unwrap();
    assert_eq!(value(&reader, "a").as_deref(), Some("4"));
    assert_eq!(wait(watch.next()), Err(WatchError::Compacted { oldest: newest }));
    let gone = skerry_store::StoreError::Compacted { asked: seen, oldest: newest };
    assert_eq!(get(&reader, "a", At::Snapshot(seen)), Err(gone.clone()));
    assert_eq!(range(&reader, "", None, 1, At::Snapshot(seen)).map(drop), Err(gone.clone()));
    assert_eq!(reader.watch(b"", seen).map(drop), Err(gone));
    // From there it goes on.
    let mut watch = reader.watch(b"", newest).unwrap();
    let next = write(&writer, &[put("a", "5")]);
    assert_eq!(wait(watch.next()).unwrap().revision, next);
    assert_eq!(value(&reader, "a").as_deref(), Some("5"));
}

#[test]
#[ignore = "needs etcd"]
fn nodes_contend_for_a_key_and_none_wins_twice() {
    // Of many that make the same key one does, and all others are told which key it was.
    let cluster = Cluster::single();
    let nodes = nodes(&cluster, 3);
    for round in 0..20 {
        let key = round.to_string();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let tries: Vec<_> =
                nodes.iter().map(|node| scope.spawn(|| commit(node, &[absent(&key)], &[put(&key, "")]))).collect();
            tries.into_iter().map(|one| one.join().unwrap().unwrap()).collect()
        });
        let won = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_))).count();
        let lost = outcomes.iter().filter(|outcome| **outcome == Outcome::Conflict(key.clone().into())).count();
        assert_eq!((won, lost), (1, 2));
    }
}

#[test]
#[ignore = "needs etcd"]
fn a_lease_is_held_by_one_node() {
    // Until it is dropped; a node that is cut off learns that it lost it, and another takes it.
    let cluster = Cluster::single();
    let proxy = Proxy::before(&cluster.members[0].endpoint);
    let mut options = cluster.options();
    let other = open_on_runtime(cluster_options(&cluster, &options.prefix), Make::New([1; 16])).unwrap();
    options.endpoints = vec![proxy.endpoint.clone()];
    let node = open_on_runtime(options, Make::Existing).unwrap();
    let ttl = Duration::from_secs(2);
    let held = wait(node.lease("purge", "one", ttl)).unwrap().unwrap();
    assert!(wait(other.lease("purge", "two", ttl)).unwrap().is_none());
    assert!(wait(other.lease("rotate", "two", ttl)).unwrap().is_some());
    assert_eq!(wait(other.holder("purge")).unwrap().as_deref(), Some("one"));
    assert_eq!(wait(other.holder("nothing")).unwrap(), None);
    drop(held);
    crate::cluster::until(|| wait(other.lease("purge", "two", ttl)).unwrap().is_some());
    let mut held = None;
    crate::cluster::until(|| {
        held = wait(node.lease("purge", "one", ttl)).unwrap();
        held.is_some()
    });
    let mut held = held.unwrap();
    assert!(!held.is_lost());
    proxy.set(Mode::Cut);
    wait(held.lost());
    assert!(held.is_lost());
    crate::cluster::until(|| wait(other.lease("purge", "two", ttl)).unwrap().is_some());
    proxy.set(Mode::Pass);
}

fn cluster_options(cluster: &Cluster, prefix: &str) -> skerry_store_etcd::Options {
    let mut options = cluster.options();
    options.prefix = prefix.to_owned();
    options
}
