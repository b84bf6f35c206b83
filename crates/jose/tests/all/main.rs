//! The JOSE core against its attackers (docs/threats.md, Token) and against another implementation.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, its helpers too; clippy.toml covers only the test functions"
)]

mod attacks;
mod keys;
mod oracle;
mod support;
