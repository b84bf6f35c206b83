//! Why a vault gave no answer that counts.

use skerry_jose::json::{self, Value};

use super::challenge::ChallengeError;
use super::credential::CredentialError;
use super::pages::PagesError;
use crate::http::{Answer, HttpError};
use crate::limits::{ANSWER, SENTENCE_BYTES_MAX};

/// Why an operation did not succeed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The vault was not reached, or did not finish its answer.
    #[error("the vault was not reached")]
    Http(#[source] HttpError),
    /// It did not ask for a token as a vault of that name does, so that none was sent.
    #[error("the vault's challenge is refused")]
    Challenge(#[source] ChallengeError),
    /// There is no token for it.
    #[error("no token for the vault")]
    Credential(#[source] CredentialError),
    /// It said no.
    #[error("{operation} is refused: {refusal}")]
    Refused {
        /// What was asked for.
        operation: &'static str,
        /// Its words.
        refusal: Box<Refusal>,
    },
    /// It cannot now: too many requests, or a fault of its own.
    #[error("{operation} is not done: {refusal}")]
    Unavailable {
        /// What was asked for.
        operation: &'static str,
        /// Its words.
        refusal: Box<Refusal>,
    },
    /// It said yes, in a form that is not the protocol's.
    #[error("the answer to {operation} is not one")]
    Answer {
        /// What was asked for.
        operation: &'static str,
        /// What is wrong with the answer.
        #[source]
        why: AnswerError,
    },
    /// A list does not go on as lists do.
    #[error("{operation} cannot go on")]
    Pages {
        /// What was asked for.
        operation: &'static str,
        /// What is wrong with the page.
        #[source]
        why: PagesError,
    },
}

/// A vault's refusal in its own words; nobody vouches for them but the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Its code, as `Forbidden`; empty where the answer has none.
    pub code: String,
    /// Its inner code, as `KeyDisabled`.
    pub inner: Option<String>,
    /// Its sentence, and the explanation after it if there is one; empty where the answer has none.
    pub message: String,
    /// `x-ms-request-id`, by which the server's log has it.
    pub request_id: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        self.inner.iter().try_for_each(|inner| write!(f, " ({inner})"))?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum AnswerError {
    #[error("it is not JSON: {0}")]
    Json(json::Error),
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("member {0} is missing or malformed")]
    Member(&'static str),
    #[error("it is about {seen}, asked for {asked}")]
    OtherKey { asked: String, seen: String },
}

/// What an answer without success is.
pub(super) fn refused(operation: &'static str, answer: &Answer) -> VaultError {
    let refusal = Box::new(read(answer));
    match refusal.status {
        408 | 429 | 500.. => VaultError::Unavailable { operation, refusal },
        _ => VaultError::Refused { operation, refusal },
    }
}

fn read(answer: &Answer) -> Refusal {
    let object = json::parse(&answer.body, &ANSWER).ok().and_then(Value::into_object);
    let error = object.as_ref().and_then(|object| object.get("error"));
    let text = |path: &[&str]| error.and_then(|error| error.get(path)?.as_str()).map(cut);
    let request_id = answer.headers.get("x-ms-request-id").and_then(|value| value.to_str().ok());
    Refusal {
        status: answer.status.as_u16(),
        code: text(&["code"]).unwrap_or_default(),
        inner: text(&["innererror", "code"]),
        message: text(&["message"]).unwrap_or_default(),
        request_id: request_id.map(str::to_owned),
    }
}

fn cut(text: &str) -> String {
    let end = (0..=SENTENCE_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}
