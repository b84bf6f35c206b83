//! The file that a server is recovered from.
//!
//! It has all rows of a store at one revision, as they are stored, the audit log of that time, and the root that opens the rows:
//! sealed to recovery certificates, so that who can read the file alone has nothing. docs/store-format.md draws the octets.
//!
//! [`Writer`] makes one as it goes, without going back. [`Backup`] reads one: first what shows without a key (it is whole, and is
//! what was written, bar intent), then, with a recovery key, everything, in order, each part given out only after it opened. What
//! was given counts once the end was reached: a file that was cut, put together of two, or put in another order does not get there.
//!
//! Deliberately not here: where rows and log come from and go to, whether the state is the newest (a head of the log that was
//! kept elsewhere says that), and who may ask. Anybody who has the certificates can make a file of his own: that one is ours is
//! shown by its digest, or by a head of the log, kept elsewhere.

mod error;
mod format;
pub mod limits;
mod read;
mod recipient;
mod recovery;
mod write;

pub use error::{ReadError, RecipientError, RecoveryKeyError, WriteError};
pub use format::About;
pub use read::{Backup, Contents, Part};
pub use recipient::{Recipient, Warning};
pub use recovery::RecoveryKey;
pub use write::{Summary, Writer};
