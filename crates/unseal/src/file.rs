//! The sealed root file: its octets, and the root in and out of it.
//!
//! ```text
//!    0   8  magic "SKRYROOT"      27   2  n
//!    8   2  format, 1             29   n  parameters, by kind
//!   10   1  kind                 +29  12  nonce
//!   11  16  root id              +41  32  ciphertext
//!                                +73  16  tag
//! ```
//!
//! docs/store-format.md has the whole drawing. A file is parsed whole before any of it is used; what it asks for is bounded
//! then, so whoever made it decides neither how much memory is taken nor how little protects.

use rand_core::CryptoRng;
use skerry_store::seal::Root;
use zeroize::Zeroizing;

use crate::cipher::{self, NONCE_LEN, TAG_LEN};
use crate::error::UnsealError;
use crate::limits::{FILE_BYTES_MAX, PARAMETERS_LEN_MAX};
use crate::passphrase::Parameters as PassphraseParameters;
use crate::tpm::Object;

/// What a seal gives for the right answer: 32 octets under which the root is sealed. No Debug, no Clone; wiped when dropped.
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The caller vouches that nobody comes by these octets but through the seal, and that no copy stays behind.
    pub fn new(octets: Zeroizing<[u8; 32]>) -> Secret {
        Secret(octets)
    }

    pub(crate) fn octets(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Which root: the same for the same root, and says nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootId([u8; 16]);

impl RootId {
    /// The id of a root.
    pub fn of(root: &Zeroizing<[u8; 32]>) -> RootId {
        RootId(Root::new(root.clone()).kek(LABEL, &[0; 16]).1)
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

/// How the secret of a seal is come by. What is in it says so to everybody and is not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// From a passphrase.
    Passphrase(PassphraseParameters),
    /// From a TPM 2.0.
    Tpm(Object),
    /// From a PKCS#11 token: octets that the custody of tokens gave and understands.
    Token(Vec<u8>),
}

impl Kind {
    /// The word for it that configuration, command line and `/health/sealed` have.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Tpm(_) => "tpm",
            Self::Token(_) => "token",
        }
    }

    fn number(&self) -> u8 {
        match self {
            Self::Passphrase(_) => PASSPHRASE,
            Self::Tpm(_) => TPM,
            Self::Token(_) => TOKEN,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Passphrase(parameters) => parameters.to_bytes().to_vec(),
            Self::Tpm(object) => object.to_bytes(),
            Self::Token(octets) => octets.clone(),
        }
    }

    fn parse(number: u8, octets: &[u8]) -> Result<Kind, UnsealError> {
        match number {
            PASSPHRASE => PassphraseParameters::parse(octets).map(Kind::Passphrase),
            TPM => Object::parse(octets).map(Kind::Tpm),
            TOKEN => Ok(Kind::Token(octets.to_vec())),
            kind => Err(UnsealError::UnknownKind { kind }),
        }
    }
}

/// A root in its seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRoot {
    id: RootId,
    kind: Kind,
    nonce: [u8; NONCE_LEN],
    ciphertext: [u8; ROOT_LEN],
    tag: [u8; TAG_LEN],
}

impl SealedRoot {
    /// Seals a root under a secret that is come by in this way. The caller vouches that `kind` and `secret` belong together and
    /// are new, and that the root is 32 octets of full entropy.
    pub fn seal(
        root: &Zeroizing<[u8; 32]>,
        kind: Kind,
        secret: &Secret,
        rng: &mut dyn CryptoRng,
    ) -> Result<SealedRoot, UnsealError> {
        let mut sealed = SealedRoot {
            id: RootId::of(root),
            kind,
            nonce: [0; NONCE_LEN],
            ciphertext: [0; ROOT_LEN],
            tag: [0; TAG_LEN],
        };
        if sealed.kind.to_bytes().len() > PARAMETERS_LEN_MAX {
            return Err(UnsealError::Parameters { kind: sealed.kind.number() });
        }
        rng.fill_bytes(&mut sealed.nonce);
        let (number, head) = (sealed.kind.number(), sealed.head());
        let mut text = root.clone();
        sealed.tag = cipher::seal(secret, number, sealed.nonce, &head, &mut text).map_err(|_| UnsealError::Library)?;
        // Infallible: what is in place now is the ciphertext.
        sealed.ciphertext = *text;
        Ok(sealed)
    }

