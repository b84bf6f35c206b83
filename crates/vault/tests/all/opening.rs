//! Opening an installation again: what a crash left open is settled, and what was put back or taken away is noticed.

use std::path::Path;

use skerry_audit::format::{HEADER_LEN, record_len};
use skerry_audit::{AuditError, Checkpoint, Head, HistoryError};
use skerry_store::stamp::{Kind, StampError};
use skerry_store::{At, Fault, Faults, Op, OpId, Outcome, Store, Txn};
use skerry_vault::command::Changes;
use skerry_vault::limits::ATTEMPTS_MAX;
use skerry_vault::{Installation, InstallationError, Opened, Refusal};
use tempfile::TempDir;

use crate::support::*;

fn open(store: &Store, folder: &Path) -> Result<(Installation, Opened), InstallationError> {
    let limits = skerry_audit::Limits::default();
    wait(Installation::open(store.clone(), root(), Kind::Serve, folder, limits, at(NOW), &randomness))
}

fn refused(store: &Store, folder: &Path) -> InstallationError {
    open(store, folder).map(drop).unwrap_err()
}

/// A store with one key and its log; the installation that made them is closed.
fn closed() -> (Store, TempDir) {
    let store = Store::memory();
    let scene = Setup { store: store.clone(), ..Setup::default() }.scene();
    (store, scene.into_folder())
}

/// Octets of the log's first records.
fn len_of(folder: &Path, records: usize) -> usize {
    let bodies = skerry_audit::read(folder).unwrap().take(records);
    bodies.map(|record| record_len(record.unwrap().body().len())).sum::<usize>() + HEADER_LEN
}

/// A change whose outcome nobody learned is settled at the next start: made if the store made it, not made if not, and the
/// log says which.
#[test]
fn unsettled_changes_are_settled_at_the_start() {
    for (fault, made) in [(Fault::Unanswered, true), (Fault::Lost, false)] {
        let faults = Faults::default();
        let store = Store::memory_with(faults.clone());
        let scene = Setup { store: store.clone(), ..Setup::default() }.scene();
        let kept = scene.all_records().len() + 1;
        for _ in 0..ATTEMPTS_MAX {
            faults.then(fault);
        }
        let changes = Changes { tags: Some(tags(&[("a", "b")])), ..Changes::default() };
        let contended = (!made).then_some(Refusal::Contended);
        assert_eq!(scene.update(KEY, &changes).err(), contended, "settled at once, and tried again if not made");
        let (log, folder) = (scene.log_bytes(), scene.into_folder());
        // As if the process had died after the commit and before the outcome was on record.
        std::fs::write(folder.path().join("audit.log"), &log[..len_of(folder.path(), kept)]).unwrap();
        let (_, opened) = open(&store, folder.path()).unwrap();
        assert_eq!((opened.settled_committed, opened.settled_aborted), (usize::from(made), usize::from(!made)));
        let records = read_records(folder.path());
        let verdicts: Vec<_> = records.iter().skip(kept - 1).map(|record| text(record, "verdict")).collect();
        let outcome = if made { "committed" } else { "aborted" };
        assert_eq!(verdicts, ["intended", outcome, "permitted"]);
        assert_eq!(text(&records[kept - 1], "subject"), text(&records[kept], "subject"));
        let (_, again) = open(&store, folder.path()).unwrap();
        assert_eq!(again, Opened::default());
    }
}

/// A store that forgot the last change that its log has is an older one put back in its place.
#[test]
fn store_behind_its_log() {
    let (store, folder) = closed();
    assert!(open(&store, folder.path()).is_ok());
    assert_eq!(refused(&Store::memory(), folder.path()), InstallationError::StoreBehindLog);
    assert!(open(&store, folder.path()).is_ok());
}

