//! `skerry serve` with vaults under a domain: two issuers of callers, one of which is really fetched from, an attestation
//! authority of a file, and who learns what.

mod backup;
mod clocks;
mod formats;
mod hsm;
mod nodes;
mod shared;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use http::Method;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use skerry_attestation_result::{AttestationResult, IssuerUrl, Provenance, TokenSigner};
use skerry_client::http::Ask;
use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_jose::json::{self, Object};
use skerry_jose::{Algorithm, ProtectedHeader, PublicKey, RsaPublicKey, SigningKey};
use skerry_keywrap::UnwrapKey;
use skerry_vault::ca::{Ca, TlsLeaf};

use crate::process::*;

const AUTHORITY: &str = "https://attest.example.org";
const CI: &str = "https://ci.example.org";
const MEASUREMENT: &str = "x-ms-sevsnpvm-launchmeasurement";

/// `kv2` is only there to be another vault. The callers of the fetched issuer may read, and those of the other may not.
const CONFIG: &str = r#"
[server]
data = "data"
root_key = "root.key"
[[listener]]
kind = "vault"
address = "127.0.0.1:0"
domains = ["vault.localhost"]
vaults = ["kv1", "kv2"]
audiences = ["https://vault.azure.net"]
tls = { certificates = "tls.pem", key = "tls.key" }
release = { certificates = "release.pem", key = "release.key" }
[[issuer]]
url = "https://ci.example.org"
authorization = "https://ci.example.org/tenant"
jwks = "ci.json"
[[issuer]]
url = "FETCHED"
[issuer.fetch]
roots = "ca.pem"
addresses = ["loopback"]
[[authority]]
url = "https://attest.example.org"
jwks = "attest.json"
[[vault]]
name = "kv1"
id = "6b1f0c1e-3f0f-4f43-9d7e-0b8a3d2f9c11"
kind = "premium"
authorities = ["https://attest.example.org"]
danger = { software_hsm = true }
[[vault]]
name = "kv2"
id = "6b1f0c1e-3f0f-4f43-9d7e-0b8a3d2f9c12"
kind = "standard"
[[access]]
issuer = "https://ci.example.org"
subjects = ["tee"]
vault = "kv1"
permissions = ["release"]
[[access]]
issuer = "FETCHED"
subjects = ["operator"]
vault = "kv1"
permissions = ["get", "create", "delete"]
[[access]]
issuer = "FETCHED"
subjects = ["debugger"]
vault = "kv1"
permissions = ["get", "release"]
"#;

/// A configuration with all that it names, and the keys of those who vouch.
struct Site {
    folder: tempfile::TempDir,
    provider: Provider,
}

impl Site {
    fn new() -> Site {
        let (now, folder) = (SystemTime::now(), tempfile::tempdir().unwrap());
        let ca = Ca::generate("tests", now).unwrap();
        let loopback = [Ipv4Addr::LOCALHOST.into()];
        let site = Site { folder, provider: Provider::start(ca.issue_tls(&["localhost"], &loopback, now).unwrap()) };
        site.put("ca.pem", &pem("CERTIFICATE", ca.root_der()));
        // For a name beside the domain too, so that TLS is no reason to refuse it.
        let leaf = ca.issue_tls(&["*.vault.localhost", "kv1.elsewhere.localhost"], &[], now).unwrap();
        site.put("tls.pem", &chain(&leaf.chain_der));
        site.put("tls.key", &pem("PRIVATE KEY", &leaf.key_pkcs8));
        let release = SigningKey::generate(Algorithm::Rs256).unwrap();
        let names = ["kv1.vault.localhost", "kv2.vault.localhost"];
        site.put("release.pem", &chain(&ca.issue(&release, &names, now).unwrap()));
        site.put("release.key", &pem("PRIVATE KEY", &release.to_pkcs8().unwrap()));
        site.put("root.key", &"5a".repeat(32));
        site.put("ci.json", &jwks(ci(), "ci"));
        let signer = TokenSigner::new(IssuerUrl::parse(AUTHORITY).unwrap(), attestation_key());
        site.put("attest.json", &jwks(&attestation_key(), signer.kid()));
        site.put("skerry.toml", &CONFIG.replace("FETCHED", &site.provider.issuer));
        std::fs::create_dir(site.path("data")).unwrap();
        std::fs::set_permissions(site.path("data"), std::fs::Permissions::from_mode(0o700)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn start(&self) -> Served<'_> {
        self.start_as(self.path("skerry.toml").to_str().unwrap())
    }

    /// Of another configuration of this site.
    fn start_as(&self, config: &str) -> Served<'_> {
        self.start_with(config, &[])
    }

