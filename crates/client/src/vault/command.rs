//! What is asked of a vault: bodies of requests, in Azure's spelling (key-vault spec 2.2).

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};
use zeroize::Zeroizing;

use super::answer::{MIN_IAT, ReleasePolicy, Tags, number, part, text};
use super::{AnswerError, Body, VaultError};

/// A key that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its type and size.
    pub kind: NewKind,
    /// Whether it is to be an HSM's key.
    pub hsm: bool,
    /// Everything else.
    pub settings: Settings,
}

/// Type and size of a new key; what is not said is the vault's to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewKind {
    /// RSA.
    Rsa {
        /// Bits of the modulus.
        bits: Option<u64>,
    },
    /// Elliptic curve.
    Ec {
        /// The curve by its name: `P-256`, ...
        curve: Option<&'static str>,
    },
    /// Symmetric.
    Oct {
        /// Bits.
        bits: Option<u64>,
    },
    /// ML-DSA.
    MlDsa {
        /// The parameter set by its name: `ML-DSA-65`, ...
        set: &'static str,
    },
}

/// What a key is made or brought in with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What it may be used for; none are the vault's defaults.
    pub key_ops: Vec<String>,
    /// Whether it may be used; the vault's default is yes.
    pub enabled: Option<bool>,
    /// From when on, in seconds since the epoch.
    pub not_before: Option<u64>,
    /// Until when, in seconds since the epoch.
    pub expires: Option<u64>,
    /// Whether it may be released.
    pub exportable: bool,
    /// Tags.
    pub tags: Tags,
    /// What a release needs.
    pub policy: Option<ReleasePolicy>,
}

/// What is changed; what is not said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether it may be used.
    pub enabled: Option<bool>,
    /// The release policy, of the key in all its versions.
    pub policy: Option<ReleasePolicy>,
    /// Skerry's own: the earliest attestation token that is good for the key, in seconds since the epoch.
    pub min_iat: Option<u64>,
}

/// What is set of a Skerry vault's floor; what is not said stays, `Some(None)` takes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FloorChanges {
    /// The earliest attestation token that is good for any key, in seconds since the epoch; only ever raised.
    pub min_iat: Option<u64>,
    /// The oldest attestation token that is good for any key, in seconds.
    pub token_age_max_secs: Option<Option<u64>>,
    /// The text of a release policy that has to hold beside every key's own.
    pub policy: Option<Option<Vec<u8>>>,
}

impl FloorChanges {
    pub(super) fn to_body(&self) -> Body {
        let mut body = Object::new();
        if let Some(secs) = self.min_iat {
            body.insert("min_iat", secs);
        }
        if let Some(secs) = self.token_age_max_secs {
            body.insert("token_age_max_secs", secs.map_or(Value::Null, Value::from));
        }
        if let Some(policy) = &self.policy {
            let object = |text: &Vec<u8>| Value::Object(Object::new().with("data", b64::encode(text)));
            body.insert("policy", policy.as_ref().map_or(Value::Null, object));
        }
        Body::plain(body.to_json())
    }
}

/// A private key in the members of RFC 7518, 6. No Debug; wiped when dropped.
pub struct PrivateJwk {
    kty: &'static str,
    crv: Option<&'static str>,
    octets: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
}

/// Octets to be encrypted, decrypted, wrapped or unwrapped. No Debug; wiped when dropped.
pub struct ToCipher {
    /// The algorithm by its name.
    pub alg: String,
    /// The octets.
    pub value: Zeroizing<Vec<u8>>,
    /// The initialisation vector.
    pub iv: Option<Vec<u8>>,
    /// The additional data.
    pub aad: Option<Vec<u8>>,
    /// The authentication tag.
    pub tag: Option<Vec<u8>>,
}

/// When a key is rotated, and how long its versions live. Durations as ISO 8601 has them: `P90D`, `P1Y`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotationPolicy {
    /// How long a new version is good.
    pub lifetime: Option<String>,
    /// What happens when.
    pub actions: Vec<LifetimeAction>,
    /// When the policy was set first, in seconds since the epoch.
    pub created: Option<u64>,
    /// When it was set last.
    pub updated: Option<u64>,
}

