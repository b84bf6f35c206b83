//! What is recorded, and its JSON, both ways.

use crate::error::{AuditError, EntryError};
use crate::limits::{self, BODY_LEN_MAX};
use skerry_jose::json::{self, Object, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What happened, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A key version is about to be released; its subject is the permit.
    Release,
    /// A release was denied; its subject is the decision.
    ReleaseDenied,
    /// A key that is wrapped under a key version is about to be unwrapped to a TEE; its subject is the permit.
    SecureUnwrap,
    /// Such an unwrapping was denied; its subject is the decision.
    SecureUnwrapDenied,
    /// A key version is made.
    KeyCreated,
    /// A key version is brought in.
    KeyImported,
    /// A key or version is enabled, disabled, or its times change.
    KeyChanged,
    /// A key is deleted, and can be recovered.
    KeyDeleted,
    /// A deleted key comes back.
    KeyRecovered,
    /// A deleted key is gone for good.
    KeyPurged,
    /// A key leaves in a backup.
    KeyBackedUp,
    /// A key comes back from a backup.
    KeyRestored,
    /// A release policy changes.
    PolicyChanged,
    /// A vault is made, changed or removed.
    VaultChanged,
    /// Roles or permissions change.
    RoleChanged,
    /// An attestation authority, anchor, floor or appraisal policy changes.
    AuthorityChanged,
    /// Denials past a principal's budget, counted.
    DenialsCounted,
    /// All of the server is about to leave in a backup; its subject is the backup.
    ServerBackedUp,
    /// The server was restored from a backup, and this is its log from then on.
    ServerRestored,
    /// Roots of a token are about to be destroyed, for good.
    RootsDestroyed,
    /// A key version signed something; as all uses of keys it is on record a moment after it happened.
    Sign,
    /// A signature was checked under a key version.
    Verify,
    /// Something was encrypted under a key version.
    Encrypt,
    /// Something was decrypted with a key version.
    Decrypt,
    /// A key was wrapped under a key version.
    WrapKey,
    /// A key was unwrapped with a key version.
    UnwrapKey,
    /// A key was made and wrapped under a key version, for TEEs.
    SecureWrapKey,
    /// Uses of keys that came too fast to be on record one by one, counted.
    UsesLost,
    /// Requests that were refused before there was anything to put on record (401, 404), counted.
    RefusalsCounted,
    /// The newest checkpoint of another node's log; its explanation is that.
    Witnessed,
    /// A node that does not come back was taken off the installation; its explanation is where its log ended.
    NodeForgotten,
    /// The last time seen is taken back, which was ahead.
    TimeForgotten,
    /// The service starts, or found and cut a torn record.
    Started,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 33] = [
        Self::Release,
        Self::ReleaseDenied,
        Self::SecureUnwrap,
        Self::SecureUnwrapDenied,
        Self::KeyCreated,
        Self::KeyImported,
        Self::KeyChanged,
        Self::KeyDeleted,
        Self::KeyRecovered,
        Self::KeyPurged,
        Self::KeyBackedUp,
        Self::KeyRestored,
        Self::PolicyChanged,
        Self::VaultChanged,
        Self::RoleChanged,
        Self::AuthorityChanged,
        Self::DenialsCounted,
        Self::ServerBackedUp,
        Self::ServerRestored,
        Self::RootsDestroyed,
        Self::Sign,
        Self::Verify,
        Self::Encrypt,
        Self::Decrypt,
        Self::WrapKey,
        Self::UnwrapKey,
        Self::SecureWrapKey,
        Self::UsesLost,
        Self::RefusalsCounted,
        Self::Witnessed,
        Self::NodeForgotten,
        Self::TimeForgotten,
        Self::Started,
    ];

    /// The event of exactly this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }

    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::ReleaseDenied => "release-denied",
            Self::SecureUnwrap => "secure-unwrap",
            Self::SecureUnwrapDenied => "secure-unwrap-denied",
            Self::KeyCreated => "key-created",
            Self::KeyImported => "key-imported",
            Self::KeyChanged => "key-changed",
            Self::KeyDeleted => "key-deleted",
            Self::KeyRecovered => "key-recovered",
            Self::KeyPurged => "key-purged",
            Self::KeyBackedUp => "key-backed-up",
            Self::KeyRestored => "key-restored",
            Self::PolicyChanged => "policy-changed",
            Self::VaultChanged => "vault-changed",
            Self::RoleChanged => "role-changed",
            Self::AuthorityChanged => "authority-changed",
            Self::DenialsCounted => "denials-counted",
            Self::ServerBackedUp => "server-backed-up",
            Self::ServerRestored => "server-restored",
            Self::RootsDestroyed => "roots-destroyed",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::WrapKey => "wrap-key",
            Self::UnwrapKey => "unwrap-key",
            Self::SecureWrapKey => "secure-wrap-key",
            Self::UsesLost => "uses-lost",
            Self::RefusalsCounted => "refusals-counted",
            Self::Witnessed => "witnessed",
            Self::NodeForgotten => "node-forgotten",
            Self::TimeForgotten => "time-forgotten",
            Self::Started => "started",
        }
    }
}

