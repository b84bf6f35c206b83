//! Why a policy holds or does not: every clause, what it expects, what it saw.

use std::fmt;

use skerry_attestation_result::IssuerUrl;
use skerry_jose::json::Object;

use super::compare::{self, Shown};
use super::hint::{self, Hint};
use super::{Clause, Condition, Entry, Group, Operator, Policy};
use crate::limits::SEEN_BYTES_MAX;

/// A verdict with its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the policy holds; always what [`Policy::holds`] says.
    pub allowed: bool,
    /// Why.
    pub explanation: Explanation,
}

/// What each entry and clause of a policy found in one set of claims. It repeats claims: show it to who may read the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The issuer of the token, as given.
    pub issuer: String,
    /// The entries in the order of the policy.
    pub entries: Vec<EntryFinding>,
}

/// What an authority entry found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryFinding {
    /// Its place in the policy, as `anyOf[0]`.
    pub path: String,
    /// The authority it names, as given.
    pub authority: String,
    /// Whether that is the issuer of the token.
    pub issuer_matches: bool,
    /// Whether the authority matches and the clauses hold.
    pub holds: bool,
    /// What may be wrong with the authority.
    pub hint: Option<Hint>,
    /// All clauses below it in the order of the policy, evaluated even when the authority differs.
    pub clauses: Vec<ClauseFinding>,
}

/// What a clause found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseFinding {
    /// Its place in the policy, as `anyOf[0].allOf[2]`.
    pub path: String,
    /// How it compares.
    pub operator: Operator,
    /// Which claim.
    pub claim: String,
    /// The canonical text it compares with.
    pub expected: String,
    /// What stood there.
    pub seen: Seen,
    /// Whether it holds.
    pub holds: bool,
    /// What may be wrong, for a clause that does not hold.
    pub hint: Option<Hint>,
}

/// What stood at a claim's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Missing,
    /// Something without text.
    NotScalar(NotScalar),
    /// A number without canonical text, as received and cut like a text.
    NotCanonical {
        /// The number.
        text: String,
    },
    /// A scalar by its canonical text.
    Text {
        /// The text, or its first [`SEEN_BYTES_MAX`] bytes.
        text: String,
        /// Bytes of the whole text.
        bytes: usize,
    },
}

/// Why a claim has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotScalar {
    /// It is null.
    Null,
    /// It is an array.
    Array,
    /// It is an object.
    Object,
    /// The path leads through something that is not an object.
    Blocked,
}

impl Seen {
    fn of(shown: &Shown<'_>) -> Self {
        match shown {
            Shown::Missing => Self::Missing,
            Shown::Blocked => Self::NotScalar(NotScalar::Blocked),
            Shown::Null => Self::NotScalar(NotScalar::Null),
            Shown::Array => Self::NotScalar(NotScalar::Array),
            Shown::Object => Self::NotScalar(NotScalar::Object),
            Shown::NotCanonical(text) => Self::NotCanonical { text: cut(text) },
            Shown::Text(text) => Self::Text { text: cut(text), bytes: text.len() },
        }
    }
}

/// The longest start of at most [`SEEN_BYTES_MAX`] bytes that ends between characters.
fn cut(text: &str) -> String {
    (0..=SEEN_BYTES_MAX).rev().find_map(|end| text.get(..end)).unwrap_or_default().to_owned()
}

pub(super) fn verdict(policy: &Policy, issuer: &IssuerUrl, claims: &Object) -> Verdict {
    let keyword = policy.quantifier.keyword();
    let numbered = policy.entries.iter().enumerate();
    let entries: Vec<_> =
        numbered.map(|(index, own)| entry(format!("{keyword}[{index}]"), own, issuer, claims)).collect();
    let allowed = policy.quantifier.over(&entries, |entry| entry.holds);
    Verdict { allowed, explanation: Explanation { issuer: issuer.as_str().to_owned(), entries } }
}

fn entry(path: String, entry: &Entry, issuer: &IssuerUrl, claims: &Object) -> EntryFinding {
    let mut clauses = Vec::new();
    let group_holds = group(&path, &entry.group, claims, &mut clauses);
    let issuer_matches = entry.authority == *issuer;
    EntryFinding {
        path,
        authority: entry.authority.as_str().to_owned(),
        issuer_matches,
        holds: issuer_matches && group_holds,
        hint: if issuer_matches { None } else { hint::of_authority(&entry.authority, issuer) },
        clauses,
    }
}

/// Collects the findings of every clause before it decides.
fn group(path: &str, group: &Group, claims: &Object, findings: &mut Vec<ClauseFinding>) -> bool {
    let keyword = group.quantifier.keyword();
    let numbered = group.conditions.iter().enumerate();
    let held: Vec<bool> =
        numbered.map(|(index, own)| condition(format!("{path}.{keyword}[{index}]"), own, claims, findings)).collect();
    group.quantifier.over(&held, |holds| *holds)
}

fn condition(path: String, own: &Condition, claims: &Object, findings: &mut Vec<ClauseFinding>) -> bool {
    match own {
        Condition::Group(own) => group(&path, own, claims, findings),
        Condition::Clause(own) => {
            let finding = clause(path, own, claims);
            let holds = finding.holds;
            findings.push(finding);
            holds
        }
    }
}

fn clause(path: String, clause: &Clause, claims: &Object) -> ClauseFinding {
    let shown = compare::look(claims, &clause.claim);
    let holds = clause.holds_for(&shown);
    ClauseFinding {
        path,
        operator: clause.operator,
        claim: clause.claim.clone(),
        expected: clause.operand.text.clone(),
        seen: Seen::of(&shown),
        holds,
        hint: if holds { None } else { hint::of_clause(clause, &shown, claims) },
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "issuer {}", self.issuer)?;
        self.entries.iter().try_for_each(|entry| write!(f, "{entry}"))
    }
}

impl fmt::Display for EntryFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = if self.issuer_matches { "matches" } else { "differs" };
        write!(f, "{} {}: authority {} {authority}", mark(self.holds), self.path, self.authority)?;
        end_line(f, self.hint.as_ref())?;
        self.clauses.iter().try_for_each(|clause| write!(f, "  {clause}"))
    }
}

impl fmt::Display for ClauseFinding {
    /// Values are quoted with escapes, since a token chooses them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, operator, claim, expected, seen, holds, hint } = self;
        write!(f, "{} {path}: {claim:?} {} {expected:?}, saw {seen}", mark(*holds), operator.keyword())?;
        end_line(f, hint.as_ref())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("nothing"),
            Self::NotScalar(NotScalar::Null) => f.write_str("null"),
            Self::NotScalar(NotScalar::Array) => f.write_str("an array"),
            Self::NotScalar(NotScalar::Object) => f.write_str("an object"),
            Self::NotScalar(NotScalar::Blocked) => f.write_str("no object on the way"),
            Self::NotCanonical { text } => write!(f, "the number {text}, which is no canonical integer"),
            Self::Text { text, bytes } if *bytes > text.len() => write!(f, "{text:?} and more, {bytes} bytes"),
            Self::Text { text, .. } => write!(f, "{text:?}"),
        }
    }
}

fn mark(holds: bool) -> &'static str {
    if holds { "+" } else { "-" }
}

fn end_line(f: &mut fmt::Formatter<'_>, hint: Option<&Hint>) -> fmt::Result {
    match hint {
        Some(hint) => writeln!(f, " ({hint})"),
        None => writeln!(f),
    }
}
