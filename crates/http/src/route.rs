//! What surfaces share in finding out what is asked of them.

use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};

use crate::reply::Reply;

/// A method that the path does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotAllowed(String);

impl NotAllowed {
    pub(crate) const CODE: &'static str = "MethodNotAllowed";

    /// The refusal of any method but these.
    pub(crate) fn of<'a>(methods: impl IntoIterator<Item = &'a Method>) -> NotAllowed {
        NotAllowed(methods.into_iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
    }

    /// 405 has to say what is allowed (RFC 9110, 15.5.6).
    pub(crate) fn into_reply(self) -> Reply {
        let text = format!("this path takes {}", self.0);
        let reply = Reply::error(StatusCode::METHOD_NOT_ALLOWED, Self::CODE, &text);
        match HeaderValue::try_from(self.0) {
            Ok(methods) => reply.with(ALLOW, methods),
            Err(_) => reply,
        }
    }
}

/// Accepts iff the method is one of those.
pub(crate) fn allow(method: &Method, methods: &[Method]) -> Result<(), NotAllowed> {
    if methods.contains(method) { Ok(()) } else { Err(NotAllowed::of(methods)) }
}

/// For reading: GET, and HEAD as RFC 9110, 9.1 demands with it.
pub(crate) const READ: &[Method] = &[Method::GET, Method::HEAD];
