//! Every way in which a vault says no.
//!
//! `Display` of the rules of release policies is Azure's sentence where it is known; the rest are our words, for the log
//! and for callers who may read the key. What a status and code on the wire is, `skerry-http` decides in one place.

use skerry_attestation_result::TokenError;
use skerry_audit::AuditError;
use skerry_identity::Permission;
use skerry_keys::custody::CustodyError;
use skerry_keys::{CipherError, Fault, ImportError, OpenError, ReleaseError, SignError, TransferError, VerifyError};
use skerry_policy::permit::Denied;
use skerry_policy::release::ParseError;
use skerry_sources::SourceError;
use skerry_store::StoreError;
use skerry_store::seal::SealError;

use crate::backup::BackupError;
use crate::command::Operation;
use crate::limits::VERSIONS_MAX;
use crate::record::Corrupted;
use crate::rotation::RotationError;
use crate::uses::UsesError;

/// Why a request is refused. Not `non_exhaustive`: a new refusal must not compile until the wire has an answer for it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // each message says what its variant means
pub enum Refusal {
    // What is not there.
    #[error("no key {name}")]
    KeyNotFound { name: String },
    #[error("key {name} has no version {version}")]
    VersionNotFound { name: String, version: String },
    #[error("no deleted key {name}")]
    DeletedKeyNotFound { name: String },

    // The state of a key. Times are seconds since the epoch.
    #[error("key {name} is disabled")]
    KeyDisabled { name: String, operation: Operation },
    #[error("key {name} is not valid before {not_before}, now {now}")]
    KeyNotYetValid { name: String, operation: Operation, not_before: u64, now: u64 },
    #[error("key {name} expired at {expires}, now {now}")]
    KeyExpired { name: String, operation: Operation, expires: u64, now: u64 },
    #[error("key_ops of key {name} lack {}", operation.as_str())]
    OperationNotPermitted { name: String, operation: Operation },
    #[error("key {name} is deleted and can be recovered")]
    DeletedButRecoverable { name: String },
    #[error("deleted keys of this vault are kept until their time is over")]
    PurgeProtected { name: String },
    #[error("there is a key {name} already")]
    NameTaken { name: String },
    #[error("key {name} has no rotation policy, which a Managed HSM needs before it rotates")]
    NoRotationPolicy { name: String },
    #[error("key {name} has {VERSIONS_MAX} versions, and can have no more")]
    TooManyVersions { name: String },

