//! Limits of release policies, each with the source of its number.

use skerry_jose::json;

/// Bytes of a policy. Azure publishes no limit; the largest known policy has 2 KiB, and a store keeps one per key.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;

/// Clauses of a policy. Our own choice: two hundred hosts with two measurements each; ten thousand is an attack.
pub const CLAUSES_MAX: usize = 512;

/// Groups within each other, that of the authority entry counted. The deepest known policy (the default of `az` for data
/// disks) has 2.
pub const GROUPS_DEPTH_MAX: usize = 8;

/// Bytes of a claim's name with its dots. The longest name Azure issues, twice prefixed, has 89.
pub const CLAIM_BYTES_MAX: usize = 256;

/// Bytes of a value. The longest value worth comparing is a TDX report data of 128 hex digits, or a URL.
pub const VALUE_BYTES_MAX: usize = 2048;

/// Digits of an integer that has an order: 2^256 has 78. The operand and the claim are held to the same number.
pub const INTEGER_DIGITS_MAX: usize = 78;

/// Bytes of a claim's text shown in an explanation; a token may hold many more, once for each clause.
pub const SEEN_BYTES_MAX: usize = 256;

/// How much a release policy may ask of the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Limits of the document that holds it.
    pub json: json::Limits,
    /// Clauses in the policy.
    pub clauses_max: usize,
    /// Groups within each other.
    pub groups_depth_max: usize,
    /// Bytes of a claim's name.
    pub claim_bytes_max: usize,
    /// Bytes of a value as text.
    pub value_bytes_max: usize,
}

impl Default for Limits {
    /// The numbers of this module. A group within a group costs two levels of JSON, the frame around them four; a
    /// clause costs three values.
    fn default() -> Self {
        let json = json::Limits {
            bytes_max: POLICY_BYTES_MAX,
            depth_max: 2 * GROUPS_DEPTH_MAX + 8,
            values_max: 16 * CLAUSES_MAX,
            number_digits_max: 2 * INTEGER_DIGITS_MAX,
        };
        Self {
            json,
            clauses_max: CLAUSES_MAX,
            groups_depth_max: GROUPS_DEPTH_MAX,
            claim_bytes_max: CLAIM_BYTES_MAX,
            value_bytes_max: VALUE_BYTES_MAX,
        }
    }
}

/// Bytes of an appraisal policy's text. Azure publishes no limit; the longest known text has 700 bytes.
pub const APPRAISAL_BYTES_MAX: usize = 64 * 1024;

/// Symbols of an appraisal policy. Our own choice: as many as a text of that size has when none is shorter than usual.
pub const APPRAISAL_SYMBOLS_MAX: usize = 16 * 1024;

/// Rules of an appraisal policy, all sections together. The longest published sample has about twenty.
pub const APPRAISAL_RULES_MAX: usize = 256;

/// Conditions of one rule. Published samples have four.
pub const APPRAISAL_CONDITIONS_MAX: usize = 32;

/// Calls of functions within each other, and arguments of one call are fewer than this too. Samples have three.
pub const APPRAISAL_CALLS_DEPTH_MAX: usize = 8;

/// Claims that rules may have before them at a time, those of the evidence (about twenty) among them.
pub const APPRAISAL_CLAIMS_MAX: usize = 1024;

/// Comparisons and firings in one appraisal; 64 bytes of a text count as one. 256 rules over forty claims take a fifth; anybody may
/// send a draft, so this is what a stranger's request may cost: a few milliseconds.
pub const APPRAISAL_STEPS_MAX: usize = 100_000;

/// Bytes of all claims that a policy issues: a token travels in a request of its own, and the service's claims have 4 KiB.
pub const APPRAISAL_ISSUED_BYTES_MAX: usize = 32 * 1024;

/// Bytes of a text that a policy makes.
pub const APPRAISAL_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the document that an appraisal policy is set by: text and certificates, each in base64.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Certificates of who signed such a document. Recorded ones have one.
pub const SIGNER_CERTIFICATES_MAX: usize = 8;

/// JSON within such a document.
pub const DOCUMENT_JSON: json::Limits =
    json::Limits { bytes_max: DOCUMENT_BYTES_MAX, depth_max: 4, values_max: 64, number_digits_max: 16 };

/// JSON that a function of an appraisal policy reads.
pub const APPRAISAL_JSON: json::Limits =
    json::Limits { bytes_max: APPRAISAL_TEXT_BYTES_MAX, depth_max: 4, values_max: 1024, number_digits_max: 32 };
