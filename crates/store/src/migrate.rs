//! Migration: the rows of one store become those of another, of whatever engine, as they are. Both are offline.
//!
//! ```text
//! key "meta/moving", in the target until it is complete; sealed under the root's KEK of label "installation"
//!    0  16  move, random
//!   16  16  installation of the source
//!
//! key "meta/moved", in the source from then on; sealed alike
//!    0  16  move
//! ```
//!
//! In this order: `moving` is put into a target that is empty; rows are copied; both are compared; `moved` is put into
//! the source, which is refused by everything that asks for its stamp from then on; it is looked for who asked before and goes on; both are
//! compared once more, since somebody may still have written; and only then the target gets the stamp, in the transaction that takes `moving`
//! away. So whenever it is cut short, one of the two can be served at most, and doing it again goes on: rows that are there are not written
//! again.
//!
//! What does not travel: op ids (who was in doubt has to settle before: a server does when it starts), the marks above, revisions (a row is made
//! anew where it comes to), and history, so that no page token of the source is answered from a target half full.

use crate::error::StoreError;
use crate::limits::{PAGE_ROWS_MAX, TXN_LEN_MAX, TXN_OPS_MAX};
use crate::model::{At, Check, Op, OpId, Outcome, Revision, Row, Settled, Txn};
use crate::seal::{Root, SealError, Sealer};
use crate::stamp::{INSTALLATION, Kind, MOVED_KEY, STAMP_KEY, StampError};
use crate::store::Store;
use aws_lc_rs::digest::{Context, SHA256};
use rand_core::CryptoRng;
use std::collections::VecDeque;

/// The key of the mark in a target that is not complete.
pub const MOVING_KEY: &[u8] = b"meta/moving";

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The source's rows are counted.
    Counting,
    /// They are copied.
    Copying,
    /// Both are compared.
    Comparing,
}

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rows that both stores have, marks and stamp apart.
    pub rows: u64,
    /// SHA-256 of them, the same of both: of each the length of the key in 4 octets, the key, the length of the value in 4
    /// octets, the value.
    pub digest: [u8; 32],
    /// Rows that were written or removed this time.
    pub changed: u64,
}

/// Moves what is in `from` to `to`, or goes on with it. The caller vouches that nothing else writes to either; of
/// the source it is found out, as far as it happens before the end. `in_use` says whether somebody still serves the source who
/// began before it was marked.
///
/// `progress` is told the rows seen to so far in each phase.
pub async fn migrate(
    from: &Store,
    to: &Store,
    kind: Kind,
    root: &Root,
    rng: &mut (dyn CryptoRng + Send),
    in_use: impl AsyncFnOnce() -> Result<bool, StoreError>,
    mut progress: impl FnMut(Phase, u64) + Send,
) -> Result<Report, MigrateError> {
    let stamp = from.stamp_as_it_is(kind, root).await.map_err(MigrateError::Source)?;
    let sealer = root.sealer(INSTALLATION, &[0; 16]);
    let moved = mark(from, MOVED_KEY, &sealer).await?.map(|(plain, _)| plain);
    let id = begin(to, stamp.installation, moved.as_deref(), &sealer, rng).await?;
    let source = digest(from, |rows| progress(Phase::Counting, rows)).await?;
    let changed = copy(from, to, rng, |rows| progress(Phase::Copying, rows)).await?;
    compare(source, digest(to, |rows| progress(Phase::Comparing, rows)).await?)?;
    if moved.is_none() {
        let sealed = sealer.seal(MOVED_KEY, &id, rng).map_err(MigrateError::Seal)?;
        let marked =
            put(from, vec![Check::Absent(MOVED_KEY.to_vec())], vec![Op::Put(MOVED_KEY.to_vec(), sealed)], rng).await;
        // Another migration has marked it.
        marked
            .map_err(|error| if error == MigrateError::TargetChanged { MigrateError::SourceChanged } else { error })?;
    }
    if in_use().await? {
        return Err(MigrateError::SourceInUse);
    }
    if digest(from, |_| {}).await? != source {
        return Err(MigrateError::SourceChanged);
    }
    finish(from, to, rng).await?;
    let (rows, digest) = source;
    Ok(Report { rows, digest, changed })
}

