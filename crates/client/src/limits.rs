//! Limits of a release answer.

use skerry_jose::limits::{JSON, JwsLimits};

/// Certificates in `x5c`: Azure sends three.
pub const CERTIFICATES_MAX: usize = 6;

/// Form of the answer's JWS. Microsoft's sidecar reads at most 1 MiB; recorded answers have 14 kB.
pub fn jws() -> JwsLimits {
    JwsLimits { token_bytes_max: 256 * 1024, json: JSON }
}
