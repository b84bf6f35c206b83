//! The root key: the one place where it comes out of wherever it lies.
//!
//! Whatever needs the root asks [`take`], be it the server, `skerry verify` or a change of the seal. Configuration says where the
//! root is and was checked; what is sealed is opened here, and not kept longer than the caller keeps it.

mod ask;
mod command;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use skerry_unseal::{Passphrase, SealedRoot, UnsealError, credential};
use zeroize::Zeroizing;

pub(crate) use ask::passphrase;
pub(crate) use command::{Command, run};

use crate::edge::Failure;

/// Where the root key is, as configuration says; what is a file has been read.
pub(crate) enum Source {
    /// Here: it was in a file as it is.
    Key(Zeroizing<[u8; 32]>),
    /// In systemd's credential of this name.
    Credential(String),
    /// In a file, under a passphrase that somebody knows.
    Passphrase(Sealed),
}

/// A sealed root and its file.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) path: PathBuf,
    pub(crate) sealed: SealedRoot,
}

impl Source {
    /// The word for the kind of seal.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Key(_) => "file",
            Self::Credential(_) => "credential",
            Self::Passphrase(_) => "passphrase",
        }
    }
}

/// The root of an installation. Who is asked for a passphrase, if one is needed, is said by `passphrase_file`: a file, `-` for
/// standard input, or nobody named, which is whoever sits at the terminal.
pub(crate) fn take(source: &Source, passphrase_file: Option<&Path>) -> Result<Zeroizing<[u8; 32]>, Failure> {
    match source {
        Source::Key(root) => Ok(root.clone()),
        Source::Credential(name) => of_credential(name),
        Source::Passphrase(file) => {
            let passphrase = passphrase(&format!("Passphrase of {}: ", file.path.display()), passphrase_file)?;
            open(&passphrase, file)
        }
    }
}

/// The root in a file, under this passphrase.
pub(crate) fn open(passphrase: &Passphrase, file: &Sealed) -> Result<Zeroizing<[u8; 32]>, Failure> {
    passphrase.open(&file.sealed).map_err(|error| {
        let refused = matches!(error, UnsealError::Passphrase);
        let error = anyhow::Error::new(error).context(file.path.display().to_string());
        if refused { Failure::refused(error) } else { Failure::integrity(error) }
    })
}

fn of_credential(name: &str) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        anyhow!("no CREDENTIALS_DIRECTORY: the root is a systemd credential, and this process was not started with one; say LoadCredentialEncrypted={name}:FILE in its unit")
    })?;
    let root = credential::read(Path::new(&folder), name, rustix::process::geteuid().as_raw());
    Ok(root.with_context(|| format!("credential {name} in {}", Path::new(&folder).display()))?)
}
