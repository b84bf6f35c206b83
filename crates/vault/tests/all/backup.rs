//! Backups: what comes back and where, what is refused, what a purge has seen and a restore must not take back, and
//! restores that meet others or a crash.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use skerry_identity::Permission;
use skerry_keys::{KeyType, RsaBits, SignAlgorithm};
use skerry_store::seal::{Root, SealError};
use skerry_store::{At, Fault, Faults, Store};
use skerry_vault::backup::{Backup, BackupError};
use skerry_vault::command::{AttributesInput, Changes, Context, KeyOp, ListCommand, NewKey, PolicyInput};
use skerry_vault::decide::HsmBacking;
use skerry_vault::record::{Key, KeyHead, KeyVersion, VersionRef};
use skerry_vault::rotation::{Action, Period, RotationInput, RotationPolicy, Trigger};
use skerry_vault::stored::Corrupted;
use skerry_vault::{Refusal, Vault, VaultKind};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::operations::*;
use crate::support::*;

const OTHER: Uuid = Uuid::from_bytes([0x52; 16]);
const MAGIC: usize = "&SkerryKeyBackupV1.".len();

/// Another vault of this installation.
fn beside(scene: &Scene, id: Uuid, kind: VaultKind) -> Vault {
    Setup { id, kind, ..Setup::default() }.try_vault(&scene.installation).unwrap().0
}

fn restore_in(vault: &Vault, blob: &[u8]) -> Result<Key, Refusal> {
    let grant = grant_in(vault.id(), Permission::Restore);
    wait(vault.restore(&context(&grant, "restore-1", NOW), blob))
}

fn refused<T>(error: BackupError) -> Result<T, Refusal> {
    Err(Refusal::Backup(error))
}

/// The key but for how its material is sealed.
fn unsealed(key: &Key, of: &Key) -> Key {
    edited(key, |head, version| {
        version.material = of.version.material.clone();
        head.versions = of.head.versions.clone();
    })
}

fn ids(key: &Key) -> Vec<[u8; 16]> {
    key.head.versions.iter().map(|of| of.version.0).collect()
}

fn rotation() -> RotationInput {
    let period = |text| Period::parse(text).unwrap();
    let rotate = (Action::Rotate, Trigger::AfterCreate(period("P30D")));
    RotationInput { lifetime: Some(period("P90D")), actions: vec![rotate] }
}

/// A key of three versions, each in a state of its own, under a fixed policy and a rotation policy.
fn rich(scene: &Scene) -> Key {
    let new = NewKey {
        key_ops: Some(vec![KeyOp::Verify, KeyOp::Sign]),
        attributes: AttributesInput {
            not_before: Some(5),
            expires: Some(NOW + 50),
            exportable: Some(true),
            ..AttributesInput::default()
        },
        tags: Some(tags(&[("team", "a"), ("empty", "")])),
        ..CreateCommand { immutable: true, ..create("PayMents") }.to_new()
    };
    let first = scene.make_new(&new).unwrap().version.version;
    let later = NewKey { policy: None, attributes: AttributesInput::default(), tags: None, ..new };
    scene.make_at(&NewKey { key_type: OCT, ..later.clone() }, NOW + 3).unwrap();
    scene.make_at(&later, NOW - 3).unwrap();
    scene.update_at(KEY, Some(first), &enabled_is(false), NOW + 9).unwrap();
    scene.set_rotation_policy(KEY, &rotation()).unwrap();
    scene.key(KEY)
}

fn versions(scene: &Scene) -> Vec<KeyVersion> {
    let listed = scene.list_versions(KEY, &ListCommand::default()).unwrap();
    listed.rows.iter().map(|key| KeyVersion::clone(&key.version)).collect()
}

