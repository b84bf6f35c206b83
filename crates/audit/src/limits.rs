//! Sizes, each with the source of the number.

use skerry_tlog::limits::ENTRY_LEN_MAX;

/// Longest record body in octets: with the 56 octets of its place it is the longest entry that a bundle can have
/// (tlog-tiles). An entry has about 1 KiB; explanations of a policy with many clauses have tens.
pub const BODY_LEN_MAX: usize = ENTRY_LEN_MAX - 56;

/// Longest record body that is read: earlier builds wrote as much.
pub(crate) const BODY_LEN_READ_MAX: usize = 64 * 1024;

/// Records below the newest durable one whose proofs are made from memory: some 64 octets each. A release asks for its
/// own at once; of older records proofs come from tiles.
pub(crate) const PROVABLE_RECORDS: u64 = 4096;

/// Largest log in octets unless configured: about ten million releases at 1.5 KiB each.
pub const LOG_LEN_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// Longest end of a file that is looked at for what a loss of power left: one group, which is what some thousand requests
/// recorded at once, at 1 KiB each.
pub const LOST_LEN_MAX: usize = 16 * 1024 * 1024;

/// Changes that may be unsettled when a log is opened: those under way when a process ended, which are as many as requests
/// are served at once, a few thousand; the rest is room for ends that followed each other before anything was settled.
pub const UNSETTLED_MAX: usize = 16 * 1024;

/// Other logs whose newest checkpoint is kept of a history: an installation has tens of nodes, and each that came anew a log.
pub const WITNESSED_MAX: usize = 4096;

/// JSON of a body when read back: an entry is one flat object.
pub(crate) const JSON: skerry_jose::json::Limits =
    skerry_jose::json::Limits { bytes_max: BODY_LEN_READ_MAX, depth_max: 2, values_max: 32, number_digits_max: 20 };

/// What a log may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the file, header included. A record that would pass it is refused.
    pub log_len_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { log_len_max: LOG_LEN_MAX }
    }
}
