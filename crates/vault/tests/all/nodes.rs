//! Several servers of one installation: each with a log of its own, which the store remembers under its name.

use std::path::Path;

use skerry_audit::{AuditError, HistoryError};
use skerry_store::stamp::Kind;
use skerry_store::{At, Store};
use skerry_vault::stored::Corrupted;
use skerry_vault::{Installation, InstallationError, Node, NodeName, Opened, Refusal};
use tempfile::TempDir;

use crate::database::{put, row};
use crate::support::*;

mod clocks;
mod roll;

fn named(name: &str) -> Node {
    Node::Named(NodeName::parse(name).unwrap())
}

fn open(node: &Node, store: &Store, folder: &Path) -> Result<(Installation, Opened), InstallationError> {
    let log = (folder, skerry_audit::Limits::default());
    wait(Installation::open_as(node, (store.clone(), root(), Kind::Serve), log, at(NOW), &randomness))
}

fn tick(installation: &Installation, now: u64) {
    wait(installation.tick(at(now), &randomness)).unwrap();
}

fn refused(node: &Node, store: &Store, folder: &Path) -> InstallationError {
    open(node, store, folder).map(drop).unwrap_err()
}

/// Keys of the memories in a store.
fn memories(store: &Store) -> Vec<String> {
    let page = wait(store.range(b"meta/memory", None, 100, At::Linearizable)).unwrap();
    page.rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect()
}

/// A store with nodes a and b, each with its folder; both are closed.
fn two() -> (Store, [TempDir; 2]) {
    let (store, folders) = (Store::memory(), [TempDir::new().unwrap(), TempDir::new().unwrap()]);
    for (name, folder) in ["a", "b"].iter().zip(&folders) {
        tick(&open(&named(name), &store, folder.path()).unwrap().0, NOW);
    }
    (store, folders)
}

/// Nodes come and go by themselves: what one writes takes nothing from what the store knows of the other.
#[test]
fn each_node_has_a_memory_of_its_own() {
    let (store, folders) = two();
    assert_eq!(memories(&store), ["meta/memory/a", "meta/memory/b"]);
    let (a, opened) = open(&named("a"), &store, folders[0].path()).unwrap();
    let (b, _) = open(&named("b"), &store, folders[1].path()).unwrap();
    assert_eq!(opened, Opened::default());
    assert!(a.is_remembered() && b.is_remembered());
    assert_ne!(a.log().head().unwrap().log, b.log().head().unwrap().log);
    for _ in 0..3 {
        tick(&a, NOW);
    }
    let stamp = |node: &Node, folder: &TempDir| {
        wait(Installation::verify(node, (&store, &root(), Kind::Serve), folder.path()))
            .map(|report| report.head.records)
    };
    assert_eq!(stamp(&named("b"), &folders[1]), Ok(2));
    assert!(matches!(stamp(&named("a"), &folders[1]), Err(InstallationError::Audit(AuditError::OtherLog))));
}

/// A node that lost its log, or that came with another's, is refused under its name; an empty folder is good for a new one.
#[test]
fn node_without_its_log_is_refused() {
    let (store, folders) = two();
    let empty = TempDir::new().unwrap();
    assert_eq!(refused(&named("a"), &store, empty.path()), InstallationError::LogMissing { records: 1 });
    let swapped = refused(&named("a"), &store, folders[1].path());
    assert!(matches!(swapped, InstallationError::History(HistoryError::Audit(AuditError::OtherLog))), "{swapped}");
    assert!(open(&named("c"), &store, empty.path()).is_ok());
}

/// Who takes the installation for its own must have been one of its nodes.
#[test]
fn store_of_nodes_is_not_opened_alone() {
    let (store, folders) = two();
    let empty = TempDir::new().unwrap();
    assert_eq!(refused(&Node::Only, &store, empty.path()), InstallationError::OfNodes);
    let foreign = TempDir::new().unwrap();
    drop(open(&Node::Only, &Store::memory(), foreign.path()).unwrap());
    assert_eq!(refused(&Node::Only, &store, foreign.path()), InstallationError::OfNodes);
    assert!(open(&Node::Only, &store, folders[0].path()).is_ok(), "the control");
}

