//! What reads and commits cost on redb in a file, and what opening it costs.
//!
//! Reads and opening in CPU time of their thread, so that what else the machine does matters little; commits in elapsed
//! time, beside a bare write and sync of one page in the same folder, which they cannot undercut alone but can together, and
//! in CPU time of the whole process. Beside them stand bare commits of redb, of as many records: what a commit of ours is to
//! the engine alone.
//!
//! `cargo bench -p skerry-store --bench store` measures over 100,000 records of 2 KiB in the folder for temporary files;
//! `TMPDIR` chooses the disk. Without `--bench` (`cargo test --benches`) each case runs over a few.

#![allow(clippy::print_stdout)] // a table is what it is for

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use redb::{Database, TableDefinition};
use rustix::time::{ClockId, clock_gettime};
use skerry_store::seal::Root;
use skerry_store::{At, Check, Entry, Op, OpId, Options, Outcome, Revision, Store, Txn};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

type Error = Box<dyn std::error::Error + Send + Sync>;

const VALUE_LEN: usize = 2048;
const CLIENTS: u64 = 64;

/// How much of each thing is done.
struct Scale {
    records: u64,
    reads: u64,
    commits: u64,
}

const FULL: Scale = Scale { records: 100_000, reads: 200_000, commits: 1_000 };
const SMOKE: Scale = Scale { records: 500, reads: 50, commits: 5 };

fn main() -> Result<(), Error> {
    let scale = if std::env::args().any(|arg| arg == "--bench") { FULL } else { SMOKE };
    let runtime = Builder::new_multi_thread().build()?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("store.redb");
    fill(&runtime, &path, &scale)?;

    let (began, cpu) = (Instant::now(), Cpu::now());
    let store = open(&path)?;
    let (elapsed, cpu) = (began.elapsed(), cpu.elapsed());
    println!("open and check {} MiB: {elapsed:.2?}, {cpu:.2?} of CPU", std::fs::metadata(&path)?.len() >> 20);
    runtime.block_on(read(&store, &scale))?;
    sync(dir.path(), scale.commits)?;
    let bare = bare(&dir.path().join("bare.redb"), &scale)?;
    let ours = runtime.block_on(write(&store, &scale))?;
    println!("{:<12} {:>16} {:>16} {:>8}", "clients", "ours a second", "redb a second", "ratio");
    for (clients, ours, bare) in [(1, ours.0, bare.0), (CLIENTS, ours.1, bare.1)] {
        println!("{clients:<12} {ours:>16.0} {bare:>16.0} {:>8.2}", ours / bare);
    }
    Ok(())
}