/// One action of a rotation policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifetimeAction {
    /// `Rotate` or `Notify`.
    pub action: String,
    /// When.
    pub trigger: Trigger,
}

/// When an action of a rotation policy is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// So long after a version was made.
    AfterCreate(String),
    /// So long before it expires.
    BeforeExpiry(String),
}

impl NewKey {
    pub(super) fn to_body(&self) -> Body {
        let hsm = if self.hsm { "-HSM" } else { "" };
        let kind = |family: &str| Object::new().with("kty", format!("{family}{hsm}"));
        let size = |body: Object, bits: &Option<u64>| bits.map_or(body.clone(), |bits| body.with("key_size", bits));
        let body = match &self.kind {
            NewKind::Rsa { bits } => size(kind("RSA"), bits),
            NewKind::Oct { bits } => size(kind("oct"), bits),
            NewKind::Ec { curve: None } => kind("EC"),
            NewKind::Ec { curve: Some(curve) } => kind("EC").with("crv", *curve),
            NewKind::MlDsa { set } => kind("AKP").with("alg", *set),
        };
        let settings = &self.settings;
        let ops = &settings.key_ops;
        let body = if ops.is_empty() { body } else { body.with("key_ops", ops.clone()) };
        Body::plain(settings.put_into(body).to_json())
    }
}

impl Settings {
    /// Everything but the operations, which stand in the key where one is brought in.
    fn put_into(&self, mut body: Object) -> Object {
        let mut attributes = Object::new();
        if let Some(enabled) = self.enabled {
            attributes.insert("enabled", enabled);
        }
        for (name, time) in [("nbf", self.not_before), ("exp", self.expires)] {
            if let Some(time) = time {
                attributes.insert(name, time);
            }
        }
        if self.exportable {
            attributes.insert("exportable", true);
        }
        if !attributes.is_empty() {
            body.insert("attributes", attributes);
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().fold(Object::new(), |tags, (name, value)| tags.with(name, value.as_str()));
            body.insert("tags", tags);
        }
        if let Some(policy) = &self.policy {
            body.insert("release_policy", release_policy(policy));
        }
        body
    }
}

impl Changes {
    pub(super) fn to_body(&self) -> Body {
        let (mut body, mut attributes) = (Object::new(), Object::new());
        if let Some(enabled) = self.enabled {
            attributes.insert("enabled", enabled);
        }
        if let Some(min_iat) = self.min_iat {
            attributes.insert(MIN_IAT, min_iat);
        }
        if !attributes.is_empty() {
            body.insert("attributes", attributes);
        }
        if let Some(policy) = &self.policy {
            body.insert("release_policy", release_policy(policy));
        }
        Body::plain(body.to_json())
    }
}

fn release_policy(policy: &ReleasePolicy) -> Object {
    let object =
        Object::new().with("contentType", "application/json; charset=utf-8").with("data", b64::encode(&policy.data));
    if policy.immutable { object.with("immutable", true) } else { object }
}

impl PrivateJwk {
    /// A key of this type with these members. The vault checks that they are one.
    pub fn new(
        kty: &'static str,
        crv: Option<&'static str>,
        octets: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
    ) -> PrivateJwk {
        PrivateJwk { kty, crv, octets }
    }

    /// The key's type, as `RSA`.
    pub fn kty(&self) -> &'static str {
        self.kty
    }

    /// The text is made in one buffer that is large enough, so that no half of it is left behind.
    pub(super) fn to_import(&self, settings: &Settings) -> Body {
        let rest = settings.put_into(Object::new()).to_json();
        let ops = Value::from(settings.key_ops.clone()).to_json();
        let members: usize = self.octets.iter().map(|(name, octets)| name.len() + octets.len() * 2 + 16).sum();
        let mut text = Zeroizing::new(String::with_capacity(members + rest.len() + ops.len() + 128));
        text.push_str("{\"key\":{\"kty\":\"");
        text.push_str(self.kty);
        text.push('"');
        if let Some(crv) = self.crv {
            text.push_str(",\"crv\":\"");
            text.push_str(crv);
            text.push('"');
        }
        if !settings.key_ops.is_empty() {
            text.push_str(",\"key_ops\":");
            text.push_str(&ops);
        }
        for (name, octets) in &self.octets {
            text.push_str(",\"");
            text.push_str(name);
            text.push_str("\":\"");
            b64::encode_to(octets.as_slice(), &mut text);
            text.push('"');
        }
        text.push('}');
        // The type's name says whether it is an HSM's key; older services look here (observed).
        if self.kty.ends_with("-HSM") {
            text.push_str(",\"Hsm\":true");
        }
        if let Some(members) = rest.strip_prefix('{').filter(|members| *members != "}") {
            text.push(',');
            text.push_str(members);
        } else {
            text.push('}');
        }
        Body(text)
    }
}

