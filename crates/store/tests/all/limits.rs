//! Each limit: what fits commits, what does not is refused by name.

use crate::fixtures::*;
use skerry_store::limits::*;
use skerry_store::{At, Check, Op, Outcome, Revision, Settled, Store, StoreError, WatchError};

#[test]
fn keys_have_a_length() {
    // One octet to 512, in checks, changes and reads alike.
    for (engine, store, _guard) in quick_engines() {
        let longest = vec![b'k'; KEY_LEN_MAX];
        assert!(
            matches!(commit(&store, &[], &[Op::Put(longest.clone(), vec![])]), Ok(Outcome::Committed(_))),
            "{engine}"
        );
        assert!(wait(store.get(&longest, At::Linearizable)).unwrap().is_some(), "{engine}");
        for key in [vec![], vec![b'k'; KEY_LEN_MAX + 1]] {
            let refused = StoreError::KeyLength { len: key.len() };
            assert_eq!(commit(&store, &[], &[Op::Put(key.clone(), vec![])]), Err(refused.clone()), "{engine}");
            assert_eq!(commit(&store, &[], &[Op::Delete(key.clone())]), Err(refused.clone()), "{engine}");
            assert_eq!(commit(&store, &[Check::Absent(key.clone())], &[]), Err(refused.clone()), "{engine}");
            assert_eq!(wait(store.get(&key, At::Linearizable)), Err(refused), "{engine}");
        }
    }
}

#[test]
fn keys_of_op_ids_are_reserved() {
    // Nobody settles an outcome by hand.
    for (engine, store, _guard) in quick_engines() {
        let key = op().key();
        let refused = StoreError::KeyReserved { key: key.clone() };
        assert_eq!(commit(&store, &[], &[Op::Put(key.clone(), vec![])]), Err(refused.clone()), "{engine}");
        assert_eq!(commit(&store, &[Check::Absent(key.clone())], &[]), Err(refused.clone()), "{engine}");
        assert_eq!(wait(store.get(&key, At::Linearizable)), Err(refused), "{engine}");
    }
}

#[test]
fn values_have_a_length() {
    // A mebibyte fits, one more octet does not.
    for (engine, store, _guard) in quick_engines() {
        let put = |len| commit(&store, &[], &[Op::Put(b"a".into(), vec![7; len])]);
        assert_eq!(put(VALUE_LEN_MAX), Ok(Outcome::Committed(Revision(1))), "{engine}");
        let held = wait(store.get(b"a", At::Linearizable)).unwrap().unwrap();
        assert_eq!(held.value, vec![7; VALUE_LEN_MAX], "{engine}");
        assert_eq!(put(VALUE_LEN_MAX + 1), Err(StoreError::ValueLength { len: VALUE_LEN_MAX + 1 }), "{engine}");
    }
}

#[test]
fn transactions_have_a_length() {
    // In operations, in checks, and in octets, of which keys of checks count twice.
    for (engine, store, _guard) in quick_engines() {
        let puts = |count: usize| (0..count).map(|number| put(&format!("{number}"), "")).collect::<Vec<_>>();
        let checks = |count: usize| (0..count).map(|number| absent(&format!("n{number}"))).collect::<Vec<_>>();
        let outcome = commit(&store, &checks(TXN_CHECKS_MAX), &puts(TXN_OPS_MAX));
        assert_eq!(outcome, Ok(Outcome::Committed(Revision(1))), "{engine}");
        let outcome = commit(&store, &[], &puts(TXN_OPS_MAX + 1));
        assert_eq!(outcome, Err(StoreError::TooManyOps { count: TXN_OPS_MAX + 1 }), "{engine}");
        let outcome = commit(&store, &checks(TXN_CHECKS_MAX + 1), &[]);
        assert_eq!(outcome, Err(StoreError::TooManyChecks { count: TXN_CHECKS_MAX + 1 }), "{engine}");
        let fill = |len: usize| {
            let ops = [Op::Put(b"a".into(), vec![0; VALUE_LEN_MAX]), Op::Put(b"b".into(), vec![0; len])];
            commit(&store, &[absent("xx")], &ops)
        };
        let rest = TXN_LEN_MAX - VALUE_LEN_MAX - 2 - 4;
        assert_eq!(fill(rest), Ok(Outcome::Committed(Revision(2))), "{engine}");
        assert_eq!(fill(rest + 1), Err(StoreError::TxnLength { len: TXN_LEN_MAX + 1 }), "{engine}");
    }
}

