//! Whether a history of calls that ran side by side could have happened one after another (Herlihy and Wing 1990; the search
//! is Wing and Gong's, remembering where it has been, as Lowe's).
//!
//! A call that was never answered may have happened at any time after it began, or never; there may be many of them, and the
//! search is exponential in how many of them can matter at once. So histories are checked thing by thing, since one is
//! linearizable iff those of its things are (Herlihy and Wing, theorem 1), and the caller keeps each of them short.

use std::collections::HashSet;
use std::hash::Hash;

/// What is expected of one thing: a state, and what a call makes of it.
pub trait Model {
    /// All that later answers depend on.
    type State: Clone + Eq + Hash;
    /// What is asked.
    type Call;
    /// What is answered.
    type Answer;

    /// The state after the call; none if the call is not answered so in this state.
    fn step(&self, state: &Self::State, call: &Self::Call, answer: &Self::Answer) -> Option<Self::State>;

    /// The state after a call that was carried out and whose answer nobody got; none if it would change nothing. For models
    /// of which every call is answered this is never asked.
    fn unanswered(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State> {
        let _ = (state, call);
        None
    }
}

/// A call with its answer, and when it began and was answered. Times are places in one order.
#[derive(Debug, Clone)]
pub struct Event<C, A> {
    /// What was asked.
    pub call: C,
    /// What was answered.
    pub answer: A,
    /// Not after the call had its effect.
    pub began: u64,
    /// Not before.
    pub ended: u64,
}

/// A call without an answer: it may have had its effect at any time since, or have it yet, or never.
#[derive(Debug, Clone)]
pub struct Open<C> {
    /// What was asked.
    pub call: C,
    /// Not after the call had its effect, if it had.
    pub began: u64,
}

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An order was found that explains every answer.
    Linearizable,
    /// No order explains the answers.
    Not,
    /// Given up after [`STEPS_MAX`].
    Unknown,
}

/// Places tried before the search gives up: seconds, and half a gigabyte at the worst. Histories of some hundred calls
/// by a handful of callers, a few of them unanswered, take thousands.
pub const STEPS_MAX: usize = 2_000_000;

/// Looks for an order of the calls that explains every answer and in which no call comes before one that had ended when it
/// began.
pub fn check<M: Model>(model: &M, start: &M::State, events: &[Event<M::Call, M::Answer>]) -> Verdict {
    check_with_open(model, start, events, &[])
}

/// As [`check`], with calls that were never answered: each is in the order where it explains something, or not in it.
pub fn check_with_open<M: Model>(
    model: &M,
    start: &M::State,
    events: &[Event<M::Call, M::Answer>],
    open: &[Open<M::Call>],
) -> Verdict {
    let calls = Calls { model, events: in_order(events), open };
    let first = (Done::none(events.len() + open.len()), start.clone());
    let mut seen = HashSet::from([first.clone()]);
    let mut stack = vec![first];
    let mut steps = 0_usize;
    while let Some((done, state)) = stack.pop() {
        if calls.explained(&done) {
            return Verdict::Linearizable;
        }
        for (at, next) in calls.next(&done, &state) {
            steps += 1;
            let next = (done.with(at), next);
            if seen.insert(next.clone()) {
                stack.push(next);
            }
        }
        if steps > STEPS_MAX {
            return Verdict::Unknown;
        }
    }
    Verdict::Not
}

/// The shortest history from its beginning that no order explains, of one that none explains: up to the end of one call.
/// What had not ended then is without an answer in it. None if the whole history is not refused.
pub fn shortest<M: Model>(
    model: &M,
    start: &M::State,
    events: &[Event<M::Call, M::Answer>],
    open: &[Open<M::Call>],
) -> Option<History<M::Call, M::Answer>>
where
    M::Call: Clone,
    M::Answer: Clone,
{
    let mut ends: Vec<u64> = events.iter().map(|event| event.ended).collect();
    ends.sort_unstable();
    ends.dedup();
    let refused = |end: &u64| {
        let (events, open) = until(events, open, *end);
        check_with_open(model, start, &events, &open) == Verdict::Not
    };
    // What goes on after a time takes no order away, so once refused is refused for good.
    let at = ends.partition_point(|end| !refused(end));
    ends.get(at).map(|end| until(events, open, *end))
}

/// Calls that were answered, and those that were not.
pub type History<C, A> = (Vec<Event<C, A>>, Vec<Open<C>>);

fn until<C: Clone, A: Clone>(events: &[Event<C, A>], open: &[Open<C>], end: u64) -> History<C, A> {
    let ended = events.iter().filter(|event| event.ended <= end).cloned().collect();
    let begun = events.iter().filter(|event| event.began <= end && event.ended > end);
    let begun = begun.map(|event| Open { call: event.call.clone(), began: event.began });
    let open = open.iter().filter(|call| call.began <= end).cloned();
    (ended, begun.chain(open).collect())
}

/// By their beginnings, so that what can be next is found near the first that is not done.
fn in_order<C, A>(events: &[Event<C, A>]) -> Vec<&Event<C, A>> {
    let mut events: Vec<_> = events.iter().collect();
    events.sort_by_key(|event| event.began);
    events
}

struct Calls<'a, M: Model> {
    model: &'a M,
    events: Vec<&'a Event<M::Call, M::Answer>>,
    open: &'a [Open<M::Call>],
}

impl<M: Model> Calls<'_, M> {
    /// Whether every answer is explained; calls without one need not be.
    fn explained(&self, done: &Done) -> bool {
        done.first_open() >= self.events.len()
    }

    /// The calls that can be next, and what the state is then. A call can be next unless another that is not done yet had
    /// ended when it began.
    fn next(&self, done: &Done, state: &M::State) -> Vec<(usize, M::State)> {
        let left = || self.events.iter().enumerate().skip(done.first_open()).filter(|(at, _)| !done.has(*at));
        let mut first_end = u64::MAX;
        for (_, event) in left() {
            if event.began >= first_end {
                break;
            }
            first_end = first_end.min(event.ended);
        }
        let mut next = Vec::new();
        for (at, event) in left().take_while(|(_, event)| event.began < first_end) {
            next.extend(self.model.step(state, &event.call, &event.answer).map(|state| (at, state)));
        }
        for (at, call) in self.open.iter().enumerate().map(|(at, call)| (at + self.events.len(), call)) {
            if call.began < first_end && !done.has(at) {
                next.extend(self.model.unanswered(state, &call.call).map(|state| (at, state)));
            }
        }
        // The last is tried first: what was answered, in its order, before what was not.
        next.reverse();
        next
    }
}

/// Which calls are done: a bit for each, the answered ones first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Done(Box<[u64]>);

impl Done {
    fn none(calls: usize) -> Done {
        Done(vec![0; calls.div_ceil(64)].into())
    }

    fn has(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    fn with(&self, at: usize) -> Done {
        let mut done = self.clone();
        if let Some(word) = done.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
        done
    }

    /// The first call that is not done.
    fn first_open(&self) -> usize {
        let full = self.0.iter().take_while(|word| **word == u64::MAX).count();
        let more = self.0.get(full).map_or(0, |word| word.trailing_ones());
        full * 64 + usize::try_from(more).unwrap_or(0)
    }
}
