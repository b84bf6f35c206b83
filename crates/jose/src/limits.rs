//! Limits on what strangers send. Every one is an argument with these as defaults.

use crate::json;

/// Limits of a JWS in compact form.
#[derive(Debug, Clone, Copy)]
pub struct JwsLimits {
    /// Bytes of the whole compact form. Tokens of the attestation service run 4 to 15 kB; a release JWS 14 kB.
    pub token_bytes_max: usize,
    /// Limits of the header's and the payload's JSON.
    pub json: json::Limits,
}

impl Default for JwsLimits {
    fn default() -> Self {
        JwsLimits { token_bytes_max: 128 * 1024, json: JSON }
    }
}

/// JSON of tokens and key sets: deep enough for `x-ms-isolation-tee`, far from what exhausts a stack.
pub const JSON: json::Limits =
    json::Limits { bytes_max: 128 * 1024, depth_max: 16, values_max: 8_192, number_digits_max: 64 };

/// Keys in one JWK set: an attestation service publishes six, identity providers about twenty.
pub const KEYS_MAX: usize = 100;

/// Smallest RSA modulus, in bits (NIST SP 800-131A Rev. 2, table 2).
pub const RSA_BITS_MIN: usize = 2048;

/// Largest RSA modulus, in bits: what Azure's keys may be; larger ones cost a verifier too much time.
pub const RSA_BITS_MAX: usize = 4096;

/// Smallest RSA public exponent (NIST SP 800-56B Rev. 2, 6.2).
pub const RSA_EXPONENT_MIN: u64 = 65_537;
