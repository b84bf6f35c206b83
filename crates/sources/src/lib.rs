//! Everything that comes from outside over the network, bounded: an HTTPS client that goes only where configuration says,
//! and the key sets of issuers.
//!
//! What is asked for comes from configuration alone. [`Url`] is parsed strictly, [`Fetcher`] follows no redirect and
//! connects to the very address it has judged, [`Oidc`] reads an issuer's metadata without trusting what it says of
//! itself, and [`KeySet`] keeps keys no longer than its [`Terms`] say.
//!
//! Not here: collateral of hardware vendors and the offline bundle, which are to come; what a token must say
//! (`skerry-identity`, `skerry-attestation-result`).

pub mod limits;

mod address;
mod fetch;
mod keys;
mod oidc;
mod url;

pub use address::AddressClass;
pub use fetch::{Allowed, FetchError, Fetcher, FetcherError, Resolver, Roots, RootsError, Stage};
pub use keys::{KeySet, KeySetState, KeySource, SourceError};
pub use limits::{FetchLimits, Terms};
pub use oidc::{MetadataError, Oidc};
pub use url::{Origin, Url, UrlError};
