//! What has to be done now and then, by one node at a time: old history is compacted, old op ids are removed.
//!
//! Neither is of harm when two nodes do it at once: compacting and removing twice is what once is.

use crate::core::{Core, Head, unexpected};
use crate::failure::Failure;
use crate::lease;
use crate::limits::{
    COMMIT_TIMEOUT, MARK_COMMITS, MARKS_MAX, PAGE_TIMEOUT, READ_TIMEOUT, SWEEP_OPS_MAX, UPKEEP_PAUSE, UPKEEP_TTL,
};
use crate::wire::{self, CompactionRequest, Done, RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use skerry_store::limits::OPS_MAX;
use skerry_store::{Lease, Revision, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Does it until it is aborted.
pub(crate) async fn run(core: Arc<Core>, history_kept: Option<Duration>) {
    let mut lease: Option<Lease> = None;
    let mut history = History::default();
    loop {
        sleep(UPKEEP_PAUSE).await;
        if lease.as_ref().is_none_or(Lease::is_lost) {
            // Who had it before may have compacted less than is due by what we have seen, never more than is kept.
            lease = lease::take(&core, "upkeep", "upkeep", UPKEEP_TTL).await.ok().flatten();
        }
        // Seen by all nodes, so that the next that holds the lease knows how old what is.
        let Ok(head) = core.head().await else { continue };
        let due = history_kept.and_then(|kept| history.due(head.revision, Instant::now(), kept));
        if lease.is_none() {
            continue;
        }
        // What does not work now works the next time.
        if let Some(revision) = due {
            drop(compact_unless_held(&core, revision).await);
        }
        drop(sweep(&core, head, MARK_COMMITS, OPS_MAX_COMMITS).await);
    }
}

/// When which revision was the newest, by this node's own clock, which never goes back.
#[derive(Default)]
struct History(VecDeque<(Instant, Revision)>);

impl History {
    /// Takes note of the newest, and gives the newest of those that are old enough to be compacted.
    fn due(&mut self, newest: Revision, now: Instant, kept: Duration) -> Option<Revision> {
        self.0.push_back((now, newest));
        let mut due = None;
        while let Some((then, revision)) = self.0.front().copied() {
            if now.duration_since(then) < kept {
                break;
            }
            due = Some(revision);
            self.0.pop_front();
        }
        due
    }
}

/// Forgets the history before a revision, but not what somebody reads: a backup takes as long as it takes.
async fn compact_unless_held(core: &Core, revision: Revision) -> Result<(), StoreError> {
    let held = lease::held(core).await?;
    compact(core, held.map_or(revision, |held| held.min(revision))).await
}

/// Forgets the history before a revision.
pub(crate) async fn compact(core: &Core, revision: Revision) -> Result<(), StoreError> {
    let request = CompactionRequest { revision: core.etcd(revision) };
    match core.servers.change::<_, Done>(wire::COMPACT, &request, PAGE_TIMEOUT).await {
        Ok(_) | Err(Failure::Compacted) => Ok(()),
        Err(failure) => Err(unexpected(failure)),
    }
}

/// Removes op ids of which `remembered` commits came since, by marks that are `apart` commits from each other.
pub(crate) async fn sweep(core: &Core, head: Head, apart: u64, remembered: u64) -> Result<(), StoreError> {
    let commits = u64::try_from(head.version).unwrap_or_default();
    let asked = wire::one(core.layout.marks());
    let answer: RangeResponse = core.servers.read(wire::RANGE, &asked, READ_TIMEOUT).await.map_err(unexpected)?;
    let row = answer.kvs.into_iter().next();
    let before = row.as_ref().map_or(0, |row| row.mod_revision);
    let mut marks = row.map(|row| decode(&row.value)).unwrap_or_default();
    let due = |(_, version): &&(Revision, u64)| commits.saturating_sub(*version) >= remembered;
    let old = marks.iter().filter(due).map(|(revision, _)| *revision).max();
    if let Some(old) = old {
        remove(core, old).await?;
    }
    let last = marks.last().map_or(0, |(_, version)| *version);
    if old.is_none() && !marks.is_empty() && commits.saturating_sub(last) < apart {
        return Ok(());
    }
    marks.retain(|mark| !due(&mark));
    if marks.is_empty() || commits.saturating_sub(last) >= apart {
        marks.push((head.revision, commits));
    }
    let surplus = marks.len().saturating_sub(MARKS_MAX);
    marks.drain(..surplus);
    let request = TxnRequest {
        compare: vec![wire::modified(core.layout.marks(), before)],
        success: vec![wire::put_op(core.layout.marks(), encode(&marks))],
        failure: Vec::new(),
    };
    // If somebody else wrote it he did what was to be done.
    let written = core.servers.change::<_, TxnResponse>(wire::TXN, &request, COMMIT_TIMEOUT).await;
    written.map(drop).map_err(unexpected)
}

/// Walks all op ids: etcd could look for old ones, and would look at all of them for every part it answers.
async fn remove(core: &Core, old: Revision) -> Result<(), StoreError> {
    let (mut key, range_end) = core.layout.ops();
    let old = core.etcd(old);
    loop {
        let (range_end, limit) = (range_end.clone(), SWEEP_ROWS);
        let asked = RangeRequest { key, range_end, limit, keys_only: true, ..RangeRequest::default() };
        let found: RangeResponse = core.servers.read(wire::RANGE, &asked, PAGE_TIMEOUT).await.map_err(unexpected)?;
        let last = found.kvs.last().map(|row| [row.key.as_slice(), &[0]].concat());
        let gone: Vec<_> = found.kvs.into_iter().filter(|row| row.mod_revision <= old).map(|row| row.key).collect();
        for keys in gone.chunks(SWEEP_OPS_MAX) {
            let success = keys.iter().cloned().map(wire::delete_op).collect();
            let request = TxnRequest { success, ..TxnRequest::default() };
            // An op id is put once, so deleting it again deletes nothing else.
            core.servers.read::<_, TxnResponse>(wire::TXN, &request, COMMIT_TIMEOUT).await.map_err(unexpected)?;
        }
        let (Some(last), true) = (last, found.more) else { return Ok(()) };
        key = last;
    }
}

fn encode(marks: &[(Revision, u64)]) -> Vec<u8> {
    marks.iter().flat_map(|(revision, version)| [revision.0.to_be_bytes(), version.to_be_bytes()].concat()).collect()
}

/// Half a mark is none.
fn decode(value: &[u8]) -> Vec<(Revision, u64)> {
    let (marks, _) = value.as_chunks::<16>();
    let marks = marks.iter().filter_map(|mark| {
        let (revision, version) = mark.split_first_chunk()?;
        Some((Revision(u64::from_be_bytes(*revision)), u64::from_be_bytes(version.try_into().ok()?)))
    });
    marks.collect()
}

/// Op ids in one answer: some 100 KiB.
const SWEEP_ROWS: i64 = 1000;
/// As many as every engine remembers. Infallible: it is a small number.
const OPS_MAX_COMMITS: u64 = OPS_MAX_U64;
#[expect(clippy::as_conversions, reason = "there is no other conversion in a constant, and this one widens")]
const OPS_MAX_U64: u64 = OPS_MAX as u64;

#[cfg(test)]
#[path = "../tests/all/cluster.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]
mod cluster;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use crate::limits::HOLD_TTL;
    use crate::opening::{Make, core, open};
    use cluster::{Cluster, runtime};
    use skerry_store::{At, OpId, Outcome, Settled, Store, Txn};

    #[test]
    fn history_is_due_when_it_is_old() {
        // The newest that is at least so old, once; what is younger stays.
        let (mut history, begun) = (History::default(), Instant::now());
        let mut at = |revision, secs| {
            history.due(Revision(revision), begun + Duration::from_secs(secs), Duration::from_secs(600))
        };
        assert_eq!(at(10, 0), None);
        assert_eq!(at(20, 60), None);
        assert_eq!(at(30, 599), None);
        assert_eq!(at(40, 600), Some(Revision(10)));
        assert_eq!(at(50, 601), None);
        assert_eq!(at(60, 1300), Some(Revision(50)));
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        // Half a mark is left out.
        let marks = [(Revision(1), 2), (Revision(u64::MAX), 0)];
        assert_eq!(decode(&encode(&marks)), marks);
        assert_eq!(decode(&encode(&marks)[..31]), marks[..1]);
        assert_eq!(decode(&[]), []);
    }

    async fn op_rows(core: &Core) -> usize {
        let (key, range_end) = core.layout.ops();
        let asked = RangeRequest { key, range_end, keys_only: true, ..RangeRequest::default() };
        core.servers.read::<_, RangeResponse>(wire::RANGE, &asked, READ_TIMEOUT).await.unwrap().kvs.len()
    }

    async fn commit(store: &Store, number: u8) -> (OpId, Revision) {
        let op = OpId([number; 16]);
        match store.commit(&Txn { op, checks: Vec::new(), ops: Vec::new() }).await.unwrap() {
            Outcome::Committed(revision) => (op, revision),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    #[ignore = "needs etcd"]
    fn old_op_ids_are_removed_and_no_newer_ones() {
        // Of forty commits, eight to be remembered, marks four apart: what is to be remembered is settled as it was, and of
        // the rest no more than a mark's worth is left.
        let cluster = Cluster::single();
        runtime().block_on(async {
            let options = || {
                let mut options = cluster.options_of(None);
                options.prefix = "sweep/".to_owned();
                options
            };
            let store = open(options(), Make::New([1; 16])).await.unwrap();
            let (core, _) = core(&options(), Make::Existing).await.unwrap();
            let mut done = Vec::new();
            for number in 0..40 {
                done.push(commit(&store, number).await);
                let head = core.head().await.unwrap();
                sweep(&core, head, 4, 8).await.unwrap();
                let rows = op_rows(&core).await;
                assert!(rows >= done.len().min(8) && rows <= 8 + 4 + 1, "{rows} after {number}");
            }
            for (op, revision) in &done[32..] {
                assert_eq!(store.settle(*op).await, Ok(Settled::Committed(*revision)));
            }
            assert_eq!(store.settle(done[0].0).await, Ok(Settled::Aborted));
        });
    }

    #[test]
    #[ignore = "needs etcd"]
    fn history_that_is_read_is_not_compacted() {
        // As long as somebody reads it, on whatever node, the upkeep of any stops before it; when he has gone, no more.
        let cluster = Cluster::single();
        runtime().block_on(async {
            let options = || {
                let mut options = cluster.options_of(None);
                options.prefix = "held/".to_owned();
                options
            };
            let store = open(options(), Make::New([1; 16])).await.unwrap();
            let core = Arc::new(core(&options(), Make::Existing).await.unwrap().0);
            assert_eq!(lease::held(&core).await, Ok(None));
            let (_, before) = commit(&store, 1).await;
            let (_, read) = commit(&store, 2).await;
            let hold = lease::hold(&core, read, HOLD_TTL).await.unwrap();
            let (_, newest) = commit(&store, 3).await;
            let later = lease::hold(&core, newest, HOLD_TTL).await.unwrap();
            assert_eq!(lease::held(&core).await, Ok(Some(read)), "the oldest");
            compact_unless_held(&core, newest).await.unwrap();
            assert_eq!(store.get(b"a", At::Snapshot(read)).await, Ok(None));
            let gone = store.get(b"a", At::Snapshot(before)).await;
            assert_eq!(gone, Err(StoreError::Compacted { asked: before, oldest: newest }));
            hold.release().await;
            assert_eq!(lease::held(&core).await, Ok(Some(newest)));
            compact_unless_held(&core, newest).await.unwrap();
            let gone = store.get(b"a", At::Snapshot(read)).await;
            assert_eq!(gone, Err(StoreError::Compacted { asked: read, oldest: newest }));
            drop(later);
        });
    }

    #[test]
    #[ignore = "needs etcd"]
    fn servers_that_went_back_are_not_believed() {
        // What was acknowledged is not there any more: their data was put back, or is another's.
        let cluster = Cluster::single();
        runtime().block_on(async {
            let options = || {
                let mut options = cluster.options_of(None);
                options.prefix = "back/".to_owned();
                options
            };
            let store = open(options(), Make::New([1; 16])).await.unwrap();
            let (_, newest) = commit(&store, 1).await;
            let (core, _) = core(&options(), Make::Existing).await.unwrap();
            assert_eq!(core.head().await.map(|head| head.revision), Ok(newest), "the control");
            core.learn(Revision(newest.0 + 1));
            let detail =
                format!("servers went back from revision {} to {newest}: they hold an older state", newest.0 + 1);
            assert_eq!(core.head().await, Err(StoreError::Damaged { detail }));
        });
    }

    #[test]
    #[ignore = "needs etcd"]
    fn compacted_twice_is_compacted() {
        // Doing again what somebody did is no error; what is older is not to be had, what is newer is.
        let cluster = Cluster::single();
        runtime().block_on(async {
            let store = open(cluster.options(), Make::New([1; 16])).await.unwrap();
            let (_, first) = commit(&store, 1).await;
            let (_, second) = commit(&store, 2).await;
            assert_eq!(store.forget().await, Ok(second));
            assert_eq!(store.forget().await, Ok(second));
            let old = store.get(b"a", At::Snapshot(first)).await;
            assert_eq!(old, Err(StoreError::Compacted { asked: first, oldest: second }));
            assert_eq!(store.get(b"a", At::Snapshot(second)).await, Ok(None));
        });
    }
}
