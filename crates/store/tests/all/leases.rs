//! Leases on a store that one process holds.

use crate::engines::*;
use crate::suite::fixtures::*;
use std::time::Duration;

#[test]
fn a_lease_is_held_by_one_until_it_is_dropped() {
    // Of one name, among all handles; other names are other leases. It is not lost.
    for (engine, store, _guard) in quick_engines() {
        let lease = |name| wait(store.clone().lease(name, "me", Duration::from_secs(1))).unwrap();
        let held = lease("purge").unwrap();
        assert!(lease("purge").is_none(), "{engine}");
        assert!(lease("rotate").is_some(), "{engine}");
        assert!(!held.is_lost(), "{engine}");
        let holder = || wait(store.holder("purge")).unwrap();
        assert_eq!(holder().as_deref(), Some("me"), "{engine}");
        drop(held);
        assert_eq!(holder(), None, "{engine}");
        assert!(lease("purge").is_some(), "{engine}");
    }
}
