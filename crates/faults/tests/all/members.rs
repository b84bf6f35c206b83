//! The cluster of etcd that runs are made on: it starts, and has another leader when its leader is killed.

use std::path::Path;
use std::time::{Duration, Instant};

use skerry_faults::cluster::{Cluster, Engine};

/// Long enough for a loaded machine: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs etcd and etcdctl: apt-get install etcd-server etcd-client"]
fn another_leads_when_the_leader_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let no_nodes = (Engine::Etcd, 0);
    let mut cluster = Cluster::start(folder.path(), Path::new("none"), no_nodes, runtime.handle()).unwrap();
    assert_eq!(cluster.members.len(), 3);
    let leader = cluster.leader().unwrap().unwrap();
    cluster.members[leader].process.kill().unwrap();
    let begun = Instant::now();
    let next = loop {
        if let Some(next) = cluster.leader().unwrap() {
            break next;
        }
        assert!(begun.elapsed() < PATIENCE);
    };
    assert_ne!(next, leader);
    cluster.members[leader].process.start().unwrap();
    assert!(cluster.members[leader].process.is_running());
}
