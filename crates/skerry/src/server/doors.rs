//! Listeners, from before anything is opened until after everything has ended.
//!
//! Each service is behind a gate that answers probes always and all else once the server is open, so listeners are made of what
//! needs no root key: sockets, certificates, names. What operators' tools ask has a listener of its own, which is the last to
//! close, so that a supervisor sees the draining of the others.

use std::sync::Arc;

use anyhow::Context as _;
use skerry_http::gated::Gated;
use skerry_http::health::{Health, Phase};
use skerry_http::{Drained, Limits, Listener, Machine, Names, Server, Surface, operations};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config;

/// What serves, and what is put behind it.
pub(crate) struct Doors {
    pub(super) gates: Gates,
    services: Server,
    operations: Option<Server>,
}

/// One gate for each listener, in their order, and the health that all of them tell.
#[derive(Clone)]
pub(crate) struct Gates {
    pub(crate) health: Arc<Health>,
    pub(super) gates: Arc<[Arc<Gated>]>,
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
        listeners: &[config::Listener],
        sockets: Sockets,
        seal: &'static str,
        machine: &Machine,
    ) -> anyhow::Result<Doors> {
        let health = Arc::new(Health::new(seal, Phase::Sealed));
        let gates: Arc<[_]> = listeners.iter().map(|_| Arc::new(Gated::new(Arc::clone(&health)))).collect();
        let listener = |(listener, gate): (&config::Listener, &Arc<Gated>)| Listener {
            address: listener.address,
            tls: listener.tls.clone(),
            names: listener.names.clone(),
            surface: Surface::Gated(Arc::clone(gate)),
            limits: Limits::default(),
        };
        let made = listeners.iter().zip(gates.iter()).map(listener);
        let services = Server::on(sockets.services.into_iter().zip(made).collect(), machine);
        let services = services.context("the listeners could not be set up")?;
        let operations = sockets.operations.map(|socket| operations_on(socket, &health, machine)).transpose()?;
        Ok(Doors { gates: Gates { health, gates }, services, operations })
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
        });
        let drained = drained.await;
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

fn operations_on(socket: TcpListener, health: &Arc<Health>, machine: &Machine) -> anyhow::Result<Server> {
    let address = socket.local_addr().context("the address of the operations listener")?;
    let surface = Surface::Operations(Arc::new(operations::Surface::new(Arc::clone(health))));
    let listener = Listener { address, tls: None, names: Names::default(), surface, limits: Limits::default() };
    Server::on(vec![(socket, listener)], machine).context("the operations listener could not be set up")
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
        let doors = Doors::new(&[listener], sockets, "file", &machine).unwrap();
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
