//! `skerry verify`: all of what is stored, read and checked.
//!
//! A server reads the end of its log at the start and checks the rest beside its work; this reads everything, says what it
//! found, and changes nothing. Of a log alone it needs no key and no server that stands still; of a folder it compares store and
//! log, which one process may hold at a time.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_audit::{AuditError, Head, Report};
use skerry_jose::json::Object;
use skerry_store::stamp::Kind;

use crate::config;
use crate::edge::{Failure, say};
use crate::server::{self, Site};

/// Check all of what is stored: the whole audit log, every row of the store, and that they belong together
///
/// With --log it reads an audit log alone, beside its server or in a copy. With --config it checks the folder of that
/// configuration, whose server has to be stopped: pages, rows and their sum in the store, and the log from its first record to
/// the last that the store knows of. The head that it prints is worth keeping elsewhere: with --head it says whether a log, later
/// on, still is the one that had it. Exit code 0: all holds, 2: a file or configuration is wrong, 3: the folder is in use, 4: what
/// is stored is not what was stored.
#[derive(Args)]
pub(crate) struct Options {
    /// Configuration whose folder is checked
    #[arg(long, value_name = "FILE", required_unless_present = "log", conflicts_with_all = ["log", "head"])]
    config: Option<PathBuf>,
    /// Folder of an audit log
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Head that the log has to continue, as this command printed it: LOG:RECORDS:HASH
    #[arg(long, value_name = "HEAD", requires = "log")]
    head: Option<String>,
    /// File with the passphrase of the root key, or - for standard input, instead of typing it
    #[arg(long, value_name = "FILE", requires = "config")]
    passphrase_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    verify(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn verify(options: &Options) -> Result<(), Failure> {
    let (report, rows, shared) = match (&options.config, &options.log) {
        (Some(config), _) => of_folder(config, options.passphrase_file.as_deref())?,
        (None, Some(log)) => (of_log(log, options.head.as_deref())?, None, false),
        // Infallible: one of the two is demanded.
        (None, None) => return Err(anyhow!("nothing to verify").into()),
    };
    let head = text(&report.head);
    if options.json {
        let found = Object::new().with("ok", true).with("head", head).with("torn_octets", report.torn_octets);
        return Ok(say(&rows.map_or(found.clone(), |rows| found.with("store_revision", rows)).to_json())?);
    }
    if let Some(revision) = rows {
        say(&match shared {
            true => format!(
                "store: at revision {revision}, and no older than what this node's log says of it and of other nodes; on etcd there is no \
                 sum over rows, so it is not known whether some were put back to what they were"
            ),
            false => format!("store: every row is as it was last committed, at revision {revision}"),
        })?;
    }
    let torn = match report.torn_octets {
        0 => String::new(),
        octets => format!(", then {octets} octets of a record that a crash left incomplete, or that is being written"),
    };
    Ok(say(&format!("log: {} records hold{torn}\nhead: {head}", report.head.records))?)
}

fn of_log(folder: &Path, head: Option<&str>) -> Result<Report, Failure> {
    let known = head.map(|text| parse(text).with_context(|| format!("{text} is not LOG:RECORDS:HASH"))).transpose()?;
    let report = match &known {
        Some(known) => skerry_audit::verify_against(folder, known),
        None => skerry_audit::verify(folder),
    };
    report.map_err(|error| refuse(error, folder))
}

/// The log, the store's revision, and whether the store is shared by nodes.
fn of_folder(config: &Path, passphrase_file: Option<&Path>) -> Result<(Report, Option<u64>, bool), Failure> {
    let settings = config::load(config, SystemTime::now()).map_err(anyhow::Error::new)?;
    let (root, _) = server::hsm::take(&settings.root, (settings.custody, settings.hsm), passphrase_file)?;
    let site = Site { folder: &settings.data, store: &settings.store };
    let (report, revision) = server::runtime()?.block_on(server::verify(&site, root, Kind::Serve))?;
    Ok((report, revision, matches!(settings.store, config::StoreSettings::Etcd(_))))
}

fn refuse(error: AuditError, folder: &Path) -> Failure {
    let unread = matches!(error, AuditError::Missing | AuditError::Io { .. });
    let error = anyhow::Error::new(error).context(folder.display().to_string());
    if unread { error.into() } else { Failure::integrity(error) }
}

pub(crate) fn text(head: &Head) -> String {
    format!("{}:{}:{}", hex::encode(head.log), head.records, hex::encode(head.hash))
}

/// A head as this command prints it.
pub(crate) fn parse(text: &str) -> Option<Head> {
    let mut parts = text.splitn(3, ':');
    let mut octets = [0; 16];
    hex::decode_to_slice(parts.next()?, &mut octets).ok()?;
    let records = parts.next()?.parse().ok()?;
    let mut hash = [0; 32];
    hex::decode_to_slice(parts.next()?, &mut hash).ok()?;
    Some(Head { log: octets, records, hash })
}
