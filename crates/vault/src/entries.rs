//! What is put on record of changes, releases and denials.

use std::error::Error as _;
use std::time::SystemTime;

use aws_lc_rs::digest;
use skerry_attestation_result::TrustedResult;
use skerry_audit::{Entry, Event, Verdict};
use skerry_policy::permit::{Denied, KeyRef, Permit};
use uuid::Uuid;

use crate::attested::Attested;
use crate::command::Context;
use crate::limits::EXPLANATION_BYTES_MAX;
use crate::record::KeyHead;
use crate::refusal::Refusal;

/// A change, first as intended. Its subject is a digest over ids and randomness, so that intent, outcome and the store's
/// transaction are found together, and no others are.
pub(crate) fn change(context: &Context<'_>, event: Event, head: &KeyHead, key: KeyRef, unique: [u8; 16]) -> Entry {
    let policy = head.policy.as_ref().map(|policy| policy.digest().0);
    let subject = sha256(&[b"skerry change v2\0", key.vault.as_bytes(), key.key.as_bytes(), &key.version.0, &unique]);
    Entry { policy, ..entry(context, event, subject, key, Verdict::Intended) }
}

/// A change of the vault itself, first as intended. As [`change`], of no key.
pub(crate) fn vault_change(context: &Context<'_>, vault: Uuid, explanation: String, unique: [u8; 16]) -> Entry {
    let subject = sha256(&[b"skerry vault change v1\0", vault.as_bytes(), &unique]);
    Entry {
        subject,
        who: context.grant.principal().to_string(),
        request: context.request_id.to_owned(),
        vault: Some(vault),
        ..service(Event::VaultChanged, context.now, Verdict::Intended, cut(explanation))
    }
}

/// A release that is about to happen.
pub(crate) fn permitted(context: &Context<'_>, permit: &Permit, result: &TrustedResult) -> Entry {
    let Attested { evidence, measurement } = Attested::of(result.claims());
    Entry {
        token: Some(*permit.token_digest()),
        evidence,
        policy: Some(*permit.policy_digest()),
        measurement,
        explanation: format!("released to {}", permit.target().thumbprint()),
        ..entry(context, Event::Release, *permit.digest(), permit.key(), Verdict::Permitted)
    }
}

/// A key that is about to be unwrapped to a TEE; which one, its digest says.
pub(crate) fn unwrapping(context: &Context<'_>, permit: &Permit, result: &TrustedResult, wrapped: &[u8]) -> Entry {
    let (to, digest) = (permit.target().thumbprint(), hex::encode(sha256(&[wrapped])));
    Entry {
        event: Event::SecureUnwrap,
        explanation: format!("unwrapped to {to} what is wrapped in {digest}"),
        ..permitted(context, permit, result)
    }
}

/// A release, or an unwrapping to a TEE, that is refused. Policy, measurement and the evidence's digest are on record where the denial came
/// after they were known.
pub(crate) fn denied(
    (context, event): (&Context<'_>, Event),
    head: &KeyHead,
    key: KeyRef,
    token: &str,
    believed: Option<&TrustedResult>,
    refusal: &Refusal,
) -> Entry {
    let token = sha256(&[token.as_bytes()]);
    let subject = sha256(&[b"skerry denial v1\0", key.key.as_bytes(), &key.version.0, &token]);
    let Attested { evidence, measurement } = believed.map(|result| Attested::of(result.claims())).unwrap_or_default();
    Entry {
        token: Some(token),
        evidence,
        policy: believed.and(head.policy.as_ref()).map(|policy| policy.digest().0),
        measurement,
        explanation: cut(explained(refusal)),
        ..entry(context, event, subject, key, Verdict::Denied)
    }
}

/// An entry about no key: the service itself.
pub(crate) fn service(event: Event, at: SystemTime, verdict: Verdict, explanation: String) -> Entry {
    Entry {
        event,
        at,
        subject: sha256(&[b"skerry service v1\0", event.as_str().as_bytes()]),
        who: String::new(),
        request: String::new(),
        vault: None,
        key: None,
        version: None,
        token: None,
        evidence: None,
        measurement: None,
        policy: None,
        verdict,
        explanation,
    }
}

fn entry(context: &Context<'_>, event: Event, subject: [u8; 32], key: KeyRef, verdict: Verdict) -> Entry {
    Entry {
        subject,
        who: context.grant.principal().to_string(),
        request: context.request_id.to_owned(),
        vault: Some(key.vault),
        key: Some(key.key),
        version: Some(key.version.0),
        ..service(event, context.now, verdict, String::new())
    }
}

/// The start of a text that a token can make long, so that no denial is too long to be recorded.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > EXPLANATION_BYTES_MAX {
        let end = (0..=EXPLANATION_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// A refusal with its causes as one line, and the clauses of a policy that did not hold: for the log, and for callers who
/// may read the key.
pub fn explained(refusal: &Refusal) -> String {
    let (mut text, mut cause) = (refusal.to_string(), refusal.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    match refusal {
        Refusal::Denied(Denied::Policy(explanation) | Denied::Floor(explanation)) => format!("{text}\n{explanation}"),
        _ => text,
    }
}

/// As logs show a digest.
pub(crate) fn hex_sha256(text: &str) -> String {
    hex::encode(sha256(&[text.as_bytes()]))
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An explanation of any length fits a record, and is cut between characters.
    #[test]
    fn long_explanations_are_cut() {
        let short = "x".repeat(EXPLANATION_BYTES_MAX);
        assert_eq!(cut(short.clone()), short);
        assert_eq!(cut(short.clone() + "x"), short + "...");
        let wide = cut("\u{e9}".repeat(EXPLANATION_BYTES_MAX) + "x");
        assert_eq!(wide.len(), EXPLANATION_BYTES_MAX + 3);
    }
}
