//! All of a published log held together: the chain, the tree, every signed checkpoint that there is, and every tile.
//!
//! The log's file is read once, beside its writer if there is one. A checkpoint that its tree does not meet comes before any
//! fault of a tile, since tiles can be made again and a log cannot.

use crate::entry::{Event, Verdict};
use crate::error::{AuditError, Step};
use crate::format::Hash;
use crate::publish::{CHECKPOINT, KEPT, KEY, read};
use crate::query::Filter;
use crate::reader::{self, Reader, Record, Report};
use crate::segment;
use crate::tiles::{Edge, Folder, Tile};
use skerry_tlog::{
    CheckpointError, InclusionProof, KeyError, SignedCheckpoint, TILE_WIDTH, TileError, TileId, TileKind, VerifyingKey,
    consistency, entries_of, hashes_of, inclusion, node_of_tile, root, tile_of_node,
};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::{fmt, fs};

/// Which checkpoint of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest, in the file `checkpoint`.
    Published,
    /// One that was kept when the log had so many records.
    Kept {
        /// As its file's name says.
        records: u64,
    },
    /// One that the caller gave, from the first on.
    Given {
        /// From 0.
        number: usize,
    },
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published => write!(f, "the newest checkpoint"),
            Self::Kept { records } => write!(f, "the checkpoint kept of {records} records"),
            Self::Given { number } => write!(f, "checkpoint {} of those given", number.saturating_add(1)),
        }
    }
}

/// Why a published log does not hold. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The log itself cannot be read, or its chain does not hold.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// There are checkpoints, and no key to check them with.
    #[error("there is no key to check the log's checkpoints with")]
    KeyMissing,
    /// The file `key` has no key.
    #[error("file key")]
    Key(#[source] KeyError),
    /// There is a key, and no checkpoint that it signed.
    #[error("there is no signed checkpoint")]
    CheckpointMissing,
    /// A checkpoint is not one that the log's key signed.
    #[error("{which}")]
    Checkpoint {
        /// Which.
        which: Which,
        /// Why.
        #[source]
        error: CheckpointError,
    },
    /// A kept checkpoint is not the one that its name says.
    #[error("checkpoint kept as that of {named} records is of {found}")]
    Renamed {
        /// By the file's name.
        named: u64,
        /// By the note.
        found: u64,
    },
    /// The log has fewer records than were signed for.
    #[error("log was cut: {which} is of {known} records, and {found} are there")]
    Truncated {
        /// Which checkpoint.
        which: Which,
        /// Records that were signed for.
        known: u64,
        /// Records that are there.
        found: u64,
    },
    /// The log holds by itself and is not the one that was signed for: its records, from this one on, are not those that the
    /// tiles under the signature have.
    #[error("log was rewritten from record {index} on")]
    Rewritten {
        /// The first record that differs.
        index: u64,
    },
    /// The log holds by itself and is not the one that was signed for.
    #[error("log is a fork: {which} was signed for other records, {known} of them")]
    Forked {
        /// Which checkpoint.
        which: Which,
        /// Records that were signed for.
        known: u64,
    },
    /// A tile is not there.
    #[error("{tile} is missing")]
    TileMissing {
        /// Which.
        tile: TileId,
    },
    /// A tile is there as it was when it had fewer hashes or entries.
    #[error("{tile} is missing, and an older one of width {width} is there")]
    TileOlder {
        /// The one that is missing.
        tile: TileId,
        /// What the older one has.
        width: u16,
    },
    /// A tile is shorter or longer than one of its width.
    #[error("{tile} has {len} octets, expected {expected}")]
    TileLength {
        /// Which.
        tile: TileId,
        /// Octets that it has.
        len: usize,
        /// Octets of the true one.
        expected: usize,
    },
    /// A tile has other hashes or entries than the log.
    #[error("{tile} differs from the log")]
    TileDiffers {
        /// Which.
        tile: TileId,
    },
    /// Something among the tiles is none of this log.
    #[error("{name} is no tile of this log")]
    TileForeign {
        /// Its path.
        name: String,
    },
    /// The record is not among those that are published.
    #[error("record {index} is not below the {published} that are published")]
    NotPublished {
        /// Which record, or how many.
        index: u64,
        /// Records that are published.
        published: u64,
    },
}

