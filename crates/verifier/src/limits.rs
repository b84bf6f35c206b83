//! Limits of attest requests.

use skerry_jose::json;

/// Bytes of a request body. Recorded requests run to 16 KB for SEV-SNP and 132 KB with an event log; 4 MiB leaves room.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of runtime or init data after decoding: a key set and a VM configuration are 2 KB.
pub const DATA_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a nonce that is echoed. Azure documents no limit.
pub const NONCE_BYTES_MAX: usize = 1024;

/// UVM endorsements in one request; the sidecar sends one.
pub const UVM_MAX: usize = 4;

/// Certificate chains kept verified: one per machine that attests here.
pub const CHAINS_MAX: usize = 4_096;

/// JSON of request bodies: few members, long texts.
pub const BODY: json::Limits =
    json::Limits { bytes_max: BODY_BYTES_MAX, depth_max: 8, values_max: 256, number_digits_max: 32 };

/// JSON of runtime and init data, which becomes part of the token.
pub const DATA: json::Limits =
    json::Limits { bytes_max: DATA_BYTES_MAX, depth_max: 10, values_max: 2_048, number_digits_max: 64 };
