//! Integration tests of the evidence verifier: real vectors, simulated chains, flips, and another implementation as oracle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, its helpers too; clippy.toml covers only the test functions"
)]

mod arbitrary;
mod binding;
mod certificates;
mod chain;
mod flips;
mod oracle;
mod report;
mod support;
mod vectors;
