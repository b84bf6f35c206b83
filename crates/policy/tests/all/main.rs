//! Tests of the policy languages, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests: failing is what they are for, and saying what was skipped"
)]

mod appraisal;
mod canonical;
mod explain;
mod lint;
mod model;
mod permit;
mod refusals;
mod samples;
mod truth;

use skerry_attestation_result::IssuerUrl;
use skerry_jose::json::{self, Object};
use skerry_policy::limits::Limits;
use skerry_policy::release::{ParseError, Policy};

fn parse(text: impl AsRef<[u8]>) -> Result<Policy, ParseError> {
    Policy::parse(text.as_ref(), &Limits::default())
}

fn policy(text: impl AsRef<[u8]>) -> Policy {
    parse(text).unwrap()
}

/// A policy of one entry of [`AUTHORITY`] with one clause.
fn one_clause(clause: &str) -> String {
    format!(r#"{{"version":"1.0.0","anyOf":[{{"authority":"{AUTHORITY}","allOf":[{clause}]}}]}}"#)
}

fn claims(text: &str) -> Object {
    json::parse(text.as_bytes(), &Limits::default().json).unwrap().into_object().unwrap()
}

fn issuer(text: &str) -> IssuerUrl {
    IssuerUrl::parse(text).unwrap()
}

/// The verdict, asserted to be that of the explanation too.
fn holds(policy: &Policy, by: &str, text: &str) -> bool {
    let (by, claims) = (issuer(by), claims(text));
    let verdict = policy.holds(&by, &claims);
    assert_eq!(policy.explain(&by, &claims).allowed, verdict);
    verdict
}

const AUTHORITY: &str = "https://a.attest.example";
