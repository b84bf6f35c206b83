//! HTTPS to a service that configuration names: one connection per request, its answer read whole.
//!
//! Only the roots given are trusted, redirects are not followed, nothing is tried twice, no proxy is asked. What an answer
//! means is for the modules that ask ([`crate::attestation`], [`crate::vault`]).

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::{ANSWER_BYTES_MAX, CONNECT_TIME_MAX, REQUEST_TIME_MAX};
use crate::release::Roots;

/// Why there is no answer. No `Eq`, since rustls' error has none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Not `https://host[:port][/path]`.
    #[error("{0:?} is not an https URL without query and fragment")]
    Url(String),
    /// A header that HTTP cannot carry: the bearer token.
    #[error("the bearer token has characters that no header takes")]
    Bearer,
    /// The name has no address, or nobody answers there.
    #[error("cannot connect to {authority}: {kind}")]
    Connect {
        /// Host and port asked.
        authority: String,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The certificate is not one of that host under the roots given.
    #[error("the certificate of {authority} is not trusted")]
    Certificate {
        /// Host and port asked.
        authority: String,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// No TLS with the other end: most often it does not speak TLS.
    #[error("no TLS with {authority}: {kind}")]
    Tls {
        /// Host and port asked.
        authority: String,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The connection ended, or what came is not HTTP.
    #[error("{authority} did not answer in HTTP")]
    Protocol {
        /// Host and port asked.
        authority: String,
    },
    /// A longer answer than is read.
    #[error("the answer has more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// No whole answer in time.
    #[error("{authority} did not answer within {secs} s")]
    Time {
        /// Host and port asked.
        authority: String,
        /// The limit.
        secs: u64,
    },
    /// The library of TLS refused its configuration.
    #[error("TLS")]
    Setup(#[source] rustls::Error),
}

/// Where a service is: `https://host[:port]`, and a path in front of its own paths if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    authority: String,
    host: ServerName<'static>,
    port: u16,
    address: Option<IpAddr>,
    prefix: String,
}

/// One request. Bodies are JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// Path and query below the endpoint, with a slash in front.
    pub path: &'a str,
    /// A bearer token.
    pub bearer: Option<&'a str>,
    /// A body.
    pub body: Option<String>,
}

/// One answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Asks over HTTPS and believes servers under these roots alone.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
}

impl Endpoint {
    /// Accepts iff the text is an https URL with a host and without user, query and fragment.
    pub fn parse(text: &str) -> Result<Endpoint, HttpError> {
        let refused = || HttpError::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(refused)?;
        let tail = uri.query().is_some() || text.contains('#');
        if uri.scheme_str() != Some("https") || tail {
            return Err(refused());
        }
        // A port that is none would pass for the usual one, and one with zeros before it for no port.
        let written = authority.as_str().strip_prefix(authority.host()).ok_or_else(refused)?;
        if written != authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default() {
            return Err(refused());
        }
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A name with a dot at its end is the same in DNS and another in certificates, cookies and tokens.
        let host = Some(bare).filter(|bare| !bare.ends_with('.')).ok_or_else(refused)?;
        let host = ServerName::try_from(host.to_owned()).map_err(|_| refused())?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let port = authority.port_u16().unwrap_or(443);
        Ok(Endpoint { authority: authority.to_string(), host, port, address: None, prefix })
    }

    /// The same at this address, where the name is not looked up. Whose certificate is demanded, and what the server is asked
    /// for, stays the name.
    pub fn at(mut self, address: IpAddr) -> Endpoint {
        self.address = Some(address);
        self
    }

    /// `host` or `host:port`, as it was written.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone; an IPv6 address without brackets.
    pub fn host(&self) -> String {
        self.host.to_str().into_owned()
    }

    /// The port, which is 443 where none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path in front of the service's own, without a slash at its end; empty as a rule.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether two URLs lead to the same server: host and port are the same, however they are spelt.
    pub fn same_origin(&self, other: &Endpoint) -> bool {
        self.host == other.host && self.port == other.port
    }
}

/// One request in all that can be said of it.
#[derive(Clone)]
pub(crate) struct Sent<'a> {
    pub(crate) method: Method,
    /// Path and query below the endpoint, with a slash in front.
    pub(crate) path: &'a str,
    pub(crate) bearer: Option<&'a str>,
    pub(crate) content: Option<Content>,
    /// Bytes of the answer's body that are read.
    pub(crate) answer_bytes_max: usize,
}

/// A body and its type. The owner of the bytes may wipe them.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) media: HeaderValue,
    pub(crate) bytes: Bytes,
}

