//! Opening an installation again: what a crash left open is settled, and what was put back or taken away is noticed.

use std::path::Path;

use skerry_audit::format::{HEADER_LEN, record_len};
use skerry_audit::{AuditError, HistoryError};
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
