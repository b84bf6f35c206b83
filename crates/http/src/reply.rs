//! What goes back: a status, headers of the surface's, and a body that is there in full.
//!
//! The headers that every answer carries are put on in one place, when the reply is sent (recorded from Azure: caching
//! off, `x-ms-request-id`, the client's own id). There is no Server header.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, PRAGMA, RETRY_AFTER,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use skerry_jose::json::Object;
use uuid::Uuid;

use crate::activity::InFlight;

/// An answer, complete but for the headers that all answers carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: StatusCode,
    // Few, and smaller than a map: refusals are the error of many a function.
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Reply {
    /// A JSON object.
    pub fn json(status: StatusCode, object: &Object) -> Reply {
        Reply::prepared(status, Bytes::from(object.to_json()))
    }

    /// JSON that was printed before; the caller vouches that it is JSON.
    pub fn prepared(status: StatusCode, json: Bytes) -> Reply {
        Reply { status, headers: Vec::new(), body: json }.with(CONTENT_TYPE, JSON)
    }

    /// No body, and so no Content-Type.
    pub fn empty(status: StatusCode) -> Reply {
        Reply { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// Plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Reply {
        Reply { status, headers: Vec::new(), body: Bytes::from(text.into()) }.with(CONTENT_TYPE, TEXT)
    }

    /// The envelope of Azure's errors: `{"error":{"code","message"}}`.
    pub fn error(status: StatusCode, code: &str, message: &str) -> Reply {
        let error = Object::new().with("code", code).with("message", message);
        Reply::json(status, &Object::new().with("error", error))
    }

    /// 503 for a server that is full: the same request may succeed in a second.
    pub fn busy() -> Reply {
        let reply = Reply::error(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", "the server is busy, try again later");
        reply.with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The reply with a header set.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.headers.retain(|(own, _)| *own != name);
        self.headers.push((name, value));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// A header of the surface's own.
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What is sent: the reply and the headers of every answer. The answer to HEAD tells the length of the body that GET
    /// would have had (RFC 9110, 9.3.2).
    pub(crate) fn into_response(self, stamp: &Stamp, in_flight: InFlight) -> Response<Taken> {
        let mut headers: HeaderMap = self.headers.into_iter().collect();
        stamp.put_on(&mut headers);
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        let body = if stamp.head { Bytes::new() } else { self.body };
        let mut response =
            Response::new(Taken { left: Some(body).filter(|body| !body.is_empty()), _in_flight: in_flight });
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// A body on its way out. Its request is in flight until the connection has taken it.
pub(crate) struct Taken {
    left: Option<Bytes>,
    _in_flight: InFlight,
}

impl Body for Taken {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.take().map(|octets| Ok(Frame::data(octets))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let len = self.left.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(len).unwrap_or(u64::MAX))
    }
}

/// What of a request shows in its answer whatever that is.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) id: Uuid,
    pub(crate) client_request_id: Option<HeaderValue>,
    pub(crate) tls: bool,
    pub(crate) head: bool,
    pub(crate) of_surface: Vec<(HeaderName, HeaderValue)>,
    /// The answer to a `traceparent`.
    pub(crate) trace: Option<HeaderValue>,
}

impl Stamp {
    pub(crate) fn is_head(method: &Method) -> bool {
        method == Method::HEAD
    }

    fn put_on(&self, headers: &mut HeaderMap) {
        for (name, value) in [(CACHE_CONTROL, "no-cache"), (PRAGMA, "no-cache"), (EXPIRES, "-1")] {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        headers.extend(self.of_surface.iter().cloned());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.tls {
            // RFC 6797, 7.2: not over plain HTTP.
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000;includeSubDomains"));
        }
        if let Ok(id) = HeaderValue::try_from(self.id.to_string()) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(id) = &self.client_request_id {
            headers.insert(CLIENT_REQUEST_ID, id.clone());
        }
        if let Some(trace) = &self.trace {
            headers.insert(TRACE_RESPONSE, trace.clone());
        }
    }
}

/// The server's id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// The client's id of its request.
pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
/// W3C Trace Context, level 2: the span that a request became.
pub const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");
/// The code of an error, as the attestation service repeats it.
pub const ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
