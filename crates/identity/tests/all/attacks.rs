use aws_lc_rs::hmac;
use skerry_identity::{Access, Assignment, Issuers, KeyFault, Permission, Principal, Provider, Scope, Unauthorized};
use skerry_jose::json::{ErrorKind, Object};
use skerry_jose::{Algorithm, JwkSet, JwsError, KeyLookupError, SigningKey, b64};
use skerry_sources::{FetchError, KeySet, KeySource, SourceError, Terms, Url};

use crate::server::{Answer, Server};
use crate::support::{
    ISSUER, KID, alice, ask, at, attacker, changed, ec, good, header, issuers, key_refused, keys_of, refused, rsa,
    sign, sign_by, sign_raw,
};

async fn token_refused(token: &str) -> Unauthorized {
    ask(&issuers(), token).await.unwrap_err()
}

async fn header_refused(header: &str) -> JwsError {
    match token_refused(&sign_raw(header, &good().to_json(), rsa())).await {
        Unauthorized::Malformed(error) => error,
        other => panic!("{other:?}"),
    }
}

async fn payload_refused(payload: &str) -> ErrorKind {
    match token_refused(&sign_raw(&header(rsa(), KID), payload, rsa())).await {
        Unauthorized::Malformed(JwsError::Json { part: "payload", source }) => source.kind,
        other => panic!("{other:?}"),
    }
}

