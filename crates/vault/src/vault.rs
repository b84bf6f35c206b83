//! A vault in memory: makes keys and releases them. Around the pure functions of [`crate::release`] it does what they may
//! not: look up, put on record, carry out.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use aws_lc_rs::digest;
use rand_core::CryptoRng;
use skerry_attestation_result::{Authority, TokenText, TrustedResult, names, unix_secs};
use skerry_audit::{AuditError, Entry, Event, Log, Recorded, Verdict};
use skerry_jose::json::Value;
use skerry_keys::custody::{Binding, CustodyError, SealedMaterial, Software};
use skerry_keys::{ExportableKey, ImportError, ImportKey, KeyType, PublicKey, ReleaseError};
use skerry_keywrap::Algorithm;
use skerry_policy::permit::{Denied, KeyRef, Permit, VaultFloor, Version};
use skerry_policy::release::{ParseError, Policy};
use uuid::Uuid;

use crate::limits::{AUTHORITIES_MAX, EXPLANATION_BYTES_MAX, MEASUREMENT_LEN};
use crate::record::{KeyHead, KeyName, KeyRecord, KeyVersion};
use crate::release::{self, Circumstances, Refusal, ReleaseCommand};
use crate::signer::{ReleaseSigner, VaultKind};
use crate::tokens::Tokens;
use crate::wire;

/// What configuration says of a vault.
pub struct VaultConfig {
    /// Its id, which outlives its name.
    pub id: Uuid,
    /// Which of Azure's services it is like.
    pub kind: VaultKind,
    /// Whose tokens it believes.
    pub authorities: Vec<Authority>,
    /// What it demands whatever a policy says.
    pub floor: VaultFloor,
}

/// Why a configuration makes no vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum VaultConfigError {
    #[error("{count} authorities, at most {AUTHORITIES_MAX}")]
    TooManyAuthorities { count: usize },
    #[error("authority {issuer} is configured twice")]
    AuthorityTwice { issuer: String },
}

/// A request to make a key.
#[derive(Debug, Clone)]
pub struct CreateCommand<'a> {
    /// Its name.
    pub name: KeyName,
    /// Kind and size.
    pub key_type: KeyType,
    /// What it may be used for.
    pub key_ops: Vec<String>,
    /// Whether its material may ever leave.
    pub exportable: bool,
    /// The release policy, JSON, iff exportable.
    pub policy: Option<&'a [u8]>,
    /// Whether that policy is fixed for good.
    pub immutable: bool,
    /// Principal, for the log.
    pub who: &'a str,
    /// Request id, for the log.
    pub request_id: &'a str,
}

