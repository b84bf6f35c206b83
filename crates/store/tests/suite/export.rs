//! All of a store at one revision, while it is written to, and a new store of it.

use super::fixtures::*;
use super::naive::Naive;
use crate::engines::*;
use skerry_store::{At, Export, Exported, Op, OpId, Outcome, Revision, Row, Settled, Store, Txn};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use tempfile::TempDir;

/// Everything that an export still has.
pub(crate) fn rest(export: &mut Export) -> Vec<Exported> {
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

fn ops(exported: &[Exported]) -> Vec<(Revision, OpId, Settled)> {
    let op = |one: &Exported| match one {
        Exported::Entry(_) => None,
        Exported::Op { revision, op, settled } => Some((*revision, *op, *settled)),
    };
    exported.iter().filter_map(op).collect()
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

/// Several pages of rows, some of which were changed or are gone. The revisions of its commits.
pub(crate) fn fill(store: &Store) -> Vec<Revision> {
    let mut revisions = Vec::new();
    for group in 0..50 {
        let puts: Vec<_> =
            (0..50).map(|row| put(&format!("k/{group:02}/{row:02}"), &format!("{group} {row}"))).collect();
        revisions.push(write(store, &puts));
    }
    revisions.push(write(store, &[put("k/07/07", "changed"), delete("k/08/08")]));
    assert_eq!(wait(store.settle(OpId([0xee; 16]))), Ok(Settled::Aborted));
    revisions
}

pub(crate) fn exports_are_of_one_revision() {
    // What is written while it is read is not in it: neither changed, new nor deleted keys, nor the op ids of that.
    for (engine, store, _kept) in engines() {
        let filled = fill(&store);
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
        let found = ops(&all).into_iter().map(|(revision, _, settled)| (revision, settled));
        let expected = filled.into_iter().map(|at| (at, Settled::Committed(at)));
        assert!(found.eq(expected.chain([(revision, Settled::Aborted)])), "{engine}");
    }
}

pub(crate) fn exports_of_nothing_are_empty() {
    // A store that was just made has no revision yet.
    for (engine, store, _kept) in quick_engines() {
        let mut export = wait(store.export(&root(1))).unwrap();
        assert_eq!((export.revision(), export.rows()), (Revision(0), 0), "{engine}");
        assert_eq!(export.page(), Ok(None), "{engine}");
    }
}

pub(crate) fn exports_are_what_was_committed() {
    // Writers put, delete and settle at random the whole time, of keys that they share. Each export is what a naive model has that
    // did the same in the order of the revisions: rows with all their numbers, and what was decided under each op id.
    for (engine, store, _kept) in quick_engines() {
        let done: Mutex<BTreeMap<Revision, Txn>> = Mutex::default();
        let exports = thread::scope(|scope| {
            let writers: Vec<_> = (0..3_u64)
                .map(|worker| {
                    let (store, done) = (store.clone(), &done);
                    scope.spawn(move || {
                        for round in 0..150 {
                            let at = |part: u64| (worker + 1) * (round + part) * 7 % 11;
                            let change = |part| match at(part) % 4 {
                                0 => delete(&format!("k{part}/{}", at(part))),
                                _ => put(&format!("k{part}/{}", at(part)), &format!("{worker} {round}")),
                            };
                            let txn = txn(&[], &[change(0), change(1)]);
                            let Outcome::Committed(revision) = wait(store.commit(&txn)).unwrap() else { panic!() };
                            done.lock().unwrap().insert(revision, txn);
                        }
                    })
                })
                .collect();
            let mut exports = Vec::new();
            while exports.len() < 5 || !writers.iter().all(|writer| writer.is_finished()) {
                let mut export = wait(store.export(&root(1))).unwrap();
                exports.push((export.revision(), rest(&mut export)));
            }
            exports
        });
        let done = done.into_inner().unwrap();
        for (revision, all) in exports {
            let (rows, decided) = replayed(&done, revision);
            assert_eq!(entries(&all), rows, "{engine} at {revision}");
            assert_eq!(ops(&all), decided, "{engine} at {revision}");
        }
    }
}

/// What there is after the transactions up to a revision.
fn replayed(done: &BTreeMap<Revision, Txn>, to: Revision) -> (Vec<Row>, Vec<(Revision, OpId, Settled)>) {
    let (mut naive, mut revisions) = (Naive::new(), vec![Revision(0)]);
    for (revision, txn) in done.range(..=to) {
        let Outcome::Committed(number) = naive.commit(txn) else { panic!("{txn:?}") };
        revisions.push(*revision);
        assert_eq!(usize::try_from(number.0).unwrap(), revisions.len() - 1);
    }
    // The model counts commits; the engine's revisions may have gaps.
    let theirs = |number: Revision| revisions[usize::try_from(number.0).unwrap()];
    let mut rows = naive.rows();
    for row in &mut rows {
        (row.entry.created, row.entry.modified) = (theirs(row.entry.created), theirs(row.entry.modified));
    }
    let ops = done.range(..=to).map(|(revision, txn)| (*revision, txn.op, Settled::Committed(*revision)));
    (rows, ops.collect())
}

pub(crate) fn exports_hold_while_others_write() {
    // Writers on other threads change two keys together, hundreds of times: an export never sees them apart.
    for (engine, store, _kept) in quick_engines() {
        write(&store, &[put("a", "0"), put("b", "0")]);
        thread::scope(|scope| {
            for worker in 0..2 {
                let store = store.clone();
                scope.spawn(move || {
                    for round in 0..300 {
                        let text = format!("{worker} {round}");
                        write(&store, &[put("a", &text), put("b", &text)]);
                    }
                });
            }
            for _ in 0..30 {
                let mut export = wait(store.export(&root(1))).unwrap();
                let rows = entries(&rest(&mut export));
                assert_eq!(rows[0].entry.value, rows[1].entry.value, "{engine}");
                let newest = rows.iter().map(|row| row.entry.modified).max();
                assert_eq!(newest, Some(export.revision()), "{engine}");
            }
        });
    }
}

pub(crate) fn stores_of_an_export_are_the_same_store() {
    // Rows, revisions, what was decided under op ids, and under another root as well: it opens, and goes on where that one was.
    for (engine, store, _kept) in engines() {
        let done = txn(&[], &[put("first", "1")]);
        assert_eq!(wait(store.commit(&done)), Ok(Outcome::Committed(Revision(1))));
        fill(&store);
        let (dir, mut export) = (TempDir::new().unwrap(), wait(store.export(&root(1))).unwrap());
        let file = dir.path().join("copy.redb");
        let mut import = Store::import(&file, &root(2)).unwrap();
        while let Some(page) = export.page().unwrap() {
            import.put(&page).unwrap();
        }
        assert_eq!(import.finish(), Ok(export.revision()), "{engine}");
        let copy = Store::open(&file, &root(2), skerry_store::Options::new(|failure| panic!("{failure}"))).unwrap();
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

pub(crate) fn exports_of_long_values_come_in_pages() {
    // None is so long that it fills memory, and each has a row at least.
    for (engine, store, _kept) in quick_engines() {
        let value = vec![7; skerry_store::limits::VALUE_LEN_MAX];
        for number in 0..12 {
            let key = format!("long{number:02}").into_bytes();
            let txn = txn(&[], &[Op::Put(key, value.clone())]);
            assert!(matches!(wait(store.commit(&txn)), Ok(Outcome::Committed(_))), "{engine}");
        }
        let mut export = wait(store.export(&root(1))).unwrap();
        let first = export.page().unwrap().unwrap();
        assert!(!first.is_empty() && first.len() < 12, "{engine}: {}", first.len());
        assert_eq!(entries(&first).len() + entries(&rest(&mut export)).len(), 12, "{engine}");
    }
}
