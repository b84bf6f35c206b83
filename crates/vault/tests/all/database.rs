//! Attacks 49 to 51: somebody writes into the database, or a cache holds what is not so any more.
//!
//! Rows are altered through the store itself, on both engines, so that the store takes them for its own; where they are
//! altered behind its back, it does not open. Rows that somebody makes without the keys do not open, whatever
//! is in them; the rest are rows made with the key of the records, as only a fault of ours would make them.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase as _, StorageBackend, TableDefinition};
use skerry_keys::{CustodyError, KeyType, OpenError, ReleaseError, RsaBits, WrapAlgorithm};
use skerry_policy::permit::Denied;
use skerry_store::seal::{Root, SealError, Sealer};
use skerry_store::stamp::{Kind, STAMP_KEY, StampError};
use skerry_store::{At, Op, OpId, Options, Outcome, Store, StoreError, Txn};
use skerry_vault::command::{Changes, KeyOp, ListCommand, Operation, PolicyInput};
use skerry_vault::record::{Corrupted, Key, KeyPolicy};
use skerry_vault::stored::{decode_head, encode_head, encode_version};
use skerry_vault::{Installation, InstallationError, Refusal};
use tempfile::TempDir;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::operations::Text;
use crate::support::*;

const OTHER_VAULT: Uuid = Uuid::from_bytes([0x52; 16]);
/// What the installation remembers beside the records of vaults.
const MEMORY: &[u8] = b"meta/memory";

fn under(vault: Uuid, kind: &[u8], rest: &[u8]) -> Vec<u8> {
    [b"v/", vault.as_bytes().as_slice(), kind, rest].concat()
}

fn head_at(key: &str) -> Vec<u8> {
    under(VAULT_ID, b"/k/", key.as_bytes())
}

pub(crate) fn version_at(key: &Key) -> Vec<u8> {
    under(VAULT_ID, b"/m/", &[key.head.id.as_bytes().as_slice(), &key.version.version.0].concat())
}

pub(crate) fn row(store: &Store, at: &[u8]) -> Vec<u8> {
    wait(store.get(at, At::Linearizable)).unwrap().unwrap().value
}

pub(crate) fn put(store: &Store, at: &[u8], value: &[u8]) {
    change(store, Op::Put(at.to_vec(), value.to_vec()));
}

pub(crate) fn remove(store: &Store, at: &[u8]) {
    change(store, Op::Delete(at.to_vec()));
}

fn change(store: &Store, op: Op) {
    let txn = Txn { op: OpId::random(&mut *randomness()), checks: Vec::new(), ops: vec![op] };
    assert!(matches!(wait(store.commit(&txn)), Ok(Outcome::Committed(_))));
}

/// What seals this vault's records.
fn records() -> Sealer {
    root().sealer(Root::VAULT_RECORDS, VAULT_ID.as_bytes())
}

fn seal(sealer: &Sealer, at: &[u8], plain: &[u8]) -> Vec<u8> {
    sealer.seal(at, plain, &mut *randomness()).unwrap()
}

/// Puts a live key's head and version in place, sealed as the vault does.
pub(crate) fn write(store: &Store, key: &Key) {
    write_head(store, key);
    write_version(store, &version_at(key), key);
}

fn write_head(store: &Store, key: &Key) {
    let at = head_at(&key.head.name.folded());
    put(store, &at, &seal(&records(), &at, &encode_head(&key.head)));
}

fn write_version(store: &Store, at: &[u8], key: &Key) {
    put(store, at, &seal(&records(), at, &encode_version(&key.version).unwrap()));
}

/// A vault on each engine, with [`KEY`] twice and another key; the folder of the file is kept as long as the vault is.
fn on_every_engine(test: impl Fn(&Scene)) {
    let folder = TempDir::new().unwrap();
    let file = Store::create(&folder.path().join("store"), &root(), Options::new(|_| {})).unwrap();
    for store in [Store::memory(), file] {
        let scene = Setup { store, ..Setup::default() }.scene();
        scene.create(KEY, EC);
        scene.create("other", EC);
        assert!(scene.release(&good_token()).is_ok());
        test(&scene);
    }
}

