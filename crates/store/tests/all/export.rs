//! All of a store at one revision, while it is written to, and a new store of it.

use crate::engines::*;
use crate::suite::fixtures::*;
use skerry_store::{At, Export, Exported, OpId, Outcome, Revision, Row, Settled, Store, StoreError};
use std::thread;
use tempfile::TempDir;

/// Everything that an export still has.
fn rest(export: &mut Export) -> Vec<Exported> {
    let mut all = Vec::new();
    while let Some(page) = export.page().unwrap() {
        assert!(!page.is_empty());
        all.extend(page);
    }
    assert_eq!(export.page(), Ok(None));
    all
}

fn entries(exported: &[Exported]) -> Vec<Row> {
    let row = |one: &Exported| match one {
        Exported::Entry(row) => Some(row.clone()),
        Exported::Op { .. } => None,
    };
    exported.iter().filter_map(row).collect()
}

/// All rows of a store, as lists have them.
fn listed(store: &Store) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.key.clone());
        let page = wait(store.range(b"", after.as_deref(), 1000, At::Linearizable)).unwrap();
        rows.extend(page.rows);
        if !page.more {
            return rows;
        }
    }
}

/// Several pages of rows, some of which were changed or are gone.
fn fill(store: &Store) {
    for group in 0..50 {
        let puts: Vec<_> =
            (0..50).map(|row| put(&format!("k/{group:02}/{row:02}"), &format!("{group} {row}"))).collect();
        write(store, &puts);
    }
    write(store, &[put("k/07/07", "changed"), delete("k/08/08")]);
    assert_eq!(wait(store.settle(OpId([0xee; 16]))), Ok(Settled::Aborted));
}

#[test]
fn an_export_is_of_one_revision() {
    // What is written while it is read is not in it: neither changed, new nor deleted keys, nor the op ids of that.
    for (engine, store, _kept) in engines() {
        fill(&store);
        let (before, revision) = (listed(&store), wait(store.fence()).unwrap());
        let mut export = wait(store.export(&root(1))).unwrap();
        assert_eq!(export.revision(), revision, "{engine}");
        let mut all = export.page().unwrap().unwrap();
        for group in 0..50 {
            write(&store, &[put(&format!("k/{group:02}/00"), "later"), delete(&format!("k/{group:02}/01"))]);
        }
        write(&store, &[put("z", "later")]);
        all.extend(rest(&mut export));
        assert_eq!(export.rows(), u64::try_from(all.len()).unwrap(), "{engine}");
        assert_eq!(entries(&all), before, "{engine}");
        let ops = all.iter().skip(before.len()).map(|one| match one {
            Exported::Op { revision, settled, .. } => (*revision, *settled),
            Exported::Entry(row) => panic!("{row:?}"),
        });
        let expected = (1..=51).map(|at| (Revision(at), Settled::Committed(Revision(at))));
        assert!(ops.eq(expected.chain([(Revision(52), Settled::Aborted)])), "{engine}");
    }
}

#[test]
fn an_export_holds_while_others_write() {
    // Writers on other threads change two keys together, thousands of times: an export never sees them apart.
    for (engine, store, _kept) in quick_engines() {
        write(&store, &[put("a", "0"), put("b", "0")]);
        thread::scope(|scope| {
            for worker in 0..2 {
                let store = store.clone();
                scope.spawn(move || {
                    for round in 0..500 {
                        let text = format!("{worker} {round}");
                        write(&store, &[put("a", &text), put("b", &text)]);
                    }
                });
            }
            for _ in 0..50 {
                let mut export = wait(store.export(&root(1))).unwrap();
                let rows = entries(&rest(&mut export));
                assert_eq!(rows[0].entry.value, rows[1].entry.value, "{engine}");
                let newest = rows.iter().map(|row| row.entry.modified).max();
                assert_eq!(newest, Some(export.revision()), "{engine}");
            }
        });
    }
}

#[test]
fn a_store_of_an_export_is_the_same_store() {
    // Rows, revisions, what was decided under op ids, and under another root as well: it opens, and goes on where that one was.
    for (engine, store, _kept) in engines() {
        let done = txn(&[], &[put("first", "1")]);
        assert_eq!(wait(store.commit(&done)), Ok(Outcome::Committed(Revision(1))));
        fill(&store);
        let (dir, mut export) = (TempDir::new().unwrap(), wait(store.export(&root(1))).unwrap());
        let mut import = Store::import(&file(&dir), &root(2)).unwrap();
        while let Some(page) = export.page().unwrap() {
            import.put(&page).unwrap();
        }
        assert_eq!(import.finish(), Ok(export.revision()), "{engine}");
        let copy = Store::open(&file(&dir), &root(2), options()).unwrap();
        assert_eq!(listed(&copy), listed(&store), "{engine}");
        let [one, other] = [(&store, root(1)), (&copy, root(2))].map(|(store, root)| {
            let mut export = wait(store.export(&root)).unwrap();
            rest(&mut export)
        });
        assert_eq!(one, other, "{engine}");
        assert_eq!(wait(copy.commit(&done)), Ok(Outcome::Conflict(done.op.key())), "{engine}");
        assert_eq!(wait(copy.settle(OpId([0xee; 16]))), Ok(Settled::Aborted), "{engine}");
        assert_eq!(write(&copy, &[put("next", "")]), Revision(export.revision().0 + 1), "{engine}");
    }
}

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
