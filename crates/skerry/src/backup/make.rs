//! Making a backup, by the process that holds the store: the server when it is asked, else the command itself.

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, anyhow};
use rand_core::Rng as _;
use skerry_audit::Head;
use skerry_backup::{About, Recipient, WriteError, Writer};
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{Exported, StoreError};
use skerry_vault::{Installation, Known, Refusal, Whole};

use super::recipients;
use crate::edge::Failure;
use crate::machine::rng;
use crate::server::AUDIT;
use crate::server::etcd::way_forward;
use crate::verify;

/// What is asked for.
pub(crate) struct Job {
    /// Recovery certificates, DER.
    pub(crate) recipients: Vec<Vec<u8>>,
    /// How fast to read; 0 is as fast as goes.
    pub(crate) octets_per_sec: u64,
    /// Who asks, for the log.
    pub(crate) who: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) id: [u8; 16],
    pub(crate) digest: [u8; 32],
    pub(crate) revision: u64,
    pub(crate) entries: u64,
    pub(crate) octets: u64,
    /// Of the log, as text.
    pub(crate) head: String,
    /// The other nodes, as the rows know them.
    pub(crate) others: Vec<Other>,
}

/// A node whose log is not in the backup, and how far that had come at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) node: Option<String>,
    pub(crate) head: Head,
}

/// Who has this user id, as the log names him.
pub(crate) fn who(uid: u32) -> String {
    format!("unix:uid={uid}")
}

/// Puts it on record and writes it, on a thread of its own; to the certificates that are allowed, if it is said which. `progress` is told how far it is, of how much, and says whether to go on.
pub(crate) async fn make(
    installation: &Installation,
    data: &Path,
    (job, allowed): (&Job, Option<&[Vec<u8>]>),
    out: &mut (impl Write + Send),
    now: SystemTime,
    progress: impl FnMut(u64, u64) -> bool + Send,
) -> Result<Made, Failure> {
    let stamp = installation.stamp();
    if stamp.kind == Kind::Dev {
        return Err(anyhow!("folders of `skerry dev` are not backed up: stop it and copy the folder").into());
    }
    if let Some(allowed) = allowed
        && job.recipients.iter().any(|certificate| !allowed.contains(certificate))
    {
        let text =
            "a certificate is not among those of [backup] in the configuration, and backups are sealed to no others";
        return Err(Failure::refused(anyhow!(text)));
    }
    let recipients = recipients(&job.recipients)?;
    let names: Vec<String> = recipients.iter().map(|one| hex::encode(one.certificate())).collect();
    let mut id = [0; 16];
    rng().fill_bytes(&mut id);
    let taken = installation.danger().take_out(&id, &job.who, &names.join(", "), now).await;
    let whole = taken.map_err(|refusal| match refusal {
        Refusal::Store(error) => unread(error),
        refusal => Failure::unavailable(anyhow::Error::new(refusal).context("no backup is made that is not on record")),
    })?;
    let about = About {
        id,
        installation: stamp.installation,
        kind: stamp.kind,
        made: secs(now),
        revision: whole.export.revision().0,
        rows: whole.export.rows(),
        log: whole.log,
    };
    let (folder, root) = (data.join(AUDIT), installation.danger().root());
    let rate = job.octets_per_sec;
    // On this thread no other task is waited for: reads and the disk block.
    let work = move || write(out, about, whole, &folder, root, &recipients, Pace::new(rate), progress);
    std::thread::scope(|scope| scope.spawn(work).join()).map_err(|_| anyhow!("the thread of the backup ended"))?
}

