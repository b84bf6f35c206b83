//! What changed lately: the past that snapshots see, and what watches are told.
//!
//! Kept in memory, per commit and per key, up to a number of commits and of octets; a store that was just opened has
//! none. A state of the past is the present with the changes since then undone. The alternative, holding redb's read
//! transactions open, would keep their pages from being reused, and could not show a revision inside of a group.

use crate::decide::Change;
use crate::limits::{HISTORY_LEN_MAX, HISTORY_REVISIONS_MAX};
use crate::model::{Entry, Revision};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// The changes of the newest commits.
pub(crate) struct History {
    /// The newest revision whose changes are forgotten: the oldest state that can be shown.
    floor: Revision,
    newest: Revision,
    commits: VecDeque<Commit>,
    by_key: BTreeMap<Arc<[u8]>, VecDeque<(Revision, Held)>>,
    len: usize,
}

/// One commit. An abort, or a transaction of checks alone, changes nothing.
pub struct Commit {
    /// Its revision.
    pub revision: Revision,
    /// What it changed, in the order of its transaction.
    pub changes: Vec<Change>,
}

/// What a key held, if anything.
pub(crate) type Held = Option<Arc<Entry>>;

/// A key with what it held.
pub(crate) type Past = (Arc<[u8]>, Held);

/// Keys with what they held, in order, below a key if that is said: what was there from it on is not in it.
#[derive(Default)]
pub(crate) struct Overlay {
    pub(crate) past: Vec<Past>,
    pub(crate) until: Option<Arc<[u8]>>,
}

impl History {
    /// Nothing, from `floor` on.
    pub(crate) fn after(floor: Revision) -> Self {
        Self { floor, newest: floor, commits: VecDeque::new(), by_key: BTreeMap::new(), len: 0 }
    }

    /// The oldest revision that can be shown or watched from.
    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    /// The newest revision that is known of.
    pub(crate) fn newest(&self) -> Revision {
        self.newest
    }

    /// Appends a commit and forgets the oldest as far as limits demand.
    pub(crate) fn push(&mut self, commit: Commit) {
        self.newest = commit.revision;
        if commit.changes.is_empty() {
            return;
        }
        self.len = self.len.saturating_add(commit.len());
        for change in &commit.changes {
            let past = self.by_key.entry(Arc::clone(&change.key)).or_default();
            past.push_back((commit.revision, change.before.clone()));
        }
        self.commits.push_back(commit);
        while self.commits.len() > HISTORY_REVISIONS_MAX || self.len > HISTORY_LEN_MAX {
            self.forget_oldest();
        }
    }

    /// What the key held at `at`, if it changed since.
    pub(crate) fn before(&self, key: &[u8], at: Revision) -> Option<&Held> {
        self.by_key.get(key).and_then(|past| first_after(past, at))
    }

    /// What the first keys with this prefix held at `at`, in order, as far as they changed since: at most so many.
    pub(crate) fn overlay(&self, from: Bound<&[u8]>, prefix: &[u8], at: Revision, max: usize) -> Overlay {
        let mut past = Vec::new();
        let keys = self.by_key.range::<[u8], _>((from, Bound::Unbounded));
        for (count, (key, changes)) in keys.take_while(|(key, _)| key.starts_with(prefix)).enumerate() {
            if count == max {
                return Overlay { past, until: Some(Arc::clone(key)) };
            }
            past.extend(first_after(changes, at).map(|held| (Arc::clone(key), held.clone())));
        }
        Overlay { past, until: None }
    }

    /// The commits that changed something after `seen`, oldest first.
    pub(crate) fn since(&self, seen: Revision) -> impl Iterator<Item = &Commit> {
        let first = self.commits.partition_point(|commit| commit.revision <= seen);
        self.commits.range(first..)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.commits.pop_front() else { return };
        self.floor = oldest.revision;
        self.len = self.len.saturating_sub(oldest.len());
        for change in &oldest.changes {
            if let Some(past) = self.by_key.get_mut(&change.key) {
                past.pop_front();
                if past.is_empty() {
                    self.by_key.remove(&change.key);
                }
            }
        }
    }
}

impl Commit {
    fn len(&self) -> usize {
        let value_len = |entry: &Held| entry.as_ref().map_or(0, |entry| entry.value.len());
        let changes = self.changes.iter();
        changes
            .map(|change| {
                change.key.len().saturating_add(value_len(&change.before)).saturating_add(value_len(&change.after))
            })
            .fold(0, usize::saturating_add)
    }
}

fn first_after(past: &VecDeque<(Revision, Held)>, at: Revision) -> Option<&Held> {
    let first = past.partition_point(|(revision, _)| *revision <= at);
    past.get(first).map(|(_, before)| before)
}
