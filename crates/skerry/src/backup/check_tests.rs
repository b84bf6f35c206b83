//! Backups that open and are not what a server left: by who has the keys, and made them otherwise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests: a panic is how they fail

use super::*;
use rcgen::{CertificateParams, KeyPair};
use skerry_audit::{End, Limits, Log};
use skerry_backup::{Recipient, RecoveryKey, Writer};
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{Entry, Revision};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::machine::rng;

const INSTALLATION: [u8; 16] = [2; 16];

fn root() -> Root {
    Root::new(Zeroizing::new([9; 32]))
}

fn row(key: &[u8], value: Vec<u8>) -> Exported {
    let entry = Entry { value, created: Revision(1), modified: Revision(1), version: 1 };
    Exported::Entry(Row { key: key.to_vec(), entry })
}

/// A stamp as docs/store-format.md draws it.
fn stamp(kind: u8, installation: [u8; 16], root: &Root) -> Exported {
    let plain = [[kind, 0, 1].as_slice(), &installation].concat();
    let sealed = root.sealer("installation", &[0; 16]).seal(STAMP_KEY, &plain, &mut rng()).unwrap();
    row(STAMP_KEY, sealed)
}

fn released() -> skerry_audit::Entry {
    let body = r#"{"at_ms":1,"event":"release","explanation":"","request":"r","subject":"SUBJECT","verdict":"permitted","who":""}"#;
    skerry_audit::Entry::from_body(body.replace("SUBJECT", &"07".repeat(32)).as_bytes()).unwrap()
}

/// A log's octets, and its ends after one record and after two.
fn log() -> (Vec<u8>, End, End) {
    let folder = TempDir::new().unwrap();
    let log = Log::create(folder.path(), Limits::default(), &mut rng()).unwrap();
    let ends = [(); 2].map(|()| {
        assert!(log.record(&released()).is_ok());
        log.end().unwrap()
    });
    (std::fs::read(folder.path().join(LOG_FILE)).unwrap(), ends[0], ends[1])
}

/// What a walk through a backup of these rows and this log says.
fn walked(rows: &[Exported], octets: &[u8], log: End) -> Result<(u64, u64), String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("backup");
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&pair).unwrap();
    let count = u64::try_from(rows.len()).unwrap();
    let about =
        About { id: [1; 16], installation: INSTALLATION, kind: Kind::Serve, made: 0, revision: 1, rows: count, log };
    let recipients = [Recipient::from_der(certificate.der()).unwrap()];
    let mut writer =
        Writer::new(File::create(&path).unwrap(), about.clone(), &recipients, &root(), &mut rng()).unwrap();
    writer.rows(rows).unwrap();
    writer.log(octets).unwrap();
    writer.finish().unwrap();
    let mut backup = open(&path, |_| ()).map_err(|failure| failure.text())?;
    let key = RecoveryKey::from_pkcs8(&pair.serialize_der()).unwrap();
    let mut contents = backup.unlock(&key).unwrap();
    let place = TempDir::new().unwrap();
    let found = walk(&mut contents, (&path, &about), place.path(), |_| Ok(()), |_| ());
    found.map(|found| (found.opened, found.unknown)).map_err(|failure| failure.text())
}

/// The stamp is there, opens, and is the one that the header names.
#[test]
fn rows_are_of_the_store_that_the_backup_names() {
    let (octets, _, end) = log();
    let of = |rows: &[Exported]| walked(rows, &octets, end);
    assert_eq!(of(&[stamp(2, INSTALLATION, &root())]), Ok((1, 0)), "the control");
    assert!(of(&[]).unwrap_err().contains("no stamp of a store"));
    for other in [stamp(2, [3; 16], &root()), stamp(1, INSTALLATION, &root())] {
        assert!(of(&[other]).unwrap_err().contains("of another store than it says"));
    }
    let Exported::Entry(Row { entry, .. }) = stamp(2, INSTALLATION, &root()) else { return };
    let mut altered = entry.value.clone();
    *altered.last_mut().unwrap() ^= 1;
    assert!(of(&[row(STAMP_KEY, altered)]).unwrap_err().contains("was not what was stored"));
    let foreign = Root::new(Zeroizing::new([8; 32]));
    assert!(of(&[stamp(2, INSTALLATION, &foreign)]).is_err());
}

