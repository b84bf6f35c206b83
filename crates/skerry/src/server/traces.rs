//! A span for each request, sent to a collector over OTLP/HTTP. Behind the feature `otel`.
//!
//! A client's `traceparent` (W3C Trace Context) is taken over, and its word on sampling too; what the span became goes out as
//! `traceresponse`. A span has the operation, method, status and request id, and nothing that is stored: no names of keys, vaults
//! or callers, no tokens, no paths. Spans are made when the work has ended and sent by a thread of the library's own; what a
//! collector is too slow for is lost there.
//!
//! Plain HTTP, to a collector that is beside the server or reached by something that encrypts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use skerry_http::Finished;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::machine;

/// The way to a collector.
pub(crate) struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Traces {
    /// To this URL, from a thread of its own that uses this runtime.
    pub(crate) fn start(endpoint: &str, runtime: Handle) -> anyhow::Result<Arc<Traces>> {
        let exporter = SpanExporter::builder().with_http().with_http_client(Client(runtime));
        let exporter = exporter.with_endpoint(endpoint).with_timeout(EXPORT_TIME_MAX).build();
        let mut processor = BatchSpanProcessor::builder(exporter.context("traces")?).build();
        let resource = Resource::builder_empty().with_service_name("skerry");
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        processor.set_resource(&resource.with_attribute(version).build());
        let scope = InstrumentationScope::builder("skerry").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Arc::new(Traces { processor, scope }))
    }

    /// The span that a request with these headers becomes, as `traceresponse` has it.
    pub(crate) fn begun(headers: &HeaderMap) -> Option<HeaderValue> {
        let parent = parent(headers);
        let trace = parent.map_or_else(machine::random, |parent| parent.trace);
        let flags = parent.map_or(SAMPLED, |parent| parent.flags & SAMPLED);
        HeaderValue::try_from(Place { trace, span: machine::random(), flags }.to_text()).ok()
    }

    /// Sends the span of a request, if its client or nobody says whether to.
    pub(crate) fn finished(&self, finished: &Finished<'_>) {
        let Finished { request, operation, begun, took, reply } = finished;
        let Some(own) = request.trace().and_then(Place::of).filter(|own| own.flags & SAMPLED == SAMPLED) else {
            return;
        };
        let parent = parent(request.headers()).filter(|parent| parent.trace == own.trace);
        let status = reply.map_or(500, |reply| reply.status().as_u16());
        let method = match request.method().as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") => known.to_owned(),
            _ => "_OTHER".to_owned(),
        };
        let attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("skerry.surface", operation.surface()),
            KeyValue::new("skerry.operation", operation.name()),
            KeyValue::new("skerry.request_id", request.id().to_string()),
        ];
        let failed = || Status::Error { description: Cow::Borrowed("") };
        let (trace, span) = (TraceId::from_bytes(own.trace), SpanId::from_bytes(own.span));
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span)),
            parent_span_is_remote: parent.is_some(),
            span_kind: SpanKind::Server,
            name: Cow::Owned(format!("{} {}", operation.surface(), operation.name())),
            start_time: *begun,
            end_time: begun.checked_add(*took).unwrap_or(*begun),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if status >= 500 { failed() } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Sends what waits, and nothing from then on. Blocks its thread.
    pub(crate) fn end(&self) {
        // A collector that is gone is no reason not to stop.
        let _ = self.processor.shutdown_with_timeout(EXPORT_TIME_MAX);
    }
}

/// A span as its headers have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl Place {
    /// W3C Trace Context, 3.2.2: of version 00 exactly, lower-case hex, no id of zeros. A later version has more behind it.
    fn of(header: &HeaderValue) -> Option<Place> {
        let mut parts = header.to_str().ok()?.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let known =
            version.len() == 2 && lower(version) && version != "ff" && (version != "00" || parts.next().is_none());
        if !known || ![trace, span, flags].into_iter().all(lower) {
            return None;
        }
        let (mut place, mut own_flags) = (Place { trace: [0; 16], span: [0; 8], flags: 0 }, [0; 1]);
        hex::decode_to_slice(trace, &mut place.trace).ok()?;
        hex::decode_to_slice(span, &mut place.span).ok()?;
        hex::decode_to_slice(flags, &mut own_flags).ok()?;
        let [flags] = own_flags;
        (place.trace != [0; 16] && place.span != [0; 8]).then_some(Place { flags, ..place })
    }

    fn to_text(self) -> String {
        format!("00-{}-{}-{:02x}", hex::encode(self.trace), hex::encode(self.span), self.flags)
    }
}

/// The client's span, if it names one, once.
fn parent(headers: &HeaderMap) -> Option<Place> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    values.next().is_none().then(|| Place::of(value)).flatten()
}

/// A request a connection, on the server's runtime: the library calls it from a thread without one.
#[derive(Debug)]
struct Client(Handle);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.0.spawn(send(request)).await?
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().ok_or("no host")?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host().trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    parts.headers.insert(HOST, HeaderValue::try_from(authority.as_str())?);
    parts.uri = parts.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let response = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const SAMPLED: u8 = 1;
/// A collector that takes longer is away; the next batch comes in five seconds.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(5);
/// An empty message, or a sentence on what was refused.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (TRACEPARENT, HeaderValue::from_static(value))).collect()
    }

    fn answered(values: &[&'static str]) -> Place {
        Place::of(&Traces::begun(&headers(values)).unwrap()).unwrap()
    }

    /// The client's trace goes on, with its word on sampling, in a span of its own; a later version is read as far as it is known.
    #[test]
    fn trace_of_the_client_goes_on() {
        let client = Place::of(&HeaderValue::from_static(GOOD)).unwrap();
        assert_eq!(client.to_text(), GOOD);
        let own = answered(&[GOOD]);
        assert!(own.trace == client.trace && own.span != client.span && own.flags == 1);
        assert_eq!(answered(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]).flags, 0);
        let later = answered(&["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more"]);
        assert!(later.trace == client.trace && later.flags == 1);
    }

    /// Whatever else is sent begins a trace of our own.
    #[test]
    fn other_words_begin_a_trace() {
        for bad in [
            vec![],
            vec![GOOD, GOOD],
            vec![""],
            vec!["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"],
            vec!["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"],
            vec!["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"],
            vec!["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            vec!["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
            vec!["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            vec!["00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01"],
            vec!["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"],
        ] {
            let own = answered(&bad);
            assert!(hex::encode(own.trace) != "0af7651916cd43dd8448eb211c80319c" && own.flags == 1, "{bad:?}");
        }
    }
}
