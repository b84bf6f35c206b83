//! What is evident: every altered octet, every missing or moved record, every cut.

use crate::fixtures::{RECORDS, boundaries, create, entry, file, written};
use skerry_audit::{AuditError, Head, Limits, Log, read, verify, verify_against};
use std::fs;
use tempfile::TempDir;

fn verdict(dir: &TempDir, octets: &[u8]) -> Result<u64, AuditError> {
    fs::write(file(dir), octets).unwrap();
    let verified = verify(dir.path()).map(|report| report.head.records);
    let opened = Log::open(dir.path(), Limits::default()).map(|log| log.head().unwrap().records);
    assert_eq!(verified, opened);
    verified
}

#[test]
fn whole_log_verifies() {
    // An untouched log has all its records, in order, with the members of their entries.
    let (dir, octets) = written();
    assert_eq!(boundaries(&octets).len(), 5);
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.head.records, report.torn_octets), (RECORDS, 0));
    let records: Vec<_> = read(dir.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(records.len(), 4);
    assert_eq!(records[3].leaf().hash(), &report.head.hash);
    assert_eq!(records[3].leaf().log(), &report.head.log);
    let json = records[2].json().unwrap();
    let text = |name| json.get(&[name]).and_then(|value| value.as_str()).unwrap();
    assert_eq!(text("subject"), "02".repeat(32));
    assert_eq!(text("key"), "02020202-0202-0202-0202-020202020202");
    assert_eq!(text("event"), "release");
    assert_eq!(json.get(&["at_ms"]).unwrap().as_u64(), Some(1_795_000_000_123));
    assert_eq!(json.get(&["evidence"]), None);
}

#[test]
fn members_are_sorted() {
    // The body is one spelling of the entry: names in order, no white space.
    let (dir, _) = written();
    let record = read(dir.path()).unwrap().next().unwrap().unwrap();
    let json = record.json().unwrap();
    let mut sorted = json.clone();
    sorted.sort();
    assert_eq!(json, sorted);
    assert_eq!(json.to_json().as_bytes(), record.body());
}

#[test]
fn every_byte_counts() {
    // No octet can change: the fault is found in the header or at the record that holds it.
    let (dir, octets) = written();
    let boundaries = boundaries(&octets);
    for at in 0..octets.len() {
        for mask in [0x01, 0x80] {
            let mut changed = octets.clone();
            changed[at] ^= mask;
            let found = verdict(&dir, &changed).unwrap_err();
            let expected = match at {
                0..8 => AuditError::NotALog,
                8..12 => {
                    AuditError::UnknownFormat { version: u32::from_be_bytes(*changed[8..].first_chunk().unwrap()) }
                }
                12..60 => AuditError::HeaderCorrupted,
                _ => {
                    let index = boundaries.iter().rposition(|start| *start <= at).unwrap();
                    AuditError::Corrupted { index: u64::try_from(index).unwrap() }
                }
            };
            assert_eq!(found, expected, "octet {at}");
        }
    }
}

#[test]
fn every_cut_is_seen_or_torn() {
    // Cut inside the header nothing opens; inside a record it is torn and said so; between records only a head shows it.
    let (dir, octets) = written();
    let head = verify(dir.path()).unwrap().head;
    let boundaries = boundaries(&octets);
    for len in 0..octets.len() {
        fs::write(file(&dir), &octets[..len]).unwrap();
        let report = verify(dir.path());
        if len < 60 {
            assert_eq!(report, Err(AuditError::HeaderCorrupted), "length {len}");
            continue;
        }
        let report = report.unwrap();
        let found = boundaries.iter().rposition(|start| *start <= len).unwrap();
        assert_eq!(report.torn_octets, u64::try_from(len - boundaries[found]).unwrap());
        let found = u64::try_from(found).unwrap();
        assert_eq!(report.head.records, found);
        let truncated = AuditError::Truncated { known: RECORDS, found };
        assert_eq!(verify_against(dir.path(), &head), Err(truncated), "length {len}");
    }
}

#[test]
fn torn_record_is_cut_and_said() {
    // After a crash the log opens, says what it cut, and goes on from the last complete record.
    let (dir, octets) = written();
    let boundaries = boundaries(&octets);
    for len in [boundaries[3] + 1, boundaries[3] + 51, boundaries[3] + 60, octets.len() - 1] {
        fs::write(file(&dir), &octets[..len]).unwrap();
        let log = Log::open(dir.path(), Limits::default()).unwrap();
        assert_eq!(log.torn_octets(), u64::try_from(len - boundaries[3]).unwrap());
        assert_eq!(fs::metadata(file(&dir)).unwrap().len(), u64::try_from(boundaries[3]).unwrap());
        assert_eq!(log.record(&entry(9)).unwrap().leaf().index(), 3);
        drop(log);
        let report = verify(dir.path()).unwrap();
        assert_eq!((report.head.records, report.torn_octets), (4, 0));
    }
}

