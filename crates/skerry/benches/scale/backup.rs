//! How long a backup takes beside a server that is asked for keys, what those wait, and how long until a server is there again.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rand_core::Rng as _;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use crate::common;
use crate::fill::{Folder, pem};
use crate::program::Program;
use crate::{millis, spread};

/// What was seen with so many keys.
pub(crate) struct Figures {
    keys: u32,
    mib: f64,
    /// Without a limit to its rate, and with the usual one.
    backup_secs: [f64; 2],
    /// Keys that are asked for meanwhile, median and 99th percentile, and before.
    get_ms: [(f64, f64); 2],
    get_before_ms: (f64, f64),
    verify_secs: f64,
    restore_secs: f64,
    first_get_ms: f64,
}

pub(crate) const HEADER: &str = "     keys      MiB | backup s   get ms      p99 |  at rate   get ms      p99 |  before      p99 | verify s restore s \
                                 first get ms";

impl Figures {
    pub(crate) fn of(keys: u32) -> anyhow::Result<Figures> {
        let folder = Folder::filled(keys)?;
        let pair = KeyPair::generate()?;
        let certificate = CertificateParams::default().self_signed(&pair)?;
        folder.put("recovery.pem", &pem("CERTIFICATE", certificate.der())?)?;
        folder.put("recovery.key", &pem("PRIVATE KEY", &pair.serialize_der())?)?;
        let program = Program::start(&folder)?;
        // It waits until every row is checked.
        program.sign(0)?;
        let get = || millis(|| program.get(common::rng().next_u32() % keys));
        let get_before_ms = spread((0..2_000).map(|_| get()))?;
        let (mut backup_secs, mut get_ms) = ([0.0; 2], [(0.0, 0.0); 2]);
        for (at, rate) in ["0", "64"].into_iter().enumerate() {
            let begun = Instant::now();
            let to = format!("{at}.skb");
            let mut child = skerry(
                &folder,
                &[
                    "backup",
                    "--config",
                    "@skerry.toml",
                    "--to",
                    &format!("@{to}"),
                    "--recovery-cert",
                    "@recovery.pem",
                    "--rate",
                    rate,
                ],
            )?;
            let mut seen = Vec::new();
            let status = loop {
                seen.push(get());
                if let Some(status) = child.try_wait()? {
                    break status;
                }
            };
            ensure!(status.success(), "no backup");
            *backup_secs.get_mut(at).context("two")? = begun.elapsed().as_secs_f64();
            *get_ms.get_mut(at).context("two")? = spread(seen.into_iter())?;
        }
        program.stop()?;
        let timed = |args: &[&str]| -> anyhow::Result<(f64, Value)> {
            let begun = Instant::now();
            let output = skerry(&folder, args)?.wait_with_output()?;
            ensure!(output.status.success(), "{args:?}");
            Ok((begun.elapsed().as_secs_f64(), serde_json::from_slice(&output.stdout)?))
        };
        let (verify_secs, about) = timed(&["verify-backup", "@0.skb", "--recovery-key", "@recovery.key", "--json"])?;
        let made = about.get("made").and_then(Value::as_str).context("no time")?;
        let restore = [
            "restore",
            "@0.skb",
            "--recovery-key",
            "@recovery.key",
            "--data",
            "@new",
            "--json",
            "--accept-loss-since",
            made,
        ];
        let (restore_secs, _) = timed(&restore)?;
        std::fs::remove_dir_all(folder.path("data"))?;
        std::fs::rename(folder.path("new"), folder.path("data"))?;
        let program = Program::start(&folder)?;
        let first_get_ms = program.time(|program| program.get(keys / 2))?;
        program.sign(keys / 2)?;
        program.stop()?;
        let octets = u32::try_from(about.get("octets").and_then(Value::as_u64).context("no length")? / 1024)?;
        let mib = f64::from(octets) / 1024.0;
        Ok(Figures { keys, mib, backup_secs, get_ms, get_before_ms, verify_secs, restore_secs, first_get_ms })
    }

    pub(crate) fn print(&self, out: &mut impl std::io::Write) -> anyhow::Result<()> {
        let Figures { keys, mib, backup_secs: [full, paced], get_ms: [one, two], get_before_ms: before, .. } = self;
        writeln!(
            out,
            "{keys:>9} {mib:>8.1} | {full:>8.2} {:>8.2} {:>8.2} | {paced:>8.2} {:>8.2} {:>8.2} | {:>7.2} {:>8.2} | {:>8.2} {:>9.2} \
             {:>12.0}",
            one.0, one.1, two.0, two.1, before.0, before.1, self.verify_secs, self.restore_secs, self.first_get_ms
        )?;
        Ok(())
    }
}

/// The program, with files of the folder for `@NAME`.
fn skerry(folder: &Folder, args: &[&str]) -> anyhow::Result<Child> {
    let file = |arg: &&str| match arg.strip_prefix('@') {
        Some(name) => folder.path(name).into_os_string(),
        None => (*arg).into(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
    Ok(command.args(args.iter().map(file)).stdout(Stdio::piped()).spawn()?)
}
