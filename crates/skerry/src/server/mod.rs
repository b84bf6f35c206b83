//! From [`Settings`] to a running server: wiring, and no decision.
//!
//! Sockets are bound first, so that a port that is taken is known before anything is made or opened, and what depends on
//! ports can be made after. Everything that can fail fails before the first request is answered.

pub(crate) mod backups;
mod callers;
pub(crate) mod diagnostics;
mod doors;
pub(crate) mod etcd;
pub(crate) mod hsm;
mod jobs;
pub(crate) mod metrics;
mod room;
mod services;
pub(crate) mod shared;
mod store;
mod surfaces;
#[cfg(feature = "otel")]
mod traces;
pub(crate) mod unsealing;
mod vaults;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use skerry_http::health::{Health, Phase};
use skerry_http::{Drained, Machine};
use skerry_identity::Access;
use skerry_keys::Token;
use skerry_store::stamp::Kind;
use skerry_vault::limits::CLOCK_LOOK;
use skerry_vault::pool::Pool;
use skerry_vault::{Installation, Standing, Wanted};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

pub(crate) use doors::Sockets;
pub(crate) use services::{attestation, tokens};
pub(crate) use shared::{hold_now, lease_of};
pub(crate) use store::{AUDIT, STORE, Site, embedded, open, refuse, settled, stored, verify};

pub(crate) use vaults::Vaults;

use crate::config::{Serves, Settings};
use crate::edge::{self, Failure};
use backups::Backups;
use doors::{Doors, Gates};
use hsm::Moving;
use jobs::Jobs;
use metrics::Counted;
use shared::Name;

/// A server that is ready to answer: what is served, on sockets that have connections waiting already.
pub(crate) struct Assembled {
    doors: Doors,
    opened: Opened,
}

/// What is behind the doors: opened, wired, and put there.
pub(crate) struct Opened {
    installation: Arc<Installation>,
    vaults: Vaults,
    backups: Option<Backups>,
    name: Option<Name>,
    moving: Option<Moving>,
    machine: Machine,
}

/// A socket on this address, or what the system says.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, std::io::Error> {
    TcpListener::bind(address).await
}

impl Assembled {
    /// The server of these settings on these sockets, one for each listener, in their order.
    pub(crate) async fn new(
        mut settings: Settings,
        sockets: impl Into<Sockets>,
        kind: Kind,
        machine: Machine,
    ) -> Result<Assembled, Failure> {
        let (root, token) = hsm::take(&settings.root, (settings.custody, settings.hsm.take()), None)?;
        let doors = Doors::new(&settings, sockets.into(), settings.root.word(), &machine)?;
        let opened = Opened::behind(&doors.gates, settings, (root, token), kind, machine).await?;
        Ok(Assembled { doors, opened })
    }

    /// The vaults, by name.
    pub(crate) fn vaults(&self) -> &Vaults {
        &self.opened.vaults
    }

    /// Serves, and does what is due, until `stop` is ready, then lets what is in flight finish.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let served = self.doors.serve(stopped.clone());
        let serving = async {
            let told = async {
                stop.await;
                stopping.send_replace(true);
            };
            tokio::join!(served, told).0
        };
        self.opened.work(stopped, serving).await;
    }
}

