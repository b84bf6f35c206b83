//! The op ids of the newest commits: what makes a second commit a conflict, and settles an unknown outcome.

use crate::limits::OPS_MAX;
use crate::model::{OpId, Revision, Settled};
use std::collections::{HashMap, VecDeque};

/// Op ids by commit, oldest first, at most [`OPS_MAX`]. Every commit has one, so the newest is also the newest revision.
pub(crate) struct Ops {
    max: usize,
    by_id: HashMap<OpId, Settled>,
    by_age: VecDeque<(Revision, OpId)>,
    newest: Revision,
}

/// A commit whose op id is not remembered any more.
pub(crate) struct Forgotten {
    pub(crate) revision: Revision,
    pub(crate) op: OpId,
    pub(crate) settled: Settled,
}

impl Default for Ops {
    fn default() -> Self {
        Self::at_most(OPS_MAX)
    }
}

impl Ops {
    /// None yet, and never more than `max`.
    pub(crate) fn at_most(max: usize) -> Self {
        Self { max, by_id: HashMap::new(), by_age: VecDeque::new(), newest: Revision::default() }
    }

    /// The newest revision; 0 before the first.
    pub(crate) fn newest(&self) -> Revision {
        self.newest
    }

    /// What was decided under this id, if it is remembered.
    pub(crate) fn get(&self, op: OpId) -> Option<Settled> {
        self.by_id.get(&op).copied()
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// All that are remembered, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Revision, OpId, Settled)> {
        self.by_age.iter().filter_map(|(revision, op)| Some((*revision, *op, self.get(*op)?)))
    }

    /// Records the next commit, a transaction or an abort, and gives the one that is forgotten for it.
    pub(crate) fn push(&mut self, revision: Revision, op: OpId, settled: Settled) -> Option<Forgotten> {
        self.newest = revision;
        self.by_id.insert(op, settled);
        self.by_age.push_back((revision, op));
        if self.by_age.len() <= self.max {
            return None;
        }
        let (revision, op) = self.by_age.pop_front()?;
        let settled = self.by_id.remove(&op)?;
        Some(Forgotten { revision, op, settled })
    }
}
