//! Asking an attestation service for a token.

use http::Method;
use skerry_jose::json::{self, Object, Value};

use crate::http::{Answer, Ask, Client, Endpoint, HttpError};
use crate::limits;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// The service was not reached, or did not answer.
    #[error("the attestation service was not reached")]
    Http(#[source] HttpError),
    /// The evidence was judged and refused: status 400.
    #[error("the attestation service refuses the evidence: {code}: {message}")]
    Refused {
        /// The service's code.
        code: String,
        /// The service's sentence.
        message: String,
    },
    /// The service could not judge.
    #[error("the attestation service answers with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// 200, and no token in it.
    #[error("the answer of the attestation service has no token")]
    Answer,
}

/// The token for SEV-SNP evidence. `body` is a request as the verifier reads it; nobody vouches for the token that comes
/// back but the connection it came over.
pub async fn attest_snp(client: &Client, service: &Endpoint, body: String) -> Result<String, AttestError> {
    let ask = Ask { method: Method::POST, path: ATTEST_SNP, bearer: None, body: Some(body) };
    let answer = client.ask(service, ask).await.map_err(AttestError::Http)?;
    if answer.status.is_success() {
        return token(&answer).ok_or(AttestError::Answer);
    }
    let status = answer.status.as_u16();
    // Any other status is about the path, the caller or the moment, and not about the evidence.
    Err(refusal(&answer).filter(|_| status == 400).unwrap_or(AttestError::Status { status }))
}

fn token(answer: &Answer) -> Option<String> {
    let members = object(answer)?;
    members.get("token").and_then(Value::as_str).map(str::to_owned)
}

fn refusal(answer: &Answer) -> Option<AttestError> {
    let members = object(answer)?;
    let text = |member| members.get("error")?.get(&[member])?.as_str().map(str::to_owned);
    Some(AttestError::Refused { code: text("code")?, message: text("message")? })
}

fn object(answer: &Answer) -> Option<Object> {
    json::parse(&answer.body, &limits::ANSWER).ok()?.into_object()
}

/// The version that Azure's own samples use.
const ATTEST_SNP: &str = "/attest/SevSnpVm?api-version=2022-08-01";
