//! Changes whose commit goes wrong, a log that is full, grants for something else, work that is not done: what is
//! answered, what is so afterwards, and what the log says of it.

use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;

use skerry_audit::{AuditError, Limits};
use skerry_identity::{Grant, Permission};
use skerry_keys::{CipherError, EncryptAlgorithm, KeyType, RsaBits, SignAlgorithm, WrapAlgorithm};
use skerry_store::{At, Fault, Faults, Op, OpId, Store, StoreError, Txn};
use skerry_vault::backup::BackupError;
use skerry_vault::command::{
    Changes, CipherCommand, Context, ImportCommand, KeyOp, ListCommand, Named, Randomness, SignCommand, VerifyCommand,
};
use skerry_vault::floor::FloorChanges;
use skerry_vault::limits::{ATTEMPTS_MAX, DISK_FREE_MIN};
use skerry_vault::pool::Pool;
use skerry_vault::rotation::RotationInput;
use skerry_vault::{Installation, Pools, Refusal, Stock, Wanted};
use uuid::Uuid;

use crate::operations::*;
use crate::support::*;

/// A change, what must be so before it, how it is told from not having happened, and its event.
struct Case {
    what: &'static str,
    event: &'static str,
    before: fn(&Scene),
    run: fn(&Scene) -> Result<(), Refusal>,
    done: fn(&Scene) -> bool,
}

/// An operation under a context of the test's own.
type Run = for<'a> fn(&'a Scene, &'a Context<'a>) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + 'a>>;

fn nothing(_: &Scene) {}

fn live(scene: &Scene) {
    scene.create(KEY, EC);
}

fn deleted(scene: &Scene) {
    live(scene);
    scene.delete(KEY).unwrap();
}

const CASES: [Case; 9] = [
    Case {
        what: "create",
        event: "key-created",
        before: nothing,
        run: |scene| scene.make(&create(KEY)).map(drop),
        done: |scene| scene.has(KEY),
    },
    Case {
        what: "new version",
        event: "key-created",
        before: live,
        run: |scene| scene.make(&create(KEY)).map(drop),
        done: |scene| scene.key(KEY).head.versions.len() == 2,
    },
    Case {
        what: "import",
        event: "key-imported",
        before: nothing,
        run: |scene| scene.import_key(create(KEY).to_new(), generator()).map(drop),
        done: |scene| scene.has(KEY),
    },
    Case {
        what: "rotate",
        event: "key-created",
        before: live,
        run: |scene| scene.rotate(KEY).map(drop),
        done: |scene| scene.key(KEY).head.versions.len() == 2,
    },
    Case {
        what: "set rotation policy",
        event: "key-changed",
        before: live,
        run: |scene| scene.set_rotation_policy(KEY, &RotationInput::default()).map(drop),
        done: |scene| scene.rotation_policy(KEY).unwrap().updated.is_some(),
    },
    Case {
        what: "update",
        event: "key-changed",
        before: live,
        run: |scene| scene.enable(KEY, false).map(drop),
        done: |scene| scene.get(KEY).is_err(),
    },
    Case {
        what: "delete",
        event: "key-deleted",
        before: live,
        run: |scene| scene.delete(KEY).map(drop),
        done: |scene| !scene.has(KEY),
    },
    Case {
        what: "recover",
        event: "key-recovered",
        before: deleted,
        run: |scene| scene.recover(KEY).map(drop),
        done: |scene| scene.has(KEY),
    },
    Case {
        what: "purge",
        event: "key-purged",
        before: deleted,
        run: |scene| scene.purge(KEY),
        done: |scene| scene.get_deleted(KEY).is_err(),
    },
];

/// The verdicts on record since `before` records, all of them of one event and, where they are of one attempt, one subject.
fn verdicts(scene: &Scene, before: usize, event: &str) -> Vec<String> {
    let records = scene.records().split_off(before);
    assert!(records.iter().all(|record| text(record, "event") == event), "{records:?}");
    let pairs = records.chunks_exact(2).map(|pair| (text(&pair[0], "subject"), text(&pair[1], "subject")));
    assert!(pairs.into_iter().all(|(intent, outcome)| intent == outcome));
    records.iter().map(|record| text(record, "verdict").to_owned()).collect()
}

