//! The processes of a run: nodes of Skerry behind relays, and a cluster of etcd if their store is one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::process::{Node, Process, free_port};
use crate::proxy::Proxy;
use crate::site::{CERTIFICATE, KEY, Site, StoreConfig, pem};

/// Where the nodes keep what they store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// In one file; one node.
    Redb,
    /// In three processes of etcd.
    Etcd,
}

/// Everything that runs.
pub struct Cluster {
    /// What it was started with.
    pub site: Site,
    /// The nodes of Skerry.
    pub nodes: Vec<Node>,
    /// The members of etcd; none with redb.
    pub members: Vec<Member>,
    program: PathBuf,
    configs: Vec<PathBuf>,
}

/// A member of etcd.
#[derive(Debug)]
pub struct Member {
    /// Its process.
    pub process: Process,
    client: std::net::SocketAddr,
}

impl Cluster {
    /// Starts everything, in this folder.
    pub fn start(
        folder: &Path,
        program: &Path,
        (engine, count): (Engine, usize),
        runtime: &Handle,
    ) -> anyhow::Result<Cluster> {
        let site = Site::new(folder)?;
        let members = match engine {
            Engine::Redb => Vec::new(),
            Engine::Etcd => etcd(&site, folder)?,
        };
        let proxies = |count: usize| (0..count).map(|_| Proxy::start(runtime)).collect::<std::io::Result<Vec<_>>>();
        let (mut nodes, mut configs) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (clients, store) = (proxies(2)?, proxies(members.len())?);
            for (proxy, member) in store.iter().zip(&members) {
                proxy.lead_to(member.client);
            }
            let config = match engine {
                Engine::Redb => StoreConfig::Redb,
                Engine::Etcd => StoreConfig::Etcd { ports: store.iter().map(Proxy::port).collect() },
            };
            let [vault, attestation] = clients.as_slice() else { bail!("two listeners") };
            let config = site.configure(number, vault.port(), attestation.port(), &config)?;
            let arguments = ["serve", "--json", "--config"].map(str::to_owned).into_iter();
            let arguments = arguments.chain([config.to_string_lossy().into_owned()]).collect();
            configs.push(config);
            let name = format!("node-{number}");
            let mut process = Process::new(&name, program, arguments, folder);
            process.clock = Clock::new(folder, &name)?;
            nodes.push(Node { process, clients, store });
        }
        let mut cluster = Cluster { site, nodes, members, program: program.to_owned(), configs };
        for node in &mut cluster.nodes {
            node.start()?;
        }
        Ok(cluster)
    }

    /// Whether the nodes have clocks that can be moved.
    pub fn has_clocks(&self) -> bool {
        self.nodes.iter().all(|node| node.process.clock.is_some())
    }

    /// Stops the nodes in order, after each was started where it did not run. Those that do not end with 0 are told.
    pub fn stop(&mut self) -> anyhow::Result<Vec<String>> {
        let mut told = Vec::new();
        for node in &mut self.nodes {
            if !node.process.is_running() {
                node.process.kill()?;
                node.start()?;
            }
            let status = node.process.stop()?;
            if status.code() != Some(0) {
                told.push(format!("{} ended with {status}: {}", node.process.name(), node.process.last_words()));
            }
        }
        Ok(told)
    }

    /// What `skerry verify` says of each node, all stopped: nothing if all is as it was left.
    pub fn verify(&self) -> anyhow::Result<Vec<String>> {
        let mut told = Vec::new();
        for config in &self.configs {
            let output = Command::new(&self.program).args(["verify", "--config"]).arg(config).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                told.push(format!("skerry verify --config {}: {}: {said}", config.display(), output.status));
            }
        }
        Ok(told)
    }

    /// The member that leads, if one of those that answer says so.
    pub fn leader(&self) -> anyhow::Result<Option<usize>> {
        for (number, member) in self.members.iter().enumerate() {
            let output = etcdctl(&self.site, member.client).args(["endpoint", "status", "-w", "json"]).output()?;
            let Ok(Value::Array(status)) = serde_json::from_slice(&output.stdout) else { continue };
            let at = |pointer: &str| status.first().and_then(|status| status.pointer(pointer)).map(Value::to_string);
            let (own, leader) = (at("/Status/header/member_id"), at("/Status/leader"));
            if own.is_some() && own == leader {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}

/// Three members under mTLS that are ready.
fn etcd(site: &Site, folder: &Path) -> anyhow::Result<Vec<Member>> {
    certificates(site)?;
    let ports: Vec<_> = (0..MEMBERS).map(|_| Ok((free_port()?, free_port()?))).collect::<anyhow::Result<_>>()?;
    let initial: Vec<String> =
        ports.iter().enumerate().map(|(number, (_, peer))| format!("etcd-{number}=https://{peer}")).collect();
    let file = |name: &str| site.file(name).to_string_lossy().into_owned();
    let mut members = Vec::new();
    for (number, (client, peer)) in ports.iter().enumerate() {
        let name = format!("etcd-{number}");
        let arguments: Vec<String> = [
            ("name", name.clone()),
            ("data-dir", file(&name)),
            ("listen-client-urls", format!("https://{client}")),
            ("advertise-client-urls", format!("https://{client}")),
            ("listen-peer-urls", format!("https://{peer}")),
            ("initial-advertise-peer-urls", format!("https://{peer}")),
            ("initial-cluster", initial.join(",")),
            ("trusted-ca-file", file("etcd-ca.pem")),
            ("cert-file", file("etcd.pem")),
            ("key-file", file("etcd.key")),
            ("client-cert-auth", "true".to_owned()),
            ("peer-trusted-ca-file", file("etcd-ca.pem")),
            ("peer-cert-file", file("etcd.pem")),
            ("peer-key-file", file("etcd.key")),
            ("peer-client-cert-auth", "true".to_owned()),
            ("logger", "zap".to_owned()),
            ("log-level", "warn".to_owned()),
        ]
        .into_iter()
        .map(|(option, value)| format!("--{option}={value}"))
        .collect();
        let mut process = Process::new(&name, Path::new("etcd"), arguments, folder);
        process.start().context("etcd: apt-get install etcd-server")?;
        members.push(Member { process, client: *client });
    }
    let begun = Instant::now();
    while !members.iter().all(|member| healthy(site, member.client)) {
        ensure!(begun.elapsed() < PATIENCE, "etcd does not become healthy; see etcd-0.err in {}", folder.display());
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(members)
}

fn healthy(site: &Site, client: std::net::SocketAddr) -> bool {
    etcdctl(site, client).args(["endpoint", "health"]).output().is_ok_and(|output| output.status.success())
}

fn etcdctl(site: &Site, client: std::net::SocketAddr) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg(format!("--endpoints=https://{client}"));
    command.arg("--cacert").arg(site.file("etcd-ca.pem")).arg("--cert").arg(site.file("etcd.pem"));
    command.arg("--key").arg(site.file("etcd.key")).arg("--command-timeout=2s").arg("--dial-timeout=1s");
    command
}

/// One certificate for members and nodes: who is who among them is not what is tried here.
fn certificates(site: &Site) -> anyhow::Result<()> {
    let ca_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key)?;
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &issuer)?;
    site.put("etcd-ca.pem", &pem(CERTIFICATE, ca.der())?)?;
    site.put("etcd.pem", &pem(CERTIFICATE, certificate.der())?)?;
    site.put("etcd.key", &pem(KEY, key.serialized_der())?)
}

const MEMBERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
