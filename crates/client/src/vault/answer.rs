//! What a vault says of keys. Members that are not known are passed over; a known one of another type is no answer.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::name::KeyName;
use super::{AnswerError, VaultError};

/// Names and values that somebody gave a key.
pub type Tags = Vec<(String, String)>;

/// A version of a key with its public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its identifier: an URL that ends with name and version.
    pub kid: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its type: `RSA`, `EC-HSM`, ...
    pub kty: String,
    /// What it may be used for.
    pub key_ops: Vec<String>,
    /// The rest of its JWK as it came: the public half.
    pub public: Object,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// What a release of it needs.
    pub policy: Option<ReleasePolicy>,
}

/// Attributes of a version. Times are seconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each is the attribute of its name
pub struct Attributes {
    pub enabled: Option<bool>,
    pub not_before: Option<u64>,
    pub expires: Option<u64>,
    pub created: Option<u64>,
    pub updated: Option<u64>,
    pub exportable: bool,
    pub recovery_level: Option<String>,
    pub recoverable_days: Option<u64>,
    pub hsm_platform: Option<String>,
    /// Skerry's own: the earliest attestation token that is good for the key.
    pub min_iat: Option<u64>,
}

/// A release policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePolicy {
    /// Its text: JSON, as nobody has checked.
    pub data: Vec<u8>,
    /// Whether it is fixed for good.
    pub immutable: bool,
}

/// What a Skerry vault demands of every release. Times are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// How often it was set.
    pub generation: u64,
    /// The earliest attestation token that is good for any key.
    pub min_iat: u64,
    /// The oldest attestation token that is good for any key, in seconds.
    pub token_age_max_secs: Option<u64>,
    /// The text of a release policy that has to hold beside every key's own: JSON, as nobody has checked.
    pub policy: Option<Vec<u8>>,
    /// When it was set last.
    pub updated: Option<u64>,
    /// The oldest that configuration takes, in seconds.
    pub configured_age_max_secs: Option<u64>,
    /// Whether configuration takes simulated TEEs.
    pub simulated: bool,
}

impl Floor {
    pub(super) fn read(answer: &Object, operation: &'static str) -> Result<Floor, VaultError> {
        let member = |name| move || VaultError::Answer { operation, why: AnswerError::Member(name) };
        let number = |object: &Object, name: &'static str| match object.get(name).filter(|value| !value.is_null()) {
            Some(value) => value.as_u64().map(Some).ok_or_else(member(name)),
            None => Ok(None),
        };
        let configured = answer.get("configured").and_then(Value::as_object).ok_or_else(member("configured"))?;
        let policy = match answer.get("policy").filter(|value| !value.is_null()) {
            None => None,
            Some(policy) => {
                let data = policy.as_object().and_then(|policy| policy.get("data")).and_then(Value::as_str);
                Some(data.and_then(|data| b64::decode_lenient(data).ok()).ok_or_else(member("policy"))?)
            }
        };
        Ok(Floor {
            generation: number(answer, "generation")?.ok_or_else(member("generation"))?,
            min_iat: number(answer, "min_iat")?.ok_or_else(member("min_iat"))?,
            token_age_max_secs: number(answer, "token_age_max_secs")?,
            policy,
            updated: number(answer, "updated")?,
            configured_age_max_secs: number(configured, "token_age_max_secs")?,
            simulated: configured.get("simulated").and_then(Value::as_bool).ok_or_else(member("simulated"))?,
        })
    }
}

/// When a key was deleted, and until when it can be recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Seconds since the epoch.
    pub deleted: Option<u64>,
    /// Seconds since the epoch.
    pub purge: Option<u64>,
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key's identifier, with a version in lists of versions.
    pub kid: String,
    /// Its name.
    pub name: String,
    /// Its version, in lists of versions.
    pub version: Option<String>,
    /// Attributes of its newest version, or of this one.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// In lists of deleted keys.
    pub deletion: Option<Deletion>,
}

/// What came of encrypting, decrypting, wrapping or unwrapping. No Debug: the octets may be a secret.
pub struct CipherAnswer {
    /// The version of the key that was used.
    pub kid: String,
    /// The octets; wiped when dropped. What the connection had of them is not.
    pub value: Zeroizing<Vec<u8>>,
    /// The initialisation vector.
    pub iv: Option<Vec<u8>>,
    /// The authentication tag.
    pub tag: Option<Vec<u8>>,
    /// The additional data.
    pub aad: Option<Vec<u8>>,
}

impl Key {
    /// Reads a key bundle. It has to be of the key of this name, if one was asked for.
    pub(super) fn read(object: &Object, operation: &'static str, asked: Option<&KeyName>) -> Result<Key, VaultError> {
        Key::of(object, asked).map_err(|why| VaultError::Answer { operation, why })
    }

