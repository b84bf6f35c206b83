//! A published log at its edges: what was signed before and is not continued, what cannot be read, and what is nearly a tile.

use crate::fixtures::{create, entry, file, rng};
use skerry_audit::{
    AuditError, CheckError, Checked, Entry, Limits, Log, PublishError, Published, Publisher, Step, Which, check,
};
use skerry_tlog::{SignedCheckpoint, SigningKey, TileId};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

fn key() -> SigningKey {
    SigningKey::from_seed("log.example/one", &[7; 32]).unwrap()
}

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000 + secs)
}

/// Records with these numbers, by this person.
fn record(log: &Log, numbers: std::ops::Range<u64>, who: &str) {
    let of = |number: u64| Entry { request: format!("request-{number}"), who: who.to_owned(), ..entry(1) };
    assert!(log.record_all(&numbers.map(of).collect::<Vec<_>>()).iter().all(Result::is_ok));
}

fn publish(log: &Log, dir: &TempDir, secs: u64) -> Result<Option<SignedCheckpoint>, PublishError> {
    let durable = log.durable().unwrap();
    Publisher::open(dir.path(), key(), &durable)?.publish(&durable, at(secs))
}

/// A log published after each of these steps.
fn grown(steps: &[u64]) -> (TempDir, Log) {
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    for (secs, step) in (0..).zip(steps) {
        let from = log.head().unwrap().records;
        record(&log, from..from + step, "alice");
        assert!(publish(&log, &dir, secs).unwrap().is_some());
    }
    (dir, log)
}

fn checked(dir: &TempDir, since: &[SignedCheckpoint]) -> Result<Checked, CheckError> {
    let since: Vec<_> = since.iter().map(|signed| signed.note().as_bytes().to_vec()).collect();
    check(dir.path(), Some(key().public()), &since, |_| ())
}

fn tile(name: &str) -> TileId {
    TileId::parse(name).unwrap()
}

fn put(dir: &TempDir, name: &str, octets: &[u8]) {
    let place = dir.path().join(name);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, octets).unwrap();
}

fn copy_published(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let place = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => {
                fs::create_dir_all(&place).unwrap();
                copy_published(&file.path(), &place);
            }
            false if file.file_name() == "audit.log" => {}
            false => drop(fs::copy(file.path(), place).unwrap()),
        }
    }
}

/// A log that was put back and went on otherwise, beside the checkpoint of what it was: nothing more is signed, whether it has as
/// many records, or more, and whatever tiles are there. Signing would make two histories of one log under one key.
#[test]
fn what_does_not_continue_what_was_signed_is_not_signed() {
    let (was, _) = grown(&[7, 3]);
    for (records, tiles, place) in [
        (10, true, true),
        (11, true, true),
        (30, true, true),
        (30, false, true),
        (30, true, false),
        (300, false, false),
    ] {
        let now = TempDir::new().unwrap();
        let log = create(&now);
        record(&log, 0..9, "alice");
        record(&log, 9..records, "mallory");
        copy_published(was.path(), now.path());
        if !tiles {
            fs::remove_dir_all(now.path().join("tile")).unwrap();
        }
        if !place {
            fs::remove_file(now.path().join("published")).unwrap();
        }
        let before = fs::read(now.path().join("checkpoint")).unwrap();
        assert_eq!(publish(&log, &now, 9), Err(PublishError::Forked { known: 10 }), "{records}");
        assert_eq!(fs::read(now.path().join("checkpoint")).unwrap(), before);
    }
    // The controls: one that goes on as it was, from its tiles or from the beginning.
    for remove in ["checkpoints", "tile", "published"] {
        let (was, log) = grown(&[7, 3]);
        record(&log, 10..30, "alice");
        let place = was.path().join(remove);
        if place.is_dir() {
            fs::remove_dir_all(place).unwrap()
        } else {
            fs::remove_file(place).unwrap()
        }
        assert_eq!(publish(&log, &was, 9).unwrap().unwrap().size(), 30);
        assert!(checked(&was, &[]).is_ok());
    }
}

/// One publisher goes on after its first time, which looked at what was there before it.
#[test]
fn what_was_there_is_looked_at_once() {
    let (dir, log) = grown(&[3]);
    record(&log, 3..5, "alice");
    let mut publisher = Publisher::open(dir.path(), key(), &log.durable().unwrap()).unwrap();
    for end in [5, 6, 7] {
        record(&log, log.head().unwrap().records..end, "alice");
        assert_eq!(publisher.publish(&log.durable().unwrap(), at(1)).unwrap().unwrap().size(), end);
    }
    assert!(checked(&dir, &[]).is_ok());
}

