//! Pages are asked for in ranges that are guessed: what is in them does not depend on the guess.

use crate::cluster::{Cluster, open_on_runtime};
use crate::suite::fixtures::*;
use skerry_store::{At, Store};
use skerry_store_etcd::Make;

/// All keys under a prefix, by pages of so many.
fn walked(store: &Store, prefix: &str, limit: usize) -> Vec<Vec<u8>> {
    let (mut keys, mut after) = (Vec::<Vec<u8>>::new(), None);
    loop {
        let page = wait(store.range(prefix.as_bytes(), after.as_deref(), limit, At::Linearizable)).unwrap();
        assert!(page.rows.len() == limit || !page.more);
        keys.extend(page.rows.into_iter().map(|row| row.key));
        if !page.more {
            return keys;
        }
        after = keys.last().cloned();
    }
}

#[test]
#[ignore = "needs etcd"]
fn pages_are_the_same_whatever_was_guessed() {
    // Many keys close together, one far from all, some that have much in common, and few at the end: what is learned of each
    // is wrong for the next. Every page is full, and no key is left out or comes twice.
    let cluster = Cluster::single();
    let store = open_on_runtime(cluster.options(), Make::New([1; 16])).unwrap();
    let dense = (0..120).map(|at| format!("a/{at:04}"));
    let long = (0..40).map(|at| format!("z/{}{at:04}", "in common ".repeat(10)));
    let far = ["m/".to_owned()].into_iter().chain((0..12).map(|at| format!("z/~{}", "~".repeat(at * 3))));
    let mut keys: Vec<String> = dense.chain(long).chain(far).collect();
    for some in keys.chunks(100) {
        write(&store, &some.iter().map(|key| put(key, "")).collect::<Vec<_>>());
    }
    keys.sort();
    for round in 0..2 {
        for limit in [1, 8, 9, 25, 64, 200] {
            for prefix in ["", "a/", "m/", "z/", "z/~", "none"] {
                let held: Vec<_> =
                    keys.iter().filter(|key| key.starts_with(prefix)).map(|key| key.as_bytes()).collect();
                assert_eq!(walked(&store, prefix, limit), held, "{round} {limit} {prefix}");
            }
        }
    }
}
