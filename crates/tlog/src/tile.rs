//! Tiles and entry bundles: their names, their octets, and which tile has the hash of a subtree (tlog-tiles).

use crate::hash::{HASH_LEN, Hash, node_hash};
use std::fmt;

/// Hashes, or entries, of a full tile.
pub const TILE_WIDTH: u16 = 256;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Hashes of the subtrees of 256^level leaves.
    Hashes {
        /// From 0, where they are those of leaves, to 7: trees here have less than 2^64 leaves.
        level: u8,
    },
    /// The entries themselves.
    Entries,
}

/// Which tile: its place is `tile/<L>/<N>[.p/<W>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// What it holds.
    pub kind: TileKind,
    /// The how manieth of its kind.
    pub index: u64,
    /// How many hashes or entries it has: 1 to 256, all of them when it is full.
    pub width: u16,
}

/// Why octets or a path are no tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// The path is not one of a tile, in its one spelling.
    #[error("not the path of a tile")]
    Path,
    /// The octets are not so many hashes.
    #[error("tile has {len} octets, expected {expected}")]
    Length {
        /// Octets there are.
        len: usize,
        /// Octets there should be.
        expected: usize,
    },
    /// The octets are not so many entries, each after its length.
    #[error("entry bundle ends within entry {entry} or goes on after it")]
    Bundle {
        /// The entry that is not all there, or the number of entries there should be.
        entry: usize,
    },
    /// An entry is longer than a bundle can say.
    #[error("entry of {len} octets is too long for a bundle")]
    EntryTooLong {
        /// Its octets.
        len: usize,
    },
}

impl TileId {
    /// The tiles of a kind that a tree of `size` leaves has: how many full ones, and the partial one after them, if any.
    pub fn of_tree(kind: TileKind, size: u64) -> (u64, Option<TileId>) {
        let level = match kind {
            TileKind::Hashes { level } => u32::from(level),
            TileKind::Entries => 0,
        };
        let hashes = size.checked_shr(8 * level).unwrap_or(0);
        let full = hashes / u64::from(TILE_WIDTH);
        // Infallible: the remainder is below 256.
        let width = u16::try_from(hashes % u64::from(TILE_WIDTH)).unwrap_or(0);
        (full, (width > 0).then_some(TileId { kind, index: full, width }))
    }

    /// Whether it has all that a tile of its kind can have.
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same tile when it is full.
    pub fn full(self) -> TileId {
        TileId { width: TILE_WIDTH, ..self }
    }

    /// The tile with this path, which has one spelling.
    pub fn parse(path: &str) -> Result<TileId, TileError> {
        let rest = path.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (kind, rest) = rest.split_once('/').ok_or(TileError::Path)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes { level: level.parse().ok().filter(|level| *level < 8).ok_or(TileError::Path)? },
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().map_err(|_| TileError::Path)?),
            None => (rest, TILE_WIDTH),
        };
        let mut number: u64 = 0;
        for part in index.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            let digits = digits.parse::<u64>().ok();
            let next = digits.and_then(|digits| number.checked_mul(1000)?.checked_add(digits));
            number = next.ok_or(TileError::Path)?;
        }
        let tile = TileId { kind, index: number, width };
        // Leading zeroes, signs, more or fewer digits, widths out of range: all of them show here.
        if (1..=TILE_WIDTH).contains(&width) && tile.to_string() == path { Ok(tile) } else { Err(TileError::Path) }
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => write!(f, "tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place > 0 { write!(f, "x{group:03}/")? } else { write!(f, "{group:03}")? }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// The hashes of a tile of this width.
pub fn hashes_of(octets: &[u8], width: u16) -> Result<Vec<Hash>, TileError> {
    let expected = usize::from(width) * HASH_LEN;
    match octets.len() == expected {
        true => Ok(octets.as_chunks::<HASH_LEN>().0.to_vec()),
        false => Err(TileError::Length { len: octets.len(), expected }),
    }
}

/// The octets of a bundle of entries.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, TileError> {
    let mut octets = Vec::new();
    for entry in entries {
        let len = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong { len: entry.len() })?;
        octets.extend(len.to_be_bytes());
        octets.extend(entry);
    }
    Ok(octets)
}

/// The entries of a bundle of this width.
pub fn entries_of(octets: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let (mut rest, mut entries) = (octets, Vec::with_capacity(usize::from(width)));
    for entry in 0..usize::from(width) {
        let torn = TileError::Bundle { entry };
        let (len, after) = rest.split_first_chunk().ok_or(torn)?;
        let (body, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or(torn)?;
        entries.push(body);
        rest = after;
    }
    match rest.is_empty() {
        true => Ok(entries),
        false => Err(TileError::Bundle { entry: entries.len() }),
    }
}

/// Which tile of a tree of `size` leaves has the hash of a complete subtree, or those that it is made of.
pub fn tile_of_node(height: u8, index: u64, size: u64) -> TileId {
    let (kind, within) = (TileKind::Hashes { level: height / 8 }, height % 8);
    let at = (index << within) / u64::from(TILE_WIDTH);
    match TileId::of_tree(kind, size) {
        (full, Some(partial)) if at == full => partial,
        _ => TileId { kind, index: at, width: TILE_WIDTH },
    }
}

/// The hash of a complete subtree from the hashes of the tile that [`tile_of_node`] names; none if it does not have them.
pub fn node_of_tile(height: u8, index: u64, hashes: &[Hash]) -> Option<Hash> {
    let within = height % 8;
    let from = usize::try_from((index << within) % u64::from(TILE_WIDTH)).ok()?;
    let mut row = hashes.get(from..from.checked_add(1 << within)?)?.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}
