//! The bytes of heads and versions, and where they lie. The store seals them; here they are in the clear.
//!
//! ```text
//! storage key                                      value (CBOR, RFC 8949, one array of fixed length)
//!   v/ vault 16 /k/ folded name                    head of a key
//!   v/ vault 16 /d/ folded name                    head of a deleted key
//!   v/ vault 16 /m/ key 16 version 16              version
//!   v/ vault 16 /r/ key 16                         rotation policy
//!   v/ vault 16 /t/ key 16                         tombstone of a purged key
//!   v/ vault 16 /f                                 floor of the vault
//!   v/ vault 16 /g/ key 16                         empty: versions of this key have no head, and are to be removed
//!
//! head       [1, key 16, name, exportable, immutable, policy / null, generation, min_iat,
//!             [[version 16, material digest 32] ...], [deleted, purge] / null]
//! version    [1, version 16, hsm, enabled, nbf / null, exp / null, created, updated, type 2,
//!             public key, [key_op ...], [[name, value] ...], sealed material], of before origins were noted, or
//!            [2, ... the same ..., origin], origin: 1 generated here, 2 imported, 3 imported with a leading zero octet before the
//!            modulus
//! rotation   [1, lifetime / null, [[rotate, after creation, period] ...], created / null, updated / null]
//! floor      [1, generation, min_iat, oldest token / null, policy / null, updated]
//! tombstone  [1, key 16, generation, immutable, min_iat, purged]
//! ```
//!
//! Versions of format 1 are read, and written as they are while they are changed: what was not noted is not made up. Key
//! operations `secureWrapKey` and `secureUnwrapKey`, and heads with a policy that are not exportable, came with format 2; what
//! reads no format 2 refuses such records too.
//!
//! Each record has one spelling: integers and lengths in their shortest form (RFC 8949, 4.2.1), every field in its place.
//! A folded name is ASCII, so the order of storage keys is the order of names without case. The seal of a value is bound
//! to its storage key, so no record can be put in another's place; the head says which versions there are.

use std::sync::Arc;

use minicbor::{Decoder, Encoder};
use skerry_keys::custody::SealedMaterial;
use skerry_keys::{KeyType, PublicKey};
use skerry_policy::permit::Version;
use uuid::Uuid;

use crate::command::{KeyOp, Tags};
use crate::floor::FloorSettings;
use crate::record::{Deletion, KeyHead, KeyName, KeyPolicy, KeyVersion, Origin, VersionRef};
use crate::rotation::{Action, Period, RotationPolicy, Trigger};

/// What is stored is not what was stored: an integrity error, never a refusal of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum Corrupted {
    #[error("the record does not open")]
    Seal(#[source] skerry_store::seal::SealError),
    #[error("the record is not of a known form: {0}")]
    Form(&'static str),
    #[error("the record of version {version} is missing")]
    VersionMissing { version: String },
    #[error("the material of version {version} is not what the key's head says")]
    MaterialMismatch { version: String },
    #[error("the record is of version {found}, in the place of {expected}")]
    OtherVersion { expected: String, found: String },
    #[error("the record is of key {found}, in the place of {expected}")]
    OtherName { expected: String, found: String },
}

/// What stays of a purged key, so that an older generation of it is not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// The key.
    pub id: Uuid,
    /// Generation of its policy when it was purged.
    pub generation: u64,
    /// Whether its policy was fixed for good.
    pub immutable: bool,
    /// Earliest attestation token that was good for it, in seconds since the epoch.
    pub min_iat: u64,
    /// When, in seconds since the epoch.
    pub purged: u64,
}

/// What all records of vaults begin with.
pub(crate) const VAULTS: &[u8] = b"v/";

/// The vault, if this is the place of a head, of a deleted key or of another.
pub(crate) fn is_head(at: &[u8]) -> Option<Uuid> {
    let (vault, rest) = at.strip_prefix(VAULTS)?.split_first_chunk()?;
    (rest.starts_with(b"/k/") || rest.starts_with(b"/d/")).then(|| Uuid::from_bytes(*vault))
}