fn faulty() -> (Faults, Scene) {
    let faults = Faults::default();
    let scene = Setup { store: Store::memory_with(faults.clone()), ..Setup::default() }.bare();
    (faults, scene)
}

/// A commit whose answer does not come back is settled: if it happened that is what is answered and on record, once; if it
/// did not, it never will, and another attempt is made.
#[test]
fn unknown_outcomes_are_settled() {
    for case in &CASES {
        for (fault, expected) in [
            (Fault::Unanswered, vec!["intended", "committed"]),
            (Fault::Lost, vec!["intended", "aborted", "intended", "committed"]),
        ] {
            let (faults, scene) = faulty();
            (case.before)(&scene);
            let before = scene.records().len();
            assert!(!(case.done)(&scene), "{}", case.what);
            faults.then(fault);
            assert_eq!((case.run)(&scene), Ok(()), "{} {fault:?}", case.what);
            assert!((case.done)(&scene), "{}", case.what);
            assert_eq!(verdicts(&scene, before, case.event), expected, "{} {fault:?}", case.what);
        }
    }
}

/// A store that fails in the middle: nobody can say whether the change was made, so that is the answer, the log has the
/// intent alone, and nothing works from then on.
#[test]
fn store_that_fails_leaves_it_open() {
    for case in &CASES {
        let (faults, scene) = faulty();
        (case.before)(&scene);
        scene.create("other", EC);
        let before = scene.records().len();
        faults.then(Fault::Failed);
        assert_eq!((case.run)(&scene), Err(Refusal::Unsettled), "{}", case.what);
        assert_eq!(verdicts(&scene, before, case.event), ["intended"], "{}", case.what);
        let failed = Err(Refusal::Store(StoreError::Failed));
        assert_eq!((case.run)(&scene), failed, "{}", case.what);
        assert_eq!(scene.release_key("other", &good_token()).map(drop), failed);
        assert_eq!(scene.sign("other").map(drop), failed);
        assert_eq!(scene.get("other").map(drop), failed);
        assert_eq!(scene.list(&ListCommand::default()).map(drop), failed);
        assert_eq!(scene.records().len(), before + 1);
    }
}

/// Attempts have an end: after so many that were lost the change is given up, and it was not made.
#[test]
fn attempts_have_an_end() {
    for case in &CASES {
        let (faults, scene) = faulty();
        (case.before)(&scene);
        let before = scene.records().len();
        lose(&faults, ATTEMPTS_MAX);
        assert_eq!((case.run)(&scene), Err(Refusal::Contended), "{}", case.what);
        assert!(!(case.done)(&scene), "{}", case.what);
        let expected = ["intended", "aborted"].repeat(ATTEMPTS_MAX);
        assert_eq!(verdicts(&scene, before, case.event), expected, "{}", case.what);
        lose(&faults, ATTEMPTS_MAX - 1);
        assert_eq!((case.run)(&scene), Ok(()), "{}: the control, one fewer", case.what);
        assert!((case.done)(&scene), "{}", case.what);
    }
}

/// The next commits never arrive.
fn lose(faults: &Faults, commits: usize) {
    for _ in 0..commits {
        faults.then(Fault::Lost);
    }
}

/// Somebody who puts the head's row anew before each commit of the vault: it draws randomness between reading and committing.
/// `times` is how often he does.
fn meddler(store: Store, at: Vec<u8>, times: usize) -> impl Fn() -> Randomness + Send + Sync {
    let left = AtomicUsize::new(times);
    move || {
        let more = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if let Some(entry) = now_or_never(store.get(&at, At::Linearizable)).unwrap().filter(|_| more) {
            let ops = vec![Op::Put(at.clone(), entry.value)];
            let txn = Txn { op: OpId::random(&mut *randomness()), checks: Vec::new(), ops };
            assert!(now_or_never(store.commit(&txn)).is_ok());
        }
        randomness()
    }
}

/// The store in memory answers at once.
fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not at once"),
    }
}

