//! Rotation: what a new version takes from the one before, the policies that say when it is due, and where they lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skerry_identity::Permission;
use skerry_store::seal::SealError;
use skerry_vault::command::{AttributesInput, Changes, Context, KeyOp, NewKey, Operation};
use skerry_vault::limits::VERSIONS_MAX;
use skerry_vault::record::{Corrupted, Key, KeyHead, KeyVersion};
use skerry_vault::rotation::{Action, Period, RotationError, RotationInput, RotationPolicy, Trigger};
use skerry_vault::stored::{decode_rotation, encode_rotation};
use skerry_vault::{Refusal, VaultKind};

use crate::database::{put, row};
use crate::operations::*;
use crate::support::*;

const DAY: u64 = 86_400;

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

/// A new version each 30 days, which lasts for 90.
fn monthly() -> RotationInput {
    let rotate = (Action::Rotate, Trigger::AfterCreate(period("P30D")));
    RotationInput { lifetime: Some(period("P90D")), actions: vec![rotate] }
}

/// A new version as soon as so little of its time is left.
fn before_expiry(text: &str) -> RotationInput {
    let rotate = (Action::Rotate, Trigger::BeforeExpiry(period(text)));
    RotationInput { lifetime: Some(period("P90D")), actions: vec![rotate] }
}

fn notify() -> (Action, Trigger) {
    (Action::Notify, Trigger::BeforeExpiry(period("P30D")))
}

/// A key with everything that a new version repeats, and with what it does not.
fn rich(key: &str) -> NewKey {
    NewKey {
        key_ops: Some(vec![KeyOp::Verify, KeyOp::Sign]),
        attributes: AttributesInput {
            not_before: Some(NOW - 50),
            expires: Some(NOW + 50),
            exportable: Some(true),
            ..AttributesInput::default()
        },
        tags: Some(tags(&[("team", "a"), ("empty", "")])),
        ..create(key).to_new()
    }
}

/// A new version has other material, and the type, uses and tags of the newest; the key stays the same in all else. It
/// is valid from the start, without end where no policy says so.
#[test]
fn new_version_is_like_the_newest() {
    let scene = Setup::default().bare();
    let first = scene.make_new(&rich(KEY)).unwrap();
    let newest = scene.make_new(&NewKey { tags: Some(tags(&[("team", "b")])), ..rich(KEY) }).unwrap();
    let rotated = scene.rotate_at("PAYMENTS", NOW + 7).unwrap();
    let KeyVersion { version, public, material, .. } = (*rotated.version).clone();
    let expected = KeyVersion {
        version,
        public: public.clone(),
        material: material.clone(),
        not_before: None,
        expires: None,
        created: NOW + 7,
        updated: NOW + 7,
        ..(*newest.version).clone()
    };
    assert_eq!(*rotated.version, expected);
    assert!(public != newest.version.public && material != newest.version.material);
    assert!(version != newest.version.version && version != first.version.version);
    let head = KeyHead { versions: rotated.head.versions.clone(), ..(*newest.head).clone() };
    assert_eq!((&*rotated.head, rotated.head.versions.len()), (&head, 3));
    assert_eq!(scene.key(KEY), rotated);
    assert!(scene.release(&good_token()).is_ok());
    assert_eq!(scene.story()[..6], made("key-created", 3));
}

/// Keys of every kind are rotated, each to its own: a software key to one, a symmetric key, a fixed policy, one without.
#[test]
fn every_kind_is_rotated_to_its_own() {
    let scene = Setup::default().bare();
    let plain = CreateCommand { exportable: false, policy: None, ..create("soft") }.to_new();
    scene.make_new(&NewKey { hsm: false, ..plain }).unwrap();
    scene.make(&CreateCommand { immutable: true, ..create("fixed") }).unwrap();
    scene.create("oct", OCT);
    for key in ["soft", "fixed", "oct"] {
        let before = scene.key(key);
        let after = scene.rotate(key).unwrap();
        let kind = |key: &Key| (key.version.hsm, key.version.key_type, key.head.exportable, key.head.immutable);
        assert_eq!(kind(&after), kind(&before), "{key}");
        assert_eq!((&after.head.policy, after.head.generation), (&before.head.policy, before.head.generation));
        assert_eq!(after.head.versions.len(), 2);
    }
}