    fn of(object: &Object, asked: Option<&KeyName>) -> Result<Key, AnswerError> {
        let jwk = object.get("key").and_then(Value::as_object).ok_or(AnswerError::Member("key"))?;
        let kid = needed(text(jwk, "kid")?, "kid")?;
        let (name, version) = parts(&kid).ok_or(AnswerError::Member("kid"))?;
        let version = needed(version, "kid")?;
        if let Some(asked) = asked.filter(|asked| !asked.as_str().eq_ignore_ascii_case(&name)) {
            return Err(AnswerError::OtherKey { asked: asked.to_string(), seen: name });
        }
        let mut public = jwk.clone();
        for member in ["kid", "kty", "key_ops"] {
            public.remove(member);
        }
        Ok(Key {
            kty: needed(text(jwk, "kty")?, "kty")?,
            key_ops: texts(jwk, "key_ops")?,
            attributes: attributes(object)?,
            tags: tags(object)?,
            policy: policy(object)?,
            kid,
            name,
            version,
            public,
        })
    }
}

impl Deletion {
    pub(super) fn read(object: &Object, operation: &'static str) -> Result<Option<Deletion>, VaultError> {
        deletion(object).map_err(|why| VaultError::Answer { operation, why })
    }
}

impl Row {
    pub(super) fn read(row: &Value, operation: &'static str) -> Result<Row, VaultError> {
        let row = row.as_object().ok_or(AnswerError::Member("value"));
        row.and_then(Row::of).map_err(|why| VaultError::Answer { operation, why })
    }

    fn of(row: &Object) -> Result<Row, AnswerError> {
        let kid = needed(text(row, "kid")?, "kid")?;
        let (name, version) = parts(&kid).ok_or(AnswerError::Member("kid"))?;
        let (attributes, tags, deletion) = (attributes(row)?, tags(row)?, deletion(row)?);
        Ok(Row { kid, name, version, attributes, tags, deletion })
    }
}

impl CipherAnswer {
    pub(super) fn read(mut object: Object, operation: &'static str) -> Result<CipherAnswer, VaultError> {
        let answer = CipherAnswer::of(&object).map_err(|why| VaultError::Answer { operation, why });
        if let Some(Value::String(value)) = object.get_mut("value") {
            value.zeroize();
        }
        answer
    }

    fn of(object: &Object) -> Result<CipherAnswer, AnswerError> {
        Ok(CipherAnswer {
            kid: needed(text(object, "kid")?, "kid")?,
            value: Zeroizing::new(needed(octets(object, "value")?, "value")?),
            iv: octets(object, "iv")?,
            tag: octets(object, "tag")?,
            aad: octets(object, "aad")?,
        })
    }
}

/// Name and version at the end of `https://host/keys/name[/version]`.
fn parts(kid: &str) -> Option<(String, Option<String>)> {
    let path = kid.strip_prefix("https://")?.split_once('/')?.1;
    let mut parts = path.strip_prefix("keys/")?.split('/');
    let name = parts.next().filter(|name| KeyName::parse(name).is_ok())?;
    let version = parts.next();
    let whole = parts.next().is_none() && version.is_none_or(|version| KeyName::parse(version).is_ok());
    whole.then(|| (name.to_owned(), version.map(str::to_owned)))
}

fn attributes(object: &Object) -> Result<Attributes, AnswerError> {
    let Some(attributes) = part(object, "attributes")? else { return Ok(Attributes::default()) };
    Ok(Attributes {
        enabled: flag(attributes, "enabled")?,
        not_before: number(attributes, "nbf")?,
        expires: number(attributes, "exp")?,
        created: number(attributes, "created")?,
        updated: number(attributes, "updated")?,
        exportable: flag(attributes, "exportable")?.unwrap_or(false),
        recovery_level: text(attributes, "recoveryLevel")?,
        recoverable_days: number(attributes, "recoverableDays")?,
        hsm_platform: text(attributes, "hsmPlatform")?,
        min_iat: number(attributes, MIN_IAT)?,
    })
}

fn tags(object: &Object) -> Result<Tags, AnswerError> {
    let Some(tags) = part(object, "tags")? else { return Ok(Vec::new()) };
    let tag = |(name, value): (&str, &Value)| value.as_str().map(|value| (name.to_owned(), value.to_owned()));
    tags.iter().map(tag).collect::<Option<_>>().ok_or(AnswerError::Member("tags"))
}

fn policy(object: &Object) -> Result<Option<ReleasePolicy>, AnswerError> {
    let Some(policy) = part(object, "release_policy")? else { return Ok(None) };
    let data = needed(octets(policy, "data")?, "data")?;
    Ok(Some(ReleasePolicy { data, immutable: flag(policy, "immutable")?.unwrap_or(false) }))
}

fn deletion(object: &Object) -> Result<Option<Deletion>, AnswerError> {
    let (deleted, purge) = (number(object, "deletedDate")?, number(object, "scheduledPurgeDate")?);
    Ok((deleted.is_some() || purge.is_some()).then_some(Deletion { deleted, purge }))
}

fn present<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// A member of a type, if there is one.
fn read<'a, T>(
    object: &'a Object,
    name: &'static str,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>, AnswerError> {
    present(object, name).map(|value| read(value).ok_or(AnswerError::Member(name))).transpose()
}