/// Tiles that are written past what is signed, as a crash between the two leaves them, are not taken for what was signed.
#[test]
fn tiles_past_the_checkpoint_vouch_for_nothing() {
    let (dir, log) = grown(&[3]);
    let old = fs::read(dir.path().join("checkpoint")).unwrap();
    record(&log, 3..5, "alice");
    assert!(publish(&log, &dir, 1).is_ok());
    put(&dir, "checkpoint", &old);
    record(&log, 5..6, "alice");
    assert_eq!(publish(&log, &dir, 2).unwrap().unwrap().size(), 6);
    // The same, where the checkpoint is of another history.
    let other = SignedCheckpoint::sign(&key(), 4, [9; 32]);
    put(&dir, "checkpoint", other.note().as_bytes());
    assert_eq!(publish(&log, &dir, 3), Err(PublishError::Forked { known: 4 }));
}

/// Kept checkpoints that cannot be listed are not the same as none: they might be the ones that show something.
#[test]
fn kept_checkpoints_that_cannot_be_listed_are_an_error() {
    let (dir, _log) = grown(&[3]);
    let kept = dir.path().join("checkpoints");
    fs::remove_dir_all(&kept).unwrap();
    assert!(checked(&dir, &[]).is_ok(), "none is none");
    fs::write(&kept, b"").unwrap();
    let failed = AuditError::Io { step: Step::Publish, kind: ErrorKind::NotADirectory };
    assert_eq!(checked(&dir, &[]), Err(CheckError::Audit(failed)));
}

/// What was signed of no records counts as well as anything else; and the newest is the newest, whatever is kept.
#[test]
fn the_first_and_the_newest_checkpoint_count() {
    let (dir, log) = grown(&[3]);
    let empty = SignedCheckpoint::sign(&key(), 0, [9; 32]);
    let fork = CheckError::Forked { which: Which::Given { number: 0 }, known: 0 };
    assert_eq!(checked(&dir, &[empty]), Err(fork));
    assert!(checked(&dir, &[SignedCheckpoint::sign(&key(), 0, skerry_tlog::empty_root())]).is_ok());
    let mut publisher = Publisher::open(dir.path(), key(), &log.durable().unwrap()).unwrap();
    for end in [4, 5] {
        record(&log, end - 1..end, "alice");
        assert!(publisher.publish(&log.durable().unwrap(), at(0)).unwrap().is_some());
    }
    let mut seen = Vec::new();
    let found = check(dir.path(), Some(key().public()), &[], |record| seen.push(record.leaf().index())).unwrap();
    assert_eq!((found.published.unwrap().size(), seen), (5, vec![0, 1, 2, 3, 4]));
    // Of hashes one tile, of entries one, and those of 3 and 4 records that were left behind.
    assert_eq!(found.tiles, 2 + 4);
}

/// A log that went on since it was published holds; its next tile is not there yet, and is not missed.
#[test]
fn logs_may_be_ahead_of_what_is_published() {
    let (dir, log) = grown(&[255]);
    record(&log, 255..257, "alice");
    assert_eq!(checked(&dir, &[]).map(|found| found.report.head.records), Ok(257));
}

/// Files that are nearly tiles: half written, of a place that the log does not reach, too short for what they say, wider than it is.
#[test]
fn nearly_tiles_are_told_apart() {
    let (dir, _log) = grown(&[257]);
    let hashes = fs::read(dir.path().join("tile/0/000")).unwrap();
    put(&dir, "tile/0/000.new", b"half");
    assert!(checked(&dir, &[]).is_ok(), "a writer was here");
    let with = |name: &str, octets: &[u8]| {
        put(&dir, name, octets);
        let found = checked(&dir, &[]).err();
        fs::remove_file(dir.path().join(name)).unwrap();
        assert!(checked(&dir, &[]).is_ok());
        found
    };
    for name in ["tile/0/002.p/1", "tile/0/005.p/1", "tile/entries/002.p/1", "tile/1/001.p/1"] {
        assert_eq!(with(name, &hashes[..32]), Some(CheckError::TileForeign { name: name.to_owned() }));
    }
    let short = tile("tile/0/000.p/255");
    assert_eq!(with("tile/0/000.p/255", &hashes[..254 * 32]), Some(CheckError::TileDiffers { tile: short }));
    assert_eq!(with("tile/0/000.p/255", &hashes[..255 * 32]), None);
    let name = "tile/0/001.p/1";
    fs::rename(dir.path().join(name), dir.path().join("tile/0/001.p/2")).unwrap();
    assert_eq!(checked(&dir, &[]), Err(CheckError::TileMissing { tile: tile(name) }), "what is there is wider");
}

