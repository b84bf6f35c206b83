//! Proofs that stand by themselves: written, read, and every octet of them.

use crate::naive::path;
use skerry_tlog::{
    CheckpointError, Hash, InclusionProof, InclusionProofError, NoteError, ProofError, SignedCheckpoint, SigningKey,
    leaf_hash,
};

fn key() -> SigningKey {
    SigningKey::from_seed("log.example/one", &[7; 32]).unwrap()
}

fn made(entry: bool) -> (InclusionProof, Hash) {
    let all: Vec<Hash> = (0..13_u8).map(|number| leaf_hash(&[number])).collect();
    let note = SignedCheckpoint::sign(&key(), 13, crate::naive::mth(&all)).note().to_owned();
    (InclusionProof { entry: entry.then(|| vec![6]), index: 6, path: path(6, &all), note }, all[6])
}

/// The text has the lines of tlog-proof, and is read back as it was, with an entry and without.
#[test]
fn proofs_come_out_again() {
    for entry in [true, false] {
        let (proof, leaf) = made(entry);
        let text = proof.to_string();
        let start =
            if entry { "c2sp.org/tlog-proof@v1\nextra Bg==\nindex 6\n" } else { "c2sp.org/tlog-proof@v1\nindex 6\n" };
        assert!(text.starts_with(start));
        let read = InclusionProof::parse(&text).unwrap();
        assert_eq!((&read, read.to_string()), (&proof, text));
        assert_eq!(read.verify(&leaf, key().public()).map(|checkpoint| checkpoint.size()), Ok(13));
    }
}

/// No octet can change, none can be left out.
#[test]
fn altered_proofs_are_refused() {
    for entry in [true, false] {
        let (proof, leaf) = made(entry);
        let text = proof.to_string().into_bytes();
        let holds = |octets: &[u8]| {
            let read = std::str::from_utf8(octets).ok().and_then(|text| InclusionProof::parse(text).ok());
            read.is_some_and(|proof| proof.verify(&leaf, key().public()).is_ok())
        };
        assert!(holds(&text));
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut altered = text.clone();
                altered[at] ^= 1 << bit;
                assert!(!holds(&altered), "octet {at}, bit {bit}");
            }
            assert!(!holds(&text[..at]), "cut at {at}");
        }
    }
}

/// Another leaf, another log, another entry, another place: each its own error.
#[test]
fn refusals_are_exact() {
    let (proof, leaf) = made(true);
    let refused = |proof: &InclusionProof, leaf: &Hash| proof.verify(leaf, key().public()).unwrap_err();
    assert_eq!(refused(&proof, &[0; 32]), InclusionProofError::OtherEntry);
    let bare = InclusionProof { entry: None, ..proof.clone() };
    assert_eq!(refused(&bare, &[0; 32]), InclusionProofError::Proof(ProofError::Root));
    assert_eq!(
        refused(&InclusionProof { index: 5, ..proof.clone() }, &leaf),
        InclusionProofError::Proof(ProofError::Root)
    );
    let out = InclusionProof { index: 13, ..proof.clone() };
    assert_eq!(refused(&out, &leaf), InclusionProofError::Proof(ProofError::Range { index: 13, size: 13 }));
    let other = SigningKey::from_seed("log.example/two", &[7; 32]).unwrap();
    let found = proof.verify(&leaf, other.public());
    assert_eq!(found, Err(InclusionProofError::Checkpoint(CheckpointError::Note(NoteError::OtherKey))));
}

/// Malformed lines are named.
#[test]
fn forms_are_checked() {
    let text = made(true).0.to_string();
    let swap = |from: &str, to: &str| InclusionProof::parse(&text.replacen(from, to, 1)).unwrap_err();
    let line = |line| InclusionProofError::Line { line };
    assert_eq!(swap("@v1", "@v2"), line(1));
    assert_eq!(swap("extra Bg==", "extra Bg"), line(2));
    assert_eq!(swap("index 6", "index 06"), line(3));
    assert_eq!(swap("index 6", "place 6"), line(3));
    assert_eq!(swap("index 6\n", "index 6\nAAAA\n"), line(4));
    assert_eq!(swap("\n\n", "\n"), InclusionProofError::Line { line: 4 + made(true).0.path.len() });
    assert_eq!(InclusionProof::parse(""), Err(line(1)));
    let long = "x".repeat(256 * 1024 + 1);
    assert_eq!(InclusionProof::parse(&long), Err(InclusionProofError::TooLong { len: long.len() }));
}
