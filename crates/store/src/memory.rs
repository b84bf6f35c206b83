//! The engine in memory: for tests, and the plain reading of the model.

use crate::decide::{Decision, decide};
use crate::error::StoreError;
use crate::export::{self, Export};
use crate::faults::{Fault, Faults};
use crate::history::Commit;
use crate::lease::Local;
use crate::model::{At, Entry, OpId, Outcome, Page, Revision, Row, Settled, Txn};
use crate::ops::Ops;
use crate::page;
use crate::published::Published;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) type Entries = BTreeMap<Arc<[u8]>, Arc<Entry>>;

pub(crate) struct Memory {
    pub(crate) published: Published<Entries>,
    /// Held by the one that writes.
    ops: Mutex<Ops>,
    faults: Faults,
    pub(crate) leases: Local,
}

impl Memory {
    pub(crate) fn new(faults: Faults) -> Self {
        let published = Published::new(Revision::default(), Entries::new());
        Self { published, ops: Mutex::default(), faults, leases: Local::default() }
    }

    pub(crate) fn get(&self, key: &[u8], at: At) -> Result<Option<Entry>, StoreError> {
        let look = self.published.look(at)?;
        let entry = match look.before(key) {
            Some(before) => before.as_ref(),
            None => look.view().get(key),
        };
        Ok(entry.map(|entry| entry.as_ref().clone()))
    }

    pub(crate) fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize, at: At) -> Result<Page, StoreError> {
        let look = self.published.look(at)?;
        let from = page::from(prefix, after);
        let rows = look
            .view()
            .range::<[u8], _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, entry)| Ok(Row { key: key.to_vec(), entry: entry.as_ref().clone() }));
        let rest = |key: &[u8]| Ok(look.overlay(Bound::Included(key), prefix));
        page::page(rows, look.overlay(from, prefix), rest, limit, look.revision())
    }

    pub(crate) fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let mut ops = self.lock()?;
        match self.faults.take() {
            None => self.decide(&mut ops, txn),
            Some(Fault::Lost) => Ok(Outcome::Unknown),
            Some(Fault::Unanswered) => self.decide(&mut ops, txn).map(|_| Outcome::Unknown),
            Some(Fault::Failed) => {
                self.published.fail();
                Ok(Outcome::Unknown)
            }
        }
    }

    /// Held against the writer for as long as it takes to copy pointers.
    pub(crate) fn export(&self) -> Result<Export, StoreError> {
        let ops = self.lock()?;
        let look = self.published.look(At::Linearizable)?;
        Ok(Export::memory(export::pointers(look.view()), &ops))
    }

    pub(crate) fn settled(&self, op: OpId) -> Result<Option<Settled>, StoreError> {
        Ok(self.lock()?.get(op))
    }

    pub(crate) fn settle(&self, op: OpId) -> Result<Settled, StoreError> {
        let mut ops = self.lock()?;
        if let Some(settled) = ops.get(op) {
            return Ok(settled);
        }
        let revision = ops.newest().next();
        self.publish(&mut ops, op, Settled::Aborted, Commit { revision, changes: Vec::new() })?;
        Ok(Settled::Aborted)
    }

    fn decide(&self, ops: &mut Ops, txn: &Txn) -> Result<Outcome, StoreError> {
        if ops.get(txn.op).is_some() {
            return Ok(Outcome::Conflict(txn.op.key()));
        }
        let revision = ops.newest().next();
        let look = self.published.look(At::Linearizable)?;
        let decision = decide(txn, revision, |key| Ok(look.view().get(key).cloned()))?;
        drop(look);
        let changes = match decision {
            Decision::Commit(changes) => changes,
            Decision::Conflict(key) => return Ok(Outcome::Conflict(key)),
        };
        self.publish(ops, txn.op, Settled::Committed(revision), Commit { revision, changes })?;
        Ok(Outcome::Committed(revision))
    }

    fn publish(&self, ops: &mut Ops, op: OpId, settled: Settled, commit: Commit) -> Result<(), StoreError> {
        ops.push(commit.revision, op, settled);
        self.published.publish(vec![commit], apply)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Ops>, StoreError> {
        let ops = self.ops.lock().map_err(|_| StoreError::Failed)?;
        self.published.check()?;
        Ok(ops)
    }
}

fn apply(entries: &mut Entries, commits: &[Commit]) {
    for change in commits.iter().flat_map(|commit| &commit.changes) {
        match &change.after {
            Some(entry) => entries.insert(Arc::clone(&change.key), Arc::clone(entry)),
            None => entries.remove(&change.key),
        };
    }
}
