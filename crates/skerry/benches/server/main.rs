//! What a request costs a server over HTTPS, beyond the cryptography and the connection that it cannot do without.
//!
//! The server is this program once more, with the hidden argument `--child FOLDER`: vaults, an attestation service and an
//! echo on the server's own stack, on one core. The load is on another. The figure is CPU time of the server's process
//! per request, which it reads from its own clock when asked over a pipe; what the kernel does for a connection is in it.
//!
//! A request is compared with the sum of two others, taken in turn with it: a straight-line function in the same process
//! that does its cryptography, parsing and printing and nothing else, and the echo, which takes and answers as many bytes
//! over the same kind of connection. docs/performance.md reads the table.
//!
//! `cargo bench --bench server` measures, then finds out what one core answers and how long that takes at half the load,
//! how long releases take beside a flood of other uses ([`flood`]), and how the program starts. `-- --json` prints JSON, `-- --only TEXT` takes the cases whose name has TEXT. Without
//! `--bench` each case runs once. Missed aims are printed and never fail the run.

#![allow(clippy::indexing_slicing)] // serde_json's values, which answer null for what is not there

#[path = "../common/mod.rs"]
mod common;

#[path = "../common/https/mod.rs"]
mod https;

mod flood;
mod start;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use common::measure::{Asked, Case, measure, print_table, rows_json};
use common::rate;
use https::load::Load;
use https::operation::{Operation, SERVER};
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
    let release = Operation::of("release").context("there are releases")?;
    let (blocks, time) = if asked.measures { (FLOODED, FLOOD) } else { (1, Duration::from_millis(50)) };
    let mut floods = rate::choose(&asked, flood::rates(&load, release, time));
    rate::measure(&mut floods, blocks)?;
    let starts = start::measure(&asked)?;
    match (asked.measures, asked.json) {
        (false, _) => Ok(()),
        (true, true) => {
            let all = json!({
                "inputs": load.inputs(), "rows": rows_json(&cases),
                "paces": paces.iter().map(pace::Pace::json).collect::<Vec<_>>(),
                "rates": rate::json(&floods),
                "starts": starts.iter().map(start::Start::json).collect::<Vec<_>>(),
            });
            Ok(writeln!(std::io::stdout().lock(), "{all:#}")?)
        }
        (true, false) => {
            print_table(&cases, &load.inputs())?;
            pace::print(&paces)?;
            rate::print(&floods)?;
            start::print(&starts)
        }
    }
}

const FULL: Size = Size { operations: &SERVER, blocks: 20, kept: 200, new: 60, tokens: 5_000, pace_secs: 6 };
const TINY: Size = Size { operations: &SERVER, blocks: 1, kept: 1, new: 1, tokens: 2, pace_secs: 0 };

/// Times that each row of releases beside a flood has its turn, and how long that is.
const FLOODED: usize = 6;
const FLOOD: Duration = Duration::from_secs(2);

fn cases<'a>(load: &'a Load, size: &'a Size) -> Vec<Case<'a>> {
    size.operations.iter().flat_map(|operation| of_operation(load, size, operation)).collect()
}

/// The two halves of its base, then the operation itself on each vault, each on kept and on new connections.
fn of_operation<'a>(load: &'a Load, size: &'a Size, operation: &'a Operation) -> Vec<Case<'a>> {
    let name = operation.name;
    let (straight, synced) = (format!("{name}: straight-line"), format!("{name}: straight-line, synced write"));
    let (echo, echo_new) = (format!("{name}: echo"), format!("{name}: echo, new connection"));
    let by_hand = |synced| move |_| load.straight(operation, size.kept, synced);
    let mut cases = vec![Case::new(&straight, by_hand(false))];
    if operation.syncs {
        cases.push(Case::new(&synced, by_hand(true)));
    }
    cases.push(Case::new(&echo, move |_| load.echo(operation, size.kept)));
    cases.push(Case::new(&echo_new, move |_| load.echo_anew(operation, size.new)));
    for place in load.places(operation) {
        let kept = Case::new(format!("{name}{}", place.words), move |_| load.ask(operation, place, size.kept));
        let new = format!("{name}{}, new connection", place.words);
        let new = Case::new(new, move |_| load.ask_anew(operation, place, size.new));
        let kept = kept.against(&[&straight, &echo], AIM);
        let new = new.against(&[&straight, &echo_new], AIM);
        let synced_too = operation.syncs && place.on_disk;
        cases.extend(match synced_too {
            true => [kept.beside(&[&synced, &echo]), new.beside(&[&synced, &echo_new])],
            false => [kept, new],
        });
    }
    cases
}
