//! `skerry restore`: a folder as a server left it, of a backup.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_audit::Head;
use skerry_backup::About;
use skerry_jose::json::Object;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{Options as StoreOptions, Store, StoreError};
use skerry_vault::{Installation, Node, Recovered, Restored, lost};

use super::check::{self, Found, LOG_FILE};
use super::known::{self, After};
use super::make::who;
use super::target::{RootFile, Target};
use super::{bar, certificates, is_the_one, rfc3339, show};
use crate::edge::{Failure, say};
use crate::server::{self, STORE};
use crate::{machine, verify};

/// Restore a server from a backup, into a new folder
///
/// Everything is checked first and the folder is there whole or not at all. The server begins a new audit log, whose first record
/// says what was restored and by whom; the old log is kept beside it. A backup that is not the newest state that is known of, or of
/// which that is not known, takes a word: --accept-loss-since and the time of the backup. Exit code 0: restored, 1: something would
/// be lost and the word for it was not given, 2: a file or the folder is wrong, 3: no room on the disk, 4: the backup is not what was
/// backed up.
#[derive(Args)]
pub(crate) struct Options {
    /// The backup
    file: PathBuf,
    /// Private key of a recovery certificate: PKCS#8, PEM, without a passphrase
    #[arg(long, value_name = "KEY")]
    recovery_key: PathBuf,
    /// Data folder to make: new, or empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// File to write the root key to, as a configuration names it
    #[arg(long, value_name = "FILE")]
    root_key_out: Option<PathBuf>,
    /// Newest head of the audit log that is known: LOG:RECORDS:HASH, or a file that has one
    #[arg(long, value_name = "HEAD", conflicts_with = "after")]
    known_head: Option<String>,
    /// Data folder of the server that was, or its audit folder: says what the backup does not have, and its log is kept
    #[arg(long, value_name = "DIR")]
    after: Option<PathBuf>,
    /// Restore although what came after the backup is lost: the time of the backup
    #[arg(long, value_name = "TIME")]
    accept_loss_since: Option<String>,
    /// Digest of the backup, as it was kept
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    restore(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn restore(options: &Options) -> Result<(), Failure> {
    let key = certificates::recovery_key(&options.recovery_key)?;
    let root_file = RootFile::new(options.root_key_out.as_deref())?;
    let bar = bar("restoring");
    let mut backup = check::open(&options.file, |_| ())?;
    is_the_one(backup.digest(), options.digest.as_deref())?;
    let (about, len, word) = (backup.about().clone(), backup.octets(), options.accept_loss_since.as_deref());
    if about.kind == Kind::Dev {
        return Err(anyhow!("the backup is of a folder of `skerry dev`, which `skerry serve` does not take").into());
    }
    let known = options.known_head.as_deref().map(known::head).transpose()?;
    // What can be said before hours of reading is said before.
    let after = match (&known, &options.after) {
        (Some(known), _) => Some(After::by_head(&about, known)?),
        (None, None) => Some(After::NotKnown),
        (None, Some(_)) => None,
    };
    if let Some(after) = &after {
        after.accept(&about, word)?;
    }
    let mut contents = backup.unlock(&key).map_err(|error| check::refuse(error, &options.file))?;
    let target = Target::begin(&options.data)?;
    let before = target.before(&about.log.head.log)?;
    let root = Root::new(zeroize::Zeroizing::new(*contents.root().danger().octets()));
    let store_path = target.data().join(STORE);
    let mut import = Store::import(&store_path, &root).map_err(|error| unwritten(error, &store_path))?;
    let walked = check::walk(
        &mut contents,
        (&options.file, &about),
        &before,
        |rows| import.put(rows).map_err(|error| unwritten(error, &store_path)),
        |read| show(&bar, read, len),
    );
    let found = walked?;
    let revision = import.finish().map_err(|error| unwritten(error, &store_path))?;
    if revision.0 != about.revision {
        return Err(Failure::integrity(anyhow!("the rows of the backup are of another revision than it says")));
    }
    if let Some(known) = known.as_ref().filter(|known| known.records <= about.log.head.records) {
        check::continues(&before, known, "--known-head")?;
    }
    let runtime = server::runtime()?;
    let (after, recovered) = runtime.block_on(async {
        let store =
            Store::open(&store_path, &root, StoreOptions::new(drop)).map_err(|error| unwritten(error, &store_path))?;
        let from = Installation::remembered_head(&store, &root).await.map_err(unsound)?;
        let (after, head) = match (after, &options.after) {
            (Some(after), _) => (after, about.log.head),
            (None, None) => (After::NotKnown, about.log.head),
            (None, Some(folder)) => take_log(folder, &about, from.as_ref(), &found, &before)?,
        };
        after.accept(&about, word)?;
        let recovered = recover(&store, &root, (&before, &target.log()), &found, head, &after).await?;
        Ok::<_, Failure>((after, recovered))
    })?;
    root_file.write(&root)?;
    target.finish(&before).inspect_err(|_| root_file.undo())?;
    bar.finish_and_clear();
    tell(options, &found, &after, &recovered)
}

/// The log of the old folder takes the place of the backup's, which it has to continue; what it has that the backup has not.
fn take_log(
    folder: &Path,
    about: &About,
    from: Option<&Head>,
    found: &Found,
    before: &Path,
) -> Result<(After, Head), Failure> {
    let (log, copy) = (known::log_of(folder), before.join(LOG_FILE));
    let context = || format!("--after {}", folder.display());
    std::fs::copy(log.join(LOG_FILE), &copy).with_context(context)?;
    // The copy is what is looked at, so that what is told is what is kept.
    check::continues(before, &about.log.head, &context())?;
    let loss = lost(before, from.map_or(0, |head| head.records), |op| found.made.contains(&op));
    let loss = loss.with_context(context).map_err(Failure::integrity)?;
    std::fs::File::open(&copy).and_then(|copy| copy.sync_all()).with_context(context)?;
    let head = loss.head.unwrap_or(about.log.head);
    Ok((After::by_log(loss), head))
}

/// Makes the installation that a server opens, and opens it as far as to see that one would.
async fn recover(
    store: &Store,
    root: &Root,
    (before, log): (&Path, &Path),
    found: &Found,
    head: Head,
    after: &After,
) -> Result<Recovered, Failure> {
    let who = who(rustix::process::geteuid().as_raw());
    let about = &found.summary.about;
    let (lost, digest) = (after.on_record(), found.summary.digest);
    let restored = Restored { backup: about.id, digest, revision: about.revision, head, who: &who, lost: &lost };
    let limits = skerry_audit::Limits::default();
    let machine = machine::machine();
    let (now, randomizer) = (machine.now(), machine.randomizer());
    let recovered =
        Installation::recover(store, root, about.kind, (before, log), limits, &restored, now, randomizer).await;
    let recovered = recovered.map_err(unsound)?;
    let report = Installation::verify(&Node::Only, (store, root, about.kind), log).await.map_err(unsound)?;
    match report.head == recovered.head {
        true => Ok(recovered),
        false => Err(Failure::integrity(anyhow!("the new log does not end where it was left"))),
    }
}

fn tell(options: &Options, found: &Found, after: &After, recovered: &Recovered) -> Result<(), Failure> {
    let about = &found.summary.about;
    let Recovered { head, settled_committed, settled_aborted } = recovered;
    let (data, head) = (options.data.display().to_string(), verify::text(head));
    let text = match options.json {
        true => Object::new()
            .with("restored", data)
            .with("backup", hex::encode(about.id))
            .with("made", rfc3339(about.made))
            .with("revision", about.revision)
            .with("rows", found.summary.entries)
            .with("lost", after.on_record())
            .with("settled_committed", count(*settled_committed))
            .with("settled_aborted", count(*settled_aborted))
            .with("log_before", verify::text(&about.log.head))
            .with("head", head)
            .to_json(),
        false => format!(
            "{data}: {} rows at revision {}, of {}; {}\nhead of the new log: {head}\n\
             start the server on it, and make a backup: heads and digests that were kept are those of the log before",
            found.summary.entries,
            about.revision,
            rfc3339(about.made),
            after.on_record()
        ),
    };
    Ok(say(&text)?)
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn unwritten(error: StoreError, path: &Path) -> Failure {
    let io = matches!(error, StoreError::Io { .. });
    let error = anyhow::Error::new(error);
    if io {
        let context = format!("{}: there is no room, or it cannot be written; begin again when it can", path.display());
        return Failure::unavailable(error.context(context));
    }
    Failure::integrity(error.context("the rows of the backup make no store"))
}

fn unsound(error: skerry_vault::InstallationError) -> Failure {
    Failure::integrity(anyhow::Error::new(error).context("what the backup has makes no server"))
}
