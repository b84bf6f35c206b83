//! Publishing a log beside itself: tiles and bundles of what is durable, and a signed checkpoint over them.
//!
//! What is published is read back from the file and hashed anew, apart from the thread that records, and is signed only if
//! its root is the one that the log itself has come to. Tiles are derived: where they are missing, or are not those of this
//! log, all are written again.

use crate::error::{AuditError, Step};
use crate::format::Hash;
use crate::reader::{Checkpoint, Head, Reader};
use crate::segment;
use crate::tiles::{Edge, Folder};
use skerry_tlog::{CheckpointError, Frontier, SignedCheckpoint, SigningKey, TileId, TileKind, VerifyingKey};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Why nothing is published. The log itself is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The log, or a file beside it, cannot be read or written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What stands in the file is not what the log wrote while it was open.
    #[error("the log's file has another tree after {records} records than the log wrote")]
    OtherTree {
        /// Records that both have.
        records: u64,
    },
    /// The checkpoint that is there is no checkpoint of this log's key.
    #[error("published checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The checkpoint that is there is larger than the log: the log was cut, or put back.
    #[error("checkpoint of {known} records is published, and the log has {found}")]
    Behind {
        /// Records that were signed for.
        known: u64,
        /// Records that are there.
        found: u64,
    },
    /// The checkpoint that is there was signed for other records than the log has: it has another history than it had.
    #[error("the published checkpoint was signed for other records than the first {known} that the log has")]
    Forked {
        /// Records that were signed for.
        known: u64,
    },
}

/// Publishes one log, from one thread.
pub struct Publisher {
    folder: Folder,
    key: SigningKey,
    /// Where the tiles end; none when that is to be found out.
    state: Option<State>,
    /// The checkpoint that was there, until the log is found to have the records that it was signed for.
    before: Option<SignedCheckpoint>,
    /// The hour of the checkpoint that was kept last.
    kept: Option<u64>,
}

struct State {
    edge: Edge,
    place: Checkpoint,
}

impl Publisher {
    /// Publishes the log in `dir`, and signs with `key`, whose name says which log it is.
    ///
    /// `found` is what the log has. A published checkpoint that says more, or that the key did not sign, or of other records, is
    /// refused: signing on would make two histories of one log. Of one that says less, that shows when it is published on.
    pub fn open(dir: &Path, key: SigningKey, found: &Checkpoint) -> Result<Self, PublishError> {
        let folder = Folder::new(dir);
        let mut before = None;
        if let Some(note) = read(dir, CHECKPOINT)? {
            let signed = SignedCheckpoint::verify(&note, key.public()).map_err(PublishError::Checkpoint)?;
            let (known, root, found) = (signed.size(), found.tree.root(), found.head.records);
            if known > found {
                return Err(PublishError::Behind { known, found });
            }
            if known == found && *signed.root() != root {
                return Err(PublishError::Forked { known });
            }
            before = Some(signed).filter(|_| known < found);
        }
        let mut touched = BTreeSet::new();
        let text = format!("{}\n", key.public());
        if read(dir, KEY)?.as_deref() != Some(text.as_bytes()) {
            folder.put(KEY, text.as_bytes(), &mut touched)?;
        }
        folder.sync(&touched)?;
        Ok(Self { folder, key, state: None, before, kept: None })
    }

    /// The key that checks what is published.
    pub fn key(&self) -> &VerifyingKey {
        self.key.public()
    }

    /// Publishes what is durable, iff it is not published yet. `durable` is what [`Log::durable`](crate::Log::durable) gave; of
    /// each hour of `now` one checkpoint is kept.
    pub fn publish(&mut self, durable: &Checkpoint, now: SystemTime) -> Result<Option<SignedCheckpoint>, PublishError> {
        // A failure leaves nothing half done in memory: the next time begins with what is on the disk.
        let state = match self.state.take() {
            Some(state) => state,
            None => self.load(durable)?,
        };
        let published = state.edge.size() == durable.head.records && self.is_published(durable)?;
        if published {
            self.state = Some(state);
            return Ok(None);
        }
        let state = match self.advance(state, durable) {
            // By the log alone: what differs may be the tiles that it was gone on from.
            Err(PublishError::OtherTree { .. } | PublishError::Forked { .. }) => {
                self.advance(State::begin(&self.folder)?, durable)?
            }
            advanced => advanced?,
        };
        let checkpoint = SignedCheckpoint::sign(&self.key, durable.head.records, durable.tree.root());
        self.put(&checkpoint, &state.place, now)?;
        (self.state, self.before) = (Some(state), None);
        Ok(Some(checkpoint))
    }

    /// Whether the file of the newest checkpoint says this, so that a file that was taken away comes again.
    fn is_published(&self, durable: &Checkpoint) -> Result<bool, PublishError> {
        let Some(note) = read(self.folder.path(), CHECKPOINT)? else { return Ok(false) };
        let known = SignedCheckpoint::verify(&note, self.key.public()).map_err(PublishError::Checkpoint)?;
        Ok(known.size() == durable.head.records && *known.root() == durable.tree.root())
    }

    /// Where the tiles on the disk end, iff they are all there, and not past what was signed; else the beginning.
    fn load(&self, durable: &Checkpoint) -> Result<State, PublishError> {
        let signed = |state: &State| self.before.as_ref().is_none_or(|before| state.edge.size() <= before.size());
        match State::load(&self.folder, durable).filter(signed) {
            Some(state) => Ok(state),
            None => State::begin(&self.folder),
        }
    }

