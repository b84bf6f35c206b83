//! The program as a person runs it: what it prints and how it exits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests: a panic is how they fail

mod audit;
#[path = "../../../store-etcd/tests/all/cluster.rs"]
#[allow(dead_code)] // it serves tests of the engine too
mod cluster;
mod demo;
mod dev;
mod disk;
mod foreign;
mod key;
mod kill;
mod migrate;
mod openapi;
mod operate;
mod policy;
mod procedures;
mod process;
mod serve;
mod support;
#[cfg(feature = "otel")]
mod traces;
mod unseal;
mod vaults;
