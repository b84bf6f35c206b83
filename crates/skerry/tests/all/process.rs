//! `skerry dev` and `skerry serve` as processes of their own: started, asked over HTTPS, stopped.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use skerry_client::Roots;
use skerry_client::http::{Ask, Client, Endpoint, HttpError};

/// Long enough for a loaded machine that makes RSA keys: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that has said that it is ready.
pub(crate) struct Running {
    child: Child,
    /// What it printed up to the line `ready`.
    pub(crate) said: Vec<String>,
    complaints: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts the program and waits for the line `ready`, or for the JSON line that says so.
    pub(crate) fn start(args: &[&str]) -> Running {
        Running::start_with(args, "ready", &[])
    }

    /// The same by a command that becomes the program.
    pub(crate) fn start_by(command: &mut Command) -> Running {
        Running::begin(command, "ready")
    }

    /// Starts the program with variables of its own and waits for a line that is this.
    pub(crate) fn start_with(args: &[&str], until: &str, variables: &[(&str, &str)]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        Running::begin(command.args(args).envs(variables.iter().copied()), until)
    }

    fn begin(command: &mut Command, until: &str) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let complaints = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut running = Running { child, said: Vec::new(), complaints: Some(complaints) };
        loop {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                running.child.kill().ok();
                panic!("not ready after {:?}: {}", running.said, running.complaints.take().unwrap().join().unwrap());
            };
            let ready = line == until || line.starts_with(r#"{"ready":true"#);
            running.said.push(line);
            if ready {
                return running;
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end that is its own: its exit code, and all of standard error.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let complaints = self.complaints.take().unwrap().join().unwrap();
        (self.child.wait().unwrap().code(), complaints)
    }

    /// Sends a signal, and waits for the end: how it ended, and all of standard error.
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status, self.complaints.take().unwrap().join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a command that ends by itself said. One that does not is a failure, and is ended.
pub(crate) fn ended(args: &[&str]) -> Output {
    ended_with(args, &[])
}

/// As [`ended`], with variables of its own.
pub(crate) fn ended_with(args: &[&str], variables: &[(&str, &str)]) -> Output {
    ended_by(Command::new(env!("CARGO_BIN_EXE_skerry")).args(args).envs(variables.iter().copied()))
}

/// The same by a command that becomes the program.
pub(crate) fn ended_by(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let (sender, output) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    output.recv_timeout(PATIENCE).map(Result::unwrap).unwrap_or_else(|_| {
        Command::new("sh").args(["-c", &format!("kill -KILL {id}")]).status().ok();
        panic!("{command:?} goes on")
    })
}

/// The names that a shell has after loading a dev.env.
pub(crate) fn load(env: &Path) -> HashMap<String, String> {
    let name = env.to_str().unwrap().replace('\'', r"'\''");
    let script = format!("set -a; . '{name}'; set +a; env -0");
    let output = Command::new("sh").args(["-c", &script]).env_clear().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| name.starts_with("SKR_")).map(|(name, value)| (name.into(), value.into())).collect()
}

/// An answer: its status, a header or none, its JSON or null.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) challenge: Option<String>,
    pub(crate) json: serde_json::Value,
}

/// One request under a CA, to a server on this machine, whatever its name.
pub(crate) fn ask(ca: &str, url: &str, ask: Ask<'_>) -> Result<Answer, HttpError> {
    let client = Client::new(&Roots::from_pem(&std::fs::read(ca).unwrap()).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(client.ask(&Endpoint::parse(url).unwrap().at(Ipv4Addr::LOCALHOST.into()), ask))?;
    let challenge = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    let json = serde_json::from_slice(&answer.body).unwrap_or_default();
    Ok(Answer { status: answer.status.as_u16(), challenge, json })
}

pub(crate) fn get(ca: &str, url: &str, path: &str, bearer: Option<&str>) -> Answer {
    ask(ca, url, Ask { method: http::Method::GET, path, bearer, body: None }).unwrap()
}

/// The answer to a GET over plain HTTP: its status, and its body.
pub(crate) fn get_plain(address: &str, path: &str) -> (u16, String) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