/// A version that rotation makes lasts as long as the policy says, by the calendar.
#[test]
fn policy_says_how_long_a_version_lasts() {
    let scene = Scene::new();
    scene.set_rotation_policy(KEY, &monthly()).unwrap();
    assert_eq!(scene.rotate_at(KEY, NOW + 5).unwrap().version.expires, Some(NOW + 5 + 90 * DAY));
    let endless = RotationInput { lifetime: None, ..monthly() };
    scene.set_rotation_policy(KEY, &endless).unwrap();
    assert_eq!(scene.rotate(KEY).unwrap().version.expires, None);
}

/// A Managed HSM does not rotate a key that has no policy of its own; a key vault does.
#[test]
fn managed_hsm_needs_a_policy() {
    let scene = Setup::of_kind(VaultKind::ManagedHsm);
    let before = (scene.key(KEY), scene.records().len());
    assert_eq!(scene.rotate(KEY).err(), Some(Refusal::NoRotationPolicy { name: KEY.into() }));
    assert_eq!((scene.key(KEY), scene.records().len()), before);
    scene.set_rotation_policy(KEY, &monthly()).unwrap();
    assert_eq!(scene.rotate(KEY).unwrap().head.versions.len(), 2);
    assert_eq!(Scene::new().rotate(KEY).unwrap().head.versions.len(), 2, "a key vault");
}

/// What is not there, is deleted or is disabled is not rotated, and keeps its policy; an old version may be disabled.
#[test]
fn states_that_are_not_rotated() {
    let scene = Setup::default().bare();
    let missing = || Refusal::KeyNotFound { name: KEY.into() };
    assert_eq!(scene.rotate(KEY).err(), Some(missing()));
    assert_eq!(scene.rotation_policy(KEY).err(), Some(missing()));
    assert_eq!(scene.set_rotation_policy(KEY, &monthly()).err(), Some(missing()));
    let old = scene.create(KEY, EC).version.version;
    let policy = scene.set_rotation_policy(KEY, &monthly()).unwrap();
    scene.delete(KEY).unwrap();
    let records = scene.records().len();
    assert_eq!(scene.rotate(KEY).err(), Some(missing()));
    assert_eq!(scene.rotation_policy(KEY).err(), Some(missing()));
    assert_eq!(scene.set_rotation_policy(KEY, &monthly()).err(), Some(missing()));
    assert_eq!(scene.records().len(), records);
    scene.recover(KEY).unwrap();
    assert_eq!(scene.rotation_policy(KEY), Ok(policy.clone()));
    scene.enable(KEY, false).unwrap();
    let disabled = Refusal::KeyDisabled { name: KEY.into(), operation: Operation::Rotate };
    assert_eq!(scene.rotate(KEY).err(), Some(disabled));
    assert_eq!(scene.rotation_policy(KEY), Ok(policy), "what is said of it can be read and set");
    assert!(scene.set_rotation_policy(KEY, &monthly()).is_ok());
    scene.enable(KEY, true).unwrap();
    scene.rotate(KEY).unwrap();
    scene.update_at(KEY, Some(old), &enabled_is(false), NOW).unwrap();
    assert!(scene.rotate(KEY).is_ok());
}

/// Whatever happens to a key while it is rotated, rotation makes a version of the key that it has seen, enabled as it was,
/// or none: never a key of its own, and never a version that undoes a disabling.
#[test]
fn keys_change_while_they_are_rotated() {
    type Meanwhile = (fn(&Scene), Refusal);
    let cases: [Meanwhile; 3] = [
        (|scene| scene.remove(KEY), Refusal::KeyNotFound { name: KEY.into() }),
        (
            |scene| drop(scene.enable(KEY, false).unwrap()),
            Refusal::KeyDisabled { name: KEY.into(), operation: Operation::Rotate },
        ),
        (
            |scene| {
                scene.remove(KEY);
                scene.create(KEY, OCT);
                scene.enable(KEY, false).unwrap();
            },
            Refusal::KeyDisabled { name: KEY.into(), operation: Operation::Rotate },
        ),
    ];
    for (happens, refusal) in cases {
        let mut made = Vec::new();
        for at in 0..12 {
            let scene = Arc::new(Scene::new());
            let before = scene.key(KEY).head.id;
            let other = Arc::clone(&scene);
            let randomness = meanwhile(at, move || happens(&other));
            let grant = grant(Permission::Rotate);
            let context =
                Context { grant: &grant, request_id: "rotate-1", now: self::at(NOW), randomness: &randomness };
            let rotated = wait(scene.vault.rotate(&context, &name(KEY)));
            match &rotated {
                Ok(key) => assert_eq!((key.head.id, key.head.versions.len()), (before, 2)),
                Err(refused) => assert_eq!(*refused, refusal, "{at}"),
            }
            made.push(rotated.is_ok());
        }
        assert!(!made[0] && made[11], "before the version is made, and not at all: {made:?}");
    }
}

