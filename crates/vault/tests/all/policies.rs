//! Attacks on the release policy, on what is released, and on what it is wrapped to.

use skerry_attestation_result::TargetKeyError;
use skerry_attestation_result::limits::RUNTIME_KEYS_MAX;
use skerry_jose::JwkError;
use skerry_jose::json::{Object, Value};
use skerry_keys::{Binding, CustodyError};
use skerry_keywrap::Algorithm as Wrap;
use skerry_policy::limits::CLAUSES_MAX;
use skerry_policy::permit::{Denied, KeyRef};
use skerry_policy::release::{ParseErrorKind, Seen};
use skerry_vault::Refusal;
use skerry_vault::command::{Changes, Operation, PolicyInput};
use skerry_vault::release::releasable;

use crate::support::*;

/// Attack 40: a claim that is missing, null, or no scalar satisfies nothing but a clause that asks for its absence.
#[test]
fn attack_40_missing_claim_satisfies_no_comparison() {
    let scene = Setup::default().bare();
    let operators = ["equals", "notEquals", "less", "lessOrEquals", "greater", "greaterOrEquals"];
    for (index, operator) in operators.into_iter().enumerate() {
        let key = format!("key-{index}");
        scene.create_under(&key, &entry(ISSUER, &format!(r#"{{"claim":"svn","{operator}":5}}"#))).unwrap();
        let release = |token: String| scene.release_key(&key, &token).map(drop);
        for odd in ["", "null", "[]", "[5]", "{}", r#"{"svn":5}"#, "5.0", "5e0", "-0"] {
            let refusal = release(with_svn(odd)).unwrap_err();
            assert!(matches!(refusal, Refusal::Denied(Denied::Policy(_))), "{operator} {odd}");
        }
        let satisfied = match operator {
            "notEquals" | "less" | "lessOrEquals" => "4",
            "equals" => "5",
            _ => "6",
        };
        assert_eq!(release(with_svn(satisfied)), Ok(()), "{operator}");
    }
    scene.create_under("absent", &entry(ISSUER, r#"{"claim":"svn","exists":false}"#)).unwrap();
    assert!(scene.release_key("absent", &with_svn("")).is_ok());
    assert!(scene.release_key("absent", &with_svn("null")).is_err());
    assert!(scene.release_key("absent", &with_svn("5")).is_err());
}

fn with_svn(text: &str) -> String {
    if text.is_empty() { token(&claims()) } else { token(&claims().with("svn", value(text))) }
}

/// Attack 41: scalars are compared by their canonical text, as recorded from Azure, and by nothing looser.
#[test]
fn attack_41_type_juggling() {
    let scene = Setup::default().bare();
    let cases: [(&str, &[&str], &[&str]); 6] = [
        (
            "true",
            &["true", "\"true\""],
            &["1", "\"1\"", "\"True\"", "\"TRUE\"", "\"true \"", "[true]", "\"yes\"", "\"tr\u{fc}e\""],
        ),
        ("\"true\"", &["true", "\"true\""], &["1", "false", "null"]),
        (
            "2",
            &["2", "\"2\""],
            &["2.0", "2e0", "\"2.0\"", "\"2abc\"", "\" 2\"", "\"02\"", "\"+2\"", "20", "\"\u{662}\"", "true"],
        ),
        ("0", &["0", "\"0\""], &["-0", "0.0", "false", "null", "\"\"", "\"-0\"", "\"00\""]),
        (
            "\"ab\"",
            &["\"ab\"", "\"\\u0061b\""],
            &["\"AB\"", "\"0xab\"", "\"ab\\u0000\"", "\"\u{ff41}b\"", "\"\u{430}b\"", "\"abc\"", "\"a\""],
        ),
        ("\"\u{e9}\"", &["\"\u{e9}\"", "\"\\u00e9\""], &["\"e\u{301}\"", "\"e\"", "\"\u{c9}\""]),
    ];
    for (index, (expected, same, others)) in cases.into_iter().enumerate() {
        let key = format!("key-{index}");
        scene.create_under(&key, &entry(ISSUER, &format!(r#"{{"claim":"svn","equals":{expected}}}"#))).unwrap();
        for same in same {
            assert!(scene.release_key(&key, &with_svn(same)).is_ok(), "{expected} {same}");
        }
        for other in others {
            let refusal = scene.release_key(&key, &with_svn(other)).unwrap_err();
            assert!(matches!(refusal, Refusal::Denied(Denied::Policy(_))), "{expected} {other}");
        }
    }
}

/// Attack 41: a claim's name is exact: its case, its dots, its place.
#[test]
fn attack_41_claim_names_are_exact() {
    let scene = Setup::default().bare();
    scene.create_under(KEY, &entry(ISSUER, r#"{"claim":"a.b","equals":"x"}"#)).unwrap();
    let inner = |name: &str| Object::new().with(name, "x");
    assert!(scene.release(&token(&claims().with("a", inner("b")))).is_ok());
    for (name, shadow) in [
        ("A", Value::Object(inner("b"))),
        ("a", inner("B").into()),
        ("a.b", "x".into()),
        ("a", vec![Value::Object(inner("b"))].into()),
        ("a", r#"{"b":"x"}"#.into()),
    ] {
        let refusal = scene.release(&token(&claims().with(name, shadow))).unwrap_err();
        assert!(matches!(refusal, Refusal::Denied(Denied::Policy(_))), "{name}");
    }
}

/// Attack 42: a policy that says nothing, too much, or what nobody knows is refused when it is set.
#[test]
fn attack_42_policies_refused_when_set() {
    let scene = Setup::default().bare();
    let kind = |policy: &str| match scene.create_under(KEY, policy) {
        Err(Refusal::Policy(error)) => error.kind,
        other => panic!("{:?}", other.err()),
    };
    let clause = r#"{"claim":"a","equals":"b"}"#;
    assert_eq!(kind(r#"{"version":"1.0.0","anyOf":[]}"#), ParseErrorKind::EmptyGroup);
    assert_eq!(kind(&entry(ISSUER, "")), ParseErrorKind::EmptyGroup);
    assert_eq!(
        kind(&entry(ISSUER, clause).replace("1.0.0", "2.0.0")),
        ParseErrorKind::VersionUnknown { version: "2.0.0".into() }
    );
    let unknown = kind(&entry(ISSUER, r#"{"claim":"a","matches":"b"}"#));
    assert_eq!(unknown, ParseErrorKind::OperatorUnknown { name: "matches".into() });
    let twice = kind(r#"{"version":"1.0.0","version":"1.0.0","anyOf":[]}"#);
    assert!(matches!(twice, ParseErrorKind::Json(_)), "{twice:?}");
    let many = vec![clause; CLAUSES_MAX + 1].join(",");
    assert_eq!(kind(&entry(ISSUER, &many)), ParseErrorKind::TooManyClauses { max: CLAUSES_MAX });
    let bomb = format!("{}{clause}{}", r#"{"allOf":["#.repeat(1_000), "]}".repeat(1_000));
    let bomb = kind(&entry(ISSUER, &bomb));
    assert!(matches!(bomb, ParseErrorKind::Json(_)), "{bomb:?}");
    assert!(matches!(kind(&entry("http://attest.example", clause)), ParseErrorKind::Authority(_)));
    assert!(!scene.has(KEY));
    assert!(scene.create_under(KEY, &entry(ISSUER, clause)).is_ok());
}

/// Attack 43: an immutable policy stays what it was by every way there is: an update, a new version, an import over it; a
/// mutable one changes by an update alone.
#[test]
fn attack_43_immutable_policy_is_not_replaced_in_any_way() {
    let scene = Setup::default().bare();
    scene.make(&CreateCommand { immutable: true, ..create(KEY) }).unwrap();
    let loose = entry(ISSUER, r#"{"claim":"iss","exists":true}"#);
    scene.create_under("mutable", &policy()).unwrap();
    for (key, refusal) in [
        (KEY, Refusal::PolicyImmutable),
        ("PAYMENTS", Refusal::PolicyImmutable),
        ("mutable", Refusal::PolicyOfNewVersion),
    ] {
        assert_eq!(scene.create_under(key, &loose).err(), Some(refusal.clone()));
        let over = CreateCommand { policy: Some(loose.as_bytes()), key_type: OCT, ..create(key) };
        assert_eq!(scene.import(&over, &[7; 32]).err(), Some(refusal));
    }
    for data in [loose.clone().into_bytes(), policy().into_bytes(), b"not a policy".to_vec()] {
        for immutable in [None, Some(false), Some(true)] {
            let policy = Some(PolicyInput { data: data.clone(), immutable });
            let changes = Changes { policy, ..Changes::default() };
            assert_eq!(scene.update(KEY, &changes).err(), Some(Refusal::PolicyImmutable));
        }
    }
    let policy_input = Some(PolicyInput { data: loose.clone().into_bytes(), immutable: None });
    let changed = scene.update("mutable", &Changes { policy: policy_input, ..Changes::default() }).unwrap();
    assert_eq!(
        (changed.head.generation, changed.head.policy.as_ref().unwrap().canonical()),
        (2, loose.replace(":true", ":\"true\""))
    );
    let head = &scene.key(KEY).head;
    assert!(head.immutable && head.generation == 1);
    assert_eq!(head.policy.as_ref().unwrap().canonical(), policy());
    assert!(scene.release(&token(&claims().with("x-ms-attestation-type", "tdxvm"))).is_err());
    assert!(scene.release(&good_token()).is_ok());
}

/// Attack 44: neither a key that is not exportable nor a disabled version is released for the best of tokens; and a row
/// edited to say exportable does not open.
#[test]
fn attack_44_not_exportable_or_disabled() {
    let scene = Scene::new();
    let kept = scene.make(&CreateCommand { exportable: false, policy: None, ..create("kept") }).unwrap();
    let refusal = scene.release_key("kept", &good_token()).unwrap_err();
    assert_eq!(refusal, Refusal::NotExportable { name: "kept".into() });
    let record = scene.key(KEY);
    let disabled = edited(&record, |_, version| version.enabled = false);
    let refused = Refusal::KeyDisabled { name: KEY.into(), operation: Operation::Release };
    assert_eq!(releasable(&disabled).err(), Some(refused));
    let binding = kept.binding(VAULT_ID);
    let loosened = Binding { exportable: true, ..binding };
    assert_eq!(custody().check(&kept.version.material, &loosened), Err(CustodyError::Integrity));
    assert_eq!(custody().check(&kept.version.material, &binding), Ok(()));
    assert!(scene.release(&good_token()).is_ok());
}

/// Attack 45: keys of a thief at every other place of the token do not draw the release to them.
#[test]
fn attack_45_wrapping_key_comes_from_the_runtime_claim_only() {
    let scene = Scene::new();
    let theirs = || Object::new().with("keys", vec![jwk(thief(), TARGET_KID)]);
    let shadowed = claims()
        .with("keys", vec![jwk(thief(), TARGET_KID)])
        .with("tee-pubkey", jwk(thief(), TARGET_KID))
        .with("cnf", Object::new().with("jwk", jwk(thief(), TARGET_KID)))
        .with("aas-ehd", theirs())
        .with("x-ms-inittime", theirs())
        .with("X-MS-Runtime", theirs())
        .with("x-ms-isolation-tee", Object::new().with("x-ms-runtime", theirs()));
    let token = token(&shadowed);
    let release = scene.verify(&scene.release(&token).unwrap().value, &asked(&token)).unwrap();
    assert_eq!(release.receipt().target_thumbprint, tee_thumbprint());
    assert!(release.unwrap(tee()).is_ok());
    assert!(release.unwrap(thief()).is_err());
}

/// Attack 45: what is ambiguous or unfit is a denial, not a reason to take another key.
#[test]
fn attack_45_ambiguous_wrapping_key() {
    let scene = Scene::new();
    let keys = |keys: Value| token(&claims().with("x-ms-runtime", Object::new().with("keys", keys)));
    let two = |kid| vec![jwk(tee(), TARGET_KID), jwk(thief(), kid)];
    let cases = [
        (keys(two(TARGET_KID).into()), TargetKeyError::Ambiguous { kid: TARGET_KID.into() }),
        (keys(Vec::<Value>::new().into()), TargetKeyError::NoneSuitable),
        (keys(vec![jwk(tee(), TARGET_KID).with("key_ops", vec!["sign"])].into()), TargetKeyError::NoneSuitable),
        (keys(Object::new().with("0", jwk(tee(), TARGET_KID)).into()), TargetKeyError::NotAKeySet),
        (keys(vec![jwk(tee(), TARGET_KID); RUNTIME_KEYS_MAX + 1].into()), TargetKeyError::NotAKeySet),
    ];
    for (token, reason) in cases {
        assert_eq!(scene.denied(&token), Refusal::Denied(Denied::Target(reason)));
    }
    let token = keys(two("other").into());
    assert!(scene.verify(&scene.release(&token).unwrap().value, &asked(&token)).unwrap().unwrap(tee()).is_ok());
}

/// Attacks 8 and 46: weak RSA keys, and keys that are no RSA keys, are not wrapped to.
#[test]
fn attack_46_malformed_wrapping_key() {
    let scene = Scene::new();
    let with = |name: &str, value: &str| {
        let keys = vec![jwk(tee(), TARGET_KID).with(name, value)];
        token(&claims().with("x-ms-runtime", Object::new().with("keys", keys)))
    };
    let octets = |len: usize| skerry_jose::b64::encode(vec![0xff; len]);
    let unusable = |reason| TargetKeyError::Unusable { kid: TARGET_KID.into(), reason };
    let cases = [
        (with("kty", "EC"), TargetKeyError::NoneSuitable),
        (with("kty", "oct"), TargetKeyError::NoneSuitable),
        (with("n", &octets(64)), unusable(JwkError::ModulusSize { bits: 512 })),
        (with("n", &octets(255)), unusable(JwkError::ModulusSize { bits: 2040 })),
        (with("n", &octets(2048)), unusable(JwkError::ModulusSize { bits: 16_384 })),
        (with("e", "AQ"), unusable(JwkError::Exponent)),
        (with("e", "Aw"), unusable(JwkError::Exponent)),
        (with("e", "AQAA"), unusable(JwkError::Exponent)),
        (with("e", "AQAB="), unusable(JwkError::NotBase64("e"))),
    ];
    for (token, reason) in cases {
        assert_eq!(scene.denied(&token), Refusal::Denied(Denied::Target(reason)));
    }
}

/// Attack 47: only three ways to wrap have a name; PKCS#1 v1.5 and direct AES are none of them, in no spelling.
#[test]
fn attack_47_rsa1_5_is_no_wrap() {
    let odd = [
        "RSA1_5",
        "RSA-OAEP",
        "RSA_AES_KEY_WRAP",
        "rsa_aes_key_wrap_256",
        "CKM_RSA_PKCS",
        "CKM_RSA_AES_KEY_WRAP ",
        "none",
        "",
    ];
    for odd in odd {
        assert!(Wrap::parse(odd).is_err(), "{odd:?}");
    }
    let names: Vec<_> = Wrap::ALL.map(Wrap::as_str).into();
    assert_eq!(names, ["CKM_RSA_AES_KEY_WRAP", "RSA_AES_KEY_WRAP_256", "RSA_AES_KEY_WRAP_384"]);
    assert!(names.iter().all(|name| Wrap::parse(name).is_ok()));
}

/// Attack 49: a sealed record put in another key's, version's or vault's place does not open.
#[test]
fn attack_49_swapped_records_do_not_open() {
    let scene = Scene::new();
    let (a, b) = (scene.key(KEY), scene.create("other", EC));
    let (one, other) = (a.binding(VAULT_ID), b.binding(VAULT_ID));
    let check = |binding| custody().check(&a.version.material, &binding);
    let with = |key: KeyRef| check(Binding { key, ..one });
    assert_eq!(check(other), Err(CustodyError::Integrity));
    assert_eq!(with(KeyRef { version: other.key.version, ..one.key }), Err(CustodyError::Integrity));
    assert_eq!(with(KeyRef { vault: uuid::Uuid::from_bytes([1; 16]), ..one.key }), Err(CustodyError::Integrity));
    assert_eq!(check(one), Ok(()));
}

/// The explanation of a denial names the clause, what it wants and what it saw; the caller's token chose the latter.
#[test]
fn denial_by_policy_explains_itself() {
    let scene = Scene::new();
    let other = token(&claims().with("x-ms-attestation-type", "tdxvm"));
    let Refusal::Denied(Denied::Policy(explanation)) = scene.denied(&other) else { panic!("another refusal") };
    let failing: Vec<_> = explanation.entries[0].clauses.iter().filter(|clause| !clause.holds).collect();
    assert_eq!(failing.len(), 1);
    assert_eq!((failing[0].claim.as_str(), failing[0].expected.as_str()), ("x-ms-attestation-type", "sevsnpvm"));
    assert_eq!(failing[0].seen, Seen::Text { text: "tdxvm".into(), bytes: 5 });
}
