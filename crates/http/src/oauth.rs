//! What the two places that hand out tokens share: OAuth's envelope for the token and for its refusal (RFC 6749, 5).

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use skerry_identity::MintRefusal;
use skerry_jose::json::Object;

use crate::pool::PoolError;
use crate::reply::Reply;
use crate::request::BodyError;

/// RFC 6749, 5.2.
pub(crate) fn refuse(status: StatusCode, error: &str, description: &str) -> Reply {
    Reply::json(status, &Object::new().with("error", error).with("error_description", description))
        .with(CACHE_CONTROL, NO_STORE)
}

pub(crate) fn invalid_request(description: &str) -> Reply {
    refuse(StatusCode::BAD_REQUEST, "invalid_request", description)
}

pub(crate) fn not_found() -> Reply {
    refuse(StatusCode::NOT_FOUND, "not_found", "nothing is served at this path")
}

pub(crate) fn refuse_body(error: &BodyError) -> Reply {
    match error {
        BodyError::Busy => Reply::busy(),
        error => refuse(error.status(), "invalid_request", &error.to_string()),
    }
}

pub(crate) fn refuse_pool(error: PoolError) -> Reply {
    match error {
        PoolError::Busy => Reply::busy(),
        PoolError::Panicked => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// `resource_error` is what the place calls a resource it does not serve.
pub(crate) fn refuse_mint(refusal: MintRefusal, resource_error: &str) -> Reply {
    let description = refusal.to_string();
    match refusal {
        MintRefusal::Client => refuse(StatusCode::UNAUTHORIZED, "invalid_client", &description),
        MintRefusal::Resource => refuse(StatusCode::BAD_REQUEST, resource_error, &description),
        _ => Reply::busy(),
    }
}

/// RFC 6749, 5.1: tokens are not cached.
pub(crate) fn token(members: &Object) -> Reply {
    Reply::json(StatusCode::OK, members).with(CACHE_CONTROL, NO_STORE)
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
