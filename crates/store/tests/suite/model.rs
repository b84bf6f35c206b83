//! The model, on every engine.

use super::fixtures::*;
use crate::engines::*;
use skerry_store::{At, Outcome, Revision, StoreError};

const NOW: At = At::Linearizable;

pub(crate) fn empty_store_holds_nothing() {
    // Before the first commit there is revision 0, and no key.
    for (engine, store, _guard) in engines() {
        assert_eq!(wait(store.fence()), Ok(Revision(0)), "{engine}");
        assert_eq!(get(&store, "a", NOW), Ok(None), "{engine}");
        let page = range(&store, "", None, 10, NOW).unwrap();
        assert_eq!((page.rows, page.revision, page.more), (vec![], Revision(0), false), "{engine}");
    }
}

pub(crate) fn entries_count_their_commits() {
    // Created stays, modified and version move; a key made anew begins again.
    for (engine, store, _guard) in engines() {
        write(&store, &[put("a", "1"), put("b", "1")]);
        write(&store, &[put("a", "2")]);
        assert_eq!(get(&store, "a", NOW), Ok(Some(entry("2", 1, 2, 2))), "{engine}");
        assert_eq!(get(&store, "b", NOW), Ok(Some(entry("1", 1, 1, 1))), "{engine}");
        write(&store, &[delete("a")]);
        assert_eq!(get(&store, "a", NOW), Ok(None), "{engine}");
        write(&store, &[put("a", "3")]);
        assert_eq!(get(&store, "a", NOW), Ok(Some(entry("3", 4, 4, 1))), "{engine}");
    }
}

pub(crate) fn every_commit_has_a_revision() {
    // Also one that changes nothing; a conflict has none.
    for (engine, store, _guard) in engines() {
        assert_eq!(write(&store, &[put("a", "")]), Revision(1), "{engine}");
        assert_eq!(write(&store, &[]), Revision(2), "{engine}");
        assert_eq!(write(&store, &[delete("never there")]), Revision(3), "{engine}");
        assert_eq!(commit(&store, &[absent("a")], &[]), Ok(Outcome::Conflict(b"a".into())), "{engine}");
        assert_eq!(wait(store.fence()), Ok(Revision(3)), "{engine}");
        assert_eq!(value(&store, "a").as_deref(), Some(""), "{engine}");
    }
}

pub(crate) fn checks_hold_or_nothing_happens() {
    // Each check, true and false; the first one that fails is named.
    for (engine, store, _guard) in engines() {
        write(&store, &[put("a", "1")]);
        write(&store, &[put("a", "2")]);
        let cases = [
            (absent("b"), true),
            (absent("a"), false),
            (present("a"), true),
            (present("b"), false),
            (unchanged("a", 2), true),
            (unchanged("a", 1), false),
            (unchanged("a", 3), false),
            (unchanged("b", 0), false),
        ];
        for (check, holds) in cases {
            let before = wait(store.fence()).unwrap();
            let outcome = commit(&store, &[present("a"), check.clone(), present("none")], &[put("c", "")]).unwrap();
            let failed = if holds { b"none".to_vec() } else { check.key().to_vec() };
            assert_eq!(outcome, Outcome::Conflict(failed), "{engine}: {check:?}");
            let outcome = commit(&store, std::slice::from_ref(&check), &[]).unwrap();
            assert_eq!(matches!(outcome, Outcome::Committed(_)), holds, "{engine}: {check:?}");
            assert_eq!(value(&store, "c"), None, "{engine}: {check:?}");
            assert_eq!(wait(store.fence()).unwrap() > before, holds, "{engine}: {check:?}");
        }
    }
}

pub(crate) fn checks_see_the_state_before_the_changes() {
    // A check and a change of one key are about the old and the new entry.
    for (engine, store, _guard) in engines() {
        assert_eq!(commit(&store, &[absent("a")], &[put("a", "1")]), Ok(Outcome::Committed(Revision(1))), "{engine}");
        assert_eq!(commit(&store, &[present("a")], &[delete("a")]), Ok(Outcome::Committed(Revision(2))), "{engine}");
    }
}

pub(crate) fn op_id_commits_once() {
    // The same transaction again is a conflict on its op id, whether or not its checks would hold.
    for (engine, store, _guard) in engines() {
        let txn = txn(&[], &[put("a", "1")]);
        assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Committed(Revision(1))), "{engine}");
        assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(txn.op.key())), "{engine}");
        assert_eq!(get(&store, "a", NOW), Ok(Some(entry("1", 1, 1, 1))), "{engine}");
    }
}

pub(crate) fn conflict_leaves_the_op_id_free() {
    // What did not happen may be tried again as it is.
    for (engine, store, _guard) in engines() {
        let txn = txn(&[present("a")], &[put("b", "1")]);
        assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Conflict(b"a".into())), "{engine}");
        write(&store, &[put("a", "")]);
        assert_eq!(wait(store.commit(&txn)), Ok(Outcome::Committed(Revision(2))), "{engine}");
    }
}

