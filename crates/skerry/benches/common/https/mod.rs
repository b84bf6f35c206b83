//! A server as a child process on one core, and a load on another: what the benches over HTTPS share.
//!
//! The child is the bench's own program once more, with the hidden argument `--child FOLDER`: vaults, an attestation service and
//! an echo on the server's own stack. It says over a pipe what CPU time its process has taken, which is the figure.

#![allow(dead_code)] // each bench takes a part of it
#![allow(clippy::indexing_slicing)] // serde_json's values, which answer null for what is not there

pub(crate) mod child;
pub(crate) mod cores;
pub(crate) mod load;
pub(crate) mod operation;
pub(crate) mod pace;
pub(crate) mod straight;
pub(crate) mod wire;

use operation::Operation;

/// How much is made and measured.
pub(crate) struct Size {
    pub(crate) operations: &'static [Operation],
    pub(crate) blocks: usize,
    /// Requests on connections that are open already, per block.
    pub(crate) kept: usize,
    /// Requests on connections of their own, per block.
    pub(crate) new: usize,
    /// Distinct attestation tokens. More than a vault's cache keeps, so that a walk over them never meets one again.
    pub(crate) tokens: usize,
    /// Seconds of saturation, and of half the load.
    pub(crate) pace_secs: u64,
}

/// A request over the sum of its parts.
pub(crate) const AIM: f64 = 1.15;
