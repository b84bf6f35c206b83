//! Sealing of values: what an engine stores is ciphertext, bound to the key it is stored under.
//!
//! ```text
//! sealed record, 77 + len octets
//!    0   1  format, 1
//!    1  16  KEK id
//!   17  32  salt, random
//!   49  12  nonce, random
//!   61 len  ciphertext
//! +61   16  tag
//!
//! record key:  HKDF-SHA256(salt = salt, secret = KEK, info = "skerry record key" || storage key), 32 octets
//! associated data: the first 61 octets of the record || storage key
//! ```
//!
//! AES-256-GCM. A salt of its own gives every record a key of its own, so no nonce can repeat under one. Key material is
//! drawn alike by custody but has another label, so that no KEK could ever open one as the other.
//!
//! ```text
//! KEK:     HKDF-SHA256(salt = none, secret = root, info = "skerry kek:" || label || id), 32 octets
//! KEK id:  HKDF-SHA256(salt = none, secret = root, info = "skerry kek id:" || label || id), 16 octets
//! ```
//!
//! The id has 16 octets, so label and id cannot run into each other.
//!
//! Deliberately not here: where the root comes from, and its rotation. A record rolled back to an older one of the same
//! storage key opens; that it is not the newest shows in the sum over all rows when the file is opened.

use crate::limits::VALUE_LEN_MAX;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Octets that sealing adds to a plaintext.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// The secret that every KEK of an installation is derived from. No Debug, no Clone; wiped when dropped.
pub struct Root(Zeroizing<[u8; 32]>);

impl Root {
    /// Label of KEKs for the records of one vault; the id is the vault's.
    pub const VAULT_RECORDS: &str = "vault records";
    /// Label of KEKs for the key material of one vault; the id is the vault's.
    pub const VAULT_MATERIAL: &str = "vault material";
    /// Label of keys under which page tokens are authenticated; the id is the vault's.
    pub const PAGE_TOKENS: &str = "page tokens";
    /// Label of KEKs for the keys that the service itself signs with; the id is the installation's.
    pub const SERVICE_KEYS: &str = "service keys";

    /// The caller vouches that the root is 32 octets of full entropy and that no copy stays behind.
    pub fn new(root: Zeroizing<[u8; 32]>) -> Self {
        Self(root)
    }

    /// The way to the root itself.
    pub fn danger(&self) -> Danger<'_> {
        Danger(self)
    }

    /// The key for one purpose and one thing, and its id. Another label, id or root gives another key and another id.
    pub fn kek(&self, label: &str, id: &[u8; 16]) -> (Zeroizing<[u8; 32]>, [u8; 16]) {
        let (mut kek, mut kek_id) = (Zeroizing::new([0; 32]), [0; 16]);
        let label = label.as_bytes();
        derive(&[], self.0.as_slice(), &[KEK, label, id], kek.as_mut_slice())
            .and_then(|()| derive(&[], self.0.as_slice(), &[KEK_ID, label, id], &mut kek_id))
            .map(|()| (kek, kek_id))
            .unwrap_or_else(|_| infallible())
    }

    /// What seals records under such a key.
    pub fn sealer(&self, label: &str, id: &[u8; 16]) -> Sealer {
        let (kek, kek_id) = self.kek(label, id);
        Sealer::new(kek, kek_id)
    }
}

/// What opens everything, for the one who seals it again: a backup, to the certificates it is recovered with.
pub struct Danger<'a>(&'a Root);

impl Danger<'_> {
    /// The root. Whoever has these octets has every key of the installation; the caller vouches that no copy stays.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0.0
    }
}

/// Seals and opens records under one KEK. No Debug, no Clone; the KEK is wiped when dropped.
pub struct Sealer {
    kek: Zeroizing<[u8; 32]>,
    id: [u8; KEK_ID_LEN],
}

impl Sealer {
    /// Seals under a KEK of this id. The caller vouches that the KEK is 32 octets of full entropy, that no other KEK has
    /// this id, and that no copy stays behind.
    pub fn new(kek: Zeroizing<[u8; 32]>, kek_id: [u8; 16]) -> Self {
        Self { kek, id: kek_id }
    }