    // What is asked for.
    #[error("an HSM key needs a premium vault or a Managed HSM")]
    HsmOnStandard,
    #[error("HSM keys in software custody are refused unless configuration names the danger")]
    HsmInSoftware,
    #[error("symmetric keys are HSM keys")]
    SoftwareOct,
    #[error("a key's expiry is after its first day of use")]
    EmptyValidity { not_before: u64, expires: u64 },
    #[error("import")]
    Import(#[source] ImportError),
    #[error("key operations")]
    Uses(#[source] UsesError),
    #[error(
        "the key that the imported key is wrapped to is no version of a key of this vault that imports, or cannot be used now"
    )]
    TransferKey,
    #[error("import")]
    Transfer(#[source] TransferError),
    #[error("backup")]
    Backup(#[source] BackupError),
    #[error("rotation policy")]
    Rotation(#[source] RotationError),
    #[error("a key of this type does not say how to sign")]
    AlgorithmMissing,
    #[error("signature")]
    Sign(#[source] SignError),
    #[error("cipher")]
    Cipher(#[source] CipherError),
    #[error("verification")]
    Verify(#[source] VerifyError),
    #[error("the page token is not one of this list")]
    PageToken,
    #[error("a page has 1 to {max} rows, not {asked}")]
    PageRows { asked: usize, max: usize },

    // Exportable keys and their policies: Azure's rules (AKV.SKR.1001 to 1020).
    #[error("The exportable attribute is only supported with premium vaults and API version >= '7.3-preview'.")]
    ExportableOnStandard,
    #[error("The exportable attribute of an existing key cannot be changed.")]
    ExportableFixed,
    #[error("Exportable keys must have release policy.")]
    ExportableWithoutPolicy,
    #[error("Non-exportable keys must not have release policy.")]
    PolicyWithoutExportable,
    #[error("The exportable attribute is only supported with HSM keys.")]
    ExportableSoftware,
    #[error("release policy")]
    Policy(#[source] ParseError),
    #[error("Key Release Policy can only be set on versionless key.")]
    PolicyOnVersion,
    #[error("Immutable Key Release Policy cannot be modified.")]
    PolicyImmutable,
    #[error("the earliest attestation token is {known} already, which is not lowered to {asked}")]
    MinIatLowered { known: u64, asked: u64 },
    #[error("the earliest attestation token of a key is set on the key, not on a version")]
    MinIatOnVersion,
    #[error("the earliest attestation token would be of {asked}, later than now, {now}: nothing could be released")]
    MinIatInFuture { asked: u64, now: u64 },
    #[error("the earliest attestation token of the vault is {known} already, which is not lowered to {asked}")]
    FloorMinIatLowered { known: u64, asked: u64 },
    #[error("a vault that takes no attestation token releases nothing: the oldest is 1 s old or more")]
    FloorTokenAge,
    #[error("a key that is not exportable is released to nobody, and has no earliest attestation token")]
    MinIatWithoutExportable,
    #[error("a new version does not change the release policy of its key: update the key instead")]
    PolicyOfNewVersion,

    // Release.
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
    #[error("token: of issuer {issuer}, where the application trusts {asked:?}")]
    OtherIssuer { asked: String, issuer: String },
    #[error("keys of authority {issuer} cannot be had")]
    AuthorityUnavailable {
        issuer: String,
        #[source]
        reason: SourceError,
    },
    #[error(transparent)]
    Denied(Denied),
    #[error("the clock says {now}, earlier than {seen}, which it or another node's said before: set it right")]
    ClockBehind { now: u64, seen: u64 },
    #[error("the clock says {now}, and those of other nodes {others}: set right the one that is wrong")]
    ClockAhead { now: u64, others: u64 },

    // How much is asked for.
    #[error("the vault has done what it does in ten seconds, {retry_after_secs} s are left of them")]
    Throttled { retry_after_secs: u64 },

    // Faults: nobody's request is wrong.
    #[error("audit")]
    Audit(#[source] AuditError),
    #[error("opening the key")]
    Open(#[source] OpenError),
    #[error("custody")]
    Custody(#[source] CustodyError),
    #[error("release")]
    Release(#[source] ReleaseError),
    #[error("store")]
    Store(#[source] StoreError),
    #[error("the disk has {free} octets left, and below {min} nothing new is recorded")]
    NoRoom { free: u64, min: u64 },
    #[error("sealing")]
    Seal(#[source] SealError),
    #[error("stored record")]
    Corrupted(#[source] Corrupted),
    #[error("others changed the key at the same time, again and again")]
    Contended,
    #[error("whether the change was made is not known yet")]
    Unsettled,
    #[error("too much work is waiting")]
    Busy,
    #[error("work failed")]
    Failed,
    #[error("the answer could not be signed")]
    Signing,
    #[error("a grant for {} was used for another operation or vault", granted.as_str())]
    Misuse { granted: Permission },
}

impl Refusal {
    /// Whether this is a verdict on the release of a key that is there, or on unwrapping for a TEE under it, which the log
    /// keeps, and not a mistake in the request.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Refusal::KeyDisabled { operation: Operation::Release | Operation::SecureUnwrapKey, .. }
                | Refusal::OperationNotPermitted { operation: Operation::SecureUnwrapKey, .. }
                | Refusal::OtherIssuer { .. }
                | Refusal::NotExportable { .. }
                | Refusal::NoPolicy { .. }
                | Refusal::Token(_)
                | Refusal::UnknownAuthority { .. }
                | Refusal::AuthorityUnavailable { .. }
                | Refusal::ClockBehind { .. }
                | Refusal::ClockAhead { .. }
                | Refusal::Denied(_)
        )
    }
}

impl Refusal {
    /// What the token said, if it is its fault, however deep in this it is.
    pub fn fault(&self) -> Option<Fault> {
        let of_custody = |error: &CustodyError| match error {
            CustodyError::Token(fault) => Some(*fault),
            _ => None,
        };
        match self {
            Refusal::Custody(error)
            | Refusal::Import(ImportError::Custody(error))
            | Refusal::Open(OpenError::Custody(error))
            | Refusal::Release(ReleaseError::Custody(error) | ReleaseError::Open(OpenError::Custody(error))) => {
                of_custody(error)
            }
            Refusal::Release(ReleaseError::Token(fault) | ReleaseError::Unwrap(CipherError::Token(fault)))
            | Refusal::Sign(SignError::Token(fault))
            | Refusal::Verify(VerifyError::Token(fault))
            | Refusal::Cipher(CipherError::Token(fault)) => Some(*fault),
            _ => None,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

impl From<Corrupted> for Refusal {
    fn from(error: Corrupted) -> Refusal {
        Refusal::Corrupted(error)
    }
}
