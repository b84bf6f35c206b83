//! Stores on etcd, each under a prefix of its own.

use crate::cluster::{Cluster, open_on_runtime};
use skerry_store::Store;
use skerry_store_etcd::Make;
use std::sync::Mutex;

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

impl Drop for Guard {
    fn drop(&mut self) {
        // After a failure nobody knows what goes on there.
        if !std::thread::panicking() {
            FREE.lock().unwrap().extend(self.0.take());
        }
    }
}

static FREE: Mutex<Vec<Cluster>> = Mutex::new(Vec::new());
