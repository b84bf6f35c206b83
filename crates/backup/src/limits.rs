//! Sizes, each with the source of the number.

/// Recovery certificates of one backup: some custodians each at some places.
pub const RECIPIENTS_MAX: usize = 16;

/// A certificate in DER: an RSA-4096 leaf of a public authority has below 3 KiB.
pub const CERTIFICATE_LEN_MAX: usize = 16 * 1024;

/// A wrapped data key: RSA-8192's is 1 KiB.
pub const WRAPPED_LEN_MAX: usize = 1024;

/// Moduli of recovery keys in bits. NIST SP 800-57 part 1, table 2 has 2048 as the least that is still used; aws-lc wraps under at
/// most 8192.
pub const RSA_BITS_MIN: usize = 2048;
/// The largest: see [`RSA_BITS_MIN`].
pub const RSA_BITS_MAX: usize = 8192;

/// Where a chunk is ended: as large as is quick, as small as is lost with a damaged one.
pub const CHUNK_LEN: usize = 1024 * 1024;

/// Octets of a chunk as it is in the file. A row of a store is never divided and has 1 MiB and some.
pub const CHUNK_LEN_MAX: usize = CHUNK_LEN + skerry_store::limits::VALUE_LEN_MAX + 4 * 1024;

/// Octets of the header: 16 recipients of the longest keys.
pub const HEADER_LEN_MAX: usize = 20 * 1024;
