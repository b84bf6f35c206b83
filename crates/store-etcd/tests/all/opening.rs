//! What is found under a prefix, and what is not taken for a store.

use crate::cluster::{Cluster, open_on_runtime};
use crate::suite::fixtures::*;
use skerry_store::{Outcome, StoreError};
use skerry_store_etcd::{Make, OpenError, Options, OptionsError, Trust};

fn refusal(options: Options, make: Make) -> StoreError {
    match open_on_runtime(options, make).err() {
        Some(OpenError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn with_prefix(cluster: &Cluster, prefix: &str) -> Options {
    let mut options = cluster.options();
    options.prefix = prefix.to_owned();
    options
}

#[test]
#[ignore = "needs etcd"]
fn a_store_is_made_once_and_found_again() {
    // Missing before, there after; made a second time it is refused, and asked for either way it is the same.
    let cluster = Cluster::single();
    let options = || with_prefix(&cluster, "a/");
    assert_eq!(refusal(options(), Make::Existing), StoreError::Missing);
    let store = open_on_runtime(options(), Make::New([1; 16])).unwrap();
    write(&store, &[put("a", "1")]);
    assert_eq!(refusal(options(), Make::New([2; 16])), StoreError::Exists);
    for make in [Make::Existing, Make::Either([3; 16])] {
        let again = open_on_runtime(options(), make).unwrap();
        assert_eq!(value(&again, "a").as_deref(), Some("1"));
        assert_eq!(wait(again.fence()), wait(store.fence()));
    }
    // Another prefix is another store, also one that begins alike.
    let other = open_on_runtime(with_prefix(&cluster, "a/a/"), Make::Either([4; 16]));
    assert_eq!(value(&other.unwrap(), "a"), None);
}

#[test]
#[ignore = "needs etcd"]
fn what_is_not_a_store_is_refused() {
    // Keys without a marker, a marker of another format, a head that is not the marker's.
    let cluster = Cluster::single();
    let put = |key: &str, value: &str| assert!(cluster.etcdctl(0, &["put", key, value]).contains("OK"));
    put("foreign/x", "1");
    for make in [Make::Existing, Make::New([1; 16]), Make::Either([1; 16])] {
        assert_eq!(refusal(with_prefix(&cluster, "foreign/"), make), StoreError::Foreign);
    }
    put("short/marker", "\u{1}");
    assert_eq!(refusal(with_prefix(&cluster, "short/"), Make::Existing), StoreError::Foreign);
    put("newer/marker", "!!0123456789abcdef");
    assert_eq!(refusal(with_prefix(&cluster, "newer/"), Make::Existing), StoreError::UnknownFormat { format: 0x2121 });
    let store = open_on_runtime(with_prefix(&cluster, "head/"), Make::New([1; 16])).unwrap();
    cluster.etcdctl(0, &["del", "head/head"]);
    assert_eq!(refusal(with_prefix(&cluster, "head/"), Make::Existing), StoreError::Missing);
    // Who has it open does not go on with what is left of it.
    assert_eq!(commit(&store, &[], &[]), Err(StoreError::Missing));
    put("head/head", "another");
    assert_eq!(refusal(with_prefix(&cluster, "head/"), Make::Existing), StoreError::Foreign);
    assert_eq!(commit(&store, &[], &[]), Err(StoreError::Foreign));
    assert_eq!(wait(store.settle(op())), Err(StoreError::Foreign));
}

#[test]
#[ignore = "needs etcd"]
fn nodes_that_start_together_make_one_store() {
    // All open the same; what one commits the others read.
    let cluster = Cluster::single();
    let stores: Vec<_> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..6)
            .map(|node| {
                let options = with_prefix(&cluster, "together/");
                scope.spawn(move || open_on_runtime(options, Make::Either([node; 16])).unwrap())
            })
            .collect();
        nodes.into_iter().map(|node| node.join().unwrap()).collect()
    });
    for (node, store) in stores.iter().enumerate() {
        let outcome = commit(store, &[absent(&node.to_string())], &[put(&node.to_string(), "")]);
        assert!(matches!(outcome, Ok(Outcome::Committed(_))));
    }
    for store in &stores {
        assert_eq!(range(store, "", None, 10, skerry_store::At::Linearizable).unwrap().rows.len(), 6);
    }
}

#[test]
fn options_are_held_to() {
    // Each its own refusal, before anybody is asked.
    let mutual = || Trust::Mutual { roots: vec![], certificates: vec![], key: vec![] };
    let of = |endpoints: &[&str], trust| {
        let options = Options::new(endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect(), trust);
        match open_on_runtime(options, Make::Existing).err() {
            Some(OpenError::Options(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(&[], Trust::DangerNone), OptionsError::Endpoints { count: 0 });
    assert_eq!(of(&["http://127.0.0.1:1"; 17], Trust::DangerNone), OptionsError::Endpoints { count: 17 });
    for endpoint in ["", "127.0.0.1:1", "http://127.0.0.1", "ftp://127.0.0.1:1", "https://h:1/x", "https://h:1?x"] {
        assert_eq!(of(&[endpoint], mutual()), OptionsError::Endpoint { endpoint: endpoint.to_owned() }, "{endpoint}");
    }
    let (http, far) = ("http://127.0.0.1:1".to_owned(), "http://192.0.2.1:1".to_owned());
    assert_eq!(of(&[&http], mutual()), OptionsError::NoTls { endpoint: http });
    assert_eq!(of(&[&far], Trust::DangerNone), OptionsError::NotLoopback { endpoint: far });
    let name = "http://localhost:1".to_owned();
    assert_eq!(of(&[&name], Trust::DangerNone), OptionsError::NotLoopback { endpoint: name });
    let tls = "https://127.0.0.1:1".to_owned();
    assert_eq!(of(&[&tls], Trust::DangerNone), OptionsError::Endpoint { endpoint: tls });
    assert!(matches!(of(&["https://127.0.0.1:1"], mutual()), OptionsError::Certificates { .. }));
    for prefix in ["", "a", &format!("{}/", "a".repeat(64))] {
        let mut options = Options::new(vec!["http://127.0.0.1:1".to_owned()], Trust::DangerNone);
        options.prefix = prefix.to_owned();
        let refused = open_on_runtime(options, Make::Existing).err();
        assert_eq!(refused, Some(OpenError::Options(OptionsError::Prefix { prefix: prefix.to_owned() })));
    }
}
