//! Limits of history and op ids, of engines that keep them in memory.

use crate::engines::*;
use crate::suite::fixtures::*;
use skerry_store::limits::*;
use skerry_store::{At, Op, Revision, Settled, Store, StoreError, WatchError};

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
