//! Wrapping: what the vault does.

use crate::limits::PLAINTEXT_LEN_MAX;
use crate::{Algorithm, Plaintext, TargetKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Octets of K. AzureAttestSKR takes no other size.
const K_LEN: usize = 32;

/// Wraps key data to a target key: OAEP(target, K) || KWP(K, key data).
///
/// K is 32 octets of `rng`, used once and wiped. OAEP's seed comes from the cryptographic library's own
/// generator, so the first part is not a function of `rng`. The caller vouches for the target
/// (attested) and for the right of its holder to the key data.
pub fn wrap(
    algorithm: Algorithm,
    target: &TargetKey,
    plaintext: &Plaintext,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, WrapError> {
    let data = plaintext.expose();
    check_len(data.len())?;
    let mut k = Zeroizing::new([0; K_LEN]);
    rng.fill_bytes(k.as_mut_slice());

    let oaep_len = target.modulus().len();
    let mut ciphertext = vec![0; oaep_len + kwp_len(data.len())];
    let (oaep, kwp) = ciphertext.split_at_mut(oaep_len);
    encapsulate(algorithm, target, k.as_slice(), oaep)?;
    wrap_padded(k.as_slice(), data, kwp)?;
    Ok(ciphertext)
}

fn check_len(len: usize) -> Result<(), WrapError> {
    if len == 0 {
        return Err(WrapError::Empty);
    }
    if len > PLAINTEXT_LEN_MAX {
        return Err(WrapError::TooLong { len });
    }
    Ok(())
}

/// RFC 5649, 4.1: whole semiblocks and one more for the integrity value.
fn kwp_len(len: usize) -> usize {
    len.next_multiple_of(8) + 8
}

fn encapsulate(algorithm: Algorithm, target: &TargetKey, k: &[u8], out: &mut [u8]) -> Result<(), WrapError> {
    let len = out.len();
    let written = target.oaep().encrypt(algorithm.oaep(), k, out, None).map_err(|_| WrapError::Library)?;
    filled(written.len(), len)
}

fn wrap_padded(k: &[u8], data: &[u8], out: &mut [u8]) -> Result<(), WrapError> {
    let len = out.len();
    let kek = AesKek::new(&AES_256, k).map_err(|_| WrapError::Library)?;
    let written = kek.wrap_with_padding(data, out).map_err(|_| WrapError::Library)?;
    filled(written.len(), len)
}

/// A part that is shorter than its place would leave zeros in the ciphertext.
fn filled(written: usize, len: usize) -> Result<(), WrapError> {
    if written != len {
        return Err(WrapError::Library);
    }
    Ok(())
}

/// Why nothing was wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// No key data: KWP has no form for it (RFC 5649, 3).
    #[error("no key data")]
    Empty,
    /// More key data than [`crate::limits::PLAINTEXT_LEN_MAX`].
    #[error("key data of {len} octets is too long")]
    TooLong {
        /// Octets of key data.
        len: usize,
    },
    /// The cryptographic library failed; nothing left the function.
    #[error("cryptographic library failed")]
    Library,
}
