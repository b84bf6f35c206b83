//! Callers: tokens that are believed and those that are not, and who may do what.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too; clippy.toml covers only the test functions"
)]

mod access;
mod attacks;
mod claims;
mod compile_fail;
mod rotation;
#[path = "../../../sources/tests/all/server.rs"]
#[allow(dead_code, reason = "shared with the tests of skerry-sources, which need more of it")]
mod server;
mod service;
mod support;
