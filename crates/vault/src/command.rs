//! Requests to a vault after parsing: what is asked for, in the domain's own types.
//!
//! Who asks, when and under which id comes beside a command, as its [`Context`]. A command says nothing of the wire but
//! what answers repeat of it (host, api-version). `None` in a command is "not said", never a default.

use std::time::SystemTime;

use rand_core::CryptoRng;
use skerry_identity::Grant;
use skerry_keys::{ImportKey, KeyType, SignAlgorithm};
use skerry_policy::permit::Version;

use crate::limits::{TAG_CHARS_MAX, TAGS_MAX};
use crate::record::KeyName;

pub use crate::release::ReleaseCommand;

/// A source of randomness that may go to another thread.
pub type Randomness = Box<dyn CryptoRng + Send>;

/// Makes a source of randomness for one piece of work.
pub type Randomizer = dyn Fn() -> Randomness + Send + Sync;

/// What comes with every request besides its own words.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The caller's permission for this operation in this vault. Identity vouches for it.
    pub grant: &'a Grant,
    /// Request id, for the log.
    pub request_id: &'a str,
    /// The caller's clock.
    pub now: SystemTime,
    /// Where randomness comes from.
    pub randomness: &'a Randomizer,
}

/// An operation on a key, by the name that permissions and messages have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the operation it names
pub enum Operation {
    Get,
    Encrypt,
    Decrypt,
    WrapKey,
    UnwrapKey,
    Sign,
    Verify,
    Release,
    Rotate,
}

impl Operation {
    /// The name in messages: that of the permission.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Release => "release",
            Self::Rotate => "rotate",
        }
    }
}

/// What a key may be used for (RFC 7517, 4.3, and Azure's additions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the operation it names
pub enum KeyOp {
    Encrypt,
    Decrypt,
    Sign,
    Verify,
    WrapKey,
    UnwrapKey,
    Import,
    Export,
}

impl KeyOp {
    /// All, in the order of their stored numbers.
    pub const ALL: [KeyOp; 8] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Sign,
        Self::Verify,
        Self::WrapKey,
        Self::UnwrapKey,
        Self::Import,
        Self::Export,
    ];

    /// Reads the name, exactly as JOSE and Azure spell it.
    pub fn parse(name: &str) -> Option<KeyOp> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    /// What a key of this type may do if its maker does not say (key-vault spec 2.3, in the recorded order).
    pub fn defaults(key_type: KeyType) -> &'static [KeyOp] {
        match key_type {
            KeyType::Rsa { .. } => {
                &[Self::Encrypt, Self::Decrypt, Self::Sign, Self::Verify, Self::WrapKey, Self::UnwrapKey]
            }
            KeyType::Ec { .. } | KeyType::Akp { .. } => &[Self::Sign, Self::Verify],
            KeyType::Oct { .. } => &[Self::Encrypt, Self::Decrypt, Self::WrapKey, Self::UnwrapKey],
        }
    }
}

/// What a request says of a key's attributes. Times are seconds since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttributesInput {
    /// Whether the version can be used.
    pub enabled: Option<bool>,
    /// From when it can be used.
    pub not_before: Option<u64>,
    /// Until when it can be used.
    pub expires: Option<u64>,
    /// Whether its material may ever leave.
    pub exportable: Option<bool>,
}

/// A release policy as a request brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInput {
    /// JSON. Nobody vouches for it yet.
    pub data: Vec<u8>,
    /// Whether it is to be fixed for good.
    pub immutable: Option<bool>,
}

/// Names and values that users put on a key: bounded in number and length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

/// Why texts are no tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TagsError {
    #[error("{count} tags, at most {TAGS_MAX}")]
    TooMany { count: usize },
    #[error("the name or value of a tag has {chars} characters, at most {TAG_CHARS_MAX}")]
    TooLong { chars: usize },
    #[error("two tags have one name")]
    Duplicate,
}

impl Tags {
    /// Tags in the order given.
    pub fn new(tags: Vec<(String, String)>) -> Result<Tags, TagsError> {
        if tags.len() > TAGS_MAX {
            return Err(TagsError::TooMany { count: tags.len() });
        }
        let lengths = tags.iter().flat_map(|(name, value)| [name, value]).map(|text| text.chars().count());
        if let Some(chars) = lengths.into_iter().find(|chars| *chars > TAG_CHARS_MAX) {
            return Err(TagsError::TooLong { chars });
        }
        let names: std::collections::HashSet<&str> = tags.iter().map(|(name, _)| name.as_str()).collect();
        match names.len() == tags.len() {
            true => Ok(Tags(tags)),
            false => Err(TagsError::Duplicate),
        }
    }