/// Where records of one vault lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(Uuid);

impl Place {
    pub(crate) fn of(vault: Uuid) -> Place {
        Place(vault)
    }

    pub(crate) fn heads(self) -> Vec<u8> {
        self.under(b"/k/", &[])
    }

    pub(crate) fn deleted_heads(self) -> Vec<u8> {
        self.under(b"/d/", &[])
    }

    pub(crate) fn head(self, name: &KeyName) -> Vec<u8> {
        self.under(b"/k/", name.folded().as_bytes())
    }

    pub(crate) fn deleted_head(self, name: &KeyName) -> Vec<u8> {
        self.under(b"/d/", name.folded().as_bytes())
    }

    /// The folded name in the place of a head, deleted or not.
    pub(crate) fn name_in(self, at: &[u8]) -> Option<&str> {
        let name = [self.heads(), self.deleted_heads()].iter().find_map(|prefix| at.strip_prefix(prefix.as_slice()))?;
        std::str::from_utf8(name).ok()
    }

    pub(crate) fn versions(self, key: Uuid) -> Vec<u8> {
        self.under(b"/m/", key.as_bytes())
    }

    pub(crate) fn version(self, key: Uuid, version: Version) -> Vec<u8> {
        [self.versions(key).as_slice(), &version.0].concat()
    }

    pub(crate) fn rotations(self) -> Vec<u8> {
        self.under(b"/r/", &[])
    }

    pub(crate) fn rotation(self, key: Uuid) -> Vec<u8> {
        self.under(b"/r/", key.as_bytes())
    }

    pub(crate) fn tombstone(self, key: Uuid) -> Vec<u8> {
        self.under(b"/t/", key.as_bytes())
    }

    pub(crate) fn floor(self) -> Vec<u8> {
        self.under(b"/f", &[])
    }

    pub(crate) fn leftovers(self) -> Vec<u8> {
        self.under(b"/g/", &[])
    }

    pub(crate) fn leftover(self, key: Uuid) -> Vec<u8> {
        self.under(b"/g/", key.as_bytes())
    }

    fn under(self, kind: &[u8], rest: &[u8]) -> Vec<u8> {
        [b"v/", self.0.as_bytes().as_slice(), kind, rest].concat()
    }
}

type Fault = minicbor::decode::Error;

/// The bytes of a head.
pub fn encode_head(head: &KeyHead) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    // Infallible: writing to a vector.
    let _ = write_head(&mut out, head);
    out.into_writer()
}

pub(crate) type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn write_head(out: &mut Encoder<Vec<u8>>, head: &KeyHead) -> Written {
    out.array(10)?.u8(FORMAT)?.bytes(head.id.as_bytes())?.str(head.name.as_str())?;
    out.bool(head.exportable)?.bool(head.immutable)?;
    match &head.policy {
        Some(policy) => out.bytes(policy.source())?,
        None => out.null()?,
    };
    out.u64(head.generation)?.u64(head.min_iat)?.array(len(head.versions.len()))?;
    for version in &head.versions {
        out.array(2)?.bytes(&version.version.0)?.bytes(&version.material)?;
    }
    match &head.deletion {
        Some(deletion) => out.array(2)?.u64(deletion.deleted)?.u64(deletion.purge)?,
        None => out.null()?,
    };
    Ok(())
}

/// A head from its bytes. The caller vouches that they are authentic; anything but a whole head is refused.
pub fn decode_head(bytes: &[u8]) -> Result<KeyHead, Corrupted> {
    let head = read(bytes, read_head, |head| Ok(encode_head(head)))?;
    if head.versions.is_empty() {
        return Err(Corrupted::Form("a key has no version"));
    }
    // A key that stays may have one too, which then says who unwraps with it.
    if head.policy.is_none() && (head.exportable || head.immutable) {
        return Err(Corrupted::Form("an exportable key, or one whose policy is fixed, has no policy"));
    }
    Ok(head)
}

