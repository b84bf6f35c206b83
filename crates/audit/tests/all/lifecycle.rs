//! Making, opening, sharing and filling a log.

use crate::fixtures::{create, entry, file, rng, written};
use skerry_audit::limits::BODY_LEN_MAX;
use skerry_audit::{AuditError, Entry, Event, Limits, Log, Step, verify};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

fn open(dir: &TempDir) -> Result<Log, AuditError> {
    Log::open(dir.path(), Limits::default())
}

#[test]
fn recorded_says_what_was_recorded() {
    // The proof carries event, subject and place, and the log's head is that place.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let recorded = log.record(&entry(5)).unwrap();
    assert_eq!(recorded.event(), Event::Release);
    assert_eq!(recorded.subject(), &[5; 32]);
    assert_eq!(recorded.leaf().hash(), &log.head().unwrap().hash);
    assert_eq!(verify(dir.path()).unwrap().head, log.head().unwrap());
}

#[test]
fn log_goes_on_after_reopening() {
    // Indices and the chain continue.
    let (dir, _) = written();
    let log = open(&dir).unwrap();
    assert_eq!(log.torn_octets(), 0);
    assert_eq!(log.record(&entry(8)).unwrap().leaf().index(), 4);
    assert_eq!(verify(dir.path()).unwrap().head.records, 5);
}

#[test]
fn log_is_neither_made_twice_nor_out_of_nothing() {
    // A log that is gone is not silently begun anew, one that is there is not overwritten.
    let dir = TempDir::new().unwrap();
    assert_eq!(open(&dir).err(), Some(AuditError::Missing));
    assert_eq!(verify(dir.path()).err(), Some(AuditError::Missing));
    drop(create(&dir));
    let again = Log::create(dir.path(), Limits::default(), &mut rng());
    assert_eq!(again.err(), Some(AuditError::Exists));
}

#[test]
fn second_opener_is_refused() {
    // One writer at a time, even within one process; its end frees the log.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    assert_eq!(open(&dir).err(), Some(AuditError::Locked));
    drop(log);
    let log = open(&dir).unwrap();
    assert_eq!(open(&dir).err(), Some(AuditError::Locked));
    drop(log);
    assert!(open(&dir).is_ok());
}

#[test]
fn full_log_refuses() {
    // A record that would pass the limit is refused, one that fits is still taken, and nothing is half written.
    let (dir, octets) = written();
    let one = (octets.len() - 60) / 4;
    let log_len_max = u64::try_from(octets.len() + one).unwrap();
    let log = Log::open(dir.path(), Limits { log_len_max }).unwrap();
    let large = Entry { explanation: "x".repeat(1000), ..entry(0) };
    assert_eq!(log.record(&large).err(), Some(AuditError::Full { log_len_max }));
    assert!(log.record(&entry(1)).is_ok());
    assert_eq!(log.record(&entry(2)).err(), Some(AuditError::Full { log_len_max }));
    drop(log);
    assert_eq!(verify(dir.path()).unwrap().head.records, 5);
    assert_eq!(fs::metadata(file(&dir)).unwrap().len(), log_len_max);
}

#[test]
fn long_entry_is_refused() {
    // The longest body is taken and read back; one octet more is refused and nothing is written.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let blank = Entry { explanation: String::new(), ..entry(0) };
    assert!(log.record(&blank).is_ok());
    let len = skerry_audit::read(dir.path()).unwrap().next().unwrap().unwrap().body().len();
    let of = |len_of_text: usize| Entry { explanation: "x".repeat(len_of_text), ..entry(0) };
    let room = BODY_LEN_MAX - len;
    assert!(log.record(&of(room)).is_ok());
    let refused = AuditError::EntryTooLong { len: BODY_LEN_MAX + 1 };
    assert_eq!(log.record(&of(room + 1)).err(), Some(refused));
    assert_eq!(verify(dir.path()).unwrap().head.records, 2);
    let last = skerry_audit::read(dir.path()).unwrap().last().unwrap().unwrap();
    assert!(last.json().is_ok());
}

#[test]
fn time_before_1970_is_refused() {
    // A clock that wrong is no source of a record.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let early = Entry { at: UNIX_EPOCH - Duration::from_millis(1), ..entry(0) };
    assert_eq!(log.record(&early).err(), Some(AuditError::Time));
}

#[test]
fn texts_cannot_forge_members() {
    // Quotes, line ends and NUL in a text stay in that text.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let who = "eve\",\"verdict\":\"permitted\u{0}\n";
    assert!(log.record(&Entry { who: who.to_owned(), ..entry(0) }).is_ok());
    let record = skerry_audit::read(dir.path()).unwrap().next().unwrap().unwrap();
    assert_eq!(record.json().unwrap().get(&["who"]).unwrap().as_str(), Some(who));
}

#[test]
fn threads_share_the_log() {
    // 32 threads: every record has its own place, the places are consecutive, and syncs are shared.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let places = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for number in 0..32 {
            let (log, places) = (&log, &places);
            scope.spawn(move || {
                for _ in 0..16 {
                    let recorded = log.record(&entry(number)).unwrap();
                    assert_eq!(recorded.subject(), &[number; 32]);
                    assert!(places.lock().unwrap().insert(recorded.leaf().index()));
                }
            });
        }
    });
    assert_eq!(places.into_inner().unwrap(), (0..512).collect());
    assert!(log.syncs().unwrap() < 512);
    assert_eq!(verify(dir.path()).unwrap().head, log.head().unwrap());
}

#[test]
fn refusals_of_the_file_are_passed_on() {
    // A folder that is not there, and a folder where the file should be, are told with the step that met them.
    let dir = TempDir::new().unwrap();
    let gone = dir.path().join("gone");
    let created = Log::create(&gone, Limits::default(), &mut rng());
    let expected = AuditError::Io { step: Step::Create, kind: ErrorKind::NotFound };
    assert_eq!(created.err(), Some(expected));
    fs::create_dir(file(&dir)).unwrap();
    let expected = AuditError::Io { step: Step::Open, kind: ErrorKind::IsADirectory };
    assert_eq!(open(&dir).err(), Some(expected));
}
