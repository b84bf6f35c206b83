//! Limits on what callers send and on how long it is believed; each number with its source.

use skerry_jose::json;
use skerry_jose::limits::{JSON, JwsLimits};

/// Form of a bearer token. Entra's have 1 to 4 kB, with 200 groups about 10 kB.
pub const BEARER: JwsLimits =
    JwsLimits { token_bytes_max: 16 * 1024, json: json::Limits { bytes_max: 16 * 1024, values_max: 1_024, ..JSON } };

/// How far clocks may differ, in seconds. docs/design.md, "Freshness".
pub const SKEW_SECS: u64 = 60;

/// Longest `exp - iat` believed, in seconds, unless a provider says otherwise: managed identities of Azure get 24 hours,
/// clients that can be told to come back (CAE) up to 28.
pub const LIFETIME_MAX_SECS: u64 = 2 * 86_400;

/// Bytes of a subject (OpenID Connect Core 1.0, 2: at most 255 ASCII characters).
pub const SUBJECT_BYTES_MAX: usize = 255;

/// Verified tokens kept, each about half a kB: clients keep a token for an hour or a day.
pub const VERIFIED_MAX: usize = 8_192;

/// Lifetime of the tokens that our own service makes: what Entra's clients are used to (60 to 90 minutes).
pub const MINTED_LIFETIME_SECS: u64 = 3_600;