/// How it ended, as far as is known when it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// All checks hold.
    Permitted,
    /// A check does not hold.
    Denied,
    /// A change that is about to be committed.
    Intended,
    /// The change of an earlier intent is committed.
    Committed,
    /// The change of an earlier intent did not happen.
    Aborted,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [Self::Permitted, Self::Denied, Self::Intended, Self::Committed, Self::Aborted];

    /// The verdict of exactly this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == name)
    }

    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Denied => "denied",
            Self::Intended => "intended",
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }
}

/// One entry of class A. The caller vouches for its truth and keeps secrets out of its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// When, by the caller's clock; kept in milliseconds.
    pub at: SystemTime,
    /// Digest of the permit, the decision, or the change.
    pub subject: [u8; 32],
    /// The principal: issuer and subject, as one text.
    pub who: String,
    /// Id of the request.
    pub request: String,
    /// The vault.
    pub vault: Option<Uuid>,
    /// The key.
    pub key: Option<Uuid>,
    /// The key's version.
    pub version: Option<[u8; 16]>,
    /// SHA-256 of the attestation token.
    pub token: Option<[u8; 32]>,
    /// SHA-256 of the evidence as it was given to the authority, where the attestation result says it.
    pub evidence: Option<[u8; 32]>,
    /// Measurement of what was launched, where the attestation result says it.
    pub measurement: Option<Vec<u8>>,
    /// SHA-256 of the release policy that was applied.
    pub policy: Option<[u8; 32]>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why: clause and claim, for who may read the key.
    pub explanation: String,
}

