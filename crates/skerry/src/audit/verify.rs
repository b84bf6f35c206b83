//! All of a log held against what was signed for; of several logs, each against what the others have seen.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_audit::{CheckError, Checked, Record, Which, check, witnessed};
use skerry_jose::json::{Object, Value};
use skerry_tlog::{Checkpoint, VerifyingKey};

use super::{key_text, log_in, refuse};
use crate::edge::{Failure, say};
use crate::key::show::or_null;

#[derive(Args)]
pub(crate) struct Options {
    /// Data folders of servers, or folders of their logs
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// The log's key, as `skerry audit key` printed it once; without it the key beside the log is believed
    #[arg(long, value_name = "KEY", value_parser = key_text)]
    log_key: Option<VerifyingKey>,
    /// A checkpoint of this log that was kept elsewhere, which it has to continue; may be repeated
    #[arg(long, value_name = "FILE")]
    since: Vec<PathBuf>,
    /// Print one JSON object a log
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(options: &Options) -> Result<(), Failure> {
    if options.folders.len() > 1 && (options.log_key.is_some() || !options.since.is_empty()) {
        return Err(anyhow!("--log-key and --since are of one log").into());
    }
    let since = options.since.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut logs = Vec::new();
    for folder in options.folders.iter().map(|folder| log_in(folder)) {
        let mut seen = Vec::new();
        let visit = |record: &Record| seen.extend(witnessed(record).map(|note| (record.leaf().index(), note)));
        let checked = check(&folder, options.log_key.as_ref(), &since, visit);
        let checked = checked.map_err(|error| self::refused(error, &folder, &options.since))?;
        logs.push(Log { folder, checked, seen, others: 0 });
    }
    for at in 0..logs.len() {
        let others = against_the_others(&logs, at)?;
        if let Some(log) = logs.get_mut(at) {
            log.others = others;
        }
    }
    logs.iter().try_for_each(|log| Ok(say(&log.report(options.json))?))
}

/// A log that holds by itself.
struct Log {
    folder: PathBuf,
    checked: Checked,
    /// Checkpoints of other logs that it has, each with the record's index.
    seen: Vec<(u64, Vec<u8>)>,
    /// How many of its own checkpoints others have.
    others: usize,
}

/// Checks a log against the checkpoints of it that the others have on record; their number.
fn against_the_others(logs: &[Log], at: usize) -> Result<usize, Failure> {
    let Some(log) = logs.get(at) else { return Ok(0) };
    let Some(key) = &log.checked.key else { return Ok(0) };
    let mut notes = Vec::new();
    for other in logs.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other) {
        for (index, note) in &other.seen {
            let said = Checkpoint::parse_unverified(note);
            if said.is_ok_and(|said| said.origin == key.name()) {
                notes.push((&other.folder, *index, note.clone()));
            }
        }
    }
    if notes.is_empty() {
        return Ok(0);
    }
    let since: Vec<_> = notes.iter().map(|(_, _, note)| note.clone()).collect();
    check(&log.folder, Some(key), &since, |_| ()).map_err(|error| {
        let given = number(&error).and_then(|number| notes.get(number));
        let witness = given.map(|(folder, index, _)| format!("as record {index} of {} has seen it", folder.display()));
        with(refuse(error, &log.folder), witness)
    })?;
    Ok(notes.len())
}

fn refused(error: CheckError, folder: &Path, since: &[PathBuf]) -> Failure {
    let file = number(&error).and_then(|number| since.get(number)).map(|file| format!("against {}", file.display()));
    with(refuse(error, folder), file)
}

fn with(failure: Failure, context: Option<String>) -> Failure {
    match context {
        Some(context) => failure.context(context),
        None => failure,
    }
}

/// Which of the checkpoints that were given an error is about.
fn number(error: &CheckError) -> Option<usize> {
    match error {
        CheckError::Checkpoint { which: Which::Given { number }, .. }
        | CheckError::Truncated { which: Which::Given { number }, .. }
        | CheckError::Forked { which: Which::Given { number }, .. } => Some(*number),
        _ => None,
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

impl Log {
    fn report(&self, json: bool) -> String {
        let Checked { report, published, checkpoints, tiles, key } = &self.checked;
        let root = hex::encode(report.tree.root());
        if json {
            let checkpoint = published.as_ref().map(|checkpoint| checkpoint.note().to_owned());
            return Object::new()
                .with("ok", true)
                .with("folder", self.folder.display().to_string())
                .with("log", hex::encode(report.head.log))
                .with("records", report.head.records)
                .with("root", root)
                .with("torn_octets", report.torn_octets)
                .with("published", Value::from(published.as_ref().map_or(0, |checkpoint| checkpoint.size())))
                .with("checkpoints", u64::try_from(*checkpoints).unwrap_or(u64::MAX))
                .with("tiles", *tiles)
                .with("witnessed", u64::try_from(self.others).unwrap_or(u64::MAX))
                .with("key", or_null(key.as_ref().map(VerifyingKey::to_string)))
                .with("checkpoint", or_null(checkpoint))
                .to_json();
        }
        let records = report.head.records;
        let mut text = format!("{}: {records} records hold, root {root}", self.folder.display());
        match published {
            Some(published) => {
                let size = published.size();
                text += &format!("\n  published: {size} records, {tiles} tiles, {checkpoints} signed checkpoints hold");
            }
            None => text += "\n  nothing of it is published, so that the chain alone was checked",
        }
        if self.others > 0 {
            text += &format!("\n  {} checkpoints that other logs have seen of it hold", self.others);
        }
        text
    }
}
