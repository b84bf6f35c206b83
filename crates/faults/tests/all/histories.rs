//! Histories of a key that a vault has and that none has; and what tampering makes of good ones.

use std::collections::BTreeSet;

use skerry_faults::history::{Asked, Break, End, Histories, of_key};
use skerry_faults::model::{Answer, Call, Id, Shown};
use skerry_testkit::linear::Verdict;

fn shown(version: Id, tag: u64) -> Shown {
    Shown { version, enabled: true, tag, other_policy: false }
}

fn key(version: Id, tag: u64) -> End {
    End::Answered(Answer::Key(shown(version, tag)))
}

fn disabled(version: Id, tag: u64) -> End {
    End::Answered(Answer::Key(Shown { enabled: false, ..shown(version, tag) }))
}

fn other(version: Id, tag: u64) -> End {
    End::Answered(Answer::Key(Shown { other_policy: true, ..shown(version, tag) }))
}

fn released(version: Id, generation: u64) -> End {
    End::Answered(Answer::Released { version, generation })
}

fn versions(ids: &[Id]) -> End {
    End::Answered(Answer::Versions(ids.iter().copied().collect::<BTreeSet<_>>()))
}

fn answered(answer: Answer) -> End {
    End::Answered(answer)
}

fn lost() -> End {
    End::Unknown("no answer".to_owned())
}

/// One call after another.
fn in_turn(calls: &[(Call, End)]) -> Vec<Asked> {
    let asked = |(at, (call, end)): (u64, &(Call, End))| Asked {
        call: *call,
        node: 0,
        began: 10 * at,
        ended: (end.clone(), 10 * at + 5),
    };
    (1..).zip(calls).map(asked).collect()
}

fn holds(calls: &[(Call, End)]) -> bool {
    of_key("key", &in_turn(calls)).is_none()
}

/// A life of a key with every call and every answer, one after another.
fn life() -> Vec<(Call, End)> {
    use Call::*;
    vec![
        (Get, answered(Answer::NotFound)),
        (Recover, answered(Answer::NotDeleted)),
        (Create(1), key(0xa, 1)),
        (Get, key(0xa, 1)),
        (Release(false), released(0xa, 1)),
        (Release(true), answered(Answer::Denied)),
        (Tag(2), key(0xa, 2)),
        (Enable(false), disabled(0xa, 2)),
        (Get, answered(Answer::Disabled)),
        (Release(false), answered(Answer::Disabled)),
        (Rotate, answered(Answer::Disabled)),
        (Enable(true), key(0xa, 2)),
        (Rotate, key(0xb, 2)),
        (Create(3), key(0xc, 3)),
        (Versions, versions(&[0xa, 0xb, 0xc])),
        (Policy(true), other(0xc, 3)),
        (Create(4), answered(Answer::OtherPolicy)),
        (Release(false), answered(Answer::Denied)),
        (Release(true), released(0xc, 2)),
        (Policy(false), key(0xc, 3)),
        (Release(false), released(0xc, 3)),
        (Delete, key(0xc, 3)),
        (Get, answered(Answer::NotFound)),
        (Create(5), answered(Answer::Recoverable)),
        (Recover, key(0xc, 3)),
        (Get, key(0xc, 3)),
    ]
}

/// Every call has its answers, and one after another they hold.
#[test]
fn life_of_a_key_holds() {
    assert!(holds(&life()));
}

/// Every answer of that life matters: with any other answer to any of its calls it is no life of a key.
#[test]
fn other_answers_do_not_hold() {
    let life = life();
    let answers: Vec<End> = life.iter().map(|(_, end)| end.clone()).collect();
    let mut refused = 0;
    for at in 0..life.len() {
        for answer in answers.iter().filter(|answer| **answer != life[at].1) {
            let mut other = life.clone();
            other[at].1 = answer.clone();
            assert!(!holds(&other), "{at}: {:?} answered {answer:?}", life[at].0);
            refused += 1;
        }
    }
    assert!(refused > 400, "{refused}");
}

