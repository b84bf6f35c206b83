//! Losses of power, thousands of them, one after another on the same file: while it is written, while it is opened again,
//! while what was unknown is settled. Of what was not synced nothing is left, or everything, or any sectors of it in any order.
//!
//! This proves the protocol, on a disk that keeps what it said it has. Disks that do not are not tried here.

use crate::disk::{Disk, Fault};
use crate::engines::*;
use crate::suite::fixtures::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use skerry_store::{At, OpId, Options, Outcome, Settled, Store, StoreError, Txn};
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

const FILES: u64 = 300;
const LIVES: usize = 10;

/// What is known of a file: rows that were acknowledged, and transactions of which nobody knows.
#[derive(Default)]
struct Known {
    rows: BTreeMap<String, String>,
    unknown: Vec<(OpId, String, String)>,
    written: usize,
}

/// How the lives of files ended.
#[derive(Debug, Default)]
struct Ends {
    opening: usize,
    settling: usize,
    writing: usize,
    quiet: usize,
    committed: usize,
    aborted: usize,
    acknowledged: usize,
}

fn below(random: &mut ChaCha20Rng, most: usize) -> usize {
    usize::try_from(random.next_u64() % u64::try_from(most).unwrap()).unwrap()
}

fn fault(random: &mut ChaCha20Rng) -> Fault {
    match below(random, 4) {
        0 => Fault::Sync(below(random, 6)),
        1 => Fault::SyncDone(below(random, 6)),
        _ => Fault::Write(below(random, 60)),
    }
}

impl Known {
    /// Everything acknowledged is there, and nothing that nobody asked for; what is unknown is there whole or not at all.
    fn check(&self, store: &Store, what: &str) {
        let page = range(store, "", None, 1000, At::Linearizable).unwrap();
        let mut found: BTreeMap<_, _> = page.rows.into_iter().map(|row| (row.key, row.entry.value)).collect();
        for (key, value) in &self.rows {
            // One that is unknown may have written over it.
            let new = self.unknown.iter().filter(|(_, own, _)| own == key).map(|(_, _, value)| value);
            let found = found.remove(key.as_bytes()).unwrap_or_else(|| panic!("{what}: {key} is gone"));
            let is_known = new.chain([value]).any(|value| value.as_bytes() == found);
            assert!(is_known, "{what}: {key}");
        }
        for (key, value) in found {
            let is_known = |(_, own, new): &&(OpId, String, String)| own.as_bytes() == key && new.as_bytes() == value;
            assert!(self.unknown.iter().any(|unknown| is_known(&unknown)), "{what}: {key:?} comes from nowhere");
        }
    }

    /// Finds out of every unknown transaction whether it happened; false if the power fails meanwhile.
    fn settle(&mut self, store: &Store, ends: &mut Ends, what: &str) -> bool {
        while let Some((op, key, value)) = self.unknown.first().cloned() {
            let settled = match wait(store.settle(op)) {
                Ok(settled) => settled,
                Err(StoreError::Failed) => return false,
                Err(other) => panic!("{what}: {other}"),
            };
            self.unknown.remove(0);
            let found = get(store, &key, At::Linearizable).unwrap().map(|entry| entry.value);
            match settled {
                Settled::Committed(_) => {
                    ends.committed += 1;
                    assert_eq!(found.as_deref(), Some(value.as_bytes()), "{what}");
                    self.rows.insert(key, value);
                }
                Settled::Aborted => {
                    ends.aborted += 1;
                    assert_eq!(found.as_deref(), self.rows.get(&key).map(String::as_bytes), "{what}");
                }
            }
        }
        true
    }

