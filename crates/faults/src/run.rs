//! One run, from its folder to its report.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use skerry_client::http::Client;
use skerry_testkit::seeded;

use crate::client::Caller;
use crate::clock::released_by_wrong_clocks;
use crate::cluster::{Cluster, Engine};
use crate::history::{self, Break, Histories};
use crate::load::{Gaps, Load, Seen, by_kind};
use crate::nemesis::{self, Done};
use crate::record;
use crate::report::{Report, Suffered};
use crate::site::Site;

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program `skerry`.
    pub program: PathBuf,
    /// Where its nodes keep what they store.
    pub engine: Engine,
    /// How many nodes.
    pub nodes: usize,
    /// How long clients ask.
    pub lasts: Duration,
    /// Of all choices.
    pub seed: u64,
    /// Clients at a time.
    pub clients: usize,
    /// Tampers with what was seen before it is checked.
    pub tamper: Option<Break>,
}

/// Runs everything and checks what came of it. An error says that it could not be run.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::Builder::new().prefix("skerry-faults-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let started = Cluster::start(folder.path(), &options.program, (options.engine, options.nodes), runtime.handle());
    let mut cluster = started.context("the processes do not start")?;
    let clocks = cluster.has_clocks();
    if !clocks {
        // Infallible: nobody is there to be told that standard error is closed.
        let _ = writeln!(
            std::io::stderr(),
            "faults: CLOCKS ARE NOT MOVED: no libfaketime (Debian: apt-get install faketime)"
        );
    }
    let load = Load::new(runtime.block_on(caller(&cluster))?, options.nodes);
    let begun = Instant::now();
    let clients: Vec<_> = (0..options.clients)
        .map(|client| {
            runtime.spawn(
                Arc::clone(&load).run(seeded(options.seed.wrapping_add(1 + u64::try_from(client).unwrap_or_default()))),
            )
        })
        .collect();
    let (done, mut defects) = suffer(&mut cluster, options, &load, begun);
    load.stop();
    runtime.block_on(async {
        for client in clients {
            // A client that panics is a defect of this harness, and ends it.
            client.await.context("a client")?;
        }
        anyhow::Ok(())
    })?;
    let lasted_secs = begun.elapsed().as_secs_f64();
    let mut seen = load.seen();
    defects.extend(seen.defects.iter().cloned());
    match cluster.stop() {
        Ok(told) => defects.extend(told),
        Err(error) => defects.push(format!("{error:#}")),
    }
    defects.extend(afterwards(&cluster, options, &seen)?);
    defects.extend(released_by_wrong_clocks(&done.moved, &seen.histories));
    if let Some(tamper) = options.tamper {
        anyhow::ensure!(tamper.apply(&mut seen.histories), "no history has a place for {tamper:?}: run it longer");
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = history::check(&seen.histories, threads);
    let [reads, changes] = [true, false].map(|reads| Gaps::of(&seen.histories, reads));
    let mut report = Report {
        inputs: inputs(options, clocks),
        seed: options.seed,
        lasted_secs,
        calls: by_kind(&seen.histories),
        keys: seen.histories.len(),
        faults: suffered(&done, &reads, &changes),
        gaps: (reads.longest(), changes.longest()),
        start_ms_max: done.start_ms_max,
        receipts: seen.receipts.len(),
        found,
        defects,
        kept: None,
    };
    drop(cluster);
    if !report.holds() {
        keep(&report, folder.path(), &seen.histories)?;
        report.kept = Some(folder.keep());
    }
    Ok(report)
}

async fn caller(cluster: &Cluster) -> anyhow::Result<Caller> {
    let site = &cluster.site;
    let roots = site.roots()?;
    let client = Client::new(&roots)?;
    let port = |node: usize, listener: usize| {
        let proxy = cluster.nodes.get(node).and_then(|node| node.clients.get(listener));
        Ok::<_, anyhow::Error>(proxy.context("no such listener")?.port())
    };
    let attestation = port(0, 1)?;
    let tokens = [site.attested(&client, attestation, false).await?, site.attested(&client, attestation, true).await?];
    let nodes = (0..cluster.nodes.len()).map(|node| Ok((Site::endpoint(port(node, 0)?)?, port(node, 0)?)));
    let nodes = nodes.collect::<anyhow::Result<_>>()?;
    Ok(Caller::new((client, roots), site.bearer()?, tokens, Arc::clone(&site.tee), nodes))
}

