//! Who takes part: a vault with a key, an attestation service, a trusted simulated root, a foreign one, and workloads.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rand_core::Rng as _;
use skerry_attestation_result::{AttestationToken, Authority, IssuerUrl, TokenSigner};
use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_evidence::snp::Generation;
use skerry_evidence::uvm::TrustList;
use skerry_identity::{Access, Assignment, Permission, Principal, Scope};
use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm, RsaPublicKey, SigningKey};
use skerry_keys::{KeyType, RsaBits};
use skerry_keywrap::{Algorithm as WrapAlgorithm, Plaintext, UnwrapKey};
use skerry_policy::permit::VaultFloor;
use skerry_simulator::{ChipConfig, Root, Tee, TeeConfig};
use skerry_store::{Store, seal, stamp};
use skerry_vault::ca::Ca;
use skerry_vault::command::{AttributesInput, Context, KeyOp, NewKey, PolicyInput, Randomness};
use skerry_vault::decide::{HsmBacking, Rules};
use skerry_vault::pool::Pool;
use skerry_vault::record::{Key, KeyName};
use skerry_vault::release::ReleaseCommand;
use skerry_vault::{
    Installation, Pools, Refusal, ReleaseAnswer, ReleaseSigner, TrustedAuthority, Vault, VaultConfig, VaultKind,
};
use skerry_verifier::wire::{Data, SnpRequest};
use skerry_verifier::{AttestError, Verifier, VerifierConfig};
use tokio::runtime::Runtime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::machine::random;
pub(crate) use crate::machine::rng;

use super::show::Shown;

/// The host name by which the vault is addressed here.
pub(crate) const HOST: &str = "vault.localhost";
const ISSUER: &str = "https://attest.localhost";
const KEY: &str = "payments";
const NONCE: &str = "demo";
const TARGET_KID: &str = "tee-key";

/// Everybody and everything that the story needs.
pub(crate) struct Scene {
    pub(crate) now: SystemTime,
    pub(crate) key: Key,
    root: Root,
    foreign: Root,
    verifier: Verifier,
    vault: Vault,
    access: Access,
    roots: Roots,
    name: KeyName,
    runtime: Runtime,
    _log: tempfile::TempDir,
}

/// Code in a TEE: the guest it runs in, and a key pair that only it holds.
pub(crate) struct Workload {
    pub(crate) tee: Tee,
    key: UnwrapKey,
}

impl Scene {
    /// Makes everything new: roots, service keys, an audit log in a temporary folder, a vault, and its key.
    pub(crate) fn set(shown: &mut Shown) -> anyhow::Result<Scene> {
        let now = SystemTime::now();
        let runtime = tokio::runtime::Builder::new_current_thread().build().context("no runtime")?;
        let (root, foreign) = roots(now)?;
        let id = uuid::Builder::from_random_bytes(random()).into_uuid();
        let (verifier, vault, roots, log) = runtime.block_on(services(&root, id, now))?;
        shown
            .step("vault", &format!("made for this demo at https://{HOST}, trusts {ISSUER} and simulated hardware"))?;
        let (name, access) = (KeyName::parse(KEY)?, access(id));
        let grant = access.grant(&caller(), *id.as_bytes(), Permission::Create)?;
        let context = Context { grant: &grant, request_id: "demo", now, randomness: &randomizer };
        let new = new_key(&name, &policy());
        let key = runtime.block_on(vault.create(&context, &new)).context("the key could not be made")?;
        shown.step("key", &format!("{KEY}: RSA-HSM 2048, exportable, released only under its policy"))?;
        shown.policy(&policy())?;
        Ok(Scene { now, key, root, foreign, verifier, vault, access, roots, name, runtime, _log: log })
    }

    /// Boots a guest on a processor of the trusted root.
    pub(crate) fn boot(&self, config: TeeConfig) -> anyhow::Result<Workload> {
        self.boot_on(&self.root, config)
    }

