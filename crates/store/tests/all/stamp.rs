//! Stamps: each program opens its own stores and no others.

use crate::engines::*;
use crate::suite::fixtures::*;
use skerry_store::seal::{SealError, Sealer};
use skerry_store::stamp::{FORMAT, Kind, STAMP_KEY, Stamp, StampError};
use skerry_store::{Fault, Faults, Op, Outcome, Store, StoreError};
use tempfile::TempDir;

fn stamp(store: &Store, kind: Kind, octet: u8) -> Result<Stamp, StampError> {
    wait(store.stamp(kind, &root(octet), &mut rng()))
}

/// A store whose stamp has these octets.
fn stamped(plain: &[u8]) -> Store {
    let sealed = sealer().seal(STAMP_KEY, plain, &mut rng()).unwrap();
    holding(sealed)
}

fn holding(value: Vec<u8>) -> Store {
    let store = Store::memory();
    write(&store, &[Op::Put(STAMP_KEY.to_vec(), value)]);
    store
}

fn sealer() -> Sealer {
    root(1).sealer("installation", &[0; 16])
}

/// Octets of a stamp.
fn octets(kind: u8, format: u16, more: usize) -> Vec<u8> {
    [[kind].as_slice(), &format.to_be_bytes(), &vec![7; more]].concat()
}

#[test]
fn empty_store_is_stamped_once() {
    // Whoever comes next, and after reopening, reads the same installation.
    for (engine, store, _guard) in engines() {
        let first = stamp(&store, Kind::Serve, 1).unwrap();
        assert_eq!((first.kind, first.format), (Kind::Serve, FORMAT), "{engine}");
        assert_ne!(first.installation, [0; 16], "{engine}");
        assert_eq!(stamp(&store, Kind::Serve, 1), Ok(first), "{engine}");
    }
    let dir = TempDir::new().unwrap();
    let first = stamp(&Store::create(&file(&dir), &root(1), options()).unwrap(), Kind::Dev, 1);
    assert_eq!(stamp(&Store::open(&file(&dir), &root(1), options()).unwrap(), Kind::Dev, 1), first);
}

#[test]
fn dev_and_serve_refuse_each_other() {
    // In both directions.
    for (one, other) in [(Kind::Dev, Kind::Serve), (Kind::Serve, Kind::Dev)] {
        let store = Store::memory();
        let _ = stamp(&store, one, 1).unwrap();
        assert_eq!(stamp(&store, other, 1), Err(StampError::OtherKind { expected: other, found: one }));
    }
}

#[test]
fn other_root_is_refused() {
    // As such, before the kind.
    let store = Store::memory();
    let _ = stamp(&store, Kind::Serve, 1).unwrap();
    assert_eq!(stamp(&store, Kind::Serve, 2), Err(StampError::OtherRoot));
    assert_eq!(stamp(&store, Kind::Dev, 2), Err(StampError::OtherRoot));
}

#[test]
fn stamp_is_drawn_as_documented() {
    // Kind, format, installation.
    let expected = Stamp { kind: Kind::Serve, format: FORMAT, installation: [7; 16] };
    assert_eq!(stamp(&stamped(&octets(2, FORMAT, 16)), Kind::Serve, 1), Ok(expected));
    assert_eq!(stamp(&stamped(&octets(1, FORMAT, 16)), Kind::Dev, 1), Ok(Stamp { kind: Kind::Dev, ..expected }));
}

#[test]
fn unknown_format_is_refused() {
    // Whatever its stamp looks like otherwise.
    for format in [0, FORMAT + 1, u16::MAX] {
        for more in [0, 16, 100] {
            let refused = stamp(&stamped(&octets(9, format, more)), Kind::Serve, 1);
            assert_eq!(refused, Err(StampError::UnknownFormat { format }));
        }
    }
}

#[test]
fn unknown_kind_is_refused() {
    // A later version may have more.
    for kind in [0, 3, 255] {
        let refused = stamp(&stamped(&octets(kind, FORMAT, 16)), Kind::Serve, 1);
        assert_eq!(refused, Err(StampError::UnknownKind { kind }));
    }
}

#[test]
fn other_lengths_are_refused() {
    // Of what opened, exactly 19 octets will do.
    for more in [0, 15, 17] {
        let refused = stamp(&stamped(&octets(2, FORMAT, more)), Kind::Serve, 1);
        assert_eq!(refused, Err(StampError::Malformed { len: 3 + more }));
    }
    assert_eq!(stamp(&stamped(b""), Kind::Serve, 1), Err(StampError::Malformed { len: 0 }));
}

#[test]
fn altered_stamp_is_refused() {
    // Each octet of the sealed record; those of the KEK id look like another root.
    let sealed = sealer().seal(STAMP_KEY, &octets(2, FORMAT, 16), &mut rng()).unwrap();
    for position in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[position] ^= 1;
        let expected = match position {
            0 => StampError::Seal(SealError::UnknownFormat { format: 0 }),
            1..17 => StampError::OtherRoot,
            _ => StampError::Seal(SealError::Integrity),
        };
        assert_eq!(stamp(&holding(altered), Kind::Serve, 1), Err(expected), "octet {position}");
    }
    assert_eq!(
        stamp(&holding(b"short".to_vec()), Kind::Serve, 1),
        Err(StampError::Seal(SealError::Malformed { len: 5 }))
    );
}

#[test]
fn store_without_stamp_is_not_stamped() {
    // Somebody took it away, or the store is not ours.
    let store = Store::memory();
    write(&store, &[put("vault/a", "1")]);
    assert_eq!(stamp(&store, Kind::Serve, 1), Err(StampError::Missing));
    assert_eq!(value(&store, "meta/stamp"), None);
}

#[test]
fn unknown_outcome_of_stamping_is_settled() {
    // Written though unanswered is written; lost is said to be lost, and the next try stamps.
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    faults.then(Fault::Unanswered);
    let first = stamp(&store, Kind::Serve, 1).unwrap();
    assert_eq!(stamp(&store, Kind::Serve, 1), Ok(first));

    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    faults.then(Fault::Lost);
    let mut rng = rng();
    assert_eq!(wait(store.stamp(Kind::Serve, &root(1), &mut rng)), Err(StampError::Unsettled));
    assert!(wait(store.stamp(Kind::Serve, &root(1), &mut rng)).is_ok());
}

#[test]
fn first_program_wins() {
    // Two that stamp at once agree on one installation, or one of them is refused by kind.
    for (engine, store, _guard) in engines() {
        let stamps = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|seed| {
                    let store = &store;
                    scope.spawn(move || {
                        let mut rng =
                            <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(seed);
                        wait(store.stamp(Kind::Serve, &root(1), &mut rng)).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{engine}: {stamps:?}");
    }
}

#[test]
fn failed_store_is_passed_on() {
    // The store's own refusals keep their names.
    let faults = Faults::default();
    let store = Store::memory_with(faults.clone());
    faults.then(Fault::Failed);
    assert_eq!(commit(&store, &[], &[]), Ok(Outcome::Unknown));
    assert_eq!(stamp(&store, Kind::Serve, 1), Err(StampError::Store(StoreError::Failed)));
}
