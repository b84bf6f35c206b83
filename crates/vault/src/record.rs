//! What a vault keeps of a key: the head, and a record per version.
//!
//! The head has what may change without touching material (policy, its generation, `min_iat`, deletion) and says which
//! versions there are; a version has its attributes and its sealed material, whose seal covers ids, type and
//! exportability. Names are for people: no material is bound to a name. The bytes of both are in [`crate::stored`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use skerry_keys::custody::{Binding, SealedMaterial};
use skerry_keys::{KeyType, PublicKey};
use skerry_policy::permit::{KeyRef, Version};
use skerry_policy::release::{ParseError, Policy};
use uuid::Uuid;

use crate::command::{KeyOp, Tags};
use crate::limits::NAME_CHARS_MAX;

pub use crate::stored::Corrupted;

/// A key's name, as given; two names that differ in case only are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

/// A text that cannot name a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name has 1 to {NAME_CHARS_MAX} characters of 0-9, a-z, A-Z and -")]
pub struct NotAKeyName;

impl KeyName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<KeyName, NotAKeyName> {
        let legal = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match legal && (1..=NAME_CHARS_MAX).contains(&text.len()) {
            true => Ok(KeyName(text.to_owned())),
            false => Err(NotAKeyName),
        }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name by which it is found.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key, whatever its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyHead {
    /// Outlives the name.
    pub id: Uuid,
    /// As first given.
    pub name: KeyName,
    /// Whether its material may ever leave. Set when the key is made, never changed.
    pub exportable: bool,
    /// Whether the policy is fixed for good.
    pub immutable: bool,
    /// Present in exportable keys, and in those that wrap securely.
    pub policy: Option<KeyPolicy>,
    /// How often the policy has been set.
    pub generation: u64,
    /// Earliest attestation token that is good for it, in seconds since the epoch.
    pub min_iat: u64,
    /// Its versions, oldest first. There is always one.
    pub versions: Vec<VersionRef>,
    /// Set while it is deleted and can be recovered.
    pub deletion: Option<Deletion>,
}

/// A release policy with the text it was read from, which is what is stored: reading it again gives the same digest.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPolicy {
    source: Vec<u8>,
    policy: Arc<Policy>,
}

impl KeyPolicy {
    /// Reads a policy.
    pub fn parse(source: &[u8]) -> Result<KeyPolicy, ParseError> {
        let policy = Policy::parse(source, &Default::default())?;
        Ok(KeyPolicy { source: source.to_vec(), policy: Arc::new(policy) })
    }

    /// The text it was read from.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The policy, for others to keep.
    pub fn shared(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }
}

impl Deref for KeyPolicy {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

/// What a head says of a version, so that none can be added, left out or exchanged beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRef {
    /// The version.
    pub version: Version,
    /// SHA-256 of its sealed material.
    pub material: [u8; 32],
}

/// When a key was deleted and when it goes for good, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// When it was deleted.
    pub deleted: u64,
    /// When it is purged.
    pub purge: u64,
}

/// Where the material of a version comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was made by this installation.
    Generated,
    /// It was made elsewhere and brought in, in the clear or wrapped.
    Imported,
    /// As [`Imported`](Self::Imported), and its modulus came with a leading zero octet, which is shown again (recorded from Azure).
    ImportedPadded,
    /// The version was made before this was noted.
    Unknown,
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// Its id.
    pub version: Version,
    /// Whether it is called an HSM key.
    pub hsm: bool,
    /// Disabled versions are not used and not released.
    pub enabled: bool,
    /// From when it is used, in seconds since the epoch. Does not hold back a release (Azure's rule).
    pub not_before: Option<u64>,
    /// Until when it is used, in seconds since the epoch. Does not hold back a release (Azure's rule).
    pub expires: Option<u64>,
    /// Seconds since the epoch.
    pub created: u64,
    /// Seconds since the epoch.
    pub updated: u64,
    /// Kind and size.
    pub key_type: KeyType,
    /// Public half; none of symmetric keys.
    pub public: PublicKey,
    /// What the key may be used for, as given.
    pub key_ops: Vec<KeyOp>,
    /// Tags, as given.
    pub tags: Tags,
    /// The sealed private half.
    pub material: SealedMaterial,
    /// Where that comes from.
    pub origin: Origin,
}

/// A key seen at one of its versions: what most operations work on.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The head.
    pub head: Arc<KeyHead>,
    /// The version.
    pub version: Arc<KeyVersion>,
}

/// What a vault has under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Slot {
    /// Nothing.
    Free,
    /// A key.
    Live(Arc<KeyHead>),
    /// A key that is deleted and can be recovered.
    Deleted(Arc<KeyHead>),
}

impl KeyHead {
    /// The version asked for, or the newest.
    pub fn version(&self, version: Option<Version>) -> Option<&VersionRef> {
        match version {
            Some(wanted) => self.versions.iter().find(|one| one.version == wanted),
            None => self.versions.last(),
        }
    }

    /// What the seal of a version's material covers.
    pub fn binding(&self, vault: Uuid, version: &KeyVersion) -> Binding {
        let key = KeyRef { vault, key: self.id, version: version.version };
        Binding { key, key_type: version.key_type, exportable: self.exportable }
    }
}

impl Key {
    /// What the seal of the material covers.
    pub fn binding(&self, vault: Uuid) -> Binding {
        self.head.binding(vault, &self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Azure's names and no others; two spellings that differ in case are one key.
    #[test]
    fn names_are_azure_s() {
        for good in ["a", "A-9", "payments", &"x".repeat(NAME_CHARS_MAX)] {
            assert_eq!(KeyName::parse(good).map(|name| name.as_str().to_owned()), Ok(good.to_owned()));
        }
        for bad in ["", ".", "..", "a/b", "a b", "a_b", "\u{e9}", "%2e", "a\0", &"x".repeat(NAME_CHARS_MAX + 1)] {
            assert_eq!(KeyName::parse(bad), Err(NotAKeyName), "{bad:?}");
        }
        assert_eq!(KeyName::parse("PayMents").unwrap().folded(), "payments");
    }
}
