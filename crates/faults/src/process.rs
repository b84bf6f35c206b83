//! Processes that are started, killed, held and let go.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::clock::Clock;
use crate::proxy::Proxy;

/// A program with its arguments, which may be running.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// That of the machine, unless it has its own.
    pub clock: Option<Clock>,
    /// Where what it says on standard error is kept.
    pub said: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Not running yet.
    pub fn new(name: &str, program: &Path, arguments: Vec<String>, folder: &Path) -> Process {
        let said = folder.join(format!("{name}.err"));
        Process { name: name.to_owned(), program: program.to_owned(), arguments, clock: None, said, child: None }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it; what it prints is the caller's if it is to be read.
    fn spawn(&mut self, stdout: Stdio) -> anyhow::Result<&mut Child> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
        let said = OpenOptions::new().create(true).append(true).open(&self.said)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(stdout).stderr(said);
        if let Some(clock) = &self.clock {
            command.envs(clock.variables());
        }
        let child = command.spawn().with_context(|| format!("{}", self.program.display()))?;
        Ok(self.child.insert(child))
    }

    /// Whether it runs; one that ended by itself does not.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill().with_context(|| format!("{} cannot be killed", self.name))?;
        child.wait().map(drop).with_context(|| self.name.clone())
    }

    /// SIGTERM, and how it ended.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let mut child = self.child.take().context("it runs not")?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        child.kill()?;
        child.wait()?;
        bail!("{} did not stop within {PATIENCE:?}", self.name)
    }

    /// SIGSTOP or SIGCONT.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} runs not", self.name))?;
        kill_process(Pid::from_child(child), signal).with_context(|| format!("{} takes no signal", self.name))
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        let said = std::fs::read_to_string(&self.said).unwrap_or_default();
        let lines: Vec<&str> = said.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Nobody waits for what it is doing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A node of Skerry behind its relays: vault, attestation service, and those to its store where that is elsewhere.
#[derive(Debug)]
pub struct Node {
    /// The server.
    pub process: Process,
    /// From clients to its listeners, in their order.
    pub clients: Vec<Proxy>,
    /// From it to the store.
    pub store: Vec<Proxy>,
}

impl Node {
    /// Starts it, waits until it answers, and leads clients to it.
    pub fn start(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let stdout = self.process.spawn(Stdio::piped())?.stdout.take().context("no pipe")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let line = lines.recv_timeout(PATIENCE).ok();
        let Some(line) = line else {
            self.process.kill()?;
            bail!("{} did not become ready: {}", self.process.name(), self.process.last_words());
        };
        let ready: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let addresses = ready.get("addresses").and_then(Value::as_array).context("no addresses")?;
        ensure!(addresses.len() == self.clients.len(), "{line}");
        for (proxy, address) in self.clients.iter().zip(addresses) {
            proxy.lead_to(address.as_str().context("no address")?.parse()?);
        }
        Ok(begun.elapsed())
    }
}

impl Process {
    /// Starts it without waiting for anything.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.spawn(Stdio::null()).map(drop)
    }
}

/// A port that nobody has now. Somebody else may take it before it is used: for programs that cannot be given port 0.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
