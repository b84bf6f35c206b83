//! Uses of keys on record: each of them, a moment after it happened.
//!
//! A use costs its caller no disk: it goes into a bounded queue, and a thread of its own puts what is there on record, some
//! hundred in a write, within [`USES_LAG`] of the first. So the last moment of uses is lost with the machine, as is said of them,
//! and releases and changes, which wait for the disk, do not wait for these. What the queue has no room for is counted, and the
//! count is a record: nothing goes unsaid. At an orderly end all that is there is put on record.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use skerry_audit::{Entry, Event, Log, Verdict};
use skerry_identity::Principal;
use skerry_policy::permit::KeyRef;

use crate::command::Context;
use crate::entries;
use crate::limits::{USES_LAG, USES_TOGETHER, USES_WAITING_MAX, USES_WRITTEN_AT};
use crate::refusal::Refusal;

/// A use of a key version.
struct Use {
    event: Event,
    at: SystemTime,
    who: Principal,
    request: String,
    key: KeyRef,
    /// Why it came to nothing; none if it did not.
    refused: Option<String>,
}

/// The way to the log for uses.
pub(crate) struct Usage {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    uses: Vec<Use>,
    /// When the first of what waits to be put on record came.
    since: Option<Instant>,
    /// Uses that are not on record and will not be, and the time of the last of them.
    lost: u64,
    lost_at: Option<SystemTime>,
    /// What was taken and is being put on record: how many, and since when the first of them waits.
    writing: Option<(usize, Instant)>,
    /// Uses that are not on record and will not be, since the start.
    lost_in_all: u64,
    closed: bool,
    /// Closed, and taken for the last time.
    ended: bool,
}

/// How far the log is behind what was done with keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsesSeen {
    /// Uses that are not on record yet.
    pub waiting: usize,
    /// How long the oldest of them waits; none if there is none.
    pub lag: Option<Duration>,
    /// Uses that will not be on record one by one, since the start.
    pub lost: u64,
}

/// What is put on record together.
struct Batch {
    uses: Vec<Use>,
    /// How many uses will not be on record, and when the last of them was.
    lost: Option<(u64, SystemTime)>,
}

impl Usage {
    /// Starts the thread for this log.
    pub(crate) fn start(log: Arc<Log>) -> std::io::Result<Usage> {
        let queue = Arc::new(Queue::default());
        let own = Arc::clone(&queue);
        let thread = thread::Builder::new().name("audit-uses".to_owned()).spawn(move || own.write(&log))?;
        Ok(Usage { queue, thread: Mutex::new(Some(thread)) })
    }

    /// A use that begins now: on record when what is returned has gone, however that comes.
    pub(crate) fn begin<'a>(&'a self, context: &Context<'a>, event: Event, key: KeyRef) -> Noting<'a> {
        let (who, request) = (context.grant.principal(), context.request_id);
        Noting { queue: &self.queue, event, at: context.now, who, request, key, outcome: Outcome::Unknown }
    }

    /// How it stands.
    pub(crate) fn seen(&self) -> UsesSeen {
        self.queue.seen()
    }

    /// Puts all that is there on record and ends. Waits for the disk.
    pub(crate) fn stop(&self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How a use ended.
enum Outcome {
    Done,
    Refused(String),
    /// It did not come to that.
    NoUse,
    /// The caller went away: whether it was done is not known.
    Unknown,
}

/// A use under way.
pub(crate) struct Noting<'a> {
    queue: &'a Queue,
    event: Event,
    at: SystemTime,
    who: &'a Principal,
    request: &'a str,
    key: KeyRef,
    outcome: Outcome,
}

impl Noting<'_> {
    /// Says how it ended.
    pub(crate) fn end<T>(mut self, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        self.outcome = match &outcome {
            Ok(_) => Outcome::Done,
            Err(Refusal::Busy) => Outcome::NoUse,
            Err(refusal) => Outcome::Refused(entries::cut(entries::explained(refusal))),
        };
        outcome
    }
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        let refused = match mem::replace(&mut self.outcome, Outcome::NoUse) {
            Outcome::NoUse => return,
            Outcome::Done => None,
            Outcome::Refused(why) => Some(why),
            Outcome::Unknown => Some(GONE.to_owned()),
        };
        let (who, request) = (self.who.clone(), self.request.to_owned());
        self.queue.push(Use { event: self.event, at: self.at, who, request, key: self.key, refused });
    }
}