impl ToCipher {
    pub(super) fn to_body(&self) -> Body {
        let mut rest = Object::new().with("alg", self.alg.as_str());
        for (name, octets) in [("iv", &self.iv), ("aad", &self.aad), ("tag", &self.tag)] {
            if let Some(octets) = octets {
                rest.insert(name, b64::encode(octets));
            }
        }
        let rest = rest.to_json();
        let mut text = Zeroizing::new(String::with_capacity(rest.len() + self.value.len() * 2 + 16));
        text.push_str(rest.strip_suffix('}').unwrap_or_default());
        text.push_str(",\"value\":\"");
        b64::encode_to(self.value.as_slice(), &mut text);
        text.push_str("\"}");
        Body(text)
    }
}

impl RotationPolicy {
    pub(super) fn to_body(&self) -> Body {
        let action = |action: &LifetimeAction| {
            let (name, period) = match &action.trigger {
                Trigger::AfterCreate(period) => ("timeAfterCreate", period),
                Trigger::BeforeExpiry(period) => ("timeBeforeExpiry", period),
            };
            Object::new()
                .with("trigger", Object::new().with(name, period.as_str()))
                .with("action", Object::new().with("type", action.action.as_str()))
        };
        let mut attributes = Object::new();
        if let Some(lifetime) = &self.lifetime {
            attributes.insert("expiryTime", lifetime.as_str());
        }
        let actions: Vec<Object> = self.actions.iter().map(action).collect();
        Body::plain(Object::new().with("lifetimeActions", actions).with("attributes", attributes).to_json())
    }

    pub(super) fn read(object: &Object) -> Result<RotationPolicy, VaultError> {
        RotationPolicy::of(object).map_err(|why| VaultError::Answer { operation: "rotation policy", why })
    }

    fn of(object: &Object) -> Result<RotationPolicy, AnswerError> {
        let none = Object::new();
        let attributes = part(object, "attributes")?.unwrap_or(&none);
        let actions = match object.get("lifetimeActions") {
            None | Some(Value::Null) => &[],
            Some(actions) => actions.as_array().ok_or(AnswerError::Member("lifetimeActions"))?,
        };
        Ok(RotationPolicy {
            lifetime: text(attributes, "expiryTime")?,
            actions: actions.iter().map(lifetime_action).collect::<Result<_, _>>()?,
            created: number(attributes, "created")?,
            updated: number(attributes, "updated")?,
        })
    }
}