/// What was found of a log that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its last record, and its tree.
    pub report: Report,
    /// The newest checkpoint, if anything is published.
    pub published: Option<SignedCheckpoint>,
    /// Checkpoints that were checked, all kinds.
    pub checkpoints: usize,
    /// Tiles and bundles that were compared.
    pub tiles: u64,
    /// The key, if anything is published.
    pub key: Option<VerifyingKey>,
}

/// Checks all of the log in `dir`, and shows each record on the way.
///
/// `key` is the log's key as the caller knows it; without one the file beside the log is believed, which shows changes by
/// everybody but who can sign. `since` are notes of checkpoints that were kept elsewhere.
pub fn check(
    dir: &Path,
    key: Option<&VerifyingKey>,
    since: &[Vec<u8>],
    mut visit: impl FnMut(&Record),
) -> Result<Checked, CheckError> {
    let key = key_of(dir, key)?;
    let known = Known::load(dir, key.as_ref(), since)?;
    let published = known.published.as_ref().map_or(0, SignedCheckpoint::size);
    let (folder, file) = (Folder::new(dir), segment::open_to_read(dir)?);
    let len = segment::len(&file)?;
    let mut reader = Reader::new(file)?;
    let mut tiles = Compare { folder: &folder, compared: 0, fault: None };
    let (mut edge, mut full) = (Edge::default(), Vec::new());
    known.meet(&reader, dir)?;
    while let Some(record) = reader.next() {
        let record = record?;
        if edge.size() < published {
            edge.push(*record.leaf().hash(), record.entry_octets(), &mut full);
            full.drain(..).for_each(|tile| tiles.full(&tile));
            if edge.size() == published {
                edge.partial().iter().for_each(|tile| tiles.partial(tile));
            }
        }
        known.meet(&reader, dir)?;
        visit(&record);
    }
    let report = reader.finish(None)?;
    known.reached(report.head.records)?;
    tiles.foreign(&report, len)?;
    match tiles.fault {
        Some(fault) => Err(fault),
        None => {
            Ok(Checked { report, checkpoints: known.len(), published: known.published, tiles: tiles.compared, key })
        }
    }
}

fn key_of(dir: &Path, key: Option<&VerifyingKey>) -> Result<Option<VerifyingKey>, CheckError> {
    match key {
        Some(key) => Ok(Some(key.clone())),
        None => key_beside(dir),
    }
}

/// The key in the file `key` beside a log, which whoever writes there vouches for.
pub fn key_beside(dir: &Path) -> Result<Option<VerifyingKey>, CheckError> {
    let Some(octets) = read(dir, KEY)? else { return Ok(None) };
    let text = std::str::from_utf8(&octets).map_err(|_| CheckError::Key(KeyError::Form))?;
    VerifyingKey::parse(text.strip_suffix('\n').unwrap_or(text)).map(Some).map_err(CheckError::Key)
}

/// The note of another log's checkpoint that a record witnesses. One that was refused is on record as denied, and is none.
pub fn witnessed(record: &Record) -> Option<Vec<u8>> {
    let asked = Filter { events: vec![Event::Witnessed], verdict: Some(Verdict::Permitted), ..Filter::default() };
    Some(asked.entry(record).ok()??.explanation.into_bytes())
}

/// The newest published checkpoint of the log in `dir`, if there is one.
pub fn published(dir: &Path, key: &VerifyingKey) -> Result<Option<SignedCheckpoint>, CheckError> {
    let Some(note) = read(dir, CHECKPOINT)? else { return Ok(None) };
    let which = Which::Published;
    SignedCheckpoint::verify(&note, key).map(Some).map_err(|error| CheckError::Checkpoint { which, error })
}

/// What was signed of a log, by size.
struct Known {
    published: Option<SignedCheckpoint>,
    by_size: BTreeMap<u64, Vec<(Which, Hash)>>,
}

