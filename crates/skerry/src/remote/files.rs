//! Files that commands read and write: bounded when read, for their owner alone and never over another when written.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use zeroize::Zeroizing;

/// What a command reads: a file, or `-` for standard input.
#[derive(Debug, Clone)]
pub(crate) struct Input(PathBuf);

impl FromStr for Input {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Input, Self::Err> {
        Ok(Input(text.into()))
    }
}

impl Input {
    /// All of it, if it is not longer than what a vault takes.
    pub(crate) fn read(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        self.bounded(INPUT_BYTES_MAX)
    }

    /// All of it, if it is not longer than this.
    pub(crate) fn bounded(&self, bytes_max: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        match self.0.as_os_str() == "-" {
            true => take(std::io::stdin().lock(), bytes_max).context("standard input"),
            false => read_bounded(&self.0, bytes_max),
        }
    }

    /// Gives it to somebody piece by piece, however long it is.
    pub(crate) fn each(&self, mut each: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut reader: Box<dyn std::io::Read> = match self.0.as_os_str() == "-" {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(open(&self.0)?),
        };
        let mut piece = Zeroizing::new(vec![0; 64 * 1024]);
        loop {
            match reader.read(&mut piece).with_context(|| self.0.display().to_string())? {
                0 => return Ok(()),
                len => each(piece.get(..len).unwrap_or_default()),
            }
        }
    }
}

/// Where a command writes what is secret, or large, or both.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    path: PathBuf,
    force: bool,
}

impl Output {
    pub(crate) fn new(path: &Path, force: bool) -> Output {
        Output { path: path.to_owned(), force }
    }

    /// Refuses early what [`Output::write`] would refuse late, when a key has already been released.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("{} is no folder", folder.display());
        }
        match !self.force && self.path.symlink_metadata().is_ok() {
            true => Err(self.exists()),
            false => Ok(()),
        }
    }

    /// Writes a file that only its owner reads. One that is there stays as it is, unless it is to be replaced: then by a new
    /// one, since the old one may be open to others.
    pub(crate) fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let context = || self.path.display().to_string();
        if !self.force {
            return match create(&self.path) {
                Ok(file) => fill(file, bytes).with_context(context),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(self.exists()),
                Err(error) => Err(error).with_context(context),
            };
        }
        let name = self.path.file_name().ok_or_else(|| anyhow!("{} is no file", self.path.display()))?;
        let beside = self.path.with_file_name(format!(".{}.new-{}", name.to_string_lossy(), std::process::id()));
        let written = create(&beside).and_then(|file| fill(file, bytes));
        written.and_then(|()| std::fs::rename(&beside, &self.path)).with_context(context)
    }

    pub(crate) fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    fn exists(&self) -> anyhow::Error {
        anyhow!("{} is there already: name another file, or say --force", self.path.display())
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn fill(mut file: File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// A text for a person or a server, with a bound.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = read_bounded(path, INPUT_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).with_context(|| path.display().to_string())?;
    Ok(Zeroizing::new(text.to_owned()))
}

pub(super) fn read_bounded(path: &Path, bytes_max: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    take(open(path)?, bytes_max).with_context(|| path.display().to_string())
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn take(reader: impl std::io::Read, bytes_max: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    reader.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max { bail!("it has more than {bytes_max} bytes") } else { Ok(bytes) }
}

/// A vault reads bodies of 512 KiB (skerry-http), base64 being a third of that.
const INPUT_BYTES_MAX: usize = 384 * 1024;
/// Debian's ca-certificates.crt has 220 kB.
pub(super) const PEM_BYTES_MAX: usize = 4 * 1024 * 1024;
