//! All of a backup, read with its key: what verifying and restoring have in common.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use skerry_audit::{AuditError, Head};
use skerry_backup::{About, Backup, Contents, Part, ReadError, Summary};
use skerry_store::stamp::{STAMP_KEY, Stamp};
use skerry_store::{Exported, OpId, Row, Settled};
use skerry_vault::{Known, Seal, Seals};

use super::file::full;
use crate::edge::Failure;

/// What was found in a backup of which everything holds.
pub(super) struct Found {
    pub(super) summary: Summary,
    /// The transactions that its rows are known to have.
    pub(super) made: HashSet<OpId>,
    /// Rows whose seal opened.
    pub(super) opened: u64,
    /// Rows under keys that this version does not know.
    pub(super) unknown: u64,
    /// The server that made the backup, if its rows know it.
    pub(super) own: Option<Known>,
    /// The nodes that shared its store, whose logs are not in the backup.
    pub(super) others: Vec<Known>,
}

/// The file, whole and as it was written, as far as shows without a key.
pub(super) fn open(path: &Path, progress: impl FnMut(u64)) -> Result<Backup<BufReader<File>>, Failure> {
    let file = File::open(path).with_context(|| format!("backup {}", path.display()))?;
    Backup::open(BufReader::with_capacity(BUFFER_LEN, file), progress).map_err(|error| refuse(error, path))
}

/// A backup that is not read or believed, and what to do.
pub(super) fn refuse(error: ReadError, path: &Path) -> Failure {
    let what = format!("backup {}", path.display());
    let (exit, context) = match &error {
        ReadError::NotABackup | ReadError::UnknownFormat { .. } => (crate::edge::USAGE, what),
        ReadError::OtherRecoveryKey => (
            crate::edge::USAGE,
            format!("{what}: `skerry verify-backup` without a key says which certificates it is sealed to"),
        ),
        ReadError::Io { .. } => (crate::edge::UNAVAILABLE, what),
        ReadError::Truncated { .. } => (
            crate::edge::INTEGRITY,
            format!("{what}: it was not copied whole, or its making was cut off: take another copy"),
        ),
        _ => (crate::edge::INTEGRITY, format!("{what}: nothing of it is used: take another copy, or an older backup")),
    };
    Failure::of(exit, anyhow::Error::new(error).context(context))
}

/// Reads everything; `rows` gets what the store has, and the log goes into this folder. Rows count once this has returned.
pub(super) fn walk(
    contents: &mut Contents<'_, BufReader<File>>,
    (path, about): (&Path, &About),
    log: &Path,
    mut rows: impl FnMut(&[Exported]) -> Result<(), Failure>,
    mut progress: impl FnMut(u64),
) -> Result<Found, Failure> {
    let log_path = log.join(LOG_FILE);
    let mut log_file = File::create_new(&log_path).with_context(|| format!("{}", log_path.display()))?;
    let root = skerry_store::seal::Root::new(zeroize::Zeroizing::new(*contents.root().danger().octets()));
    let (mut seals, mut made) = (Seals::new(&root), HashSet::new());
    let (mut opened, mut unknown, mut stamped) = (0_u64, 0_u64, false);
    let mut known = Vec::new();
    while let Some(part) = contents.part().map_err(|error| refuse(error, path))? {
        match &part {
            Part::Log(octets) => log_file.write_all(octets).map_err(|error| full(error, &log_path))?,
            Part::Rows(page) => {
                for exported in page {
                    match exported {
                        Exported::Op { op, settled: Settled::Committed(_), .. } => drop(made.insert(*op)),
                        Exported::Op { .. } => {}
                        Exported::Entry(row) => {
                            let count = if is_sealed(&mut seals, row)? { &mut opened } else { &mut unknown };
                            *count = count.saturating_add(1);
                            known.extend(Known::of(&root, row).context("backup").map_err(Failure::integrity)?);
                            stamped |= row.key == STAMP_KEY && is_stamp_of(&root, row, about)?;
                        }
                    }
                }
                rows(page)?;
            }
        }
        progress(contents.read());
    }
    log_file.sync_all().map_err(|error| full(error, &log_path))?;
    if !stamped {
        return Err(Failure::integrity(anyhow!("the backup has no stamp of a store among its rows")));
    }
    let summary = contents.summary().cloned().context("the backup has no end")?;
    log_is_whole(log, &about.log.head)?;
    let (own, others): (Vec<_>, Vec<_>) = known.into_iter().partition(|known| known.head.log == about.log.head.log);
    let own = own.into_iter().next();
    if let Some(own) = &own {
        continues(log, &own.head, "the log in the backup does not go with its rows")?;
    }
    Ok(Found { summary, made, opened, unknown, own, others })
}

/// Whether the row opened; false if it is under a key that this version does not know.
fn is_sealed(seals: &mut Seals<'_>, row: &Row) -> Result<bool, Failure> {
    match seals.check(row) {
        Seal::Opens => Ok(true),
        Seal::Unknown => Ok(false),
        Seal::Broken(error) => {
            let key = row.key.escape_ascii();
            let context = format!("row {key} was not what was stored when the backup was made: take an older one");
            Err(Failure::integrity(anyhow::Error::new(error).context(context)))
        }
    }
}

