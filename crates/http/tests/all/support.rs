//! A server on loopback with a surface that does what the path says, and a client that sees every byte.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, StatusCode};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use skerry_http::{Limits, Listener, Machine, Meter, Names, Observer, Reply, Request, Server, Surface, tls};
use skerry_jose::json::{self, Object};
use skerry_testkit::seeded;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A clock that stands still, and randomness that differs from request to request.
pub(crate) fn machine() -> Machine {
    let seed = Arc::new(AtomicU64::new(0));
    Machine::new(now, move || Box::new(seeded(seed.fetch_add(1, Ordering::Relaxed))))
}

/// Long enough for a loaded machine: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("no answer")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Where requests to `/wait` stand until they are let go.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) entered: Arc<Semaphore>,
    pub(crate) go: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate { entered: Arc::new(Semaphore::new(0)), go: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) async fn pass(&self) {
        self.entered.add_permits(1);
        self.go.acquire().await.unwrap().forget();
    }

    /// Waits until one more request stands at the gate.
    pub(crate) async fn somebody(&self) {
        in_time(self.entered.acquire()).await.unwrap().forget();
    }
}

pub(crate) const BODY_MAX: usize = 100_000;

/// `/echo`, `/body`, `/unread`, `/panic`, `/wait`, and `/read-then-wait`.
pub(crate) fn surface(gate: &Gate) -> Surface {
    let gate = gate.clone();
    Surface::function(move |request| {
        let gate = gate.clone();
        Box::pin(async move {
            match request.segments().first().map(String::as_str) {
                Some("body") => body(request, &gate, false).await,
                Some("read-then-wait") => body(request, &gate, true).await,
                Some("unread") => Reply::error(StatusCode::UNAUTHORIZED, "Unauthorized", "who are you"),
                Some("panic") => panic!("on purpose"),
                Some("wait") => {
                    gate.pass().await;
                    Reply::text(StatusCode::OK, "waited")
                }
                _ => echo(request),
            }
        })
    })
}

async fn body(request: &mut Request, gate: &Gate, wait: bool) -> Reply {
    let body = request.body(BODY_MAX).await;
    if wait {
        gate.pass().await;
    }
    match body {
        Ok(body) => Reply::text(StatusCode::OK, body.len().to_string()),
        Err(error) => Reply::text(error.status(), error.to_string()),
    }
}

fn echo(request: &Request) -> Reply {
    let query = request.parameters().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    let mut members = Object::new()
        .with("method", request.method().as_str())
        .with("segments", request.segments().to_vec())
        .with("query", query)
        .with("origin", request.origin())
        .with("id", request.id().to_string());
    if let Some(resource) = request.host().resource() {
        members.insert("resource", resource);
    }
    if let Some(token) = request.bearer() {
        members.insert("bearer", token);
    }
    Reply::json(StatusCode::OK, &members).with(http::header::VARY, HeaderValue::from_static("x"))
}

pub(crate) fn names() -> Names {
    Names {
        hosts: vec!["host.test".into()],
        domains: vec!["vault.test".into()],
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        port: 0,
    }
}

/// A server that is running.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Gate,
    pub(crate) meter: Meter,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<skerry_http::Drained>,
}

impl Site {
    pub(crate) async fn plain(limits: Limits) -> Site {
        Self::with(limits, None, None).await
    }

    pub(crate) async fn tls(limits: Limits) -> Site {
        Self::with(limits, Some(server_config()), None).await
    }

    pub(crate) async fn of(surface: Surface) -> Site {
        Self::with(Limits::default(), None, Some((surface, names()))).await
    }

    pub(crate) async fn with(limits: Limits, tls: Option<Arc<ServerConfig>>, own: Option<(Surface, Names)>) -> Site {
        Self::observed(limits, tls, own, None).await
    }

