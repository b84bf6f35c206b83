//! A secret of 32 octets that a PKCS#11 token seals: under an AES-256 key that was made there and never leaves.
//!
//! ```text
//! 85 octets
//!    0   8  magic "SKRYTOKN"
//!    8  16  id of the token's root (skerry_pkcs11::root, "seal")
//!   24   1  format, 1
//!   25  12  iv, random
//!   37  32  ciphertext
//!   69  16  tag
//!
//! AES-256-GCM in the token; associated data: octets 0..37
//! ```
//!
//! The token has the key and this process the secret, from when it was opened: that is all that a root in a token protects. What
//! goes on from here, the installation's root key, is in this process's memory.

use rand_core::CryptoRng;
use skerry_pkcs11::{Fault, RootId, Token, TokenError};
use zeroize::Zeroizing;

/// A sealed secret, as it is stored. Says nothing about whether it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSeal {
    root: RootId,
    iv: [u8; IV_LEN],
    sealed: [u8; SEALED_LEN],
}

/// Why a token's seal is not made, or does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenSealError {
    /// The length alone shows that it is none.
    #[error("{len} octets are no secret sealed by a token: `skerry hsm init` makes one")]
    Length {
        /// Octets of it.
        len: usize,
    },
    /// It begins with something else.
    #[error("not a secret sealed by a token: `skerry hsm init` makes one")]
    NotASeal,
    /// It has a format that this version does not know.
    #[error("secret sealed by a token in format {format}, and this version knows 1: take a newer one")]
    UnknownFormat {
        /// The format found.
        format: u8,
    },
    /// It was altered, or the token's root is another than it says.
    #[error("the token does not open it: it was altered since it was sealed; bring back its backup")]
    Altered,
    /// The token does not do it.
    #[error("token")]
    Token(#[source] TokenError),
}

impl TokenSeal {
    /// Seals a secret under the newest root of the token.
    pub fn seal(token: &Token, secret: &[u8; 32], rng: &mut dyn CryptoRng) -> Result<TokenSeal, TokenSealError> {
        let root = token.run(|session| Ok(session.current_root())).map_err(failed)?;
        let root = root.ok_or(TokenSealError::Token(TokenError::NoRoot))?.id;
        let mut iv = [0; IV_LEN];
        rng.fill_bytes(&mut iv);
        let aad = head(root, &iv);
        let sealed = token.run(|session| session.seal(root, iv, &aad, secret)).map_err(failed)?;
        let sealed = sealed.try_into().map_err(|_| failed(Fault::Malformed("AES-GCM ciphertext")))?;
        Ok(TokenSeal { root, iv, sealed })
    }

    /// The secret, iff this root of the token sealed it and nothing was altered since.
    pub fn open(&self, token: &Token) -> Result<Zeroizing<[u8; 32]>, TokenSealError> {
        let aad = head(self.root, &self.iv);
        let text = token.run(|session| session.unseal(self.root, self.iv, &aad, &self.sealed)).map_err(failed)?;
        let mut secret = Zeroizing::new([0; 32]);
        if text.len() != secret.len() {
            return Err(TokenSealError::Altered);
        }
        secret.copy_from_slice(&text);
        Ok(secret)
    }

    /// Which root of the token it is sealed under.
    pub fn root(&self) -> RootId {
        self.root
    }

    /// The octets to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        [head(self.root, &self.iv).as_slice(), &self.sealed].concat()
    }

    /// Reads what was stored, all of it.
    pub fn parse(octets: &[u8]) -> Result<TokenSeal, TokenSealError> {
        let length = || TokenSealError::Length { len: octets.len() };
        let (magic, rest) = octets.split_first_chunk::<8>().ok_or_else(length)?;
        if magic != MAGIC {
            return Err(TokenSealError::NotASeal);
        }
        let (&root, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let (&format, rest) = rest.split_first().ok_or_else(length)?;
        if format != FORMAT {
            return Err(TokenSealError::UnknownFormat { format });
        }
        let (&iv, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let sealed = rest.try_into().map_err(|_| length())?;
        Ok(TokenSeal { root: RootId(root), iv, sealed })
    }

    /// Whether octets are one of these, of whatever format.
    pub fn is_one(octets: &[u8]) -> bool {
        octets.starts_with(MAGIC)
    }
}

fn head(root: RootId, iv: &[u8; IV_LEN]) -> Vec<u8> {
    [MAGIC, root.0.as_slice(), &[FORMAT], iv].concat()
}

fn failed(fault: Fault) -> TokenSealError {
    match fault {
        // Of AES-GCM there is nothing else that a token can refuse: SoftHSM calls it a general error, others name it.
        Fault::Invalid { .. } => TokenSealError::Altered,
        fault => TokenSealError::Token(fault.into()),
    }
}

const MAGIC: &[u8] = b"SKRYTOKN";
const FORMAT: u8 = 1;
const IV_LEN: usize = 12;
const SEALED_LEN: usize = 48;
