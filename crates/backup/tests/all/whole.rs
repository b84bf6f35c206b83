//! What goes in comes out, for every kind of recovery key; and a disk that is full is an error of its own.

use std::io::{self, Cursor, Write};

use skerry_backup::{Backup, ReadError, WriteError, Writer};

use crate::fixtures::*;

/// Each of several custodians recovers all of it alone, and what shows without a key is what was said of it.
#[test]
fn everything_comes_back_to_each_recovery_key() {
    let custodians = [p256(), p384()];
    let mut recipients = vec![rsa().recipient()];
    recipients.extend(custodians.iter().map(Custodian::recipient));
    let (file, written) = write(Vec::new(), &rows(), &recipients, &mut rng()).unwrap();
    for custodian in custodians.iter().chain([rsa()]) {
        let (root, found, log, read) = read(&file, &custodian.key()).unwrap();
        assert_eq!((root, found.as_slice(), log.as_slice()), ([9; 32], rows().as_slice(), LOG));
        assert_eq!(read, written);
    }
    let mut told = 0;
    let backup = Backup::open(Cursor::new(&file), |octets| told += octets).unwrap();
    assert_eq!(backup.about(), &about(rows().len(), LOG.len()));
    assert_eq!((backup.octets(), told), (u64::try_from(file.len()).unwrap(), backup.octets()));
    assert_eq!((backup.digest(), written.entries, written.ops), (&written.digest, 2, 2));
    let certificates: Vec<_> = recipients.iter().map(|one| *one.certificate()).collect();
    assert_eq!(backup.recipients(), certificates);
}

/// Rows of the largest size, more than a chunk of small ones, a log that is longer than a chunk, and an empty store.
#[test]
fn many_and_large_rows_come_back() {
    let large = vec![0xab; skerry_store::limits::VALUE_LEN_MAX];
    let mut rows: Vec<_> = (0..20_000).map(|at| row(&format!("k{at:08}"), &[0; 100])).collect();
    rows.push(row(&"m".repeat(skerry_store::limits::KEY_LEN_MAX), &large));
    rows.push(row("n", &large));
    let log = vec![0xcd; 3 * 1024 * 1024 + 17];
    for rows in [rows.as_slice(), &[]] {
        let recipients = [rsa().recipient()];
        let mut writer =
            Writer::new(Vec::new(), about(rows.len(), log.len()), &recipients, &root(), &mut rng()).unwrap();
        rows.chunks(999).for_each(|page| writer.rows(page).unwrap());
        log.chunks(77_777).for_each(|part| writer.log(part).unwrap());
        let (file, _) = writer.finish().unwrap();
        let (_, found, read_log, _) = read(&file, &rsa().key()).unwrap();
        assert!(found == rows && read_log == log);
    }
}

/// Nothing but the header tells what is in it: neither keys nor values nor the root.
#[test]
fn nothing_is_in_the_clear() {
    let (file, _) =
        write(Vec::new(), &[row("a name that shows", b"a value that shows")], &[rsa().recipient()], &mut rng())
            .unwrap();
    for secret in [b"a name that shows".as_slice(), b"a value that shows", LOG, &[9; 32]] {
        assert!(!file.windows(secret.len()).any(|octets| octets == secret));
    }
}

/// A disk that takes so many octets.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(octets.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A full disk is named, at whatever octet it is met; one octet more and the backup is there.
#[test]
fn a_full_disk_is_named() {
    let recipients = || [rsa().recipient()];
    let len = small(&recipients()).len();
    for room in (0..len).step_by(7) {
        let error = write(Full(room), &rows(), &recipients(), &mut rng()).err();
        assert_eq!(error, Some(WriteError::Io { kind: io::ErrorKind::StorageFull }));
    }
    assert!(write(Full(len), &rows(), &recipients(), &mut rng()).is_ok());
}

/// What a writer is told to do out of order is refused, so that no backup says other than what is in it.
#[test]
fn writers_keep_to_the_order() {
    let recipients = [rsa().recipient()];
    let new = |rows: usize| Writer::new(Vec::new(), about(rows, LOG.len()), &recipients, &root(), &mut rng()).unwrap();
    let mut late = new(5);
    late.rows(&rows()).unwrap();
    assert_eq!(late.rows(&rows()), Err(WriteError::Order));
    let mut after_log = new(1);
    after_log.log(LOG).unwrap();
    assert_eq!(after_log.rows(&rows()), Err(WriteError::Order));
    let len = u64::try_from(LOG.len()).unwrap();
    assert_eq!(new(0).finish().err(), Some(WriteError::LogLength { len: 0, announced: len }));
    let mut long = new(0);
    long.log(LOG).unwrap();
    assert_eq!(long.log(b"x"), Err(WriteError::LogLength { len: len + 1, announced: len }));
    // A count that is wrong in the header shows to who reads.
    let mut short = new(7);
    short.rows(&rows()).unwrap();
    short.log(LOG).unwrap();
    let (file, _) = short.finish().unwrap();
    let wrong = ReadError::Content { index: 4, what: "counts in the header" };
    assert_eq!(read(&file, &rsa().key()).err(), Some(wrong));
}
