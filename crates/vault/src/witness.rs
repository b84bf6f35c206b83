//! Other nodes' logs, and the store, as this node has seen them.
//!
//! Each node of an installation has a log of its own. Each puts the newest signed checkpoints of the others on record in its
//! own, so that a log can be made anew only together with all others (docs/decisions/018). All their keys come from the one root.
//!
//! What was seen is known over a restart: from a small file beside the log, and from the records that a start reads. With it
//! goes what the store had on its mind of this node. So a start finds a store that was put back, also if this node changed nothing
//! since, and an older checkpoint of another is refused at once (docs/decisions/025). The file is made of the log and
//! loses nothing with it; who reads the whole log tells what it finds ([`Witnessed::learn`]).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use minicbor::{Decoder, Encoder};
use skerry_audit::{AuditError, Entry, Event, Verdict, put_beside, read_beside};
use skerry_store::seal::Root;
use skerry_tlog::{Checkpoint, CheckpointError, Hash, SignedCheckpoint};

use crate::entries;
use crate::limits::{ACKNOWLEDGED_AFTER, WITNESSED_LEN_MAX};
use crate::publishing::{origin, signing_key};
use crate::refusal::Refusal;

/// Why a checkpoint of another log is not put on record. That it was offered is worth an operator's look.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum WitnessError {
    #[error("checkpoint")]
    Checkpoint(#[source] CheckpointError),
    #[error("{origin} is no log of a node of this installation")]
    Foreign { origin: String },
    #[error("it is of this node's own log")]
    Own,
    #[error("log {origin} had {known} records and has {found}: it was cut or put back")]
    Behind { origin: String, known: u64, found: u64 },
    #[error("log {origin} has two histories of {records} records")]
    Forked { origin: String, records: u64 },
    #[error("it could not be put on record")]
    Record(#[source] Refusal),
}

/// Why a store is not the one that this node has seen. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutBack {
    /// It remembers less of this node's log than it had acknowledged to it.
    #[error("the store knew of {known} records of this node's log and knows of {found}: it was put back")]
    OfThisNode {
        /// Records that it knew of.
        known: u64,
        /// Records that it knows of.
        found: u64,
    },
    /// It shows less of another node's log than this one has on record.
    #[error("the store showed {known} records of log {origin} and shows {found}: it was put back")]
    OfAnother {
        /// The other log.
        origin: String,
        /// Records that it showed.
        known: u64,
        /// Records that it shows.
        found: u64,
    },
    /// What the node has kept of all this is not of its form, or not of its log.
    #[error("the file {FILE} beside the log is malformed, or of another log")]
    Form,
    /// It could not be read.
    #[error("the file {FILE} beside the log")]
    Unread(#[source] AuditError),
}

/// What was seen of others, and of the store.
#[derive(Default)]
pub(crate) struct Witnessed {
    state: Mutex<State>,
    /// How often something was refused that contradicts what was seen.
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    newest: BTreeMap<String, Seen>,
    /// Records of this node's log that the store knows of: it acknowledged so a while ago, and nothing that was under way then can
    /// take that back.
    acknowledged: u64,
    /// What it acknowledged some time after that, and when, in seconds since 1970.
    newer: (u64, u64),
    /// What it acknowledged last.
    last: u64,
    /// The last that was refused of each log, so that it is on record once.
    refused: HashMap<String, (u64, Hash)>,
    /// Something is not in the file yet.
    changed: bool,
}

struct Seen {
    said: Checkpoint,
    note: Vec<u8>,
}

impl Witnessed {
    /// What the file in `folder`, of the log with this id, says.
    pub(crate) fn load(folder: &Path, log: &[u8; 16], root: &Root) -> Result<Witnessed, PutBack> {
        let Some(octets) = read_beside(folder, FILE).map_err(PutBack::Unread)? else { return Ok(Witnessed::default()) };
        let (acknowledged, notes) = from_bytes(&octets, log).ok_or(PutBack::Form)?;
        let witnessed = Witnessed::default();
        for note in notes {
            witnessed.learn(root, log, note).map_err(|_| PutBack::Form)?;
        }
        let mut state = witnessed.lock();
        (state.acknowledged, state.newer.0, state.last, state.changed) =
            (acknowledged, acknowledged, acknowledged, false);
        drop(state);
        Ok(witnessed)
    }

    /// Puts all of it in the file, if it is not there.
    pub(crate) fn save(&self, folder: &Path, log: &[u8; 16]) -> Result<(), AuditError> {
        let mut state = self.lock();
        if !state.changed {
            return Ok(());
        }
        let octets = to_bytes(&state, log);
        state.changed = false;
        drop(state);
        put_beside(folder, FILE, &octets).inspect_err(|_| self.lock().changed = true)
    }

    /// A checkpoint that is on record in this node's own log, of this id.
    pub(crate) fn learn(&self, root: &Root, own: &[u8; 16], note: &[u8]) -> Result<(), WitnessError> {
        let (said, signed) = verified(root, &origin(own), note)?;
        self.keep(said, signed.note());
        Ok(())
    }

    /// Refuses a store that knows of fewer records of this node's log than it did, or shows less of others than this node has
    /// seen. `shown` are notes; what is wrong with one itself is told when it is witnessed.
    pub(crate) fn check(&self, found: u64, shown: &[Vec<u8>]) -> Result<(), PutBack> {
        let state = self.lock();
        let known = state.acknowledged;
        if found < known {
            return Err(PutBack::OfThisNode { known, found });
        }
        for note in shown {
            let Ok(said) = Checkpoint::parse_unverified(note) else { continue };
            let known = state.newest.get(&said.origin).map_or(0, |seen| seen.said.size);
            if said.size < known {
                return Err(PutBack::OfAnother { origin: said.origin, known, found: said.size });
            }
        }
        Ok(())
    }

    /// The store has acknowledged, to a tick, that it knows of so many records. A commit that is under way beside it may know of
    /// fewer and come after it; none comes any more that was under way [`ACKNOWLEDGED_AFTER`] ago, so what was acknowledged then
    /// stands.
    pub(crate) fn acknowledged(&self, records: u64, now: u64) {
        let mut state = self.lock();
        let (newer, at) = state.newer;
        state.last = records;
        if now < at || now.saturating_sub(at) >= ACKNOWLEDGED_AFTER.as_secs() {
            // A clock that was put back says nothing of how long ago that was.
            if now >= at && state.acknowledged != newer {
                (state.acknowledged, state.changed) = (newer, true);
            }
            state.newer = (records, now);
        }
    }

    /// Nothing is under way any more.
    pub(crate) fn at_rest(&self) {
        let mut state = self.lock();
        state.changed |= state.acknowledged != state.last;
        state.acknowledged = state.last;
    }

    /// The entry for a checkpoint, iff it is one of another node's and says something new; none if that is known.
    pub(crate) fn entry(
        &self,
        root: &Root,
        own: &str,
        note: &[u8],
        now: SystemTime,
    ) -> Result<Option<(Checkpoint, Entry)>, WitnessError> {
        let (said, signed) = verified(root, own, note)?;
        match self.lock().newest.get(&said.origin).map(|seen| &seen.said) {
            Some(known) if known.size > said.size => {
                let (known, found) = (known.size, said.size);
                return Err(WitnessError::Behind { origin: said.origin, known, found });
            }
            Some(known) if known.size == said.size && known.root != said.root => {
                return Err(WitnessError::Forked { origin: said.origin, records: said.size });
            }
            Some(known) if known.size == said.size => return Ok(None),
            _ => {}
        }
        Ok(Some((said.clone(), entry(&said, Verdict::Permitted, signed.note().to_owned(), now))))
    }

    /// The entry for a checkpoint that contradicts what was seen: the error, and the note, which its own node has signed. None if
    /// it is on record already. That it was refused is counted each time.
    pub(crate) fn refusal(&self, error: &WitnessError, note: &[u8], now: SystemTime) -> Option<Entry> {
        if !matches!(error, WitnessError::Behind { .. } | WitnessError::Forked { .. }) {
            return None;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let said = Checkpoint::parse_unverified(note).ok()?;
        let last = self.lock().refused.insert(said.origin.clone(), (said.size, said.root));
        if last == Some((said.size, said.root)) {
            return None;
        }
        let text = format!("{error}\n{}", String::from_utf8_lossy(note));
        Some(entry(&said, Verdict::Denied, text, now))
    }

    /// How many other logs are known, and how often one was refused that contradicts what was seen.
    pub(crate) fn counted(&self) -> (usize, u64) {
        (self.lock().newest.len(), self.refused.load(Ordering::Relaxed))
    }

    /// A checkpoint that is on record now.
    pub(crate) fn keep(&self, said: Checkpoint, note: &str) {
        let mut state = self.lock();
        if state.newest.get(&said.origin).is_none_or(|known| known.said.size < said.size) {
            state.newest.insert(said.origin.clone(), Seen { said, note: note.as_bytes().to_vec() });
            state.changed = true;
        }
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a note says, iff the log of another node of this installation has signed it.
fn verified(root: &Root, own: &str, note: &[u8]) -> Result<(Checkpoint, SignedCheckpoint), WitnessError> {
    let said = Checkpoint::parse_unverified(note).map_err(WitnessError::Checkpoint)?;
    if said.origin == own {
        return Err(WitnessError::Own);
    }
    let foreign = || WitnessError::Foreign { origin: said.origin.clone() };
    let id = said.origin.rsplit('/').next().and_then(|id| <[u8; 16]>::try_from(hex::decode(id).ok()?).ok());
    let id = id.filter(|id| origin(id) == said.origin).ok_or_else(foreign)?;
    let key = signing_key(root, &id).map_err(|_| foreign())?;
    let signed = SignedCheckpoint::verify(note, key.public()).map_err(WitnessError::Checkpoint)?;
    Ok((said, signed))
}

fn entry(said: &Checkpoint, verdict: Verdict, explanation: String, now: SystemTime) -> Entry {
    Entry {
        subject: entries::sha256(&[b"skerry witness v1\0", explanation.as_bytes()]),
        who: said.origin.clone(),
        ..entries::service(Event::Witnessed, now, verdict, explanation)
    }
}

fn to_bytes(state: &State, log: &[u8; 16]) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        let count = u64::try_from(state.newest.len()).unwrap_or(u64::MAX);
        out.array(4)?.u8(FORMAT)?.bytes(log)?.u64(state.acknowledged)?.array(count)?;
        state.newest.values().try_for_each(|seen| out.bytes(&seen.note).map(drop))
    };
    // Infallible: writing to a vector.
    let _ = write();
    out.into_writer()
}

fn from_bytes<'a>(octets: &'a [u8], log: &[u8; 16]) -> Option<(u64, Vec<&'a [u8]>)> {
    let mut input = Decoder::new(octets);
    if octets.len() > WITNESSED_LEN_MAX || input.array().ok()? != Some(4) || input.u8().ok()? != FORMAT {
        return None;
    }
    if input.bytes().ok()? != log {
        return None;
    }
    let acknowledged = input.u64().ok()?;
    let count = input.array().ok()??;
    let notes = (0..count).map(|_| input.bytes().ok()).collect::<Option<_>>()?;
    (input.position() == octets.len()).then_some((acknowledged, notes))
}

/// The file beside the log.
pub(crate) const FILE: &str = "witnessed";
const FORMAT: u8 = 1;
