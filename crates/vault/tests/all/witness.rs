//! What a node has seen of others and of the store, over a restart: from its log, and from the file beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use skerry_audit::{AuditError, Event, Verdict};
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{At, Op, OpId, Outcome, Store, Txn};
use skerry_tlog::{SignedCheckpoint, SigningKey};
use skerry_vault::{Installation, InstallationError, Node, NodeName, PutBack, Refusal, WitnessError, origin};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::database::{put, remove, row};
use crate::floor::{Between, Late};
use crate::support::*;

const SHOWN_BY_A: &[u8] = b"meta/tlog/a";
const MEMORY_OF_B: &[u8] = b"meta/memory/b";

fn named(name: &str) -> Node {
    Node::Named(NodeName::parse(name).unwrap())
}

fn open(name: &str, store: &Store, folder: &Path) -> Result<Installation, InstallationError> {
    let log = (folder, skerry_audit::Limits::default());
    wait(Installation::open_as(&named(name), (store.clone(), root(), Kind::Serve), log, at(NOW), &randomness))
        .map(|(installation, _)| installation)
}

fn verify(name: &str, store: &Store, folder: &Path) -> Result<(), InstallationError> {
    wait(Installation::verify(&named(name), (store, &root(), Kind::Serve), folder)).map(drop)
}

fn tick(installation: &Installation) {
    wait(installation.tick(at(NOW), &randomness)).unwrap();
}

/// As a server does each minute, and at its end.
fn witness(installation: &Installation) -> Vec<WitnessError> {
    let shown = wait(installation.shown_checkpoints()).unwrap();
    shown.iter().filter_map(|(_, note)| wait(installation.witness(note, at(NOW))).err()).collect()
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("witnessed")
}

/// Nodes a, which runs, and b, which has put the newest of a on record and has stopped orderly; and what the store showed of a before.
struct Two {
    store: Store,
    a: Installation,
    b: TempDir,
    early: Vec<u8>,
    sizes: (u64, u64),
    _folder: TempDir,
}

impl Two {
    fn new() -> Two {
        let (store, folders) = (Store::memory(), [TempDir::new().unwrap(), TempDir::new().unwrap()]);
        let [folder, b] = folders;
        let a = open("a", &store, folder.path()).unwrap();
        tick(&a);
        let early = row(&store, SHOWN_BY_A);
        let size = |a: &Installation| a.log().head().unwrap().records;
        let known = size(&a);
        a.count_refused(401);
        tick(&a);
        let two = Two { sizes: (known, size(&a)), store, a, b, early, _folder: folder };
        let b = two.open().unwrap();
        b.publish(two.b.path()).unwrap();
        assert_eq!(witness(&b), []);
        two.stop(&b);
        two
    }

    fn open(&self) -> Result<Installation, InstallationError> {
        open("b", &self.store, self.b.path())
    }

    /// What was witnessed is below the place where the next start begins to read then.
    fn stop(&self, b: &Installation) {
        tick(b);
        tick(b);
        b.stop();
    }

    fn origin(&self) -> String {
        origin(&self.a.log().head().unwrap().log)
    }

    fn shows_less(&self) -> PutBack {
        PutBack::OfAnother { origin: self.origin(), known: self.sizes.1, found: self.sizes.0 }
    }

    fn behind(&self) -> WitnessError {
        WitnessError::Behind { origin: self.origin(), known: self.sizes.1, found: self.sizes.0 }
    }
}

/// A store that shows less of another node than this one has on record was put back, though this node changed nothing: neither a
/// start nor `verify` passes it. With the newest in its place again both do.
#[test]
fn older_store_is_known_by_what_others_showed() {
    let two = Two::new();
    let late = row(&two.store, SHOWN_BY_A);
    put(&two.store, SHOWN_BY_A, &two.early);
    assert_eq!(two.open().err(), Some(InstallationError::PutBack(two.shows_less())));
    assert_eq!(verify("b", &two.store, two.b.path()), Err(InstallationError::PutBack(two.shows_less())));
    put(&two.store, SHOWN_BY_A, &late);
    assert!(two.open().is_ok() && verify("b", &two.store, two.b.path()).is_ok(), "the control");
    // A node that was taken from the store shows nothing, and that is not less.
    remove(&two.store, SHOWN_BY_A);
    assert!(two.open().is_ok());
}

