//! The file below the log: appended to, made durable, nothing else.

use crate::error::{AuditError, Step};
use crate::format::{HEADER_LEN, Header};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where octets are appended. The second implementor is the failing disk of the tests.
pub(crate) trait Segment: Send {
    /// Appends all octets, or fails having appended some.
    fn append(&mut self, octets: &[u8]) -> io::Result<()>;
    /// Returns once what was appended survives a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

impl Segment for File {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        self.write_all(octets)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("audit.log")
}

/// Makes the file with its header, durable with its name, and holds its lock.
pub(crate) fn create(dir: &Path, header: Header) -> Result<File, AuditError> {
    let failed = AuditError::io(Step::Create);
    let mut file = OpenOptions::new().read(true).append(true).create_new(true).open(path(dir)).map_err(|error| {
        match error.kind() {
            io::ErrorKind::AlreadyExists => AuditError::Exists,
            _ => failed(error),
        }
    })?;
    lock(&file)?;
    file.write_all(&header.to_bytes()).map_err(&failed)?;
    file.sync_all().map_err(&failed)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(&failed)?;
    Ok(file)
}

/// Opens the file to append and holds its lock, so that a second opener is refused.
pub(crate) fn open(dir: &Path) -> Result<File, AuditError> {
    let mut options = OpenOptions::new();
    let file = opened(options.read(true).append(true), dir)?;
    lock(&file)?;
    Ok(file)
}

/// Opens the file to read, beside its holder.
pub(crate) fn open_to_read(dir: &Path) -> Result<File, AuditError> {
    opened(OpenOptions::new().read(true), dir)
}

/// Cuts the file to `len`, durably.
pub(crate) fn cut(file: &File, len: u64) -> Result<(), AuditError> {
    file.set_len(len).and_then(|()| file.sync_all()).map_err(AuditError::io(Step::Cut))
}

pub(crate) fn len(file: &File) -> Result<u64, AuditError> {
    let metadata = file.metadata().map_err(AuditError::io(Step::Read))?;
    Ok(metadata.len())
}

/// Octets of the header as the file counts them.
pub(crate) fn header_len() -> u64 {
    u64::try_from(HEADER_LEN).unwrap_or(u64::MAX)
}

fn opened(options: &OpenOptions, dir: &Path) -> Result<File, AuditError> {
    options.open(path(dir)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => AuditError::Missing,
        _ => AuditError::io(Step::Open)(error),
    })
}

fn lock(file: &File) -> Result<(), AuditError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => AuditError::Locked,
        TryLockError::Error(error) => AuditError::io(Step::Lock)(error),
    })
}
