//! The one cipher that goes around the root, whatever kind of seal gave its key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::file::Secret;

pub(crate) const NONCE_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;

/// Seals in place.
pub(crate) fn seal(
    secret: &Secret,
    kind: u8,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    root: &mut [u8; 32],
) -> Result<[u8; TAG_LEN], Unspecified> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key(secret, kind)?.seal_in_place_separate_tag(nonce, Aad::from(aad), root)?;
    tag.as_ref().try_into().map_err(|_| Unspecified)
}

/// The root, iff the tag holds.
pub(crate) fn open(
    secret: &Secret,
    kind: u8,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let mut text = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = key(secret, kind)?.open_in_place(nonce, Aad::from(aad), &mut text)?;
    let mut root = Zeroizing::new([0; 32]);
    if opened.len() != root.len() {
        return Err(Unspecified);
    }
    root.copy_from_slice(opened);
    Ok(root)
}

fn key(secret: &Secret, kind: u8) -> Result<LessSafeKey, Unspecified> {
    let mut key = Zeroizing::new([0; 32]);
    let info = [INFO, &[kind]];
    Salt::new(HKDF_SHA256, &[]).extract(secret.octets()).expand(&info, Octets)?.fill(key.as_mut_slice())?;
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new)
}

struct Octets;

impl KeyType for Octets {
    fn len(&self) -> usize {
        32
    }
}

const INFO: &[u8] = b"skerry sealed root:";