    pub(crate) async fn observed(
        limits: Limits,
        tls: Option<Arc<ServerConfig>>,
        own: Option<(Surface, Names)>,
        observer: Option<Observer>,
    ) -> Site {
        let gate = Gate::new();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (surface, names) = own.unwrap_or_else(|| (surface(&gate), names()));
        let listener = Listener { address, tls, names, surface, limits };
        let server = Server::bind(vec![listener], &machine()).await.unwrap();
        let address = server.addresses()[0];
        let meter = server.meter();
        let server = match observer {
            Some(observer) => server.observed(&observer),
            None => server,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.serve(async {
            stopped.await.ok();
        }));
        Site { address, gate, meter, stop: Some(stop), served }
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn stopped(self) -> skerry_http::Drained {
        in_time(self.served).await.unwrap()
    }

    pub(crate) fn host(&self) -> String {
        format!("host.test:{}", self.address.port())
    }

    pub(crate) async fn connect(&self) -> Wire<TcpStream> {
        Wire::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A connection from another address of loopback.
    pub(crate) async fn connect_from(&self, address: [u8; 4]) -> Wire<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        Wire::new(socket.connect(self.address).await.unwrap())
    }

    pub(crate) async fn connect_tls(&self, sni: &str, alpn: &[&[u8]]) -> Wire<TlsStream<TcpStream>> {
        Wire::new(self.tls_stream(sni, alpn).await)
    }

    pub(crate) async fn tls_stream(&self, sni: &str, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        self.handshake(sni, alpn, client_config()).await.unwrap()
    }

    pub(crate) async fn handshake(
        &self,
        sni: &str,
        alpn: &[&[u8]],
        mut config: ClientConfig,
    ) -> io::Result<TlsStream<TcpStream>> {
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = sni.to_owned().try_into().unwrap();
        in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// One request on a connection of its own: method, path, further header lines, body.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let mut wire = self.connect().await;
        wire.send(&request(method, path, &self.host(), headers, body)).await;
        let response = if method == "HEAD" { wire.head().await } else { wire.response().await };
        response.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, "", "").await
    }

    /// The server answers, whatever happened before.
    pub(crate) async fn is_well(&self) {
        assert_eq!(self.get("/echo").await.status, 200);
    }
}

/// An HTTP/1.1 request. Header lines end with CRLF each.
pub(crate) fn request(method: &str, path: &str, host: &str, headers: &str, body: &str) -> String {
    let len = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{len}\r\n{body}")
}

/// A response as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} came twice");
        value
    }

    pub(crate) fn json(&self) -> Object {
        json::parse(self.body.as_bytes(), &skerry_jose::limits::JSON).unwrap().into_object().unwrap()
    }

    /// `error.code` of Azure's envelope.
    pub(crate) fn code(&self) -> String {
        self.error("code")
    }

    pub(crate) fn message(&self) -> String {
        self.error("message")
    }

    fn error(&self, member: &str) -> String {
        let error = self.json().get("error").cloned().expect("an error");
        error.get(&[member]).unwrap().as_str().unwrap().to_owned()
    }
}

/// A connection on which the test writes and reads bytes.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Wire<S> {
        Wire { stream, unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next response, or none if the server closed instead.
    pub(crate) async fn response(&mut self) -> Option<Response> {
        let mut response = self.head().await?;
        let len = response.header("content-length").map_or(0, |len| len.parse().unwrap());
        while self.unread.len() < len {
            assert!(self.read().await, "closed within a body");
        }
        response.body = String::from_utf8(self.unread.drain(..len).collect()).unwrap();
        Some(response)
    }

    /// The next head, or none if the server closed instead.
    pub(crate) async fn head(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if !self.read().await {
                assert!(self.unread.is_empty(), "closed within a head");
                return None;
            }
        };
        let head = String::from_utf8(self.unread.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Some(Response { status, headers: lines.filter_map(pair).collect(), body: String::new() })
    }

    /// The server closed, and sent nothing before.
    pub(crate) async fn is_closed(&mut self) -> bool {
        !self.read().await
    }

    /// What the server sent until it closed.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.read().await {}
        std::mem::take(&mut self.unread)
    }

    /// Nothing came and the connection is open, for as long as `time`.
    pub(crate) async fn is_open_for(&mut self, time: Duration) -> bool {
        self.unread.is_empty() && tokio::time::timeout(time, self.stream.read_u8()).await.is_err()
    }

    async fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        // A reset is a close too.
        let read = in_time(self.stream.read(&mut chunk)).await.unwrap_or(0);
        self.unread.extend_from_slice(&chunk[..read]);
        read > 0
    }
}

struct Certified {
    der: Vec<u8>,
    key: Vec<u8>,
}

fn certified() -> &'static Certified {
    static CERTIFIED: OnceLock<Certified> = OnceLock::new();
    CERTIFIED.get_or_init(|| {
        let names = ["host.test", "*.vault.test", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Certified { der: made.cert.der().to_vec(), key: made.signing_key.serialize_der() }
    })
}

pub(crate) fn server_config() -> Arc<ServerConfig> {
    tls::server_config(&[certified().der.clone()], &certified().key).unwrap()
}

pub(crate) fn certificate_and_key() -> (Vec<u8>, Vec<u8>) {
    (certified().der.clone(), certified().key.clone())
}

pub(crate) fn client_config() -> ClientConfig {
    client_config_of(rustls::DEFAULT_VERSIONS)
}

pub(crate) fn client_config_of(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certified().der.clone().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}