/// Everything of a key comes back after it was purged: every version under its id with its attributes and tags, the name
/// as first given, policy, generation and immutability, and the rotation policy. Its material is sealed anew.
#[test]
fn everything_comes_back() {
    let scene = Setup::default().bare();
    let before = rich(&scene);
    let (before_versions, rotation) = (versions(&scene), scene.rotation_policy(KEY).unwrap());
    let blob = scene.backup("PAYMENTS").unwrap();
    scene.remove(KEY);
    let restored = scene.restore(&blob).unwrap();
    assert_eq!(unsealed(&restored, &before), before);
    assert_eq!((ids(&restored), restored.head.immutable), (ids(&before), true));
    assert_eq!(scene.key(KEY), restored);
    let after = versions(&scene);
    for (before, after) in before_versions.iter().zip(&after) {
        assert_ne!(before.material, after.material);
        assert_eq!(KeyVersion { material: before.material.clone(), ..after.clone() }, *before);
    }
    assert_eq!(after.len(), 3);
    assert_eq!(scene.rotation_policy(KEY), Ok(rotation));
    let changes =
        Changes { policy: Some(PolicyInput { data: policy().into(), immutable: None }), ..Changes::default() };
    assert_eq!(scene.update(KEY, &changes).err(), Some(Refusal::PolicyImmutable));
    assert_eq!(scene.rotate(KEY).unwrap().head.versions.len(), 4, "it lives on");
}

/// A key without a rotation policy comes back without one, and one that is not exportable as such.
#[test]
fn plain_key_comes_back_plain() {
    let scene = Setup::default().bare();
    let before = scene.make(&CreateCommand { exportable: false, policy: None, ..create(KEY) }).unwrap();
    let blob = scene.backup(KEY).unwrap();
    scene.remove(KEY);
    assert_eq!(unsealed(&scene.restore(&blob).unwrap(), &before), before);
    assert_eq!(scene.rotation_policy(KEY), Ok(RotationPolicy::unset(VaultKind::Premium)));
    let denied = Refusal::NotExportable { name: KEY.into() };
    assert_eq!(scene.release(&good_token()).err(), Some(denied));
}

/// The material that comes back is that which was backed up: signatures of before and after hold each other's place, and
/// the TEE finds the very same key. Of every type.
#[test]
fn material_comes_back() {
    let scene = Setup::default().bare();
    let rsa = KeyType::Rsa { bits: RsaBits::B2048 };
    let signed = [(rsa, SignAlgorithm::Ps256), (EC, SignAlgorithm::Es256), (OCT, SignAlgorithm::Hs256)];
    for (index, (key_type, algorithm)) in signed.into_iter().enumerate() {
        let key = format!("key-{index}");
        scene.create(&key, key_type);
        let token = good_token();
        let released = || {
            let answer = scene.release_key(&key, &token).unwrap();
            let kid = format!("https://{HOST}/keys/{key}");
            let asked = skerry_client::Asked { kid: &kid, ..asked(&token) };
            scene.verify(&answer.value, &asked).unwrap().unwrap(tee()).unwrap().expose().to_vec()
        };
        let (signature, material) = (scene.sign_at(&key, None, algorithm, &DIGEST, NOW).unwrap().value, released());
        let blob = scene.backup(&key).unwrap();
        scene.remove(&key);
        scene.restore(&blob).unwrap();
        assert_eq!(scene.check_at(&key, algorithm, &DIGEST, &signature, NOW), Ok(true), "{key_type:?}");
        let again = scene.sign_at(&key, None, algorithm, &DIGEST, NOW).unwrap().value;
        assert_eq!(scene.check_at(&key, algorithm, &DIGEST, &again, NOW), Ok(true));
        assert_eq!(released(), material, "{key_type:?}");
    }
}

/// A key comes back in another vault of the same kind, standard and premium being one, beside the one that it is a copy
/// of; and from there to the first.
#[test]
fn vaults_of_one_kind_restore_each_other_s_keys() {
    let scene = Setup::default().bare();
    let before = rich(&scene);
    let other = beside(&scene, OTHER, VaultKind::Premium);
    let copy = restore_in(&other, &scene.backup(KEY).unwrap()).unwrap();
    assert_eq!(unsealed(&copy, &before), before);
    assert_eq!(scene.key(KEY), before);
    let backup = wait(other.backup(&context(&grant_in(OTHER, Permission::Backup), "backup-1", NOW), &name(KEY)));
    scene.remove(KEY);
    assert_eq!(unsealed(&scene.restore(&backup.unwrap()).unwrap(), &before), before);
    assert!(scene.release(&good_token()).is_ok());

    let soft = NewKey { hsm: false, ..CreateCommand { exportable: false, policy: None, ..create("soft") }.to_new() };
    scene.make_new(&soft).unwrap();
    let standard = beside(&scene, Uuid::from_bytes([0x53; 16]), VaultKind::Standard);
    assert!(restore_in(&standard, &scene.backup("soft").unwrap()).is_ok());
}

