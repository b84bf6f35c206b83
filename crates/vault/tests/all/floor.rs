//! The floor of a vault, set while it serves: what it adds to every release, who sets it, what is on record of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skerry_identity::Permission;
use skerry_policy::permit::{Denied, VaultFloor};
use skerry_store::engine::{Answer, Exporting, Remote};
use skerry_store::seal::SealError;
use skerry_store::{At, Entry, Lease, OpId, Outcome, Page, Revision, Settled, Store, StoreError, Txn, Watch};
use skerry_vault::command::{Changes, PolicyInput};
use skerry_vault::floor::{FloorChanges, FloorSettings};
use skerry_vault::stored::Corrupted;
use skerry_vault::{Node, NodeName, Refusal, explained};

use crate::database::{put, row};
use crate::support::*;

impl Scene {
    fn set_floor(&self, changes: &FloorChanges) -> Result<FloorSettings, Refusal> {
        let grant = grant(Permission::SetVaultFloor);
        wait(self.vault.set_floor(&context(&grant, "floor-1", NOW), changes))
    }

    fn floor(&self) -> Result<FloorSettings, Refusal> {
        let grant = grant(Permission::GetVaultFloor);
        wait(self.vault.floor(&context(&grant, "floor-1", NOW)))
    }
}

fn min_iat(secs: u64) -> FloorChanges {
    FloorChanges { min_iat: Some(secs), ..FloorChanges::default() }
}

fn age(secs: Option<u64>) -> FloorChanges {
    FloorChanges { token_age_max_secs: Some(secs), ..FloorChanges::default() }
}

fn demands(policy: Option<&str>) -> FloorChanges {
    FloorChanges { policy: Some(policy.map(|text| text.as_bytes().to_vec())), ..FloorChanges::default() }
}

/// A policy of the authority here that the good token meets, or does not.
fn about(claim: &str, value: &str) -> String {
    policy().replace("x-ms-attestation-type", claim).replace("sevsnpvm", value)
}

/// A token from before the vault's earliest is refused from the moment that is raised, for every key, and by its own clause.
#[test]
fn raising_the_vault_s_earliest_revokes_for_every_key() {
    let scene = Scene::new();
    scene.create("other", EC);
    let token = good_token();
    let iat = trusted(&token).issued_at();
    assert!(scene.release(&token).is_ok());
    assert_eq!(scene.set_floor(&min_iat(iat)).map(|floor| floor.min_iat), Ok(iat));
    assert!(scene.release(&token).is_ok(), "a token of that second is good");
    scene.set_floor(&min_iat(iat + 1)).unwrap();
    let refused = Refusal::Denied(Denied::VaultRevoked { iat, min_iat: iat + 1 });
    assert_eq!(scene.release(&token).err(), Some(refused.clone()));
    assert_eq!(scene.release_key("other", &token).err(), Some(refused));
    let lowered = Refusal::FloorMinIatLowered { known: iat + 1, asked: iat };
    assert_eq!(scene.set_floor(&min_iat(iat)).err(), Some(lowered));
    assert!(scene.release(&token).is_err(), "nothing was taken back");
}

/// The oldest token that is taken is the stricter of what is set and what configuration says.
#[test]
fn the_oldest_token_is_the_stricter_of_two() {
    let floor = VaultFloor::default().token_age_max_secs(3_600);
    let scene = Setup { floor, ..Setup::default() }.scene();
    let token = good_token();
    let iat = trusted(&token).issued_at();
    let too_old = |age_secs, max_secs| Some(Refusal::Denied(Denied::TokenTooOld { age_secs, max_secs }));
    scene.set_floor(&age(Some(7_200))).unwrap();
    assert_eq!(scene.release_at(&token, iat + 3_601).err(), too_old(3_601, 3_600));
    assert!(scene.release_at(&token, iat + 3_600).is_ok());
    scene.set_floor(&age(Some(100))).unwrap();
    assert_eq!(scene.release_at(&token, iat + 101).err(), too_old(101, 100));
    assert!(scene.release_at(&token, iat + 100).is_ok());
    scene.set_floor(&age(None)).unwrap();
    assert!(scene.release_at(&token, iat + 3_600).is_ok());
    assert_eq!(scene.release_at(&token, iat + 3_601).err(), too_old(3_601, 3_600), "configuration stays");
}

