//! The watch: brings every commit to the cache and to those who follow changes, in order, each once.
//!
//! A stream that breaks is opened again, on another server if need be, after the last commit that came whole; nothing is
//! missed, and until it is there reads see that the fence is ahead and ask the servers. What makes a gap (compacted
//! history, a commit that was left out) empties the cache, and watches learn that they have to begin again.

use crate::core::Core;
use crate::limits::{PAUSE, READ_TIMEOUT};
use crate::servers::Failure;
use crate::wire::{self, Event, EventKind, KeyValue, WatchAsk, WatchCreate, WatchRequest, WatchResponse};
use skerry_store::engine::{Change, Commit};
use skerry_store::{Revision, StoreError};
use std::sync::Arc;
use tokio::time::sleep;

/// Follows the store from `state` on, until it is aborted.
pub(crate) async fn run(core: Arc<Core>, mut state: Followed) {
    loop {
        let end = follow(&core, &mut state).await;
        if end == End::Gap {
            match core.head().await {
                Ok(head) => {
                    state = Followed::after(head.revision, head.version);
                    if core.restart(head.revision).is_err() {
                        return;
                    }
                }
                // Reads meet the same, and say so.
                Err(_) => sleep(PAUSE).await,
            }
            continue;
        }
        sleep(PAUSE).await;
    }
}

/// Why a stream is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It can be opened again where it ended.
    Broken,
    /// What comes after what was brought cannot be had.
    Gap,
}

async fn follow(core: &Core, state: &mut Followed) -> End {
    let (key, range_end) = core.layout.watched();
    let start_revision = core.etcd(state.revision).saturating_add(1);
    let create = WatchCreate { key, range_end, start_revision, fragment: true };
    let request = WatchRequest { ask: Some(WatchAsk::Create(create)) };
    let (mut answers, link) = match core.servers.stream::<_, WatchResponse>(wire::WATCH, request).await {
        Ok(opened) => opened,
        Err(Failure::Compacted) => return End::Gap,
        Err(_) => return End::Broken,
    };
    state.begin();
    // Whether a read was kept waiting since the last answer: this server, or the way to it, may have stopped.
    let mut late = false;
    loop {
        let answer = tokio::select! {
            answer = answers.message() => answer,
            () = core.lag.notified(), if !late => {
                late = true;
                continue;
            }
            () = sleep(READ_TIMEOUT), if late => Ok(None),
        };
        let Ok(Some(answer)) = answer else {
            core.servers.leave(&link).await;
            return End::Broken;
        };
        late = false;
        if answer.canceled {
            return if answer.compact_revision > 0 { End::Gap } else { End::Broken };
        }
        match state.take(answer.events, core) {
            Some(commits) => {
                core.learn(state.revision);
                if core.publish(commits).is_err() {
                    return End::Gap;
                }
            }
            None => return End::Gap,
        }
    }
}

/// How far the store was followed.
pub(crate) struct Followed {
    /// The last commit that came whole.
    revision: Revision,
    /// The version of the head it put.
    version: i64,
    /// What came of the next one yet.
    changes: Vec<Change>,
    /// Whose changes these are.
    pending: Revision,
}

impl Followed {
    pub(crate) fn after(revision: Revision, version: i64) -> Self {
        Self { revision, version, changes: Vec::new(), pending: revision }
    }

    /// Forgets what came of a commit that did not come whole: it comes again.
    fn begin(&mut self) {
        self.changes.clear();
        self.pending = self.revision;
    }

    /// The commits that are whole with these events; nothing if one was left out.
    fn take(&mut self, events: Vec<Event>, core: &Core) -> Option<Vec<Commit>> {
        let mut commits = Vec::new();
        for event in events {
            let row = event.kv?;
            let is_put = EventKind::try_from(event.kind).ok()? == EventKind::Put;
            let revision = core.revision(row.mod_revision);
            if revision != self.pending && !self.changes.is_empty() {
                // Somebody writes here who does not put the head. What he wrote is there, so it is shown.
                commits.push(Commit { revision: self.pending, changes: std::mem::take(&mut self.changes) });
            }
            self.pending = revision;
            if row.key == core.layout.head() {
                if !is_put || row.version != self.version.checked_add(1)? {
                    return None;
                }
                self.version = row.version;
                self.revision = revision;
                commits.push(Commit { revision, changes: std::mem::take(&mut self.changes) });
            } else {
                self.changes.push(change(row, is_put, core).ok()?);
            }
        }
        Some(commits)
    }
}

fn change(row: KeyValue, is_put: bool, core: &Core) -> Result<Change, StoreError> {
    let key = core.layout.key_of(&row.key)?.into();
    Ok(Change { key, before: None, after: is_put.then(|| Arc::new(core.entry(row))) })
}