fn read_head(input: &mut Decoder<'_>) -> Result<KeyHead, Fault> {
    begin(input, 10)?;
    Ok(KeyHead {
        id: Uuid::from_bytes(octets(input)?),
        name: KeyName::parse(input.str()?).map_err(|_| Fault::message("name"))?,
        exportable: input.bool()?,
        immutable: input.bool()?,
        policy: optional(input, |input| KeyPolicy::parse(input.bytes()?).map_err(|_| Fault::message("policy")))?,
        generation: input.u64()?,
        min_iat: input.u64()?,
        versions: list(input, |input| {
            fixed(input, 2)?;
            Ok(VersionRef { version: Version(octets(input)?), material: octets(input)? })
        })?,
        deletion: optional(input, |input| {
            fixed(input, 2)?;
            Ok(Deletion { deleted: input.u64()?, purge: input.u64()? })
        })?,
    })
}

/// The bytes of a version, whose public key has to be one that custody makes.
pub fn encode_version(version: &KeyVersion) -> Result<Vec<u8>, Corrupted> {
    let public = version.public.to_bytes().map_err(|_| Corrupted::Form("the public key has no stored form"))?;
    let mut out = Encoder::new(Vec::new());
    // Infallible: writing to a vector.
    let _ = write_version(&mut out, version, &public);
    Ok(out.into_writer())
}

fn write_version(out: &mut Encoder<Vec<u8>>, version: &KeyVersion, public: &[u8]) -> Written {
    let origin = origin_number(version.origin);
    out.array(if origin.is_some() { 14 } else { 13 })?.u8(if origin.is_some() {
        FORMAT_WITH_ORIGIN
    } else {
        FORMAT
    })?;
    out.bytes(&version.version.0)?.bool(version.hsm)?.bool(version.enabled)?;
    for time in [version.not_before, version.expires] {
        match time {
            Some(time) => out.u64(time)?,
            None => out.null()?,
        };
    }
    out.u64(version.created)?.u64(version.updated)?.bytes(&version.key_type.tag())?;
    out.bytes(public)?.array(len(version.key_ops.len()))?;
    for op in &version.key_ops {
        out.str(op.as_str())?;
    }
    out.array(len(version.tags.iter().len()))?;
    for (name, value) in version.tags.iter() {
        out.array(2)?.str(name)?.str(value)?;
    }
    out.bytes(version.material.as_bytes())?;
    if let Some(origin) = origin {
        out.u8(origin)?;
    }
    Ok(())
}

fn origin_number(origin: Origin) -> Option<u8> {
    match origin {
        Origin::Generated => Some(1),
        Origin::Imported => Some(2),
        Origin::ImportedPadded => Some(3),
        Origin::Unknown => None,
    }
}

/// A version from its bytes. The caller vouches that they are authentic; anything but a whole version is refused.
pub fn decode_version(bytes: &[u8]) -> Result<KeyVersion, Corrupted> {
    let version = read(bytes, read_version, encode_version)?;
    let symmetric = matches!(version.key_type, KeyType::Oct { .. });
    match version.public.key_type() {
        Ok(Some(key_type)) if key_type == version.key_type => Ok(version),
        Ok(None) if symmetric => Ok(version),
        _ => Err(Corrupted::Form("the public key is of another type")),
    }
}