    /// Name and value of each, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What creating and importing have in common.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its name.
    pub name: KeyName,
    /// Kind and size.
    pub key_type: KeyType,
    /// Whether an HSM key was asked for. A Managed HSM makes no others and takes it as said.
    pub hsm: bool,
    /// What it may be used for.
    pub key_ops: Option<Vec<KeyOp>>,
    /// Attributes.
    pub attributes: AttributesInput,
    /// Tags.
    pub tags: Option<Tags>,
    /// Release policy.
    pub policy: Option<PolicyInput>,
}

/// A key that exists elsewhere is brought in (see [`crate::jwk`]).
pub struct ImportCommand {
    /// As for a key that is made here; its `key_type` is what the material must be.
    pub new: NewKey,
    /// The material.
    pub key: ImportKey,
}

/// One version of a key, or the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Whose key.
    pub name: &'a KeyName,
    /// Which version; the newest if none.
    pub version: Option<Version>,
}

/// What is changed of a key. What is not said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What it may be used for.
    pub key_ops: Option<Vec<KeyOp>>,
    /// Attributes; exportable can be repeated, not changed.
    pub attributes: AttributesInput,
    /// All tags.
    pub tags: Option<Tags>,
    /// Release policy; of the key, so it is refused for a version that is named.
    pub policy: Option<PolicyInput>,
    /// Earliest attestation token that is good for the key, in seconds since the epoch; of the key too. Raising it revokes
    /// what was attested before; it is not lowered.
    pub min_iat: Option<u64>,
}

impl Changes {
    /// What is changed, in words for the log: times and switches with their values, the rest by its name.
    pub fn words(&self) -> String {
        let AttributesInput { enabled, not_before, expires, exportable: _ } = self.attributes;
        let time = |name: &str, time: Option<u64>| time.map(|time| format!("{name} {time}"));
        let words = [
            enabled.map(|enabled| (if enabled { "enabled" } else { "disabled" }).to_owned()),
            time("not before", not_before),
            time("expires", expires),
            self.key_ops.as_ref().map(|_| "key_ops".to_owned()),
            self.tags.as_ref().map(|_| "tags".to_owned()),
            self.policy.as_ref().map(|policy| match policy.immutable {
                Some(true) => "release policy, fixed for good".to_owned(),
                _ => "release policy".to_owned(),
            }),
            time("min_iat", self.min_iat),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// A digest to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignCommand<'a> {
    /// With which key.
    pub key: Named<'a>,
    /// How.
    pub algorithm: SignAlgorithm,
    /// The digest.
    pub digest: &'a [u8],
}

/// A text to be encrypted or decrypted, or a key to be wrapped or unwrapped.
#[derive(Clone, Copy)]
pub struct CipherCommand<'a, A> {
    /// With which key.
    pub key: Named<'a>,
    /// How.
    pub algorithm: A,
    /// The text, or the ciphertext.
    pub text: &'a [u8],
    /// The initialisation vector; the service makes that of GCM itself.
    pub iv: Option<&'a [u8]>,
    /// Data that GCM authenticates beside the text.
    pub aad: Option<&'a [u8]>,
    /// The tag of GCM.
    pub tag: Option<&'a [u8]>,
}

/// A signature to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyCommand<'a> {
    /// With which key.
    pub key: Named<'a>,
    /// How.
    pub algorithm: SignAlgorithm,
    /// The digest.
    pub digest: &'a [u8],
    /// The signature over it.
    pub signature: &'a [u8],
}

/// A page of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListCommand<'a> {
    /// Rows at most; [`PAGE_ROWS_MAX`](crate::limits::PAGE_ROWS_MAX) if not said, and never more.
    pub rows_max: Option<usize>,
    /// Where the page before ended: [`Listing::next`](crate::Listing) of that page. Nobody vouches for it yet.
    pub after: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each operation has one spelling, and no other is read.
    #[test]
    fn key_ops_have_one_spelling() {
        for op in KeyOp::ALL {
            assert_eq!(KeyOp::parse(op.as_str()), Some(op));
        }
        for odd in ["", "Sign", "wrapkey", "release", "sign "] {
            assert_eq!(KeyOp::parse(odd), None, "{odd:?}");
        }
    }

    /// Tags are bounded in number and in characters, and no name comes twice.
    #[test]
    fn tags_are_bounded() {
        let tags = |count: usize| (0..count).map(|index| (index.to_string(), String::new())).collect();
        assert!(Tags::new(tags(TAGS_MAX)).is_ok());
        assert_eq!(Tags::new(tags(TAGS_MAX + 1)), Err(TagsError::TooMany { count: TAGS_MAX + 1 }));
        let wide = |count: usize| vec![("a".to_owned(), "\u{e9}".repeat(count))];
        assert!(Tags::new(wide(TAG_CHARS_MAX)).is_ok());
        assert_eq!(Tags::new(wide(TAG_CHARS_MAX + 1)), Err(TagsError::TooLong { chars: TAG_CHARS_MAX + 1 }));
        let twice = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(Tags::new(twice), Err(TagsError::Duplicate));
    }
}
