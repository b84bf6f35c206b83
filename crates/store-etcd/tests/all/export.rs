//! Exports of a store that several nodes write to: history that goes under one, and servers that do.

use crate::cluster::{Cluster, open_on_runtime, until};
use crate::engines::root;
use crate::suite::export::{fill, rest};
use crate::suite::fixtures::*;
use skerry_store::{Export, Exported, Store, StoreError};
use skerry_store_etcd::Make;
use std::time::Duration;

/// Up to its end, or why there is none.
fn drained(export: &mut Export) -> Result<usize, StoreError> {
    let mut count = 0;
    while let Some(page) = export.page()? {
        count += page.len();
    }
    Ok(count)
}

/// More than is read ahead: 32 MiB in 360 rows.
fn fill_long(store: &Store) {
    for round in 0..40 {
        let row = |row| put(&format!("{round}/{row}"), &"x".repeat(100 * 1024));
        write(store, &(0..8).map(row).collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "needs etcd"]
fn history_compacted_under_an_export_ends_it() {
    // Somebody compacts with etcd's own tools, or it is forgotten on purpose: pages that were read ahead come, the rest does not, and it
    // is told by its name. The next export is whole.
    let cluster = Cluster::single();
    let store = open_on_runtime(cluster.options(), Make::New([1; 16])).unwrap();
    fill_long(&store);
    let mut export = wait(store.export(&root(1))).unwrap();
    let asked = export.revision();
    assert!(export.page().unwrap().is_some());
    write(&store, &[put("later", "")]);
    let oldest = wait(store.forget()).unwrap();
    assert_eq!(drained(&mut export), Err(StoreError::Compacted { asked, oldest }));
    let mut next = wait(store.export(&root(1))).unwrap();
    assert_eq!(drained(&mut next).map(|count| u64::try_from(count).unwrap()), Ok(next.rows()));
    assert_eq!(next.revision(), oldest);
}

#[test]
#[ignore = "needs etcd"]
fn history_is_held_as_long_as_an_export() {
    // Any node finds in etcd which revision is read; no more once it was read, or whoever read it has gone.
    let cluster = Cluster::single();
    let options = cluster.options();
    let held = format!("{}lease/history/", options.prefix);
    let held = || cluster.etcdctl(0, &["get", "--prefix", "--print-value-only", &held]).trim().to_owned();
    let store = open_on_runtime(options, Make::New([1; 16])).unwrap();
    fill_long(&store);
    let mut export = wait(store.export(&root(1))).unwrap();
    assert!(export.page().unwrap().is_some());
    write(&store, &[put("later", "")]);
    assert_eq!(held(), export.revision().to_string());
    drained(&mut export).unwrap();
    until(|| held().is_empty());
    drop(wait(store.export(&root(1))).unwrap());
    until(|| held().is_empty());
}

#[test]
#[ignore = "needs etcd"]
fn an_export_goes_on_over_a_break() {
    // A server that goes and comes back within the time of a read is no end of it.
    let mut cluster = Cluster::three();
    let store = open_on_runtime(cluster.options(), Make::New([1; 16])).unwrap();
    fill(&store);
    let mut export = wait(store.export(&root(1))).unwrap();
    let leader = cluster.leader();
    cluster.members[leader].kill();
    let count = drained(&mut export).unwrap();
    assert_eq!(u64::try_from(count).unwrap(), export.rows());
    cluster.members[leader].start();
}

#[test]
#[ignore = "needs etcd"]
fn an_export_without_quorum_is_refused() {
    // Before it begins, and in the middle. What came until then is not taken for all.
    let mut cluster = Cluster::three();
    let mut options = cluster.options();
    options.timeout = Duration::from_secs(3);
    let store = open_on_runtime(options, Make::New([1; 16])).unwrap();
    fill_long(&store);
    let mut export = wait(store.export(&root(1))).unwrap();
    assert!(matches!(export.page().unwrap().unwrap()[0], Exported::Entry(_)));
    cluster.members[0].kill();
    cluster.members[1].kill();
    let ended = drained(&mut export).unwrap_err();
    assert!(matches!(ended, StoreError::NoQuorum | StoreError::Unreachable), "{ended}");
    until(|| wait(store.export(&root(1))).err() == Some(StoreError::NoQuorum));
    cluster.members[0].start();
    until(|| wait(store.export(&root(1))).is_ok());
    assert_eq!(rest(&mut wait(store.export(&root(1))).unwrap()).len(), 40 * 9);
}

#[test]
#[ignore = "needs etcd"]
fn foreign_op_ids_are_damage() {
    // Somebody else wrote under the prefix: among op ids a key that is none, or a state that is none.
    let cluster = Cluster::single();
    for (key, value, detail) in [
        ("op/short".to_owned(), "\u{1}", "a key among op ids that is none"),
        (format!("op/{}", "x".repeat(16)), "9", "op id with a state that is none"),
    ] {
        let options = cluster.options();
        let key = format!("{}{key}", options.prefix);
        let store = open_on_runtime(options, Make::New([1; 16])).unwrap();
        cluster.etcdctl(0, &["put", &key, value]);
        write(&store, &[put("a", "")]);
        let ended = drained(&mut wait(store.export(&root(1))).unwrap());
        assert_eq!(ended, Err(StoreError::Damaged { detail: detail.to_owned() }));
    }
}
