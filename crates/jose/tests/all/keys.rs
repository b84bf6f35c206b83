use skerry_jose::json::{self, Object, Value};
use skerry_jose::{Algorithm, Jwk, JwkError, JwkSet, JwsError, PublicKey, RsaPublicKey, b64, limits};

use crate::support::{any_algorithm, ec, rsa};

fn jwk(text: &str) -> Result<Jwk, JwkError> {
    Jwk::from_value(&json::parse(text.as_bytes(), &limits::JSON).unwrap())
}

fn with(base: &Object, name: &str, value: impl Into<Value>) -> String {
    base.clone().with(name, value).to_json()
}

/// Attack 8: RSA keys that are weak or made to cost.
#[test]
fn weak_and_huge_rsa_keys_are_refused() {
    let odd = |bits: usize| {
        let mut n = vec![0xff; bits / 8];
        if !bits.is_multiple_of(8) {
            n.insert(0, (1 << (bits % 8)) - 1);
        }
        n
    };
    for bits in [0, 512, 1024, 2040, 2047, 4097, 4104, 16_384] {
        assert_eq!(RsaPublicKey::new(&odd(bits), &[1, 0, 1]), Err(JwkError::ModulusSize { bits }), "{bits}");
    }
    for bits in [2048, 2049, 3072, 4096] {
        assert!(RsaPublicKey::new(&odd(bits), &[1, 0, 1]).is_ok(), "{bits}");
    }
    let mut even = odd(2048);
    even[255] = 0xfe;
    assert_eq!(RsaPublicKey::new(&even, &[1, 0, 1]), Err(JwkError::ModulusEven));
    for e in [&[][..], &[1], &[3], &[1, 0, 0], &[0xff, 0xff], &[1, 0, 2], &[1, 0, 0, 0, 1]] {
        assert_eq!(RsaPublicKey::new(&odd(2048), e), Err(JwkError::Exponent), "{e:?}");
    }
    assert_eq!(RsaPublicKey::new(&odd(2048), &[0, 1, 0, 1]).unwrap().exponent(), [1, 0, 1]);
}

/// Attack 46: points that are not on the curve they claim, coordinates of another length.
#[test]
fn invalid_curve_points_are_refused() {
    let good = ec().public().to_jwk();
    assert!(jwk(&good.to_json()).is_ok());
    let off_curve = with(&good, "y", b64::encode([7; 32]));
    assert_eq!(jwk(&off_curve).unwrap_err(), JwkError::InvalidKey);
    let short = with(&good, "x", b64::encode([7; 31]));
    assert_eq!(jwk(&short).unwrap_err(), JwkError::CoordinateLength { name: "x", len: 31 });
    let padded = with(&good, "y", b64::encode([0; 33]));
    assert_eq!(jwk(&padded).unwrap_err(), JwkError::CoordinateLength { name: "y", len: 33 });
    for curve in ["P-256K", "secp256k1", "p-256", "Ed25519"] {
        assert_eq!(jwk(&with(&good, "crv", curve)).unwrap_err(), JwkError::Curve(curve.into()));
    }
    assert_eq!(jwk(&with(&good, "crv", "P-384")).unwrap_err(), JwkError::CoordinateLength { name: "x", len: 32 });
}