impl Opened {
    /// Opens what is stored, makes what serves it, and puts that behind the gates, which are open from then on.
    async fn behind(
        gates: &Gates,
        settings: Settings,
        (root, token): (Zeroizing<[u8; 32]>, Option<Arc<Token>>),
        kind: Kind,
        machine: Machine,
    ) -> Result<Opened, Failure> {
        gates.health.enter(Phase::Opening);
        // In a token keys are made when they are asked for.
        let ready = if token.is_some() { Wanted::default() } else { settings.ready_rsa_keys };
        let (installation, name) =
            store::open(&Site { folder: &settings.data, store: &settings.store }, root, (kind, token), &machine)
                .await?;
        let pool = pool()?;
        let tokens = settings.identity.map(services::tokens).transpose()?.map(Arc::new);
        let (own_tokens, mut sources) = (tokens.as_ref().map(|tokens| &tokens.service), Vec::new());
        let callers = Arc::new(callers::issuers(&settings.issuers, own_tokens, &mut sources)?);
        let attestation = settings.attestation.map(services::attestation).transpose()?;
        let own = attestation.as_ref().map(|attestation| attestation.verifier.signer());
        let authorities = vaults::Authorities::new(settings.authorities, own, &mut sources)?;
        let verifier = attestation.as_ref().map(|service| Arc::clone(&service.verifier));
        let policies = attestation.as_ref().map(|service| service.policies(&installation)).transpose()?;
        let pools = vaults::pools(Arc::clone(&pool), ready)?;
        let access = Arc::new(Access::new(settings.access));
        let parts = surfaces::Parts { tokens, callers, access, attestation, policies, pool, machine: machine.clone() };
        let (mut all, mut signers) = (Vaults::new(), vaults::Signers::default());
        for (listener, gate) in settings.listeners.into_iter().zip(gates.gates.iter()) {
            let served = match &listener.serves {
                Serves::Vaults(own) => {
                    let (known, signer) = ((settings.vaults.as_slice(), &authorities), signers.of(&own.release)?);
                    vaults::of_listener(own, known, &installation, &signer, &pools)?
                }
                Serves::Attestation | Serves::Identity | Serves::Metadata => Vaults::new(),
            };
            gate.open(parts.surface(&listener, &served, &settings.issuers)?);
            all.extend(served);
        }
        jobs::sweep(&all, &machine).await?;
        if !installation.is_remembered() {
            // From the first start on the store knows that there is a log: one that is taken away is missed at the next.
            let ticked = installation.tick(machine.now(), machine.randomizer()).await;
            ticked.map_err(|refusal| {
                Failure::unavailable(anyhow::Error::new(refusal).context("the store takes no changes"))
            })?;
            // Whoever moves it to another store sees from then on that this node runs, or this sees that it is moved.
            store::not_moved(&installation, &settings.data).await?;
        }
        if name.is_some() {
            shared::witness_forgotten(&installation, &machine).await;
        }
        let counted =
            Counted { installation: Arc::clone(&installation), vaults: all.clone(), pools, sources, verifier };
        gates.metrics.of_opened(counted);
        demand(&gates.health, &installation);
        let backups = Backups::listen(&settings.data, &installation, &machine, settings.recovery)?;
        let moving = installation.token().map(|token| Moving::new(Arc::clone(token), settings.data.clone()));
        gates.health.enter(Phase::Open);
        Ok(Opened { installation, vaults: all, backups, name, moving, machine })
    }

    /// Does what is due while `serving` is, which ends some time after `stopped` is true.
    async fn work(self, stopped: watch::Receiver<bool>, serving: impl Future<Output = Drained>) {
        let Opened { installation, vaults, backups, name, moving, machine } = self;
        let jobs = Jobs::new(vaults, installation.store().clone()).moving(moving);
        let jobs = tokio::spawn(jobs.run(machine.clone(), stopped.clone()));
        let backups = backups.map(|backups| tokio::spawn(backups.run(stopped)));
        let ticking = tokio::spawn({
            let (installation, machine, several) = (Arc::clone(&installation), machine.clone(), name.is_some());
            async move {
                let mut said = Said::default();
                loop {
                    said.tick(&installation, &machine).await;
                    shared::witness(&installation, &machine).await;
                    if several {
                        for _ in 1..LOOKS_PER_TICK {
                            sleep(CLOCK_LOOK).await;
                            said.tick(&installation, &machine).await;
                        }
                    }
                    sleep(if several { CLOCK_LOOK } else { TICK }).await;
                }
            }
        });
        let drained = serving.await;
        ticking.abort();
        if let Some(backups) = backups {
            // It stops at once.
            let _ = backups.await;
        }
        let abort = jobs.abort_handle();
        if timeout(JOBS_STOP_TIME_MAX, jobs).await.is_err() {
            // A purge that is cut short here is finished by the next start.
            abort.abort();
        }
        // So that the next start finds little to read. It needs no more than a commit, unless the store is checked still.
        let _ = timeout(TICK_TIME_MAX, tick(&installation, &machine)).await;
        // Waits for the disk, and nobody is served any more.
        let _ = tokio::task::spawn_blocking(move || installation.stop()).await;
        if let Some(name) = name {
            name.release().await;
        }
        if drained.connections_cut > 0 || drained.listeners_busy > 0 {
            let (cut, busy) = (drained.connections_cut, drained.listeners_busy);
            edge::note(&format!("stopped with {cut} connections cut, and work in flight on {busy} listeners"));
        }
    }
}