/// Where tiles do not fit each other nobody can say from where on a log was rewritten, and nobody does.
#[test]
fn tiles_of_two_logs_name_no_place() {
    let dir = grown(&[256, 2]).0;
    let other = TempDir::new().unwrap();
    let forged = Log::create(other.path(), Limits::default(), &mut rng()).unwrap();
    record(&forged, 0..20, "alice");
    record(&forged, 20..258, "mallory");
    assert!(publish(&forged, &other, 0).is_ok());
    drop(forged);
    fs::copy(file(&other), file(&dir)).unwrap();
    let rewritten = checked(&dir, &[]).unwrap_err();
    assert_eq!(rewritten, CheckError::Rewritten { index: 20 }, "the control");
    fs::copy(other.path().join("tile/0/000"), dir.path().join("tile/0/000")).unwrap();
    let fork = CheckError::Forked { which: Which::Kept { records: 256 }, known: 256 };
    assert_eq!(checked(&dir, &[]), Err(fork));
}

/// A proof from tiles that were altered is none: neither hash nor entry is given out that is not under the signature.
#[test]
fn no_proof_comes_from_altered_tiles() {
    let (dir, _log) = grown(&[20]);
    let published = Published::open(dir.path(), key().public()).unwrap();
    let hashes = "tile/0/000.p/20";
    let right = fs::read(dir.path().join(hashes)).unwrap();
    for at in [3 * 32, 4 * 32, 19 * 32] {
        let mut altered = right.clone();
        altered[at] ^= 1;
        put(&dir, hashes, &altered);
        assert_eq!(published.inclusion(3), Err(CheckError::TileDiffers { tile: tile(hashes) }), "octet {at}");
    }
    put(&dir, hashes, &right);
    assert!(published.inclusion(3).is_ok(), "the control");
    let entries = "tile/entries/000.p/20";
    let mut altered = fs::read(dir.path().join(entries)).unwrap();
    altered[10] ^= 1;
    put(&dir, entries, &altered);
    assert_eq!(published.inclusion(0), Err(CheckError::TileDiffers { tile: tile(entries) }));
}

/// What is behind the last record, long enough for a place and too short for its check, is nobody's record.
#[test]
fn no_place_is_read_without_its_check() {
    let (dir, log) = grown(&[3]);
    drop(log);
    let octets = fs::read(file(&dir)).unwrap();
    // Less than a length, and the octets of a length, are torn: they say nothing.
    for len in 5..60 {
        fs::write(file(&dir), [octets.as_slice(), &vec![0xee; len]].concat()).unwrap();
        assert_eq!(skerry_audit::verify(dir.path()), Err(AuditError::Corrupted { index: 3 }), "{len} octets");
    }
}

/// An intent that is on record twice is one, also where there may be no more of them.
#[test]
fn an_intent_twice_is_one() {
    let (dir, log) = grown(&[1]);
    let intent = |number: u8| Entry { verdict: skerry_audit::Verdict::Intended, ..entry(number) };
    assert!(log.record_all(&[intent(1), intent(1), intent(1)]).iter().all(Result::is_ok));
    assert_eq!(skerry_audit::history(dir.path(), 1).unwrap().unsettled().len(), 1);
    assert!(log.record(&intent(2)).is_ok());
    let full = skerry_audit::HistoryError::Unsettled { index: 4, unsettled_max: 1 };
    assert_eq!(skerry_audit::history(dir.path(), 1), Err(full));
    assert_eq!(skerry_audit::history(dir.path(), 2).unwrap().unsettled().len(), 2);
}

/// A log that was read whole has no checkpoint after a change that is open in it: a start from there would miss that.
#[test]
fn what_was_open_when_it_was_read_whole_stays_before_checkpoints() {
    let (dir, log) = grown(&[2]);
    let intent = Entry { verdict: skerry_audit::Verdict::Intended, ..entry(9) };
    assert!(log.record(&intent).is_ok());
    drop(log);
    let (log, history) = Log::open_with_history(dir.path(), Limits::default(), None, 8).unwrap();
    assert_eq!(history.unsettled().len(), 1);
    record(&log, 3..5, "alice");
    assert!(log.checkpoint().unwrap().head.records <= 2);
    assert!(log.record(&Entry { verdict: skerry_audit::Verdict::Aborted, ..intent }).is_ok());
    assert_eq!(log.checkpoint().unwrap().head.records, 6);
}

