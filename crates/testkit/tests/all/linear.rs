//! The checker of histories: histories whose verdicts are known, and every verdict against one that tries all orders.

use proptest::prelude::*;
use skerry_testkit::linear::{Event, Model, Open, Verdict, check, check_with_open, shortest};

/// A number that is written, added to and read.
struct Register;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    Write(u8),
    Add(u8),
    Read,
}

use Call::*;

impl Model for Register {
    type State = u8;
    type Call = Call;
    type Answer = u8;

    fn step(&self, state: &u8, call: &Call, answer: &u8) -> Option<u8> {
        match call {
            Write(value) => Some(*value),
            Add(value) => (*answer == state.wrapping_add(*value)).then_some(*answer),
            Read => (answer == state).then_some(*state),
        }
    }

    fn unanswered(&self, state: &u8, call: &Call) -> Option<u8> {
        match call {
            Write(value) => Some(*value).filter(|value| value != state),
            Add(value) => Some(state.wrapping_add(*value)).filter(|value| value != state),
            Read => None,
        }
    }
}

type Told = (Call, u8, u64, u64);

fn event(&(call, answer, began, ended): &Told) -> Event<Call, u8> {
    Event { call, answer, began, ended }
}

fn verdict(events: &[Told], open: &[(Call, u64)]) -> Verdict {
    let events: Vec<_> = events.iter().map(event).collect();
    let open: Vec<_> = open.iter().map(|&(call, began)| Open { call, began }).collect();
    check_with_open(&Register, &0, &events, &open)
}

/// Histories of a register whose verdicts are known, at the least and most overlap; and one that is the other way round.
#[test]
fn histories_of_a_register() {
    for (history, expected) in [
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
        // Of two that add, each sees the other or is seen by it.
        (vec![(Add(1), 1, 0, 3), (Add(1), 2, 1, 2)], Verdict::Linearizable),
        (vec![(Add(1), 1, 0, 3), (Add(1), 1, 1, 2)], Verdict::Not),
    ] {
        assert_eq!(verdict(&history, &[]), expected, "{history:?}");
    }
}

/// A call without an answer explains what it can, as late as one likes, once, and never what was answered before it began.
#[test]
fn calls_without_an_answer() {
    for (history, open, expected) in [
        // It happened, it did not, and it happened late.
        (vec![(Read, 1, 2, 3)], vec![(Write(1), 0)], Verdict::Linearizable),
        (vec![(Read, 0, 2, 3)], vec![(Write(1), 0)], Verdict::Linearizable),
        (vec![(Read, 0, 2, 3), (Read, 1, 4, 5)], vec![(Write(1), 0)], Verdict::Linearizable),
        // Having happened it is not undone, and does not happen again.
        (vec![(Read, 1, 2, 3), (Read, 0, 4, 5)], vec![(Write(1), 0)], Verdict::Not),
        (
            vec![(Read, 1, 2, 3), (Write(0), 0, 4, 5), (Read, 0, 6, 7), (Read, 1, 8, 9)],
            vec![(Write(1), 0)],
            Verdict::Not,
        ),
        (vec![(Read, 2, 2, 3)], vec![(Add(1), 0), (Add(1), 1)], Verdict::Linearizable),
        (vec![(Read, 3, 2, 3)], vec![(Add(1), 0), (Add(1), 1)], Verdict::Not),
        // It had not begun.
        (vec![(Read, 1, 2, 3)], vec![(Write(1), 3)], Verdict::Not),
    ] {
        assert_eq!(verdict(&history, &open), expected, "{history:?} {open:?}");
    }
}

