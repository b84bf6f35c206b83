//! From a request on a connection to a surface's reply, in this order: the name, room for one more, the target, the surface.
//!
//! A surface's work runs in a task of its own: a client that goes away does not stop a change half-way, and a panic is one
//! 500. What runs over its time goes on, holding its place among the requests in flight; only its client is let go. So does
//! what its client reset (CVE-2023-44487): resetting gains nobody more work than the place it has.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::activity::InFlight;
use crate::connection::Peer;
use crate::gate::{Gate, Pass};
use crate::gated::Gated;
use crate::limits::Limits;
use crate::machine::Machine;
use crate::names::{Host, HostError, Names, as_addressed, host_of};
use crate::reply::{Reply, Stamp, Taken};
use crate::request::{Context, Request, Unread, client_request_id};
use crate::{attestation, identity, metadata, operations, vault};

/// A function of a request, for a listener that is none of the services.
pub type Function = dyn for<'a> Fn(&'a mut Request) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> + Send + Sync;

/// What a listener serves.
#[derive(Clone)]
pub enum Surface {
    /// A key vault.
    Vault(Arc<vault::Surface>),
    /// An attestation service.
    Attestation(Arc<attestation::Surface>),
    /// A token service.
    Identity(Arc<identity::Surface>),
    /// The instance metadata of a virtual machine.
    Metadata(Arc<metadata::Surface>),
    /// Health, and what else operators' tools ask. Every Host is answered.
    Operations(Arc<operations::Surface>),
    /// One of the others, once the server is open; health always.
    Gated(Arc<Gated>),
    /// Anything else: tests, benchmarks.
    Function(Arc<Function>),
}

impl Surface {
    /// A surface that is one function, which says `|request| Box::pin(async move { ... })`.
    pub fn function<F>(function: F) -> Surface
    where
        F: for<'a> Fn(&'a mut Request) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> + Send + Sync + 'static,
    {
        Surface::Function(Arc::new(function))
    }

    /// Answers one request.
    pub async fn answer(&self, request: &mut Request) -> Reply {
        match self {
            Self::Vault(surface) => surface.answer(request).await,
            Self::Attestation(surface) => surface.answer(request).await,
            Self::Identity(surface) => surface.answer(request).await,
            Self::Metadata(surface) => surface.answer(request).await,
            Self::Operations(surface) => surface.answer(request),
            Self::Gated(gated) => match gated.pass(request) {
                Ok(surface) => Box::pin(surface.answer(request)).await,
                Err(reply) => reply,
            },
            Self::Function(function) => function(request).await,
        }
    }

    /// Headers of every answer to this peer, also of those that are given before the surface is asked.
    fn headers(&self, peer: SocketAddr) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Vault(surface) => surface.headers.for_peer(peer),
            Self::Gated(gated) => gated.surface().map(|surface| surface.headers(peer)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

/// What all connections of one listener share.
pub(crate) struct Front {
    surface: Surface,
    names: Names,
    limits: Limits,
    machine: Machine,
    tls: bool,
    in_flight: Arc<Gate>,
    bodies: Arc<Semaphore>,
}

impl Front {
    pub(crate) fn new(surface: Surface, names: Names, limits: Limits, machine: Machine, tls: bool) -> Front {
        let in_flight = Gate::new(limits.in_flight_max, limits.in_flight_per_peer_max);
        let bodies = Arc::new(Semaphore::new(limits.bodies_bytes_max.min(Semaphore::MAX_PERMITS)));
        Front { surface, names, limits, machine, tls, in_flight, bodies }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Waits until no request is in flight.
    pub(crate) async fn drained(&self) {
        self.in_flight.emptied().await;
    }

    /// The response to one request, whatever it is.
    pub(crate) async fn answer(
        &self,
        request: http::Request<Incoming>,
        peer: &Peer,
        in_flight: InFlight,
    ) -> Response<Taken> {
        let (parts, body) = request.into_parts();
        let stamp = Stamp {
            id: self.machine.uuid(),
            client_request_id: client_request_id(&parts.headers).cloned(),
            tls: self.tls,
            head: Stamp::is_head(&parts.method),
            of_surface: self.surface.headers(peer.address),
        };
        let reply = match self.admit(parts, body, peer, &stamp) {
            Ok((request, pass)) => self.run(request, pass, in_flight.clone()).await,
            Err(reply) => reply,
        };
        reply.into_response(&stamp, in_flight)
    }

    fn admit(&self, parts: Parts, body: Incoming, peer: &Peer, stamp: &Stamp) -> Result<(Request, Pass), Reply> {
        let default_port = if self.tls { 443 } else { 80 };
        let host = host_of(&parts).and_then(|host| self.addressed(host, peer, default_port));
        let host = host.map_err(|error| refuse_host(&error))?;
        if parts.headers.len() > self.limits.headers_max {
            return Err(Reply::empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        let pass = self.in_flight.enter(peer.address.ip()).ok_or_else(Reply::busy)?;
        let context = Context { id: stamp.id, peer: peer.address, host, tls: self.tls, limits: self.limits };
        let request = Request::incoming(parts, body, Arc::clone(&self.bodies), context);
        let bad = |error| Reply::error(StatusCode::BAD_REQUEST, "BadRequest", &format!("{error}"));
        Ok((request.map_err(bad)?, pass))
    }

    fn addressed(&self, host: &str, peer: &Peer, default_port: u16) -> Result<Host, HostError> {
        match self.surface {
            Surface::Operations(_) => as_addressed(host, default_port),
            _ => self.names.resolve(host, peer.sni.as_deref(), default_port),
        }
    }

    async fn run(&self, mut request: Request, pass: Pass, in_flight: InFlight) -> Reply {
        let surface = match &self.surface {
            Surface::Gated(gated) => gated.pass(&request).cloned(),
            surface => Ok(surface.clone()),
        };
        let surface = match surface {
            Ok(surface) => surface,
            // What a gate says by itself costs no task, unless a body is on its way.
            Err(reply) => {
                forget(request.into_unread(), in_flight);
                return reply;
            }
        };
        let task = tokio::spawn(async move {
            let reply = surface.answer(&mut request).await;
            drop(pass);
            (reply, request.into_unread())
        });
        match timeout(self.limits.request_time_max, task).await {
            Ok(Ok((reply, unread))) => {
                forget(unread, in_flight);
                reply
            }
            Ok(Err(_panicked)) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
            Err(_elapsed) => Reply::busy(),
        }
    }
}

fn forget(unread: Option<Unread>, in_flight: InFlight) {
    if let Some(unread) = unread {
        tokio::spawn(drain(unread, in_flight));
    }
}

/// A body on its way does not make a connection idle, nor does it begin the next head.
async fn drain(unread: Unread, in_flight: InFlight) {
    unread.drain().await;
    drop(in_flight);
}

fn refuse_host(error: &HostError) -> Reply {
    let code = if error.status() == StatusCode::MISDIRECTED_REQUEST { "MisdirectedRequest" } else { "BadRequest" };
    Reply::error(error.status(), code, &error.to_string())
}
