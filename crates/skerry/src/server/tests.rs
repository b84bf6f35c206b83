//! What the server does without being asked, on a store in memory and at times that the tests name.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skerry_audit::Event;
use skerry_http::Machine;
use skerry_identity::{Access, Assignment, Grant, Permission, Principal, Scope};
use skerry_jose::{Algorithm, SigningKey};
use skerry_keys::{Curve, KeyType};
use skerry_policy::permit::VaultFloor;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{At, Fault, Faults, Store};
use skerry_vault::ca::Ca;
use skerry_vault::command::{AttributesInput, Context, Named, NewKey, Randomness};
use skerry_vault::decide::{HsmBacking, Rules};
use skerry_vault::pool::Pool;
use skerry_vault::record::KeyName;
use skerry_vault::rotation::{Action, Period, RotationInput, Trigger};
use skerry_vault::{Installation, Pools, Refusal, ReleaseSigner, Stock, Throttling, Vault, VaultConfig, VaultKind};
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::jobs::{self, Jobs};
use super::vaults::{Signers, Vaults};
use crate::config::ReleaseKey;
use crate::machine::rng;

const VAULT: Uuid = Uuid::from_bytes([0x51; 16]);
const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// One vault, on a store whose faults the test chooses.
struct Site {
    vaults: Vaults,
    store: Store,
    faults: Faults,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new(purge_protection: bool) -> Site {
        let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
        let store = Store::memory_with(faults.clone());
        let (root, limits) = (Root::new(Zeroizing::new([0x77; 32])), skerry_audit::Limits::default());
        let opening = Installation::open(store.clone(), root, Kind::Serve, folder.path(), limits, at(NOW), &randomness);
        let (installation, _) = opening.await.unwrap();
        let rules =
            Rules { kind: VaultKind::Premium, hsm: HsmBacking::default(), retention_days: 90, purge_protection };
        let config = VaultConfig {
            id: VAULT,
            rules,
            authorities: Vec::new(),
            floor: VaultFloor::default(),
            throttling: Throttling::Off,
        };
        let pool = || Arc::new(Pool::new(NonZeroUsize::MIN, 8).unwrap());
        let pools = Pools { work: pool(), generation: pool(), stock: Arc::new(Stock::none()) };
        let vault = Vault::new(config, Arc::new(installation), signer(), pools).unwrap();
        let vaults = Vaults::from([("kv1".to_owned(), Arc::new(vault))]);
        Site { vaults, store, faults, folder }
    }

    fn vault(&self) -> &Vault {
        &self.vaults["kv1"]
    }

    async fn create(&self, key: &str) {
        let new = NewKey {
            name: name(key),
            key_type: KeyType::Ec { curve: Curve::P256 },
            hsm: false,
            key_ops: None,
            attributes: AttributesInput::default(),
            tags: None,
            policy: None,
        };
        self.vault().create(&context(&grant(Permission::Create), NOW), &new).await.unwrap();
    }

    async fn delete(&self, key: &str) {
        self.vault().delete(&context(&grant(Permission::Delete), NOW), &name(key)).await.unwrap();
    }

    async fn purge(&self, key: &str) -> Result<(), Refusal> {
        self.vault().purge(&context(&grant(Permission::Purge), NOW), &name(key)).await
    }

    /// From a week after a version was made, another takes its place.
    async fn rotate_weekly(&self, key: &str) {
        let period = |text| Period::parse(text).unwrap();
        let input = RotationInput {
            lifetime: Some(period("P90D")),
            actions: vec![(Action::Rotate, Trigger::AfterCreate(period("P7D")))],
        };
        let grant = grant(Permission::SetRotationPolicy);
        self.vault().set_rotation_policy(&context(&grant, NOW), &name(key), &input).await.unwrap();
    }

    /// What the jobs could not do at a time.
    async fn pass(&self, secs: u64) -> Vec<String> {
        let (_stopping, stop) = watch::channel(false);
        Jobs::new(self.vaults.clone(), self.store.clone())
            .pass(at(secs), &randomness, &stop)
            .await
            .into_iter()
            .collect()
    }

    /// How many versions a key has.
    async fn versions(&self, key: &str) -> usize {
        let named = Named { name: &name(key), version: None };
        let key = self.vault().get(&context(&grant(Permission::Get), NOW), named).await.unwrap();
        key.head.versions.len()
    }

    async fn is_deleted(&self, key: &str) -> bool {
        self.vault().get_deleted(&context(&grant(Permission::Get), NOW), &name(key)).await.is_ok()
    }

    /// How many records the vault has.
    async fn rows(&self) -> usize {
        self.store.range(b"v/", None, 1_000, At::Linearizable).await.unwrap().rows.len()
    }
}

