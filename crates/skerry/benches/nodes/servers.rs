//! A site with one vault: its configuration, its servers, and the requests of its clients.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use skerry_evidence::snp::Generation;
use skerry_jose::json::{Object, Value as Strict};
use skerry_keywrap::UnwrapKey;
use skerry_simulator::Root;
use skerry_vault::ca::Ca;

use crate::cluster::Cluster;
use crate::common::site::{Actors, POLICY};
use crate::common::snp::one_evidence;
use crate::common::token::{self, Token};
use crate::common::{AUDIENCE, CALLER, ISSUER, KEY, TENANT, random, rng, rs256};
use crate::https::straight::release_body;
use crate::https::wire::{self, Connection, Target};

/// A folder with all that servers of one vault read, and what its clients have.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    root: Vec<u8>,
    bearer: String,
    tokens: Vec<Token>,
}

impl Site {
    pub(crate) fn make(tokens: usize) -> anyhow::Result<Site> {
        let (now, folder) = (SystemTime::now(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?);
        let (ca, principals, actors) = (Ca::generate("Skerry bench", now)?, rs256()?, Actors::make(now)?);
        let made = now - Duration::from_secs(86_400);
        let evidence = one_evidence(&Root::generate(Generation::Milan, made, &mut rng())?, 7, b"{}", made)?;
        let (signer, workloads) = (actors.token_signer()?, [UnwrapKey::generate(2048)?]);
        let tokens = token::tokens(&signer, &evidence, &workloads, tokens, now)?;
        let bearer = token::bearer(&principals, now)?.text;
        let site = Site { folder, root: ca.root_der().to_vec(), bearer, tokens };
        let leaf = ca.issue_tls(&[HOST], &[], now)?;
        site.put("tls.pem", &chain(&leaf.chain_der)?)?;
        site.put("tls.key", &pem("PRIVATE KEY", &leaf.key_pkcs8)?)?;
        site.put("release.pem", &chain(&ca.issue(&actors.signing, &[HOST], now)?)?)?;
        site.put("release.key", &pem("PRIVATE KEY", &actors.signing.to_pkcs8()?)?)?;
        site.put("root.key", &hex::encode(random::<32>()))?;
        let jwks = |key: &skerry_jose::SigningKey, kid: &str| {
            let jwk = key.public().to_jwk().with("kid", kid).with("use", "sig");
            Object::new().with("keys", vec![Strict::Object(jwk)]).to_json()
        };
        site.put("callers.json", &jwks(&principals, "principals"))?;
        site.put("attest.json", &jwks(&actors.attester, signer.kid()))?;
        Ok(site)
    }

    /// A server with a store of its own.
    pub(crate) fn alone(&self) -> anyhow::Result<Server> {
        self.start("alone", "")
    }

    /// A node on this etcd.
    pub(crate) fn node(&self, cluster: &Cluster, name: &str) -> anyhow::Result<Server> {
        let ca = cluster.ca.as_ref().context("the cluster has a CA")?;
        let (certificate, key) = ca.issue();
        self.put(&format!("{name}-etcd.pem"), &certificate)?;
        self.put(&format!("{name}-etcd.key"), &key)?;
        self.put(&format!("{name}-roots.pem"), &ca.pem())?;
        let endpoints: Vec<_> = cluster.members.iter().map(|member| format!("{:?}", member.endpoint)).collect();
        let store = format!(
            "\n[store]\nengine = \"etcd\"\nnode = \"{name}\"\nendpoints = [{}]\nroots = \"{name}-roots.pem\"\n\
             client = {{ certificates = \"{name}-etcd.pem\", key = \"{name}-etcd.key\" }}\n",
            endpoints.join(", ")
        );
        self.start(name, &store)
    }

    fn start(&self, name: &str, store: &str) -> anyhow::Result<Server> {
        let data = format!("data-{name}");
        DirBuilder::new().mode(0o700).create(self.path(&data))?;
        let config =
            [("AUDIENCE", AUDIENCE), ("TENANT", TENANT), ("CALLER", CALLER), ("ISSUER", ISSUER), ("DATA", &data)];
        let config = config.iter().fold(CONFIG.to_owned(), |config, (name, value)| config.replace(name, value));
        let config = config.replace("AUTHORIZATION", TENANT.trim_end_matches('/'));
        let file = format!("{name}.toml");
        self.put(&file, &(config + store))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        command.args(["serve", "--json", "--config"]).arg(self.path(&file)).stdout(Stdio::piped());
        let mut process = Process(command.spawn()?);
        let mut lines = BufReader::new(process.0.stdout.take().context("no pipe")?).lines();
        let ready: Value = serde_json::from_str(&lines.next().context("the program ended")??)?;
        let address = ready.pointer("/addresses/0").and_then(Value::as_str).context("no address")?;
        let address: SocketAddr = address.parse()?;
        Ok(Server { _process: process, target: Target::new(address, HOST, &wire::tls(&self.root)?)? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// Makes the key that is released.
    pub(crate) async fn create(&self, server: &Server) -> anyhow::Result<()> {
        let body = json!({
            "kty": "RSA-HSM", "key_size": 2048, "attributes": {"exportable": true},
            "release_policy": {"data": skerry_jose::b64::encode(POLICY)},
        });
        let request = self.request(&format!("/keys/{KEY}/create"), &body.to_string());
        let answer = server.open().await?.ask(&request).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(())
    }

    /// A request to release it to the TEE of this token.
    pub(crate) fn release(&self, number: usize) -> anyhow::Result<Vec<u8>> {
        let token = self.tokens.get(number % self.tokens.len().max(1)).context("no token")?;
        Ok(self.request(&format!("/keys/{KEY}/release"), &release_body(&token.text)))
    }

    fn request(&self, path: &str, body: &str) -> Vec<u8> {
        let (bearer, len) = (&self.bearer, body.len());
        format!(
            "POST {path}?api-version=7.4 HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Octets of what a release is made of.
    pub(crate) fn sizes(&self) -> String {
        let (bearer, token) = (self.bearer.len(), self.tokens.first().map_or(0, |token| token.text.len()));
        format!("bearer token {bearer} B, attestation token {token} B, RSA-2048 key; {} cores for all", cores())
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A server that says that it is ready.
pub(crate) struct Server {
    _process: Process,
    target: Target,
}

impl Server {
    pub(crate) async fn open(&self) -> anyhow::Result<Connection> {
        self.target.open().await
    }
}

/// Ends when it is not wanted any more, whatever went wrong.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn chain(certificates: &[Vec<u8>]) -> anyhow::Result<String> {
    certificates.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

fn pem(label: &'static str, der: &[u8]) -> anyhow::Result<String> {
    let pem = der::pem::encode_string(label, der::pem::LineEnding::LF, der);
    pem.map_err(|error| anyhow::anyhow!("no PEM: {error}"))
}

const HOST: &str = "kv1.vault.localhost";

const CONFIG: &str = r#"
[server]
data = "DATA"
root_key = "root.key"
[[listener]]
kind = "vault"
address = "127.0.0.1:0"
public_port = 443
domains = ["vault.localhost"]
vaults = ["kv1"]
audiences = ["AUDIENCE"]
tls = { certificates = "tls.pem", key = "tls.key" }
release = { certificates = "release.pem", key = "release.key" }
[[issuer]]
url = "TENANT"
authorization = "AUTHORIZATION"
jwks = "callers.json"
[[authority]]
url = "ISSUER"
jwks = "attest.json"
[[vault]]
name = "kv1"
id = "6b1f0c1e-3f0f-4f43-9d7e-0b8a3d2f9c11"
kind = "premium"
authorities = ["ISSUER"]
danger = { software_hsm = true }
[[access]]
issuer = "TENANT"
subjects = ["CALLER"]
vault = "kv1"
permissions = ["get", "create", "release"]
"#;
