//! The folder that a restore makes: beside where it is to be, and there only when all of it is.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use skerry_store::seal::Root;
use zeroize::Zeroizing;

use super::file::{folder_of, sync};
use crate::edge::{self, Failure};
use crate::server::AUDIT;

/// A folder that is being filled. What is left of one that was not finished is a folder beside the target, which no server takes
/// for its own, and which the next restore removes.
pub(super) struct Target {
    folder: PathBuf,
    work: PathBuf,
    _lock: File,
}

impl Target {
    /// Where nothing is, or an empty folder.
    pub(super) fn begin(folder: &Path) -> Result<Target, Failure> {
        let shown = folder.display();
        match std::fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
            Ok(true) => {
                let text = "is not empty, and nothing is restored over something: name a new folder";
                return Err(anyhow!("{shown} {text}").into());
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(anyhow::Error::new(error).context(format!("{shown}")).into());
            }
            _ => {}
        }
        let name = folder.file_name().ok_or_else(|| anyhow!("{shown} has no name of a folder"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".restoring");
        let work = folder_of(folder).join(hidden);
        let new = make_dir(&work)?;
        is_own(&work)?;
        let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(work.join(LOCK));
        let lock = lock.with_context(|| format!("{}", work.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::unavailable(anyhow!("{shown} is being restored by another process")));
            }
            Err(TryLockError::Error(error)) => {
                return Err(anyhow::Error::new(error).context(format!("{}", work.display())).into());
            }
        }
        let target = Target { folder: folder.to_owned(), work, _lock: lock };
        if !new {
            edge::note(&format!(
                "{} of a restore that was cut off is removed; this one begins anew",
                target.work.display()
            ));
            remove(&target.data())?;
        }
        make_dir(&target.data())?;
        make_dir(&target.log())?;
        Ok(target)
    }

    /// What will be the folder.
    pub(super) fn data(&self) -> PathBuf {
        self.work.join("data")
    }

    /// Of the log that the restored server begins.
    pub(super) fn log(&self) -> PathBuf {
        self.data().join(AUDIT)
    }

    /// A folder for the log from before.
    pub(super) fn before(&self, log: &[u8; 16]) -> Result<PathBuf, Failure> {
        let before = self.log().join(format!("before-{}", hex::encode(log)));
        make_dir(&before)?;
        Ok(before)
    }

    /// Gives it its name, once everything in it is durable.
    pub(super) fn finish(&self, before: &[&Path]) -> Result<(), Failure> {
        for folder in before.iter().copied().chain([self.log().as_path(), &self.data()]) {
            sync(folder)?;
        }
        // An empty folder that is there gives way; one that was filled meanwhile does not.
        let renamed = std::fs::rename(self.data(), &self.folder);
        renamed.with_context(|| format!("{} cannot be put in its place", self.folder.display()))?;
        Ok(sync(folder_of(&self.folder))?)
    }
}

impl Drop for Target {
    /// What is left of a restore that failed, or the lock of one that did not. That it cannot be removed the next one says.
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.work);
    }
}

/// Where the root key is written: a file of its own, that is new, or nothing.
pub(super) struct RootFile<'a>(Option<&'a Path>);

impl<'a> RootFile<'a> {
    pub(super) fn new(path: Option<&'a Path>) -> Result<RootFile<'a>, Failure> {
        match path.filter(|path| path.symlink_metadata().is_ok()) {
            Some(path) => {
                Err(anyhow!("{}: there is something already, and nothing is written over", path.display()).into())
            }
            None => Ok(RootFile(path)),
        }
    }

    /// As `root_key` of a configuration names one.
    pub(super) fn write(&self, root: &Root) -> Result<(), Failure> {
        let Some(path) = self.0 else { return Ok(()) };
        let mut text = Zeroizing::new([0; 64]);
        // Infallible: twice 32 octets.
        let _ = hex::encode_to_slice(root.danger().octets(), text.as_mut_slice());
        let write = || -> std::io::Result<()> {
            let mut file = File::options().create_new(true).write(true).mode(0o600).open(path)?;
            file.write_all(text.as_slice())?;
            file.sync_all()
        };
        write().with_context(|| format!("root key {}", path.display()))?;
        sync(folder_of(path))?;
        Ok(())
    }

    /// Takes it away again.
    pub(super) fn undo(&self) {
        if let Some(path) = self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether the folder is new.
fn make_dir(path: &Path) -> Result<bool, Failure> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context(format!("{}", path.display())).into()),
    }
}

/// Whether what lies where a restore works is a folder that nobody else can look or write into: all of a server is put there.
fn is_own(work: &Path) -> Result<(), Failure> {
    let found = work.symlink_metadata().with_context(|| format!("{}", work.display()))?;
    let (own, mode) = (rustix::process::geteuid().as_raw(), found.mode() & 0o777);
    match found.is_dir() && found.uid() == own && mode == 0o700 {
        true => Ok(()),
        false => {
            let text = "is there already, and is no folder of this user alone: see who made it, and remove it";
            Err(anyhow!("{} {text}", work.display()).into())
        }
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(anyhow::Error::new(error).context(format!("{} cannot be removed", folder.display())).into())
        }
        _ => Ok(()),
    }
}

const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests: a panic is how they fail
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn nothing_is_restored_into_what_somebody_else_put_there() {
        // A link to a folder of his, one that others can look into, a file; what a restore of one's own left is taken.
        let folder = tempfile::tempdir().unwrap();
        let (data, work) = (folder.path().join("data"), folder.path().join(".data.restoring"));
        let refused =
            || Target::begin(&data).err().is_some_and(|failure| failure.text().contains("no folder of this user"));
        let elsewhere = folder.path().join("elsewhere");
        DirBuilder::new().mode(0o700).create(&elsewhere).unwrap();
        symlink(&elsewhere, &work).unwrap();
        assert!(refused());
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0, "not even a lock");
        std::fs::remove_file(&work).unwrap();
        std::fs::write(&work, b"").unwrap();
        std::fs::set_permissions(&work, Permissions::from_mode(0o700)).unwrap();
        assert!(refused());
        std::fs::remove_file(&work).unwrap();
        for mode in [0o701, 0o710, 0o777] {
            std::fs::create_dir(&work).unwrap();
            std::fs::set_permissions(&work, Permissions::from_mode(mode)).unwrap();
            assert!(refused(), "{mode:o}");
            std::fs::remove_dir(&work).unwrap();
        }
        DirBuilder::new().mode(0o700).create(&work).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&work, Some(1000), None).unwrap();
            assert!(refused(), "of another user");
            std::os::unix::fs::chown(&work, Some(0), None).unwrap();
        }
        std::fs::create_dir(work.join("data")).unwrap();
        std::fs::write(work.join("data").join("left"), b"").unwrap();
        let target = Target::begin(&data).map_err(|failure| failure.text()).unwrap();
        assert!(Target::begin(&data).err().is_some_and(|failure| failure.text().contains("by another process")));
        assert!(!target.data().join("left").exists() && target.log().is_dir());
        drop(target);
        assert!(!work.exists());
        std::fs::create_dir(&data).unwrap();
        assert!(Target::begin(&data).is_ok(), "an empty one gives way");
        std::fs::write(data.join("x"), b"").unwrap();
        assert!(Target::begin(&data).err().is_some_and(|failure| failure.text().contains("is not empty")));
    }
}
