//! The life of a key: made, changed, deleted, recovered, purged; what each operation does in each state.

use std::collections::BTreeSet;
use std::sync::Arc;

use skerry_identity::Permission;
use skerry_policy::permit::Version;
use skerry_store::{At, Fault, Faults, Store};
use skerry_vault::command::{AttributesInput, Changes, Context, ListCommand, NewKey, Operation, Tags};
use skerry_vault::decide::admit;
use skerry_vault::limits::{RETENTION_DAYS, VERSIONS_MAX};
use skerry_vault::record::{Deletion, Key, Slot};
use skerry_vault::rotation::RotationInput;
use skerry_vault::stored::{Tombstone, decode_tombstone};
use skerry_vault::{Refusal, VaultConfigError};

use crate::operations::*;
use crate::support::*;

const DAY: u64 = 86_400;
/// In another case than the key was made.
const AGAIN: &str = "PayMents";

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Free,
    Live,
    Disabled,
    Deleted,
    Purged,
}

const STATES: [State; 5] = [State::Free, State::Live, State::Disabled, State::Deleted, State::Purged];

fn scene_in(state: State) -> Scene {
    let scene = Setup::default().bare();
    if state != State::Free {
        scene.create(KEY, EC);
    }
    match state {
        State::Free | State::Live => {}
        State::Disabled => drop(scene.enable(KEY, false).unwrap()),
        State::Deleted => drop(scene.delete(KEY).unwrap()),
        State::Purged => {
            scene.delete(KEY).unwrap();
            scene.purge(KEY).unwrap();
        }
    }
    scene
}

type Row = (&'static str, fn(&Scene) -> Result<(), Refusal>, [Result<(), Refusal>; 5]);

/// The state machine as a table: what every operation answers to a name that is free, live, disabled, deleted or purged,
/// whatever its case. What is refused changes nothing and is not on record, except the denial of a release.
#[test]
fn every_operation_in_every_state() {
    let none = || Err(Refusal::KeyNotFound { name: AGAIN.into() });
    let not_deleted = || Err(Refusal::DeletedKeyNotFound { name: AGAIN.into() });
    let recoverable = || Err(Refusal::DeletedButRecoverable { name: KEY.into() });
    let disabled = |operation| Err(Refusal::KeyDisabled { name: KEY.into(), operation });
    let of_live = |operation| [none(), Ok(()), disabled(operation), none(), none()];
    let of_any = || [none(), Ok(()), Ok(()), none(), none()];
    let of_deleted = || [not_deleted(), not_deleted(), not_deleted(), Ok(()), not_deleted()];
    let of_new = || [Ok(()), Ok(()), Ok(()), recoverable(), Ok(())];
    let table: [Row; 16] = [
        ("create", |scene| scene.make(&create(AGAIN)).map(drop), of_new()),
        ("import", |scene| scene.import_key(create(AGAIN).to_new(), generator()).map(drop), of_new()),
        ("get", |scene| scene.get(AGAIN).map(drop), of_live(Operation::Get)),
        ("update", |scene| scene.update(AGAIN, &Changes::default()).map(drop), of_any()),
        ("sign", |scene| scene.sign(AGAIN).map(drop), of_live(Operation::Sign)),
        ("verify", |scene| scene.check(AGAIN, &[0; 64]).map(drop), of_live(Operation::Verify)),
        ("release", |scene| scene.release_key(AGAIN, &good_token()).map(drop), of_live(Operation::Release)),
        ("list versions", |scene| scene.list_versions(AGAIN, &ListCommand::default()).map(drop), of_any()),
        ("rotate", |scene| scene.rotate(AGAIN).map(drop), of_live(Operation::Rotate)),
        ("get rotation policy", |scene| scene.rotation_policy(AGAIN).map(drop), of_any()),
        (
            "set rotation policy",
            |scene| scene.set_rotation_policy(AGAIN, &RotationInput::default()).map(drop),
            of_any(),
        ),
        ("backup", |scene| scene.backup(AGAIN).map(drop), of_any()),
        ("delete", |scene| scene.delete(AGAIN).map(drop), of_any()),
        ("recover", |scene| scene.recover(AGAIN).map(drop), of_deleted()),
        ("get deleted", |scene| scene.get_deleted(AGAIN).map(drop), of_deleted()),
        ("purge", |scene| scene.purge(AGAIN), of_deleted()),
    ];
    for (operation, run, expected) in table {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let scene = scene_in(state);
            let before = (lists(&scene), scene.records().len());
            assert_eq!(run(&scene), expected, "{operation} when {state:?}");
            if expected.is_err() {
                let denied = usize::from(operation == "release" && state == State::Disabled);
                assert_eq!(
                    (lists(&scene), scene.records().len()),
                    (before.0, before.1 + denied),
                    "{operation} {state:?}"
                );
            }
        }
    }
}