/// Nothing that works on this key succeeds or is on record, and all of it says why; but a new version needs the head alone.
fn assert_corrupted(scene: &Scene, corrupted: &Corrupted, head: bool, what: &str) {
    let before = scene.records().len();
    let refused = Some(Refusal::Corrupted(corrupted.clone()));
    assert_eq!(scene.release(&good_token()).err(), refused, "release: {what}");
    assert_eq!(scene.get(KEY).err(), refused, "get: {what}");
    assert_eq!(scene.sign(KEY).err(), refused, "sign: {what}");
    assert_eq!(scene.check(KEY, &[0; 64]).err(), refused, "verify: {what}");
    assert_eq!(scene.enable(KEY, true).err(), refused, "update: {what}");
    assert_eq!(scene.delete(KEY).err(), refused, "delete: {what}");
    assert_eq!(scene.list(&ListCommand::default()).err(), refused, "list: {what}");
    if head {
        assert_eq!(scene.make(&create(KEY)).err(), refused, "create: {what}");
        assert_eq!(scene.list_versions(KEY, &ListCommand::default()).err(), refused, "list of versions: {what}");
    }
    assert_eq!(scene.records().len(), before, "{what}");
}

/// Puts the value in place, sees that nothing works, and puts the old one back, with which everything does.
fn assert_refused(scene: &Scene, at: &[u8], value: &[u8], corrupted: &Corrupted, head: bool, what: &str) {
    let before = row(&scene.store, at);
    put(&scene.store, at, value);
    assert_corrupted(scene, corrupted, head, what);
    put(&scene.store, at, &before);
    assert!(scene.release(&good_token()).is_ok(), "the control: {what}");
}

/// Attack 49: a head or a version of which any octet is altered does not open.
#[test]
fn attack_49_every_octet_of_a_row() {
    let scene = Scene::new();
    let key = scene.key(KEY);
    for at in [head_at(KEY), version_at(&key)] {
        let good = row(&scene.store, &at);
        for (octet, by) in (0..good.len()).flat_map(|octet| [(octet, 1_u8), (octet, 0x80)]) {
            let mut altered = good.clone();
            altered[octet] ^= by;
            put(&scene.store, &at, &altered);
            let expected = match octet {
                0 => SealError::UnknownFormat { format: altered[0] },
                1..17 => SealError::OtherKek { kek: altered[1..17].try_into().unwrap() },
                _ => SealError::Integrity,
            };
            assert_eq!(scene.get(KEY).err(), Some(Corrupted::Seal(expected).into()), "octet {octet}");
        }
        for len in [0, 1, 76, good.len() - 1] {
            put(&scene.store, &at, &good[..len]);
            let expected = if len < 77 { SealError::Malformed { len } } else { SealError::Integrity };
            assert_eq!(scene.get(KEY).err(), Some(Corrupted::Seal(expected).into()), "{len} octets");
        }
        put(&scene.store, &at, &good);
        assert_eq!(scene.get(KEY), Ok(key.clone()), "the control");
    }
    assert_eq!(scene.records().len(), 2, "nothing was done");
}

