//! A proof that stands by itself (tlog-proof): an entry's place, its proof, and the checkpoint, as text.

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::hash::{Hash, leaf_hash};
use crate::limits::{PROOF_HASHES_MAX, PROOF_TEXT_LEN_MAX};
use crate::note::VerifyingKey;
use crate::proof::{ProofError, verify_inclusion};
use skerry_jose::b64;

/// An entry's place in a log and the way from it to a signed root. The entry itself may come along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's octets, as `extra` of the text. Believed only because their hash is the leaf's.
    pub entry: Option<Vec<u8>>,
    /// The entry's index.
    pub index: u64,
    /// From the leaf's sibling up.
    pub path: Vec<Hash>,
    /// The checkpoint's note, as it is.
    pub note: String,
}

/// Why a proof is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InclusionProofError {
    /// The text is longer than any proof.
    #[error("proof of {len} octets is too long")]
    TooLong {
        /// Its octets.
        len: usize,
    },
    /// A line is not what it must be.
    #[error("line {line} of the proof is missing or malformed")]
    Line {
        /// From 1.
        line: usize,
    },
    /// The checkpoint is not one of the log.
    #[error("checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The entry that came along has another hash than the leaf.
    #[error("the entry in the proof is not the leaf")]
    OtherEntry,
    /// The way does not lead to the checkpoint's root.
    #[error("inclusion")]
    Proof(#[source] ProofError),
}

impl InclusionProof {
    /// The proof of a text, which has one spelling. Nobody vouches for it yet.
    pub fn parse(text: &str) -> Result<Self, InclusionProofError> {
        if text.len() > PROOF_TEXT_LEN_MAX {
            return Err(InclusionProofError::TooLong { len: text.len() });
        }
        let (head, note) = text.split_once("\n\n").ok_or(InclusionProofError::Line { line: 1 })?;
        let mut lines = (1..).zip(head.split('\n')).peekable();
        let mut next = |expected: usize| lines.next().ok_or(InclusionProofError::Line { line: expected });
        if next(1)?.1 != VERSION {
            return Err(InclusionProofError::Line { line: 1 });
        }
        let (mut line, mut text) = next(2)?;
        let mut entry = None;
        if let Some(extra) = text.strip_prefix("extra ") {
            entry = Some(b64::decode_standard(extra).map_err(|_| InclusionProofError::Line { line })?);
            (line, text) = next(3)?;
        }
        let index = text.strip_prefix("index ").and_then(decimal).ok_or(InclusionProofError::Line { line })?;
        let mut path = Vec::new();
        for (line, text) in lines {
            let hash = b64::decode_standard(text).ok().and_then(|hash| hash.try_into().ok());
            path.push(hash.filter(|_| path.len() < PROOF_HASHES_MAX).ok_or(InclusionProofError::Line { line })?);
        }
        Ok(Self { entry, index, path, note: note.to_owned() })
    }

    /// The checkpoint, iff it is one of this log and a leaf of this hash stands in it where the proof says. An entry that came
    /// along is that leaf's.
    pub fn verify(&self, leaf: &Hash, key: &VerifyingKey) -> Result<SignedCheckpoint, InclusionProofError> {
        let checkpoint =
            SignedCheckpoint::verify(self.note.as_bytes(), key).map_err(InclusionProofError::Checkpoint)?;
        if self.entry.as_ref().is_some_and(|entry| leaf_hash(entry) != *leaf) {
            return Err(InclusionProofError::OtherEntry);
        }
        verify_inclusion(leaf, self.index, checkpoint.size(), checkpoint.root(), &self.path)
            .map_err(InclusionProofError::Proof)?;
        Ok(checkpoint)
    }
}

impl std::fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{VERSION}")?;
        if let Some(entry) = &self.entry {
            writeln!(f, "extra {}", b64::encode_standard(entry))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", b64::encode_standard(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

/// A number in its one spelling.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

const VERSION: &str = "c2sp.org/tlog-proof@v1";
