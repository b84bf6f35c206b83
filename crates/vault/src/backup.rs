//! Backups of keys: everything of a key in one sealed blob, which opens in this installation alone.
//!
//! ```text
//! blob    "&SkerryKeyBackupV1." || sealed record (skerry_store::seal), bound to the words "key backup" and the kind of vault
//! inside  CBOR [1, vault 16, head, [version ...], rotation policy / null], each as vault::stored has it
//! ```
//!
//! The material in it stays sealed as it was stored, under the key of the vault it came from: restoring opens it with that
//! key, which follows from the installation's root, and seals it anew for the vault it goes to. So a blob that leaks says
//! nothing, a changed bit is refused, and another installation or a vault of another kind cannot open it.

use minicbor::{Decoder, Encoder};
use skerry_store::seal::{SealError, Sealer};
use uuid::Uuid;

use crate::command::Randomness;
use crate::record::{KeyHead, KeyVersion};
use crate::rotation::RotationPolicy;
use crate::signer::VaultKind;
use crate::stored::{self, Corrupted};

/// A key with all there is of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// The vault it is of.
    pub vault: Uuid,
    /// The head.
    pub head: KeyHead,
    /// Every version that the head names, in its order.
    pub versions: Vec<KeyVersion>,
    /// The rotation policy, if one was set.
    pub rotation: Option<RotationPolicy>,
}

/// Why a blob is not restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum BackupError {
    #[error("the key has too many versions for a backup: {len} octets")]
    TooLarge { len: usize },
    #[error("not a backup of a key")]
    NotABackup,
    #[error("a backup of another installation or kind of vault, or one that was changed")]
    Seal(#[source] SealError),
    #[error("what is in the backup")]
    Content(#[source] Corrupted),
    #[error("the backup is of generation {found}, older than {known}, which this vault has seen")]
    OlderGeneration { found: u64, known: u64 },
    #[error("the backup has a policy that can change, where it was fixed for good")]
    PolicyLoosened,
    #[error("the backup takes attestation tokens from {found} on, where those before {known} were revoked")]
    MinIatLowered { found: u64, known: u64 },
}

impl Backup {
    /// The blob.
    pub fn seal(&self, sealer: &Sealer, kind: VaultKind, rng: &mut Randomness) -> Result<Vec<u8>, BackupError> {
        let sealed = sealer.seal(bound_to(kind), &self.to_bytes()?, &mut **rng).map_err(|error| match error {
            SealError::PlainLength { len } => BackupError::TooLarge { len },
            error => BackupError::Seal(error),
        })?;
        Ok([MAGIC, &sealed].concat())
    }

    /// Reads a blob. Nobody vouches for it before; after, it is one that [`seal`](Self::seal) made under this key.
    pub fn open(blob: &[u8], sealer: &Sealer, kind: VaultKind) -> Result<Backup, BackupError> {
        let sealed = blob.strip_prefix(MAGIC).ok_or(BackupError::NotABackup)?;
        let plain = sealer.open(bound_to(kind), sealed).map_err(BackupError::Seal)?;
        Backup::from_bytes(&plain).map_err(BackupError::Content)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, BackupError> {
        let versions: Vec<Vec<u8>> =
            self.versions.iter().map(stored::encode_version).collect::<Result<_, _>>().map_err(BackupError::Content)?;
        let mut out = Encoder::new(Vec::new());
        let mut write = || -> stored::Written {
            out.array(5)?.u8(FORMAT)?.bytes(self.vault.as_bytes())?.bytes(&stored::encode_head(&self.head))?;
            out.array(stored::len(versions.len()))?;
            for version in &versions {
                out.bytes(version)?;
            }
            match &self.rotation {
                Some(policy) => out.bytes(&stored::encode_rotation(policy))?,
                None => out.null()?,
            };
            Ok(())
        };
        // Infallible: writing to a vector.
        let _ = write();
        Ok(out.into_writer())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Backup, Corrupted> {
        let mut input = Decoder::new(bytes);
        let parts = Parts::read(&mut input).map_err(|_| Corrupted::Form("a field is malformed"))?;
        if input.position() != bytes.len() {
            return Err(Corrupted::Form("there is more than one record"));
        }
        let head = stored::decode_head(parts.head)?;
        let versions: Vec<KeyVersion> =
            parts.versions.into_iter().map(stored::decode_version).collect::<Result<_, _>>()?;
        if versions.len() != head.versions.len() {
            return Err(Corrupted::Form("versions and head differ"));
        }
        for (of, version) in head.versions.iter().zip(&versions) {
            stored::check_version(of, version.clone())?;
        }
        let rotation = parts.rotation.map(stored::decode_rotation).transpose()?;
        Ok(Backup { vault: parts.vault, head, versions, rotation })
    }
}

struct Parts<'a> {
    vault: Uuid,
    head: &'a [u8],
    versions: Vec<&'a [u8]>,
    rotation: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn read(input: &mut Decoder<'a>) -> Result<Parts<'a>, minicbor::decode::Error> {
        let malformed = || minicbor::decode::Error::message("form");
        if input.array()? != Some(5) || input.u8()? != FORMAT {
            return Err(malformed());
        }
        let vault = Uuid::from_bytes(input.bytes()?.try_into().map_err(|_| malformed())?);
        let head = input.bytes()?;
        let count = input.array()?.ok_or_else(malformed)?;
        let mut versions = Vec::new();
        for _ in 0..count {
            versions.push(input.bytes()?);
        }
        let rotation = match input.datatype()? {
            minicbor::data::Type::Null => input.null().map(|()| None)?,
            _ => Some(input.bytes()?),
        };
        Ok(Parts { vault, head, versions, rotation })
    }
}

/// Key vaults restore each other's keys, whether standard or premium; Managed HSMs each other's.
fn bound_to(kind: VaultKind) -> &'static [u8] {
    match kind {
        VaultKind::Standard | VaultKind::Premium => b"key backup, key vault",
        VaultKind::ManagedHsm => b"key backup, managed hsm",
    }
}

const MAGIC: &[u8] = b"&SkerryKeyBackupV1.";
const FORMAT: u8 = 1;
