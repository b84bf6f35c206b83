//! The program, running on a folder, and a client of it.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::fill::{Folder, HOST, name};
use crate::https::straight::sign_body;
use crate::https::wire::{self, Connection, Target};

/// Ends when it is not wanted any more, whatever went wrong.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that says that it is ready.
pub(crate) struct Program {
    process: Process,
    begun: Instant,
    bearer: String,
    runtime: Runtime,
    connection: RefCell<Connection>,
}

impl Program {
    pub(crate) fn start(folder: &Folder) -> anyhow::Result<Program> {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        command.args(["serve", "--json", "--config"]).arg(folder.config());
        let mut process = Process(command.stdout(Stdio::piped()).spawn()?);
        let mut lines = BufReader::new(process.0.stdout.take().context("no pipe")?).lines();
        let ready: Value = serde_json::from_str(&lines.next().context("the program ended")??)?;
        let address = ready.pointer("/addresses/0").and_then(Value::as_str).context("no address")?;
        let address: SocketAddr = address.parse()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let target = Target::new(address, HOST, &wire::tls(&folder.root)?)?;
        let connection = RefCell::new(runtime.block_on(target.open())?);
        Ok(Program { process, begun, bearer: folder.bearer.clone(), runtime, connection })
    }

    /// Milliseconds from the start of the program to the end of this.
    pub(crate) fn time(&self, work: impl FnOnce(&Program) -> anyhow::Result<()>) -> anyhow::Result<f64> {
        work(self)?;
        Ok(self.begun.elapsed().as_secs_f64() * 1e3)
    }

    pub(crate) fn get(&self, number: u32) -> anyhow::Result<()> {
        self.ask("GET", &format!("/keys/{}?api-version=7.4", name(number)), "").map(drop)
    }

    pub(crate) fn sign(&self, number: u32) -> anyhow::Result<()> {
        self.ask("POST", &format!("/keys/{}/sign?api-version=7.4", name(number)), &sign_body("ES256")).map(drop)
    }

    pub(crate) fn create(&self, name: &str) -> anyhow::Result<()> {
        let body = r#"{"kty":"EC-HSM","crv":"P-256"}"#;
        self.ask("POST", &format!("/keys/{name}/create?api-version=7.4"), body).map(drop)
    }

    /// The first pages of the list, at most so many; the time of each in milliseconds.
    pub(crate) fn pages(&self, count: usize) -> anyhow::Result<Vec<f64>> {
        let (mut path, mut millis) = (Some("/keys?api-version=7.4".to_owned()), Vec::new());
        while let Some(next) = path.take_if(|_| millis.len() < count) {
            let begun = Instant::now();
            let page = self.ask("GET", &next, "")?;
            millis.push(begun.elapsed().as_secs_f64() * 1e3);
            let next = page.get("nextLink").and_then(Value::as_str);
            path = next.and_then(|link| link.find("/keys").and_then(|at| link.get(at..))).map(str::to_owned);
        }
        Ok(millis)
    }

    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.process.0), Signal::TERM)?;
        ensure!(self.process.0.wait()?.success(), "the program did not stop well");
        Ok(())
    }

    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        Ok(())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let (bearer, len) = (&self.bearer, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {bearer}");
        let request = format!("{head}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}");
        let mut connection = self.connection.borrow_mut();
        let answer = self.runtime.block_on(connection.ask(request.as_bytes()))?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "{path}: {} {text}", answer.status);
        Ok(serde_json::from_str(&text)?)
    }
}