    /// Boots a guest on a processor of a root that nobody here trusts.
    pub(crate) fn boot_abroad(&self, config: TeeConfig) -> anyhow::Result<Workload> {
        self.boot_on(&self.foreign, config)
    }

    /// SHA-256 of the foreign root's key: what the refusal must name.
    pub(crate) fn foreign_spki_sha256(&self) -> anyhow::Result<[u8; 32]> {
        Ok(self.foreign.ark_spki_sha256()?)
    }

    /// The attestation service's answer at `at`.
    pub(crate) fn attest(&self, request: &SnpRequest, at: SystemTime) -> Result<AttestationToken, AttestError> {
        self.verifier.attest(request, at, &mut rng())
    }

    /// The vault's answer, now.
    pub(crate) fn release(&self, token: &str) -> Result<ReleaseAnswer, Refusal> {
        let command = ReleaseCommand {
            name: &self.name,
            version: None,
            target: token,
            nonce: Some(NONCE),
            enc: Some(WrapAlgorithm::RsaAesKeyWrap256),
            api_version: "7.4",
            host: HOST,
        };
        // Infallible: the demo gives its one caller every permission.
        let Ok(grant) = self.access.grant(&caller(), *self.vault.id().as_bytes(), Permission::Release) else {
            return Err(Refusal::Misuse { granted: Permission::Release });
        };
        let context = Context { grant: &grant, request_id: "demo", now: self.now, randomness: &randomizer };
        self.runtime.block_on(self.vault.release(&context, &command))
    }

    /// What the workload does with the answer: believes it only after checking everything.
    pub(crate) fn verify(&self, answer: &ReleaseAnswer, token: &str) -> anyhow::Result<VerifiedRelease> {
        let asked = Asked {
            host: HOST,
            kid: &format!("https://{HOST}/keys/{}", self.name),
            nonce: Some(NONCE),
            algorithm: WrapAlgorithm::RsaAesKeyWrap256,
            token,
            target_kid: TARGET_KID,
        };
        Ok(VerifiedRelease::verify(&answer.value, &asked, &self.roots, self.now)?)
    }

    fn boot_on(&self, root: &Root, config: TeeConfig) -> anyhow::Result<Workload> {
        let number = rng().next_u32();
        let chip = root.chip(ChipConfig::numbered(Generation::Milan, number), yesterday(self.now))?;
        Ok(Workload { tee: chip.boot(config, &mut rng()), key: UnwrapKey::generate(2048)? })
    }
}

impl Workload {
    /// Evidence over this workload's own key.
    pub(crate) fn request(&self) -> anyhow::Result<SnpRequest> {
        let runtime = self.runtime_data()?;
        let evidence = self.tee.attest(&runtime)?;
        Ok(SnpRequest {
            report: evidence.report.to_vec(),
            chain_pem: evidence.vek_chain_pem.into_bytes(),
            uvm: Vec::new(),
            runtime_data: Some(Data::json(&runtime)?),
            init_data: None,
            nonce: None,
        })
    }

    /// The JSON that the report binds: the public half of the workload's key, for encryption.
    pub(crate) fn runtime_data(&self) -> anyhow::Result<Vec<u8>> {
        let (n, e) = self.key.public_components();
        let jwk = skerry_jose::PublicKey::Rsa(RsaPublicKey::new(n, e)?).to_jwk();
        let jwk = jwk.with("key_ops", vec!["encrypt"]).with("kid", TARGET_KID);
        let keys = Object::new().with("keys", vec![Value::Object(jwk)]);
        Ok(keys.to_json().into_bytes())
    }

    /// Unwraps the released key.
    pub(crate) fn unwrap(&self, release: &VerifiedRelease) -> anyhow::Result<Plaintext> {
        Ok(release.unwrap(&self.key)?)
    }
}

/// The guest that the policy is about.
pub(crate) fn trusted_guest() -> TeeConfig {
    TeeConfig::default()
}