    /// Commits groups, to a few keys that are written over and some that are new, until the power fails or there are enough.
    /// False if it failed.
    fn write(&mut self, store: &Store, random: &mut ChaCha20Rng, ends: &mut Ends) -> bool {
        for _ in 0..below(random, 12) {
            let group: Vec<(Txn, String, String)> = (0..1 + below(random, 4))
                .map(|number| {
                    self.written += 1;
                    let fresh = below(random, 3) == 0;
                    let key = if fresh { format!("new/{}", self.written) } else { format!("old/{number}") };
                    let len = [20, 300, 9_000][below(random, 3)];
                    let value = format!("{} {}", self.written, "x".repeat(below(random, len)));
                    (txn(&[], &[put(&key, &value)]), key, value)
                })
                .collect();
            let mut failed = false;
            for (outcome, (txn, key, value)) in
                side_by_side(group.iter().map(|(txn, ..)| store.commit(txn))).zip(&group)
            {
                match outcome {
                    Ok(Outcome::Committed(_)) => {
                        ends.acknowledged += 1;
                        self.rows.insert(key.clone(), value.clone());
                    }
                    Ok(Outcome::Unknown) => {
                        failed = true;
                        self.unknown.push((txn.op, key.clone(), value.clone()));
                    }
                    // Behind a group that failed: it did not happen.
                    Err(StoreError::Failed) => failed = true,
                    other => panic!("{other:?}"),
                }
            }
            if failed {
                return false;
            }
        }
        true
    }
}

/// What all of these come to, each begun before the first is waited for.
fn side_by_side<F: Future>(futures: impl Iterator<Item = F>) -> impl Iterator<Item = F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    let begun = |future: F| {
        let mut future = Box::pin(future);
        let polled = future.as_mut().poll(&mut context);
        (future, polled)
    };
    let begun: Vec<_> = futures.map(begun).collect();
    begun.into_iter().map(|(future, polled)| match polled {
        Poll::Ready(output) => output,
        Poll::Pending => wait(future),
    })
}

/// One life of a file: opened, settled, written. What the disk does afterwards is the caller's.
fn live(disk: &Disk, known: &mut Known, random: &mut ChaCha20Rng, ends: &mut Ends, what: &str) {
    let early = below(random, 3) == 0;
    if early {
        disk.fail(fault(random));
    }
    let store = match Store::open_on(disk.clone(), &root(1), Options::new(drop)) {
        Ok(store) => store,
        // Nothing but the power, and only if it was to fail.
        Err(StoreError::Io { .. } | StoreError::Failed) if early => {
            ends.opening += 1;
            return;
        }
        Err(other) => panic!("{what}: {other}"),
    };
    known.check(&store, what);
    if !early {
        disk.fail(fault(random));
    }
    match known.settle(&store, ends, what) {
        false => ends.settling += 1,
        true => match known.write(&store, random, ends) {
            false => ends.writing += 1,
            true => ends.quiet += 1,
        },
    }
}

#[test]
fn acknowledged_commits_survive_losses_of_power() {
    let mut ends = Ends::default();
    for seed in 0..FILES {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let mut disk = Disk::new();
        drop(Store::create_on(disk.clone(), &root(1), options()).unwrap());
        let mut known = Known::default();
        for life in 0..LIVES {
            live(&disk, &mut known, &mut random, &mut ends, &format!("file {seed}, life {life}"));
            let kept = [0, 20, 50, 80, 100][below(&mut random, 5)];
            disk = Disk::holding(disk.left(&mut random, kept));
        }
        let store = Store::open_on(disk, &root(1), options()).unwrap();
        known.check(&store, &format!("file {seed}"));
        assert!(known.settle(&store, &mut ends, &format!("file {seed}")));
        known.check(&store, &format!("file {seed}, settled"));
        assert!(known.unknown.is_empty());
    }
    let lost = ends.opening + ends.settling + ends.writing;
    assert!(lost > 1_000 && ends.opening > 20 && ends.settling > 20, "{ends:?}");
    assert!(ends.committed > 50 && ends.aborted > 50 && ends.acknowledged > 1_000, "{ends:?}");
}
