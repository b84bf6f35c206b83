//! The watch: brings every commit to the cache and to those who follow changes, in order, each once.
//!
//! A stream that breaks is opened again, on another server if need be, after the last commit that came whole; nothing is
//! missed, and until it is there reads see that the fence is ahead and ask the servers. What makes a gap (compacted
//! history, a commit that was left out) empties the cache, and watches learn that they have to begin again.

use crate::core::Core;
use crate::failure::Failure;
use crate::limits::{PAUSE, READ_TIMEOUT};
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Head;
    use crate::layout::Layout;
    use crate::options::{Options, Trust};
    use crate::servers::Servers;

    fn core() -> Core {
        let servers = Servers::new(&Options::new(vec!["http://127.0.0.1:1".to_owned()], Trust::DangerNone)).unwrap();
        Core::new(servers, Layout::new("s/"), 100, Head { revision: Revision(10), version: 5 }, 1 << 20)
    }

    fn event(key: &[u8], revision: i64, version: i64, kind: EventKind) -> Event {
        let kv = KeyValue { key: key.to_vec(), create_revision: 101, mod_revision: revision, version, value: vec![] };
        Event { kind: kind.into(), kv: Some(kv) }
    }

    fn put(key: &str, revision: i64) -> Event {
        event(format!("s/data/{key}").as_bytes(), revision, 1, EventKind::Put)
    }

    fn head(revision: i64, version: i64) -> Event {
        event(b"s/head", revision, version, EventKind::Put)
    }

    /// Revisions with how many changes each has.
    fn taken(followed: &mut Followed, core: &Core, events: Vec<Event>) -> Option<Vec<(u64, usize)>> {
        let commits = followed.take(events, core)?;
        Some(commits.iter().map(|commit| (commit.revision.0, commit.changes.len())).collect())
    }

    #[test]
    fn a_commit_is_whole_when_its_head_has_come() {
        // However answers cut it; what came of one before the stream broke comes again, and counts once.
        let (core, mut followed) = (core(), Followed::after(Revision(10), 5));
        assert_eq!(taken(&mut followed, &core, vec![put("a", 111)]), Some(vec![]));
        assert_eq!(taken(&mut followed, &core, vec![put("b", 111)]), Some(vec![]));
        let rest = vec![head(111, 6), head(113, 7), put("c", 115)];
        assert_eq!(taken(&mut followed, &core, rest), Some(vec![(11, 2), (13, 0)]));
        followed.begin();
        assert_eq!(taken(&mut followed, &core, vec![put("c", 115), head(115, 8)]), Some(vec![(15, 1)]));
        assert_eq!(followed.revision, Revision(15));
    }

    #[test]
    fn a_commit_left_out_is_a_gap() {
        // Heads are counted; one that is deleted, made anew, or comes twice is no more believed.
        for (version, kind) in [(7, EventKind::Put), (5, EventKind::Put), (1, EventKind::Put), (6, EventKind::Delete)] {
            let (core, mut followed) = (core(), Followed::after(Revision(10), 5));
            let events = vec![put("a", 111), event(b"s/head", 111, version, kind)];
            assert_eq!(taken(&mut followed, &core, events), None, "{version}");
        }
        // As is a key that was not asked for.
        let (core, mut followed) = (core(), Followed::after(Revision(10), 5));
        assert_eq!(taken(&mut followed, &core, vec![event(b"t/data/a", 111, 1, EventKind::Put)]), None);
    }

    #[test]
    fn what_others_write_is_shown() {
        // Without a head, by somebody with etcd's own tools: as its own change, before the next commit.
        let (core, mut followed) = (core(), Followed::after(Revision(10), 5));
        let events = vec![put("a", 111), put("b", 112), head(112, 6)];
        assert_eq!(taken(&mut followed, &core, events), Some(vec![(11, 1), (12, 1)]));
    }
}
