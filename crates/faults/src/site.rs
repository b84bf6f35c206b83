//! What the processes are started with: keys, certificates, configurations; and what clients need to ask them.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rand_core::{CryptoRng, Rng as _};
use skerry_client::Roots;
use skerry_client::attestation::attest_snp;
use skerry_client::http::{Client, Endpoint};
use skerry_evidence::snp::Generation;
use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm, ProtectedHeader, PublicKey, RsaPublicKey, SigningKey};
use skerry_keywrap::UnwrapKey;
use skerry_simulator::{ChipConfig, Root, TeeConfig};
use skerry_vault::ca::Ca;
use skerry_verifier::wire::{Data, SnpRequest};

/// Everything that all nodes share, in one folder.
pub struct Site {
    folder: PathBuf,
    ca: Ca,
    release: SigningKey,
    simulator: Root,
    callers: SigningKey,
    /// The TEE's key, to which released keys are wrapped.
    pub tee: Arc<UnwrapKey>,
}

/// The engine of a node's store, as its configuration has it.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// One file.
    Redb,
    /// A cluster: ports of the relays to its members, and the folder of certificates.
    Etcd {
        /// On this machine.
        ports: Vec<u16>,
    },
}

impl Site {
    /// Makes all keys and files.
    pub fn new(folder: &Path) -> anyhow::Result<Site> {
        let now = SystemTime::now();
        let ca = Ca::generate("Skerry faults", now)?;
        let rsa = || SigningKey::generate(Algorithm::Rs256);
        let (release, callers, attestation) = (rsa()?, SigningKey::generate(Algorithm::Es256)?, rsa()?);
        let simulator = Root::generate(Generation::Milan, now - DAY, &mut rng())?;
        let site = Site {
            folder: folder.to_owned(),
            ca,
            release,
            simulator,
            callers,
            tee: Arc::new(UnwrapKey::generate(2048)?),
        };
        let tls = site.ca.issue_tls(&[HOST], &[IpAddr::V4(Ipv4Addr::LOCALHOST)], now)?;
        site.put("tls.pem", &blocks(&tls.chain_der)?)?;
        site.put("tls.key", &pem(KEY, &tls.key_pkcs8)?)?;
        site.put("release.pem", &blocks(&site.ca.issue(&site.release, &[HOST], now)?)?)?;
        site.put("release.key", &pem(KEY, &site.release.to_pkcs8()?)?)?;
        site.put("attestation.key", &pem(KEY, &attestation.to_pkcs8()?)?)?;
        let jwk = site.callers.public().to_jwk().with("kid", CALLERS_KID);
        site.put("callers.json", &Object::new().with("keys", vec![Value::Object(jwk)]).to_json())?;
        let mut root = [0; 32];
        rng().fill_bytes(&mut root);
        site.put("root.key", &hex::encode(root))?;
        Ok(site)
    }

