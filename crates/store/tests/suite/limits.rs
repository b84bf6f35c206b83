//! Each limit: what fits commits, what does not is refused by name.

use super::fixtures::*;
use crate::engines::*;
use skerry_store::limits::*;
use skerry_store::{At, Check, Op, Outcome, Revision, StoreError};

pub(crate) fn keys_have_a_length() {
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

pub(crate) fn keys_of_op_ids_are_reserved() {
    // Nobody settles an outcome by hand.
    for (engine, store, _guard) in quick_engines() {
        let key = op().key();
        let refused = StoreError::KeyReserved { key: key.clone() };
        assert_eq!(commit(&store, &[], &[Op::Put(key.clone(), vec![])]), Err(refused.clone()), "{engine}");
        assert_eq!(commit(&store, &[Check::Absent(key.clone())], &[]), Err(refused.clone()), "{engine}");
        assert_eq!(wait(store.get(&key, At::Linearizable)), Err(refused), "{engine}");
    }
}

pub(crate) fn values_have_a_length() {
    // A mebibyte fits, one more octet does not.
    for (engine, store, _guard) in quick_engines() {
        let put = |len| commit(&store, &[], &[Op::Put(b"a".into(), vec![7; len])]);
        assert_eq!(put(VALUE_LEN_MAX), Ok(Outcome::Committed(Revision(1))), "{engine}");
        let held = wait(store.get(b"a", At::Linearizable)).unwrap().unwrap();
        assert_eq!(held.value, vec![7; VALUE_LEN_MAX], "{engine}");
        assert_eq!(put(VALUE_LEN_MAX + 1), Err(StoreError::ValueLength { len: VALUE_LEN_MAX + 1 }), "{engine}");
    }
}

pub(crate) fn transactions_have_a_length() {
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

pub(crate) fn one_transaction_changes_a_key_once() {
    // Engines would differ in what a second change of it means.
    for (engine, store, _guard) in quick_engines() {
        let refused = Err(StoreError::KeyTwice { key: b"a".into() });
        assert_eq!(commit(&store, &[], &[put("a", "1"), put("a", "2")]), refused, "{engine}");
        assert_eq!(commit(&store, &[], &[put("a", "1"), delete("a")]), refused, "{engine}");
    }
}

pub(crate) fn pages_have_a_length() {
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

pub(crate) fn pages_have_a_number_of_rows() {
    // However many are asked for.
    for (engine, store, _guard) in quick_engines() {
        for group in 0..8 {
            let puts: Vec<_> = (0..126).map(|number| put(&format!("{group}/{number}"), "")).collect();
            write(&store, &puts);
        }
        let page = range(&store, "", None, usize::MAX, At::Linearizable).unwrap();
        assert_eq!((page.rows.len(), page.more), (PAGE_ROWS_MAX, true), "{engine}");
    }
}
