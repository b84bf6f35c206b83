//! One RSA key and one EC key for every test of this binary, and tokens made by hand.

use std::sync::OnceLock;

use skerry_jose::limits::JwsLimits;
use skerry_jose::{Algorithm, JwsError, SigningKey, Unverified, Verified, VerifyingKey, b64};

pub(crate) fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap())
}

pub(crate) fn ec() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Es256).unwrap())
}

pub(crate) fn any_algorithm(key: &SigningKey) -> VerifyingKey {
    VerifyingKey::new("k", key.public(), None).unwrap()
}

pub(crate) fn token(key: &SigningKey, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", b64::encode(header), b64::encode(payload));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", b64::encode(signature))
}

pub(crate) fn check(token: &str, key: &VerifyingKey) -> Result<Verified, JwsError> {
    Unverified::parse(token, &JwsLimits::default())?.verify(key)
}
