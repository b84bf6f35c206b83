//! The runner against vectors that lie beside the project, and against vectors that lie; the checker of histories against one
//! that tries everything.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, clippy::panic)] // tests: a panic is the failure, standard error says what was skipped

mod linear;
mod runner;
