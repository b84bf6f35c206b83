//! Being told of changes.

use crate::decide::Change;
use crate::error::WatchError;
use crate::model::{Revision, Row};
use crate::published::Feed;
use std::sync::Arc;
use tokio::sync::watch;

/// What one transaction changed, of the keys that are watched; never part of a transaction, never two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The transaction's revision.
    pub revision: Revision,
    /// At least one event, in the transaction's order.
    pub events: Vec<Event>,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key holds this now.
    Put(Row),
    /// The key is absent now, and was not before.
    Deleted(Vec<u8>),
}

impl Event {
    /// The key that changed.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put(row) => &row.key,
            Self::Deleted(key) => key,
        }
    }
}

/// Changes of keys with one prefix, in order, each once, from one revision on. Made by [`crate::Store::watch`].
///
/// It reads the store's bounded history at its own pace and holds nothing up; one that is too slow ends with
/// [`WatchError::Compacted`].
pub struct Watch {
    prefix: Vec<u8>,
    seen: Revision,
    feed: Arc<Feed>,
    news: watch::Receiver<()>,
}

impl Watch {
    pub(crate) fn new(prefix: &[u8], seen: Revision, (feed, news): (Arc<Feed>, watch::Receiver<()>)) -> Self {
        Self { prefix: prefix.to_vec(), seen, feed, news }
    }

    /// The next batch; waits for one. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<Batch, WatchError> {
        loop {
            // Before looking, so that what is published after the look wakes.
            self.news.mark_unchanged();
            if let Some(batch) = self.ready()? {
                return Ok(batch);
            }
            self.news.changed().await.map_err(|_| WatchError::Closed)?;
        }
    }

    /// The next batch, if there is one already.
    ///
    /// Once this gives none after [`crate::Store::fence`] gave a revision, [`Watch::seen`] has reached it.
    pub fn ready(&mut self) -> Result<Option<Batch>, WatchError> {
        self.feed.check()?;
        let history = self.feed.history().map_err(|_| WatchError::Failed)?;
        if self.seen < history.floor() {
            return Err(WatchError::Compacted { oldest: history.floor() });
        }
        for commit in history.since(self.seen) {
            let changes = commit.changes.iter().filter(|change| change.key.starts_with(&self.prefix));
            let events: Vec<_> = changes.map(event).collect();
            if !events.is_empty() {
                self.seen = commit.revision;
                return Ok(Some(Batch { revision: commit.revision, events }));
            }
        }
        // It may have begun ahead of what is known here.
        self.seen = self.seen.max(history.newest());
        Ok(None)
    }

    /// The revision up to which everything was given.
    pub fn seen(&self) -> Revision {
        self.seen
    }
}

fn event(change: &Change) -> Event {
    let key = change.key.to_vec();
    match &change.after {
        Some(entry) => Event::Put(Row { key, entry: entry.as_ref().clone() }),
        None => Event::Deleted(key),
    }
}
