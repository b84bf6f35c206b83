//! `skerry restore`: a folder as a server left it, of a backup.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_audit::{AuditError, Head};
use skerry_jose::json::Object;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{Options as StoreOptions, Store, StoreError};
use skerry_vault::{Installation, Known, Loss, Node, Recovered, Restored, lost};

use super::check::{self, Found, LOG_FILE};
use super::known::{self, After, Line, Newest};
use super::make::who;
use super::target::{RootFile, Target};
use super::{bar, certificates, is_the_one, node, rfc3339, show, shown};
use crate::edge::{Failure, say};
use crate::server::{self, STORE};
use crate::{machine, verify};

/// Restore a server from a backup, into a new folder
///
/// Everything is checked first and the folder is there whole or not at all. The server begins a new audit log, whose first record
/// says what was restored and by whom; the old log is kept beside it. A backup that is not the newest state that is known of, or of
/// which that is not known, takes a word: --accept-loss-since and the time of the backup. Of several nodes that has to be known of each;
/// the restored server is alone, and `skerry store migrate` has it shared again. Exit code 0: restored, 1: something would
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
    /// Newest head of the audit log that is known: LOG:RECORDS:HASH, or a file that has one. Of several nodes, one of each
    #[arg(long, value_name = "HEAD")]
    known_head: Vec<String>,
    /// Data folder of the server that was, or its audit folder: says what the backup does not have, and its log is kept. Of several
    /// nodes, that of each
    #[arg(long, value_name = "DIR")]
    after: Vec<PathBuf>,
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
    let known = options.known_head.iter().map(|text| known::head(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let given = options.after.iter().map(|folder| Given::look(folder)).collect::<Result<Vec<_>, _>>()?;
    // What can be said before hours of reading is said before.
    if given.is_empty() {
        let own: Vec<_> = known.iter().filter(|known| known.log == about.log.head.log).copied().collect();
        if known.is_empty() || !own.is_empty() {
            Newest::by_heads(&about, None, &own)?.accept(&about, word)?;
        }
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
    let mut newest = Newest::by_heads(&about, Some(&found), &known)?;
    is_continued(&before, &about.log.head, &known)?;
    newest.meanwhile(loss(&before, found.own.as_ref(), &found)?.count());
    let mut kept = vec![before.clone()];
    for given in &given {
        let own = given.log == about.log.head.log;
        let folder = if own { before.clone() } else { target.before(&given.log)? };
        let head = given.take(&folder, &found, &mut newest)?;
        is_continued(&folder, &head, &known)?;
        if !own {
            kept.push(folder);
        }
    }
    newest.accept(&about, word)?;
    let kept: Vec<&Path> = kept.iter().map(PathBuf::as_path).collect();
    let recovered = server::runtime()?.block_on(async {
        let store =
            Store::open(&store_path, &root, StoreOptions::new(drop)).map_err(|error| unwritten(error, &store_path))?;
        recover(&store, &root, (&kept, &target.log()), &found, &newest).await
    })?;
    root_file.write(&root)?;
    target.finish(&kept).inspect_err(|_| root_file.undo())?;
    bar.finish_and_clear();
    tell(options, &found, &newest, &recovered)
}

/// Heads that were kept elsewhere are of the log in this folder, which has come so far, as far as it goes.
fn is_continued(folder: &Path, head: &Head, known: &[Head]) -> Result<(), Failure> {
    let mut of_it = known.iter().filter(|known| known.log == head.log && known.records <= head.records);
    of_it.try_for_each(|known| check::continues(folder, known, "--known-head"))
}

/// What the log in this folder has of changes, of the server that the rows know so, and the rows have not.
fn loss(log: &Path, known: Option<&Known>, found: &Found) -> Result<Loss, Failure> {
    let loss = lost(log, known.map_or(0, |known| known.head.records), |op| found.made.contains(&op));
    loss.context("audit log").map_err(Failure::integrity)
}

/// An old data folder, and whose log is in it.
struct Given<'a> {
    folder: &'a Path,
    log: [u8; 16],
}

impl<'a> Given<'a> {
    fn look(folder: &'a Path) -> Result<Given<'a>, Failure> {
        let found = skerry_audit::read(&known::log_of(folder)).map(|log| log.head().log);
        let log = found.map_err(|error| {
            let is_there = !matches!(error, AuditError::Missing | AuditError::Io { .. });
            let error = anyhow::Error::new(error).context(format!("--after {}", folder.display()));
            if is_there { Failure::integrity(error) } else { error.into() }
        })?;
        Ok(Given { folder, log })
    }

    /// Its log is kept, in the place of the backup's where it is of the node that made that. It has to continue what the backup knows
    /// of it; what it has that the backup has not is told.
    fn take(&self, to: &Path, found: &Found, newest: &mut Newest) -> Result<Head, Failure> {
        let context = || format!("--after {}", self.folder.display());
        let copy = to.join(LOG_FILE);
        let known = found.own.iter().chain(&found.others).find(|known| known.head.log == self.log);
        let Some(line) = newest.of(&self.log) else {
            let text = "it is of another log than any that the backup knows: that of another server, of this one after it was \
                        restored, of which the first record names the log before, or of a node that was added after the backup";
            return Err(Failure::refused(anyhow!(text).context(context())));
        };
        std::fs::copy(known::log_of(self.folder).join(LOG_FILE), &copy).with_context(context)?;
        // The copy is what is looked at, so that what is told is what is kept.
        check::continues(to, &line.head, &context())?;
        let loss = loss(to, known, found).map_err(|failure| failure.context(context()))?;
        std::fs::File::open(&copy).and_then(|copy| copy.sync_all()).with_context(context)?;
        line.head = loss.head.unwrap_or(line.head);
        line.after = After::by_log(loss);
        let (head, own) = (line.head, Some(self.log) == found.own.as_ref().map(|own| own.head.log));
        if own {
            // Told with all that came after.
            newest.meanwhile(0);
        }
        Ok(head)
    }
}

/// Makes the installation that a server opens, and opens it as far as to see that one would.
async fn recover(
    store: &Store,
    root: &Root,
    (before, log): (&[&Path], &Path),
    found: &Found,
    newest: &Newest,
) -> Result<Recovered, Failure> {
    let who = who(rustix::process::geteuid().as_raw());
    let about = &found.summary.about;
    let (lost, digest) = (newest.on_record(), found.summary.digest);
    let (own, others) = newest.lines().split_first().context("the backup has no log")?;
    let seen = |log| found.others.iter().find(|known| known.head.log == log).map_or(0, |known| known.seen);
    let known = |line: &Line| Known { node: line.node.clone(), head: line.head, seen: seen(line.head.log) };
    let restored = Restored {
        backup: about.id,
        digest,
        revision: about.revision,
        head: own.head,
        node: own.node.as_deref(),
        others: &others.iter().map(known).collect::<Vec<_>>(),
        who: &who,
        lost: &lost,
    };
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

fn tell(options: &Options, found: &Found, newest: &Newest, recovered: &Recovered) -> Result<(), Failure> {
    let about = &found.summary.about;
    let Recovered { head, settled_committed, settled_aborted } = recovered;
    let (data, head) = (options.data.display().to_string(), verify::text(head));
    let others = newest.lines().iter().skip(1);
    let text = match options.json {
        true => Object::new()
            .with("restored", data)
            .with("backup", hex::encode(about.id))
            .with("made", rfc3339(about.made))
            .with("revision", about.revision)
            .with("rows", found.summary.entries)
            .with("lost", newest.on_record())
            .with("settled_committed", count(*settled_committed))
            .with("settled_aborted", count(*settled_aborted))
            .with("log_before", verify::text(&about.log.head))
            .with("nodes", others.map(|line| node(line.node.as_deref(), &line.head)).collect::<Vec<_>>())
            .with("head", head)
            .to_json(),
        false => {
            let others: String = others.map(|line| shown(line.node.as_deref(), &line.head)).collect();
            format!(
                "{data}: {} rows at revision {}, of {}; {}\n{others}head of the new log: {head}\n\
                 start the server on it, and make a backup: heads and digests that were kept are those of the log before",
                found.summary.entries,
                about.revision,
                rfc3339(about.made),
                newest.on_record()
            )
        }
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
