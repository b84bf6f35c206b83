//! What a vault keeps of a key: the head, and a record per version.
//!
//! The head has what may change without touching material (policy, its generation, `min_iat`); a version has its sealed
//! material, whose seal covers ids, type and exportability. Names are for people: nothing is bound to a name.

use std::fmt;

use skerry_keys::custody::{Binding, SealedMaterial};
use skerry_keys::{KeyType, PublicKey};
use skerry_policy::permit::{KeyRef, Version};
use skerry_policy::release::Policy;
use uuid::Uuid;

use crate::limits::NAME_CHARS_MAX;

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
#[derive(Debug, Clone)]
pub struct KeyHead {
    /// Outlives the name.
    pub id: Uuid,
    /// As first given.
    pub name: KeyName,
    /// Whether its material may ever leave. Set when the key is made, never changed.
    pub exportable: bool,
    /// Whether the policy is fixed for good.
    pub immutable: bool,
    /// Present iff exportable.
    pub policy: Option<Policy>,
    /// How often the policy has been set.
    pub generation: u64,
    /// Earliest attestation token that is good for it, in seconds since the epoch.
    pub min_iat: u64,
}

/// One version of a key.
pub struct KeyVersion {
    /// Its id.
    pub version: Version,
    /// Disabled versions are not released.
    pub enabled: bool,
    /// Seconds since the epoch.
    pub created: u64,
    /// Seconds since the epoch.
    pub updated: u64,
    /// Kind and size.
    pub key_type: KeyType,
    /// Public half; none of symmetric keys.
    pub public: PublicKey,
    /// What the released key may be used for, as given.
    pub key_ops: Vec<String>,
    /// The sealed private half.
    pub material: SealedMaterial,
}

/// A key with its versions, oldest first. There is always one.
pub struct KeyRecord {
    /// The head.
    pub head: KeyHead,
    /// The versions.
    pub versions: Vec<KeyVersion>,
}

impl KeyRecord {
    /// The version asked for, or the newest.
    pub fn version(&self, version: Option<Version>) -> Option<&KeyVersion> {
        match version {
            Some(wanted) => self.versions.iter().find(|one| one.version == wanted),
            None => self.versions.last(),
        }
    }

    /// What a version's seal covers.
    pub fn binding(&self, vault: Uuid, version: &KeyVersion) -> Binding {
        let key = KeyRef { vault, key: self.head.id, version: version.version };
        Binding { key, key_type: version.key_type, exportable: self.head.exportable }
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
