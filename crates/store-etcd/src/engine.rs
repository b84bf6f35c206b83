//! The engine: what a store on etcd does.

use crate::core::{Core, Head, head_of, header, unexpected};
use crate::failure::Failure;
use crate::feed::{self, Followed};
use crate::fence::{self, Fences};
use crate::layout::{ABORTED, COMMITTED};
use crate::limits::READ_TIMEOUT;
use crate::page::State;
use crate::wire::{self, Compare, RangeResponse, RequestOp, TxnRequest, TxnResponse};
use crate::{export, lease, page, upkeep};
use skerry_store::engine::{Answer, Exporting, Remote};
use skerry_store::{At, Check, Entry, Lease, Op, OpId, Outcome, Page, Revision, Settled, StoreError, Txn, Watch};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Works on the runtime it was opened on; callers only wait for it, wherever they are.
pub(crate) struct Etcd {
    core: Arc<Core>,
    fences: Fences,
    runtime: Handle,
    tasks: Vec<JoinHandle<()>>,
    commit_timeout: Duration,
}

impl Etcd {
    pub(crate) fn start(core: Core, head: Head, commit_timeout: Duration, history_kept: Option<Duration>) -> Self {
        let (core, runtime) = (Arc::new(core), Handle::current());
        let (fences, asked) = Fences::new();
        let tasks = vec![
            runtime.spawn(feed::run(Arc::clone(&core), Followed::after(head.revision, head.version))),
            runtime.spawn(fence::run(Arc::clone(&core), asked)),
            runtime.spawn(upkeep::run(Arc::clone(&core), history_kept)),
        ];
        Self { core, fences, runtime, tasks, commit_timeout }
    }

    /// Goes on when the caller has gone.
    async fn work<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        // It fails if the runtime ends.
        self.runtime.spawn(work).await.unwrap_or(Err(StoreError::Failed))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Remote for Etcd {
    fn get<'a>(&'a self, key: &'a [u8], at: At) -> Answer<'a, Option<Entry>> {
        let (core, fences, key) = (Arc::clone(&self.core), self.fences.clone(), key.to_vec());
        Box::pin(self.work(async move { get(&core, &fences, &key, at).await }))
    }

    fn range<'a>(&'a self, prefix: &'a [u8], after: Option<&'a [u8]>, limit: usize, at: At) -> Answer<'a, Page> {
        let (core, fences) = (Arc::clone(&self.core), self.fences.clone());
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        Box::pin(self.work(async move { range(&core, &fences, &prefix, after.as_deref(), limit, at).await }))
    }

    fn commit<'a>(&'a self, txn: &'a Txn) -> Answer<'a, Outcome> {
        let (core, txn, within) = (Arc::clone(&self.core), txn.clone(), self.commit_timeout);
        let work = self.runtime.spawn(async move { commit(&core, &txn, within).await });
        // If the runtime ends meanwhile nobody knows.
        Box::pin(async move { work.await.unwrap_or(Ok(Outcome::Unknown)) })
    }

    fn settle(&self, op: OpId) -> Answer<'_, Settled> {
        let core = Arc::clone(&self.core);
        Box::pin(self.work(async move { settle(&core, op).await }))
    }

    fn export(&self) -> Answer<'_, Exporting> {
        let core = Arc::clone(&self.core);
        Box::pin(self.work(async move { export::begin(core).await }))
    }

    fn settled(&self, op: OpId) -> Answer<'_, Option<Settled>> {
        let core = Arc::clone(&self.core);
        Box::pin(self.work(async move { settled(&core, op).await }))
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        self.core.published.watch(prefix, from, self.core.known())
    }

    fn fence(&self) -> Answer<'_, Revision> {
        // Who follows changes may not have seen it yet: whoever needs that waits for it, and a watch that has stopped stops nobody
        // who can read.
        let fences = self.fences.clone();
        Box::pin(self.work(async move { fences.next().await }))
    }

    fn forget(&self) -> Answer<'_, Revision> {
        let core = Arc::clone(&self.core);
        Box::pin(self.work(async move {
            let head = core.head().await?;
            upkeep::compact(&core, head.revision).await.map(|()| head.revision)
        }))
    }

    fn lease<'a>(&'a self, name: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Option<Lease>> {
        let (core, name, holder) = (Arc::clone(&self.core), name.to_owned(), holder.to_owned());
        Box::pin(self.work(async move { lease::take(&core, &name, &holder, ttl).await }))
    }

    fn holder<'a>(&'a self, name: &'a str) -> Answer<'a, Option<String>> {
        let (core, name) = (Arc::clone(&self.core), name.to_owned());
        Box::pin(self.work(async move { lease::holder(&core, &name).await }))
    }
}

