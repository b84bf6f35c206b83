//! Appraisal policies of the attestation service. So far these are the known default texts, each by its hash.
//!
//! Every known text permits all that passed the floor and issues no claims of its own; any other text is refused, since
//! guessing at a policy is worse than having none. The language itself is not here yet.

use aws_lc_rs::digest;
use skerry_jose::b64;

/// Why a text is not an appraisal policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum PolicyParsingError {
    #[error("not one of the known default policies (its hash is {hash}); other texts are not evaluated yet")]
    Unknown { hash: String },
    #[error("policy has {len} bytes, more than {max}")]
    TooLarge { len: usize, max: usize },
}

/// An appraisal policy that is understood, with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppraisalPolicy {
    text: &'static str,
    hash: String,
}

impl AppraisalPolicy {
    /// The service's default for SEV-SNP (recovered from the hash in real tokens of 2022 and 2025).
    pub fn snp_default() -> AppraisalPolicy {
        AppraisalPolicy { text: SNP_DEFAULT, hash: hash(SNP_DEFAULT) }
    }

    /// Reads a policy text: exactly one of the known defaults, byte for byte.
    pub fn parse(text: &str) -> Result<AppraisalPolicy, PolicyParsingError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(PolicyParsingError::TooLarge { len: text.len(), max: TEXT_BYTES_MAX });
        }
        let known = KNOWN.into_iter().find(|known| *known == text);
        let unknown = || PolicyParsingError::Unknown { hash: hash(text) };
        known.map(|text| AppraisalPolicy { text, hash: hash(text) }).ok_or_else(unknown)
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.text
    }

    /// `x-ms-policy-hash`: base64url of SHA-256 over base64url of the text (verified against five real hashes).
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

fn hash(text: &str) -> String {
    b64::encode(digest::digest(&digest::SHA256, b64::encode(text).as_bytes()))
}

/// Azure publishes no limit; the longest known text has 700 bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

const SNP_DEFAULT: &str = "version= 1.0;authorizationrules{=> permit();};";

const KNOWN: [&str; 3] = [
    SNP_DEFAULT,
    "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};",
    "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};\n\nissuancerules\n{\n};",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_the_hashes_of_real_tokens() {
        let hashes: Vec<_> = KNOWN.into_iter().map(hash).collect();
        assert_eq!(
            hashes,
            [
                "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco",
                "LTPRQQju-FejAwdYihF8YV_c2XWebG9joKvrHKc3bxs",
                "B56nbp5slhw66peoRYkpdq1WykMkEworvdol08hnMXE",
            ]
        );
    }

    #[test]
    fn any_other_text_is_refused_however_close() {
        let text = "version= 1.0;authorizationrules{=> permit(); };";
        assert_eq!(AppraisalPolicy::parse(text), Err(PolicyParsingError::Unknown { hash: hash(text) }));
        let long = " ".repeat(TEXT_BYTES_MAX + 1);
        let too_large = PolicyParsingError::TooLarge { len: long.len(), max: TEXT_BYTES_MAX };
        assert_eq!(AppraisalPolicy::parse(&long), Err(too_large));
        assert_eq!(AppraisalPolicy::parse(SNP_DEFAULT), Ok(AppraisalPolicy::snp_default()));
    }
}
