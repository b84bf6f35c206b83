//! What readers see: the newest durable state with its history, swapped under one lock.
//!
//! A commit is published after it is durable and before it is acknowledged. So a read that begins after the
//! acknowledgement sees it, and no read sees what a crash could take back.

use crate::error::{StoreError, WatchError};
use crate::history::{Commit, Held, History, Overlay};
use crate::limits::OVERLAY_MAX;
use crate::model::{At, Revision};
use crate::watch::Watch;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};
use tokio::sync::watch;

/// The state that reads are answered from; `V` is how an engine shows its newest entries.
pub struct Published<V> {
    state: RwLock<State<V>>,
    feed: Arc<Feed>,
    /// Here and not in the feed, which watches hold: when the store goes, watches learn it.
    news: watch::Sender<()>,
    /// Whether what is shown was checked; nothing while that is going on.
    verdict: watch::Sender<Option<Result<(), StoreError>>>,
    /// The good end of it, which is asked for by every request.
    verified: AtomicBool,
}

struct State<V> {
    revision: Revision,
    view: V,
}

/// What watches hold of a store.
pub(crate) struct Feed {
    history: RwLock<History>,
    failed: AtomicBool,
}

impl<V> Published<V> {
    /// Shows `view`, which is of this revision, with no history before.
    pub fn new(revision: Revision, view: V) -> Self {
        Self {
            state: RwLock::new(State { revision, view }),
            feed: Arc::new(Feed { history: RwLock::new(History::after(revision)), failed: AtomicBool::new(false) }),
            news: watch::Sender::new(()),
            verdict: watch::Sender::new(None),
            verified: AtomicBool::new(false),
        }
    }

    /// Says that what is shown was checked and is good.
    pub(crate) fn verified(&self) {
        self.verified.store(true, Ordering::Release);
        self.verdict.send_replace(Some(Ok(())));
    }

    /// Says that what is shown is not good: from now on everything is refused.
    pub(crate) fn refuse(&self, why: StoreError) {
        self.fail();
        self.verdict.send_replace(Some(Err(why)));
    }

    /// Whether what is shown was checked and is good.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }

    /// Waits until what is shown was checked, and refuses if it is not good.
    pub(crate) async fn until_verified(&self) -> Result<(), StoreError> {
        if self.verified.load(Ordering::Acquire) {
            return self.check();
        }
        let mut verdict = self.verdict.subscribe();
        let verdict = verdict.wait_for(Option::is_some).await.map_err(|_| StoreError::Failed)?;
        verdict.clone().unwrap_or(Err(StoreError::Failed))
    }