/// Attack 49: a row of another place, key, version, vault or installation in the place of one does not open there, and a
/// policy that was loosened does not without the key that seals it.
#[test]
fn attack_49_rows_moved_and_forged() {
    on_every_engine(|scene| {
        let (key, other) = (scene.key(KEY), scene.key("other"));
        let old = scene.get_version(KEY, key.head.versions[0].version).unwrap();
        let (head, version) = (head_at(KEY), version_at(&key));
        let integrity = Corrupted::Seal(SealError::Integrity);
        let moved = [
            (&head, head_at("other"), true, "the head of another key"),
            (&head, version.clone(), true, "a version"),
            (&version, version_at(&old), false, "an older version of the key"),
            (&version, version_at(&other), false, "a version of another key"),
            (&version, head.clone(), false, "a head"),
        ];
        for (at, from, of_head, what) in moved {
            assert_refused(scene, at, &row(&scene.store, &from), &integrity, of_head, what);
        }
        scene.enable("other", false).unwrap();
        let earlier = row(&scene.store, &version_at(&other));
        scene.enable("other", true).unwrap();
        assert_refused(scene, &version, &earlier, &integrity, false, "an older row of another key");

        let loose = edited(&key, |head, _| {
            head.policy = Some(KeyPolicy::parse(entry(ISSUER, r#"{"claim":"iss","exists":true}"#).as_bytes()).unwrap());
        });
        let (loose, same) = (encode_head(&loose.head), encode_version(&key.version).unwrap());
        let guessed = |kek_id| Sealer::new(Zeroizing::new([5; 32]), kek_id);
        let (_, own) = root().kek(Root::VAULT_RECORDS, VAULT_ID.as_bytes());
        let other_kek = |sealer: &Sealer, at: &[u8], plain: &[u8]| {
            let sealed = seal(sealer, at, plain);
            let kek = sealed[1..17].try_into().unwrap();
            (sealed, Corrupted::Seal(SealError::OtherKek { kek }))
        };
        let foreign = [
            ("another vault's", root().sealer(Root::VAULT_RECORDS, OTHER_VAULT.as_bytes())),
            ("another purpose's", root().sealer(Root::VAULT_MATERIAL, VAULT_ID.as_bytes())),
            (
                "another installation's",
                Root::new(Zeroizing::new([1; 32])).sealer(Root::VAULT_RECORDS, VAULT_ID.as_bytes()),
            ),
        ];
        for (whose, sealer) in foreign {
            for (at, plain, of_head) in [(&head, &loose, true), (&version, &same, false)] {
                let (sealed, corrupted) = other_kek(&sealer, at, plain);
                assert_refused(scene, at, &sealed, &corrupted, of_head, whose);
            }
        }
        assert_refused(scene, &head, &seal(&guessed(own), &head, &loose), &integrity, true, "under a key with our id");
        assert_refused(scene, &head, &loose, &malformed(&loose), true, "in the clear");
        assert_refused(
            scene,
            &version,
            &seal(&guessed(own), &version, &same),
            &integrity,
            false,
            "under a key with our id",
        );
    });
}

/// What a row in the clear looks like to the seal: an array of ten is no format that is known.
fn malformed(plain: &[u8]) -> Corrupted {
    Corrupted::Seal(SealError::UnknownFormat { format: plain[0] })
}

/// Attack 49: a deleted key's row is no live one: it cannot be brought back, or released, but by recovering it.
#[test]
fn attack_49_deleted_row_is_not_live() {
    on_every_engine(|scene| {
        scene.delete(KEY).unwrap();
        let deleted = row(&scene.store, &under(VAULT_ID, b"/d/", KEY.as_bytes()));
        put(&scene.store, &head_at(KEY), &deleted);
        let refused = Refusal::Corrupted(Corrupted::Seal(SealError::Integrity));
        assert_eq!(scene.release(&good_token()).err(), Some(refused));
        change(&scene.store, Op::Delete(head_at(KEY)));
        scene.recover(KEY).unwrap();
        assert!(scene.release(&good_token()).is_ok(), "the control");
    });
}

/// Rows that are sealed as ours and are not what the head says: each is told by its own reason.
#[test]
fn rows_that_contradict_the_head() {
    on_every_engine(|scene| {
        let (key, other) = (scene.key(KEY), scene.key("other"));
        let old = scene.get_version(KEY, key.head.versions[0].version).unwrap();
        let at = version_at(&key);
        let text = |key: &Key| key.version.version.to_string();
        let sealed = |key: &Key| seal(&records(), &at, &encode_version(&key.version).unwrap());
        let found = Corrupted::OtherVersion { expected: text(&key), found: text(&old) };
        assert_refused(scene, &at, &sealed(&old), &found, false, "another version");
        let swapped = edited(&key, |_, version| version.material = other.version.material.clone());
        let mismatch = Corrupted::MaterialMismatch { version: text(&key) };
        assert_refused(scene, &at, &sealed(&swapped), &mismatch, false, "other material");
        for plain in [&[][..], &[0x80], &[0xf6], &encode_head(&key.head)] {
            let form = Corrupted::Form("a field is malformed");
            assert_refused(scene, &at, &seal(&records(), &at, plain), &form, false, "no version");
        }
        let whole = encode_version(&key.version).unwrap();
        let twice = seal(&records(), &at, &[whole.as_slice(), &[0]].concat());
        assert_refused(scene, &at, &twice, &Corrupted::Form("there is more than one record"), false, "more");

        let at = head_at(KEY);
        let renamed = seal(&records(), &at, &encode_head(&other.head));
        let before = row(&scene.store, &at);
        put(&scene.store, &at, &renamed);
        let refused = Corrupted::OtherName { expected: KEY.into(), found: "other".into() };
        assert_eq!(scene.release(&good_token()).err(), Some(refused.clone().into()));
        assert_eq!(
            scene.list(&ListCommand::default()).err(),
            Some(refused.into()),
            "nor is it listed, or kept from a list"
        );
        put(&scene.store, &at, &before);
        assert!(scene.release(&good_token()).is_ok(), "the control");
    });
}

/// Attack 49: where even the records' key is in foreign hands, custody's seal holds: what was made to stay does not leave
/// under a head that says exportable, and material does not serve another key. The release is on record and nothing is
/// answered.
#[test]
fn attack_49_material_is_bound_to_its_key() {
    on_every_engine(|scene| {
        scene.make(&CreateCommand { exportable: false, policy: None, ..create("kept") }).unwrap();
        let loosened = edited(&scene.key("kept"), |head, _| {
            head.exportable = true;
            head.policy = Some(KeyPolicy::parse(policy().as_bytes()).unwrap());
        });
        write(&scene.store, &loosened);
        let refused = Refusal::Release(ReleaseError::Custody(CustodyError::Integrity));
        let before = scene.records().len();
        assert_eq!(scene.release_key("kept", &good_token()).err(), Some(refused.clone()));
        assert_eq!(scene.records().len(), before + 1);
        let (key, material) = (scene.key(KEY), scene.key("other").version.material.clone());
        let swapped = edited(&key, |head, version| {
            head.versions[1].material = material.digest();
            version.material = material;
        });
        write(&scene.store, &swapped);
        assert_eq!(scene.release(&good_token()).err(), Some(refused));
        let refused = Refusal::Open(OpenError::Custody(CustodyError::Integrity));
        assert_eq!(scene.sign(KEY).err(), Some(refused));
        write(&scene.store, &key);
        assert!(scene.release(&good_token()).is_ok() && scene.sign(KEY).is_ok(), "the control");
    });
}

/// Rows that are taken away: without its head a key is not there, and a version that the head names is missed.
#[test]
fn rows_taken_away() {
    on_every_engine(|scene| {
        let key = scene.key(KEY);
        let (head, version) = (head_at(KEY), version_at(&key));
        let values = (row(&scene.store, &head), row(&scene.store, &version));
        change(&scene.store, Op::Delete(version.clone()));
        let missing = Corrupted::VersionMissing { version: key.version.version.to_string() };
        assert_corrupted(scene, &missing, false, "a version");
        assert_eq!(scene.list_versions(KEY, &ListCommand::default()).err(), Some(missing.clone().into()));
        put(&scene.store, &version, &values.1);
        assert!(scene.release(&good_token()).is_ok(), "the control");
        change(&scene.store, Op::Delete(head.clone()));
        assert_eq!(scene.release(&good_token()).err(), Some(Refusal::KeyNotFound { name: KEY.into() }));
        put(&scene.store, &head, &values.0);
        assert!(scene.release(&good_token()).is_ok(), "the control");
    });
}

/// Where a name has both a live and a deleted key, which only a foreign hand brings about, neither replaces the other.
#[test]
fn live_and_deleted_key_of_one_name() {
    on_every_engine(|scene| {
        let live = row(&scene.store, &head_at(KEY));
        let deleted = scene.delete(KEY).unwrap();
        put(&scene.store, &head_at(KEY), &live);
        assert_eq!(scene.recover(KEY).err(), Some(Refusal::Contended));
        assert_eq!(scene.delete(KEY).err(), Some(Refusal::Contended));
        assert_eq!(scene.get_deleted(KEY), Ok(deleted));
        remove(&scene.store, &head_at(KEY));
        assert!(scene.recover(KEY).is_ok(), "the control");
    });
}

/// The octets of a file's row, behind its store's back.
fn raw_row(path: &Path, at: &[u8]) -> Option<Vec<u8>> {
    let database = Database::open(path).unwrap();
    let read = database.begin_read().unwrap();
    let row = read.open_table(ENTRIES).unwrap().get(at).unwrap();
    row.map(|row| row.value().to_vec())
}

/// Puts a row in a file's place or takes it away, behind its store's back; gives what was there.
fn raw_change(path: &Path, at: &[u8], row: Option<&[u8]>) -> Option<Vec<u8>> {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut rows = transaction.open_table(ENTRIES).unwrap();
    let before = match row {
        Some(row) => rows.insert(at, row),
        None => rows.remove(at),
    };
    let before = before.unwrap().map(|row| row.value().to_vec());
    drop(rows);
    transaction.commit().unwrap();
    before
}

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

/// Attack 49: a row put back to what it was itself before opens, since it was sealed for this very place; but the store
/// does not. A policy is loosened again, a version enabled again, a deleted key brought back, one taken away: none of it
/// comes to a vault.
#[test]
fn attack_49_own_older_row_is_noticed_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let store = || Store::open(&path, &root(), Options::new(|_| {}));
    let file = Store::create(&path, &root(), Options::new(|_| {})).unwrap();
    let scene = Setup { store: file, ..Setup::default() }.scene();
    let key = scene.key(KEY);
    let (head, version) = (head_at(KEY), version_at(&key));
    scene.create("gone", EC);
    let log = scene.into_folder();
    let earlier = [&head, &version, &head_at("gone")].map(|at| (at.clone(), raw_row(&path, at).unwrap()));

    let scene = Setup { store: store().unwrap(), ..Setup::default() }.try_in(log).ok().unwrap();
    scene.enable(KEY, false).unwrap();
    let data = entry(ISSUER, r#"{"claim":"x-ms-attestation-type","equals":"tdxvm"}"#).into_bytes();
    let policy = Some(PolicyInput { data, immutable: None });
    scene.update(KEY, &Changes { policy, ..Changes::default() }).unwrap();
    scene.delete("gone").unwrap();
    let log = scene.into_folder();
    for (at, row) in &earlier {
        let now = raw_change(&path, at, Some(row));
        assert_ne!(now.as_ref(), Some(row));
        assert_eq!(store().err(), Some(StoreError::Altered), "{}", String::from_utf8_lossy(at));
        raw_change(&path, at, now.as_deref());
    }
    for at in [&head, &version, &under(VAULT_ID, b"/d/", b"gone")] {
        let row = raw_change(&path, at, None).unwrap();
        assert_eq!(store().err(), Some(StoreError::Altered), "{}", String::from_utf8_lossy(at));
        raw_change(&path, at, Some(&row));
    }
    let scene = Setup { store: store().unwrap(), ..Setup::default() }.try_in(log).ok().unwrap();
    assert!(scene.release(&good_token()).is_err() && scene.get_deleted("gone").is_ok(), "the control");
}

/// A file from which the thread that checks its rows reads nothing until it may.
#[derive(Debug)]
struct Held(FileBackend, Mutex<Receiver<()>>);

impl Held {
    fn open(path: &Path) -> (Held, Sender<()>) {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let (go, gate) = channel();
        (Held(FileBackend::new(file).unwrap(), Mutex::new(gate)), go)
    }
}

impl StorageBackend for Held {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        if thread::current().name() == Some("store") {
            // Nothing is ever sent.
            let _ = self.1.lock().unwrap().recv();
        }
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}

/// Everything that acts on [`KEY`] or its vault; whether it was done.
type Act = (&'static str, fn(&Scene) -> Result<(), Refusal>);

const ACTS: [Act; 10] = [
    ("release", |scene| scene.release(&good_token()).map(drop)),
    ("denied release", |scene| scene.release(&token(&claims().with("x-ms-attestation-type", "tdxvm"))).map(drop)),
    ("sign", |scene| scene.sign(KEY).map(drop)),
    ("verify", |scene| scene.check(KEY, &[0; 64]).map(drop)),
    ("wrap under a public half", wrap_public),
    ("update", |scene| scene.enable(KEY, true).map(drop)),
    ("create", |scene| scene.make(&create("new")).map(drop)),
    ("delete", |scene| scene.delete("gone").map(drop)),
    ("rotate", |scene| scene.rotate("kept").map(drop)),
    ("backup", |scene| scene.backup("kept").map(drop)),
];

/// Needs no private key and no thread, and acts on a row all the same.
fn wrap_public(scene: &Scene) -> Result<(), Refusal> {
    scene.wrap_at("public", &Text::new(WrapAlgorithm::RsaOaep256, &[7; 32]), NOW).map(drop)
}

/// Attack 49: where rows are checked beside reads, a key can be looked up, as it may have been put back; but nothing is
/// released, denied, signed, verified, changed or copied until the check is through. Then all of it is done, or none.
#[test]
fn attack_49_nothing_acts_on_rows_that_are_not_checked() {
    for altered in [false, true] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        let file = Store::create(&path, &root(), Options::new(|_| {})).unwrap();
        let scene = Setup { store: file, ..Setup::default() }.scene();
        ["gone", "kept"].iter().for_each(|key| drop(scene.create(key, EC)));
        let rsa = KeyType::Rsa { bits: RsaBits::B2048 };
        let public = CreateCommand { key_type: rsa, key_ops: vec![KeyOp::WrapKey], ..create("public") };
        scene.make(&public).unwrap();
        // More rows than redb keeps at hand.
        (0..40).for_each(|number| drop(scene.create(&format!("more-{number}"), OCT)));
        let head = head_at(KEY);
        let log = scene.into_folder();
        let earlier = raw_row(&path, &head).unwrap();
        let store = Store::open(&path, &root(), Options::new(|_| {})).unwrap();
        let scene = Setup { store, ..Setup::default() }.try_in(log).ok().unwrap();
        scene.update(KEY, &Changes { min_iat: Some(IAT), ..Changes::default() }).unwrap();
        wait(scene.installation.tick(at(NOW), &randomness)).unwrap();
        let log = scene.into_folder();
        if altered {
            assert_ne!(raw_change(&path, &head, Some(&earlier)), Some(earlier));
        }
        let (held, go) = Held::open(&path);
        let mut options = Options::new(|_| {});
        options.cache_len = 0;
        let store = Store::open_unverified_on(held, &root(), options).unwrap();
        let scene = Setup { store, ..Setup::default() }.try_in(log).ok().unwrap();
        thread::scope(|scope| {
            let scene = &scene;
            let acts = ACTS.map(|(what, act)| (what, scope.spawn(move || act(scene))));
            assert_eq!(scene.get(KEY).unwrap().head.min_iat == 0, altered);
            assert_eq!(scene.list(&ListCommand::default()).unwrap().rows.len(), 25);
            for (what, act) in &acts {
                assert!(!act.is_finished(), "{what} did not wait");
            }
            assert!(scene.records().is_empty());
            drop(go);
            for (what, act) in acts {
                let done = act.join().unwrap();
                match altered {
                    false => assert!(!matches!(done, Err(Refusal::Store(_))), "{what}: {done:?}"),
                    true => assert!(matches!(done, Err(Refusal::Store(_))), "{what}: {done:?}"),
                }
            }
        });
        assert_eq!(scene.records().is_empty(), altered);
    }
}

/// A limitation: while the store is open its file is trusted, and an own older row opens. A head shows which versions there
/// are, so a version does not disappear so; but a disabled one is enabled until the next start.
#[test]
fn own_older_row_opens_while_the_store_is_open() {
    let scene = Scene::new();
    let key = scene.key(KEY);
    let earlier = row(&scene.store, &version_at(&key));
    scene.enable(KEY, false).unwrap();
    assert!(scene.release(&good_token()).is_err());
    put(&scene.store, &version_at(&key), &earlier);
    assert!(scene.release(&good_token()).is_ok());
}

/// Whoever has the root writes what a store takes for its own; the seals still hold: neither a loosened head nor a moved row
/// is used after a start.
#[test]
fn file_altered_between_two_starts() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let store = || Store::open(&path, &root(), Options::new(|_| {})).unwrap();
    let scene =
        Setup { store: Store::create(&path, &root(), Options::new(|_| {})).unwrap(), ..Setup::default() }.scene();
    scene.create("other", EC);
    let (key, log) = (scene.key(KEY), scene.into_folder());
    let altered = store();
    let (good, moved) = (row(&altered, &head_at(KEY)), row(&altered, &head_at("other")));
    put(&altered, &head_at(KEY), &moved);
    drop(altered);
    let scene = Setup { store: store(), ..Setup::default() }.try_in(log).ok().unwrap();
    let refused = Refusal::Corrupted(Corrupted::Seal(SealError::Integrity));
    assert_eq!(scene.release(&good_token()).err(), Some(refused));
    put(&scene.store, &head_at(KEY), &good);
    assert!(scene.release(&good_token()).is_ok(), "the control");
    let log = scene.into_folder();
    let scene = Setup { store: store(), ..Setup::default() }.try_in(log).ok().unwrap();
    assert_eq!(scene.key(KEY), key);
    assert!(scene.release(&good_token()).is_ok());
}

/// A store of the other kind, of another root, with an altered stamp or memory: no installation, each by its reason.
#[test]
fn store_of_somebody_else() {
    let scene = Scene::new();
    let store = scene.store.clone();
    let log = scene.into_folder();
    let open = |root: [u8; 32], kind| {
        let opening = Installation::open(
            store.clone(),
            Root::new(Zeroizing::new(root)),
            kind,
            log.path(),
            Default::default(),
            at(NOW),
            &randomness,
        );
        wait(opening).err()
    };
    let other = StampError::OtherKind { expected: Kind::Dev, found: Kind::Serve };
    assert_eq!(open(ROOT, Kind::Dev), Some(InstallationError::Stamp(other)));
    assert_eq!(open([1; 32], Kind::Serve), Some(InstallationError::Stamp(StampError::OtherRoot)));
    let memory = row(&store, MEMORY);
    for (octet, expected) in [
        (0, SealError::UnknownFormat { format: 0 }),
        (
            1,
            SealError::OtherKek {
                kek: {
                    let mut kek: [u8; 16] = memory[1..17].try_into().unwrap();
                    kek[0] ^= 1;
                    kek
                },
            },
        ),
        (60, SealError::Integrity),
        (memory.len() - 1, SealError::Integrity),
    ] {
        let mut altered = memory.clone();
        altered[octet] ^= 1;
        put(&store, MEMORY, &altered);
        assert_eq!(open(ROOT, Kind::Serve), Some(InstallationError::Memory(expected)));
    }
    put(&store, MEMORY, &row(&store, &head_at(KEY)));
    assert!(matches!(open(ROOT, Kind::Serve), Some(InstallationError::Memory(SealError::OtherKek { .. }))));
    put(&store, MEMORY, &memory);
    let stamp = row(&store, STAMP_KEY);
    put(&store, STAMP_KEY, &memory);
    assert_eq!(open(ROOT, Kind::Serve), Some(InstallationError::Stamp(StampError::OtherRoot)));
    put(&store, STAMP_KEY, &[stamp.as_slice(), &[0]].concat());
    assert_eq!(open(ROOT, Kind::Serve), Some(InstallationError::Stamp(StampError::Seal(SealError::Integrity))));
    put(&store, STAMP_KEY, &stamp);
    assert_eq!(open(ROOT, Kind::Serve), None, "the control");
}

/// Attack 50: what lies in the file is ciphertext: no name, tag, policy or public key of any key is readable in it.
#[test]
fn attack_50_file_shows_nothing_but_names_of_places() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let scene =
        Setup { store: Store::create(&path, &root(), Options::new(|_| {})).unwrap(), ..Setup::default() }.scene();
    let tags = skerry_vault::command::Tags::new(vec![("cost-centre".into(), "secret-project".into())]).unwrap();
    scene.update(KEY, &Changes { tags: Some(tags), ..Changes::default() }).unwrap();
    let skerry_keys::PublicKey::Ec { x, .. } = scene.key(KEY).version.public.clone() else { panic!("not EC") };
    drop(scene.into_folder());
    let bytes = std::fs::read(&path).unwrap();
    let has = |octets: &[u8]| bytes.windows(octets.len()).any(|window| window == octets);
    for secret in [b"cost-centre".as_slice(), b"secret-project", b"anyOf", ISSUER.as_bytes(), &x, &ROOT] {
        assert!(!has(secret), "{secret:?}");
    }
    assert!(has(KEY.as_bytes()), "the control: a name is the place of its key");
}

/// Attack 51, and 44: many release at once while the key is taken from them. No release that begins after the change was
/// acknowledged succeeds, by any cache; and the log has none of them as permitted.
fn no_release_after(change: impl Fn(&Scene), refused: impl Fn(&Refusal) -> bool + Sync) {
    const THREADS: usize = 6;
    const AFTERWARDS: usize = 5;
    let scene = Scene::new();
    let (acknowledged, released) = (AtomicBool::new(false), AtomicUsize::new(0));
    let work = || {
        let (mut afterwards, token) = (0, good_token());
        while afterwards < AFTERWARDS {
            let after = acknowledged.load(Ordering::SeqCst);
            let answer = scene.answer_as(if after { "after" } else { "before" }, &command(&token));
            afterwards += usize::from(after);
            match answer {
                Ok(_) => {
                    assert!(!after, "released after the change was acknowledged");
                    released.fetch_add(1, Ordering::SeqCst);
                }
                Err(refusal) => assert!(refused(&refusal), "{refusal:?}"),
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        while released.load(Ordering::SeqCst) < 2 * THREADS && threads.iter().all(|thread| !thread.is_finished()) {
            thread::yield_now();
        }
        change(&scene);
        acknowledged.store(true, Ordering::SeqCst);
    });
    let records = scene.records();
    let permitted: Vec<&str> = records
        .iter()
        .filter(|record| text(record, "verdict") == "permitted")
        .map(|record| text(record, "request"))
        .collect();
    assert_eq!(permitted.len(), released.load(Ordering::SeqCst), "as many on record as were released");
    assert!(permitted.iter().all(|request| *request == "before"), "{permitted:?}");
}

/// Attack 51: disabled.
#[test]
fn attack_51_no_release_after_disable() {
    let disabled = Refusal::KeyDisabled { name: KEY.into(), operation: Operation::Release };
    no_release_after(|scene| drop(scene.enable(KEY, false).unwrap()), |refusal| *refusal == disabled);
}

/// Attack 51: deleted, and purged.
#[test]
fn attack_51_no_release_after_delete() {
    let missing = Refusal::KeyNotFound { name: KEY.into() };
    no_release_after(|scene| drop(scene.delete(KEY).unwrap()), |refusal| *refusal == missing);
    let purged = |scene: &Scene| {
        scene.delete(KEY).unwrap();
        scene.purge(KEY).unwrap();
    };
    no_release_after(purged, |refusal| *refusal == missing);
}

/// Attack 51: under a stricter policy.
#[test]
fn attack_51_no_release_after_policy_change() {
    let stricter = |scene: &Scene| {
        let data = entry(ISSUER, r#"{"claim":"x-ms-attestation-type","equals":"tdxvm"}"#).into_bytes();
        let policy = Some(PolicyInput { data, immutable: None });
        scene.update(KEY, &Changes { policy, ..Changes::default() }).unwrap();
    };
    no_release_after(stricter, |refusal| matches!(refusal, Refusal::Denied(Denied::Policy(_))));
}

/// Attack 51: in sequence, on both engines: the very next release, signature and reading see the change.
#[test]
fn attack_51_next_request_sees_the_change() {
    on_every_engine(|scene| {
        assert!(scene.release(&good_token()).is_ok() && scene.sign(KEY).is_ok());
        for _ in 0..3 {
            scene.enable(KEY, false).unwrap();
            let disabled = |operation| Some(Refusal::KeyDisabled { name: KEY.into(), operation });
            assert_eq!(scene.release(&good_token()).err(), disabled(Operation::Release));
            assert_eq!(scene.sign(KEY).err(), disabled(Operation::Sign));
            assert_eq!(scene.get(KEY).err(), disabled(Operation::Get));
            scene.enable(KEY, true).unwrap();
            assert!(scene.release(&good_token()).is_ok() && scene.sign(KEY).is_ok());
        }
        let newer = scene.create(KEY, EC);
        assert_eq!(scene.sign(KEY).unwrap().key, newer);
    });
}

/// A head as stored is read back as it was by whoever has the key of the records, so that the tests above alter what they say.
#[test]
fn tests_know_the_place_of_rows() {
    let scene = Scene::new();
    let at = head_at(KEY);
    let plain = records().open(&at, &row(&scene.store, &at)).unwrap();
    assert_eq!(decode_head(&plain).as_ref(), Ok(&*scene.key(KEY).head));
    assert!(Path::new(scene.folder()).join("audit.log").exists());
}
