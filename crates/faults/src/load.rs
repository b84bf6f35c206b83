//! Clients that ask for keys, and what they saw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rand_core::Rng as _;
use skerry_testkit::ChaCha20Rng;

use crate::client::{Caller, Receipt};
use crate::history::{Asked, End, Histories};
use crate::model::{Answer, Call};

/// What all clients share.
pub struct Load {
    caller: Caller,
    nodes: usize,
    begun: Instant,
    stop: AtomicBool,
    next_tag: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Keys that are asked for now.
    slots: Vec<Slot>,
    keys: u64,
    seen: Seen,
}

/// What was seen so far.
#[derive(Default, Clone)]
pub struct Seen {
    /// Call by call.
    pub histories: Histories,
    /// Releases that were answered.
    pub receipts: Vec<Receipt>,
    /// Answers that no fault explains.
    pub defects: Vec<String>,
}

/// A key that is asked for, and how it is believed to be: for choosing only.
struct Slot {
    key: String,
    asked: usize,
    made: usize,
    unknown: usize,
    live: bool,
    enabled: bool,
}

impl Load {
    /// Nobody asks yet.
    pub fn new(caller: Caller, nodes: usize) -> Arc<Load> {
        let (stop, next_tag, state) = (AtomicBool::new(false), AtomicU64::new(1), Mutex::default());
        Arc::new(Load { caller, nodes, begun: Instant::now(), stop, next_tag, state })
    }

    /// One client, until it is told to stop: it asks, waits for the answer, and asks again.
    pub async fn run(self: Arc<Load>, mut random: ChaCha20Rng) {
        while !self.stop.load(Ordering::Relaxed) {
            let node = pick(&mut random, self.nodes);
            let (key, call) = self.choose(&mut random);
            let began = self.now();
            let answered = self.caller.ask(node, &key, call).await;
            let ended = (answered.end, self.now());
            let refused = matches!(ended.0, End::Refused(_));
            self.note(&key, Asked { call, node, began, ended }, answered.receipt, answered.defect);
            if refused {
                // A node that is away is not asked as fast as the machine can.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }

    /// Clients stop after their next answer.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.state().seen.clone()
    }

    /// Answers so far, releases among them, calls without an answer, and defects.
    pub fn counts(&self) -> (usize, usize, usize, usize) {
        let state = self.state();
        let all = || state.seen.histories.values().flatten();
        let answered = all().filter(|asked| matches!(asked.ended.0, End::Answered(_))).count();
        let unknown = all().filter(|asked| matches!(asked.ended.0, End::Unknown(_))).count();
        (answered, state.seen.receipts.len(), unknown, state.seen.defects.len())
    }

    /// Nanoseconds since the run began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn choose(&self, random: &mut ChaCha20Rng) -> (String, Call) {
        let mut state = self.state();
        let at = pick(random, SLOTS);
        while state.slots.len() <= at {
            let slot = state.fresh();
            state.slots.push(slot);
        }
        // A history stays short enough to be checked, and a key has fewer versions than fit on a page.
        if state.slots.get(at).is_some_and(|slot| slot.asked >= ASKED_MAX || slot.unknown >= UNKNOWN_MAX) {
            let fresh = state.fresh();
            if let Some(slot) = state.slots.get_mut(at) {
                *slot = fresh;
            }
        }
        let tag = self.next_tag.fetch_add(1, Ordering::Relaxed);
        // Infallible: slots were filled up to this one above.
        let Some(slot) = state.slots.get_mut(at) else { return (String::new(), Call::Get) };
        let call = slot.next(random, tag);
        slot.asked += 1;
        slot.made += usize::from(matches!(call, Call::Create(_) | Call::Rotate));
        (slot.key.clone(), call)
    }

    fn note(&self, key: &str, asked: Asked, receipt: Option<Receipt>, defect: Option<String>) {
        let mut state = self.state();
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.key == key) {
            slot.learn(&asked);
        }
        let seen = &mut state.seen;
        seen.receipts.extend(receipt);
        seen.defects.extend(defect);
        seen.histories.entry(key.to_owned()).or_default().push(asked);
    }

