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