/// Names of live and of deleted keys.
fn lists(scene: &Scene) -> [Vec<String>; 2] {
    let names = |rows: Vec<Key>| rows.iter().map(|key| key.head.name.to_string()).collect();
    let all = ListCommand::default();
    [names(scene.list(&all).unwrap().rows), names(scene.list_deleted(&all).unwrap().rows)]
}

/// A key is in the list of its state and in no other; one that is disabled is still listed.
#[test]
fn lists_show_each_key_where_it_is() {
    let (live, deleted) = (vec![KEY.to_owned()], vec![KEY.to_owned()]);
    let expected = [[vec![], vec![]], [live.clone(), vec![]], [live, vec![]], [vec![], deleted], [vec![], vec![]]];
    for (state, expected) in STATES.into_iter().zip(expected) {
        assert_eq!(lists(&scene_in(state)), expected, "{state:?}");
    }
}

/// A name is found in any case and shown as it was first given, live, deleted and recovered.
#[test]
fn names_have_no_case_and_keep_theirs() {
    let scene = Setup::default().bare();
    scene.create("PayMents-1", EC);
    for asked in ["payments-1", "PAYMENTS-1", "PayMents-1"] {
        assert_eq!(scene.key(asked).head.name.as_str(), "PayMents-1");
    }
    assert_eq!(scene.make(&create("payments-1")).unwrap().head.name.as_str(), "PayMents-1");
    assert_eq!(scene.delete("PAYMENTS-1").unwrap().head.name.as_str(), "PayMents-1");
    assert_eq!(scene.get_deleted("payments-1").unwrap().head.name.as_str(), "PayMents-1");
    assert_eq!(scene.recover("payments-1").unwrap().head.name.as_str(), "PayMents-1");
    assert_eq!(lists(&scene), [vec!["PayMents-1".to_owned()], vec![]]);
    assert!(!scene.has("payments-2"), "the control");
}

/// Versions are listed by their ids, whatever the order in which they were made; the newest is the one made last, even by
/// a clock that went back.
#[test]
fn versions_ascend_by_id_and_the_newest_is_the_last_made() {
    let scene = Setup::default().bare();
    let times = [NOW, NOW + 5, NOW + 1, NOW - 100, NOW, NOW, NOW + 1, NOW];
    let made: Vec<Key> = times.map(|now| scene.make_at(&create(KEY).to_new(), now).unwrap()).into();
    let ids: Vec<Version> = made.iter().map(|key| key.version.version).collect();
    assert_eq!(made.iter().map(|key| key.version.created).collect::<Vec<_>>(), times);
    let listed = scene.list_versions(KEY, &ListCommand::default()).unwrap();
    let listed: Vec<Version> = listed.rows.iter().map(|key| key.version.version).collect();
    let sorted: BTreeSet<[u8; 16]> = ids.iter().map(|version| version.0).collect();
    assert_eq!(listed.iter().map(|version| version.0).collect::<Vec<_>>(), sorted.into_iter().collect::<Vec<_>>());
    assert_ne!(listed, ids, "made in another order");
    let newest = scene.key(KEY);
    assert_eq!(Some(newest.version.version), ids.last().copied());
    assert_eq!(newest.head.versions.iter().map(|one| one.version).collect::<Vec<_>>(), ids);
    assert_eq!(scene.list(&ListCommand::default()).unwrap().rows, [newest]);
    for (id, key) in ids.iter().zip(&made) {
        assert_eq!(scene.get_version(KEY, *id).unwrap().version, key.version);
    }
}

