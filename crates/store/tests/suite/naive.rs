//! The store against a naive model that keeps every state whole.

use super::fixtures::*;
use crate::engines::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use skerry_store::{At, Batch, Check, Entry, Event, Op, OpId, Outcome, Page, Revision, Row, Settled, Store, Txn};
use std::collections::BTreeMap;

type State = BTreeMap<String, Entry>;

/// What a store should be.
#[derive(Default)]
pub(crate) struct Naive {
    /// By revision; the first is before anything.
    states: Vec<State>,
    ops: BTreeMap<[u8; 16], Settled>,
}

impl Naive {
    pub(crate) fn new() -> Self {
        Self { states: vec![State::new()], ..Self::default() }
    }

    fn newest(&self) -> u64 {
        u64::try_from(self.states.len() - 1).unwrap()
    }

    fn state(&self, revision: u64) -> &State {
        &self.states[usize::try_from(revision).unwrap()]
    }

    pub(crate) fn commit(&mut self, txn: &Txn) -> Outcome {
        if self.ops.contains_key(&txn.op.0) {
            return Outcome::Conflict(txn.op.key());
        }
        let mut state = self.state(self.newest()).clone();
        for check in &txn.checks {
            let entry = state.get(text(check.key()));
            let holds = match check {
                Check::Absent(_) => entry.is_none(),
                Check::Present(_) => entry.is_some(),
                Check::Unchanged(_, revision) => entry.is_some_and(|entry| entry.modified == *revision),
            };
            if !holds {
                return Outcome::Conflict(check.key().to_vec());
            }
        }
        let revision = Revision(self.newest() + 1);
        for op in &txn.ops {
            let before = state.remove(text(op.key()));
            if let Op::Put(key, value) = op {
                let created = before.as_ref().map_or(revision, |before| before.created);
                let version = before.map_or(0, |before| before.version) + 1;
                let entry = Entry { value: value.clone(), created, modified: revision, version };
                state.insert(text(key).to_owned(), entry);
            }
        }
        self.states.push(state);
        self.ops.insert(txn.op.0, Settled::Committed(revision));
        Outcome::Committed(revision)
    }

    fn settle(&mut self, op: OpId) -> Settled {
        if let Some(settled) = self.ops.get(&op.0) {
            return *settled;
        }
        self.states.push(self.state(self.newest()).clone());
        self.ops.insert(op.0, Settled::Aborted);
        Settled::Aborted
    }

    fn page(&self, prefix: &str, after: Option<&str>, limit: usize, revision: u64) -> Page {
        let rows = self.state(revision).iter();
        let rows = rows.filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        let mut rows: Vec<_> = rows.map(|(key, entry)| row(key, entry)).collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        Page { rows, revision: Revision(revision), more }
    }

    /// All rows of the newest state.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.page("", None, usize::MAX, self.newest()).rows
    }

    /// What differs from each state to the next, keys in order.
    fn batches(&self, prefix: &str, from: u64) -> Vec<Batch> {
        let revisions = from + 1..=self.newest();
        let batches = revisions.map(|revision| {
            let (before, after) = (self.state(revision - 1), self.state(revision));
            let keys = before.keys().chain(after.keys()).filter(|key| key.starts_with(prefix));
            let keys: std::collections::BTreeSet<_> = keys.collect();
            let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
            let events = changed.map(|key| match after.get(key) {
                Some(entry) => Event::Put(row(key, entry)),
                None => Event::Deleted(key.clone().into()),
            });
            Batch { revision: Revision(revision), events: events.collect() }
        });
        batches.filter(|batch| !batch.events.is_empty()).collect()
    }
}

/// One thing done to both.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Commit { op: u8, checks: Vec<Check>, ops: Vec<Op> },
    Settle { op: u8 },
    Get { key: String, back: u64 },
    Range { prefix: String, after: Option<String>, limit: usize, back: u64 },
    Watch { prefix: String, back: u64 },
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "a/", "a/1", "a/10", "a/2", "b", "b/1", "c"]).prop_map(str::to_owned)
}