/// A store that knows of less of this node's log than it had acknowledged was put back, or has lost it.
#[test]
fn older_store_is_known_by_what_it_knew_of_this_node() {
    let two = Two::new();
    let early = row(&two.store, MEMORY_OF_B);
    let known = two.open().unwrap().log().head().unwrap().records;
    let b = two.open().unwrap();
    b.publish(two.b.path()).unwrap();
    two.stop(&b);
    drop(b);
    let (late, found) = (row(&two.store, MEMORY_OF_B), known - 1);
    for (taken, found) in [(false, found), (true, 0)] {
        match taken {
            false => put(&two.store, MEMORY_OF_B, &early),
            true => remove(&two.store, MEMORY_OF_B),
        }
        let put_back = InstallationError::PutBack(PutBack::OfThisNode { known: known + 1, found });
        assert_eq!(two.open().err(), Some(put_back.clone()));
        assert_eq!(verify("b", &two.store, two.b.path()), Err(put_back));
    }
    put(&two.store, MEMORY_OF_B, &late);
    assert!(two.open().is_ok() && verify("b", &two.store, two.b.path()).is_ok(), "the control");
}

/// What is acknowledged to one tick counts from the next on: a commit that was under way beside it may have put an older memory in its
/// place. So a node that was killed is not refused for that.
#[test]
fn what_was_just_acknowledged_may_be_taken_back() {
    let two = Two::new();
    let b = two.open().unwrap();
    b.publish(two.b.path()).unwrap();
    let early = row(&two.store, MEMORY_OF_B);
    tick(&b);
    b.stop_publishing();
    drop(b);
    put(&two.store, MEMORY_OF_B, &early);
    assert!(two.open().is_ok());
}

/// A minute later it stands, also if the node is killed then.
#[test]
fn what_was_acknowledged_a_while_ago_stands() {
    let two = Two::new();
    let early = row(&two.store, MEMORY_OF_B);
    let b = two.open().unwrap();
    b.publish(two.b.path()).unwrap();
    let ticked = |after| {
        b.count_refused(401);
        wait(b.tick(at(NOW + after), &randomness)).unwrap();
        b.log().head().unwrap().records
    };
    let known = ticked(0);
    ticked(30);
    ticked(60);
    b.stop_publishing();
    drop(b);
    put(&two.store, MEMORY_OF_B, &early);
    let Some(InstallationError::PutBack(PutBack::OfThisNode { known: seen, .. })) = two.open().err() else {
        panic!("it was put back")
    };
    assert_eq!(seen, known);
}

/// A tick that comes late, after a newer one of the same node, does not put an older checkpoint in its place.
#[test]
fn late_ticks_change_nothing() {
    let (store, late, folder) = (Store::memory(), Arc::new(Late::default()), TempDir::new().unwrap());
    let between = Between { inner: Some(store.clone()), late: Arc::clone(&late), ..Between::default() };
    let a = open("a", &Store::on(between), folder.path()).unwrap();
    for first in [true, false] {
        late.next.store(true, Ordering::Relaxed);
        assert_eq!(wait(a.tick(at(NOW), &randomness)), Err(Refusal::Unsettled), "first: {first}");
        tick(&a);
        let txn = late.held.lock().unwrap().take().unwrap();
        assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(SHOWN_BY_A.to_vec())), "first: {first}");
    }
}

/// An older checkpoint of another node is refused by a node that was started since as by one that was not: it is told, counted, and
/// once on record with the note that its node has signed.
#[test]
fn rollback_is_told_over_a_restart() {
    let two = Two::new();
    let b = two.open().unwrap();
    put(&two.store, SHOWN_BY_A, &two.early);
    for times in 1..=3 {
        assert_eq!(witness(&b), [two.behind()]);
        assert_eq!(b.witnessed(), (1, times));
    }
    let shown = wait(b.shown_checkpoints()).unwrap().remove(0).1;
    let text = format!("{}\n{}", two.behind(), String::from_utf8(shown).unwrap());
    let refused: Vec<_> = skerry_audit::read(two.b.path())
        .unwrap()
        .map(|record| record.unwrap().entry().unwrap())
        .filter(|entry| entry.event == Event::Witnessed && entry.verdict == Verdict::Denied)
        .map(|entry| (entry.who, entry.explanation))
        .collect();
    assert_eq!(refused, [(two.origin(), text)]);
    // The next start does not take the refused one for a witnessed one.
    drop(b);
    assert_eq!(two.open().err(), Some(InstallationError::PutBack(two.shows_less())));
}

/// A second history of as many records is told over a restart too: its node signed it, so the store may be as it was, and a start is
/// not refused for it.
#[test]
fn fork_is_told_over_a_restart() {
    let two = Two::new();
    let id = two.a.log().head().unwrap().log;
    let seed = Root::new(Zeroizing::new(ROOT)).kek("audit log signature", &id).0;
    let key = SigningKey::from_seed(&two.origin(), &seed).unwrap();
    assert_eq!(key.public(), two.a.log_key(), "as it is derived");
    let other = SignedCheckpoint::sign(&key, two.sizes.1, [7; 32]);
    let sealer = root().sealer("skerry installation", &[0; 16]);
    let sealed = sealer.seal(SHOWN_BY_A, other.note().as_bytes(), &mut *randomness()).unwrap();
    put(&two.store, SHOWN_BY_A, &sealed);
    let b = two.open().unwrap();
    let forked = WitnessError::Forked { origin: two.origin(), records: two.sizes.1 };
    assert_eq!((witness(&b), b.witnessed()), (vec![forked], (1, 1)));
}

