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
        let head = String::from_utf8(self.through(END).await?)?;
        let status = head.get(9..12).context("no status")?.parse()?;
        let member = |name| {
            let members = head.lines().filter_map(|line| line.split_once(": "));
            members.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
        };
        if member("transfer-encoding").is_some() {
            return Ok(Answer { status, body: self.chunks().await? });
        }
        let body = self.octets(member("content-length").unwrap_or("0").parse()?).await?;
        Ok(Answer { status, body })
    }

    /// A body in chunks (RFC 9112, 7.1), as others send those whose length they do not know.
    async fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let len = String::from_utf8(self.through(LINE).await?)?;
            let len = usize::from_str_radix(len.trim_end(), 16)?;
            body.extend(self.octets(len).await?);
            self.octets(LINE.len()).await?;
            if len == 0 {
                return Ok(body);
            }
        }
    }

    /// What comes up to this mark, and the mark.
    async fn through(&mut self, mark: &[u8]) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|window| window == mark) {
                return Ok(self.unread.drain(..at + mark.len()).collect());
            }
            self.read().await?;
        }
    }

    async fn octets(&mut self, len: usize) -> anyhow::Result<Vec<u8>> {
        while self.unread.len() < len {
            self.read().await?;
        }
        Ok(self.unread.drain(..len).collect())
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

const LINE: &[u8] = b"\r\n";
const END: &[u8] = b"\r\n\r\n";
const READ_LEN: usize = 32 * 1024;