/// Commits of redb alone with the same two rows, one a commit and 64 a commit: how many rows of records a second.
fn bare(path: &Path, scale: &Scale) -> Result<(f64, f64), Error> {
    let database = Database::builder().set_cache_size(1 << 30).create(path)?;
    let put = |numbers: &mut dyn Iterator<Item = u64>| -> Result<(), Error> {
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(BARE)?;
            for number in numbers {
                let key = key(number);
                table.insert(key.as_slice(), [2; VALUE_LEN].as_slice())?;
                table.insert([b"index/".as_slice(), &key].concat().as_slice(), [3; 32].as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    };
    for first in (0..scale.records).step_by(1_000) {
        put(&mut (first..scale.records.min(first + 1_000)))?;
    }
    let mut rates = [0.0; 2];
    for (rate, group) in rates.iter_mut().zip([1, CLIENTS]) {
        let began = Instant::now();
        for number in 0..scale.commits {
            put(&mut (0..group).map(|client| (client * 1_000 + number) % scale.records))?;
        }
        *rate = rate_of(began.elapsed(), scale.commits * group);
    }
    Ok(rates.into())
}

const BARE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("bare");

fn options(cache_len: usize) -> Options {
    let mut options = Options::new(|failure| println!("store failed: {failure}"));
    options.cache_len = cache_len;
    options
}

fn root() -> Root {
    Root::new(Zeroizing::new([7; 32]))
}

/// With the whole store in the page cache, so that reads are what they are when warm.
fn open(path: &Path) -> Result<Store, Error> {
    Ok(Store::open(path, &root(), options(1 << 30))?)
}

fn fill(runtime: &Runtime, path: &Path, scale: &Scale) -> Result<(), Error> {
    let store = Store::create(path, &root(), options(1 << 28))?;
    let began = Instant::now();
    for first in (0..scale.records).step_by(100) {
        let ops = (first..first.saturating_add(100)).map(|number| Op::Put(key(number), vec![1; VALUE_LEN])).collect();
        committed(runtime.block_on(store.commit(&txn(Vec::new(), ops)))?)?;
    }
    println!("fill with {} records, 100 a commit: {:.2?}", scale.records, began.elapsed());
    Ok(())
}

async fn read(store: &Store, scale: &Scale) -> Result<(), Error> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut key_of = || key(rng.next_u64() % scale.records);
    let newest = store.fence().await?;
    for _ in 0..scale.records {
        store.get(&key_of(), At::Linearizable).await?;
    }
    for (what, at) in [("get", At::Linearizable), ("get at a snapshot of the newest", At::Snapshot(newest))] {
        let began = Cpu::now();
        for _ in 0..scale.reads {
            store.get(&key_of(), at).await?;
        }
        each(what, began.elapsed(), scale.reads);
    }
    let pages = scale.reads / 10;
    let began = Cpu::now();
    for _ in 0..pages {
        store.range(b"vault/", Some(&key_of()), 25, At::Linearizable).await?;
    }
    each("page of 25", began.elapsed(), pages);
    let began = Cpu::now();
    for _ in 0..scale.reads {
        store.fence().await?;
    }
    each("fence", began.elapsed(), scale.reads);
    let threads: Vec<_> = (0..2)
        .map(|seed| {
            let (store, records, reads) = (store.clone(), scale.records, scale.reads);
            tokio::spawn(async move {
                let mut rng = ChaCha20Rng::seed_from_u64(seed);
                let began = Cpu::now();
                for _ in 0..reads {
                    store.get(&key(rng.next_u64() % records), At::Linearizable).await?;
                }
                each("get, beside another thread", began.elapsed(), reads);
                Ok::<_, Error>(())
            })
        })
        .collect();
    for thread in threads {
        thread.await??;
    }
    Ok(())
}

/// The floor of a durable commit.
fn sync(dir: &Path, times: u64) -> Result<(), Error> {
    let file = File::create_new(dir.join("floor"))?;
    file.write_all_at(&vec![0; 1 << 20], 0)?;
    file.sync_all()?;
    let began = Instant::now();
    for number in 0..times {
        file.write_all_at(&[1; 4096], number % 256 * 4096)?;
        file.sync_data()?;
    }
    each("write and sync of a page, bare", began.elapsed(), times);
    Ok(())
}

async fn write(store: &Store, scale: &Scale) -> Result<(f64, f64), Error> {
    let (began, cpu) = (Instant::now(), Cpu::of_process());
    for number in 0..scale.commits {
        update(store, number % scale.records).await?;
    }
    let one = rate_of(began.elapsed(), scale.commits);
    each("get, check and commit, one client", began.elapsed(), scale.commits);
    each("  of CPU", cpu.elapsed(), scale.commits);

    let slowest = Arc::new(AtomicU64::new(0));
    let (began, cpu) = (Instant::now(), Cpu::of_process());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (store, slowest, commits, records) =
                (store.clone(), Arc::clone(&slowest), scale.commits, scale.records);
            tokio::spawn(async move {
                for number in 0..commits / 4 {
                    let began = Instant::now();
                    update(&store, (client * 1_000 + number) % records).await?;
                    slowest.fetch_max(micros(began.elapsed()), Ordering::Relaxed);
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    let many = rate_of(began.elapsed(), CLIENTS * (scale.commits / 4));
    each("the same, 64 clients", began.elapsed(), CLIENTS * (scale.commits / 4));
    each("  of CPU", cpu.elapsed(), CLIENTS * (scale.commits / 4));
    println!("slowest of these: {} us", slowest.load(Ordering::Relaxed));
    Ok((one, many))
}

/// What a change of a key does: the record and one index entry, under a check, until nobody came between.
async fn update(store: &Store, number: u64) -> Result<(), Error> {
    loop {
        let key = key(number);
        let check = match store.get(&key, At::Linearizable).await? {
            Some(Entry { modified, .. }) => Check::Unchanged(key.clone(), modified),
            None => Check::Absent(key.clone()),
        };
        let ops =
            vec![Op::Put(key.clone(), vec![2; VALUE_LEN]), Op::Put([b"index/".as_slice(), &key].concat(), vec![3; 32])];
        match store.commit(&txn(vec![check], ops)).await? {
            Outcome::Conflict(_) => {}
            outcome => return committed(outcome).map(drop),
        }
    }
}

fn committed(outcome: Outcome) -> Result<Revision, Error> {
    match outcome {
        Outcome::Committed(revision) => Ok(revision),
        other => Err(format!("{other:?}").into()),
    }
}

fn txn(checks: Vec<Check>, ops: Vec<Op>) -> Txn {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut op = [0; 16];
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    op.iter_mut().zip(number).for_each(|(to, from)| *to = from);
    Txn { op: OpId(op), checks, ops }
}

/// In no order of time, as ids of keys are.
fn key(number: u64) -> Vec<u8> {
    format!("vault/{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

/// A clock that stands still while the thread, or the process, does not run.
#[derive(Clone, Copy)]
struct Cpu(ClockId, Duration);

impl Cpu {
    fn now() -> Self {
        Self::of(ClockId::ThreadCPUTime)
    }

    fn of_process() -> Self {
        Self::of(ClockId::ProcessCPUTime)
    }

    fn of(clock: ClockId) -> Self {
        let time = clock_gettime(clock);
        let secs = u64::try_from(time.tv_sec).unwrap_or_default();
        Self(clock, Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default()))
    }

    fn elapsed(self) -> Duration {
        Self::of(self.0).1.saturating_sub(self.1)
    }
}

fn rate_of(elapsed: Duration, times: u64) -> f64 {
    f64::from(u32::try_from(times).unwrap_or(u32::MAX)) / elapsed.as_secs_f64()
}

fn each(what: &str, elapsed: Duration, times: u64) {
    let each = elapsed.as_secs_f64() * 1e6 / f64::from(u32::try_from(times.max(1)).unwrap_or(u32::MAX));
    println!("{what}: {each:.2} us each, {:.0} a second", 1e6 / each);
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
