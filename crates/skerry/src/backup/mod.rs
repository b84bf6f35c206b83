//! `skerry backup`, `skerry verify-backup`, `skerry restore`: a server as a file, and a server of that file.

mod ask;
mod certificates;
mod check;
mod file;
mod known;
mod make;
mod restore;
mod target;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use skerry_audit::Head;
use skerry_jose::json::{Object, Value};
use skerry_store::stamp::Kind;
use x509_cert::der::DateTime;

pub(crate) use certificates::recipients;
pub(crate) use make::{Job, Made, Other, make, who};
pub(crate) use restore::{Options as RestoreOptions, run as run_restore};
pub(crate) use verify::{Options as VerifyOptions, run as run_verify};

use crate::config;
use crate::edge::{self, Failure, say};
use crate::machine;
use crate::server::{self, Site};
use crate::verify::text as verify_text;

/// Back up a server: all keys, the audit log and the root key, sealed to recovery certificates
///
/// Asks the server that runs on the folder of the configuration, over a socket in it, which goes on serving; if none runs, reads
/// the folder itself. Everything is of one revision. The file is of use only with the private key of one of the certificates: it
/// has the root key, and needs no other secret of this server. What the configuration names beside the data folder (certificates
/// and their keys) is not in it. Of several nodes that share a store any makes a backup of all their rows, with its own log; how far the
/// others' had come is said. Exit code 0: made, 1: the server refuses, 2: a file or configuration is wrong, 3: no room on the
/// disk, or another backup is being made, 4: what is stored is not what was stored.
#[derive(Args)]
pub(crate) struct Options {
    /// Configuration of the server
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// File to make; nothing may be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Certificate of a recovery key, PEM; each of several can recover alone. Those of [backup] in the configuration, unless given
    #[arg(long, value_name = "CERT")]
    recovery_cert: Vec<PathBuf>,
    /// MiB a second to read at most, so that the server's own work goes on; 0 is no limit
    #[arg(long, value_name = "MIB", default_value_t = RATE)]
    rate: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    backup(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn backup(options: &Options) -> Result<(), Failure> {
    let now = SystemTime::now();
    let certificates = certificates::read(&options.recovery_cert)?;
    // Here too, so that what is wrong with one is said before a server is asked, with the name of its file.
    for warning in certificates::warnings(&certificates, now) {
        edge::note(&format!("warning: {warning}"));
    }
    let settings = config::load(&options.config, now).map_err(anyhow::Error::new)?;
    let recipients: Vec<Vec<u8>> = certificates.iter().flat_map(|file| file.certificates.clone()).collect();
    let recipients = match (recipients.is_empty(), &settings.recovery) {
        (false, _) => recipients,
        (true, Some(configured)) => configured.clone(),
        (true, None) => {
            return Err(anyhow!(
                "nobody to seal it to: name recovery certificates in [backup], or with --recovery-cert"
            )
            .into());
        }
    };
    let mut out = file::NewFile::create(&options.to)?;
    let job = Job {
        recipients,
        octets_per_sec: u64::from(options.rate).saturating_mul(1024 * 1024),
        who: make::who(rustix::process::geteuid().as_raw()),
    };
    let bar = bar("backing up");
    let asked = ask::ask(&settings.data, &job, &mut out, &bar)?;
    let online = asked.is_some();
    let made = match asked {
        Some(made) => made,
        None => {
            let machine = machine::machine();
            let (root, _) = server::hsm::take(&settings.root, (settings.custody, settings.hsm), None)?;
            let site = Site { folder: &settings.data, store: &settings.store };
            server::runtime()?.block_on(async {
                let (installation, name) = server::open(&site, root, (Kind::Serve, None), &machine).await?;
                let made = make(
                    &installation,
                    &settings.data,
                    (&job, settings.recovery.as_deref()),
                    &mut out,
                    now,
                    |done, all| {
                        show(&bar, done, all);
                        true
                    },
                )
                .await;
                // So that the next start finds little to read.
                server::tick(&installation, &machine).await;
                if let Some(name) = name {
                    name.release().await;
                }
                made
            })?
        }
    };
    bar.finish_and_clear();
    file::is_what_was_made(&mut out, &made.digest)?;
    out.keep()?;
    tell(options, &made, online)
}

fn tell(options: &Options, made: &Made, online: bool) -> Result<(), Failure> {
    let Made { id, digest, revision, entries, octets, head, others } = made;
    let (id, digest, to) = (hex::encode(id), hex::encode(digest), options.to.display().to_string());
    let beside = if online { "running" } else { "stopped" };
    let text = match options.json {
        true => Object::new()
            .with("backup", id)
            .with("to", to)
            .with("server", beside)
            .with("revision", *revision)
            .with("rows", *entries)
            .with("octets", *octets)
            .with("head", head.as_str())
            .with("nodes", others.iter().map(|other| node(other.node.as_deref(), &other.head)).collect::<Vec<_>>())
            .with("digest", digest)
            .to_json(),
        false => {
            let others: String = others.iter().map(|other| shown(other.node.as_deref(), &other.head)).collect();
            format!(
                "{to}: {entries} rows at revision {revision}, {octets} octets, of the {beside} server\n\
                 head: {head}\n{others}\
                 digest: {digest}\n\
                 keep head and digest on another machine: they show that a file is this backup, and whether it is the newest"
            )
        }
    };
    Ok(say(&text)?)
}

/// A node, and how far its log had come at least: for programs.
fn node(node: Option<&str>, head: &Head) -> Value {
    Value::Object(Object::new().with("node", node.unwrap_or_default()).with("head", verify_text(head)))
}

/// The same as a line for people; its log is not in the backup.
fn shown(node: Option<&str>, head: &Head) -> String {
    format!("node {}, not in it: {}\n", node.unwrap_or("without a name"), verify_text(head))
}

/// A bar on standard error, where that is a terminal.
fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {elapsed}");
    bar.with_message(what).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all.max(done));
    bar.set_position(done);
}

/// A time as a person types it.
fn rfc3339(secs: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(secs));
    let time = time.and_then(|time| DateTime::from_system_time(time).ok());
    time.map_or_else(|| secs.to_string(), |time| time.to_string())
}

/// 64 hex digits.
fn digest(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text.trim(), &mut digest).map_err(|_| anyhow!("a digest has 64 hex digits"))?;
    Ok(digest)
}

/// Refuses a backup that is not the one whose digest was kept.
fn is_the_one(found: &[u8; 32], expected: Option<&str>) -> Result<(), Failure> {
    let Some(expected) = expected else { return Ok(()) };
    if digest(expected).context("--digest")? == *found {
        return Ok(());
    }
    let found = hex::encode(found);
    Err(Failure::integrity(anyhow!("this is another backup than the one whose digest was kept: its digest is {found}")))
}

/// Half of what a SATA disk reads: the rest is for who is served.
const RATE: u32 = 64;
