//! A sealed root on the disk: read whole, and replaced so that there is always one that opens.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::UnsealError;
use crate::file::SealedRoot;
use crate::limits::FILE_BYTES_MAX;

/// Why a file cannot be read, written, or is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum Unreadable {
    #[error("cannot be read ({0})")]
    Read(ErrorKind),
    #[error("cannot be written ({0})")]
    Write(ErrorKind),
    #[error("is there already")]
    Exists,
    #[error("has {bytes} octets, at most {max}: it is no sealed root")]
    TooLarge { bytes: u64, max: u64 },
    #[error("has mode {mode:04o}, and others could change it: chmod 0600")]
    Mode { mode: u32 },
    #[error("is not as it was written")]
    NotAsWritten,
    #[error(transparent)]
    Content(UnsealError),
}

/// The sealed root in a file that nobody but its owner can change.
pub fn read(path: &Path) -> Result<SealedRoot, Unreadable> {
    let failed = |error: std::io::Error| Unreadable::Read(error.kind());
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS_CHANGE != 0 {
        return Err(Unreadable::Mode { mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(Unreadable::TooLarge { bytes: metadata.len(), max: FILE_BYTES_MAX });
    }
    let mut octets = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut octets).map_err(failed)?;
    SealedRoot::parse(&octets).map_err(Unreadable::Content)
}

/// Puts a sealed root in a file, in the place of what is there: beside it first, read again and found to open by `verify`, then
/// moved. The one that was there stays as `FILE.old`. Whatever fails, what was at `path` is there still, or is the new one.
pub fn replace<E: From<Unreadable>>(
    path: &Path,
    sealed: &SealedRoot,
    verify: impl FnOnce(&SealedRoot) -> Result<(), E>,
) -> Result<(), E> {
    let (new, old) = (beside(path, ".new"), beside(path, ".old"));
    write(&new, &sealed.to_bytes())?;
    let written = read(&new)?;
    if written != *sealed {
        return Err(Unreadable::NotAsWritten.into());
    }
    verify(&written)?;
    keep(path, &old).and_then(|()| rename(&new, path)).map_err(E::from)
}

/// Removes the seal that was replaced.
pub fn remove_old(path: &Path) -> Result<bool, Unreadable> {
    match std::fs::remove_file(beside(path, ".old")) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Unreadable::Write(error.kind())),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What a run that was cut short left is written over; it is nobody's only seal.
fn write(path: &Path, octets: &[u8]) -> Result<(), Unreadable> {
    let failed = |error: std::io::Error| Unreadable::Write(error.kind());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(octets).and_then(|()| file.sync_all()).map_err(failed)
}

/// A second name for the old file, so that `path` is never without one.
fn keep(path: &Path, old: &Path) -> Result<(), Unreadable> {
    let failed = |error: std::io::Error| Unreadable::Write(error.kind());
    if !path.exists() {
        return Ok(());
    }
    match std::fs::remove_file(old) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::hard_link(path, old).map_err(failed)
}

fn rename(new: &Path, path: &Path) -> Result<(), Unreadable> {
    let failed = |error: std::io::Error| Unreadable::Write(error.kind());
    std::fs::rename(new, path).map_err(failed)?;
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

const OTHERS_CHANGE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_alone_are_of_this_folder() {
        // It is made durable after a file in it was renamed, so it has to be the right one.
        assert_eq!(folder_of(Path::new("root.sealed")), Path::new("."));
        assert_eq!(folder_of(Path::new("/var/lib/root.sealed")), Path::new("/var/lib"));
        assert_eq!(folder_of(Path::new("below/root.sealed")), Path::new("below"));
    }
}
