//! Merkle trees of logs (RFC 9162, 2.1), their proofs, and the forms that C2SP gives them: tiles and entry bundles
//! (tlog-tiles), checkpoints (tlog-checkpoint) as signed notes (signed-note), and proofs that stand by themselves (tlog-proof).
//!
//! Pure: no file, no clock, no randomness. Who writes a log and who checks one share this, and nothing else of each other. A
//! checkpoint is believed only as a [`SignedCheckpoint`], which [`SignedCheckpoint::verify`] alone makes.
//!
//! Deliberately not here: what the entries of a log say, where tiles are kept, and cosignatures of witnesses: signatures of
//! unknown keys are passed over, as signed-note demands.

mod checkpoint;
mod hash;
pub mod limits;
mod note;
mod proof;
mod text;
mod tile;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use hash::{HASH_LEN, Hash, empty_root, leaf_hash, node_hash};
pub use note::{KeyError, NoteError, SigningKey, VerifyingKey};
pub use proof::{ProofError, consistency, inclusion, root, verify_consistency, verify_inclusion};
pub use text::{InclusionProof, InclusionProofError};
pub use tile::{TILE_WIDTH, TileError, TileId, TileKind, bundle, entries_of, hashes_of, node_of_tile, tile_of_node};
pub use tree::{Frontier, FrontierError, Tree};
