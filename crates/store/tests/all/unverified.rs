//! A store that is read while its rows are checked: what waits for the check, and what a check that fails ends.

use crate::disk::Disk;
use crate::engines::*;
use crate::raw::Content;
use crate::suite::fixtures::*;
use redb::{Database, StorageBackend};
use skerry_store::{At, Options, Outcome, Revision, Settled, Store, StoreError};
use std::io;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// A disk from which the thread that checks reads nothing until it may.
#[derive(Clone, Debug)]
struct Held(Disk, Arc<Mutex<Receiver<()>>>);

impl Held {
    /// The disk, and what lets the check pass when it is dropped.
    fn new(disk: &Disk) -> (Self, Sender<()>) {
        let (go, gate) = channel();
        (Self(disk.clone(), Arc::new(Mutex::new(gate))), go)
    }
}

impl StorageBackend for Held {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if thread::current().name() == Some("store") {
            // Nothing is ever sent.
            let _ = self.1.lock().unwrap().recv();
        }
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

const ROWS: usize = 200;

/// A closed store of rows that are more than redb keeps at hand.
fn written() -> Disk {
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    let ops: Vec<_> = (0..ROWS / 2).map(|number| put(&format!("key/{number:03}"), &"x".repeat(200))).collect();
    write(&store, &ops);
    write(&store, &[put("policy", "loose")]);
    write(&store, &[put("policy", "strict")]);
    let ops: Vec<_> = (ROWS / 2..ROWS).map(|number| put(&format!("key/{number:03}"), &"x".repeat(200))).collect();
    write(&store, &ops);
    disk
}

fn without_cache(on_failure: impl FnOnce(StoreError) + Send + 'static) -> Options {
    let mut options = Options::new(on_failure);
    options.cache_len = 0;
    options
}

fn never(failure: StoreError) {
    panic!("store failed: {failure}");
}

/// What is in a copy of the file.
fn content(disk: &Disk) -> Content {
    let copy = Disk::holding(disk.durable());
    Content::read(&Database::builder().create_with_backend(copy).unwrap())
}

/// The file with one row put back to what it was.
fn put_back(disk: &Disk) {
    let database = Database::builder().create_with_backend(disk.clone()).unwrap();
    let mut content = Content::read(&database);
    let row = content.entries.get_mut(b"policy".as_slice()).unwrap();
    row.splice(24.., *b"loose");
    content.write(&database);
}

#[test]
fn reads_do_not_wait_and_changes_do() {
    // While the check is held back: gets, pages, fences and watches are answered, commits and settling are not.
    let disk = written();
    let (held, go) = Held::new(&disk);
    let store = Store::open_unverified_on(held, &root(1), without_cache(never)).unwrap();
    assert_eq!(value(&store, "policy").as_deref(), Some("strict"));
    let page = range(&store, "key/", None, ROWS, At::Linearizable).unwrap();
    assert_eq!((page.rows.len(), page.revision), (ROWS, Revision(4)));
    assert_eq!(wait(store.fence()), Ok(Revision(4)));
    assert!(store.watch(b"key/", Revision(4)).is_ok());
    let change = txn(&[present("policy")], &[put("policy", "stricter")]);
    let (mut verified, mut commit) = (pin!(store.verified()), pin!(store.commit(&change)));
    let mut settle = pin!(store.settle(op()));
    begin(verified.as_mut());
    begin(commit.as_mut());
    begin(settle.as_mut());
    assert_eq!(value(&store, "policy").as_deref(), Some("strict"));
    assert!(is_pending(verified.as_mut()) && is_pending(commit.as_mut()) && is_pending(settle.as_mut()));
    drop(go);
    assert_eq!(wait(verified), Ok(()));
    assert_eq!(wait(commit), Ok(Outcome::Committed(Revision(5))));
    assert_eq!(wait(settle), Ok(Settled::Aborted));
    assert_eq!(wait(store.verified()), Ok(()));
    assert_eq!(value(&store, "policy").as_deref(), Some("stricter"));
}

#[test]
fn what_was_committed_then_opens() {
    // The sum goes on from the one that was checked, and op ids are remembered from before.
    let disk = written();
    let early = txn(&[], &[put("a", "1")]);
    let store = Store::open_on(disk.clone(), &root(1), options()).unwrap();
    assert_eq!(wait(store.commit(&early)), Ok(Outcome::Committed(Revision(5))));
    drop(store);
    for number in 6..9 {
        let store = Store::open_unverified_on(disk.clone(), &root(1), options()).unwrap();
        assert!(matches!(wait(store.commit(&early)), Ok(Outcome::Conflict(_))));
        assert_eq!(wait(store.settle(early.op)), Ok(Settled::Committed(Revision(5))));
        assert_eq!(write(&store, &[put("a", &number.to_string())]), Revision(number));
    }
    assert!(Store::open_on(disk, &root(1), options()).is_ok());
}

#[test]
fn altered_rows_end_the_store() {
    // A row that was put back is read until then, which is the limit of it; nothing is ever committed beside it, who waits
    // is refused, and the process is told once.
    let disk = written();
    put_back(&disk);
    let (held, go) = Held::new(&disk);
    let (called, calls) = channel();
    let options = without_cache(move |failure| called.send(failure).unwrap());
    let store = Store::open_unverified_on(held, &root(1), options).unwrap();
    assert_eq!(value(&store, "policy").as_deref(), Some("loose"));
    let change = txn(&[], &[put("policy", "mine")]);
    let (mut verified, mut commit) = (pin!(store.verified()), pin!(store.commit(&change)));
    let mut settle = pin!(store.settle(op()));
    begin(verified.as_mut());
    begin(commit.as_mut());
    begin(settle.as_mut());
    let before = content(&disk);
    drop(go);
    assert_eq!(wait(verified), Err(StoreError::Altered));
    assert_eq!(calls.recv(), Ok(StoreError::Altered));
    assert_eq!(wait(commit), Err(StoreError::Failed));
    assert_eq!(wait(settle), Err(StoreError::Failed));
    assert_eq!(wait(store.verified()), Err(StoreError::Altered));
    assert_eq!(get(&store, "policy", At::Linearizable), Err(StoreError::Failed));
    assert_eq!(wait(store.fence()), Err(StoreError::Failed));
    assert_eq!(wait(store.commit(&change)), Err(StoreError::Failed));
    assert!(content(&disk) == before, "nothing was committed");
    assert!(calls.recv().is_err(), "told once");
    let copy = Disk::holding(disk.durable());
    assert_eq!(Store::open_on(copy, &root(1), Options::new(drop)).err(), Some(StoreError::Altered));
}

#[test]
fn what_shows_at_once_is_refused_at_once() {
    // Another root, no sum, and what is no store: nobody reads anything.
    let disk = written();
    let opened = |root_octet| Store::open_unverified_on(disk.clone(), &root(root_octet), Options::new(drop)).err();
    assert_eq!(opened(2), Some(StoreError::OtherRoot));
    let database = || Database::builder().create_with_backend(disk.clone()).unwrap();
    let content = Content::read(&database());
    Content { sum: None, ..content.clone() }.write(&database());
    assert_eq!(opened(1), Some(StoreError::SumMissing));
    content.write(&database());
    assert_eq!(opened(1), None, "the control");
    let empty = Store::open_unverified_on(Disk::new(), &root(1), Options::new(drop));
    assert_eq!(empty.err(), Some(StoreError::NotAStore));
}

#[test]
fn closing_does_not_wait_for_the_check() {
    // The check sees that nobody is left and stops; the file is free then.
    let dir = tempfile::TempDir::new().unwrap();
    let store = Store::create(&file(&dir), &root(1), options()).unwrap();
    let ops: Vec<_> = (0..100).map(|number| put(&format!("key/{number:03}"), "x")).collect();
    write(&store, &ops);
    drop(store);
    for _ in 0..20 {
        drop(Store::open_unverified(&file(&dir), &root(1), options()).unwrap());
    }
    let store = Store::open(&file(&dir), &root(1), options()).unwrap();
    assert_eq!(wait(store.verified()), Ok(()));
}

#[test]
fn new_stores_and_checked_ones_are_verified() {
    // At once: there is nothing that could be wrong with them.
    for (engine, store, _dir) in engines() {
        assert_eq!(wait(store.verified()), Ok(()), "{engine}");
    }
    let disk = written();
    assert_eq!(wait(Store::open_on(disk, &root(1), options()).unwrap().verified()), Ok(()));
}
