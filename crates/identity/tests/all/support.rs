//! One provider, two keys, a fixed now, and tokens made by hand.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skerry_identity::{Issuers, KeyFault, Principal, Provider, Unauthorized};
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{Algorithm, JwkSet, ProtectedHeader, SigningKey, limits};
use skerry_sources::KeySet;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://sts.example/t/";
pub(crate) const ISSUER_V2: &str = "https://login.example/t/v2.0";
pub(crate) const AUDIENCE: &str = "https://vault.example";
pub(crate) const KID: &str = "k";

pub(crate) fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

pub(crate) fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap())
}

pub(crate) fn ec() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Es256).unwrap())
}

/// Nobody believes it.
pub(crate) fn attacker() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap())
}

pub(crate) fn keys_of(key: &SigningKey) -> KeySet {
    KeySet::fixed(JwkSet::of(vec![key.verifying_key(KID).unwrap()]))
}

pub(crate) fn issuers() -> Issuers {
    Issuers::new(vec![Provider::new(ISSUER, keys_of(rsa())).also(ISSUER_V2)]).unwrap()
}

/// Claims that are believed.
pub(crate) fn good() -> Object {
    Object::new()
        .with("aud", AUDIENCE)
        .with("iss", ISSUER)
        .with("iat", NOW - 10)
        .with("nbf", NOW - 10)
        .with("exp", NOW + 100)
        .with("sub", "alice")
}

/// The good claims with one changed to this JSON, or dropped where it is empty.
pub(crate) fn changed(name: &str, json: &str) -> Object {
    let mut claims = good();
    match json {
        "" => claims.remove(name),
        json => claims.insert(name, value(json)),
    };
    claims
}

pub(crate) fn value(text: &str) -> Value {
    let text = format!("[{text}]");
    json::parse(text.as_bytes(), &limits::JSON).unwrap().as_array().unwrap()[0].clone()
}

pub(crate) fn sign_raw(header: &str, payload: &str, key: &SigningKey) -> String {
    ProtectedHeader::new(header).sign(payload.as_bytes(), key).unwrap()
}

pub(crate) fn header(key: &SigningKey, kid: &str) -> String {
    Object::new().with("alg", key.algorithm().name()).with("kid", kid).to_json()
}

pub(crate) fn sign_by(key: &SigningKey, claims: &Object) -> String {
    sign_raw(&header(key, KID), &claims.to_json(), key)
}

pub(crate) fn sign(claims: &Object) -> String {
    sign_by(rsa(), claims)
}

pub(crate) async fn ask(issuers: &Issuers, token: &str) -> Result<Principal, Unauthorized> {
    issuers.authenticate(token, &[AUDIENCE], at(NOW)).await
}

/// Why the claims are refused, though the provider signed them.
pub(crate) async fn refused(claims: &Object) -> Unauthorized {
    ask(&issuers(), &sign(claims)).await.unwrap_err()
}

/// Azure's AKV10046 for this token.
pub(crate) fn key_refused(token: &str, fault: impl Into<KeyFault>) -> Unauthorized {
    Unauthorized::Key { header: token.split('.').next().unwrap().to_owned(), fault: fault.into() }
}

pub(crate) fn alice() -> Principal {
    Principal::new(ISSUER, "alice")
}
