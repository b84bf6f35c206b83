//! A tree that grows: its right edge, and the newest hashes, in memory.

use crate::hash::{Hash, empty_root, node_hash};
use crate::proof;
use std::collections::VecDeque;

/// The complete subtrees that a tree of some size consists of, from the largest: all that is needed to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

/// Hashes that are not those of a frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves does not consist of {len} complete subtrees")]
pub struct FrontierError {
    /// Leaves of the tree.
    pub size: u64,
    /// Hashes that were given.
    pub len: usize,
}

impl Frontier {
    /// That of a tree without leaves.
    pub fn empty() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// That of a tree of `size` leaves, from the largest subtree. The caller vouches for the hashes.
    pub fn new(size: u64, hashes: Vec<Hash>) -> Result<Self, FrontierError> {
        match usize::try_from(size.count_ones()) == Ok(hashes.len()) {
            true => Ok(Self { size, hashes }),
            false => Err(FrontierError { size, len: hashes.len() }),
        }
    }

    /// Leaves of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes, from the largest subtree.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let joined = self.hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(empty_root)
    }

    /// Goes on with a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size = self.size.saturating_add(1);
    }
}

/// A tree that grows, of which the newest hashes are kept: enough for proofs of the leaves from some index on.
#[derive(Clone, Debug)]
pub struct Tree {
    size: u64,
    /// By height: hashes of complete subtrees, the oldest gone.
    levels: Vec<Level>,
}

/// Complete subtrees of one height.
#[derive(Clone, Debug, Default)]
struct Level {
    /// Index of the first that is kept.
    start: u64,
    hashes: VecDeque<Hash>,
}

impl Level {
    fn get(&self, index: u64) -> Option<Hash> {
        let at = usize::try_from(index.checked_sub(self.start)?).ok()?;
        self.hashes.get(at).copied()
    }
}

impl Tree {
    /// Goes on from a frontier.
    pub fn new(from: &Frontier) -> Self {
        let mut hashes = from.hashes.iter().rev();
        let level = |height: u32| {
            let end = from.size.checked_shr(height).unwrap_or(0);
            let last = if end & 1 == 1 { hashes.next() } else { None };
            Level { start: end - u64::from(last.is_some()), hashes: last.into_iter().copied().collect() }
        };
        let heights = 0..u64::BITS - from.size.leading_zeros();
        Self { size: from.size, levels: heights.map(level).collect() }
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Goes on with a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let (mut hash, mut index, mut height) = (leaf, self.size, 0);
        loop {
            if self.levels.len() <= height {
                self.levels.push(Level { start: index, hashes: VecDeque::new() });
            }
            let Some(level) = self.levels.get_mut(height) else { break };
            level.hashes.push_back(hash);
            let left = index.checked_sub(1).filter(|_| index & 1 == 1).and_then(|left| level.get(left));
            let Some(left) = left else { break };
            hash = node_hash(&left, &hash);
            (index, height) = (index >> 1, height + 1);
        }
        self.size = self.size.saturating_add(1);
    }

    /// Drops what only proofs of leaves below `index` need.
    pub fn forget_below(&mut self, index: u64) {
        let index = index.min(self.size);
        for (height, level) in (0..).zip(&mut self.levels) {
            let needed = index.checked_shr(height).unwrap_or(0).saturating_sub(1);
            while level.start < needed && level.hashes.pop_front().is_some() {
                level.start += 1;
            }
        }
    }

    /// The hash of a complete subtree, if it is kept.
    pub fn node(&self, height: u8, index: u64) -> Option<Hash> {
        self.levels.get(usize::from(height))?.get(index)
    }

    /// The tree of the first `size` leaves, if enough is kept of it.
    pub fn frontier(&self, size: u64) -> Option<Frontier> {
        let heights = (0..u8::try_from(u64::BITS).unwrap_or(u8::MAX)).rev().filter(|height| size >> height & 1 == 1);
        let hashes = heights.map(|height| self.node(height, (size >> height) - 1)).collect::<Option<_>>()?;
        (size <= self.size).then_some(Frontier { size, hashes })
    }

    /// The root of the first `size` leaves, if enough is kept.
    pub fn root(&self, size: u64) -> Option<Hash> {
        self.frontier(size).map(|frontier| frontier.root())
    }

    /// The proof that leaf `index` is among the first `size`, if enough is kept.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if size > self.size {
            return None;
        }
        proof::inclusion(index, size, |height, index| self.node(height, index).ok_or(())).ok()?
    }
}
