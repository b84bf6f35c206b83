//! Likely mistakes in a policy that is grammatical.
//!
//! What an entry demands in any case is judged by its tree: under `allOf` one condition suffices, under `anyOf` each
//! alternative must demand it. "Can never hold" is found for pairs of clauses, not by a solver.

use std::cmp::Ordering;
use std::fmt;

use super::compare::{self, Shown};
use super::{Clause, Condition, Entry, Group, Operator, Policy, Quantifier};

/// A likely mistake and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The entry or clause, as `anyOf[0].allOf[2]`.
    pub path: String,
    /// The mistake.
    pub kind: WarningKind,
}

/// A likely mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// Neither the measurement of what was launched nor host data is pinned: any guest on such hardware gets the key.
    NothingPinned,
    /// A measurement of zeros is expected, which only a TEE without measurement has.
    ZeroMeasurement,
    /// A TEE in debug mode is not excluded.
    DebugNotExcluded,
    /// An earlier entry names the same authority.
    AuthorityRepeated,
    /// The authority has a port that no URL can have: no token comes from there.
    AuthorityImpossible,
    /// Entries that must all hold name different authorities; a token has one.
    AuthoritiesDiffer,
    /// The clause contradicts another one that must hold too.
    NeverHolds {
        /// The place of the other.
        other: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind)
    }
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingPinned => "pins neither a launch measurement nor host data",
            Self::ZeroMeasurement => "expects a measurement of zeros",
            Self::DebugNotExcluded => "does not exclude debug mode",
            Self::AuthorityRepeated => "names the authority of an earlier entry",
            Self::AuthorityImpossible => "names an authority that no token can come from",
            Self::AuthoritiesDiffer => "must hold together with an entry of another authority",
            Self::NeverHolds { other } => return write!(f, "can never hold together with {other}"),
        })
    }
}

pub(super) fn warnings(policy: &Policy) -> Vec<Warning> {
    let mut out = Vec::new();
    let keyword = policy.quantifier.keyword();
    let entries: Vec<_> =
        policy.entries.iter().enumerate().map(|(index, entry)| (format!("{keyword}[{index}]"), entry)).collect();
    match policy.quantifier {
        Quantifier::AnyOf => entries.chunks(1).for_each(|one| alternative(one, &mut out)),
        Quantifier::AllOf => alternative(&entries, &mut out),
    }
    authorities(policy.quantifier, &entries, &mut out);
    for (path, entry) in &entries {
        each_clause(path, &entry.group, &mut |path, clause| zero_measurement(path, clause, &mut out));
    }
    out.sort_by_key(|warning| entries.iter().position(|(path, _)| warning.path.starts_with(path.as_str())));
    out
}

/// Entries that must all hold.
fn alternative(entries: &[(String, &Entry)], out: &mut Vec<Warning>) {
    let Some((first, _)) = entries.first() else { return };
    let demanded = |test: fn(&Clause) -> bool| entries.iter().any(|(_, entry)| demands(&entry.group, test));
    if !demanded(pins) {
        out.push(Warning { path: first.clone(), kind: WarningKind::NothingPinned });
    }
    if !demanded(excludes_debug) {
        out.push(Warning { path: first.clone(), kind: WarningKind::DebugNotExcluded });
    }
    let mut required = Vec::new();
    entries.iter().for_each(|(path, entry)| contradictions(path, &entry.group, &mut required, out));
}

fn authorities(quantifier: Quantifier, entries: &[(String, &Entry)], out: &mut Vec<Warning>) {
    let mut earlier: Vec<&Entry> = Vec::new();
    for (path, entry) in entries {
        if entry.authority.is_nobody() {
            out.push(Warning { path: path.clone(), kind: WarningKind::AuthorityImpossible });
        }
        let repeated = earlier.iter().any(|other| other.authority == entry.authority);
        let kind = match quantifier {
            Quantifier::AnyOf if repeated => Some(WarningKind::AuthorityRepeated),
            Quantifier::AllOf if !repeated && !earlier.is_empty() => Some(WarningKind::AuthoritiesDiffer),
            Quantifier::AnyOf | Quantifier::AllOf => None,
        };
        out.extend(kind.map(|kind| Warning { path: path.clone(), kind }));
        earlier.push(entry);
    }
}

/// Whether whatever satisfies the group satisfies a clause of which `test` is true: under `allOf` one demanding condition
/// is enough, under `anyOf` all must demand, the other way round than holding.
fn demands(group: &Group, test: fn(&Clause) -> bool) -> bool {
    let mut each = group.conditions.iter().map(|condition| match condition {
        Condition::Clause(clause) => test(clause),
        Condition::Group(inner) => demands(inner, test),
    });
    match group.quantifier {
        Quantifier::AllOf => each.any(|demanded| demanded),
        Quantifier::AnyOf => each.all(|demanded| demanded),
    }
}

fn pins(clause: &Clause) -> bool {
    clause.operator == Operator::Equals && (is_one_of(clause, &MEASUREMENTS) || is_one_of(clause, &HOST_DATA))
}

