//! Stores of every engine of this crate.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use redb::backends::InMemoryBackend;
use skerry_store::seal::Root;
use skerry_store::{Options, Store};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Waker};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// What has to live as long as a store.
pub(crate) type Guard = Option<TempDir>;

/// Sequences of steps that are held against the naive model.
pub(crate) const CASES: u32 = 200;

/// Every engine, empty, with what has to live as long.
pub(crate) fn engines() -> Vec<(&'static str, Store, Guard)> {
    let dir = TempDir::new().unwrap();
    let file = Store::create(&file(&dir), &root(1), options()).unwrap();
    let mut engines = quick_engines();
    engines.push(("redb file", file, Some(dir)));
    engines
}

/// Every engine, without a disk below.
pub(crate) fn quick_engines() -> Vec<(&'static str, Store, Guard)> {
    let redb = Store::create_on(InMemoryBackend::new(), &root(1), options()).unwrap();
    vec![("memory", Store::memory(), None), ("redb", redb, None)]
}

pub(crate) fn file(dir: &TempDir) -> PathBuf {
    dir.path().join("store.redb")
}

/// For stores that are not to fail.
pub(crate) fn options() -> Options {
    Options::new(|failure| panic!("store failed: {failure}"))
}

/// One of several roots.
pub(crate) fn root(octet: u8) -> Root {
    Root::new(Zeroizing::new([octet; 32]))
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([3; 32])
}

/// Begins what the future does, without waiting for it.
pub(crate) fn begin<F: Future + ?Sized>(future: Pin<&mut F>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}
