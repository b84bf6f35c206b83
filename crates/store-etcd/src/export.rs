//! Everything of one revision, in pages, while nodes write on.
//!
//! The revision is that of the newest commit when it begins, and etcd shows it as long as its history is kept: a key under a lease
//! says to whichever node does the upkeep that it is read. Somebody else may compact all the same, with etcd's own tools; then the
//! export ends as compacted and has to begin again, at another revision.

use crate::core::Core;
use crate::layout::{ABORTED, COMMITTED};
use crate::lease;
use crate::limits::{EXPORT_OPS, EXPORT_PAGES_MAX, HOLD_TTL};
use crate::page::{self, State};
use crate::wire::{KeyValue, RangeRequest, RangeResponse};
use skerry_store::engine::Exporting;
use skerry_store::limits::{OPS_MAX, PAGE_ROWS_MAX};
use skerry_store::{Exported, Lease, OpId, Revision, Settled, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

type Sender = mpsc::Sender<Result<Vec<Exported>, StoreError>>;

/// Begins one. It reads a little ahead of who takes it, and ends with him.
pub(crate) async fn begin(core: Arc<Core>) -> Result<Exporting, StoreError> {
    let revision = core.head().await?.revision;
    let held = lease::hold(&core, revision, HOLD_TTL).await?;
    let entries = count(&core, (core.layout.data(b""), core.layout.data_end(b"")), revision).await?;
    let ops = count(&core, core.layout.ops(), revision).await?;
    // Of more than are remembered the oldest are left out, as if they were swept already.
    let rows = entries.saturating_add(ops.min(u64::try_from(OPS_MAX).unwrap_or(u64::MAX)));
    let (send, pages) = mpsc::channel(EXPORT_PAGES_MAX);
    tokio::spawn(run(core, revision, held, send));
    Ok(Exporting { revision, rows, pages })
}

async fn count(core: &Core, (key, range_end): (Vec<u8>, Vec<u8>), at: Revision) -> Result<u64, StoreError> {
    let found = range(core, RangeRequest { key, range_end, count_only: true, ..RangeRequest::default() }, at).await?;
    Ok(u64::try_from(found.count).unwrap_or_default())
}

async fn range(core: &Core, asked: RangeRequest, at: Revision) -> Result<RangeResponse, StoreError> {
    match page::part(core, asked, Some(State::of(core, at))).await {
        Ok((found, _)) => Ok(found),
        Err(failure) => Err(page::refused(core, failure, Some(at)).await),
    }
}

/// The lease is held until all was taken, or who took it has gone.
async fn run(core: Arc<Core>, revision: Revision, held: Lease, send: Sender) {
    let last = match pages(&core, revision, &send).await {
        Ok(()) => Ok(Vec::new()),
        Err(Ended::Gone) => return,
        Err(Ended::Failed(error)) => Err(error),
    };
    // Who has gone needs no end.
    drop(send.send(last).await);
    drop(held);
}

enum Ended {
    /// Nobody takes it any more.
    Gone,
    Failed(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

async fn pages(core: &Core, revision: Revision, send: &Sender) -> Result<(), Ended> {
    let give = async |page: Vec<Exported>| send.send(Ok(page)).await.map_err(|_| Ended::Gone);
    let mut after: Option<Vec<u8>> = None;
    loop {
        let found = page::read(core, b"", after.as_deref(), PAGE_ROWS_MAX, Some(revision)).await?;
        after = found.rows.last().map(|row| row.key.clone());
        if !found.rows.is_empty() {
            give(found.rows.into_iter().map(Exported::Entry).collect()).await?;
        }
        if !found.more {
            break;
        }
    }
    let ops: Vec<_> = ops(core, revision).await?.into_iter().collect();
    for page in ops.chunks(PAGE_ROWS_MAX) {
        let row = |(revision, (op, settled)): &(Revision, (OpId, Settled))| Exported::Op {
            revision: *revision,
            op: *op,
            settled: *settled,
        };
        give(page.iter().map(row).collect()).await?;
    }
    Ok(())
}

/// The newest op ids, by revision. etcd could order them, and would order all for every part it answers.
async fn ops(core: &Core, at: Revision) -> Result<BTreeMap<Revision, (OpId, Settled)>, StoreError> {
    let ((mut key, range_end), mut ops) = (core.layout.ops(), BTreeMap::new());
    loop {
        let asked = RangeRequest { key, range_end: range_end.clone(), limit: EXPORT_OPS, ..RangeRequest::default() };
        let found = range(core, asked, at).await?;
        let last = found.kvs.last().map(|row| [row.key.as_slice(), &[0]].concat());
        for row in found.kvs {
            let (revision, op, settled) = op(core, &row)?;
            if ops.insert(revision, (op, settled)).is_some() {
                let detail = format!("two op ids of revision {revision}");
                return Err(StoreError::Damaged { detail });
            }
            if ops.len() > OPS_MAX {
                ops.pop_first();
            }
        }
        let (Some(last), true) = (last, found.more) else { return Ok(ops) };
        key = last;
    }
}

fn op(core: &Core, row: &KeyValue) -> Result<(Revision, OpId, Settled), StoreError> {
    let (op, revision) = (core.layout.op_of(&row.key)?, core.revision(row.mod_revision));
    Ok((revision, op, settled(&row.value, revision)?))
}

/// What an op id's key says, that was put at this revision.
pub(crate) fn settled(value: &[u8], revision: Revision) -> Result<Settled, StoreError> {
    match value {
        [COMMITTED] => Ok(Settled::Committed(revision)),
        [ABORTED] => Ok(Settled::Aborted),
        _ => Err(StoreError::Damaged { detail: "op id with a state that is none".to_owned() }),
    }
}