pub(crate) fn range_takes_a_prefix_in_order() {
    // Keys are ordered as octets; neither shorter keys nor neighbours of the prefix are in.
    for (engine, store, _guard) in engines() {
        let keys = ["b/2", "b", "b/", "b/10", "b/1", "b0", "a", "c", "b/1/x"];
        write(&store, &keys.map(|key| put(key, "")));
        let page = range(&store, "b/", None, 10, NOW).unwrap();
        assert_eq!(texts(&page.rows), ["b/=", "b/1=", "b/1/x=", "b/10=", "b/2="], "{engine}");
        assert!(!page.more, "{engine}");
        let all = range(&store, "", None, 100, NOW).unwrap();
        assert_eq!(all.rows.len(), keys.len(), "{engine}");
        assert_eq!(range(&store, "op/", None, 10, NOW).unwrap().rows, vec![], "{engine}");
    }
}

pub(crate) fn prefix_of_largest_octets_has_an_end() {
    // A prefix of 0xff has no successor.
    for (engine, store, _guard) in engines() {
        for key in [vec![0xff], vec![0xff, 0xff], vec![0xfe, 0xff]] {
            write(&store, &[skerry_store::Op::Put(key, vec![])]);
        }
        let page = wait(store.range(&[0xff], None, 10, NOW)).unwrap();
        assert_eq!(page.rows.len(), 2, "{engine}");
    }
}

pub(crate) fn pages_meet_without_gap_or_repetition() {
    // Each page begins after the last key of the one before, at its snapshot, whatever is written between.
    for (engine, store, _guard) in engines() {
        for number in 10..35 {
            write(&store, &[put(&format!("k/{number}"), "old")]);
        }
        let first = range(&store, "k/", None, 10, NOW).unwrap();
        let snapshot = At::Snapshot(first.revision);
        let mut rows = texts(&first.rows);
        let mut more = first.more;
        while more {
            write(&store, &[put("k/11", "new"), put("k/22", "new"), put("k/225", "new"), delete("k/30")]);
            write(&store, &[delete("k/22"), put("k/99", "new"), put("k/30", "new")]);
            let last = rows.last().unwrap().trim_end_matches("=old").to_owned();
            let page = range(&store, "k/", Some(&last), 10, snapshot).unwrap();
            assert_eq!(page.revision, first.revision, "{engine}");
            rows.extend(texts(&page.rows));
            more = page.more;
        }
        let expected: Vec<_> = (10..35).map(|number| format!("k/{number}=old")).collect();
        assert_eq!(rows, expected, "{engine}");
    }
}

pub(crate) fn pages_of_a_past_that_much_has_changed_since() {
    // More keys than one look into the past takes note of were made, deleted and changed since: before the first row, between
    // all of them, and after the last. The pages are those of then, and the last knows that it is.
    const NEW: usize = 1_500;
    for (engine, store, _guard) in quick_engines() {
        let old: Vec<String> = (0..40).map(|number| format!("k/5{number:02}")).collect();
        let made = (0..NEW).flat_map(|n| [format!("k/1{n}"), format!("k/501{n}"), format!("k/9{n}")]);
        let made: Vec<String> = made.collect();
        let put_all = |keys: &[String], value| {
            for keys in keys.chunks(100) {
                write(&store, &keys.iter().map(|key| put(key, value)).collect::<Vec<_>>());
            }
        };
        put_all(&old, "old");
        let at = wait(store.fence()).unwrap();
        put_all(&made, "new");
        for keys in old.chunks(3) {
            write(&store, &[delete(&keys[0])]);
            put_all(&keys[1..keys.len().min(2)], "new");
        }
        for limit in [1, 7, 40, 41] {
            let (mut rows, mut after) = (Vec::new(), None::<String>);
            loop {
                let page = range(&store, "k/", after.as_deref(), limit, At::Snapshot(at)).unwrap();
                assert!(!page.rows.is_empty() && page.revision == at, "{engine} by {limit}");
                rows.extend(texts(&page.rows));
                after = page.rows.last().map(|row| String::from_utf8(row.key.clone()).unwrap());
                if !page.more {
                    break;
                }
            }
            let expected: Vec<_> = old.iter().map(|key| format!("{key}=old")).collect();
            assert_eq!(rows, expected, "{engine} by {limit}");
        }
        let now = range(&store, "k/", None, 10, NOW).unwrap();
        assert!(now.more && texts(&now.rows)[0] == "k/10=new", "{engine}");
    }
}

