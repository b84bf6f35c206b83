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

/// JSON of a record of an audit log: one flat object (skerry-audit).
pub const RECORD: json::Limits =
    json::Limits { bytes_max: 64 * 1024, depth_max: 2, values_max: 32, number_digits_max: 20 };

/// Bytes of an answer, as much as Microsoft's sidecar reads; a page of 25 keys has 10 kB, a token 4 to 15 kB.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// From the name to the end of the TLS handshake: the server's own limit for the handshake (skerry-http).
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// The whole of one request: the server gives up earlier (60 s, skerry-http), and says so.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(90);

/// Bytes of a backup's answer: a backup has up to 1 MiB (skerry-store), base64 a third more (skerry-http reads as much).
pub const BACKUP_ANSWER_BYTES_MAX: usize = 1_536 * 1024;

/// Bytes of a bearer token: with many groups they reach 16 KB, and a server takes 32 KiB of headers at most (skerry-http).
pub const BEARER_BYTES_MAX: usize = 24 * 1024;

/// Bytes of an attestation token that is sent: as much as a vault reads of a body (skerry-http) leaves room for.
pub const TOKEN_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a challenge: recorded ones have under 200, one with claims of conditional access a few thousand.
pub const CHALLENGE_BYTES_MAX: usize = 8 * 1024;

/// Characters of a key's name (key-vault spec 2.1).
pub const NAME_CHARS_MAX: usize = 127;

/// Pages without a row, one after another. Azure may send some; a server that goes on with them is not listing.
pub const EMPTY_PAGES_MAX: usize = 64;

/// How often a request is sent again after "too many" or "busy". The Azure SDKs try three times more.
pub const RETRIES_MAX: u32 = 4;

/// The longest `Retry-After` that is waited for; Azure throttles by windows of 10 s (key-vault spec 3.8).
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Bytes of a server's sentence that are kept. An explanation of a denial has up to some ten thousand (skerry-vault).
pub const SENTENCE_BYTES_MAX: usize = 64 * 1024;
