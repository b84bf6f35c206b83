//! Requests to a vault after parsing: what is asked for, in the domain's own types.
//!
//! Who asks, when and under which id comes beside a command, as its [`Context`]. A command says nothing of the wire but
//! what answers repeat of it (host, api-version). `None` in a command is "not said", never a default.

use std::time::SystemTime;

use rand_core::CryptoRng;
use skerry_identity::Grant;
use skerry_keys::{Curve, Family, ImportKey, KeyType, MlDsaText, PublicKey, SignAlgorithm, WrapAlgorithm};
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
    SecureWrapKey,
    SecureUnwrapKey,
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
            Self::SecureWrapKey => "secureWrapKey",
            Self::SecureUnwrapKey => "secureUnwrapKey",
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
    SecureWrapKey,
    SecureUnwrapKey,
}

impl KeyOp {
    /// All.
    pub const ALL: [KeyOp; 10] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Sign,
        Self::Verify,
        Self::WrapKey,
        Self::UnwrapKey,
        Self::Import,
        Self::Export,
        Self::SecureWrapKey,
        Self::SecureUnwrapKey,
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
            Self::SecureWrapKey => "secureWrapKey",
            Self::SecureUnwrapKey => "secureUnwrapKey",
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
    /// Whether its modulus came with a leading zero octet, which answers repeat.
    pub padded: bool,
}

/// What creating and importing have in common, while the type of the key is not known.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // each is as in NewKey
pub struct Untyped {
    pub name: KeyName,
    pub hsm: bool,
    pub key_ops: Option<Vec<KeyOp>>,
    pub attributes: AttributesInput,
    pub tags: Option<Tags>,
    pub policy: Option<PolicyInput>,
}

impl Untyped {
    /// The request, for a key of this type.
    pub fn of(self, key_type: KeyType) -> NewKey {
        let Untyped { name, hsm, key_ops, attributes, tags, policy } = self;
        NewKey { name, key_type, hsm, key_ops, attributes, tags, policy }
    }
}

/// What a request says of the public half of a key that comes wrapped. What is not said is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each is the member of its name
pub struct Claimed {
    pub curve: Option<Curve>,
    pub n: Option<Vec<u8>>,
    pub e: Option<Vec<u8>>,
    pub x: Option<Vec<u8>>,
    pub y: Option<Vec<u8>>,
}

impl Claimed {
    /// Whether a key is what is said of it: everything that is said holds.
    pub fn agrees(&self, public: &PublicKey) -> bool {
        let curve = match public {
            PublicKey::Ec { curve, .. } => Some(*curve),
            _ => None,
        };
        let [n, e, x, y] = match public {
            PublicKey::Rsa { n, e } => [Some(n), Some(e), None, None],
            PublicKey::Ec { x, y, .. } => [None, None, Some(x), Some(y)],
            PublicKey::Oct | PublicKey::Akp { .. } => [None; 4],
        };
        let said = [(&self.n, n), (&self.e, e), (&self.x, x), (&self.y, y)];
        (self.curve.is_none() || self.curve == curve)
            && said.into_iter().all(|(said, own)| said.is_none() || said.as_ref() == own)
    }
}

/// A key that comes wrapped to a key of this vault is brought in.
#[derive(Debug, Clone)]
pub struct TransferCommand {
    /// As for a key that is made here.
    pub new: Untyped,
    /// What it is said to be.
    pub family: Family,
    /// What is said of its public half.
    pub claimed: Claimed,
    /// The key that it was wrapped to, and which version.
    pub kek: (KeyName, Version),
    /// OAEP(KEK, K) || KWP(K, key). Nobody vouches for it.
    pub wrapped: Vec<u8>,
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

/// What an ML-DSA key is to sign, or has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MlDsaCommand<'a> {
    /// With which key.
    pub key: Named<'a>,
    /// How; the key's own algorithm, which is the only one, if it is not said.
    pub algorithm: Option<SignAlgorithm>,
    /// A message, with or without a context, or its representative.
    pub text: MlDsaText<'a>,
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

/// A key that is wrapped under one that stays, to be unwrapped to a TEE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecureUnwrapCommand<'a> {
    /// The key that it is wrapped under.
    pub key: Named<'a>,
    /// How.
    pub algorithm: WrapAlgorithm,
    /// The wrapped key. Nobody vouches for it.
    pub wrapped: &'a [u8],
    /// The attestation token. Nobody vouches for it yet.
    pub target: &'a str,
    /// The authority that has to have issued it, if one is named.
    pub issuer: Option<&'a str>,
    /// Whether the answer shall come with the proof that it is in the audit log.
    pub proof: bool,
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
        for odd in ["", "Sign", "wrapkey", "release", "sign ", "securewrapkey"] {
            assert_eq!(KeyOp::parse(odd), None, "{odd:?}");
        }
    }

    /// Everything that is said of a key has to hold, and what is not said is not compared.
    #[test]
    fn what_is_said_of_a_key_holds() {
        let rsa = PublicKey::Rsa { n: vec![1], e: vec![2] };
        let ec = PublicKey::Ec { curve: Curve::P256, x: vec![1], y: vec![2] };
        let octets = |octet| Some(vec![octet]);
        let none = Claimed::default();
        for key in [&rsa, &ec, &PublicKey::Oct] {
            assert!(none.agrees(key));
        }
        assert!(Claimed { n: octets(1), e: octets(2), ..none.clone() }.agrees(&rsa));
        assert!(Claimed { curve: Some(Curve::P256), x: octets(1), y: octets(2), ..none.clone() }.agrees(&ec));
        for (claimed, key) in [
            (Claimed { n: octets(9), ..none.clone() }, &rsa),
            (Claimed { e: octets(9), ..none.clone() }, &rsa),
            (Claimed { x: octets(1), ..none.clone() }, &rsa),
            (Claimed { x: octets(9), ..none.clone() }, &ec),
            (Claimed { y: octets(9), ..none.clone() }, &ec),
            (Claimed { n: octets(1), ..none.clone() }, &ec),
            (Claimed { curve: Some(Curve::P384), ..none.clone() }, &ec),
            (Claimed { curve: Some(Curve::P256), ..none.clone() }, &rsa),
            (Claimed { n: octets(1), ..none }, &PublicKey::Oct),
        ] {
            assert!(!claimed.agrees(key), "{claimed:?}");
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
