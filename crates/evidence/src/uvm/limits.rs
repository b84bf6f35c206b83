//! How much of an endorsement is read before it is refused. Every number here has a source; none is
//! an option.

/// Bytes of one COSE_Sign1. Observed: 6 KiB to 11 KiB with three RSA certificates and a time stamp
/// or receipt.
pub const COSE_BYTES_MAX: usize = 64 * 1024;

/// Nesting of CBOR items inside the object, and inside its protected header. Observed: 4.
pub const COSE_DEPTH_MAX: usize = 8;

/// CBOR items in the object, and in its protected header. Observed: 26.
pub const COSE_ITEMS_MAX: usize = 256;

/// Entries of one header or claims map. Observed: 7.
pub const HEADERS_MAX: usize = 32;

/// Bytes of a text label. Observed: 11 (`signingtime`).
pub const LABEL_BYTES_MAX: usize = 64;

/// Certificates of an x5chain. Observed: 3 (leaf, intermediate, root).
pub const CHAIN_CERTS_MAX: usize = 5;

/// Bytes of a did:x509 identifier. Observed: 92.
pub const DID_BYTES_MAX: usize = 1024;

/// Policies of a did:x509 identifier. Observed: 1.
pub const DID_POLICIES_MAX: usize = 8;

/// Bytes of the JSON payload. Observed: 178.
pub const PAYLOAD_BYTES_MAX: usize = 1024;
