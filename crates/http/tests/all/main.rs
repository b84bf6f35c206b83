#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions)] // reason: tests

mod names;
mod protocol;
mod support;
