//! Bring your own key: material that was wrapped elsewhere to a key of ours (Azure's BYOK specification).
//!
//! ```text
//! wrapped = RSA-OAEP-SHA1(our key, K) || AES-KWP(K, material)      CKM_RSA_AES_KEY_WRAP
//! material: PKCS#8 of RSA and EC keys, raw octets of symmetric ones
//! ```
//!
//! What is unwrapped stays in here, as a [`TransferredKey`] that custody can take in and nobody can read. Anybody can wrap to
//! a public half, so it is not authentic: whoever may import vouches for it.

use crate::key_type::{KeyType, PublicKey};
use crate::material::{self, Material};
use crate::opened::{OpenedKey, Secret};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use skerry_keywrap::{Algorithm, UnwrapKey, unwrap};

/// What a wrapped key is said to be. Its size or curve shows when it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// RSA, in PKCS#8.
    Rsa,
    /// Elliptic curve, in PKCS#8.
    Ec,
    /// Symmetric, as it is.
    Oct,
}

/// A key that was unwrapped, on its way into custody. No Debug, no Clone; wiped when dropped.
///
/// Made by [`OpenedKey::unwrap_import`] alone, taken in as [`ImportKey::Transferred`](crate::ImportKey::Transferred).
pub struct TransferredKey {
    pub(crate) key_type: KeyType,
    pub(crate) public: PublicKey,
    pub(crate) material: Material,
}

impl TransferredKey {
    /// What the key is.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl OpenedKey {
    /// Unwraps a key of this family, by `CKM_RSA_AES_KEY_WRAP`, iff it was wrapped to this key and is one that is offered.
    ///
    /// Whatever is wrong with it is one error: its length, its padding, its integrity, what is in it. The caller vouches
    /// that this key is for that and for nothing else.
    pub fn unwrap_import(&self, family: Family, wrapped: &[u8]) -> Result<TransferredKey, TransferError> {
        if let (Secret::Token(_), KeyType::Rsa { .. }) = (&self.secret, self.key_type()) {
            return Err(TransferError::InToken);
        }
        let Secret::Rsa(own) = &self.secret else {
            return Err(TransferError::NotRsa { key_type: self.key_type() });
        };
        let pkcs8: Pkcs8V1Der<'_> = own.pair.as_der().map_err(|_| TransferError::Library)?;
        let own = UnwrapKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| TransferError::Library)?;
        let plain = unwrap(Algorithm::CkmRsaAesKeyWrap, &own, wrapped).map_err(|_| TransferError::Refused)?;
        let (key_type, public, material) =
            material::transferred(family, plain.expose()).map_err(|_| TransferError::Refused)?;
        Ok(TransferredKey { key_type, public, material })
    }
}

/// Why nothing was unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The key to unwrap with is not RSA.
    #[error("{key_type:?} unwraps no keys for import")]
    NotRsa {
        /// What it is.
        key_type: KeyType,
    },
    /// One word for every cause: not wrapped to this key, altered, or not a key as it is said to be.
    #[error("wrapped key does not open to a key of this kind")]
    Refused,
    /// What is unwrapped in a token does not show its type and its public half, which have to be known.
    #[error(
        "keys that come wrapped are not taken in where keys are held in a token: import them in the clear, or not at all"
    )]
    InToken,
    /// The cryptographic library failed on a key of ours.
    #[error("cryptographic library failed")]
    Library,
}
