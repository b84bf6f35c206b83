//! An attestation authority's key set, over HTTPS on loopback, as a test wants it at the moment.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use skerry_attestation_result::{Authority, TokenSigner};
use skerry_jose::JwkSet;
use skerry_jose::json::Object;
use skerry_sources::limits::{FetchLimits, Terms};
use skerry_sources::{AddressClass, Allowed, Fetcher, KeySet, KeySource, Origin, Resolver, Roots, Url};
use skerry_vault::TrustedAuthority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::*;

/// The authority's server. Dropping it leaves nobody at its address.
pub(crate) struct KeyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What is answered; 503 if nothing.
    document: Mutex<Option<String>>,
    requests: Mutex<usize>,
}

impl KeyServer {
    /// A server that has these keys.
    pub(crate) fn with(signers: &[&TokenSigner]) -> KeyServer {
        let server = wait(async {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let (address, shared) = (socket.local_addr().unwrap(), Arc::new(Shared::default()));
            let inner = Arc::clone(&shared);
            tokio::spawn(async move {
                while let Ok((stream, _)) = socket.accept().await {
                    tokio::spawn(converse(stream, Arc::clone(&inner)));
                }
            });
            KeyServer { address, shared }
        });
        server.publish(signers);
        server
    }

    /// From now on it has these keys.
    pub(crate) fn publish(&self, signers: &[&TokenSigner]) {
        let keys: Vec<Object> = signers.iter().map(|signer| signer.public_jwk()).collect();
        self.publish_raw(&Object::new().with("keys", keys));
    }

    /// From now on it has this document.
    pub(crate) fn publish_raw(&self, document: &Object) {
        *self.shared.document.lock().unwrap() = Some(document.to_json());
    }

    /// From now on it answers 503.
    pub(crate) fn fail(&self) {
        *self.shared.document.lock().unwrap() = None;
    }

    /// How often it was asked.
    pub(crate) fn requests(&self) -> usize {
        *self.shared.requests.lock().unwrap()
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("https://localhost:{}/certs", self.address.port())).unwrap()
    }

    /// The authority of this issuer, whose keys are what the server has.
    pub(crate) fn authority(&self, issuer: &str) -> TrustedAuthority {
        let origin = Origin::parse(&format!("https://localhost:{}", self.address.port())).unwrap();
        let allowed = vec![Allowed::new(origin).address(AddressClass::Loopback)];
        let names = HashMap::from([("localhost".to_owned(), vec![Ipv4Addr::LOCALHOST.into()])]);
        let fetcher = Fetcher::new(allowed, &tls().roots, Resolver::Table(names), FetchLimits::default()).unwrap();
        let keys = KeySet::fetched(fetcher, KeySource::At(self.url()), Terms::default());
        // Keys of its own, which are not to count.
        let own = if issuer == ISSUER { signer().key_set().unwrap() } else { JwkSet::default() };
        let authority = Authority::with_keys(crate::support::issuer(issuer), own);
        TrustedAuthority::fetched(authority, Arc::new(keys))
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut stream = TlsAcceptor::from(Arc::clone(&tls().server)).accept(stream).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    *shared.requests.lock().unwrap() += 1;
    let document = shared.document.lock().unwrap().clone();
    let status = if document.is_some() { "200 OK" } else { "503 Service Unavailable" };
    let body = document.unwrap_or_default();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

struct Tls {
    roots: Roots,
    server: Arc<ServerConfig>,
}

fn tls() -> &'static Tls {
    static TLS: OnceLock<Tls> = OnceLock::new();
    TLS.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca = Issuer::new(params.clone(), KeyPair::generate().unwrap());
        let roots = Roots::from_der(&[params.self_signed(ca.key()).unwrap().der()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Tls { roots, server: Arc::new(config.with_single_cert(vec![leaf.der().clone()], key).unwrap()) }
    })
}