/// A change that is begun again before its first outcome is durable is open, whatever becomes of that.
#[test]
fn a_change_begun_again_is_open() {
    let (dir, log) = grown(&[2]);
    let change = |verdict| Entry { verdict, ..entry(9) };
    use skerry_audit::Verdict::{Aborted, Committed, Intended};
    let before = log.checkpoint().unwrap();
    assert!(log.record_all(&[Intended, Committed, Intended].map(change)).iter().all(Result::is_ok));
    assert_eq!(log.checkpoint().unwrap(), before);
    assert_eq!(skerry_audit::history(dir.path(), 8).unwrap().unsettled().len(), 1);
    assert!(log.record(&change(Aborted)).is_ok());
    assert_eq!(log.checkpoint().unwrap().head.records, 6);
}

/// Tiles, or a place, that are not this log's are found out before anything is made of them, and are made again.
#[test]
fn what_is_published_goes_on_from_its_own_alone() {
    // A bit of each partial tile.
    for (name, at) in [("tile/0/001.p/44", 7), ("tile/1/000.p/1", 0), ("tile/0/001.p/44", 43 * 32)] {
        let (dir, log) = grown(&[300]);
        let mut octets = fs::read(dir.path().join(name)).unwrap();
        octets[at] ^= 1;
        put(&dir, name, &octets);
        record(&log, 300..305, "alice");
        assert_eq!(publish(&log, &dir, 1).unwrap().unwrap().size(), 305, "{name}");
        let found = checked(&dir, &[]);
        // The older one that is past stays for checking to find.
        let past = CheckError::TileDiffers { tile: tile(name) };
        assert!(found.is_ok() || found == Err(past), "{name}");
    }
    // The place of another log, and of a log that had more.
    let (dir, log) = grown(&[5]);
    let place = fs::read_to_string(dir.path().join("published")).unwrap();
    let other = place.replacen(&place[..32], &"ab".repeat(16), 1);
    record(&log, 5..6, "alice");
    for (secs, place) in [(1, other), (2, place.replacen(":5:", ":500:", 1))] {
        put(&dir, "published", place.as_bytes());
        fs::remove_file(dir.path().join("checkpoint")).unwrap();
        assert_eq!(publish(&log, &dir, secs).unwrap().unwrap().size(), 6);
        assert!(checked(&dir, &[]).is_ok());
    }
}

/// A place that says that records are before it, and is where none are, is nowhere in the log.
#[test]
fn places_count_the_records_before_them() {
    let (dir, log) = grown(&[0, 3]);
    let head = log.head().unwrap();
    drop(log);
    let start = skerry_audit::Head { records: 0, hash: head_of_nothing(&dir), ..head };
    let at = |records: u64, tree: skerry_tlog::Frontier| {
        let place = skerry_audit::Checkpoint { head: skerry_audit::Head { records, ..start }, len: 60, tree };
        Log::open_after(dir.path(), Limits::default(), &place, &head, 8).err()
    };
    assert_eq!(at(0, skerry_tlog::Frontier::empty()), None, "the control");
    let one = || skerry_tlog::Frontier::new(1, vec![[0; 32]]).unwrap();
    let misplaced = |records| Some(skerry_audit::HistoryError::Audit(AuditError::Misplaced { records }));
    assert_eq!(at(1, one()), misplaced(1));
    assert_eq!(at(0, one()), misplaced(0), "with a tree of another size");
}

/// The hash that a log's header ends with.
fn head_of_nothing(dir: &TempDir) -> [u8; 32] {
    fs::read(file(dir)).unwrap()[28..60].try_into().unwrap()
}

/// A head of no records counts as any other does.
#[test]
fn heads_of_no_records_count() {
    let dir = TempDir::new().unwrap();
    let head = create(&dir).head().unwrap();
    let against = |head: skerry_audit::Head| skerry_audit::verify_against(dir.path(), &head).map(|report| report.head);
    assert_eq!(against(head), Ok(head));
    assert_eq!(against(skerry_audit::Head { hash: [9; 32], ..head }), Err(AuditError::Forked { known: 0 }));
    assert_eq!(against(skerry_audit::Head { log: [9; 16], ..head }), Err(AuditError::OtherLog));
    let known = skerry_audit::Head { records: 1, ..head };
    assert_eq!(against(known), Err(AuditError::Truncated { known: 1, found: 0 }));
}

/// What is published is what was durable when it was asked for, and not what the file has since.
#[test]
fn no_more_is_published_than_was_durable() {
    let (dir, log) = grown(&[3]);
    record(&log, 3..5, "alice");
    let durable = log.durable().unwrap();
    record(&log, 5..9, "alice");
    let mut publisher = Publisher::open(dir.path(), key(), &durable).unwrap();
    assert_eq!(publisher.publish(&durable, at(1)).unwrap().unwrap().size(), 5);
    assert!(checked(&dir, &[]).is_ok());
    assert_eq!(publisher.publish(&log.durable().unwrap(), at(1)).unwrap().unwrap().size(), 9);
    assert!(checked(&dir, &[]).is_ok());
}
