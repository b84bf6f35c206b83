//! A key vault, a standard one and a Managed HSM behind one listener, an identity provider, and an attestation authority.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::HeaderValue;
use skerry_attestation_result::{AttestationResult, Authority, IssuerUrl, Provenance, TokenSigner, unix_secs};
use skerry_http::vault::{Config, ServiceHeaders, Surface};
use skerry_http::{Limits, Pool, Surface as Surfaces};
use skerry_identity::{Access, Assignment, Issuers, Permission, Provider, Scope};
use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm, JwkSet, ProtectedHeader, SigningKey, b64};
use skerry_keywrap::UnwrapKey;
use skerry_policy::permit::VaultFloor;
use skerry_sources::KeySet;
use skerry_store::Store;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_vault::ca::Ca;
use skerry_vault::decide::{HsmBacking, Rules};
use skerry_vault::{
    Installation, Pools, ReleaseSigner, Stock, Throttling, TrustedAuthority, Vault, VaultConfig, VaultKind,
};
use tempfile::TempDir;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::support::{Response, Site, Wire, machine, names, now, request};

pub(super) const ISSUER: &str = "https://sts.test/6f1e9b0a/";
pub(super) const AUTHORIZATION: &str = "https://login.test/6f1e9b0a";
pub(super) const AUDIENCE: &str = "https://vault.azure.net";
pub(super) const AUTHORITY: &str = "https://attest.test";
/// A premium key vault, a standard one, and a Managed HSM.
pub(super) const PREMIUM: &str = "kv1.vault.test";
pub(super) const STANDARD: &str = "std.vault.test";
pub(super) const HSM: &str = "hsm1.vault.test";
/// A premium key vault with Azure's limits.
pub(super) const THROTTLED: &str = "limited.vault.test";
pub(super) const V: &str = "api-version=7.4";

/// A server of four vaults.
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) root_der: Vec<u8>,
    pub(super) log_key: skerry_tlog::VerifyingKey,
    _log: TempDir,
}

/// Keys are slow to make, so every test reads the same few.
fn signing_key(place: &OnceLock<Vec<u8>>) -> SigningKey {
    let der = place.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap().to_vec());
    SigningKey::from_pkcs8(Algorithm::Rs256, der).unwrap()
}

fn provider_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    signing_key(&KEY)
}

fn authority_key() -> SigningKey {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    signing_key(&KEY)
}

fn authority() -> TokenSigner {
    TokenSigner::new(IssuerUrl::parse(AUTHORITY).unwrap(), authority_key())
}

/// The key that the TEE wants things wrapped to.
pub(super) fn tee() -> &'static UnwrapKey {
    static TEE: OnceLock<UnwrapKey> = OnceLock::new();
    TEE.get_or_init(|| UnwrapKey::generate(2048).unwrap())
}

/// `admin` may do all; `only-sign` may sign and `not-sign` all but that, for every permission.
fn access() -> Access {
    let assignment = |subject: String, permissions: Vec<Permission>| Assignment {
        issuer: ISSUER.into(),
        subjects: vec![subject],
        scope: Scope::Every,
        permissions: permissions.into_iter().collect(),
    };
    let mut assignments = vec![assignment("admin".into(), Permission::ALL.to_vec())];
    for permission in Permission::ALL {
        assignments.push(assignment(format!("only-{permission}"), vec![permission]));
        let others = Permission::ALL.into_iter().filter(|other| *other != permission).collect();
        assignments.push(assignment(format!("not-{permission}"), others));
    }
    Access::new(assignments)
}

impl Scene {
    pub(super) async fn new() -> Scene {
        Self::with(Limits::default(), 1_024).await
    }

    pub(super) async fn with(limits: Limits, queue_max: usize) -> Scene {
        Self::on(Store::memory(), skerry_audit::Limits::default(), limits, queue_max).await
    }

