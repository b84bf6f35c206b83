//! Heads, versions, rotation policies and tombstones of keys, and floors of vaults: what is read is written as the same octets, and does not contradict itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_keys::KeyType;
use skerry_vault::limits::TAGS_MAX;
use skerry_vault::record::{KeyHead, KeyName, KeyVersion};
use skerry_vault::rotation::Trigger;
use skerry_vault::stored::{
    decode_floor, decode_head, decode_rotation, decode_tombstone, decode_version, encode_floor, encode_head,
    encode_rotation, encode_tombstone, encode_version,
};

const NOW: u64 = 8_000_000_000;

fuzz_target!(|data: &[u8]| {
    let (head, version, tombstone) = (decode_head(data), decode_version(data), decode_tombstone(data));
    let (rotation, floor) = (decode_rotation(data), decode_floor(data));
    let read = [head.is_ok(), version.is_ok(), tombstone.is_ok(), rotation.is_ok(), floor.is_ok()];
    assert!(read.iter().filter(|read| **read).count() <= 1, "a record of two kinds");
    if let Ok(head) = head {
        check_head(&head);
        assert_eq!(encode_head(&head), data);
    }
    if let Ok(version) = version {
        check_version(&version);
        assert_eq!(encode_version(&version).as_deref(), Ok(data));
    }
    if let Ok(tombstone) = tombstone {
        assert_eq!(encode_tombstone(&tombstone), data);
    }
    if let Ok(floor) = floor {
        assert_eq!(encode_floor(&floor), data);
    }
    if let Ok(policy) = rotation {
        assert_eq!(encode_rotation(&policy), data);
        // Any time is a time from which it can be counted.
        for (_, Trigger::AfterCreate(period) | Trigger::BeforeExpiry(period)) in &policy.actions {
            assert!(period.after(NOW) > NOW && period.before(NOW) < NOW);
        }
    }
});

fn check_head(head: &KeyHead) {
    assert_eq!(KeyName::parse(head.name.as_str()).as_ref(), Ok(&head.name));
    // A key that wraps securely has a policy and never leaves.
    assert!(head.policy.is_some() || !head.exportable && !head.immutable);
    let newest = head.versions.last().expect("a key has a version");
    assert_eq!(head.version(None), Some(newest));
}

fn check_version(version: &KeyVersion) {
    match version.key_type {
        KeyType::Oct { .. } => assert_eq!(version.public.key_type(), Ok(None)),
        key_type => assert_eq!(version.public.key_type(), Ok(Some(key_type))),
    }
    assert!(version.tags.iter().len() <= TAGS_MAX);
}
