//! Policies as pure functions over claims, each verdict with its explanation.
//!
//! [`release`] is the language of a key's release policy, [`attestation`] that of the attestation service. No I/O and no
//! clock; claims and issuer are arguments, and that they come from a verified token is the caller's to establish. Callers,
//! key states and vault floors are not here.

pub mod attestation;
pub mod limits;
pub mod permit;
pub mod release;
