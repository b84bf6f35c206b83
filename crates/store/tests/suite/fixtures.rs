//! Short ways to say what a test does.

use skerry_store::{At, Check, Entry, Op, OpId, Outcome, Page, Revision, Row, Store, StoreError, Txn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Whether the future has nothing to say yet.
pub(crate) fn is_pending<F: Future + ?Sized>(future: Pin<&mut F>) -> bool {
    matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

/// An op id that no other call gives.
pub(crate) fn op() -> OpId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    OpId(id)
}

pub(crate) fn txn(checks: &[Check], ops: &[Op]) -> Txn {
    Txn { op: op(), checks: checks.to_vec(), ops: ops.to_vec() }
}

pub(crate) fn put(key: &str, value: &str) -> Op {
    Op::Put(key.into(), value.into())
}

pub(crate) fn delete(key: &str) -> Op {
    Op::Delete(key.into())
}

pub(crate) fn absent(key: &str) -> Check {
    Check::Absent(key.into())
}

pub(crate) fn present(key: &str) -> Check {
    Check::Present(key.into())
}

pub(crate) fn unchanged(key: &str, revision: u64) -> Check {
    Check::Unchanged(key.into(), Revision(revision))
}

pub(crate) fn commit(store: &Store, checks: &[Check], ops: &[Op]) -> Result<Outcome, StoreError> {
    wait(store.commit(&txn(checks, ops)))
}

/// Commits what has to succeed.
pub(crate) fn write(store: &Store, ops: &[Op]) -> Revision {
    match commit(store, &[], ops).unwrap() {
        Outcome::Committed(revision) => revision,
        other => panic!("{other:?}"),
    }
}

/// Waits until all that was committed is seen by watches.
pub(crate) fn fence(store: &Store) {
    wait(store.fence()).unwrap();
}

pub(crate) fn get(store: &Store, key: &str, at: At) -> Result<Option<Entry>, StoreError> {
    wait(store.get(key.as_bytes(), at))
}

/// What the key holds now, as text.
pub(crate) fn value(store: &Store, key: &str) -> Option<String> {
    let entry = get(store, key, At::Linearizable).unwrap()?;
    Some(String::from_utf8(entry.value).unwrap())
}

pub(crate) fn range(
    store: &Store,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    at: At,
) -> Result<Page, StoreError> {
    wait(store.range(prefix.as_bytes(), after.map(str::as_bytes), limit, at))
}

/// Rows as `key=value`.
pub(crate) fn texts(rows: &[Row]) -> Vec<String> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    rows.iter().map(|row| format!("{}={}", text(&row.key), text(&row.entry.value))).collect()
}

pub(crate) fn entry(value: &str, created: u64, modified: u64, version: u64) -> Entry {
    Entry { value: value.into(), created: Revision(created), modified: Revision(modified), version }
}