/// Why a key is not made. `Display` of the first two is Azure's sentence (AKV.SKR.1004 and 1005).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum CreateRefusal {
    #[error("Exportable keys must have release policy.")]
    ExportableWithoutPolicy,
    #[error("Non-exportable keys must not have release policy.")]
    PolicyWithoutExportable,
    #[error("release policy")]
    Policy(#[source] ParseError),
    #[error("a key {name} exists")]
    Exists { name: String },
    #[error("custody")]
    Custody(#[source] CustodyError),
    #[error("import")]
    Import(#[source] ImportError),
    #[error("audit")]
    Audit(#[source] AuditError),
}

/// A release that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseAnswer {
    /// The release JWS, compact form.
    pub value: String,
}

/// A vault.
pub struct Vault {
    config: VaultConfig,
    custody: Software,
    signer: ReleaseSigner,
    log: Arc<Log>,
    keys: RwLock<HashMap<String, Arc<KeyRecord>>>,
    tokens: Tokens,
}

impl Vault {
    /// An empty vault. The caller vouches that `log` is this installation's and `custody` this vault's. Two authorities of
    /// one issuer would make it a matter of order whose keys count, so they are refused.
    pub fn new(
        config: VaultConfig,
        custody: Software,
        signer: ReleaseSigner,
        log: Arc<Log>,
    ) -> Result<Vault, VaultConfigError> {
        let count = config.authorities.len();
        if count > AUTHORITIES_MAX {
            return Err(VaultConfigError::TooManyAuthorities { count });
        }
        let mut issuers = HashSet::new();
        if let Some(twice) = config.authorities.iter().find(|one| !issuers.insert(one.issuer().clone())) {
            return Err(VaultConfigError::AuthorityTwice { issuer: twice.issuer().to_string() });
        }
        Ok(Vault { config, custody, signer, log, keys: RwLock::default(), tokens: Tokens::default() })
    }

    /// The key of this name.
    pub fn key(&self, name: &KeyName) -> Option<Arc<KeyRecord>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&name.folded()).cloned()
    }

    /// Makes a key: on record first as intended, then as committed.
    pub fn create(
        &self,
        command: &CreateCommand<'_>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Arc<KeyRecord>, CreateRefusal> {
        self.add(Event::KeyCreated, command, now, rng, |binding, rng| {
            self.custody.generate(binding, rng).map_err(CreateRefusal::Custody)
        })
    }

    /// Brings in a key that exists elsewhere (see [`crate::jwk`]); else as [`create`](Self::create).
    pub fn import(
        &self,
        command: &CreateCommand<'_>,
        key: &ImportKey,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Arc<KeyRecord>, CreateRefusal> {
        self.add(Event::KeyImported, command, now, rng, |binding, rng| {
            self.custody.import(binding, key, rng).map_err(CreateRefusal::Import)
        })
    }

    fn add(
        &self,
        event: Event,
        command: &CreateCommand<'_>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
        make: impl FnOnce(Binding, &mut dyn CryptoRng) -> Result<(PublicKey, SealedMaterial), CreateRefusal>,
    ) -> Result<Arc<KeyRecord>, CreateRefusal> {
        let policy = checked_policy(command)?;
        let key = KeyRef { vault: self.config.id, key: random_uuid(rng), version: Version(random(rng)) };
        let binding = Binding { key, key_type: command.key_type, exportable: command.exportable };
        let (public, material) = make(binding, rng)?;
        let record = Arc::new(new_record(command, policy, key, public, material, unix_secs(now)));
        let intent = change(event, command, &record, key, now, Verdict::Intended);
        self.log.record(&intent).map(drop).map_err(CreateRefusal::Audit)?;
        let outcome = self.insert(&record);
        let verdict = if outcome.is_ok() { Verdict::Committed } else { Verdict::Aborted };
        self.log.record(&Entry { verdict, ..intent }).map(drop).map_err(CreateRefusal::Audit)?;
        outcome.map(|()| record)
    }

    /// Releases a key to the TEE that `command.target` attests, or says why not. The caller vouches that the principal may
    /// release; a denial is on record before it is answered, and so is a release before the material is touched.
    pub fn release(
        &self,
        command: &ReleaseCommand<'_>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<ReleaseAnswer, Refusal> {
        let record = self.key(command.name).ok_or_else(|| not_found(command))?;
        let version = release::named(&record, command)?;
        let mut believed = None;
        let trusted = release::releasable(&record, version).and_then(|()| self.trusted(command, now));
        let decided = trusted.and_then(|result| {
            let result: &TrustedResult = believed.insert(result);
            let circumstances = Circumstances { vault: self.config.id, floor: &self.config.floor, result, now };
            release::decide(&record, version, &circumstances)
        });
        match decided {
            Ok(permit) => self.carry_out(command, &record, version, permit, believed.as_deref(), now, rng),
            Err(refusal) if refusal.is_denial() => {
                let key = record.binding(self.config.id, version).key;
                let denial = denial(command, &record.head, key, believed.as_deref(), &refusal, now);
                self.log.record(&denial).map(drop).map_err(Refusal::Audit)?;
                Err(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn trusted(&self, command: &ReleaseCommand<'_>, now: SystemTime) -> Result<Arc<TrustedResult>, Refusal> {
        let token = TokenText::from(command.target);
        let verify = || release::trust(&self.config.authorities, token, now);
        self.tokens.get_or_verify(*token.digest(), now, verify)
    }

    #[allow(clippy::too_many_arguments)] // the whole of one release, each part named once
    fn carry_out(
        &self,
        command: &ReleaseCommand<'_>,
        record: &KeyRecord,
        version: &KeyVersion,
        permit: Permit,
        result: Option<&TrustedResult>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<ReleaseAnswer, Refusal> {
        let recorded: Recorded = self.log.record(&permitted(command, &permit, result, now)).map_err(Refusal::Audit)?;
        let binding = record.binding(self.config.id, version);
        let key = ExportableKey::new(&version.material, &binding).map_err(Refusal::Release)?;
        let algorithm = command.enc.unwrap_or(Algorithm::CkmRsaAesKeyWrap);
        let released = skerry_keys::release(&self.custody, key, permit, recorded, algorithm, rng)
            .map_err(|error: ReleaseError| Refusal::Release(error))?;
        let payload = wire::release_payload(self.config.kind, command, &record.head, version, &released);
        let value = self.signer.sign(self.config.kind, &payload.to_json()).map_err(|_| Refusal::Signing)?;
        Ok(ReleaseAnswer { value })
    }

    fn insert(&self, record: &Arc<KeyRecord>) -> Result<(), CreateRefusal> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        match keys.entry(record.head.name.folded()) {
            Slot::Occupied(_) => Err(CreateRefusal::Exists { name: record.head.name.to_string() }),
            Slot::Vacant(slot) => {
                slot.insert(Arc::clone(record));
                Ok(())
            }
        }
    }
}

fn checked_policy(command: &CreateCommand<'_>) -> Result<Option<Policy>, CreateRefusal> {
    match (command.exportable, command.policy) {
        (true, None) => Err(CreateRefusal::ExportableWithoutPolicy),
        (false, Some(_)) => Err(CreateRefusal::PolicyWithoutExportable),
        (false, None) => Ok(None),
        (true, Some(text)) => Policy::parse(text, &Default::default()).map(Some).map_err(CreateRefusal::Policy),
    }
}

fn new_record(
    command: &CreateCommand<'_>,
    policy: Option<Policy>,
    key: KeyRef,
    public: PublicKey,
    material: SealedMaterial,
    now: u64,
) -> KeyRecord {
    let head = KeyHead {
        id: key.key,
        name: command.name.clone(),
        exportable: command.exportable,
        immutable: command.immutable,
        policy,
        generation: 1,
        min_iat: 0,
    };
    let version = KeyVersion {
        version: key.version,
        enabled: true,
        created: now,
        updated: now,
        key_type: command.key_type,
        public,
        key_ops: command.key_ops.clone(),
        material,
    };
    KeyRecord { head, versions: vec![version] }
}

/// What is put on record of a change: its digest is over ids, so that intent and outcome are found together.
fn change(
    event: Event,
    command: &CreateCommand<'_>,
    record: &KeyRecord,
    key: KeyRef,
    at: SystemTime,
    verdict: Verdict,
) -> Entry {
    let policy = record.head.policy.as_ref().map(|policy| policy.digest().0);
    let subject = sha256(&[b"skerry change v1\0", key.key.as_bytes(), &key.version.0]);
    Entry { policy, ..entry(event, at, subject, command.who, command.request_id, key, verdict) }
}

fn not_found(command: &ReleaseCommand<'_>) -> Refusal {
    Refusal::KeyNotFound { name: command.name.to_string() }
}

fn permitted(command: &ReleaseCommand<'_>, permit: &Permit, result: Option<&TrustedResult>, at: SystemTime) -> Entry {
    let (event, verdict) = (Event::Release, Verdict::Permitted);
    Entry {
        token: Some(*permit.token_digest()),
        policy: Some(*permit.policy_digest()),
        measurement: result.and_then(measurement),
        explanation: format!("released to {}", permit.target().thumbprint()),
        ..entry(event, at, *permit.digest(), command.who, command.request_id, permit.key(), verdict)
    }
}

/// Policy and measurement are on record where the denial came after they were known.
fn denial(
    command: &ReleaseCommand<'_>,
    head: &KeyHead,
    key: KeyRef,
    believed: Option<&TrustedResult>,
    refusal: &Refusal,
    at: SystemTime,
) -> Entry {
    let token = sha256(&[command.target.as_bytes()]);
    let subject = sha256(&[b"skerry denial v1\0", key.key.as_bytes(), &key.version.0, &token]);
    let (event, verdict) = (Event::ReleaseDenied, Verdict::Denied);
    Entry {
        token: Some(token),
        policy: believed.and(head.policy.as_ref()).map(|policy| policy.digest().0),
        measurement: believed.and_then(measurement),
        explanation: cut(chain(refusal)),
        ..entry(event, at, subject, command.who, command.request_id, key, verdict)
    }
}

fn entry(
    event: Event,
    at: SystemTime,
    subject: [u8; 32],
    who: &str,
    request: &str,
    key: KeyRef,
    verdict: Verdict,
) -> Entry {
    Entry {
        event,
        at,
        subject,
        who: who.to_owned(),
        request: request.to_owned(),
        vault: Some(key.vault),
        key: Some(key.key),
        version: Some(key.version.0),
        token: None,
        evidence: None,
        measurement: None,
        policy: None,
        verdict,
        explanation: String::new(),
    }
}

/// The start of a text that a token can make long, so that no denial is too long to be recorded.
fn cut(mut text: String) -> String {
    if text.len() > EXPLANATION_BYTES_MAX {
        let end = (0..=EXPLANATION_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// A refusal with its causes as one line.
fn chain(refusal: &Refusal) -> String {
    let (mut text, mut cause) = (refusal.to_string(), refusal.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    match refusal {
        Refusal::Denied(Denied::Policy(explanation)) => format!("{text}\n{explanation}"),
        _ => text,
    }
}

/// The launch measurement, if the claim is one: an authority may put text of any length there.
fn measurement(result: &TrustedResult) -> Option<Vec<u8>> {
    let text = result.claims().get(names::snp::LAUNCH_MEASUREMENT).and_then(Value::as_str)?;
    hex::decode(text).ok().filter(|octets| octets.len() == MEASUREMENT_LEN)
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

fn random<const N: usize>(rng: &mut dyn CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A version 4 UUID (RFC 9562, 5.4).
fn random_uuid(rng: &mut dyn CryptoRng) -> Uuid {
    uuid::Builder::from_random_bytes(random(rng)).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An explanation of any length fits a record, and is cut between characters.
    #[test]
    fn long_explanations_are_cut() {
        let short = "x".repeat(EXPLANATION_BYTES_MAX);
        assert_eq!(cut(short.clone()), short);
        assert_eq!(cut(short.clone() + "x"), short + "...");
        let wide = cut("\u{e9}".repeat(EXPLANATION_BYTES_MAX) + "x");
        assert_eq!(wide.len(), EXPLANATION_BYTES_MAX + 3);
    }
}
