//! Limits of tokens and of the time they are good for, in seconds.

use skerry_jose::limits::JwsLimits;

/// How far clocks may differ. DESIGN: freshness; the usual value of RFC 7519, 4.1.4 ("a few minutes" at most).
pub const SKEW_SECS: u64 = 60;

/// Lifetime of the tokens we make: `exp - iat` of the attestation service is always this (observed 2021 to 2025).
pub const TOKEN_LIFETIME_SECS: u64 = 28_800;

/// Longest `exp - iat` believed by default: test authorities of the Azure SDKs issue for seven days (observed).
pub const LIFETIME_MAX_SECS: u64 = 7 * 86_400;

/// Keys looked at in `x-ms-runtime.keys`; the paravisor puts two there.
pub const RUNTIME_KEYS_MAX: usize = 16;

/// What a Relying Party accepts of a token by default.
#[derive(Debug, Clone, Copy)]
pub struct TokenLimits {
    /// Form of the token.
    pub jws: JwsLimits,
    /// Longest `exp - iat`, in seconds.
    pub lifetime_max_secs: u64,
    /// Clock skew, in seconds.
    pub skew_secs: u64,
}

impl Default for TokenLimits {
    fn default() -> Self {
        TokenLimits { jws: JwsLimits::default(), lifetime_max_secs: LIFETIME_MAX_SECS, skew_secs: SKEW_SECS }
    }
}
