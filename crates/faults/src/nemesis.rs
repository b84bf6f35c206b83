//! What goes wrong, one thing at a time, and is put right again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use skerry_testkit::ChaCha20Rng;

use crate::clock::Moved;
use crate::cluster::{Cluster, Engine};
use crate::load::pick;
use crate::proxy::Mode;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL of a node, and its start.
    Kill,
    /// SIGTERM of a node, and its start.
    Restart,
    /// SIGSTOP of a node, and SIGCONT.
    Pause,
    /// Connections of clients to a node end.
    CutClients,
    /// What clients send to a node, and it to them, stays under way.
    HoldClients,
    /// Everything between clients and a node takes longer.
    SlowClients,
    /// A node does not reach the store.
    CutStore,
    /// What a node sends to the store stays under way, and arrives.
    HoldStore,
    /// SIGKILL of the member of etcd that leads, and its start.
    KillLeader,
    /// SIGSTOP of the member of etcd that leads, and SIGCONT.
    PauseLeader,
    /// SIGKILL of any member.
    KillMember,
    /// A node's clock goes back by some minutes, and is put right.
    ClockBack,
    /// A node's clock goes ahead by some minutes, and is put right.
    ClockAhead,
}

impl Fault {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "node killed",
            Fault::Restart => "node restarted",
            Fault::Pause => "node paused",
            Fault::CutClients => "clients cut off",
            Fault::HoldClients => "clients held",
            Fault::SlowClients => "clients slowed",
            Fault::CutStore => "node cut off from the store",
            Fault::HoldStore => "node held from the store",
            Fault::KillLeader => "leader killed",
            Fault::PauseLeader => "leader paused",
            Fault::KillMember => "member killed",
            Fault::ClockBack => "clock back",
            Fault::ClockAhead => "clock ahead",
        }
    }

    /// Those that are tried, the more often the more often they are here. A server alone has nobody to contradict a clock that is ahead:
    /// it would release nothing more until that time has come, so there it only goes back.
    fn all(engine: Engine, clocks: bool) -> Vec<Fault> {
        use Fault::*;
        let moved: &[Fault] = match (clocks, engine) {
            (false, _) => &[],
            (true, Engine::Redb) => &[ClockBack],
            (true, Engine::Etcd) => &[ClockBack, ClockAhead],
        };
        let others: &[Fault] = match engine {
            Engine::Redb => &[Kill, Kill, Kill, Restart, Pause, CutClients, HoldClients, SlowClients],
            Engine::Etcd => &[
                Kill,
                Kill,
                Restart,
                Pause,
                CutClients,
                HoldClients,
                CutStore,
                CutStore,
                HoldStore,
                KillLeader,
                KillLeader,
                PauseLeader,
                KillMember,
            ],
        };
        [others, moved].concat()
    }
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Each fault, with when it began and when it was put right.
    pub faults: Vec<(Fault, u64, u64)>,
    /// Clocks that were moved.
    pub moved: Vec<Moved>,
    /// The longest start of a node after its end, in milliseconds.
    pub start_ms_max: u128,
}

/// Does harm until the word to stop comes, or its sender is gone. An error is something that could not be put right: a node
/// that does not start again.
pub fn run(
    cluster: &mut Cluster,
    engine: Engine,
    mut random: ChaCha20Rng,
    stop: &Receiver<()>,
    now: impl Fn() -> u64,
    told: impl Fn(Fault),
) -> anyhow::Result<Done> {
    let mut done = Done::default();
    loop {
        if wait(stop, millis(&mut random, CALM)) {
            return Ok(done);
        }
        let all = Fault::all(engine, cluster.has_clocks());
        let fault = all.get(pick(&mut random, all.len())).copied().unwrap_or(Fault::Kill);
        told(fault);
        let node = pick(&mut random, cluster.nodes.len());
        let (lasts, began) = (millis(&mut random, HARM), now());
        let context = || format!("{} ({})", fault.name(), node);
        let stopped = harm(cluster, fault, node, lasts, (stop, &mut random), &mut done, &now).with_context(context)?;
        done.faults.push((fault, began, now()));
        if stopped {
            return Ok(done);
        }
    }
}

