//! Roots and proofs from the hashes of complete subtrees, and their verification (RFC 9162, 2.1.1, 2.1.3, 2.1.4).
//!
//! What is made here asks for hashes of complete subtrees only: `node(level, index)` is the hash over the leaves
//! `index << level .. (index + 1) << level`. Who answers vouches for it; memory and tiles both can. What is verified here is
//! worth what the root it is verified against is worth.

use crate::hash::{Hash, empty_root, node_hash};

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf is not in a tree of this size, or the older tree is the larger one.
    #[error("{index} is not below a tree of size {size}")]
    Range {
        /// Index of the leaf, or size of the older tree.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// There are more or fewer hashes than a proof for this place has.
    #[error("proof has {len} hashes, which is not what this place takes")]
    Length {
        /// Hashes in the proof.
        len: usize,
    },
    /// The hashes do not lead to the root of the tree.
    #[error("proof leads to another root")]
    Root,
    /// The hashes do not lead to the root of the older tree.
    #[error("proof leads to another older root")]
    OldRoot,
}

/// The root of the first `size` leaves.
pub fn root<E>(size: u64, mut node: impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    match size {
        0 => Ok(empty_root()),
        _ => range(0, size, &mut node),
    }
}

/// The proof that leaf `index` is among the first `size` (RFC 9162, 2.1.3.1): from the leaf's sibling up. None if it is not.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut from, mut len, mut path) = (0, size, Vec::new());
    while len > 1 {
        let half = split(len);
        if index - from < half {
            path.push(range(from + half, len - half, &mut node)?);
            len = half;
        } else {
            path.push(range(from, half, &mut node)?);
            (from, len) = (from + half, len - half);
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// The proof that the first `old` leaves are those of the tree of the first `size` (RFC 9162, 2.1.4.1). None if there are more
/// of them; empty if there is nothing to prove, of no leaves or of all.
pub fn consistency<E>(
    old: u64,
    size: u64,
    mut node: impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if old > size {
        return Ok(None);
    }
    if old == 0 {
        return Ok(Some(Vec::new()));
    }
    let (mut from, mut len, mut rest, mut known, mut path) = (0, size, old, true, Vec::new());
    while rest < len {
        let half = split(len);
        if rest <= half {
            path.push(range(from + half, len - half, &mut node)?);
            len = half;
        } else {
            path.push(range(from, half, &mut node)?);
            (from, len, rest, known) = (from + half, len - half, rest - half, false);
        }
    }
    if !known {
        path.push(range(from, len, &mut node)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// Whether a leaf with this hash is at this index of the tree of this size and root (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, path: &[Hash]) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range { index, size });
    }
    let length = ProofError::Length { len: path.len() };
    let mut climb = Climb { place: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in path {
        hash = match climb.step().ok_or(length)? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    match (climb.last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(length),
    }
}

/// Whether the tree of `size` leaves begins with the leaves of the one of `old` (RFC 9162, 2.1.4.2). Of none, or of all, there is
/// nothing to prove but the root.
pub fn verify_consistency(
    (old, old_root): (u64, &Hash),
    (size, root): (u64, &Hash),
    path: &[Hash],
) -> Result<(), ProofError> {
    if old > size {
        return Err(ProofError::Range { index: old, size });
    }
    let length = ProofError::Length { len: path.len() };
    if old == 0 || old == size {
        let expected = if old == size { root } else { &empty_root() };
        return match (path.is_empty(), old_root == expected) {
            (false, _) => Err(length),
            (true, false) => Err(ProofError::OldRoot),
            (true, true) => Ok(()),
        };
    }
    // An older tree that is complete is a subtree of the newer: its root is not repeated.
    let (first, rest) = match old.is_power_of_two() {
        true => (*old_root, path),
        false => path.split_first().map(|(first, rest)| (*first, rest)).ok_or(length)?,
    };
    let mut climb = Climb { place: old - 1, last: size - 1 };
    climb.up(climb.place.trailing_ones());
    let (mut old_hash, mut hash) = (first, first);
    for sibling in rest {
        match climb.step().ok_or(length)? {
            Side::Left => {
                old_hash = node_hash(sibling, &old_hash);
                hash = node_hash(sibling, &hash);
            }
            Side::Right => hash = node_hash(&hash, sibling),
        }
    }
    match (climb.last, old_hash == *old_root, hash == *root) {
        (0, true, true) => Ok(()),
        (0, false, _) => Err(ProofError::OldRoot),
        (0, true, false) => Err(ProofError::Root),
        _ => Err(length),
    }
}

/// On which side of the path the next sibling is.
enum Side {
    Left,
    Right,
}

/// The way from a place up to the root, beside that of the last leaf.
struct Climb {
    place: u64,
    last: u64,
}

impl Climb {
    /// The side of the next sibling; none when the root is reached.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.place & 1 == 1 || self.place == self.last {
            // A last subtree without a sibling on its level goes up until it has one.
            self.up(self.place.trailing_zeros());
            Side::Left
        } else {
            Side::Right
        };
        self.up(1);
        Some(side)
    }

    fn up(&mut self, levels: u32) {
        self.place = self.place.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }
}

/// The hash over `len` leaves from `from` on, where `from` is a multiple of the first power of two not below `len`.
fn range<E>(from: u64, len: u64, node: &mut impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    // From the left: complete subtrees, each smaller than the one before.
    let (mut at, mut rest, mut parts) = (from, len, Vec::new());
    while rest > 0 {
        let level = rest.ilog2();
        parts.push(node(u8::try_from(level).unwrap_or(u8::MAX), at >> level)?);
        (at, rest) = (at + (1 << level), rest - (1 << level));
    }
    let joined = parts.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    Ok(joined.unwrap_or_else(empty_root))
}

/// The largest power of two below `len`, which is at least 2.
fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}
