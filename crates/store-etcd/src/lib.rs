//! The storage model of `skerry-store` on etcd, spoken to over gRPC.
//!
//! Any number of nodes may have the same store open. What is in etcd is drawn in docs/store-format.md, "In etcd". A read
//! at [`At::Linearizable`] is exact on every node: see [`core`](self) and docs/decisions/016.
//!
//! A commit is one etcd transaction, sent once. If its answer is lost it is [`Outcome::Unknown`], and settled by its op id
//! like everywhere. Nothing here depends on progress notifications, which etcd before 3.4.25 and 3.5.8 could send ahead of
//! events (its issue 15220): a reader asks for the head of the store and waits for the watch to bring that very commit.
//!
//! Deliberately not here: a sum over rows, as the embedded engine has. Whoever may write to etcd can put a row back to what
//! it was; that nobody else may is a matter of certificates.
//!
//! [`At::Linearizable`]: skerry_store::At::Linearizable
//! [`Outcome::Unknown`]: skerry_store::Outcome::Unknown

// Servers for tests are shared by tests outside, where this is its name.
#[cfg(test)]
extern crate self as skerry_store_etcd;

mod attempts;
mod core;
mod engine;
mod export;
mod failure;
mod feed;
mod fence;
mod layout;
mod lease;
pub mod limits;
mod link;
mod lookout;
mod opening;
mod options;
mod page;
mod servers;
mod spread;
mod upkeep;
mod wire;

pub use opening::{Make, OpenError, open};
pub use options::{Options, OptionsError, Trust};
