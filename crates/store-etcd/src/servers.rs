//! Asking the servers: one connection at a time, to the first server that answers; the next one when it fails.
//!
//! What failed is told apart by what may have happened to the request, since a commit is never sent again unless nothing
//! can have come of it. Reads are tried again, on whatever server answers, until their time is over.

use crate::limits::{ANSWER_LEN_MAX, CONNECT_TIMEOUT, KEEP_ALIVE, KEEP_ALIVE_TIMEOUT, PAUSE, READ_TIMEOUT};
use crate::options::{Options, OptionsError, Trust};
use crate::wire::{self, StatusRequest, StatusResponse};
use prost::Message;
use skerry_store::StoreError;
use std::error::Error as _;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, ConnectError, Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// The servers of one cluster.
pub(crate) struct Servers {
    endpoints: Vec<Endpoint>,
    chosen: Mutex<Chosen>,
    total: Duration,
}

struct Chosen {
    index: usize,
    link: Option<Link>,
    number: u64,
}

/// A connection, with its number among all there were.
#[derive(Clone)]
pub(crate) struct Link {
    channel: Channel,
    number: u64,
}

/// What became of a request that was not answered as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Nothing came of it, and it may be sent again.
    NotDone(StoreError),
    /// Something may have come of it, or may yet.
    Lost(StoreError),
    /// Nothing came of it, and nothing would.
    Refused(StoreError),
    /// The revision asked for is compacted.
    Compacted,
    /// The revision asked for is yet to come.
    Ahead,
    /// The answer is longer than is taken.
    TooLong,
}

impl Servers {
    pub(crate) fn new(options: &Options) -> Result<Self, OptionsError> {
        let endpoints = options.check()?.into_iter().map(|uri| {
            let endpoint = Endpoint::from(uri)
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
                .keep_alive_while_idle(true);
            with_trust(endpoint, &options.trust)
        });
        let chosen = Mutex::new(Chosen { index: 0, link: None, number: 0 });
        Ok(Self { endpoints: endpoints.collect::<Result<_, _>>()?, chosen, total: options.timeout })
    }

    /// What a request that changes nothing is answered, by whatever server. `within` is for each attempt.
    pub(crate) async fn read<Q, A>(&self, path: &'static str, request: &Q, within: Duration) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.ask(path, request, within, |failure| matches!(failure, Failure::NotDone(_) | Failure::Lost(_))).await
    }

    /// What a request that may change something is answered. It is sent once, but for attempts of which nothing came.
    pub(crate) async fn change<Q, A>(&self, path: &'static str, request: &Q, within: Duration) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.ask(path, request, within, |failure| matches!(failure, Failure::NotDone(_))).await
    }

