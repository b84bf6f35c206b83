//! Sizes this crate accepts, each with the source of the number.

/// Smallest modulus of a target key in bits: NIST SP 800-131A rev. 2, 6, and aws-lc's own floor.
pub const MODULUS_BITS_MIN: usize = 2048;

/// Largest modulus of a target key in bits: what Azure offers (RSA 4096); bounds the work of one wrap.
pub const MODULUS_BITS_MAX: usize = 4096;

/// Smallest public exponent: NIST SP 800-56B rev. 2, 6.2.
pub const EXPONENT_MIN: u64 = 65_537;

/// Largest public exponent: 33 bits, as far as aws-lc goes (`RSA_check_key`).
pub const EXPONENT_MAX: u64 = (1 << 33) - 1;

/// Longest key data in octets. PKCS#8 of RSA 4096 takes 2,376; the rest is room for attributes.
pub const PLAINTEXT_LEN_MAX: usize = 4096;

/// Shortest KWP output in octets: one block (RFC 5649, 4.1).
pub const KWP_LEN_MIN: usize = 16;

/// Longest KWP output in octets: the longest key data and the integrity value.
pub const KWP_LEN_MAX: usize = PLAINTEXT_LEN_MAX + 8;
