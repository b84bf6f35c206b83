//! Appraisal policies of the attestation service. So far these are the known default texts, each by its hash.
//!
//! Every text that is taken permits all that passed the floor and issues no claims of its own; any other text is refused,
//! since guessing at a policy is worse than having none. The language itself is not here yet. The service's defaults for
//! types of evidence that nothing here appraises are a table of texts, to be shown and not to be evaluated.

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

    /// Reads a policy text for evidence of this type: exactly one of the known defaults for it, byte for byte.
    pub fn parse(kind: EvidenceType, text: &str) -> Result<AppraisalPolicy, PolicyParsingError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(PolicyParsingError::TooLarge { len: text.len(), max: TEXT_BYTES_MAX });
        }
        let known = KNOWN.into_iter().find(|known| *known == (kind, text));
        let unknown = || PolicyParsingError::Unknown { hash: hash(text) };
        known.map(|(_, text)| AppraisalPolicy { text, hash: hash(text) }).ok_or_else(unknown)
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

/// A type of evidence that the attestation service has, under its name there (`attestationType` of its specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each name is the service's
pub enum EvidenceType {
    SgxEnclave,
    OpenEnclave,
    SevSnpVm,
    TdxVm,
    AzureGuest,
    Tpm,
}

impl EvidenceType {
    /// All of them.
    pub const ALL: [EvidenceType; 6] =
        [Self::SgxEnclave, Self::OpenEnclave, Self::SevSnpVm, Self::TdxVm, Self::AzureGuest, Self::Tpm];

    /// The type of this name, in whatever case (observed: `SevSnpVM`, `sevsnpvm`, `azureGuest`).
    pub fn parse(name: &str) -> Option<EvidenceType> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    /// The name as the service's specification spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SgxEnclave => "SgxEnclave",
            Self::OpenEnclave => "OpenEnclave",
            Self::SevSnpVm => "SevSnpVm",
            Self::TdxVm => "TdxVm",
            Self::AzureGuest => "AzureGuest",
            Self::Tpm => "Tpm",
        }
    }

    /// What the service appraises this type by where nobody has set a policy; none if that is not known.
    pub fn default_policy(self) -> Option<DefaultPolicy> {
        DEFAULTS.iter().find(|(one, _)| *one == self).map(|(_, policy)| *policy)
    }
}

/// A default of the service, as it shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultPolicy {
    /// This text, byte for byte.
    Text(&'static str),
    /// No policy: nothing of this type is attested until somebody sets one.
    Empty,
}

/// Recorded of a shared instance, whose policies nobody can set (2021); the one for SEV-SNP from hashes in tokens of such
/// instances (2022, 2025). Not here, since no recording shows them: TDX (the hash in the documentation's sample token is
/// of a text laid out by hand, as the one in its sample token for SEV-SNP is, which is not the default) and Azure guests
/// (a hash is known, its text is not).
const DEFAULTS: [(EvidenceType, DefaultPolicy); 4] = [
    (EvidenceType::SgxEnclave, DefaultPolicy::Text(SGX_DEFAULT)),
    (EvidenceType::OpenEnclave, DefaultPolicy::Text(SGX_DEFAULT)),
    (EvidenceType::SevSnpVm, DefaultPolicy::Text(SNP_DEFAULT)),
    (EvidenceType::Tpm, DefaultPolicy::Empty),
];

fn hash(text: &str) -> String {
    b64::encode(digest::digest(&digest::SHA256, b64::encode(text).as_bytes()))
}

/// Azure publishes no limit; the longest known text has 700 bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

const SNP_DEFAULT: &str = "version= 1.0;authorizationrules{=> permit();};";