    /// A record of `plain` that opens under this storage key alone. Salt and nonce come from `rng`.
    pub fn seal(&self, storage_key: &[u8], plain: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SealError> {
        if plain.len() > PLAIN_LEN_MAX {
            return Err(SealError::PlainLength { len: plain.len() });
        }
        let mut head = Head { kek: self.id, salt: [0; SALT_LEN], nonce: [0; NONCE_LEN] };
        rng.fill_bytes(&mut head.salt);
        rng.fill_bytes(&mut head.nonce);
        self.seal_under(&head, storage_key, plain).map_err(|_| SealError::Library)
    }

    /// What was sealed, iff it was under this KEK and this storage key and nothing was altered since.
    pub fn open(&self, storage_key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (head, ciphertext) = Head::parse(sealed)?;
        if head.kek != self.id {
            return Err(SealError::OtherKek { kek: head.kek });
        }
        self.open_under(&head, storage_key, ciphertext).map_err(|_| SealError::Integrity)
    }

    fn seal_under(&self, head: &Head, storage_key: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
        // In a place of its own, so that growing the record leaves no copy behind.
        let mut text = Zeroizing::new(plain.to_vec());
        let tag = self.record_key(head, storage_key)?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(head.nonce),
            Aad::from(head.associated_data(storage_key)),
            &mut text,
        )?;
        Ok([&head.to_bytes(), text.as_slice(), tag.as_ref()].concat())
    }

    fn open_under(
        &self,
        head: &Head,
        storage_key: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let len = self
            .record_key(head, storage_key)?
            .open_in_place(
                Nonce::assume_unique_for_key(head.nonce),
                Aad::from(head.associated_data(storage_key)),
                &mut text,
            )?
            .len();
        text.truncate(len);
        Ok(text)
    }

    fn record_key(&self, head: &Head, storage_key: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let mut key = Zeroizing::new([0; 32]);
        derive(&head.salt, self.kek.as_slice(), &[RECORD_KEY, storage_key], key.as_mut_slice())?;
        UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new)
    }
}

/// What stands in front of the ciphertext.
struct Head {
    kek: [u8; KEK_ID_LEN],
    salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
}

impl Head {
    fn to_bytes(&self) -> Vec<u8> {
        [[FORMAT].as_slice(), &self.kek, &self.salt, &self.nonce].concat()
    }

    fn associated_data(&self, storage_key: &[u8]) -> Vec<u8> {
        [self.to_bytes().as_slice(), storage_key].concat()
    }

    fn parse(record: &[u8]) -> Result<(Self, &[u8]), SealError> {
        let malformed = SealError::Malformed { len: record.len() };
        if record.len() < OVERHEAD || record.len() > VALUE_LEN_MAX {
            return Err(malformed);
        }
        let (&format, rest) = record.split_first().ok_or(malformed)?;
        if format != FORMAT {
            return Err(SealError::UnknownFormat { format });
        }
        let (&kek, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let (&salt, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let (&nonce, ciphertext) = rest.split_first_chunk().ok_or(malformed)?;
        Ok((Self { kek, salt, nonce }, ciphertext))
    }
}

/// Why a value is not sealed or a record does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The length alone shows that this is no record.
    #[error("{len} octets are no sealed record")]
    Malformed {
        /// Octets of the record.
        len: usize,
    },
    /// The record has a format that this version does not know.
    #[error("unknown format {format} of a sealed record")]
    UnknownFormat {
        /// The format found.
        format: u8,
    },
    /// The record is sealed under another KEK.
    #[error("record is sealed under another key")]
    OtherKek {
        /// Id of that KEK.
        kek: [u8; 16],
    },
    /// The record was altered, or belongs to another storage key.
    #[error("record does not open under this storage key")]
    Integrity,
    /// The sealed record would be longer than a value may be.
    #[error("{len} octets are too long to be sealed")]
    PlainLength {
        /// Octets of the plaintext.
        len: usize,
    },
    /// The cryptographic library failed.
    #[error("cryptographic library failed")]
    Library,
}

/// HKDF-SHA256 (RFC 5869) of any length up to 255 times 32 octets.
fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), Unspecified> {
    Salt::new(HKDF_SHA256, salt).extract(secret).expand(info, Octets(out.len()))?.fill(out)
}

struct Octets(usize);

impl KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

#[expect(clippy::panic, reason = "Infallible: RFC 5869 refuses only more than 8160 octets, and these are 32 and 16")]
fn infallible() -> ! {
    panic!("HKDF refused a length it has to take")
}

const FORMAT: u8 = 1;
const KEK_ID_LEN: usize = 16;
const SALT_LEN: usize = 32;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 1 + KEK_ID_LEN + SALT_LEN + NONCE_LEN;
const PLAIN_LEN_MAX: usize = VALUE_LEN_MAX - OVERHEAD;
const RECORD_KEY: &[u8] = b"skerry record key";
const KEK: &[u8] = b"skerry kek:";
const KEK_ID: &[u8] = b"skerry kek id:";