/// Lets the faults happen for as long as was asked for, and says how it goes.
fn suffer(cluster: &mut Cluster, options: &Options, load: &Load, begun: Instant) -> (Done, Vec<String>) {
    let (stop, stopped) = channel::<()>();
    let (tell, told) = channel();
    let random = seeded(options.seed);
    let engine = options.engine;
    std::thread::scope(|scope| {
        let harm = scope.spawn(move || {
            nemesis::run(
                cluster,
                engine,
                random,
                &stopped,
                || load.now(),
                |fault| {
                    // Nobody counts any more once all is over.
                    let _ = tell.send(fault);
                },
            )
        });
        let mut faults = 0;
        let mut shown = Instant::now();
        while begun.elapsed() < options.lasts && !harm.is_finished() {
            std::thread::sleep(TICK.min(options.lasts.saturating_sub(begun.elapsed())));
            faults += told.try_iter().count();
            if shown.elapsed() >= PROGRESS {
                shown = Instant::now();
                progress(begun, options, load, faults);
            }
        }
        drop(stop);
        match harm.join() {
            Ok(Ok(done)) => (done, Vec::new()),
            Ok(Err(error)) => (Done::default(), vec![format!("{error:#}")]),
            Err(_) => (Done::default(), vec!["the thread of the faults died".to_owned()]),
        }
    })
}

/// By kind of fault: how often, and the longest times without a good answer that had to do with it.
fn suffered(done: &Done, reads: &Gaps, changes: &Gaps) -> Vec<Suffered> {
    let mut rows: BTreeMap<_, Suffered> = BTreeMap::new();
    for (fault, began, ended) in &done.faults {
        let name = fault.name();
        let row = rows.entry(*fault).or_insert(Suffered { name, times: 0, reads: 0, changes: 0 });
        row.times += 1;
        row.reads = row.reads.max(reads.longest_within(*began, *ended));
        row.changes = row.changes.max(changes.longest_within(*began, *ended));
    }
    rows.into_values().collect()
}

fn progress(begun: Instant, options: &Options, load: &Load, faults: usize) {
    let (answered, releases, unknown, defects) = load.counts();
    // Infallible: nobody is there to be told that standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "{:>4} of {} s: {answered} answers, {releases} of them releases, {unknown} unknown; {faults} faults; {defects} defects",
        begun.elapsed().as_secs(),
        options.lasts.as_secs()
    );
}

/// What the folders of the nodes say when all has ended.
fn afterwards(cluster: &Cluster, options: &Options, seen: &Seen) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    for node in 0..options.nodes {
        told.extend(record::check(node, &cluster.site.log(node), &seen.receipts));
    }
    if options.engine == Engine::Redb {
        told.extend(cluster.verify()?);
    }
    Ok(told)
}

/// Everything that was seen, and the smallest history that does not hold apart.
fn keep(report: &Report, folder: &Path, histories: &Histories) -> anyhow::Result<()> {
    let mut text = format!("seed {}\n", report.seed);
    for (key, asked) in histories {
        for asked in asked {
            writeln!(text, "{key} {asked:?}")?;
        }
    }
    std::fs::write(folder.join("histories.txt"), text)?;
    let mut text = format!("seed {}\n", report.seed);
    for defect in &report.defects {
        writeln!(text, "defect: {defect}")?;
    }
    if let Some(first) = report.found.first() {
        writeln!(text, "{} ({:?})\n{}", first.key, first.verdict, first.told)?;
    }
    Ok(std::fs::write(folder.join("smallest.txt"), text)?)
}

fn inputs(options: &Options, clocks: bool) -> String {
    let Options { engine, nodes, clients, .. } = options;
    let engine = match engine {
        Engine::Redb => "redb",
        Engine::Etcd => "three of etcd",
    };
    let clocks = if clocks { "" } else { "; clocks were NOT moved, for want of libfaketime" };
    format!("{nodes} nodes on {engine}, {clients} clients{clocks}")
}

const TICK: Duration = Duration::from_millis(100);
const PROGRESS: Duration = Duration::from_secs(5);
