//! Listeners, from before anything is opened until after everything has ended.
//!
//! Each service is behind a gate that answers probes always and all else once the server is open, so listeners are made of what
//! needs no root key: sockets, certificates, names. What operators' tools ask has a listener of its own, which is the last to
//! close, so that a supervisor sees the draining of the others.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use skerry_http::gated::Gated;
use skerry_http::health::{Health, Phase};
use skerry_http::{
    Begun, Drained, Finished, Limits, Listener, Machine, Names, Observer, Reply, Request, Server, Surface, operations,
};
use tokio::net::TcpListener;
#[cfg(feature = "otel")]
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use super::diagnostics::Diagnostics;
use super::metrics::Metrics;
#[cfg(feature = "otel")]
use super::traces::Traces;
use crate::config::{self, Settings};

/// What serves, and what is put behind it.
pub(crate) struct Doors {
    pub(super) gates: Gates,
    services: Server,
    operations: Option<Server>,
    /// From the word to stop until no connection is accepted any more.
    delay: Duration,
    told: Told,
}

/// Who is told of requests.
#[derive(Clone)]
struct Told {
    diagnostics: Option<Arc<Diagnostics>>,
    #[cfg(feature = "otel")]
    traces: Option<Arc<Traces>>,
}

/// One gate for each listener, in their order, and the health that all of them tell.
#[derive(Clone)]
pub(crate) struct Gates {
    pub(crate) health: Arc<Health>,
    pub(super) gates: Arc<[Arc<Gated>]>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Sockets, bound before anything else is done.
pub(crate) struct Sockets {
    /// One for each listener, in their order.
    pub(crate) services: Vec<TcpListener>,
    pub(crate) operations: Option<TcpListener>,
}

/// Of a program without a listener for operators.
impl From<Vec<TcpListener>> for Sockets {
    fn from(services: Vec<TcpListener>) -> Sockets {
        Sockets { services, operations: None }
    }
}

impl Doors {
    /// Of these listeners on these sockets, of a server whose root key is in a seal of this kind.
    pub(crate) fn new(
        settings: &Settings,
        sockets: Sockets,
        seal: &'static str,
        machine: &Machine,
    ) -> anyhow::Result<Doors> {
        let Settings { listeners, drain, .. } = settings;
        let told = Told::new(settings)?;
        let health = Arc::new(Health::new(seal, Phase::Sealed));
        let clock = machine.clone();
        let metrics = Metrics::new(Arc::clone(&health), told.diagnostics.clone(), move || clock.now());
        let metrics = Arc::new(metrics);
        let gates: Arc<[_]> = listeners.iter().map(|_| Arc::new(Gated::new(Arc::clone(&health)))).collect();
        let listener = |(listener, gate): (&config::Listener, &Arc<Gated>)| Listener {
            address: listener.address,
            tls: listener.tls.clone(),
            names: listener.names.clone(),
            surface: Surface::Gated(Arc::clone(gate)),
            limits: Limits { drain_time_max: drain.max, ..Limits::default() },
        };
        let made = listeners.iter().zip(gates.iter()).map(listener);
        let services = Server::on(sockets.services.into_iter().zip(made).collect(), machine);
        let services = services.context("the listeners could not be set up")?;
        metrics.of_listeners(services.meter());
        let services = match told.observer() {
            Some(observer) => services.observed(&observer),
            None => services,
        };
        let operations = sockets.operations.map(|socket| operations_on(socket, (&health, &metrics), machine));
        let operations = operations.transpose()?;
        Ok(Doors { gates: Gates { health, gates, metrics }, services, operations, delay: drain.delay, told })
    }

