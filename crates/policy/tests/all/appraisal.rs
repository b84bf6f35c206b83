//! Appraisal policies: the language of the attestation service, and the documents that carry it.

mod document;
mod functions;
mod model;
mod refusals;
mod samples;
mod truth;

use skerry_policy::attestation::{
    AppraisalPolicy, Claim, EvaluationErrorKind, EvidenceType, PolicyParsingError, PolicyParsingErrorKind,
};

use super::claims;

fn parse(text: &str) -> Result<AppraisalPolicy, PolicyParsingError> {
    AppraisalPolicy::parse(EvidenceType::SevSnpVm, text)
}

/// Why a text is refused, and where: line, column, symbol.
fn refused(text: &str) -> (PolicyParsingErrorKind, usize, usize, String) {
    let Err(error) = parse(text) else { panic!("a policy: {text}") };
    (error.kind, error.at.line, error.at.column, error.symbol)
}

/// What a policy issues over these claims of the service, or why there is no token.
fn says(text: &str, members: &str) -> Result<String, EvaluationErrorKind> {
    let policy = parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let claims = Claim::of_service(&claims(members));
    let verdict = policy.explain(&claims);
    let outcome = policy.appraise(&claims);
    assert_eq!(verdict.outcome, outcome, "the explanation is that of the verdict");
    outcome.map(|appraised| appraised.issued.to_json()).map_err(|error| error.kind)
}

/// A policy of version 1.2 that permits iff this rule's conditions hold.
fn permits_iff(conditions: &str) -> String {
    format!("version=1.2; authorizationrules{{ {conditions} => permit(); }};")
}

/// Whether they hold.
fn holds(conditions: &str, members: &str) -> Result<bool, EvaluationErrorKind> {
    match says(&permits_iff(conditions), members) {
        Ok(_) => Ok(true),
        Err(EvaluationErrorKind::NotPermitted) => Ok(false),
        Err(other) => Err(other),
    }
}

/// What these issuance rules of version 1.2 issue.
fn issues(rules: &str, members: &str) -> Result<String, EvaluationErrorKind> {
    says(&format!("version=1.2; authorizationrules{{ => permit(); }}; issuancerules{{ {rules} }};"), members)
}
