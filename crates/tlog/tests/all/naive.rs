//! The definitions of RFC 9162, 2.1, as they stand there: recursive, over all leaves.

use skerry_tlog::{Hash, empty_root, node_hash};

/// The largest power of two below `n`.
fn k(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

/// 2.1.1: MTH, over hashes of leaves.
pub(crate) fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(k(leaves.len()));
            node_hash(&mth(left), &mth(right))
        }
    }
}

/// 2.1.3.1: PATH.
pub(crate) fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(k(leaves.len()));
    match m < left.len() {
        true => [path(m, left), vec![mth(right)]].concat(),
        false => [path(m - left.len(), right), vec![mth(left)]].concat(),
    }
}

/// 2.1.4.1: SUBPROOF.
pub(crate) fn subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known { Vec::new() } else { vec![mth(leaves)] };
    }
    let (left, right) = leaves.split_at(k(leaves.len()));
    match m <= left.len() {
        true => [subproof(m, left, known), vec![mth(right)]].concat(),
        false => [subproof(m - left.len(), right, false), vec![mth(left)]].concat(),
    }
}

/// So many leaves that differ.
pub(crate) fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|number| skerry_tlog::leaf_hash(&number.to_be_bytes())).collect()
}

/// The hash of a complete subtree, as what is made from subtrees asks for.
pub(crate) fn node(leaves: &[Hash], height: u8, index: u64) -> Hash {
    let (len, at) = (1 << height, usize::try_from(index).unwrap() << height);
    mth(&leaves[at..at + len])
}
