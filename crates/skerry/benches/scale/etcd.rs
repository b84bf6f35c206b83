//! Three servers of etcd, and a store that is moved to them.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::cluster::Cluster;
use crate::fill::Folder;

pub(crate) struct Servers(Cluster);

impl Servers {
    pub(crate) fn start() -> Servers {
        // The largest quota that etcd advises, and time-outs as docs/operate.md has them.
        let cluster = Cluster::three_with(&[
            "--quota-backend-bytes=8589934592",
            "--heartbeat-interval=50",
            "--election-timeout=500",
            "--pre-vote=true",
        ]);
        cluster.until_all_answer();
        Servers(cluster)
    }

    /// Moves the rows of a folder here, which is served from here from then on; how many seconds that took.
    pub(crate) fn take(&self, folder: &mut Folder) -> anyhow::Result<f64> {
        let ca = self.0.ca.as_ref().context("no TLS")?;
        let (certificate, key) = ca.issue();
        folder.put("etcd-ca.pem", &ca.pem())?;
        folder.put("etcd-node.pem", &certificate)?;
        folder.put("etcd-node.key", &key)?;
        let endpoints: Vec<_> = self.0.members.iter().map(|member| format!("{:?}", member.endpoint)).collect();
        let before = folder.config();
        folder.configure_store(&STORE.replace("ENDPOINTS", &endpoints.join(", ")))?;
        let begun = Instant::now();
        // Its bar is shown, if this is a terminal.
        let mut migrate = Command::new(env!("CARGO_BIN_EXE_skerry"));
        let moved = migrate.args(["store", "migrate", "--from"]).arg(before).arg("--to").arg(folder.config());
        ensure!(moved.stdout(Stdio::null()).status()?.success(), "not moved");
        Ok(begun.elapsed().as_secs_f64())
    }

    /// What one member has on its disk of it.
    pub(crate) fn mib(&self) -> anyhow::Result<f64> {
        let status = self.0.etcdctl(0, &["endpoint", "status", "--write-out=fields"]);
        let size = status.lines().find_map(|line| line.strip_prefix("\"DBSize\" : ")).context("no size")?;
        Ok(size.trim().parse::<f64>()? / 1024.0 / 1024.0)
    }
}

const STORE: &str = r#"
[store]
engine = "etcd"
node = "a"
endpoints = [ENDPOINTS]
roots = "etcd-ca.pem"
client = { certificates = "etcd-node.pem", key = "etcd-node.key" }
"#;
