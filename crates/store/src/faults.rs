//! Faults that a test asks a store in memory for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The transaction never arrives and its outcome is unknown. To let it arrive late, commit it again.
    Lost,
    /// The transaction is decided as always, and the answer does not come back: its outcome is unknown.
    Unanswered,
    /// The engine fails: the outcome is unknown, and every later call is refused.
    Failed,
}

/// The faults of the next commits, in order. A test keeps one clone and gives the other to
/// [`crate::Store::memory_with`]; reads and settling meet no fault but a failed engine.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Option<Fault>>>>);

impl Faults {
    /// After what was asked for before, this many commits meet no fault.
    pub fn pass(&self, commits: usize) -> &Self {
        self.edit(|faults| faults.extend(std::iter::repeat_n(None, commits)));
        self
    }

    /// After what was asked for before, one commit meets this fault.
    pub fn then(&self, fault: Fault) -> &Self {
        self.edit(|faults| faults.push_back(Some(fault)));
        self
    }

    pub(crate) fn take(&self) -> Option<Fault> {
        self.edit(VecDeque::pop_front).flatten()
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut VecDeque<Option<Fault>>) -> T) -> T {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
