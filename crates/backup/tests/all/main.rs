//! Backups: what was written comes out, to the recovery keys and nobody else, and nothing else does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions)] // tests: a panic is how they fail

mod attacks;
mod byhand;
mod fixtures;
mod recipients;
mod whole;
