//! What clients asked and were answered, key by key, and whether it could have happened one after another.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use skerry_testkit::linear::{self, Event, Open, Verdict};

use crate::model::{Answer, Call, Id, OneKey, Shown, State};

/// One call by one client: times are nanoseconds since the run began, by one clock that does not go back.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What was asked.
    pub call: Call,
    /// Which node.
    pub node: usize,
    /// Before it was sent.
    pub began: u64,
    /// How it ended, and when that was known.
    pub ended: (End, u64),
}

/// How a call ended for who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was answered.
    Answered(Answer),
    /// Refused before anything was done: no connection, or 503 of one that says so.
    Refused(String),
    /// Whether it was carried out, and when, nobody knows: no answer, or one that says just that.
    Unknown(String),
}

/// The calls of every key.
pub type Histories = BTreeMap<String, Vec<Asked>>;

/// What the check of one key found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The key.
    pub key: String,
    /// Whether its history is that of a vault.
    pub verdict: Verdict,
    /// The shortest beginning of it that is not, one line for each call.
    pub told: String,
}

/// Checks every key on so many threads; the keys whose histories do not hold, the smallest first.
pub fn check(histories: &Histories, threads: usize) -> Vec<Found> {
    let keys: Vec<_> = histories.iter().collect();
    let share = keys.len().div_ceil(threads.max(1)).max(1);
    let mut found: Vec<Found> = std::thread::scope(|scope| {
        let parts: Vec<_> = keys
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().filter_map(|(key, asked)| of_key(key, asked)).collect::<Vec<_>>()))
            .collect();
        // A thread of the check that dies takes the run with it.
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    found.sort_by_key(|found| found.told.lines().count());
    found
}

/// Nothing if the history of the key holds.
pub fn of_key(key: &str, asked: &[Asked]) -> Option<Found> {
    let (events, open) = parts(asked);
    let verdict = linear::check_with_open(&OneKey, &State::Free, &events, &open);
    if verdict == Verdict::Linearizable {
        return None;
    }
    let shortest = linear::shortest(&OneKey, &State::Free, &events, &open);
    let last = shortest.map(|(events, _)| events.iter().map(|event| event.ended).max().unwrap_or(0));
    Some(Found { key: key.to_owned(), verdict, told: told(asked, last.unwrap_or(u64::MAX)) })
}

/// What was answered, and what may have been carried out.
fn parts(asked: &[Asked]) -> linear::History<Call, Answer> {
    let (mut events, mut open) = (Vec::new(), Vec::new());
    for Asked { call, began, ended, .. } in asked {
        match ended {
            (End::Answered(answer), ended) => {
                events.push(Event { call: *call, answer: answer.clone(), began: *began, ended: *ended });
            }
            (End::Unknown(_), _) if !call.is_read() => open.push(Open { call: *call, began: *began }),
            (End::Unknown(_) | End::Refused(_), _) => {}
        }
    }
    (events, open)
}

/// A line for each call that began by then, in the order of their beginnings.
fn told(asked: &[Asked], until: u64) -> String {
    let mut asked: Vec<_> = asked.iter().filter(|asked| asked.began <= until).collect();
    asked.sort_by_key(|asked| asked.began);
    let mut text = String::new();
    for Asked { call, node, began, ended: (end, ended) } in asked {
        let end = match end {
            End::Answered(answer) => words(answer),
            End::Refused(why) => format!("refused: {why}"),
            End::Unknown(why) => format!("unknown: {why}"),
        };
        // Infallible: a String takes every byte.
        let _ = writeln!(text, "{:>12} {:>12} us  node {node}  {call:?}: {end}", began / 1000, ended / 1000);
    }
    text
}

/// An answer in a few words, with the beginnings of ids.
fn words(answer: &Answer) -> String {
    let id = |id: &Id| format!("{:08x}", id >> 96);
    match answer {
        Answer::Key(Shown { version, enabled, tag, other_policy }) => {
            let (enabled, policy) = (if *enabled { "enabled" } else { "disabled" }, u8::from(*other_policy));
            format!("{} {enabled}, tag {tag}, policy {policy}", id(version))
        }
        Answer::Versions(ids) => ids.iter().map(id).collect::<Vec<_>>().join(" "),
        Answer::Released { version, generation } => format!("released {}, policy set {generation} times", id(version)),
        other => format!("{other:?}"),
    }
}

/// Ways in which a history is made one that no vault has: whether the check can fail is seen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Break {
    /// A read after a change that was acknowledged shows what was before.
    StaleRead,
    /// A change that was acknowledged leaves no trace.
    LostWrite,
    /// A new version has the id of another.
    DoubleVersion,
    /// A release after a disable that was acknowledged.
    ReleaseAfterDisable,
}

impl Break {
    /// Every one.
    pub const ALL: [Break; 4] = [Break::StaleRead, Break::LostWrite, Break::DoubleVersion, Break::ReleaseAfterDisable];

    /// Tampers with the first history that has a place for it, long after everything else ended; false if none has.
    pub fn apply(self, histories: &mut Histories) -> bool {
        histories.values_mut().any(|asked| self.of_key(asked).is_some())
    }

    fn of_key(self, asked: &mut Vec<Asked>) -> Option<()> {
        let settled = asked.iter().all(|asked| !matches!(asked.ended.0, End::Unknown(_)) || asked.call.is_read());
        if !settled {
            return None;
        }
        let end = asked.iter().map(|asked| asked.ended.1).max()?;
        let shown = asked.iter().rev().find_map(|asked| match &asked.ended.0 {
            End::Answered(Answer::Key(shown)) => Some(shown.clone()),
            _ => None,
        })?;
        let answered = |call, answer, at: u64| Asked {
            call,
            node: 0,
            began: end + 10 * at,
            ended: (End::Answered(answer), end + 10 * at + 5),
        };
        // First whatever the key is, it is made live and enabled, or its being so already is answered.
        let mut more = Vec::new();
        let deleted = asked.iter().rev().find(|asked| {
            matches!((&asked.call, &asked.ended.0), (Call::Delete | Call::Recover, End::Answered(Answer::Key(_))))
        });
        if deleted.is_some_and(|asked| asked.call == Call::Delete) {
            more.push(answered(Call::Recover, Answer::Key(shown.clone()), 1));
        }
        let tagged = |tag, enabled| Answer::Key(Shown { tag, enabled, ..shown.clone() });
        more.push(answered(Call::Enable(true), tagged(shown.tag, true), 2));
        match self {
            Break::StaleRead => {
                more.push(answered(Call::Tag(u64::MAX), tagged(u64::MAX, true), 3));
                more.push(answered(Call::Get, tagged(shown.tag, true), 4));
            }
            Break::LostWrite => {
                more.push(answered(Call::Delete, tagged(shown.tag, true), 3));
                more.push(answered(Call::Get, tagged(shown.tag, true), 4));
            }
            Break::DoubleVersion => {
                more.push(answered(Call::Rotate, tagged(shown.tag, true), 3));
            }
            Break::ReleaseAfterDisable => {
                more.push(answered(Call::Enable(false), tagged(shown.tag, false), 3));
                let released = Answer::Released { version: shown.version, generation: 1 };
                more.push(answered(Call::Release(shown.other_policy), released, 4));
            }
        }
        asked.extend(more);
        Some(())
    }
}
