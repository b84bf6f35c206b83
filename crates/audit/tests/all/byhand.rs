//! Records made here from the drawing in `audit::format` alone: what is written is what is drawn, and who can compute the hashes, and
//! writes otherwise, is refused.

use crate::fixtures::{create, entry, file, rng, written};
use aws_lc_rs::digest::{SHA256, digest};
use skerry_audit::{AuditError, Entry, Limits, Log, verify};
use std::fs;
use std::io::Write as _;
use tempfile::TempDir;

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    digest(&SHA256, &parts.concat()).as_ref().try_into().unwrap()
}

/// A record with this body at this place.
pub(crate) fn record(log: &[u8], index: u64, previous: &[u8], body: &[u8]) -> Vec<u8> {
    let prefix = [&u32::try_from(body.len()).unwrap().to_be_bytes(), index.to_be_bytes().as_slice(), previous].concat();
    let check = sha256(&[&[2], log, &prefix]);
    let hash = sha256(&[&[0], log, &index.to_be_bytes(), previous, body]);
    [prefix.as_slice(), &check[..8], body, &hash].concat()
}

#[test]
fn logs_are_as_they_are_drawn() {
    // Header and records, octet by octet.
    let (dir, octets) = written();
    let bodies: Vec<_> = skerry_audit::read(dir.path()).unwrap().map(|found| found.unwrap().body().to_vec()).collect();
    let id = &octets[12..28];
    let head = [b"SKERRYAL".as_slice(), &[0, 0, 0, 1], id].concat();
    let mut own = [head.as_slice(), &sha256(&[&[1], &head])].concat();
    for (index, body) in (0..).zip(&bodies) {
        let previous = own[own.len() - 32..].to_vec();
        own.extend(record(id, index, &previous, body));
    }
    assert_eq!(own, octets);
}

#[test]
fn bodies_have_a_size() {
    // A little more than is written is read, for what earlier builds wrote; one octet more is nobody's record.
    let (dir, octets) = written();
    let of = |len: usize| {
        let more = record(&octets[12..28], 4, &octets[octets.len() - 32..], &vec![b' '; len]);
        fs::write(file(&dir), [octets.as_slice(), &more].concat()).unwrap();
        verify(dir.path()).map(|report| report.head.records)
    };
    assert_eq!(of(0), Ok(5));
    assert_eq!(of(64 * 1024), Ok(5));
    assert_eq!(of(64 * 1024 + 1), Err(AuditError::Corrupted { index: 4 }));
}

#[test]
fn records_of_another_history_are_not_moved() {
    // One that stands where it was written, in a log of the same id that went otherwise, was not moved: it does not follow.
    let of = |first: u8| {
        let dir = TempDir::new().unwrap();
        let log = create(&dir);
        for number in [first, 1, 2] {
            assert!(log.record(&entry(number)).is_ok());
        }
        drop(log);
        fs::read(file(&dir)).unwrap()
    };
    let (one, other) = (of(7), of(8));
    let places = crate::fixtures::boundaries(&one);
    let dir = TempDir::new().unwrap();
    fs::write(file(&dir), [&one[..places[1]], &other[places[1]..]].concat()).unwrap();
    assert_eq!(verify(dir.path()), Err(AuditError::Corrupted { index: 1 }));
}

#[test]
fn torn_heads_are_what_they_would_have_become() {
    // As far as one is there each octet behind its length counts, those of the check too.
    let (dir, octets) = written();
    let start = crate::fixtures::boundaries(&octets)[3];
    for cut in 5..52 {
        for at in 4..cut {
            let mut torn = octets[..start + cut].to_vec();
            torn[start + at] ^= 1;
            fs::write(file(&dir), &torn).unwrap();
            let found = verify(dir.path());
            assert!(
                matches!(found, Err(AuditError::Corrupted { index: 3 } | AuditError::Moved { index: 3, .. })),
                "{cut} {at}"
            );
        }
        fs::write(file(&dir), &octets[..start + cut]).unwrap();
        assert_eq!(verify(dir.path()).map(|report| report.torn_octets), Ok(u64::try_from(cut).unwrap()));
    }
}

#[test]
fn no_loss_of_power_is_so_large() {
    // Zeros behind the last record, as many as one group can have, and one more.
    let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let log = Log::create(dir.path(), Limits::default(), &mut rng()).unwrap();
    assert!(log.record(&Entry { request: String::new(), ..entry(1) }).is_ok());
    let len = log.end().unwrap().len;
    drop(log);
    let most = u64::try_from(skerry_audit::limits::LOST_LEN_MAX).unwrap();
    let grow = |len: u64| {
        let mut file = fs::OpenOptions::new().write(true).open(file(&dir)).unwrap();
        file.set_len(len).unwrap();
        file.flush().unwrap();
    };
    grow(len + most);
    assert_eq!(verify(dir.path()).map(|report| report.torn_octets), Ok(most));
    grow(len + most + 1);
    assert_eq!(verify(dir.path()), Err(AuditError::Corrupted { index: 1 }));
}
