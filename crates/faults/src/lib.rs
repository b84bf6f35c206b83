//! Development only: Skerry as real processes, with clients that ask for keys while processes are killed and held and
//! connections cut, and the check of what the clients saw.
//!
//! What is checked, key by key: the answers could have been given by a vault that does one call after another
//! ([`skerry_testkit::linear`]). So no acknowledged change is lost, nothing is released after an acknowledged disable, no
//! version is there twice. A call without an answer may have happened at any time after it began, or not. Afterwards the logs
//! are read: what was released is on record, and what was intended has an outcome.
//!
//! What this does not show: what a disk does without power. The machine goes on, so what was written is not lost with its
//! cache; that is tried on simulated disks, in `crates/store` and `crates/audit`. Clocks are moved where libfaketime is there ([`clock`]).

pub mod client;
pub mod clock;
pub mod cluster;
pub mod history;
pub mod load;
pub mod model;
pub mod nemesis;
pub mod process;
pub mod proxy;
pub mod record;
pub mod report;
pub mod run;
pub mod site;
