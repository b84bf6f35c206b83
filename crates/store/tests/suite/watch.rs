//! Watches, on every engine. A fence comes before what is asked of a watch without waiting: on some engines it comes later
//! than a commit is acknowledged.

use super::fixtures::*;
use crate::engines::*;
use skerry_store::{At, Batch, Event, Revision, Row, StoreError, WatchError};
use std::pin::pin;

fn put_event(key: &str, value: &str, created: u64, modified: u64, version: u64) -> Event {
    Event::Put(Row { key: key.into(), entry: entry(value, created, modified, version) })
}

fn batch(revision: u64, events: Vec<Event>) -> Batch {
    Batch { revision: Revision(revision), events }
}

pub(crate) fn watch_gives_each_commit_whole() {
    // One batch per transaction, with what it changed, in its order.
    for (engine, store, _guard) in engines() {
        let mut watch = store.watch(b"", Revision(0)).unwrap();
        write(&store, &[put("b", "1"), put("a", "1")]);
        write(&store, &[put("b", "2"), delete("a"), delete("never there")]);
        let first = batch(1, vec![put_event("b", "1", 1, 1, 1), put_event("a", "1", 1, 1, 1)]);
        assert_eq!(wait(watch.next()), Ok(first), "{engine}");
        let second = batch(2, vec![put_event("b", "2", 1, 2, 2), Event::Deleted(b"a".into())]);
        assert_eq!(wait(watch.next()), Ok(second), "{engine}");
        assert_eq!(watch.ready(), Ok(None), "{engine}");
    }
}

pub(crate) fn watch_begins_after_its_revision() {
    // Listing at a revision and watching from it misses nothing and repeats nothing.
    for (engine, store, _guard) in engines() {
        write(&store, &[put("a", "1")]);
        write(&store, &[put("a", "2")]);
        write(&store, &[put("a", "3")]);
        let page = range(&store, "", None, 10, At::Snapshot(Revision(2))).unwrap();
        let mut watch = store.watch(b"", page.revision).unwrap();
        fence(&store);
        assert_eq!(watch.seen(), Revision(2), "{engine}");
        assert_eq!(watch.ready(), Ok(Some(batch(3, vec![put_event("a", "3", 1, 3, 3)]))), "{engine}");
        assert_eq!(watch.ready(), Ok(None), "{engine}");
    }
}

pub(crate) fn watch_keeps_to_its_prefix() {
    // Other keys of a transaction are not shown, and transactions without any are passed over but seen.
    for (engine, store, _guard) in engines() {
        let mut watch = store.watch(b"a/", Revision(0)).unwrap();
        write(&store, &[put("a", "1"), put("b", "1")]);
        write(&store, &[put("a/1", "1"), put("b", "2")]);
        write(&store, &[put("b", "3")]);
        fence(&store);
        assert_eq!(watch.ready(), Ok(Some(batch(2, vec![put_event("a/1", "1", 2, 2, 1)]))), "{engine}");
        assert_eq!(watch.ready(), Ok(None), "{engine}");
        assert_eq!(watch.seen(), Revision(3), "{engine}");
    }
}

pub(crate) fn watch_reaches_the_fence() {
    // After a fence, a drained watch has seen every acknowledged commit, aborts included.
    for (engine, store, _guard) in engines() {
        let mut watch = store.watch(b"a", Revision(0)).unwrap();
        write(&store, &[put("b", "1")]);
        let _ = wait(store.settle(op())).unwrap();
        let fence = wait(store.fence()).unwrap();
        assert_eq!(fence, Revision(2), "{engine}");
        assert_eq!(watch.ready(), Ok(None), "{engine}");
        assert_eq!(watch.seen(), fence, "{engine}");
    }
}

pub(crate) fn watch_waits_for_what_comes() {
    // It sleeps until a change of its keys, and giving up the wait loses nothing.
    for (engine, store, _guard) in engines() {
        let mut watch = store.watch(b"a", Revision(0)).unwrap();
        assert!(is_pending(pin!(watch.next())), "{engine}");
        write(&store, &[put("b", "1")]);
        fence(&store);
        assert!(is_pending(pin!(watch.next())), "{engine}");
        write(&store, &[put("a", "1")]);
        assert_eq!(wait(watch.next()), Ok(batch(2, vec![put_event("a", "1", 2, 2, 1)])), "{engine}");
        let waiting = std::thread::spawn(move || wait(watch.next()));
        write(&store, &[put("a", "2")]);
        assert_eq!(waiting.join().unwrap().unwrap().revision, Revision(3), "{engine}");
    }
}

pub(crate) fn watch_ends_with_the_store() {
    // What was committed is still given; then it says that there is no more.
    for (engine, store, _guard) in engines() {
        let mut watch = store.watch(b"", Revision(0)).unwrap();
        write(&store, &[put("a", "1")]);
        fence(&store);
        drop(store);
        assert_eq!(wait(watch.next()).unwrap().revision, Revision(1), "{engine}");
        assert_eq!(wait(watch.next()), Err(WatchError::Closed), "{engine}");
    }
}

pub(crate) fn watch_from_ahead_is_refused() {
    // Nothing would tell it that the revision it waits for is another one.
    for (engine, store, _guard) in engines() {
        let ahead = StoreError::Ahead { asked: Revision(1), newest: Revision(0) };
        assert_eq!(store.watch(b"", Revision(1)).map(drop), Err(ahead), "{engine}");
    }
}

pub(crate) fn many_watches_share_a_store() {
    // Each has its own pace.
    for (engine, store, _guard) in quick_engines() {
        let mut watches: Vec<_> = (0..50).map(|_| store.watch(b"", Revision(0)).unwrap()).collect();
        for number in 1..=50 {
            write(&store, &[put("a", "1")]);
            fence(&store);
            for watch in watches.iter_mut().take(number) {
                assert!(watch.ready().unwrap().is_some(), "{engine}");
            }
        }
        for (number, watch) in (1..=50).zip(&mut watches) {
            while watch.ready().unwrap().is_some() {}
            assert_eq!(watch.seen(), Revision(50), "{engine}: watch {number}");
        }
    }
}