impl Client {
    /// A client that trusts `roots`, which configuration vouches for, and no others.
    pub fn new(roots: &Roots) -> Result<Client, HttpError> {
        let roots = RootCertStore { roots: roots.anchors().to_vec() };
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(HttpError::Setup)?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Client { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The answer to one request.
    pub async fn ask(&self, endpoint: &Endpoint, ask: Ask<'_>) -> Result<Answer, HttpError> {
        let content = ask.body.map(|body| Content { media: JSON, bytes: Bytes::from(body) });
        let Ask { method, path, bearer, .. } = ask;
        self.send(endpoint, Sent { method, path, bearer, content, answer_bytes_max: ANSWER_BYTES_MAX }).await
    }

    pub(crate) async fn send(&self, endpoint: &Endpoint, sent: Sent<'_>) -> Result<Answer, HttpError> {
        let late = || late(endpoint, REQUEST_TIME_MAX);
        timeout(REQUEST_TIME_MAX, self.exchange(endpoint, sent)).await.map_err(|_| late())?
    }

    /// As [`Client::send`], on the connection that is kept if there is one, and keeps the one it was answered on. A server may
    /// close a connection at any time, and then the request is sent once more on a new one: for requests that may be done
    /// twice.
    pub(crate) async fn send_again(
        &self,
        endpoint: &Endpoint,
        sent: Sent<'_>,
        kept: &mut Option<Connection>,
    ) -> Result<Answer, HttpError> {
        let late = || late(endpoint, REQUEST_TIME_MAX);
        if let Some(mut connection) = kept.take() {
            let asked = connection.ask(&endpoint.authority, request(endpoint, sent.clone())?, sent.answer_bytes_max);
            let answer = timeout(REQUEST_TIME_MAX, asked).await.map_err(|_| late())?;
            if !matches!(answer, Err(HttpError::Protocol { .. })) {
                *kept = Some(connection);
                return answer;
            }
        }
        let (answer, connection) =
            timeout(REQUEST_TIME_MAX, self.exchange_on_new(endpoint, sent)).await.map_err(|_| late())??;
        *kept = Some(connection);
        Ok(answer)
    }

    async fn exchange(&self, endpoint: &Endpoint, sent: Sent<'_>) -> Result<Answer, HttpError> {
        self.exchange_on_new(endpoint, sent).await.map(|(answer, _)| answer)
    }

    async fn exchange_on_new(&self, endpoint: &Endpoint, sent: Sent<'_>) -> Result<(Answer, Connection), HttpError> {
        let max = sent.answer_bytes_max;
        let request = request(endpoint, sent)?;
        let connecting = timeout(CONNECT_TIME_MAX, self.connect(endpoint));
        let stream = connecting.await.map_err(|_| late(endpoint, CONNECT_TIME_MAX))??;
        let mut connection = Connection::open(stream, &endpoint.authority).await?;
        Ok((connection.ask(&endpoint.authority, request, max).await?, connection))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<TlsStream<TcpStream>, HttpError> {
        let authority = || endpoint.authority.clone();
        let stream = match endpoint.address {
            Some(address) => TcpStream::connect((address, endpoint.port)).await,
            None => TcpStream::connect((endpoint.host.to_str().as_ref(), endpoint.port)).await,
        };
        let stream = stream.map_err(|error| HttpError::Connect { authority: authority(), kind: error.kind() })?;
        let connected = self.tls.connect(endpoint.host.clone(), stream).await;
        connected.map_err(|error| match certificate_error(&error) {
            Some(source) => HttpError::Certificate { authority: authority(), source },
            None => HttpError::Tls { authority: authority(), kind: error.kind() },
        })
    }
}

/// A connection on which one request after another is asked.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Moves bytes while something is asked; none when the connection has ended.
    driver: Option<Driver>,
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connection {
    pub(crate) async fn open(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        authority: &str,
    ) -> Result<Connection, HttpError> {
        let broken = |_| HttpError::Protocol { authority: authority.to_owned() };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // What ends a connection shows in what is asked on it.
        let driver: Driver = Box::pin(async move { drop(connection.await) });
        Ok(Connection { sender, driver: Some(driver) })
    }

    pub(crate) async fn ask(
        &mut self,
        authority: &str,
        request: http::Request<Full<Bytes>>,
        answer_bytes_max: usize,
    ) -> Result<Answer, HttpError> {
        let broken = |_| HttpError::Protocol { authority: authority.to_owned() };
        let exchange = async {
            let (head, body) = self.sender.send_request(request).await.map_err(broken)?.into_parts();
            let body = Limited::new(body, answer_bytes_max).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => HttpError::TooLarge { max: answer_bytes_max },
                false => HttpError::Protocol { authority: authority.to_owned() },
            })?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        let mut exchange = std::pin::pin!(exchange);
        let Some(driver) = &mut self.driver else { return exchange.await };
        tokio::select! {
            biased;
            answer = exchange.as_mut() => answer,
            // The connection's end wakes the exchange, which knows best what to make of it.
            () = driver => {
                self.driver = None;
                exchange.await
            }
        }
    }
}

fn request(endpoint: &Endpoint, sent: Sent<'_>) -> Result<http::Request<Full<Bytes>>, HttpError> {
    let target = format!("{}{}", endpoint.prefix, sent.path);
    let refused = || HttpError::Url(format!("https://{}{target}", endpoint.authority));
    let (media, body) = sent.content.map(|content| (content.media, content.bytes)).unzip();
    let empty = body.is_none() && [Method::POST, Method::PUT, Method::PATCH].contains(&sent.method);
    let mut request = http::Request::new(Full::new(body.unwrap_or_default()));
    *request.method_mut() = sent.method;
    *request.uri_mut() = target.parse().map_err(|_| refused())?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(&endpoint.authority).map_err(|_| refused())?);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT, JSON);
    if let Some(media) = media {
        headers.insert(CONTENT_TYPE, media);
    }
    if empty {
        // hyper leaves it out, and fronts such as Azure's answer 411 then (RFC 9110, 8.6).
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if let Some(token) = sent.bearer {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| HttpError::Bearer)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn late(endpoint: &Endpoint, limit: Duration) -> HttpError {
    HttpError::Time { authority: endpoint.authority.clone(), secs: limit.as_secs() }
}

/// rustls' word on a certificate, out of the error of the stream.
fn certificate_error(error: &io::Error) -> Option<rustls::Error> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(error, rustls::Error::InvalidCertificate(_)).then(|| error.clone())
}

pub(crate) const AGENT: HeaderValue = HeaderValue::from_static(concat!("skerry/", env!("CARGO_PKG_VERSION")));
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