impl Known {
    fn load(dir: &Path, key: Option<&VerifyingKey>, since: &[Vec<u8>]) -> Result<Self, CheckError> {
        let newest = read(dir, CHECKPOINT)?;
        let mut notes: Vec<_> = newest.iter().map(|note| (Which::Published, note.clone())).collect();
        let names = names_in(&dir.join(KEPT))?;
        let mut sizes: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        sizes.sort_unstable();
        for records in sizes {
            if let Some(note) = read(dir, &format!("{KEPT}/{records:020}"))? {
                notes.push((Which::Kept { records }, note));
            }
        }
        notes.extend((0..).zip(since).map(|(number, note)| (Which::Given { number }, note.clone())));
        let Some(key) = key else {
            let none = Self { published: None, by_size: BTreeMap::new() };
            return if notes.is_empty() { Ok(none) } else { Err(CheckError::KeyMissing) };
        };
        if newest.is_none() {
            return Err(CheckError::CheckpointMissing);
        }
        let (mut published, mut by_size) = (None, BTreeMap::<_, Vec<_>>::new());
        for (which, note) in notes {
            let verified = SignedCheckpoint::verify(&note, key);
            let checkpoint = verified.map_err(|error| CheckError::Checkpoint { which, error })?;
            let found = checkpoint.size();
            if let Which::Kept { records: named } = which
                && named != found
            {
                return Err(CheckError::Renamed { named, found });
            }
            by_size.entry(found).or_default().push((which, *checkpoint.root()));
            if which == Which::Published {
                published = Some(checkpoint);
            }
        }
        Ok(Self { published, by_size })
    }

    fn len(&self) -> usize {
        self.by_size.values().map(Vec::len).sum()
    }

    /// Compares the tree so far with what was signed of a tree of this size.
    fn meet(&self, reader: &Reader, dir: &Path) -> Result<(), CheckError> {
        let Some(signed) = self.by_size.get(&reader.tree().size()) else { return Ok(()) };
        let root = reader.tree().root();
        match signed.iter().find(|(_, signed)| *signed != root) {
            Some((which, signed)) => Err(self.differs(*which, reader.tree().size(), signed, dir)),
            None => Ok(()),
        }
    }

    fn reached(&self, found: u64) -> Result<(), CheckError> {
        let beyond = self.by_size.range(found.saturating_add(1)..).next();
        match beyond.and_then(|(known, signed)| Some((*known, signed.first()?.0))) {
            Some((known, which)) => Err(CheckError::Truncated { which, known, found }),
            None => Ok(()),
        }
    }

    /// What to say of a log that is not the one that was signed for: where it leaves that, if the tiles have it.
    fn differs(&self, which: Which, known: u64, signed: &Hash, dir: &Path) -> CheckError {
        let forked = CheckError::Forked { which, known };
        let Some(size) = self.published.as_ref().map(SignedCheckpoint::size) else { return forked };
        let tiles = Tiles { folder: Folder::new(dir), size };
        if root(known, |height, index| tiles.node(height, index)).as_ref() != Ok(signed) {
            return forked;
        }
        let Ok(reader) = reader::read(dir) else { return forked };
        for record in reader {
            let Ok(leaf) = record.map(|record| record.leaf()) else { break };
            // What differs comes before the place that does; tiles that say otherwise are not those of one log.
            if leaf.index() >= known {
                break;
            }
            if tiles.node(0, leaf.index()).as_ref() != Ok(leaf.hash()) {
                return CheckError::Rewritten { index: leaf.index() };
            }
        }
        forked
    }
}

/// Tiles compared with those that the log has.
struct Compare<'a> {
    folder: &'a Folder,
    compared: u64,
    fault: Option<CheckError>,
}

