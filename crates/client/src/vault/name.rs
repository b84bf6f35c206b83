//! Names of keys and versions, checked before they are in a path.

use std::fmt;

use crate::limits::NAME_CHARS_MAX;

/// A text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum NotAKey {
    #[error("{0:?} is no key's name: 1 to {NAME_CHARS_MAX} characters of 0-9, a-z, A-Z and -")]
    Name(String),
    #[error("{0:?} is no version of a key: 32 hexadecimal digits")]
    Version(String),
}

/// A key's name; two that differ in case only are one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

/// A version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

/// A key, in its newest version or in a certain one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRef {
    /// Its name.
    pub name: KeyName,
    /// Its version; none is the newest.
    pub version: Option<Version>,
}

impl KeyName {
    /// Accepts what the server accepts (key-vault spec 2.1): 1 to 127 letters, digits and hyphens.
    pub fn parse(text: &str) -> Result<KeyName, NotAKey> {
        let legal = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match legal && (1..=NAME_CHARS_MAX).contains(&text.len()) {
            true => Ok(KeyName(text.to_owned())),
            false => Err(NotAKey::Name(text.to_owned())),
        }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Version {
    /// Accepts 32 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Version, NotAKey> {
        match text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(Version(text.to_owned())),
            false => Err(NotAKey::Version(text.to_owned())),
        }
    }

    /// The version as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyRef {
    /// Accepts `name` and `name/version`.
    pub fn parse(text: &str) -> Result<KeyRef, NotAKey> {
        let (name, version) = text.split_once('/').map_or((text, None), |(name, version)| (name, Some(version)));
        Ok(KeyRef { name: KeyName::parse(name)?, version: version.map(Version::parse).transpose()? })
    }

    /// `/keys/name[/version]`.
    pub(super) fn path(&self) -> String {
        let version = self.version.as_ref().map(|version| format!("/{}", version.0)).unwrap_or_default();
        format!("/keys/{}{version}", self.name)
    }
}

impl From<KeyName> for KeyRef {
    fn from(name: KeyName) -> KeyRef {
        KeyRef { name, version: None }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    /// What goes into a path has no character that would lead elsewhere in it.
    #[test]
    fn only_names_go_into_paths() {
        const V: &str = "0123456789abcdef0123456789ABCDEF";
        assert_eq!(KeyRef::parse("a-9").unwrap().path(), "/keys/a-9");
        assert_eq!(KeyRef::parse(&format!("a/{V}")).unwrap().path(), format!("/keys/a/{V}"));
        for bad in ["", ".", "..", "a b", "a_b", "a?b", "a%2fb", "\u{e9}", &"x".repeat(NAME_CHARS_MAX + 1)] {
            assert_eq!(KeyName::parse(bad), Err(NotAKey::Name(bad.to_owned())), "{bad}");
        }
        for bad in ["", "latest", "../../x", &V[1..], &format!("{V}0"), "g123456789abcdef0123456789abcdef"] {
            assert_eq!(KeyRef::parse(&format!("a/{bad}")), Err(NotAKey::Version(bad.to_owned())), "{bad}");
        }
    }
}
