//! Whether a key is released: the order of checks.
//!
//! The caller's permission comes before all of this and is not here. Then: the key exists and is enabled and exportable,
//! the token is believed for an authority that the vault knows, and the terms of the key hold ([`skerry_policy::permit`]).
//! Azure's rules hold where they are known: a key's nbf and exp do not block a release, and no key_op is needed.

use std::time::SystemTime;

use skerry_attestation_result::limits::TokenLimits;
use skerry_attestation_result::{ClaimedToken, TokenText, TrustedResult};
use skerry_keywrap::Algorithm;
use skerry_policy::permit::{self, Permit, Terms, VaultFloor, Version};

use crate::command::Operation;
use crate::limits::NONCE_BYTES_MAX;
use crate::record::{Key, KeyName};
use crate::refusal::Refusal;

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
    /// Whether the answer shall come with the proof that it is in the audit log.
    pub proof: bool,
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

/// Whether the request is in order, whatever the key.
pub fn check_form(command: &ReleaseCommand<'_>) -> Result<(), Refusal> {
    match command.nonce.map(str::len).filter(|len| *len > NONCE_BYTES_MAX) {
        Some(len) => Err(Refusal::Nonce { len, max: NONCE_BYTES_MAX }),
        None => Ok(()),
    }
}

/// Whether this version may leave at all, before any token is looked at: enabled, and of an exportable key.
pub fn releasable(key: &Key) -> Result<(), Refusal> {
    let name = || key.head.name.to_string();
    match (key.version.enabled, key.head.exportable) {
        (false, _) => Err(Refusal::KeyDisabled { name: name(), operation: Operation::Release }),
        (true, false) => Err(Refusal::NotExportable { name: name() }),
        (true, true) => Ok(()),
    }
}

/// Reads the token's form and the authority that it claims to come from.
pub fn claimed<'a>(token: impl Into<TokenText<'a>>) -> Result<ClaimedToken<'a>, Refusal> {
    ClaimedToken::parse(token, &TokenLimits::default()).map_err(Refusal::Token)
}

/// Permits the release of this version iff the key's terms hold.
pub fn decide(key: &Key, circumstances: &Circumstances<'_>) -> Result<Permit, Refusal> {
    let no_policy = || Refusal::NoPolicy { name: key.head.name.to_string() };
    let terms = Terms {
        key: key.binding(circumstances.vault).key,
        policy: key.head.policy.as_ref().ok_or_else(no_policy)?,
        generation: key.head.generation,
        min_iat: key.head.min_iat,
        floor: circumstances.floor,
    };
    permit::permit(&terms, circumstances.result, circumstances.now).map_err(Refusal::Denied)
}
