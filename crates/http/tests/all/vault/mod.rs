//! Vaults on the wire: three kinds behind one listener, callers with tokens, and a TEE.

mod door;
mod keys;
mod release;
mod scene;