    /// A file of the site's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file that nobody else may read.
    pub fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        use std::io::Write as _;
        let path = self.file(name);
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("{}", path.display()))
    }

    /// Writes the configuration of one node, makes its folder, and gives the configuration's path. Ports are those by which
    /// clients come.
    pub fn configure(&self, node: usize, vault: u16, attestation: u16, store: &StoreConfig) -> anyhow::Result<PathBuf> {
        let data = self.file(&data(node));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data)?;
        let anchor = hex::encode(self.simulator.ark_spki_sha256()?);
        let text = format!(
            r#"[server]
data = "{data}"
root_key = "root.key"
{store}
[[listener]]
kind = "vault"
address = "127.0.0.1:0"
public_port = {vault}
names = ["{HOST}"]
vaults = ["faults"]
default_vault = "faults"
audiences = ["{AUDIENCE}"]
tls = {{ certificates = "tls.pem", key = "tls.key" }}
release = {{ certificates = "release.pem", key = "release.key" }}
[[listener]]
kind = "attestation"
address = "127.0.0.1:0"
public_port = {attestation}
names = ["{HOST}"]
tls = {{ certificates = "tls.pem", key = "tls.key" }}
[[issuer]]
url = "{CALLERS}"
authorization = "https://login.faults.test/faults"
jwks = "callers.json"
[attestation]
issuer = "{AUTHORITY}"
signing_key = "attestation.key"
[attestation.danger]
simulated = [{{ generation = "milan", spki_sha256 = "{anchor}" }}]
[[authority]]
url = "{AUTHORITY}"
built_in = true
[[vault]]
name = "faults"
id = "0d9f1c7e-7c1b-4f6e-9a53-3f6f0f2c4e01"
kind = "premium"
authorities = ["{AUTHORITY}"]
danger = {{ simulated = true, software_hsm = true }}
[[access]]
issuer = "{CALLERS}"
subjects = ["{CALLER}"]
vault = "faults"
permissions = ["get", "list", "create", "update", "delete", "recover", "rotate", "release"]
"#,
            data = data.display(),
            store = store_section(node, store),
        );
        let name = format!("node-{node}.toml");
        self.put(&name, &text)?;
        Ok(self.file(&name))
    }

    /// The folder of a node's log.
    pub fn log(&self, node: usize) -> PathBuf {
        self.file(&data(node)).join("audit")
    }

    /// Whom clients trust.
    pub fn roots(&self) -> anyhow::Result<Roots> {
        Ok(Roots::new(self.ca.root_der())?)
    }

    /// The service behind this port.
    pub fn endpoint(port: u16) -> anyhow::Result<Endpoint> {
        Ok(Endpoint::parse(&format!("https://{HOST}:{port}"))?.at(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// A token of the one caller, good for a day, also where a clock went back.
    pub fn bearer(&self) -> anyhow::Result<String> {
        let now = unix_secs(SystemTime::now()).saturating_sub(HOUR.as_secs());
        let claims = Object::new()
            .with("iss", CALLERS)
            .with("sub", CALLER)
            .with("aud", AUDIENCE)
            .with("iat", now)
            .with("nbf", now)
            .with("exp", now + DAY.as_secs() - HOUR.as_secs());
        let header = format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{CALLERS_KID}"}}"#);
        Ok(ProtectedHeader::new(&header).sign(claims.to_json().as_bytes(), &self.callers)?)
    }

    /// What a simulated guest that meets one of the two policies is attested, by the service behind this port.
    pub async fn attested(&self, client: &Client, port: u16, other: bool) -> anyhow::Result<String> {
        let (n, e) = self.tee.public_components();
        let jwk = PublicKey::Rsa(RsaPublicKey::new(n, e)?).to_jwk();
        let jwk = jwk.with("key_ops", vec!["encrypt"]).with("kid", TARGET_KID);
        let data = Object::new().with("keys", vec![Value::Object(jwk)]).to_json();
        let chip = self.simulator.chip(ChipConfig::numbered(Generation::Milan, 0), SystemTime::now() - DAY)?;
        let guest = TeeConfig { measurement: measurement(other), ..TeeConfig::default() };
        let evidence = chip.boot(guest, &mut rng()).attest(data.as_bytes())?;
        let request = SnpRequest {
            report: evidence.report.to_vec(),
            chain_pem: evidence.vek_chain_pem.into_bytes(),
            uvm: Vec::new(),
            runtime_data: Some(Data::json(data.as_bytes())?),
            init_data: None,
            nonce: None,
        };
        Ok(attest_snp(client, &Site::endpoint(port)?, request.to_body()).await?)
    }
}

/// What says in a configuration where the store is.
fn store_section(node: usize, store: &StoreConfig) -> String {
    match store {
        StoreConfig::Redb => String::new(),
        StoreConfig::Etcd { ports } => {
            let endpoints: Vec<String> = ports.iter().map(|port| format!("\"https://127.0.0.1:{port}\"")).collect();
            format!(
                r#"[store]
engine = "etcd"
endpoints = [{}]
node = "node-{node}"
roots = "etcd-ca.pem"
client = {{ certificates = "etcd.pem", key = "etcd.key" }}
"#,
                endpoints.join(", ")
            )
        }
    }
}

/// One of the two release policies.
pub fn policy(other: bool) -> String {
    let measurement = hex::encode(measurement(other));
    format!(
        r#"{{"version":"1.0.0","anyOf":[{{"authority":"{AUTHORITY}","allOf":[{{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":"{measurement}"}}]}}]}}"#
    )
}

/// Launch measurements of the two guests.
fn measurement(other: bool) -> [u8; 48] {
    [if other { 0xb2 } else { 0xa1 }; 48]
}

fn data(node: usize) -> String {
    format!("data-{node}")
}

/// Certificates, DER, as PEM.
pub fn blocks(chain: &[Vec<u8>]) -> anyhow::Result<String> {
    chain.iter().map(|der| pem(CERTIFICATE, der)).collect()
}

/// One PEM block.
pub fn pem(label: &'static str, der: &[u8]) -> anyhow::Result<String> {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).map_err(|error| anyhow::anyhow!("PEM: {error}"))
}

/// The system's randomness.
pub fn rng() -> impl CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Label of a private key, PKCS#8.
pub const KEY: &str = "PRIVATE KEY";
/// Label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// The host name by which nodes are addressed; their ports tell them apart.
pub const HOST: &str = "localhost";
/// The name of the TEE's key in its token.
pub const TARGET_KID: &str = "tee-key";
const AUTHORITY: &str = "https://attest.faults.test";
const CALLERS: &str = "https://callers.faults.test";
const CALLERS_KID: &str = "callers";
const CALLER: &str = "client";
const AUDIENCE: &str = "https://vault.azure.net";
const DAY: Duration = Duration::from_secs(86_400);
/// Clocks go back by less.
const HOUR: Duration = Duration::from_secs(3_600);
