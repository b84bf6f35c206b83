//! `skerry verify-backup`: whether a file is a backup, and, with a recovery key, whether a server could be restored from it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use skerry_backup::About;
use skerry_jose::json::{Object, Value};
use skerry_store::stamp::Kind;

use super::check::{self, Found};
use super::known::{self, Newest};
use super::{bar, certificates, is_the_one, node, rfc3339, show, shown};
use crate::edge::{Failure, say};
use crate::verify::text;

/// Check a backup: its form and digest, and with a recovery key all that is in it
///
/// Without a key it says what the file says of itself, and that it is whole. With one everything is opened: every row under its seal,
/// the log from its first record to its last, counts and digests. Nothing is written but the log, for the time being, into a folder of
/// TMPDIR. Exit code 0: all holds, 1: it is older than --known-head, 2: a file is wrong or the key is another, 4: it is not what was
/// backed up.
#[derive(Args)]
pub(crate) struct Options {
    /// The backup
    file: PathBuf,
    /// Private key of a recovery certificate: PKCS#8, PEM, without a passphrase
    #[arg(long, value_name = "KEY")]
    recovery_key: Option<PathBuf>,
    /// Newest head of the audit log that is known: LOG:RECORDS:HASH, or a file that has one. Of several nodes, one of each that is
    /// to be looked at; those of others than the one that made the backup take the recovery key
    #[arg(long, value_name = "HEAD")]
    known_head: Vec<String>,
    /// Digest of the backup, as it was kept
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    verify(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn verify(options: &Options) -> Result<(), Failure> {
    let key = options.recovery_key.as_deref().map(certificates::recovery_key).transpose()?;
    let bar = bar("verifying");
    let mut backup = check::open(&options.file, |_| ())?;
    is_the_one(backup.digest(), options.digest.as_deref())?;
    let (about, digest, len) = (backup.about().clone(), *backup.digest(), backup.octets());
    let recipients: Vec<String> = backup.recipients().iter().map(hex::encode).collect();
    let known = options.known_head.iter().map(|text| known::head(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let found = match &key {
        None => None,
        Some(key) => {
            let mut contents = backup.unlock(key).map_err(|error| check::refuse(error, &options.file))?;
            let log = tempfile::tempdir().context("a folder for the log")?;
            let rows = |_: &[skerry_store::Exported]| Ok(());
            let found =
                check::walk(&mut contents, (&options.file, &about), log.path(), rows, |read| show(&bar, read, len))?;
            let own = known.iter().filter(|known| known.log == about.log.head.log);
            for known in own.filter(|known| known.records <= about.log.head.records) {
                check::continues(log.path(), known, "--known-head")?;
            }
            Some(found)
        }
    };
    bar.finish_and_clear();
    tell(options, (&about, &digest, len), &recipients, found.as_ref())?;
    match Newest::by_heads(&about, found.as_ref(), &known)?.told() {
        told if told.is_nothing() => Ok(()),
        told => Err(Failure::refused(anyhow::anyhow!("it is not the newest state: {told}"))),
    }
}

fn tell(
    options: &Options,
    (about, digest, len): (&About, &[u8; 32], u64),
    recipients: &[String],
    found: Option<&Found>,
) -> Result<(), Failure> {
    let kind = if about.kind == Kind::Dev { "dev" } else { "serve" };
    let (head, digest, made) = (text(&about.log.head), hex::encode(digest), rfc3339(about.made));
    if options.json {
        let recipients: Vec<Value> = recipients.iter().cloned().map(Value::String).collect();
        let object = Object::new()
            .with("ok", true)
            .with("opened", found.is_some())
            .with("backup", hex::encode(about.id))
            .with("installation", hex::encode(about.installation))
            .with("kind", kind)
            .with("made", made)
            .with("revision", about.revision)
            .with("head", head)
            .with("digest", digest)
            .with("octets", len)
            .with("recipients", recipients);
        let object = match found {
            None => object,
            Some(found) => object
                .with("rows", found.summary.entries)
                .with("rows_opened", found.opened)
                .with("rows_of_unknown_keys", found.unknown)
                .with("node", found.own.as_ref().and_then(|own| own.node.clone()).unwrap_or_default())
                .with(
                    "nodes",
                    found.others.iter().map(|other| node(other.node.as_deref(), &other.head)).collect::<Vec<_>>(),
                ),
        };
        return Ok(say(&object.to_json())?);
    }
    let opened = match found {
        None => "whole, and as it was written; what is in it was not looked at: that takes a recovery key".to_owned(),
        Some(Found { summary, opened, unknown: 0, .. }) => {
            format!("all of it holds: {} rows, of which {opened} open, and the log", summary.entries)
        }
        Some(Found { summary, opened, unknown, .. }) => format!(
            "all of it holds: {} rows, of which {opened} open and {unknown} are under keys that this version does not know, and the log",
            summary.entries
        ),
    };
    let others = found.map(|found| found.others.as_slice()).unwrap_or_default().iter();
    let others: String = others.map(|other| shown(other.node.as_deref(), &other.head)).collect();
    let text = format!(
        "{}: a backup of {made}, revision {}, {len} octets, of installation {} ({kind})\n\
         sealed to: {}\nhead: {head}\n{others}digest: {digest}\n{opened}",
        options.file.display(),
        about.revision,
        hex::encode(about.installation),
        recipients.join(", ")
    );
    Ok(say(&text)?)
}