/// Others who change the key again and again keep a change from being made, not for ever: every attempt is on record as
/// aborted, and the change is made by the first that nobody comes before.
#[test]
fn conflicts_are_tried_anew() {
    /// Event, permission, where the head lies, what must be so before, and the change.
    type Change<'a> = (&'a str, Permission, &'a [u8], fn(&Scene), Run);
    let cases: [Change<'_>; 7] = [
        ("key-created", Permission::Create, b"/k/", live, |scene, context| {
            Box::pin(async { scene.vault.create(context, &create(KEY).to_new()).await.map(drop) })
        }),
        ("key-created", Permission::Rotate, b"/k/", live, |scene, context| {
            Box::pin(async { scene.vault.rotate(context, &name(KEY)).await.map(drop) })
        }),
        ("key-changed", Permission::SetRotationPolicy, b"/k/", live, |scene, context| {
            Box::pin(async {
                let input = RotationInput::default();
                scene.vault.set_rotation_policy(context, &name(KEY), &input).await.map(drop)
            })
        }),
        ("key-changed", Permission::Update, b"/k/", live, |scene, context| {
            Box::pin(async {
                let (name, changes) = (name(KEY), enabled_is(false));
                scene.vault.update(context, Named { name: &name, version: None }, &changes).await.map(drop)
            })
        }),
        ("key-deleted", Permission::Delete, b"/k/", live, |scene, context| {
            Box::pin(async { scene.vault.delete(context, &name(KEY)).await.map(drop) })
        }),
        ("key-recovered", Permission::Recover, b"/d/", deleted, |scene, context| {
            Box::pin(async { scene.vault.recover(context, &name(KEY)).await.map(drop) })
        }),
        ("key-purged", Permission::Purge, b"/d/", deleted, |scene, context| {
            Box::pin(async { scene.vault.purge(context, &name(KEY)).await })
        }),
    ];
    for (event, permission, kind, before, run) in cases {
        let scene = Setup::default().bare();
        before(&scene);
        let at = [b"v/", VAULT_ID.as_bytes().as_slice(), kind, KEY.as_bytes()].concat();
        let grant = grant(permission);
        for (times, expected) in [(usize::MAX, Err(Refusal::Contended)), (5, Ok(()))] {
            let records = scene.records().len();
            let meddler = meddler(scene.store.clone(), at.clone(), times);
            let context = Context { grant: &grant, request_id: "meddled", now: at_now(), randomness: &meddler };
            assert_eq!(wait(run(&scene, &context)), expected, "{event}");
            let verdicts = verdicts(&scene, records, event);
            match expected {
                Err(_) => assert_eq!(verdicts, ["intended", "aborted"].repeat(ATTEMPTS_MAX), "{event}"),
                Ok(()) => {
                    assert!((4..=12).contains(&verdicts.len()), "{event} {verdicts:?}");
                    assert_eq!(verdicts.last().unwrap(), "committed");
                    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "committed").count(), 1);
                }
            }
        }
    }
}

/// A version that another changes at the same time is not overwritten by an update that had not seen it.
#[test]
fn updates_of_one_version_are_not_lost() {
    let scene = Scene::new();
    let (grant, name, changes) = (grant(Permission::Update), name(KEY), enabled_is(false));
    let meddler = meddler(scene.store.clone(), crate::database::version_at(&scene.key(KEY)), usize::MAX);
    let context = Context { grant: &grant, request_id: "meddled", now: at_now(), randomness: &meddler };
    let updated = wait(scene.vault.update(&context, named(&name), &changes));
    assert_eq!(updated.err(), Some(Refusal::Contended));
    assert!(scene.get(KEY).is_ok());
    assert!(scene.enable(KEY, false).is_ok(), "the control");
}

/// A name that was free when it was looked at, and under which a key was made and deleted since, gets no second key beside
/// the one that can be recovered.
#[test]
fn name_is_not_taken_beside_a_deleted_key() {
    let scene = Setup::default().bare();
    deleted(&scene);
    let at = [b"v/", VAULT_ID.as_bytes().as_slice(), b"/d/", KEY.as_bytes()].concat();
    let row = crate::database::row(&scene.store, &at);
    crate::database::remove(&scene.store, &at);
    assert!(scene.get_deleted(KEY).is_err());
    let (grant, new, before) = (grant(Permission::Create), create(KEY).to_new(), scene.records().len());
    let store = scene.store.clone();
    let randomness = move || {
        let ops = vec![Op::Put(at.clone(), row.clone())];
        let txn = Txn { op: OpId::random(&mut *randomness()), checks: Vec::new(), ops };
        assert!(now_or_never(store.commit(&txn)).is_ok());
        randomness()
    };
    let context = Context { grant: &grant, request_id: "meddled", now: at_now(), randomness: &randomness };
    let refused = Refusal::DeletedButRecoverable { name: KEY.into() };
    assert_eq!(wait(scene.vault.create(&context, &new)).err(), Some(refused));
    assert!(!scene.has(KEY) && scene.get_deleted(KEY).is_ok());
    assert_eq!(verdicts(&scene, before, "key-created"), ["intended", "aborted"]);
}

