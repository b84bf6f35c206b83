//! The wire over sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions)] // reason: tests

mod attestation;
mod drain;
mod garbage;
mod h2;
mod health;
mod identity;
mod limits;
mod metadata;
mod meter;
mod names;
mod openapi;
mod pool;
mod protocol;
mod support;
mod tls;
mod vault;
