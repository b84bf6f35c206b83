//! What a server that is fetched from may cost, and how long what it said is kept; each number with its source.

use std::time::Duration;

/// Bytes of a URL: RFC 9110, 4.1 asks for 8000 at least of those who serve; metadata documents seen have under 100.
pub const URL_BYTES_MAX: usize = 2048;

/// Bytes of a metadata document: those of identity providers have a few kB.
pub const METADATA_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a key set: what the JSON reader takes (`skerry_jose::limits::JSON`), which is ample for keys with chains.
pub const KEY_SET_BYTES_MAX: usize = skerry_jose::limits::JSON.bytes_max;

/// Certificates among the roots: Mozilla's list has about 150.
pub const ROOTS_MAX: usize = 512;

/// Addresses of one name that are tried: large providers publish up to eight.
pub const ADDRESSES_MAX: usize = 8;

/// What one fetch may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// For the connection to one address.
    pub connect_time_max: Duration,
    /// For everything: resolving, connecting, handshake, head and body.
    pub time_max: Duration,
    /// Bytes of the answer's status line and headers; never below 8192, hyper's least.
    pub head_bytes_max: usize,
    /// Headers of the answer.
    pub headers_max: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        FetchLimits {
            // Three SYNs (RFC 6298, 5.5: after 1 s and 3 s).
            connect_time_max: Duration::from_secs(4),
            // A request waits for it, and clients give up after 100 s at the earliest (.NET); two documents may be needed.
            time_max: Duration::from_secs(10),
            // What browsers' and proxies' own limits come to (nginx: 4 or 8 kB for a whole head), twice.
            head_bytes_max: 16 * 1024,
            // hyper's own default is 100.
            headers_max: 64,
        }
    }
}

/// How long the keys of an issuer are kept.
///
/// A key that the issuer has removed is good for `age_max` at most while the issuer can be reached, and for `stale_max`
/// whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From this age on new keys are fetched while the old ones are used.
    pub refresh_age: Duration,
    /// From this age on a caller waits for new keys.
    pub age_max: Duration,
    /// Beyond this age keys are not used, even if there are no others.
    pub stale_max: Duration,
    /// Between the beginnings of two attempts, however many tokens name keys that are not known.
    pub interval_min: Duration,
    /// The same while there are no keys to use.
    pub retry_min: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            refresh_age: Duration::from_secs(5 * 60),
            // Removal of a key is an emergency; the hour of many libraries is long for one.
            age_max: Duration::from_secs(15 * 60),
            // A choice between two harms: a vault that is down with its issuer, and a removed key that is still good.
            stale_max: Duration::from_secs(6 * 3600),
            // A new key is published well before it is used (OpenID Connect Core, 10.1.1), so a minute's wait is rare.
            interval_min: Duration::from_secs(60),
            // Nobody is let in meanwhile: an issuer that starts a little later than we do should not cost a minute.
            retry_min: Duration::from_secs(5),
        }
    }
}
