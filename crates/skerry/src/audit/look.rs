//! Records as a table, or as JSON lines.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use clap::Args;
use der::DateTime;
use skerry_audit::{Entry, EntryError, Event, Filter, Record, Verdict};
use skerry_jose::json::Object;
use uuid::Uuid;

use super::{log_in, refuse};
use crate::edge::{self, Failure, say, table};
use crate::key::show::date;
use crate::remote::shown;

#[derive(Args)]
pub(crate) struct Tail {
    /// Data folder of a server, or the folder of its log
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    lines: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Query {
    /// Data folder of a server, or the folder of its log
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Of this vault, by its id
    #[arg(long, value_name = "UUID")]
    vault: Option<Uuid>,
    /// Of this key, by its id: names can be given again
    #[arg(long, value_name = "UUID")]
    key: Option<Uuid>,
    /// Of this event; may be repeated
    #[arg(long, value_name = "EVENT", value_parser = event)]
    event: Vec<Event>,
    /// By callers whose issuer and subject contain this
    #[arg(long, value_name = "TEXT")]
    who: Option<String>,
    /// With this verdict
    #[arg(long, value_name = "VERDICT", value_parser = verdict)]
    verdict: Option<Verdict>,
    /// Of the request with this id
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Not before: 2026-01-31T12:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<SystemTime>,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<SystemTime>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn tail(asked: &Tail) -> Result<(), Failure> {
    let folder = log_in(&asked.folder);
    let newest = skerry_audit::read_last(&folder, asked.lines).map_err(|error| refuse(error.into(), &folder))?;
    print(newest.map(|record| Ok((record.entry(), record))), asked.json)
}

pub(super) fn query(asked: &Query) -> Result<(), Failure> {
    let folder = log_in(&asked.folder);
    let filter = Filter {
        vault: asked.vault,
        key: asked.key,
        events: asked.event.clone(),
        verdict: asked.verdict,
        who: asked.who.clone(),
        request: asked.request.clone(),
        from: asked.from,
        until: asked.until,
    };
    let found = read(&folder)?.filter_map(|record| {
        let record = match record {
            Ok(record) => record,
            Err(error) => return Some(Err(refuse(error.into(), &folder))),
        };
        Some(Ok((filter.entry(&record).transpose()?, record)))
    });
    print(found.take(asked.limit.unwrap_or(usize::MAX)), asked.json)
}

fn read(folder: &Path) -> Result<skerry_audit::Reader, Failure> {
    skerry_audit::read(folder).map_err(|error| refuse(error.into(), folder))
}

type Found = (Result<Entry, EntryError>, Record);

fn print(records: impl Iterator<Item = Result<Found, Failure>>, json: bool) -> Result<(), Failure> {
    let mut table = table(["record", "time", "event", "verdict", "who", "key", "explanation"]);
    let mut count = 0_usize;
    for found in records {
        let (entry, record) = found?;
        count = count.saturating_add(1);
        if json {
            say(&line(&record)?)?;
            continue;
        }
        let index = record.leaf().index().to_string();
        match entry {
            Ok(entry) => table.add_row(row(index, &entry)),
            Err(error) => table.add_row([index, String::new(), edge::chain(error)]),
        };
    }
    if json {
        return Ok(());
    }
    match count {
        0 => Ok(say("no such record")?),
        _ => Ok(say(&table.to_string())?),
    }
}

/// The record as it stands, with its place.
fn line(record: &Record) -> Result<String, Failure> {
    let leaf = record.leaf();
    let entry = record.json().map_err(|error| Failure::integrity(anyhow!("record {}: {error}", leaf.index())))?;
    Ok(Object::new().with("index", leaf.index()).with("leaf", hex::encode(leaf.hash())).with("entry", entry).to_json())
}

/// What fits on a line: of the caller the subject, of key and version the starts of their ids. The rest is in the JSON.
fn row(index: String, entry: &Entry) -> [String; 7] {
    let start = |id: &[u8]| hex::encode(id.get(..4).unwrap_or(id));
    let key = match (entry.key, entry.version) {
        (Some(key), Some(version)) => format!("{}/{}", start(key.as_bytes()), start(&version)),
        (Some(key), None) => start(key.as_bytes()),
        (None, _) => String::new(),
    };
    let who = shown(entry.who.rsplit(' ').next().unwrap_or_default());
    // The first line says what; the clauses of a policy come after it.
    let explanation = shown(entry.explanation.lines().next().unwrap_or_default());
    let (event, verdict) = (entry.event.as_str().to_owned(), entry.verdict.as_str().to_owned());
    [index, time_text(entry.at), event, verdict, who, key, explanation]
}

fn time_text(at: SystemTime) -> String {
    date(at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn time(text: &str) -> Result<SystemTime, String> {
    let since = match text.parse() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => text.parse::<DateTime>().map_err(|_| WRONG_TIME.to_owned())?.unix_duration(),
    };
    UNIX_EPOCH.checked_add(since).ok_or_else(|| WRONG_TIME.to_owned())
}

fn event(name: &str) -> Result<Event, String> {
    Event::parse(name).ok_or_else(|| format!("it is none of {}", Event::ALL.map(Event::as_str).join(", ")))
}

fn verdict(name: &str) -> Result<Verdict, String> {
    Verdict::parse(name).ok_or_else(|| format!("it is none of {}", Verdict::ALL.map(Verdict::as_str).join(", ")))
}

const WRONG_TIME: &str = "not a time: 2026-01-31T12:00:00Z, or seconds since 1970";