    /// On a store and a log that may fail.
    pub(super) async fn on(store: Store, log_limits: skerry_audit::Limits, limits: Limits, queue_max: usize) -> Scene {
        let log = TempDir::new().unwrap();
        let machine = machine();
        let root = Root::new(Zeroizing::new([0x77; 32]));
        let opening = Installation::open(store, root, Kind::Serve, log.path(), log_limits, now(), machine.randomizer());
        let (installation, _) = opening.await.unwrap();
        let installation = Arc::new(installation);
        let log_key = installation.log_key().clone();
        let ca = Ca::generate("tests", now()).unwrap();
        let pool = || Arc::new(Pool::new(NonZeroUsize::MIN, queue_max).unwrap());
        let pools = Pools { work: pool(), generation: pool(), stock: Arc::new(Stock::none()) };
        let vault = |number: u8, kind, host: &str| {
            static KEY: OnceLock<Vec<u8>> = OnceLock::new();
            let key = signing_key(&KEY);
            let chain = ca.issue(&key, &[host], now()).unwrap();
            let signer = Arc::new(ReleaseSigner::new(key, &chain).unwrap());
            let hsm = HsmBacking::default().danger().software_hsm();
            let config = VaultConfig {
                id: Uuid::from_bytes([number; 16]),
                rules: Rules { kind, hsm, retention_days: 90, purge_protection: kind == VaultKind::Standard },
                authorities: vec![TrustedAuthority::fixed(Authority::built_in(&authority()).unwrap())],
                floor: VaultFloor::default(),
                throttling: if host == THROTTLED { Throttling::Azure } else { Throttling::Off },
            };
            Arc::new(Vault::new(config, Arc::clone(&installation), signer, pools.clone()).unwrap())
        };
        let premium = vault(1, VaultKind::Premium, PREMIUM);
        let vaults = HashMap::from([
            (PREMIUM.to_owned(), Arc::clone(&premium)),
            ("host.test".to_owned(), premium),
            (STANDARD.to_owned(), vault(2, VaultKind::Standard, STANDARD)),
            (HSM.to_owned(), vault(3, VaultKind::ManagedHsm, HSM)),
            (THROTTLED.to_owned(), vault(4, VaultKind::Premium, THROTTLED)),
        ]);
        let keys = JwkSet::of(vec![provider_key().verifying_key("k").unwrap()]);
        let config = Config {
            vaults,
            issuers: Arc::new(Issuers::new(vec![Provider::new(ISSUER, KeySet::fixed(keys))]).unwrap()),
            access: Arc::new(access()),
            authorization: AUTHORIZATION.into(),
            audiences: vec![AUDIENCE.into()],
            headers: ServiceHeaders {
                region: HeaderValue::from_static("local"),
                service_version: HeaderValue::from_static("1.9.0.0"),
            },
            machine,
        };
        let surface = Surfaces::Vault(Arc::new(Surface::new(config).unwrap()));
        let site = Site::with(limits, None, Some((surface, names()))).await;
        Scene { site, root_der: ca.root_der().to_vec(), log_key, _log: log }
    }

    pub(super) fn authority(&self, host: &str) -> String {
        format!("{host}:{}", self.site.address.port())
    }

    /// What `host` is asked by somebody with these headers.
    pub(super) async fn send(&self, host: &str, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let mut wire = self.site.connect().await;
        self.send_on(&mut wire, host, method, path, headers, body).await
    }

