//! How long reads and commits pause when a server fails.

use crate::cluster::{Cluster, runtime};
use crate::txn;
use skerry_store::{At, Op, Outcome, Settled, Store};
use skerry_store_etcd::{Make, open};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Arguments that docs/operate.md, "First: etcd", advises for servers of one site.
const ADVISED: [&str; 3] = ["--heartbeat-interval=50", "--election-timeout=500", "--pre-vote=true"];

/// What happens, and to which server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    LeaderKilled,
    LeaderStopped,
    FollowerStopped,
}

const FAILURES: [(&str, Failure); 3] = [
    ("leader killed", Failure::LeaderKilled),
    ("leader stands still", Failure::LeaderStopped),
    ("follower stands still", Failure::FollowerStopped),
];

/// How long calls are made before the failure, and at least after it.
const BEFORE: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(3000);

pub(crate) fn show(failures: usize) {
    println!();
    println!(
        "{:<44} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "pauses in ms", "reads p50", "longest", "commits", "longest", "unknown"
    );
    for (of, flags) in [("etcd's time-outs", [].as_slice()), ("advised time-outs", &ADVISED)] {
        let mut cluster = Cluster::three_with(flags);
        cluster.until_all_answer();
        for (what, failure) in FAILURES {
            let mut seen: Vec<Paused> = (0..failures).map(|round| fail(&mut cluster, failure, round)).collect();
            let unknown: u64 = seen.iter().map(|paused| paused.unknown).sum();
            let (reads, longest_read) = middle(&mut seen, |paused| paused.reads);
            let (commits, longest_commit) = middle(&mut seen, |paused| paused.commits);
            println!(
                "{:<44} {reads:>10} {longest_read:>10} {commits:>10} {longest_commit:>10} {unknown:>8}",
                format!("{of}: {what}"),
            );
        }
    }
}

/// Longest pauses around one failure.
struct Paused {
    reads: Duration,
    commits: Duration,
    unknown: u64,
}

/// The one in the middle and the longest, in milliseconds.
fn middle(seen: &mut [Paused], of: impl Fn(&Paused) -> Duration) -> (u128, u128) {
    seen.sort_by_key(&of);
    (of(&seen[seen.len() / 2]).as_millis(), of(&seen[seen.len() - 1]).as_millis())
}

/// One failure of a healthy cluster, which is one again after it. The node asks the server that fails first, and every other
/// time a leader is killed or stopped it asks another.
fn fail(cluster: &mut Cluster, failure: Failure, round: usize) -> Paused {
    let leader = cluster.leader();
    let fails = if failure == Failure::FollowerStopped { (leader + 1) % 3 } else { leader };
    let mut options = cluster.options();
    let first = if failure == Failure::FollowerStopped { fails } else { (fails + round % 2) % 3 };
    options.endpoints.rotate_left(first);
    let store = runtime().block_on(open(options, Make::New([1; 16]))).unwrap();
    let (stop, unknown) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reads = probe(&stop, {
        let store = store.clone();
        move || is_read(store.clone())
    });
    let commits = probe(&stop, {
        let (store, unknown) = (store.clone(), Arc::clone(&unknown));
        move || is_committed(store.clone(), Arc::clone(&unknown))
    });
    std::thread::sleep(BEFORE);
    match failure {
        Failure::LeaderKilled => cluster.members[fails].kill(),
        Failure::LeaderStopped | Failure::FollowerStopped => cluster.members[fails].pause(true),
    }
    std::thread::sleep(AFTER);
    stop.store(true, Ordering::Relaxed);
    let (reads, commits) = (reads.join().unwrap(), commits.join().unwrap());
    match failure {
        Failure::LeaderKilled => cluster.members[fails].start(),
        Failure::LeaderStopped | Failure::FollowerStopped => cluster.members[fails].pause(false),
    }
    cluster.until_all_answer();
    Paused { reads, commits, unknown: unknown.load(Ordering::Relaxed) }
}

async fn is_read(store: Store) -> bool {
    store.get(b"probe", At::Linearizable).await.is_ok()
}

async fn is_committed(store: Store, unknown: Arc<AtomicU64>) -> bool {
    let txn = txn(Vec::new(), vec![Op::Put(b"probe".to_vec(), vec![1; 64])]);
    match store.commit(&txn).await {
        Ok(Outcome::Committed(_)) => true,
        Ok(Outcome::Unknown) => {
            unknown.fetch_add(1, Ordering::Relaxed);
            matches!(store.settle(txn.op).await, Ok(Settled::Committed(_)))
        }
        Ok(Outcome::Conflict(_)) | Err(_) => false,
    }
}

/// The longest time from one call that did what it should to the next, until it is told to stop and one more has.
fn probe<F: Future<Output = bool>>(
    stop: &Arc<AtomicBool>,
    call: impl Fn() -> F + Send + 'static,
) -> std::thread::JoinHandle<Duration> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        loop {
            let stops = stop.load(Ordering::Relaxed);
            if runtime().block_on(call()) {
                longest = longest.max(last.elapsed());
                last = Instant::now();
                if stops {
                    return longest;
                }
            }
        }
    })
}
