//! A request as surfaces see it: addressed to a name of ours, its target decoded, its body not read until asked for.
//!
//! The body waits because a challenge goes out before it is read: a stranger without a token costs no more than a head.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body as _, Incoming};
use skerry_identity::Principal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use crate::limits::{CLIENT_REQUEST_ID_CHARS_MAX, Limits};
use crate::names::Host;
use crate::operation::Operation;
use crate::reply::CLIENT_REQUEST_ID;
use crate::target::{self, Duplicate, TargetError};

/// Why a body is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// More bytes than the surface takes.
    #[error("the body has more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// It did not come within the time for bodies.
    #[error("the body did not come in time")]
    Timeout,
    /// A Content-Encoding other than identity; nothing is ever inflated here.
    #[error("the body has a content encoding")]
    Encoding,
    /// The client went away or broke the framing.
    #[error("the body is incomplete")]
    Incomplete,
    /// All bodies together hold as much as they may.
    #[error("too many bodies are being held")]
    Busy,
    /// It was asked for before.
    #[error("the body was taken")]
    Taken,
}

impl BodyError {
    /// The status that tells the client.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Taken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What is known of a request besides its own bytes. The listener vouches for all of it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The server's id for the request.
    pub id: Uuid,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The name of ours that was addressed.
    pub host: Host,
    /// Whether it came over TLS.
    pub tls: bool,
    /// What the listener admits.
    pub limits: Limits,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    context: Context,
    method: Method,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Body,
    /// Told by the surface while it has the request borrowed.
    operation: AtomicUsize,
    caller: OnceLock<Principal>,
    trace: Option<HeaderValue>,
}

impl Request {
    /// A request whose body is there already, for callers without a connection: tests, replay, benchmarks.
    pub fn of(request: http::Request<Bytes>, context: Context) -> Result<Request, TargetError> {
        let (parts, body) = request.into_parts();
        let source = Either::Right(Full::new(body));
        let budget = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self::new(parts, Body::new(source, budget), context)
    }

    /// A request whose body is still on the connection and is paid from `budget`, in bytes.
    pub(crate) fn incoming(
        parts: Parts,
        body: Incoming,
        budget: Arc<Semaphore>,
        context: Context,
    ) -> Result<Request, TargetError> {
        Self::new(parts, Body::new(Either::Left(body), budget), context)
    }

    fn new(parts: Parts, body: Body, context: Context) -> Result<Request, TargetError> {
        let limits = &context.limits;
        let segments = target::segments(parts.uri.path(), limits.segments_max)?;
        let query = target::parameters(parts.uri.query().unwrap_or_default(), limits.parameters_max)?;
        let (method, headers) = (parts.method, parts.headers);
        let (operation, caller, trace) = (AtomicUsize::default(), OnceLock::new(), None);
        Ok(Request { context, method, segments, query, headers, body, operation, caller, trace })
    }

    /// Says what it asks for, as it is counted.
    pub(crate) fn is_for(&self, operation: Operation) {
        self.operation.store(operation.index(), Ordering::Relaxed);
    }

    /// Says who asks, once that is known.
    pub(crate) fn is_of(&self, caller: &Principal) {
        // There is one.
        let _ = self.caller.set(caller.clone());
    }

    /// Says what goes out as `traceresponse`.
    pub(crate) fn is_traced(&mut self, answer: HeaderValue) {
        self.trace = Some(answer);
    }

    /// What it asks for, as far as its surface has said.
    pub fn operation(&self) -> Operation {
        Operation::at(self.operation.load(Ordering::Relaxed))
    }

    /// Who asks, as far as that is known: a vault's caller whose token was believed.
    pub fn caller(&self) -> Option<&Principal> {
        self.caller.get()
    }

    /// What goes out as `traceresponse`.
    pub fn trace(&self) -> Option<&HeaderValue> {
        self.trace.as_ref()
    }

    /// The server's id for the request, which the answer carries as `x-ms-request-id`.
    pub fn id(&self) -> Uuid {
        self.context.id
    }

    /// The client's id for its request, iff it is visible ASCII of bounded length; the answer repeats it.
    pub fn client_request_id(&self) -> Option<&str> {
        client_request_id(&self.headers)?.to_str().ok()
    }

    /// The other end of the connection.
    pub fn peer(&self) -> SocketAddr {
        self.context.peer
    }

    /// The name of ours that the request was addressed to.
    pub fn host(&self) -> &Host {
        &self.context.host
    }

    /// Whether it came over TLS.
    pub fn is_tls(&self) -> bool {
        self.context.tls
    }

