//! The runner against vectors that lie beside the project, and against vectors that lie.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::panic)] // tests: a panic is the failure, standard error says what was skipped

mod runner;