const SGX_DEFAULT: &str = concat!(
    "version= 1.0;authorizationrules{=> permit();};issuancerules{",
    r#"c:[type=="x-ms-sgx-is-debuggable"] => issue(type="is-debuggable", value=c.value);"#,
    r#"c:[type=="x-ms-sgx-mrsigner"] => issue(type="sgx-mrsigner", value=c.value);"#,
    r#"c:[type=="x-ms-sgx-mrenclave"] => issue(type="sgx-mrenclave", value=c.value);"#,
    r#"c:[type=="x-ms-sgx-product-id"] => issue(type="product-id", value=c.value);"#,
    r#"c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);"#,
    r#"c:[type=="x-ms-attestation-type"] => issue(type="tee", value=c.value);"#,
    "};",
);

/// Texts whose hashes real tokens of that type have, and that permit all and issue nothing.
const KNOWN: [(EvidenceType, &str); 3] = [
    (EvidenceType::SevSnpVm, SNP_DEFAULT),
    (EvidenceType::SevSnpVm, "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};"),
    (EvidenceType::TdxVm, "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};\n\nissuancerules\n{\n};"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_the_hashes_of_real_tokens() {
        let hashes: Vec<_> = KNOWN.into_iter().map(|(_, text)| hash(text)).collect();
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
    fn defaults_have_the_hashes_of_real_tokens() {
        let sgx = Some("bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw");
        let snp = Some("9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco");
        let hashes = EvidenceType::ALL.map(|one| match one.default_policy() {
            Some(DefaultPolicy::Text(text)) => Some(hash(text)),
            Some(DefaultPolicy::Empty) | None => None,
        });
        assert_eq!(hashes.each_ref().map(Option::as_deref), [sgx, sgx, snp, None, None, None]);
        assert_eq!(EvidenceType::Tpm.default_policy(), Some(DefaultPolicy::Empty));
        assert_eq!(EvidenceType::TdxVm.default_policy(), None);
        assert_eq!(EvidenceType::AzureGuest.default_policy(), None);
    }

    #[test]
    fn a_default_that_issues_claims_is_shown_and_not_evaluated() {
        for kind in EvidenceType::ALL {
            let unknown = PolicyParsingError::Unknown { hash: hash(SGX_DEFAULT) };
            assert_eq!(AppraisalPolicy::parse(kind, SGX_DEFAULT), Err(unknown), "{kind:?}");
        }
    }

    #[test]
    fn a_text_is_a_policy_for_its_own_type() {
        for (own, text) in KNOWN {
            for kind in EvidenceType::ALL {
                let unknown = PolicyParsingError::Unknown { hash: hash(text) };
                let expected = if kind == own { Ok(text) } else { Err(unknown) };
                let policy = AppraisalPolicy::parse(kind, text);
                assert_eq!(policy.as_ref().map(AppraisalPolicy::text), expected.as_ref().copied(), "{kind:?}");
            }
        }
    }

    #[test]
    fn types_are_found_in_whatever_case_and_by_their_whole_name() {
        for one in EvidenceType::ALL {
            for name in [one.name().to_owned(), one.name().to_lowercase(), one.name().to_uppercase()] {
                assert_eq!(EvidenceType::parse(&name), Some(one));
            }
        }
        for other in ["", "SevSnp", "SevSnpVm ", "VbsEnclave", "Pluton"] {
            assert_eq!(EvidenceType::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn any_other_text_is_refused_however_close() {
        let text = "version= 1.0;authorizationrules{=> permit(); };";
        assert_eq!(
            AppraisalPolicy::parse(EvidenceType::SevSnpVm, text),
            Err(PolicyParsingError::Unknown { hash: hash(text) })
        );
        let long = " ".repeat(TEXT_BYTES_MAX + 1);
        let too_large = PolicyParsingError::TooLarge { len: long.len(), max: TEXT_BYTES_MAX };
        assert_eq!(AppraisalPolicy::parse(EvidenceType::SevSnpVm, &long), Err(too_large));
        assert_eq!(AppraisalPolicy::parse(EvidenceType::SevSnpVm, SNP_DEFAULT), Ok(AppraisalPolicy::snp_default()));
    }
}
