//! What the log says of releases and denials, and that it says so first.

use skerry_attestation_result::Provenance;
use skerry_jose::json::Object;
use skerry_keys::{KeyType, OctBits};
use skerry_policy::permit::KeyRef;
use skerry_vault::Refusal;
use skerry_vault::command::{AttributesInput, Changes, PolicyInput};

use crate::support::*;

/// Making a key, releases and denials stand in the log in the order in which they were answered, and nothing else does.
#[test]
fn log_has_exactly_what_happened_in_order() {
    let scene = Scene::new();
    let key = scene.key(KEY);
    let key = key.binding(VAULT_ID).key;
    let simulated = token_of(signer(), &claims(), Provenance::Simulated);
    let other = token(&claims().with("x-ms-attestation-type", "tdxvm"));
    let stranger = signed(&payload().with("iss", "https://stranger.example"));
    let (good, mine) = (good_token(), token(&claims().with("mine", true)));
    let mut expected = vec![created(key, "intended"), created(key, "committed")];
    for (index, token) in [&good, &simulated, &mine, &stranger, &other, &good, &good].into_iter().enumerate() {
        let request_id = format!("request-{index}");
        let answer = scene.answer_as(&request_id, &command(token));
        let record = match answer {
            Ok(_) => released(key, token),
            // What SEV-SNP measured is nothing that a token of TDX states.
            Err(refusal) => denied(key, token, &refusal, token != &other),
        };
        expected.push(record.with("request", request_id));
        let records = scene.records();
        assert_eq!(records.len(), expected.len(), "on record when the answer is there");
    }
    let verdicts: Vec<_> = expected.iter().map(|record| text(record, "verdict").to_owned()).collect();
    assert_eq!(verdicts[2..], ["permitted", "denied", "permitted", "denied", "denied", "permitted", "permitted"]);
    // Intent and outcome of a change have one subject, which nobody can know before.
    let records = scene.records();
    assert_eq!(text(&records[0], "subject"), text(&records[1], "subject"));
    for (seen, expected) in records.into_iter().zip(expected) {
        let subject =
            if text(&seen, "event") == "key-created" { text(&seen, "subject") } else { text(&expected, "subject") };
        let expected = expected.clone().with("subject", subject);
        assert_eq!(sorted(seen), sorted(expected));
    }
    assert!(skerry_audit::verify(scene.folder()).is_ok());
}

fn created(key: KeyRef, verdict: &str) -> Object {
    record(key, "key-created", verdict, &[])
        .with("explanation", "")
        .with("policy", hex::encode(sha256(policy())))
        .with("request", "create-1")
        .with("who", CALLER)
}

fn released(key: KeyRef, token: &str) -> Object {
    let generation = 1_u64.to_be_bytes();
    let (thumbprint, token_digest) = (tee_thumbprint(), sha256(token));
    let subject = [
        b"skerry permit v1\0".as_slice(),
        key.vault.as_bytes(),
        key.key.as_bytes(),
        &key.version.0,
        &sha256(policy()),
        &generation,
        &token_digest,
        thumbprint.as_bytes(),
        b"\0",
        TARGET_KID.as_bytes(),
    ];
    record(key, "release", "permitted", &subject.concat())
        .with("explanation", format!("released to {thumbprint}"))
        .with("measurement", hex::encode(MEASUREMENT))
        .with("policy", hex::encode(sha256(policy())))
        .with("token", hex::encode(token_digest))
        .with("who", CALLER)
}

fn denied(key: KeyRef, token: &str, refusal: &Refusal, measured: bool) -> Object {
    let token = sha256(token);
    let subject = [b"skerry denial v1\0".as_slice(), key.key.as_bytes(), &key.version.0, &token].concat();
    let explanation = match refusal {
        Refusal::Denied(skerry_policy::permit::Denied::Policy(explanation)) => format!("{refusal}\n{explanation}"),
        other => other.to_string(),
    };
    let record = record(key, "release-denied", "denied", &subject)
        .with("explanation", explanation)
        .with("token", hex::encode(token))
        .with("who", CALLER);
    // Policy and measurement are known only where the token was believed.
    match refusal {
        Refusal::Denied(_) => {
            let record = record.with("policy", hex::encode(sha256(policy())));
            if measured { record.with("measurement", hex::encode(MEASUREMENT)) } else { record }
        }
        _ => record,
    }
}

fn record(key: KeyRef, event: &str, verdict: &str, subject: &[u8]) -> Object {
    Object::new()
        .with("at_ms", NOW * 1_000)
        .with("event", event)
        .with("key", key.key.to_string())
        .with("subject", hex::encode(sha256(subject)))
        .with("vault", VAULT_ID.to_string())
        .with("verdict", verdict)
        .with("version", hex::encode(key.version.0))
}

fn sorted(mut record: Object) -> String {
    record.sort();
    record.to_json()
}

/// The log says what was changed of a key, switches and times with their values.
#[test]
fn log_says_what_was_changed() {
    let scene = Scene::new();
    let attributes = AttributesInput { enabled: Some(false), expires: Some(NOW + 9), ..AttributesInput::default() };
    let policy = Some(PolicyInput { data: policy().into_bytes(), immutable: Some(true) });
    let changes = Changes { attributes, policy, tags: Some(tags(&[("a", "b")])), ..Changes::default() };
    scene.update(KEY, &changes).unwrap();
    let records = scene.records();
    for record in &records[2..] {
        let words = format!("disabled, expires {}, tags, release policy, fixed for good", NOW + 9);
        assert_eq!((text(record, "event"), text(record, "explanation")), ("policy-changed", words.as_str()));
    }
    assert_eq!(records.len(), 4, "intent and outcome");
    assert_eq!(Changes::default().words(), "");
}

