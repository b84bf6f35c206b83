//! Releases on three nodes against one: real servers, with the same clients on one of them and spread on all.
//!
//! Three nodes of `skerry serve` on three servers of etcd, and beside them one server on redb. All of them and the clients
//! share this machine: its cores, its disk. So what it shows is what a node costs, and not what more machines would do: the
//! figures to read are CPU times per release, of servers, of etcd and of who asks, and whether any of them grows with the
//! number of nodes. A rate that does not fall says that nodes do not get in each other's way; that it does not rise on two
//! cores says nothing. A node has a log of its own, so with three nodes three disks are waited for, each by a third of the
//! clients: groups that share a sync are smaller.
//!
//! `cargo bench --bench nodes`; `-- --json`, `-- --only TEXT`. Needs etcd; without `--bench` each row runs once.

#![allow(clippy::print_stdout)]

#[path = "../../../store-etcd/tests/all/cluster.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
// it serves tests: a panic is how they fail
mod cluster;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/https/mod.rs"]
mod https;

mod cpu;
mod servers;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::runtime::Runtime;

use cluster::Cluster;
use common::measure::{Asked, percentile};
use common::rate::{self, Rate, Took};
use https::wire::Connection;
use servers::{Server, Site};

fn main() -> anyhow::Result<()> {
    let asked = Asked::of(std::env::args());
    if std::process::Command::new("etcd").arg("--version").output().is_err() {
        println!("no etcd (Debian: etcd-server): nothing is measured");
        return Ok(());
    }
    let (blocks, time, tokens) = if asked.measures { FULL } else { TINY };
    let (site, cluster) = (Site::make(tokens)?, Cluster::three());
    let nodes = NAMES.map(|name| site.node(&cluster, name));
    let nodes = nodes.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let alone = site.alone()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        site.create(nodes.first().context("there are nodes")?).await?;
        site.create(&alone).await
    })?;
    let bench = Bench { runtime, site: Arc::new(site), next: Arc::default(), time };
    let mut rates = rate::choose(&asked, bench.rates(&nodes, &alone));
    rate::measure(&mut rates, blocks)?;
    drop(cluster);
    match (asked.measures, asked.json) {
        (false, _) => Ok(()),
        (true, true) => {
            let all = json!({"inputs": bench.site.sizes(), "rates": rate::json(&rates)});
            Ok(writeln!(std::io::stdout().lock(), "{all:#}")?)
        }
        (true, false) => {
            println!("{}", bench.site.sizes());
            rate::print(&rates)
        }
    }
}

struct Bench {
    runtime: Runtime,
    site: Arc<Site>,
    /// The next token. They are more than a vault remembers, so that each is new to who is asked.
    next: Arc<AtomicUsize>,
    time: Duration,
}

impl Bench {
    fn rates<'a>(&'a self, nodes: &'a [Server], alone: &'a Server) -> Vec<Rate<'a>> {
        let mut rates = Vec::new();
        for clients in CLIENTS {
            let row = |which: &str| format!("{which}, {clients} clients");
            let one = nodes.get(..1).unwrap_or_default();
            rates.push(Rate::new(row("one server on redb"), move |_| self.run(std::slice::from_ref(alone), clients)));
            rates.push(Rate::new(row("one node on etcd"), move |_| self.run(one, clients)));
            rates.push(
                Rate::new(row("three nodes on etcd"), move |_| self.run(nodes, clients))
                    .against(row("one node on etcd"), None),
            );
        }
        rates
    }

    /// So many clients, spread on these servers, each asking as soon as it has its last answer.
    fn run(&self, servers: &[Server], clients: usize) -> anyhow::Result<Took> {
        self.runtime.block_on(async {
            let mut connections = Vec::new();
            for server in servers.iter().cycle().take(clients) {
                connections.push(server.open().await?);
            }
            let (before, own) = (cpu::by_name()?, common::measure::cpu_time()?);
            let begun = Instant::now();
            let end = begun + self.time;
            let one = |connection| {
                let (site, next) = (Arc::clone(&self.site), Arc::clone(&self.next));
                tokio::spawn(client(connection, site, next, end))
            };
            let tasks: Vec<_> = connections.into_iter().map(one).collect();
            let mut millis = Vec::new();
            for task in tasks {
                millis.extend(task.await??);
            }
            let (time, after, own_after) = (begun.elapsed(), cpu::by_name()?, common::measure::cpu_time()?);
            let of = |name: &str| {
                let at =
                    |seen: &std::collections::BTreeMap<String, Duration>| seen.get(name).copied().unwrap_or_default();
                at(&after).saturating_sub(at(&before))
            };
            millis.sort_by(f64::total_cmp);
            let requests = f64::from(u32::try_from(millis.len())?);
            let each = |spent: Duration| spent.as_secs_f64() * 1e6 / requests;
            let notes = vec![
                ("etcd CPU us", each(of("etcd"))),
                ("clients CPU us", each(own_after.saturating_sub(own))),
                ("p50 ms", percentile(&millis, 50)),
                ("p99 ms", percentile(&millis, 99)),
            ];
            Ok(Took { requests: millis.len(), time, cpu: Some(of("skerry")), notes })
        })
    }
}

/// Releases until the time is over, at least one; how long each took, in milliseconds.
async fn client(
    mut connection: Connection,
    site: Arc<Site>,
    next: Arc<AtomicUsize>,
    end: Instant,
) -> anyhow::Result<Vec<f64>> {
    let mut millis = Vec::new();
    loop {
        let request = site.release(next.fetch_add(1, Ordering::Relaxed))?;
        let begun = Instant::now();
        let answer = connection.ask(&request).await?;
        ensure!(answer.status == 200, "answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        if Instant::now() >= end {
            return Ok(millis);
        }
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];
/// At a time, on all nodes together.
const CLIENTS: [usize; 2] = [3, 48];
/// Blocks, the time of each row in each, and tokens.
const FULL: (usize, Duration, usize) = (6, Duration::from_secs(4), 10_000);
const TINY: (usize, Duration, usize) = (1, Duration::ZERO, 6);