    /// No code that panics runs under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fresh(&mut self) -> Slot {
        self.keys += 1;
        Slot { key: format!("key-{}", self.keys), asked: 0, made: 0, unknown: 0, live: false, enabled: true }
    }
}

impl Slot {
    fn next(&self, random: &mut ChaCha20Rng, tag: u64) -> Call {
        let choice = pick(random, 100);
        // Mostly what makes a difference, and sometimes what should not.
        if self.asked == 0 || (!self.live && choice < 75) {
            return if self.asked < 2 { Call::Create(tag) } else { Call::Recover };
        }
        if !self.enabled && choice < 45 {
            return Call::Enable(true);
        }
        let room = self.made < MADE_MAX;
        match pick(random, 100) {
            0..18 => Call::Get,
            18..32 => Call::Release(false),
            32..46 => Call::Release(true),
            46..56 => Call::Tag(tag),
            56..65 => Call::Enable(false),
            65..72 => Call::Enable(true),
            72..78 => Call::Policy(choice < 50),
            78..83 if room => Call::Create(tag),
            83..88 if room => Call::Rotate,
            88..93 => Call::Delete,
            93..95 => Call::Recover,
            _ => Call::Versions,
        }
    }

    fn learn(&mut self, asked: &Asked) {
        match (&asked.ended.0, asked.call) {
            (End::Refused(_), call) => {
                self.asked = self.asked.saturating_sub(1);
                self.made = self.made.saturating_sub(usize::from(matches!(call, Call::Create(_) | Call::Rotate)));
            }
            (End::Unknown(_), call) if !call.is_read() => self.unknown += 1,
            (End::Answered(Answer::Key(_)), Call::Delete) => self.live = false,
            (End::Answered(Answer::Key(shown)), _) => (self.live, self.enabled) = (true, shown.enabled),
            (End::Answered(Answer::NotFound), _) => self.live = false,
            (End::Answered(Answer::Disabled), _) => (self.live, self.enabled) = (true, false),
            _ => {}
        }
    }
}

/// By kind: answered, refused, unknown.
pub fn by_kind(histories: &Histories) -> BTreeMap<&'static str, [usize; 3]> {
    let mut rows = BTreeMap::new();
    for asked in histories.values().flatten() {
        let row: &mut [usize; 3] = rows.entry(asked.call.kind()).or_default();
        match asked.ended.0 {
            End::Answered(_) => row[0] += 1,
            End::Refused(_) => row[1] += 1,
            End::Unknown(_) => row[2] += 1,
        }
    }
    rows
}

/// Times, in nanoseconds, in which no call was answered with what it asked for: the two ends of each.
pub struct Gaps(Vec<(u64, u64)>);

impl Gaps {
    /// Of reads, or of changes.
    pub fn of(histories: &Histories, reads: bool) -> Gaps {
        let good = |asked: &&Asked| {
            let answer = match &asked.ended.0 {
                End::Answered(answer) => answer,
                End::Refused(_) | End::Unknown(_) => return false,
            };
            matches!(answer, Answer::Key(_) | Answer::Versions(_) | Answer::Released { .. })
                && asked.call.is_read() == reads
        };
        let mut ends: Vec<u64> = histories.values().flatten().filter(good).map(|asked| asked.ended.1).collect();
        ends.sort_unstable();
        Gaps(ends.iter().copied().zip(ends.iter().copied().skip(1)).collect())
    }

    /// The longest.
    pub fn longest(&self) -> u64 {
        self.longest_within(0, u64::MAX)
    }

    /// The longest of those that lie in this time in part.
    pub fn longest_within(&self, from: u64, to: u64) -> u64 {
        let within = self.0.iter().filter(|(start, end)| *start < to && *end > from);
        within.map(|(start, end)| end - start).max().unwrap_or_default()
    }
}

/// A number below this one.
pub fn pick(random: &mut ChaCha20Rng, below: usize) -> usize {
    let below = u64::try_from(below.max(1)).unwrap_or(u64::MAX);
    // A slight preference for small numbers is no matter here.
    usize::try_from(random.next_u64() % below).unwrap_or_default()
}

/// Keys asked for at a time: few, so that clients meet.
const SLOTS: usize = 3;
const ASKED_MAX: usize = 60;
const UNKNOWN_MAX: usize = 8;
const MADE_MAX: usize = 20;
