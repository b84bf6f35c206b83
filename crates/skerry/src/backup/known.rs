//! Whether a backup is the newest state that is known of, and the word it takes if it is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use skerry_audit::Head;
use skerry_backup::About;
use skerry_vault::Loss;

use super::rfc3339;
use crate::edge::Failure;
use crate::verify;

/// A head as `skerry verify` and `skerry backup` print it, or a file that has one.
pub(super) fn head(text: &str) -> anyhow::Result<Head> {
    if let Some(head) = verify::parse(text) {
        return Ok(head);
    }
    let kept =
        std::fs::read_to_string(text).with_context(|| format!("{text} is neither LOG:RECORDS:HASH nor a file"))?;
    let mut words = kept.split_whitespace();
    words.find_map(verify::parse).with_context(|| format!("{text} has no LOG:RECORDS:HASH in it"))
}

/// What is known to have come after a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing that changed anything.
    Nothing,
    /// So many records of the log. What they say is not known.
    Records(u64),
    /// These changes.
    Changes { changes: BTreeMap<&'static str, u64>, last: Option<SystemTime>, releases: u64 },
    /// Whether anything did is not known.
    NotKnown,
}

impl After {
    /// By a head that was kept elsewhere. The caller compares the backup's own log with it where that goes further.
    pub(super) fn by_head(about: &About, known: &Head) -> Result<After, Failure> {
        let (own, kept) = (about.log.head, known);
        if own.log != kept.log {
            return Err(Failure::refused(anyhow!(
                "--known-head is of another log than the backup's: that of another server, or of this one after it was restored, of \
                 which the first record names the log before"
            )));
        }
        Ok(match kept.records.checked_sub(own.records) {
            None | Some(0) => After::Nothing,
            Some(records) => After::Records(records),
        })
    }

    /// By the log itself.
    pub(super) fn by_log(loss: Loss) -> After {
        if loss.count() == 0 {
            return After::Nothing;
        }
        After::Changes { last: loss.between.map(|(_, last)| last), releases: loss.releases, changes: loss.changes }
    }

    /// As the log of the restored server has it.
    pub(super) fn on_record(&self) -> String {
        match self {
            After::NotKnown => "what came after it is not known, and lost".to_owned(),
            After::Records(records) => {
                format!("{records} records of the log came after it, and what they changed is lost")
            }
            After::Nothing | After::Changes { .. } => self.to_string(),
        }
    }

    /// Refuses what would be lost, unless the word for it was given: the time of the backup.
    pub(super) fn accept(&self, about: &About, word: Option<&str>) -> Result<(), Failure> {
        let made = rfc3339(about.made);
        if *self == After::Nothing {
            return Ok(());
        }
        match word {
            Some(word) if word == made => Ok(()),
            Some(word) => Err(Failure::refused(anyhow!(
                "--accept-loss-since {word} is not the time of this backup, which is {made}: {self}"
            ))),
            None => Err(Failure::refused(anyhow!("{self}. To restore it all the same: --accept-loss-since {made}"))),
        }
        .map_err(|failure: Failure| Failure::refused(anyhow!("{}", failure.text()).context(of(about))))
    }
}

fn of(about: &About) -> String {
    format!(
        "this backup is of {}, revision {}, {} records of the log",
        rfc3339(about.made),
        about.revision,
        about.log.head.records
    )
}

impl std::fmt::Display for After {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            After::Nothing => f.write_str("nothing is lost"),
            After::Records(records) => write!(
                f,
                "{records} records of the log came after it, and what they changed is lost; which, only that log says: with --after \
                 DIR, its folder, it is told"
            ),
            After::Changes { changes, last, releases } => {
                let changes: Vec<String> = changes.iter().map(|(event, count)| format!("{count} {event}")).collect();
                write!(f, "lost are {}", changes.join(", "))?;
                let last = last.and_then(|last| last.duration_since(SystemTime::UNIX_EPOCH).ok());
                if let Some(last) = last {
                    write!(f, ", the last at {}", rfc3339(last.as_secs()))?;
                }
                write!(f, "; {releases} releases are on record since")
            }
            After::NotKnown => f.write_str(
                "whether it is the newest state is not known: a head of the log that was kept elsewhere says so (--known-head), or the \
                 old data folder (--after)",
            ),
        }
    }
}

/// The log of an old data folder, or a folder that is one.
pub(super) fn log_of(after: &Path) -> std::path::PathBuf {
    let inside = after.join(crate::server::AUDIT);
    if inside.is_dir() { inside } else { after.to_owned() }
}
