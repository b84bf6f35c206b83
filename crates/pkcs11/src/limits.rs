//! Sizes and times, each with the source of the number.

use std::time::Duration;

/// Sessions at the most, unless configuration says otherwise: a session works for one caller at a time, and network HSMs have
/// been seen to be limited to as few as 64 for all their clients together.
pub const SESSIONS_MAX: usize = 16;

/// How long a caller waits for a session: past this a request is better refused than kept (a signature takes 1 to 20 ms).
pub const SESSION_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often at the most a token that went away is looked for. Callers in between are refused at once.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Sets of roots in a token: one, and as many rotations as anybody makes.
pub const ROOT_SETS_MAX: usize = 256;

/// Longest text that goes through the token at once, in octets: the longest that a symmetric key encrypts, and a block.
pub const TEXT_LEN_MAX: usize = 64 * 1024 + 16;

/// Longest wrapped key in octets that a token is given or believed: RSA-4096 in PKCS#8 has 2.4 kB, and an RSA-4096 envelope
/// stands before it.
pub const WRAPPED_LEN_MAX: usize = 8 * 1024;
