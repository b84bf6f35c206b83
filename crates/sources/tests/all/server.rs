//! A server of HTTPS on loopback that answers what a test told it to and counts who came.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use skerry_jose::b64;
use skerry_sources::{AddressClass, Allowed, FetchLimits, Fetcher, Origin, Resolver, Roots, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Names of the certificate, in whose stead every test server stands.
pub(crate) const NAMES: [&str; 3] = ["idp.example", "other.example", "localhost"];

/// What is sent for one path, byte for byte.
#[derive(Clone)]
pub(crate) enum Answer {
    /// This, then the end.
    Bytes(Vec<u8>),
    /// This, then nothing, for as long as the client stays.
    Stalls(Vec<u8>),
    /// This, then one byte for ever.
    NeverEnds(Vec<u8>),
    /// This, once the gate is opened for it.
    Gated(Arc<Semaphore>, Vec<u8>),
}

impl Answer {
    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Answer {
        Answer::Bytes(ok(body))
    }

    pub(crate) fn head(head: &str) -> Answer {
        Answer::Bytes(format!("HTTP/1.1 {head}\r\n\r\n").into_bytes())
    }
}

pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    requests: Mutex<Vec<String>>,
    connections: Mutex<usize>,
}

pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, shared) = (socket.local_addr().unwrap(), Arc::new(Shared::default()));
        let inner = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                *inner.connections.lock().unwrap() += 1;
                tokio::spawn(converse(stream, Arc::clone(&inner)));
            }
        });
        Server { address, shared }
    }

    /// From now on this path is answered so; others get 404.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Requests for one path so far.
    pub(crate) fn count(&self, path: &str) -> usize {
        let line = format!("GET {path} HTTP/1.1\r\n");
        self.requests().iter().filter(|request| request.starts_with(&line)).count()
    }

    /// Connections so far, whatever came of them.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn origin(&self, name: &str) -> Origin {
        Origin::parse(&format!("https://{name}:{}", self.port())).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("https://idp.example:{}{path}", self.port())).unwrap()
    }

    /// A fetcher that may go to this server, under each of its names, and nowhere else.
    pub(crate) fn fetcher(&self) -> Fetcher {
        self.fetcher_with(FetchLimits::default())
    }

    pub(crate) fn fetcher_with(&self, limits: FetchLimits) -> Fetcher {
        let allowed = NAMES.map(|name| Allowed::new(self.origin(name)).address(AddressClass::Loopback));
        Fetcher::new(allowed.to_vec(), &roots(), table(&NAMES.map(|name| (name, "127.0.0.1"))), limits).unwrap()
    }
}

/// A resolver that knows these names.
pub(crate) fn table(names: &[(&str, &str)]) -> Resolver {
    let mut table: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for (name, address) in names {
        table.entry((*name).to_owned()).or_default().push(address.parse().unwrap());
    }
    Resolver::Table(table)
}

pub(crate) fn roots() -> Roots {
    Roots::from_pem(authority().pem.as_bytes()).unwrap()
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut stream = TlsAcceptor::from(Arc::clone(&authority().server)).accept(stream).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    shared.requests.lock().unwrap().push(head);
    let answer = shared.answers.lock().unwrap().get(&path).cloned();
    match answer.unwrap_or_else(|| Answer::head("404 Not Found\r\nContent-Length: 0")) {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
        Answer::Gated(gate, bytes) => {
            gate.acquire().await.unwrap().forget();
            stream.write_all(&bytes).await.ok()?;
        }
        Answer::Stalls(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            // Ends when the client goes: it has nothing more to say.
            stream.read_u8().await.ok()?;
        }
        Answer::NeverEnds(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            loop {
                stream.write_all(&[b'x'; 4096]).await.ok()?;
            }
        }
    }
    stream.shutdown().await.ok()
}

struct Authority {
    pem: String,
    server: Arc<ServerConfig>,
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca = Issuer::new(params.clone(), KeyPair::generate().unwrap());
        let root = b64::encode_standard(params.self_signed(ca.key()).unwrap().der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{root}\n-----END CERTIFICATE-----\n");
        let key = KeyPair::generate().unwrap();
        let names = NAMES.map(str::to_owned).to_vec();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = Arc::new(config.with_single_cert(vec![leaf.der().clone()], key).unwrap());
        Authority { pem, server }
    })
}
