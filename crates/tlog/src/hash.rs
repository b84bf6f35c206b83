//! The two hashes of a tree (RFC 9162, 2.1.1; RFC 6962, 2.1). A leaf is never taken for a node: the first octet differs.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// Octets of a hash.
pub const HASH_LEN: usize = 32;

/// SHA-256 of something.
pub type Hash = [u8; HASH_LEN];

/// The hash of a leaf with these octets.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[LEAF], entry])
}

/// The hash of the node over these two.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut octets = [NODE; 1 + 2 * HASH_LEN];
    octets.iter_mut().skip(1).zip(left.iter().chain(right)).for_each(|(to, from)| *to = *from);
    of(digest(&SHA256, &octets).as_ref())
}

/// The root of a tree without leaves: the hash of nothing.
pub fn empty_root() -> Hash {
    sha256(&[])
}

pub(crate) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    of(context.finish().as_ref())
}

fn of(digest: &[u8]) -> Hash {
    let mut hash = [0; HASH_LEN];
    hash.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    hash
}

const LEAF: u8 = 0;
const NODE: u8 = 1;
