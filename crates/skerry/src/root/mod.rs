//! The root key: the one place where it comes out of wherever it lies.
//!
//! Whatever needs the root asks [`take`], be it the server, `skerry verify` or a change of the seal. Configuration says where the
//! root is and was checked; what is sealed is opened here, and not kept longer than the caller keeps it.

mod ask;
mod command;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use skerry_unseal::tpm::{self, TpmError};
use skerry_unseal::{SealedRoot, TokenSeal, UnsealError, credential};
use zeroize::Zeroizing;

pub(crate) use ask::passphrase;
pub(crate) use command::{Command, run};

use crate::edge::{self, Failure};
use crate::machine;

/// Where the root key is, as configuration says; what is a file has been read.
pub(crate) enum Source {
    /// Here: it was in a file as it is.
    Key(Zeroizing<[u8; 32]>),
    /// In systemd's credential of this name.
    Credential(String),
    /// In a file, under a passphrase that somebody knows.
    Passphrase(Sealed),
    /// In a file that the TPM at this device opens, for the PIN in a file if there is one.
    Tpm { file: Sealed, device: PathBuf, pin: Option<PathBuf> },
    /// In a file that a PKCS#11 token opens.
    Token(TokenSeal),
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
            Self::Tpm { .. } => "tpm",
            Self::Token(_) => "token",
        }
    }
}

/// The device of the kernel's resource manager.
pub(crate) const TPM: &str = "/dev/tpmrm0";

/// The root of an installation, unless a token has it, which `server::hsm::take` asks. Who is asked for a passphrase, if one is needed, is said by `passphrase_file`: a file, `-` for
/// standard input, or nobody named, which is whoever sits at the terminal.
pub(crate) fn take(source: &Source, passphrase_file: Option<&Path>) -> Result<Zeroizing<[u8; 32]>, Failure> {
    match source {
        Source::Key(root) => Ok(root.clone()),
        Source::Credential(name) => of_credential(name),
        Source::Passphrase(file) => {
            let passphrase = passphrase(&format!("Passphrase of {}: ", file.path.display()), passphrase_file)?;
            passphrase.open(&file.sealed).map_err(|error| unopened(error, &file.path))
        }
        Source::Tpm { file, device, pin } => of_tpm(file, device, pin.as_deref()),
        Source::Token(_) => Err(anyhow!("the root key is in a token: say [hsm]").into()),
    }
}

fn of_tpm(file: &Sealed, device: &Path, pin: Option<&Path>) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let pin = pin.map(|path| passphrase("PIN of the TPM's seal: ", Some(path))).transpose()?;
    let opened = tpm::Device::open(device).map_err(UnsealError::Tpm);
    let root = opened.and_then(|mut device| tpm::open(&mut device, &file.sealed, pin.as_ref(), &mut machine::rng()));
    root.map_err(|error| unopened(error, &file.path))
}

/// Who must act: whoever has the passphrase or PIN, whoever runs the machine, or whoever has a copy of the file.
fn unopened(error: UnsealError, path: &Path) -> Failure {
    let exit = match &error {
        UnsealError::Passphrase | UnsealError::Tpm(TpmError::Pin | TpmError::Pcr | TpmError::OtherTpm) => edge::REFUSED,
        UnsealError::Tpm(TpmError::Altered) => edge::INTEGRITY,
        UnsealError::Tpm(_) | UnsealError::Memory { .. } => edge::UNAVAILABLE,
        _ => edge::INTEGRITY,
    };
    Failure::of(exit, anyhow::Error::new(error).context(path.display().to_string()))
}

fn of_credential(name: &str) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        anyhow!("no CREDENTIALS_DIRECTORY: the root is a systemd credential, and this process was not started with one; say LoadCredentialEncrypted={name}:FILE in its unit")
    })?;
    let root = credential::read(Path::new(&folder), name, rustix::process::geteuid().as_raw());
    Ok(root.with_context(|| format!("credential {name} in {}", Path::new(&folder).display()))?)
}
