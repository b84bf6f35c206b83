//! What a restart learns from the log: changes that are not settled, and the last one committed.

use crate::fixtures::{boundaries, create, entry, file, written};
use aws_lc_rs::digest::{SHA256, digest};
use skerry_audit::{
    AuditError, Entry, EntryError, Event, Head, History, HistoryError, Limits, Log, Verdict, history, verify,
};
use std::fs;
use tempfile::TempDir;

const MAX: usize = 8;

/// Index of a record, and the octet of its subject.
type Place = (u64, u8);

fn change(number: u8, verdict: Verdict) -> Entry {
    Entry { event: Event::PolicyChanged, verdict, ..entry(number) }
}

/// A closed log of these records.
fn log_of(records: &[(u8, Verdict)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    for (number, verdict) in records {
        assert!(log.record(&change(*number, *verdict)).is_ok());
    }
    dir
}

/// Places and subjects of what is not settled, and of the last committed; read both ways.
fn told(dir: &TempDir) -> (Vec<Place>, Option<Place>) {
    let read = history(dir.path(), MAX).unwrap();
    let (log, opened) = Log::open_with_history(dir.path(), Limits::default(), None, MAX).unwrap();
    assert_eq!(read, opened);
    assert_eq!(log.head().unwrap(), verify(dir.path()).unwrap().head);
    summary(&read)
}

fn summary(history: &History) -> (Vec<Place>, Option<Place>) {
    let place = |change: &skerry_audit::Change| (change.leaf.index(), change.entry.subject[0]);
    (history.unsettled().into_iter().map(place).collect(), history.last_committed().map(place))
}

#[test]
fn intents_without_an_outcome_are_told_in_order() {
    // Committed and aborted ones are settled; the others come as they were recorded, with their whole entries.
    use Verdict::{Aborted, Committed, Intended};
    let dir = log_of(&[
        (9, Intended),
        (2, Intended),
        (5, Intended),
        (2, Committed),
        (7, Intended),
        (5, Aborted),
        (1, Intended),
    ]);
    assert_eq!(told(&dir), (vec![(0, 9), (4, 7), (6, 1)], Some((3, 2))));
    let history = history(dir.path(), MAX).unwrap();
    assert_eq!(history.unsettled()[1].entry, change(7, Intended));
    assert_eq!(history.last_committed().unwrap().entry, change(2, Committed));
}

#[test]
fn log_without_changes_has_no_history() {
    // Releases and denials are no changes; an empty log has none either.
    let (dir, _) = written();
    assert_eq!(told(&dir), (vec![], None));
    assert_eq!(told(&log_of(&[])), (vec![], None));
    assert_eq!(told(&log_of(&[(1, Verdict::Permitted), (2, Verdict::Denied)])), (vec![], None));
}

#[test]
fn texts_cannot_hide_a_change() {
    // A caller's text that looks like the member of a release does not make a change one.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    for (number, who) in [(1, "\"verdict\":\"permitted\""), (2, "\",\"verdict\":\"denied\",\"")] {
        let entry = Entry { who: who.to_owned(), explanation: who.to_owned(), ..change(number, Verdict::Intended) };
        assert!(log.record(&entry).is_ok());
    }
    drop(log);
    assert_eq!(told(&dir), (vec![(0, 1), (1, 2)], None));
}

#[test]
fn subjects_may_come_again() {
    // An intent said twice is one change, from its first record; after its outcome it can be intended anew. An outcome
    // without an intent settles nothing.
    use Verdict::{Aborted, Committed, Intended};
    assert_eq!(told(&log_of(&[(1, Intended), (1, Intended)])), (vec![(0, 1)], None));
    assert_eq!(told(&log_of(&[(1, Intended), (1, Intended), (1, Aborted)])), (vec![], None));
    assert_eq!(told(&log_of(&[(1, Intended), (1, Aborted), (1, Intended)])), (vec![(2, 1)], None));
    assert_eq!(told(&log_of(&[(1, Aborted), (2, Committed), (3, Intended)])), (vec![(2, 3)], Some((1, 2))));
}

#[test]
fn last_committed_is_the_last_record_that_says_so() {
    // In the order of the log, whatever was intended first or aborted later.
    use Verdict::{Aborted, Committed, Intended};
    let dir = log_of(&[(1, Intended), (2, Intended), (2, Committed), (1, Committed), (3, Intended), (3, Aborted)]);
    assert_eq!(told(&dir), (vec![], Some((3, 1))));
}

#[test]
fn unsettled_changes_are_bounded() {
    // As many as the limit are told, one more is refused with its place; settled ones do not count.
    let log: Vec<(u8, Verdict)> = (0..20).flat_map(|n| [(n, Verdict::Intended), (n, Verdict::Committed)]).collect();
    let dir = log_of(&[log, vec![(100, Verdict::Intended), (101, Verdict::Intended)]].concat());
    assert_eq!(history(dir.path(), 2).unwrap().unsettled().len(), 2);
    let refused = HistoryError::Unsettled { index: 41, unsettled_max: 1 };
    assert_eq!(history(dir.path(), 1), Err(refused.clone()));
    assert_eq!(Log::open_with_history(dir.path(), Limits::default(), None, 1).err(), Some(refused));
}

