//! Vaults, keys, versions, and the release of a key to a TEE.
//!
//! [`Vault`] holds records in memory so far; what decides is pure: [`release::decide`] takes a record, a command and a time
//! and gives a decision or a [`Refusal`], and only a decision that is on record in the audit log is carried out. The wire
//! form of answers is in [`wire`]. Not here yet: storage, the caller's permissions, and the rest of the key operations.

pub mod ca;
pub mod jwk;
pub mod limits;
pub mod record;
pub mod release;
pub mod wire;

mod signer;
mod tokens;
mod vault;

pub use release::{Refusal, ReleaseCommand};
pub use signer::{ReleaseSigner, SignerError, VaultKind};
pub use vault::{CreateCommand, CreateRefusal, ReleaseAnswer, Vault, VaultConfig, VaultConfigError};
