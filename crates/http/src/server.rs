//! Listeners: bound together, served together, stopped together.
//!
//! Binding all before serving any means that a program whose ports are taken ends before it answers anybody. A listener
//! out of descriptors waits instead of spinning; one that is full closes what it accepts, so that the backlog does not
//! fill with connections nobody will read.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::connection::{self, Peer, Protocol, stopped};
use crate::finished::Observer;
use crate::front::{Front, Surface};
use crate::gate::Gate;
use crate::limits::Limits;
use crate::machine::Machine;
use crate::meter::{Gates, Meter};
use crate::names::Names;

/// What to listen on, and for whom.
pub struct Listener {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS, or none for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// The names that are served.
    pub names: Names,
    /// What is served.
    pub surface: Surface,
    /// What is admitted.
    pub limits: Limits,
}

/// Why an address could not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen on {address}: {kind}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What stood in the way.
    pub kind: BindErrorKind,
}

/// What stands in the way of listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindErrorKind {
    /// Another process or listener has the port.
    #[error("address in use")]
    InUse,
    /// A port below 1024, or a policy of the system.
    #[error("permission denied")]
    Denied,
    /// No interface has the address.
    #[error("address not available")]
    NotAvailable,
    /// Anything else.
    #[error("{0}")]
    Other(io::ErrorKind),
}

/// Listeners that are bound and not yet served: connections wait in the backlog.
pub struct Server {
    listeners: Vec<BoundListener>,
    meter: Meter,
}

/// How the end of serving went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they outlasted the time for draining.
    pub connections_cut: usize,
    /// Listeners on which requests were still in flight then.
    pub listeners_busy: usize,
}

impl Server {
    /// Binds all listeners, or none.
    pub async fn bind(listeners: Vec<Listener>, machine: &Machine) -> Result<Server, BindError> {
        let (mut bound, mut meter) = (Vec::new(), Meter::default());
        for listener in listeners {
            let address = listener.address;
            let refuse = |error: io::Error| BindError { address, kind: BindErrorKind::of(error.kind()) };
            bound.push(BoundListener::bind(listener, machine, &mut meter).await.map_err(refuse)?);
        }
        Ok(Server { listeners: bound, meter })
    }

    /// Serves on sockets that the program bound before, each with its listener, whose own address does not count.
    ///
    /// Some of what is served depends on the ports: the names in tokens and certificates where a free port was taken.
    pub fn on(listeners: Vec<(TcpListener, Listener)>, machine: &Machine) -> io::Result<Server> {
        let mut meter = Meter::default();
        let on = |(socket, listener)| BoundListener::on(socket, listener, machine, &mut meter);
        let listeners = listeners.into_iter().map(on).collect::<io::Result<_>>()?;
        Ok(Server { listeners, meter })
    }

    /// What the server counts.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The server, and somebody who is told of every request.
    #[must_use]
    pub fn observed(mut self, observer: &Observer) -> Server {
        self.listeners.iter_mut().for_each(|listener| listener.front.observed(observer.clone()));
        self
    }

    /// The addresses bound, in the order of the listeners.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.address).collect()
    }

    /// Serves until `shutdown` is ready, then lets what is in flight finish, each listener for its `drain_time_max`.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Drained {
        let (stop, stopped) = watch::channel(false);
        let mut loops = JoinSet::new();
        for listener in self.listeners {
            loops.spawn(listener.serve(stopped.clone()));
        }
        shutdown.await;
        stop.send_replace(true);
        loops.join_all().await.into_iter().fold(Drained::default(), Drained::and)
    }
}

impl Drained {
    fn and(self, other: Drained) -> Drained {
        Drained {
            connections_cut: self.connections_cut.saturating_add(other.connections_cut),
            listeners_busy: self.listeners_busy.saturating_add(other.listeners_busy),
        }
    }
}

impl BindErrorKind {
    fn of(kind: io::ErrorKind) -> BindErrorKind {
        match kind {
            io::ErrorKind::AddrInUse => Self::InUse,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::AddrNotAvailable => Self::NotAvailable,
            kind => Self::Other(kind),
        }
    }
}

struct BoundListener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    front: Front,
    gate: Arc<Gate>,
}

impl BoundListener {
    async fn bind(listener: Listener, machine: &Machine, meter: &mut Meter) -> io::Result<BoundListener> {
        Self::on(TcpListener::bind(listener.address).await?, listener, machine, meter)
    }

    fn on(socket: TcpListener, listener: Listener, machine: &Machine, meter: &mut Meter) -> io::Result<BoundListener> {
        let Listener { tls, names, surface, limits, .. } = listener;
        let address = socket.local_addr()?;
        let (names, counts) = (names.bound_to(address.port()), Arc::clone(meter.counts()));
        let front = Front::new((surface, names), limits, machine.clone(), tls.is_some(), counts);
        let gate = Gate::new(limits.connections_max, limits.connections_per_peer_max);
        meter.watch(Gates { connections: Arc::clone(&gate), in_flight: Arc::clone(front.in_flight()) });
        Ok(BoundListener { socket, address, tls: tls.map(TlsAcceptor::from), front, gate })
    }

    async fn serve(self, stop: watch::Receiver<bool>) -> Drained {
        let BoundListener { socket, tls, front, gate, .. } = self;
        let (front, mut connections, mut stopping) = (Arc::new(front), JoinSet::new(), stop.clone());
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => break,
                Some(_) = connections.join_next() => {}
                accepted = socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        front.counts().accepted.count();
                        let Some(pass) = gate.enter(address.ip()) else {
                            // Dropping the stream closes it.
                            front.counts().turned_away.count();
                            continue;
                        };
                        let (front, tls, stop) = (Arc::clone(&front), tls.clone(), stop.clone());
                        connections.spawn(async move {
                            let _pass = pass;
                            converse(stream, address, tls, front, stop).await;
                        });
                    }
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(socket);
        drain(&front, connections).await
    }
}

async fn converse(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    front: Arc<Front>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole: waiting for more of them would only delay them. Failing means the client has gone.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(tls) = tls else {
        let peer = Peer { address, sni: None, protocol: Protocol::Either };
        return connection::serve(stream, peer, front, stop).await;
    };
    let begun = Instant::now();
    let accepted = tokio::select! {
        biased;
        accepted = timeout(front.limits().handshake_time_max, tls.accept(stream)) => accepted,
        // Nothing was asked yet, so there is nothing to finish.
        () = stopped(&mut stop) => return,
    };
    let counts = front.counts();
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return counts.handshakes_failed.count(),
        Err(_elapsed) => return counts.handshakes_late.count(),
    };
    counts.handshakes.observe(begun.elapsed());
    let (_, session) = stream.get_ref();
    let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    let peer = Peer { address, sni: session.server_name().map(Arc::from), protocol };
    connection::serve(stream, peer, front, stop).await;
}

/// Errors of one connection are passed over; want of descriptors or memory is waited out (accept(2)).
async fn pause_after(error: &io::Error) {
    let of_one = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    );
    if !of_one {
        sleep(ACCEPT_PAUSE).await;
    }
}

async fn drain(front: &Front, mut connections: JoinSet<()>) -> Drained {
    let deadline = Instant::now() + front.limits().drain_time_max;
    let ended = timeout_at(deadline, async { while connections.join_next().await.is_some() {} }).await;
    let connections_cut = if ended.is_ok() { 0 } else { connections.len() };
    connections.shutdown().await;
    // Work goes on without its client; it is waited for all the same.
    let listeners_busy = usize::from(timeout_at(deadline, front.drained()).await.is_err());
    Drained { connections_cut, listeners_busy }
}

/// Long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