async fn get(core: &Core, fences: &Fences, key: &[u8], at: At) -> Result<Option<Entry>, StoreError> {
    match at {
        At::Linearizable => get_newest(core, fences, key).await,
        At::Cached(least) => {
            // A watch that works is a millisecond or two behind, which is less than asking.
            if core.is_cached(key)?
                && core.caught_up(least).await?
                && let Some(held) = core.cached(key, least)?
            {
                return Ok(held);
            }
            must_be_known(core, fences, least).await?;
            core.read(key).await.map(|(entry, _)| entry)
        }
        At::Snapshot(revision) => {
            must_be_known(core, fences, revision).await?;
            match page::part(core, wire::one(core.layout.data(key)), Some(State::of(core, revision))).await {
                Ok((found, _)) => Ok(found.kvs.into_iter().next().map(|row| core.entry(row))),
                Err(failure) => Err(page::refused(core, failure, Some(revision)).await),
            }
        }
    }
}

/// What is not in the cache is read at once, which is exact by itself; what is there is as good once the watch has brought
/// what the fence saw.
async fn get_newest(core: &Core, fences: &Fences, key: &[u8]) -> Result<Option<Entry>, StoreError> {
    if core.is_cached(key)? {
        let fence = fences.next().await?;
        if core.caught_up(fence).await?
            && let Some(held) = core.cached(key, fence)?
        {
            return Ok(held);
        }
    }
    core.read(key).await.map(|(entry, _)| entry)
}

async fn range(
    core: &Core,
    fences: &Fences,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
    at: At,
) -> Result<Page, StoreError> {
    match at {
        At::Linearizable => page::read(core, prefix, after, limit, None).await,
        At::Cached(least) => {
            must_be_known(core, fences, least).await?;
            page::read(core, prefix, after, limit, None).await
        }
        At::Snapshot(revision) => {
            must_be_known(core, fences, revision).await?;
            page::read(core, prefix, after, limit, Some(revision)).await
        }
    }
}

/// Refuses a revision that has not happened, which etcd may have given to something else.
async fn must_be_known(core: &Core, fences: &Fences, asked: Revision) -> Result<(), StoreError> {
    if asked <= core.known() {
        return Ok(());
    }
    let newest = fences.next().await?;
    if asked <= newest { Ok(()) } else { Err(StoreError::Ahead { asked, newest }) }
}

async fn commit(core: &Core, txn: &Txn, within: Duration) -> Result<Outcome, StoreError> {
    let request = request(core, txn);
    let answer: TxnResponse = match core.servers.change(wire::TXN, &request, within).await {
        Ok(answer) => answer,
        Err(Failure::Lost(_)) => return Ok(Outcome::Unknown),
        Err(failure) => return Err(unexpected(failure)),
    };
    if answer.succeeded {
        let header = header(answer.header)?;
        core.servers.learn(header.raft_term);
        let revision = core.revision(header.revision);
        core.learn(revision);
        return Ok(Outcome::Committed(revision));
    }
    conflict(core, txn, answer.ranges()).map(Outcome::Conflict)
}