/// A vault of another kind does not open a backup, and neither does another installation; both ways.
#[test]
fn others_do_not_open_it() {
    let scene = Scene::new();
    let hsm = beside(&scene, OTHER, VaultKind::ManagedHsm);
    let blob = scene.backup(KEY).unwrap();
    assert_eq!(restore_in(&hsm, &blob), refused(BackupError::Seal(SealError::Integrity)));
    let grant = grant_in(OTHER, Permission::Create);
    wait(hsm.create(&context(&grant, "create-1", NOW), &create(KEY).to_new())).unwrap();
    let of_hsm = wait(hsm.backup(&context(&grant_in(OTHER, Permission::Backup), "backup-1", NOW), &name(KEY)));
    scene.remove(KEY);
    assert_eq!(scene.restore(&of_hsm.unwrap()), refused(BackupError::Seal(SealError::Integrity)));
    let stranger = Setup { root: [0x78; 32], ..Setup::default() }.bare();
    let kek = blob[MAGIC + 1..MAGIC + 17].try_into().unwrap();
    assert_eq!(stranger.restore(&blob), refused(BackupError::Seal(SealError::OtherKek { kek })));
    assert!(scene.restore(&blob).is_ok(), "the control");
}

/// A blob of which any octet is altered, that was cut or goes on, or that is something else is refused, and nothing is
/// written.
#[test]
fn altered_blobs_are_refused() {
    let scene = Scene::new();
    let blob = scene.backup(KEY).unwrap();
    scene.remove(KEY);
    let before = (rows(&scene.store), scene.records().len());
    for at in 0..blob.len() {
        let mut altered = blob.clone();
        altered[at] ^= 1;
        let expected = match at {
            at if at < MAGIC => BackupError::NotABackup,
            MAGIC => BackupError::Seal(SealError::UnknownFormat { format: 0 }),
            at if at <= MAGIC + 16 => {
                let kek = altered[MAGIC + 1..MAGIC + 17].try_into().unwrap();
                BackupError::Seal(SealError::OtherKek { kek })
            }
            _ => BackupError::Seal(SealError::Integrity),
        };
        assert_eq!(scene.restore(&altered), refused(expected), "octet {at}");
    }
    for len in 0..blob.len() {
        let found = scene.restore(&blob[..len]).unwrap_err();
        let expected = match len {
            len if len < MAGIC => BackupError::NotABackup,
            len if len < MAGIC + 77 => BackupError::Seal(SealError::Malformed { len: len - MAGIC }),
            _ => BackupError::Seal(SealError::Integrity),
        };
        assert_eq!(found, Refusal::Backup(expected), "{len} octets");
    }
    let more = [blob.as_slice(), &[0]].concat();
    assert_eq!(scene.restore(&more), refused(BackupError::Seal(SealError::Integrity)));
    let row_of_ours = rows(&scene.store)[0].1.clone();
    for foreign in [b"&AzureKeyVaultKeyBackupV1.microsoft.com".as_slice(), b"x", &row_of_ours, &blob[1..]] {
        assert_eq!(scene.restore(foreign), refused(BackupError::NotABackup));
    }
    let other = [&blob[..MAGIC], &row_of_ours].concat();
    assert!(matches!(scene.restore(&other), Err(Refusal::Backup(BackupError::Seal(SealError::OtherKek { .. })))));
    assert_eq!((rows(&scene.store), scene.records().len()), before);
    assert!(scene.restore(&blob).is_ok(), "the control");
}