fn at_now() -> std::time::SystemTime {
    at(NOW)
}

/// A log that is full between intent and outcome: the change was made and its intent says so, the caller learns that
/// something is wrong, and from then on nothing of the kind happens. One that is full before: nothing happens at all.
#[test]
fn log_full_between_intent_and_outcome() {
    for case in &CASES {
        let roomy = Setup::default().bare();
        (case.before)(&roomy);
        let before = roomy.log_bytes().len();
        (case.run)(&roomy).unwrap();
        let after = roomy.log_bytes().len();
        let limited = |len: usize| {
            let log_len_max = u64::try_from(len).unwrap();
            let scene = Setup { log: Limits { log_len_max }, ..Setup::default() }.bare();
            (case.before)(&scene);
            (scene.records().len(), scene, Err(Refusal::Audit(AuditError::Full { log_len_max })))
        };
        let (records, scene, full) = limited(after - 1);
        assert_eq!((case.run)(&scene), full, "{}", case.what);
        assert!((case.done)(&scene), "{}", case.what);
        assert_eq!(verdicts(&scene, records, case.event), ["intended"], "{}", case.what);
        let (records, scene, full) = limited(before + 1);
        assert_eq!((case.run)(&scene), full, "{}", case.what);
        assert!(!(case.done)(&scene), "{}", case.what);
        assert_eq!(scene.records().len(), records);
        let (_, scene, _) = limited(after);
        assert_eq!((case.run)(&scene), Ok(()), "the control: {}", case.what);
    }
}

/// A disk that is nearly full: no change and no release begins, nothing of them is on record, and a denial is not told before
/// it could be; keys are shown and sign. With room again all goes on.
#[test]
fn nearly_full_disk_begins_nothing() {
    let refused = Refusal::NoRoom { free: DISK_FREE_MIN - 1, min: DISK_FREE_MIN };
    for case in &CASES {
        let scene = Setup::default().bare();
        (case.before)(&scene);
        let before = scene.log_bytes().len();
        scene.installation.has_room(DISK_FREE_MIN - 1);
        assert_eq!((case.run)(&scene), Err(refused.clone()), "{}", case.what);
        assert!(!(case.done)(&scene), "{}", case.what);
        assert_eq!(scene.log_bytes().len(), before, "{}", case.what);
        scene.installation.has_room(DISK_FREE_MIN);
        assert_eq!((case.run)(&scene), Ok(()), "{}", case.what);
    }
    let scene = Setup::default().scene();
    scene.installation.has_room(0);
    let refused = Refusal::NoRoom { free: 0, min: DISK_FREE_MIN };
    assert_eq!(scene.release(&good_token()).err(), Some(refused.clone()));
    assert_eq!(scene.release("no token").err(), Some(refused));
    assert!(scene.get(KEY).is_ok() && scene.sign_at(KEY, None, SignAlgorithm::Es256, &DIGEST, NOW).is_ok());
    assert!(wait(scene.installation.tick(at(NOW), &randomness)).is_ok());
    scene.installation.has_room(u64::MAX);
    assert!(scene.release(&good_token()).is_ok());
}

/// A change that was begun ends, and its outcome is on record, however full the disk is then: here from when its record is
/// sealed, which is after the intent and before the commit.
#[test]
fn what_was_begun_ends_on_a_full_disk() {
    struct Filling(Randomness, Arc<Installation>, u64);
    impl Filling {
        fn look(&self) {
            if self.1.log().head().unwrap().records > self.2 {
                self.1.has_room(0);
            }
        }
    }
    impl rand_core::TryRng for Filling {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.look();
            self.0.try_next_u32()
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.look();
            self.0.try_next_u64()
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            self.look();
            self.0.try_fill_bytes(bytes)
        }
    }
    impl rand_core::TryCryptoRng for Filling {}
    let scene = Setup::default().bare();
    let (installation, records) = (Arc::clone(&scene.installation), scene.installation.log().head().unwrap().records);
    let filling = move || -> Randomness { Box::new(Filling(randomness(), Arc::clone(&installation), records)) };
    let (grant, new, before) = (grant(Permission::Create), create(KEY).to_new(), scene.records().len());
    let context = Context { grant: &grant, request_id: "full", now: at_now(), randomness: &filling };
    assert!(wait(scene.vault.create(&context, &new)).is_ok());
    assert_eq!(verdicts(&scene, before, "key-created"), ["intended", "committed"]);
    assert!(matches!(scene.delete(KEY), Err(Refusal::NoRoom { free: 0, .. })), "the control");
}