    /// The same, with variables of its own.
    fn start_with(&self, config: &str, variables: &[(&str, &str)]) -> Served<'_> {
        let running = Running::start_with(&["serve", "--config", config], "ready", variables);
        let line = running.said.iter().find_map(|line| line.strip_prefix("listening on ")).unwrap();
        let port = line.rsplit(':').next().unwrap().to_owned();
        Served { site: self, running, port }
    }

    /// A token of the issuer that is fetched from.
    fn fetched(&self, subject: &str) -> String {
        bearer(fetched(), "fetched", &self.provider.issuer, subject)
    }
}

/// A server of the site.
struct Served<'a> {
    site: &'a Site,
    running: Running,
    port: String,
}

impl Served<'_> {
    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    fn ask(&self, host: &str, method: Method, path: &str, bearer: Option<&str>, body: Option<Value>) -> Answer {
        let ca = self.site.path("ca.pem");
        let path = &format!("{path}?api-version=7.4");
        let ask = Ask { method, path, bearer, body: body.map(|body| body.to_string()) };
        crate::process::ask(ca.to_str().unwrap(), &self.url(host), ask).unwrap()
    }

    fn get(&self, host: &str, path: &str, bearer: Option<&str>) -> Answer {
        self.ask(host, Method::GET, path, bearer, None)
    }

    fn post(&self, path: &str, bearer: &str, body: Value) -> Answer {
        self.ask("kv1.vault.localhost", Method::POST, path, Some(bearer), Some(body))
    }

    /// A key that is released to one measurement.
    fn create(&self) {
        let policy = json!({"version": "1.0.0", "anyOf": [
            {"authority": AUTHORITY, "allOf": [{"claim": MEASUREMENT, "equals": "good"}]}
        ]});
        let create = json!({
            "kty": "EC-HSM", "crv": "P-256", "key_ops": ["sign"], "attributes": {"exportable": true},
            "release_policy": {"data": skerry_jose::b64::encode(policy.to_string())},
        });
        let answer = self.post("/keys/payments/create", &self.site.fetched("operator"), create);
        assert_eq!(answer.status, 200, "{}", answer.json);
        let kid = answer.json["key"]["kid"].as_str().unwrap();
        assert!(kid.starts_with(&format!("{}/keys/payments/", self.url("kv1.vault.localhost"))), "{kid}");
    }

    fn release(&self, bearer: &str, target: &str) -> Answer {
        let body = json!({"target": target, "nonce": "n", "enc": "RSA_AES_KEY_WRAP_256"});
        self.post("/keys/payments/release", bearer, body)
    }
}

/// An identity provider on loopback: metadata and keys, and how often each was asked for.
struct Provider {
    issuer: String,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Provider {
    /// Answers as long as the process is there: nobody waits for its thread.
    fn start(leaf: TlsLeaf) -> Provider {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (issuer, asked) = (format!("{origin}/tenant"), Arc::default());
        let metadata = json!({"issuer": issuer, "jwks_uri": format!("{origin}/keys")}).to_string();
        let pages = HashMap::from([
            ("/tenant/.well-known/openid-configuration".to_owned(), metadata),
            ("/keys".to_owned(), jwks(fetched(), "fetched")),
        ]);
        let provider = Provider { issuer, asked: Arc::clone(&asked) };
        let chain = leaf.chain_der.iter().map(|der| der.clone().into()).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key_pkcs8.to_vec()));
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(crypto).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
                // A client that goes away is no failure of the provider's.
                answer(stream, &pages, &asked).ok();
            }
        });
        provider
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().get(path).copied().unwrap_or_default()
    }
}