impl Compare<'_> {
    fn full(&mut self, (tile, octets): &Tile) {
        let Some(octets) = octets else { return };
        let found = match self.folder.read(tile) {
            Ok(found) => differs(tile, &found, octets),
            Err(_) => Some(self.missing(tile)),
        };
        self.note(found);
        self.older(tile, octets);
    }

    /// A writer may have made it full meanwhile; then that one begins with it.
    fn partial(&mut self, (tile, octets): &Tile) {
        let Some(octets) = octets else { return };
        let found = match (self.folder.read(tile), self.folder.read(&tile.full())) {
            (Ok(found), _) => differs(tile, &found, octets),
            (Err(_), Ok(found)) if found.starts_with(octets) => None,
            (Err(_), Ok(_)) => Some(CheckError::TileDiffers { tile: *tile }),
            (Err(_), Err(_)) => Some(self.missing(tile)),
        };
        self.note(found);
        self.older(tile, octets);
    }

    fn note(&mut self, found: Option<CheckError>) {
        self.compared = self.compared.saturating_add(1);
        self.fault = self.fault.take().or(found);
    }

    /// Partial tiles from before that are there still begin the same.
    fn older(&mut self, tile: &TileId, octets: &[u8]) {
        for width in self.widths(tile).into_iter().filter(|width| *width < tile.width) {
            let older = TileId { width, ..*tile };
            // A writer takes it away once the full one is there.
            let Ok(found) = self.folder.read(&older) else { continue };
            let same = is_prefix(&older, &found, octets);
            self.note((!same).then_some(CheckError::TileDiffers { tile: older }));
        }
    }

    fn missing(&self, tile: &TileId) -> CheckError {
        match self.widths(tile).into_iter().filter(|width| *width < tile.width).max() {
            Some(width) => CheckError::TileOlder { tile: *tile, width },
            None => CheckError::TileMissing { tile: *tile },
        }
    }

    /// Widths of the partial tiles that are there.
    fn widths(&self, tile: &TileId) -> Vec<u16> {
        let folder = self.folder.path().join(format!("{}.p", tile.full()));
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let tiles =
            files.filter_map(|file| TileId::parse(&format!("{}.p/{}", tile.full(), file.file_name().to_str()?)).ok());
        tiles.map(|tile| tile.width).collect()
    }

    /// Whether every file among the tiles is one of this log's. Its writer may be ahead of what was read.
    fn foreign(&mut self, report: &Report, len: u64) -> Result<(), CheckError> {
        let grown = segment::len(&segment::open_to_read(self.folder.path())?)?.saturating_sub(len);
        // A record has 84 octets at least.
        let records = report.head.records.saturating_add(grown.div_ceil(84));
        let mut folders = vec![self.folder.path().join("tile")];
        while let Some(folder) = folders.pop() {
            for file in fs::read_dir(&folder).into_iter().flatten() {
                let file = file.map_err(AuditError::io(Step::Publish))?.path();
                if file.is_dir() {
                    folders.push(file);
                    continue;
                }
                let name = file.strip_prefix(self.folder.path()).unwrap_or(&file).to_string_lossy().into_owned();
                let written = name.ends_with(".new");
                if !written && !is_tile_of(&name, records) && file.exists() {
                    self.note(Some(CheckError::TileForeign { name }));
                }
            }
        }
        Ok(())
    }
}

