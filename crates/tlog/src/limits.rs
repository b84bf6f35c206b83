//! Sizes, each with the source of the number.

/// Longest signed note in octets: sixteen signatures, which a verifier has to accept, of up to 5 kB each before base64
/// (signed-note, "Format").
pub const NOTE_LEN_MAX: usize = 128 * 1024;

/// Most signature lines that are looked at: four times what a verifier has to accept.
pub const SIGNATURES_MAX: usize = 64;

/// Longest name of a key, and origin of a log, in octets: a host name of 253 and a path.
pub const NAME_LEN_MAX: usize = 512;

/// Hashes in a proof: a tree of 2^64 leaves is 64 high; a consistency proof has one more.
pub const PROOF_HASHES_MAX: usize = 65;

/// Longest entry in octets: its length is a uint16 (tlog-tiles, "Log entries").
pub const ENTRY_LEN_MAX: usize = 65_535;

/// Longest proof as text: an entry in base64, a proof, a note.
pub const PROOF_TEXT_LEN_MAX: usize = 256 * 1024;
