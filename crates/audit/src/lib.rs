//! Append-only, tamper-evident log of what may not happen unrecorded; makes [`Recorded`].
//!
//! One file of hash-chained records ([`mod@format`] draws the bytes), written with group commit: many threads share one
//! write and one sync. [`Log::record`] answers only after the sync, and after the first failure of the disk it answers
//! nothing but refusals, so what needs a [`Recorded`] stops when the log does.
//!
//! Evident is every change but one: a log cut at the end of a record is a shorter log. That shows only against a
//! [`Head`] kept elsewhere ([`verify_against`]). Nobody holds a key here, so who can write the file can also forge it
//! from some record on; a head kept elsewhere shows that too.
//!
//! A restart asks what the log says of changes ([`History`]): those intended and not known to be committed or aborted are
//! settled with the store, and a store that does not know the last committed one was rolled back behind its log.
//!
//! A start need not read the whole log: a [`Checkpoint`] that was kept where nobody can alter it says where to begin
//! ([`Log::open_after`]). What lies below is checked by [`verify`], at leisure.
//!
//! The records are the leaves of a Merkle tree too: a [`Publisher`] writes it beside the log, as tiles and signed checkpoints
//! that other tools read ([`tiles`] has the files), and [`check`] holds all of it against the log.
//!
//! Deliberately not here: who may sign (the key is an argument), queries, and the threads that publish and batch.

mod check;
mod entry;
mod error;
pub mod format;
mod history;
mod last;
pub mod limits;
mod log;
mod lost;
mod open;
mod publish;
mod query;
mod reader;
mod segment;
pub mod tiles;

pub use check::{CheckError, Checked, Published, Which, check, key_beside, published, witnessed};
pub use entry::{Entry, Event, Verdict};
pub use error::{AuditError, EntryError, HistoryError, Step};
pub use history::{Change, History, history};
pub use last::{Last, read_last};
pub use limits::Limits;
pub use log::{Log, LogSeen, Recorded};
pub use publish::{PublishError, Publisher, put_beside, read_beside};
pub use query::Filter;
pub use reader::{
    Checkpoint, End, Head, Leaf, Reader, Record, Report, octets_to, read, verify, verify_against, verify_visiting,
};
