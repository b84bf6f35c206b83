//! Tokens of SoftHSM2, each in a folder of its own.
//!
//! A module reads its configuration once in a process, so each test runs in a process of its own: see [`place::alone`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // reason: tests

mod comes_back;
mod opening;
mod place;
mod probe;
mod roots;
