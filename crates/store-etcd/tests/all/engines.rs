//! Stores on etcd, each under a prefix of its own.

use crate::cluster::{Cluster, open_on_runtime, until};
use skerry_store::Store;
use skerry_store::seal::Root;
use skerry_store_etcd::Make;
use std::sync::Mutex;
use zeroize::Zeroizing;

/// Sequences of steps that are held against the naive model; each step is some round trips.
pub(crate) const CASES: u32 = 16;

/// A server that nobody else uses meanwhile: revisions are those of the whole server.
pub(crate) struct Guard(Option<Cluster>);

pub(crate) fn engines() -> Vec<(&'static str, Store, Guard)> {
    quick_engines()
}

pub(crate) fn quick_engines() -> Vec<(&'static str, Store, Guard)> {
    let free = FREE.lock().unwrap().pop();
    let cluster = free.unwrap_or_else(Cluster::single);
    let store = open_on_runtime(cluster.options(), Make::New([7; 16])).unwrap();
    vec![("etcd", store, Guard(Some(cluster)))]
}

/// What an export asks for, and a store on etcd has no use for; and that of stores in files.
pub(crate) fn root(octet: u8) -> Root {
    Root::new(Zeroizing::new([octet; 32]))
}

impl Drop for Guard {
    fn drop(&mut self) {
        // After a failure nobody knows what goes on there.
        if !std::thread::panicking() {
            // What was held under a lease goes a moment after it was let go, and that takes a revision.
            let cluster = self.0.as_ref().unwrap();
            until(|| cluster.etcdctl(0, &["lease", "list"]).contains("found 0 leases"));
            FREE.lock().unwrap().extend(self.0.take());
        }
    }
}

static FREE: Mutex<Vec<Cluster>> = Mutex::new(Vec::new());