/// A caller who goes away at any point leaves no change half on record: once the intent is there, the change is finished and
/// its outcome too.
#[test]
fn caller_who_goes_away_leaves_no_open_change() {
    for polls in 1..6 {
        let scene = Scene::new();
        let (before, grant) = (scene.records().len(), grant(Permission::Update));
        let (name, changes, context) = (name(KEY), enabled_is(false), context(&grant, "gone", NOW));
        let finished = wait(async {
            let mut update = pin!(scene.vault.update(&context, Named { name: &name, version: None }, &changes));
            let mut left = polls;
            std::future::poll_fn(|cx| match update.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result.map(drop))),
                Poll::Pending => {
                    left -= 1;
                    if left == 0 { Poll::Ready(None) } else { Poll::Pending }
                }
            })
            .await
        });
        assert!(finished.is_none_or(|result| result == Ok(())));
        let told = || scene.records().len() == before + 2;
        assert!(
            (0..50_000).any(|_| {
                thread::yield_now();
                told()
            }),
            "after {polls} polls"
        );
        assert_eq!(verdicts(&scene, before, "key-changed"), ["intended", "committed"]);
        assert!(scene.get(KEY).is_err(), "disabled");
    }
}

/// Whatever it is asked for, a grant for another operation or for another vault does nothing.
#[test]
fn grants_are_for_one_operation_in_one_vault() {
    let table: [(Permission, Run); 14] = [
        (Permission::Create, |scene, context| {
            Box::pin(async { scene.vault.create(context, &create(KEY).to_new()).await.map(drop) })
        }),
        (Permission::Import, |scene, context| {
            Box::pin(async {
                let command = ImportCommand { new: create(KEY).to_new(), key: generator(), padded: false };
                scene.vault.import(context, command).await.map(drop)
            })
        }),
        (Permission::Update, |scene, context| {
            Box::pin(async {
                let name = name(KEY);
                scene.vault.update(context, named(&name), &Changes::default()).await.map(drop)
            })
        }),
        (Permission::Get, |scene, context| {
            Box::pin(async {
                let name = name(KEY);
                scene.vault.get(context, named(&name)).await.map(drop)
            })
        }),
        (Permission::Sign, |scene, context| {
            Box::pin(async {
                let name = name(KEY);
                let command = SignCommand { key: named(&name), algorithm: SignAlgorithm::Es256, digest: &DIGEST };
                scene.vault.sign(context, &command).await.map(drop)
            })
        }),
        (Permission::Verify, |scene, context| {
            Box::pin(async {
                let (name, algorithm) = (name(KEY), SignAlgorithm::Es256);
                let command = VerifyCommand { key: named(&name), algorithm, digest: &DIGEST, signature: &[0; 64] };
                scene.vault.verify(context, &command).await.map(drop)
            })
        }),
        (Permission::Release, |scene, context| {
            Box::pin(async {
                let token = good_token();
                scene.vault.release(context, &command(&token)).await.map(drop)
            })
        }),
        (Permission::List, |scene, context| {
            Box::pin(async { scene.vault.list(context, &ListCommand::default()).await.map(drop) })
        }),
        (Permission::List, |scene, context| {
            Box::pin(async { scene.vault.list_deleted(context, &ListCommand::default()).await.map(drop) })
        }),
        (Permission::List, |scene, context| {
            Box::pin(async { scene.vault.list_versions(context, &name(KEY), &ListCommand::default()).await.map(drop) })
        }),
        (Permission::Delete, |scene, context| {
            Box::pin(async { scene.vault.delete(context, &name(KEY)).await.map(drop) })
        }),
        (Permission::Get, |scene, context| {
            Box::pin(async { scene.vault.get_deleted(context, &name(KEY)).await.map(drop) })
        }),
        (Permission::Recover, |scene, context| {
            Box::pin(async { scene.vault.recover(context, &name(KEY)).await.map(drop) })
        }),
        (Permission::Purge, |scene, context| {
            Box::pin(async {
                scene.vault.delete(&self::context(&grant(Permission::Delete), "delete-1", NOW), &name(KEY)).await.ok();
                scene.vault.purge(context, &name(KEY)).await
            })
        }),
    ];
    let scene = Setup::default().bare();
    for (needed, run) in &table[..13] {
        let records = scene.records().len();
        let refused = |grant: &Grant| {
            let granted = grant.permission();
            assert_eq!(wait(run(&scene, &context(grant, "r", NOW))), Err(Refusal::Misuse { granted }), "{needed:?}");
        };
        for other in Permission::ALL.into_iter().filter(|other| other != needed) {
            refused(&grant(other));
        }
        refused(&grant_in(Uuid::from_bytes([1; 16]), *needed));
        assert_eq!(scene.records().len(), records);
        assert_eq!(wait(run(&scene, &context(&grant(*needed), "r", NOW))), Ok(()), "the control: {needed:?}");
    }
    let (needed, run) = &table[13];
    for other in Permission::ALL.into_iter().filter(|other| other != needed) {
        assert_eq!(wait(run(&scene, &context(&grant(other), "r", NOW))), Err(Refusal::Misuse { granted: other }));
    }
    assert_eq!(wait(run(&scene, &context(&grant(*needed), "r", NOW))), Ok(()));
}

