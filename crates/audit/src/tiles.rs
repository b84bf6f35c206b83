//! The files of a published log: tiles and entry bundles beside `audit.log`, by the names that C2SP gives them, and a place
//! from which their writer goes on.
//!
//! ```text
//! audit.log               the log itself: everything else here is derived from it, or signed over it
//! checkpoint              the newest signed checkpoint (tlog-checkpoint)
//! checkpoints/<SIZE>      signed checkpoints that are kept, one an hour; SIZE has 20 digits
//! tile/<L>/<N>[.p/<W>]    hashes (tlog-tiles)
//! tile/entries/<N>[.p/<W>] entries (tlog-tiles)
//! published               LOG:RECORDS:HASH:OCTETS, where the writer of tiles goes on; nobody believes it
//! key                     the public half of the key that signs, as NAME+ID+KEY
//! ```
//!
//! Files are written beside their place, synced, and put there by their name; partial tiles stay until the full one is there.

use crate::error::{AuditError, Step};
use crate::format::Hash;
use skerry_tlog::{TILE_WIDTH, TileId, TileKind, bundle, hashes_of, node_hash};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Where tiles of a growing tree are put together: the right edge of each level, and the entries of the last bundle.
#[derive(Default)]
pub(crate) struct Edge {
    size: u64,
    /// By level, the hashes of the tile that is not full.
    levels: Vec<Vec<Hash>>,
    /// The entries of the last bundle.
    entries: Vec<Vec<u8>>,
}

/// A tile and its octets; none of a bundle with an entry that no bundle can have, which earlier builds could write.
pub(crate) type Tile = (TileId, Option<Vec<u8>>);

impl Edge {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Goes on with a record. Tiles that are full now are added to `full`.
    pub(crate) fn push(&mut self, leaf: Hash, entry: Vec<u8>, full: &mut Vec<Tile>) {
        let width = usize::from(TILE_WIDTH);
        self.entries.push(entry);
        if self.entries.len() == width {
            let id = TileId { kind: TileKind::Entries, index: self.size / u64::from(TILE_WIDTH), width: TILE_WIDTH };
            full.push((id, bundled(&self.entries)));
            self.entries.clear();
        }
        self.size = self.size.saturating_add(1);
        let (mut hash, mut level) = (leaf, 0_u8);
        loop {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            let Some(tile) = self.levels.get_mut(at) else { return };
            tile.push(hash);
            if tile.len() < width {
                return;
            }
            hash = root_of(tile);
            let kind = TileKind::Hashes { level };
            // The tiles before it are those of the tree that are full.
            let index = TileId::of_tree(kind, self.size).0.saturating_sub(1);
            full.push((TileId { kind, index, width: TILE_WIDTH }, Some(tile.concat())));
            tile.clear();
            level = level.saturating_add(1);
        }
    }

    /// The tiles that are not full.
    pub(crate) fn partial(&self) -> Vec<Tile> {
        let levels = (0_u8..).zip(&self.levels);
        let hashes = levels.filter_map(|(level, hashes)| {
            let id = TileId::of_tree(TileKind::Hashes { level }, self.size).1?;
            Some((id, Some(hashes.concat())))
        });
        let entries = TileId::of_tree(TileKind::Entries, self.size).1.map(|id| (id, bundled(&self.entries)));
        hashes.chain(entries).collect()
    }

    /// The edge of a tree of this size, from its partial tiles; none if they are not all there. Nobody vouches for it.
    pub(crate) fn load(folder: &Folder, size: u64) -> Option<Self> {
        let mut levels = Vec::new();
        for level in 0..8 {
            let kind = TileKind::Hashes { level };
            let (full, partial) = TileId::of_tree(kind, size);
            levels.push(match partial {
                Some(id) => hashes_of(&folder.read(&id).ok()?, id.width).ok()?,
                None => Vec::new(),
            });
            if full == 0 {
                break;
            }
        }
        let entries = match TileId::of_tree(TileKind::Entries, size).1 {
            Some(id) => {
                let octets = folder.read(&id).ok()?;
                skerry_tlog::entries_of(&octets, id.width).ok()?.into_iter().map(<[u8]>::to_vec).collect()
            }
            None => Vec::new(),
        };
        Some(Self { size, levels, entries })
    }

    /// The tree's root, from the hashes of this edge alone.
    pub(crate) fn root(&self) -> Hash {
        // From the left: the highest level first, in each the complete subtrees.
        let mut parts = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (subtree, after) = rest.split_at(1 << rest.len().ilog2());
                parts.push(root_of(subtree));
                rest = after;
            }
        }
        let joined = parts.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(skerry_tlog::empty_root)
    }
}

fn bundled(entries: &[Vec<u8>]) -> Option<Vec<u8>> {
    bundle(entries.iter().map(Vec::as_slice)).ok()
}

/// The root over hashes whose number is a power of two.
fn root_of(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied().unwrap_or_else(skerry_tlog::empty_root)
}

/// The folder of a log, with what is published in it.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn read(&self, tile: &TileId) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(tile.to_string()))
    }

    pub(crate) fn has(&self, tile: &TileId) -> bool {
        self.path.join(tile.to_string()).is_file()
    }

    /// Puts a file in its place, durable but for its name; the folder of that is noted.
    pub(crate) fn put(&self, name: &str, octets: &[u8], touched: &mut BTreeSet<PathBuf>) -> Result<(), AuditError> {
        let failed = AuditError::io(Step::Publish);
        let place = self.path.join(name);
        let folder = place.parent().unwrap_or(&self.path);
        if !touched.contains(folder) {
            fs::create_dir_all(folder).map_err(&failed)?;
            // The names of folders above are made durable with it.
            touched.extend(folder.ancestors().take_while(|one| one.starts_with(&self.path)).map(Path::to_owned));
        }
        let beside = place.with_extension("new");
        let mut file = File::create(&beside).map_err(&failed)?;
        file.write_all(octets).and_then(|()| file.sync_data()).map_err(&failed)?;
        fs::rename(&beside, &place).map_err(&failed)
    }

    /// Makes the names of files durable.
    pub(crate) fn sync(&self, touched: &BTreeSet<PathBuf>) -> Result<(), AuditError> {
        let sync = |folder: &PathBuf| File::open(folder).and_then(|folder| folder.sync_all());
        touched.iter().try_for_each(sync).map_err(AuditError::io(Step::Publish))
    }

    /// Takes away the partial tiles of one that is full now.
    pub(crate) fn drop_partial(&self, full: &TileId) {
        // What stays is in nobody's way: verifying looks at it.
        let _ = fs::remove_dir_all(self.path.join(format!("{full}.p")));
    }
}