/// A policy of the floor has to hold beside the key's own; its denial is the floor's and says which clause.
#[test]
fn a_policy_of_the_floor_is_anded() {
    let scene = Scene::new();
    scene.set_floor(&demands(Some(&policy()))).unwrap();
    assert!(scene.release(&good_token()).is_ok());
    scene.set_floor(&demands(Some(&about("x-ms-attestation-type", "tdxvm")))).unwrap();
    let refusal = scene.release(&good_token()).unwrap_err();
    assert!(matches!(refusal, Refusal::Denied(Denied::Floor(_))), "{refusal:?}");
    let text = explained(&refusal);
    assert!(text.starts_with("the claims do not meet the vault's floor\n") && text.contains("tdxvm"), "{text}");
    let last = scene.records().pop().unwrap();
    assert_eq!((text_of(&last, "verdict"), text_of(&last, "explanation")), ("denied", text.as_str()));
    scene.set_floor(&demands(None)).unwrap();
    assert!(scene.release(&good_token()).is_ok(), "the control");
    assert!(matches!(scene.set_floor(&demands(Some("{}"))), Err(Refusal::Policy(_))));
}

fn text_of<'a>(record: &'a skerry_jose::json::Object, name: &str) -> &'a str {
    record.get(name).and_then(skerry_jose::json::Value::as_str).unwrap()
}

/// Each change is on record as intended before it is made and as made after, with who and what; what is refused is not.
#[test]
fn changes_are_on_record() {
    let scene = Scene::new();
    let before = scene.records().len();
    assert_eq!(scene.set_floor(&age(Some(0))).err(), Some(Refusal::FloorTokenAge));
    assert_eq!(scene.set_floor(&min_iat(NOW + 1)).err(), Some(Refusal::MinIatInFuture { asked: NOW + 1, now: NOW }));
    assert_eq!(scene.records().len(), before);
    scene.set_floor(&FloorChanges { min_iat: Some(7), ..age(Some(60)) }).unwrap();
    let records = scene.records().split_off(before);
    let verdicts: Vec<&str> = records.iter().map(|record| text_of(record, "verdict")).collect();
    assert_eq!(verdicts, ["intended", "committed"]);
    for record in &records {
        assert_eq!(text_of(record, "event"), "vault-changed");
        assert_eq!(text_of(record, "who"), CALLER);
        assert_eq!(text_of(record, "explanation"), "floor: earliest token 7, oldest token 60 s");
        assert!(record.get("key").is_none_or(skerry_jose::json::Value::is_null));
    }
}

/// What was set is there after a restart; a row that does not open releases nothing, and says so.
#[test]
fn the_floor_is_stored_and_sealed() {
    let store = Store::memory();
    let scene = Setup { store: store.clone(), ..Setup::default() }.scene();
    assert_eq!(scene.floor(), Ok(FloorSettings::default()));
    let set = scene.set_floor(&FloorChanges { min_iat: Some(9), ..demands(Some(&policy())) }).unwrap();
    let scene = Setup { store: store.clone(), ..Setup::default() }.try_in(scene.into_folder()).ok().unwrap();
    assert_eq!(scene.floor(), Ok(set));
    assert!(scene.release(&good_token()).is_ok());
    let at = [b"v/", VAULT_ID.as_bytes().as_slice(), b"/f"].concat();
    let mut altered = row(&store, &at);
    *altered.last_mut().unwrap() ^= 1;
    put(&store, &at, &altered);
    let damaged = Refusal::Corrupted(Corrupted::Seal(SealError::Integrity));
    assert_eq!(scene.release(&good_token()).err(), Some(damaged.clone()));
    assert_eq!(scene.floor().err(), Some(damaged.clone()));
    assert_eq!(scene.set_floor(&age(Some(1))).err(), Some(damaged));
    assert!(scene.sign(KEY).is_ok());
}

