//! Losses of power: what was synced is there afterwards, and of what was not any sectors are there, or zeros, or nothing.
//!
//! This proves the protocol on a disk that keeps what it said it has. Disks that do not are not tried here.

use crate::fixtures::{create, entry, file, rng};
use rand_chacha::rand_core::Rng as _;
use skerry_audit::{AuditError, Entry, Limits, Log, verify};
use std::fs;
use tempfile::TempDir;

const SECTOR: usize = 512;
const LOSSES: usize = 3_000;

/// A folder in memory where there is one: what is lost here is chosen by the test, and the machine's disk need not be waited for.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// An entry whose record has about so many octets more than the least.
fn sized(number: u8, len: usize) -> Entry {
    Entry { explanation: "x".repeat(len), ..entry(number) }
}

/// What a disk has after a loss of power while `whole` was being appended to `durable`: each sector or not, and a file as
/// long as any of them needs, or longer.
fn left(random: &mut impl FnMut(usize) -> usize, durable: usize, whole: &[u8]) -> Vec<u8> {
    let grown = [durable, durable + random(whole.len() - durable + 1), whole.len()][random(3)];
    let mut octets = whole[..durable].to_vec();
    octets.resize(grown, 0);
    let keep = [0, 50, 90][random(3)];
    for start in (durable / SECTOR * SECTOR..grown).step_by(SECTOR) {
        let (start, end) = (start.max(durable), grown.min(start + SECTOR));
        if random(100) < keep {
            octets[start..end].copy_from_slice(&whole[start..end]);
        }
    }
    octets
}

/// Whether a whole record of those being appended arrived behind one that did not.
fn whole_behind_a_hole(octets: &[u8], whole: &[u8], records: &[(usize, usize)]) -> bool {
    let arrived = |(start, end): &(usize, usize)| octets.get(*start..*end) == Some(&whole[*start..*end]);
    let first_missing = records.iter().position(|record| !arrived(record));
    first_missing.is_some_and(|at| records[at..].iter().any(arrived))
}

/// Groups of records of all sizes, one of them on its way: everything acknowledged is there afterwards, the rest is there from
/// its beginning on or not at all, and the log goes on. Only where a whole record arrived behind a hole is the log refused,
/// since damage looks so too.
#[test]
fn acknowledged_records_survive_a_loss_of_power() {
    let mut source = rng();
    let mut random = move |below: usize| usize::try_from(source.next_u64() % u64::try_from(below).unwrap()).unwrap();
    let dir = in_memory();
    let (mut cut, mut refused, mut kept) = (0, 0, 0);
    let mut log = create(&dir);
    for loss in 0..LOSSES {
        if loss % 200 == 0 {
            drop(log);
            fs::remove_file(file(&dir)).unwrap();
            log = create(&dir);
        }
        let durable = usize::try_from(fs::metadata(file(&dir)).unwrap().len()).unwrap();
        let head = log.head().unwrap();
        let many = [1, 1, 1, 2, 5][random(5)];
        let most = [10, 400, 3_000][random(3)];
        let entries: Vec<_> = (0..many).map(|number| sized(number, random(most))).collect();
        let recorded: Vec<_> = log.record_all(&entries).into_iter().map(|recorded| recorded.unwrap().leaf()).collect();
        drop(log);
        let whole = fs::read(file(&dir)).unwrap();
        let mut ends = vec![durable];
        while *ends.last().unwrap() < whole.len() {
            let at = *ends.last().unwrap();
            ends.push(at + 84 + usize::try_from(u32::from_be_bytes(*whole[at..].first_chunk().unwrap())).unwrap());
        }
        let records: Vec<_> = ends.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let octets = left(&mut random, durable, &whole);
        fs::write(file(&dir), &octets).unwrap();
        let opened = Log::open(dir.path(), Limits::default());
        if whole_behind_a_hole(&octets, &whole, &records) {
            assert!(matches!(opened, Err(AuditError::Corrupted { .. })), "{loss}");
            refused += 1;
            fs::write(file(&dir), &whole[..durable]).unwrap();
            log = Log::open(dir.path(), Limits::default()).unwrap();
            continue;
        }
        log = opened.unwrap_or_else(|error| panic!("{loss}: {error}"));
        let now = log.head().unwrap();
        let more = usize::try_from(now.records - head.records).unwrap();
        assert!(now.records >= head.records && more <= recorded.len(), "{loss}");
        let last = if more == 0 { head.hash } else { *recorded[more - 1].hash() };
        assert_eq!(now.hash, last, "{loss}");
        let (len, end) = (fs::metadata(file(&dir)).unwrap().len(), ends[more]);
        assert_eq!((len, log.torn_octets()), (u64::try_from(end).unwrap(), u64::try_from(octets.len() - end).unwrap()));
        cut += usize::from(log.torn_octets() > 0);
        kept += usize::from(more > 0);
        if loss % 50 == 0 {
            assert_eq!(verify(dir.path()).unwrap().head, now);
        }
    }
    assert!(cut > LOSSES / 4 && kept > LOSSES / 10 && refused > 20, "{cut} cut, {kept} kept, {refused} refused");
    assert!(refused < LOSSES / 10, "{refused}");
}