/// Updating changes what is said and keeps the rest: tags as a whole, times, operations; and never goes back in time.
#[test]
fn update_changes_what_it_says() {
    let scene = Setup::default().bare();
    let tags = |name: &str| Tags::new(vec![(name.into(), "1".into())]).unwrap();
    let new = NewKey { tags: Some(tags("a")), ..create(KEY).to_new() };
    let first = scene.make_new(&new).unwrap();
    let second = scene.update_at(KEY, None, &enabled_is(true), NOW + 7).unwrap();
    assert_eq!((second.version.created, second.version.updated), (NOW, NOW + 7));
    let expected = skerry_vault::record::KeyVersion { updated: NOW + 7, ..(*first.version).clone() };
    assert_eq!(*second.version, expected, "nothing else");
    assert_eq!(second.head, first.head);
    let replaced = Changes { tags: Some(tags("b")), ..Changes::default() };
    let third = scene.update_at(KEY, None, &replaced, NOW - 50).unwrap();
    assert_eq!((&third.version.tags, third.version.updated), (&tags("b"), NOW + 7), "a clock that went back");
    let times = AttributesInput { not_before: Some(5), expires: Some(9), ..AttributesInput::default() };
    let timed = Changes { attributes: times, key_ops: Some(vec![]), ..Changes::default() };
    let fourth = scene.update_at(KEY, None, &timed, NOW + 8).unwrap().version;
    assert_eq!(
        (fourth.not_before, fourth.expires, &fourth.key_ops, &fourth.tags),
        (Some(5), Some(9), &vec![], &tags("b"))
    );
    let emptied = Changes { tags: Some(Tags::default()), ..Changes::default() };
    let fifth = scene.update_at(KEY, None, &emptied, NOW + 8).unwrap().version;
    assert_eq!((fifth.not_before, fifth.expires, fifth.tags.is_empty()), (Some(5), Some(9), true));
    assert_eq!(scene.key(KEY).version, fifth);
    assert_eq!(scene.story(), [made("key-created", 1), made("key-changed", 4)].concat());
}

/// Updating a version that is named changes that one and no other.
#[test]
fn update_of_one_version() {
    let scene = Setup::default().bare();
    let (first, second) = (scene.create(KEY, EC), scene.create(KEY, EC));
    let old = first.version.version;
    scene.update_at(KEY, Some(old), &enabled_is(false), NOW).unwrap();
    let disabled = Refusal::KeyDisabled { name: KEY.into(), operation: Operation::Get };
    assert_eq!(scene.get_version(KEY, old).err(), Some(disabled));
    assert_eq!(scene.key(KEY), second);
    let unknown = Version([1; 16]);
    let missing = Refusal::VersionNotFound { name: KEY.into(), version: unknown.to_string() };
    assert_eq!(scene.update_at(KEY, Some(unknown), &enabled_is(true), NOW).err(), Some(missing.clone()));
    assert_eq!(scene.get_version(KEY, unknown).err(), Some(missing));
    assert!(scene.update_at(KEY, Some(old), &enabled_is(true), NOW).is_ok());
    assert!(scene.get_version(KEY, old).is_ok());
}

/// A key that ends before it begins is neither made nor becomes so by an update that says half of it.
#[test]
fn validity_is_not_empty() {
    let scene = Setup::default().bare();
    let valid = |not_before, expires| AttributesInput { not_before, expires, ..AttributesInput::default() };
    let with = |attributes: AttributesInput| {
        let attributes = AttributesInput { exportable: Some(true), ..attributes };
        scene.make_new(&NewKey { attributes, ..create(KEY).to_new() }).map(drop)
    };
    let empty = |not_before, expires| Err(Refusal::EmptyValidity { not_before, expires });
    assert_eq!(with(valid(Some(5), Some(5))), empty(5, 5));
    assert_eq!(with(valid(Some(6), Some(5))), empty(6, 5));
    assert!(!scene.has(KEY));
    assert_eq!(with(valid(Some(5), Some(6))), Ok(()));
    let change = |attributes| scene.update(KEY, &Changes { attributes, ..Changes::default() }).map(drop);
    assert_eq!(change(valid(Some(6), None)), empty(6, 6));
    assert_eq!(change(valid(None, Some(4))), empty(5, 4));
    assert_eq!(change(valid(Some(6), Some(7))), Ok(()));
}

