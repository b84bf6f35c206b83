//! The TEE's half of a release: believes the vault's answer only after checking all of it, then unwraps the key.
//!
//! Microsoft's own clients check less: one never looks at the signature, none at the key id, the nonce or the target key.
//! Here the answer must be signed under a chain that ends at a configured root and names the vault, must be for the key
//! and nonce that were asked for, and must carry a receipt for the very token that was sent. [`http`] asks over
//! HTTPS under the same roots, [`attestation`] asks for a token. [`vault`] is the rest of a vault's API, for people and
//! scripts: keys made, listed, changed and used.

pub mod attestation;
pub mod http;
pub mod limits;
pub mod vault;

mod proof;
mod receipt;
mod release;
mod statement;

pub use proof::{ProvedRelease, ProvedUnwrap, RecordProofError, UnwrapAsked};
pub use receipt::{Receipt, ReceiptError};
pub use release::{Asked, ReleaseAnswerError, Roots, VerifiedRelease};
pub use statement::{STATEMENT_TYPE, StatementAsked, StatementError, VerifiedStatement};