/// A log that lost its end, or altogether, is not the log that the store knows.
#[test]
fn log_behind_its_store() {
    let (store, folder) = closed();
    let path = folder.path().join("audit.log");
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(refused(&store, folder.path()), InstallationError::LogMissing { .. }));
    let (_, fresh) = closed();
    std::fs::copy(fresh.path().join("audit.log"), &path).unwrap();
    let other = refused(&store, folder.path());
    assert!(matches!(other, InstallationError::History(HistoryError::Audit(_))), "{other:?}");
    for kept in [whole.len() / 4, whole.len() / 2] {
        std::fs::write(&path, &whole[..kept]).unwrap();
        let cut = refused(&store, folder.path());
        assert!(
            matches!(cut, InstallationError::History(HistoryError::Audit(AuditError::Truncated { .. }))),
            "{cut:?}"
        );
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(open(&store, folder.path()).is_ok());
}

/// A store of the other kind, or under another root, is refused before anything of it is used.
#[test]
fn store_of_another_stamp() {
    let (store, folder) = closed();
    let as_dev = Installation::open(
        store.clone(),
        root(),
        Kind::Dev,
        folder.path(),
        skerry_audit::Limits::default(),
        at(NOW),
        &randomness,
    );
    let stamp = wait(as_dev).map(drop).unwrap_err();
    assert!(matches!(stamp, InstallationError::Stamp(StampError::OtherKind { .. })), "{stamp:?}");
    let other = skerry_store::seal::Root::new(zeroize::Zeroizing::new([1; 32]));
    let limits = skerry_audit::Limits::default();
    let opening = Installation::open(store.clone(), other, Kind::Serve, folder.path(), limits, at(NOW), &randomness);
    let stamp = wait(opening).map(drop).unwrap_err();
    assert_eq!(stamp, InstallationError::Stamp(StampError::OtherRoot));
    assert!(open(&store, folder.path()).is_ok());
}

/// What the store remembers of its log is sealed: an edited row does not open.
#[test]
fn memory_is_sealed() {
    let (store, folder) = closed();
    let key = b"meta/memory".to_vec();
    let mut value = wait(store.get(&key, At::Linearizable)).unwrap().unwrap().value;
    let last = value.len() - 1;
    value[last] ^= 1;
    let txn = Txn { op: OpId([9; 16]), checks: Vec::new(), ops: vec![Op::Put(key, value)] };
    assert!(matches!(wait(store.commit(&txn)), Ok(Outcome::Committed(_))));
    assert!(matches!(refused(&store, folder.path()), InstallationError::Memory(_)));
}

/// Puts a memory in place that is sealed as ours: format, the head, and a checkpoint if there is one.
fn remember(store: &Store, head: &Head, checkpoint: Option<&Checkpoint>) {
    let mut out = minicbor::Encoder::new(Vec::new());
    let (fields, format) = if checkpoint.is_some() { (9, 3) } else { (5, 1) };
    out.array(fields).unwrap().u8(format).unwrap().u64(NOW).unwrap().bytes(&head.log).unwrap();
    out.u64(head.records).unwrap().bytes(&head.hash).unwrap();
    if let Some(Checkpoint { head, len, tree }) = checkpoint {
        out.u64(head.records).unwrap().bytes(&head.hash).unwrap().u64(*len).unwrap();
        out.bytes(&tree.hashes().concat()).unwrap();
    }
    seal_memory(store, out.writer());
}

fn seal_memory(store: &Store, plain: &[u8]) {
    let (key, sealer) = (b"meta/memory".to_vec(), root().sealer("skerry installation", &[0; 16]));
    let sealed = sealer.seal(&key, plain, &mut *randomness()).unwrap();
    let txn = Txn { op: OpId::random(&mut *randomness()), checks: Vec::new(), ops: vec![Op::Put(key, sealed)] };
    assert!(matches!(wait(store.commit(&txn)), Ok(Outcome::Committed(_))));
}

fn memory(store: &Store) -> Vec<u8> {
    let value = wait(store.get(b"meta/memory", At::Linearizable)).unwrap().unwrap().value;
    root().sealer("skerry installation", &[0; 16]).open(b"meta/memory", &value).unwrap().to_vec()
}

/// A store with some keys whose last commit knows of all of its log, the log's folder, and the checkpoint.
fn ticked() -> (Store, TempDir, Checkpoint) {
    let store = Store::memory();
    let scene = Setup { store: store.clone(), ..Setup::default() }.scene();
    scene.create("second", EC);
    wait(scene.installation.tick(at(NOW), &randomness)).unwrap();
    let checkpoint = scene.installation.log().checkpoint().unwrap();
    assert_eq!(checkpoint.head, scene.installation.log().head().unwrap());
    (store, scene.into_folder(), checkpoint)
}

