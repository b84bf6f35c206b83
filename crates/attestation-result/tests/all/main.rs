//! Tokens that must not be believed (docs/threats.md, Token), and the form of those that are made.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, its helpers too; clippy.toml covers only the test functions"
)]

mod form;
mod support;
mod target;
mod trust;
