//! Custody in software: material sealed under a key-encryption key (KEK) that this process holds.
//!
//! ```text
//! sealed record, 77 + len octets
//!    0   1  format, 1
//!    1  16  KEK id
//!   17  32  salt, random
//!   49  12  nonce, random
//!   61 len  ciphertext of the material
//! +61   16  tag
//!
//! storage key, 48 octets: vault UUID 16 || key UUID 16 || version 16
//! record key:  HKDF-SHA256(salt = salt, secret = KEK, info = "skerry material key" || storage key), 32 octets
//! associated data, 71 octets, every field of fixed length:
//!    0   1  format, 1
//!    1  16  KEK id
//!   17  48  storage key
//!   65   2  type: family, size
//!   67   1  exportable: 0 or 1
//!   68   1  custody: 1 software, 2 a token (crate::strict)
//!   69   2  zero
//! ```
//!
//! AES-256-GCM. A salt of its own gives every record a key of its own, so no nonce can repeat under one. An edited row, a
//! record moved to another key, or a flag changed beside it, fails to open.
//!
//! Deliberately not here: where the KEK comes from and how it is rotated, storage, and the public key, which is not
//! bound by the record: the store seals it. Rolling a row back to an older record of the same version goes unseen here.

use crate::import::{ImportError, ImportKey};
use crate::key_type::{KeyType, PublicKey};
use crate::limits::MATERIAL_LEN_MAX;
use crate::material::{self, Material};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use rand_core::CryptoRng;
use skerry_pkcs11::Fault;
use skerry_policy::permit::KeyRef;
use zeroize::Zeroizing;

/// What a sealed record is bound to. The caller vouches that it is what the key's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Which version of which key in which vault.
    pub key: KeyRef,
    /// What the key is.
    pub key_type: KeyType,
    /// Whether it may ever leave, wrapped to a TEE.
    pub exportable: bool,
}

impl Binding {
    /// What is brought in, iff its components are consistent and of this binding's type.
    pub(crate) fn admit(&self, key: &ImportKey) -> Result<(PublicKey, Material), ImportError> {
        let (found, public, material) = material::import(key)?;
        if found == self.key_type {
            Ok((public, material))
        } else {
            Err(ImportError::OtherType { expected: self.key_type, found })
        }
    }

    /// Whether a key has the same terms in another place: its type, and whether it may leave.
    pub(crate) fn check_terms(&self, place: &Binding) -> Result<(), CustodyError> {
        let same = (place.key_type, place.exportable) == (self.key_type, self.exportable);
        if same { Ok(()) } else { Err(CustodyError::OtherTerms) }
    }
}

/// A sealed record, as it is stored. Says nothing about whether it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedMaterial(Vec<u8>);

