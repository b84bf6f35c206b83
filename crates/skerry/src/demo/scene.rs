//! Who takes part: the server that `skerry dev` runs, in a folder of its own, a key in its vault, a trusted simulated root, a
//! foreign one, and workloads. What a workload has of the services it has over HTTPS.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use http::Method;
use rand_core::Rng as _;
use skerry_client::attestation::{self, attest_snp};
use skerry_client::http::{Ask, Client, Endpoint};
use skerry_client::limits::ANSWER;
use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_evidence::snp::Generation;
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{PublicKey, RsaPublicKey, b64};
use skerry_keywrap::{Algorithm as WrapAlgorithm, Plaintext, UnwrapKey};
use skerry_simulator::{ChipConfig, Root, Tee, TeeConfig};
use skerry_store::stamp::Kind;
use skerry_verifier::Verifier;
use skerry_verifier::wire::{Data, SnpRequest};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::attempts::Refusal;
use super::show::Shown;
use crate::dev::Installed;
use crate::edge::Failure;
use crate::machine;
pub(crate) use crate::machine::rng;
use crate::server::{self, Assembled};

/// The host name by which the services are addressed here.
const HOST: &str = "localhost";
const KEY: &str = "payments";
const NONCE: &str = "demo";
const TARGET_KID: &str = "tee-key";

/// Everybody and everything that the story needs.
pub(crate) struct Scene {
    /// The public half of the key, as the vault gave it.
    pub(crate) key: PublicKey,
    installed: Installed,
    foreign: Root,
    client: Client,
    roots: Roots,
    vault: Endpoint,
    attestation: Endpoint,
    bearer: String,
    /// The attestation service with its key, beside the one that answers: for what it said in the past.
    verifier: Arc<Verifier>,
    runtime: Runtime,
    server: Server,
}

/// A running server. It stops when this is dropped, and its folder goes.
struct Server {
    stopping: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

/// Code in a TEE: the guest it runs in, and a key pair that only it holds.
pub(crate) struct Workload {
    pub(crate) tee: Tee,
    key: UnwrapKey,
}

impl Scene {
    /// Makes everything new: roots, service keys, certificates, a server on ports that are free, and a key in its vault.
    pub(crate) fn set(shown: &mut Shown) -> Result<Scene, Failure> {
        let now = SystemTime::now();
        let runtime = server::runtime()?;
        let folder = tempfile::tempdir().context("no temporary folder")?;
        // Two RSA-4096 keys each, so side by side.
        let foreign = std::thread::spawn(move || Root::generate(Generation::Milan, yesterday(now), &mut rng()));
        let (installed, assembled) = runtime.block_on(installed(&folder, now))?;
        let foreign = foreign.join().map_err(|_| anyhow!("the thread that makes a root has died"))?;
        let foreign = foreign.map_err(anyhow::Error::new)?;
        let (stopping, stopped) = oneshot::channel::<()>();
        let served = runtime.spawn(assembled.serve(async {
            // A sender that is gone means that the story is over.
            let _ = stopped.await;
        }));
        let server = Server { stopping, served, _folder: folder };
        Ok(Scene::around(installed, (runtime, server), foreign, now, shown)?)
    }

    fn around(
        installed: Installed,
        (runtime, server): (Runtime, Server),
        foreign: Root,
        now: SystemTime,
        shown: &mut Shown,
    ) -> anyhow::Result<Scene> {
        let (vault, authority) = (installed.vault_url(), installed.attestation_url());
        let made = format!("made for this demo at {vault}, trusts {authority} and simulated hardware");
        shown.step("vault", &made)?;
        let roots = Roots::new(installed.root_der())?;
        let client = Client::new(&roots)?;
        let (vault, attestation) = (Endpoint::parse(&vault)?, Endpoint::parse(&authority)?);
        let bearer = installed.vault_token(now)?;
        let policy = policy(&authority);
        let key = runtime.block_on(create(&client, &vault, &bearer, &policy)).context("the key could not be made")?;
        shown.step("key", &format!("{KEY}: RSA-HSM 2048, exportable, released only under its policy"))?;
        shown.policy(&policy)?;
        let verifier = server::attestation(installed.attestation()?)?.verifier;
        Ok(Scene { key, installed, foreign, client, roots, vault, attestation, bearer, verifier, runtime, server })
    }

    /// Boots a guest on a processor of the trusted root.
    pub(crate) fn boot(&self, config: TeeConfig) -> anyhow::Result<Workload> {
        boot_on(self.installed.simulator(), config)
    }

    /// Boots a guest on a processor of a root that nobody here trusts.
    pub(crate) fn boot_abroad(&self, config: TeeConfig) -> anyhow::Result<Workload> {
        boot_on(&self.foreign, config)
    }

    /// SHA-256 of the foreign root's key: what the refusal must name.
    pub(crate) fn foreign_spki_sha256(&self) -> anyhow::Result<[u8; 32]> {
        Ok(self.foreign.ark_spki_sha256()?)
    }

    /// The attestation service's answer, over HTTPS.
    pub(crate) fn attest(&self, request: &SnpRequest) -> anyhow::Result<Result<String, Refusal>> {
        let token = self.runtime.block_on(attest_snp(&self.client, &self.attestation, request.to_body()));
        match token {
            Ok(token) => Ok(Ok(token)),
            Err(attestation::AttestError::Refused { code, message }) => Ok(Err(Refusal::Attest { code, message })),
            Err(error) => Err(error.into()),
        }
    }

