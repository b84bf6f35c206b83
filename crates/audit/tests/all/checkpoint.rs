//! Opening from a checkpoint: what follows is checked, what a start asks for is met, and a log that is not the
//! checkpoint's is refused with the error that reading all of it gives.

use crate::fixtures::{boundaries, create, entry, file, rng};
use skerry_audit::{AuditError, Checkpoint, Entry, Event, Head, History, HistoryError, Limits, Log, Verdict, verify};
use skerry_tlog::Frontier;
use std::fs;
use tempfile::TempDir;

const MAX: usize = 8;

fn change(number: u8, verdict: Verdict) -> Entry {
    Entry { event: Event::PolicyChanged, verdict, ..entry(number) }
}

fn record(log: &Log, entry: &Entry) -> Checkpoint {
    assert!(log.record(entry).is_ok());
    log.checkpoint().unwrap()
}

/// A closed log of six releases, the checkpoint after the third, and the head.
fn story() -> (TempDir, Checkpoint, Head) {
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let places: Vec<Checkpoint> = (0..6).map(|number| record(&log, &entry(number))).collect();
    let head = log.head().unwrap();
    (dir, places[2].clone(), head)
}

fn open(dir: &TempDir, from: &Checkpoint, known: &Head) -> Result<(Log, History), HistoryError> {
    Log::open_after(dir.path(), Limits::default(), from, known, MAX)
}

fn refused(dir: &TempDir, from: &Checkpoint, known: &Head) -> Option<AuditError> {
    match open(dir, from, known) {
        Ok(_) => None,
        Err(HistoryError::Audit(error)) => Some(error),
        Err(other) => panic!("{other:?}"),
    }
}

fn subjects(history: &History) -> Vec<u8> {
    history.unsettled().iter().map(|change| change.entry.subject[0]).collect()
}

#[test]
fn checkpoints_are_where_records_end() {
    // Of a log of releases it is the head, with the octets of the file; a new log has one after its header.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let empty = log.checkpoint().unwrap();
    assert_eq!((empty.head, empty.len), (log.head().unwrap(), 60));
    for number in 0..3 {
        let place = record(&log, &entry(number));
        assert_eq!((place.head, place.len), (log.head().unwrap(), fs::metadata(file(&dir)).unwrap().len()));
    }
}

#[test]
fn log_goes_on_from_every_checkpoint() {
    // With the whole log's head and its next place, whatever part was read.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let mut places = vec![log.checkpoint().unwrap()];
    places.extend((0..4).map(|number| record(&log, &entry(number))));
    let mut head = log.head().unwrap();
    drop(log);
    for from in places {
        let (log, history) = open(&dir, &from, &head).unwrap();
        assert_eq!((log.head().unwrap(), log.checkpoint().unwrap().head), (head, head));
        assert_eq!(history, History::new(MAX));
        assert_eq!(log.record(&entry(9)).unwrap().leaf().index(), head.records);
        head = log.head().unwrap();
        drop(log);
        assert_eq!(verify(dir.path()).unwrap().head, head);
    }
}

#[test]
fn open_changes_lie_after_every_checkpoint() {
    // Whatever is recorded meanwhile, an intent without an outcome is met; the checkpoint moves on when it has one.
    use Verdict::{Aborted, Committed, Intended};
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let start = record(&log, &entry(0));
    for (number, verdict) in [(1, Intended), (2, Intended), (2, Committed)] {
        assert_eq!(record(&log, &change(number, verdict)), start);
    }
    assert_eq!(record(&log, &entry(0)), start);
    let head = log.head().unwrap();
    drop(log);
    let (log, history) = open(&dir, &start, &head).unwrap();
    assert_eq!(subjects(&history), [1]);
    assert_eq!(log.checkpoint().unwrap(), start, "it is open still");
    let later = record(&log, &change(3, Intended));
    assert_eq!(later, start);
    let settled = record(&log, &change(1, Aborted));
    assert!(settled.head.records > start.head.records && settled.head.records < log.head().unwrap().records);
    let head = log.head().unwrap();
    drop(log);
    assert_eq!(subjects(&open(&dir, &settled, &head).unwrap().1), [3]);
    let whole = Log::open_with_history(dir.path(), Limits::default(), Some(&head), MAX).unwrap().1;
    assert_eq!(subjects(&whole), [3]);
}

#[test]
fn log_opened_without_its_history_has_no_later_checkpoint() {
    // What is open in it was not asked for, so a start from after it could miss something.
    let (dir, _, _) = story();
    let log = Log::open(dir.path(), Limits::default()).unwrap();
    let place = record(&log, &entry(7));
    assert_eq!((place.head.records, place.len), (0, 60));
}

#[test]
fn every_octet_after_the_checkpoint_counts() {
    // With the error that reading the whole log gives. The record that ends there counts with its hash.
    let (dir, from, head) = story();
    let octets = fs::read(file(&dir)).unwrap();
    let place = usize::try_from(from.len).unwrap();
    for at in (0..60).chain(place - 32..octets.len()) {
        let mut changed = octets.clone();
        changed[at] ^= 1;
        fs::write(file(&dir), &changed).unwrap();
        assert_eq!(refused(&dir, &from, &head), Some(verify(dir.path()).unwrap_err()), "octet {at}");
    }
    fs::write(file(&dir), &octets).unwrap();
    assert_eq!(refused(&dir, &from, &head), None, "the control");
}