fn is_stamp_of(root: &skerry_store::seal::Root, row: &Row, about: &About) -> Result<bool, Failure> {
    let stamp =
        Stamp::read(root, &row.entry).context("stamp of the store in the backup").map_err(Failure::integrity)?;
    match (stamp.installation, stamp.kind) == (about.installation, about.kind) {
        true => Ok(true),
        false => Err(Failure::integrity(anyhow!("the rows of the backup are of another store than it says"))),
    }
}

/// The log is there up to the head that the backup names, and not one octet more.
fn log_is_whole(folder: &Path, head: &Head) -> Result<(), Failure> {
    let context = "audit log in the backup";
    let report = skerry_audit::verify_against(folder, head).context(context).map_err(Failure::integrity)?;
    match (report.head == *head, report.torn_octets) {
        (true, 0) => Ok(()),
        _ => Err(Failure::integrity(anyhow!("{context}: it does not end where the backup says"))),
    }
}

/// Whether the log in this folder has, or continues, a head.
pub(super) fn continues(folder: &Path, head: &Head, whose: &str) -> Result<(), Failure> {
    match skerry_audit::verify_against(folder, head) {
        Ok(_) => Ok(()),
        Err(error @ AuditError::OtherLog) => {
            let context = format!(
                "{whose}: it is of another log: that of another server, or of this one after it was restored, of which the first \
                 record names the log before"
            );
            Err(Failure::refused(anyhow::Error::new(error).context(context)))
        }
        Err(error) => Err(Failure::integrity(anyhow::Error::new(error).context(whose.to_owned()))),
    }
}

/// The name of a log's file in its folder.
pub(super) const LOG_FILE: &str = "audit.log";
const BUFFER_LEN: usize = 256 * 1024;

#[cfg(test)]
#[path = "check_tests.rs"]
mod altered;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use skerry_audit::{End, Limits};
    use skerry_backup::{Recipient, RecoveryKey, Writer};
    use skerry_store::Store;
    use skerry_store::seal::Root;
    use skerry_store::stamp::Kind;
    use skerry_vault::Installation;
    use zeroize::Zeroizing;

    use super::*;
    use crate::machine;

    /// Rows that know more of their log than the backup has of it are not of that backup: somebody put them together. One whose log
    /// goes as far as the rows know, or further, is whole.
    #[test]
    fn log_goes_with_its_rows() {
        let (folder, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (machine, root) = (machine::machine(), || Root::new(Zeroizing::new([7; 32])));
        let (store, now, randomness) = (Store::memory(), machine.now(), machine.randomizer());
        let opening =
            Installation::open(store.clone(), root(), Kind::Serve, log.path(), Limits::default(), now, randomness);
        let installation = runtime.block_on(opening).unwrap().0;
        let short = installation.log().end().unwrap();
        runtime.block_on(installation.danger().take_out(&[1; 16], "somebody", "nobody", now)).unwrap();
        let known = installation.log().end().unwrap();
        runtime.block_on(installation.tick(now, randomness)).unwrap();
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&pair).unwrap();
        let recipients = [Recipient::from_der(certificate.der()).unwrap()];
        let key = RecoveryKey::from_pkcs8(&pair.serialize_der()).unwrap();
        let walked = |name: &str, end: End| {
            let mut export = runtime.block_on(store.export(&root())).unwrap();
            let (revision, rows) = (export.revision().0, export.rows());
            let stamp = installation.stamp();
            let (kind, installation) = (stamp.kind, stamp.installation);
            let about = About { id: [1; 16], installation, kind, made: 1, revision, rows, log: end };
            let mut writer = Writer::new(Vec::new(), about.clone(), &recipients, &root(), &mut machine::rng()).unwrap();
            while let Some(rows) = export.page().unwrap() {
                writer.rows(&rows).unwrap();
            }
            let octets = std::fs::read(log.path().join(LOG_FILE)).unwrap();
            writer.log(&octets[..usize::try_from(end.len).unwrap()]).unwrap();
            let path = folder.path().join(name);
            std::fs::write(&path, writer.finish().unwrap().0).unwrap();
            let before = folder.path().join(format!("{name}.log"));
            std::fs::create_dir(&before).unwrap();
            let mut backup = open(&path, |_| ()).unwrap();
            let mut contents = backup.unlock(&key).unwrap();
            walk(&mut contents, (&path, &about), &before, |_| Ok(()), |_| ())
        };
        let found = walked("good", known).unwrap();
        assert_eq!(found.own.map(|own| own.head), Some(known.head));
        assert_eq!(found.others, []);
        let failure = walked("short", short).err().unwrap();
        assert_eq!(failure.exit(), crate::edge::INTEGRITY);
        assert!(failure.text().starts_with("the log in the backup does not go with its rows"), "{}", failure.text());
    }
}
