//! Why a root does not come out of its seal.

use std::io::ErrorKind;

use crate::tpm::TpmError;

/// Why a root is not sealed, or does not come out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum UnsealError {
    // The file.
    #[error("{len} octets are no sealed root: it is cut off, or has been added to")]
    Length { len: usize },
    #[error("not a sealed root")]
    NotASeal,
    #[error("sealed root of format {format}, and this version knows 1")]
    UnknownFormat { format: u16 },
    #[error("sealed root of kind {kind}, which this version does not know")]
    UnknownKind { kind: u8 },
    #[error("sealed root of kind {kind} with parameters that this kind does not have")]
    Parameters { kind: u8 },
    #[error("sealed root with {what} {seen}, from {min} to {max} are taken")]
    OutOfRange { what: &'static str, seen: u32, min: u32, max: u32 },
    #[error("sealed root is sealed by {found}, not by {expected}")]
    OtherKind { expected: &'static str, found: &'static str },
    #[error("another root than its file says")]
    OtherRoot,

    // Opening.
    #[error("the passphrase is wrong, or the file was altered; which of the two cannot be told")]
    Passphrase,
    #[error("the file was altered since it was sealed")]
    Altered,
    #[error("{len} octets are no passphrase, from {min} to {max} are taken")]
    PassphraseLength { len: usize, min: usize, max: usize },
    #[error("no memory of {kib} KiB for the passphrase")]
    Memory { kib: u32 },
    #[error("cryptographic library failed")]
    Library,

    // The TPM.
    #[error(transparent)]
    Tpm(#[from] TpmError),

    // The credential.
    #[error("{name:?} is not the name of a credential")]
    CredentialName { name: String },
    #[error("the credential cannot be read ({0})")]
    CredentialUnreadable(ErrorKind),
    #[error("the credential is not a file")]
    CredentialNotFile,
    #[error("the credential has mode {mode:04o}, and others could read or change it")]
    CredentialMode { mode: u32 },
    #[error("the credential belongs to user {owner}, who is neither this process's nor root")]
    CredentialOwner { owner: u32 },
    #[error("the credential is not 64 hex digits")]
    CredentialText,
}
