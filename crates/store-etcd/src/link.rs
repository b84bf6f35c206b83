//! One connection to one server, and what is asked over it.

use crate::failure::{Failure, NO_ANSWER, chain, classify, untrusted};
use crate::limits::{ANSWER_LEN_MAX, CONNECT_TIMEOUT, KEEP_ALIVE, KEEP_ALIVE_TIMEOUT, READ_TIMEOUT};
use crate::options::{OptionsError, Trust};
use crate::wire::{self, StatusRequest, StatusResponse};
use prost::Message;
use skerry_store::StoreError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// A server, and the connection to it if there is one.
pub(crate) struct Slot {
    server: usize,
    endpoint: Endpoint,
    held: Mutex<Option<Link>>,
    made: AtomicU64,
}

/// A connection, with its number among all to its server.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) channel: Channel,
    pub(crate) server: usize,
    number: u64,
    /// The term of the leader when it was made.
    term: u64,
}

impl Slot {
    pub(crate) fn new(server: usize, uri: Uri, trust: &Trust) -> Result<Self, OptionsError> {
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(Self { server, endpoint: with_trust(endpoint, trust)?, held: Mutex::new(None), made: AtomicU64::new(0) })
    }

    /// The connection that is there or is made, which one caller does while others wait, and the term of the leader then.
    pub(crate) async fn link(&self) -> Result<(Link, u64), StoreError> {
        let mut held = self.held.lock().await;
        if let Some(link) = held.as_ref() {
            return Ok((link.clone(), link.term));
        }
        let (channel, term) = connect(&self.endpoint).await?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let link = Link { channel, server: self.server, number, term };
        *held = Some(link.clone());
        Ok((link, term))
    }

    /// The next caller makes another, unless somebody has.
    pub(crate) async fn forget(&self, link: &Link) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|current| current.number == link.number) {
            *held = None;
        }
    }
}

/// A connection to a server that can be used: of a version that works, and with a leader, whose term it says.
async fn connect(endpoint: &Endpoint) -> Result<(Channel, u64), StoreError> {
    let connecting = timeout(CONNECT_TIMEOUT, endpoint.connect()).await.map_err(|_| StoreError::Unreachable)?;
    let channel = connecting.map_err(|error| untrusted(&error).unwrap_or(StoreError::Unreachable))?;
    let status: Result<StatusResponse, Status> = unary(&channel, wire::STATUS, StatusRequest {}, READ_TIMEOUT).await;
    let status = status.map_err(|status| match classify(&status) {
        Failure::NotDone(why) | Failure::Lost(why) | Failure::Refused(why) => why,
        Failure::Compacted | Failure::Ahead | Failure::TooLong => StoreError::Unreachable,
    })?;
    if !works(&status.version) {
        return Err(StoreError::ServerVersion { version: status.version });
    }
    if status.leader == 0 {
        return Err(StoreError::NoQuorum);
    }
    Ok((channel, status.term))
}

/// 3.4 has watches in fragments. 3.5.0 to 3.5.2 could come to hold different data on different servers (etcd's own
/// announcement of 2022), which no client can make up for.
fn works(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|number| number.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor)), Some(Some(patch))) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return false;
    };
    (major, minor) >= (3, 4) && major == 3 && !((major, minor) == (3, 5) && patch < 3)
}

pub(crate) async fn unary<Q, A>(
    channel: &Channel,
    path: &'static str,
    request: Q,
    within: Duration,
) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = client(channel);
    let asked = async {
        ready(&mut grpc).await?;
        grpc.unary(with_leader(request), PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await
    };
    let deadline = Instant::now().checked_add(within).ok_or_else(|| Status::internal("time-out"))?;
    let answer = timeout_at(deadline, asked).await.map_err(|_| Status::deadline_exceeded(NO_ANSWER))?;
    answer.map(tonic::Response::into_inner)
}

pub(crate) fn client(channel: &Channel) -> Grpc<Channel> {
    Grpc::new(channel.clone()).max_decoding_message_size(ANSWER_LEN_MAX)
}

pub(crate) async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))
}

/// A server without leader refuses this at once; without being asked to it would wait for one, for longer than we do.
pub(crate) fn with_leader<T>(request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    request
}

fn with_trust(endpoint: Endpoint, trust: &Trust) -> Result<Endpoint, OptionsError> {
    match trust {
        Trust::DangerNone => Ok(endpoint),
        Trust::Mutual { roots, certificates, key } => {
            let tls = ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(roots))
                .identity(Identity::from_pem(certificates, key));
            endpoint.tls_config(tls).map_err(|error| OptionsError::Certificates { detail: chain(&error) })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_that_work() {
        // Numbers, not text; those that lose data are out; the unknown is.
        for good in ["3.4.0", "3.4.23", "3.5.3", "3.5.12", "3.6.0", "3.6.0-rc.1", "3.10.0"] {
            assert!(works(good), "{good}");
        }
        for bad in ["", "3", "3.4", "3.3.99", "2.10.0", "3.5.0", "3.5.2", "3.5.0-alpha.0", "4.0.0", "x.y.z", "3.4.x"] {
            assert!(!works(bad), "{bad}");
        }
    }
}
