//! Why the log refuses.

use skerry_jose::json;
use std::io;

/// What was being done to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Making the file and its header.
    Create,
    /// Opening it.
    Open,
    /// Taking its lock.
    Lock,
    /// Reading it.
    Read,
    /// Appending to it.
    Write,
    /// Making it durable.
    Sync,
    /// Cutting off a torn record.
    Cut,
    /// Reading or writing a tile, or a checkpoint.
    Publish,
}

/// Why a log cannot be opened, trusted or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is a log already where one was to be made.
    #[error("log exists")]
    Exists,
    /// There is no log where one was expected.
    #[error("log is missing")]
    Missing,
    /// Another opener holds the log.
    #[error("log is held by another")]
    Locked,
    /// The file does not begin like a log.
    #[error("not an audit log")]
    NotALog,
    /// The log has a format that this version does not know.
    #[error("unknown log format {version}")]
    UnknownFormat {
        /// The format found.
        version: u32,
    },
    /// The header was altered or never completed.
    #[error("log header is corrupted")]
    HeaderCorrupted,
    /// The chain does not hold at this record.
    #[error("log is corrupted at record {index}")]
    Corrupted {
        /// The first record that does not hold.
        index: u64,
    },
    /// The record is one of this log, and stands where another should: records were exchanged, repeated, or taken out.
    #[error("record {found} of the log stands where record {index} should")]
    Moved {
        /// The first place that does not hold.
        index: u64,
        /// The record that stands there.
        found: u64,
    },
    /// The log is another one than the one whose head is known.
    #[error("log is not the one whose head is known")]
    OtherLog,
    /// The log has fewer records than are known to have been written.
    #[error("log has {found} of {known} known records")]
    Truncated {
        /// Records that were there before.
        known: u64,
        /// Records that are there.
        found: u64,
    },
    /// The log has another history than the known head.
    #[error("log differs from the head known after {known} records")]
    Forked {
        /// Records below the known head.
        known: u64,
    },
    /// The log holds what is known, and the checkpoint is not between two records of it: who kept the checkpoint kept a
    /// wrong one.
    #[error("checkpoint after {records} records is not a place in the log")]
    Misplaced {
        /// Records below the checkpoint.
        records: u64,
    },
    /// The record would pass the configured size of the log.
    #[error("log is full at {log_len_max} octets")]
    Full {
        /// The configured size.
        log_len_max: u64,
    },
    /// The entry is longer than [`crate::limits::BODY_LEN_MAX`].
    #[error("entry of {len} octets is too long")]
    EntryTooLong {
        /// Octets of the entry.
        len: usize,
    },
    /// The entry's time is before 1970 or past what milliseconds in 64 bits hold.
    #[error("entry has no representable time")]
    Time,
    /// The file refused; the first refusal closes the log.
    #[error("{step:?} failed: {kind}")]
    Io {
        /// What was being done.
        step: Step,
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// An earlier write or sync failed, so nothing more is recorded until the log is opened anew.
    #[error("log is closed since an earlier failure")]
    Closed,
}

impl AuditError {
    pub(crate) fn io(step: Step) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { step, kind: error.kind() }
    }
}

/// Why the body of a record is no entry. The chain held: who wrote the log wrote it so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// It is not the JSON that entries are.
    #[error("not an entry's json")]
    Json(#[source] json::Error),
    /// It is JSON of another kind.
    #[error("not a json object")]
    NotAnObject,
    /// A member that every entry has is missing.
    #[error("member {member} is missing")]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A member is not what it must be; a name from a later version of Skerry is met here.
    #[error("member {member} is not understood")]
    Value {
        /// Its name.
        member: &'static str,
    },
    /// It has members that are not known, or spells something as this crate does not.
    #[error("not the one spelling of an entry")]
    NotCanonical,
}

/// Why the history of a log cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The log itself cannot be opened or trusted.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A record, whose place in the chain holds, is not understood.
    #[error("record {index} is not understood")]
    Entry {
        /// Where it stands.
        index: u64,
        /// Why.
        #[source]
        error: EntryError,
    },
    /// More changes are unsettled than the caller takes.
    #[error("more than {unsettled_max} changes are unsettled at record {index}")]
    Unsettled {
        /// The record that was one too many.
        index: u64,
        /// The caller's limit.
        unsettled_max: usize,
    },
}