impl Queue {
    fn push(&self, used: Use) {
        let mut state = self.lock();
        if state.uses.len() >= USES_WAITING_MAX || state.closed {
            state.lost_in_all = state.lost_in_all.saturating_add(1);
            state.lose(1, used.at);
            return;
        }
        state.uses.push(used);
        let waiting = state.uses.len();
        if waiting == 1 {
            state.since = Some(Instant::now());
        }
        drop(state);
        if waiting == 1 || waiting == USES_WRITTEN_AT {
            self.changed.notify_one();
        }
    }

    fn write(&self, log: &Log) {
        while let Some(Batch { uses, lost }) = self.next() {
            let mut failed = 0;
            for together in uses.chunks(USES_TOGETHER) {
                let entries: Vec<_> = together.iter().map(Use::entry).collect();
                failed += log.record_all(&entries).iter().filter(|recorded| recorded.is_err()).count();
            }
            if let Some((count, at)) = lost
                && log.record(&lost_entry(count, at)).is_err()
            {
                self.lock().lose(count, at);
            }
            if let Some(last) = uses.last().filter(|_| failed > 0) {
                let (mut state, failed) = (self.lock(), u64::try_from(failed).unwrap_or(u64::MAX));
                state.lost_in_all = state.lost_in_all.saturating_add(failed);
                state.lose(failed, last.at);
            }
        }
    }

