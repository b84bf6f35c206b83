//! Callers: tokens that are believed and those that are not, and who may do what.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too; clippy.toml covers only the test functions"
)]

mod access;
