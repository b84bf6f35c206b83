//! What the engine writes etcd's usual client reads, what that writes the engine reads, and both see the same changes in the
//! same order. Starts its own server (Debian: etcd-server); building the other client needs protoc.

#[path = "../../../crates/store-etcd/tests/all/cluster.rs"]
#[allow(dead_code)]
mod cluster;

use cluster::{Cluster, runtime};
use etcd_client::{Client, Compare, CompareOp, EventType, GetOptions, Txn as TheirTxn, TxnOp, WatchOptions};
use skerry_store::{At, Batch, Check, Event, Op, OpId, Outcome, Revision, Settled, Store, Txn};
use skerry_store_etcd::{Make, open};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

struct Both {
    store: Store,
    client: Client,
    prefix: String,
    /// etcd's revision at which the store was made.
    base: i64,
    _cluster: Cluster,
}

async fn both(cluster: Cluster) -> Both {
    let options = cluster.options();
    let prefix = options.prefix.clone();
    let store = open(options, Make::New([1; 16])).await.unwrap();
    let mut client = Client::connect([cluster.members[0].endpoint.as_str()], None).await.unwrap();
    let marker = client.get(format!("{prefix}marker"), None).await.unwrap();
    let base = marker.kvs()[0].create_revision();
    assert_eq!(marker.kvs()[0].value(), [&[0, 1], [1; 16].as_slice()].concat());
    Both { store, client, prefix, base, _cluster: cluster }
}

fn op() -> OpId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; 16];
    id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    OpId(id)
}

fn txn(checks: &[Check], ops: &[Op]) -> Txn {
    Txn { op: op(), checks: checks.to_vec(), ops: ops.to_vec() }
}

fn put(key: &str, value: &str) -> Op {
    Op::Put(key.into(), value.into())
}

impl Both {
    fn data(&self, key: &str) -> String {
        format!("{}data/{key}", self.prefix)
    }

