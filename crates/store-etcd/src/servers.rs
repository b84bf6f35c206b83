//! Asking the servers: one connection at a time, to the first server that answers; the next one when it fails.
//!
//! What failed is told apart by what may have happened to the request, since a commit is never sent again unless nothing
//! can have come of it. Reads are tried again, on whatever server answers, until their time is over.

use crate::failure::{Failure, classify, leaves, worse};
use crate::limits::{CONNECT_TIMEOUT, KEEP_ALIVE, KEEP_ALIVE_TIMEOUT, PAUSE, READ_TIMEOUT};
use crate::link::{client, connect, ready, unary, with_leader, with_trust};
use crate::options::{Options, OptionsError};
use prost::Message;
use skerry_store::StoreError;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tonic::Streaming;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
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
