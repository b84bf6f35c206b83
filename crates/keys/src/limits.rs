//! Sizes, each with the source of the number.

/// Longest material in octets: what one wrap takes, so that nothing is stored that cannot be released.
pub const MATERIAL_LEN_MAX: usize = skerry_keywrap::limits::PLAINTEXT_LEN_MAX;

/// Longest text that a symmetric key encrypts or decrypts, in octets, and longest associated data. Azure documents
/// none; a vault is asked for keys and tokens, not for files, and this bounds the work of one request.
pub const TEXT_LEN_MAX: usize = 64 * 1024;

/// Longest message that is signed or verified as it is (ML-DSA), in octets. Azure documents none; see [`TEXT_LEN_MAX`].
pub const MESSAGE_LEN_MAX: usize = TEXT_LEN_MAX;

/// Longest key that a symmetric key wraps, in octets: what one release can carry.
pub const WRAPPED_KEY_LEN_MAX: usize = MATERIAL_LEN_MAX;
