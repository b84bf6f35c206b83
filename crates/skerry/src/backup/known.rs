//! Whether a backup is the newest state that is known of, and the word it takes if it is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use skerry_audit::Head;
use skerry_backup::About;
use skerry_vault::Loss;

use super::check::Found;
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
    /// By a head that was kept elsewhere, of a log that had come so far. The caller compares the log with it where that goes further.
    pub(super) fn by_head(own: &Head, kept: &Head) -> After {
        match kept.records.checked_sub(own.records) {
            None | Some(0) => After::Nothing,
            Some(records) => After::Records(records),
        }
    }

    /// By the log itself.
    pub(super) fn by_log(loss: Loss) -> After {
        if loss.count() == 0 {
            return After::Nothing;
        }
        After::Changes { last: loss.between.map(|(_, last)| last), releases: loss.releases, changes: loss.changes }
    }

    /// As the log of the restored server has it.
    fn on_record(&self) -> String {
        match self {
            After::NotKnown => "what came after it is not known, and lost".to_owned(),
            After::Records(records) => {
                format!("{records} records of the log came after it, and what they changed is lost")
            }
            After::Nothing | After::Changes { .. } => self.to_string(),
        }
    }
}

/// What is known of each log that a backup knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Newest {
    lines: Vec<Line>,
    /// Changes that the backup's own log has and its rows have not: the log is taken a moment after them.
    meanwhile: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The server whose log it is, if it was one of several.
    pub(super) node: Option<String>,
    /// How far it is known to have come: in the backup, or in what was given beside it.
    pub(super) head: Head,
    pub(super) after: After,
}

impl Newest {
    /// Of the log in the backup, as long as others are not known.
    pub(super) fn own(about: &About, after: After) -> Newest {
        Newest { lines: vec![Line { node: None, head: about.log.head, after }], meanwhile: 0 }
    }

    /// By heads that were kept elsewhere, of the backup's own log and those that its rows name; each has to be of one of them. None
    /// has anything said of it that there is no head of.
    pub(super) fn by_heads(about: &About, found: Option<&Found>, kept: &[Head]) -> Result<Newest, Failure> {
        let own = found.and_then(|found| found.own.as_ref()).and_then(|own| own.node.clone());
        let mut lines = Newest::own(about, After::NotKnown).lines;
        for line in &mut lines {
            line.node.clone_from(&own);
        }
        let others = found.map(|found| found.others.as_slice()).unwrap_or_default().iter();
        lines.extend(others.map(|other| Line { node: other.node.clone(), head: other.head, after: After::NotKnown }));
        for kept in kept {
            let Some(line) = lines.iter_mut().find(|line| line.head.log == kept.log) else {
                return Err(Failure::refused(anyhow!("{}", other_log(found.is_some()))));
            };
            if line.head.records == kept.records && line.head.hash != kept.hash {
                let text = format!("--known-head differs from the backup's after {} records", kept.records);
                return Err(Failure::integrity(anyhow!(text)));
            }
            // Of several the newest counts.
            line.after = match (After::by_head(&line.head, kept), &line.after) {
                (After::Records(more), After::Records(before)) => After::Records(more.max(*before)),
                (After::Nothing, After::Records(before)) => After::Records(*before),
                (after, _) => after,
            };
        }
        Ok(Newest { lines, meanwhile: 0 })
    }