fn read_version(input: &mut Decoder<'_>) -> Result<KeyVersion, Fault> {
    let noted = match (input.array()?, input.u8()?) {
        (Some(13), FORMAT) => false,
        (Some(14), FORMAT_WITH_ORIGIN) => true,
        _ => return Err(Fault::message("format")),
    };
    Ok(KeyVersion {
        version: Version(octets(input)?),
        hsm: input.bool()?,
        enabled: input.bool()?,
        not_before: optional(input, |input| input.u64())?,
        expires: optional(input, |input| input.u64())?,
        created: input.u64()?,
        updated: input.u64()?,
        key_type: KeyType::from_tag(octets(input)?).ok_or_else(|| Fault::message("key type"))?,
        public: PublicKey::from_bytes(input.bytes()?).map_err(|_| Fault::message("public key"))?,
        key_ops: list(input, |input| KeyOp::parse(input.str()?).ok_or_else(|| Fault::message("key_ops")))?,
        tags: {
            let tags = list(input, |input| {
                fixed(input, 2)?;
                Ok((input.str()?.to_owned(), input.str()?.to_owned()))
            })?;
            Tags::new(tags).map_err(|_| Fault::message("tags"))?
        },
        material: SealedMaterial::from_bytes(input.bytes()?.to_vec()).map_err(|_| Fault::message("material"))?,
        origin: match noted {
            false => Origin::Unknown,
            true => match input.u8()? {
                1 => Origin::Generated,
                2 => Origin::Imported,
                3 => Origin::ImportedPadded,
                _ => return Err(Fault::message("origin")),
            },
        },
    })
}

/// The bytes of a rotation policy.
pub fn encode_rotation(policy: &RotationPolicy) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    let mut write = || -> Written {
        out.array(5)?.u8(FORMAT)?;
        match &policy.lifetime {
            Some(period) => out.str(period.as_str())?,
            None => out.null()?,
        };
        out.array(len(policy.actions.len()))?;
        for (action, trigger) in &policy.actions {
            let (after_create, period) = match trigger {
                Trigger::AfterCreate(period) => (true, period),
                Trigger::BeforeExpiry(period) => (false, period),
            };
            out.array(3)?.bool(*action == Action::Rotate)?.bool(after_create)?.str(period.as_str())?;
        }
        for time in [policy.created, policy.updated] {
            match time {
                Some(time) => out.u64(time)?,
                None => out.null()?,
            };
        }
        Ok(())
    };
    // Infallible: writing to a vector.
    let _ = write();
    out.into_writer()
}

/// A rotation policy from its bytes, as [`decode_head`].
pub fn decode_rotation(bytes: &[u8]) -> Result<RotationPolicy, Corrupted> {
    let period = |input: &mut Decoder<'_>| Period::parse(input.str()?).map_err(|_| Fault::message("period"));
    let parse = |input: &mut Decoder<'_>| {
        begin(input, 5)?;
        Ok(RotationPolicy {
            lifetime: optional(input, period)?,
            actions: list(input, |input| {
                fixed(input, 3)?;
                let action = if input.bool()? { Action::Rotate } else { Action::Notify };
                let trigger = if input.bool()? { Trigger::AfterCreate } else { Trigger::BeforeExpiry };
                Ok((action, trigger(period(input)?)))
            })?,
            created: optional(input, |input| input.u64())?,
            updated: optional(input, |input| input.u64())?,
        })
    };
    read(bytes, parse, |policy| Ok(encode_rotation(policy)))
}

/// The bytes of a vault's floor.
pub fn encode_floor(floor: &FloorSettings) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    let mut write = || -> Written {
        out.array(6)?.u8(FORMAT)?.u64(floor.generation)?.u64(floor.min_iat)?;
        match floor.token_age_max_secs {
            Some(secs) => out.u64(secs)?,
            None => out.null()?,
        };
        match &floor.policy {
            Some(policy) => out.bytes(policy.source())?,
            None => out.null()?,
        };
        out.u64(floor.updated)?;
        Ok(())
    };
    // Infallible: writing to a vector.
    let _ = write();
    out.into_writer()
}

/// A vault's floor from its bytes, as [`decode_head`].
pub fn decode_floor(bytes: &[u8]) -> Result<FloorSettings, Corrupted> {
    let policy =
        |input: &mut Decoder<'_>| KeyPolicy::parse(input.bytes()?).map(Arc::new).map_err(|_| Fault::message("policy"));
    let parse = |input: &mut Decoder<'_>| {
        begin(input, 6)?;
        Ok(FloorSettings {
            generation: input.u64()?,
            min_iat: input.u64()?,
            token_age_max_secs: optional(input, |input| input.u64())?,
            policy: optional(input, policy)?,
            updated: input.u64()?,
        })
    };
    read(bytes, parse, |floor| Ok(encode_floor(floor)))
}

