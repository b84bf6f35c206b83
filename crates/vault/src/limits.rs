//! Limits of a vault's requests.

/// Bytes of a release request's nonce, which is echoed. Azure documents none; the SDK's samples send a few dozen.
pub const NONCE_BYTES_MAX: usize = 1024;

/// Characters of a key's name (Azure: 1 to 127, `[0-9a-zA-Z-]`).
pub const NAME_CHARS_MAX: usize = 127;

/// Verified tokens kept, each a few kB of claims: a TEE presents its token again within its 8 hours.
pub const TOKENS_MAX: usize = 4_096;

/// Attestation authorities one vault believes.
pub const AUTHORITIES_MAX: usize = 64;

/// Bytes of a denial's explanation in the log, whose records hold 64 KiB; escaping makes a byte six at worst.
pub const EXPLANATION_BYTES_MAX: usize = 8 * 1024;

/// Octets of a launch measurement (AMD 56860, ATTESTATION_REPORT.MEASUREMENT); only such a claim goes into the log.
pub const MEASUREMENT_LEN: usize = 48;
