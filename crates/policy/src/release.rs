//! The release policy of a key: which authority must vouch for which claims (Azure Key Vault, secure key release).
//!
//! A policy is a list of authority entries, each with a tree of clauses under `allOf` and `anyOf`. An entry holds iff the
//! token's issuer is its authority and its tree holds; the policy holds iff any entry does. A policy whose outermost list
//! is `allOf` (one of Microsoft's samples) holds iff every entry does: the literal reading, and the one no other reading
//! is stricter than. Since a token has one issuer, such a policy can hold only when all entries name one authority.
//!
//! Scalars are compared as text, as recorded from Azure: `true` is "true", the integer 1 is "1", a string is itself. What
//! has no canonical text (null, arrays, objects, `1.0`, `1e3`, `-0`) satisfies no comparison, `notEquals` included. Dots
//! walk objects only. A missing claim satisfies `exists: false` and nothing else; a null one, or a path through something
//! that is no object, satisfies nothing at all. When in doubt a clause does not hold.
//!
//! Not here: whether the token is genuine and fresh, the floor of the vault, and who may ask.

mod canonical;
mod compare;
mod explain;
mod hint;
mod lint;
mod parse;

use skerry_attestation_result::IssuerUrl;
use skerry_jose::json::{Object, Value};

use crate::limits::Limits;

pub use canonical::PolicyDigest;
pub use explain::{ClauseFinding, EntryFinding, Explanation, NotScalar, Seen, Verdict};
pub use hint::Hint;
pub use lint::{Warning, WarningKind};
pub use parse::{ParseError, ParseErrorKind};

/// A parsed release policy.
///
/// Equality is of meaning as written: neither the version nor the JSON type of a value counts, the order of entries does.
#[derive(Clone, Debug)]
pub struct Policy {
    quantifier: Quantifier,
    entries: Vec<Entry>,
    /// Made once: every release puts it into its answer, and its digest on record.
    canonical: String,
    digest: PolicyDigest,
}

impl Policy {
    /// Reads a policy; accepts iff the whole grammar holds and no limit is exceeded. The bytes may come from anyone.
    ///
    /// Keywords are read in any letter case (the documented grammar and the samples differ); claim names are not.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Policy, ParseError> {
        parse::policy(bytes, limits)
    }

    /// Whether the policy holds for a token of `issuer` with `claims`; the caller vouches that both were verified.
    ///
    /// True iff [`Policy::explain`] says allowed, without the work of saying why.
    #[must_use]
    pub fn holds(&self, issuer: &IssuerUrl, claims: &Object) -> bool {
        self.quantifier.over(&self.entries, |entry| entry.authority == *issuer && entry.group.holds(claims))
    }

    /// The same verdict with every clause and what it saw, evaluated without short cuts. For who may read the key.
    #[must_use]
    pub fn explain(&self, issuer: &IssuerUrl, claims: &Object) -> Verdict {
        explain::verdict(self, issuer, claims)
    }

    /// What is likely a mistake in the policy, entry by entry.
    #[must_use]
    pub fn lint(&self) -> Vec<Warning> {
        lint::warnings(self)
    }

    /// The form a vault stores and returns: minified, members in order, scalars as text (observed: Azure Key Vault).
    #[must_use]
    pub fn canonical(&self) -> String {
        self.canonical.clone()
    }

    /// The form a managed HSM returns: as [`Policy::canonical`], but scalars keep their type and the version is "1.0.0".
    #[must_use]
    pub fn canonical_hsm(&self) -> String {
        canonical::hsm(self.quantifier, &self.entries)
    }

    /// SHA-256 of [`Policy::canonical`].
    #[must_use]
    pub fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// The authorities, in order, repeated when the policy repeats them.
    pub fn authorities(&self) -> impl ExactSizeIterator<Item = &IssuerUrl> {
        self.entries.iter().map(|entry| &entry.authority)
    }

    fn new(version: Version, quantifier: Quantifier, entries: Vec<Entry>) -> Policy {
        let canonical = canonical::vault(version, quantifier, &entries);
        Policy { quantifier, entries, digest: PolicyDigest::of(&canonical), canonical }
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.quantifier == other.quantifier && self.entries == other.entries
    }
}

