//! The one thread that writes a redb file: group commit.
//!
//! All requests that wait are decided one after the other in one redb transaction, each with a revision of its own, and
//! share its sync. Only then are they published and answered; a conflict too, since it may rest on a change beside it.
//! redb's one-phase commit is used: its second sync is against one who chooses what a half-written page holds, and who
//! can do that to this file can also put an older file in its place.
//!
//! The sum over all rows is kept here and goes into the file with every group, in the same redb transaction. What a change
//! takes out of it is the row as it is read then, so a row that something else altered meanwhile leaves the sum wrong, and
//! the next opening refuses.

use crate::decide::{Change, Decision, decide};
use crate::embedded::{self, EntryTable, OnFailure};
use crate::error::{Step, StoreError};
use crate::history::Commit;
use crate::limits::{GROUP_LEN_MAX, GROUP_MAX};
use crate::model::{OpId, Outcome, Revision, Settled, Txn};
use crate::ops::{Forgotten, Ops};
use crate::published::Published;
use crate::row::{self, ENTRIES, OP_LEN, OPS, SUM};
use crate::sum::Sum;
use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, Table, WriteTransaction};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What the writer is asked for, and where the answer goes. An answer dropped says that the writer failed meanwhile.
pub(crate) enum Request {
    Commit(Txn, Reply<Outcome>),
    Settle(OpId, Reply<Settled>),
    Settled(OpId, Reply<Option<Settled>>),
    /// The state that the file has now, and keeps for whoever holds this.
    Export(Reply<ReadTransaction>),
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) ops: Ops,
    /// Of the rows in `database`; wrong after a failed write, which is the last.
    pub(crate) sum: Sum,
    pub(crate) published: Arc<Published<Arc<EntryTable>>>,
    pub(crate) on_failure: OnFailure,
}

impl Writer {
    /// Writes until every handle of the store is gone, and gives the database back; or until the first failure.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Request>) -> Option<Database> {
        while let Some(first) = queue.blocking_recv() {
            let group = gather(first, &mut queue);
            match embedded::guarded(|| self.write(&group)) {
                Ok(answers) => answer(&self.database, group, answers),
                Err(failure) => {
                    self.fail(failure, group, queue);
                    return None;
                }
            }
        }
        Some(self.database)
    }

    fn write(&mut self, group: &[Request]) -> Result<Vec<Answer>, StoreError> {
        let transaction = self.database.begin_write().map_err(embedded::error(Step::Write))?;
        let mut commits = Vec::new();
        let answers = self.decide(group, &transaction, &mut commits)?;
        if commits.is_empty() {
            transaction.abort().map_err(embedded::error(Step::Write))?;
            return Ok(answers);
        }
        transaction.commit().map_err(embedded::error(Step::Write))?;
        let newest = Arc::new(embedded::entry_table(&self.database)?);
        self.published.publish(commits, |table, _| *table = newest)?;
        Ok(answers)
    }

    fn decide(
        &mut self,
        group: &[Request],
        transaction: &WriteTransaction,
        commits: &mut Vec<Commit>,
    ) -> Result<Vec<Answer>, StoreError> {
        let mut pass = Pass {
            ops: &mut self.ops,
            sum: &mut self.sum,
            entries: transaction.open_table(ENTRIES).map_err(embedded::error(Step::Write))?,
            op_rows: transaction.open_table(OPS).map_err(embedded::error(Step::Write))?,
            commits,
        };
        let answers = group.iter().map(|request| pass.answer(request)).collect::<Result<_, _>>()?;
        if !pass.commits.is_empty() {
            let mut sum = transaction.open_table(SUM).map_err(embedded::error(Step::Write))?;
            sum.insert((), pass.sum.to_row()).map_err(embedded::error(Step::Write))?;
        }
        Ok(answers)
    }

    /// The engine is refused to everyone before the first of the group learns that its outcome is unknown.
    fn fail(self, failure: StoreError, group: Vec<Request>, queue: mpsc::Receiver<Request>) {
        self.published.fail();
        (self.on_failure)(failure);
        for request in group {
            match request {
                Request::Commit(_, reply) => send(reply, Ok(Outcome::Unknown)),
                Request::Settle(_, reply) => send(reply, Err(StoreError::Failed)),
                Request::Settled(_, reply) => send(reply, Err(StoreError::Failed)),
                Request::Export(reply) => send(reply, Err(StoreError::Failed)),
            }
        }
        refuse(queue);
    }
}

/// Refuses all that wait.
pub(crate) fn refuse(mut queue: mpsc::Receiver<Request>) {
    queue.close();
    while let Ok(request) = queue.try_recv() {
        match request {
            Request::Commit(_, reply) => send(reply, Err(StoreError::Failed)),
            Request::Settle(_, reply) => send(reply, Err(StoreError::Failed)),
            Request::Settled(_, reply) => send(reply, Err(StoreError::Failed)),
            Request::Export(reply) => send(reply, Err(StoreError::Failed)),
        }
    }
}