    async fn send_on(
        &self,
        wire: &mut Wire<tokio::net::TcpStream>,
        host: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Response {
        wire.send(request(method, path, &self.authority(host), headers, body)).await;
        let response = if method == "HEAD" { wire.head().await } else { wire.response().await };
        response.unwrap()
    }

    /// What the caller of this name gets.
    pub(super) async fn ask_as(&self, who: &str, host: &str, method: &str, path: &str, body: &str) -> Response {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", bearer(who));
        self.send(host, method, path, &headers, body).await
    }

    /// What a caller who may do all gets.
    pub(super) async fn ask_of(&self, host: &str, method: &str, path: &str, body: &str) -> Response {
        self.ask_as("admin", host, method, path, body).await
    }

    /// The same of the premium vault.
    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Response {
        self.ask_of(PREMIUM, method, path, body).await
    }

    /// The same, posted to a path without a query.
    pub(super) async fn post(&self, path: &str, body: &str) -> Response {
        self.ask("POST", &format!("{path}?{V}"), body).await
    }

    /// The answer, which has to be good.
    pub(super) async fn good(&self, method: &str, path: &str, body: &str) -> Object {
        let response = self.ask(method, path, body).await;
        assert_eq!(response.status, 200, "{method} {path}: {}", response.body);
        response.json()
    }

    /// An elliptic curve key of this name, which is quick to make; its kid.
    pub(super) async fn create(&self, name: &str) -> String {
        let bundle = self.good("POST", &format!("/keys/{name}/create?{V}"), r#"{"kty":"EC"}"#).await;
        text(&bundle, &["key", "kid"]).to_owned()
    }
}

/// Claims that are believed, of this caller.
pub(super) fn claims(who: &str) -> Object {
    let now = unix_secs(now());
    Object::new()
        .with("aud", AUDIENCE)
        .with("iss", ISSUER)
        .with("iat", now - 10)
        .with("exp", now + 3_600)
        .with("oid", who)
}

pub(super) fn signed(claims: &Object) -> String {
    let header = ProtectedHeader::new(r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#);
    header.sign(claims.to_json().as_bytes(), &provider_key()).unwrap()
}

pub(super) fn bearer(who: &str) -> String {
    signed(&claims(who))
}

/// The token with another signature: its first octet is another.
pub(super) fn forged(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{input}.{first}{}", &signature[1..])
}

/// What a TEE with this measurement gets from the attestation service.
pub(super) fn attested(measurement: &str) -> String {
    attest(&evidence(measurement), now())
}

/// Claims of a TEE with this measurement, which holds the key of [`tee`].
pub(super) fn evidence(measurement: &str) -> Object {
    let key = jwk(tee(), "tee-key").with("key_ops", vec!["encrypt"]);
    Object::new()
        .with("x-ms-attestation-type", "sevsnpvm")
        .with("x-ms-runtime", Object::new().with("keys", vec![key]))
        .with("x-ms-sevsnpvm-launchmeasurement", measurement)
}

/// The public half of a TEE's key, of which nothing is said but what it is.
pub(super) fn jwk(key: &UnwrapKey, kid: &str) -> Object {
    let (n, e) = key.public_components();
    Object::new().with("e", b64::encode(e)).with("kid", kid).with("kty", "RSA").with("n", b64::encode(n))
}

/// The authority's token for these claims, issued then.
pub(super) fn attest(claims: &Object, issued: SystemTime) -> String {
    attest_by(&authority(), claims, issued)
}

/// A token that says it is this issuer's, by the authority's own key.
pub(super) fn attest_as(issuer: &str, claims: &Object) -> String {
    attest_by(&TokenSigner::new(IssuerUrl::parse(issuer).unwrap(), authority_key()), claims, now())
}

fn attest_by(authority: &TokenSigner, claims: &Object, issued: SystemTime) -> String {
    let result = AttestationResult::assertion(authority.issuer().clone(), claims.clone(), Provenance::Real, issued);
    authority.sign(&result, [9; 32]).unwrap().into_string()
}

pub(super) const MEASUREMENT: &str = "abab";

/// A policy for this measurement, as a request brings it.
pub(super) fn release_policy(measurement: &str, immutable: bool) -> Object {
    let clause = format!(r#"{{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":"{measurement}"}}"#);
    let object = Object::new().with("data", b64::encode(policy_text(&clause)));
    if immutable { object.with("immutable", true) } else { object }
}

/// A policy of the authority and these conditions, all of them to hold.
pub(super) fn policy_text(conditions: &str) -> String {
    format!(r#"{{"version":"1.0.0","anyOf":[{{"authority":"{AUTHORITY}","allOf":[{conditions}]}}]}}"#)
}

/// A request for an exportable key of this type.
pub(super) fn exportable(kty: &str) -> Object {
    Object::new()
        .with("kty", kty)
        .with("attributes", Object::new().with("exportable", true))
        .with("release_policy", release_policy(MEASUREMENT, false))
}

/// The text at a path.
pub(super) fn text<'a>(object: &'a Object, path: &[&str]) -> &'a str {
    member(object, path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path:?} in {}", object.to_json()))
}

pub(super) fn member<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first().unwrap();
    object.get(first).and_then(|value| value.get(rest))
}

/// `error.innererror.code`.
pub(super) fn inner(response: &Response) -> Option<String> {
    let body = response.json();
    member(&body, &["error", "innererror", "code"]).and_then(Value::as_str).map(str::to_owned)
}