fn request(core: &Core, txn: &Txn) -> TxnRequest {
    let layout = &core.layout;
    let (op, head) = (layout.op(txn.op), layout.head());
    let changes = txn.ops.iter().map(|op| match op {
        Op::Put(key, value) => wire::put_op(layout.data(key), value.clone()),
        Op::Delete(key) => wire::delete_op(layout.data(key)),
    });
    let checked = txn.checks.iter().map(|check| wire::range_op(wire::one_without_value(layout.data(check.key()))));
    TxnRequest {
        compare: own_checks(core, &op).into_iter().chain(txn.checks.iter().map(|check| compare(core, check))).collect(),
        success: std::iter::once(wire::put_op(op.clone(), vec![COMMITTED]))
            .chain(changes)
            // Last, so that who watches has all of a commit when this comes.
            .chain(std::iter::once(put_head(core, txn.op)))
            .collect(),
        failure: asked_by_failure(op, head).into_iter().chain(checked).collect(),
    }
}

/// The op id was not used, and the store is the one that was opened.
fn own_checks(core: &Core, op: &[u8]) -> [Compare; 2] {
    [wire::absent(op.to_vec(), Vec::new()), wire::created(core.layout.head(), core.base)]
}

fn asked_by_failure(op: Vec<u8>, head: Vec<u8>) -> [RequestOp; 2] {
    [wire::range_op(wire::one(op)), wire::range_op(wire::one_without_value(head))]
}

fn put_head(core: &Core, op: OpId) -> RequestOp {
    wire::put_op(core.layout.head(), op.0.iter().take(8).copied().collect())
}

fn compare(core: &Core, check: &Check) -> Compare {
    let key = core.layout.data(check.key());
    match check {
        Check::Absent(_) => wire::absent(key, Vec::new()),
        Check::Present(_) => wire::present(key),
        Check::Unchanged(_, revision) => wire::modified(key, core.etcd(*revision)),
    }
}

/// The key of the first check that did not hold, in the order of the model: the op id's first.
fn conflict(core: &Core, txn: &Txn, found: Vec<RangeResponse>) -> Result<Vec<u8>, StoreError> {
    let mut found = found.into_iter();
    let (Some(op), Some(head)) = (found.next(), found.next()) else { return Err(no_reason()) };
    head_of(head, core.base)?;
    if !op.kvs.is_empty() {
        return Ok(txn.op.key());
    }
    let mut checked = txn.checks.iter().zip(found);
    let failed = checked.find(|(check, found)| {
        let modified = found.kvs.first().map(|row| core.revision(row.mod_revision));
        match check {
            Check::Absent(_) => modified.is_some(),
            Check::Present(_) => modified.is_none(),
            Check::Unchanged(_, revision) => modified != Some(*revision),
        }
    });
    failed.map(|(check, _)| check.key().to_vec()).ok_or_else(no_reason)
}

/// Puts `aborted` where the commit would put `committed`; which was first is the outcome. Doing that twice changes nothing
/// that the first did not, so a lost answer is asked for again.
async fn settle(core: &Core, op: OpId) -> Result<Settled, StoreError> {
    let key = core.layout.op(op);
    let request = TxnRequest {
        compare: own_checks(core, &key).to_vec(),
        success: vec![wire::put_op(key.clone(), vec![ABORTED]), put_head(core, op)],
        failure: asked_by_failure(key, core.layout.head()).to_vec(),
    };
    let answer: TxnResponse = core.servers.read(wire::TXN, &request, READ_TIMEOUT).await.map_err(unexpected)?;
    if answer.succeeded {
        core.learn(core.revision(header(answer.header)?.revision));
        return Ok(Settled::Aborted);
    }
    let mut found = answer.ranges().into_iter();
    let (Some(op), Some(head)) = (found.next(), found.next()) else { return Err(no_reason()) };
    head_of(head, core.base)?;
    let row = op.kvs.into_iter().next().ok_or_else(no_reason)?;
    export::settled(&row.value, core.revision(row.mod_revision))
}

/// What stands there, by a linearizable read.
async fn settled(core: &Core, op: OpId) -> Result<Option<Settled>, StoreError> {
    let asked = wire::one(core.layout.op(op));
    let answer: RangeResponse = core.servers.read(wire::RANGE, &asked, READ_TIMEOUT).await.map_err(unexpected)?;
    answer.kvs.first().map(|row| export::settled(&row.value, core.revision(row.mod_revision))).transpose()
}

fn no_reason() -> StoreError {
    StoreError::Damaged { detail: "the server refuses a transaction and shows no reason".to_owned() }
}
