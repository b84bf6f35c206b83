//! Ordered bytes to bytes: transactions with checks, revisions, snapshots, watches; sealing of values.
//!
//! One model on several engines, an enum inside of [`Store`]: in memory, redb in one file, and one elsewhere ([`engine`]).
//! Every commit has a revision of its own, and every read says of which revision it is. What is written here is decided by
//! one function (`decide`), and what is seen of the past comes from one bounded history (`history`), so engines can hardly
//! differ.
//!
//! Values are bytes. [`seal`] makes them ciphertext before they come here; [`stamp`] says whose store it is.
//! docs/store-format.md draws the file. A file carries one authenticated sum over its rows (`sum`), so that a row that was
//! put back, taken away or brought in while it was closed is noticed when it is opened.
//!
//! Deliberately not here: what the bytes mean, caches of decoded records, retries (a caller reads, decides, commits,
//! and on a conflict begins again), and rollback of a whole file, which only a head kept elsewhere can show.

mod coming;
mod decide;
mod embedded;
pub mod engine;
mod error;
mod export;
mod faults;
mod history;
mod lease;
pub mod limits;
mod memory;
mod meter;
pub mod migrate;
mod model;
mod ops;
mod page;
mod published;
mod row;
pub mod seal;
pub mod stamp;
mod store;
mod sum;
mod watch;
mod writer;

pub use embedded::Options;
pub use error::{Step, StoreError, WatchError};
pub use export::{Export, Exported, Import};
pub use faults::{Fault, Faults};
pub use lease::Lease;
pub use meter::StoreSeen;
pub use model::{At, Check, Entry, Op, OpId, Outcome, Page, Revision, Row, Settled, Txn};
pub use store::Store;
pub use watch::{Batch, Event, Watch};
