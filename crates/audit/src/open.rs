//! Changes that are intended and have no outcome yet: a start has to meet them, so a checkpoint lies before them all.

use crate::entry::{Entry, Verdict};
use crate::reader::Checkpoint;
use std::collections::{BTreeMap, HashMap, VecDeque};

type Subject = [u8; 32];

/// Open changes of a log, by the index of their intent, each with a place from which reading meets it.
#[derive(Default)]
pub(crate) struct OpenChanges {
    intents: BTreeMap<u64, Checkpoint>,
    by_subject: HashMap<Subject, u64>,
    /// Outcomes in the order of the log. Until one is durable a crash can take it back.
    outcomes: VecDeque<(u64, Subject)>,
}

impl OpenChanges {
    /// Takes the next record into account, durable or not: its index, and the place before it.
    pub(crate) fn note(&mut self, entry: &Entry, index: u64, before: impl FnOnce() -> Checkpoint) {
        match entry.verdict {
            Verdict::Intended => self.intended(entry.subject, index, before()),
            Verdict::Committed | Verdict::Aborted => self.outcomes.push_back((index, entry.subject)),
            Verdict::Permitted | Verdict::Denied => {}
        }
    }

    /// An intent recorded twice is one change, from the first on.
    pub(crate) fn intended(&mut self, subject: Subject, index: u64, before: Checkpoint) {
        // Until the outcome that it had before is durable it keeps the place that it has, and then does not lose it.
        if self.outcomes.iter().any(|(_, settled)| *settled == subject) {
            self.outcomes.retain(|(_, settled)| *settled != subject);
            return;
        }
        self.by_subject.entry(subject).or_insert_with(|| {
            self.intents.insert(index, before);
            index
        });
    }

    /// So many records are durable.
    pub(crate) fn durable(&mut self, records: u64) {
        while let Some((index, subject)) = self.outcomes.front()
            && *index < records
        {
            if let Some(intent) = self.by_subject.remove(subject) {
                self.intents.remove(&intent);
            }
            self.outcomes.pop_front();
        }
    }

    /// A place that no open change lies before.
    pub(crate) fn earliest(&self) -> Option<Checkpoint> {
        self.intents.values().next().cloned()
    }
}
