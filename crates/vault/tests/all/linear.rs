//! Whether a history of calls that ran side by side could have happened one after another (Herlihy and Wing 1990; the search
//! is Wing and Gong's, remembering where it has been, as Lowe's).

use std::collections::HashSet;
use std::hash::Hash;

/// What is expected of one thing: a state, and what a call makes of it if it is answered so.
pub(crate) trait Model {
    type State: Clone + Eq + Hash;
    type Call;
    type Answer;

    /// The state after the call; none if the call is not answered so in this state.
    fn step(&self, state: &Self::State, call: &Self::Call, answer: &Self::Answer) -> Option<Self::State>;
}

/// A call with its answer, and when it began and was answered. Times are places in one order.
#[derive(Debug, Clone)]
pub(crate) struct Event<C, A> {
    pub(crate) call: C,
    pub(crate) answer: A,
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Linearizable,
    /// No order explains the answers.
    Not,
    /// Given up after [`STEPS_MAX`].
    Unknown,
}

/// Enough for all histories here by two orders of magnitude.
const STEPS_MAX: usize = 2_000_000;

/// Looks for an order of the calls that explains every answer and in which no call comes before one that had ended when it
/// began.
pub(crate) fn check<M: Model>(model: &M, start: &M::State, events: &[Event<M::Call, M::Answer>]) -> Verdict {
    assert!(events.len() <= 128, "one bit for each call");
    let all = if events.len() == 128 { u128::MAX } else { (1 << events.len()) - 1 };
    let mut seen = HashSet::from([(0_u128, start.clone())]);
    let mut stack = vec![(0_u128, start.clone())];
    let mut steps = 0;
    while let Some((done, state)) = stack.pop() {
        if done == all {
            return Verdict::Linearizable;
        }
        let open = || events.iter().enumerate().filter(|(at, _)| done >> at & 1 == 0);
        // A call can be next unless another that is not done yet had ended when it began.
        let first_end = open().map(|(_, event)| event.ended).min().unwrap();
        for (at, event) in open().filter(|(_, event)| event.began < first_end) {
            steps += 1;
            if let Some(next) = model.step(&state, &event.call, &event.answer) {
                let next = (done | 1 << at, next);
                if seen.insert(next.clone()) {
                    stack.push(next);
                }
            }
        }
        if steps > STEPS_MAX {
            return Verdict::Unknown;
        }
    }
    Verdict::Not
}

/// A number that is written and read.
struct Register;

#[derive(Debug, Clone, Copy)]
enum Call {
    Write(u8),
    Read,
}

impl Model for Register {
    type State = u8;
    type Call = Call;
    type Answer = u8;

    fn step(&self, state: &u8, call: &Call, answer: &u8) -> Option<u8> {
        match call {
            Call::Write(value) => Some(*value),
            Call::Read => (answer == state).then_some(*state),
        }
    }
}

/// Histories of a register whose verdicts are known, at the least and most overlap; and one that is the other way round.
#[test]
fn histories_of_a_register() {
    use Call::*;
    let event = |(call, answer, began, ended)| Event { call, answer, began, ended };
    for (history, verdict) in [
        (vec![], Verdict::Linearizable),
        (vec![(Write(1), 0, 0, 1), (Read, 1, 2, 3)], Verdict::Linearizable),
        // A read after a write that had ended sees it.
        (vec![(Write(1), 0, 0, 1), (Read, 0, 2, 3)], Verdict::Not),
        // Side by side it may see it or not.
        (vec![(Write(1), 0, 0, 3), (Read, 0, 1, 2)], Verdict::Linearizable),
        (vec![(Write(1), 0, 0, 3), (Read, 1, 1, 2)], Verdict::Linearizable),
        // Once seen it is not unseen, even within the write.
        (vec![(Write(1), 0, 0, 9), (Read, 1, 1, 2), (Read, 0, 3, 4)], Verdict::Not),
        (vec![(Write(1), 0, 0, 9), (Read, 0, 1, 2), (Read, 1, 3, 4)], Verdict::Linearizable),
        // Two writes are in one order for everybody.
        (
            vec![(Write(1), 0, 0, 9), (Write(2), 0, 1, 9), (Read, 1, 2, 3), (Read, 2, 4, 5), (Read, 1, 6, 7)],
            Verdict::Not,
        ),
        // Nobody wrote it.
        (vec![(Write(1), 0, 0, 1), (Read, 7, 0, 2)], Verdict::Not),
    ] {
        let events: Vec<_> = history.into_iter().map(event).collect();
        assert_eq!(check(&Register, &0, &events), verdict, "{events:?}");
    }
}