/// Of a long history that fails early, what is shown ends where it first fails.
#[test]
fn shortest_ends_where_it_fails() {
    let told = [(Write(1), 0, 0, 1), (Read, 0, 2, 3), (Write(5), 0, 2, 9), (Read, 5, 10, 11), (Read, 1, 12, 13)];
    let events: Vec<_> = told.iter().map(event).collect();
    let (answered, open) = shortest(&Register, &0, &events, &[]).unwrap();
    assert_eq!(answered.iter().map(|event| event.call).collect::<Vec<_>>(), [Write(1), Read]);
    assert_eq!(open.iter().map(|open| open.call).collect::<Vec<_>>(), [Write(5)]);
    assert!(shortest(&Register, &0, &events[..1], &[]).is_none());
}

/// Long histories are within reach: hundreds of calls by a few callers, some of which were never answered.
#[test]
fn long_histories_are_decided() {
    let mut told = Vec::new();
    let mut open = Vec::new();
    for at in 0..400_u64 {
        let value = u8::try_from(at % 200).unwrap();
        told.push((Write(value), 0, 4 * at, 4 * at + 3));
        told.push((Read, value, 4 * at + 2, 4 * at + 5));
        if at % 40 == 0 {
            open.push((Write(250), 4 * at));
        }
    }
    assert_eq!(verdict(&told, &open), Verdict::Linearizable);
    told[601].1 = 249;
    assert_eq!(verdict(&told, &open), Verdict::Not);
}

/// Whether one of all orders of all these calls explains them: first every order, then whether it is one.
fn tried(events: &[Event<Call, u8>], open: &[Open<Call>]) -> bool {
    let total = events.len() + open.len();
    (0..1_u32 << open.len()).any(|chosen| {
        let picked: Vec<usize> =
            (0..total).filter(|at| *at < events.len() || chosen >> (at - events.len()) & 1 == 1).collect();
        orders(&picked).iter().any(|order| explains(order, events, open))
    })
}

fn orders(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let rest: Vec<usize> = [&items[..at], &items[at + 1..]].concat();
        all.extend(orders(&rest).into_iter().map(|tail| [vec![*first], tail].concat()));
    }
    all
}

fn explains(order: &[usize], events: &[Event<Call, u8>], open: &[Open<Call>]) -> bool {
    let times = |at: usize| match events.get(at) {
        Some(event) => (event.began, event.ended),
        None => (open[at - events.len()].began, u64::MAX),
    };
    let in_time = order
        .iter()
        .enumerate()
        .all(|(place, later)| order[..place].iter().all(|earlier| times(*later).1 > times(*earlier).0));
    let mut state = 0;
    in_time
        && order.iter().all(|at| {
            let (call, answer) = match events.get(*at) {
                Some(event) => (event.call, Some(event.answer)),
                None => (open[at - events.len()].call, None),
            };
            let next = match call {
                Write(value) => value,
                Add(value) => state + value,
                Read => state,
            };
            let holds = answer.is_none_or(|answer| matches!(call, Write(_)) || answer == next);
            state = next;
            holds
        })
}

fn calls() -> impl Strategy<Value = Call> {
    prop_oneof![(0..3_u8).prop_map(Write), (0..2_u8).prop_map(Add), Just(Read)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// On small histories of every kind both come to the same.
    #[test]
    fn as_if_everything_were_tried(
        told in prop::collection::vec((calls(), 0..4_u8, 0..10_u64, 1..8_u64), 0..6),
        open in prop::collection::vec((calls(), 0..12_u64), 0..3),
    ) {
        let events: Vec<_> = told.iter().map(|(call, answer, began, lasted)| {
            event(&(*call, *answer, *began, began + lasted))
        }).collect();
        let open: Vec<_> = open.iter().map(|&(call, began)| Open { call, began }).collect();
        let expected = if tried(&events, &open) { Verdict::Linearizable } else { Verdict::Not };
        prop_assert_eq!(check_with_open(&Register, &0, &events, &open), expected);
        if open.is_empty() {
            prop_assert_eq!(check(&Register, &0, &events), expected);
        }
        if expected == Verdict::Not && let Some((events, open)) = shortest(&Register, &0, &events, &open) {
            prop_assert!(!tried(&events, &open));
        }
    }
}