/// One fault, from its beginning until it was put right; whether the word to stop came meanwhile.
fn harm(
    cluster: &mut Cluster,
    fault: Fault,
    node: usize,
    lasts: Duration,
    (stop, random): (&Receiver<()>, &mut ChaCha20Rng),
    done: &mut Done,
    now: &impl Fn() -> u64,
) -> anyhow::Result<bool> {
    let leader = match fault {
        Fault::KillLeader | Fault::PauseLeader => cluster.leader()?.unwrap_or_default(),
        _ => pick(random, cluster.members.len()),
    };
    let Cluster { nodes, members, .. } = cluster;
    let number = node;
    let node = nodes.get_mut(node).context("no such node")?;
    let relays = |relays: &[crate::proxy::Proxy], mode| relays.iter().for_each(|relay| relay.set(mode));
    let stopped;
    match fault {
        Fault::Kill | Fault::Restart => {
            if fault == Fault::Kill {
                node.process.kill()?;
            } else {
                let status = node.process.stop()?;
                anyhow::ensure!(status.success(), "ended with {status}: {}", node.process.last_words());
            }
            stopped = wait(stop, lasts / 4);
            done.start_ms_max = done.start_ms_max.max(node.start()?.as_millis());
        }
        Fault::Pause => {
            node.process.signal(Signal::STOP)?;
            stopped = wait(stop, lasts);
            node.process.signal(Signal::CONT)?;
        }
        Fault::CutClients | Fault::HoldClients | Fault::SlowClients => {
            let mode = match fault {
                Fault::CutClients => Mode::Cut,
                Fault::HoldClients => Mode::Hold,
                _ => Mode::Slow(Duration::from_millis(30)),
            };
            relays(&node.clients, mode);
            stopped = wait(stop, lasts);
            relays(&node.clients, Mode::Pass);
        }
        Fault::CutStore | Fault::HoldStore => {
            relays(&node.store, if fault == Fault::CutStore { Mode::Cut } else { Mode::Hold });
            stopped = wait(stop, lasts);
            relays(&node.store, Mode::Pass);
        }
        Fault::KillLeader | Fault::KillMember => {
            let member = members.get_mut(leader).context("no such member")?;
            member.process.kill()?;
            stopped = wait(stop, lasts);
            member.process.start()?;
        }
        Fault::ClockBack | Fault::ClockAhead => {
            let minutes = i64::try_from(2 + pick(random, 9)).unwrap_or(2);
            let by = 60 * if fault == Fault::ClockBack { -minutes } else { minutes };
            let clock = node.process.clock.as_ref().context("no clock of its own")?;
            clock.set(by)?;
            let from = now();
            stopped = wait(stop, lasts * CLOCK_LASTS);
            let to = now();
            clock.set(0)?;
            done.moved.push(Moved { node: number, by, from, to });
        }
        Fault::PauseLeader => {
            let member = members.get_mut(leader).context("no such member")?;
            member.process.signal(Signal::STOP)?;
            stopped = wait(stop, lasts);
            member.process.signal(Signal::CONT)?;
        }
    }
    Ok(stopped)
}

fn wait(stop: &Receiver<()>, time: Duration) -> bool {
    !matches!(stop.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}

fn millis(random: &mut ChaCha20Rng, (least, most): (usize, usize)) -> Duration {
    Duration::from_millis(u64::try_from(least + pick(random, most - least)).unwrap_or_default())
}

/// Between two faults, in milliseconds.
const CALM: (usize, usize) = (300, 2_000);
/// How long one lasts.
const HARM: (usize, usize) = (200, 3_000);
/// So many times as long a clock is wrong: others look at it every ten seconds.
const CLOCK_LASTS: u32 = 6;