/// Each malformed member has its own error.
#[test]
fn malformed_members_are_named() {
    let good = rsa().public().to_jwk();
    assert_eq!(jwk("[]").unwrap_err(), JwkError::NotAnObject);
    assert_eq!(jwk("{}").unwrap_err(), JwkError::Missing("kty"));
    assert_eq!(jwk(r#"{"kty":1}"#).unwrap_err(), JwkError::WrongType("kty"));
    assert_eq!(jwk(r#"{"kty":"oct","k":"AA"}"#).unwrap_err(), JwkError::KeyType("oct".into()));
    assert_eq!(jwk(r#"{"kty":"RSA"}"#).unwrap_err(), JwkError::Missing("n"));
    assert_eq!(jwk(r#"{"kty":"RSA","n":"AQAB"}"#).unwrap_err(), JwkError::Missing("e"));
    assert_eq!(jwk(&with(&good, "n", "AQAB=")).unwrap_err(), JwkError::NotBase64("n"));
    assert_eq!(jwk(&with(&good, "e", "AR")).unwrap_err(), JwkError::NotBase64("e"));
    assert_eq!(jwk(&with(&good, "alg", "HS256")).unwrap_err(), JwkError::Algorithm("HS256".into()));
    assert_eq!(jwk(&with(&good, "key_ops", "verify")).unwrap_err(), JwkError::WrongType("key_ops"));
    assert_eq!(jwk(&with(&good, "x5c", Vec::<Value>::new())).unwrap_err(), JwkError::Certificate);
    assert_eq!(jwk(&with(&good, "x5c", vec!["AAAA"])).unwrap_err(), JwkError::Certificate);
}

/// A set keeps its good keys, names why it left out the others, and bounds their number.
#[test]
fn key_set_leaves_out_what_it_cannot_use() {
    let sig = rsa().public().to_jwk().with("kid", "a");
    let set = [
        sig.to_json(),
        with(&sig, "use", "enc"),
        rsa().public().to_jwk().to_json(),
        with(&sig, "alg", "ES256"),
        r#"{"kty":"OKP","kid":"x"}"#.to_owned(),
    ];
    let set = JwkSet::parse(format!("{{\"keys\":[{}]}}", set.join(",")).as_bytes(), &limits::JSON).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.find("a", Algorithm::Rs256).is_ok());
    let reasons = [
        JwkError::AlgorithmForKey("verify"),
        JwkError::Missing("kid"),
        JwkError::AlgorithmForKey("ES256"),
        JwkError::KeyType("OKP".into()),
    ];
    assert_eq!(set.ignored(), reasons);
    let many = format!("{{\"keys\":[{}1]}}", "1,".repeat(limits::KEYS_MAX));
    assert_eq!(JwkSet::parse(many.as_bytes(), &limits::JSON).unwrap_err(), JwkError::TooManyKeys);
    assert_eq!(JwkSet::parse(b"{}", &limits::JSON).unwrap_err(), JwkError::Missing("keys"));
    assert_eq!(JwkSet::parse(b"{\"keys\":{}}", &limits::JSON).unwrap_err(), JwkError::WrongType("keys"));
}

/// RFC 7638, 3.1: the example's thumbprint.
#[test]
fn thumbprint_is_that_of_the_rfc() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let key = RsaPublicKey::new(&b64::decode(n).unwrap(), &[1, 0, 1]).unwrap();
    assert_eq!(PublicKey::Rsa(key).thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// The real service's key sets: keys come from x5c, the 1024-bit one is left out.
#[test]
fn real_key_sets_are_read() {
    let folder = std::env::var("SKERRY_VECTORS").unwrap_or_else(|_| "../../../shared/vectors".into());
    let path = std::path::Path::new(&folder).join("maa/certs/jwks-shared-2021.json");
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("SKIPPED: {} is not there (set SKERRY_VECTORS)", path.display());
        return;
    };
    let set = JwkSet::parse(&text, &limits::JSON).unwrap();
    assert_eq!((set.len(), set.ignored()), (5, &[JwkError::ModulusSize { bits: 1024 }][..]));
}

/// A signature over any octets holds for the key and the algorithm that made it, and for no others.
#[test]
fn keys_verify_octets() {
    let signature = rsa().sign(b"octets").unwrap();
    let key = any_algorithm(rsa());
    assert_eq!(key.verify(Algorithm::Rs256, b"octets", &signature), Ok(()));
    assert_eq!(key.verify(Algorithm::Rs256, b"octet", &signature), Err(JwsError::Signature));
    assert_eq!(key.verify(Algorithm::Rs256, b"octets", &signature[1..]), Err(JwsError::Signature));
    assert_eq!(key.verify(Algorithm::Rs384, b"octets", &signature), Err(JwsError::Signature));
    let other = JwsError::KeyAlgorithm { kid: "k".into(), algorithm: Algorithm::Es256 };
    assert_eq!(key.verify(Algorithm::Es256, b"octets", &signature), Err(other));
}
