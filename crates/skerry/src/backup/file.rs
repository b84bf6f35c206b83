//! A file that is there whole or not at all, and never in another's place.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use skerry_backup::Backup;
use tempfile::NamedTempFile;

use crate::edge::Failure;

/// A file without a name yet, for this user alone.
pub(super) struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// In the folder of `path`, where nothing may be yet.
    pub(super) fn create(path: &Path) -> Result<NewFile, Failure> {
        if path.symlink_metadata().is_ok() {
            return Err(anyhow!("{}: there is something already, and nothing is written over", path.display()).into());
        }
        let folder = folder_of(path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".skerry-").suffix(".part").permissions(std::fs::Permissions::from_mode(0o600));
        let file = builder.tempfile_in(folder).with_context(|| format!("{}", folder.display()))?;
        Ok(NewFile { file, path: path.to_owned() })
    }

    /// Makes it durable and gives it its name.
    pub(super) fn keep(self) -> Result<(), Failure> {
        let path = self.path;
        self.file.as_file().sync_all().map_err(|error| full(error, &path))?;
        self.file
            .persist_noclobber(&path)
            .map_err(|error| anyhow::Error::new(error.error).context(format!("{}", path.display())))?;
        sync(folder_of(&path))?;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads again what was written: what came over a socket or to a disk is what was sealed.
pub(super) fn is_what_was_made(out: &mut NewFile, digest: &[u8; 32]) -> Result<(), Failure> {
    let path = out.path.display().to_string();
    out.file.flush().map_err(|error| full(error, &out.path))?;
    let file = out.file.as_file_mut();
    file.seek(SeekFrom::Start(0)).with_context(|| path.clone())?;
    let backup = Backup::open(BufReader::new(file), |_| ());
    let backup = backup.map_err(|error| Failure::integrity(anyhow::Error::new(error).context(path.clone())))?;
    if backup.digest() != digest {
        return Err(Failure::integrity(anyhow!("{path}: what was written is not what was made")));
    }
    Ok(())
}

/// A write that failed, by the name of the file.
pub(super) fn full(error: io::Error, path: &Path) -> Failure {
    let context = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded => {
            format!("{}: there is no room for it; nothing is left of it: make room and begin again", path.display())
        }
        _ => format!("{}", path.display()),
    };
    Failure::unavailable(anyhow::Error::new(error).context(context))
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> anyhow::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("{}", folder.display()))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