/// Recovering brings back every version, their attributes and the policy, exactly as they were.
#[test]
fn recover_brings_everything_back() {
    let scene = Setup::default().bare();
    let old = scene.create(KEY, EC).version.version;
    scene.create(KEY, OCT);
    scene.update_at(KEY, Some(old), &enabled_is(false), NOW).unwrap();
    let before = (scene.key(KEY), scene.list_versions(KEY, &ListCommand::default()).unwrap());
    let deleted = scene.delete_at(KEY, NOW + 1).unwrap();
    assert_eq!(deleted.head.deletion, Some(Deletion { deleted: NOW + 1, purge: NOW + 1 + 90 * DAY }));
    assert_eq!(scene.get_deleted(KEY).unwrap(), deleted);
    assert_eq!(scene.list_deleted(&ListCommand::default()).unwrap().rows, [deleted]);
    let recovered = scene.recover(KEY).unwrap();
    assert_eq!(recovered, before.0);
    assert_eq!((scene.key(KEY), scene.list_versions(KEY, &ListCommand::default()).unwrap()), before);
    assert!(scene.release(&good_token()).is_ok());
}

/// A purged key leaves a tombstone and nothing else; the name is free, and a key made under it is another one.
#[test]
fn purged_key_is_gone() {
    let scene = Setup::default().bare();
    let first = scene.make(&CreateCommand { immutable: true, ..create(KEY) }).unwrap();
    scene.make(&CreateCommand { policy: None, ..create(KEY) }).unwrap();
    scene.delete(KEY).unwrap();
    scene.purge_at(KEY, NOW + 3).unwrap();
    let rows = rows(&scene.store);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let (at, sealed) = &rows[0];
    assert_eq!(*at, [b"v/", VAULT_ID.as_bytes().as_slice(), b"/t/", first.head.id.as_bytes()].concat());
    let plain = root().sealer("vault records", VAULT_ID.as_bytes()).open(at, sealed).unwrap();
    let tombstone = Tombstone { id: first.head.id, generation: 1, immutable: true, min_iat: 0, purged: NOW + 3 };
    assert_eq!(decode_tombstone(&plain), Ok(tombstone));
    let again = scene.create("PAYMENTS", EC);
    assert_ne!(again.head.id, first.head.id);
    assert_eq!((again.head.versions.len(), again.head.generation, again.head.immutable), (1, 1, false));
    assert_eq!(again.head.name.as_str(), "PAYMENTS");
    assert!(scene.release(&good_token()).is_ok());
}

/// What vaults have in the store, by key.
fn rows(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let page = wait(store.range(b"v/", None, 1_000, At::Linearizable)).unwrap();
    page.rows.into_iter().map(|row| (row.key, row.entry.value)).collect()
}

/// With purge protection a deleted key stays until its time is over, to the second; without, it goes at once.
#[test]
fn purge_protection_holds_to_the_second() {
    let scene = Setup { purge_protection: true, retention_days: 7, ..Setup::default() }.scene();
    scene.delete(KEY).unwrap();
    let end = NOW + 7 * DAY;
    let kept = Err(Refusal::PurgeProtected { name: KEY.into() });
    for now in [NOW - 1, NOW, end - 1] {
        assert_eq!(scene.purge_at("PAYMENTS", now), kept);
    }
    assert!(scene.get_deleted(KEY).is_ok());
    assert_eq!(scene.purge_at(KEY, end), Ok(()));
    let control = Setup { retention_days: 7, ..Setup::default() }.scene();
    control.delete(KEY).unwrap();
    assert_eq!(control.purge_at(KEY, NOW), Ok(()));
}

/// Days that deleted keys are kept: what Azure offers, and the deletion says when they are over.
#[test]
fn days_kept_are_azure_s() {
    let with = |retention_days| Setup { retention_days, ..Setup::default() }.try_bare();
    for days in [0, RETENTION_DAYS.start() - 1, RETENTION_DAYS.end() + 1, u32::MAX] {
        assert_eq!(with(days).err(), Some(VaultConfigError::Retention { days }));
    }
    for days in [7, 8, 89, 90] {
        let scene = with(days).ok().unwrap();
        scene.create(KEY, EC);
        let deletion = scene.delete(KEY).unwrap().head.deletion.unwrap();
        assert_eq!(deletion.purge - deletion.deleted, u64::from(days) * DAY);
    }
}

