//! Fetching against servers that lie, stall, lead elsewhere or say too much; and keys over time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too; clippy.toml covers only the test functions"
)]

mod fetch;
mod keys;
mod oidc;
mod server;
mod urls;