/// The log ends where the header says that it does, and nowhere else.
#[test]
fn the_log_ends_where_the_backup_says() {
    let (octets, one, two) = log();
    let rows = [stamp(2, INSTALLATION, &root())];
    let len = |octets: &[u8]| u64::try_from(octets.len()).unwrap();
    let with = |octets: &[u8], head: Head| walked(&rows, octets, End { head, len: len(octets) });
    let first = &octets[..usize::try_from(one.len).unwrap()];
    assert_eq!(with(&octets, two.head), Ok((1, 0)), "the control");
    assert_eq!(with(first, one.head), Ok((1, 0)), "the control");
    assert!(with(first, two.head).unwrap_err().contains("1 of 2 known records"), "shorter");
    for longer in [octets.as_slice(), &octets[..octets.len() - 1], &octets[..first.len() + 9]] {
        assert!(with(longer, one.head).unwrap_err().contains("does not end where the backup says"));
    }
    assert!(with(&octets, Head { hash: [0; 32], ..two.head }).unwrap_err().contains("differs from the head"));
    assert!(with(&octets, Head { log: [0; 16], ..two.head }).unwrap_err().contains("not the one whose head is known"));
    let mut altered = octets.clone();
    altered[usize::try_from(one.len).unwrap() - 40] ^= 1;
    assert!(with(&altered, two.head).unwrap_err().contains("corrupted at record 0"));
}

/// What came to the disk is what was made, by its digest; and it is this user's alone, from its first octet on.
#[test]
fn what_was_written_is_what_was_made() {
    use crate::backup::file::{NewFile, folder_of, is_what_was_made};
    use std::os::unix::fs::MetadataExt as _;
    let folder = TempDir::new().unwrap();
    let (octets, _, log) = log();
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&pair).unwrap();
    let recipients = [Recipient::from_der(certificate.der()).unwrap()];
    let about =
        About { id: [1; 16], installation: INSTALLATION, kind: Kind::Serve, made: 0, revision: 1, rows: 0, log };
    let path = folder.path().join("new");
    let file = NewFile::create(&path).map_err(|failure| failure.text()).unwrap();
    let modes = |folder: &Path| -> Vec<u32> {
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().mode() & 0o777).collect()
    };
    assert_eq!(modes(folder.path()), [0o600]);
    let mut writer = Writer::new(file, about, &recipients, &root(), &mut rng()).unwrap();
    writer.log(&octets).unwrap();
    let (mut file, summary) = writer.finish().unwrap();
    assert!(is_what_was_made(&mut file, &summary.digest).is_ok());
    let other = is_what_was_made(&mut file, &[0; 32]).map_err(|failure| failure.text()).unwrap_err();
    assert!(other.contains("what was written is not what was made"));
    file.keep().map_err(|failure| failure.text()).unwrap();
    assert_eq!(modes(folder.path()), [0o600]);
    assert!(NewFile::create(&path).is_err(), "nothing is written over");
    let mut short = NewFile::create(&folder.path().join("short")).map_err(|failure| failure.text()).unwrap();
    short.write_all(&std::fs::read(&path).unwrap()[..900]).unwrap();
    assert!(
        is_what_was_made(&mut short, &summary.digest)
            .map_err(|failure| failure.text())
            .unwrap_err()
            .contains("cut off")
    );
    assert_eq!([folder_of(Path::new("a")), folder_of(Path::new("/b/a"))], [Path::new("."), Path::new("/b")]);
}
