//! A store in a file: made, opened, held, closed.

use crate::engines::*;
use crate::raw::Content;
use crate::suite::fixtures::*;
use redb::{Database, TableDefinition};
use skerry_store::{At, Outcome, Revision, Settled, Store, StoreError};
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, &root(1), options())
}

/// Why the file does not open.
fn refusal(path: &Path) -> Option<StoreError> {
    open(path).err()
}

#[test]
fn everything_is_there_after_reopening() {
    // Entries with their revisions, op ids, and the revision itself; the history alone begins anew.
    let dir = TempDir::new().unwrap();
    let store = Store::create(&file(&dir), &root(1), options()).unwrap();
    let (done, lost) = (txn(&[], &[put("a", "1"), put("b", "1")]), op());
    assert_eq!(wait(store.commit(&done)), Ok(Outcome::Committed(Revision(1))));
    write(&store, &[put("a", "2"), delete("b")]);
    assert_eq!(wait(store.settle(lost)), Ok(Settled::Aborted));
    drop(store);

    let store = open(&file(&dir)).unwrap();
    assert_eq!(wait(store.fence()), Ok(Revision(3)));
    assert_eq!(get(&store, "a", At::Linearizable), Ok(Some(entry("2", 1, 2, 2))));
    assert_eq!(get(&store, "a", At::Snapshot(Revision(3))), Ok(Some(entry("2", 1, 2, 2))));
    assert_eq!(value(&store, "b"), None);
    assert_eq!(wait(store.commit(&done)), Ok(Outcome::Conflict(done.op.key())));
    assert_eq!(wait(store.settle(done.op)), Ok(Settled::Committed(Revision(1))));
    assert_eq!(wait(store.settle(lost)), Ok(Settled::Aborted));
    let compacted = StoreError::Compacted { asked: Revision(2), oldest: Revision(3) };
    assert_eq!(get(&store, "a", At::Snapshot(Revision(2))), Err(compacted.clone()));
    assert_eq!(store.watch(b"", Revision(2)).err(), Some(compacted));
    assert_eq!(write(&store, &[put("c", "")]), Revision(4));
}

#[test]
fn empty_store_reopens_empty() {
    // Nothing was ever committed.
    let dir = TempDir::new().unwrap();
    drop(Store::create(&file(&dir), &root(1), options()).unwrap());
    assert_eq!(wait(open(&file(&dir)).unwrap().fence()), Ok(Revision(0)));
}

#[test]
fn held_store_is_refused_to_others() {
    // In this process as in another, and free again when the last handle is gone. The other is this test with a file named.
    if let Some(held) = std::env::var_os(STORE) {
        assert_eq!(refusal(Path::new(&held)), Some(StoreError::Locked));
        return;
    }
    let dir = TempDir::new().unwrap();
    let store = Store::create(&file(&dir), &root(1), options()).unwrap();
    let other = store.clone();
    drop(store);
    assert_eq!(refusal(&file(&dir)), Some(StoreError::Locked));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "file::held_store_is_refused_to_others"]).env(STORE, file(&dir));
    assert!(child.output().unwrap().status.success());
    drop(other);
    assert_eq!(refusal(&file(&dir)), None);
    assert!(!child.output().unwrap().status.success());
}

#[test]
fn watch_does_not_hold_the_file() {
    // Only handles of the store do.
    let dir = TempDir::new().unwrap();
    let store = Store::create(&file(&dir), &root(1), options()).unwrap();
    let watch = store.watch(b"", Revision(0)).unwrap();
    drop(store);
    assert_eq!(refusal(&file(&dir)), None);
    drop(watch);
}

#[test]
fn missing_file_is_refused() {
    // Opening makes nothing.
    let dir = TempDir::new().unwrap();
    assert_eq!(refusal(&file(&dir)), Some(StoreError::Missing));
    assert!(!file(&dir).exists());
}

#[test]
fn existing_file_is_not_made_anew() {
    // Whatever it is, it is left as it is.
    let dir = TempDir::new().unwrap();
    fs::write(file(&dir), "mine").unwrap();
    assert_eq!(Store::create(&file(&dir), &root(1), options()).err(), Some(StoreError::Exists));
    assert_eq!(fs::read(file(&dir)).unwrap(), b"mine");
}

#[test]
fn a_file_is_whole_or_not_there() {
    // What a crash leaves while a store is made has another name, and the next attempt begins anew, iff nobody is at it.
    let dir = TempDir::new().unwrap();
    let beside = dir.path().join("store.redb.making");
    assert_eq!(file(&dir), dir.path().join("store.redb"));
    fs::write(&beside, "half a file").unwrap();
    let held = fs::File::open(&beside).unwrap();
    held.lock().unwrap();
    assert_eq!(Store::create(&file(&dir), &root(1), options()).err(), Some(StoreError::Locked));
    assert_eq!(fs::read(&beside).unwrap(), b"half a file");
    drop(held);
    drop(Store::create(&file(&dir), &root(1), options()).unwrap());
    assert!(!beside.exists());
    assert_eq!(refusal(&file(&dir)), None);
}