/// What opens is still looked at: a version that is missing, in another's place, or with other material than its head says
/// is refused, whoever could seal it.
#[test]
fn contents_have_to_agree() {
    let scene = Setup::default().bare();
    let head = KeyHead::clone(&rich(&scene).head);
    let listed = versions(&scene);
    let version = |of: &VersionRef| listed.iter().find(|version| version.version == of.version).unwrap().clone();
    let whole = Backup { vault: VAULT_ID, versions: head.versions.iter().map(version).collect(), head, rotation: None };
    let sealer = Root::new(Zeroizing::new([7; 32])).sealer("a blob of any maker", &[0; 16]);
    let reopened = |backup: &Backup| {
        let blob = backup.seal(&sealer, VaultKind::Premium, &mut randomness()).unwrap();
        Backup::open(&blob, &sealer, VaultKind::Premium)
    };
    let with = |edit: fn(&mut Vec<KeyVersion>)| {
        let mut versions = whole.versions.clone();
        edit(&mut versions);
        reopened(&Backup { versions, ..whole.clone() })
    };
    let [first, second, _] = whole.versions.as_slice() else { panic!("three versions") };
    let (expected, found) = (first.version.to_string(), second.version.to_string());
    let fewer = with(|versions| drop(versions.pop()));
    assert_eq!(fewer, Err(BackupError::Content(Corrupted::Form("versions and head differ"))));
    let swapped = with(|versions| versions.swap(0, 1));
    assert_eq!(swapped, Err(BackupError::Content(Corrupted::OtherVersion { expected: expected.clone(), found })));
    let exchanged = with(|versions| versions[0].material = versions[1].material.clone());
    assert_eq!(exchanged, Err(BackupError::Content(Corrupted::MaterialMismatch { version: expected })));
    let blob = whole.seal(&sealer, VaultKind::Premium, &mut randomness()).unwrap();
    let bound_to = b"key backup, key vault";
    let plain = sealer.open(bound_to, &blob[MAGIC..]).unwrap().to_vec();
    let spelled = |plain: &[u8]| {
        let sealed = sealer.seal(bound_to, plain, &mut *randomness()).unwrap();
        Backup::open(&[&blob[..MAGIC], &sealed].concat(), &sealer, VaultKind::Premium)
    };
    let form = |what| Err(BackupError::Content(Corrupted::Form(what)));
    assert_eq!(spelled(&[plain.as_slice(), &[0]].concat()), form("there is more than one record"));
    assert_eq!(plain[..2], [0x85, 1], "five fields, and the first is the format");
    assert_eq!(spelled(&[&[0x86, 1], &plain[2..]].concat()), form("a field is malformed"));
    assert_eq!(spelled(&[&[0x85, 2], &plain[2..]].concat()), form("a field is malformed"));
    assert_eq!(spelled(&plain), Ok(whole.clone()), "the control");
    assert_eq!(reopened(&whole), Ok(whole), "the control");
}

/// A key is not restored over its own name, live or deleted, in any case and whatever key has it.
#[test]
fn names_that_are_taken() {
    let scene = Scene::new();
    let blob = scene.backup(KEY).unwrap();
    let live = || Some(Refusal::NameTaken { name: "PAYMENTS".into() });
    let deleted = |name: &str| Some(Refusal::DeletedButRecoverable { name: name.into() });
    assert_eq!(scene.restore(&blob).err(), Some(Refusal::NameTaken { name: KEY.into() }));
    scene.delete(KEY).unwrap();
    assert_eq!(scene.restore(&blob).err(), deleted(KEY));
    scene.purge(KEY).unwrap();
    let other = scene.create("PAYMENTS", OCT);
    let before = (rows(&scene.store), scene.records().len());
    assert_eq!(scene.restore(&blob).err(), live());
    assert_eq!((rows(&scene.store), scene.records().len()), before);
    assert_eq!(scene.key(KEY), other);
    scene.delete(KEY).unwrap();
    assert_eq!(scene.restore(&blob).err(), deleted("PAYMENTS"));
    scene.purge(KEY).unwrap();
    assert_eq!(scene.restore(&blob).unwrap().head.name.as_str(), KEY);
}

/// Backups are of live keys, and of disabled ones too.
#[test]
fn what_is_backed_up() {
    let scene = Setup::default().bare();
    let missing = || Some(Refusal::KeyNotFound { name: KEY.into() });
    assert_eq!(scene.backup(KEY).err(), missing());
    scene.create(KEY, EC);
    scene.enable(KEY, false).unwrap();
    let blob = scene.backup(KEY).unwrap();
    scene.delete(KEY).unwrap();
    let records = scene.records().len();
    assert_eq!(scene.backup(KEY).err(), missing());
    assert_eq!(scene.records().len(), records, "what was not backed up is not on record");
    scene.purge(KEY).unwrap();
    assert!(!scene.restore(&blob).unwrap().version.enabled, "it comes back disabled");
}

/// Changes the key's policy to itself.
fn same_policy(scene: &Scene, immutable: bool) {
    let input = PolicyInput { data: policy().into(), immutable: Some(immutable) };
    scene.update(KEY, &Changes { policy: Some(input), ..Changes::default() }).unwrap();
}

fn revoke(scene: &Scene, min_iat: u64) {
    scene.update(KEY, &Changes { min_iat: Some(min_iat), ..Changes::default() }).unwrap();
}