type Stream = StreamOwned<ServerConnection, std::net::TcpStream>;

fn answer(
    mut stream: Stream,
    pages: &HashMap<String, String>,
    asked: &Mutex<HashMap<String, usize>>,
) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let (status, body) = pages.get(&path).map_or(("404 Not Found", ""), |body| ("200 OK", body.as_str()));
    *asked.lock().unwrap().entry(path).or_default() += 1;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn pem(label: &'static str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

fn chain(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

fn jwks(key: &SigningKey, kid: &str) -> String {
    let jwk = key.public().to_jwk().with("kid", kid).with("use", "sig").with("alg", key.algorithm().name());
    Object::new().with("keys", vec![json::Value::Object(jwk)]).to_json()
}

fn ci() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Es256).unwrap())
}

fn fetched() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Es256).unwrap())
}

/// Made once, read anew each time, since it cannot be cloned.
fn attestation_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    let pkcs8 = KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap().to_vec());
    SigningKey::from_pkcs8(Algorithm::Rs256, pkcs8).unwrap()
}

/// A caller's token, good for ten minutes.
fn bearer(key: &SigningKey, kid: &str, issuer: &str, subject: &str) -> String {
    bearer_of(SystemTime::now(), key, kid, issuer, subject)
}

/// As one that is issued at that time.
fn bearer_of(at: SystemTime, key: &SigningKey, kid: &str, issuer: &str, subject: &str) -> String {
    let now = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = Object::new()
        .with("iss", issuer)
        .with("sub", subject)
        .with("aud", "https://vault.azure.net")
        .with("iat", now)
        .with("exp", now + 600);
    let header = Object::new().with("alg", key.algorithm().name()).with("kid", kid);
    ProtectedHeader::new(&header.to_json()).sign(claims.to_json().as_bytes(), key).unwrap()
}

fn tee() -> String {
    bearer(ci(), "ci", CI, "tee")
}

/// A TEE's key, and what the authority says of a TEE with this measurement.
fn attested(measurement: &str) -> (UnwrapKey, String) {
    attested_at(SystemTime::now() - Duration::from_secs(5), measurement)
}

/// What it says at that time.
fn attested_at(at: SystemTime, measurement: &str) -> (UnwrapKey, String) {
    let key = UnwrapKey::generate(2048).unwrap();
    let (n, e) = key.public_components();
    let jwk = PublicKey::Rsa(RsaPublicKey::new(n, e).unwrap()).to_jwk();
    let jwk = jwk.with("kid", "tee").with("key_ops", vec!["encrypt"]);
    let claims = Object::new()
        .with("x-ms-attestation-type", "sevsnpvm")
        .with(MEASUREMENT, measurement)
        .with("x-ms-runtime", Object::new().with("keys", vec![json::Value::Object(jwk)]));
    let issuer = IssuerUrl::parse(AUTHORITY).unwrap();
    let result = AttestationResult::assertion(issuer.clone(), claims, Provenance::Real, at);
    let token = TokenSigner::new(issuer, attestation_key()).sign(&result, [9; 32]).unwrap();
    (key, token.into_string())
}

/// Vaults are told apart by the name they are addressed by, and by nothing else: a name beside the domain is another
/// server's, whatever its certificate says, and a vault that is not there is no other.
#[test]
fn vaults_are_what_they_are_addressed_as() {
    let site = Site::new();
    let served = site.start();
    let operator = site.fetched("operator");
    let status = |host: &str, bearer: Option<&str>| served.get(host, "/keys/payments", bearer).status;
    assert_eq!(status("kv1.elsewhere.localhost", Some(&operator)), 421);
    assert_eq!(status("kv1.elsewhere.localhost", None), 421);
    assert_eq!(status("kv9.vault.localhost", None), 401, "nobody learns which vaults there are");
    let unknown = served.get("kv9.vault.localhost", "/keys/payments", Some(&operator));
    assert_eq!((unknown.status, &unknown.json["error"]["code"]), (404, &json!("VaultNotFound")));
    let absent = served.get("kv1.vault.localhost", "/keys/payments", Some(&operator));
    assert_eq!((absent.status, &absent.json["error"]["code"]), (404, &json!("KeyNotFound")));
    // What is allowed in one vault is not in the other.
    assert_eq!(status("kv2.vault.localhost", Some(&operator)), 403);
    let challenge = served.get("kv1.vault.localhost", "/keys/payments", None).challenge.unwrap();
    assert!(challenge.contains("https://ci.example.org/tenant"), "{challenge}");
    let (status, complaints) = served.running.stop("TERM");
    assert_eq!(status.code(), Some(0), "{complaints}");
    assert!(complaints.lines().all(|line| line.contains("warning: listener[0]: clients address port")), "{complaints}");
}

