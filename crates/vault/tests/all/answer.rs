//! Attack 48: answers that were swapped, altered or forged on their way. The client believes none of them.

use skerry_client::{Asked, ReleaseAnswerError, Roots};
use skerry_jose::{JwsError, b64};
use skerry_keywrap::Algorithm as Wrap;
use skerry_vault::VaultKind;
use skerry_vault::ca::Ca;
use skerry_vault::command::ReleaseCommand;

use crate::support::*;

/// The control of every attack below, and that an answer says the version which was released.
#[test]
fn attack_48_untouched_answer_is_believed() {
    let (scene, token) = (Scene::new(), good_token());
    let answer = scene.release(&token).unwrap().value;
    assert!(scene.verify(&answer, &asked(&token)).unwrap().unwrap(tee()).is_ok());
}

/// Attack 48: the answer for another key, vault or version that the same vault signed.
#[test]
fn attack_48_other_key_or_version() {
    let (scene, token) = (Scene::new(), good_token());
    scene.create("other", EC);
    let theirs = scene.release_key("other", &token).unwrap().value;
    let other = |asked: &str, seen: &str| ReleaseAnswerError::Key { asked: asked.into(), seen: seen.into() };
    let (kid, other_kid) = ("https://vault.example/keys/payments", "https://vault.example/keys/other");
    assert_eq!(scene.verify(&theirs, &asked(&token)).unwrap_err(), other(kid, other_kid));
    assert!(scene.verify(&theirs, &Asked { kid: other_kid, ..asked(&token) }).is_ok());
    let foreign = scene.answer(&ReleaseCommand { host: "other.example", ..command(&token) }).unwrap().value;
    let error = scene.verify(&foreign, &asked(&token)).unwrap_err();
    assert_eq!(error, other(kid, "https://other.example/keys/payments"));
    let version = scene.key(KEY).version.version;
    let versioned = scene.answer(&ReleaseCommand { version: Some(version), ..command(&token) }).unwrap().value;
    let (mine, older) = (format!("{kid}/{version}"), format!("{kid}/{}", "00".repeat(16)));
    assert_eq!(scene.verify(&versioned, &Asked { kid: &older, ..asked(&token) }).unwrap_err(), other(&older, &mine));
    assert_eq!(scene.verify(&versioned, &asked(&token)).unwrap_err(), other(kid, &mine));
    assert!(scene.verify(&versioned, &Asked { kid: &mine, ..asked(&token) }).is_ok());
}

/// Attack 48: an answer of an earlier request is shown by its nonce.
#[test]
fn attack_48_old_nonce() {
    let (scene, token) = (Scene::new(), good_token());
    let with = |nonce| scene.answer(&ReleaseCommand { nonce, ..command(&token) }).unwrap().value;
    for (sent, seen) in [
        (Some("new"), Some("old")),
        (Some("new"), None),
        (None, Some("old")),
        (Some("new"), Some("NEW")),
        (Some(""), None),
    ] {
        let error = scene.verify(&with(seen), &Asked { nonce: sent, ..asked(&token) }).unwrap_err();
        assert_eq!(error, ReleaseAnswerError::Nonce, "{sent:?} {seen:?}");
    }
    assert!(scene.verify(&with(Some("new")), &Asked { nonce: Some("new"), ..asked(&token) }).is_ok());
}

/// Attack 48: an answer that was given for another token, even one with the same claims and key.
#[test]
fn attack_48_receipt_for_another_token() {
    let (scene, token) = (Scene::new(), good_token());
    let twin = signed(&payload());
    let answer = scene.release(&twin).unwrap().value;
    assert_eq!(scene.verify(&answer, &asked(&token)).unwrap_err(), ReleaseAnswerError::OtherToken);
    assert!(scene.verify(&answer, &asked(&twin)).is_ok());
}

/// Attack 48: an answer wrapped to another key, by its name or under the same name.
#[test]
fn attack_48_other_target() {
    let (scene, token) = (Scene::new(), good_token());
    let answer = scene.release(&token).unwrap().value;
    let error = scene.verify(&answer, &Asked { target_kid: "mine", ..asked(&token) }).unwrap_err();
    assert_eq!(error, ReleaseAnswerError::TargetKid { asked: "mine".into(), seen: TARGET_KID.into() });
    let release = scene.verify(&answer, &asked(&token)).unwrap();
    assert_eq!(release.unwrap(thief()).err(), Some(ReleaseAnswerError::OtherTarget));
    assert!(release.unwrap(tee()).is_ok());
}

