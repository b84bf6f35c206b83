//! From [`Settings`] to a running server: wiring, and no decision.
//!
//! Sockets are bound first, so that a port that is taken is known before anything is made or opened, and what depends on
//! ports can be made after. Everything that can fail fails before the first request is answered.

mod callers;
mod jobs;
mod room;
mod services;
mod store;
mod surfaces;
mod vaults;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use skerry_http::{Limits, Listener, Machine, Server};
use skerry_identity::Access;
use skerry_store::stamp::Kind;
use skerry_vault::Installation;
use skerry_vault::pool::Pool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub(crate) use services::{attestation, tokens};
pub(crate) use store::verify;

pub(crate) use vaults::Vaults;

use crate::config::{Serves, Settings};
use crate::edge::{self, Failure};
use jobs::Jobs;

/// A server that is ready to answer: what is served, on sockets that have connections waiting already.
pub(crate) struct Assembled {
    server: Server,
    installation: Arc<Installation>,
    vaults: Vaults,
    machine: Machine,
}

/// A socket on this address, or what the system says.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, std::io::Error> {
    TcpListener::bind(address).await
}

impl Assembled {
    /// The server of these settings on these sockets, one for each listener, in their order.
    pub(crate) async fn new(
        settings: Settings,
        sockets: Vec<TcpListener>,
        kind: Kind,
        machine: Machine,
    ) -> Result<Assembled, Failure> {
        let installation = store::open(&settings.data, settings.root_key, kind, &machine).await?;
        let pool = pool()?;
        let tokens = settings.identity.map(services::tokens).transpose()?.map(Arc::new);
        let callers = Arc::new(callers::issuers(&settings.issuers, tokens.as_ref().map(|tokens| &tokens.service))?);
        let attestation = settings.attestation.map(services::attestation).transpose()?;
        let own = attestation.as_ref().map(|attestation| attestation.verifier.signer());
        let authorities = vaults::Authorities::new(settings.authorities, own)?;
        let policies = attestation.as_ref().map(|service| service.policies(&installation)).transpose()?;
        let pools = vaults::pools(Arc::clone(&pool), settings.ready_rsa_keys)?;
        let access = Arc::new(Access::new(settings.access));
        let parts = surfaces::Parts { tokens, callers, access, attestation, policies, pool, machine: machine.clone() };
        let (mut listeners, mut all, mut signers) = (Vec::new(), Vaults::new(), vaults::Signers::default());
        for (listener, socket) in settings.listeners.into_iter().zip(sockets) {
            let served = match &listener.serves {
                Serves::Vaults(own) => {
                    let (known, signer) = ((settings.vaults.as_slice(), &authorities), signers.of(&own.release)?);
                    vaults::of_listener(own, known, &installation, &signer, &pools)?
                }
                Serves::Attestation | Serves::Identity | Serves::Metadata => Vaults::new(),
            };
            let surface = parts.surface(&listener, &served, &settings.issuers)?;
            all.extend(served);
            let (address, names, limits) = (listener.address, listener.names, Limits::default());
            listeners.push((socket, Listener { address, tls: listener.tls, names, surface, limits }));
        }
        jobs::sweep(&all, &machine).await?;
        if !installation.is_remembered() {
            // From the first start on the store knows that there is a log: one that is taken away is missed at the next.
            let ticked = installation.tick(machine.now(), machine.randomizer()).await;
            ticked.map_err(|refusal| {
                Failure::unavailable(anyhow::Error::new(refusal).context("the store takes no changes"))
            })?;
        }
        let server = Server::on(listeners, &machine).context("the listeners could not be set up")?;
        Ok(Assembled { server, installation, vaults: all, machine })
    }

    /// The vaults, by name.
    pub(crate) fn vaults(&self) -> &Vaults {
        &self.vaults
    }

    /// Serves, and does what is due, until `stop` is ready, then lets what is in flight finish.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        let Assembled { server, installation, vaults, machine } = self;
        let (stopping, stopped) = watch::channel(false);
        let jobs = tokio::spawn(Jobs::new(vaults).run(machine.clone(), stopped));
        let ticking = tokio::spawn({
            let (installation, machine) = (Arc::clone(&installation), machine.clone());
            async move {
                loop {
                    tick(&installation, &machine).await;
                    sleep(TICK).await;
                }
            }
        });
        let drained = server.serve(async {
            stop.await;
            stopping.send_replace(true);
        });
        let drained = drained.await;
        ticking.abort();
        let abort = jobs.abort_handle();
        if timeout(JOBS_STOP_TIME_MAX, jobs).await.is_err() {
            // A purge that is cut short here is finished by the next start.
            abort.abort();
        }
        // So that the next start finds little to read. It needs no more than a commit, unless the store is checked still.
        let _ = timeout(TICK_TIME_MAX, tick(&installation, &machine)).await;
        // Waits for the disk, and nobody is served any more.
        let _ = tokio::task::spawn_blocking(move || installation.stop_publishing()).await;
        if drained.connections_cut > 0 || drained.listeners_busy > 0 {
            let (cut, busy) = (drained.connections_cut, drained.listeners_busy);
            edge::note(&format!("stopped with {cut} connections cut, and work in flight on {busy} listeners"));
        }
    }
}

/// Stores the time, and how far the log has come.
async fn tick(installation: &Installation, machine: &Machine) {
    if let Err(error) = installation.tick(machine.now(), machine.randomizer()).await {
        edge::note(&format!("the time could not be stored: {}", edge::chain(error)));
    }
    if let Some(failure) = installation.publishing_failure() {
        edge::note(&format!("the audit log goes on, and could not be published: {}", edge::chain(failure)));
    }
}

/// Ready at the first SIGTERM or SIGINT.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be waited for")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The runtime of servers: I/O on as many threads as there are cores.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started")
}

/// One thread a core for signatures and verification.
fn pool() -> anyhow::Result<Arc<Pool>> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Pool::new(threads, POOL_QUEUE_MAX).map(Arc::new).context("threads cannot be started")
}

/// A signature takes about a millisecond of a core: past this, a queue is half a second long on one.
const POOL_QUEUE_MAX: usize = 512;

/// Making an RSA key of 4096 bits, which a job may be at, takes a few seconds of a slow core.
const JOBS_STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// A commit takes milliseconds.
const TICK_TIME_MAX: Duration = Duration::from_secs(5);

/// How much of the time a clock may go back unnoticed over a restart.
const TICK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
