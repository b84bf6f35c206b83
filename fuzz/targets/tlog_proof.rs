//! Proofs: each text has one spelling; those that verify are of the very leaf and tree.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_tlog::{
    Hash, InclusionProof, SignedCheckpoint, SigningKey, leaf_hash, root, verify_consistency, verify_inclusion,
};

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed("log.example/one", &[7; 32]).expect("a name and a seed"));
static LEAVES: LazyLock<Vec<Hash>> = LazyLock::new(|| (0..13_u8).map(|number| leaf_hash(&[number])).collect());

fn root_of(size: usize) -> Hash {
    let mut tree = skerry_tlog::Tree::new(&skerry_tlog::Frontier::empty());
    LEAVES.iter().take(size).for_each(|leaf| tree.push(*leaf));
    root(u64::try_from(size).expect("small"), |height, index| tree.node(height, index).ok_or(())).expect("all is kept")
}

static ROOTS: LazyLock<Vec<Hash>> = LazyLock::new(|| (0..=13).map(root_of).collect());

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(proof) = InclusionProof::parse(text)
    {
        assert_eq!(proof.to_string(), text, "a proof has one spelling");
        for (index, leaf) in LEAVES.iter().enumerate() {
            if proof.verify(leaf, KEY.public()).is_ok() {
                assert_eq!(u64::try_from(index), Ok(proof.index));
            }
        }
        // The same way under a root that is signed.
        let note = SignedCheckpoint::sign(&KEY, 13, ROOTS[13]).note().to_owned();
        let proof = InclusionProof { note, ..proof };
        for (index, leaf) in LEAVES.iter().enumerate() {
            if proof.verify(leaf, KEY.public()).is_ok() {
                assert_eq!(u64::try_from(index), Ok(proof.index));
            }
        }
    }
    let Some(([old, size], rest)) = data.split_first_chunk::<2>() else { return };
    let (old, size) = (usize::from(old % 14), usize::from(size % 14));
    let (path, _) = rest.as_chunks::<32>();
    let (len, before) = (u64::try_from(size).expect("small"), u64::try_from(old).expect("small"));
    let holds = verify_consistency((before, &ROOTS[old]), (len, &ROOTS[size]), path).is_ok();
    assert!(!holds || old <= size);
    for (index, leaf) in LEAVES.iter().enumerate() {
        if verify_inclusion(leaf, before, len, &ROOTS[size], path).is_ok() {
            assert_eq!((index, old < size), (old, true));
        }
    }
});