/// A server that was alone becomes a node, and is alone again: its log goes on, and the store knows it by one name.
#[test]
fn server_takes_another_name() {
    let (store, folder) = (Store::memory(), TempDir::new().unwrap());
    let (alone, _) = open(&Node::Only, &store, folder.path()).unwrap();
    tick(&alone, NOW);
    let log = alone.log().head().unwrap().log;
    drop(alone);
    for (node, place) in [(named("a"), "meta/memory/a"), (named("b"), "meta/memory/b"), (Node::Only, "meta/memory")] {
        let (renamed, _) = open(&node, &store, folder.path()).unwrap();
        assert!(renamed.is_remembered());
        assert_eq!(renamed.log().head().unwrap().log, log);
        tick(&renamed, NOW);
        tick(&renamed, NOW);
        drop(renamed);
        assert_eq!(memories(&store), [place]);
    }
    let records = skerry_audit::read(folder.path()).unwrap().count();
    std::fs::write(folder.path().join("audit.log"), &std::fs::read(folder.path().join("audit.log")).unwrap()[..60])
        .unwrap();
    assert!(records > 1);
    let cut = refused(&named("c"), &store, folder.path());
    assert!(matches!(cut, InstallationError::Audit(_) | InstallationError::History(_)), "{cut}");
}

/// Attack 61: while the clocks of two nodes are apart the one that is behind releases nothing: a token that is over for the
/// other must not be good for it. It releases again when the other's was set right.
#[test]
fn clock_behind_another_node_closes_release() {
    let (store, folders) = two();
    let (ahead, _) = open(&named("a"), &store, folders[0].path()).unwrap();
    tick(&ahead, NOW + 1_000);
    let [_, folder] = folders;
    let scene = Setup { store, node: named("b"), ..Setup::default() }.try_in(folder).unwrap();
    scene.create(KEY, EC);
    let behind = Refusal::ClockBehind { now: NOW, seen: NOW + 1_000 };
    assert_eq!(scene.release(&good_token()), Err(behind.clone()));
    tick(&scene.installation, NOW);
    assert_eq!(scene.release(&good_token()), Err(behind), "it does not spread, and does not go away either");
    tick(&scene.installation, NOW + 1_000);
    assert!(scene.release_at(&good_token(), NOW + 1_000).is_ok(), "the control");
}

/// Each node finds what the others show of their logs, and nothing of its own; a server that is alone shows nothing. What is shown is
/// sealed to its place: one that was edited, or that stands where another's was, does not open.
#[test]
fn nodes_show_each_other_their_logs() {
    let (store, folders) = two();
    let opened = |name: &str, at: usize| open(&named(name), &store, folders[at].path()).unwrap().0;
    let (a, b) = (opened("a", 0), opened("b", 1));
    for node in [&a, &b] {
        tick(node, NOW);
    }
    let shown = wait(b.shown_checkpoints()).unwrap();
    let [(name, note)] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!(name, "a");
    assert!(wait(b.witness(note, at(NOW))).unwrap().is_some());
    assert_eq!(wait(b.witness(note, at(NOW))), Ok(None), "it is on record");
    let place = |name: &str| [b"meta/tlog/", name.as_bytes()].concat();
    let kept = row(&store, &place("a"));
    for altered in [row(&store, &place("b")), [&kept[..kept.len() - 1], &[kept[kept.len() - 1] ^ 1]].concat()] {
        put(&store, &place("a"), &altered);
        let refused = wait(b.shown_checkpoints()).unwrap_err();
        assert!(matches!(refused, Refusal::Corrupted(Corrupted::Seal(_))), "{refused}");
    }
    put(&store, &place("a"), &kept);
    assert!(wait(b.shown_checkpoints()).is_ok(), "the control");
    let (alone, folder) = (Store::memory(), TempDir::new().unwrap());
    let (only, _) = open(&Node::Only, &alone, folder.path()).unwrap();
    tick(&only, NOW);
    assert_eq!(wait(only.shown_checkpoints()), Ok(Vec::new()));
}
