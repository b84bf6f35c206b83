//! Why a store refuses.

use crate::model::Revision;
use std::io;

/// What was being done to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Making the file and its tables.
    Create,
    /// Opening and checking it.
    Open,
    /// Reading it.
    Read,
    /// Writing it or making it durable.
    Write,
}

/// Why a store cannot be opened, read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is something already where a store was to be made.
    #[error("store exists")]
    Exists,
    /// There is no store where one was expected.
    #[error("store is missing")]
    Missing,
    /// Another opener, in this process or another, holds the store.
    #[error("store is held by another")]
    Locked,
    /// The file is none of ours: not redb's, or without our tables. Also what a crash during creation leaves.
    #[error("not a store")]
    NotAStore,
    /// The tables have a format that this version does not know.
    #[error("unknown store format {format}")]
    UnknownFormat {
        /// The format found.
        format: u64,
    },
    /// redb's own file format is one that this version does not read.
    #[error("unknown file format {version} of the engine")]
    UnknownEngineFormat {
        /// The version found.
        version: u8,
    },
    /// The file was written under another root.
    #[error("store was written under another root")]
    OtherRoot,
    /// The file has no sum over its rows: somebody took it away.
    #[error("store has no sum over its rows")]
    SumMissing,
    /// The rows are not those that a store last committed: some were put back to an older state, taken away, brought in
    /// or changed, or their sum was.
    #[error("rows of the store were altered: they are not those last committed")]
    Altered,
    /// The file was altered or cut by something else than a store.
    #[error("store is damaged: {detail}")]
    Damaged {
        /// What was found to be wrong, for whoever repairs it.
        detail: String,
    },
    /// There is something where the store should be, and it is not a store's.
    #[error("there is something else where the store should be")]
    Foreign,
    /// No server of the store answers in time. Of a commit: nothing happened.
    #[error("no server of the store answers")]
    Unreachable,
    /// Servers of the store answer, but too few of them see each other, so nothing is read or written. Of a commit: nothing
    /// happened.
    #[error("servers of the store have no quorum")]
    NoQuorum,
    /// A server of the store does not take our certificate, or we do not take its.
    #[error("server of the store and this client do not trust each other: {detail}")]
    Denied {
        /// What was said, for whoever sets up certificates.
        detail: String,
    },
    /// A server of the store has a version that this one does not work with.
    #[error("version {version} of the store's server is too old, or is known to lose data")]
    ServerVersion {
        /// The version found.
        version: String,
    },
    /// Servers of the store are out of space. Of a commit: nothing happened.
    #[error("servers of the store are out of space")]
    Full,
    /// A server of the store refused for a reason that is none of the others. Of a commit: nothing happened.
    #[error("server of the store refused: {detail}")]
    Refused {
        /// What it said.
        detail: String,
    },
    /// The operating system refused.
    #[error("{step:?} failed: {kind}")]
    Io {
        /// What was being done.
        step: Step,
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// An earlier commit failed, so nothing is read or written until the store is opened anew.
    #[error("store is closed since an earlier failure")]
    Failed,
    /// The history before this revision is not held any more: list again at the newest.
    #[error("revision {asked} is compacted, the oldest held is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: Revision,
        /// The oldest that can be asked for.
        oldest: Revision,
    },
    /// The revision has not happened here: it is another store's, or an older state of this one was restored.
    #[error("revision {asked} is ahead of the newest, {newest}")]
    Ahead {
        /// The revision asked for.
        asked: Revision,
        /// The newest there is.
        newest: Revision,
    },
    /// The key is empty or longer than [`crate::limits::KEY_LEN_MAX`].
    #[error("key of {len} octets")]
    KeyLength {
        /// Octets of the key.
        len: usize,
    },
    /// The key begins like one that stands for an op id.
    #[error("key is reserved")]
    KeyReserved {
        /// The key.
        key: Vec<u8>,
    },
    /// The key is changed twice in one transaction.
    #[error("key is changed twice")]
    KeyTwice {
        /// The key.
        key: Vec<u8>,
    },
    /// The value is longer than [`crate::limits::VALUE_LEN_MAX`].
    #[error("value of {len} octets is too long")]
    ValueLength {
        /// Octets of the value.
        len: usize,
    },
    /// The transaction has more than [`crate::limits::TXN_OPS_MAX`] operations.
    #[error("transaction of {count} operations is too long")]
    TooManyOps {
        /// Its operations.
        count: usize,
    },
    /// The transaction has more than [`crate::limits::TXN_CHECKS_MAX`] checks.
    #[error("transaction of {count} checks is too long")]
    TooManyChecks {
        /// Its checks.
        count: usize,
    },
    /// The transaction is longer than [`crate::limits::TXN_LEN_MAX`].
    #[error("transaction of {len} octets is too long")]
    TxnLength {
        /// Its octets.
        len: usize,
    },
}

impl StoreError {
    pub(crate) fn io(step: Step) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { step, kind: error.kind() }
    }
}

/// Why a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// Changes were forgotten before this watch came to them: drop what was built from it, list again, watch anew.
    #[error("watch fell behind: changes up to {oldest} are forgotten")]
    Compacted {
        /// The oldest revision that a new watch can begin after.
        oldest: Revision,
    },
    /// A commit failed, and with it the store.
    #[error("store is closed since an earlier failure")]
    Failed,
    /// Every handle of the store is gone, and all changes were given.
    #[error("store is closed")]
    Closed,
}