/// Two RSA-4096 keys each, so side by side.
fn roots(now: SystemTime) -> anyhow::Result<(Root, Root)> {
    let make = || Root::generate(Generation::Milan, yesterday(now), &mut rng());
    let (trusted, foreign) = std::thread::scope(|scope| {
        let foreign = scope.spawn(make);
        (make(), foreign.join())
    });
    let foreign = foreign.map_err(|_| anyhow::anyhow!("the thread that makes a root has died"))?;
    Ok((trusted?, foreign?))
}

async fn services(
    root: &Root,
    id: Uuid,
    now: SystemTime,
) -> anyhow::Result<(Verifier, Vault, Roots, tempfile::TempDir)> {
    let signer = TokenSigner::new(IssuerUrl::parse(ISSUER)?, SigningKey::generate(Algorithm::Rs256)?);
    let authority = TrustedAuthority::fixed(Authority::built_in(&signer)?);
    let anchors = [(Generation::Milan, root.ark_spki_sha256()?)];
    let verifier = Verifier::new(VerifierConfig::simulated(&anchors, TrustList::none()), signer);
    let ca = Ca::generate("Skerry demo", now)?;
    let key = SigningKey::generate(Algorithm::Rs256)?;
    let chain = ca.issue(&key, &[HOST], now)?;
    let folder = tempfile::tempdir().context("no temporary folder for the audit log")?;
    let (root, limits) = (seal::Root::new(Zeroizing::new(random())), skerry_audit::Limits::default());
    let store = Store::memory();
    let opened = Installation::open(store, root, stamp::Kind::Dev, folder.path(), limits, now, &randomizer).await;
    let (installation, _) = opened.context("the installation could not be made")?;
    let rules = Rules {
        kind: VaultKind::Premium,
        hsm: HsmBacking::default().danger().software_hsm(),
        retention_days: 90,
        purge_protection: false,
    };
    let floor = VaultFloor::default().danger().accept_simulated();
    let config = VaultConfig { id, rules, authorities: vec![authority], floor };
    let vault = Vault::new(config, Arc::new(installation), Arc::new(ReleaseSigner::new(key, &chain)?), pools()?)?;
    Ok((verifier, vault, Roots::new(ca.root_der())?, folder))
}

fn pools() -> anyhow::Result<Pools> {
    let pool = || Pool::new(NonZeroUsize::MIN, 8).map(Arc::new).context("no thread for private keys");
    Ok(Pools { work: pool()?, generation: pool()? })
}

/// Everybody in this demo is one caller, who may do everything: it is about what the TEE proves.
fn caller() -> Principal {
    Principal::new("https://login.localhost", "demo")
}

fn access(vault: Uuid) -> Access {
    Access::new(vec![Assignment {
        issuer: caller().issuer().to_owned(),
        subjects: vec![caller().subject().to_owned()],
        scope: Scope::Vault(*vault.as_bytes()),
        permissions: Permission::ALL.into_iter().collect(),
    }])
}

fn randomizer() -> Randomness {
    Box::new(rng())
}

fn new_key(name: &KeyName, policy: &str) -> NewKey {
    NewKey {
        name: name.clone(),
        key_type: KeyType::Rsa { bits: RsaBits::B2048 },
        hsm: true,
        key_ops: Some(vec![KeyOp::Sign, KeyOp::Verify]),
        attributes: AttributesInput { exportable: Some(true), ..AttributesInput::default() },
        tags: None,
        policy: Some(PolicyInput { data: policy.as_bytes().to_vec(), immutable: None }),
    }
}

/// Which authority, which claims.
fn policy() -> String {
    let measurement = hex::encode(trusted_guest().measurement);
    format!(
        r#"{{"version":"1.0.0","anyOf":[{{"authority":"{ISSUER}","allOf":[
  {{"claim":"x-ms-attestation-type","equals":"sevsnpvm"}},
  {{"claim":"x-ms-sevsnpvm-is-debuggable","equals":"false"}},
  {{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":"{measurement}"}}]}}]}}"#
    )
}

/// Certificates are made for the day before, so that a token of some hours ago can be shown.
fn yesterday(now: SystemTime) -> SystemTime {
    now - Duration::from_secs(86_400)
}