/// A rotation policy that is set while a new version is being made holds for that version: its end is by the policy that is
/// there when it comes to be, whether there was one before or none.
#[test]
fn policy_set_meanwhile_holds_for_the_new_version() {
    let lasting = |text| RotationInput { lifetime: Some(period(text)), actions: vec![] };
    for before in [None, Some(lasting("P30D"))] {
        let mut ends = Vec::new();
        for at in 0..12 {
            let scene = Arc::new(Scene::new());
            if let Some(before) = &before {
                scene.set_rotation_policy(KEY, before).unwrap();
            }
            let (other, set) = (Arc::clone(&scene), AtomicBool::new(false));
            let set = Arc::new(set);
            let (setting, later) = (Arc::clone(&set), lasting("P90D"));
            let randomness = meanwhile(at, move || {
                other.set_rotation_policy(KEY, &later).unwrap();
                setting.store(true, Ordering::SeqCst);
            });
            let grant = grant(Permission::Rotate);
            let context =
                Context { grant: &grant, request_id: "rotate-1", now: self::at(NOW), randomness: &randomness };
            let rotated = wait(scene.vault.rotate(&context, &name(KEY))).unwrap();
            ends.push((rotated.version.expires, set.load(Ordering::SeqCst)));
        }
        assert_eq!(ends[0], (Some(NOW + 90 * DAY), true), "before the version is made");
        let after = before.as_ref().map(|_| NOW + 30 * DAY);
        assert_eq!(ends[11], (after, false), "not at all");
    }
}

/// A key that has as many versions as there can be is not rotated.
#[test]
fn versions_are_bounded() {
    let scene = Scene::new();
    let full = |count: usize| {
        let key = edited(&scene.key(KEY), |head, _| {
            let newest = *head.versions.last().unwrap();
            head.versions = vec![newest; count];
        });
        crate::database::write(&scene.store, &key);
        scene.rotate(KEY).map(|key| key.head.versions.len())
    };
    assert_eq!(full(VERSIONS_MAX), Err(Refusal::TooManyVersions { name: KEY.into() }));
    assert_eq!(full(VERSIONS_MAX - 1), Ok(VERSIONS_MAX));
}

/// A key has a default policy until one is set: a key vault's tells somebody before it expires, a Managed HSM's nobody.
/// What is set is given back, with what a key vault adds, and with when it was first and last set.
#[test]
fn policies_are_set_and_given_back() {
    for (kind, default) in [(VaultKind::Premium, vec![notify()]), (VaultKind::ManagedHsm, vec![])] {
        let scene = Setup::of_kind(kind);
        let unset = RotationPolicy { actions: default.clone(), ..RotationPolicy::default() };
        assert_eq!(scene.rotation_policy(KEY), Ok(unset), "{kind:?}");
        let input = monthly();
        let set = RotationPolicy {
            lifetime: input.lifetime.clone(),
            actions: [input.actions.clone(), default.clone()].concat(),
            created: Some(NOW),
            updated: Some(NOW),
        };
        assert_eq!(scene.set_rotation_policy(KEY, &input), Ok(set.clone()));
        assert_eq!(scene.rotation_policy("PAYMENTS"), Ok(set.clone()));
        let again = RotationPolicy { lifetime: None, actions: default, updated: Some(NOW + 9), ..set };
        assert_eq!(scene.set_rotation_policy_at(KEY, &RotationInput::default(), NOW + 9), Ok(again.clone()));
        assert_eq!(scene.rotation_policy(KEY), Ok(again));
        assert_eq!(scene.story(), [made("key-created", 1), made("key-changed", 2)].concat(), "{kind:?}");
    }
}

