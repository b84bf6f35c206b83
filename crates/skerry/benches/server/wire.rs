//! HTTP/1.1 over TLS as a client that does no more than it must.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where connections go, and the name that the certificate is for.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, name: &str, tls: &TlsConnector) -> anyhow::Result<Target> {
        Ok(Target { address, name: ServerName::try_from(name.to_owned())?, tls: tls.clone() })
    }

    /// A new connection, with a whole handshake.
    pub(crate) async fn open(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(self.name.clone(), stream).await?;
        Ok(Connection { stream, unread: Vec::with_capacity(READ_LEN) })
    }
}

/// Trusts this root alone and resumes no session.
pub(crate) fn tls(root_der: &[u8]) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root_der.to_vec()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An open connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let head_len = loop {
            if let Some(end) = self.unread.windows(END.len()).position(|window| window == END) {
                break end + END.len();
            }
            self.read().await?;
        };
        let head = String::from_utf8(self.unread.drain(..head_len).collect())?;
        let status = head.get(9..12).context("no status")?.parse()?;
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let len: usize = len.unwrap_or("0").parse()?;
        while self.unread.len() < len {
            self.read().await?;
        }
        Ok(Answer { status, body: self.unread.drain(..len).collect() })
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.unread.reserve(READ_LEN);
        ensure!(self.stream.read_buf(&mut self.unread).await? > 0, "the server closed the connection");
        Ok(())
    }

    /// Says good-bye, so that what that costs the server is in its request's time too.
    pub(crate) async fn close(mut self) -> anyhow::Result<()> {
        Ok(self.stream.shutdown().await?)
    }
}

const END: &[u8] = b"\r\n\r\n";
const READ_LEN: usize = 32 * 1024;