/// What readiness asks for besides an open server: rows that were found to be as they were left, and a log that takes records.
fn demand(health: &Health, installation: &Arc<Installation>) {
    let verified = Arc::new(AtomicBool::new(false));
    tokio::spawn({
        let (installation, verified) = (Arc::clone(installation), Arc::clone(&verified));
        async move {
            // If they are not, this process ends.
            let outcome = installation.store().verified().await;
            verified.store(outcome.is_ok(), Ordering::Release);
        }
    });
    health.demand("store-not-verified", move || verified.load(Ordering::Acquire));
    let log = Arc::clone(installation.log());
    health.demand("audit-log-closed", move || log.head().is_ok());
    if let Some(token) = installation.token().map(Arc::clone) {
        health.demand("token-silent", move || !token.is_silent());
    }
    let reached = Arc::new(AtomicBool::new(true));
    tokio::spawn({
        let (installation, reached) = (Arc::clone(installation), Arc::clone(&reached));
        async move {
            loop {
                // In a file there is nothing to reach; on servers it is one round trip.
                reached.store(store::is_reached(&installation).await, Ordering::Release);
                sleep(REACHED_EVERY).await;
            }
        }
    });
    health.demand("store-not-reached", move || reached.load(Ordering::Acquire));
    let installation = Arc::clone(installation);
    // Where nobody is outvoted the others would do no better.
    health.demand("clock", move || !matches!(installation.clock_standing(), Standing::Outvoted { .. }));
}

/// How old what readiness says of a store on servers may be: less than load balancers take from one question to the next.
const REACHED_EVERY: Duration = Duration::from_secs(2);

/// Stores the time, and how far the log has come.
pub(crate) async fn tick(installation: &Installation, machine: &Machine) {
    Said::default().tick(installation, machine).await;
}

/// What was said the last time, so that it is said once as long as it is so.
#[derive(Default)]
struct Said {
    untold: Option<String>,
    clock: bool,
}

impl Said {
    async fn tick(&mut self, installation: &Installation, machine: &Machine) {
        let ticked = installation.tick(machine.now(), machine.randomizer()).await;
        let untold = ticked.err().map(|error| format!("the time could not be stored: {}", edge::chain(error)));
        if untold != self.untold {
            untold.iter().for_each(|text| edge::note(text));
            self.untold = untold;
        }
        let clock = installation.check_clock(machine.now());
        match &clock {
            Err(refusal) if !self.clock => {
                edge::note(&format!("nothing is released: {}", skerry_vault::explained(refusal)));
            }
            Ok(()) if self.clock => edge::note("the clock is right again: keys are released"),
            _ => {}
        }
        self.clock = clock.is_err();
        if let Some(failure) = installation.publishing_failure() {
            edge::note(&format!("the audit log goes on, and could not be published: {}", edge::chain(failure)));
        }
    }
}

/// Ready at the first SIGTERM or SIGINT. The second ends the process: what is in flight by then is lost, but nothing that was
/// acknowledged, which is durable.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be waited for")?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            edge::note("told a second time to stop: ended at once, without what was in flight");
            std::process::exit(i32::from(edge::UNAVAILABLE));
        });
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
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

/// How much of the time a clock may go back unnoticed over a restart of a server alone.
const TICK: Duration = Duration::from_secs(60);

/// Nodes look at each other's clocks more often than at each other's logs.
const LOOKS_PER_TICK: u32 = 6;

#[cfg(test)]
mod tests;