/// What a purge has seen a restore does not take back: an older generation of the policy, one that can change where it was
/// fixed, tokens that were revoked. What is as new and as strict comes back and takes the tombstone with it; the next purge
/// leaves another.
#[test]
fn lineage_is_kept() {
    let scene = Scene::new();
    let oldest = scene.backup(KEY).unwrap();
    same_policy(&scene, false);
    let before_revocation = scene.backup(KEY).unwrap();
    revoke(&scene, NOW - 100);
    let good = scene.backup(KEY).unwrap();
    scene.remove(KEY);
    let tombstone = rows(&scene.store);
    assert_eq!(tombstone.len(), 1);
    let older = || refused(BackupError::OlderGeneration { found: 1, known: 2 });
    let lowered = |known| refused(BackupError::MinIatLowered { found: 0, known });
    for _ in 0..2 {
        assert_eq!(scene.restore(&oldest), older());
        assert_eq!(scene.restore(&before_revocation), lowered(NOW - 100));
        assert_eq!(rows(&scene.store), tombstone);
    }
    let restored = scene.restore(&good).unwrap();
    assert_eq!((restored.head.generation, restored.head.min_iat), (2, NOW - 100));
    assert_eq!(rows(&scene.store).len(), 2, "a head, a version, and no tombstone");
    scene.remove(KEY);
    assert_eq!((scene.restore(&oldest), scene.restore(&before_revocation)), (older(), lowered(NOW - 100)));
    scene.restore(&good).unwrap();
    same_policy(&scene, false);
    scene.remove(KEY);
    assert_eq!(scene.restore(&good), refused(BackupError::OlderGeneration { found: 2, known: 3 }));
}

/// A policy that was fixed for good is not restored as one that can change, even of the same generation.
#[test]
fn fixed_policy_is_not_loosened() {
    let scene = Scene::new();
    let loose = scene.backup(KEY).unwrap();
    same_policy(&scene, true);
    let fixed = scene.backup(KEY).unwrap();
    scene.remove(KEY);
    assert_eq!(scene.restore(&loose), refused(BackupError::OlderGeneration { found: 1, known: 2 }));
    assert!(scene.restore(&fixed).unwrap().head.immutable);
    scene.remove(KEY);
    // Only a fault of ours makes a backup of the same generation that is loose: by the pure function.
    let key = edited(&scene.restore(&fixed).unwrap(), |head, _| head.immutable = false);
    let backup = skerry_vault::backup::Backup {
        vault: VAULT_ID,
        head: KeyHead::clone(&key.head),
        versions: vec![KeyVersion::clone(&key.version)],
        rotation: None,
    };
    let known =
        skerry_vault::stored::Tombstone { id: key.head.id, generation: 2, immutable: true, min_iat: 0, purged: NOW };
    let admit = |known| {
        let free = skerry_vault::record::Slot::Free;
        skerry_vault::decide::admit_restored(scene.vault.rules(), &free, known, &backup)
    };
    assert_eq!(admit(Some(&known)), refused(BackupError::PolicyLoosened));
    let mutable = skerry_vault::stored::Tombstone { immutable: false, ..known };
    assert_eq!((admit(Some(&mutable)), admit(None)), (Ok(()), Ok(())));
}

/// The tombstone of one vault is not another's: there the backup is of a key that was never seen.
#[test]
fn lineage_is_of_one_vault() {
    let scene = Scene::new();
    let oldest = scene.backup(KEY).unwrap();
    same_policy(&scene, false);
    scene.remove(KEY);
    assert!(scene.restore(&oldest).is_err());
    assert!(restore_in(&beside(&scene, OTHER, VaultKind::Premium), &oldest).is_ok());
}

/// A backup is on record, whole, as one that was permitted; a restore as intended and committed. What is refused by its
/// blob is not on record.
#[test]
fn backups_and_restores_are_on_record() {
    let scene = Scene::new();
    let blob = scene.backup(KEY).unwrap();
    let key = scene.key(KEY);
    let record = scene.records().pop().unwrap();
    for (name, expected) in
        [("event", "key-backed-up"), ("verdict", "permitted"), ("who", CALLER), ("request", "backup-1")]
    {
        assert_eq!(text(&record, name), expected);
    }
    assert_eq!(text(&record, "version"), key.version.version.to_string());
    scene.remove(KEY);
    let before = scene.records().len();
    assert!(scene.restore(&blob[1..]).is_err());
    scene.restore(&blob).unwrap();
    assert!(scene.restore(&blob).is_err());
    assert_eq!(scene.story().split_off(before), made("key-restored", 1));
}