    /// The line of a log.
    pub(super) fn of(&mut self, log: &[u8; 16]) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.head.log == *log)
    }

    /// Those of which something was said.
    pub(super) fn told(self) -> Newest {
        let lines = self.lines.into_iter().filter(|line| line.after != After::NotKnown).collect();
        Newest { lines, ..self }
    }

    /// Whether nothing came after the backup in any of them.
    pub(super) fn is_nothing(&self) -> bool {
        self.lines.iter().all(|line| line.after == After::Nothing)
    }

    /// The backup's own first, then those of other nodes.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// So many changes are known from the backup's own log, and not in its rows.
    pub(super) fn meanwhile(&mut self, changes: u64) {
        self.meanwhile = changes;
    }

    /// As the log of the restored server has it.
    pub(super) fn on_record(&self) -> String {
        let text = self.text(|line| {
            let text = line.after.on_record();
            if self.is_one() { text } else { format!("{}: {text}", named(line)) }
        });
        match self.meanwhile {
            0 => text,
            changes => format!("{text}; {changes} changes were made while the backup began, and are not in it"),
        }
    }

    /// Refuses what would be lost, unless the word for it was given: the time of the backup.
    pub(super) fn accept(&self, about: &About, word: Option<&str>) -> Result<(), Failure> {
        let made = rfc3339(about.made);
        if self.is_nothing() {
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

    fn is_one(&self) -> bool {
        matches!(self.lines.as_slice(), [_])
    }

    fn text(&self, each: impl Fn(&Line) -> String) -> String {
        if self.is_nothing() {
            return After::Nothing.to_string();
        }
        let lost = self.lines.iter().filter(|line| line.after != After::Nothing);
        lost.map(each).collect::<Vec<_>>().join("; ")
    }
}

fn named(line: &Line) -> String {
    line.node.as_ref().map_or_else(|| "this server".to_owned(), |node| format!("node {node}"))
}

/// What is wrong with a head of a log that the backup does not know.
fn other_log(all_known: bool) -> String {
    let node = if all_known {
        "or of a node that was added after it"
    } else {
        "or of another node, which only the rows say, that a recovery key opens"
    };
    format!(
        "--known-head is of another log than the backup's: that of another server, or of this one after it was restored, of \
         which the first record names the log before, {node}"
    )
}

fn of(about: &About) -> String {
    format!(
        "this backup is of {}, revision {}, {} records of the log",
        rfc3339(about.made),
        about.revision,
        about.log.head.records
    )
}

impl std::fmt::Display for Newest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(|line| match (self.is_one(), &line.after) {
            (true, after) => after.to_string(),
            (false, After::NotKnown) => format!(
                "{}: whether anything came after record {} of its log is not known: a later head of that log says so \
                 (--known-head), or its old data folder (--after)",
                named(line),
                line.head.records
            ),
            (false, after) => format!("{}: {after}", named(line)),
        }))
    }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use skerry_audit::End;
    use skerry_backup::Summary;
    use skerry_store::stamp::Kind;
    use skerry_vault::Known;

    use super::*;

    fn head(log: u8, records: u64) -> Head {
        Head { log: [log; 16], records, hash: [log; 32] }
    }

    /// A backup of node a, whose log 1 has 10 records, where node b's log 2 had 20 at least.
    fn of_nodes() -> (About, Found) {
        let log = End { head: head(1, 10), len: 1 };
        let about = About { id: [0; 16], installation: [0; 16], kind: Kind::Serve, made: 0, revision: 1, rows: 1, log };
        let summary = Summary { about: about.clone(), digest: [0; 32], entries: 1, ops: 0, len: 1 };
        let known = |node: &str, head| Known { node: Some(node.to_owned()), head, seen: 0 };
        let (own, others) = (Some(known("a", head(1, 9))), vec![known("b", head(2, 20))]);
        (about, Found { summary, made: HashSet::new(), opened: 1, unknown: 0, own, others })
    }

    /// Each log is judged for itself, by the newest head that is known of it; nothing is lost iff that is so of all.
    #[test]
    fn every_log_has_to_be_known() {
        let (about, found) = of_nodes();
        let newest = |kept: &[Head]| Newest::by_heads(&about, Some(&found), kept).unwrap();
        let after = |kept: &[Head]| newest(kept).lines.into_iter().map(|line| line.after).collect::<Vec<_>>();
        assert_eq!(after(&[]), [After::NotKnown, After::NotKnown]);
        assert_eq!(after(&[head(1, 10)]), [After::Nothing, After::NotKnown]);
        assert_eq!(after(&[head(2, 25), head(1, 3)]), [After::Nothing, After::Records(5)]);
        assert_eq!(after(&[head(2, 25), head(2, 30), head(2, 1)]), [After::NotKnown, After::Records(10)]);
        assert!(newest(&[head(1, 10), head(2, 20)]).accept(&about, None).is_ok());
        assert!(!newest(&[head(1, 10)]).is_nothing() && newest(&[head(1, 10)]).told().is_nothing());
        let refused = newest(&[head(1, 10)]).accept(&about, None).unwrap_err();
        assert_eq!(refused.exit(), crate::edge::REFUSED);
        assert!(refused.text().contains("node b: whether anything came after record 20"), "{}", refused.text());
        assert!(!refused.text().contains("node a"), "{}", refused.text());
        assert!(newest(&[]).accept(&about, Some("1970-01-01T00:00:00Z")).is_ok());
        let other = newest(&[]).accept(&about, Some("1970-01-01T00:00:01Z")).unwrap_err();
        assert!(other.text().contains("is not the time of this backup"), "{}", other.text());
    }

    /// Another hash after as many records is another history, and a log that nobody knows is nobody's.
    #[test]
    fn heads_of_other_histories_are_refused() {
        let (about, found) = of_nodes();
        for (kept, found, exit, words) in [
            (Head { hash: [9; 32], ..head(2, 20) }, Some(&found), crate::edge::INTEGRITY, "after 20 records"),
            (Head { hash: [9; 32], ..head(1, 10) }, Some(&found), crate::edge::INTEGRITY, "after 10 records"),
            (head(3, 1), Some(&found), crate::edge::REFUSED, "a node that was added after it"),
            (head(2, 20), None, crate::edge::REFUSED, "which only the rows say"),
        ] {
            let refused = Newest::by_heads(&about, found, &[kept]).unwrap_err();
            assert_eq!(refused.exit(), exit);
            assert!(refused.text().contains(words), "{}", refused.text());
        }
    }

    /// What the log has of the moment between rows and log is said, though it takes no word.
    #[test]
    fn what_came_meanwhile_is_said() {
        let (about, found) = of_nodes();
        let mut newest = Newest::by_heads(&about, Some(&found), &[head(1, 10), head(2, 20)]).unwrap();
        assert_eq!(newest.on_record(), "nothing is lost");
        newest.meanwhile(2);
        let said = "nothing is lost; 2 changes were made while the backup began, and are not in it";
        assert_eq!(newest.on_record(), said);
        assert!(newest.accept(&about, None).is_ok());
    }
}
