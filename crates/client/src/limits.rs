//! Limits of answers.

use std::time::Duration;

use skerry_jose::json;
use skerry_jose::limits::{JSON, JwsLimits};

/// Certificates in `x5c`: Azure sends three.
pub const CERTIFICATES_MAX: usize = 6;

/// Form of the answer's JWS. Microsoft's sidecar reads at most 1 MiB; recorded answers have 14 kB.
pub fn jws() -> JwsLimits {
    JwsLimits { token_bytes_max: 256 * 1024, json: JSON }
}

/// JSON of other answers: a token is one long text.
pub const ANSWER: json::Limits =
    json::Limits { bytes_max: ANSWER_BYTES_MAX, depth_max: 16, values_max: 16_384, number_digits_max: 64 };

/// Bytes of an answer, as much as Microsoft's sidecar reads; a page of 25 keys has 10 kB, a token 4 to 15 kB.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// From the name to the end of the TLS handshake: the server's own limit for the handshake (skerry-http).
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// The whole of one request: the server gives up earlier (60 s, skerry-http), and says so.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(90);
