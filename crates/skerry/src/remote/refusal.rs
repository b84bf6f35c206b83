//! What a refusal means for a person: what happened, the server's words, the id under which its log has it, what to do
//! next; and the exit code.

use anyhow::anyhow;
use skerry_client::http::HttpError;
use skerry_client::vault::{ChallengeError, CredentialError, Refusal, VaultError};

use crate::edge::{self, Failure};

/// An error of the client with the exit code that tells who must act.
pub(crate) fn failure(error: VaultError) -> Failure {
    let (exit, next): (fn(anyhow::Error) -> Failure, &str) = match &error {
        VaultError::Http(HttpError::Url(_) | HttpError::Bearer) => (Failure::from, ""),
        VaultError::Http(error) => (Failure::unavailable, of_http(error)),
        VaultError::Challenge(ChallengeError::Status { .. }) => {
            (Failure::unavailable, "check --vault or SKR_VAULT_URL")
        }
        VaultError::Challenge(_) => (Failure::integrity, "no token was sent; check that the URL is the vault's own"),
        VaultError::Credential(error) => of_credential(error),
        VaultError::Refused { operation: "release", refusal } if refusal.status == 403 && refusal.inner.is_none() => {
            (Failure::refused, "skerry key show NAME has the policy; skerry key set-policy NAME FILE sets another")
        }
        VaultError::Refused { refusal, .. } => (Failure::refused, of_refusal(refusal)),
        VaultError::Unavailable { .. } => {
            (Failure::unavailable, "try again; the server's log has the request by its id")
        }
        VaultError::Answer { .. } | VaultError::Pages { .. } => {
            (Failure::integrity, "what answers here does not speak the protocol, or somebody changed its answer")
        }
        _ => (Failure::unavailable, ""),
    };
    let id = match &error {
        VaultError::Refused { refusal, .. } | VaultError::Unavailable { refusal, .. } => refusal.request_id.clone(),
        _ => None,
    };
    exit(anyhow!(words(&edge::chain(error), id.as_deref(), next)))
}

/// What happened, on one line or as many as the server's sentence has; then the id and what to do, if there is something.
fn words(what: &str, id: Option<&str>, next: &str) -> String {
    let mut text = shown(what);
    if let Some(id) = id {
        text += &format!("\n  request id: {}", shown(id));
    }
    if !next.is_empty() {
        text += &format!("\n  next: {next}");
    }
    text
}

fn of_http(error: &HttpError) -> &'static str {
    match error {
        HttpError::Certificate { .. } => {
            "name the root certificate of the vault with --ca-file or SKR_CA_FILE, and the vault by a name it has"
        }
        HttpError::Connect { .. } => "check --vault or SKR_VAULT_URL; `skerry dev` starts a vault on this machine",
        _ => "try again; if it stays so, see the server's log",
    }
}

fn of_credential(error: &CredentialError) -> (fn(anyhow::Error) -> Failure, &'static str) {
    match error {
        CredentialError::NotAToken => (Failure::from, ""),
        CredentialError::Authority { .. } => {
            (Failure::integrity, "if the authority is yours, set SKR_IDENTITY_URL to its URL")
        }
        CredentialError::Refused { status: 400..=499, .. } => {
            (Failure::refused, "check SKR_CLIENT_ID and SKR_CLIENT_SECRET, and what the client may ask tokens for")
        }
        CredentialError::Answer => (Failure::integrity, "what answers here is no token service"),
        _ => (Failure::unavailable, "check that the token service runs"),
    }
}

/// By inner code, code and status: the first row that fits.
fn of_refusal(refusal: &Refusal) -> &'static str {
    let inner = refusal.inner.as_deref().unwrap_or_default();
    let fits = |(status, code, _): &&(u16, &str, &str)| {
        *status == refusal.status && (code.is_empty() || *code == inner || *code == refusal.code)
    };
    NEXT.iter().find(fits).map(|(_, _, next)| *next).unwrap_or_default()
}

/// Codes as of key-vault spec 5.
const NEXT: [(u16, &str, &str); 12] = [
    (401, "", "the token is not good here or has expired: get a new one (with `skerry dev`, load its dev.env again)"),
    (403, "KeyDisabled", "skerry key enable NAME"),
    (403, "KeyExpired", "skerry key rotate NAME makes a new version"),
    (403, "KeyOperationForbidden", "skerry key show NAME has the operations that the key is for"),
    (
        403,
        "KeyNotExportable",
        "keys are released only if they were made so: skerry key create NAME --hsm --policy FILE",
    ),
    (403, "ForbiddenByPolicy", "ask whoever runs the vault for the permission"),
    (403, "AccessDenied", "ask whoever runs the vault for the permission"),
    (404, "KeyNotFound", "skerry key list has the keys, skerry key deleted those that can be recovered"),
    (404, "VaultNotFound", "check --vault or SKR_VAULT_URL"),
    (409, "ObjectIsDeletedButRecoverable", "skerry key recover NAME, or skerry key purge NAME for good"),
    (409, "Conflict", "delete and purge the key that is there, or restore into another vault"),
    (400, "NotSupported", "this vault does not offer it"),
];

/// A server's text as a terminal may have it: lines stay, and other control characters are written out.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.replace("\r\n", "\n").trim_end().chars() {
        match char {
            '\n' => shown.push('\n'),
            // Marks that turn the direction of a line about are no control characters by name (Unicode, 2.3.4).
            char if char.is_control() || TURNING.contains(&char) => shown.extend(char.escape_unicode()),
            char => shown.push(char),
        }
    }
    shown
}

/// Directional formatting characters (UAX #9, 2).
const TURNING: [char; 12] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}',
    '\u{2067}', '\u{2068}', '\u{2069}',
];