/// A store of which another server changes something just before the floor is read, once.
#[derive(Default)]
pub(crate) struct Between {
    pub(crate) inner: Option<Store>,
    pub(crate) floor: Vec<u8>,
    pub(crate) meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    pub(crate) late: Arc<Late>,
}

/// A commit that is on its way for long: nobody knows what becomes of it.
#[derive(Default)]
pub(crate) struct Late {
    pub(crate) next: AtomicBool,
    pub(crate) held: Mutex<Option<Txn>>,
}

impl Between {
    fn inner(&self) -> &Store {
        self.inner.as_ref().unwrap()
    }
}

impl Remote for Between {
    fn get<'a>(&'a self, key: &'a [u8], at: At) -> Answer<'a, Option<Entry>> {
        if key == self.floor
            && let Some(meanwhile) = self.meanwhile.lock().unwrap().take()
        {
            // On a thread of its own: it waits for commits, and so does who is in a runtime here.
            std::thread::spawn(meanwhile).join().unwrap();
        }
        Box::pin(self.inner().get(key, at))
    }

    fn range<'a>(&'a self, prefix: &'a [u8], after: Option<&'a [u8]>, limit: usize, at: At) -> Answer<'a, Page> {
        Box::pin(self.inner().range(prefix, after, limit, at))
    }

    fn commit<'a>(&'a self, txn: &'a Txn) -> Answer<'a, Outcome> {
        if self.late.next.swap(false, Ordering::Relaxed) {
            *self.late.held.lock().unwrap() = Some(txn.clone());
            return Box::pin(std::future::ready(Ok(Outcome::Unknown)));
        }
        Box::pin(self.inner().commit(txn))
    }

    fn settle(&self, op: OpId) -> Answer<'_, Settled> {
        Box::pin(self.inner().settle(op))
    }

    fn export(&self) -> Answer<'_, Exporting> {
        Box::pin(async { Err(StoreError::Failed) })
    }

    fn settled(&self, op: OpId) -> Answer<'_, Option<Settled>> {
        Box::pin(self.inner().settled(op))
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        self.inner().watch(prefix, from)
    }

    fn fence(&self) -> Answer<'_, Revision> {
        Box::pin(self.inner().fence())
    }

    fn forget(&self) -> Answer<'_, Revision> {
        Box::pin(self.inner().forget())
    }

    fn lease<'a>(&'a self, name: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Option<Lease>> {
        Box::pin(self.inner().lease(name, holder, ttl))
    }

    fn holder<'a>(&'a self, name: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(self.inner().holder(name))
    }
}

/// A release that begins while the floor forbids it, and whose key's policy is tightened before the floor is loosened, is denied
/// however late the floor is read: the old policy and the new floor were never together.
#[test]
fn policy_and_floor_are_of_one_time() {
    let inner = Store::memory();
    let other = Arc::new(Setup { store: inner.clone(), ..Setup::default() }.scene());
    let forbidding = about("x-ms-attestation-type", "none");
    other.set_floor(&demands(Some(&forbidding))).unwrap();
    let floor = [b"v/".as_slice(), VAULT_ID.as_bytes(), b"/f"].concat();
    assert!(wait(inner.get(&floor, At::Linearizable)).unwrap().is_some(), "that is where it is");
    let meanwhile = {
        let (other, forbidding) = (Arc::clone(&other), forbidding.clone());
        move || {
            let policy = PolicyInput { data: forbidding.into_bytes(), immutable: None };
            other.update(KEY, &Changes { policy: Some(policy), ..Changes::default() }).unwrap();
            other.set_floor(&demands(None)).unwrap();
        }
    };
    let between = Between {
        inner: Some(inner.clone()),
        floor,
        meanwhile: Mutex::new(Some(Box::new(meanwhile))),
        ..Between::default()
    };
    let node = Node::Named(NodeName::parse("b").unwrap());
    let scene = Setup { store: Store::on(between), node, ..Setup::default() }.bare();
    assert!(matches!(scene.release(&good_token()), Err(Refusal::Denied(Denied::Policy(_)))));
    assert_eq!(other.floor().unwrap().policy.map(drop), None, "the floor was loosened, and the policy alone denies");
}