/// What is no policy is refused with its reason, and what was set before stays.
#[test]
fn policies_that_are_none() {
    let scene = Scene::new();
    let before = scene.set_rotation_policy(KEY, &monthly()).unwrap();
    let records = scene.records().len();
    let twice = RotationInput { actions: [monthly().actions, monthly().actions].concat(), ..monthly() };
    for (input, error) in [
        (twice, RotationError::ActionTwice),
        (RotationInput { lifetime: None, ..before_expiry("P30D") }, RotationError::NoLifetime),
        (before_expiry("P6D"), RotationError::TooShort { period: "P6D".into(), days_min: 7 }),
        (before_expiry("P90D"), RotationError::NotWithinLifetime { trigger: "P90D".into(), lifetime: "P90D".into() }),
    ] {
        assert_eq!(scene.set_rotation_policy(KEY, &input), Err(Refusal::Rotation(error)));
    }
    assert_eq!((scene.rotation_policy(KEY), scene.records().len()), (Ok(before), records));
}

/// A policy is the key's and not the name's: a key that is made under the name of one that was purged has none.
#[test]
fn policy_belongs_to_the_key() {
    let scene = Scene::new();
    let policy = scene.set_rotation_policy(KEY, &monthly()).unwrap();
    scene.create("other", EC);
    assert_eq!(scene.rotation_policy("other"), Ok(RotationPolicy::unset(VaultKind::Premium)));
    scene.delete(KEY).unwrap();
    scene.recover(KEY).unwrap();
    scene.rotate(KEY).unwrap();
    assert_eq!(scene.rotation_policy(KEY), Ok(policy), "the control");
    scene.remove(KEY);
    scene.create(KEY, EC);
    assert_eq!(scene.rotation_policy(KEY), Ok(RotationPolicy::unset(VaultKind::Premium)));
    assert_eq!(scene.rotate(KEY).unwrap().version.expires, None);
}

/// Where the policy of a key lies.
fn policy_at(key: &Key) -> Vec<u8> {
    [b"v/", VAULT_ID.as_bytes().as_slice(), b"/r/", key.head.id.as_bytes()].concat()
}

/// The row of a policy in another key's place, or with any octet altered, is an integrity error for all that needs it and
/// for nothing else.
#[test]
fn policy_rows_moved_and_edited() {
    let scene = Scene::new();
    let other = scene.create("other", EC);
    let key = scene.key(KEY);
    let policy = scene.set_rotation_policy(KEY, &monthly()).unwrap();
    scene.set_rotation_policy("other", &before_expiry("P60D")).unwrap();
    scene.create("third", EC);
    scene.set_rotation_policy("third", &monthly()).unwrap();
    let (own, foreign) = (row(&scene.store, &policy_at(&key)), row(&scene.store, &policy_at(&other)));
    let refused = |value: &[u8], expected: SealError| {
        put(&scene.store, &policy_at(&key), value);
        let refused = Refusal::Corrupted(Corrupted::Seal(expected));
        assert_eq!(scene.rotation_policy(KEY).err(), Some(refused.clone()));
        assert_eq!(scene.set_rotation_policy(KEY, &monthly()).err(), Some(refused.clone()));
        assert_eq!(scene.rotate(KEY).err(), Some(refused.clone()));
        assert_eq!(scene.backup(KEY).err(), Some(refused.clone()));
        let due = scene.damaged_for_rotation(NOW + 30 * DAY).unwrap();
        assert!(due.keys.contains(&name("third")) && !due.keys.contains(&name(KEY)), "{due:?}");
        assert_eq!(due.damaged, [refused]);
        assert!(scene.sign(KEY).is_ok() && scene.rotate("other").is_ok());
    };
    refused(&foreign, SealError::Integrity);
    let last = own.len() - 1;
    for at in [70, last] {
        let mut altered = own.clone();
        altered[at] ^= 1;
        refused(&altered, SealError::Integrity);
    }
    put(&scene.store, &policy_at(&key), &own);
    assert_eq!(scene.rotation_policy(KEY), Ok(policy), "the control");
    assert!(scene.rotate(KEY).is_ok());
}

/// A policy lies sealed under its key's id, as one record of one form.
#[test]
fn policy_rows_are_one_record() {
    let scene = Scene::new();
    let policy = scene.set_rotation_policy(KEY, &monthly()).unwrap();
    let at = policy_at(&scene.key(KEY));
    let sealer = root().sealer("vault records", VAULT_ID.as_bytes());
    let plain = sealer.open(&at, &row(&scene.store, &at)).unwrap();
    assert_eq!(decode_rotation(&plain), Ok(policy.clone()));
    let more = [plain.as_slice(), &[0xf6]].concat();
    put(&scene.store, &at, &sealer.seal(&at, &more, &mut *randomness()).unwrap());
    let form = Corrupted::Form("there is more than one record");
    assert_eq!(scene.rotation_policy(KEY), Err(Refusal::Corrupted(form)));
    put(&scene.store, &at, &sealer.seal(&at, &encode_rotation(&policy), &mut *randomness()).unwrap());
    assert_eq!(scene.rotation_policy(KEY), Ok(policy));
}

