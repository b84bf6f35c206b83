//! jsonwebtoken, another author's implementation, agrees on what we sign and we on what it signs.

use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use proptest::prelude::*;
use serde_json::{Value, json};
use skerry_jose::{Algorithm, ProtectedHeader};

use crate::support::{any_algorithm, check, ec, rsa};

fn validation(algorithm: jsonwebtoken::Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

#[test]
fn what_we_sign_the_oracle_verifies() {
    let payload = r#"{"a":1}"#;
    let pem = |der: &[u8]| {
        let pem = der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, der).unwrap();
        pem.into_bytes()
    };
    let token = ProtectedHeader::new(r#"{"alg":"RS256","kid":"k"}"#).sign(payload.as_bytes(), rsa()).unwrap();
    let key = DecodingKey::from_rsa_pem(&pem(rsa().spki_der())).unwrap();
    let claims = decode::<Value>(&token, &key, &validation(jsonwebtoken::Algorithm::RS256)).unwrap().claims;
    assert_eq!(claims, json!({"a": 1}));
    let token = ProtectedHeader::new(r#"{"alg":"ES256","kid":"k"}"#).sign(payload.as_bytes(), ec()).unwrap();
    let key = DecodingKey::from_ec_pem(&pem(ec().spki_der())).unwrap();
    assert!(decode::<Value>(&token, &key, &validation(jsonwebtoken::Algorithm::ES256)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_oracle_signs_we_verify(text in any::<String>(), number in any::<i64>()) {
        for (theirs, ours) in [
            (jsonwebtoken::Algorithm::RS256, Algorithm::Rs256),
            (jsonwebtoken::Algorithm::PS384, Algorithm::Ps384),
        ] {
            let key = EncodingKey::from_rsa_der(pkcs1(&rsa().to_pkcs8().unwrap()));
            let mut header = Header::new(theirs);
            header.kid = Some("k".into());
            let token = encode(&header, &json!({"text": text, "number": number}), &key).unwrap();
            let verified = check(&token, &any_algorithm(rsa())).unwrap();
            prop_assert_eq!(verified.header().algorithm(), ours);
            prop_assert_eq!(verified.claims().get("text").and_then(|v| v.as_str()), Some(text.as_str()));
            prop_assert_eq!(verified.claims().get("number").and_then(|v| v.as_i64()), Some(number));
        }
    }
}

/// The RSAPrivateKey inside a PKCS#8 of RSA-2048: its last member, behind a header of 26 octets.
fn pkcs1(pkcs8: &[u8]) -> &[u8] {
    &pkcs8[26..]
}
