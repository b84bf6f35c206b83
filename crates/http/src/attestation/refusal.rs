//! Refusals of the attestation service: Azure's envelope and codes, and our reason.
//!
//! Evidence is its sender's own, so the whole chain of causes goes back to whoever sent it: there is nothing to hide in why
//! one's own report does not hold. Faults of the service are not explained.

use std::error::Error;

use http::StatusCode;
use http::header::HeaderValue;
use skerry_policy::attestation::{DocumentError, PolicyParsingError};
use skerry_vault::Refusal;
use skerry_vault::appraisal::PolicyRefusal;
use skerry_verifier::AttestError;
use skerry_verifier::wire::WireError;

use crate::pool::PoolError;
use crate::reply::{ERROR_CODE, Reply};
use crate::request::BodyError;
use crate::route::NotAllowed;

/// A refusal: envelope, and the code again as header (recorded).
pub(super) fn refuse(status: StatusCode, code: &'static str, message: &str) -> Reply {
    Reply::error(status, code, message).with(ERROR_CODE, HeaderValue::from_static(code))
}

pub(super) fn with_code(refused: NotAllowed) -> Reply {
    refused.into_reply().with(ERROR_CODE, HeaderValue::from_static(NotAllowed::CODE))
}

pub(super) fn refuse_attest(error: &AttestError) -> Reply {
    let text = match error {
        AttestError::Request(WireError::DraftPolicy(error)) => unparsable(error),
        AttestError::Policy(error) => format!("{EVALUATION} Msg:[{error}]"),
        _ => causes(error),
    };
    match code(error) {
        Some(code) => refuse(StatusCode::BAD_REQUEST, code, &text),
        None => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The end of the service's own message, which is all of it that says anything (recorded).
fn unparsable(error: &PolicyParsingError) -> String {
    format!("{PARSING} Msg:[{error}]")
}

/// The document is its sender's own, as evidence is.
pub(super) fn refuse_policy(error: &PolicyRefusal) -> Reply {
    match error {
        PolicyRefusal::Document(DocumentError::Policy(error)) => {
            refuse(StatusCode::BAD_REQUEST, "PolicyParsingError", &unparsable(error))
        }
        PolicyRefusal::Document(
            error @ (DocumentError::Signature | DocumentError::Certificate(_) | DocumentError::UnknownSigner),
        ) => refuse(StatusCode::BAD_REQUEST, "InvalidParameter", &causes(error)),
        PolicyRefusal::Document(error) => refuse(StatusCode::BAD_REQUEST, "InvalidOperation", &causes(error)),
        PolicyRefusal::Vault(error) => refuse_vault(error),
    }
}

/// A fault of the service, which is not explained.
pub(super) fn refuse_vault(error: &Refusal) -> Reply {
    match error {
        Refusal::Busy | Refusal::Contended | Refusal::Unsettled => Reply::busy(),
        Refusal::NoRoom { .. } | Refusal::Store(_) | Refusal::Audit(_) => Reply::empty(StatusCode::SERVICE_UNAVAILABLE),
        _ => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

pub(super) fn refuse_body(error: &BodyError) -> Reply {
    let code = match error {
        BodyError::Busy => return Reply::busy(),
        BodyError::TooLarge { .. } => "RequestTooLarge",
        BodyError::Timeout => "RequestTimeout",
        BodyError::Encoding => "UnsupportedMediaType",
        BodyError::Incomplete | BodyError::Taken => "InvalidParameter",
    };
    refuse(error.status(), code, &error.to_string())
}

pub(super) fn refuse_pool(error: PoolError) -> Reply {
    match error {
        PoolError::Busy => Reply::busy(),
        PoolError::Panicked => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Azure's code for a refusal; none for a fault of ours.
fn code(error: &AttestError) -> Option<&'static str> {
    match error {
        AttestError::Signing(_) | AttestError::IssuedClaim(_) => None,
        AttestError::Request(WireError::DraftPolicy(_)) => Some("PolicyParsingError"),
        AttestError::Request(WireError::Draft) => Some("InvalidOperation"),
        AttestError::Request(_) | AttestError::Binding(_) | AttestError::BinaryRuntimeData => Some("InvalidParameter"),
        AttestError::Floor(_) | AttestError::Policy(_) => Some("PolicyEvaluationError"),
        _ => Some("InvalidQuote"),
    }
}

/// The error and what caused it, outermost first.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

const PARSING: &str = "Invalid policy was specified";
const EVALUATION: &str = "Policy Evaluation Error has occurred";