    async fn ask<Q, A>(
        &self,
        path: &'static str,
        request: &Q,
        within: Duration,
        again: impl Fn(&Failure) -> bool,
    ) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let deadline = Instant::now().checked_add(self.total);
        let mut worst: Option<StoreError> = None;
        loop {
            let failure = match self.attempt(path, request.clone(), within).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !again(&failure) {
                return Err(failure);
            }
            if let Failure::NotDone(why) | Failure::Lost(why) = failure {
                worst = Some(worse(worst, why));
            }
            if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                return Err(Failure::Refused(worst.unwrap_or(StoreError::Unreachable)));
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt<Q, A>(&self, path: &'static str, request: Q, within: Duration) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let link = self.link().await?;
        match unary(&link.channel, path, request, within).await {
            Ok(answer) => Ok(answer),
            Err(status) => {
                let failure = classify(&status);
                if leaves(&status, &failure) {
                    self.leave(&link).await;
                }
                Err(failure)
            }
        }
    }

    /// A stream of answers, from the server that is spoken to. The request's side stays open.
    pub(crate) async fn stream<Q, A>(&self, path: &'static str, request: Q) -> Result<(Streaming<A>, Link), Failure>
    where
        Q: Message + 'static,
        A: Message + Default + Send + 'static,
    {
        let link = self.link().await?;
        let open = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
        let mut grpc = client(&link.channel);
        let opened = async {
            ready(&mut grpc).await?;
            grpc.streaming(with_leader(open), PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await
        };
        match timeout(READ_TIMEOUT, opened).await {
            Ok(Ok(answers)) => Ok((answers.into_inner(), link)),
            Ok(Err(status)) => {
                self.leave(&link).await;
                Err(classify(&status))
            }
            Err(_) => {
                self.leave(&link).await;
                Err(Failure::Lost(StoreError::Unreachable))
            }
        }
    }

    /// The next request goes to another server, if the one of this connection is still the one that is spoken to.
    pub(crate) async fn leave(&self, link: &Link) {
        let mut chosen = self.chosen.lock().await;
        if chosen.link.as_ref().is_some_and(|current| current.number == link.number) {
            chosen.link = None;
            chosen.index = chosen.index.wrapping_add(1);
        }
    }

    async fn link(&self) -> Result<Link, Failure> {
        let mut chosen = self.chosen.lock().await;
        if let Some(link) = &chosen.link {
            return Ok(link.clone());
        }
        let mut worst = None;
        for _ in 0..self.endpoints.len() {
            let index = chosen.index.checked_rem(self.endpoints.len()).unwrap_or(0);
            let Some(endpoint) = self.endpoints.get(index) else { break };
            match connect(endpoint).await {
                Ok(channel) => {
                    chosen.number = chosen.number.wrapping_add(1);
                    let link = Link { channel, number: chosen.number };
                    chosen.link = Some(link.clone());
                    return Ok(link);
                }
                Err(why) => worst = Some(worse(worst, why)),
            }
            chosen.index = index.wrapping_add(1);
        }
        match worst.unwrap_or(StoreError::Unreachable) {
            why @ (StoreError::Unreachable | StoreError::NoQuorum) => Err(Failure::NotDone(why)),
            why => Err(Failure::Refused(why)),
        }
    }
}

/// A connection to a server that can be used: of a version that works, and with a leader.
async fn connect(endpoint: &Endpoint) -> Result<Channel, StoreError> {
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
    Ok(channel)
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

async fn unary<Q, A>(channel: &Channel, path: &'static str, request: Q, within: Duration) -> Result<A, Status>
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

fn client(channel: &Channel) -> Grpc<Channel> {
    Grpc::new(channel.clone()).max_decoding_message_size(ANSWER_LEN_MAX)
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))
}

/// A server without leader refuses this at once; without being asked to it would wait for one, for longer than we do.
fn with_leader<T>(request: T) -> Request<T> {
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

/// What became of a request with this status. etcd's own statuses say what they are in words (`rpctypes/error.go`).
fn classify(status: &Status) -> Failure {
    let message = status.message();
    if let Some((_, failure)) = SAID.iter().find(|(said, _)| message.contains(said)) {
        return failure();
    }
    if let Some(why) = untrusted(status) {
        return Failure::NotDone(why);
    }
    let detail = || message.to_owned();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Failure::Refused(StoreError::Denied { detail: detail() }),
        Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound | Code::Unimplemented => {
            Failure::Refused(StoreError::Refused { detail: detail() })
        }
        _ if was_not_sent(status) => Failure::NotDone(StoreError::Unreachable),
        _ => Failure::Lost(StoreError::Unreachable),
    }
}

type Said = (&'static str, fn() -> Failure);

/// What a server says, first match first.
const SAID: &[Said] = &[
    ("etcdserver: no leader", || Failure::NotDone(StoreError::NoQuorum)),
    ("etcdserver: too many requests", || Failure::NotDone(StoreError::Unreachable)),
    ("etcdserver: leader changed", || Failure::Lost(StoreError::NoQuorum)),
    ("etcdserver: request timed out", || Failure::Lost(StoreError::NoQuorum)),
    ("mvcc: database space exceeded", || Failure::Refused(StoreError::Full)),
    ("mvcc: required revision has been compacted", || Failure::Compacted),
    ("mvcc: required revision is a future revision", || Failure::Ahead),
    ("message length too large", || Failure::TooLong),
    ("etcdserver: user name is empty", || {
        Failure::Refused(StoreError::Denied { detail: "etcdserver: user name is empty".to_owned() })
    }),
];

/// Whether another server is to be asked next.
fn leaves(status: &Status, failure: &Failure) -> bool {
    match failure {
        Failure::Refused(_) | Failure::Compacted | Failure::Ahead | Failure::TooLong => false,
        // A server that says so sees the new leader.
        Failure::NotDone(_) | Failure::Lost(_) => !status.message().starts_with("etcdserver: leader changed"),
    }
}

/// Whether there was no connection to send it on.
fn was_not_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Whether one side does not trust the other, in rustls' words. A server of TLS 1.3 says so only after its handshake, when
/// something is read.
fn untrusted(error: &dyn std::error::Error) -> Option<StoreError> {
    let detail = chain(error);
    let told = ["received fatal alert", "invalid peer certificate"].iter().any(|said| detail.contains(said));
    told.then_some(StoreError::Denied { detail })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Of two reasons the one that says more.
fn worse(one: Option<StoreError>, other: StoreError) -> StoreError {
    let rank = |error: &StoreError| match error {
        StoreError::Unreachable => 0,
        StoreError::NoQuorum => 1,
        StoreError::Denied { .. } => 2,
        StoreError::ServerVersion { .. } => 3,
        _ => 4,
    };
    match one {
        Some(one) if rank(&one) >= rank(&other) => one,
        _ => other,
    }
}

const NO_ANSWER: &str = "no answer in time";

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

    #[test]
    fn what_a_server_says_is_told_apart() {
        // A commit goes out again after the first kind alone.
        let of = |code, text: &str| classify(&Status::new(code, text));
        assert_eq!(of(Code::Unavailable, "etcdserver: no leader"), Failure::NotDone(StoreError::NoQuorum));
        assert_eq!(of(Code::Unavailable, "etcdserver: leader changed"), Failure::Lost(StoreError::NoQuorum));
        let text = "etcdserver: request timed out, possibly due to previous leader failure";
        assert_eq!(of(Code::Unavailable, text), Failure::Lost(StoreError::NoQuorum));
        assert_eq!(of(Code::Unavailable, "broken pipe"), Failure::Lost(StoreError::Unreachable));
        assert_eq!(of(Code::Unknown, "h2 protocol error"), Failure::Lost(StoreError::Unreachable));
        assert_eq!(of(Code::DeadlineExceeded, NO_ANSWER), Failure::Lost(StoreError::Unreachable));
        assert_eq!(of(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"), Failure::Compacted);
        let full = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert_eq!(full, Failure::Refused(StoreError::Full));
        let detail = "etcdserver: too many operations in txn request".to_owned();
        assert_eq!(of(Code::InvalidArgument, &detail), Failure::Refused(StoreError::Refused { detail }));
        let denied = of(Code::PermissionDenied, "etcdserver: permission denied");
        assert!(matches!(denied, Failure::Refused(StoreError::Denied { .. })));
    }
}