/// What no fault may do, each as a history of its own.
#[test]
fn known_violations_are_found() {
    use Call::*;
    for (what, calls) in [
        ("stale read", vec![(Create(1), key(1, 1)), (Tag(2), key(1, 2)), (Get, key(1, 1))]),
        ("lost write", vec![(Create(1), key(1, 1)), (Get, answered(Answer::NotFound))]),
        ("lost delete", vec![(Create(1), key(1, 1)), (Delete, key(1, 1)), (Get, key(1, 1))]),
        ("double version", vec![(Create(1), key(1, 1)), (Create(2), key(2, 2)), (Versions, versions(&[1, 2, 3]))]),
        ("version that is not there", vec![(Create(1), key(1, 1)), (Create(2), key(2, 2)), (Versions, versions(&[1]))]),
        ("one id for two versions", vec![(Create(1), key(1, 1)), (Create(2), key(1, 2))]),
        (
            "release after an acknowledged disable",
            vec![(Create(1), key(1, 1)), (Enable(false), disabled(1, 1)), (Release(false), released(1, 1))],
        ),
        (
            "release under the policy of before",
            vec![(Create(1), key(1, 1)), (Policy(true), other(1, 1)), (Release(false), released(1, 1))],
        ),
        (
            "release of a version of before",
            vec![(Create(1), key(1, 1)), (Rotate, key(2, 1)), (Release(false), released(1, 1))],
        ),
        (
            "policy that was set twice and counted once",
            vec![
                (Create(1), key(1, 1)),
                (Policy(true), other(1, 1)),
                (Policy(true), other(1, 1)),
                (Release(true), released(1, 2)),
            ],
        ),
        (
            "recovered without a word",
            vec![(Create(1), key(1, 1)), (Delete, key(1, 1)), (Get, key(1, 1)), (Recover, key(1, 1))],
        ),
        // Seen, it happened: then it is not unseen.
        ("unknown that was seen", vec![(Create(1), key(1, 1)), (Tag(2), lost()), (Get, key(1, 2)), (Get, key(1, 1))]),
        // One unknown call makes one version.
        (
            "unknown that happened twice",
            vec![
                (Create(1), key(1, 1)),
                (Create(2), lost()),
                (Versions, versions(&[1, 2])),
                (Versions, versions(&[1, 2, 3])),
            ],
        ),
        // Nothing was sent.
        (
            "refused that happened",
            vec![(Create(1), key(1, 1)), (Tag(2), End::Refused("away".to_owned())), (Get, key(1, 2))],
        ),
    ] {
        let found = of_key("key", &in_turn(&calls)).unwrap_or_else(|| panic!("{what} is not found"));
        assert_eq!(found.verdict, Verdict::Not, "{what}");
        assert!(found.told.lines().count() <= calls.len(), "{what}");
    }
}

/// A call without an answer may have happened at any time since, or not.
#[test]
fn unknown_outcomes_explain_what_they_can() {
    use Call::*;
    for calls in [
        vec![(Create(1), lost()), (Get, answered(Answer::NotFound)), (Get, key(7, 1)), (Versions, versions(&[7]))],
        vec![(Create(1), key(1, 1)), (Create(2), lost()), (Versions, versions(&[1, 2])), (Get, key(2, 2))],
        vec![
            (Create(1), key(1, 1)),
            (Create(2), lost()),
            (Rotate, lost()),
            (Versions, versions(&[1, 2, 3])),
            (Get, key(3, 2)),
        ],
        vec![
            (Create(1), key(1, 1)),
            (Enable(false), lost()),
            (Release(false), released(1, 1)),
            (Get, answered(Answer::Disabled)),
        ],
        vec![
            (Create(1), key(1, 1)),
            (Delete, lost()),
            (Get, key(1, 1)),
            (Get, answered(Answer::NotFound)),
            (Recover, key(1, 1)),
        ],
        vec![(Create(1), key(1, 1)), (Policy(true), lost()), (Release(true), released(1, 2))],
        vec![(Create(1), key(1, 1)), (Delete, key(1, 1)), (Recover, lost()), (Tag(9), key(1, 9))],
    ] {
        assert!(holds(&calls), "{calls:?}");
    }
}

/// Side by side, answers may come in either order; after one another they may not.
#[test]
fn overlap_is_what_excuses() {
    let calls =
        [(Call::Create(1), key(1, 1)), (Call::Enable(false), disabled(1, 1)), (Call::Release(false), released(1, 1))];
    let mut asked = in_turn(&calls);
    assert!(of_key("key", &asked).is_some());
    asked[1].ended.1 = asked[2].began + 1;
    assert!(of_key("key", &asked).is_none());
}

/// Good histories that were tampered with are refused, for the reason that they were tampered with: without the last call
/// they hold still.
#[test]
fn tampering_is_found() {
    let lives = [life(), life()[..3].to_vec(), life()[..8].to_vec(), life()[..22].to_vec(), life()[..21].to_vec()];
    for tamper in Break::ALL {
        for life in &lives {
            let mut histories = Histories::from([("key".to_owned(), in_turn(life))]);
            assert!(tamper.apply(&mut histories), "{tamper:?}");
            let mut asked = histories.remove("key").unwrap();
            let found = of_key("key", &asked).unwrap_or_else(|| panic!("{tamper:?} is not found"));
            assert_eq!(found.verdict, Verdict::Not);
            asked.pop();
            assert!(of_key("key", &asked).is_none(), "{tamper:?}: {:?}", asked.last());
        }
    }
}