#[test]
fn what_lies_before_the_checkpoint_is_for_verify_to_find() {
    // The limit of it: an octet changed there does not show at the opening, and does when all is read.
    let (dir, from, head) = story();
    let octets = fs::read(file(&dir)).unwrap();
    for at in [60, 150, usize::try_from(from.len).unwrap() - 33] {
        let mut changed = octets.clone();
        changed[at] ^= 1;
        fs::write(file(&dir), &changed).unwrap();
        assert_eq!(refused(&dir, &from, &head), None, "octet {at}");
        assert!(matches!(verify(dir.path()), Err(AuditError::Corrupted { .. })), "octet {at}");
    }
}

#[test]
fn cut_logs_are_truncated() {
    // Anywhere below the known head, before the checkpoint or after it, and within the header.
    let (dir, from, head) = story();
    let octets = fs::read(file(&dir)).unwrap();
    let boundaries = boundaries(&octets);
    for len in 60..octets.len() {
        fs::write(file(&dir), &octets[..len]).unwrap();
        let found = u64::try_from(boundaries.iter().rposition(|start| *start <= len).unwrap()).unwrap();
        assert_eq!(refused(&dir, &from, &head), Some(AuditError::Truncated { known: 6, found }), "length {len}");
    }
    fs::write(file(&dir), &octets[..59]).unwrap();
    assert_eq!(refused(&dir, &from, &head), Some(AuditError::HeaderCorrupted));
    fs::remove_file(file(&dir)).unwrap();
    assert_eq!(refused(&dir, &from, &head), Some(AuditError::Missing));
}

#[test]
fn crash_after_the_checkpoint_is_cut_as_ever() {
    // The known head and the checkpoint are from before the records that a crash left, whole or torn.
    let (dir, from, _) = story();
    let octets = fs::read(file(&dir)).unwrap();
    let boundaries = boundaries(&octets);
    for len in usize::try_from(from.len).unwrap()..=octets.len() {
        fs::write(file(&dir), &octets[..len]).unwrap();
        let (log, _) = open(&dir, &from, &from.head).unwrap();
        let found = boundaries.iter().rposition(|start| *start <= len).unwrap();
        assert_eq!(log.head().unwrap().records, u64::try_from(found).unwrap());
        assert_eq!(log.torn_octets(), u64::try_from(len - boundaries[found]).unwrap());
        drop(log);
        assert_eq!(verify(dir.path()).unwrap().torn_octets, 0);
    }
}

#[test]
fn forged_and_foreign_logs_are_refused() {
    // Another log, one that was written anew from some record on, and one that takes another's records.
    let (dir, from, head) = story();
    let other = TempDir::new().unwrap();
    let log = Log::create(other.path(), Limits::default(), &mut seeded()).unwrap();
    (0..6).for_each(|number| _ = record(&log, &entry(number)));
    drop(log);
    let octets = fs::read(file(&dir)).unwrap();
    fs::copy(file(&other), file(&dir)).unwrap();
    assert_eq!(refused(&dir, &from, &head), Some(AuditError::OtherLog));
    for (kept, forked) in [(2, 6), (4, 6)] {
        fs::write(file(&dir), &octets[..boundaries(&octets)[kept]]).unwrap();
        let log = Log::open(dir.path(), Limits::default()).unwrap();
        (kept..7).for_each(|_| _ = record(&log, &entry(99)));
        drop(log);
        assert_eq!(refused(&dir, &from, &head), Some(AuditError::Forked { known: forked }), "{kept} kept");
    }
}

fn seeded() -> impl rand_core::CryptoRng {
    use rand_chacha::rand_core::SeedableRng as _;
    let _ = rng();
    rand_chacha::ChaCha20Rng::from_seed([8; 32])
}

#[test]
fn checkpoint_that_is_no_place_is_refused() {
    // Of the log, but not where it says: kept wrongly, so nothing that rests on it is believed.
    let (dir, from, head) = story();
    let misplaced = Some(AuditError::Misplaced { records: from.head.records });
    for len in [0, 31, 32, 60, from.len - 1, from.len + 1] {
        assert_eq!(refused(&dir, &Checkpoint { len, ..from.clone() }, &head), misplaced, "{len}");
    }
    let hash = Head { hash: [7; 32], ..from.head };
    assert_eq!(refused(&dir, &Checkpoint { head: hash, ..from.clone() }, &head), misplaced);
    let empty = Head { records: 0, ..from.head };
    let misplaced = Some(AuditError::Misplaced { records: 0 });
    assert_eq!(refused(&dir, &Checkpoint { head: empty, ..from.clone() }, &head), misplaced);
    let moved = Head { records: from.head.records + 1, ..from.head };
    let misplaced = Some(AuditError::Misplaced { records: moved.records });
    assert_eq!(refused(&dir, &Checkpoint { head: moved, ..from.clone() }, &head), misplaced, "a tree of another size");
    let tree = Frontier::new(moved.records, vec![[7; 32]]).unwrap();
    let found = Some(AuditError::Moved { index: moved.records, found: from.head.records });
    assert_eq!(refused(&dir, &Checkpoint { head: moved, tree, ..from.clone() }, &head), found);
}

#[test]
fn known_head_below_the_checkpoint_is_looked_for() {
    // All is read then, and a head of another history is found out.
    let (dir, from, _) = story();
    let early = skerry_audit::read(dir.path()).unwrap().next().unwrap().unwrap().leaf();
    let known = Head { log: *early.log(), records: 1, hash: *early.hash() };
    assert_eq!(refused(&dir, &from, &known), None);
    assert_eq!(refused(&dir, &from, &Head { hash: [7; 32], ..known }), Some(AuditError::Forked { known: 1 }));
}