    /// Serves until `stop` is true, then lets what is in flight finish. Operators' tools are answered to the end.
    pub(super) async fn serve(self, mut stop: watch::Receiver<bool>) -> Drained {
        let (ended, end) = watch::channel(false);
        let operations = self.operations.map(|server| tokio::spawn(server.serve(until(end))));
        let health = self.gates.health;
        let drained = self.services.serve(async move {
            // A sender that is gone has stopped too.
            let _ = stop.wait_for(|stop| *stop).await;
            health.drain();
            // Load balancers go on sending until they have seen that it is not ready.
            sleep(self.delay).await;
        });
        let drained = drained.await;
        self.told.end().await;
        ended.send_replace(true);
        if let Some(operations) = operations {
            // A panic there has nothing to say about the services.
            let _ = operations.await;
        }
        drained
    }
}

async fn until(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Told {
    fn new(settings: &Settings) -> anyhow::Result<Told> {
        let diagnostics = settings.diagnostics.as_deref().map(diagnostics_on).transpose()?;
        Ok(Told {
            diagnostics,
            #[cfg(feature = "otel")]
            traces: settings.traces.as_deref().map(|url| Traces::start(url, Handle::current())).transpose()?,
        })
    }

    /// What the server tells; none if nobody wants to know.
    fn observer(&self) -> Option<Observer> {
        let told = self.clone();
        if !self.begins() && self.diagnostics.is_none() {
            return None;
        }
        let finished = Arc::new(move |finished: &Finished<'_>| {
            if let Some(diagnostics) = &told.diagnostics {
                diagnostics.tell(finished);
            }
            #[cfg(feature = "otel")]
            if let Some(traces) = &told.traces {
                traces.finished(finished);
            }
        });
        Some(Observer { begun: self.begun(), finished })
    }

    #[cfg(feature = "otel")]
    fn begins(&self) -> bool {
        self.traces.is_some()
    }

    #[cfg(not(feature = "otel"))]
    fn begins(&self) -> bool {
        false
    }

    #[cfg(feature = "otel")]
    fn begun(&self) -> Option<Arc<Begun>> {
        self.traces.as_ref().map(|_| -> Arc<Begun> { Arc::new(Traces::begun) })
    }

    #[cfg(not(feature = "otel"))]
    fn begun(&self) -> Option<Arc<Begun>> {
        None
    }

    /// Waits, but not for long, until what was told has gone out.
    async fn end(self) {
        // Both block their thread; what goes wrong there keeps nobody from stopping.
        let end = move || {
            if let Some(diagnostics) = &self.diagnostics {
                diagnostics.flush();
            }
            #[cfg(feature = "otel")]
            if let Some(traces) = &self.traces {
                traces.end();
            }
        };
        let _ = tokio::task::spawn_blocking(end).await;
    }
}

fn operations_on(
    socket: TcpListener,
    (health, metrics): (&Arc<Health>, &Arc<Metrics>),
    machine: &Machine,
) -> anyhow::Result<Server> {
    let address = socket.local_addr().context("the address of the operations listener")?;
    let metrics = Arc::clone(metrics);
    let surface = operations::Surface::new(Arc::clone(health)).route("metrics", move |request| page(&metrics, request));
    let surface = Surface::Operations(Arc::new(surface));
    let listener = Listener { address, tls: None, names: Names::default(), surface, limits: Limits::default() };
    Server::on(vec![(socket, listener)], machine).context("the operations listener could not be set up")
}

/// What Prometheus asks for.
fn page(metrics: &Arc<Metrics>, request: &Request) -> Reply {
    match metrics.page(request.header(&ACCEPT)) {
        Ok((media, page)) => Reply::text(StatusCode::OK, page).with(CONTENT_TYPE, HeaderValue::from_static(media)),
        // Infallible: writing to a string.
        Err(_) => Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The file for requests in Azure's schema, which SIGHUP opens anew.
fn diagnostics_on(path: &Path) -> anyhow::Result<Arc<Diagnostics>> {
    let diagnostics = Diagnostics::start(path);
    let diagnostics = Arc::new(diagnostics.with_context(|| format!("{}: cannot be appended to", path.display()))?);
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be waited for")?;
    let told = Arc::clone(&diagnostics);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            told.reopen();
        }
    });
    Ok(diagnostics)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::SystemTime;

    use http::StatusCode;
    use skerry_http::Reply;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::config::Serves;
    use crate::machine::rng;

    async fn connect(address: std::net::SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// A server with these listeners and nothing behind them.
    fn settings(listeners: Vec<config::Listener>) -> Settings {
        Settings {
            data: std::path::PathBuf::new(),
            root: crate::root::Source::Key(zeroize::Zeroizing::new([0; 32])),
            store: config::StoreSettings::Embedded,
            recovery: None,
            custody: skerry_keys::Level::Software,
            hsm: None,
            ready_rsa_keys: skerry_vault::Wanted::default(),
            listeners,
            operations: None,
            drain: config::Drain::default(),
            diagnostics: None,
            traces: None,
            issuers: Vec::new(),
            authorities: Vec::new(),
            attestation: None,
            identity: None,
            vaults: Vec::new(),
            access: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// While the last requests are answered, operators' tools are told that the server drains; then both close.
    #[tokio::test]
    async fn draining_is_seen() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let bind = || TcpListener::bind((loopback, 0));
        let (service, probes) = (bind().await.unwrap(), bind().await.unwrap());
        let (address, probe) = (service.local_addr().unwrap(), probes.local_addr().unwrap());
        let names = Names { addresses: vec![loopback], ..Names::default() };
        let listener = config::Listener { address, names, tls: None, serves: Serves::Metadata };
        let sockets = Sockets { services: vec![service], operations: Some(probes) };
        let machine = Machine::new(SystemTime::now, || Box::new(rng()));
        let doors = Doors::new(&settings(vec![listener]), sockets, "file", &machine).unwrap();
        let (entered, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let at_work = (Arc::clone(&entered), Arc::clone(&go));
        doors.gates.gates[0].open(Surface::function(move |_| {
            let (entered, go) = at_work.clone();
            Box::pin(async move {
                entered.add_permits(1);
                go.acquire().await.unwrap().forget();
                Reply::text(StatusCode::OK, "done")
            })
        }));
        doors.gates.health.enter(Phase::Open);
        let (stopping, stopped) = watch::channel(false);
        let served = tokio::spawn(doors.serve(stopped));
        assert!(answer(connect(probe, "/health/ready").await).await.ends_with(r#"{"ready":true}"#));
        let at_work = connect(address, "/work").await;
        entered.acquire().await.unwrap().forget();
        stopping.send_replace(true);
        loop {
            let ready = answer(connect(probe, "/health/ready").await).await;
            if ready.ends_with(r#"{"ready":false,"reasons":["draining"]}"#) {
                break;
            }
            assert!(ready.ends_with(r#"{"ready":true}"#), "{ready}");
        }
        go.add_permits(1);
        assert!(answer(at_work).await.ends_with("done"));
        assert_eq!(served.await.unwrap(), Drained::default());
        assert!(TcpStream::connect(probe).await.is_err());
    }
}
