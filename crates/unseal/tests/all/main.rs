//! Roots in and out of their seals.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // tests: a panic is how they fail

mod byhand;
mod credential;
mod disk;
mod file;
#[allow(dead_code)] // the tests of tokens use all of it
#[path = "../../../pkcs11/tests/all/place.rs"]
mod place;
mod token;
mod tpm;

use skerry_testkit::seeded;
use skerry_unseal::{Passphrase, SealedRoot};
use zeroize::Zeroizing;

pub(crate) const WORDS: &str = "correct horse battery staple";

pub(crate) fn root(octet: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([octet; 32])
}

pub(crate) fn passphrase(words: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(words.as_bytes().to_vec())).map_err(|error| error.to_string()).unwrap()
}

pub(crate) fn sealed(octet: u8) -> SealedRoot {
    passphrase(WORDS).seal(&root(octet), &mut seeded(u64::from(octet))).unwrap()
}