/// A backup that cannot be put on record is not answered.
#[test]
fn backup_that_is_not_on_record_is_none() {
    let limits = skerry_audit::Limits { log_len_max: 16 * 1024 };
    let scene = Setup { log: limits, ..Setup::default() }.scene();
    let backups: Vec<_> = (0..40).map(|_| scene.backup(KEY).map(drop)).collect();
    assert_eq!(backups.first(), Some(&Ok(())));
    assert!(matches!(backups.last(), Some(Err(Refusal::Audit(_)))));
}

/// What vaults have in the store, by key.
fn rows(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let page = wait(store.range(b"v/", None, 1_000, At::Linearizable)).unwrap();
    page.rows.into_iter().map(|row| (row.key, row.entry.value)).collect()
}

/// Every version of the key works.
fn assert_whole(scene: &Scene, versions: usize) {
    let key = scene.key(KEY);
    assert_eq!(key.head.versions.len(), versions);
    for VersionRef { version, .. } in &key.head.versions {
        assert!(scene.sign_at(KEY, Some(*version), SignAlgorithm::Es256, &DIGEST, NOW).is_ok());
    }
    assert_eq!(rows(&scene.store).len(), versions + 1, "and there is nothing else");
}

/// Of many who restore one backup at once exactly one does, and the key is whole; the rest are told that others are at it
/// or that the name is taken.
#[test]
fn many_restore_at_once() {
    let scene = Setup::default().bare();
    for _ in 0..3 {
        scene.create(KEY, EC);
    }
    let blob = scene.backup(KEY).unwrap();
    for _ in 0..10 {
        scene.remove(KEY);
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| scene.restore(&blob))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let losers = results.into_iter().filter_map(Result::err);
        let expected = [Refusal::Contended, Refusal::NameTaken { name: KEY.into() }];
        losers.for_each(|refusal| assert!(expected.contains(&refusal), "{refusal:?}"));
        assert_whole(&scene, 3);
    }
}

/// Two servers of one vault, one of which restores the backup between any two steps of the other: one of them does, and the
/// key is whole.
#[test]
fn another_server_restores_in_between() {
    let outcomes: BTreeSet<bool> = (0..24).map(|at| restored_in_between(at, |_| {}, 1)).collect();
    assert_eq!(outcomes.len(), 2, "before the other, and after it");
}

/// The same, where the key that the other restored is deleted and purged again, so that the first may restore it too.
#[test]
fn another_server_restores_and_purges_in_between() {
    let remove = |vault: &Vault| {
        let (delete, purge) = (grant(Permission::Delete), grant(Permission::Purge));
        wait(vault.delete(&context(&delete, "delete-1", NOW), &name(KEY))).unwrap();
        wait(vault.purge(&context(&purge, "purge-1", NOW), &name(KEY))).unwrap();
    };
    for at in 0..24 {
        restored_in_between(at, remove, 0);
    }
}

/// Restores with another server's restore before the draw `at`, and whatever it does `then`; how many keys the other leaves
/// if it succeeds. Whether the first has restored the key.
fn restored_in_between(at: usize, then: fn(&Vault), others: usize) -> bool {
    let scene = Setup::default().bare();
    for _ in 0..3 {
        scene.create(KEY, EC);
    }
    let blob = scene.backup(KEY).unwrap();
    scene.remove(KEY);
    let other = Arc::new(beside(&scene, VAULT_ID, VaultKind::Premium));
    let (theirs, blob_2) = (Arc::new(std::sync::Mutex::new(None)), blob.clone());
    let told = Arc::clone(&theirs);
    let randomness = meanwhile(at, move || {
        let restored = restore_in(&other, &blob_2);
        if restored.is_ok() {
            then(&other);
        }
        *told.lock().unwrap() = Some(restored);
    });
    let grant = grant(Permission::Restore);
    let context = Context { grant: &grant, request_id: "restore-1", now: self::at(NOW), randomness: &randomness };
    let ours = wait(scene.vault.restore(&context, &blob));
    let taken = Some(Refusal::NameTaken { name: KEY.into() });
    match theirs.lock().unwrap().take() {
        Some(Ok(_)) if others == 1 => assert_eq!(ours.clone().err(), taken, "{at}"),
        Some(Err(refusal)) => assert_eq!((Some(refusal), ours.is_ok()), (taken, true), "{at}"),
        _ => assert!(ours.is_ok(), "{at}: {ours:?}"),
    }
    assert_whole(&scene, 3);
    ours.is_ok()
}