pub(crate) fn after_is_exclusive_and_may_lie_anywhere() {
    // Before the prefix it changes nothing, behind it leaves nothing, and it need not exist.
    for (engine, store, _guard) in engines() {
        write(&store, &["b/1", "b/2", "b/3", "c"].map(|key| put(key, "")));
        let after = |key| texts(&range(&store, "b/", Some(key), 10, NOW).unwrap().rows).len();
        assert_eq!(["a", "b/", "b/1", "b/15", "b/3", "c"].map(after), [3, 3, 2, 2, 0, 0], "{engine}");
    }
}

pub(crate) fn more_is_exact() {
    // True iff a row follows; a limit of none is one.
    for (engine, store, _guard) in engines() {
        write(&store, &["a", "b", "c"].map(|key| put(key, "")));
        let more = |limit| range(&store, "", None, limit, NOW).map(|page| (page.rows.len(), page.more)).unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(more), [(1, true), (1, true), (2, true), (3, false), (3, false)], "{engine}");
    }
}

pub(crate) fn snapshots_see_their_revision() {
    // Every revision so far can be read, with entries as they were then.
    for (engine, store, _guard) in engines() {
        write(&store, &[put("a", "1")]);
        write(&store, &[put("a", "2"), put("b", "1")]);
        write(&store, &[delete("a")]);
        write(&store, &[put("a", "3")]);
        let at = |revision| {
            let at = At::Snapshot(Revision(revision));
            let page = range(&store, "", None, 10, at).unwrap();
            assert_eq!(page.revision, Revision(revision), "{engine}");
            (get(&store, "a", at).unwrap(), texts(&page.rows).join(" "))
        };
        assert_eq!(at(0), (None, String::new()), "{engine}");
        assert_eq!(at(1), (Some(entry("1", 1, 1, 1)), "a=1".into()), "{engine}");
        assert_eq!(at(2), (Some(entry("2", 1, 2, 2)), "a=2 b=1".into()), "{engine}");
        assert_eq!(at(3), (None, "b=1".into()), "{engine}");
        assert_eq!(at(4), (Some(entry("3", 4, 4, 1)), "a=3 b=1".into()), "{engine}");
    }
}

pub(crate) fn revisions_ahead_are_refused() {
    // A token of another store, or of a state that was rolled back, is not answered from what is here.
    for (engine, store, _guard) in engines() {
        write(&store, &[put("a", "1")]);
        let ahead = Err(StoreError::Ahead { asked: Revision(2), newest: Revision(1) });
        assert_eq!(get(&store, "a", At::Snapshot(Revision(2))), ahead, "{engine}");
        assert_eq!(get(&store, "a", At::Cached(Revision(2))), ahead, "{engine}");
        assert_eq!(range(&store, "", None, 1, At::Cached(Revision(2))).map(drop), ahead.map(drop), "{engine}");
    }
}

pub(crate) fn cached_reads_are_at_least_as_new() {
    // The embedded engines have one state only, the newest.
    for (engine, store, _guard) in engines() {
        write(&store, &[put("a", "1")]);
        write(&store, &[put("a", "2")]);
        let page = range(&store, "", None, 1, At::Cached(Revision(1))).unwrap();
        assert_eq!((page.revision, texts(&page.rows)), (Revision(2), vec!["a=2".into()]), "{engine}");
    }
}

pub(crate) fn futures_move_between_threads() {
    // Servers run them on many threads.
    fn sent<T: Send>(value: T) -> T {
        value
    }
    for (_, store, _guard) in quick_engines() {
        drop(sent(store.get(b"a", NOW)));
        drop(sent(store.range(b"", None, 1, NOW)));
        drop(sent(store.commit(&txn(&[], &[]))));
        drop(sent(store.settle(op())));
        drop(sent(store.fence()));
        drop(sent(sent(store.watch(b"", Revision(0)).unwrap()).next()));
    }
}

/// A store counts how its commits ended, and shows the newest revision.
#[test]
fn commits_are_counted_by_their_end() {
    use skerry_store::{Check, OpId, Outcome, Revision, Store, Txn};
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Store::memory();
        let txn = |op: u8, checks| Txn { op: OpId([op; 16]), checks, ops: Vec::new() };
        assert_eq!(store.commit(&txn(1, Vec::new())).await, Ok(Outcome::Committed(Revision(1))));
        let unmet = vec![Check::Unchanged(b"key".to_vec(), Revision(1))];
        assert!(matches!(store.commit(&txn(2, unmet)).await, Ok(Outcome::Conflict(_))));
        assert_eq!(store.fence().await, Ok(Revision(1)));
        let seen = store.clone().seen();
        assert_eq!((seen.committed, seen.conflicts, seen.unknown, seen.errors, seen.revision), (1, 1, 0, 0, 1));
        assert_eq!((seen.commits.count(), seen.fences.count(), seen.verified), (2, 1, true));
    });
}
