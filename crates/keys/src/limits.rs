//! Sizes, each with the source of the number.

/// Longest material in octets: what one wrap takes, so that nothing is stored that cannot be released.
pub const MATERIAL_LEN_MAX: usize = skerry_keywrap::limits::PLAINTEXT_LEN_MAX;
