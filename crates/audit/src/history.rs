//! What a log says of changes, for a restart: which were intended and not settled, and which was committed last.
//!
//! A change is recorded as intended, committed to the store, and recorded as committed or aborted, all under one subject.
//! What a crash leaves between is settled by asking the store. Memory is for open intents only, however long the log, and
//! records of releases and denials are passed over. The newest checkpoints of other logs that it has come along.
//! Deliberately not here: the asking, and the recording of what it found.

use crate::check;
use crate::entry::{Entry, Verdict};
use crate::error::HistoryError;
use crate::limits::WITNESSED_MAX;
use crate::reader::{self, Leaf, Record};
use std::collections::BTreeMap;
use std::path::Path;

/// A record about a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub leaf: Leaf,
    /// What it says; its subject is that of the change.
    pub entry: Entry,
}

/// The changes of a log, as far as its records were observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    open: BTreeMap<[u8; 32], Change>,
    unsettled_max: usize,
    last_committed: Option<Change>,
    witnessed: BTreeMap<String, Vec<u8>>,
}

impl History {
    /// The history of no records, which will keep at most so many changes that are not settled.
    pub fn new(unsettled_max: usize) -> Self {
        Self { open: BTreeMap::new(), unsettled_max, last_committed: None, witnessed: BTreeMap::new() }
    }

    /// Takes the next record into account. The caller vouches that records come in the order of the log, each once.
    pub fn observe(&mut self, record: &Record) -> Result<(), HistoryError> {
        if is_no_change(record.body()) {
            self.witnessed(record);
            return Ok(());
        }
        let leaf = record.leaf();
        let entry = record.entry().map_err(|error| HistoryError::Entry { index: leaf.index(), error })?;
        match entry.verdict {
            Verdict::Intended => self.intended(Change { leaf, entry }),
            Verdict::Committed => {
                self.open.remove(&entry.subject);
                self.last_committed = Some(Change { leaf, entry });
                Ok(())
            }
            Verdict::Aborted => {
                self.open.remove(&entry.subject);
                Ok(())
            }
            Verdict::Permitted | Verdict::Denied => Ok(()),
        }
    }

    fn witnessed(&mut self, record: &Record) {
        let Some(note) = std::str::from_utf8(record.body())
            .ok()
            .filter(|body| body.contains("\"event\":\"witnessed\""))
            .and_then(|_| check::witnessed(record))
        else {
            return;
        };
        let origin = note.split(|octet| *octet == b'\n').next().unwrap_or_default();
        let origin = String::from_utf8_lossy(origin).into_owned();
        if self.witnessed.len() < WITNESSED_MAX || self.witnessed.contains_key(&origin) {
            self.witnessed.insert(origin, note);
        }
    }

    /// The newest checkpoint of each other log that this one has on record, as notes. Nobody vouches for them but this log.
    pub fn newest_witnessed(&self) -> impl Iterator<Item = &[u8]> {
        self.witnessed.values().map(Vec::as_slice)
    }

    /// An intent recorded twice is one change: the first says when it began.
    fn intended(&mut self, change: Change) -> Result<(), HistoryError> {
        let (index, unsettled_max) = (change.leaf.index(), self.unsettled_max);
        if !self.open.contains_key(&change.entry.subject) && self.open.len() >= unsettled_max {
            return Err(HistoryError::Unsettled { index, unsettled_max });
        }
        self.open.entry(change.entry.subject).or_insert(change);
        Ok(())
    }

    /// Intents without an outcome, in the order of the log: each may or may not be in the store.
    pub fn unsettled(&self) -> Vec<&Change> {
        let mut changes: Vec<&Change> = self.open.values().collect();
        changes.sort_by_key(|change| change.leaf.index());
        changes
    }

    /// The last outcome that says committed. A store that does not know its subject is behind the log.
    ///
    /// Changes made at one time are recorded in the order in which their outcomes came, not that of the store: it shows a
    /// store rolled back past this change, not one past its neighbours.
    pub fn last_committed(&self) -> Option<&Change> {
        self.last_committed.as_ref()
    }
}

/// Whether a body is that of a release or a denial, without parsing it: nearly all are, and parsing takes ten times what
/// checking the chain does. A quote within a text is escaped, so what looks like the member is the member; all that
/// looks otherwise is parsed.
fn is_no_change(body: &[u8]) -> bool {
    let Ok(body) = std::str::from_utf8(body) else { return false };
    body.contains("\"verdict\":\"permitted\"") || body.contains("\"verdict\":\"denied\"")
}

/// The history of the log in `dir`, read beside its writer if there is one. [`crate::Log::open_with_history`] tells it
/// from the pass over the file that opening makes anyway.
pub fn history(dir: &Path, unsettled_max: usize) -> Result<History, HistoryError> {
    let mut history = History::new(unsettled_max);
    reader::read(dir)?.finish_visiting(None, |record| history.observe(record))?;
    Ok(history)
}