/// The same of operations on a symmetric key and of those that came later; a restore is of a key that is gone.
#[test]
fn grants_are_for_one_operation_in_one_vault_again() {
    let table: [(Permission, Run); 13] = [
        (Permission::Encrypt, |scene, context| {
            Box::pin(async {
                scene.vault.encrypt(context, &cipher(&name(KEY), EncryptAlgorithm::A256Gcm)).await.map(drop)
            })
        }),
        (Permission::Decrypt, |scene, context| {
            Box::pin(async {
                scene.vault.decrypt(context, &cipher(&name(KEY), EncryptAlgorithm::A256Cbc)).await.map(drop)
            })
        }),
        (Permission::WrapKey, |scene, context| {
            Box::pin(async { scene.vault.wrap(context, &cipher(&name(KEY), WrapAlgorithm::A256Kw)).await.map(drop) })
        }),
        (Permission::UnwrapKey, |scene, context| {
            Box::pin(async { scene.vault.unwrap(context, &cipher(&name(KEY), WrapAlgorithm::A256Kw)).await.map(drop) })
        }),
        (Permission::Rotate, |scene, context| {
            Box::pin(async { scene.vault.rotate(context, &name(KEY)).await.map(drop) })
        }),
        (Permission::GetRotationPolicy, |scene, context| {
            Box::pin(async { scene.vault.rotation_policy(context, &name(KEY)).await.map(drop) })
        }),
        (Permission::SetRotationPolicy, |scene, context| {
            Box::pin(async {
                let input = RotationInput::default();
                scene.vault.set_rotation_policy(context, &name(KEY), &input).await.map(drop)
            })
        }),
        (Permission::GetVaultFloor, |scene, context| Box::pin(async { scene.vault.floor(context).await.map(drop) })),
        (Permission::SetVaultFloor, |scene, context| {
            Box::pin(async { scene.vault.set_floor(context, &FloorChanges::default()).await.map(drop) })
        }),
        (Permission::Rotate, |scene, context| {
            Box::pin(async { scene.vault.due_for_rotation(context).await.map(drop) })
        }),
        (Permission::Purge, |scene, context| Box::pin(async { scene.vault.due_for_purge(context).await.map(drop) })),
        (Permission::Backup, |scene, context| {
            Box::pin(async { scene.vault.backup(context, &name(KEY)).await.map(drop) })
        }),
        (Permission::Restore, |scene, context| {
            Box::pin(async { scene.vault.restore(context, b"no backup").await.map(drop) })
        }),
    ];
    let scene = Setup::default().bare();
    let ops = vec![KeyOp::Encrypt, KeyOp::Decrypt, KeyOp::WrapKey, KeyOp::UnwrapKey];
    scene.make(&CreateCommand { key_type: OCT, key_ops: ops, ..create(KEY) }).unwrap();
    for (needed, run) in &table {
        let records = scene.records().len();
        let refused = |grant: &Grant| {
            let granted = grant.permission();
            assert_eq!(wait(run(&scene, &context(grant, "r", NOW))), Err(Refusal::Misuse { granted }), "{needed:?}");
        };
        for other in Permission::ALL.into_iter().filter(|other| other != needed) {
            refused(&grant(other));
        }
        refused(&grant_in(Uuid::from_bytes([1; 16]), *needed));
        assert_eq!(scene.records().len(), records);
        let expected = match needed {
            Permission::UnwrapKey => Err(Refusal::Cipher(CipherError::Refused)),
            Permission::Restore => Err(Refusal::Backup(BackupError::NotABackup)),
            _ => Ok(()),
        };
        assert_eq!(wait(run(&scene, &context(&grant(*needed), "r", NOW))), expected, "the control: {needed:?}");
    }
}

