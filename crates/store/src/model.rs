//! What goes into a store and comes out of it, the same on every engine.

use crate::error::StoreError;
use crate::limits::{KEY_LEN_MAX, TXN_CHECKS_MAX, TXN_LEN_MAX, TXN_OPS_MAX, VALUE_LEN_MAX};
use rand_core::CryptoRng;
use std::collections::BTreeSet;
use std::fmt;

/// Number of a commit, one for the whole store; grows with every commit. 0 is before anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// Infallible: 2^64 commits do not happen.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value with where it stands in the store's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value as it was put.
    pub value: Vec<u8>,
    /// The commit that made the key, since it was last absent.
    pub created: Revision,
    /// The commit that put this value.
    pub modified: Revision,
    /// Puts since the key was made, that one included.
    pub version: u64,
}

/// A key with what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Vec<u8>,
    /// What it holds.
    pub entry: Entry,
}

/// Which state a read sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// One that has every commit that was acknowledged, to anyone, before the read began.
    Linearizable,
    /// Any that is at least as new as this revision. Embedded engines show the newest.
    Cached(Revision),
    /// Exactly the one of this revision, as long as its history is held: see [`StoreError::Compacted`].
    Snapshot(Revision),
}

/// A condition on one key. A transaction commits iff all of its checks hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The key is not there.
    Absent(Vec<u8>),
    /// The key is there, and was last put by this commit.
    Unchanged(Vec<u8>, Revision),
    /// The key is there.
    Present(Vec<u8>),
}

impl Check {
    /// The key that the check is about.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Absent(key) | Self::Unchanged(key, _) | Self::Present(key) => key,
        }
    }

    pub(crate) fn holds(&self, entry: Option<&Entry>) -> bool {
        match self {
            Self::Absent(_) => entry.is_none(),
            Self::Unchanged(_, revision) => entry.is_some_and(|entry| entry.modified == *revision),
            Self::Present(_) => entry.is_some(),
        }
    }
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The key holds this value from now on.
    Put(Vec<u8>, Vec<u8>),
    /// The key is absent from now on; it may have been before.
    Delete(Vec<u8>),
}

impl Op {
    /// The key that is changed.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }

    fn value_len(&self) -> usize {
        match self {
            Self::Put(_, value) => value.len(),
            Self::Delete(_) => 0,
        }
    }
}

/// Names one attempt to commit. The caller vouches that no other attempt has it: made at random, used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpId(pub [u8; 16]);

impl OpId {
    /// A fresh id.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self(id)
    }

    /// The key that stands for this id, which every transaction checks to be absent and puts: `op/` and the id. Callers
    /// meet it in [`Outcome::Conflict`] and nowhere else.
    pub fn key(&self) -> Vec<u8> {
        [OP_PREFIX, &self.0].concat()
    }
}

/// Changes that happen together, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    /// Names this attempt; a second commit under it is a conflict.
    pub op: OpId,
    /// What must hold, for the changes to happen.
    pub checks: Vec<Check>,
    /// The changes, each of another key.
    pub ops: Vec<Op>,
}

impl Txn {
    /// Octets of keys and values, counted as [`TXN_LEN_MAX`] counts.
    pub fn len(&self) -> usize {
        let checks = self.checks.iter().map(|check| check.key().len().saturating_mul(2));
        let ops = self.ops.iter().map(|op| op.key().len().saturating_add(op.value_len()));
        checks.chain(ops).fold(0, usize::saturating_add)
    }

    /// Whether it checks and changes nothing. It still takes a revision and its op id.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.ops.is_empty()
    }

    /// Refuses what some engine could not hold.
    pub(crate) fn validate(&self) -> Result<(), StoreError> {
        if self.ops.len() > TXN_OPS_MAX {
            return Err(StoreError::TooManyOps { count: self.ops.len() });
        }
        if self.checks.len() > TXN_CHECKS_MAX {
            return Err(StoreError::TooManyChecks { count: self.checks.len() });
        }
        self.checks.iter().map(Check::key).try_for_each(validate_key)?;
        let mut changed = BTreeSet::new();
        for op in &self.ops {
            validate_key(op.key())?;
            if op.value_len() > VALUE_LEN_MAX {
                return Err(StoreError::ValueLength { len: op.value_len() });
            }
            // What order would mean inside of one transaction differs between engines.
            if !changed.insert(op.key()) {
                return Err(StoreError::KeyTwice { key: op.key().to_vec() });
            }
        }
        if self.len() > TXN_LEN_MAX {
            return Err(StoreError::TxnLength { len: self.len() });
        }
        Ok(())
    }
}

/// How a commit went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It happened, as this revision, and is durable.
    Committed(Revision),
    /// Nothing happened, since the check of this key failed; the key of the op id if the id was used before.
    Conflict(Vec<u8>),
    /// It may have happened, or may yet. [`crate::Store::settle`] finds out.
    Unknown,
}

/// What became of a commit whose outcome was unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// It had happened, as this revision.
    Committed(Revision),
    /// It had not, and now never will.
    Aborted,
}

/// Some rows in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// The revision they are of; the next page is read at a snapshot of it.
    pub revision: Revision,
    /// Whether more rows follow the last one.
    pub more: bool,
}

/// A key that a caller may name: not empty, not too long, not one that stands for an op id.
pub(crate) fn validate_key(key: &[u8]) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > KEY_LEN_MAX {
        return Err(StoreError::KeyLength { len: key.len() });
    }
    if key.starts_with(OP_PREFIX) {
        return Err(StoreError::KeyReserved { key: key.to_vec() });
    }
    Ok(())
}

const OP_PREFIX: &[u8] = b"op/";
