use aws_lc_rs::encoding::AsDer as _;
use skerry_attestation_result::TargetKeyError;
use skerry_jose::json::{Object, Value};
use skerry_jose::{JwkError, PublicKey, SigningKey, b64};

use crate::support::*;

fn jwk() -> Object {
    key().public().to_jwk()
}

fn select(keys: Vec<Object>) -> Result<String, TargetKeyError> {
    let keys: Vec<Value> = keys.into_iter().map(Value::Object).collect();
    selected(&good().with("x-ms-runtime", Object::new().with("keys", keys)))
}

fn selected(claims: &Object) -> Result<String, TargetKeyError> {
    let result = verify(claims).unwrap();
    result.target().map(|key| key.kid().to_owned()).map_err(Clone::clone)
}

/// The three ways in which clients say "for encryption" (key-vault spec 3.4).
#[test]
fn first_suitable_key_is_chosen() {
    let a = jwk().with("kid", "a");
    assert_eq!(select(vec![a.clone().with("use", "enc")]), Ok("a".into()));
    assert_eq!(select(vec![a.clone().with("key_use", "enc")]), Ok("a".into()));
    assert_eq!(select(vec![a.clone().with("key_ops", vec!["decrypt", "encrypt"])]), Ok("a".into()));
    assert_eq!(select(vec![a.clone().with("key_ops", "encrypt")]), Ok("a".into()));
    let b = jwk().with("kid", "b").with("use", "enc");
    assert_eq!(select(vec![a.clone().with("use", "sig"), b.clone()]), Ok("b".into()));
    assert_eq!(select(vec![a.with("use", "enc"), b]), Ok("a".into()));
}

/// Attack 45: no key, no suitable key, or two that answer to one name.
#[test]
fn missing_or_ambiguous_keys_are_refused() {
    assert_eq!(selected(&good()), Err(TargetKeyError::NoKeys));
    assert_eq!(selected(&good().with("x-ms-runtime", Object::new())), Err(TargetKeyError::NoKeys));
    let odd = good().with("x-ms-runtime", Object::new().with("keys", "x"));
    assert_eq!(selected(&odd), Err(TargetKeyError::NotAKeySet));
    let odd = good().with("x-ms-runtime", Object::new().with("keys", vec!["x"]));
    assert_eq!(selected(&odd), Err(TargetKeyError::NotAKeySet));
    assert_eq!(select(vec![]), Err(TargetKeyError::NoneSuitable));
    let enc = jwk().with("use", "enc");
    assert_eq!(select(vec![enc.clone()]), Err(TargetKeyError::NoneSuitable));
    assert_eq!(select(vec![enc.clone().with("kid", "")]), Err(TargetKeyError::NoneSuitable));
    assert_eq!(select(vec![enc.clone().with("kid", "a").with("kty", "EC")]), Err(TargetKeyError::NoneSuitable));
    let a = enc.with("kid", "a");
    assert_eq!(select(vec![a.clone(), a.clone()]), Err(TargetKeyError::Ambiguous { kid: "a".into() }));
    assert_eq!(select(vec![a; 17]), Err(TargetKeyError::NotAKeySet));
}

/// Attack 8 and 13: a weak or sloppily written key is a refusal, not a reason to take the next.
#[test]
fn weak_target_is_not_passed_over() {
    let good = jwk().with("kid", "b").with("use", "enc");
    let with = |name, value: String| jwk().with("kid", "a").with("use", "enc").with(name, value);
    let refused = |reason| Err(TargetKeyError::Unusable { kid: "a".into(), reason });
    let small = with("n", b64::encode([0xff; 128]));
    assert_eq!(select(vec![small, good.clone()]), refused(JwkError::ModulusSize { bits: 1024 }));
    let odd = [&[1][..], &[0xff; 256]].concat();
    assert_eq!(select(vec![with("n", b64::encode(odd)), good.clone()]), refused(JwkError::ModulusSize { bits: 2049 }));
    assert_eq!(select(vec![with("e", "Aw".into()), good.clone()]), refused(JwkError::Exponent));
    assert_eq!(select(vec![with("e", "AQAB==".into()), good]), refused(JwkError::NotBase64("e")));
}

/// The paravisor's keys below x-ms-isolation-tee are never wrapped to.
#[test]
fn keys_of_the_isolation_tee_are_not_looked_at() {
    let keys = Object::new().with("keys", vec![Value::Object(jwk().with("kid", "HCLAkPub").with("use", "enc"))]);
    let claims = good().with("x-ms-isolation-tee", Object::new().with("x-ms-runtime", keys));
    assert_eq!(selected(&claims), Err(TargetKeyError::NoKeys));
}

/// A TEE's decryption key is not the token's signing key: the fields carry the JWK's numbers.
#[test]
fn numbers_are_those_of_the_jwk() {
    let other = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).unwrap();
    let other = SigningKey::from_pkcs8(skerry_jose::Algorithm::Rs256, other.as_der().unwrap().as_ref()).unwrap();
    let keys = vec![Value::Object(other.public().to_jwk().with("kid", "a").with("use", "enc"))];
    let result = verify(&good().with("x-ms-runtime", Object::new().with("keys", keys))).unwrap();
    let target = result.target().unwrap();
    let PublicKey::Rsa(expected) = other.public() else { panic!("not RSA") };
    assert_eq!((target.modulus(), target.exponent()), (expected.modulus(), expected.exponent()));
    assert_eq!(target.thumbprint(), other.public().thumbprint());
}
