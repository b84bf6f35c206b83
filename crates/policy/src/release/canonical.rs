//! The canonical forms of a policy, and the digest of one.

use std::fmt;

use aws_lc_rs::digest;
use skerry_jose::json::{Object, Value};

use super::{Clause, Condition, Entry, Group, Operand, Quantifier, Version};

/// SHA-256 of the canonical form of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyDigest(pub [u8; 32]);

impl PolicyDigest {
    pub(super) fn of(canonical: &str) -> Self {
        let mut bytes = [0; 32];
        // Infallible: both are 32 bytes; a mismatch would leave zeros, which no test lets pass.
        bytes
            .iter_mut()
            .zip(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub(super) fn vault(version: Version, quantifier: Quantifier, entries: &[Entry]) -> String {
    document(version, quantifier, entries, |operand| operand.text.as_str().into())
}

pub(super) fn hsm(quantifier: Quantifier, entries: &[Entry]) -> String {
    document(Version::V1_0_0, quantifier, entries, |operand| operand.written.clone())
}

fn document(version: Version, quantifier: Quantifier, entries: &[Entry], value: fn(&Operand) -> Value) -> String {
    let entries: Vec<Value> = entries.iter().map(|own| entry(own, value)).collect();
    Object::new().with("version", version.text()).with(quantifier.keyword(), entries).to_json()
}

fn entry(entry: &Entry, value: fn(&Operand) -> Value) -> Value {
    group(Object::new().with("authority", entry.authority.as_str()), &entry.group, value)
}

fn group(object: Object, group: &Group, value: fn(&Operand) -> Value) -> Value {
    let conditions: Vec<Value> = group.conditions.iter().map(|own| condition(own, value)).collect();
    object.with(group.quantifier.keyword(), conditions).into()
}

fn condition(condition: &Condition, value: fn(&Operand) -> Value) -> Value {
    match condition {
        Condition::Clause(own) => clause(own, value),
        Condition::Group(own) => group(Object::new(), own, value),
    }
}

fn clause(clause: &Clause, value: fn(&Operand) -> Value) -> Value {
    let object = Object::new().with("claim", clause.claim.as_str());
    object.with(clause.operator.keyword(), value(&clause.operand)).into()
}