enum Answer {
    Outcome(Outcome),
    Settled(Settled),
    Known(Option<Settled>),
    /// Once the group is in the file.
    Export,
}

/// One redb transaction while a group is decided.
struct Pass<'a> {
    ops: &'a mut Ops,
    sum: &'a mut Sum,
    entries: Table<'a, &'static [u8], &'static [u8]>,
    op_rows: Table<'a, u64, [u8; OP_LEN]>,
    commits: &'a mut Vec<Commit>,
}

impl Pass<'_> {
    fn answer(&mut self, request: &Request) -> Result<Answer, StoreError> {
        match request {
            Request::Commit(txn, _) => self.commit(txn).map(Answer::Outcome),
            Request::Settle(op, _) => self.settle(*op).map(Answer::Settled),
            Request::Settled(op, _) => Ok(Answer::Known(self.ops.get(*op))),
            Request::Export(_) => Ok(Answer::Export),
        }
    }

    fn commit(&mut self, txn: &Txn) -> Result<Outcome, StoreError> {
        if self.ops.get(txn.op).is_some() {
            return Ok(Outcome::Conflict(txn.op.key()));
        }
        let revision = self.ops.newest().next();
        let entries = &self.entries;
        let decision = decide(txn, revision, |key| {
            let row = entries.get(key).map_err(embedded::error(Step::Read))?;
            row.map(|row| row::decode(row.value()).map(Arc::new)).transpose()
        })?;
        let changes = match decision {
            Decision::Commit(changes) => changes,
            Decision::Conflict(key) => return Ok(Outcome::Conflict(key)),
        };
        changes.iter().try_for_each(|change| self.apply(change))?;
        self.record(revision, txn.op, Settled::Committed(revision), changes)?;
        Ok(Outcome::Committed(revision))
    }

    fn settle(&mut self, op: OpId) -> Result<Settled, StoreError> {
        if let Some(settled) = self.ops.get(op) {
            return Ok(settled);
        }
        self.record(self.ops.newest().next(), op, Settled::Aborted, Vec::new())?;
        Ok(Settled::Aborted)
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        let key = change.key.as_ref();
        if let Some(entry) = &change.before {
            self.sum.take_entry(key, &row::encode(entry));
        }
        let Some(entry) = &change.after else {
            return self.entries.remove(key).map(drop).map_err(embedded::error(Step::Write));
        };
        let row = row::encode(entry);
        self.sum.add_entry(key, &row);
        self.entries.insert(key, row.as_slice()).map(drop).map_err(embedded::error(Step::Write))
    }

    fn record(
        &mut self,
        revision: Revision,
        op: OpId,
        settled: Settled,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        let row = row::encode_op(op, settled);
        self.sum.add_op(revision.0, &row);
        self.op_rows.insert(revision.0, row).map_err(embedded::error(Step::Write))?;
        if let Some(Forgotten { revision, op, settled }) = self.ops.push(revision, op, settled) {
            self.sum.take_op(revision.0, &row::encode_op(op, settled));
            self.op_rows.remove(revision.0).map_err(embedded::error(Step::Write))?;
        }
        self.commits.push(Commit { revision, changes });
        Ok(())
    }
}

/// The first request and those that wait behind it, up to the limits of a group.
fn gather(first: Request, queue: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut len = request_len(&first);
    let mut group = vec![first];
    while group.len() < GROUP_MAX && len < GROUP_LEN_MAX {
        let Ok(request) = queue.try_recv() else { break };
        len = len.saturating_add(request_len(&request));
        group.push(request);
    }
    group
}

fn request_len(request: &Request) -> usize {
    match request {
        Request::Commit(txn, _) => txn.len(),
        Request::Settle(..) | Request::Settled(..) | Request::Export(_) => 0,
    }
}

fn answer(database: &Database, group: Vec<Request>, answers: Vec<Answer>) {
    for (request, answer) in group.into_iter().zip(answers) {
        match (request, answer) {
            (Request::Commit(_, reply), Answer::Outcome(outcome)) => send(reply, Ok(outcome)),
            (Request::Settle(_, reply), Answer::Settled(settled)) => send(reply, Ok(settled)),
            (Request::Settled(_, reply), Answer::Known(known)) => send(reply, Ok(known)),
            (Request::Export(reply), Answer::Export) => {
                send(reply, database.begin_read().map_err(embedded::error(Step::Read)));
            }
            // Infallible: a pass answers each request in its own kind.
            (Request::Commit(..) | Request::Settle(..) | Request::Settled(..) | Request::Export(_), _) => {}
        }
    }
}

/// Who asked may have gone; then nobody wants to know.
fn send<T>(reply: Reply<T>, answer: Result<T, StoreError>) {
    drop(reply.send(answer));
}
