//! Release answers that are believed, and every way for one not to be.
//!
//! The answers are built here member by member, so that each can be spoilt alone; answers of the real vault are tested
//! with the vault.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: failing is what they are for")]

mod certificates;
mod http;
mod payload;
mod proof;
mod receipt;
mod support;
mod vault;
