//! Refusals of a vault: Azure's status, code, inner code and sentence for each (key-vault spec 3.6, 3.8, 5), in one place.
//!
//! A key vault and a Managed HSM say the same in two ways: the vault numbers the rules of release policies, the Managed HSM
//! names the request's id in every sentence and has empty challenges. Why a release is denied goes to callers who may read
//! the key; others get Azure's sentence. Faults of ours are not explained to anybody: the log has them under the id.

use std::error::Error;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use skerry_audit::AuditError;
use skerry_identity::{Forbidden, Permission, Unauthorized};
use skerry_jose::json::Object;
use skerry_keys::{CipherError, CustodyError, Fault, OpenError, ReleaseError, SignError, TransferError, VerifyError};
use skerry_policy::permit::Denied;
use skerry_vault::backup::BackupError;
use skerry_vault::{Refusal, VaultKind, explained};
use uuid::Uuid;

use crate::reply::Reply;
use crate::request::BodyError;
use crate::route::NotAllowed;
use crate::vault::api_version;
use crate::vault::wire::MemberError;

/// Everything that a request can be refused for. Texts in it are the client's.
#[derive(Debug)]
pub(super) enum Refused {
    NoToken,
    Unauthorized(Unauthorized),
    NoVault,
    NoRoute,
    Method(NotAllowed),
    Absent { operation: &'static str },
    ApiVersionMissing,
    ApiVersion { found: String },
    ParameterTwice(&'static str),
    Parameter { name: &'static str, found: String },
    Name { found: String },
    VersionForm { name: String, found: String },
    Forbidden { forbidden: Forbidden, scope: String },
    Body(BodyError),
    Member(MemberError),
    Vault { refusal: Refusal, may_read: bool },
}

/// Every code of an error that a vault answers, those of the listener before it among them.
pub(super) const CODES: [&str; 19] = [
    "AccessDenied",
    "BadParameter",
    "BadRequest",
    "Conflict",
    "Forbidden",
    "InternalServerError",
    "KeyNotFound",
    "MethodNotAllowed",
    "MisdirectedRequest",
    "NotFound",
    "NotSupported",
    "RequestTimeout",
    "RequestTooLarge",
    "ServerBusy",
    "ServiceUnavailable",
    "Throttled",
    "Unauthorized",
    "UnsupportedMediaType",
    "VaultNotFound",
];

/// Every inner code.
pub(super) const INNER_CODES: [&str; 7] = [
    "ForbiddenByPolicy",
    "KeyDisabled",
    "KeyExpired",
    "KeyNotExportable",
    "KeyNotYetValid",
    "KeyOperationForbidden",
    "ObjectIsDeletedButRecoverable",
];

/// What of a request shows in its refusal.
pub(super) struct Door<'a> {
    pub(super) kind: VaultKind,
    pub(super) id: Uuid,
    pub(super) challenge: HeaderValue,
    /// What the challenge asks a token for.
    pub(super) resource: &'a str,
    /// How messages name the vault.
    pub(super) vault: &'a str,
    pub(super) region: &'a str,
}

/// Azure's answer, but for what the two kinds of vault make of it.
struct Answer {
    status: StatusCode,
    code: &'static str,
    inner: Option<&'static str>,
    message: String,
}

impl Answer {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Answer {
        Answer { status, code, inner: None, message: message.into() }
    }

    fn inner(self, inner: &'static str) -> Answer {
        Answer { inner: Some(inner), ..self }
    }
}

impl Door<'_> {
    pub(super) fn refuse(&self, refused: Refused) -> Reply {
        match refused {
            Refused::NoToken => self.challenge("AKV10000: Request is missing a Bearer or PoP token."),
            Refused::Unauthorized(Unauthorized::Unavailable { .. }) => Reply::busy(),
            Refused::Unauthorized(error) => self.challenge(&unauthorized(&error, self.resource)),
            Refused::Method(refused) => refused.into_reply(),
            Refused::Body(BodyError::Busy) => Reply::busy(),
            Refused::Vault { refusal: Refusal::Busy | Refusal::Contended, .. } => Reply::busy(),
            Refused::Vault { refusal: Refusal::Throttled { retry_after_secs }, .. } => {
                self.answer(throttled()).with(RETRY_AFTER, HeaderValue::from(retry_after_secs))
            }
            refused => self.answer(self.judge(refused)),
        }
    }

    /// A challenge, whose body a Managed HSM leaves out (recorded).
    fn challenge(&self, message: &str) -> Reply {
        let reply = match self.kind {
            VaultKind::Standard | VaultKind::Premium => Reply::error(StatusCode::UNAUTHORIZED, "Unauthorized", message),
            VaultKind::ManagedHsm => Reply::empty(StatusCode::UNAUTHORIZED),
        };
        reply.with(WWW_AUTHENTICATE, self.challenge.clone())
    }

    fn answer(&self, answer: Answer) -> Reply {
        let Answer { status, code, inner, mut message } = answer;
        if self.kind == VaultKind::ManagedHsm {
            message = format!("{message} (Activity ID: {})", self.id);
        }
        let mut error = Object::new().with("code", code).with("message", message);
        if let Some(inner) = inner {
            error.insert("innererror", Object::new().with("code", inner));
        }
        Reply::json(status, &Object::new().with("error", error))
    }

    fn judge(&self, refused: Refused) -> Answer {
        match refused {
            Refused::NoVault => not_found("VaultNotFound", "No vault is served under this name."),
            Refused::NoRoute => not_found("NotFound", "Nothing is served at this path."),
            Refused::Absent { operation } => Answer::new(
                StatusCode::BAD_REQUEST,
                "NotSupported",
                format!("Operation {operation} is not supported by this vault."),
            ),
            Refused::ApiVersionMissing => bad_parameter("api-version must be specified"),
            Refused::ApiVersion { found } => bad_parameter(format!(
                "The specified version ({found}) is not recognized. Consider using the latest supported version ({}).",
                api_version::NEWEST
            )),
            Refused::ParameterTwice(name) => bad_parameter(format!("Parameter {name} came more than once.")),
            Refused::Parameter { name, found } => bad_parameter(format!("Parameter {name} has invalid value {found}")),
            Refused::Name { found } => bad_parameter(format!("The request URI contains an invalid name: {found}")),
            Refused::VersionForm { name, found } => key_not_found(&format!("{name}/{found}")),
            Refused::Forbidden { forbidden, scope } => self.forbidden(&forbidden, &scope),
            Refused::Body(error) => body(&error),
            Refused::Member(error) => bad_parameter(error.to_string()),
            Refused::Vault { refusal, may_read } => self.of_vault(&refusal, may_read),
            // Answered before: they have forms of their own.
            Refused::NoToken | Refused::Unauthorized(_) | Refused::Method(_) => fault(self.id),
        }
    }

    fn forbidden(&self, forbidden: &Forbidden, scope: &str) -> Answer {
        let Forbidden { principal, permission, .. } = forbidden;
        if self.kind == VaultKind::ManagedHsm {
            let action = data_action(*permission);
            let message = format!("Not authorized to access Microsoft.KeyVault/managedHsm/{action} on {scope}");
            return Answer::new(StatusCode::FORBIDDEN, "AccessDenied", message);
        }
        let message = format!(
            "The user, group or application 'oid={};iss={}' does not have keys {permission} permission on key vault \
             '{};location={}'.",
            principal.subject(),
            principal.issuer(),
            self.vault,
            self.region
        );
        Answer::new(StatusCode::FORBIDDEN, "Forbidden", message).inner("ForbiddenByPolicy")
    }

    /// The table. Where Azure's sentence is not known, or the fault is in what the caller sent, it is ours.
    fn of_vault(&self, refusal: &Refusal, may_read: bool) -> Answer {
        use Refusal as R;
        if let Some(answer) = self.of_token(refusal) {
            return answer;
        }
        match refusal {
            R::KeyNotFound { name } => key_not_found(name),
            R::VersionNotFound { name, version } => key_not_found(&format!("{name}/{version}")),
            R::DeletedKeyNotFound { name } => not_found("KeyNotFound", format!("Deleted Key not found: {name}")),

            R::KeyDisabled { operation, .. } => not_allowed(operation.as_str(), "on a disabled key", "KeyDisabled"),
            R::KeyNotYetValid { operation, .. } => {
                not_allowed(operation.as_str(), "on a key that is not yet valid", "KeyNotYetValid")
            }
            R::KeyExpired { operation, .. } => not_allowed(operation.as_str(), "on an expired key", "KeyExpired"),
            R::OperationNotPermitted { operation, .. } => {
                let message = format!("Operation {} is not permitted on this key.", operation.as_str());
                forbidden(message).inner("KeyOperationForbidden")
            }
            R::DeletedButRecoverable { name } => Answer::new(
                StatusCode::CONFLICT,
                "Conflict",
                format!(
                    "Key {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
                     state, the key can only be recovered or purged."
                ),
            )
            .inner("ObjectIsDeletedButRecoverable"),
            R::PurgeProtected { .. } => {
                forbidden("Operation \"purge\" is not allowed because purge protection is enabled for this vault.")
            }

            R::NameTaken { name } => {
                let message = format!("Key {name} already exists in this vault, and a backup is not restored over it.");
                Answer::new(StatusCode::CONFLICT, "Conflict", message)
            }
            R::Backup(
                BackupError::OlderGeneration { .. }
                | BackupError::PolicyLoosened
                | BackupError::MinIatLowered { .. },
            ) => {
                Answer::new(StatusCode::CONFLICT, "Conflict", explained(refusal))
            }

            R::AlgorithmMissing => bad_parameter(MemberError::Missing("alg").to_string()),
            R::HsmOnStandard
            | R::HsmInSoftware
            | R::SoftwareOct
            | R::EmptyValidity { .. }
            | R::Import(_)
            | R::Uses(_)
            | R::TransferKey
            | R::Transfer(TransferError::Refused)
            | R::Policy(_)
            | R::PolicyOfNewVersion
            | R::MinIatLowered { .. }
            | R::MinIatOnVersion
            | R::MinIatInFuture { .. }
            | R::MinIatWithoutExportable
            | R::FloorMinIatLowered { .. }
            | R::FloorTokenAge
            | R::TooManyVersions { .. }
            | R::NoRotationPolicy { .. }
            | R::Rotation(_)
            | R::Backup(_)
            | R::PageToken
            | R::PageRows { .. }
            | R::Nonce { .. } => bad_parameter(explained(refusal)),
            R::Sign(error) if is_the_caller_s(error) => bad_parameter(explained(refusal)),
            R::Verify(error) if is_the_caller_s_to_verify(error) => bad_parameter(explained(refusal)),

            R::Cipher(CipherError::Key(_) | CipherError::PublicRefused | CipherError::Library) => fault(self.id),
            R::Cipher(_) => bad_parameter(explained(refusal)),

            R::ExportableOnStandard => self.rule(1001, refusal),
            R::ExportableFixed => self.rule(1003, refusal),
            R::ExportableWithoutPolicy => self.rule(1004, refusal),
            R::PolicyWithoutExportable => self.rule(1005, refusal),
            R::ExportableSoftware => self.rule(1006, refusal),
            R::PolicyOnVersion => self.rule(1016, refusal),
            R::PolicyImmutable => self.rule(1020, refusal),
            R::AuthorityUnavailable { issuer, .. } => {
                self.numbered(1012, &format!("The specified attestation service {issuer} cannot be reached."))
            }

            R::NotExportable { .. } => {
                forbidden("Operation release is not allowed on a key that is not exportable.").inner("KeyNotExportable")
            }
            R::Token(_) | R::UnknownAuthority { .. } | R::OtherIssuer { .. } | R::Denied(Denied::Target(_)) => {
                denied(NOT_VERIFIED, refusal, may_read)
            }
            // To a policy that does not name its authority a token is one that nobody vouches for (SDK tests).
            R::Denied(Denied::Policy(found)) if found.entries.iter().all(|entry| !entry.issuer_matches) => {
                denied(NOT_VERIFIED, refusal, may_read)
            }
            R::Denied(_) | R::NoPolicy { .. } => denied(
                "Target environment attestation does not meet key release policy requirements.",
                refusal,
                may_read,
            ),

            R::Throttled { .. } => throttled(),
            R::ClockAhead { .. } | R::ClockBehind { .. } | R::Unsettled | R::NoRoom { .. } => unavailable(refusal),
            R::Audit(AuditError::Io { .. } | AuditError::Closed | AuditError::Full { .. }) => cannot(
                "The audit log takes no more records, so nothing is changed or released; reading goes on.",
            ),
            R::Store(_) => cannot("What this vault stores cannot be read or written now."),
            R::Sign(_)
            | R::Verify(_)
            | R::Transfer(_)
            | R::Audit(_)
            | R::Custody(_)
            | R::Open(_)
            | R::Release(_)
            | R::Seal(_)
            | R::Corrupted(_)
            | R::Contended
            | R::Busy
            | R::Failed
            | R::Signing
            | R::Misuse { .. } => fault(self.id),
        }
    }

    /// What a token does not do is the server's limit and nobody's fault: who asks can ask for something else. One that is away comes
    /// back.
    fn of_token(&self, refusal: &Refusal) -> Option<Answer> {
        let not_supported = || Some(Answer::new(StatusCode::BAD_REQUEST, "NotSupported", explained(refusal)));
        match (refusal.fault(), refusal) {
            (Some(Fault::Unsupported(_)), _)
            | (None, Refusal::Transfer(TransferError::InToken))
            | (None, Refusal::Custody(CustodyError::OtherCustody { .. }))
            | (None, Refusal::Open(OpenError::Custody(CustodyError::OtherCustody { .. })))
            | (None, Refusal::Release(ReleaseError::Custody(CustodyError::OtherCustody { .. }))) => not_supported(),
            (Some(Fault::Gone | Fault::Silent | Fault::Busy), _) => {
                let message = "The token that holds the keys of this vault does not answer now.";
                Some(Answer::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message))
            }
            (Some(_), _) => Some(fault(self.id)),
            (None, _) => None,
        }
    }