/// Names in a folder, which need not be there. One that cannot be read is not one that is empty.
fn names_in(folder: &Path) -> Result<Vec<String>, AuditError> {
    let failed = AuditError::io(Step::Publish);
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let names = files.map(|file| file.map(|file| file.file_name().into_string().ok()).map_err(&failed));
    Ok(names.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn differs(tile: &TileId, found: &[u8], octets: &[u8]) -> Option<CheckError> {
    if found.len() != octets.len() {
        return Some(CheckError::TileLength { tile: *tile, len: found.len(), expected: octets.len() });
    }
    (found != octets).then_some(CheckError::TileDiffers { tile: *tile })
}

/// Whether octets are those of an older tile of which `newer` has more.
fn is_prefix(older: &TileId, octets: &[u8], newer: &[u8]) -> bool {
    let whole = match older.kind {
        TileKind::Hashes { .. } => hashes_of(octets, older.width).is_ok(),
        TileKind::Entries => entries_of(octets, older.width).is_ok(),
    };
    whole && newer.starts_with(octets)
}

fn is_tile_of(name: &str, records: u64) -> bool {
    TileId::parse(name).is_ok_and(|tile| {
        let (full, partial) = TileId::of_tree(tile.kind, records);
        tile.index < full || partial.is_some_and(|partial| tile.index == partial.index && tile.width <= partial.width)
    })
}

/// The tiles of a published log, by which proofs are made without reading it.
struct Tiles {
    folder: Folder,
    size: u64,
}

impl Tiles {
    fn read(&self, tile: TileId) -> Result<(TileId, Vec<u8>), CheckError> {
        match (self.folder.read(&tile), self.folder.read(&tile.full())) {
            (Ok(octets), _) => Ok((tile, octets)),
            (Err(_), Ok(octets)) => Ok((tile.full(), octets)),
            (Err(_), Err(_)) => Err(CheckError::TileMissing { tile }),
        }
    }

    fn node(&self, height: u8, index: u64) -> Result<Hash, CheckError> {
        let (tile, octets) = self.read(tile_of_node(height, index, self.size))?;
        let hashes = hashes_of(&octets, tile.width).map_err(|error| damaged(tile, error))?;
        node_of_tile(height, index, &hashes).ok_or(CheckError::TileMissing { tile })
    }

    fn entry(&self, index: u64) -> Result<Vec<u8>, CheckError> {
        let (kind, at) = (TileKind::Entries, index / u64::from(TILE_WIDTH));
        let tile = match TileId::of_tree(kind, self.size) {
            (full, Some(partial)) if at == full => partial,
            _ => TileId { kind, index: at, width: TILE_WIDTH },
        };
        let (tile, octets) = self.read(tile)?;
        let entries = entries_of(&octets, tile.width).map_err(|error| damaged(tile, error))?;
        let within = usize::try_from(index % u64::from(TILE_WIDTH)).unwrap_or(usize::MAX);
        entries.get(within).map(|entry| entry.to_vec()).ok_or(CheckError::TileMissing { tile })
    }
}

fn damaged(tile: TileId, error: TileError) -> CheckError {
    match error {
        TileError::Length { len, expected } => CheckError::TileLength { tile, len, expected },
        _ => CheckError::TileDiffers { tile },
    }
}

/// A published log, of which proofs are made from tiles; each is checked against the signed root before it is given.
pub struct Published {
    tiles: Tiles,
    checkpoint: SignedCheckpoint,
}

impl Published {
    /// The log that is published in `dir`, by its newest checkpoint.
    pub fn open(dir: &Path, key: &VerifyingKey) -> Result<Self, CheckError> {
        let checkpoint = published(dir, key)?.ok_or(CheckError::CheckpointMissing)?;
        Ok(Self { tiles: Tiles { folder: Folder::new(dir), size: checkpoint.size() }, checkpoint })
    }

    /// Its newest checkpoint.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The proof that a record is in it, with the record.
    pub fn inclusion(&self, index: u64) -> Result<InclusionProof, CheckError> {
        let size = self.checkpoint.size();
        let path = inclusion(index, size, |height, index| self.tiles.node(height, index))?;
        let path = path.ok_or(CheckError::NotPublished { index, published: size })?;
        let (leaf, entry) = (self.tiles.node(0, index)?, self.tiles.entry(index)?);
        let tile = tile_of_node(0, index, size);
        if skerry_tlog::verify_inclusion(&leaf, index, size, self.checkpoint.root(), &path).is_err() {
            return Err(CheckError::TileDiffers { tile });
        }
        if skerry_tlog::leaf_hash(&entry) != leaf {
            return Err(CheckError::TileDiffers { tile: TileId { kind: TileKind::Entries, ..tile } });
        }
        Ok(InclusionProof { entry: Some(entry), index, path, note: self.checkpoint.note().to_owned() })
    }

    /// The proof that it continues an older checkpoint.
    pub fn consistency(&self, older: &SignedCheckpoint) -> Result<Vec<Hash>, CheckError> {
        let (known, size) = (older.size(), self.checkpoint.size());
        let proof = consistency(known, size, |height, index| self.tiles.node(height, index))?;
        let proof = proof.ok_or(CheckError::NotPublished { index: known, published: size })?;
        let (before, after) = ((known, older.root()), (size, self.checkpoint.root()));
        match skerry_tlog::verify_consistency(before, after, &proof) {
            Ok(()) => Ok(proof),
            Err(_) => Err(CheckError::Forked { which: Which::Given { number: 0 }, known }),
        }
    }
}
