//! Clocks that are wrong: what their nodes must not do meanwhile is found, and nothing else is.

use skerry_faults::clock::{Moved, released_by_wrong_clocks};
use skerry_faults::history::{Asked, End, Histories};
use skerry_faults::model::{Answer, Call};

const SECOND: u64 = 1_000_000_000;

/// One call to node 1, from one second to another.
fn asked(call: Call, answer: Answer, (began, ended): (u64, u64)) -> Histories {
    let asked = Asked { call, node: 1, began: began * SECOND, ended: (End::Answered(answer), ended * SECOND) };
    Histories::from([("key-1".to_owned(), vec![asked])])
}

/// A node that releases while its clock is wrong, and could know it, is told of; one whose clock was moved at the same time, was right
/// again, or answers something else is not.
#[test]
fn releases_by_wrong_clocks_are_found() {
    let released = || Answer::Released { version: 1, generation: 1 };
    let release = Call::Release(false);
    let moved = |node, by| [Moved { node, by, from: 10 * SECOND, to: 40 * SECOND }];
    let told = |by: i64| vec![format!("node 1 released key-1 while its clock was {by:+} s from the time")];
    let none = Vec::<String>::new();
    for (histories, moved, expected) in [
        (asked(release, released(), (15, 16)), moved(1, -120), told(-120)),
        (asked(release, released(), (14, 16)), moved(1, -120), none.clone()),
        (asked(release, released(), (15, 16)), moved(2, -120), none.clone()),
        (asked(release, released(), (39, 41)), moved(1, -120), none.clone()),
        (asked(release, Answer::Denied, (15, 16)), moved(1, -120), none.clone()),
        (asked(Call::Get, Answer::Disabled, (15, 16)), moved(1, -120), none.clone()),
        (asked(release, released(), (25, 26)), moved(1, 120), told(120)),
        (asked(release, released(), (12, 13)), moved(1, 120), none.clone()),
    ] {
        assert_eq!(released_by_wrong_clocks(&moved, &histories), expected, "{histories:?}");
    }
}
