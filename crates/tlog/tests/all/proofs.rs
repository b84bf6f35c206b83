//! Roots and proofs: as the definitions have them, as published trees have them, and nothing else verifies.

use crate::naive::{leaves, mth, node, path, subproof};
use proptest::prelude::*;
use skerry_tlog::{
    Frontier, FrontierError, Hash, ProofError, Tree, consistency, empty_root, inclusion, leaf_hash, root,
    verify_consistency, verify_inclusion,
};
use std::convert::Infallible;

fn at(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}

fn by_nodes(all: &[Hash]) -> impl Fn(u8, u64) -> Result<Hash, Infallible> {
    |height, index| Ok(node(all, height, index))
}

/// The tree of Google's certificate-transparency tests (`merkletree` of trillian and transparency-dev/merkle): eight
/// leaves and the root after each.
#[test]
fn published_tree_has_its_roots() {
    let entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(hex::encode(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let mut tree = Tree::new(&Frontier::empty());
    for (size, (entry, expected)) in entries.iter().zip(roots).enumerate() {
        tree.push(leaf_hash(&hex::decode(entry).unwrap()));
        assert_eq!(hex::encode(tree.root(at(size + 1)).unwrap()), expected, "size {}", size + 1);
    }
}

/// For every tree of up to 70 leaves: root, every inclusion and every consistency proof are those of the definitions, they
/// verify, and they verify for no other place.
#[test]
fn small_trees_are_as_defined() {
    let all = leaves(70);
    for size in 0..=all.len() {
        let (tree, whole) = (&all[..size], mth(&all[..size]));
        let Ok(made) = root(at(size), by_nodes(tree));
        assert_eq!(made, whole);
        for index in 0..size {
            let Ok(proof) = inclusion(at(index), at(size), by_nodes(tree));
            let proof = proof.unwrap();
            assert_eq!(proof, path(index, tree), "{index} of {size}");
            for other in 0..size {
                let verified = verify_inclusion(&tree[index], at(other), at(size), &whole, &proof);
                assert_eq!(verified.is_ok(), other == index, "{index} of {size} as {other}: {verified:?}");
            }
        }
        for old in 0..=size {
            let Ok(proof) = consistency(at(old), at(size), by_nodes(tree));
            let (proof, before) = (proof.unwrap(), mth(&all[..old]));
            if old > 0 {
                assert_eq!(proof, subproof(old, tree, true), "{old} of {size}");
            }
            for other in 0..=size {
                let verified = verify_consistency((at(other), &before), (at(size), &whole), &proof);
                assert_eq!(verified.is_ok(), other == old, "{old} of {size} as {other}: {verified:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The same for larger trees, of proofs made by a tree that forgot what is old.
    #[test]
    fn larger_trees_are_as_defined(size in 1_usize..1500, kept in 0_usize..1500, pick in any::<prop::sample::Index>()) {
        let all = leaves(size);
        let kept = kept.min(size - 1);
        let mut tree = Tree::new(&Frontier::empty());
        for (number, leaf) in all.iter().enumerate() {
            tree.push(*leaf);
            tree.forget_below(at(number.min(kept)));
        }
        let index = kept + pick.index(size - kept);
        let proof = tree.inclusion(at(index), at(size)).unwrap();
        prop_assert_eq!(&proof, &path(index, &all));
        let whole = mth(&all);
        prop_assert_eq!(tree.root(at(size)), Some(whole));
        prop_assert_eq!(verify_inclusion(&all[index], at(index), at(size), &whole, &proof), Ok(()));
        let older = tree.inclusion(at(index), at(index + 1)).unwrap();
        prop_assert_eq!(older, path(index, &all[..=index]));
        prop_assert_eq!(tree.frontier(at(index)).unwrap().root(), mth(&all[..index]));
        let Ok(proof) = consistency(at(index), at(size), by_nodes(&all));
        let proof = proof.unwrap();
        prop_assert_eq!(verify_consistency((at(index), &mth(&all[..index])), (at(size), &whole), &proof), Ok(()));
    }

    /// A tree goes on from its frontier as if it had never stopped, and a frontier that is pushed to is that of the tree.
    #[test]
    fn frontiers_go_on(first in 0_usize..600, more in 1_usize..600, pick in any::<prop::sample::Index>()) {
        let all = leaves(first + more);
        let mut frontier = Frontier::empty();
        all[..first].iter().for_each(|leaf| frontier.push(*leaf));
        prop_assert_eq!(frontier.root(), mth(&all[..first]));
        let read = Frontier::new(frontier.size(), frontier.hashes().to_vec()).unwrap();
        let mut tree = Tree::new(&read);
        all[first..].iter().for_each(|leaf| tree.push(*leaf));
        prop_assert_eq!(tree.root(at(all.len())), Some(mth(&all)));
        all[first..].iter().for_each(|leaf| frontier.push(*leaf));
        prop_assert_eq!(tree.frontier(at(all.len())), Some(frontier));
        let index = first + pick.index(more);
        prop_assert_eq!(tree.inclusion(at(index), at(all.len())), Some(path(index, &all)));
    }
}

/// Every bit of a proof counts, of the leaf, and of both roots; so does a hash more or less, and the order.
#[test]
fn altered_proofs_prove_nothing() {
    let all = leaves(13);
    let (whole, before) = (mth(&all), mth(&all[..6]));
    let (proof, link) = (path(6, &all), subproof(6, &all, true));
    let included = |leaf: &Hash, root: &Hash, proof: &[Hash]| verify_inclusion(leaf, 6, 13, root, proof);
    let consistent = |old: &Hash, root: &Hash, proof: &[Hash]| verify_consistency((6, old), (13, root), proof);
    assert_eq!((included(&all[6], &whole, &proof), consistent(&before, &whole, &link)), (Ok(()), Ok(())));
    let flipped = |hash: &Hash, at: usize| {
        let mut hash = *hash;
        hash[at / 8] ^= 1 << (at % 8);
        hash
    };
    for bit in 0..256 {
        for at in 0..proof.len() {
            let mut altered = proof.clone();
            altered[at] = flipped(&altered[at], bit);
            assert_eq!(included(&all[6], &whole, &altered), Err(ProofError::Root));
        }
        for at in 0..link.len() {
            let mut altered = link.clone();
            altered[at] = flipped(&altered[at], bit);
            assert!(matches!(consistent(&before, &whole, &altered), Err(ProofError::Root | ProofError::OldRoot)));
        }
        assert_eq!(included(&flipped(&all[6], bit), &whole, &proof), Err(ProofError::Root));
        assert_eq!(included(&all[6], &flipped(&whole, bit), &proof), Err(ProofError::Root));
        assert_eq!(consistent(&flipped(&before, bit), &whole, &link), Err(ProofError::OldRoot));
        assert_eq!(consistent(&before, &flipped(&whole, bit), &link), Err(ProofError::Root));
    }
    for (proof, verify) in [(&proof, true), (&link, false)] {
        let lengths = [proof[1..].to_vec(), proof[..proof.len() - 1].to_vec(), [proof.clone(), vec![whole]].concat()];
        for altered in lengths.into_iter().chain([Vec::new()]) {
            let found =
                if verify { included(&all[6], &whole, &altered) } else { consistent(&before, &whole, &altered) };
            assert_eq!(found, Err(ProofError::Length { len: altered.len() }));
        }
    }
    let long = vec![whole; 66];
    assert_eq!(included(&all[6], &whole, &long), Err(ProofError::Length { len: 66 }));
    assert_eq!(consistent(&before, &whole, &long), Err(ProofError::Length { len: 66 }));
}

/// What lies outside a tree is not in it; of no leaves, and of all, there is nothing to prove but the root.
#[test]
fn ends_of_trees() {
    let all = leaves(4);
    let whole = mth(&all);
    let Ok(none) = inclusion(4, 4, by_nodes(&all));
    assert_eq!(none, None);
    assert_eq!(verify_inclusion(&all[0], 4, 4, &whole, &[]), Err(ProofError::Range { index: 4, size: 4 }));
    assert_eq!(verify_inclusion(&all[0], 0, 0, &empty_root(), &[]), Err(ProofError::Range { index: 0, size: 0 }));
    let Ok(none) = consistency(5, 4, by_nodes(&all));
    assert_eq!(none, None);
    let range = Err(ProofError::Range { index: 5, size: 4 });
    assert_eq!(verify_consistency((5, &whole), (4, &whole), &[]), range);
    assert_eq!(verify_consistency((0, &empty_root()), (4, &whole), &[]), Ok(()));
    assert_eq!(verify_consistency((0, &whole), (4, &whole), &[]), Err(ProofError::OldRoot));
    assert_eq!(verify_consistency((4, &all[0]), (4, &whole), &[]), Err(ProofError::OldRoot));
    assert_eq!(verify_consistency((4, &whole), (4, &whole), &[whole]), Err(ProofError::Length { len: 1 }));
    let last = u64::MAX;
    assert!(verify_inclusion(&whole, last - 1, last, &whole, &[whole; 64]).is_err());
    assert!(verify_consistency((last - 1, &whole), (last, &whole), &[whole; 64]).is_err());
    assert_eq!(Frontier::new(5, vec![whole]), Err(FrontierError { size: 5, len: 1 }));
    let mut tree = Tree::new(&Frontier::new(4, vec![whole]).unwrap());
    tree.push(all[0]);
    assert_eq!((tree.inclusion(0, 5), tree.inclusion(4, 6), tree.root(2), tree.root(6)), (None, None, None, None));
    assert!(tree.inclusion(4, 5).is_some(), "the control");
    assert_eq!(tree.inclusion(5, 6), None, "the way to a leaf that is not there yet is all there");
}
