//! What a Verifier asserts about an Attester, and when a Relying Party may believe it (RFC 9334).
//!
//! The Verifier's half makes an [`AttestationResult`] into a signed [`AttestationToken`]; the Relying Party's half checks a
//! token for one [`Authority`] and is left with a [`TrustedResult`]. Nothing is fetched here and no clock is asked: keys
//! and time are arguments. What claims must hold for a key is `skerry-policy`'s.

pub mod limits;
pub mod names;

mod authority;
mod issuer;
mod result;
mod target;
mod token;

pub use authority::{Authority, ClaimedToken, TokenError, TokenText, TrustedResult};
pub use issuer::{IssuerUrl, IssuerUrlError};
pub use result::{AttestationResult, Provenance};
pub use target::{TargetKey, TargetKeyError};
pub use token::{AttestationToken, DraftToken, TokenSigner, key_id, unix_secs};