#[test]
fn altered_torn_record_is_corrupted() {
    // What is there of a torn head must still fit the chain.
    let (dir, octets) = written();
    let boundaries = boundaries(&octets);
    for at in boundaries[3] + 4..boundaries[3] + 44 {
        let mut cut = octets[..boundaries[3] + 46].to_vec();
        cut[at] ^= 1;
        assert_eq!(verdict(&dir, &cut), Err(AuditError::Corrupted { index: 3 }), "octet {at}");
    }
}

#[test]
fn missing_record_is_seen() {
    // A record taken out breaks the chain where it was, and the next stands there; the last one only against a head.
    let (dir, octets) = written();
    let at = boundaries(&octets);
    for index in 0..3 {
        let without = [&octets[..at[index]], &octets[at[index + 1]..]].concat();
        let index = u64::try_from(index).unwrap();
        assert_eq!(verdict(&dir, &without), Err(AuditError::Moved { index, found: index + 1 }));
    }
}

#[test]
fn moved_or_repeated_record_is_seen() {
    // Two records exchanged, and one written twice, break the chain, and are known for records of this log.
    let (dir, octets) = written();
    let at = boundaries(&octets);
    let record = |index: usize| &octets[at[index]..at[index + 1]];
    let head = &octets[..60];
    let exchanged = [head, record(0), record(2), record(1), record(3)].concat();
    assert_eq!(verdict(&dir, &exchanged), Err(AuditError::Moved { index: 1, found: 2 }));
    let repeated = [head, record(0), record(0), record(1)].concat();
    assert_eq!(verdict(&dir, &repeated), Err(AuditError::Moved { index: 1, found: 0 }));
}

#[test]
fn octets_behind_are_torn_or_corrupted() {
    // Octets behind the last record are no record: at most four can be the start of one. Zeros are what a loss of power
    // leaves of records that were on their way.
    let (dir, octets) = written();
    for len in [1, 3, 5, 60, 512, 5000] {
        let longer = [octets.as_slice(), &vec![7; len]].concat();
        let expected = if len <= 4 { Ok(RECORDS) } else { Err(AuditError::Corrupted { index: 4 }) };
        assert_eq!(verdict(&dir, &longer), expected, "{len}");
        let longer = [octets.as_slice(), &vec![0; len]].concat();
        assert_eq!(verdict(&dir, &longer), Ok(RECORDS), "{len} zeros");
    }
}

#[test]
fn record_of_another_log_is_seen() {
    // A log's id is in every hash, so a record cannot be brought from another log.
    let (dir, octets) = written();
    let mut changed = octets.clone();
    let other = TempDir::new().unwrap();
    let mut rng = crate::fixtures::rng();
    drop(Log::create(TempDir::new().unwrap().path(), Limits::default(), &mut rng).unwrap());
    drop(Log::create(other.path(), Limits::default(), &mut rng).unwrap());
    changed[..60].copy_from_slice(&fs::read(file(&other)).unwrap());
    assert_eq!(verdict(&dir, &changed), Err(AuditError::Corrupted { index: 0 }));
}

#[test]
fn known_head_shows_another_history() {
    // A forged log holds by itself; a head kept from before shows where it leaves the true history.
    let (dir, _) = written();
    let known = verify(dir.path()).unwrap().head;
    assert_eq!(verify_against(dir.path(), &known).unwrap().head, known);

    let forged = TempDir::new().unwrap();
    let log = create(&forged);
    for number in 10..16 {
        assert_eq!(log.record(&entry(number)).unwrap().subject(), &[number; 32]);
    }
    drop(log);
    let found = verify_against(forged.path(), &known);
    assert_eq!(found, Err(AuditError::Forked { known: RECORDS }));
    let found = Log::open_against(forged.path(), Limits::default(), &known).err();
    assert_eq!(found, Some(AuditError::Forked { known: RECORDS }));

    let other = Head { log: [0; 16], ..known };
    assert_eq!(verify_against(dir.path(), &other), Err(AuditError::OtherLog));
}

#[test]
fn longer_log_continues_a_known_head() {
    // A log that grew since is the same log, from the first record as from none.
    let (dir, octets) = written();
    let known = verify(dir.path()).unwrap().head;
    fs::write(file(&dir), &octets[..60]).unwrap();
    let empty = verify(dir.path()).unwrap().head;
    fs::write(file(&dir), &octets).unwrap();
    let log = Log::open_against(dir.path(), Limits::default(), &known).unwrap();
    assert_eq!(log.record(&entry(7)).unwrap().leaf().index(), RECORDS);
    assert_eq!(verify_against(dir.path(), &known).unwrap().head.records, RECORDS + 1);
    assert_eq!(verify_against(dir.path(), &empty).unwrap().head.records, RECORDS + 1);
}

#[test]
fn reader_ends_with_the_first_fault() {
    // What is before a fault is read, the fault is said once, and nothing follows.
    let (dir, mut octets) = written();
    let at = boundaries(&octets)[2] + 60;
    octets[at] ^= 1;
    fs::write(file(&dir), &octets).unwrap();
    let found: Vec<_> = read(dir.path()).unwrap().map(|record| record.map(|record| record.leaf().index())).collect();
    assert_eq!(found, [Ok(0), Ok(1), Err(AuditError::Corrupted { index: 2 })]);
}
