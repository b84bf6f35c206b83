//! What a program may want to know of each request: told once, when its work has ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::HeaderValue;

use crate::operation::Operation;
use crate::reply::Reply;
use crate::request::Request;

/// A request whose work has ended.
pub struct Finished<'a> {
    /// The request, without its body.
    pub request: &'a Request,
    /// What it asked for.
    pub operation: Operation,
    /// When its head had come.
    pub begun: SystemTime,
    /// How long its work took.
    pub took: Duration,
    /// What it was answered; nothing where its work panicked, which is answered with 500.
    pub reply: Option<&'a Reply>,
}

/// What a program gives a server to be told by. Both are called on the way of every request and must not wait for anything.
#[derive(Clone)]
pub struct Observer {
    /// Told of the headers of a request, may have an answer to its `traceparent`, which goes out as `traceresponse`.
    pub begun: Option<Arc<Begun>>,
    /// Told of what was asked and answered.
    pub finished: Arc<Told>,
}

/// See [`Observer::begun`].
pub type Begun = dyn Fn(&HeaderMap) -> Option<HeaderValue> + Send + Sync;
/// See [`Observer::finished`].
pub type Told = dyn Fn(&Finished<'_>) + Send + Sync;
