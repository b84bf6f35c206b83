//! Everything of one revision, in pages, while nodes write on.
//!
//! The revision is that of the newest commit when it begins, and etcd shows it as long as its history is kept: a key under a lease
//! says to whichever node does the upkeep that it is read. Somebody else may compact all the same, with etcd's own tools; then the
//! export ends as compacted and has to begin again, at another revision.

use crate::core::Core;
use crate::failure::Failure;
use crate::layout::{ABORTED, COMMITTED};
use crate::lease;
use crate::limits::{
    ANSWER_LEN_MAX, EXPORT_OPS, EXPORT_PAGES_MAX, EXPORT_ROWS_MAX, HOLD_TTL, ROWS_AT_FIRST, ROWS_AT_LEAST,
};
use crate::page::{self, State};
use crate::wire::{KeyValue, RangeRequest, RangeResponse};
use skerry_store::engine::Exporting;
use skerry_store::limits::{OPS_MAX, PAGE_ROWS_MAX};
use skerry_store::{Exported, Lease, OpId, Revision, Row, Settled, StoreError};
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
    entries(core, revision, send).await?;
    let give = async |page: Vec<Exported>| send.send(Ok(page)).await.map_err(|_| Ended::Gone);
    for page in ops(core, revision).await?.rows().chunks(PAGE_ROWS_MAX) {
        give(page.to_vec()).await?;
    }
    Ok(())
}

/// As many rows at a time as an answer takes: for each etcd walks over the keys of all that are still to come, and who commits waits
/// for that.
async fn entries(core: &Core, at: Revision, send: &Sender) -> Result<(), Ended> {
    let (mut key, range_end) = (core.layout.data(b""), core.layout.data_end(b""));
    let mut rows = ROWS_AT_FIRST;
    loop {
        let limit = i64::try_from(rows).unwrap_or(i64::MAX);
        let asked = RangeRequest { key: key.clone(), range_end: range_end.clone(), limit, ..RangeRequest::default() };
        let found = match page::part(core, asked, Some(State::of(core, at))).await {
            Ok((found, _)) => found,
            Err(Failure::TooLong) if rows > ROWS_AT_LEAST => {
                rows = rows.checked_div(4).unwrap_or(0).max(ROWS_AT_LEAST);
                continue;
            }
            Err(failure) => return Err(page::refused(core, failure, Some(at)).await.into()),
        };
        let lens = found.kvs.iter().map(|row| row.key.len().saturating_add(row.value.len()));
        let len = lens.fold(0_usize, usize::saturating_add);
        let last = found.kvs.last().map(|row| [row.key.as_slice(), &[0]].concat());
        let entry = |row: KeyValue| {
            let key = core.layout.key_of(&row.key)?.to_vec();
            Ok(Exported::Entry(Row { key, entry: core.entry(row) }))
        };
        let page = found.kvs.into_iter().map(entry).collect::<Result<Vec<_>, StoreError>>()?;
        if !page.is_empty() {
            send.send(Ok(page)).await.map_err(|_| Ended::Gone)?;
        }
        let (Some(last), true) = (last, found.more) else { return Ok(()) };
        key = last;
        // Four times as many fit if so many take an eighth of what is taken.
        if len < ANSWER_LEN_MAX / 8 {
            rows = rows.saturating_mul(4).min(EXPORT_ROWS_MAX);
        }
    }
}

/// The newest op ids, by revision. etcd could order them, and would order all for every part it answers.
async fn ops(core: &Core, at: Revision) -> Result<Ops, StoreError> {
    let ((mut key, range_end), mut ops) = (core.layout.ops(), Ops::at_most(OPS_MAX));
    loop {
        let asked = RangeRequest { key, range_end: range_end.clone(), limit: EXPORT_OPS, ..RangeRequest::default() };
        let found = range(core, asked, at).await?;
        let last = found.kvs.last().map(|row| [row.key.as_slice(), &[0]].concat());
        for row in found.kvs {
            let (op, revision) = (core.layout.op_of(&row.key)?, core.revision(row.mod_revision));
            ops.add(revision, op, settled(&row.value, revision)?)?;
        }
        let (Some(last), true) = (last, found.more) else { return Ok(ops) };
        key = last;
    }
}

/// Op ids by revision, never more than so many: in whatever order they come, the oldest go.
struct Ops {
    max: usize,
    by_revision: BTreeMap<Revision, (OpId, Settled)>,
}

impl Ops {
    fn at_most(max: usize) -> Self {
        Self { max, by_revision: BTreeMap::new() }
    }

    fn add(&mut self, revision: Revision, op: OpId, settled: Settled) -> Result<(), StoreError> {
        if self.by_revision.insert(revision, (op, settled)).is_some() {
            return Err(StoreError::Damaged { detail: format!("two op ids of revision {revision}") });
        }
        if self.by_revision.len() > self.max {
            self.by_revision.pop_first();
        }
        Ok(())
    }

    fn rows(self) -> Vec<Exported> {
        let rows = self.by_revision.into_iter();
        rows.map(|(revision, (op, settled))| Exported::Op { revision, op, settled }).collect()
    }
}

/// What an op id's key says, that was put at this revision.
pub(crate) fn settled(value: &[u8], revision: Revision) -> Result<Settled, StoreError> {
    match value {
        [COMMITTED] => Ok(Settled::Committed(revision)),
        [ABORTED] => Ok(Settled::Aborted),
        _ => Err(StoreError::Damaged { detail: "op id with a state that is none".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_op_ids_are_kept() {
        // etcd gives them in the order of their ids, which is none. Two of one commit nobody makes.
        let mut ops = Ops::at_most(3);
        for revision in [7, 2, 9, 4, 8] {
            ops.add(Revision(revision), OpId([1; 16]), Settled::Aborted).unwrap();
        }
        let twice = ops.add(Revision(9), OpId([2; 16]), Settled::Aborted);
        assert_eq!(twice, Err(StoreError::Damaged { detail: "two op ids of revision 9".to_owned() }));
        let row = |revision, op| Exported::Op { revision: Revision(revision), op: OpId(op), settled: Settled::Aborted };
        assert_eq!(ops.rows(), [row(7, [1; 16]), row(8, [1; 16]), row(9, [2; 16])]);
    }

    #[test]
    fn states_of_op_ids_are_closed() {
        let of = |value: &[u8]| settled(value, Revision(5));
        assert_eq!((of(&[1]), of(&[2])), (Ok(Settled::Committed(Revision(5))), Ok(Settled::Aborted)));
        for bad in [&[][..], &[0], &[3], &[1, 1]] {
            assert_eq!(of(bad), Err(StoreError::Damaged { detail: "op id with a state that is none".to_owned() }));
        }
    }
}
