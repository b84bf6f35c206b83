//! Key material, its types, its custody, and its only exit.
// custody, import, material and release join when skerry_policy::permit is there.

mod key_type;
pub mod limits;

pub use key_type::{Curve, KeyType, OctBits, PublicKey, RsaBits};
