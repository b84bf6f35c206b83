//! What one core answers when asked without pause, and how long answers take at half of that.
//!
//! The second is an open loop: requests come at random moments whatever became of those before, and a request's time
//! counts from the moment it was due. So a server that stalls is not spared what would have come meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Write as _;
use std::pin::Pin;
use std::time::{Duration, Instant};

use rand_core::Rng as _;
use serde_json::{Value, json};

use super::Size;
use super::load::{Load, Place, all, asked};
use super::operation::Operation;
use crate::common::measure::{Asked, percentile};
use crate::common::rng;

/// One operation's pace.
pub(crate) struct Pace {
    pub(crate) name: String,
    pub(crate) per_sec: f64,
    /// Share of its core that the server's process took then.
    pub(crate) busy: f64,
    pub(crate) half_per_sec: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Of every operation asked for; of none when nothing is measured.
pub(crate) fn measure(load: &Load, size: &Size, asked: &Asked) -> anyhow::Result<Vec<Pace>> {
    let time = Duration::from_secs(size.pace_secs);
    if time.is_zero() {
        return Ok(Vec::new());
    }
    let mut paces = Vec::new();
    for operation in size.operations {
        for place in load.places(operation) {
            let name = format!("{}{}", operation.name, place.words);
            if asked.names(&name) {
                paces.push(Pace::of(load, name, operation, place, time)?);
            }
        }
    }
    Ok(paces)
}

impl Pace {
    fn of(load: &Load, name: String, operation: &Operation, place: Place, time: Duration) -> anyhow::Result<Pace> {
        let (cpu, begun) = (load.server_cpu()?, Instant::now());
        let mut count = 0;
        while begun.elapsed() < time {
            count += load.crowd(operation, place, operation.share(BATCH))?;
        }
        let (spent, passed) = (load.server_cpu()?.saturating_sub(cpu), begun.elapsed());
        let per_sec = f64::from(u32::try_from(count)?) / passed.as_secs_f64();
        let half_per_sec = per_sec / 2.0;
        let mut millis = load.runtime.block_on(open_loop(load, operation, place, half_per_sec, time))?;
        millis.sort_by(f64::total_cmp);
        let (p50_ms, p99_ms) = (percentile(&millis, 50), percentile(&millis, 99));
        let busy = spent.as_secs_f64() / passed.as_secs_f64();
        Ok(Pace { name, per_sec, busy, half_per_sec, p50_ms, p99_ms })
    }

    pub(crate) fn json(&self) -> Value {
        let Pace { name, per_sec, busy, half_per_sec, p50_ms, p99_ms } = self;
        json!({
            "name": name, "per_sec": per_sec, "server_core_busy": busy,
            "at_half": {"per_sec": half_per_sec, "p50_ms": p50_ms, "p99_ms": p99_ms},
        })
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// Times from when each request was due to its answer, in milliseconds.
pub(crate) async fn open_loop(
    load: &Load,
    operation: &Operation,
    place: Place,
    per_sec: f64,
    time: Duration,
) -> anyhow::Result<Vec<f64>> {
    let connections = load.connections(place.host(), OPEN).await?;
    let (due, over, millis) = (RefCell::new(VecDeque::new()), Cell::new(false), RefCell::new(Vec::new()));
    let clients = connections.into_iter().map(|mut connection| -> Task<'_> {
        let (due, over, millis) = (&due, &over, &millis);
        let client = async move {
            loop {
                let next: Option<Instant> = due.borrow_mut().pop_front();
                match next {
                    Some(next) => {
                        asked(&mut connection, &load.request(operation, place)?).await?;
                        millis.borrow_mut().push(next.elapsed().as_secs_f64() * 1e3);
                    }
                    None if over.get() => return Ok(()),
                    None => tokio::task::yield_now().await,
                }
            }
        };
        Box::pin(client)
    });
    let clock = async {
        let begun = Instant::now();
        let mut next = begun;
        while next < begun + time {
            if Instant::now() < next {
                // The core is the load's own, and timers are too coarse.
                tokio::task::yield_now().await;
                continue;
            }
            due.borrow_mut().push_back(next);
            next += Duration::from_secs_f64(pause() / per_sec);
        }
        over.set(true);
        anyhow::Ok(())
    };
    let clock: Task<'_> = Box::pin(clock);
    all(std::iter::once(clock).chain(clients)).await?;
    Ok(millis.into_inner())
}

/// Between arrivals that do not know of each other: exponential, of mean 1.
fn pause() -> f64 {
    let uniform = (f64::from(rng().next_u32()) + 1.0) / (f64::from(u32::MAX) + 1.0);
    -uniform.ln()
}

pub(crate) fn print(paces: &[Pace]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{:<36} {:>8} {:>6}  {:>8} {:>8} {:>8}",
        "one core", "per s", "busy", "at per s", "p50 ms", "p99 ms"
    )?;
    for Pace { name, per_sec, busy, half_per_sec, p50_ms, p99_ms } in paces {
        let busy = format!("{:.0} %", busy * 100.0);
        writeln!(out, "{name:<36} {per_sec:>8.0} {busy:>6}  {half_per_sec:>8.0} {p50_ms:>8.2} {p99_ms:>8.2}")?;
    }
    Ok(())
}

/// Requests between two looks at the clock.
const BATCH: usize = 500;
/// Connections that requests may find free; more requests than that at a time wait here, and their time runs.
const OPEN: usize = 32;
