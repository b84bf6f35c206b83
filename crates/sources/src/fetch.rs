//! GET over HTTPS, to origins that configuration allows and to nothing else.
//!
//! A name is resolved here, every address it has is judged, and the connection goes to an address that was judged: there
//! is no second look-up to be answered differently. Redirects are answers that are refused, plain HTTP cannot be said
//! ([`Url`]), proxies and the environment are not asked. One connection per fetch, HTTP/1.1, no cookies, no compression.
//!
//! Certificates are judged against the roots given, by the machine's clock.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::AddressClass;
use crate::limits::{ADDRESSES_MAX, FetchLimits, ROOTS_MAX};
use crate::url::{Host, Origin, Url};

/// An origin that may be fetched from, and what its addresses may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    origin: Origin,
    classes: Vec<AddressClass>,
}

impl Allowed {
    /// This origin, at public addresses. Configuration vouches for it.
    pub fn new(origin: Origin) -> Allowed {
        Allowed { origin, classes: vec![AddressClass::Public] }
    }

    /// The origin may also have addresses of this class.
    pub fn address(mut self, class: AddressClass) -> Allowed {
        self.classes.push(class);
        self
    }
}

/// The certificates that end a chain. There are no others: those of the system are not looked at.
#[derive(Debug, Clone)]
pub struct Roots(Arc<RootCertStore>);

impl Roots {
    /// Reads one certificate or several (RFC 7468). Whoever made the configuration vouches for them.
    pub fn from_pem(pem: &[u8]) -> Result<Roots, RootsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(ROOTS_MAX + 1).collect();
        Self::from_der(&certificates.map_err(|_| RootsError::Pem)?)
    }

    /// As [`from_pem`](Self::from_pem), of certificates in DER.
    pub fn from_der(certificates: &[impl AsRef<[u8]>]) -> Result<Roots, RootsError> {
        if certificates.is_empty() {
            return Err(RootsError::Empty);
        }
        if certificates.len() > ROOTS_MAX {
            return Err(RootsError::TooMany);
        }
        let mut store = RootCertStore::empty();
        for (at, certificate) in certificates.iter().enumerate() {
            let certificate = CertificateDer::from(certificate.as_ref().to_vec());
            store.add(certificate).map_err(|source| RootsError::Certificate { at, source })?;
        }
        Ok(Roots(Arc::new(store)))
    }
}

/// Why there are no roots. No `Eq`, since rustls' error has none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum RootsError {
    #[error("there is no root certificate")]
    Empty,
    #[error("root certificates are not PEM")]
    Pem,
    #[error("there are more than {ROOTS_MAX} root certificates")]
    TooMany,
    #[error("root certificate {at}, from 0")]
    Certificate { at: usize, source: rustls::Error },
}

/// Where addresses of names come from. Either way each is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolver {
    /// The system: its hosts file and name servers.
    System,
    /// These names and no others.
    Table(HashMap<String, Vec<IpAddr>>),
}

/// Fetches. Clones share everything.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    allowed: Vec<Allowed>,
    tls: TlsConnector,
    resolver: Resolver,
    limits: FetchLimits,
}

/// Why there is no fetcher. No `Eq`, since rustls' error has none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum FetcherError {
    #[error("protocol versions")]
    Versions(#[source] rustls::Error),
}

impl Fetcher {
    /// A fetcher that goes to these origins and believes these roots.
    pub fn new(
        allowed: Vec<Allowed>,
        roots: &Roots,
        resolver: Resolver,
        limits: FetchLimits,
    ) -> Result<Fetcher, FetcherError> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(&[&TLS13, &TLS12]).map_err(FetcherError::Versions)?;
        let mut config = config.with_root_certificates(Arc::clone(&roots.0)).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Fetcher(Arc::new(Inner { allowed, tls, resolver, limits })))
    }

    /// The body of the answer, iff it is 200 and not longer than `body_bytes_max`. Nobody vouches for the body but the
    /// server, and the roots for the server.
    pub async fn get(&self, url: &Url, body_bytes_max: usize) -> Result<Bytes, FetchError> {
        let inner = &*self.0;
        let deadline = after(inner.limits.time_max);
        let addresses = inner.addresses(url.origin(), deadline).await?;
        let stream = inner.connect(url.origin(), &addresses, deadline).await?;
        inner.exchange(stream, url, body_bytes_max, deadline).await
    }
}

/// What a fetch was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stage {
    Resolving,
    Connecting,
    Handshake,
    Head,
    Body,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolving => "resolving",
            Self::Connecting => "connecting",
            Self::Handshake => "the handshake",
            Self::Head => "the head",
            Self::Body => "the body",
        })
    }
}

/// Why nothing was fetched. No `Eq`, since rustls' error has none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum FetchError {
    #[error("{origin} is not among the origins that may be fetched from")]
    NotAllowed { origin: Origin },
    #[error("{host} does not resolve: {kind}")]
    Resolve { host: String, kind: io::ErrorKind },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("{origin} has the {class} address {address}, which is not allowed for it")]
    Address { origin: Origin, address: IpAddr, class: AddressClass },
    #[error("cannot connect to {address}: {kind}")]
    Connect { address: SocketAddr, kind: io::ErrorKind },
    #[error("tls")]
    Tls(#[source] rustls::Error),
    #[error("time is up in {stage}")]
    Timeout { stage: Stage },
    #[error("connection ends in {stage}")]
    Closed { stage: Stage },
    #[error("answer is a redirect, {status}, which is not followed")]
    Redirect { status: StatusCode },
    #[error("answer is {status}")]
    Status { status: StatusCode },
    #[error("head of the answer is larger than allowed")]
    HeadTooLarge,
    #[error("body of the answer is larger than {max} bytes")]
    BodyTooLarge { max: usize },
    #[error("body of the answer is compressed")]
    Encoding,
    #[error("answer is not HTTP/1.1, in {stage}")]
    Protocol { stage: Stage },
}

