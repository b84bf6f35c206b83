//! `skerry store`: what is stored, moved from one engine to another.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use skerry_jose::json::Object;
use skerry_store::migrate::{MigrateError, Phase, Report, migrate};
use skerry_store::seal::Root;
use skerry_store::stamp::{Kind, MOVED_KEY, StampError};
use skerry_store::{At, Store, StoreError};
use skerry_store_etcd::Make;
use skerry_vault::Node;
use zeroize::Zeroizing;

use crate::config::{self, Settings, StoreSettings};
use crate::edge::{Failure, say};
use crate::server::hsm;
use crate::server::shared::{KILLED_MAX, is_in_use};
use crate::{machine, server};

#[derive(Subcommand)]
pub(crate) enum Command {
    Migrate(Migrate),
}

/// Move all rows of the store of one configuration to that of another: from redb to etcd, or back
///
/// Every server of either has to be stopped, cleanly or by starting it once more after a crash: what was in doubt when it
/// stopped is settled by its own log. Both configurations have the same root key. Rows are copied as they are, sealed, into a
/// store that is empty; cut short, the same command goes on. When both hold the same rows the source is marked, no server takes it
/// from then on, and the target gets its stamp. The audit log stays where it is: a target with the same data folder goes on with it. Exit code 0:
/// moved, 1: refused, and why, 2: a file or configuration is wrong, 3: a store is in use or not there, 4: what is stored is not
/// what was stored.
#[derive(Args)]
pub(crate) struct Migrate {
    /// Configuration of the servers whose store it is
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Configuration of those that are to have it
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// File with the passphrase of the root key, or - for standard input, instead of typing it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let Command::Migrate(options) = command;
    move_rows(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn move_rows(options: &Migrate) -> Result<(), Failure> {
    let (mut from, to) = (load(&options.from)?, load(&options.to)?);
    if same(&from, &to) {
        return Err(anyhow!("both configurations name the same store").into());
    }
    let (root, _) = hsm::take(&from.root, (from.custody, from.hsm.take()), options.passphrase_file.as_deref())?;
    let report = server::runtime()?.block_on(between(&from, &to, root, options.json))?;
    let digest = hex::encode(report.digest);
    if options.json {
        let moved = Object::new().with("ok", true).with("rows", report.rows);
        return Ok(say(&moved.with("changed", report.changed).with("sha256", digest).to_json())?);
    }
    Ok(say(&format!(
        "moved: both stores hold the same {} rows, sha256 {digest}; {} were written this time\n\
         the source is marked and no server takes it any more: start servers with {}",
        report.rows,
        report.changed,
        options.to.display()
    ))?)
}

async fn between(from: &Settings, to: &Settings, root: Zeroizing<[u8; 32]>, json: bool) -> Result<Report, Failure> {
    let key = || Zeroizing::new(*root);
    let source = open(from, &Root::new(key()), false).await?;
    // What was moved already was settled before.
    let source = match is_moved(&source, from).await? {
        true => source,
        false => {
            in_use(&source, KILLED_MAX, from).await?;
            let settled = server::settled(&node(from), source, &from.data, key(), &machine::machine()).await;
            let source = open(from, &Root::new(key()), false).await?;
            match settled {
                // Another migration may have come to its end meanwhile.
                Err(failure) if !is_moved(&source, from).await? => return Err(failure),
                _ => source,
            }
        }
    };
    let target = open(to, &Root::new(key()), true).await?;
    let bar = bar(json);
    let show = |phase, rows| {
        bar.set_message(words(phase));
        bar.set_position(rows);
    };
    let in_use = async || is_in_use(&source, Duration::ZERO).await;
    let root = Root::new(key());
    let moved = migrate(&source, &target, Kind::Serve, &root, &mut machine::rng(), in_use, show).await;
    bar.finish_and_clear();
    moved.map_err(|error| refuse(error, from))
}

async fn is_moved(source: &Store, from: &Settings) -> Result<bool, Failure> {
    let mark = source.get(MOVED_KEY, At::Linearizable).await.map_err(|error| refuse(error.into(), from))?;
    Ok(mark.is_some())
}

/// What a server does meanwhile would be lost.
async fn in_use(source: &Store, patience: Duration, from: &Settings) -> Result<(), Failure> {
    match is_in_use(source, patience).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(refuse(MigrateError::SourceInUse, from)),
        Err(error) => Err(refuse(error.into(), from)),
    }
}

async fn open(settings: &Settings, root: &Root, make: bool) -> Result<Store, Failure> {
    match (&settings.store, make) {
        (StoreSettings::Embedded, _) => server::embedded(&settings.data, root, make),
        (StoreSettings::Etcd(etcd), true) => server::etcd::open(etcd, Make::Either(machine::random())).await,
        (StoreSettings::Etcd(etcd), false) => server::etcd::open(etcd, Make::Existing).await,
    }
}

fn node(settings: &Settings) -> Node {
    match &settings.store {
        StoreSettings::Embedded => Node::Only,
        StoreSettings::Etcd(etcd) => Node::Named(etcd.node.clone()),
    }
}

fn same(from: &Settings, to: &Settings) -> bool {
    match (&from.store, &to.store) {
        (StoreSettings::Embedded, StoreSettings::Embedded) => from.data == to.data,
        (StoreSettings::Etcd(from), StoreSettings::Etcd(to)) => {
            from.prefix == to.prefix && from.endpoints.iter().any(|endpoint| to.endpoints.contains(endpoint))
        }
        _ => false,
    }
}

fn load(path: &Path) -> anyhow::Result<Settings> {
    config::load(path, SystemTime::now()).with_context(|| path.display().to_string())
}

/// Who has to act, by kind.
fn refuse(error: MigrateError, from: &Settings) -> Failure {
    let context = match &error {
        MigrateError::Source(StampError::Missing) => "the source has no stamp: it is no store, or one half full itself",
        MigrateError::Source(_) => "the source is not a store of these configurations",
        MigrateError::NotEmpty => "the target holds something already: take an empty prefix or folder",
        MigrateError::OtherSource => "the target is being filled from another store: take an empty one",
        MigrateError::MovedElsewhere => "the source was moved already: go on with the target it was moved to",
        MigrateError::Done => "nothing is left to do: start servers with the target's configuration",
        MigrateError::SourceInUse => "a server of one of its nodes runs: stop all of them, and do this again",
        MigrateError::SourceChanged => "a server still writes to the source: stop all of them, and do this again",
        MigrateError::TargetChanged => "somebody else writes to the target: stop him, and do this again",
        MigrateError::Store(_) => "nothing is lost: do this again when the store answers",
        _ => "the target is not the source: empty it, and do this again",
    };
    let unavailable = matches!(
        error,
        MigrateError::SourceInUse
            | MigrateError::Store(
                StoreError::Unreachable | StoreError::NoQuorum | StoreError::Full | StoreError::Io { .. }
            )
    );
    let refused = matches!(
        error,
        MigrateError::NotEmpty
            | MigrateError::OtherSource
            | MigrateError::MovedElsewhere
            | MigrateError::Done
            | MigrateError::SourceChanged
            | MigrateError::TargetChanged
    );
    let error = anyhow::Error::new(error).context(format!("{}: {context}", from.data.display()));
    match (refused, unavailable) {
        (true, _) => Failure::refused(error),
        (_, true) => Failure::unavailable(error),
        _ => Failure::integrity(error),
    }
}

/// On standard error, where that is a terminal.
fn bar(json: bool) -> ProgressBar {
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::no_length() };
    // Infallible: the template is a constant; without it the bar is a plain one.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {pos} rows, {per_sec}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Counting => "counting",
        Phase::Copying => "copying",
        Phase::Comparing => "comparing",
    }
}
