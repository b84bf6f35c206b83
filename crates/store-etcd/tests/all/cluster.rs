//! Servers of etcd, started for a test. They end when this process ends, however it does.

use base64::prelude::{BASE64_STANDARD as STANDARD, Engine as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use skerry_store::Store;
use skerry_store_etcd::{Make, OpenError, Options, Trust, open};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// One or more servers that hold the same data.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Member>,
    pub(crate) ca: Option<Ca>,
}

pub(crate) struct Member {
    pub(crate) endpoint: String,
    arguments: Vec<String>,
    folder: PathBuf,
    process: Option<Process>,
}

/// A shell that lasts as long as we hold its input, and takes the server with it.
struct Process {
    shell: Child,
    input: Option<ChildStdin>,
    pid: Pid,
}

impl Cluster {
    /// One server without TLS.
    pub(crate) fn single() -> Self {
        Self::start(1, None, &[])
    }

    /// Three servers that take certificates of one CA, as does who asks them.
    pub(crate) fn three() -> Self {
        Self::three_with(&[])
    }

    /// The same, with some more arguments.
    pub(crate) fn three_with(arguments: &[&str]) -> Self {
        Self::start(3, Some(Ca::new()), arguments)
    }

    fn start(count: usize, ca: Option<Ca>, more: &[&str]) -> Self {
        // Held together, so that none is given twice, and let go for the servers to take.
        let held: Vec<_> = (0..count * 2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = held.iter().map(|port| port.local_addr().unwrap().port()).collect();
        drop(held);
        let (clients, peers) = ports.split_at(count);
        let scheme = if ca.is_some() { "https" } else { "http" };
        let url = |port: &u16| format!("{scheme}://127.0.0.1:{port}");
        let initial: Vec<_> = peers.iter().enumerate().map(|(at, port)| format!("n{at}={}", url(port))).collect();
        let initial = initial.join(",");
        let members = clients.iter().zip(peers).enumerate().map(|(at, (client, peer))| {
            let folder = folder();
            let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
            let (client, peer) = (url(client), url(peer));
            let mut arguments: Vec<String> = [
                ("name", format!("n{at}")),
                ("data-dir", path("data")),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client.clone()),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer),
                ("initial-cluster", initial.clone()),
                ("initial-cluster-state", "new".to_owned()),
                ("log-level", "error".to_owned()),
                ("logger", "zap".to_owned()),
                ("log-outputs", path("log")),
            ]
            .into_iter()
            .map(|(name, value)| format!("--{name}={value}"))
            .chain(more.iter().map(|argument| (*argument).to_owned()))
            .collect();
            if let Some(ca) = &ca {
                let (certificate, key) = ca.issue();
                for (name, text) in [("ca", &ca.pem()), ("certificate", &certificate), ("key", &key)] {
                    std::fs::write(folder.join(name), text).unwrap();
                }
                for side in ["", "peer-"] {
                    arguments.push(format!("--{side}cert-file={}", path("certificate")));
                    arguments.push(format!("--{side}key-file={}", path("key")));
                    arguments.push(format!("--{side}trusted-ca-file={}", path("ca")));
                    arguments.push(format!("--{side}client-cert-auth=true"));
                }
            }
            Member { endpoint: client, arguments, folder, process: None }
        });
        let mut cluster = Self { members: members.collect(), ca };
        cluster.members.iter_mut().for_each(Member::start);
        cluster.until_ready();
        cluster
    }

    /// How a node reaches it, with a prefix that no other call gives.
    pub(crate) fn options(&self) -> Options {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut options = self.options_of(self.ca.as_ref());
        options.prefix = format!("t{}/", NEXT.fetch_add(1, Ordering::Relaxed));
        options
    }

    /// The same with certificates of a CA, which may be another.
    pub(crate) fn options_of(&self, ca: Option<&Ca>) -> Options {
        let endpoints = self.members.iter().map(|member| member.endpoint.clone()).collect();
        let trust = match ca {
            None => Trust::DangerNone,
            Some(ca) => {
                let (certificates, key) = ca.issue();
                Trust::Mutual { roots: ca.pem().into(), certificates: certificates.into(), key: key.into() }
            }
        };
        let mut options = Options::new(endpoints, trust);
        // It takes revisions for itself, and suites count them.
        options.history_kept = None;
        options
    }

    /// The member that leads, as far as the first that answers knows.
    pub(crate) fn leader(&self) -> usize {
        let mut leaders = (0..self.members.len()).filter(|at| {
            let answer = self.etcdctl(*at, &["endpoint", "status", "--write-out=fields"]);
            let field = |name: &str| {
                let mut lines = answer.lines();
                lines.find_map(|line| line.strip_prefix(&format!("\"{name}\" : ")).map(str::to_owned))
            };
            field("MemberID").is_some() && field("MemberID") == field("Leader")
        });
        leaders.next().unwrap()
    }

    /// What etcd's own command line says.
    pub(crate) fn etcdctl(&self, member: usize, arguments: &[&str]) -> String {
        let member = &self.members[member];
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", member.endpoint)).arg("--command-timeout=2s");
        if self.ca.is_some() {
            for (name, file) in [("cacert", "ca"), ("cert", "certificate"), ("key", "key")] {
                command.arg(format!("--{name}={}", member.folder.join(file).display()));
            }
        }
        let output = command.args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until every member can be read from.
    pub(crate) fn until_all_answer(&self) {
        let answers = |member| self.etcdctl(member, &["get", "none", "--write-out=fields"]).contains("Revision");
        until(|| (0..self.members.len()).all(answers));
    }

    /// Waits until it can be read from.
    pub(crate) fn until_ready(&self) {
        let ready = || {
            let mut options = self.options();
            options.timeout = Duration::from_millis(200);
            matches!(open_on_runtime(options, Make::Existing), Err(OpenError::Store(skerry_store::StoreError::Missing)))
        };
        until(ready);
    }
}

impl Member {
    pub(crate) fn start(&mut self) {
        let mut shell = Command::new("sh")
            .arg("-c")
            // Whatever ends us closes this input, and then nothing stays behind; a server that is to start again is told so.
            .arg(
                "etcd \"$@\" </dev/null >/dev/null 2>&1 & echo $!; read -r word; kill -9 $!; wait
                [ \"$word\" = keep ] || rm -rf \"$0\"",
            )
            .arg(&self.folder)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        let input = shell.stdin.take();
        self.process = Some(Process { shell, input, pid });
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.input.take().unwrap().write_all(b"keep\n").unwrap();
        process.shell.wait().unwrap();
    }

    /// Stops it where it is, or lets it go on.
    pub(crate) fn pause(&self, pause: bool) {
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        kill_process(self.process.as_ref().unwrap().pid, signal).unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Who vouches for servers and nodes.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// A certificate for loopback, and its key.
    pub(crate) fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// Where stores work, while callers wait elsewhere.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

pub(crate) fn open_on_runtime(options: Options, make: Make) -> Result<Store, OpenError> {
    runtime().block_on(open(options, make))
}

/// Asks until it is so. Nothing else tells when another process has come so far; an end for one that never does.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "not in two minutes");
        std::thread::yield_now();
    }
}

/// Nothing is there yet.
fn folder() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("skerry-etcd-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(&std::env::temp_dir()).join(name);
    std::fs::create_dir(&path).unwrap();
    path
}
