//! A vault with one key, its store and its log in a folder.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use skerry_attestation_result::{Authority, IssuerUrl, TokenSigner};
use skerry_identity::{Access, Assignment, Permission, Principal, Scope};
use skerry_jose::SigningKey;
use skerry_keys::{KeyType, RsaBits};
use skerry_policy::permit::VaultFloor;
use skerry_store::{Options, Store, seal, stamp};
use skerry_vault::ca::Ca;
use skerry_vault::command::{AttributesInput, Context, NewKey, PolicyInput, Randomness};
use skerry_vault::decide::{HsmBacking, Rules};
use skerry_vault::pool::Pool;
use skerry_vault::record::{Key, KeyName};
use skerry_vault::{
    Installation, Pools, ReleaseSigner, Stock, Throttling, TrustedAuthority, Vault, VaultConfig, VaultKind,
};
use tempfile::TempDir;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CALLER, HOST, ISSUER, KEY, TENANT, copy, random, rng, rs256};

/// The attestation service's key, and what releases are signed with.
pub(crate) struct Actors {
    pub(crate) now: SystemTime,
    pub(crate) attester: SigningKey,
    pub(crate) signing: SigningKey,
    chain: Vec<Vec<u8>>,
}

impl Actors {
    pub(crate) fn make(now: SystemTime) -> anyhow::Result<Actors> {
        let signing = rs256()?;
        let chain = chain(&signing, now)?;
        Ok(Actors { now, attester: rs256()?, signing, chain })
    }

    pub(crate) fn token_signer(&self) -> anyhow::Result<TokenSigner> {
        Ok(TokenSigner::new(IssuerUrl::parse(ISSUER)?, copy(&self.attester)?))
    }
}

/// A vault, and the key in it.
pub(crate) struct Site {
    pub(crate) installation: Arc<Installation>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) key: Key,
    /// What seals the key's material, and its id.
    pub(crate) kek: (Zeroizing<[u8; 32]>, [u8; 16]),
    pub(crate) access: Arc<Access>,
    folder: TempDir,
}

impl Site {
    /// In a folder of its own below this one, on a store on disk as a server has it.
    pub(crate) async fn make(folder: &Path, actors: &Actors, pools: &Pools) -> anyhow::Result<Site> {
        let (folder, now) = (tempfile::tempdir_in(folder)?, actors.now);
        let (octets, limits) = (Zeroizing::new(random()), skerry_audit::Limits::default());
        let root = seal::Root::new(octets.clone());
        let store = Store::create(&folder.path().join("store.redb"), &root, Options::new(|_| std::process::abort()))?;
        let (installation, _) =
            Installation::open(store, root, stamp::Kind::Serve, folder.path(), limits, now, &randomizer).await?;
        let installation = Arc::new(installation);
        let id = uuid::Builder::from_random_bytes(random()).into_uuid();
        let vault = vault(id, &installation, actors, pools)?;
        let access = Arc::new(access());
        let grant = access.grant(&caller(), *id.as_bytes(), Permission::Create)?;
        let context = Context { grant: &grant, request_id: "made for the bench", now, randomness: &randomizer };
        let key = vault.create(&context, &new_key()?).await?;
        let kek = seal::Root::new(octets).kek(seal::Root::VAULT_MATERIAL, id.as_bytes());
        Ok(Site { installation, vault: Arc::new(vault), key, kek, access, folder })
    }
}

/// A vault of this id, whatever others of it there are: each remembers its own.
fn vault(id: Uuid, installation: &Arc<Installation>, actors: &Actors, pools: &Pools) -> anyhow::Result<Vault> {
    let rules = Rules {
        kind: VaultKind::Premium,
        hsm: HsmBacking::default().danger().software_hsm(),
        retention_days: 90,
        purge_protection: false,
    };
    let authorities = vec![TrustedAuthority::fixed(Authority::built_in(&actors.token_signer()?)?)];
    let config = VaultConfig { id, rules, authorities, floor: VaultFloor::default(), throttling: Throttling::Off };
    let signer = Arc::new(ReleaseSigner::new(copy(&actors.signing)?, &actors.chain)?);
    Ok(Vault::new(config, Arc::clone(installation), signer, pools.clone())?)
}

impl Site {
    /// Where its store and its log are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same vault once more, which has met no token yet.
    pub(crate) fn again(&self, actors: &Actors, pools: &Pools) -> anyhow::Result<Vault> {
        vault(self.vault.id(), &self.installation, actors, pools)
    }

    /// Another key, for signing.
    pub(crate) async fn create(&self, name: &str, key_type: KeyType, now: SystemTime) -> anyhow::Result<Key> {
        let grant = self.access.grant(&caller(), *self.vault.id().as_bytes(), Permission::Create)?;
        let context = Context { grant: &grant, request_id: "made for the bench", now, randomness: &randomizer };
        let attributes = AttributesInput::default();
        let new = NewKey { name: KeyName::parse(name)?, key_type, attributes, policy: None, ..new_key()? };
        Ok(self.vault.create(&context, &new).await?)
    }
}

/// As a server has them: threads for private keys, as many as there are cores.
pub(crate) fn pools() -> anyhow::Result<Pools> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let generation = Arc::new(Pool::new(NonZeroUsize::MIN, 512)?);
    Ok(Pools { work: Arc::new(Pool::new(threads, 512)?), generation, stock: Arc::new(Stock::none()) })
}

/// Randomness for one request.
pub(crate) fn randomizer() -> Randomness {
    Box::new(rng())
}

/// Who asks for everything here.
pub(crate) fn caller() -> Principal {
    Principal::new(TENANT, CALLER)
}

/// He may do everything in every vault.
pub(crate) fn access() -> Access {
    Access::new(vec![Assignment {
        issuer: TENANT.to_owned(),
        subjects: vec![CALLER.to_owned()],
        scope: Scope::Every,
        permissions: Permission::ALL.into_iter().collect(),
    }])
}

fn new_key() -> anyhow::Result<NewKey> {
    Ok(NewKey {
        name: KeyName::parse(KEY)?,
        key_type: KeyType::Rsa { bits: RsaBits::B2048 },
        hsm: true,
        key_ops: None,
        attributes: AttributesInput { exportable: Some(true), ..AttributesInput::default() },
        tags: None,
        policy: Some(PolicyInput { data: POLICY.as_bytes().to_vec(), immutable: None }),
    })
}

/// Three certificates. Those above the leaf are as large as a public CA's with RSA-4096; nobody walks the chain here.
fn chain(key: &SigningKey, now: SystemTime) -> anyhow::Result<Vec<Vec<u8>>> {
    let leaf = Ca::generate("Skerry bench", now)?.issue(key, &[HOST], now)?.into_iter().next().context("no leaf")?;
    Ok(vec![leaf, vec![0x30; 1_500], vec![0x30; 1_400]])
}

/// Four clauses on one authority, minified as a vault keeps it.
pub(crate) const POLICY: &str = concat!(
    r#"{"version":"1.0.0","anyOf":[{"authority":"https://attest.localhost","allOf":["#,
    r#"{"claim":"x-ms-attestation-type","equals":"sevsnpvm"},"#,
    r#"{"claim":"x-ms-sevsnpvm-is-debuggable","equals":"false"},"#,
    r#"{"claim":"x-ms-runtime.vm-configuration.secure-boot","equals":"true"},"#,
    r#"{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":""#,
    "abababababababababababababababababababababababababababababababab",
    "abababababababababababababababab",
    r#""}]}]}"#,
);