impl Inner {
    /// The addresses of an allowed origin, iff there are some and each is of an allowed class: a name that also leads
    /// inside is not one to be trusted halfway.
    async fn addresses(&self, origin: &Origin, deadline: Instant) -> Result<Vec<SocketAddr>, FetchError> {
        let allowed = || self.allowed.iter().filter(|allowed| allowed.origin == *origin);
        if allowed().next().is_none() {
            return Err(FetchError::NotAllowed { origin: origin.clone() });
        }
        let addresses = match origin.host() {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolve(name, origin.port(), deadline).await?,
        };
        for address in &addresses {
            let class = AddressClass::of(*address);
            if !allowed().any(|allowed| allowed.classes.contains(&class)) {
                return Err(FetchError::Address { origin: origin.clone(), address: *address, class });
            }
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, origin.port())).collect())
    }

    async fn resolve(&self, name: &str, port: u16, deadline: Instant) -> Result<Vec<IpAddr>, FetchError> {
        let addresses: Vec<IpAddr> = match &self.resolver {
            Resolver::Table(table) => table.get(name).cloned().unwrap_or_default(),
            Resolver::System => {
                let found = within(deadline, Stage::Resolving, lookup_host((name, port))).await?;
                let failed = |error: io::Error| FetchError::Resolve { host: name.to_owned(), kind: error.kind() };
                found.map_err(failed)?.map(|address| address.ip()).collect()
            }
        };
        if addresses.is_empty() { Err(FetchError::NoAddress { host: name.to_owned() }) } else { Ok(addresses) }
    }

    async fn connect(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<TlsStream<TcpStream>, FetchError> {
        let stream = self.connect_to_one(addresses, deadline).await?;
        let name = match origin.host() {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| FetchError::Tls(rustls::Error::General("name is no DNS name".to_owned())))?,
        };
        let connected = within(deadline, Stage::Handshake, self.tls.connect(name, stream)).await?;
        connected.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => FetchError::Tls(error.clone()),
            None => FetchError::Closed { stage: Stage::Handshake },
        })
    }

    /// The first address that answers; the error is that of the last.
    async fn connect_to_one(&self, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, FetchError> {
        let mut last = FetchError::Timeout { stage: Stage::Connecting };
        for address in addresses.iter().take(ADDRESSES_MAX) {
            let until = deadline.min(after(self.limits.connect_time_max));
            last = match within(until, Stage::Connecting, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => FetchError::Connect { address: *address, kind: error.kind() },
                Err(timeout) => timeout,
            };
        }
        Err(last)
    }

    async fn exchange(
        &self,
        stream: TlsStream<TcpStream>,
        url: &Url,
        body_bytes_max: usize,
        deadline: Instant,
    ) -> Result<Bytes, FetchError> {
        let request = request(url)?;
        let mut builder = http1::Builder::new();
        builder.max_headers(self.limits.headers_max).max_header_size(self.limits.head_bytes_max);
        builder.max_buf_size(self.limits.head_bytes_max.max(HYPER_BUFFER_BYTES_MIN));
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| protocol(&error, Stage::Head))?;
        let exchange = async {
            let answer = within(deadline, Stage::Head, sender.send_request(request)).await?;
            let answer = answer.map_err(|error| protocol(&error, Stage::Head))?;
            check_head(&answer)?;
            body(answer.into_body(), body_bytes_max, deadline).await
        };
        let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            // The end of the connection is not yet that of the answer, which waits in hyper's channel.
            _ = &mut connection => {}
        }
        exchange.await
    }
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, FetchError> {
    Request::get(url.target())
        .header(HOST, url.origin().authority())
        .header(USER_AGENT, concat!("skerry/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| FetchError::Protocol { stage: Stage::Head })
}

fn check_head(answer: &http::Response<Incoming>) -> Result<(), FetchError> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect { status });
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status { status });
    }
    let plain = answer.headers().get_all(CONTENT_ENCODING).iter().all(|encoding| encoding == "identity");
    if plain { Ok(()) } else { Err(FetchError::Encoding) }
}

async fn body(mut body: Incoming, max: usize, deadline: Instant) -> Result<Bytes, FetchError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(FetchError::BodyTooLarge { max });
    }
    let mut read = BytesMut::with_capacity(announced);
    while let Some(frame) = within(deadline, Stage::Body, body.frame()).await? {
        // Trailers say nothing that is wanted.
        let Ok(data) = frame.map_err(|error| protocol(&error, Stage::Body))?.into_data() else { continue };
        if read.len().saturating_add(data.len()) > max {
            return Err(FetchError::BodyTooLarge { max });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// A time that the clock cannot count to has passed.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

async fn within<T>(deadline: Instant, stage: Stage, work: impl Future<Output = T>) -> Result<T, FetchError> {
    timeout_at(deadline, work).await.map_err(|_| FetchError::Timeout { stage })
}

fn protocol(error: &hyper::Error, stage: Stage) -> FetchError {
    if error.is_parse_too_large() {
        FetchError::HeadTooLarge
    } else if error.is_parse() {
        FetchError::Protocol { stage }
    } else {
        FetchError::Closed { stage }
    }
}

/// hyper panics below it.
const HYPER_BUFFER_BYTES_MIN: usize = 8192;
