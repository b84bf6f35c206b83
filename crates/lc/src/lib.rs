//! What AWS-LC does and aws-lc-rs does not offer: RSASSA-PKCS1-v1_5 over octets without a DigestInfo, and ML-DSA with a
//! context or over a message representative that was made elsewhere.
//!
//! The library that does everything else here does these too, with the same keys, blinding and wiping; only the door is
//! missing. All unsafe code of the project is in the file `pkey.rs`, each call with the reason why it is sound.
//!
//! Deliberately not here: anything that aws-lc-rs offers; which keys may do it; limits to what is signed, but those of the
//! schemes.

mod pkey;

pub use pkey::{MlDsa, PrivateKey, PublicKey, Refused};