/// Keys come due to the second, by their newest version: so long after it was made, so long before it expires; a key
/// without a policy of its own, without expiry, deleted or disabled is never due.
#[test]
fn keys_come_due() {
    let scene = Setup::default().bare();
    for key in ["after", "before", "endless", "plain", "deleted", "disabled"] {
        scene.create(key, EC);
    }
    let due = |days: u64, secs: i64| scene.due_for_rotation((NOW + days * DAY).checked_add_signed(secs).unwrap());
    let none: Vec<String> = Vec::new();
    assert_eq!(due(10_000, 0), Ok(none.clone()));
    for key in ["after", "deleted", "disabled"] {
        scene.set_rotation_policy(key, &monthly()).unwrap();
    }
    for key in ["before", "endless"] {
        scene.set_rotation_policy(key, &before_expiry("P60D")).unwrap();
    }
    let expires = AttributesInput { expires: Some(NOW + 80 * DAY), ..AttributesInput::default() };
    scene.update("before", &Changes { attributes: expires, ..Changes::default() }).unwrap();
    scene.delete("deleted").unwrap();
    scene.enable("disabled", false).unwrap();
    assert_eq!(due(20, -1), Ok(none.clone()));
    assert_eq!(due(20, 0), Ok(vec!["before".to_owned()]));
    assert_eq!(due(30, -1), Ok(vec!["before".to_owned()]));
    assert_eq!(due(30, 0), Ok(vec!["after".to_owned(), "before".to_owned()]));
    scene.rotate_at("after", NOW + 30 * DAY).unwrap();
    scene.rotate_at("before", NOW + 30 * DAY).unwrap();
    assert_eq!(due(60, -1), Ok(none), "a rotated key is due by its new version");
    assert_eq!(due(60, 0), Ok(vec!["after".to_owned(), "before".to_owned()]));
    scene.enable("disabled", true).unwrap();
    assert_eq!(due(60, 0).unwrap().len(), 3);
}

/// A record that does not open keeps its own key from being rotated or purged, and no other.
#[test]
fn damage_stops_nobody_else() {
    let scene = Setup { retention_days: 7, ..Setup::default() }.bare();
    for key in ["a", "b", "c", "d"] {
        scene.create(key, OCT);
        scene.set_rotation_policy(key, &monthly()).unwrap();
    }
    let at = |kind: &[u8], key: &str| [b"v/", VAULT_ID.as_bytes().as_slice(), kind, key.as_bytes()].concat();
    let spoil = |at: &[u8]| put(&scene.store, at, &[1; 80]);
    let damaged = || Refusal::Corrupted(Corrupted::Seal(SealError::OtherKek { kek: [1; 16] }));
    spoil(&at(b"/k/", "a"));
    let due = scene.damaged_for_rotation(NOW + 30 * DAY).unwrap();
    assert_eq!((due.keys, due.damaged), (["b", "c", "d"].map(name).to_vec(), vec![damaged()]));
    scene.delete("b").unwrap();
    scene.delete("c").unwrap();
    spoil(&at(b"/d/", "b"));
    let due = scene.damaged_for_purge(NOW + 7 * DAY).unwrap();
    assert_eq!((due.keys, due.damaged), (vec![name("c")], vec![damaged()]));
}

/// Deleted keys come due for purging to the second, and are found past one page of them.
#[test]
fn deleted_keys_come_due() {
    let scene = Setup { retention_days: 7, ..Setup::default() }.bare();
    let end = NOW + 7 * DAY;
    scene.create("live", OCT);
    for number in 0..300 {
        let key = format!("k{number:03}");
        scene.create(&key, OCT);
        scene.delete_at(&key, NOW + number).unwrap();
    }
    assert_eq!(scene.due_for_purge(end - 1), Ok(vec![]));
    assert_eq!(scene.due_for_purge(end), Ok(vec!["k000".to_owned()]));
    assert_eq!(scene.due_for_purge(end + 299).unwrap().len(), 300);
    scene.recover("k000").unwrap();
    assert_eq!(scene.due_for_purge(end), Ok(vec![]));
    assert_eq!(scene.due_for_purge(u64::MAX / 4).unwrap().len(), 299);
}
