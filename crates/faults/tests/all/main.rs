//! The model of a key, the check of histories, and that it can fail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: failing is what they are for")]

mod clocks;
mod histories;
mod members;
mod proxy;
