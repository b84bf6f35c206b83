use skerry_attestation_result::limits::TOKEN_LIFETIME_SECS;
use skerry_attestation_result::{AttestationResult, IssuerUrl, Provenance, TokenError};
use skerry_jose::json::Object;
use skerry_jose::{JwsError, b64};

use crate::support::*;

fn parts(provenance: Provenance) -> (String, String) {
    let claims = object(r#"{"x-ms-b":1,"x-ms-a":{"z":1,"a":2},"x-skerry-simulated":true}"#);
    let result = AttestationResult::assertion(IssuerUrl::parse(ISSUER).unwrap(), claims, provenance, now());
    let token = signer(ISSUER).sign(&result, [0xab; 32]).unwrap().into_string();
    authority().verify(&token, now()).unwrap();
    let part = |index| String::from_utf8(b64::decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap();
    (part(0), part(1))
}

/// The form of attestation spec 4.1 and 5, byte for byte: four header members, everything sorted and compact.
#[test]
fn token_has_the_recorded_form() {
    let (header, payload) = parts(Provenance::Real);
    let kid = signer(ISSUER).kid().to_owned();
    assert_eq!(header, format!(r#"{{"alg":"RS256","jku":"{ISSUER}/certs","kid":"{kid}","typ":"JWT"}}"#));
    let jti = "ab".repeat(32);
    let exp = NOW + TOKEN_LIFETIME_SECS;
    assert_eq!(
        payload,
        format!(
            r#"{{"exp":{exp},"iat":{NOW},"iss":"{ISSUER}","jti":"{jti}","nbf":{NOW},"x-ms-a":{{"a":2,"z":1}},"x-ms-b":1,"x-ms-ver":"1.0"}}"#
        )
    );
}

/// A draft is a token's payload under a header that says that nobody signed it (recorded), and nobody believes it, nor with
/// another's signature.
#[test]
fn draft_has_the_recorded_form_and_is_not_believed() {
    let claims = object(r#"{"x-ms-b":1,"x-ms-a":{"z":1,"a":2}}"#);
    let issuer = IssuerUrl::parse(ISSUER).unwrap();
    let result = AttestationResult::assertion(issuer, claims, Provenance::Real, now());
    let signer = signer(ISSUER);
    let signed = signer.sign(&result, [7; 32]).unwrap().into_string();
    let draft = signer.draft(&result, [7; 32]);
    let [header, payload, signature] = draft.as_str().split('.').collect::<Vec<_>>().try_into().unwrap();
    let kid = signer.kid();
    assert_eq!(
        String::from_utf8(b64::decode(header).unwrap()).unwrap(),
        format!(r#"{{"alg":"none","jku":"{ISSUER}/certs","kid":"{kid}","typ":"JWT"}}"#)
    );
    assert_eq!((Some(payload), signature), (signed.split('.').nth(1), ""));
    let none = || Some(TokenError::Jws(JwsError::Algorithm("none".into())));
    assert_eq!(authority().verify(draft.as_str(), now()).err(), none());
    let spliced = format!("{}{}", draft.as_str(), signed.split('.').nth(2).unwrap());
    assert_eq!(authority().verify(&spliced, now()).err(), none());
    assert!(authority().verify(&signed, now()).is_ok());
}

/// Provenance is set from the evidence's anchors, whatever the claims said.
#[test]
fn simulated_is_said_in_the_token_and_real_never() {
    assert!(parts(Provenance::Simulated).1.contains(r#""x-skerry-simulated":true"#));
    assert!(!parts(Provenance::Real).1.contains("simulated"));
}

/// The kid's construction, against the real service's key of 2021 (from its published key set).
#[test]
fn kid_is_constructed_as_the_service_does() {
    let folder = std::env::var("SKERRY_VECTORS").unwrap_or_else(|_| "../../../shared/vectors".into());
    let path = std::path::Path::new(&folder).join("maa/certs/jwks-shared-2021.json");
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("SKIPPED: {} is not there (set SKERRY_VECTORS)", path.display());
        return;
    };
    let set: Object = skerry_jose::json::parse(&text, &skerry_jose::limits::JSON).unwrap().into_object().unwrap();
    let first = set.get("keys").unwrap().as_array().unwrap()[0].as_object().unwrap();
    let der = b64::decode_standard(first.get("x5c").unwrap().as_array().unwrap()[0].as_str().unwrap()).unwrap();
    let kid = first.get("kid").unwrap().as_str().unwrap();
    let spki = spki_of(&der);
    assert_eq!(skerry_attestation_result::key_id(spki), kid);
}

/// The SubjectPublicKeyInfo of an RSA-2048 certificate: found by its fixed header.
fn spki_of(certificate: &[u8]) -> &[u8] {
    const HEADER: [u8; 24] = [
        0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
        0x00, 0x03, 0x82, 0x01, 0x0f, 0x00,
    ];
    let at = certificate.windows(24).position(|window| window == HEADER).unwrap();
    &certificate[at..at + 294]
}
