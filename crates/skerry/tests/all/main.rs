//! The program as a person runs it: what it prints and how it exits.

mod demo;
mod policy;
mod support;