/// Another server that starts, and sweeps, between any two steps of a restore takes staged versions away; the restore stages
/// them anew, and the key is whole.
#[test]
fn another_server_sweeps_in_between() {
    for at in 0..16 {
        let scene = Scene::new();
        let blob = scene.backup(KEY).unwrap();
        scene.remove(KEY);
        let other = beside(&scene, VAULT_ID, VaultKind::Premium);
        let randomness = meanwhile(at, move || wait(other.sweep(self::at(NOW), &randomness)).unwrap());
        let grant = grant(Permission::Restore);
        let context = Context { grant: &grant, request_id: "restore-1", now: self::at(NOW), randomness: &randomness };
        assert!(wait(scene.vault.restore(&context, &blob)).is_ok(), "{at}");
        assert_whole(&scene, 1);
    }
}

/// A purge whose leftovers another server has swept does not take the versions of the key that was restored since.
#[test]
fn another_server_restores_while_the_purge_goes_on() {
    let mut restored = BTreeSet::new();
    for at in 0..8 {
        let scene = Scene::new();
        let blob = scene.backup(KEY).unwrap();
        scene.delete(KEY).unwrap();
        let other = beside(&scene, VAULT_ID, VaultKind::Premium);
        let randomness = meanwhile(at, move || {
            wait(other.sweep(self::at(NOW), &randomness)).unwrap();
            drop(restore_in(&other, &blob));
        });
        let grant = grant(Permission::Purge);
        let context = Context { grant: &grant, request_id: "purge-1", now: self::at(NOW), randomness: &randomness };
        assert_eq!(wait(scene.vault.purge(&context, &name(KEY))), Ok(()));
        restored.insert(scene.has(KEY));
        if scene.has(KEY) {
            assert_whole(&scene, 1);
        }
    }
    assert_eq!(restored.len(), 2, "before the purge was made, and after");
}

/// A process that ends anywhere in a restore leaves nothing that can be read; the next start sweeps it away, and a restore
/// does without.
#[test]
fn crash_in_a_restore() {
    let mut left = BTreeSet::new();
    for at in 0..12 {
        let scene = Setup::default().bare();
        for _ in 0..3 {
            scene.create(KEY, EC);
        }
        let blob = scene.backup(KEY).unwrap();
        scene.remove(KEY);
        let before = rows(&scene.store);
        let crash = || {
            let randomness = crashing(at);
            let grant = grant(Permission::Restore);
            let context = Context { grant: &grant, request_id: "r", now: self::at(NOW), randomness: &randomness };
            wait(scene.vault.restore(&context, &blob)).map(drop)
        };
        match catch_unwind(AssertUnwindSafe(crash)) {
            Ok(restored) => {
                assert_eq!(restored, Ok(()));
                left.insert(usize::MAX);
                continue;
            }
            Err(_) => drop(left.insert(rows(&scene.store).len())),
        }
        assert!(!scene.has(KEY) && scene.sign(KEY).is_err() && scene.release(&good_token()).is_err());
        assert_eq!(scene.list(&ListCommand::default()).unwrap().rows, []);
        if at.is_multiple_of(2) {
            scene.sweep().unwrap();
            assert_eq!(rows(&scene.store), before, "{at}");
        }
        scene.restore(&blob).unwrap();
        assert_whole(&scene, 3);
    }
    assert_eq!(left, BTreeSet::from([1, 5, usize::MAX]), "nothing yet; a tombstone, a mark and versions; all");
}

/// Randomness of a process that ends at the draw `at`.
fn crashing(at: usize) -> impl Fn() -> skerry_vault::command::Randomness + Send + Sync {
    let drawn = std::sync::atomic::AtomicUsize::new(0);
    move || match drawn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == at {
        true => panic!("the process ends here, as this test has it"),
        false => randomness(),
    }
}

