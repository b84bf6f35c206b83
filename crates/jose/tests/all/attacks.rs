use skerry_jose::json::ErrorKind;
use skerry_jose::limits::JwsLimits;
use skerry_jose::{Algorithm, JwkSet, JwsError, KeyLookupError, Unverified, b64, limits};

use crate::support::{any_algorithm, check, ec, rsa, token};

const HEADER: &str = r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#;
const PAYLOAD: &str = r#"{"iss":"https://a.example"}"#;

fn refused(token: &str) -> JwsError {
    check(token, &any_algorithm(rsa())).unwrap_err()
}

fn header_refused(header: &str) -> JwsError {
    refused(&token(rsa(), header, PAYLOAD))
}

/// The control of every attack below: the same token, unspoilt, is believed.
#[test]
fn unspoilt_token_is_verified() {
    let verified = check(&token(rsa(), HEADER, PAYLOAD), &any_algorithm(rsa())).unwrap();
    assert_eq!(verified.claims().get("iss").and_then(|iss| iss.as_str()), Some("https://a.example"));
    assert_eq!(verified.header().algorithm(), Algorithm::Rs256);
}

/// Attack 1: an unsigned token.
#[test]
fn none_is_not_an_algorithm() {
    for name in ["none", "None", "NONE", "", "rs256", "HS256", "EdDSA", "RS1", "ES256K"] {
        let header = format!(r#"{{"alg":"{name}","kid":"k"}}"#);
        assert_eq!(header_refused(&header), JwsError::Algorithm(name.to_owned()));
    }
    let unsigned = format!("{}.{}.", b64::encode(r#"{"alg":"none"}"#), b64::encode(PAYLOAD));
    assert_eq!(refused(&unsigned), JwsError::Algorithm("none".to_owned()));
    assert_eq!(header_refused(r#"{"kid":"k"}"#), JwsError::NoAlgorithm);
    assert_eq!(header_refused(r#"{"alg":null}"#), JwsError::HeaderType("alg"));
    assert_eq!(header_refused(r#"{"alg":["RS256"]}"#), JwsError::HeaderType("alg"));
}

/// Attack 2: a public key used as an HMAC secret. There is no HMAC to confuse it with.
#[test]
fn public_key_is_no_hmac_secret() {
    use aws_lc_rs::hmac;
    let input = format!("{}.{}", b64::encode(r#"{"alg":"HS256","kid":"k"}"#), b64::encode(PAYLOAD));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, rsa().spki_der());
    let forged = format!("{input}.{}", b64::encode(hmac::sign(&secret, input.as_bytes())));
    assert_eq!(refused(&forged), JwsError::Algorithm("HS256".to_owned()));
}

/// Attack 3 and 4: the header brings its own key. It is not looked at; only the caller's key counts.
#[test]
fn key_in_the_header_is_not_used() {
    let attacker = skerry_jose::SigningKey::generate(Algorithm::Rs256).unwrap();
    let jwk = attacker.public().to_jwk().to_json();
    for member in
        [format!(r#""jwk":{jwk}"#), r#""jku":"http://127.0.0.1:1/x""#.into(), r#""x5u":"http://127.0.0.1:1/x""#.into()]
    {
        let header = format!(r#"{{"alg":"RS256","kid":"k",{member}}}"#);
        assert_eq!(refused(&token(&attacker, &header, PAYLOAD)), JwsError::Signature);
        assert!(check(&token(rsa(), &header, PAYLOAD), &any_algorithm(rsa())).is_ok());
    }
}

/// Attack 5: a kid is a name to look up, and two keys of one name and algorithm are no choice.
#[test]
fn kid_picks_one_key_or_none() {
    let narrow = |key: &skerry_jose::SigningKey| key.verifying_key("k").unwrap();
    let set = JwkSet::of(vec![narrow(rsa()), narrow(ec())]);
    assert!(set.find("k", Algorithm::Rs256).is_ok());
    assert!(set.find("k", Algorithm::Es256).is_ok());
    let wrong = KeyLookupError::WrongAlgorithm { kid: "k".into(), algorithm: Algorithm::Ps256 };
    assert_eq!(set.find("k", Algorithm::Ps256).unwrap_err(), wrong);
    for kid in ["K", "k ", "../k", "k' or '1'='1", ""] {
        let unknown = KeyLookupError::Unknown { kid: kid.to_owned() };
        assert_eq!(set.find(kid, Algorithm::Rs256).unwrap_err(), unknown);
    }
    let twice = JwkSet::of(vec![narrow(rsa()), narrow(rsa())]);
    let ambiguous = KeyLookupError::Ambiguous { kid: "k".into(), algorithm: Algorithm::Rs256 };
    assert_eq!(twice.find("k", Algorithm::Rs256).unwrap_err(), ambiguous);
}

/// Attack 6: extensions that change what the signature means.
#[test]
fn critical_extensions_and_nesting_are_refused() {
    for (member, name) in [
        (r#""crit":["exp"]"#, "crit"),
        (r#""crit":[]"#, "crit"),
        (r#""b64":false"#, "b64"),
        (r#""b64":true"#, "b64"),
        (r#""zip":"DEF""#, "zip"),
        (r#""enc":"A256GCM""#, "enc"),
        (r#""cty":"JWT""#, "cty"),
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"k",{member}}}"#);
        assert_eq!(header_refused(&header), JwsError::Unsupported(name));
    }
    assert_eq!(header_refused(r#"{"alg":"RS256","typ":"JOSE+JSON"}"#), JwsError::Type("JOSE+JSON".into()));
    assert_eq!(refused("a.b.c.d.e"), JwsError::Parts { parts: 5 });
    for (text, parts) in [("", 1), ("a", 1), ("a.b", 2), ("a.b.c.d", 4)] {
        assert_eq!(refused(text), JwsError::Parts { parts });
    }
}

/// A token that says what kind it is is read as that kind and no other, and one that says none is no such kind.
#[test]
fn kinds_of_tokens_are_told_apart() {
    let of = |typ: &str| token(rsa(), &format!(r#"{{"alg":"RS256","kid":"k"{typ}}}"#), PAYLOAD);
    let typed = |token: &str| Unverified::parse_typed(token, "a+jwt", &JwsLimits::default()).map(drop);
    let plain = |token: &str| Unverified::parse(token, &JwsLimits::default()).map(drop);
    for (typ, is_typed, is_plain) in [
        (r#","typ":"a+jwt""#, Ok(()), Err(JwsError::Type("a+jwt".into()))),
        (r#","typ":"A+JWT""#, Ok(()), Err(JwsError::Type("A+JWT".into()))),
        (r#","typ":"b+jwt""#, Err(JwsError::Type("b+jwt".into())), Err(JwsError::Type("b+jwt".into()))),
        (r#","typ":"JWT""#, Err(JwsError::Type("JWT".into())), Ok(())),
        ("", Err(JwsError::Type(String::new())), Ok(())),
    ] {
        assert_eq!((typed(&of(typ)), plain(&of(typ))), (is_typed, is_plain), "{typ}");
    }
}

/// Attack 7: ECDSA signatures that are no signatures; and the form that JOSE demands.
#[test]
fn ecdsa_signatures_out_of_range_or_form_are_refused() {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let good = token(ec(), r#"{"alg":"ES256","kid":"k"}"#, PAYLOAD);
    let key = any_algorithm(ec());
    assert!(check(&good, &key).is_ok());
    let (input, signature) = good.rsplit_once('.').unwrap();
    let signature = b64::decode(signature).unwrap();
    let (r, s) = signature.split_at(32);
    let zero = [0; 32];
    let der = [&[0x30, 0x44, 2, 32], r, &[2, 32], s].concat();
    let wrong: [&[u8]; 9] = [
        &[zero, zero].concat(),
        &[&zero, s].concat(),
        &[r, &zero].concat(),
        &[&order, s].concat(),
        &[r, &order].concat(),
        &signature[..63],
        &[&signature[..], &[0]].concat(),
        &der,
        &[],
    ];
    for signature in wrong {
        let forged = format!("{input}.{}", b64::encode(signature));
        assert_eq!(check(&forged, &key).unwrap_err(), JwsError::Signature, "{}", hex::encode(signature));
    }
}

/// Attack 11: two members of one name.
#[test]
fn duplicate_members_are_refused() {
    let twice = r#"{"is-debuggable":true,"is-debuggable":false}"#;
    let JwsError::Json { part: "payload", source } = refused(&token(rsa(), HEADER, twice)) else { panic!("accepted") };
    assert!(matches!(source.kind, ErrorKind::DuplicateMember { .. }), "{source:?}");
    let escaped = r#"{"alg":"RS256","\u0061lg":"RS256"}"#;
    let JwsError::Json { part: "header", source } = header_refused(escaped) else { panic!("accepted") };
    assert!(matches!(source.kind, ErrorKind::DuplicateMember { .. }), "{source:?}");
}

/// Attack 12: JSON that exhausts or confuses.
#[test]
fn bombs_and_odd_json_are_refused_within_limits() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(limits::JSON.values_max));
    let long = format!("{{\"a\":{}}}", "9".repeat(65));
    let trailing = format!("{PAYLOAD} 1");
    for payload in [deep.as_str(), &wide, &long, &trailing, "\u{feff}{}", r#"{"a":"\ud800"}"#, "{\"a\":\"\0\"}", ""] {
        let error = refused(&token(rsa(), HEADER, payload));
        assert!(matches!(error, JwsError::Json { part: "payload", .. }), "{error:?}");
    }
    assert_eq!(refused(&token(rsa(), HEADER, "[]")), JwsError::NotAnObject { part: "payload" });
    assert_eq!(header_refused("[]"), JwsError::NotAnObject { part: "header" });
    let max = JwsLimits::default().token_bytes_max;
    assert_eq!(refused(&"a".repeat(max + 1)), JwsError::TooLarge { len: max + 1, max });
}

/// Attack 13: one value, several texts.
#[test]
fn other_spellings_of_base64_are_refused() {
    let good = token(rsa(), HEADER, PAYLOAD);
    let parts: Vec<&str> = good.split('.').collect();
    for (index, name) in ["header", "payload", "signature"].into_iter().enumerate() {
        for spoil in ["=", "==", " ", "\n", "+", "/", "\u{e9}"] {
            let mut spoilt: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            spoilt[index].push_str(spoil);
            assert_eq!(refused(&spoilt.join(".")), JwsError::NotBase64 { part: name }, "{name} {spoil:?}");
        }
    }
}

/// STYLE 33: every bit of the signed text and of the signature counts.
#[test]
fn every_flipped_bit_is_refused() {
    let good = token(rsa(), HEADER, PAYLOAD);
    let key = any_algorithm(rsa());
    for index in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            bytes[index] ^= 1 << bit;
            let spoilt = String::from_utf8(bytes).unwrap();
            assert!(check(&spoilt, &key).is_err(), "byte {index} bit {bit}");
        }
    }
}

/// Truncation anywhere is an error and never a panic.
#[test]
fn every_truncation_is_refused() {
    let good = token(rsa(), HEADER, PAYLOAD);
    for len in 0..good.len() {
        let cut = Unverified::parse(&good[..len], &JwsLimits::default());
        assert!(!cut.is_ok_and(|token| token.verify(&any_algorithm(rsa())).is_ok()), "cut to {len} bytes");
    }
}

/// A key narrowed to one algorithm is not used with another of its kind.
#[test]
fn key_is_used_with_its_algorithm_only() {
    let narrow = rsa().verifying_key("k").unwrap();
    let ps256 = skerry_jose::SigningKey::from_pkcs8(Algorithm::Ps256, &rsa().to_pkcs8().unwrap()).unwrap();
    let token = token(&ps256, r#"{"alg":"PS256","kid":"k"}"#, PAYLOAD);
    let wrong = JwsError::KeyAlgorithm { kid: "k".into(), algorithm: Algorithm::Ps256 };
    assert_eq!(check(&token, &narrow).unwrap_err(), wrong);
    assert!(check(&token, &any_algorithm(rsa())).is_ok());
    assert_eq!(
        check(&token, &any_algorithm(ec())).unwrap_err(),
        JwsError::KeyAlgorithm { kid: "k".into(), algorithm: Algorithm::Ps256 }
    );
}
