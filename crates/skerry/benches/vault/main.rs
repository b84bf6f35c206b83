//! What each operation of a vault costs a server over HTTPS, beyond its cryptography and its connection.
//!
//! As `cargo bench --bench server` (docs/performance.md has the protocol): the server on one core, the load on another, the
//! server's CPU time per request on connections that are kept. Here the base is less: the bare calls of the cryptographic
//! library, and the echo of as many octets on the same stack; parsing and printing are not in it. Beside that what one core
//! answers in a second, how long answers take at half of that, what Azure publishes for a partition of a Managed HSM, and the
//! same of an OpenBao server where `bao` is installed.
//!
//! `cargo bench --bench vault` measures, `-- --json` prints JSON, `-- --only TEXT` takes the cases whose name has TEXT. Without
//! `--bench` each case runs once. Missed aims are printed and never fail the run.

#![allow(clippy::indexing_slicing)] // serde_json's values, which answer null for what is not there

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/https/mod.rs"]
mod https;

mod bao;

use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use bao::Bao;
use common::measure::{Asked, Case, measure, print_table, rows_json};
use https::load::Load;
use https::operation::{Kind, Operation, VAULT};
use https::pace::Pace;
use https::{AIM, Size, child, pace};

fn main() -> anyhow::Result<()> {
    if let Some((folder, tokens)) = child::told(std::env::args()) {
        return child::run(Path::new(&folder), tokens);
    }
    let asked = Asked::of(std::env::args());
    let size = if asked.measures { FULL } else { TINY };
    let load = Load::start(&size)?;
    let mut cases = asked.choose(cases(&load, &size));
    measure(&mut cases, size.blocks, || load.server_cpu())?;
    let paces = pace::measure(&load, &size, &asked)?;
    // Our server is idle by now.
    let peer = if asked.measures { bao::measure() } else { Ok(None) };
    match (asked.measures, asked.json) {
        (false, _) => Ok(()),
        (true, true) => {
            let all = json!({
                "rows": rows_json(&cases), "paces": paces.iter().map(Pace::json).collect::<Vec<_>>(),
                "openbao": peer?.map(|peer| peer.iter().map(Bao::json).collect::<Vec<_>>()),
            });
            Ok(writeln!(std::io::stdout().lock(), "{all:#}")?)
        }
        (true, false) => {
            let inputs = "kept connections; base: the cryptography alone, and an echo of as many octets";
            print_table(&cases, inputs)?;
            print_beside(&paces, &peer)
        }
    }
}

const FULL: Size = Size { operations: &VAULT, blocks: 20, kept: 200, new: 0, tokens: 2, pace_secs: 6 };
const TINY: Size = Size { operations: &VAULT, blocks: 1, kept: 1, new: 0, tokens: 2, pace_secs: 0 };

fn cases<'a>(load: &'a Load, size: &'a Size) -> Vec<Case<'a>> {
    VAULT.iter().flat_map(|operation| of_operation(load, size, operation)).collect()
}

/// The two halves of its base, then the operation itself in each place.
fn of_operation<'a>(load: &'a Load, size: &'a Size, operation: &'a Operation) -> Vec<Case<'a>> {
    let (name, count) = (operation.name, operation.share(size.kept));
    let (crypto, echo) = (format!("{name}: crypto alone"), format!("{name}: echo"));
    let looks_up = matches!(operation.kind, Kind::Get | Kind::List);
    let mut cases = vec![Case::new(&echo, move |_| load.echo(operation, size.kept))];
    if !looks_up {
        cases.push(Case::new(&crypto, move |_| load.bare(operation, count)));
    }
    let base: &[&str] = if looks_up { &[&echo] } else { &[&crypto, &echo] };
    for place in load.places(operation) {
        let case = Case::new(format!("{name}{}", place.words), move |_| load.ask(operation, place, count));
        cases.push(case.against(base, AIM));
    }
    cases
}

/// What one core does here, a partition of three HSMs there, and one core of a peer.
fn print_beside(paces: &[Pace], peer: &anyhow::Result<Option<Vec<Bao>>>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{:<32} {:>8} {:>6}  {:>8} {:>8} {:>8}  {:>12}",
        "one core", "per s", "busy", "at per s", "p50 ms", "p99 ms", "Managed HSM"
    )?;
    for pace in paces {
        let azure = AZURE
            .iter()
            .find(|(name, _)| pace.name.starts_with(name))
            .map_or("-".into(), |(_, per_sec)| format!("{per_sec}"));
        let Pace { name, per_sec, busy, half_per_sec, p50_ms, p99_ms } = pace;
        let busy = format!("{:.0} %", busy * 100.0);
        writeln!(
            out,
            "{name:<32} {per_sec:>8.0} {busy:>6}  {half_per_sec:>8.0} {p50_ms:>8.2} {p99_ms:>8.2}  {azure:>12}"
        )?;
    }
    let peer = match peer {
        Ok(Some(peer)) => peer,
        Ok(None) => return Ok(writeln!(out, "\nOpenBao: not measured, there is no `bao` in PATH")?),
        Err(error) => return Ok(writeln!(out, "\nOpenBao: not measured: {error:#}")?),
    };
    writeln!(
        out,
        "\n{:<32} {:>8} {:>12} {:>8} {:>8}",
        "OpenBao on one core", "per s", "CPU us each", "p50 ms", "p99 ms"
    )?;
    for Bao { name, per_sec, cpu_us, p50_ms, p99_ms } in peer {
        writeln!(out, "{name:<32} {per_sec:>8.0} {cpu_us:>12.1} {p50_ms:>8.2} {p99_ms:>8.2}")?;
    }
    Ok(())
}

/// Operations a second of one partition of a Managed HSM (three HSMs), as Azure publishes them ("Azure Managed HSM: scaling
/// guidance").
const AZURE: [(&str, u32); 4] =
    [("sign RS256", 900), ("get key", 1_100), ("create RSA-2048", 1), ("create EC P-256", 1)];
