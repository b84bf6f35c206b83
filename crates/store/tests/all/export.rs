//! A new store of what an export gave: half of one is none, and what is not in order is refused.

use crate::engines::*;
use crate::suite::export::fill;
use crate::suite::fixtures::*;
use skerry_store::{Exported, OpId, Revision, Row, Settled, Store, StoreError};
use tempfile::TempDir;

#[test]
fn half_an_import_is_no_store() {
    // As a crash would leave it, before anything was finished. And nothing is written over.
    let (dir, store) = (TempDir::new().unwrap(), Store::memory());
    fill(&store);
    let page = wait(store.export(&root(1))).unwrap().page().unwrap().unwrap();
    let mut import = Store::import(&file(&dir), &root(1)).unwrap();
    import.put(&page).unwrap();
    assert_eq!(Store::import(&file(&dir), &root(1)).err(), Some(StoreError::Exists));
    drop(import);
    assert_eq!(Store::open(&file(&dir), &root(1), options()).err(), Some(StoreError::NotAStore));
}

#[test]
fn imports_take_rows_in_order_only() {
    // A row twice, an earlier one, an entry after an op id, an op id again, and keys that no store has.
    let row = |key: &str| Exported::Entry(Row { key: key.into(), entry: entry("", 1, 1, 1) });
    let op = |revision| Exported::Op {
        revision: Revision(revision),
        op: OpId([1; 16]),
        settled: Settled::Committed(Revision(revision)),
    };
    let disorder = || StoreError::Damaged { detail: "rows are not in the order of an export".to_owned() };
    for (rows, refused) in [
        (vec![row("b"), row("b")], disorder()),
        (vec![row("b"), row("a")], disorder()),
        (vec![row("b"), op(1), row("c")], disorder()),
        (vec![op(2), op(2)], disorder()),
        (vec![op(0)], disorder()),
        (vec![row("")], StoreError::KeyLength { len: 0 }),
        (vec![row("op/x")], StoreError::KeyReserved { key: b"op/x".to_vec() }),
    ] {
        let dir = TempDir::new().unwrap();
        let mut import = Store::import(&file(&dir), &root(1)).unwrap();
        assert_eq!(import.put(&rows), Err(refused), "{rows:?}");
    }
}
