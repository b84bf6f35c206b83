//! `cargo xtask faults`: real processes under faults.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use rand_core::Rng as _;
use skerry_faults::cluster::Engine;
use skerry_faults::history::Break;
use skerry_faults::run::{self, Options};
use skerry_faults::site::rng;

/// Run Skerry as real processes, do them harm, and check what their clients saw
///
/// Clients create, update, disable, enable, delete, rotate and release keys over HTTPS while processes are killed and held and
/// connections cut. Then every key's history is checked: some order of the calls, one after another, has to explain every
/// answer. Exit code 0: it holds, 1: it does not, 2: it could not be run.
#[derive(Parser)]
#[command(name = "cargo xtask faults")]
struct Arguments {
    /// How long: 90s, 10m, 2h
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = duration)]
    lasts: Duration,
    /// Where nodes keep what they store
    #[arg(long, value_enum, default_value_t = Engine::Redb)]
    engine: Engine,
    /// Nodes of Skerry [default: 1 with redb, 3 with etcd]
    #[arg(long)]
    nodes: Option<usize>,
    /// Chooses calls and faults as another run did; their moments are the machine's
    #[arg(long)]
    seed: Option<u64>,
    /// Clients at a time
    #[arg(long, default_value_t = 6)]
    clients: usize,
    /// The program [default: built now]
    #[arg(long, value_name = "FILE")]
    skerry: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Tamper with what was seen before it is checked: has to end with 1
    #[arg(long = "break", value_enum, value_name = "HOW")]
    tamper: Option<Break>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match go(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Infallible: there is nothing left to do when standard error is closed.
            let _ = writeln!(std::io::stderr(), "faults: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn go(arguments: &Arguments) -> anyhow::Result<bool> {
    let nodes = match (arguments.engine, arguments.nodes) {
        (Engine::Redb, None | Some(1)) => 1,
        (Engine::Redb, Some(_)) => bail!("one process holds a redb file: --nodes 1"),
        (Engine::Etcd, nodes) => nodes.unwrap_or(3),
    };
    ensure!(nodes > 0 && arguments.clients > 0, "at least one node and one client");
    let program = arguments.skerry.clone().map_or_else(build, Ok)?;
    let options = Options {
        program,
        engine: arguments.engine,
        nodes,
        lasts: arguments.lasts,
        seed: arguments.seed.unwrap_or_else(|| rng().next_u64() >> 32),
        clients: arguments.clients,
        tamper: arguments.tamper,
    };
    let report = run::run(&options)?;
    let text = if arguments.json { format!("{:#}", report.json()) } else { report.text() };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(report.holds())
}

/// Builds the program as this one was built, and gives its path.
fn build() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("no folder")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--package", "skerry"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    ensure!(cargo.status()?.success(), "skerry does not build");
    Ok(folder.join("skerry"))
}

/// A number and s, m or h.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = |number: &str, factor: u64| number.parse::<u64>().ok()?.checked_mul(factor);
    let secs = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "s")) => seconds(number, 1),
        Some((number, "m")) => seconds(number, 60),
        Some((number, "h")) => seconds(number, 3_600),
        _ => None,
    };
    secs.filter(|secs| *secs > 0).map(Duration::from_secs).ok_or_else(|| "a number and s, m or h: 90s, 10m".to_owned())
}