impl SealedMaterial {
    /// A record as read from the store; only its length is checked here.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CustodyError> {
        let overhead = HEADER_LEN + TAG_LEN;
        if !(overhead + 1..=overhead + MATERIAL_LEN_MAX).contains(&bytes.len()) {
            return Err(CustodyError::Malformed { len: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The record to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the record, for the key's head.
    pub fn digest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.iter_mut().zip(digest(&SHA256, &self.0).as_ref()).for_each(|(to, from)| *to = *from);
        out
    }
}

/// Custody by a KEK in this process's memory. No Debug, no Clone; the KEK is wiped when dropped.
pub struct Software {
    kek: Zeroizing<[u8; 32]>,
    id: [u8; KEK_ID_LEN],
    custody: u8,
}

impl Software {
    /// Custody under a KEK of this id. The caller vouches that the KEK is 32 octets of full entropy, that no other KEK
    /// has this id, and that no copy stays behind.
    pub fn new(kek: Zeroizing<[u8; 32]>, id: [u8; 16]) -> Self {
        Self { kek, id, custody: SOFTWARE }
    }

    /// The seal that goes around what a token has wrapped: the same form, and no record of one opens as the other.
    pub(crate) fn around_token(kek: Zeroizing<[u8; 32]>, id: [u8; 16]) -> Self {
        Self { kek, id, custody: TOKEN }
    }

    /// Id of the KEK, as records name it.
    pub fn kek_id(&self) -> &[u8; 16] {
        &self.id
    }

    /// A fresh key of the binding's type, sealed. Salt, nonce, symmetric material and the seed of ML-DSA come from
    /// `rng`, RSA and EC pairs from the cryptographic library's own generator.
    pub fn generate(
        &self,
        binding: Binding,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), CustodyError> {
        let (public, material) = material::generate(binding.key_type, rng).map_err(|_| CustodyError::Library)?;
        Ok((public, self.seal(&binding, &material, rng)?))
    }

    /// A key brought in, sealed, iff its components are consistent and of the binding's type.
    pub fn import(
        &self,
        binding: Binding,
        key: &ImportKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), ImportError> {
        let (public, material) = binding.admit(key)?;
        let sealed = self.seal(&binding, &material, rng).map_err(ImportError::Custody)?;
        Ok((public, sealed))
    }

    /// The same material sealed for another place, under the KEK there, iff it opens for this one and is of the same type and
    /// just as exportable there. The caller vouches that it may be in both.
    pub fn reseal(
        &self,
        sealed: &SealedMaterial,
        binding: &Binding,
        to: (&Software, &Binding),
        rng: &mut dyn CryptoRng,
    ) -> Result<SealedMaterial, CustodyError> {
        let (custody, place) = to;
        binding.check_terms(place)?;
        custody.seal(place, &self.open(sealed, binding)?, rng)
    }

    /// Checks that a record opens under this binding, without giving anything out. For start-up and restore.
    pub fn check(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<(), CustodyError> {
        self.open(sealed, binding).map(drop)
    }

    pub(crate) fn seal(
        &self,
        binding: &Binding,
        material: &Material,
        rng: &mut dyn CryptoRng,
    ) -> Result<SealedMaterial, CustodyError> {
        let secret = material.expose();
        if secret.is_empty() || secret.len() > MATERIAL_LEN_MAX {
            return Err(CustodyError::MaterialLength { len: secret.len() });
        }
        let mut head = Head { kek: self.id, salt: [0; SALT_LEN], nonce: [0; NONCE_LEN] };
        rng.fill_bytes(&mut head.salt);
        rng.fill_bytes(&mut head.nonce);
        self.seal_under(&head, binding, secret).map_err(|_| CustodyError::Library)
    }

    fn seal_under(&self, head: &Head, binding: &Binding, secret: &[u8]) -> Result<SealedMaterial, Unspecified> {
        // In a place of its own, so that growing the record leaves no copy behind.
        let mut text = Zeroizing::new(secret.to_vec());
        let tag = self.record_key(head, binding)?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(head.nonce),
            Aad::from(self.associated_data(binding)),
            &mut text,
        )?;
        let record = [&head.to_bytes(), text.as_slice(), tag.as_ref()].concat();
        Ok(SealedMaterial(record))
    }

    /// Opens a record. Called only by what consumes a permit, and by what gives nothing out.
    pub(crate) fn open(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<Material, CustodyError> {
        let (head, ciphertext) = Head::parse(&sealed.0)?;
        if head.kek != self.id {
            return Err(CustodyError::OtherKek { kek: head.kek });
        }
        self.open_under(&head, binding, ciphertext).map_err(|_| CustodyError::Integrity)
    }

    fn open_under(&self, head: &Head, binding: &Binding, ciphertext: &[u8]) -> Result<Material, Unspecified> {
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let len = self
            .record_key(head, binding)?
            .open_in_place(
                Nonce::assume_unique_for_key(head.nonce),
                Aad::from(self.associated_data(binding)),
                &mut text,
            )?
            .len();
        text.truncate(len);
        Ok(Material::opened(text))
    }

    fn record_key(&self, head: &Head, binding: &Binding) -> Result<LessSafeKey, Unspecified> {
        let mut key = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, &head.salt)
            .extract(self.kek.as_slice())
            .expand(&[RECORD_KEY, &storage_key(binding)], HKDF_SHA256)?
            .fill(key.as_mut_slice())?;
        UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new)
    }

    fn associated_data(&self, binding: &Binding) -> Vec<u8> {
        [
            [FORMAT].as_slice(),
            &self.id,
            &storage_key(binding),
            &binding.key_type.tag(),
            &[u8::from(binding.exportable), self.custody, 0, 0],
        ]
        .concat()
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

    fn parse(record: &[u8]) -> Result<(Self, &[u8]), CustodyError> {
        let malformed = CustodyError::Malformed { len: record.len() };
        let (&format, rest) = record.split_first().ok_or(malformed)?;
        if format != FORMAT {
            return Err(CustodyError::UnknownFormat { format });
        }
        let (&kek, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let (&salt, rest) = rest.split_first_chunk().ok_or(malformed)?;
        let (&nonce, ciphertext) = rest.split_first_chunk().ok_or(malformed)?;
        Ok((Self { kek, salt, nonce }, ciphertext))
    }
}

/// Vault, key and version, in that order: where the record is stored.
fn storage_key(binding: &Binding) -> Vec<u8> {
    let key = &binding.key;
    [key.vault.as_bytes().as_slice(), key.key.as_bytes(), &key.version.0].concat()
}

/// Why material is not sealed or does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustodyError {
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
    /// Material is not given other terms by sealing it anew.
    #[error("the binding to seal under is of another type, or not as exportable")]
    OtherTerms,
    /// The record was altered, or does not belong to this binding.
    #[error("record does not open under this binding")]
    Integrity,
    /// The material is empty or too long to be released.
    #[error("material of {len} octets cannot be sealed")]
    MaterialLength {
        /// Octets of the material.
        len: usize,
    },
    /// The record is of another custody than this.
    #[error("the key is held in custody \"{}\", and this server has another", .found.as_str())]
    OtherCustody {
        /// The custody it is of.
        found: Level,
    },
    /// A key that was made in this process is not put into a token as if it had been made there.
    #[error("a key that was made beforehand is not one of the token")]
    MadeOutside,
    /// The token does not do it.
    #[error(transparent)]
    Token(Fault),
    /// The cryptographic library failed.
    #[error("cryptographic library failed")]
    Library,
}

/// Where material is in the clear, which nothing shows better than it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// In this process, under a root key that it was given.
    #[default]
    Software,
    /// In this process, under a root key that a token unseals.
    HsmRoot,
    /// In a token alone.
    HsmStrict,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Software, Self::HsmRoot, Self::HsmStrict];

    /// Its name, in configuration and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::HsmRoot => "hsm-root",
            Self::HsmStrict => "hsm-strict",
        }
    }

    /// The level of exactly this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

const FORMAT: u8 = 1;
/// Custody in software: the material itself is sealed.
const SOFTWARE: u8 = 1;
/// Custody in a token: what is sealed was wrapped there.
const TOKEN: u8 = 2;
const KEK_ID_LEN: usize = 16;
const SALT_LEN: usize = 32;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 1 + KEK_ID_LEN + SALT_LEN + NONCE_LEN;
const RECORD_KEY: &[u8] = b"skerry material key";
