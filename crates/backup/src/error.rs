//! Why a backup is not made, or not believed.

use std::io;
use std::time::SystemTime;

/// Why nothing is sealed to a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// It is not a certificate (RFC 5280) of at most [`crate::limits::CERTIFICATE_LEN_MAX`] octets.
    #[error("not a certificate")]
    NotACertificate,
    /// Its key is neither RSA nor on P-256 or P-384.
    #[error("its key is neither RSA nor on P-256 or P-384")]
    KeyType,
    /// Its RSA key is smaller or larger than recovery keys may be.
    #[error("its RSA key has {bits} bits, and 2048 to 8192 are taken")]
    RsaBits {
        /// Bits of the modulus.
        bits: usize,
    },
    /// Its point is written compressed, or is none of its curve: what is sealed to it nobody could open.
    #[error("its point is not one of its curve, written uncompressed")]
    Point,
    /// It says what its key is for, and that is not this (RFC 5280, 4.2.1.3): keyEncipherment for RSA, keyAgreement for others.
    #[error("its key usage does not allow {needed}")]
    KeyUsage {
        /// What it would have to allow.
        needed: &'static str,
    },
}

/// Why a recovery key is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryKeyError {
    /// It is not PKCS#8 of an RSA key or one on P-256 or P-384, or it is encrypted.
    #[error("not the private key of an RSA key, or of one on P-256 or P-384, in PKCS#8 without a passphrase")]
    NotAKey,
}

/// Why a backup is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Nobody could recover it.
    #[error("no recovery certificate")]
    NoRecipient,
    /// More recovery certificates than [`crate::limits::RECIPIENTS_MAX`].
    #[error("{count} recovery certificates are too many")]
    TooManyRecipients {
        /// Those asked for.
        count: usize,
    },
    /// Two certificates are of one key.
    #[error("two recovery certificates are of the same key")]
    RecipientTwice,
    /// More or less of the log came than was announced.
    #[error("{len} octets of the log, and {announced} were announced")]
    LogLength {
        /// Octets that came.
        len: u64,
        /// Octets that were announced.
        announced: u64,
    },
    /// Rows after the log, or after op ids, or more than one row can have.
    #[error("rows do not come in the order of an export")]
    Order,
    /// The file refused.
    #[error("writing failed: {kind}")]
    Io {
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// The cryptographic library failed.
    #[error("cryptographic library failed")]
    Library,
}

/// Why a backup is not read, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file does not begin like a backup.
    #[error("not a backup of Skerry")]
    NotABackup,
    /// The backup has a format that this version does not know.
    #[error("format {format} of backups is not known: it was made by a newer version, restore it with that")]
    UnknownFormat {
        /// The format found.
        format: u32,
    },
    /// The file ends before the backup does.
    #[error("the file is cut off after {len} octets")]
    Truncated {
        /// Octets that are there.
        len: u64,
    },
    /// The file goes on after the backup's end.
    #[error("{octets} octets follow the end of the backup")]
    Trailing {
        /// Octets after the end.
        octets: u64,
    },
    /// The header is not one.
    #[error("the header is not that of a backup: {what}")]
    Header {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A chunk's head is not one.
    #[error("chunk {index} has no form of a chunk")]
    ChunkForm {
        /// Chunks before it.
        index: u64,
    },
    /// The octets are not those that were written: their digest is another.
    #[error("the file is not what was written: its digest is another")]
    Digest,
    /// The backup is sealed to other keys than this.
    #[error("the backup is not sealed to this recovery key")]
    OtherRecoveryKey,
    /// It is sealed to this key, and the data key does not open: the header was altered.
    #[error("the data key does not open under this recovery key: the header was altered")]
    DataKey,
    /// A chunk does not open: it was altered, moved, or is of another backup.
    #[error("chunk {index} does not open: it was altered, moved, or is another backup's")]
    Chunk {
        /// Chunks before it.
        index: u64,
    },
    /// Chunks open, and what is in them is not what a backup has: who made it had its keys and made it otherwise.
    #[error("chunk {index} opens and is not what is expected there: {what}")]
    Content {
        /// Chunks before it.
        index: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// All chunks open, and the whole is not what was written.
    #[error("the file's end does not vouch for the whole of it")]
    Whole,
    /// The file refused.
    #[error("reading failed: {kind}")]
    Io {
        /// How it failed.
        kind: io::ErrorKind,
    },
}

/// Seconds since the epoch, for the header.
pub(crate) fn secs(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(crate) fn unwritten(error: io::Error) -> WriteError {
    WriteError::Io { kind: error.kind() }
}
