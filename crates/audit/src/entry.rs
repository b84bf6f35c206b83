//! What is recorded, and its JSON.

use crate::error::AuditError;
use crate::limits::BODY_LEN_MAX;
use skerry_jose::json::{Object, Value};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// What happened, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A key version is about to be released; its subject is the permit.
    Release,
    /// A release was denied; its subject is the decision.
    ReleaseDenied,
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
    /// An attestation authority, anchor or floor changes.
    AuthorityChanged,
    /// Denials past a principal's budget, counted.
    DenialsCounted,
    /// The service starts, or found and cut a torn record.
    Started,
}

impl Event {
    /// The name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::ReleaseDenied => "release-denied",
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
    /// SHA-256 of the evidence, where the attestation result says it.
    pub evidence: Option<[u8; 32]>,
    /// Launch measurement, where the attestation result says it.
    pub measurement: Option<Vec<u8>>,
    /// SHA-256 of the release policy that was applied.
    pub policy: Option<[u8; 32]>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why: clause and claim, for who may read the key.
    pub explanation: String,
}

impl Entry {
    /// The JSON body: members sorted, those without a value left out, digests in lower-case hex.
    pub(crate) fn body(&self) -> Result<Vec<u8>, AuditError> {
        let body = self.object()?.to_json().into_bytes();
        if body.len() > BODY_LEN_MAX {
            return Err(AuditError::EntryTooLong { len: body.len() });
        }
        Ok(body)
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
