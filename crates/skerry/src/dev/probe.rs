//! Whether everything answers, asked the way clients ask.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Method;
use skerry_client::Roots;
use skerry_client::http::{Ask, Client, Endpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ports::{Ports, Service};
use super::settings::TENANT;

/// Returns once every service has answered as it should.
pub(super) async fn all_answer(root_der: &[u8], ports: &Ports) -> anyhow::Result<()> {
    let client = Client::new(&Roots::new(root_der)?)?;
    let discovery = format!("/{TENANT}/v2.0/.well-known/openid-configuration");
    for (service, path, status) in [
        (Service::Attestation, "/.well-known/openid-configuration", 200),
        (Service::Identity, discovery.as_str(), 200),
        (Service::Vault, KEYS, 401),
        (Service::ManagedHsm, KEYS, 401),
    ] {
        let endpoint = Endpoint::parse(&ports.url(service))?;
        let ask = Ask { method: Method::GET, path, bearer: None, body: None };
        let answer = client.ask(&endpoint, ask).await.with_context(|| format!("{} at {path}", service.name()))?;
        if answer.status.as_u16() != status {
            bail!("{} answers {} at {path}, not {status}", service.name(), answer.status);
        }
    }
    metadata(ports.of(Service::Metadata)).await.context("metadata")
}

/// Plain HTTP, of which one line is enough.
async fn metadata(port: u16) -> anyhow::Result<()> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let path = "/metadata/instance?api-version=2021-02-01";
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nMetadata: true\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = [0; OK.len()];
        stream.read_exact(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = timeout(PATIENCE, ask).await.context("no answer")??;
    if answer == *OK { Ok(()) } else { bail!("the answer is {:?}", String::from_utf8_lossy(&answer)) }
}

/// Vaults challenge before they look at anything else.
const KEYS: &str = "/keys?api-version=7.4";
const OK: &[u8; 12] = b"HTTP/1.1 200";
const PATIENCE: Duration = Duration::from_secs(10);
