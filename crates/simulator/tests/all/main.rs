//! Tests of the simulator: its own bytes against the specifications, and all of it against the
//! verifier of `skerry-evidence`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in functions that tests share"
)]

mod committed;
mod oracle;
mod reports;
mod roots;
mod stock;
mod uvm;
mod verified;
