//! Checkpoints (tlog-checkpoint): how large a log is, and the root of its tree, signed by its key.

use crate::hash::Hash;
use crate::note::{Note, NoteError, SigningKey, VerifyingKey};
use skerry_jose::b64;

/// What a checkpoint says. Nobody vouches for it unless it came out of a [`SignedCheckpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Leaves of its tree.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
}

/// Why a checkpoint is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is no note, or not signed by the log's key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not that of a checkpoint.
    #[error("line {line} of the checkpoint is missing or malformed")]
    Line {
        /// From 1: origin, size, root, extensions.
        line: usize,
    },
    /// It is of another log than the one whose key signed it.
    #[error("checkpoint is of another log")]
    OtherOrigin,
}

impl Checkpoint {
    /// Reads a note without asking who signed it: for finding out which log it says it is of.
    pub fn parse_unverified(note: &[u8]) -> Result<Self, CheckpointError> {
        Self::of_text(Note::parse(note)?.text)
    }

    fn of_text(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split_terminator('\n');
        let mut line = |number| lines.next().ok_or(CheckpointError::Line { line: number });
        let origin = line(1)?;
        let size: u64 = line(2)?.parse().map_err(|_| CheckpointError::Line { line: 2 })?;
        let root = b64::decode_standard(line(3)?).ok().and_then(|root| root.try_into().ok());
        let root = root.ok_or(CheckpointError::Line { line: 3 })?;
        if origin.is_empty() {
            return Err(CheckpointError::Line { line: 1 });
        }
        // Extensions are opaque, and ours has none; an empty line would end the text for another reader.
        if let Some(at) = lines.clone().position(str::is_empty) {
            return Err(CheckpointError::Line { line: at + 4 });
        }
        let checkpoint = Self { origin: origin.to_owned(), size, root };
        // A sign or a zero in front of the size: two readers would read two notes.
        match text.starts_with(&checkpoint.text()) {
            true => Ok(checkpoint),
            false => Err(CheckpointError::Line { line: 2 }),
        }
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, b64::encode_standard(self.root))
    }
}

/// A checkpoint that the log's key signed, with the note that says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl SignedCheckpoint {
    /// Signs the root of a tree of `size` leaves. The caller vouches that the leaves are durable, and that no checkpoint was
    /// signed that these leaves do not continue.
    pub fn sign(key: &SigningKey, size: u64, root: Hash) -> Self {
        let checkpoint = Checkpoint { origin: key.public().name().to_owned(), size, root };
        let note = key.sign(&checkpoint.text());
        Self { checkpoint, note }
    }

    /// The checkpoint of a note, iff the key signed it and it is of the log of that key's name.
    pub fn verify(note: &[u8], key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::of_text(key.verify(note)?)?;
        if checkpoint.origin != key.name() {
            return Err(CheckpointError::OtherOrigin);
        }
        // Infallible: what was verified is text.
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Text)?.to_owned();
        Ok(Self { checkpoint, note })
    }

    /// Which log.
    pub fn origin(&self) -> &str {
        &self.checkpoint.origin
    }

    /// Leaves of its tree.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The tree's root.
    pub fn root(&self) -> &Hash {
        &self.checkpoint.root
    }

    /// The signed note.
    pub fn note(&self) -> &str {
        &self.note
    }
}
