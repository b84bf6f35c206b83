//! Whether a key is released: the order of checks, and every way to be refused.
//!
//! The caller's permission comes before all of this and is not here. Then: the key exists and is enabled and exportable,
//! the token is believed for an authority that the vault knows, and the terms of the key hold ([`skerry_policy::permit`]).
//! Azure's rules hold where they are known: a key's nbf and exp do not block a release, and no key_op is needed.

use std::time::SystemTime;

use skerry_attestation_result::limits::TokenLimits;
use skerry_attestation_result::{Authority, ClaimedToken, TokenError, TokenText, TrustedResult};
use skerry_audit::AuditError;
use skerry_keys::ReleaseError;
use skerry_keywrap::Algorithm;
use skerry_policy::permit::{self, Denied, Permit, Terms, VaultFloor, Version};

use crate::limits::NONCE_BYTES_MAX;
use crate::record::{KeyName, KeyRecord, KeyVersion};

/// A request to release a key, after parsing.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseCommand<'a> {
    /// Whose key.
    pub name: &'a KeyName,
    /// Which version; the newest if none.
    pub version: Option<Version>,
    /// The attestation token. Nobody vouches for it yet.
    pub target: &'a str,
    /// Echoed in the answer.
    pub nonce: Option<&'a str>,
    /// How to wrap; `CKM_RSA_AES_KEY_WRAP` if none, which is Azure's default (recorded).
    pub enc: Option<Algorithm>,
    /// `api-version` of the request, echoed.
    pub api_version: &'a str,
    /// Host, and port if not 443, as the request addressed the vault.
    pub host: &'a str,
    /// Principal, for the log.
    pub who: &'a str,
    /// Request id, for the log.
    pub request_id: &'a str,
}

/// Why a release is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum Refusal {
    #[error("no key {name}")]
    KeyNotFound { name: String },
    #[error("key {name} has no version {version}")]
    VersionNotFound { name: String, version: String },
    #[error("key {name} is disabled")]
    KeyDisabled { name: String },
    #[error("key {name} is not exportable")]
    NotExportable { name: String },
    #[error("key {name} has no release policy")]
    NoPolicy { name: String },
    #[error("nonce has {len} bytes, more than {max}")]
    Nonce { len: usize, max: usize },
    #[error("token")]
    Token(#[source] TokenError),
    #[error("token: issuer {issuer} is no authority of this vault")]
    UnknownAuthority { issuer: String },
    #[error(transparent)]
    Denied(Denied),
    #[error("audit")]
    Audit(#[source] AuditError),
    #[error("release")]
    Release(#[source] ReleaseError),
    #[error("the answer could not be signed")]
    Signing,
}

impl Refusal {
    /// Whether this is a verdict on a key that is there, which the log keeps, and not a mistake in the request.
    pub fn is_denial(&self) -> bool {
        match self {
            Refusal::KeyDisabled { .. } | Refusal::NotExportable { .. } | Refusal::NoPolicy { .. } => true,
            Refusal::Token(_) | Refusal::UnknownAuthority { .. } | Refusal::Denied(_) => true,
            Refusal::KeyNotFound { .. } | Refusal::VersionNotFound { .. } | Refusal::Nonce { .. } => false,
            Refusal::Audit(_) | Refusal::Release(_) | Refusal::Signing => false,
        }
    }
}

/// The vault's side of a decision, all of it arguments.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The vault.
    pub vault: uuid::Uuid,
    /// What the vault demands whatever a policy says.
    pub floor: &'a VaultFloor,
    /// The token, as believed for its authority.
    pub result: &'a TrustedResult,
    /// The caller's clock.
    pub now: SystemTime,
}

/// The version that is asked for, by a request that is itself in order.
pub fn named<'a>(record: &'a KeyRecord, command: &ReleaseCommand<'_>) -> Result<&'a KeyVersion, Refusal> {
    let name = || record.head.name.to_string();
    if let Some(len) = command.nonce.map(str::len).filter(|len| *len > NONCE_BYTES_MAX) {
        return Err(Refusal::Nonce { len, max: NONCE_BYTES_MAX });
    }
    let missing = || match command.version {
        Some(version) => Refusal::VersionNotFound { name: name(), version: version.to_string() },
        None => Refusal::KeyNotFound { name: name() },
    };
    record.version(command.version).ok_or_else(missing)
}

/// Whether this version may leave at all, before any token is looked at: enabled, and of an exportable key.
pub fn releasable(record: &KeyRecord, version: &KeyVersion) -> Result<(), Refusal> {
    let name = || record.head.name.to_string();
    match (version.enabled, record.head.exportable) {
        (false, _) => Err(Refusal::KeyDisabled { name: name() }),
        (true, false) => Err(Refusal::NotExportable { name: name() }),
        (true, true) => Ok(()),
    }
}

/// Believes the token for the authority it claims to come from, if the vault knows that authority.
pub fn trust<'a>(
    authorities: &[Authority],
    token: impl Into<TokenText<'a>>,
    now: SystemTime,
) -> Result<TrustedResult, Refusal> {
    let claimed = ClaimedToken::parse(token, &TokenLimits::default()).map_err(Refusal::Token)?;
    let known = authorities.iter().find(|authority| authority.issuer() == claimed.issuer());
    let unknown = || Refusal::UnknownAuthority { issuer: claimed.issuer().to_string() };
    known.ok_or_else(unknown)?.verify_claimed(claimed, now).map_err(Refusal::Token)
}

/// Permits the release of this version iff the key's terms hold.
pub fn decide(record: &KeyRecord, version: &KeyVersion, circumstances: &Circumstances<'_>) -> Result<Permit, Refusal> {
    let no_policy = || Refusal::NoPolicy { name: record.head.name.to_string() };
    let terms = Terms {
        key: record.binding(circumstances.vault, version).key,
        policy: record.head.policy.as_ref().ok_or_else(no_policy)?,
        generation: record.head.generation,
        min_iat: record.head.min_iat,
        floor: circumstances.floor,
    };
    permit::permit(&terms, circumstances.result, circumstances.now).map_err(Refusal::Denied)
}
