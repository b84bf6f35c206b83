//! Appraisal policies: which claims of authentic evidence will do for a token, and what the token says besides.
//!
//! ```text
//! version= 1.0;
//! authorizationrules
//! {
//!     [type=="x-ms-sevsnpvm-guestsvn", value>=2] => permit();
//! };
//! issuancerules
//! {
//!     c:[type=="x-ms-sevsnpvm-hostdata"] => issue(type="container", value=c.value);
//! };
//! ```
//!
//! The language of the attestation service (attestation specification, 3), versions 1.0 and 1.1, and of 1.2 what is known
//! exactly. A text is read whole or refused with line and column; an appraisal permits or names the rule that does not. A
//! policy is the second word and never the last: the verifier's floor comes before it, and claims of the service's names
//! are none that it can make ([`is_reserved`]).
//!
//! The service's defaults for types of evidence that nothing here appraises are texts to be shown. Not here: what the
//! claims are ([`Claim`] comes from the verifier), and who may set a policy.

mod claims;
mod document;
mod error;
mod evaluate;
mod functions;
mod lex;
mod parse;
mod properties;
mod syntax;

use std::sync::Arc;

use aws_lc_rs::digest;
use skerry_jose::b64;

pub use claims::{Claim, ClaimIssuer, Value, is_reserved};
pub use document::{DocumentError, PolicyDocument, Reset, Signer, Trust};
pub use error::{PolicyParsingError, PolicyParsingErrorKind};
pub use evaluate::{Appraised, EvaluationError, EvaluationErrorKind, Finding, RulePlace, Verdict};
pub use functions::FunctionError;
pub use syntax::{Section, Version};

use syntax::Program;

/// An appraisal policy that is understood, with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppraisalPolicy {
    text: Arc<str>,
    hash: String,
    program: Arc<Program>,
}

impl AppraisalPolicy {
    /// The service's default for SEV-SNP (recovered from the hash in real tokens of 2022 and 2025).
    pub fn snp_default() -> AppraisalPolicy {
        AppraisalPolicy { text: SNP_DEFAULT.into(), hash: hash(SNP_DEFAULT), program: Arc::new(Program::permit_all()) }
    }

    /// Reads a policy text for evidence of this type; accepts iff the whole grammar holds and no limit is exceeded. The text
    /// may come from anyone.
    pub fn parse(kind: EvidenceType, text: &str) -> Result<AppraisalPolicy, PolicyParsingError> {
        let program = Arc::new(parse::program(kind, text)?);
        Ok(AppraisalPolicy { text: text.into(), hash: hash(text), program })
    }

    /// What the policy makes of these claims; the caller vouches for them. Permits iff a rule permits and none denies.
    pub fn appraise(&self, claims: &[Claim]) -> Result<Appraised, EvaluationError> {
        self.explain(claims).outcome
    }

    /// The same, and what each rule did.
    #[must_use]
    pub fn explain(&self, claims: &[Claim]) -> Verdict {
        evaluate::verdict(&self.program, claims)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The version of the language it is written in.
    pub fn version(&self) -> Version {
        self.program.version
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
/// instances (2022, 2025). The one for TDX is ours: no recording shows the service's (the hash in the documentation's sample
/// token is of a text laid out by hand, as the one in its sample for SEV-SNP is, which is not the default), and this says
/// what the type must be and nothing else. Not here: Azure guests, since of theirs the hash is known and the text is not.
const DEFAULTS: [(EvidenceType, DefaultPolicy); 5] = [
    (EvidenceType::SgxEnclave, DefaultPolicy::Text(SGX_DEFAULT)),
    (EvidenceType::OpenEnclave, DefaultPolicy::Text(SGX_DEFAULT)),
    (EvidenceType::SevSnpVm, DefaultPolicy::Text(SNP_DEFAULT)),
    (EvidenceType::TdxVm, DefaultPolicy::Text(TDX_DEFAULT)),
    (EvidenceType::Tpm, DefaultPolicy::Empty),
];

fn hash(text: &str) -> String {
    b64::encode(digest::digest(&digest::SHA256, b64::encode(text).as_bytes()))
}

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

const TDX_DEFAULT: &str =
    r#"version= 1.0;authorizationrules{[type=="x-ms-attestation-type", value=="tdxvm"] => permit();};"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_the_hashes_of_real_tokens_or_are_ours() {
        let sgx = Some("bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw");
        let snp = Some("9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco");
        let hashes = EvidenceType::ALL.map(|one| match one.default_policy() {
            Some(DefaultPolicy::Text(text)) => Some(hash(text)),
            Some(DefaultPolicy::Empty) | None => None,
        });
        let ours = hash(TDX_DEFAULT);
        assert_eq!(hashes.each_ref().map(Option::as_deref), [sgx, sgx, snp, Some(ours.as_str()), None, None]);
        assert_eq!(EvidenceType::Tpm.default_policy(), Some(DefaultPolicy::Empty));
        assert_eq!(EvidenceType::AzureGuest.default_policy(), None);
    }

    #[test]
    fn the_default_that_is_made_is_the_one_that_is_read() {
        assert_eq!(AppraisalPolicy::parse(EvidenceType::SevSnpVm, SNP_DEFAULT), Ok(AppraisalPolicy::snp_default()));
    }

    #[test]
    fn every_default_text_is_a_policy_for_its_type() {
        for (kind, policy) in DEFAULTS {
            let DefaultPolicy::Text(text) = policy else { continue };
            assert_eq!(AppraisalPolicy::parse(kind, text).map(|policy| policy.text().to_owned()), Ok(text.to_owned()));
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
}