    /// The root, iff it was sealed under this secret and nothing of the file was altered since.
    pub fn open(&self, secret: &Secret) -> Result<Zeroizing<[u8; 32]>, UnsealError> {
        let sealed = [self.ciphertext.as_slice(), &self.tag].concat();
        let root = cipher::open(secret, self.kind.number(), self.nonce, &self.head(), &sealed);
        let root = root.map_err(|_| match self.kind {
            Kind::Passphrase(_) => UnsealError::Passphrase,
            _ => UnsealError::Altered,
        })?;
        if RootId::of(&root) == self.id { Ok(root) } else { Err(UnsealError::OtherRoot) }
    }

    /// How its secret is come by.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Which root is in it, if it is what it says; opening makes sure of that.
    pub fn id(&self) -> RootId {
        self.id
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.head().as_slice(), &self.ciphertext, &self.tag].concat()
    }

    /// Reads a file, all of it.
    pub fn parse(octets: &[u8]) -> Result<SealedRoot, UnsealError> {
        let length = UnsealError::Length { len: octets.len() };
        let take = |cut: Option<_>| cut.ok_or(length.clone());
        if u64::try_from(octets.len()).map_or(true, |len| len > FILE_BYTES_MAX) {
            return Err(length);
        }
        let (magic, rest) = octets.split_first_chunk::<8>().ok_or(length.clone())?;
        if magic != MAGIC {
            return Err(UnsealError::NotASeal);
        }
        let (format, rest) = rest.split_first_chunk::<2>().ok_or(length.clone())?;
        let format = u16::from_be_bytes(*format);
        if format != FORMAT {
            return Err(UnsealError::UnknownFormat { format });
        }
        let (number, rest) = rest.split_first_chunk::<1>().ok_or(length.clone())?;
        let (id, rest) = rest.split_first_chunk::<16>().ok_or(length.clone())?;
        let (len, rest) = rest.split_first_chunk::<2>().ok_or(length.clone())?;
        let (parameters, rest) = take(rest.split_at_checked(usize::from(u16::from_be_bytes(*len))))?;
        if parameters.len() > PARAMETERS_LEN_MAX {
            return Err(UnsealError::Parameters { kind: number[0] });
        }
        let kind = Kind::parse(number[0], parameters)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(length.clone())?;
        let (ciphertext, rest) = rest.split_first_chunk().ok_or(length.clone())?;
        let tag = rest.try_into().map_err(|_| length)?;
        Ok(SealedRoot { id: RootId(*id), kind, nonce: *nonce, ciphertext: *ciphertext, tag })
    }

    /// All octets before the ciphertext, which are its associated data.
    fn head(&self) -> Vec<u8> {
        let parameters = self.kind.to_bytes();
        // Infallible: at most PARAMETERS_LEN_MAX, by sealing or by parsing.
        let len = u16::try_from(parameters.len()).unwrap_or(u16::MAX).to_be_bytes();
        [MAGIC, &FORMAT.to_be_bytes(), &[self.kind.number()], &self.id.0, &len, &parameters, &self.nonce].concat()
    }
}

const MAGIC: &[u8] = b"SKRYROOT";
const FORMAT: u16 = 1;
const ROOT_LEN: usize = 32;
const LABEL: &str = "sealed root";
const PASSPHRASE: u8 = 1;
// 2 is the systemd credential, which has no file.
const TPM: u8 = 3;
const TOKEN: u8 = 4;