/// An RSA key takes its time, and one will do.
fn signer() -> Arc<ReleaseSigner> {
    static CERTIFIED: OnceLock<(Vec<u8>, Vec<Vec<u8>>)> = OnceLock::new();
    let (key, chain) = CERTIFIED.get_or_init(|| {
        let key = SigningKey::generate(Algorithm::Rs256).unwrap();
        let chain = Ca::generate("tests", at(NOW)).unwrap().issue(&key, &["kv1.example"], at(NOW)).unwrap();
        (key.to_pkcs8().unwrap().to_vec(), chain)
    });
    Arc::new(ReleaseSigner::new(SigningKey::from_pkcs8(Algorithm::Rs256, key).unwrap(), chain).unwrap())
}

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

fn randomness() -> Randomness {
    Box::new(rng())
}

fn machine(secs: u64) -> Machine {
    Machine::new(move || at(secs), randomness)
}

fn name(key: &str) -> KeyName {
    KeyName::parse(key).unwrap()
}

fn grant(permission: Permission) -> Grant {
    let alice = Principal::new("https://login.example", "alice");
    let access = Access::new(vec![Assignment {
        issuer: alice.issuer().to_owned(),
        subjects: vec![alice.subject().to_owned()],
        scope: Scope::Every,
        permissions: Permission::ALL.into_iter().collect(),
    }]);
    access.grant(&alice, *VAULT.as_bytes(), permission).unwrap()
}

fn context(grant: &Grant, secs: u64) -> Context<'_> {
    Context { grant, request_id: "test", now: at(secs), randomness: &randomness }
}

/// What a purge left that was cut short is gone before anything is answered; a start that cannot remove it ends with the
/// code for integrity, names the vault, and the next one has nothing left to do.
#[tokio::test]
async fn start_finishes_a_purge_that_was_cut_short() {
    let site = Site::new(false).await;
    site.create("payments").await;
    site.delete("payments").await;
    site.faults.pass(1).then(Fault::Lost);
    assert_eq!(site.purge("payments").await, Err(Refusal::Unsettled));
    assert_eq!(site.rows().await, 3, "a tombstone, a version and the mark that it is left over");
    site.faults.then(Fault::Lost);
    let failure = jobs::sweep(&site.vaults, &machine(NOW)).await.unwrap_err();
    assert_eq!(failure.report(), ExitCode::from(4));
    assert!(format!("{failure:?}").contains("vault kv1: what a purge or a restore left"), "{failure:?}");
    jobs::sweep(&site.vaults, &machine(NOW)).await.unwrap();
    assert_eq!(site.rows().await, 1, "a tombstone");
}

/// Deleted keys go when their time is over, to the second, purge protection or not; other keys stay.
#[tokio::test]
async fn deleted_keys_are_purged_when_their_time_is_over() {
    for purge_protection in [true, false] {
        let site = Site::new(purge_protection).await;
        for key in ["payments", "archive", "kept"] {
            site.create(key).await;
        }
        site.delete("payments").await;
        site.delete("archive").await;
        assert_eq!(site.pass(NOW + 90 * DAY - 1).await, [""; 0]);
        assert!(site.is_deleted("payments").await && site.is_deleted("archive").await);
        assert_eq!(site.pass(NOW + 90 * DAY).await, [""; 0]);
        assert!(!site.is_deleted("payments").await && !site.is_deleted("archive").await);
        assert_eq!((site.versions("kept").await, site.rows().await), (1, 4), "a key and two tombstones");
    }
}

/// A key is rotated when its policy says so, once, and one without a policy is not.
#[tokio::test]
async fn keys_are_rotated_when_they_are_due() {
    let site = Site::new(true).await;
    for key in ["payments", "fixed"] {
        site.create(key).await;
    }
    site.rotate_weekly("payments").await;
    for (secs, versions) in [(NOW + 7 * DAY - 1, 1), (NOW + 7 * DAY, 2), (NOW + 7 * DAY, 2), (NOW + 14 * DAY, 3)] {
        assert_eq!(site.pass(secs).await, [""; 0]);
        assert_eq!((site.versions("payments").await, site.versions("fixed").await), (versions, 1));
    }
}

/// A key that fails is named with its vault, and those after it have their turn: purges, then rotations.
#[tokio::test]
async fn one_key_s_failure_stops_no_other() {
    let site = Site::new(false).await;
    for key in ["a", "b", "c"] {
        site.create(key).await;
    }
    site.rotate_weekly("c").await;
    site.delete("a").await;
    site.delete("b").await;
    site.faults.pass(1).then(Fault::Lost);
    let failures = site.pass(NOW + 90 * DAY).await;
    assert_eq!(failures, ["vault kv1: key a could not be purged: whether the change was made is not known yet"]);
    assert!(!site.is_deleted("b").await);
    assert_eq!(site.versions("c").await, 2);
}