    /// The state that a read at `at` sees.
    pub fn look(&self, at: At) -> Result<Look<'_, V>, StoreError> {
        self.check()?;
        let state = self.state.read().map_err(|_| StoreError::Failed)?;
        let history = self.feed.history()?;
        let at = resolve(at, state.revision, history.floor())?;
        Ok(Look { state, history, at })
    }

    /// Shows these commits, oldest first, to all that read from now on.
    pub fn publish(&self, commits: Vec<Commit>, update: impl FnOnce(&mut V, &[Commit])) -> Result<(), StoreError> {
        let mut state = self.state.write().map_err(|_| StoreError::Failed)?;
        let mut history = self.feed.history.write().map_err(|_| StoreError::Failed)?;
        update(&mut state.view, &commits);
        commits.into_iter().for_each(|commit| history.push(commit));
        state.revision = history.newest();
        drop((state, history));
        self.news.send_replace(());
        Ok(())
    }

    /// Refuses everything from now on.
    pub fn fail(&self) {
        self.feed.failed.store(true, Ordering::Release);
        self.news.send_replace(());
    }

    /// Refuses iff [`Published::fail`] was called.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.feed.failed.load(Ordering::Acquire) { Err(StoreError::Failed) } else { Ok(()) }
    }

    /// Begins anew after a gap: what is known is of `revision` and later. Watches that have not come so far learn of it.
    pub fn restart(&self, revision: Revision, update: impl FnOnce(&mut V)) -> Result<(), StoreError> {
        let mut state = self.state.write().map_err(|_| StoreError::Failed)?;
        let mut history = self.feed.history.write().map_err(|_| StoreError::Failed)?;
        update(&mut state.view);
        *history = History::after(revision);
        state.revision = revision;
        drop((state, history));
        self.news.send_replace(());
        Ok(())
    }

    /// Forgets the history before what is shown.
    pub(crate) fn forget(&self) -> Result<Revision, StoreError> {
        self.check()?;
        let mut history = self.feed.history.write().map_err(|_| StoreError::Failed)?;
        let newest = history.newest();
        *history = History::after(newest);
        drop(history);
        self.news.send_replace(());
        Ok(newest)
    }

    /// A watch from `from` on, of which the changes are held or will come: `known` is the newest revision that there is, if
    /// that is more than what is shown yet.
    pub fn watch(&self, prefix: &[u8], from: Revision, known: Revision) -> Result<Watch, StoreError> {
        self.check()?;
        let state = self.state.read().map_err(|_| StoreError::Failed)?;
        let history = self.feed.history()?;
        resolve(At::Snapshot(from), state.revision.max(known), history.floor())?;
        Ok(Watch::new(prefix, from, (Arc::clone(&self.feed), self.news.subscribe())))
    }

    /// Waits until `revision` is shown. May be dropped while it waits.
    pub async fn reached(&self, revision: Revision) -> Result<(), StoreError> {
        let mut news = self.news.subscribe();
        loop {
            // Before looking, so that what is published after the look wakes.
            news.mark_unchanged();
            if self.look(At::Linearizable)?.revision() >= revision {
                return Ok(());
            }
            news.changed().await.map_err(|_| StoreError::Failed)?;
        }
    }
}

impl Feed {
    pub(crate) fn history(&self) -> Result<RwLockReadGuard<'_, History>, StoreError> {
        self.history.read().map_err(|_| StoreError::Failed)
    }

    pub(crate) fn check(&self) -> Result<(), WatchError> {
        if self.failed.load(Ordering::Acquire) { Err(WatchError::Failed) } else { Ok(()) }
    }
}

/// One state, held still while it is looked at.
pub struct Look<'a, V> {
    state: RwLockReadGuard<'a, State<V>>,
    history: RwLockReadGuard<'a, History>,
    at: Revision,
}

impl<V> Look<'_, V> {
    /// The revision that is looked at.
    pub fn revision(&self) -> Revision {
        self.at
    }

    /// The newest entries, to which `before` and `overlay` are the way back.
    pub fn view(&self) -> &V {
        &self.state.view
    }

    /// What the key held, if it changed since.
    pub(crate) fn before(&self, key: &[u8]) -> Option<&Held> {
        if self.is_newest() { None } else { self.history.before(key, self.at) }
    }

    /// What the next keys with this prefix held, in order, as far as they changed since.
    pub(crate) fn overlay(&self, from: Bound<&[u8]>, prefix: &[u8]) -> Overlay {
        if self.is_newest() { Overlay::default() } else { self.history.overlay(from, prefix, self.at, OVERLAY_MAX) }
    }

    /// Whether the key is known not to have changed after `since`, up to what is shown.
    pub fn is_unchanged(&self, key: &[u8], since: Revision) -> bool {
        since >= self.history.floor() && self.history.before(key, since).is_none()
    }

    fn is_newest(&self) -> bool {
        self.at == self.state.revision
    }
}

fn resolve(at: At, newest: Revision, oldest: Revision) -> Result<Revision, StoreError> {
    match at {
        At::Linearizable => Ok(newest),
        At::Cached(asked) | At::Snapshot(asked) if asked > newest => Err(StoreError::Ahead { asked, newest }),
        At::Cached(_) => Ok(newest),
        At::Snapshot(asked) if asked < oldest => Err(StoreError::Compacted { asked, oldest }),
        At::Snapshot(asked) => Ok(asked),
    }
}
