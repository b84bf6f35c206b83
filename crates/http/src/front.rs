//! From a request on a connection to a surface's reply, in this order: the name, room for one more, the target, the surface.
//!
//! A surface's work runs in a task of its own: a client that goes away does not stop a change half-way, and a panic is one
//! 500. What runs over its time goes on, holding its place among the requests in flight; only its client is let go. So does
//! what its client reset (CVE-2023-44487): resetting gains nobody more work than the place it has.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::activity::InFlight;
use crate::connection::Peer;
use crate::finished::{Finished, Observer};
use crate::gate::{Gate, Pass};
use crate::gated::Gated;
use crate::limits::Limits;
use crate::machine::Machine;
use crate::meter::Counts;
use crate::names::{Host, HostError, Names, as_addressed, host_of};
use crate::operation::{self, Operation};
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

    /// Its name in what is counted; none of a gate with nothing behind it yet.
    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Vault(_) => Some("vault"),
            Self::Attestation(_) => Some("attestation"),
            Self::Identity(_) => Some("identity"),
            Self::Metadata(_) => Some("metadata"),
            Self::Operations(_) => Some("operations"),
            Self::Gated(gated) => gated.surface().and_then(Surface::name),
            Self::Function(_) => Some("other"),
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
    counts: Arc<Counts>,
    /// What a request is counted as until its surface says more.
    unknown: OnceLock<Operation>,
    observer: Option<Observer>,
}

impl Front {
    pub(crate) fn new(
        (surface, names): (Surface, Names),
        limits: Limits,
        machine: Machine,
        tls: bool,
        counts: Arc<Counts>,
    ) -> Front {
        let in_flight = Gate::new(limits.in_flight_max, limits.in_flight_per_peer_max);
        let bodies = Arc::new(Semaphore::new(limits.bodies_bytes_max.min(Semaphore::MAX_PERMITS)));
        let (unknown, observer) = (OnceLock::new(), None);
        Front { surface, names, limits, machine, tls, in_flight, bodies, counts, unknown, observer }
    }

    fn unknown(&self) -> Operation {
        match self.surface.name() {
            Some(name) => *self.unknown.get_or_init(|| Operation::none_of(name)),
            None => operation::OTHER,
        }
    }

    pub(crate) fn observed(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn in_flight(&self) -> &Arc<Gate> {
        &self.in_flight
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
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let trace = self.observer.as_ref().and_then(|observer| observer.begun.as_ref());
        let stamp = Stamp {
            id: self.machine.uuid(),
            client_request_id: client_request_id(&parts.headers).cloned(),
            tls: self.tls,
            head: Stamp::is_head(&parts.method),
            of_surface: self.surface.headers(peer.address),
            trace: trace.and_then(|trace| trace(&parts.headers)),
        };
        let method = parts.method.clone();
        let reply = match self.admit(parts, body, peer, &stamp) {
            Ok((request, pass)) => self.run(self.work(request, begun), pass, in_flight.clone()).await,
            Err(reply) => {
                self.counts.answered(self.unknown(), &method, reply.status(), begun.elapsed());
                reply
            }
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
        let mut request = request.map_err(bad)?;
        request.is_for(self.unknown());
        if let Some(trace) = &stamp.trace {
            request.is_traced(trace.clone());
        }
        Ok((request, pass))
    }

    fn work(&self, request: Request, begun: Instant) -> Work {
        let (counts, observer) = (Arc::clone(&self.counts), self.observer.clone());
        let at = observer.is_some().then(|| self.machine.now());
        Work { request: Some(request), counts, observer, begun, at }
    }

    fn addressed(&self, host: &str, peer: &Peer, default_port: u16) -> Result<Host, HostError> {
        match self.surface {
            Surface::Operations(_) => as_addressed(host, default_port),
            _ => self.names.resolve(host, peer.sni.as_deref(), default_port),
        }
    }

    async fn run(&self, mut work: Work, pass: Pass, in_flight: InFlight) -> Reply {
        let surface = match (&self.surface, &work.request) {
            (Surface::Gated(gated), Some(request)) => gated.pass(request).cloned(),
            (surface, _) => Ok(surface.clone()),
        };
        let surface = match surface {
            Ok(surface) => surface,
            // What a gate says by itself costs no task, unless a body is on its way.
            Err(reply) => {
                forget(work.done(&reply).and_then(Request::into_unread), in_flight);
                return reply;
            }
        };
        let task = tokio::spawn(async move {
            let reply = match &mut work.request {
                Some(request) => surface.answer(request).await,
                // Infallible: it is taken below.
                None => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
            };
            drop(pass);
            let unread = work.done(&reply).and_then(Request::into_unread);
            (reply, unread)
        });
        match timeout(self.limits.request_time_max, task).await {
            Ok(Ok((reply, unread))) => {
                forget(unread, in_flight);
                reply
            }
            Ok(Err(_panicked)) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
            Err(_elapsed) => {
                self.counts.overdue.count();
                Reply::busy()
            }
        }
    }
}

/// A request while a surface works on it. Dropped before it is done it is one that panicked.
struct Work {
    request: Option<Request>,
    counts: Arc<Counts>,
    observer: Option<Observer>,
    begun: Instant,
    /// Known if there is somebody to be told.
    at: Option<SystemTime>,
}

impl Work {
    fn done(mut self, reply: &Reply) -> Option<Request> {
        let request = self.request.take();
        self.tell(request.as_ref(), Some(reply));
        request
    }

    fn tell(&self, request: Option<&Request>, reply: Option<&Reply>) {
        let Some(request) = request else { return };
        let took = self.begun.elapsed();
        let status = reply.map_or(StatusCode::INTERNAL_SERVER_ERROR, Reply::status);
        self.counts.answered(request.operation(), request.method(), status, took);
        if let (Some(observer), Some(begun)) = (&self.observer, self.at) {
            (observer.finished)(&Finished { request, operation: request.operation(), begun, took, reply });
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            // A runtime that ends drops work that did not panic; nobody counts then.
            self.counts.panics.count();
            self.tell(Some(&request), None);
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
