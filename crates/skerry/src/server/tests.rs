//! What the server does without being asked, on a store in memory and at times that the tests name.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skerry_http::Machine;
use skerry_identity::{Access, Assignment, Grant, Permission, Principal, Scope};
use skerry_jose::{Algorithm, SigningKey};
use skerry_keys::{Curve, KeyType};
use skerry_policy::permit::VaultFloor;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_store::{At, Fault, Faults, Store};
use skerry_vault::ca::Ca;
use skerry_vault::command::{AttributesInput, Context, NewKey, Randomness};
use skerry_vault::decide::{HsmBacking, Rules};
use skerry_vault::pool::Pool;
use skerry_vault::record::KeyName;
use skerry_vault::{Installation, Pools, Refusal, ReleaseSigner, Vault, VaultConfig, VaultKind};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::jobs;
use super::vaults::{Signers, Vaults};
use crate::config::ReleaseKey;
use crate::machine::rng;

const VAULT: Uuid = Uuid::from_bytes([0x51; 16]);
const NOW: u64 = 1_800_000_000;

/// One vault, on a store whose faults the test chooses.
struct Site {
    vaults: Vaults,
    store: Store,
    faults: Faults,
    _folder: tempfile::TempDir,
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
        let config = VaultConfig { id: VAULT, rules, authorities: Vec::new(), floor: VaultFloor::default() };
        let pool = || Arc::new(Pool::new(NonZeroUsize::MIN, 8).unwrap());
        let pools = Pools { work: pool(), generation: pool() };
        let vault = Vault::new(config, Arc::new(installation), signer(), pools).unwrap();
        let vaults = Vaults::from([("kv1".to_owned(), Arc::new(vault))]);
        Site { vaults, store, faults, _folder: folder }
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