impl Eq for Policy {}

/// A version of the grammar; all three mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// "1.0.0": the documented one.
    V1_0_0,
    /// "1.0": what SDK tests send; a managed HSM rewrites it.
    V1_0,
    /// "0.2": what the scripts of the container samples send.
    V0_2,
}

impl Version {
    const ALL: [Self; 3] = [Self::V1_0_0, Self::V1_0, Self::V0_2];

    fn text(self) -> &'static str {
        match self {
            Self::V1_0_0 => "1.0.0",
            Self::V1_0 => "1.0",
            Self::V0_2 => "0.2",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    AllOf,
    AnyOf,
}

impl Quantifier {
    fn keyword(self) -> &'static str {
        match self {
            Self::AllOf => "allOf",
            Self::AnyOf => "anyOf",
        }
    }

    /// Stops at the first item that decides.
    fn over<T>(self, items: &[T], holds: impl FnMut(&T) -> bool) -> bool {
        match self {
            // The parser admits no empty list; here it would hold for nothing, as in `anyOf`.
            Self::AllOf => !items.is_empty() && items.iter().all(holds),
            Self::AnyOf => items.iter().any(holds),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    authority: IssuerUrl,
    group: Group,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    quantifier: Quantifier,
    conditions: Vec<Condition>,
}

impl Group {
    fn holds(&self, claims: &Object) -> bool {
        self.quantifier.over(&self.conditions, |condition| condition.holds(claims))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Clause(Clause),
    Group(Group),
}

impl Condition {
    fn holds(&self, claims: &Object) -> bool {
        match self {
            Self::Clause(clause) => clause.holds(claims),
            Self::Group(group) => group.holds(claims),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Clause {
    /// Names joined by dots, none of them empty.
    claim: String,
    operator: Operator,
    operand: Operand,
}

impl Clause {
    fn holds(&self, claims: &Object) -> bool {
        self.holds_for(&compare::look(claims, &self.claim))
    }

    fn holds_for(&self, shown: &compare::Shown<'_>) -> bool {
        compare::holds(self.operator, shown, &self.operand.text)
    }
}

/// A value to compare with: its canonical text, and the JSON it was written as.
#[derive(Clone, Debug)]
struct Operand {
    text: String,
    written: Value,
}

impl PartialEq for Operand {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Operand {}

/// How a clause compares a claim with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Same text.
    Equals,
    /// Both have text, and it differs.
    NotEquals,
    /// Both are canonical integers, the claim is smaller.
    Less,
    /// Both are canonical integers, the claim is not larger.
    LessOrEquals,
    /// Both are canonical integers, the claim is larger.
    Greater,
    /// Both are canonical integers, the claim is not smaller.
    GreaterOrEquals,
    /// "true": the claim is there and not null. "false": it is missing, which is more than null.
    Exists,
}

impl Operator {
    /// All operators of the grammar.
    pub const ALL: [Self; 7] = [
        Self::Equals,
        Self::NotEquals,
        Self::Less,
        Self::LessOrEquals,
        Self::Greater,
        Self::GreaterOrEquals,
        Self::Exists,
    ];

    /// The keyword as policies spell it.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "notEquals",
            Self::Less => "less",
            Self::LessOrEquals => "lessOrEquals",
            Self::Greater => "greater",
            Self::GreaterOrEquals => "greaterOrEquals",
            Self::Exists => "exists",
        }
    }

    /// Whether it needs integers.
    fn is_ordering(self) -> bool {
        !matches!(self, Self::Equals | Self::NotEquals | Self::Exists)
    }
}