    /// What is there, once it has waited long enough or is enough; none at the end.
    fn next(&self) -> Option<Batch> {
        let mut state = self.lock();
        state.writing = None;
        while !state.closed && state.uses.len() < USES_WRITTEN_AT {
            state = match state.since.map(|since| USES_LAG.saturating_sub(since.elapsed())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        if state.closed && mem::replace(&mut state.ended, true) {
            return None;
        }
        state.writing = state.since.take().map(|since| (state.uses.len(), since));
        let lost = state.lost_at.take().map(|at| (mem::take(&mut state.lost), at));
        Some(Batch { uses: mem::take(&mut state.uses), lost })
    }

    fn seen(&self) -> UsesSeen {
        let state = self.lock();
        let (writing, since) = state.writing.unzip();
        let waiting = state.uses.len().saturating_add(writing.unwrap_or(0));
        let lag = since.or(state.since).map(|since| since.elapsed());
        UsesSeen { waiting, lag, lost: state.lost_in_all }
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lose(&mut self, count: u64, at: SystemTime) {
        self.lost = self.lost.saturating_add(count);
        self.lost_at = self.lost_at.max(Some(at));
        self.since.get_or_insert_with(Instant::now);
    }
}

impl Use {
    fn entry(&self) -> Entry {
        let verdict = if self.refused.is_some() { Verdict::Denied } else { Verdict::Permitted };
        let KeyRef { vault, key, version } = self.key;
        let parts: [&[u8]; 5] = [b"skerry use v1\0", key.as_bytes(), &version.0, self.event.as_str().as_bytes(), b"\0"];
        Entry {
            subject: entries::sha256(&[parts.concat().as_slice(), self.request.as_bytes()]),
            who: self.who.to_string(),
            request: self.request.clone(),
            vault: Some(vault),
            key: Some(key),
            version: Some(version.0),
            ..entries::service(self.event, self.at, verdict, self.refused.clone().unwrap_or_default())
        }
    }
}

fn lost_entry(count: u64, at: SystemTime) -> Entry {
    let text = format!("{count} uses of keys are not on record: they came faster than they could be written");
    entries::service(Event::UsesLost, at, Verdict::Permitted, text)
}

/// What is said of a use whose caller went away.
const GONE: &str = "the caller went away before it was known whether this was done";

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use skerry_audit::Limits;
    use skerry_policy::permit::Version;
    use uuid::Uuid;

    use super::*;

    fn used(number: u64) -> Use {
        Use {
            event: Event::Sign,
            at: UNIX_EPOCH + Duration::from_secs(number),
            who: Principal::new("https://issuer.example", "alice"),
            request: number.to_string(),
            key: KeyRef { vault: Uuid::nil(), key: Uuid::nil(), version: Version([1; 16]) },
            refused: None,
        }
    }

    fn log(limits: Limits) -> (tempfile::TempDir, Log) {
        let dir = tempfile::TempDir::new().unwrap();
        let log = Log::create(dir.path(), limits, &mut ChaCha20Rng::from_seed([1; 32])).unwrap();
        (dir, log)
    }

    fn recorded(dir: &tempfile::TempDir) -> Vec<Entry> {
        skerry_audit::read(dir.path()).unwrap().map(|record| record.unwrap().entry().unwrap()).collect()
    }

    /// As many as there is room for are on record in their order, and then how many were not, at the time of the last.
    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let (dir, log) = log(Limits::default());
        let (queue, room) = (Queue::default(), u64::try_from(USES_WAITING_MAX).unwrap());
        (0..room + 3).for_each(|number| queue.push(used(number)));
        queue.lock().closed = true;
        queue.push(used(room + 3));
        queue.write(&log);
        let entries = recorded(&dir);
        assert_eq!(entries.len(), USES_WAITING_MAX + 1);
        assert!((0..).zip(&entries[..USES_WAITING_MAX]).all(|(number, entry)| *entry == used(number).entry()));
        assert_eq!(entries[USES_WAITING_MAX], lost_entry(4, UNIX_EPOCH + Duration::from_secs(room + 3)));
    }

    /// What is taken counts as waiting until it is on record, from when the first of it came; what was lost goes on being counted.
    #[test]
    fn lag_is_from_the_first_that_is_not_on_record() {
        let queue = Queue::default();
        assert_eq!(queue.seen(), UsesSeen::default());
        (0..3).for_each(|number| queue.push(used(number)));
        let early = queue.seen();
        assert_eq!((early.waiting, early.lost), (3, 0));
        queue.lock().closed = true;
        assert_eq!(queue.next().unwrap().uses.len(), 3);
        queue.push(used(3));
        let late = queue.seen();
        assert_eq!((late.waiting, late.lost), (3, 1));
        assert!(late.lag >= early.lag && early.lag.is_some(), "{late:?}");
        assert!(queue.next().is_none());
        assert_eq!(queue.seen().lost, 1);
        assert_eq!(queue.lock().writing, None);
    }

    /// What the log refuses is counted too, and stays counted.
    #[test]
    fn what_the_log_refuses_is_counted() {
        let (dir, log) = log(Limits { log_len_max: 60 });
        let queue = Queue::default();
        (0..5).for_each(|number| queue.push(used(number)));
        queue.lock().closed = true;
        queue.write(&log);
        assert_eq!(recorded(&dir), []);
        assert_eq!(queue.seen().lost, 5, "and once");
        assert_eq!(queue.lock().lost, 5);
    }

    /// The thread puts a use on record by itself, within the lag, and whatever is there at the end.
    #[test]
    fn uses_are_on_record_after_a_while() {
        let (dir, log) = log(Limits::default());
        let log = Arc::new(log);
        let usage = Usage::start(Arc::clone(&log)).unwrap();
        usage.queue.push(used(1));
        while log.head().unwrap().records == 0 {
            thread::yield_now();
        }
        usage.queue.push(used(2));
        drop(usage);
        assert_eq!(recorded(&dir), [used(1).entry(), used(2).entry()]);
    }

    /// What noting a use costs its caller; run with `--ignored --nocapture`.
    #[test]
    #[ignore = "measures"]
    fn cost_of_noting() {
        let (_dir, log) = log(Limits::default());
        let usage = Usage::start(Arc::new(log)).unwrap();
        let (count, start) = (20_000_u32, Instant::now());
        let who = Principal::new("https://issuer.example", "alice");
        for _ in 0..count {
            let noting = Noting {
                queue: &usage.queue,
                event: Event::Sign,
                at: UNIX_EPOCH,
                who: &who,
                request: "0b0e6e0e-6f0f-4d5b-9d54-6f3a1c1b2a3d",
                key: used(1).key,
                outcome: Outcome::Unknown,
            };
            drop(noting.end(Ok::<(), Refusal>(())));
        }
        let noted = start.elapsed();
        usage.stop();
        println!("noting {:?} a use, all on record {:?} a use", noted / count, start.elapsed() / count);
    }
}