fn prefix() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "a/", "a/1", "b", "c", "d"]).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = Check> {
    prop_oneof![
        key().prop_map(|key| Check::Absent(key.into())),
        key().prop_map(|key| Check::Present(key.into())),
        (key(), 0..20_u64).prop_map(|(key, revision)| Check::Unchanged(key.into(), Revision(revision))),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // One change a key, in the order of keys, as the naive model tells events.
    let change = prop::option::of(prop::collection::vec(any::<u8>(), 0..4));
    prop::collection::btree_map(key(), change, 0..4).prop_map(|changes| {
        let op = |(key, value): (String, Option<Vec<u8>>)| match value {
            Some(value) => Op::Put(key.into(), value),
            None => Op::Delete(key.into()),
        };
        changes.into_iter().map(op).collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    // Few op ids, so that some are used again; revisions of the past as a distance.
    prop_oneof![
        6 => (any::<u8>(), prop::collection::vec(condition(), 0..3), ops())
            .prop_map(|(op, checks, ops)| Step::Commit { op, checks, ops }),
        1 => any::<u8>().prop_map(|op| Step::Settle { op }),
        2 => (key(), 0..8_u64).prop_map(|(key, back)| Step::Get { key, back }),
        3 => (prefix(), prop::option::of(key()), 1..5_usize, 0..8_u64)
            .prop_map(|(prefix, after, limit, back)| Step::Range { prefix, after, limit, back }),
        1 => (prefix(), 0..8_u64).prop_map(|(prefix, back)| Step::Watch { prefix, back }),
    ]
}

/// Does the steps to both, and compares.
pub(crate) fn run(engine: &str, store: &Store, steps: &[Step]) {
    let mut naive = Naive::new();
    let mut watches = Vec::new();
    for step in steps {
        let past = |back: u64| naive.newest().saturating_sub(back);
        match step {
            Step::Commit { op, checks, ops } => {
                let txn = Txn { op: OpId([*op; 16]), checks: checks.clone(), ops: ops.clone() };
                assert_eq!(wait(store.commit(&txn)), Ok(naive.commit(&txn)), "{engine}");
            }
            Step::Settle { op } => {
                let op = OpId([*op; 16]);
                assert_eq!(wait(store.settle(op)), Ok(naive.settle(op)), "{engine}");
            }
            Step::Get { key, back } => {
                let revision = past(*back);
                let expected = naive.state(revision).get(key);
                assert_eq!(get(store, key, At::Snapshot(Revision(revision))), Ok(expected.cloned()), "{engine}");
                let newest = naive.state(naive.newest()).get(key);
                assert_eq!(get(store, key, At::Linearizable), Ok(newest.cloned()), "{engine}");
            }
            Step::Range { prefix, after, limit, back } => {
                let (revision, after) = (past(*back), after.as_deref());
                let page = range(store, prefix, after, *limit, At::Snapshot(Revision(revision)));
                assert_eq!(page, Ok(naive.page(prefix, after, *limit, revision)), "{engine}");
                let page = range(store, prefix, after, *limit, At::Linearizable);
                assert_eq!(page, Ok(naive.page(prefix, after, *limit, naive.newest())), "{engine}");
            }
            Step::Watch { prefix, back } => {
                let revision = past(*back);
                watches.push((prefix, revision, store.watch(prefix.as_bytes(), Revision(revision)).unwrap()));
            }
        }
        assert_eq!(wait(store.fence()), Ok(Revision(naive.newest())), "{engine}");
    }
    for (prefix, from, mut watch) in watches {
        let batches: Vec<_> = std::iter::from_fn(|| watch.ready().unwrap()).collect();
        assert_eq!(batches, naive.batches(prefix, from), "{engine}");
        assert_eq!(watch.seen(), Revision(naive.newest()), "{engine}");
    }
}

pub(crate) fn every_engine_is_the_naive_model() {
    // Whatever is done in whatever order, answers are those of a model that keeps every state whole.
    check(CASES, |steps| {
        for (engine, store, _guard) in quick_engines() {
            run(engine, &store, steps);
        }
    });
}

/// Runs a test of many sequences of steps.
pub(crate) fn check(cases: u32, test: impl Fn(&[Step])) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let ran = TestRunner::new(config).run(&prop::collection::vec(step(), 1..60), |steps| {
        test(&steps);
        Ok(())
    });
    ran.unwrap();
}

fn row(key: &str, entry: &Entry) -> Row {
    Row { key: key.into(), entry: entry.clone() }
}

fn text(key: &[u8]) -> &str {
    std::str::from_utf8(key).unwrap()
}