#[test]
fn torn_outcome_leaves_its_change_unsettled() {
    // An outcome that a crash cut off was never acknowledged: the change is asked for again, and the tail is cut.
    let dir = log_of(&[(1, Verdict::Intended), (1, Verdict::Committed)]);
    let octets = fs::read(file(&dir)).unwrap();
    let second = boundaries(&octets)[1];
    for len in [second + 1, second + 60, octets.len() - 1] {
        fs::write(file(&dir), &octets[..len]).unwrap();
        let read = history(dir.path(), MAX).unwrap();
        assert_eq!(summary(&read), (vec![(0, 1)], None));
        let (log, opened) = Log::open_with_history(dir.path(), Limits::default(), None, MAX).unwrap();
        assert_eq!(opened, read);
        assert_eq!(log.torn_octets(), u64::try_from(len - second).unwrap());
        assert!(log.record(&change(1, Verdict::Aborted)).is_ok());
        drop(log);
        assert_eq!(told(&dir), (vec![], None));
    }
}

#[test]
fn corrupted_logs_are_refused_as_ever() {
    // What refuses to open as a log refuses to tell its history, with the same error.
    let dir = log_of(&[(1, Verdict::Intended), (1, Verdict::Committed), (2, Verdict::Intended)]);
    let octets = fs::read(file(&dir)).unwrap();
    for at in (0..octets.len()).step_by(7) {
        let mut changed = octets.clone();
        changed[at] ^= 1;
        fs::write(file(&dir), &changed).unwrap();
        let error = verify(dir.path()).unwrap_err();
        assert_eq!(history(dir.path(), MAX), Err(HistoryError::Audit(error)), "octet {at}");
        let opened = Log::open_with_history(dir.path(), Limits::default(), None, MAX).err();
        assert_eq!(opened, Some(HistoryError::Audit(error)), "octet {at}");
    }
    assert_eq!(history(&dir.path().join("gone"), MAX), Err(HistoryError::Audit(AuditError::Missing)));
}

#[test]
fn known_head_is_asked_for_too() {
    // A log behind the head that is known elsewhere tells nothing.
    let dir = log_of(&[(1, Verdict::Intended)]);
    let head = verify(dir.path()).unwrap().head;
    let open = |known: &Head| Log::open_with_history(dir.path(), Limits::default(), Some(known), MAX).map(|_| ());
    assert_eq!(open(&head), Ok(()));
    let truncated = AuditError::Truncated { known: 2, found: 1 };
    assert_eq!(open(&Head { records: 2, ..head }), Err(HistoryError::Audit(truncated)));
    let forked = AuditError::Forked { known: 1 };
    assert_eq!(open(&Head { hash: [0; 32], ..head }), Err(HistoryError::Audit(forked)));
}

#[test]
fn record_that_is_no_entry_is_told_with_its_place() {
    // A chain that holds over a body this version does not understand: the log opens, its history does not.
    let dir = log_of(&[(1, Verdict::Intended)]);
    append(&dir, b"{\"at_ms\":1}");
    let error = EntryError::Missing { member: "event" };
    let expected = HistoryError::Entry { index: 1, error };
    assert_eq!(history(dir.path(), MAX), Err(expected.clone()));
    assert_eq!(Log::open_with_history(dir.path(), Limits::default(), None, MAX).err(), Some(expected));
    assert!(Log::open(dir.path(), Limits::default()).is_ok());
}

/// Appends a record by the drawing in the format's documentation.
fn append(dir: &TempDir, body: &[u8]) {
    let head = verify(dir.path()).unwrap().head;
    let hash = |parts: &[&[u8]]| digest(&SHA256, &parts.concat()).as_ref().to_vec();
    let (len, index) = (u32::try_from(body.len()).unwrap().to_be_bytes(), head.records.to_be_bytes());
    let prefix = [&len[..], &index, &head.hash].concat();
    let check = hash(&[&[2], &head.log, &prefix]);
    let leaf = hash(&[&[0], &head.log, &index, &head.hash, body]);
    let record = [&prefix, &check[..8], body, &leaf].concat();
    fs::write(file(dir), [fs::read(file(dir)).unwrap(), record].concat()).unwrap();
}

#[test]
fn visitor_sees_every_record_once() {
    // In order, with the records that reading gives; its own error ends the opening and leaves the file as it is.
    let (dir, octets) = written();
    let mut seen = Vec::new();
    let log = Log::open_visiting(dir.path(), Limits::default(), None, |record| {
        seen.push(record.clone());
        Ok::<(), AuditError>(())
    });
    drop(log.unwrap());
    let read: Vec<_> = skerry_audit::read(dir.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(seen, read);
    let torn = &octets[..octets.len() - 1];
    fs::write(file(&dir), torn).unwrap();
    let refused = Log::open_visiting(dir.path(), Limits::default(), None, |record| match record.leaf().index() {
        2 => Err(AuditError::Time),
        _ => Ok(()),
    });
    assert_eq!(refused.err(), Some(AuditError::Time));
    assert_eq!(fs::read(file(&dir)).unwrap(), torn);
    assert!(Log::open(dir.path(), Limits::default()).is_ok());
}