/// What is purged because it is due is due then, with and without purge protection: a key that was recovered and deleted
/// again since it was found stays.
#[test]
fn only_what_is_due_is_purged_for_being_due() {
    for purge_protection in [false, true] {
        let scene = Setup { purge_protection, retention_days: 7, ..Setup::default() }.scene();
        let kept = Err(Refusal::PurgeProtected { name: KEY.into() });
        let end = NOW + 7 * DAY;
        scene.delete(KEY).unwrap();
        assert_eq!(scene.purge_due_at(KEY, end - 1), kept);
        scene.recover(KEY).unwrap();
        scene.delete_at(KEY, end - 1).unwrap();
        assert_eq!(scene.purge_due_at(KEY, end), kept);
        assert_eq!(scene.purge_due_at(KEY, end - 1 + 7 * DAY), Ok(()));
        assert_eq!(scene.purge_due_at(KEY, end - 1 + 7 * DAY), Err(Refusal::DeletedKeyNotFound { name: KEY.into() }));
    }
}

/// A purge that is cut short after its head is gone leaves nothing that can be reached, and sweeping removes the rest:
/// more versions than one transaction holds. A sweep that is cut short too is finished by the next.
#[test]
fn sweep_finishes_a_purge_that_was_cut_short() {
    let faults = Faults::default();
    let scene = Setup { store: Store::memory_with(faults.clone()), ..Setup::default() }.bare();
    let versions = 120;
    for _ in 0..versions {
        scene.create(KEY, OCT);
    }
    let other = scene.create("other", OCT);
    scene.delete(KEY).unwrap();
    faults.pass(1).then(Fault::Lost);
    assert_eq!(scene.purge(KEY), Err(Refusal::Unsettled));
    assert_eq!(scene.get_deleted(KEY).err(), Some(Refusal::DeletedKeyNotFound { name: KEY.into() }));
    assert_eq!(rows(&scene.store).len(), versions + 4, "tombstone, mark, and the other key");
    assert_eq!(scene.make(&create(KEY)).unwrap().head.versions.len(), 1, "the name is free");
    faults.pass(1).then(Fault::Unanswered);
    assert_eq!(scene.sweep(), Err(Refusal::Unsettled));
    assert_eq!(scene.sweep(), Ok(()));
    assert_eq!(rows(&scene.store).len(), 5, "a tombstone and two keys");
    assert_eq!((scene.key("other"), scene.key(KEY).head.versions.len()), (other, 1));
    let before = rows(&scene.store);
    assert_eq!(scene.sweep(), Ok(()), "nothing to do");
    assert_eq!(rows(&scene.store), before);
}

/// A key has so many versions and no more, made or brought in.
#[test]
fn versions_are_bounded() {
    let scene = Setup::default().bare();
    let new = create(KEY).to_new();
    let key = scene.make_new(&new).unwrap();
    let with = |count: usize| {
        let full = edited(&key, |head, _| head.versions = vec![head.versions[0]; count]);
        admit(scene.vault.rules(), &Slot::Live(full.head), &new).map(drop)
    };
    assert_eq!(with(VERSIONS_MAX), Err(Refusal::TooManyVersions { name: KEY.into() }));
    assert_eq!(with(VERSIONS_MAX - 1), Ok(()));
}

/// A version that is changed while its key is being deleted is answered as it was when the key went, and not as it was before.
#[test]
fn deleting_answers_what_was_deleted() {
    let tagged = || Changes { tags: Some(tags(&[("a", "1")])), ..Changes::default() };
    let scene = Arc::new(Scene::new());
    let other = Arc::clone(&scene);
    let randomness = meanwhile(0, move || drop(other.update(KEY, &tagged()).unwrap()));
    let grant = grant(Permission::Delete);
    let context = Context { grant: &grant, request_id: "delete-1", now: at(NOW), randomness: &randomness };
    let deleted = wait(scene.vault.delete(&context, &name(KEY))).unwrap();
    assert_eq!(deleted.version.tags, tags(&[("a", "1")]));
    assert_eq!(scene.get_deleted(KEY).unwrap(), deleted);
}