    /// `https://host[:port]` as addressed: what kids and links begin with.
    pub fn origin(&self) -> String {
        let scheme = if self.context.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.context.host.authority())
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The decoded segments of the path: empty ones are kept, but for those that open it; none for the root.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// All parameters of the query in their order, names and values decoded.
    pub fn parameters(&self) -> &[(String, String)] {
        &self.query
    }

    /// The value of a query parameter, its name compared without case; a parameter that came twice is an error.
    pub fn query(&self, name: &str) -> Result<Option<&str>, Duplicate> {
        target::single(&self.query, name)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header, iff it came exactly once and is visible ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// The token of `Authorization: Bearer` (RFC 6750, 2.1), iff there is exactly one such header.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(&http::header::AUTHORIZATION)?.split_once(' ')?;
        let token = token.trim_matches(' ');
        (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
    }

    /// Reads the body, of at most `max` bytes. Nothing of it is read before the first call; there is no second.
    pub async fn body(&mut self, max: usize) -> Result<Bytes, BodyError> {
        if !is_identity(&self.headers) {
            return Err(BodyError::Encoding);
        }
        if declared_len(&self.headers).is_some_and(|len| len > max) {
            return Err(BodyError::TooLarge { max });
        }
        self.body.read(max, self.context.limits.body_time_max).await
    }

    /// What is left of the body, if it is worth reading so that the connection can be used again.
    pub(crate) fn into_unread(self) -> Option<Unread> {
        let awaits_continue = self.headers.contains_key(EXPECT);
        let too_large = declared_len(&self.headers).is_some_and(|len| len > self.context.limits.unread_bytes_max);
        let source = self.body.source?;
        let worth = !source.is_end_stream() && !awaits_continue && !too_large;
        worth.then_some(Unread { source, limits: self.context.limits })
    }
}

/// The client's id, iff it can be repeated: one header, visible ASCII, of bounded length.
pub(crate) fn client_request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(CLIENT_REQUEST_ID).iter();
    let value = values.next()?;
    let fits = (1..=CLIENT_REQUEST_ID_CHARS_MAX).contains(&value.len());
    let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
    (fits && visible && values.next().is_none()).then_some(value)
}

/// RFC 9110, 8.4: identity is no coding, though some send it.
fn is_identity(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn declared_len(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

type Source = Either<Incoming, Full<Bytes>>;

/// A body, and the share of the listener's memory that what was read of it holds.
#[derive(Debug)]
struct Body {
    source: Option<Source>,
    asked: bool,
    budget: Arc<Semaphore>,
    paid: Option<OwnedSemaphorePermit>,
}

impl Body {
    fn new(source: Source, budget: Arc<Semaphore>) -> Body {
        Body { source: Some(source), asked: false, budget, paid: None }
    }

    async fn read(&mut self, max: usize, time_max: Duration) -> Result<Bytes, BodyError> {
        if std::mem::replace(&mut self.asked, true) {
            return Err(BodyError::Taken);
        }
        timeout(time_max, self.collect(max)).await.unwrap_or(Err(BodyError::Timeout))
    }

    async fn collect(&mut self, max: usize) -> Result<Bytes, BodyError> {
        let mut octets = BytesMut::new();
        while let Some(data) = self.next().await? {
            if data.len() > max.saturating_sub(octets.len()) {
                return Err(BodyError::TooLarge { max });
            }
            self.pay(data.len())?;
            octets.extend_from_slice(&data);
        }
        Ok(octets.freeze())
    }

    /// The next data; trailers are passed over.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(source) = &mut self.source else { return Ok(None) };
        while let Some(frame) = source.frame().await {
            if let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    fn pay(&mut self, len: usize) -> Result<(), BodyError> {
        let len = u32::try_from(len).map_err(|_| BodyError::Busy)?;
        let permit = Arc::clone(&self.budget).try_acquire_many_owned(len).map_err(|_| BodyError::Busy)?;
        match &mut self.paid {
            Some(paid) => paid.merge(permit),
            None => self.paid = Some(permit),
        }
        Ok(())
    }
}

/// A body that nobody wanted.
pub(crate) struct Unread {
    source: Source,
    limits: Limits,
}

impl Unread {
    /// Reads and forgets, within limits. What is then still to come ends the connection, which is hyper's doing.
    pub(crate) async fn drain(mut self) {
        let mut left = self.limits.unread_bytes_max;
        let drained = async {
            while let Some(Ok(frame)) = self.source.frame().await {
                let len = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(len) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        // Out of time is like out of bytes: the rest is not read.
        let _ = timeout(self.limits.linger_time_max, drained).await;
    }
}
