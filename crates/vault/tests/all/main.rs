//! Releases from a vault to a TEE, end to end: what succeeds, every way it does not, and every attack that can be tried
//! here. Attacks have the numbers of docs/threats.md.
//!
//! Tokens are signed claims of an attestation authority that the vault trusts; evidence is another crate's matter.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: failing is what they are for")]

mod answer;
mod appraisal;
mod audit;
mod authorities;
mod backup;
mod cache;
mod canary;
mod cipher;
mod concurrency;
mod database;
mod floor;
mod form;
mod halves;
mod happy;
mod issuer;
mod lifecycle;
mod model;
mod nodes;
mod opening;
mod operations;
mod outcomes;
mod paging;
mod paths;
mod policies;
mod publishing;
mod races;
mod recovery;
mod refusals;
mod rotation;
mod rules;
mod secure;
mod signing;
mod stated;
mod stored;
mod support;
mod throttling;
mod tokens;
mod transfer;
mod usage;
mod witness;
