//! What commits, fences and reads cost on three servers of etcd, and how long they pause when a server is killed or stands still.
//!
//! Commits are shown beside bare ones of etcd in the same run: the same comparison and the same two puts in a transaction of its
//! own, sent over one connection, without op id, head, failover or cache. All servers and the clients share this machine and its
//! disk, so numbers are a lower bound, and only ratios mean something.
//!
//! Pauses are shown for etcd's own time-outs and for those that docs/operate.md advises: the median and the longest of several
//! failures each. Every failure is of a node that speaks to one certain server first, the one that fails or another.
//!
//! `cargo bench -p skerry-store-etcd --bench store`, with `-- pauses` for these alone (`-- pauses 20` for so many failures of each); without `--bench` each case runs a few
//! times. Needs etcd.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../tests/all/cluster.rs"]
#[allow(dead_code)]
mod cluster;
mod pauses;
#[path = "../../src/wire.rs"]
#[allow(dead_code)]
mod wire;

use cluster::{Cluster, runtime};
use skerry_store::{At, Check, Op, OpId, Outcome, Store, Txn};
use skerry_store_etcd::{Make, open};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_prost::ProstCodec;
use wire::{TxnRequest, TxnResponse};

const VALUE_LEN: usize = 2048;

fn main() {
    let full = std::env::args().any(|arg| arg == "--bench");
    let seconds = Duration::from_millis(if full { 5_000 } else { 300 });
    if std::process::Command::new("etcd").arg("--version").output().is_err() {
        println!("no etcd (Debian: etcd-server): nothing is measured");
        return;
    }
    if !std::env::args().any(|arg| arg == "pauses") {
        costs(seconds);
    }
    let failures = std::env::args().find_map(|arg| arg.parse().ok());
    pauses::show(failures.unwrap_or(if full { 8 } else { 1 }));
}

fn costs(seconds: Duration) {
    let cluster = Cluster::three();
    let store = runtime().block_on(open(cluster.options(), Make::New([1; 16]))).unwrap();
    let bare = runtime().block_on(channel(&cluster));
    let clients = |count, case| measure(&store, &bare, count, seconds, case);
    println!("{:<44} {:>10} {:>10} {:>10}", "three servers of etcd", "a second", "p50 us", "p99 us");
    for count in [1, 64] {
        // Keys are there from then on.
        clients(count, Case::First);
        let bare = clients(count, Case::Bare);
        show(&format!("bare transaction, clients: {count}"), &bare);
        let ours = clients(count, Case::Commit);
        show(&format!("commit of the same, clients: {count}"), &ours);
        println!("{:<44} {:>10.2}", "  ratio", rate(&ours) / rate(&bare));
    }
    for count in [1, 64] {
        show(&format!("fence, clients: {count}"), &clients(count, Case::Fence));
        show(&format!("get of what is cached, clients: {count}"), &clients(count, Case::Get));
    }
}

/// A connection to the first server.
async fn channel(cluster: &Cluster) -> Channel {
    let ca = cluster.ca.as_ref().unwrap();
    let (certificate, key) = ca.issue();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca.pem()));
    let tls = tls.identity(Identity::from_pem(certificate, key));
    let endpoint = Endpoint::from_shared(cluster.members[0].endpoint.clone()).unwrap().tcp_nodelay(true);
    endpoint.tls_config(tls).unwrap().connect().await.unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Makes the keys.
    First,
    /// What a commit is to etcd alone.
    Bare,
    /// A change of a key: a check, the record, an entry of an index.
    Commit,
    Fence,
    Get,
}

/// Times of all calls of so many clients, and how long it was.
struct Measured {
    times: Vec<Duration>,
    elapsed: Duration,
}

fn measure(store: &Store, bare: &Channel, clients: u64, seconds: Duration, case: Case) -> Measured {
    runtime().block_on(async {
        let began = Instant::now();
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let (store, bare) = (store.clone(), bare.clone());
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    while began.elapsed() < seconds && (case != Case::First || times.is_empty()) {
                        let call = Instant::now();
                        once(&store, &bare, client, case).await;
                        times.push(call.elapsed());
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await.unwrap());
        }
        times.sort();
        Measured { times, elapsed: began.elapsed() }
    })
}

async fn once(store: &Store, bare: &Channel, client: u64, case: Case) {
    let key = format!("vault/{client:016x}").into_bytes();
    let index = [b"index/".as_slice(), &key].concat();
    match case {
        Case::Fence => drop(store.fence().await.unwrap()),
        Case::Get => drop(store.get(&key, At::Linearizable).await.unwrap()),
        Case::Bare => {
            let of = |key: &[u8]| [b"bare/".as_slice(), key].concat();
            let success = vec![wire::put_op(of(&key), vec![2; VALUE_LEN]), wire::put_op(of(&index), vec![3; 32])];
            let compare = vec![wire::absent(b"bare/none".to_vec(), Vec::new())];
            let request = tonic::Request::new(TxnRequest { compare, success, failure: Vec::new() });
            let mut grpc = Grpc::new(bare.clone());
            grpc.ready().await.unwrap();
            let codec = ProstCodec::<TxnRequest, TxnResponse>::default();
            let answer = grpc.unary(request, PathAndQuery::from_static(wire::TXN), codec).await.unwrap();
            assert!(answer.into_inner().succeeded);
        }
        Case::First | Case::Commit => {
            let checks = if case == Case::First { Vec::new() } else { vec![Check::Present(key.clone())] };
            let ops = vec![Op::Put(key, vec![2; VALUE_LEN]), Op::Put(index, vec![3; 32])];
            let outcome = store.commit(&txn(checks, ops)).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
        }
    }
}

fn rate(measured: &Measured) -> f64 {
    let count = u32::try_from(measured.times.len()).unwrap_or(u32::MAX);
    f64::from(count) / measured.elapsed.as_secs_f64()
}

fn show(what: &str, measured: &Measured) {
    let at = |part: usize| measured.times[(measured.times.len() - 1) * part / 100].as_micros();
    println!("{what:<44} {:>10.0} {:>10} {:>10}", rate(measured), at(50), at(99));
}

fn txn(checks: Vec<Check>, ops: Vec<Op>) -> Txn {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut op = [0; 16];
    op[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Txn { op: OpId(op), checks, ops }
}
