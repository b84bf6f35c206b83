//! Vaults on the wire: three kinds behind one listener, callers with tokens, and a TEE.

mod backup;
mod byok;
mod cipher;
mod counted;
mod disk;
mod door;
mod floor;
mod keys;
mod numbered;
mod release;
mod rotation;
mod scene;
mod secure;
pub(crate) mod sweep;