#[expect(clippy::too_many_arguments, reason = "each is used once, on the thread that is made for it")]
fn write(
    out: &mut impl Write,
    about: About,
    whole: Whole,
    log: &Path,
    root: &Root,
    recipients: &[Recipient],
    pace: Pace,
    mut progress: impl FnMut(u64, u64) -> bool,
) -> Result<Made, Failure> {
    let Whole { mut export, log: end } = whole;
    let all = export.rows().saturating_add(end.len / LOG_STEP);
    let mut done = 0_u64;
    let mut others = Vec::new();
    let mut writer = Writer::new(out, about, recipients, root, &mut rng()).map_err(unwritten)?;
    while let Some(rows) = export.page().map_err(unread)? {
        for known in rows.iter().filter_map(|exported| known(root, exported).transpose()) {
            let Known { node, head, .. } = known?;
            others.extend((head.log != end.head.log).then_some(Other { node, head }));
        }
        writer.rows(&rows).map_err(unwritten)?;
        done = done.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        pace.keep(writer.written(), || progress(done, all))?;
    }
    // From here on the store uses its pages again.
    drop(export);
    let mut octets = skerry_audit::octets_to(log, &end).context("audit log")?;
    let mut part = vec![0; LOG_PART];
    loop {
        let read = octets.read(&mut part).context("audit log")?;
        let Some(read) = part.get(..read).filter(|read| !read.is_empty()) else { break };
        writer.log(read).map_err(unwritten)?;
        done = done.saturating_add(u64::try_from(read.len()).unwrap_or(u64::MAX) / LOG_STEP);
        pace.keep(writer.written(), || progress(done, all))?;
    }
    let (_, summary) = writer.finish().map_err(unwritten)?;
    let (about, digest) = (summary.about, summary.digest);
    let (entries, octets, head) = (summary.entries, summary.len, verify::text(&end.head));
    Ok(Made { id: about.id, digest, revision: about.revision, entries, octets, head, others })
}

/// What a row says of a server.
fn known(root: &Root, exported: &Exported) -> Result<Option<Known>, Failure> {
    let Exported::Entry(row) = exported else { return Ok(None) };
    Known::of(root, row).map_err(|error| {
        let context = "no backup is made of rows that are not what was stored";
        Failure::integrity(anyhow::Error::new(error).context(context))
    })
}

fn unread(error: StoreError) -> Failure {
    let context = "no backup is made of rows that are not those last committed";
    match &error {
        StoreError::Altered | StoreError::Damaged { .. } => {
            Failure::integrity(anyhow::Error::new(error).context(context))
        }
        StoreError::Compacted { .. } => {
            let context = "the history of etcd was compacted while it was read, by somebody else than Skerry; nothing is left of \
                           the backup: begin again, and see to --auto-compaction-retention";
            Failure::unavailable(anyhow::Error::new(error).context(context))
        }
        StoreError::Unreachable
        | StoreError::NoQuorum
        | StoreError::Denied { .. }
        | StoreError::ServerVersion { .. } => {
            let context = format!("etcd cannot be read, and nothing is left of the backup: {}", way_forward(&error));
            Failure::unavailable(anyhow::Error::new(error).context(context))
        }
        _ => Failure::unavailable(anyhow::Error::new(error).context("the store cannot be read")),
    }
}

fn unwritten(error: WriteError) -> Failure {
    let context = match &error {
        WriteError::Io {
            kind: io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded,
        } => "there is no room for the backup; nothing is left of it: make room and begin again",
        WriteError::Io { .. } => "the backup cannot be written",
        _ => return anyhow::Error::new(error).into(),
    };
    Failure::unavailable(anyhow::Error::new(error).context(context))
}

fn secs(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Not faster than so many octets a second.
struct Pace {
    octets_per_sec: u64,
    begun: Instant,
}

impl Pace {
    fn new(octets_per_sec: u64) -> Pace {
        Pace { octets_per_sec, begun: Instant::now() }
    }

    /// Waits for as long as so many octets are too many, and no longer than somebody wants them.
    fn keep(&self, octets: u64, mut go_on: impl FnMut() -> bool) -> Result<(), Failure> {
        loop {
            if !go_on() {
                return Err(Failure::unavailable(anyhow!("who asked for the backup has gone")));
            }
            let Some(wait) = ahead(octets, self.octets_per_sec, self.begun.elapsed()) else { return Ok(()) };
            std::thread::sleep(wait.min(WAIT_MAX));
        }
    }
}

/// By how much so many octets come too early.
fn ahead(octets: u64, per_sec: u64, elapsed: Duration) -> Option<Duration> {
    let micros = u128::from(octets).saturating_mul(1_000_000).checked_div(u128::from(per_sec))?;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).checked_sub(elapsed).filter(|wait| !wait.is_zero())
}

/// How soon a server that stops is heard.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Octets of the log that count as much as a row.
const LOG_STEP: u64 = 1024;
const LOG_PART: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenth of a second's octets at once are a tenth of a second too early; later ones and no limit are not.
    #[test]
    fn the_pace_is_kept() {
        let ms = Duration::from_millis;
        assert_eq!(ahead(100, 1_000, ms(0)), Some(ms(100)));
        assert_eq!(ahead(100, 1_000, ms(40)), Some(ms(60)));
        assert_eq!(ahead(100, 1_000, ms(100)), None);
        assert_eq!(ahead(u64::MAX, 0, ms(0)), None);
    }
}