fn excludes_debug(clause: &Clause) -> bool {
    match (clause.operator, clause.operand.text.as_str()) {
        (Operator::Equals, "false") | (Operator::NotEquals, "true") => is_one_of(clause, &DEBUG),
        (Operator::Equals, _) => is_one_of(clause, &ATTRIBUTES),
        _ => false,
    }
}

fn zero_measurement(path: &str, clause: &Clause, out: &mut Vec<Warning>) {
    let zero = !clause.operand.text.is_empty() && clause.operand.text.bytes().all(|byte| byte == b'0');
    if zero && clause.operator == Operator::Equals && is_one_of(clause, &MEASUREMENTS) {
        out.push(Warning { path: path.to_owned(), kind: WarningKind::ZeroMeasurement });
    }
}

/// By the last name of its path, wherever the claims of the TEE are kept.
fn is_one_of(clause: &Clause, names: &[&str]) -> bool {
    clause.claim.rsplit('.').next().is_some_and(|last| names.contains(&last))
}

fn each_clause(path: &str, group: &Group, visit: &mut impl FnMut(&str, &Clause)) {
    for (path, condition) in numbered(path, group) {
        match condition {
            Condition::Clause(clause) => visit(&path, clause),
            Condition::Group(inner) => each_clause(&path, inner, visit),
        }
    }
}

fn numbered<'p>(path: &str, group: &'p Group) -> impl Iterator<Item = (String, &'p Condition)> {
    let prefix = format!("{path}.{}", group.quantifier.keyword());
    group.conditions.iter().enumerate().map(move |(index, condition)| (format!("{prefix}[{index}]"), condition))
}

/// Reports clauses that contradict one in `required`, and adds to `required` what must hold with the group.
fn contradictions<'p>(path: &str, group: &'p Group, required: &mut Vec<(String, &'p Clause)>, out: &mut Vec<Warning>) {
    let alternatives = group.quantifier == Quantifier::AnyOf && group.conditions.len() > 1;
    let outer = required.len();
    for (path, condition) in numbered(path, group) {
        match condition {
            Condition::Group(inner) => contradictions(&path, inner, required, out),
            Condition::Clause(clause) => {
                let other = required.iter().find(|(_, other)| contradict(clause, other));
                let kind = other.map(|(other, _)| WarningKind::NeverHolds { other: other.clone() });
                out.extend(kind.map(|kind| Warning { path: path.clone(), kind }));
                required.push((path, clause));
            }
        }
        // What one alternative requires is nothing to the next, nor to what follows the group.
        if alternatives {
            required.truncate(outer);
        }
    }
}

fn contradict(a: &Clause, b: &Clause) -> bool {
    if a.claim != b.claim {
        return holds_scalar_above(a, b) || holds_scalar_above(b, a);
    }
    excludes(a, b) || excludes(b, a) || is_empty_range(a, b) || is_empty_range(b, a)
}

/// Whether `b` asks for something inside a claim that `a` wants to be a scalar or absent.
fn holds_scalar_above(a: &Clause, b: &Clause) -> bool {
    let inside = b.claim.strip_prefix(a.claim.as_str()).is_some_and(|rest| rest.starts_with('.'));
    let shown = match (a.operator, a.operand.text.as_str()) {
        (Operator::Exists, "true") => return false,
        (Operator::Exists, _) => Shown::Missing,
        _ => Shown::Blocked,
    };
    inside && !b.holds_for(&shown)
}

/// Whether `a` decides the claim, and `b` does not hold for what `a` demands.
fn excludes(a: &Clause, b: &Clause) -> bool {
    match a.operator {
        Operator::Equals => !b.holds_for(&Shown::Text(a.operand.text.as_str().into())),
        Operator::Exists if a.operand.text == "false" => !b.holds_for(&Shown::Missing),
        _ => false,
    }
}

/// Whether no integer lies above `low` and below `high`; neighbours with both ends excluded are not noticed.
fn is_empty_range(low: &Clause, high: &Clause) -> bool {
    let bounds = matches!(low.operator, Operator::Greater | Operator::GreaterOrEquals)
        && matches!(high.operator, Operator::Less | Operator::LessOrEquals);
    let closed = low.operator == Operator::GreaterOrEquals && high.operator == Operator::LessOrEquals;
    match compare::order(&low.operand.text, &high.operand.text) {
        Some(Ordering::Greater) => bounds,
        Some(Ordering::Equal) => bounds && !closed,
        Some(Ordering::Less) | None => false,
    }
}

/// Claims that say what was launched.
const MEASUREMENTS: [&str; 4] = ["x-ms-sevsnpvm-launchmeasurement", "x-ms-sgx-mrenclave", "sgx-mrenclave", "tdx_mrtd"];

/// Claims that carry what the host configured, as the digest of a container policy. Zeros are normal here: every
/// confidential VM of Azure has them, which is why an all-zero one pins nothing but is no mistake.
const HOST_DATA: [&str; 2] = ["x-ms-sevsnpvm-hostdata", "tdx_mrconfigid"];

/// Claims that tell debug mode.
const DEBUG: [&str; 3] = ["x-ms-sevsnpvm-is-debuggable", "x-ms-sgx-is-debuggable", "is-debuggable"];

/// Claims whose bits hold debug mode among others.
const ATTRIBUTES: [&str; 1] = ["tdx_td_attributes"];