/// Keys of an issuer are fetched when a token of its own comes, once for many; a key that it does not publish, and a token
/// of one issuer in the other's name, are nobody's.
#[test]
fn issuer_is_fetched_from() {
    let site = Site::new();
    let served = site.start();
    let metadata = "/tenant/.well-known/openid-configuration";
    let status = |bearer: &str| served.get("kv1.vault.localhost", "/keys/payments", Some(bearer)).status;
    assert_eq!(status(&tee()), 403, "a token of the file needs no fetching");
    assert_eq!((site.provider.asked(metadata), site.provider.asked("/keys")), (0, 0));
    for _ in 0..3 {
        assert_eq!(status(&site.fetched("operator")), 404);
    }
    assert_eq!((site.provider.asked(metadata), site.provider.asked("/keys")), (1, 1));
    assert_eq!(status(&bearer(ci(), "ci", &site.provider.issuer, "operator")), 401);
    assert_eq!(status(&bearer(ci(), "fetched", &site.provider.issuer, "operator")), 401);
    assert_eq!(status(&bearer(fetched(), "fetched", CI, "tee")), 401);
}

/// A key goes to the TEE of its policy. Who may not release learns that; who may, and may not read, learns that the policy
/// is not met; who may also read learns which clause.
#[test]
fn denials_are_explained_to_readers() {
    let site = Site::new();
    let served = site.start();
    served.create();
    let ((key, good), (_, bad)) = (attested("good"), attested("bad"));
    let answer = served.release(&tee(), &good);
    assert_eq!(answer.status, 200, "{}", answer.json);
    let kid = format!("{}/keys/payments", served.url("kv1.vault.localhost"));
    let asked = Asked {
        host: "kv1.vault.localhost",
        kid: &kid,
        nonce: Some("n"),
        algorithm: skerry_keywrap::Algorithm::RsaAesKeyWrap256,
        token: &good,
        target_kid: "tee",
    };
    let roots = Roots::from_pem(&std::fs::read(site.path("ca.pem")).unwrap()).unwrap();
    let value = answer.json["value"].as_str().unwrap();
    let release = VerifiedRelease::verify(value, &asked, &roots, SystemTime::now()).unwrap();
    assert!(!release.unwrap(&key).unwrap().expose().is_empty());

    let message = |answer: &Answer| answer.json["error"]["message"].as_str().unwrap().to_owned();
    let denied = "Target environment attestation does not meet key release policy requirements.";
    let without_get = served.release(&tee(), &bad);
    assert_eq!((without_get.status, message(&without_get)), (403, denied.to_owned()));
    let with_get = served.release(&site.fetched("debugger"), &bad);
    let clause = format!("- anyOf[0].allOf[0]: {MEASUREMENT:?} equals \"good\", saw \"bad\"");
    assert_eq!(with_get.status, 403);
    assert!(message(&with_get).starts_with(denied) && message(&with_get).contains(&clause), "{}", message(&with_get));
    // Reading and making keys is no permission to release them, however good the token is.
    for target in [&good, &bad] {
        let not_permitted = served.release(&site.fetched("operator"), target);
        assert_eq!((not_permitted.status, &not_permitted.json["error"]["code"]), (403, &json!("Forbidden")));
        assert!(message(&not_permitted).contains("does not have keys release permission on key vault 'kv1"));
        assert!(!message(&not_permitted).contains("anyOf"));
    }
}