fn cipher<A>(name: &skerry_vault::record::KeyName, algorithm: A) -> CipherCommand<'_, A> {
    let iv = (std::any::type_name::<A>() == std::any::type_name::<EncryptAlgorithm>()).then_some([1; 16].as_slice());
    CipherCommand { key: named(name), algorithm, text: &[7; 32], iv, aad: None, tag: None }
}

fn named(name: &skerry_vault::record::KeyName) -> Named<'_> {
    Named { name, version: None }
}

/// Pools of which one takes no work.
fn full(work: bool) -> Pools {
    let closed = || Arc::new(Pool::new(NonZeroUsize::MIN, 0).unwrap());
    match work {
        true => Pools { work: closed(), ..pools().clone() },
        false => Pools { generation: closed(), ..pools().clone() },
    }
}

/// Where too much work waits, work is refused and nothing of it is so: no key, no signature. A release is on record by then,
/// and its material was not touched. RSA keys, which take long to make, wait elsewhere and keep nobody else.
#[test]
fn full_pools_are_busy() {
    let rsa = KeyType::Rsa { bits: RsaBits::B2048 };
    let of = |key_type| CreateCommand { key_type, ..create("made") };
    let busy = Some(Refusal::Busy);
    let store = Store::memory();
    let first = Setup { store: store.clone(), ..Setup::default() }.scene();
    let signature = first.sign(KEY).unwrap().value;
    let scene =
        Setup { pools: full(true), store: store.clone(), ..Setup::default() }.try_in(first.into_folder()).ok().unwrap();
    let before = scene.records().len();
    assert_eq!(scene.sign(KEY).err(), busy);
    assert_eq!(scene.check(KEY, &signature).err(), busy);
    assert_eq!(scene.make(&of(EC)).err(), busy);
    assert_eq!(scene.make(&of(OCT)).err(), busy);
    assert_eq!(scene.import_key(of(EC).to_new(), generator()).err(), busy);
    assert!(scene.records().len() == before && !scene.has("made"));
    assert_eq!(scene.release(&good_token()).err(), busy);
    assert_eq!(scene.story()[before..], [("release".to_owned(), "permitted".to_owned())]);
    assert!(scene.make(&of(rsa)).is_ok());
    assert!(scene.enable(KEY, true).is_ok() && scene.get(KEY).is_ok());
    let scene = Setup { pools: full(false), store, ..Setup::default() }.try_in(scene.into_folder()).ok().unwrap();
    assert_eq!(scene.make(&CreateCommand { key_type: rsa, ..create("other") }).err(), busy);
    assert!(!scene.has("other"));
    assert!(scene.make(&CreateCommand { ..create("other") }).is_ok());
    assert!(scene.sign(KEY).is_ok() && scene.release(&good_token()).is_ok());
}

