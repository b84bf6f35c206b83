//! How the program starts: the time from its start to an answer, and the memory that it keeps when nothing happens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::common::measure::{Asked, percentile};
use crate::https::wire::{self, Target};

/// A way of starting.
pub(crate) struct Start {
    name: &'static str,
    /// To the first answer over HTTPS, of the starts in order of their times.
    millis: Vec<f64>,
    /// After two quiet seconds.
    resident_mib: f64,
}

/// Starts the program on a folder that it made before.
pub(crate) fn measure(asked: &Asked) -> anyhow::Result<Vec<Start>> {
    if !asked.names(DEV) {
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let folder = folder.path().join("dev");
    Program::start(&folder)?.stop()?;
    let mut millis = Vec::new();
    for _ in 0..if asked.measures { STARTS } else { 1 } {
        let program = Program::start(&folder)?;
        millis.push(program.first_answer.as_secs_f64() * 1e3);
        program.stop()?;
    }
    millis.sort_by(f64::total_cmp);
    let program = Program::start(&folder)?;
    if asked.measures {
        std::thread::sleep(Duration::from_secs(2));
    }
    let resident_mib = program.resident_mib()?;
    program.stop()?;
    Ok(vec![Start { name: DEV, millis, resident_mib }])
}

/// The program, running.
struct Program {
    process: Child,
    first_answer: Duration,
}

impl Program {
    /// Starts it and asks for the attestation service's certificates.
    fn start(folder: &Path) -> anyhow::Result<Program> {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        command.args(["dev", "--json", "--port-base", "0", "--data"]).arg(folder);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("no pipe")?).lines();
        let ready: Value = serde_json::from_str(&lines.next().context("the program ended")??)?;
        first_answer(folder, ready["urls"]["attestation"].as_str().context("no URL")?)?;
        Ok(Program { process, first_answer: begun.elapsed() })
    }

    fn resident_mib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        ensure!(self.process.wait()?.success(), "the program did not stop well");
        Ok(())
    }
}

fn first_answer(folder: &Path, url: &str) -> anyhow::Result<()> {
    let root = CertificateDer::from_pem_file(folder.join("ca.pem"))?;
    let authority = url.strip_prefix("https://").context("no HTTPS")?.trim_end_matches('/');
    let (name, port) = authority.split_once(':').context("no port")?;
    let target = Target::new(([127, 0, 0, 1], port.parse()?).into(), name, &wire::tls(&root)?)?;
    let request = format!("GET /certs HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { target.open().await?.ask(request.as_bytes()).await })?;
    ensure!(answer.status == 200, "answered {}", answer.status);
    Ok(())
}

impl Start {
    pub(crate) fn json(&self) -> Value {
        let at = |percent| percentile(&self.millis, percent);
        json!({
            "name": self.name, "first_answer_ms": {"median": at(50), "p90": at(90), "aim": AIM_MS},
            "resident_mib": self.resident_mib, "resident_aim_mib": AIM_MIB,
        })
    }
}

pub(crate) fn print(starts: &[Start]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for Start { name, millis, resident_mib } in starts {
        let (median, high) = (percentile(millis, 50), percentile(millis, 90));
        let verdict = |seen: f64, aim: f64| if seen <= aim { "ok" } else { "MISSED" };
        writeln!(
            out,
            "\n{name}: first answer after {median:.0} ms (p90 {high:.0}, aim {AIM_MS:.0}: {}), {resident_mib:.1} MiB \
             resident when idle (aim {AIM_MIB:.0}: {})",
            verdict(median, AIM_MS),
            verdict(*resident_mib, AIM_MIB)
        )?;
    }
    Ok(())
}

/// Times that the program is started.
const STARTS: usize = 10;
const DEV: &str = "start of `skerry dev`";
const AIM_MS: f64 = 200.0;
const AIM_MIB: f64 = 40.0;