/// What fails again and again is told once, and of many that fail together a few.
#[test]
fn failures_are_told_once() {
    let failures = |count: usize| (0..count).map(|number| format!("key {number:02}")).collect::<BTreeSet<_>>();
    let none = BTreeSet::new();
    assert_eq!(jobs::news(&failures(2), &none), ["key 00", "key 01"]);
    assert_eq!(jobs::news(&failures(2), &failures(1)), ["key 01"]);
    assert_eq!(jobs::news(&failures(2), &failures(3)), [""; 0]);
    assert_eq!(jobs::news(&failures(8), &none).len(), 8);
    assert_eq!(jobs::news(&failures(10), &none)[8..], ["2 more keys or vaults could not be seen to"]);
}

/// Where the store has failed, that is all there is to say.
#[tokio::test]
async fn what_is_due_cannot_be_found_out() {
    let site = Site::new(false).await;
    site.create("payments").await;
    site.faults.then(Fault::Failed);
    assert!(site.vault().delete(&context(&grant(Permission::Delete), NOW), &name("payments")).await.is_err());
    let failures = site.pass(NOW).await;
    let start = |what: &str| format!("vault kv1: what is to be {what} cannot be found out: store: ");
    assert!(failures.len() == 2 && failures[0].starts_with(&start("purged")), "{failures:?}");
    assert!(failures[1].starts_with(&start("rotated")), "{failures:?}");
}

/// A pass is bounded: what is over the bound has its turn in the next.
#[tokio::test]
async fn passes_are_bounded() {
    let site = Site::new(false).await;
    for number in 0..70 {
        let key = format!("k{number}");
        site.create(&key).await;
        site.delete(&key).await;
    }
    for left in [70 - 64, 0] {
        assert_eq!(site.pass(NOW + 90 * DAY).await, [""; 0]);
        assert_eq!(site.rows().await, 70 + left, "a tombstone for each, and a version for each that is left");
    }
}

/// Once the server stops, no other key is taken up, and who waits for the jobs does not wait for the next minute.
#[tokio::test]
async fn jobs_stop_with_the_server() {
    let site = Site::new(false).await;
    site.create("payments").await;
    site.delete("payments").await;
    let (stopping, stop) = watch::channel(true);
    let jobs = Jobs::new(site.vaults.clone(), site.store.clone());
    assert_eq!(jobs.pass(at(NOW + 90 * DAY), &randomness, &stop).await.len(), 0);
    assert!(site.is_deleted("payments").await);
    jobs.run(machine(NOW + 90 * DAY), stop).await;
    drop(stopping);
    let (stopping, stop) = watch::channel(false);
    drop(stopping);
    Jobs::new(site.vaults.clone(), site.store.clone()).run(machine(NOW + 90 * DAY), stop).await;
    assert!(site.is_deleted("payments").await);
}

/// The log says that the jobs did it, who may do nothing else and nowhere else.
#[tokio::test]
async fn jobs_have_a_name_and_two_permissions() {
    let site = Site::new(true).await;
    site.create("payments").await;
    site.delete("payments").await;
    site.pass(NOW + 90 * DAY).await;
    let purges = skerry_audit::read(site.folder.path()).unwrap().map(|record| record.unwrap().entry().unwrap());
    let purges: Vec<_> = purges.filter(|entry| entry.event == Event::KeyPurged).collect();
    assert!(purges.len() == 2 && purges.iter().all(|entry| entry.who == "skerry jobs"), "intent and outcome");
    let access = jobs::access(&site.vaults);
    for permission in Permission::ALL {
        let expected = matches!(permission, Permission::Purge | Permission::Rotate);
        assert_eq!(access.grant(&jobs::principal(), *VAULT.as_bytes(), permission).is_ok(), expected);
        assert!(access.grant(&jobs::principal(), [0; 16], permission).is_err());
    }
}

/// Listeners of one release key share what signs with it; a key of another chain is another.
#[test]
fn release_signers_are_shared() {
    let certified = || {
        let key = SigningKey::generate(Algorithm::Rs256).unwrap();
        let chain = Ca::generate("tests", at(NOW)).unwrap().issue(&key, &["kv1.example"], at(NOW)).unwrap();
        ReleaseKey { key: key.to_pkcs8().unwrap(), chain }
    };
    let (one, other, mut signers) = (certified(), certified(), Signers::default());
    let (first, second) = (signers.of(&one).unwrap(), signers.of(&one).unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    assert!(!Arc::ptr_eq(&first, &signers.of(&other).unwrap()));
}
