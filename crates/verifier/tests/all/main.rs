//! Evidence that gets a token, and every way not to get one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, its helpers too; clippy.toml covers only the test functions"
)]

mod policy;
mod recorded;
mod refusals;
mod support;
mod wire;