impl Entry {
    /// The entry of a record's body, iff it is exactly what this crate writes for it: every member known, each in its one
    /// spelling. At most 64 KiB are read, a little more than [`BODY_LEN_MAX`]: earlier builds wrote as much. The chain vouches for the body, not this.
    pub fn from_body(body: &[u8]) -> Result<Self, EntryError> {
        let value = json::parse(body, &limits::JSON).map_err(EntryError::Json)?;
        let object = value.as_object().ok_or(EntryError::NotAnObject)?;
        let entry = Self::from_object(object)?;
        // Members that are not known, another order, capitals in hex: all of them show here.
        if entry.encode().is_ok_and(|written| written == body) { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    fn from_object(object: &Object) -> Result<Self, EntryError> {
        let members = Members(object);
        Ok(Self {
            event: members.name("event", Event::parse)?,
            at: members.time("at_ms")?,
            subject: members.digest("subject")?.ok_or(EntryError::Missing { member: "subject" })?,
            who: members.text("who")?.to_owned(),
            request: members.text("request")?.to_owned(),
            vault: members.uuid("vault")?,
            key: members.uuid("key")?,
            version: members.digest("version")?,
            token: members.digest("token")?,
            evidence: members.digest("evidence")?,
            measurement: members.octets("measurement")?,
            policy: members.digest("policy")?,
            verdict: members.name("verdict", Verdict::parse)?,
            explanation: members.text("explanation")?.to_owned(),
        })
    }

    /// The JSON body: members sorted, those without a value left out, digests in lower-case hex.
    pub(crate) fn body(&self) -> Result<Vec<u8>, AuditError> {
        let body = self.encode()?;
        if body.len() > BODY_LEN_MAX {
            return Err(AuditError::EntryTooLong { len: body.len() });
        }
        Ok(body)
    }

    fn encode(&self) -> Result<Vec<u8>, AuditError> {
        Ok(self.object()?.to_json().into_bytes())
    }

    fn object(&self) -> Result<Object, AuditError> {
        let mut object = Object::new()
            .with("at_ms", millis(self.at)?)
            .with("event", self.event.as_str())
            .with("explanation", self.explanation.as_str())
            .with("request", self.request.as_str())
            .with("subject", hex::encode(self.subject))
            .with("verdict", self.verdict.as_str())
            .with("who", self.who.as_str());
        for (name, value) in self.optional() {
            if let Some(value) = value {
                object.insert(name, Value::String(value));
            }
        }
        object.sort();
        Ok(object)
    }

    fn optional(&self) -> [(&'static str, Option<String>); 7] {
        [
            ("evidence", self.evidence.map(hex::encode)),
            ("key", self.key.map(|id| id.to_string())),
            ("measurement", self.measurement.as_ref().map(hex::encode)),
            ("policy", self.policy.map(hex::encode)),
            ("token", self.token.map(hex::encode)),
            ("vault", self.vault.map(|id| id.to_string())),
            ("version", self.version.map(hex::encode)),
        ]
    }
}

fn millis(at: SystemTime) -> Result<u64, AuditError> {
    let since = at.duration_since(UNIX_EPOCH).map_err(|_| AuditError::Time)?;
    u64::try_from(since.as_millis()).map_err(|_| AuditError::Time)
}

/// Members of a body, each read as what it must be.
struct Members<'a>(&'a Object);

impl<'a> Members<'a> {
    fn optional(&self, member: &'static str) -> Result<Option<&'a str>, EntryError> {
        self.0.get(member).map(|value| value.as_str().ok_or(EntryError::Value { member })).transpose()
    }

    fn text(&self, member: &'static str) -> Result<&'a str, EntryError> {
        self.optional(member)?.ok_or(EntryError::Missing { member })
    }

    fn name<T>(&self, member: &'static str, parse: fn(&str) -> Option<T>) -> Result<T, EntryError> {
        parse(self.text(member)?).ok_or(EntryError::Value { member })
    }

    fn octets(&self, member: &'static str) -> Result<Option<Vec<u8>>, EntryError> {
        let octets = self.optional(member)?.map(hex::decode).transpose();
        octets.map_err(|_| EntryError::Value { member })
    }

    fn digest<const N: usize>(&self, member: &'static str) -> Result<Option<[u8; N]>, EntryError> {
        let octets = self.octets(member)?.map(<[u8; N]>::try_from).transpose();
        octets.map_err(|_| EntryError::Value { member })
    }

    fn uuid(&self, member: &'static str) -> Result<Option<Uuid>, EntryError> {
        let id = self.optional(member)?.map(Uuid::try_parse).transpose();
        id.map_err(|_| EntryError::Value { member })
    }

    fn time(&self, member: &'static str) -> Result<SystemTime, EntryError> {
        let millis = self.0.get(member).ok_or(EntryError::Missing { member })?.as_u64();
        let at = millis.and_then(|millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis)));
        at.ok_or(EntryError::Value { member })
    }
}
