//! The Verifier of Skerry: evidence in, attestation token out (RFC 9334, 4.1).
//!
//! One pure function, [`Verifier::attest`], walks the flow of docs/design.md: request, evidence, verified, bound, claims,
//! appraisal, result, token. Authenticity is decided by `skerry-evidence`; what is authentic but unacceptable (debug,
//! migration, VMPL, TCB) by the [`Floor`], and then by the appraisal policy. Time and randomness are arguments; nothing is
//! fetched: endorsements come with the request.

pub mod claims;
pub mod examine;
pub mod floor;
pub mod limits;
pub mod wire;

mod chains;
mod verifier;

pub use chains::ChainsSeen;
pub use floor::{Floor, FloorRefusal};
pub use verifier::{AttestError, Verifier, VerifierConfig};
