//! One issuer, one signing key, and a fixed now.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skerry_attestation_result::{Authority, IssuerUrl, TokenError, TokenSigner, TrustedResult};
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{Algorithm, ProtectedHeader, SigningKey, limits};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://attest.example";

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) fn key() -> SigningKey {
    static PKCS8: OnceLock<Vec<u8>> = OnceLock::new();
    let pkcs8 = PKCS8.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap().to_vec());
    SigningKey::from_pkcs8(Algorithm::Rs256, pkcs8).unwrap()
}

pub(crate) fn signer(issuer: &str) -> TokenSigner {
    TokenSigner::new(IssuerUrl::parse(issuer).unwrap(), key())
}

pub(crate) fn authority() -> Authority {
    Authority::built_in(&signer(ISSUER)).unwrap()
}

pub(crate) fn object(text: &str) -> Object {
    json::parse(text.as_bytes(), &limits::JSON).unwrap().into_object().unwrap()
}

/// Claims that are believed.
pub(crate) fn good() -> Object {
    Object::new().with("iss", ISSUER).with("iat", NOW - 10).with("nbf", NOW - 10).with("exp", NOW + 100)
}

/// Signs any claims with the authority's key.
pub(crate) fn sign(claims: &Object) -> String {
    let header = Object::new().with("alg", "RS256").with("kid", signer(ISSUER).kid());
    ProtectedHeader::new(&header.to_json()).sign(claims.to_json().as_bytes(), &key()).unwrap()
}

pub(crate) fn verify(claims: &Object) -> Result<TrustedResult, TokenError> {
    authority().verify(&sign(claims), now())
}

/// The good claims with one changed, or dropped where the text is empty.
pub(crate) fn changed(name: &'static str, text: &str) -> Result<TrustedResult, TokenError> {
    let mut claims = good();
    match text {
        "" => claims.remove(name),
        _ => claims.insert(name, object(&format!("{{\"v\":{text}}}")).get("v").cloned().unwrap_or(Value::Null)),
    };
    verify(&claims)
}
