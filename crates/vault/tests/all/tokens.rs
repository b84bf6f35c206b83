//! Attacks on the token, through the vault's own door. Every denial is on record, and the good token is released after it.

use aws_lc_rs::hmac;
use skerry_attestation_result::limits::{LIFETIME_MAX_SECS, SKEW_SECS};
use skerry_attestation_result::{Authority, IssuerUrlError, Provenance, TokenError};
use skerry_client::ReleaseAnswerError;
use skerry_jose::json::{ErrorKind, Value};
use skerry_jose::{Algorithm, JwkSet, JwsError, KeyLookupError, SigningKey, b64};
use skerry_keywrap::UnwrapError;
use skerry_policy::permit::{Denied, VaultFloor};
use skerry_vault::command::Changes;
use skerry_vault::release::{Circumstances, decide};
use skerry_vault::{Refusal, TrustedAuthority};

use crate::support::*;

/// Attack 1: a token without signature. The log says that the algorithm was the reason.
#[test]
fn attack_01_unsigned_token() {
    let scene = Scene::new();
    for (alg, signature) in [("none", ""), ("None", ""), ("none", "AA"), ("", "")] {
        let header = format!(r#"{{"alg":"{alg}","kid":"{}"}}"#, signer().kid());
        let token = format!("{}.{}.{signature}", b64::encode(header), b64::encode(payload().to_json()));
        let refusal = scene.release(&token).unwrap_err();
        assert_eq!(refusal, Refusal::Token(TokenError::Jws(JwsError::Algorithm(alg.into()))));
        let explanation = text(&scene.records().pop().unwrap(), "explanation").to_owned();
        assert_eq!(explanation, format!("token: algorithm {alg:?} is not allowed"));
    }
    let stripped = format!("{}.", good_token().rsplit_once('.').unwrap().0);
    assert_eq!(scene.denied_token(&stripped), TokenError::Jws(JwsError::Signature));
}

/// Attack 2: the authority's public key as an HMAC secret, in each form in which it is published.
#[test]
fn attack_02_public_key_as_hmac_secret() {
    let scene = Scene::new();
    let key = signing_key(&ATTESTATION);
    let body = b64::encode_standard(key.spki_der());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    for secret in [key.spki_der().to_vec(), pem.into_bytes(), signer().public_jwk().to_json().into_bytes()] {
        let header = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, signer().kid());
        let input = format!("{}.{}", b64::encode(header), b64::encode(payload().to_json()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
        let token = format!("{input}.{}", b64::encode(tag));
        assert_eq!(scene.denied_token(&token), TokenError::Jws(JwsError::Algorithm("HS256".into())));
    }
}

/// Attacks 3 and 4: the header brings its own key or says where to fetch one. Only the configured keys count.
#[test]
fn attack_04_key_in_the_header() {
    let scene = Scene::new();
    let attacker = signing_key(&ATTACKER);
    let members = [
        ("jwk", Value::Object(attacker.public().to_jwk())),
        ("x5c", vec![b64::encode_standard(&scene.chain[0])].into()),
        ("jku", "http://127.0.0.1:1/keys".into()),
        ("x5u", "http://169.254.169.254/".into()),
    ];
    for (member, value) in members {
        let header = |kid: &str| object(r#"{"alg":"RS256"}"#).with("kid", kid).with(member, value.clone()).to_json();
        let forged = signed_by(&attacker, &header(signer().kid()), &payload().to_json());
        assert_eq!(scene.denied_token(&forged), TokenError::Jws(JwsError::Signature));
        let forged = signed_by(&attacker, &header("mine"), &payload().to_json());
        assert_eq!(scene.denied_token(&forged), TokenError::Key(KeyLookupError::Unknown { kid: "mine".into() }));
        let genuine = signed_by(&signing_key(&ATTESTATION), &header(signer().kid()), &payload().to_json());
        assert!(scene.release(&genuine).is_ok(), "{member} is not looked at");
    }
}

/// Attack 5: key ids that are paths, queries, nearly right, absent, or of another type.
#[test]
fn attack_05_key_id_tricks() {
    let scene = Scene::new();
    let (key, kid) = (signing_key(&ATTESTATION), signer().kid());
    let with_kid =
        |kid: Value| signed_by(&key, &object(r#"{"alg":"RS256"}"#).with("kid", kid).to_json(), &payload().to_json());
    let odd = ["../../dev/null", "' OR 1=1 --", "", "\u{0}", "*", &kid.to_lowercase(), &format!("{kid} "), &kid[1..]];
    for odd in odd {
        let unknown = KeyLookupError::Unknown { kid: odd.into() };
        assert_eq!(scene.denied_token(&with_kid(odd.into())), TokenError::Key(unknown));
    }
    assert_eq!(scene.denied_token(&with_kid(vec![kid].into())), TokenError::Jws(JwsError::HeaderType("kid")));
    assert_eq!(scene.denied_token(&with_kid(Value::Null)), TokenError::Jws(JwsError::HeaderType("kid")));
    let without = signed_by(&key, r#"{"alg":"RS256"}"#, &payload().to_json());
    assert_eq!(scene.denied_token(&without), TokenError::NoKid);
    let pkcs8 = key.to_pkcs8().unwrap();
    for algorithm in [Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256] {
        let header = object("{}").with("alg", algorithm.name()).with("kid", kid).to_json();
        let other = signed_by(&SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap(), &header, &payload().to_json());
        let wrong = KeyLookupError::WrongAlgorithm { kid: kid.into(), algorithm };
        assert_eq!(scene.denied_token(&other), TokenError::Key(wrong));
    }
}

/// Attack 5: two keys under one id are a refusal, never a choice by order.
#[test]
fn attack_05_duplicate_key_id() {
    let keys = || [&ATTESTATION, &ATTACKER].map(|place| signing_key(place).verifying_key("twice").unwrap());
    let token = signed_by(&signing_key(&ATTESTATION), r#"{"alg":"RS256","kid":"twice"}"#, &payload().to_json());
    let scene = |keys| {
        let authorities = vec![TrustedAuthority::fixed(Authority::with_keys(issuer(ISSUER), JwkSet::of(keys)))];
        Setup { authorities, ..Setup::default() }.scene()
    };
    let ambiguous = KeyLookupError::Ambiguous { kid: "twice".into(), algorithm: Algorithm::Rs256 };
    let refusal = scene(keys().to_vec()).release(&token).unwrap_err();
    assert_eq!(refusal, Refusal::Token(TokenError::Key(ambiguous)));
    assert!(scene(keys()[..1].to_vec()).release(&token).is_ok());
}

/// Attack 6: extensions that a signature check must not overlook.
#[test]
fn attack_06_critical_extensions() {
    let scene = Scene::new();
    for (member, text) in
        [("crit", "[\"exp\"]"), ("b64", "false"), ("zip", "\"DEF\""), ("enc", "\"A256GCM\""), ("cty", "\"JWT\"")]
    {
        let header = object(&header()).with(member, value(text)).to_json();
        let token = signed_by(&signing_key(&ATTESTATION), &header, &payload().to_json());
        assert_eq!(scene.denied_token(&token), TokenError::Jws(JwsError::Unsupported(member)));
    }
}

/// Attack 9: a time of another JSON type is refused, never taken as absent (the CVE-2026-25537 class).
#[test]
fn attack_09_times_of_other_types() {
    let scene = Scene::new();
    for name in ["exp", "iat", "nbf"] {
        for odd in [
            "\"1800000100\"",
            "null",
            "1800000100.0",
            "1.8e9",
            "1e400",
            "-1",
            "[1800000100]",
            "{}",
            "true",
            "18446744073709551616",
        ] {
            let token = signed(&payload().with(name, value(odd)));
            assert_eq!(scene.release(&token), Err(Refusal::Token(TokenError::WrongType(name))), "{name} {odd}");
        }
        let mut without = payload();
        without.remove(name);
        let expected = if name == "nbf" { Ok(()) } else { Err(Refusal::Token(TokenError::Missing(name))) };
        assert_eq!(scene.release(&signed(&without)).map(drop), expected);
    }
    assert!(scene.release(&good_token()).is_ok());
}

/// Attack 10: the edges of the times at a fixed clock.
#[test]
fn attack_10_times_hold_to_the_second() {
    let scene = Scene::new();
    let with = |name, secs: u64| signed(&payload().with(name, secs));
    let ok = |token: String| assert!(scene.release(&token).is_ok());
    let old = payload().with("iat", NOW - 1_000).with("nbf", NOW - 1_000);
    ok(signed(&old.clone().with("exp", NOW - SKEW_SECS + 1)));
    let exp = NOW - SKEW_SECS;
    assert_eq!(scene.denied_token(&signed(&old.with("exp", exp))), TokenError::Expired { exp, now: NOW });
    ok(with("nbf", NOW + SKEW_SECS));
    let late = NOW + SKEW_SECS + 1;
    assert_eq!(scene.denied_token(&with("nbf", late)), TokenError::NotYetValid { nbf: late, now: NOW });
    ok(with("iat", NOW + SKEW_SECS));
    assert_eq!(scene.denied_token(&with("iat", late)), TokenError::IssuedInFuture { iat: late, now: NOW });
    assert_eq!(scene.denied_token(&with("exp", IAT)), TokenError::EmptyLifetime { iat: IAT, exp: IAT });
    ok(with("exp", IAT + LIFETIME_MAX_SECS));
    let lifetime = TokenError::Lifetime { lifetime_secs: LIFETIME_MAX_SECS + 1, max_secs: LIFETIME_MAX_SECS };
    assert_eq!(scene.denied_token(&with("exp", IAT + LIFETIME_MAX_SECS + 1)), lifetime);
}

/// Attacks 10 and 62: a clock that was set back behind what it said before closes release, and says so on record.
#[test]
fn attack_10_clock_stepped_back() {
    let scene = Scene::new();
    let now = NOW - SKEW_SECS - 1;
    assert_eq!(scene.release_at(&good_token(), now), Err(Refusal::ClockBehind { now, seen: NOW }));
    assert_eq!(text(&scene.records().pop().unwrap(), "verdict"), "denied");
    assert!(scene.release_at(&good_token(), now + 1).is_ok());
}

/// Attack 10: a token that comes from the future.
#[test]
fn attack_10_token_from_the_future() {
    let scene = Scene::new();
    let with = |nbf: u64| signed(&payload().with("nbf", nbf));
    let nbf = NOW + SKEW_SECS + 1;
    assert_eq!(scene.denied_token(&with(nbf)), TokenError::NotYetValid { nbf, now: NOW });
    assert!(scene.release(&with(nbf - 1)).is_ok());
}

/// Attack 11: a member twice. Neither the first nor the last counts.
#[test]
fn attack_11_duplicate_member() {
    let scene = Scene::new();
    let name = "x-ms-sevsnpvm-is-debuggable";
    let whole = payload().to_json();
    let inner = whole.strip_prefix('{').unwrap();
    for (twice, name) in [
        (format!(r#"{{"{name}":true,"{name}":false,{inner}"#), name),
        (format!(r#"{{"{name}":true,"x-ms-sevsnpvm-is-debuggabl\u0065":false,{inner}"#), name),
        (format!(r#"{{"iss":"{OTHER_ISSUER}",{inner}"#), "iss"),
    ] {
        let TokenError::Jws(JwsError::Json { part: "payload", source }) = scene.denied_token(&signed_text(&twice))
        else {
            panic!("another refusal")
        };
        assert_eq!(source.kind, ErrorKind::DuplicateMember { name: name.into() });
    }
    assert!(scene.release(&signed_text(&format!(r#"{{"{name}":false,{inner}"#))).is_ok());
}

/// Attack 12: JSON that is too deep, goes on after its end, or begins with a mark, in bounded time.
#[test]
fn attack_12_hostile_json() {
    let scene = Scene::new();
    let whole = payload().to_json();
    let inner = whole.strip_prefix('{').unwrap();
    let deep = format!(r#"{{"x":{}{},{inner}"#, "[".repeat(20_000), "]".repeat(20_000));
    for hostile in [
        deep,
        format!("{whole}{{}}"),
        format!("\u{feff}{whole}"),
        format!("{whole}\u{0}"),
        format!(r#"{{"x":"\ud800",{inner}"#),
    ] {
        let error = scene.denied_token(&signed_text(&hostile));
        assert!(matches!(error, TokenError::Jws(JwsError::Json { part: "payload", .. })), "{error:?}");
    }
    let huge = "a".repeat(10 * 1024 * 1024);
    let error = scene.denied_token(&huge);
    assert_eq!(error, TokenError::Jws(JwsError::TooLarge { len: huge.len(), max: 128 * 1024 }));
}

/// Attack 13: other spellings of the same signature.
#[test]
fn attack_13_base64_variants() {
    let (scene, token) = (Scene::new(), good_token());
    let (start, last) = token.split_at(token.len() - 1);
    let stray = char::from(last.as_bytes()[0] + 1);
    for odd in [
        format!("{token}="),
        format!("{token}=="),
        format!("{token} "),
        format!("{token}\n"),
        format!("{start}{stray}"),
    ] {
        let error = scene.denied_token(&odd);
        assert_eq!(error, TokenError::Jws(JwsError::NotBase64 { part: "signature" }), "{odd:?}");
    }
}

/// Attack 14: issuers that look alike are strangers; a slash, the host's case and the default port make no difference.
#[test]
fn attack_14_issuer_confusion() {
    let scene = Scene::new();
    let with = |iss: &str| signed(&payload().with("iss", iss));
    for same in ["https://attest.example/", "https://ATTEST.example", "https://attest.example:443"] {
        assert!(scene.release(&with(same)).is_ok(), "{same}");
    }
    for other in [
        "https://attest.example.evil.example",
        "https://attest.exampl",
        "https://attest.example:444",
        "https://attest.example/x",
    ] {
        assert_eq!(scene.denied(&with(other)), Refusal::UnknownAuthority { issuer: other.into() });
    }
    for (odd, error) in [
        ("http://attest.example", IssuerUrlError::NotHttps),
        ("https://a@attest.example", IssuerUrlError::UserInfo),
        ("https://attest.example?x", IssuerUrlError::Query),
        ("https://attest.example#x", IssuerUrlError::Fragment),
    ] {
        assert_eq!(scene.denied_token(&with(odd)), TokenError::IssuerForm(error));
    }
    let cyrillic = scene.denied_token(&with("https://attest.\u{435}xample"));
    assert!(matches!(cyrillic, TokenError::IssuerForm(IssuerUrlError::NotPrintableAscii { .. })));
}

/// Attack 15: the vault trusts two authorities, the policy one of them. The other's word does not meet it, and the other
/// cannot speak in the first one's name.
#[test]
fn attack_15_token_of_another_authority() {
    let scene = Scene::new();
    let theirs = token_of(other_signer(), &claims(), Provenance::Real);
    let Refusal::Denied(Denied::Policy(explanation)) = scene.denied(&theirs) else { panic!("another refusal") };
    assert_eq!((explanation.issuer.as_str(), explanation.entries[0].issuer_matches), (OTHER_ISSUER, false));
    let other = signing_key(&ATTACKER);
    let kid = other_signer().kid();
    let in_our_name = signed_by(&other, &object(r#"{"alg":"RS256"}"#).with("kid", kid).to_json(), &payload().to_json());
    assert_eq!(scene.denied_token(&in_our_name), TokenError::Key(KeyLookupError::Unknown { kid: kid.into() }));
    let under_our_kid = signed_by(&other, &header(), &payload().to_json());
    assert_eq!(scene.denied_token(&under_our_kid), TokenError::Jws(JwsError::Signature));
    scene.create_under("theirs", &policy().replace(ISSUER, OTHER_ISSUER)).unwrap();
    assert!(scene.release_key("theirs", &theirs).is_ok());
    assert!(scene.release_key("theirs", &good_token()).is_err());
}

/// Attack 18: who steals a token gets a release, and cannot open it: it is wrapped to the key of the TEE.
#[test]
fn attack_18_replayed_token() {
    let (scene, token) = (Scene::new(), good_token());
    let stolen = scene.answer_as("theft", &command(&token)).unwrap();
    let release = scene.verify(&stolen.value, &asked(&token)).unwrap();
    assert_eq!(release.unwrap(thief()).err(), Some(ReleaseAnswerError::OtherTarget));
    let payload = decoded(&stolen.value, 1);
    let key_hsm = b64::decode(path(&payload, &["response", "key", "key", "key_hsm"]).as_str().unwrap()).unwrap();
    let ciphertext = b64::decode(text(&object(&String::from_utf8(key_hsm).unwrap()), "ciphertext")).unwrap();
    for algorithm in skerry_keywrap::Algorithm::ALL {
        let opened = skerry_keywrap::unwrap(algorithm, thief(), &ciphertext).err();
        assert_eq!(opened, Some(UnwrapError::Refused));
    }
    assert_eq!(text(&scene.records().pop().unwrap(), "request"), "theft");
    assert!(release.unwrap(tee()).is_ok());
}

/// Attack 19: where an authority's tokens must name this vault, one for another vault does not do.
#[test]
fn attack_19_audience_of_another_vault() {
    let authorities = vec![TrustedAuthority::fixed(authority().audience("https://vault.example"))];
    let scene = Setup { authorities, ..Setup::default() }.scene();
    let with = |aud: &str| signed(&payload().with("aud", aud));
    let refused = |token: &str| scene.release(token).unwrap_err();
    let audience = TokenError::Audience { expected: "https://vault.example".into() };
    assert_eq!(refused(&with("https://other.example")), Refusal::Token(audience.clone()));
    assert_eq!(refused(&with("https://vault.example.evil.example")), Refusal::Token(audience));
    assert_eq!(refused(&good_token()), Refusal::Token(TokenError::Missing("aud")));
    assert!(scene.release(&with("https://vault.example")).is_ok());
}

/// Attack 20: tokens from before the authority's earliest time, which is how a compromise is contained.
#[test]
fn attack_20_token_before_the_authority_s_earliest() {
    let scene = |min_iat| {
        Setup { authorities: vec![TrustedAuthority::fixed(authority().min_iat(min_iat))], ..Setup::default() }.scene()
    };
    let revoked = TokenError::Revoked { iat: IAT, min_iat: IAT + 1 };
    assert_eq!(scene(IAT + 1).release(&good_token()), Err(Refusal::Token(revoked)));
    assert!(scene(IAT).release(&good_token()).is_ok());
}

/// Attack 20: raising a key's earliest time revokes what was attested before, at once, for a token that was believed and
/// kept too; it is not lowered, not set for a time to come, and not on a version or a key that nothing releases.
#[test]
fn attack_20_raising_the_key_s_earliest_revokes() {
    let scene = Scene::new();
    scene.make(&CreateCommand { exportable: false, policy: None, ..create("kept") }).unwrap();
    assert!(scene.release(&good_token()).is_ok());
    let set = |key: &str, min_iat| scene.update(key, &Changes { min_iat: Some(min_iat), ..Changes::default() });
    assert_eq!(set(KEY, IAT).unwrap().head.min_iat, IAT);
    assert!(scene.release(&good_token()).is_ok(), "not before it");
    assert_eq!(set(KEY, IAT + 1).unwrap().head.min_iat, IAT + 1);
    let revoked = Refusal::Denied(Denied::TokenRevoked { iat: IAT, min_iat: IAT + 1 });
    assert_eq!(scene.release(&good_token()), Err(revoked));
    assert_eq!(text(&scene.records()[scene.records().len() - 2], "event"), "policy-changed");
    assert_eq!(set(KEY, IAT).err(), Some(Refusal::MinIatLowered { known: IAT + 1, asked: IAT }));
    assert_eq!(set(KEY, NOW + 1).err(), Some(Refusal::MinIatInFuture { asked: NOW + 1, now: NOW }));
    assert_eq!(set("kept", IAT).err(), Some(Refusal::MinIatWithoutExportable));
    let changes = Changes { min_iat: Some(NOW), ..Changes::default() };
    let of_version = scene.update_at(KEY, Some(scene.key(KEY).version.version), &changes, NOW);
    assert_eq!(of_version.err(), Some(Refusal::MinIatOnVersion));
    scene.create_under("other", &policy()).unwrap();
    assert!(scene.release_key("other", &good_token()).is_ok(), "of this key alone");
}

/// Attack 20: tokens from before the key's earliest time, to the second.
#[test]
fn attack_20_token_before_the_key_s_earliest() {
    let scene = Scene::new();
    let record = scene.key(KEY);
    let (floor, result) = (VaultFloor::default(), trusted(&good_token()));
    let circumstances = Circumstances { vault: VAULT_ID, floor: &floor, result: &result, now: at(NOW) };
    let with = |min_iat| {
        let record = edited(&record, |head, _| head.min_iat = min_iat);
        decide(&record, &circumstances).map(drop)
    };
    assert_eq!(with(IAT + 1), Err(Refusal::Denied(Denied::TokenRevoked { iat: IAT, min_iat: IAT + 1 })));
    assert_eq!(with(IAT), Ok(()));
}