pub(super) fn part<'a>(object: &'a Object, name: &'static str) -> Result<Option<&'a Object>, AnswerError> {
    read(object, name, Value::as_object)
}

pub(super) fn text(object: &Object, name: &'static str) -> Result<Option<String>, AnswerError> {
    read(object, name, |value| value.as_str().map(str::to_owned))
}

fn flag(object: &Object, name: &'static str) -> Result<Option<bool>, AnswerError> {
    read(object, name, Value::as_bool)
}

pub(super) fn number(object: &Object, name: &'static str) -> Result<Option<u64>, AnswerError> {
    read(object, name, Value::as_u64)
}

fn octets(object: &Object, name: &'static str) -> Result<Option<Vec<u8>>, AnswerError> {
    read(object, name, |value| b64::decode_lenient(value.as_str()?).ok())
}

fn texts(object: &Object, name: &'static str) -> Result<Vec<String>, AnswerError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all = read(object, name, |value| value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>())?;
    Ok(all.unwrap_or_default())
}

fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, AnswerError> {
    value.ok_or(AnswerError::Member(name))
}

/// Skerry's own attribute (docs/divergences.md).
pub(super) const MIN_IAT: &str = "x-skerry-min-iat";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    fn object(text: &str) -> Object {
        skerry_jose::json::parse(text.as_bytes(), &crate::limits::ANSWER).unwrap().into_object().unwrap()
    }

    fn key(text: &str) -> Result<Key, AnswerError> {
        Key::of(&object(text), Some(&KeyName::parse("pay").unwrap()))
    }

    /// A bundle as the service sends it, with members that nobody here knows.
    #[test]
    fn bundles_are_read() {
        let read = key(
            r#"{"key":{"kid":"https://v.example:8443/keys/Pay/0a","kty":"EC","key_ops":["sign"],"crv":"P-256","x":"AQ"},
                "attributes":{"enabled":true,"exp":null,"created":7,"exportable":true,"x-skerry-min-iat":9,"new":{}},
                "tags":{"a":"b"},"release_policy":{"data":"e30=","immutable":true},"managed":false}"#,
        )
        .unwrap();
        assert_eq!((read.name.as_str(), read.version.as_str(), read.kty.as_str()), ("Pay", "0a", "EC"));
        assert_eq!(read.public, object(r#"{"crv":"P-256","x":"AQ"}"#));
        let attributes = &read.attributes;
        assert_eq!((attributes.enabled, attributes.expires, attributes.created), (Some(true), None, Some(7)));
        assert_eq!((attributes.exportable, attributes.min_iat), (true, Some(9)));
        assert_eq!(read.tags, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(read.policy, Some(ReleasePolicy { data: b"{}".to_vec(), immutable: true }));
    }

    /// Each known member has its type, and the answer is about the key that was asked for.
    #[test]
    fn odd_bundles_are_no_answers() {
        let jwk = r#""kid":"https://v.example/keys/pay/0a","kty":"EC""#;
        for (text, member) in [
            (r#"{}"#.to_owned(), "key"),
            (r#"{"key":[]}"#.to_owned(), "key"),
            (r#"{"key":{"kty":"EC"}}"#.to_owned(), "kid"),
            (r#"{"key":{"kid":"https://v.example/keys/pay","kty":"EC"}}"#.to_owned(), "kid"),
            (r#"{"key":{"kid":"https://v.example/keys/pay/0a/1","kty":"EC"}}"#.to_owned(), "kid"),
            (r#"{"key":{"kid":"https://v.example/secrets/pay/0a","kty":"EC"}}"#.to_owned(), "kid"),
            (r#"{"key":{"kid":"https://v.example/keys/p\u001by/0a","kty":"EC"}}"#.to_owned(), "kid"),
            (r#"{"key":{"kid":"https://v.example/keys/pay/0a"}}"#.to_owned(), "kty"),
            (format!(r#"{{"key":{{{jwk},"key_ops":"sign"}}}}"#), "key_ops"),
            (format!(r#"{{"key":{{{jwk}}},"attributes":{{"created":"7"}}}}"#), "created"),
            (format!(r#"{{"key":{{{jwk}}},"attributes":{{"enabled":1}}}}"#), "enabled"),
            (format!(r#"{{"key":{{{jwk}}},"tags":{{"a":1}}}}"#), "tags"),
            (format!(r#"{{"key":{{{jwk}}},"release_policy":{{}}}}"#), "data"),
            (format!(r#"{{"key":{{{jwk}}},"release_policy":{{"data":"?"}}}}"#), "data"),
        ] {
            assert_eq!(key(&text), Err(AnswerError::Member(member)), "{text}");
        }
        let other = key(r#"{"key":{"kid":"https://v.example/keys/other/0a","kty":"EC"}}"#);
        assert_eq!(other, Err(AnswerError::OtherKey { asked: "pay".into(), seen: "other".into() }));
    }
}
