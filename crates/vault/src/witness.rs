//! Other nodes' logs, as this one has seen them.
//!
//! Each node of an installation has a log of its own. Each puts the newest signed checkpoints of the others on record in its
//! own, so that a log can be made anew only together with all others (docs/decisions/018). All their keys come from the one root.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use skerry_audit::{Entry, Event, Verdict};
use skerry_store::seal::Root;
use skerry_tlog::{Checkpoint, CheckpointError, SignedCheckpoint};

use crate::entries;
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

/// What was seen of others since this process started.
#[derive(Default)]
pub(crate) struct Witnessed {
    newest: Mutex<HashMap<String, Checkpoint>>,
}

impl Witnessed {
    /// The entry for a checkpoint, iff it is one of another node's and says something new; none if that is known.
    pub(crate) fn entry(
        &self,
        root: &Root,
        own: &str,
        note: &[u8],
        now: SystemTime,
    ) -> Result<Option<(Checkpoint, Entry)>, WitnessError> {
        let said = Checkpoint::parse_unverified(note).map_err(WitnessError::Checkpoint)?;
        if said.origin == own {
            return Err(WitnessError::Own);
        }
        let foreign = || WitnessError::Foreign { origin: said.origin.clone() };
        let id = said.origin.rsplit('/').next().and_then(|id| <[u8; 16]>::try_from(hex::decode(id).ok()?).ok());
        let id = id.filter(|id| origin(id) == said.origin).ok_or_else(foreign)?;
        let key = signing_key(root, &id).map_err(|_| foreign())?;
        let signed = SignedCheckpoint::verify(note, key.public()).map_err(WitnessError::Checkpoint)?;
        match self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(&said.origin) {
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
        let entry = Entry {
            subject: entries::sha256(&[b"skerry witness v1\0", note]),
            who: said.origin.clone(),
            ..entries::service(Event::Witnessed, now, Verdict::Permitted, signed.note().to_owned())
        };
        Ok(Some((said, entry)))
    }

    /// A checkpoint that is on record now.
    pub(crate) fn keep(&self, seen: Checkpoint) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = newest.entry(seen.origin.clone()).or_insert_with(|| seen.clone());
        if kept.size < seen.size {
            *kept = seen;
        }
    }
}
