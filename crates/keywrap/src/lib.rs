//! RSA-OAEP followed by AES-KWP (RFC 8017, 7.1; RFC 5649), both directions; shared by vault and TEE.
//!
//! `ciphertext = OAEP(target, K) || KWP(K, key data)` with a fresh 256-bit K: PKCS#11's
//! CKM_RSA_AES_KEY_WRAP and its two siblings with a larger hash. The first part is as long as the
//! target's modulus, so the parts need no length between them.
//!
//! Deliberately not here: which key is worth wrapping to (the policy and the attestation result say),
//! who may have the key, and the JSON envelope around the ciphertext (`key_hsm`, in the vault's wire).
//! RSA1_5 is not offered, in either direction. The 192-bit K that PKCS#11 allows is refused: aws-lc has
//! no AES-192 key wrap, and no known peer makes one.

mod algorithm;
pub mod limits;
mod plaintext;
mod target;
mod unwrap;
mod wrap;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use plaintext::Plaintext;
pub use target::{TargetKey, TargetKeyError};
pub use unwrap::{UnwrapError, UnwrapKey, UnwrapKeyError, unwrap};
pub use wrap::{WrapError, wrap};
