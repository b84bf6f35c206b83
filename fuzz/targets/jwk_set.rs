//! Key sets, keys and SubjectPublicKeyInfo: read without panic; a key that is written and read again is the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_jose::json::{self, Value};
use skerry_jose::limits::{JSON, KEYS_MAX, RSA_BITS_MAX, RSA_BITS_MIN};
use skerry_jose::{Algorithm, Jwk, JwkSet, PublicKey};

const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "PS256", "ES256", "ES384", "ES512"];

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = PublicKey::from_spki_der(data) {
        same(&key);
    }
    let Ok(value) = json::parse(data, &JSON) else {
        assert!(JwkSet::parse(data, &JSON).is_err());
        return;
    };
    if let Ok(jwk) = Jwk::from_value(&value) {
        same(jwk.key());
    }
    let Ok(set) = JwkSet::parse(data, &JSON) else { return };
    assert!(set.len() + set.ignored().len() <= KEYS_MAX);
    for one in value.get(&["keys"]).and_then(Value::as_array).unwrap_or_default() {
        let Ok(jwk) = Jwk::from_value(one) else { continue };
        same(jwk.key());
        for algorithm in ALGORITHMS.iter().filter_map(|name| Algorithm::parse(name)) {
            let kid = jwk.kid().unwrap_or_default();
            assert!(set.find(kid, algorithm).is_ok_and(|key| key.kid() == kid) || set.find(kid, algorithm).is_err());
        }
    }
});

fn same(key: &PublicKey) {
    let jwk = key.to_jwk();
    let again = PublicKey::from_jwk(&jwk).expect("a key that was read can be written and read");
    assert_eq!(&again, key);
    assert_eq!(again.thumbprint(), key.thumbprint());
    if let PublicKey::Rsa(key) = key {
        assert!((RSA_BITS_MIN..=RSA_BITS_MAX).contains(&key.bits()));
    }
}