/// Why rows are not moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The source is not a store of this kind and root.
    #[error("source")]
    Source(#[source] StampError),
    /// The target holds something that this did not put there.
    #[error("target is not empty")]
    NotEmpty,
    /// The target is being filled from another source.
    #[error("target is being filled from another store")]
    OtherSource,
    /// The source was moved already, to another target than this one.
    #[error("source was migrated to another store than this one")]
    MovedElsewhere,
    /// The source was moved to this target already, and the target is complete.
    #[error("source was migrated already, and the target is complete")]
    Done,
    /// Somebody wrote to the source meanwhile. Stop whoever it is, and do it again.
    #[error("source was changed while it was read")]
    SourceChanged,
    /// A server still runs on the source. Stop it, and do it again.
    #[error("source is in use")]
    SourceInUse,
    /// After copying, the target does not hold what the source does.
    #[error("target holds {target} rows that are not the {source_rows} of the source")]
    Differ {
        /// Rows of the source.
        source_rows: u64,
        /// Rows of the target.
        target: u64,
    },
    /// Somebody wrote to the target meanwhile.
    #[error("target was changed while it was written")]
    TargetChanged,
    /// A mark was altered.
    #[error("mark of a migration does not open")]
    Seal(#[source] SealError),
    /// A store refused.
    #[error("store refused")]
    Store(#[from] StoreError),
}

/// The move's id: of one that was begun, or a new one of a target that is empty.
async fn begin(
    to: &Store,
    installation: [u8; 16],
    moved: Option<&[u8]>,
    sealer: &Sealer,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Vec<u8>, MigrateError> {
    if let Some((plain, _)) = mark(to, MOVING_KEY, sealer).await? {
        let (id, of) = plain.split_at_checked(16).ok_or(MigrateError::OtherSource)?;
        return match moved {
            _ if of != installation => Err(MigrateError::OtherSource),
            Some(moved) if moved != id => Err(MigrateError::MovedElsewhere),
            _ => Ok(id.to_vec()),
        };
    }
    let empty = to.range(b"", None, 1, At::Linearizable).await?.rows.is_empty();
    match (empty, moved) {
        (true, None) => {}
        (true, Some(_)) => return Err(MigrateError::MovedElsewhere),
        (false, None) => return Err(MigrateError::NotEmpty),
        (false, Some(_)) => {
            return Err(if is_done(to, sealer, installation).await? {
                MigrateError::Done
            } else {
                MigrateError::NotEmpty
            });
        }
    }
    let mut id = vec![0; 16];
    rng.fill_bytes(&mut id);
    let sealed = sealer.seal(MOVING_KEY, &[id.as_slice(), &installation].concat(), rng).map_err(MigrateError::Seal)?;
    put(to, vec![Check::Absent(MOVING_KEY.to_vec())], vec![Op::Put(MOVING_KEY.to_vec(), sealed)], rng).await?;
    Ok(id)
}

/// Whether the target has the stamp of the source.
async fn is_done(to: &Store, sealer: &Sealer, installation: [u8; 16]) -> Result<bool, MigrateError> {
    let Some(entry) = to.get(STAMP_KEY, At::Linearizable).await? else { return Ok(false) };
    Ok(sealer.open(STAMP_KEY, &entry.value).is_ok_and(|plain| plain.ends_with(&installation)))
}

async fn finish(from: &Store, to: &Store, rng: &mut (dyn CryptoRng + Send)) -> Result<(), MigrateError> {
    let stamp = from.get(STAMP_KEY, At::Linearizable).await?.ok_or(MigrateError::SourceChanged)?;
    let checks = vec![Check::Present(MOVING_KEY.to_vec()), Check::Absent(STAMP_KEY.to_vec())];
    let ops = vec![Op::Delete(MOVING_KEY.to_vec()), Op::Put(STAMP_KEY.to_vec(), stamp.value)];
    put(to, checks, ops, rng).await?;
    to.forget().await?;
    Ok(())
}

/// Walks both in the order of keys, and makes the target's rows those of the source.
async fn copy(
    from: &Store,
    to: &Store,
    rng: &mut (dyn CryptoRng + Send),
    mut progress: impl FnMut(u64) + Send,
) -> Result<u64, MigrateError> {
    let (mut source, mut target) = (Rows::of(from), Rows::of(to));
    let (mut seen, mut changed) = (0_u64, 0_u64);
    let mut batch = Batch::default();
    loop {
        let op = match (source.peek().await?, target.peek().await?) {
            (None, None) => break,
            (Some(wanted), Some(held)) if wanted.key == held.key => {
                let op = (wanted.entry.value != held.entry.value).then(|| put_of(wanted));
                source.pop();
                target.pop();
                op
            }
            (Some(wanted), held) if held.is_none_or(|held| wanted.key < held.key) => {
                let op = put_of(wanted);
                source.pop();
                Some(op)
            }
            (_, Some(held)) => {
                let op = Op::Delete(held.key.clone());
                target.pop();
                Some(op)
            }
            // Infallible: a source without a target is above.
            (Some(_), None) => break,
        };
        seen = source.taken;
        if let Some(op) = op {
            changed = changed.saturating_add(1);
            if !batch.fits(&op) {
                put(to, vec![Check::Present(MOVING_KEY.to_vec())], batch.take(), rng).await?;
                progress(seen);
            }
            batch.add(op);
        }
    }
    if !batch.ops.is_empty() {
        put(to, vec![Check::Present(MOVING_KEY.to_vec())], batch.take(), rng).await?;
    }
    progress(seen);
    Ok(changed)
}

fn put_of(row: &Row) -> Op {
    Op::Put(row.key.clone(), row.entry.value.clone())
}

/// Changes that go into one transaction.
#[derive(Default)]
struct Batch {
    ops: Vec<Op>,
    len: usize,
}

impl Batch {
    fn fits(&self, op: &Op) -> bool {
        // The check's key counts twice.
        let room = TXN_LEN_MAX.saturating_sub(MOVING_KEY.len().saturating_mul(2));
        self.ops.len() < TXN_OPS_MAX && self.len.saturating_add(len(op)) <= room
    }

    fn add(&mut self, op: Op) {
        self.len = self.len.saturating_add(len(&op));
        self.ops.push(op);
    }

    fn take(&mut self) -> Vec<Op> {
        self.len = 0;
        std::mem::take(&mut self.ops)
    }
}

fn len(op: &Op) -> usize {
    match op {
        Op::Put(key, value) => key.len().saturating_add(value.len()),
        Op::Delete(key) => key.len(),
    }
}

/// Rows that travel, a page at a time, as they are when they are read.
struct Rows<'a> {
    store: &'a Store,
    page: VecDeque<Row>,
    after: Option<Vec<u8>>,
    more: bool,
    taken: u64,
}

impl<'a> Rows<'a> {
    fn of(store: &'a Store) -> Self {
        Self { store, page: VecDeque::new(), after: None, more: true, taken: 0 }
    }

    async fn peek(&mut self) -> Result<Option<&Row>, StoreError> {
        while self.page.is_empty() && self.more {
            let page = self.store.range(b"", self.after.as_deref(), PAGE_ROWS_MAX, At::Linearizable).await?;
            self.more = page.more;
            self.after = page.rows.last().map(|row| row.key.clone());
            self.page = page.rows.into_iter().filter(|row| travels(&row.key)).collect();
        }
        Ok(self.page.front())
    }

    fn pop(&mut self) -> Option<Row> {
        self.taken = self.taken.saturating_add(1);
        self.page.pop_front()
    }
}

fn travels(key: &[u8]) -> bool {
    ![STAMP_KEY, MOVED_KEY, MOVING_KEY].contains(&key)
}

async fn digest(store: &Store, mut progress: impl FnMut(u64) + Send) -> Result<(u64, [u8; 32]), StoreError> {
    let mut context = Context::new(&SHA256);
    let mut rows = Rows::of(store);
    while let Some(row) = rows.peek().await? {
        for octets in [&row.key, &row.entry.value] {
            // Infallible: keys and values are far shorter.
            context.update(&u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes());
            context.update(octets);
        }
        rows.pop();
        if rows.page.is_empty() {
            progress(rows.taken);
        }
    }
    let mut digest = [0; 32];
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    Ok((rows.taken, digest))
}

fn compare(source: (u64, [u8; 32]), target: (u64, [u8; 32])) -> Result<(), MigrateError> {
    if source == target { Ok(()) } else { Err(MigrateError::Differ { source_rows: source.0, target: target.0 }) }
}

async fn mark(store: &Store, key: &[u8], sealer: &Sealer) -> Result<Option<(Vec<u8>, Revision)>, MigrateError> {
    let Some(entry) = store.get(key, At::Linearizable).await? else { return Ok(None) };
    let plain = sealer.open(key, &entry.value).map_err(MigrateError::Seal)?;
    Ok(Some((plain.to_vec(), entry.modified)))
}

/// Commits, and settles what is unknown, until it is done.
async fn put(
    store: &Store,
    checks: Vec<Check>,
    ops: Vec<Op>,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<(), MigrateError> {
    let mut txn = Txn { op: OpId::random(rng), checks, ops };
    for _ in 0..TRIES_MAX {
        match store.commit(&txn).await? {
            Outcome::Committed(_) => return Ok(()),
            Outcome::Conflict(_) => return Err(MigrateError::TargetChanged),
            Outcome::Unknown => {}
        }
        if let Settled::Committed(_) = store.settle(txn.op).await? {
            return Ok(());
        }
        txn.op = OpId::random(rng);
    }
    Err(MigrateError::Store(StoreError::Unreachable))
}

/// An engine that loses so many in a row is not there.
const TRIES_MAX: usize = 8;