    /// Whether these are the records that were signed for, where there are as many.
    fn meet(&self, edge: &Edge) -> Result<(), PublishError> {
        match self.before.as_ref().filter(|before| before.size() == edge.size()) {
            Some(before) if *before.root() != edge.root() => Err(PublishError::Forked { known: before.size() }),
            _ => Ok(()),
        }
    }

    /// Writes the tiles up to the durable end.
    fn advance(&self, state: State, durable: &Checkpoint) -> Result<State, PublishError> {
        let State { mut edge, place } = state;
        let (mut touched, mut full) = (BTreeSet::new(), Vec::new());
        let reader = Reader::after(segment::open_to_read(self.folder.path())?, &place)?;
        let mut reader =
            reader.ok_or(PublishError::OtherTree { records: place.head.records })?.until(place.len, durable.len);
        for record in reader.by_ref() {
            let record = record?;
            self.meet(&edge)?;
            edge.push(*record.leaf().hash(), record.entry_octets(), &mut full);
            for (id, octets) in full.drain(..) {
                self.put_tile(&id, octets.as_deref(), &mut touched)?;
                self.folder.drop_partial(&id);
            }
        }
        if edge.root() != durable.tree.root() {
            return Err(PublishError::OtherTree { records: durable.head.records });
        }
        for (id, octets) in edge.partial() {
            self.put_tile(&id, octets.as_deref(), &mut touched)?;
        }
        self.folder.sync(&touched)?;
        Ok(State { edge, place: durable.clone() })
    }

    fn put_tile(
        &self,
        id: &TileId,
        octets: Option<&[u8]>,
        touched: &mut BTreeSet<std::path::PathBuf>,
    ) -> Result<(), AuditError> {
        let Some(octets) = octets else { return Ok(()) };
        // Written again only if it is another, so that beginning anew is reading mostly.
        match self.folder.read(id) {
            Ok(there) if there == octets => Ok(()),
            _ => self.folder.put(&id.to_string(), octets, touched),
        }
    }

    fn put(&mut self, checkpoint: &SignedCheckpoint, place: &Checkpoint, now: SystemTime) -> Result<(), PublishError> {
        let (mut touched, note) = (BTreeSet::new(), checkpoint.note().as_bytes());
        let hour = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 3600);
        if self.kept != Some(hour) {
            self.folder.put(&format!("{KEPT}/{:020}", checkpoint.size()), note, &mut touched)?;
        }
        self.folder.put(CHECKPOINT, note, &mut touched)?;
        self.folder.put(PLACE, place_text(place).as_bytes(), &mut touched)?;
        self.folder.sync(&touched)?;
        self.kept = Some(hour);
        Ok(())
    }
}

impl State {
    fn begin(folder: &Folder) -> Result<Self, PublishError> {
        let reader = Reader::new(segment::open_to_read(folder.path())?)?;
        let place = Checkpoint { head: reader.head(), len: segment::header_len(), tree: Frontier::empty() };
        Ok(Self { edge: Edge::default(), place })
    }

    fn load(folder: &Folder, durable: &Checkpoint) -> Option<Self> {
        let (head, len) = parse_place(&read(folder.path(), PLACE).ok()??)?;
        if head.log != durable.head.log || head.records > durable.head.records || !all_there(folder, head.records) {
            return None;
        }
        let edge = Edge::load(folder, head.records)?;
        // The reader goes on from any tree of this size: what is signed is compared with the log's own root.
        let tree = Frontier::new(head.records, vec![[0; 32]; usize::try_from(head.records.count_ones()).ok()?]).ok()?;
        Some(Self { edge, place: Checkpoint { head, len, tree } })
    }
}

/// Whether every full tile of a tree of this size is there: one that a crash or somebody took is written again.
fn all_there(folder: &Folder, size: u64) -> bool {
    let hashes = (0..8).map(|level| TileKind::Hashes { level });
    hashes.chain([TileKind::Entries]).all(|kind| {
        let full = TileId::of_tree(kind, size).0;
        (0..full).all(|index| folder.has(&TileId { kind, index, width: skerry_tlog::TILE_WIDTH }))
    })
}

fn place_text(place: &Checkpoint) -> String {
    let Head { log, records, hash } = &place.head;
    format!("{}:{records}:{}:{}\n", hex::encode(log), hex::encode(hash), place.len)
}

fn parse_place(octets: &[u8]) -> Option<(Head, u64)> {
    let text = std::str::from_utf8(octets).ok()?.strip_suffix('\n')?;
    let mut parts = text.splitn(4, ':');
    let log = hex::decode(parts.next()?).ok()?.try_into().ok()?;
    let records = parts.next()?.parse().ok()?;
    let hash: Hash = hex::decode(parts.next()?).ok()?.try_into().ok()?;
    Some((Head { log, records, hash }, parts.next()?.parse().ok()?))
}

/// A small file beside the log in `dir`, put in its place whole and durable: what another program makes of the log.
pub fn put_beside(dir: &Path, name: &str, octets: &[u8]) -> Result<(), AuditError> {
    let (folder, mut touched) = (Folder::new(dir), BTreeSet::new());
    folder.put(name, octets, &mut touched)?;
    folder.sync(&touched)
}

/// Such a file, if it is there. Nobody vouches for what it says.
pub fn read_beside(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, AuditError> {
    read(dir, name)
}

/// A file beside the log, if it is there.
pub(crate) fn read(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, AuditError> {
    match fs::read(dir.join(name)) {
        Ok(octets) => Ok(Some(octets)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuditError::io(Step::Publish)(error)),
    }
}

/// The newest signed checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The folder of those that are kept.
pub(crate) const KEPT: &str = "checkpoints";
/// The public key.
pub(crate) const KEY: &str = "key";
const PLACE: &str = "published";
