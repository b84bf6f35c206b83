//! Who calls, and what they may do: bearer tokens, principals, permissions, and a small token service.
//!
//! Two steps, each leaving a value behind: [`Issuers::authenticate`] makes a [`Principal`] of a bearer token, and
//! [`Access::grant`] a [`Grant`] of a principal, a vault and a permission. What is done in a vault asks for the grant.
//!
//! Not here: challenges and status codes (`skerry-http`), fetching of keys (`skerry-sources`), attestation tokens: an
//! issuer is an identity provider or an attestation authority, never both.

pub mod limits;

mod access;
mod issuers;
mod permission;
mod principal;
mod service;
mod verified;

pub use access::{Access, Assignment, Forbidden, Grant, Scope};
pub use issuers::{Issuers, IssuersError, KeyFault, Provider, SubjectClaim, Unauthorized};
pub use permission::{Permission, Permissions};
pub use principal::Principal;
pub use service::{Client, MintRefusal, Minted, SecretDigest, TokenService, TokenServiceError};
