//! The wire: from a socket to the services and back (hyper; HTTP/1.1 and HTTP/2 over TLS).
//!
//! A [`Server`] binds [`Listener`]s, each with its [`Names`], its [`Limits`] and one [`Surface`]. A [`Request`] reaches a
//! surface only if it was addressed to one of the listener's names; what it asks for is decided there. Surfaces are glue:
//! they take a request apart, call one function of the domain, and put a [`Reply`] together.
//!
//! Not here: deciding anything about keys, evidence or callers; fetching; configuration files; logs. The server counts on
//! its program for the clock and randomness ([`Machine`]) and for enough file descriptors.

pub mod attestation;
pub mod gated;
pub mod health;
pub mod identity;
pub mod limits;
pub mod metadata;
pub mod names;
pub mod openapi;
pub mod operations;
pub mod reply;
pub mod target;
pub mod tls;
pub mod vault;

mod activity;
mod connection;
mod finished;
mod front;
mod gate;
mod machine;
mod meter;
mod oauth;
mod operation;
mod request;
mod route;
mod server;

pub use finished::{Begun, Finished, Observer, Told};
pub use front::{Function, Surface};
pub use limits::Limits;
pub use machine::{Machine, Randomness};
pub use meter::{Meter, Snapshot};
pub use names::{Host, HostError, Names};
pub use operation::Operation;
pub use reply::Reply;
pub use request::{BodyError, Context, Request};
pub use server::{BindError, BindErrorKind, Drained, Listener, Server};
pub use skerry_identity::{MintRefusal, Minted};
pub use skerry_vault::pool::{self, Pool, PoolError};
pub use target::{Duplicate, TargetError};
