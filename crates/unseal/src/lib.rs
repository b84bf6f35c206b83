//! How the root key of an installation comes out of its seal.
//!
//! Everything that is stored is sealed under keys that derive from one root of 32 octets. Here is the file in which that root
//! lies sealed ([`SealedRoot`]), and what opens it: a passphrase ([`passphrase`]), a TPM 2.0 ([`tpm`]), a PKCS#11
//! token ([`token`]); and the systemd
//! credential that is the root itself ([`credential`]). What a seal gives is a secret; the same AES-256-GCM goes around the root under
//! all of them, so that one format has one parser and one set of errors.
//!
//! Not here: asking a person, the sealed server, configuration. The program does that, and says where files and devices are.

mod cipher;
pub mod credential;
mod disk;
mod error;
mod file;
pub mod limits;
pub mod passphrase;
pub mod token;
pub mod tpm;

pub use disk::{Unreadable, read, remove_old, replace};
pub use error::UnsealError;
pub use file::{Kind, RootId, SealedRoot, Secret};
pub use passphrase::Passphrase;
pub use token::{TokenSeal, TokenSealError};