fn log_error(error: AuditError) -> InstallationError {
    InstallationError::History(HistoryError::Audit(error))
}

/// A start reads what follows the last commit's checkpoint and nothing before: what was altered there is found by who reads
/// all, what was altered after it by the start.
#[test]
fn start_reads_from_the_checkpoint() {
    let (store, folder, checkpoint) = ticked();
    assert!(open(&store, folder.path()).is_ok());
    let path = folder.path().join("audit.log");
    let whole = std::fs::read(&path).unwrap();
    let place = usize::try_from(checkpoint.len).unwrap();
    assert!(whole.len() > place, "the start is on record");
    for (at, refused_by_start) in [(100, false), (place - 100, false), (place - 1, true), (whole.len() - 40, true)] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let found = skerry_audit::verify(folder.path()).unwrap_err();
        assert!(matches!(found, AuditError::Corrupted { .. }), "{at}: {found:?}");
        assert_eq!(open(&store, folder.path()).err(), refused_by_start.then(|| log_error(found)), "octet {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(open(&store, folder.path()).is_ok(), "the control");
}

/// A memory of an earlier version has no checkpoint: all is read, and every alteration refused.
#[test]
fn memory_without_a_checkpoint() {
    let (store, folder, checkpoint) = ticked();
    remember(&store, &checkpoint.head, None);
    let path = folder.path().join("audit.log");
    let whole = std::fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[100] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    assert_eq!(refused(&store, folder.path()), log_error(AuditError::Corrupted { index: 0 }));
    std::fs::write(&path, &whole).unwrap();
    let (installation, _) = open(&store, folder.path()).unwrap();
    wait(installation.tick(at(NOW), &randomness)).unwrap();
    drop(installation);
    assert_eq!(memory(&store)[0], 0x89, "the next commit has one");
}

/// A memory of format 2 has a checkpoint and no tree: all is read as without one, and the next commit has both.
#[test]
fn memory_without_a_tree() {
    let (store, folder, checkpoint) = ticked();
    let Checkpoint { head, len, .. } = &checkpoint;
    let mut out = minicbor::Encoder::new(Vec::new());
    out.array(8).unwrap().u8(2).unwrap().u64(NOW).unwrap().bytes(&head.log).unwrap();
    out.u64(head.records).unwrap().bytes(&head.hash).unwrap();
    out.u64(head.records).unwrap().bytes(&head.hash).unwrap().u64(*len).unwrap();
    seal_memory(&store, out.writer());
    let path = folder.path().join("audit.log");
    let whole = std::fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[100] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    assert_eq!(refused(&store, folder.path()), log_error(AuditError::Corrupted { index: 0 }));
    std::fs::write(&path, &whole).unwrap();
    let (installation, _) = open(&store, folder.path()).unwrap();
    wait(installation.tick(at(NOW), &randomness)).unwrap();
    assert_eq!(memory(&store)[0], 0x89);
}

/// A checkpoint of another log, at another place, or damaged, is refused and not read around: it is sealed, so who made it
/// has our keys or we are wrong.
#[test]
fn checkpoints_that_are_not_the_log_s() {
    let (store, folder, checkpoint) = ticked();
    let (_, _, other) = ticked();
    let misplaced = log_error(AuditError::Misplaced { records: checkpoint.head.records });
    let cases = [
        (Checkpoint { len: checkpoint.len - 1, ..checkpoint.clone() }, misplaced.clone()),
        (Checkpoint { head: Head { hash: other.head.hash, ..checkpoint.head }, ..checkpoint.clone() }, misplaced),
    ];
    for (wrong, expected) in cases {
        remember(&store, &checkpoint.head, Some(&wrong));
        assert_eq!(refused(&store, folder.path()), expected, "{wrong:?}");
    }
    remember(&store, &other.head, Some(&other));
    assert_eq!(refused(&store, folder.path()), log_error(AuditError::OtherLog));
    remember(&store, &checkpoint.head, Some(&checkpoint));
    let good = memory(&store);
    // A hash less than a tree of so many records has.
    let mut tree = good[..good.len() - 32].to_vec();
    let head = tree.len() - 32 * (checkpoint.tree.hashes().len() - 1) - 1;
    tree[head] -= 32;
    for odd in
        [&good[..good.len() - 1], &[good.as_slice(), &[0]].concat(), &[&[0x85], &good[1..]].concat(), &[0x80], &tree]
    {
        seal_memory(&store, odd);
        assert_eq!(refused(&store, folder.path()), InstallationError::MemoryForm);
    }
    seal_memory(&store, &good);
    assert!(open(&store, folder.path()).is_ok(), "the control");
}

/// An older log with the checkpoint of its time, which is in the store and not beside it, does not pass: the store knows of
/// more. An older store with the whole log does not either, though it begins to read where it had come to.
#[test]
fn log_and_store_of_two_times() {
    let (store, folder, early) = ticked();
    let path = folder.path().join("audit.log");
    let (then, memory_then) = (std::fs::read(&path).unwrap(), memory(&store));
    let scene = Setup { store: store.clone(), ..Setup::default() }.try_in(folder).unwrap();
    scene.create("third", EC);
    wait(scene.installation.tick(at(NOW), &randomness)).unwrap();
    let late = scene.installation.log().checkpoint().unwrap();
    let folder = scene.into_folder();
    let path = folder.path().join("audit.log");
    let now = std::fs::read(&path).unwrap();
    std::fs::write(&path, &then).unwrap();
    let truncated = AuditError::Truncated { known: late.head.records, found: early.head.records };
    assert_eq!(refused(&store, folder.path()), log_error(truncated));
    std::fs::write(&path, &now).unwrap();
    assert!(open(&store, folder.path()).is_ok(), "the control");
    let older = Store::memory();
    let stamp = wait(store.get(b"meta/stamp", At::Linearizable)).unwrap().unwrap().value;
    let ops = vec![Op::Put(b"meta/stamp".to_vec(), stamp)];
    let txn = Txn { op: OpId([8; 16]), checks: Vec::new(), ops };
    assert!(matches!(wait(older.commit(&txn)), Ok(Outcome::Committed(_))));
    seal_memory(&older, &memory_then);
    assert_eq!(refused(&older, folder.path()), InstallationError::StoreBehindLog);
}

/// A change that a crash left open before a commit of another is met by the start after it, though that commit remembered
/// a checkpoint: it lies before the change.
#[test]
fn checkpoint_lies_before_what_is_open() {
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    let scene = Setup { store: store.clone(), ..Setup::default() }.scene();
    let intent = skerry_audit::Entry {
        event: skerry_audit::Event::PolicyChanged,
        at: at(NOW),
        subject: [0x99; 32],
        who: CALLER.into(),
        request: "open-1".into(),
        vault: None,
        key: None,
        version: None,
        token: None,
        evidence: None,
        measurement: None,
        policy: None,
        verdict: skerry_audit::Verdict::Intended,
        explanation: String::new(),
    };
    assert!(scene.installation.log().record(&intent).is_ok());
    scene.create("second", EC);
    wait(scene.installation.tick(at(NOW), &randomness)).unwrap();
    let folder = scene.into_folder();
    let (_, opened) = open(&store, folder.path()).unwrap();
    assert_eq!((opened.settled_committed, opened.settled_aborted), (0, 1));
}

/// Attack 62: the last time seen outlives the process, so that a clock set back is noticed after a restart.
#[test]
fn clock_is_remembered() {
    let (store, folder) = (Store::memory(), TempDir::new().unwrap());
    let (installation, _) = open(&store, folder.path()).unwrap();
    wait(installation.tick(at(NOW + 1_000), &randomness)).unwrap();
    drop(installation);
    let scene = Setup { store, ..Setup::default() }.try_in(folder).unwrap();
    scene.create(KEY, EC);
    assert_eq!(scene.release(&good_token()), Err(Refusal::ClockBehind { now: NOW, seen: NOW + 1_000 }));
    assert!(scene.release_at(&good_token(), NOW + 1_000).is_ok());
}
