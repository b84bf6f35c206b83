//! What a million keys cost: how a server's start, its answers and its memory change with the number of keys.
//!
//! A folder is filled as a vault fills it: rows sealed by the vault's own code, an EC key of its own in each, two records in the
//! log for each key. Then the program itself is started on it, asked over HTTPS for a key, a signature (which waits until every
//! row is checked), keys at random and pages of the list; stopped, started once more, killed after a change, and started again.
//!
//! `cargo bench --bench scale` measures 1,000 to 1,000,000 keys, which takes some minutes and 4 GB of disk below the target
//! folder, and leaves nothing; `-- --keys N` takes one number, `-- --backup` measures backup and restore instead. With `-- --engine
//! etcd` the folder's store is then moved to three servers of etcd by `skerry store migrate`, and the program is a node on them: one
//! column more says how long that took, and a million keys take some 10 GB more in the folder for temporary files (TMPDIR), which
//! should be on a disk. A node that was killed waits until its name is free, some 15 s. Without `--bench` it is some tens of
//! keys. Times are elapsed.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/https/mod.rs"]
mod https;

mod backup;
#[path = "../../../store-etcd/tests/all/cluster.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)] // it serves tests: a panic is how they fail
mod cluster;
mod etcd;
mod fill;
mod program;

use std::io::Write as _;
use std::time::Instant;

use common::measure::percentile;
use fill::Folder;
use program::Program;
use rand_core::Rng as _;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let asked = args.iter().skip_while(|arg| *arg != "--keys").nth(1).map(|keys| keys.parse()).transpose()?;
    let counts: Vec<u32> = match (asked, args.iter().any(|arg| arg == "--bench")) {
        (Some(keys), _) => vec![keys],
        (None, true) => FULL.to_vec(),
        (None, false) => TINY.to_vec(),
    };
    let mut out = std::io::stdout().lock();
    if args.iter().any(|arg| arg == "--backup") {
        writeln!(out, "{}", backup::HEADER)?;
        return counts.into_iter().try_for_each(|keys| backup::Figures::of(keys)?.print(&mut out));
    }
    let engine = match args.iter().skip_while(|arg| *arg != "--engine").nth(1).map(String::as_str) {
        None | Some("redb") => Engine::Redb,
        Some("etcd") => Engine::Etcd,
        Some(other) => anyhow::bail!("--engine {other} is neither redb nor etcd"),
    };
    // What a server takes that has next to nothing.
    let empty = Figures::of(1, engine)?.resident_mib;
    writeln!(out, "{HEADER}{}", if engine == Engine::Etcd { " |  moved s" } else { "" })?;
    for keys in counts {
        let figures = Figures::of(keys, engine)?;
        figures.print(&mut out, empty)?;
    }
    Ok(())
}

/// Where the rows are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Redb,
    Etcd,
}

const FULL: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const TINY: [u32; 1] = [60];

/// Requests for keys, and for pages.
const GETS: usize = 2_000;
const PAGES: usize = 200;

/// What was seen with so many keys.
struct Figures {
    keys: u32,
    fill_secs: f64,
    store_mib: f64,
    log_mib: f64,
    /// From the start of the program to the answer.
    first_get_ms: f64,
    first_sign_ms: f64,
    first_get_after_kill_ms: f64,
    get_ms: (f64, f64),
    page_ms: (f64, f64),
    resident_mib: f64,
    /// From one engine to the other.
    moved_secs: Option<f64>,
}

impl Figures {
    fn of(keys: u32, engine: Engine) -> anyhow::Result<Figures> {
        let begun = Instant::now();
        let mut folder = Folder::filled(keys)?;
        let fill_secs = begun.elapsed().as_secs_f64();
        let servers = match engine {
            Engine::Redb => None,
            Engine::Etcd => Some(etcd::Servers::start()),
        };
        let moved_secs = servers.as_ref().map(|servers| servers.take(&mut folder)).transpose()?;
        let program = Program::start(&folder)?;
        let first_get_ms = program.time(|program| program.get(keys / 2))?;
        let first_sign_ms = program.time(|program| program.sign(keys / 2))?;
        let get_ms = spread((0..GETS).map(|_| millis(|| program.get(common::rng().next_u32() % keys))))?;
        let page_ms = program.pages(PAGES)?;
        let resident_mib = program.resident_mib()?;
        program.stop()?;
        let program = Program::start(&folder)?;
        // It has to have changed something, or it may be killed as if it had stopped.
        program.create("one-more")?;
        program.kill()?;
        let program = Program::start(&folder)?;
        let first_get_after_kill_ms = program.time(|program| program.get(0))?;
        program.stop()?;
        Ok(Figures {
            keys,
            fill_secs,
            store_mib: match &servers {
                None => folder.mib("store.redb")?,
                Some(servers) => servers.mib()?,
            },
            log_mib: folder.mib("audit/audit.log")?,
            first_get_ms,
            first_sign_ms,
            first_get_after_kill_ms,
            get_ms,
            page_ms: spread(page_ms.into_iter().map(Ok))?,
            resident_mib,
            moved_secs,
        })
    }

    fn print(&self, out: &mut impl std::io::Write, empty_mib: f64) -> anyhow::Result<()> {
        let per_key = |mib: f64| mib * 1024.0 * 1024.0 / f64::from(self.keys);
        let Figures { keys, fill_secs, store_mib, log_mib, first_get_ms, first_sign_ms, .. } = self;
        let ((get, get_high), (page, page_high)) = (self.get_ms, self.page_ms);
        writeln!(
            out,
            "{keys:>9} {fill_secs:>7.1} {store_mib:>9.1} {log_mib:>8.1} {:>8.0} | {first_get_ms:>9.0} {first_sign_ms:>10.0} \
             {:>10.0} | {get:>7.2} {get_high:>7.2} {page:>7.2} {page_high:>7.2} | {:>8.1} {:>9.0}{}",
            per_key(*store_mib),
            self.first_get_after_kill_ms,
            self.resident_mib,
            per_key(self.resident_mib - empty_mib),
            self.moved_secs.map(|secs| format!(" | {secs:>8.1}")).unwrap_or_default(),
        )?;
        Ok(())
    }
}

const HEADER: &str = "     keys  fill s store MiB  log MiB   B each |  start ms  .. signed    .. killed |     get     p99    page     \
                      p99 |  RSS MiB    B each";

fn millis(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Median and 99th percentile.
fn spread(values: impl Iterator<Item = anyhow::Result<f64>>) -> anyhow::Result<(f64, f64)> {
    let mut values = values.collect::<anyhow::Result<Vec<f64>>>()?;
    values.sort_by(f64::total_cmp);
    Ok((percentile(&values, 50), percentile(&values, 99)))
}