/// Commits of a restore whose answer does not come back are settled, each of them; a store that fails leaves it open.
#[test]
fn unknown_outcomes_of_a_restore_are_settled() {
    for step in 0..2 {
        for fault in [Fault::Unanswered, Fault::Lost] {
            let (faults, scene, blob) = purged();
            faults.pass(step).then(fault);
            assert!(scene.restore(&blob).is_ok(), "{step} {fault:?}");
            assert_whole(&scene, 1);
        }
        let (faults, scene, blob) = purged();
        faults.pass(step).then(Fault::Failed);
        assert_eq!(scene.restore(&blob).err(), Some(Refusal::Unsettled), "{step}");
    }
}

fn purged() -> (Faults, Scene, Vec<u8>) {
    let faults = Faults::default();
    let scene = Setup { store: Store::memory_with(faults.clone()), ..Setup::default() }.scene();
    let blob = scene.backup(KEY).unwrap();
    scene.remove(KEY);
    (faults, scene, blob)
}

/// Versions with the longest tags, of which a hundred are more than a transaction holds, are backed up and come back.
#[test]
fn many_long_versions() {
    let scene = Setup::default().bare();
    let long = (0..15).map(|number| (format!("{number:0>256}"), "\u{10ffff}".repeat(256))).collect();
    let new = NewKey { tags: Some(skerry_vault::command::Tags::new(long).unwrap()), ..create(KEY).to_new() };
    for _ in 0..30 {
        scene.make_new(&new).unwrap();
    }
    for _ in 0..110 {
        scene.create(KEY, EC);
    }
    let before = versions_of(&scene);
    let blob = scene.backup(KEY).unwrap();
    assert!(blob.len() > 512 * 1024);
    scene.remove(KEY);
    scene.restore(&blob).unwrap();
    assert_eq!(versions_of(&scene), before);
    assert_whole(&scene, 140);
    for _ in 0..30 {
        scene.make_new(&new).unwrap();
    }
    let Err(Refusal::Backup(BackupError::TooLarge { len })) = scene.backup(KEY) else { panic!("not too large") };
    assert!(len > skerry_store::limits::VALUE_LEN_MAX);
}

fn versions_of(scene: &Scene) -> Vec<[u8; 16]> {
    ids(&scene.key(KEY))
}

/// Who backs up a key that changes meanwhile has it as it was at one time or is told that it is gone: never damage.
#[test]
fn keys_change_while_they_are_backed_up() {
    let scene = Scene::new();
    scene.create(KEY, EC);
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for _ in 0..40 {
                scene.delete(KEY).unwrap();
                scene.purge(KEY).unwrap();
                scene.create(KEY, EC);
                scene.create(KEY, EC);
            }
        });
        while !changes.is_finished() {
            match scene.backup(KEY) {
                Ok(_) => {}
                Err(refusal) => {
                    let gone = [Refusal::KeyNotFound { name: KEY.into() }, Refusal::Contended];
                    assert!(gone.contains(&refusal), "{refusal:?}");
                }
            }
        }
    });
    assert!(scene.backup(KEY).is_ok());
}

/// What the vault may not make it does not restore either: the rules are those of the vault that it goes to.
#[test]
fn rules_are_those_of_the_vault_it_goes_to() {
    let none = HsmBacking::default();
    let danger = none.danger().software_hsm();
    let scene = Scene::new();
    scene.make(&CreateCommand { exportable: false, policy: None, ..create("hsm") }).unwrap();
    let soft = NewKey { hsm: false, ..CreateCommand { exportable: false, policy: None, ..create("soft") }.to_new() };
    scene.make_new(&soft).unwrap();
    let blobs = [KEY, "hsm", "soft"].map(|key| scene.backup(key).unwrap());
    let (on_standard, in_software) = (Some(Refusal::HsmOnStandard), Some(Refusal::HsmInSoftware));
    for (kind, hsm, expected) in [
        (VaultKind::Premium, danger, [None, None, None]),
        (VaultKind::Premium, none, [in_software.clone(), in_software, None]),
        (VaultKind::Standard, danger, [Some(Refusal::ExportableOnStandard), on_standard.clone(), None]),
        (VaultKind::Standard, none, [Some(Refusal::ExportableOnStandard), on_standard, None]),
    ] {
        let id = Uuid::from_bytes([u8::from(hsm == danger) * 2 + u8::from(kind == VaultKind::Premium); 16]);
        let to = Setup { id, kind, hsm, ..Setup::default() }.try_vault(&scene.installation).unwrap().0;
        for (blob, expected) in blobs.iter().zip(expected) {
            assert_eq!(restore_in(&to, blob).err(), expected, "{kind:?}");
        }
    }
}