/// Attack 48: a proxy that changed `enc` on the way to the vault.
#[test]
fn attack_48_downgraded_wrap() {
    let (scene, token) = (Scene::new(), good_token());
    for enc in [None, Some(Wrap::CkmRsaAesKeyWrap), Some(Wrap::RsaAesKeyWrap384)] {
        let answer = scene.answer(&ReleaseCommand { enc, ..command(&token) }).unwrap().value;
        let seen = enc.unwrap_or(Wrap::CkmRsaAesKeyWrap).as_str();
        let error = ReleaseAnswerError::OtherWrapAlgorithm { asked: "RSA_AES_KEY_WRAP_256", seen };
        assert_eq!(scene.verify(&answer, &asked(&token)).unwrap_err(), error);
    }
}

/// Attack 48: chains that are empty, absent, foreign, out of date, or for another host.
#[test]
fn attack_48_certificate_chain() {
    let (scene, token) = (Scene::new(), good_token());
    let answer = scene.release(&token).unwrap().value;
    let (_, rest) = answer.split_once('.').unwrap();
    let with_header = |header: &str| format!("{}.{rest}", b64::encode(header));
    for header in [r#"{"alg":"RS256","x5c":[]}"#, r#"{"alg":"RS256"}"#, r#"{"alg":"RS256","x5c":"AA=="}"#] {
        assert_eq!(scene.verify(&with_header(header), &asked(&token)).unwrap_err(), ReleaseAnswerError::Chain);
    }
    let foreign = Ca::generate("Skerry tests", at(NOW)).unwrap();
    let verify = |roots: &Roots, asked: &Asked<'_>, now| {
        skerry_client::VerifiedRelease::verify(&answer, asked, roots, at(now)).map(drop)
    };
    let unknown = verify(&Roots::new(foreign.root_der()).unwrap(), &asked(&token), NOW);
    assert!(matches!(unknown, Err(ReleaseAnswerError::Untrusted(_))), "{unknown:?}");
    for outside in [NOW - 3_600, NOW + 366 * 86_400] {
        let error = verify(&scene.roots, &asked(&token), outside);
        assert!(matches!(error, Err(ReleaseAnswerError::Untrusted(_))), "{error:?}");
    }
    for host in ["other.example", "vault.example.evil.example", "ault.example", "example", "127.0.0.1"] {
        let error = verify(&scene.roots, &Asked { host, ..asked(&token) }, NOW);
        assert_eq!(error, Err(ReleaseAnswerError::Name { host: host.into() }));
    }
    assert_eq!(verify(&scene.roots, &asked(&token), NOW + 364 * 86_400), Ok(()));
}

/// Attack 48: an attacker signs an answer of his own, under the vault's certificate or under one that he made.
#[test]
fn attack_48_forged_signature() {
    let (scene, token) = (Scene::new(), good_token());
    let answer = scene.release(&token).unwrap().value;
    let attacker = signing_key(&ATTACKER);
    let forged = signed_by(&attacker, &part(&answer, 0), &part(&answer, 1));
    let error = scene.verify(&forged, &asked(&token)).unwrap_err();
    assert_eq!(error, ReleaseAnswerError::Jws(JwsError::Signature));
    let chain = Ca::generate("Skerry tests", at(NOW)).unwrap().issue(&attacker, &[HOST], at(NOW)).unwrap();
    let x5c: Vec<String> = chain.iter().map(b64::encode_standard).collect();
    let header = decoded(&answer, 0).with("x5c", x5c).to_json();
    let error = scene.verify(&signed_by(&attacker, &header, &part(&answer, 1)), &asked(&token)).unwrap_err();
    assert!(matches!(error, ReleaseAnswerError::Untrusted(_)), "{error:?}");
    let resigned = signed_by(&signing_key(&SERVICE), &part(&answer, 0), &part(&answer, 1));
    assert!(scene.verify(&resigned, &asked(&token)).is_ok(), "the control: the same by the vault's key");
}

/// Attack 48: every character of the answer changed to another of the alphabet; in the second form, a sample of them.
#[test]
fn attack_48_every_character_of_the_answer_counts() {
    for (kind, step) in [(VaultKind::Premium, 1), (VaultKind::ManagedHsm, 17)] {
        let (scene, token) = (Setup::of_kind(kind), good_token());
        let answer = scene.release(&token).unwrap().value;
        for at in (0..answer.len()).step_by(step) {
            let mut altered = answer.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(scene.verify(&altered, &asked(&token)).is_err(), "{kind:?} character {at}");
        }
        assert!(scene.verify(&answer, &asked(&token)).is_ok());
    }
}

/// Attack 48: an answer that ends too early, at any character, or goes on.
#[test]
fn attack_48_cut_answer() {
    let (scene, token) = (Scene::new(), good_token());
    let answer = scene.release(&token).unwrap().value;
    for len in 0..answer.len() {
        assert!(scene.verify(&answer[..len], &asked(&token)).is_err(), "{len}");
    }
    for more in ["A", ".", "=", "\n", ".A.A"] {
        assert!(scene.verify(&format!("{answer}{more}"), &asked(&token)).is_err(), "{more:?}");
    }
}
