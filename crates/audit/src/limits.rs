//! Sizes, each with the source of the number.

/// Longest record body in octets. An entry has about 1 KiB; explanations of a policy with many clauses have tens.
pub const BODY_LEN_MAX: usize = 64 * 1024;

/// Largest log in octets unless configured: about ten million releases at 1.5 KiB each.
pub const LOG_LEN_MAX: u64 = 16 * 1024 * 1024 * 1024;

/// Longest end of a file that is looked at for what a loss of power left: one group, which is what some thousand requests
/// recorded at once, at 1 KiB each.
pub const LOST_LEN_MAX: usize = 16 * 1024 * 1024;

/// Changes that may be unsettled when a log is opened: those under way when a process ended, which are as many as requests
/// are served at once, a few thousand; the rest is room for ends that followed each other before anything was settled.
pub const UNSETTLED_MAX: usize = 16 * 1024;

/// JSON of a body when read back: an entry is one flat object.
pub(crate) const JSON: skerry_jose::json::Limits =
    skerry_jose::json::Limits { bytes_max: BODY_LEN_MAX, depth_max: 2, values_max: 32, number_digits_max: 20 };

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