/// Attack 60: what a stranger writes into a token cannot make its denial too long for the log, and so keep it out.
#[test]
fn denial_of_a_token_full_of_text_is_on_record() {
    let scene = Scene::new();
    let (long, control) = ("k".repeat(80_000), "\\u0001".repeat(14_000));
    let header = |kid: &str| format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
    let attacker = signing_key(&ATTACKER);
    let hostile = [
        signed_by(&attacker, &header(&long), &payload().to_json()),
        signed_by(&attacker, &header(&control), &payload().to_json()),
        signed_by(&attacker, &format!(r#"{{"alg":"{long}"}}"#), "{}"),
        signed_by(&attacker, &header("k"), &format!(r#"{{"{long}":1}}"#)),
        signed_by(&attacker, &header("k"), &format!(r#"{{"{0}":1,"{0}":2}}"#, "d".repeat(44_000))),
    ];
    for token in hostile {
        let refusal = scene.denied(&token);
        assert!(matches!(refusal, Refusal::Token(_)), "{:.200}", format!("{refusal:?}"));
    }
}

/// Attack 60: nor can a policy of many clauses, each with a long value, keep its denials out of the log.
#[test]
fn denial_by_a_long_policy_is_on_record() {
    let scene = Setup::default().bare();
    let clause = |index: usize| format!(r#"{{"claim":"c{index}","equals":"{}"}}"#, "v".repeat(200));
    let clauses: Vec<_> = (0..256).map(clause).collect();
    scene.create_under(KEY, &entry(ISSUER, &clauses.join(","))).unwrap();
    let full = (0..256).fold(claims(), |claims, index| claims.with(format!("c{index}"), "\u{1}".repeat(20)));
    let refusal = scene.release(&token(&full)).unwrap_err();
    assert!(matches!(refusal, Refusal::Denied(_)), "{:.200}", format!("{refusal:?}"));
    let last = scene.records().pop().unwrap();
    assert_eq!((text(&last, "verdict"), text(&last, "token")), ("denied", hex::encode(sha256(token(&full))).as_str()));
    assert!(text(&last, "explanation").starts_with("the claims do not meet the release policy\nissuer "));
}

/// A measurement that is no measurement is not copied into the log at any length, and does not stop a release.
#[test]
fn measurement_of_any_length_does_not_stop_a_release() {
    let scene = Setup::default().bare();
    scene.create_under(KEY, &entry(ISSUER, r#"{"claim":"x-ms-attestation-type","equals":"sevsnpvm"}"#)).unwrap();
    for odd in ["ab".repeat(40_000), "xyz".into(), String::new()] {
        let token = token(&claims().with("x-ms-sevsnpvm-launchmeasurement", odd));
        assert!(scene.release(&token).is_ok());
        assert!(scene.records().pop().unwrap().get("measurement").is_none());
    }
    assert!(scene.release(&good_token()).is_ok());
    assert_eq!(text(&scene.records().pop().unwrap(), "measurement"), hex::encode(MEASUREMENT));
}

/// What a token says of the evidence behind it is on record with the release, and with a denial of a token that was believed; what
/// a token says that nobody believes is not.
#[test]
fn evidence_is_on_record() {
    let scene = Setup::default().bare();
    scene.create_under(KEY, &entry(ISSUER, r#"{"claim":"x-ms-sgx-product-id","equals":1}"#)).unwrap();
    let stated = |product: u64| {
        Object::new()
            .with("x-ms-attestation-type", "sgx")
            .with("x-ms-runtime", Object::new().with("keys", vec![jwk(tee(), TARGET_KID)]))
            .with("x-ms-sgx-collateral", Object::new().with("quotehash", "ab".repeat(32)))
            .with("x-ms-sgx-mrenclave", "cd".repeat(32))
            .with("x-ms-sgx-product-id", product)
    };
    assert!(scene.release(&token(&stated(1))).is_ok());
    assert!(matches!(scene.release(&token(&stated(2))), Err(Refusal::Denied(_))));
    for record in scene.records().into_iter().rev().take(2) {
        assert_eq!((text(&record, "evidence"), text(&record, "measurement")), (&*"ab".repeat(32), &*"cd".repeat(32)));
    }
    let forged = token(&stated(1)) + "A";
    assert!(matches!(scene.release(&forged), Err(Refusal::Token(_))));
    let record = scene.records().pop().unwrap();
    assert!(record.get("evidence").is_none() && record.get("measurement").is_none());
}

/// The receipt's place in the log is that of the release itself.
#[test]
fn receipt_names_the_record() {
    let scene = Setup::default().bare();
    scene.create(KEY, KeyType::Oct { bits: OctBits::B256 });
    for _ in 0..3 {
        let token = good_token();
        let answer = scene.release(&token).unwrap().value;
        let receipt = scene.verify(&answer, &asked(&token)).unwrap().receipt().clone();
        let last = skerry_audit::read(scene.folder()).unwrap().last().unwrap().unwrap();
        assert_eq!((receipt.audit_index, receipt.audit_leaf), (last.leaf().index(), *last.leaf().hash()));
    }
}