    /// What the attestation service said at an earlier time.
    pub(crate) fn attested_at(&self, request: &SnpRequest, at: SystemTime) -> anyhow::Result<String> {
        Ok(self.verifier.attest(request, at, &mut rng()).context("attestation refused")?.as_str().to_owned())
    }

    /// The vault's answer, over HTTPS.
    pub(crate) fn release(&self, token: &str) -> anyhow::Result<Result<String, Refusal>> {
        let body = Object::new()
            .with("target", token)
            .with("nonce", NONCE)
            .with("enc", WrapAlgorithm::RsaAesKeyWrap256.as_str());
        let path = format!("/keys/{KEY}/release?api-version={API_VERSION}");
        let asked = post(&self.client, &self.vault, &self.bearer, &path, &body);
        match self.runtime.block_on(asked)? {
            Ok(answer) => Ok(Ok(text(&answer, "value").context("an answer without a value")?)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// What the workload does with the answer: believes it only after checking everything.
    pub(crate) fn verify(&self, answer: &str, token: &str) -> anyhow::Result<VerifiedRelease> {
        let asked = Asked {
            host: HOST,
            kid: &format!("https://{}/keys/{KEY}", self.vault.authority()),
            nonce: Some(NONCE),
            algorithm: WrapAlgorithm::RsaAesKeyWrap256,
            token,
            target_kid: TARGET_KID,
        };
        Ok(VerifiedRelease::verify(answer, &asked, &self.roots, SystemTime::now())?)
    }

    /// Stops the server and waits for it.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let Server { stopping, served, _folder } = self.server;
        drop(stopping);
        self.runtime.block_on(served).context("the server")
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
        let jwk = PublicKey::Rsa(RsaPublicKey::new(n, e)?).to_jwk();
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

async fn installed(folder: &tempfile::TempDir, now: SystemTime) -> Result<(Installed, Assembled), Failure> {
    let (installed, sockets) = Installed::anew(folder.path(), now).await?;
    let assembled = Assembled::new(installed.settings(now)?, sockets, Kind::Dev, machine::machine()).await?;
    Ok((installed, assembled))
}

fn boot_on(root: &Root, config: TeeConfig) -> anyhow::Result<Workload> {
    let number = rng().next_u32();
    let chip = root.chip(ChipConfig::numbered(Generation::Milan, number), yesterday(SystemTime::now()))?;
    Ok(Workload { tee: chip.boot(config, &mut rng()), key: UnwrapKey::generate(2048)? })
}

/// Makes the key, and gives its public half.
async fn create(client: &Client, vault: &Endpoint, bearer: &str, policy: &str) -> anyhow::Result<PublicKey> {
    let body = Object::new()
        .with("kty", "RSA-HSM")
        .with("key_size", 2048_u64)
        .with("key_ops", vec!["sign", "verify"])
        .with("attributes", Object::new().with("exportable", true))
        .with("release_policy", Object::new().with("data", b64::encode(policy)));
    let path = format!("/keys/{KEY}/create?api-version={API_VERSION}");
    let answer = post(client, vault, bearer, &path, &body).await?;
    let answer = answer.map_err(|refusal| anyhow!("{refusal}"))?;
    let jwk = answer.get("key").context("an answer without a key")?;
    let member = |name| jwk.get(&[name]).and_then(Value::as_str).and_then(|text| b64::decode(text).ok());
    let (n, e) = member("n").zip(member("e")).context("the key is not RSA")?;
    Ok(PublicKey::Rsa(RsaPublicKey::new(&n, &e)?))
}

/// The vault's answer, or its refusal.
async fn post(
    client: &Client,
    vault: &Endpoint,
    bearer: &str,
    path: &str,
    body: &Object,
) -> anyhow::Result<Result<Object, Refusal>> {
    let ask = Ask { method: Method::POST, path, bearer: Some(bearer), body: Some(body.to_json()) };
    let answer = client.ask(vault, ask).await?;
    let status = answer.status.as_u16();
    let object = json::parse(&answer.body, &ANSWER).ok().and_then(Value::into_object);
    let object = object.with_context(|| format!("the vault answers {status} without JSON"))?;
    if answer.status.is_success() {
        return Ok(Ok(object));
    }
    let error = object.get("error").and_then(|error| Some(error.get(&["message"])?.as_str()?.to_owned()));
    Ok(Err(Refusal::Release { status, message: error.context("a refusal without a sentence")? }))
}

fn text(object: &Object, member: &str) -> Option<String> {
    object.get(member).and_then(Value::as_str).map(str::to_owned)
}

/// Which authority, which claims.
fn policy(authority: &str) -> String {
    let measurement = hex::encode(trusted_guest().measurement);
    format!(
        r#"{{"version":"1.0.0","anyOf":[{{"authority":"{authority}","allOf":[
  {{"claim":"x-ms-attestation-type","equals":"sevsnpvm"}},
  {{"claim":"x-ms-sevsnpvm-is-debuggable","equals":"false"}},
  {{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":"{measurement}"}}]}}]}}"#
    )
}

/// Certificates are made for the day before, so that a token of some hours ago can be shown.
fn yesterday(now: SystemTime) -> SystemTime {
    now - Duration::from_secs(86_400)
}

/// The version that clients of today use.
const API_VERSION: &str = "7.4";
