//! What is taken of a sealed root, each number with its source.

/// Octets of a sealed root file: a TPM's object has about 600, a token's blob less. Anything longer is no such file.
pub const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Octets of the parameters of a kind; what the file may have, less its head.
pub const PARAMETERS_LEN_MAX: usize = 8 * 1024;

/// KiB of memory of Argon2id: the second recommendation of RFC 9106, 4, which sealing uses. Less protects less than was meant.
pub const MEMORY_KIB_MIN: u32 = 64 * 1024;
/// 1 GiB: half of the first recommendation of RFC 9106, 4. More, and a file could take a machine's memory away.
pub const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Passes over the memory: the second recommendation of RFC 9106, 4.
pub const PASSES_MIN: u32 = 3;
/// At 1 GiB about half a minute of a core.
pub const PASSES_MAX: u32 = 16;
/// Lanes that sealing uses: both recommendations of RFC 9106, 4.
pub const LANES: u32 = 4;
/// More than cores that work on it, lanes cost and protect nothing.
pub const LANES_MAX: u32 = 16;

/// Octets of a passphrase to seal with: NIST SP 800-63B, 3.1.1.2 asks for 15 characters of one that stands alone, which four
/// words have; below 12 even 64 MiB a guess are no obstacle.
pub const PASSPHRASE_BYTES_MIN: usize = 12;
/// NIST SP 800-63B, 3.1.1.2 asks that 64 characters be taken; a line of a file is no longer than this.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// Octets of a file with 64 hex digits and a line's end.
pub const ROOT_TEXT_BYTES_MAX: u64 = 66;