#[test]
fn files_of_others_are_refused() {
    // Empty, short, text, zeros, and a redb file of another program.
    let dir = TempDir::new().unwrap();
    let zeros = vec![0; 100_000];
    for octets in [b"".as_slice(), b"x", b"redb", "text\n".repeat(10_000).as_bytes(), &zeros] {
        fs::write(file(&dir), octets).unwrap();
        assert_eq!(refusal(&file(&dir)), Some(StoreError::NotAStore), "{} octets", octets.len());
        assert_eq!(fs::read(file(&dir)).unwrap(), octets);
    }
    fs::remove_file(file(&dir)).unwrap();
    drop(Database::create(file(&dir)).unwrap());
    assert_eq!(refusal(&file(&dir)), Some(StoreError::NotAStore));
    // Also one whose table of that name is another.
    edit(&file(&dir), |database| insert(database, TableDefinition::<u64, u64>::new("meta"), 1, 1));
    assert_eq!(refusal(&file(&dir)), Some(StoreError::NotAStore));
}

#[test]
fn unknown_format_is_refused() {
    // A later version may have changed what the tables mean; the first had no sum.
    let dir = TempDir::new().unwrap();
    drop(Store::create(&file(&dir), &root(1), options()).unwrap());
    for format in [0, 1, 3] {
        edit(&file(&dir), |database| insert(database, TableDefinition::<&str, u64>::new("meta"), "format", format));
        assert_eq!(refusal(&file(&dir)), Some(StoreError::UnknownFormat { format }));
    }
}

#[test]
fn rows_that_are_no_rows_are_damage() {
    // Under a sum of their own, as only a fault of ours would write them: an entry without its head, an op id of no
    // known state.
    let dir = TempDir::new().unwrap();
    drop(Store::create(&file(&dir), &root(1), options()).unwrap());
    let rewrite = |edit: &dyn Fn(&mut Content)| {
        let database = Database::open(file(&dir)).unwrap();
        let mut content = Content::read(&database);
        edit(&mut content);
        Content { sum: Some(content.summed(&root(1))), ..content }.write(&database);
    };
    rewrite(&|content| content.entries.extend([(b"a".to_vec(), vec![0; 23])]));
    let damaged = |detail: &str| StoreError::Damaged { detail: detail.to_owned() };
    let store = open(&file(&dir)).unwrap();
    assert_eq!(get(&store, "a", At::Linearizable), Err(damaged("entry of 23 octets")));
    assert_eq!(range(&store, "", None, 1, At::Linearizable), Err(damaged("entry of 23 octets")));
    drop(store);
    rewrite(&|content| content.ops.extend([(5, [3; 17])]));
    assert_eq!(refusal(&file(&dir)), Some(damaged("state 3 of op at revision 5")));
}

#[test]
fn folder_is_no_store() {
    // The operating system's refusals are passed on.
    let dir = TempDir::new().unwrap();
    assert!(matches!(refusal(dir.path()), Some(StoreError::Io { .. })));
    let nowhere = dir.path().join("none").join("store.redb");
    assert!(matches!(Store::create(&nowhere, &root(1), options()).err(), Some(StoreError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn file_is_its_owner_s() {
    // Keys show what there is, even though values are sealed.
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    drop(Store::create(&file(&dir), &root(1), options()).unwrap());
    assert_eq!(fs::metadata(file(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn cut_file_is_damaged() {
    // Whatever was cut off.
    let dir = TempDir::new().unwrap();
    let store = Store::create(&file(&dir), &root(1), options()).unwrap();
    write(&store, &[put("a", &"x".repeat(100_000))]);
    drop(store);
    let whole = fs::read(file(&dir)).unwrap();
    for len in [whole.len() - 1, whole.len() / 2, 4096, 512] {
        fs::write(file(&dir), &whole).unwrap();
        OpenOptions::new().write(true).open(file(&dir)).unwrap().set_len(u64::try_from(len).unwrap()).unwrap();
        assert!(matches!(refusal(&file(&dir)), Some(StoreError::Damaged { .. })), "{len}");
    }
}

/// Changes a file behind the store's back.
fn edit(path: &Path, edit: impl FnOnce(&Database)) {
    edit(&Database::open(path).unwrap());
}

fn insert<K: redb::Key, V: redb::Value>(
    database: &Database,
    table: TableDefinition<K, V>,
    key: K::SelfType<'_>,
    value: V::SelfType<'_>,
) {
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

/// Tells the other process which file.
const STORE: &str = "SKERRY_TEST_STORE";