#[test]
fn one_transaction_changes_a_key_once() {
    // Engines would differ in what a second change of it means.
    for (engine, store, _guard) in quick_engines() {
        let refused = Err(StoreError::KeyTwice { key: b"a".into() });
        assert_eq!(commit(&store, &[], &[put("a", "1"), put("a", "2")]), refused, "{engine}");
        assert_eq!(commit(&store, &[], &[put("a", "1"), delete("a")]), refused, "{engine}");
    }
}

#[test]
fn pages_have_a_length() {
    // Long values make short pages that say so; a row that is longer than a page alone cannot be.
    for (engine, store, _guard) in quick_engines() {
        for key in ["a", "b", "c", "d", "e"] {
            write(&store, &[Op::Put(key.into(), vec![0; VALUE_LEN_MAX])]);
        }
        let page = range(&store, "", None, 10, At::Linearizable).unwrap();
        assert_eq!((page.rows.len(), page.more), (3, true), "{engine}");
        let page = range(&store, "", Some("c"), 10, At::Linearizable).unwrap();
        assert_eq!((page.rows.len(), page.more), (2, false), "{engine}");
    }
}

#[test]
fn pages_have_a_number_of_rows() {
    // However many are asked for.
    for (engine, store, _guard) in quick_engines() {
        for group in 0..8 {
            let puts: Vec<_> = (0..127).map(|number| put(&format!("{group}/{number}"), "")).collect();
            write(&store, &puts);
        }
        let page = range(&store, "", None, usize::MAX, At::Linearizable).unwrap();
        assert_eq!((page.rows.len(), page.more), (PAGE_ROWS_MAX, true), "{engine}");
    }
}

#[test]
fn long_history_is_compacted_by_octets() {
    // Snapshots and watches older than what is held are refused and say what is held; newer ones go on.
    for (engine, store, _guard) in quick_engines() {
        let mut behind = store.watch(b"", Revision(0)).unwrap();
        let puts = HISTORY_LEN_MAX / VALUE_LEN_MAX;
        for _ in 0..puts {
            write(&store, &[Op::Put(b"a".into(), vec![0; VALUE_LEN_MAX])]);
        }
        let Err(StoreError::Compacted { asked, oldest }) = get(&store, "a", At::Snapshot(Revision(1))) else {
            panic!("{engine}")
        };
        assert_eq!(asked, Revision(1), "{engine}");
        assert!(oldest > Revision(1) && oldest < Revision(u64::try_from(puts).unwrap()), "{engine}");
        let held = get(&store, "a", At::Snapshot(oldest)).unwrap().unwrap();
        assert_eq!(held.modified, oldest, "{engine}");
        let refused = range(&store, "", None, 1, At::Snapshot(Revision(1))).map(drop);
        assert_eq!(refused, Err(StoreError::Compacted { asked, oldest }), "{engine}");
        assert_eq!(behind.ready(), Err(WatchError::Compacted { oldest }), "{engine}");
        assert_eq!(store.watch(b"", asked).map(drop), Err(StoreError::Compacted { asked, oldest }), "{engine}");
        assert_eq!(store.watch(b"", oldest).unwrap().ready().unwrap().unwrap().revision.0, oldest.0 + 1, "{engine}");
    }
}

#[test]
fn long_history_is_compacted_by_number() {
    // The same by count of commits, of which those that changed nothing are none.
    let store = Store::memory();
    write(&store, &[]);
    let most = u64::try_from(HISTORY_REVISIONS_MAX).unwrap();
    for _ in 0..=most {
        write(&store, &[put("a", "")]);
    }
    let refused = get(&store, "a", At::Snapshot(Revision(1)));
    assert_eq!(refused, Err(StoreError::Compacted { asked: Revision(1), oldest: Revision(2) }));
    assert_eq!(get(&store, "a", At::Snapshot(Revision(2))), Ok(Some(entry("", 2, 2, 1))));
}

#[test]
fn old_op_ids_are_forgotten() {
    // After that many commits a committed id is found aborted: why one settles at once.
    let store = Store::memory();
    let first = txn(&[], &[]);
    let _ = wait(store.commit(&first)).unwrap();
    for _ in 1..OPS_MAX {
        write(&store, &[]);
    }
    assert_eq!(wait(store.settle(first.op)), Ok(Settled::Committed(Revision(1))));
    write(&store, &[]);
    assert_eq!(wait(store.settle(first.op)), Ok(Settled::Aborted));
}