/// The bytes of a tombstone.
pub fn encode_tombstone(tombstone: &Tombstone) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    let mut write = || -> Written {
        out.array(6)?.u8(FORMAT)?.bytes(tombstone.id.as_bytes())?.u64(tombstone.generation)?;
        out.bool(tombstone.immutable)?.u64(tombstone.min_iat)?.u64(tombstone.purged)?;
        Ok(())
    };
    // Infallible: writing to a vector.
    let _ = write();
    out.into_writer()
}

/// A tombstone from its bytes, as [`decode_head`].
pub fn decode_tombstone(bytes: &[u8]) -> Result<Tombstone, Corrupted> {
    let parse = |input: &mut Decoder<'_>| {
        begin(input, 6)?;
        Ok(Tombstone {
            id: Uuid::from_bytes(octets(input)?),
            generation: input.u64()?,
            immutable: input.bool()?,
            min_iat: input.u64()?,
            purged: input.u64()?,
        })
    };
    read(bytes, parse, |tombstone| Ok(encode_tombstone(tombstone)))
}

/// Checks that a version's record is the one that the head means.
pub(crate) fn check_version(expected: &VersionRef, version: KeyVersion) -> Result<Arc<KeyVersion>, Corrupted> {
    if version.version != expected.version {
        let (expected, found) = (expected.version.to_string(), version.version.to_string());
        return Err(Corrupted::OtherVersion { expected, found });
    }
    if version.material.digest() != expected.material {
        return Err(Corrupted::MaterialMismatch { version: version.version.to_string() });
    }
    Ok(Arc::new(version))
}

/// A record has one spelling: what was read, written again, is what was read.
fn read<T>(
    bytes: &[u8],
    parse: impl FnOnce(&mut Decoder<'_>) -> Result<T, Fault>,
    write: impl FnOnce(&T) -> Result<Vec<u8>, Corrupted>,
) -> Result<T, Corrupted> {
    let mut input = Decoder::new(bytes);
    let value = parse(&mut input).map_err(|_| Corrupted::Form("a field is malformed"))?;
    if input.position() != bytes.len() {
        return Err(Corrupted::Form("there is more than one record"));
    }
    match write(&value)? == bytes {
        true => Ok(value),
        false => Err(Corrupted::Form("a field is not in its shortest form")),
    }
}

fn begin(input: &mut Decoder<'_>, fields: u64) -> Result<(), Fault> {
    fixed(input, fields)?;
    match input.u8()? {
        FORMAT => Ok(()),
        _ => Err(Fault::message("format")),
    }
}

fn fixed(input: &mut Decoder<'_>, fields: u64) -> Result<(), Fault> {
    match input.array()? {
        Some(found) if found == fields => Ok(()),
        _ => Err(Fault::message("length")),
    }
}

fn list<T>(input: &mut Decoder<'_>, one: impl Fn(&mut Decoder<'_>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let count = input.array()?.ok_or_else(|| Fault::message("indefinite length"))?;
    // Grows as items are read: the count is not trusted with memory.
    (0..count).map(|_| one(input)).collect()
}

fn optional<T>(
    input: &mut Decoder<'_>,
    some: impl FnOnce(&mut Decoder<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    if input.datatype()? == minicbor::data::Type::Null {
        input.null()?;
        return Ok(None);
    }
    some(input).map(Some)
}

fn octets<const N: usize>(input: &mut Decoder<'_>) -> Result<[u8; N], Fault> {
    input.bytes()?.try_into().map_err(|_| Fault::message("length of octets"))
}

pub(crate) fn len(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

const FORMAT: u8 = 1;
/// Of versions that say where their material comes from.
const FORMAT_WITH_ORIGIN: u8 = 2;
