//! Clocks of nodes: libfaketime gives each process one of its own, which is moved while it runs.
//!
//! Timers go on as they are, since it is the time of day that is wrong: tokens, and what a server remembers. Without the library clocks are
//! not moved, and that is said.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::history::{Asked, End, Histories};
use crate::model::{Answer, Call};

/// The clock of one process.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

/// A clock that was moved for a while. Times are nanoseconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Whose.
    pub node: usize,
    /// By how many seconds.
    pub by: i64,
    /// When it was moved.
    pub from: u64,
    /// When it was put right.
    pub to: u64,
}

impl Clock {
    /// One that is right, whose file is in this folder; none if the library is not there.
    pub fn new(folder: &Path, name: &str) -> anyhow::Result<Option<Clock>> {
        let Some(library) = library() else { return Ok(None) };
        let clock = Clock { library, file: folder.join(format!("{name}.clock")) };
        clock.set(0)?;
        Ok(Some(clock))
    }

    /// Moves it to so many seconds from the machine's; the process sees that within two seconds.
    pub fn set(&self, by: i64) -> anyhow::Result<()> {
        // In one step: half of a text is another time.
        let next = self.file.with_extension("next");
        let written = std::fs::write(&next, format!("{by:+}\n")).and_then(|()| std::fs::rename(&next, &self.file));
        written.with_context(|| self.file.display().to_string())
    }

    /// What a process is started with whose clock this is.
    pub fn variables(&self) -> [(&'static str, &std::ffi::OsStr); 6] {
        [
            ("LD_PRELOAD", self.library.as_os_str()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.as_os_str()),
            ("FAKETIME_CACHE_DURATION", "1".as_ref()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
            ("NO_FAKE_STAT", "1".as_ref()),
            ("FAKETIME_DISABLE_SHM", "1".as_ref()),
        ]
    }
}

/// Where Debian's package `faketime` has it.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// Releases by a node whose clock was wrong, and which had had the time to know: one that went back knows at once, one that went ahead by
/// the next look at the others'.
pub fn released_by_wrong_clocks(moved: &[Moved], histories: &Histories) -> Vec<String> {
    let mut told = Vec::new();
    for Moved { node, by, from, to } in moved {
        let from = from.saturating_add(if *by < 0 { SEEN } else { LOOKED_AT });
        for (key, asked) in histories {
            let within = |asked: &&Asked| asked.node == *node && asked.began > from && asked.ended.1 < *to;
            let released = |asked: &Asked| {
                let answered = matches!(asked.ended.0, End::Answered(Answer::Released { .. }));
                answered && matches!(asked.call, Call::Release(_))
            };
            if asked.iter().filter(within).any(released) {
                told.push(format!("node {node} released {key} while its clock was {by:+} s from the time"));
            }
        }
    }
    told
}

/// A process sees a clock that was moved after a second, or two by its counting of whole ones; and a little more, on a machine that is
/// loaded.
const SEEN: u64 = 4_000_000_000;
/// Nodes look at each other's clocks every ten seconds; and a little more, on a machine that is loaded.
const LOOKED_AT: u64 = 14_000_000_000;