    /// A commit as the engine makes one, by the other client.
    async fn theirs(&mut self, key: &str, value: Option<&str>) -> Revision {
        let op = [self.prefix.as_bytes(), b"op/", &op().0].concat();
        let change = match value {
            Some(value) => TxnOp::put(self.data(key), value, None),
            None => TxnOp::delete(self.data(key), None),
        };
        let head = TxnOp::put(format!("{}head", self.prefix), [9; 8], None);
        let txn = TheirTxn::new()
            .when([Compare::version(op.clone(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(op, [1], None), change, head]);
        let answer = self.client.txn(txn).await.unwrap();
        assert!(answer.succeeded());
        Revision((answer.header().unwrap().revision() - self.base).try_into().unwrap())
    }

    /// All entries, as the other client has them: value, created, modified, version.
    async fn their_rows(&mut self) -> BTreeMap<Vec<u8>, (Vec<u8>, u64, u64, u64)> {
        let prefix = self.data("");
        let answer = self.client.get(prefix.clone(), Some(GetOptions::new().with_prefix())).await.unwrap();
        let ours = |revision: i64| u64::try_from(revision - self.base).unwrap();
        let rows = answer.kvs().iter().map(|row| {
            let (created, modified) = (ours(row.create_revision()), ours(row.mod_revision()));
            let held = (row.value().to_vec(), created, modified, row.version().try_into().unwrap());
            (row.key()[prefix.len()..].to_vec(), held)
        });
        rows.collect()
    }
}

#[test]
fn both_read_what_either_writes() {
    // Two hundred changes, by one and the other in turn; after each all entries are the same to both.
    let cluster = Cluster::single();
    runtime().block_on(async {
        let mut both = both(cluster).await;
        for round in 0..200_u64 {
            let key = format!("k{}", round * 7 % 11);
            let value = round.to_string();
            match round % 4 {
                0 => drop(both.theirs(&key, Some(&value)).await),
                1 => drop(both.theirs(&key, None).await),
                2 => drop(both.store.commit(&txn(&[], &[put(&key, &value)])).await.unwrap()),
                _ => drop(both.store.commit(&txn(&[], &[Op::Delete(key.clone().into())])).await.unwrap()),
            }
            let page = both.store.range(b"", None, 100, At::Linearizable).await.unwrap();
            let ours: BTreeMap<_, _> = page
                .rows
                .into_iter()
                .map(|row| {
                    let entry = row.entry;
                    (row.key, (entry.value, entry.created.0, entry.modified.0, entry.version))
                })
                .collect();
            let theirs = both.their_rows().await;
            assert_eq!(ours, theirs, "round {round}");
            let one = both.store.get(key.as_bytes(), At::Linearizable).await.unwrap();
            assert_eq!(one.map(|entry| entry.value), theirs.get(key.as_bytes()).map(|held| held.0.clone()));
        }
    });
}

#[test]
fn transactions_agree() {
    // Checks are decided on what the other wrote; op ids say what was decided, in the other's eyes as well.
    let cluster = Cluster::single();
    runtime().block_on(async {
        let mut both = both(cluster).await;
        let at = both.theirs("a", Some("1")).await;
        let checked = |check| txn(&[check], &[put("b", "")]);
        let stale = checked(Check::Unchanged(b"a".to_vec(), Revision(at.0 - 1)));
        assert_eq!(both.store.commit(&stale).await, Ok(Outcome::Conflict(b"a".to_vec())));
        assert_eq!(both.store.commit(&checked(Check::Absent(b"a".to_vec()))).await, Ok(Outcome::Conflict(b"a".to_vec())));
        let good = checked(Check::Unchanged(b"a".to_vec(), at));
        let Ok(Outcome::Committed(revision)) = both.store.commit(&good).await else { panic!() };
        let lost = op();
        assert_eq!(both.store.settle(lost).await, Ok(Settled::Aborted));
        for (op, state, revision) in [(good.op, 1, Some(revision)), (lost, 2, None)] {
            let key = [both.prefix.as_bytes(), b"op/", &op.0].concat();
            let answer = both.client.get(key, None).await.unwrap();
            assert_eq!(answer.kvs()[0].value(), [state]);
            let at = u64::try_from(answer.kvs()[0].mod_revision() - both.base).unwrap();
            assert!(revision.is_none_or(|revision| revision.0 == at));
        }
    });
}

#[test]
fn watches_agree() {
    // The same events of the same commits, the head last, in one order.
    let cluster = Cluster::single();
    runtime().block_on(async {
        let mut both = both(cluster).await;
        let mut ours = both.store.watch(b"", Revision(0)).unwrap();
        let options = WatchOptions::new().with_prefix().with_start_revision(both.base + 1);
        let mut theirs = both.client.watch(both.data(""), Some(options)).await.unwrap();
        let mut expected = Vec::new();
        for round in 0..60_u64 {
            let key = format!("k{}", round % 5);
            let revision = match round % 3 {
                0 => both.theirs(&key, Some("theirs")).await,
                _ => {
                    let txn = txn(&[], &[put(&key, "1"), put("b", &round.to_string())]);
                    let Ok(Outcome::Committed(revision)) = both.store.commit(&txn).await else { panic!() };
                    revision
                }
            };
            expected.push(revision);
        }
        let mut seen: BTreeMap<u64, Vec<(Vec<u8>, Option<Vec<u8>>)>> = BTreeMap::new();
        while seen.len() < expected.len() {
            let answer = theirs.message().await.unwrap().unwrap();
            for event in answer.events() {
                let row = event.kv().unwrap();
                let key = row.key()[both.data("").len()..].to_vec();
                let value = (event.event_type() == EventType::Put).then(|| row.value().to_vec());
                seen.entry(u64::try_from(row.mod_revision() - both.base).unwrap()).or_default().push((key, value));
            }
        }
        for revision in expected {
            let Batch { revision: at, events } = ours.next().await.unwrap();
            assert_eq!(at, revision);
            let events: Vec<_> = events
                .into_iter()
                .map(|event| match event {
                    Event::Put(row) => (row.key, Some(row.entry.value)),
                    Event::Deleted(key) => (key, None),
                })
                .collect();
            assert_eq!(events, seen[&revision.0]);
        }
    });
}

#[test]
fn leases_are_etcd_s() {
    // The name is a key under a lease with the time that was asked for, and goes when it is given back.
    let cluster = Cluster::single();
    runtime().block_on(async {
        let mut both = both(cluster).await;
        let held = both.store.lease("purge", "node a", Duration::from_secs(20)).await.unwrap().unwrap();
        let key = format!("{}lease/purge", both.prefix);
        let answer = both.client.get(key.clone(), None).await.unwrap();
        assert_eq!(answer.kvs()[0].value(), b"node a");
        let life = both.client.lease_time_to_live(answer.kvs()[0].lease(), None).await.unwrap();
        assert_eq!(life.granted_ttl(), 20);
        drop(held);
        while !both.client.get(key.clone(), None).await.unwrap().kvs().is_empty() {
            tokio::task::yield_now().await;
        }
    });
}
