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
//! Deliberately not here: signed checkpoints and the Merkle tree over the records (their hashes are RFC 9162 leaf
//! hashes, so it can be built on top), queries, and the batched log of signatures and decryptions.

mod entry;
mod error;
pub mod format;
mod history;
pub mod limits;
mod log;
mod lost;
mod open;
mod reader;
mod segment;

pub use entry::{Entry, Event, Verdict};
pub use error::{AuditError, EntryError, HistoryError, Step};
pub use history::{Change, History, history};
pub use limits::Limits;
pub use log::{Log, LogSeen, Recorded};
pub use reader::{Checkpoint, Head, Leaf, Reader, Record, Report, octets_to, read, verify, verify_against};