    /// A rule of release policies, whose sentence is its own.
    fn rule(&self, number: u16, refusal: &Refusal) -> Answer {
        self.numbered(number, &refusal.to_string())
    }

    /// Key vaults number these sentences, Managed HSMs do not (recorded).
    fn numbered(&self, number: u16, sentence: &str) -> Answer {
        match self.kind {
            VaultKind::Standard | VaultKind::Premium => bad_parameter(format!("AKV.SKR.{number}: {sentence}")),
            VaultKind::ManagedHsm => bad_parameter(sentence),
        }
    }
}

/// Azure's sentence for a token that is not believed.
const NOT_VERIFIED: &str = "Target environment attestation statement cannot be verified.";

fn bad_parameter(message: impl Into<String>) -> Answer {
    Answer::new(StatusCode::BAD_REQUEST, "BadParameter", message)
}

fn forbidden(message: impl Into<String>) -> Answer {
    Answer::new(StatusCode::FORBIDDEN, "Forbidden", message)
}

fn not_found(code: &'static str, message: impl Into<String>) -> Answer {
    Answer::new(StatusCode::NOT_FOUND, code, message)
}

fn key_not_found(name_or_id: &str) -> Answer {
    let message = format!(
        "A key with (name/id) {name_or_id} was not found in this key vault. If you recently deleted this key you may be \
         able to recover it using the correct recovery command."
    );
    not_found("KeyNotFound", message)
}