/// Attack 1: a token that nobody signed.
#[tokio::test]
async fn attack_01_none() {
    for name in ["none", "None", "NONE", ""] {
        let header = b64::encode(format!(r#"{{"alg":"{name}","kid":"k"}}"#));
        let unsigned = format!("{header}.{}.", b64::encode(good().to_json()));
        assert_eq!(token_refused(&unsigned).await, Unauthorized::Malformed(JwsError::Algorithm(name.into())));
    }
    assert_eq!(header_refused(r#"{"kid":"k"}"#).await, JwsError::NoAlgorithm);
    let stripped = sign(&good());
    let stripped = format!("{}.", stripped.rsplit_once('.').unwrap().0);
    assert_eq!(token_refused(&stripped).await, key_refused(&stripped, JwsError::Signature));
}

/// Attack 2: the provider's public key as a secret.
#[tokio::test]
async fn attack_02_public_key_as_secret() {
    let jwk = rsa().public().to_jwk().to_json();
    for secret in [rsa().spki_der(), jwk.as_bytes()] {
        let input = format!("{}.{}", b64::encode(r#"{"alg":"HS256","kid":"k"}"#), b64::encode(good().to_json()));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        let refusal = token_refused(&format!("{input}.{}", b64::encode(mac))).await;
        assert_eq!(refusal, Unauthorized::Malformed(JwsError::Algorithm("HS256".into())));
    }
}

/// Attack 3: a header that says where its key is. The provider's keys are fetched; the trap sees nobody.
#[tokio::test]
async fn attack_03_jku_and_x5u_are_not_followed() {
    let (server, trap) = (Server::start().await, Server::start().await);
    let jwks = |key: &SigningKey| Object::new().with("keys", vec![key.public().to_jwk().with("kid", KID)]).to_json();
    server.answer("/keys", Answer::ok(jwks(rsa())));
    trap.answer("/keys", Answer::ok(jwks(attacker())));
    let keys = KeySet::fetched(server.fetcher(), KeySource::At(server.url("/keys")), Terms::default());
    let issuers = Issuers::new(vec![Provider::new(ISSUER, keys)]).unwrap();
    for member in ["jku", "x5u"] {
        for url in [trap.url("/keys").to_string(), format!("https://127.0.0.1:{}/keys", trap.port())] {
            let header = Object::new().with("alg", "RS256").with("kid", KID).with(member, url).to_json();
            let forged = sign_raw(&header, &good().to_json(), attacker());
            assert_eq!(ask(&issuers, &forged).await, Err(key_refused(&forged, JwsError::Signature)));
            let genuine = sign_raw(&header, &good().to_json(), rsa());
            assert_eq!(ask(&issuers, &genuine).await, Ok(alice()));
        }
    }
    assert_eq!((server.count("/keys"), trap.connections()), (1, 0));
}

/// Attack 4: a header that brings its key along.
#[tokio::test]
async fn attack_04_embedded_key() {
    let certificate = rcgen::generate_simple_self_signed(vec!["sts.example".to_owned()]).unwrap();
    let jwk = attacker().public().to_jwk();
    let plain = Object::new().with("alg", "RS256").with("kid", KID);
    for header in [
        plain.clone().with("jwk", jwk.clone().with("kid", KID)),
        plain.with("x5c", vec![b64::encode_standard(certificate.cert.der())]),
    ] {
        let forged = sign_raw(&header.to_json(), &good().to_json(), attacker());
        assert_eq!(token_refused(&forged).await, key_refused(&forged, JwsError::Signature));
    }
}

/// Attack 5: a kid is a name to look up; without one, with an unknown one or with two keys of that name there is no key.
#[tokio::test]
async fn attack_05_kid_tricks() {
    let payload = good().to_json();
    let nameless = sign_raw(r#"{"alg":"RS256"}"#, &payload, rsa());
    assert_eq!(token_refused(&nameless).await, key_refused(&nameless, KeyFault::NoKid));
    for kid in ["", "K", "k ", "../k", "k' or '1'='1", "/dev/null", "k\0"] {
        let token = sign_raw(&header(rsa(), kid), &payload, rsa());
        let unknown = KeyLookupError::Unknown { kid: kid.to_owned() };
        assert_eq!(token_refused(&token).await, key_refused(&token, unknown), "{kid:?}");
    }
    let other_kind = sign_by(ec(), &good());
    let wrong = KeyLookupError::WrongAlgorithm { kid: KID.into(), algorithm: Algorithm::Es256 };
    assert_eq!(token_refused(&other_kind).await, key_refused(&other_kind, wrong));
    let key = || rsa().verifying_key(KID).unwrap();
    let twice = KeySet::fixed(JwkSet::of(vec![key(), key()]));
    let twice = Issuers::new(vec![Provider::new(ISSUER, twice)]).unwrap();
    let ambiguous = KeyLookupError::Ambiguous { kid: KID.into(), algorithm: Algorithm::Rs256 };
    let token = sign(&good());
    assert_eq!(ask(&twice, &token).await, Err(key_refused(&token, ambiguous)));
    assert_eq!(header_refused(r#"{"alg":"RS256","kid":1}"#).await, JwsError::HeaderType("kid"));
}

/// Attack 6: what would change the meaning of the signature.
#[tokio::test]
async fn attack_06_critical_extensions_and_nesting() {
    for (member, name) in [
        (r#""crit":["exp"]"#, "crit"),
        (r#""b64":false"#, "b64"),
        (r#""zip":"DEF""#, "zip"),
        (r#""enc":"A256GCM""#, "enc"),
        (r#""cty":"JWT""#, "cty"),
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"k",{member}}}"#);
        assert_eq!(header_refused(&header).await, JwsError::Unsupported(name));
    }
    for (text, parts) in [("", 1), ("a", 1), ("a.b", 2), ("a.b.c.d", 4), ("a.b.c.d.e", 5)] {
        assert_eq!(token_refused(text).await, Unauthorized::Malformed(JwsError::Parts { parts }));
    }
}

/// Attack 7: ECDSA signatures that are none.
#[tokio::test]
async fn attack_07_ecdsa_out_of_range_or_form() {
    let issuers = Issuers::new(vec![Provider::new(ISSUER, keys_of(ec()))]).unwrap();
    let token = sign_by(ec(), &good());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (r, s) = { (b64::decode(signature).unwrap()[..32].to_vec(), b64::decode(signature).unwrap()[32..].to_vec()) };
    let (zero, ones) = (vec![0; 32], vec![0xff; 32]);
    let der = [&[0x30, 0x44, 2, 32], r.as_slice(), &[2, 32], &s].concat();
    for forged in [
        [zero.clone(), zero.clone()].concat(),
        [zero.clone(), s.clone()].concat(),
        [r.clone(), zero].concat(),
        [ones.clone(), s.clone()].concat(),
        [r.clone(), ones].concat(),
        r.clone(),
        [r, s, vec![0]].concat(),
        der,
        vec![],
    ] {
        let forged = format!("{input}.{}", b64::encode(forged));
        assert_eq!(ask(&issuers, &forged).await, Err(key_refused(&forged, JwsError::Signature)));
    }
}

/// Attack 8: a provider's key that is too weak is no key; its good ones stay.
#[tokio::test]
async fn attack_08_weak_keys_in_the_set() {
    let server = Server::start().await;
    let n = |bytes: usize| b64::encode([vec![0xff; bytes - 1], vec![0xfd]].concat());
    let weak = |kid: &str, bytes: usize, e: &str| {
        Object::new().with("kty", "RSA").with("kid", kid).with("n", n(bytes)).with("e", e)
    };
    let good_key = rsa().public().to_jwk().with("kid", KID);
    let keys = vec![
        weak("short", 128, "AQAB"),
        weak("long", 2048, "AQAB"),
        weak("e1", 256, "AQ"),
        weak("e3", 256, "Aw"),
        good_key,
    ];
    server.answer("/keys", Answer::ok(Object::new().with("keys", keys).to_json()));
    let terms = Terms { interval_min: std::time::Duration::ZERO, ..Terms::default() };
    let keys = KeySet::fetched(server.fetcher(), KeySource::At(server.url("/keys")), terms);
    let issuers = Issuers::new(vec![Provider::new(ISSUER, keys)]).unwrap();
    for kid in ["short", "long", "e1", "e3"] {
        let token = sign_raw(&header(rsa(), kid), &good().to_json(), rsa());
        let unknown = KeyLookupError::Unknown { kid: kid.into() };
        assert_eq!(ask(&issuers, &token).await, Err(key_refused(&token, unknown)));
    }
    assert_eq!(ask(&issuers, &sign(&good())).await, Ok(alice()));
}

/// Attack 11: a claim given twice, also in two spellings of one name.
#[tokio::test]
async fn attack_11_duplicate_members() {
    let payload = good().to_json();
    for (name, spelled) in [("sub", "sub"), ("sub", "s\\u0075b"), ("exp", "exp"), ("aud", "\\u0061ud")] {
        let twice = payload.replacen('{', &format!("{{\"{spelled}\":\"root\","), 1);
        assert_eq!(payload_refused(&twice).await, ErrorKind::DuplicateMember { name: name.into() });
    }
    let header = r#"{"alg":"RS256","kid":"k","kid":"other"}"#;
    match header_refused(header).await {
        JwsError::Json { part: "header", source } => {
            assert_eq!(source.kind, ErrorKind::DuplicateMember { name: "kid".into() });
        }
        other => panic!("{other:?}"),
    }
}

/// Attack 12: bombs. The size is refused before anything is read, decoded or digested.
#[tokio::test]
async fn attack_12_bombs() {
    let max = 16 * 1024;
    for len in [max + 1, 10_000_000] {
        let expected = Unauthorized::Malformed(JwsError::TooLarge { len, max });
        assert_eq!(token_refused(&".".repeat(len)).await, expected);
    }
    let with = |extra: &str| good().to_json().replacen('{', &format!("{{\"x\":{extra},"), 1);
    let deep = with(&format!("{}{}", "[".repeat(17), "]".repeat(17)));
    assert_eq!(payload_refused(&deep).await, ErrorKind::TooDeep { max: 16 });
    let many = with(&format!("[0{}]", ",0".repeat(1_100)));
    assert_eq!(payload_refused(&many).await, ErrorKind::TooManyValues { max: 1_024 });
    let huge = with(&"9".repeat(65));
    assert_eq!(payload_refused(&huge).await, ErrorKind::NumberTooLong { digits: 65, max: 64 });
    assert_eq!(payload_refused(&with("\"\\ud800\"")).await, ErrorKind::LoneSurrogate { unit: 0xd800 });
    assert_eq!(payload_refused(&format!("\u{feff}{}", good().to_json())).await, ErrorKind::ByteOrderMark);
    assert_eq!(payload_refused(&format!("{}x", good().to_json())).await, ErrorKind::TrailingBytes);
    let list = sign_raw(&header(rsa(), KID), "[]", rsa());
    assert_eq!(token_refused(&list).await, Unauthorized::Malformed(JwsError::NotAnObject { part: "payload" }));
}

/// Attack 13: other spellings of the same bytes are other tokens, and none.
#[tokio::test]
async fn attack_13_other_spellings_of_base64() {
    let token = sign(&good());
    let parts: Vec<_> = token.split('.').collect();
    for (at, part) in [(0, "header"), (1, "payload"), (2, "signature")] {
        for spoilt in [
            format!("{}=", parts[at]),
            format!("{} ", parts[at]),
            format!("{}\n", parts[at]),
            format!("+{}", parts[at]),
        ] {
            let mut parts = parts.clone();
            parts[at] = &spoilt;
            let refusal = token_refused(&parts.join(".")).await;
            assert_eq!(refusal, Unauthorized::Malformed(JwsError::NotBase64 { part }), "{spoilt:?}");
        }
    }
}

/// Attack 15: two providers, each signing for the other's issuer; and the same with one kid and one kind of key.
#[tokio::test]
async fn attack_15_two_issuers_swapped() {
    let (one, other) = ("https://one.example/", "https://other.example/");
    let issuers =
        Issuers::new(vec![Provider::new(one, keys_of(rsa())), Provider::new(other, keys_of(attacker()))]).unwrap();
    for (issuer, key) in [(one, rsa()), (other, attacker())] {
        let token = sign_by(key, &good().with("iss", issuer));
        assert_eq!(ask(&issuers, &token).await, Ok(Principal::new(issuer, "alice")));
    }
    for (issuer, key) in [(one, attacker()), (other, rsa())] {
        let token = sign_by(key, &good().with("iss", issuer));
        assert_eq!(ask(&issuers, &token).await, Err(key_refused(&token, JwsError::Signature)));
    }
}

/// Attack 17: a provider whose keys cannot be had is not one whose tokens are passed; the reason is the fetcher's.
#[tokio::test]
async fn attack_17_keys_that_cannot_be_fetched() {
    let (server, trap) = (Server::start().await, Server::start().await);
    let url = trap.url("/keys");
    let keys = KeySet::fetched(server.fetcher(), KeySource::At(url.clone()), Terms::default());
    let issuers = Issuers::new(vec![Provider::new(ISSUER, keys)]).unwrap();
    let source = FetchError::NotAllowed { origin: url.origin().clone() };
    let source = SourceError::Fetch { url: Box::new(url), source };
    let expected = Unauthorized::Unavailable { issuer: ISSUER.into(), source };
    assert_eq!(ask(&issuers, &sign(&good())).await, Err(expected));
    assert_eq!(trap.connections(), 0);
    assert!(Url::parse("http://idp.example/keys").is_err());
}

/// Attack 58: the same subject of another provider is another principal, and has none of the first one's permissions.
#[tokio::test]
async fn attack_58_equal_subjects_of_two_issuers() {
    let other = "https://other.example/";
    let issuers =
        Issuers::new(vec![Provider::new(ISSUER, keys_of(rsa())), Provider::new(other, keys_of(ec()))]).unwrap();
    let assignment = Assignment {
        issuer: ISSUER.into(),
        subjects: vec!["alice".into()],
        scope: Scope::Every,
        permissions: Permission::ALL.into_iter().collect(),
    };
    let access = Access::new(vec![assignment]);
    let ours = ask(&issuers, &sign(&good())).await.unwrap();
    let theirs = ask(&issuers, &sign_by(ec(), &good().with("iss", other))).await.unwrap();
    assert_ne!(ours, theirs);
    assert!(access.grant(&ours, [0; 16], Permission::Release).is_ok());
    assert!(access.grant(&theirs, [0; 16], Permission::Release).is_err());
}

/// Every character of a token counts, for one that is believed already, too: change any and it is refused.
#[tokio::test]
async fn every_character_counts() {
    let issuers = issuers();
    let token = sign(&good());
    assert_eq!(ask(&issuers, &token).await, Ok(alice()));
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(ask(&issuers, &String::from_utf8(bytes).unwrap()).await.is_err(), "{at}");
    }
}

/// The claims of a forged token are not looked at beyond its issuer: the signature is what it is refused for.
#[tokio::test]
async fn forged_token_learns_nothing_of_the_claims() {
    for claims in [changed("exp", "0"), changed("aud", "\"x\""), changed("sub", ""), changed("iat", "null")] {
        let forged = sign_by(attacker(), &claims);
        assert_eq!(token_refused(&forged).await, key_refused(&forged, JwsError::Signature));
        assert_ne!(refused(&claims).await, key_refused(&forged, JwsError::Signature));
    }
    let now = at(0);
    let forged = sign_by(attacker(), &good());
    let refusal = issuers().authenticate(&forged, &[], now).await;
    assert_eq!(refusal, Err(key_refused(&forged, JwsError::Signature)));
}
