//! What all of an engine shares: the servers, what is known of their state, and the cache.
//!
//! The cache holds what keys held at the newest revision that the watch has brought, or later. A read asks the head first
//! (the fence) and is answered from here iff the watch has brought that revision; so what it gets is at least as new as
//! any commit that was acknowledged before, and no progress notification is asked for or believed.

use crate::failure::Failure;
use crate::layout::Layout;
use crate::limits::{READ_TIMEOUT, WATCH_PATIENCE};
use crate::servers::Servers;
use crate::spread::Spreads;
use crate::wire::{self, Header, KeyValue, RangeResponse};
use quick_cache::Weighter;
use skerry_store::engine::{Commit, Published};
use skerry_store::{At, Entry, Revision, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio::time::timeout;

pub(crate) type Cache = quick_cache::sync::Cache<Arc<[u8]>, Option<Arc<Entry>>, Octets>;

pub(crate) struct Core {
    pub(crate) servers: Servers,
    pub(crate) layout: Layout,
    /// The revision of etcd at which the store was made: 0 of ours.
    pub(crate) base: i64,
    pub(crate) published: Published<Cache>,
    pub(crate) spreads: Spreads,
    /// The newest revision that is known of.
    known: AtomicU64,
    /// Whether the watch was too slow for a read since it last was where it should be.
    behind: AtomicBool,
    /// Wakes who looks after the watch when that becomes so.
    pub(crate) lag: Notify,
}

/// The newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) revision: Revision,
    /// How many commits there were, and one.
    pub(crate) version: i64,
}

impl Core {
    pub(crate) fn new(servers: Servers, layout: Layout, base: i64, head: Head, cache_len: usize) -> Self {
        let len = u64::try_from(cache_len).unwrap_or(u64::MAX);
        let items = cache_len.checked_div(ITEM_LEN).unwrap_or(0).max(1);
        let cache = Cache::with_weighter(items, len, Octets);
        Self {
            servers,
            layout,
            base,
            published: Published::new(head.revision, cache),
            spreads: Spreads::default(),
            known: AtomicU64::new(head.revision.0),
            behind: AtomicBool::new(false),
            lag: Notify::new(),
        }
    }

    /// The newest commit, read linearizably.
    pub(crate) async fn head(&self) -> Result<Head, StoreError> {
        let known = self.known();
        let answer: Result<RangeResponse, Failure> =
            self.servers.read(wire::RANGE, &wire::one(self.layout.head()), READ_TIMEOUT).await;
        let answer = answer.map_err(unexpected)?;
        self.servers.learn(answer.header.as_ref().map_or(0, |header| header.raft_term));
        let head = head_of(answer, self.base)?;
        if head.revision < known {
            return Err(StoreError::Damaged {
                detail: format!(
                    "servers went back from revision {known} to {}: they hold an older state",
                    head.revision
                ),
            });
        }
        self.learn(head.revision);
        Ok(head)
    }

    /// The newest revision that is known of.
    pub(crate) fn known(&self) -> Revision {
        Revision(self.known.load(Ordering::Acquire))
    }

    /// Takes note of a revision that there is.
    pub(crate) fn learn(&self, revision: Revision) {
        self.known.fetch_max(revision.0, Ordering::AcqRel);
    }