fn not_allowed(operation: &str, on: &str, inner: &'static str) -> Answer {
    forbidden(format!("Operation {operation} is not allowed {on}.")).inner(inner)
}

fn denied(sentence: &str, refusal: &Refusal, may_read: bool) -> Answer {
    match may_read {
        true => forbidden(format!("{sentence}\n{}", explained(refusal))),
        false => forbidden(sentence),
    }
}

fn throttled() -> Answer {
    let message =
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
    Answer::new(StatusCode::TOO_MANY_REQUESTS, "Throttled", message)
}

/// Not worth a retry at once, so without `Retry-After`.
fn unavailable(refusal: &Refusal) -> Answer {
    Answer::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", refusal.to_string())
}

/// Not this request's fault, and not over by itself: who runs the vault has the reason on standard error.
fn cannot(message: &str) -> Answer {
    Answer::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

fn fault(id: Uuid) -> Answer {
    let message = format!("An internal error occurred. The id of the request is {id}.");
    Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
}

fn body(error: &BodyError) -> Answer {
    let code = match error {
        BodyError::TooLarge { .. } => "RequestTooLarge",
        BodyError::Timeout => "RequestTimeout",
        BodyError::Encoding => "UnsupportedMediaType",
        BodyError::Incomplete | BodyError::Busy | BodyError::Taken => "BadParameter",
    };
    Answer::new(error.status(), code, error.to_string())
}

/// Whether what was asked does not fit the key, and not that the key does not work.
fn is_the_caller_s(error: &SignError) -> bool {
    matches!(
        error,
        SignError::Algorithm { .. }
            | SignError::NotMlDsa { .. }
            | SignError::Text(_)
            | SignError::DigestLength { .. }
            | SignError::MessageLength { .. }
    )
}

fn is_the_caller_s_to_verify(error: &VerifyError) -> bool {
    matches!(
        error,
        VerifyError::Algorithm { .. }
            | VerifyError::NotMlDsa { .. }
            | VerifyError::Text(_)
            | VerifyError::DigestLength { .. }
            | VerifyError::MessageLength { .. }
    )
}

/// Why a token is not believed: Azure's sentence where it is known.
fn unauthorized(error: &Unauthorized, resource: &str) -> String {
    match error {
        Unauthorized::Audience { found, .. } => {
            format!("AKV10022: Invalid audience. Expected {resource}, found: {}.", found.join(", "))
        }
        Unauthorized::UnknownIssuer { expected, found } => {
            format!("AKV10032: Invalid issuer. Expected one of {}, found {found}.", expected.join(", "))
        }
        Unauthorized::Key { header, .. } => {
            format!("AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: '{header}'.")
        }
        Unauthorized::Expired { .. } => format!("[TokenExpired] Error validating token: {error}."),
        error => format!("Error validating token: {}.", causes(error)),
    }
}

/// The error and what caused it, outermost first: a token is its sender's own.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Names of a Managed HSM's data actions (key-vault spec 7.4).
fn data_action(permission: Permission) -> &'static str {
    match permission {
        Permission::Get | Permission::List => "keys/read/action",
        Permission::Create => "keys/create",
        Permission::Import => "keys/import/action",
        Permission::Update | Permission::GetRotationPolicy | Permission::SetRotationPolicy => "keys/write/action",
        Permission::Delete => "keys/delete",
        Permission::Recover => "keys/deletedKeys/recover/action",
        Permission::Purge => "keys/deletedKeys/delete",
        Permission::Backup => "keys/backup/action",
        Permission::Restore => "keys/restore/action",
        Permission::Encrypt => "keys/encrypt/action",
        Permission::Decrypt => "keys/decrypt/action",
        Permission::WrapKey => "keys/wrap/action",
        Permission::UnwrapKey => "keys/unwrap/action",
        Permission::Sign => "keys/sign/action",
        Permission::Verify => "keys/verify/action",
        Permission::Release => "keys/release/action",
        Permission::Rotate => "keys/rotate/action",
        Permission::GetVaultFloor => "x-skerry/floor/read",
        Permission::SetVaultFloor => "x-skerry/floor/write",
    }
}