/// An RSA key that was made beforehand needs no thread to make one: where nothing else makes them, there is one for the first
/// to ask and none for the second, and the stock is of one size.
#[test]
fn ready_made_keys_are_given_once() {
    let stock = Arc::new(Stock::start(Wanted { b2048: 1, ..Wanted::default() }).unwrap());
    let scene = Setup { pools: Pools { stock, ..full(false) }, ..Setup::default() }.bare();
    let make = |key: &str, bits| scene.make(&CreateCommand { key_type: KeyType::Rsa { bits }, ..create(key) });
    let made = loop {
        match make("first", RsaBits::B2048) {
            Err(Refusal::Busy) => thread::yield_now(),
            made => break made.unwrap(),
        }
    };
    assert_eq!(made.version.key_type, KeyType::Rsa { bits: RsaBits::B2048 });
    assert!(scene.release_key("first", &good_token()).is_ok(), "its material is the sealed one");
    assert_eq!(make("second", RsaBits::B3072).err(), Some(Refusal::Busy));
}

/// Randomness that fails the pool's threads, and nobody else.
fn failing() -> Randomness {
    struct Failing(Randomness);
    impl Failing {
        fn check(&self) {
            assert!(!thread::current().name().is_some_and(|name| name.starts_with("pool-")), "as the test wants it");
        }
    }
    impl rand_core::TryRng for Failing {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.check();
            self.0.try_next_u32()
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.check();
            self.0.try_next_u64()
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            self.check();
            self.0.try_fill_bytes(bytes)
        }
    }
    impl rand_core::TryCryptoRng for Failing {}
    Box::new(Failing(randomness()))
}

/// Work that breaks off fails its caller alone: nothing was made, the log says of a release that it was permitted, and the
/// next caller is served by the same threads.
#[test]
fn work_that_breaks_off_fails_its_caller() {
    let scene = Scene::new();
    let with = |grant: &'static Grant| Context { grant, request_id: "r", now: at(NOW), randomness: &failing };
    let of = |permission| &*Box::leak(Box::new(grant(permission)));
    let made = create("made").to_new();
    let before = scene.records().len();
    assert_eq!(wait(scene.vault.create(&with(of(Permission::Create)), &made)).err(), Some(Refusal::Failed));
    assert!(scene.records().len() == before && !scene.has("made"));
    let released = wait(scene.vault.release(&with(of(Permission::Release)), &command(&good_token())));
    assert_eq!(released.err(), Some(Refusal::Failed));
    assert_eq!(scene.story()[before..], [("release".to_owned(), "permitted".to_owned())]);
    assert!(scene.make_new(&made).is_ok() && scene.release(&good_token()).is_ok(), "the control");
}

/// A clock that goes back behind what the installation has seen closes release, by more than the skew, and says so on
/// record; it stays so after a restart. All else goes on.
#[test]
fn clock_that_went_back_closes_release() {
    const SKEW: u64 = skerry_attestation_result::limits::SKEW_SECS;
    let store = Store::memory();
    let scene = Setup { store: store.clone(), ..Setup::default() }.scene();
    scene.update_at(KEY, None, &Changes::default(), NOW + 1_000).unwrap();
    let behind = |scene: &Scene, seen: u64| {
        assert!(scene.release_at(&good_token(), seen - SKEW).is_ok());
        let now = seen - SKEW - 1;
        assert_eq!(scene.release_at(&good_token(), now).err(), Some(Refusal::ClockBehind { now, seen }));
        assert_eq!(text(&scene.records().pop().unwrap(), "verdict"), "denied");
        let signed = scene.sign_at(KEY, None, SignAlgorithm::Es256, &DIGEST, now);
        assert!(signed.is_ok() && scene.get(KEY).is_ok());
    };
    behind(&scene, NOW + 1_000);
    wait(scene.installation.tick(at(NOW + 2_000), &randomness)).unwrap();
    behind(&scene, NOW + 2_000);
    let scene = Setup { store, ..Setup::default() }.try_in(scene.into_folder()).ok().unwrap();
    behind(&scene, NOW + 2_000);
}

/// What the installation cannot commit it does not claim to remember.
#[test]
fn tick_says_whether_it_was_made() {
    let (faults, scene) = faulty();
    let tick = |secs| wait(scene.installation.tick(at(secs), &randomness));
    assert_eq!(tick(NOW + 1), Ok(()));
    faults.then(Fault::Lost).then(Fault::Unanswered).then(Fault::Failed);
    assert_eq!(tick(NOW + 2), Err(Refusal::Unsettled));
    assert_eq!(tick(NOW + 3), Err(Refusal::Unsettled));
    assert_eq!(tick(NOW + 4), Err(Refusal::Unsettled));
    assert_eq!(tick(NOW + 5), Err(Refusal::Store(StoreError::Failed)));
}
