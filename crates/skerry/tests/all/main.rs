//! The program as a person runs it: what it prints and how it exits.

#![allow(clippy::unwrap_used)] // helpers of tests: a panic is how they fail

mod demo;
mod policy;
mod support;
