//! The folder of `dev`: one installation, everything it needs to be the same after a restart, readable by its owner alone.
//!
//! ```text
//! dev.lock            tells the folder, and is held while dev runs
//! dev.env             what a shell loads
//! ca.pem, ca.key      root certificate; CA below it with its key, constrained to localhost and loopback
//! release.pem, .key   certificates and RSA key of release answers
//! root.key            root of all stored keys, 64 hex digits
//! simulator.pem       simulated root with its keys
//! attestation.key, identity.key   RSA keys of tokens
//! client.secret       secret of the client "developer"
//! origins             the ports of last time
//! store.redb, audit/  what is stored
//! ```
//!
//! A file is written beside its place and moved there, so that a start that is cut short leaves a whole file or none.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use zeroize::Zeroizing;

use super::MARK;
use crate::edge::Failure;

/// The folder, held against a second dev while this lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens the folder, or makes it. One that has other things in it is left alone.
    pub(super) fn open(path: &Path) -> Result<Folder, Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("{} cannot be made", path.display()))?;
        let path = path.canonicalize().with_context(|| path.display().to_string())?;
        is_ours(&path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(MARK));
        let lock = lock.with_context(|| format!("{}", path.join(MARK).display()))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::unavailable(anyhow!(
                "another skerry dev runs on {}: stop it, or name another folder with --data DIR",
                path.display()
            )),
            TryLockError::Error(error) => anyhow::Error::new(error).context("lock").into(),
        })?;
        Ok(Folder { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The absolute path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file's text, if there is one.
    pub(super) fn read(&self, name: &str) -> anyhow::Result<Option<Zeroizing<String>>> {
        match std::fs::read_to_string(self.file(name)) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| self.file(name).display().to_string()),
        }
    }

    /// Puts a text in a file that only the owner reads.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (path, new) = (self.file(name), self.file(&format!("{name}.new")));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &path)
        };
        write().with_context(|| path.display().to_string())
    }

    /// The text of a file, which is made if there is none.
    pub(super) fn kept(
        &self,
        name: &str,
        make: impl FnOnce() -> anyhow::Result<Zeroizing<String>>,
    ) -> anyhow::Result<Zeroizing<String>> {
        if let Some(text) = self.read(name)? {
            return Ok(text);
        }
        let text = make().with_context(|| format!("{name} cannot be made"))?;
        self.write(name, &text)?;
        Ok(text)
    }
}

/// A folder of dev that others cannot enter, or an empty one, which is closed to them now.
fn is_ours(path: &Path) -> anyhow::Result<()> {
    let context = || path.display().to_string();
    if std::fs::read_dir(path).with_context(context)?.next().is_none() {
        return std::fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(context);
    }
    if !path.join(MARK).exists() {
        bail!("{} has other things in it: name a new folder with --data DIR", path.display());
    }
    let mode = std::fs::metadata(path).with_context(context)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("{} has mode {mode:04o}, and secrets are in it: chmod 0700 {0}", path.display());
    }
    Ok(())
}
