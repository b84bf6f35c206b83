//! Files that something else altered: an error, never a panic, never another content.

use crate::disk::Disk;
use crate::engines::*;
use crate::suite::fixtures::*;
use skerry_store::{At, Options, Outcome, Store, StoreError};

const ROWS: usize = 100;

/// A closed store, and its rows.
fn written() -> (Vec<u8>, Vec<String>) {
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    for number in 0..ROWS {
        write(&store, &[put(&format!("key/{number:03}"), &format!("{number}").repeat(150))]);
    }
    let rows = rows(&store).unwrap();
    drop(store);
    (disk.durable(), rows)
}

fn rows(store: &Store) -> Result<Vec<String>, StoreError> {
    Ok(texts(&range(store, "", None, ROWS, At::Linearizable)?.rows))
}

fn quiet() -> Options {
    Options::new(drop)
}

#[test]
fn altered_octet_is_found_when_opening() {
    // One octet in every 61, over the whole file: refused, or in what is not in use and then all is there.
    let (octets, rows_before) = written();
    let mut refused = 0;
    for position in (0..octets.len()).step_by(61) {
        let mut altered = octets.clone();
        altered[position] ^= 0x55;
        match Store::open_on(Disk::holding(altered), &root(1), quiet()) {
            Ok(store) => assert_eq!(rows(&store).unwrap(), rows_before, "octet {position}"),
            Err(StoreError::Damaged { .. } | StoreError::NotAStore | StoreError::UnknownEngineFormat { .. }) => {
                refused += 1;
            }
            Err(other) => panic!("octet {position}: {other:?}"),
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn file_altered_while_open_is_an_error() {
    // redb trusts an open file: it may panic on what it reads, and the caller is told that the store is damaged.
    let (octets, _) = written();
    let disk = Disk::holding(octets);
    let mut options = quiet();
    options.cache_len = 0;
    let store = Store::open_on(disk.clone(), &root(1), options).unwrap();
    disk.overwrite(4096, 0xff);
    let now = get(&store, "key/050", At::Linearizable);
    assert!(matches!(now, Err(StoreError::Damaged { .. })), "{now:?}");
    let page = rows(&store);
    assert!(matches!(page, Err(StoreError::Damaged { .. })), "{page:?}");
}

#[test]
fn damage_met_by_a_commit_closes_the_store() {
    // The writer cannot know what it would write upon.
    let (octets, _) = written();
    let disk = Disk::holding(octets);
    let (called, calls) = std::sync::mpsc::channel();
    let mut options = Options::new(move |failure| called.send(failure).unwrap());
    options.cache_len = 0;
    let store = Store::open_on(disk.clone(), &root(1), options).unwrap();
    disk.overwrite(4096, 0xff);
    assert_eq!(commit(&store, &[present("key/050")], &[put("key/051", "")]), Ok(Outcome::Unknown));
    assert!(matches!(calls.recv(), Ok(StoreError::Damaged { .. })));
    assert_eq!(wait(store.fence()), Err(StoreError::Failed));
}

#[test]
fn altered_header_is_refused() {
    // Each octet of the first sector, where redb keeps its roots: no panic, no other content.
    let (octets, rows_before) = written();
    for position in 0..512 {
        let mut altered = octets.clone();
        altered[position] ^= 0xff;
        if let Ok(store) = Store::open_on(Disk::holding(altered), &root(1), quiet()) {
            assert_eq!(rows(&store).unwrap(), rows_before, "octet {position}");
        }
    }
}
