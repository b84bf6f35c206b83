//! AES as its modes use it: GCM (SP 800-38D), CBC (SP 800-38A), key wrap (RFC 3394) and its padded kin (RFC 5649).
//!
//! All of it is the cryptographic library's but one: the library has no key wrap under 192 bits, which is RustCrypto's.
//! Lengths are the caller's to check; every failure here is one.

use crate::key_type::OctBits;
use aes_kw::{KeyInit, KwAes192, KwpAes192};
use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesBlockCipher, AesKek, KeyWrap, KeyWrapPadded};
use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater};
use zeroize::Zeroizing;

pub(crate) const BLOCK_LEN: usize = 16;
/// SP 800-38D, 5.2.1.1: the length that GCM is made for, and the only one of Azure's.
pub(crate) const GCM_IV_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;
/// Half a block: the unit of key wrap.
pub(crate) const SEMIBLOCK_LEN: usize = 8;

/// A key and its size, which agree.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) bits: OctBits,
    pub(crate) octets: &'a [u8],
}

/// Ciphertext and tag.
pub(crate) fn gcm_seal(
    key: Key<'_>,
    iv: [u8; GCM_IV_LEN],
    aad: &[u8],
    text: &[u8],
) -> Result<(Vec<u8>, [u8; TAG_LEN]), Unspecified> {
    let mut out = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = gcm(key)?.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut out)?;
    Ok((out, tag.as_ref().try_into().map_err(|_| Unspecified)?))
}

pub(crate) fn gcm_open(
    key: Key<'_>,
    iv: [u8; GCM_IV_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let mut text = Zeroizing::new(vec![0; ciphertext.len()]);
    let nonce = Nonce::assume_unique_for_key(iv);
    gcm(key)?.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, &mut text)?;
    Ok(text)
}

fn gcm(key: Key<'_>) -> Result<LessSafeKey, Unspecified> {
    let algorithm = match key.bits {
        OctBits::B128 => &AES_128_GCM,
        OctBits::B192 => &AES_192_GCM,
        OctBits::B256 => &AES_256_GCM,
    };
    UnboundKey::new(algorithm, key.octets).map(LessSafeKey::new)
}

/// Whole blocks in, whole blocks out.
pub(crate) fn cbc_encrypt(key: Key<'_>, iv: [u8; BLOCK_LEN], text: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut blocks = Zeroizing::new(text.to_vec());
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    EncryptingKey::cbc(cbc(key)?)?.less_safe_encrypt(&mut blocks, context)?;
    Ok(std::mem::take(&mut *blocks))
}

/// Whole blocks in, whole blocks out.
pub(crate) fn cbc_decrypt(
    key: Key<'_>,
    iv: [u8; BLOCK_LEN],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let mut blocks = Zeroizing::new(ciphertext.to_vec());
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    DecryptingKey::cbc(cbc(key)?)?.decrypt(&mut blocks, context)?;
    Ok(blocks)
}

fn cbc(key: Key<'_>) -> Result<UnboundCipherKey, Unspecified> {
    let algorithm = match key.bits {
        OctBits::B128 => &AES_128,
        OctBits::B192 => &AES_192,
        OctBits::B256 => &AES_256,
    };
    UnboundCipherKey::new(algorithm, key.octets)
}

/// RFC 5652, 6.3: fills the last block, or adds one, with octets that say how many they are.
pub(crate) fn pad(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let missing = BLOCK_LEN - text.len() % BLOCK_LEN;
    let octet = u8::try_from(missing).map_err(|_| Unspecified)?;
    // In one allocation, so that growing leaves no copy behind.
    let mut padded = Zeroizing::new(Vec::with_capacity(text.len() + missing));
    padded.extend_from_slice(text);
    padded.resize(text.len() + missing, octet);
    Ok(padded)
}

/// Takes off what [`pad`] added. Looks at the whole last block in every case, so that time tells the verdict and no
/// more; the library's own removal stops at the first octet that is wrong.
pub(crate) fn unpad(mut text: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let last = text.last_chunk::<BLOCK_LEN>().ok_or(Unspecified)?;
    let [.., len] = *last;
    let mut holds = len.ct_gt(&0) & !len.ct_gt(&BLOCK_LEN_U8);
    for (at, octet) in (0..BLOCK_LEN_U8).zip(last.iter().rev()) {
        let inside: Choice = len.ct_gt(&at);
        holds &= !inside | octet.ct_eq(&len);
    }
    if !bool::from(holds) {
        return Err(Unspecified);
    }
    let kept = text.len().checked_sub(usize::from(len)).ok_or(Unspecified)?;
    text.truncate(kept);
    Ok(text)
}

const BLOCK_LEN_U8: u8 = 16;

/// RFC 3394. Whole semiblocks, two at least.
pub(crate) fn wrap(key: Key<'_>, data: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut out = vec![0; data.len() + SEMIBLOCK_LEN];
    let len = match kek(key)? {
        Kek::Library(kek) => kek.wrap(data, &mut out)?.len(),
        Kek::B192(octets) => kw_192(octets)?.wrap_key(data, &mut out).map_err(|_| Unspecified)?.len(),
    };
    if len == out.len() { Ok(out) } else { Err(Unspecified) }
}

pub(crate) fn unwrap(key: Key<'_>, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let mut out = Zeroizing::new(vec![0; wrapped.len()]);
    let len = match kek(key)? {
        Kek::Library(kek) => kek.unwrap(wrapped, &mut out)?.len(),
        Kek::B192(octets) => kw_192(octets)?.unwrap_key(wrapped, &mut out).map_err(|_| Unspecified)?.len(),
    };
    out.truncate(len);
    Ok(out)
}

/// RFC 5649. One octet at least.
pub(crate) fn wrap_padded(key: Key<'_>, data: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut out = vec![0; data.len().next_multiple_of(SEMIBLOCK_LEN) + SEMIBLOCK_LEN];
    let len = match kek(key)? {
        Kek::Library(kek) => kek.wrap_with_padding(data, &mut out)?.len(),
        Kek::B192(octets) => kwp_192(octets)?.wrap_key(data, &mut out).map_err(|_| Unspecified)?.len(),
    };
    if len == out.len() { Ok(out) } else { Err(Unspecified) }
}

pub(crate) fn unwrap_padded(key: Key<'_>, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let mut out = Zeroizing::new(vec![0; wrapped.len()]);
    let len = match kek(key)? {
        Kek::Library(kek) => kek.unwrap_with_padding(wrapped, &mut out)?.len(),
        Kek::B192(octets) => kwp_192(octets)?.unwrap_key(wrapped, &mut out).map_err(|_| Unspecified)?.len(),
    };
    out.truncate(len);
    Ok(out)
}

/// Whose key wrap it is.
enum Kek<'a> {
    Library(AesKek),
    B192(&'a [u8]),
}

fn kek(key: Key<'_>) -> Result<Kek<'_>, Unspecified> {
    let of = |cipher: &'static AesBlockCipher| AesKek::new(cipher, key.octets).map(Kek::Library);
    match key.bits {
        OctBits::B128 => of(&key_wrap::AES_128),
        OctBits::B192 => Ok(Kek::B192(key.octets)),
        OctBits::B256 => of(&key_wrap::AES_256),
    }
}

fn kw_192(octets: &[u8]) -> Result<KwAes192, Unspecified> {
    KwAes192::new_from_slice(octets).map_err(|_| Unspecified)
}

fn kwp_192(octets: &[u8]) -> Result<KwpAes192, Unspecified> {
    KwpAes192::new_from_slice(octets).map_err(|_| Unspecified)
}
