//! JOSE for Skerry: strict JSON, base64url, JWK, JWS and JWT compact forms.
//!
//! The list of algorithms is closed ([`Algorithm`]) and has no `none` and no HMAC, so a token cannot choose how it is
//! checked. Keys come from the caller; `jku`, `x5u`, `jwk` and `x5c` of a header are never used to find one. Encryption
//! (JWE) is not here: a release wraps its key by PKCS#11 mechanisms, see `skerry-keywrap`.

pub mod b64;
pub mod json;
pub mod limits;

mod algorithm;
mod jwk;
mod jws;
mod signing;

pub use algorithm::Algorithm;
pub use jwk::{Jwk, JwkError, JwkSet, KeyLookupError, PublicKey, RsaPublicKey, VerifyingKey};
pub use jws::{Header, JwsError, Unverified, Verified};
pub use signing::{ProtectedHeader, SigningError, SigningKey};