fn lifetime_action(value: &Value) -> Result<LifetimeAction, AnswerError> {
    let malformed = AnswerError::Member("lifetimeActions");
    let part_of = |name| value.as_object().and_then(|object| part(object, name).ok()?);
    let (trigger, action) = part_of("trigger").zip(part_of("action")).ok_or(malformed.clone())?;
    let action = text(action, "type")?.ok_or(malformed.clone())?;
    let trigger = match (text(trigger, "timeAfterCreate")?, text(trigger, "timeBeforeExpiry")?) {
        (Some(period), None) => Trigger::AfterCreate(period),
        (None, Some(period)) => Trigger::BeforeExpiry(period),
        _ => return Err(malformed),
    };
    Ok(LifetimeAction { action, trigger })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    fn settings() -> Settings {
        Settings {
            key_ops: vec!["sign".into()],
            expires: Some(9),
            exportable: true,
            tags: vec![("a\"".into(), "b".into())],
            policy: Some(ReleasePolicy { data: b"{}".to_vec(), immutable: true }),
            ..Settings::default()
        }
    }

    /// What is said is in the body, in the spelling of the API, and nothing else is.
    #[test]
    fn bodies_say_what_was_said() {
        let new = |kind, hsm, settings| NewKey { kind, hsm, settings }.to_body().0.to_string();
        assert_eq!(new(NewKind::Rsa { bits: None }, false, Settings::default()), r#"{"kty":"RSA"}"#);
        assert_eq!(
            new(NewKind::Oct { bits: Some(128) }, true, Settings::default()),
            r#"{"kty":"oct-HSM","key_size":128}"#
        );
        assert_eq!(
            new(NewKind::Ec { curve: Some("P-384") }, true, settings()),
            concat!(
                r#"{"kty":"EC-HSM","crv":"P-384","key_ops":["sign"],"attributes":{"exp":9,"exportable":true},"#,
                r#""tags":{"a\"":"b"},"release_policy":{"contentType":"application/json; charset=utf-8","data":"e30","#,
                r#""immutable":true}}"#
            )
        );
        let set = NewKind::MlDsa { set: "ML-DSA-44" };
        assert_eq!(new(set, false, Settings::default()), r#"{"kty":"AKP","alg":"ML-DSA-44"}"#);
        let changes = Changes { enabled: Some(false), min_iat: Some(3), policy: None };
        assert_eq!(changes.to_body().0.as_str(), r#"{"attributes":{"enabled":false,"x-skerry-min-iat":3}}"#);
        assert_eq!(Changes::default().to_body().0.as_str(), "{}");
    }

    /// A private key is in the body whole, and the body is JSON.
    #[test]
    fn imports_are_json() {
        let octets = |octets: &[u8]| Zeroizing::new(octets.to_vec());
        let jwk = PrivateJwk::new("oct-HSM", None, vec![("k", octets(&[1, 2]))]);
        let body = jwk.to_import(&Settings::default());
        assert_eq!(body.0.as_str(), r#"{"key":{"kty":"oct-HSM","k":"AQI"},"Hsm":true}"#);
        let jwk = PrivateJwk::new("EC", Some("P-256"), vec![("x", octets(&[1])), ("d", octets(&[2]))]);
        let body = jwk.to_import(&settings());
        assert!(body.0.starts_with(r#"{"key":{"kty":"EC","crv":"P-256","key_ops":["sign"],"x":"AQ","d":"Ag"},"attri"#));
        let limits = crate::limits::ANSWER;
        let read = skerry_jose::json::parse(body.0.as_bytes(), &limits).unwrap();
        assert_eq!(read.get(&["release_policy", "data"]).and_then(Value::as_str), Some("e30"));
        let text = ToCipher { alg: "A128GCM".into(), value: octets(&[7]), iv: Some(vec![1]), aad: None, tag: None };
        assert_eq!(text.to_body().0.as_str(), r#"{"alg":"A128GCM","iv":"AQ","value":"Bw"}"#);
    }

    /// A policy that is read is the one that is written, and half a policy is none.
    #[test]
    fn rotation_policies_are_read_as_written() {
        let action = |action: &str, trigger| LifetimeAction { action: action.into(), trigger };
        let policy = RotationPolicy {
            lifetime: Some("P1Y".into()),
            actions: vec![
                action("Rotate", Trigger::AfterCreate("P90D".into())),
                action("Notify", Trigger::BeforeExpiry("P30D".into())),
            ],
            ..RotationPolicy::default()
        };
        let parse = |text: &str| {
            let value = skerry_jose::json::parse(text.as_bytes(), &crate::limits::ANSWER).unwrap();
            RotationPolicy::of(&value.into_object().unwrap())
        };
        assert_eq!(parse(policy.to_body().0.as_str()), Ok(policy));
        for odd in [
            r#"{"lifetimeActions":{}}"#,
            r#"{"lifetimeActions":[{}]}"#,
            r#"{"lifetimeActions":[{"trigger":{},"action":{"type":"Rotate"}}]}"#,
            r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P1D","timeBeforeExpiry":"P1D"},"action":{"type":"R"}}]}"#,
        ] {
            assert_eq!(parse(odd), Err(AnswerError::Member("lifetimeActions")), "{odd}");
        }
    }
}