/// What was witnessed since the last tick is in what a start reads, so a node that was killed knows it without the file.
#[test]
fn killed_node_knows_from_its_log() {
    let two = Two::new();
    two.a.count_refused(401);
    tick(&two.a);
    let b = two.open().unwrap();
    assert_eq!(witness(&b), []);
    drop(b);
    std::fs::remove_file(file(&two.b)).unwrap();
    put(&two.store, SHOWN_BY_A, &two.early);
    let known = two.a.log().head().unwrap().records;
    let shows_less = PutBack::OfAnother { origin: two.origin(), known, found: two.sizes.0 };
    assert_eq!(two.open().err(), Some(InstallationError::PutBack(shows_less)));
}

/// Without the file a start knows what the end of the log says, since it reads no more; who reads all of it tells it the rest.
#[test]
fn lost_file_is_made_up_for_by_the_log() {
    let two = Two::new();
    std::fs::remove_file(file(&two.b)).unwrap();
    put(&two.store, SHOWN_BY_A, &two.early);
    assert_eq!(verify("b", &two.store, two.b.path()), Err(InstallationError::PutBack(two.shows_less())));
    let b = two.open().unwrap();
    assert_eq!(b.witnessed(), (0, 0), "what a bounded start costs");
    let visit = |record: &skerry_audit::Record| -> Result<(), AuditError> {
        if let Some(note) = skerry_audit::witnessed(record) {
            b.learn_witnessed(&note).unwrap();
        }
        Ok(())
    };
    skerry_audit::verify_visiting(two.b.path(), None, visit).unwrap();
    assert_eq!(witness(&b), [two.behind()]);
    b.publish(two.b.path()).unwrap();
    b.stop();
    assert!(file(&two.b).exists(), "it is made again");
}

/// A file that was cut, altered where a signature covers it, or is another log's is refused; it says nothing that is not signed but
/// how much the store knew.
#[test]
fn altered_files_are_refused() {
    let two = Two::new();
    let good = std::fs::read(file(&two.b)).unwrap();
    let refused = |octets: &[u8]| {
        std::fs::write(file(&two.b), octets).unwrap();
        two.open().err()
    };
    let form = Some(InstallationError::PutBack(PutBack::Form));
    for len in 0..good.len() {
        assert_eq!(refused(&good[..len]), form, "{len} octets");
    }
    assert_eq!(refused(&[good.as_slice(), b"\0"].concat()), form);
    // Array, format, log id; then how much the store knew of this node; then the notes.
    let notes = good.iter().rposition(|octet| *octet == 0x81).unwrap();
    for at in (0..19).chain(notes..good.len()) {
        let mut altered = good.clone();
        altered[at] ^= 1;
        assert_eq!(refused(&altered), form, "octet {at}");
    }
    assert_eq!(refused(&good), None, "the control");
}

/// A change that the log has as made, and that the store does not know, is found by `verify`, which changes nothing.
#[test]
fn verify_finds_a_store_behind_its_log() {
    let dir = TempDir::new().unwrap();
    let store = Store::memory();
    let scene = Setup { store: store.clone(), ..Setup::default() }.try_in(dir).unwrap();
    tick(&scene.installation);
    let (memory, stamp) = (row(&store, b"meta/memory"), row(&store, b"meta/stamp"));
    scene.create("new", EC);
    let folder = scene.into_folder();
    let verify =
        |store: &Store| wait(Installation::verify(&Node::Only, (store, &root(), Kind::Serve), folder.path())).map(drop);
    assert_eq!(verify(&store), Ok(()));
    let older = Store::memory();
    let ops = vec![Op::Put(b"meta/stamp".to_vec(), stamp), Op::Put(b"meta/memory".to_vec(), memory)];
    let _ = wait(older.commit(&Txn { op: OpId([8; 16]), checks: Vec::new(), ops })).unwrap();
    let revision = wait(older.fence()).unwrap();
    assert_eq!(verify(&older), Err(InstallationError::StoreBehindLog));
    assert_eq!(wait(older.fence()), Ok(revision), "nothing was settled");
    assert!(wait(older.get(b"meta/stamp", At::Linearizable)).unwrap().is_some());
}
