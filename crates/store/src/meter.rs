//! What a store counts: commits by how they ended, how long they and fences took, the newest revision seen.

use crate::error::StoreError;
use crate::model::{Outcome, Revision};
use skerry_meter::{Counter, Durations, Seen};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The numbers of one store, which its handles share.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    committed: Counter,
    conflicts: Counter,
    unknown: Counter,
    errors: Counter,
    commits: Durations,
    fences: Durations,
    revision: AtomicU64,
}

/// The numbers at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSeen {
    /// Transactions that were committed.
    pub committed: u64,
    /// Transactions that met a change of others.
    pub conflicts: u64,
    /// Transactions of which it is not known whether they were committed.
    pub unknown: u64,
    /// Transactions and fences that were refused.
    pub errors: u64,
    /// How long transactions took, however they ended.
    pub commits: Seen,
    /// How long fences took.
    pub fences: Seen,
    /// The newest revision that a commit or a fence of this process has seen; 0 before the first.
    pub revision: u64,
    /// Whether all rows are known to be those last committed.
    pub verified: bool,
}

impl Meter {
    pub(crate) fn commit(&self, took: Duration, outcome: &Result<Outcome, StoreError>) {
        self.commits.observe(took);
        match outcome {
            Ok(Outcome::Committed(revision)) => {
                self.committed.count();
                self.saw(*revision);
            }
            Ok(Outcome::Conflict(_)) => self.conflicts.count(),
            Ok(Outcome::Unknown) => self.unknown.count(),
            Err(_) => self.errors.count(),
        }
    }

    pub(crate) fn fence(&self, took: Duration, fenced: &Result<Revision, StoreError>) {
        self.fences.observe(took);
        match fenced {
            Ok(revision) => self.saw(*revision),
            Err(_) => self.errors.count(),
        }
    }

    pub(crate) fn seen(&self, verified: bool) -> StoreSeen {
        StoreSeen {
            committed: self.committed.value(),
            conflicts: self.conflicts.value(),
            unknown: self.unknown.value(),
            errors: self.errors.value(),
            commits: self.commits.snapshot(),
            fences: self.fences.snapshot(),
            revision: self.revision.load(Ordering::Relaxed),
            verified,
        }
    }

    fn saw(&self, revision: Revision) {
        self.revision.fetch_max(revision.0, Ordering::Relaxed);
    }
}