/// Damage is not a loss of power: any octet altered in the last record, wherever its sectors end, is found as before; and
/// zeros in the middle of a log are too.
#[test]
fn damage_is_not_taken_for_a_loss() {
    for shift in (0..SECTOR).step_by(5).chain(SECTOR - 12..SECTOR) {
        let dir = in_memory();
        let log = create(&dir);
        assert!(log.record(&sized(0, shift)).is_ok());
        let start = usize::try_from(fs::metadata(file(&dir)).unwrap().len()).unwrap();
        assert!(log.record(&entry(1)).is_ok());
        drop(log);
        let octets = fs::read(file(&dir)).unwrap();
        // Every octet of the length and the check, and some of the rest.
        let places = (start..start + 4).chain(start + 44..start + 52).chain((start + 52..octets.len()).step_by(61));
        for at in places.chain([octets.len() - 1]) {
            let mut changed = octets.clone();
            changed[at] ^= 0x40;
            fs::write(file(&dir), &changed).unwrap();
            assert_eq!(verify(dir.path()).err(), Some(AuditError::Corrupted { index: 1 }), "shift {shift}, octet {at}");
        }
        let mut holed = octets.clone();
        let hole = 60 + 52..(60 + 52 + SECTOR).min(start);
        holed[hole].fill(0);
        fs::write(file(&dir), &holed).unwrap();
        assert_eq!(verify(dir.path()).err(), Some(AuditError::Corrupted { index: 0 }), "shift {shift}");
    }
}

/// A hole excuses what it covers and nothing else: an octet beside it that is not as it must be is damage.
#[test]
fn hole_excuses_no_other_octet() {
    let dir = in_memory();
    let log = create(&dir);
    assert!(log.record(&sized(0, 100)).is_ok());
    let start = usize::try_from(fs::metadata(file(&dir)).unwrap().len()).unwrap();
    assert!(log.record(&sized(1, 2_000)).is_ok());
    drop(log);
    let octets = fs::read(file(&dir)).unwrap();
    let hole = |from: usize| {
        let mut holed = octets.clone();
        let from = from.next_multiple_of(SECTOR);
        holed[from..from + SECTOR].fill(0);
        holed
    };
    let verdict = |octets: &[u8]| {
        fs::write(file(&dir), octets).unwrap();
        verify(dir.path()).map(|report| report.head.records)
    };
    assert_eq!(verdict(&hole(start + 52)), Ok(1));
    for at in start + 4..start + 44 {
        let mut changed = hole(start + 52);
        changed[at] ^= 1;
        assert_eq!(verdict(&changed), Err(AuditError::Corrupted { index: 1 }), "octet {at}");
    }
}

/// Zeros where acknowledged records were are a log that was cut: a known head shows it.
#[test]
fn zeros_do_not_hide_what_is_known() {
    let dir = in_memory();
    let log = create(&dir);
    let early = fs::metadata(file(&dir)).unwrap().len();
    for number in 0..4 {
        assert!(log.record(&entry(number)).is_ok());
    }
    let head = log.head().unwrap();
    drop(log);
    let mut octets = fs::read(file(&dir)).unwrap();
    octets[usize::try_from(early).unwrap()..].fill(0);
    fs::write(file(&dir), &octets).unwrap();
    let expected = AuditError::Truncated { known: 4, found: 0 };
    assert_eq!(Log::open_against(dir.path(), Limits::default(), &head).err(), Some(expected));
    // Nothing was changed by the refusal.
    assert_eq!(fs::read(file(&dir)).unwrap(), octets);
}