    /// Whether the cache has something of the key, of whatever revision.
    pub(crate) fn is_cached(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.published.look(At::Linearizable)?.view().get(key).is_some())
    }

    /// What the cache knows of the key, iff the watch has brought `least`.
    #[expect(clippy::option_option, reason = "known to be absent is not unknown")]
    pub(crate) fn cached(&self, key: &[u8], least: Revision) -> Result<Option<Option<Entry>>, StoreError> {
        let look = self.published.look(At::Linearizable)?;
        if look.revision() < least {
            return Ok(None);
        }
        Ok(look.view().get(key).map(|held| held.map(|entry| entry.as_ref().clone())))
    }

    /// Waits a little for the watch to bring `revision`; whether it has.
    pub(crate) async fn caught_up(&self, revision: Revision) -> Result<bool, StoreError> {
        if self.published.look(At::Linearizable)?.revision() >= revision {
            return Ok(true);
        }
        if self.behind.load(Ordering::Acquire) {
            return Ok(false);
        }
        match timeout(WATCH_PATIENCE, self.published.reached(revision)).await {
            Ok(reached) => reached.map(|()| true),
            Err(_) => {
                self.behind.store(true, Ordering::Release);
                self.lag.notify_one();
                Ok(false)
            }
        }
    }

    /// What a key holds, read linearizably, and kept in the cache.
    pub(crate) async fn read(&self, key: &[u8]) -> Result<(Option<Entry>, Revision), StoreError> {
        let asked = wire::one(self.layout.data(key));
        let answer: Result<RangeResponse, Failure> = self.servers.read(wire::RANGE, &asked, READ_TIMEOUT).await;
        let answer = answer.map_err(unexpected)?;
        let revision = self.revision(header(answer.header)?.revision);
        let entry = answer.kvs.into_iter().next().map(|row| self.entry(row));
        self.keep(key, entry.clone(), revision)?;
        Ok((entry, revision))
    }

    /// Keeps what the key held at `revision`, unless it is known to have changed since, or that is not known.
    fn keep(&self, key: &[u8], entry: Option<Entry>, revision: Revision) -> Result<(), StoreError> {
        // While this looks, nothing is published: a change comes before, and is seen here, or after, and is applied.
        let look = self.published.look(At::Linearizable)?;
        if look.is_unchanged(key, revision) {
            look.view().insert(key.into(), entry.map(Arc::new));
        }
        Ok(())
    }

    /// Shows what the watch brought.
    pub(crate) fn publish(&self, commits: Vec<Commit>) -> Result<(), StoreError> {
        let Some(newest) = commits.last().map(|commit| commit.revision) else { return Ok(()) };
        self.published.publish(commits, |cache, commits| {
            for change in commits.iter().flat_map(|commit| &commit.changes) {
                // What is not kept needs no news.
                drop(cache.replace(Arc::clone(&change.key), change.after.clone(), true));
            }
        })?;
        if newest >= self.known() {
            self.behind.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Forgets all that was brought: changes up to this revision are not known.
    pub(crate) fn restart(&self, revision: Revision) -> Result<(), StoreError> {
        self.published.restart(revision, |cache| cache.clear())?;
        self.behind.store(false, Ordering::Release);
        Ok(())
    }

    /// Ours, of etcd's.
    pub(crate) fn revision(&self, etcd: i64) -> Revision {
        revision(etcd, self.base)
    }

    /// etcd's, of ours.
    pub(crate) fn etcd(&self, revision: Revision) -> i64 {
        i64::try_from(revision.0).unwrap_or(i64::MAX).saturating_add(self.base)
    }

    pub(crate) fn entry(&self, row: KeyValue) -> Entry {
        Entry {
            value: row.value,
            created: self.revision(row.create_revision),
            modified: self.revision(row.mod_revision),
            version: u64::try_from(row.version).unwrap_or_default(),
        }
    }
}

/// The head in an answer, if it is that of a store made at `base`.
pub(crate) fn head_of(answer: RangeResponse, base: i64) -> Result<Head, StoreError> {
    match answer.kvs.as_slice() {
        [head] if head.create_revision == base => {
            Ok(Head { revision: revision(head.mod_revision, base), version: head.version })
        }
        [] => Err(StoreError::Missing),
        _ => Err(StoreError::Foreign),
    }
}

pub(crate) fn header(header: Option<Header>) -> Result<Header, StoreError> {
    header.ok_or_else(|| StoreError::Damaged { detail: "the server answers without a header".to_owned() })
}

/// Of a request that names no revision and asks for little.
pub(crate) fn unexpected(failure: Failure) -> StoreError {
    match failure {
        Failure::NotDone(why) | Failure::Lost(why) | Failure::Refused(why) => why,
        Failure::Compacted | Failure::Ahead | Failure::TooLong => {
            StoreError::Damaged { detail: "the server answers what was not asked".to_owned() }
        }
    }
}

fn revision(etcd: i64, base: i64) -> Revision {
    Revision(u64::try_from(etcd.saturating_sub(base)).unwrap_or_default())
}

/// What an item of the cache takes, about.
#[derive(Clone)]
pub(crate) struct Octets;

impl Weighter<Arc<[u8]>, Option<Arc<Entry>>> for Octets {
    fn weight(&self, key: &Arc<[u8]>, held: &Option<Arc<Entry>>) -> u64 {
        let value = held.as_ref().map_or(0, |entry| entry.value.len());
        u64::try_from(key.len().saturating_add(value).saturating_add(ITEM_OVERHEAD)).unwrap_or(u64::MAX)
    }
}

/// Allocations, counters and the place in the table.
const ITEM_OVERHEAD: usize = 128;
/// A record of 2 KiB, to size the table at first.
const ITEM_LEN: usize = 2048;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::options::{Options, Trust};
    use skerry_store::engine::Change;

    /// Of a store at revision 10; nobody is asked.
    fn core() -> Core {
        let servers = Servers::new(&Options::new(vec!["http://127.0.0.1:1".to_owned()], Trust::DangerNone)).unwrap();
        Core::new(servers, Layout::new("s/"), 100, Head { revision: Revision(10), version: 5 }, 1 << 20)
    }

    fn entry(modified: u64) -> Entry {
        Entry { value: vec![1], created: Revision(1), modified: Revision(modified), version: 1 }
    }

    fn change(core: &Core, key: &[u8], revision: u64) {
        let after = Some(Arc::new(entry(revision)));
        let changes = vec![Change { key: key.into(), before: None, after }];
        core.publish(vec![Commit { revision: Revision(revision), changes }]).unwrap();
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        // An answer that was on its way while the watch brought the next change of its key; other keys' answers are kept.
        let core = core();
        change(&core, b"a", 12);
        core.keep(b"a", Some(entry(11)), Revision(11)).unwrap();
        core.keep(b"b", Some(entry(9)), Revision(11)).unwrap();
        assert_eq!(core.cached(b"a", Revision(0)), Ok(None));
        assert_eq!(core.cached(b"b", Revision(12)), Ok(Some(Some(entry(9)))));
        // Before what is known of changes nothing is known not to have changed.
        core.keep(b"c", None, Revision(9)).unwrap();
        assert_eq!(core.cached(b"c", Revision(0)), Ok(None));
        core.keep(b"c", None, Revision(10)).unwrap();
        assert_eq!(core.cached(b"c", Revision(12)), Ok(Some(None)));
    }

    #[test]
    fn what_is_kept_is_changed_by_what_comes() {
        // And nothing else is put in; a revision that did not come yet is not answered for.
        let core = core();
        core.keep(b"a", None, Revision(10)).unwrap();
        change(&core, b"a", 11);
        change(&core, b"b", 12);
        assert_eq!(core.cached(b"a", Revision(12)), Ok(Some(Some(entry(11)))));
        assert_eq!(core.cached(b"a", Revision(13)), Ok(None));
        assert_eq!(core.cached(b"b", Revision(0)), Ok(None));
    }

    #[test]
    fn a_gap_empties_all() {
        // What was kept is not known to hold, and an answer from within the gap is not kept.
        let core = core();
        core.keep(b"a", None, Revision(10)).unwrap();
        core.restart(Revision(20)).unwrap();
        assert_eq!(core.cached(b"a", Revision(0)), Ok(None));
        core.keep(b"a", None, Revision(19)).unwrap();
        assert_eq!(core.cached(b"a", Revision(0)), Ok(None));
        core.keep(b"a", None, Revision(20)).unwrap();
        assert_eq!(core.cached(b"a", Revision(20)), Ok(Some(None)));
    }
}
