//! Checks 20 to 25, and 39: keys deleted and brought back, brought in, and rotated.

use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm, SigningKey, b64};

use super::super::scene::{MEASUREMENT, PREMIUM, STANDARD, Scene, V, attested, exportable, member, text};
use super::{flag, kid, names, not_found, number, object, refused, version_of};
use crate::support::runtime;

/// Deleting answers where the key is recovered from and until when.
#[test]
fn check_20_deleting() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.make("k", r#"{"kty":"EC"}"#).await;
        let deleted = scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
        assert_eq!(names(&deleted), ["recoveryId", "deletedDate", "scheduledPurgeDate", "key", "attributes"]);
        assert_eq!(text(&deleted, &["recoveryId"]), format!("https://{}/deletedkeys/k", scene.authority(PREMIUM)));
        let (date, purge) = (number(&deleted, &["deletedDate"]), number(&deleted, &["scheduledPurgeDate"]));
        assert_eq!((date, purge - date), (1_800_000_000, 7_776_000), "ninety days");
        assert_eq!((kid(&deleted), flag(&deleted, &["attributes", "enabled"])), (kid(&made), Some(true)));
        not_found(&scene.ask("GET", &format!("/keys/k?{V}"), "").await, "k");
        assert_eq!(scene.get("/deletedkeys/k").await, deleted);
    });
}

/// The name of a deleted key is taken.
#[test]
fn check_21_the_name_of_a_deleted_key() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("k").await;
        scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
        let response = scene.post("/keys/k/create", r#"{"kty":"EC"}"#).await;
        let message = "Key k is currently in a deleted but recoverable state, and its name cannot be reused; in this state, \
                       the key can only be recovered or purged.";
        refused(&response, 409, "Conflict", Some("ObjectIsDeletedButRecoverable"), message);
    });
}

/// Recovering brings all versions back; what is not deleted is not recovered.
#[test]
fn check_22_recovering() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (first, second) = (scene.create("k").await, scene.create("k").await);
        let newest = scene.get("/keys/k").await;
        scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
        assert_eq!(scene.good("POST", &format!("/deletedkeys/k/recover?{V}"), "").await, newest);
        assert_eq!(scene.get("/keys/k").await, newest);
        for version in [&first, &second] {
            assert_eq!(kid(&scene.get(&format!("/keys/k/{}", version_of(version))).await), version);
        }
        let live = scene.post("/deletedkeys/k/recover", "").await;
        refused(&live, 404, "KeyNotFound", None, "Deleted Key not found: k");
    });
}

/// Purging answers nothing, and is forbidden where keys are protected from it.
#[test]
fn check_23_purging() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for host in [PREMIUM, STANDARD] {
            assert_eq!(scene.ask_of(host, "POST", &format!("/keys/k/create?{V}"), r#"{"kty":"EC"}"#).await.status, 200);
            assert_eq!(scene.ask_of(host, "DELETE", &format!("/keys/k?{V}"), "").await.status, 200);
        }
        let purged = scene.ask("DELETE", &format!("/deletedkeys/k?{V}"), "").await;
        assert_eq!((purged.status, purged.body.as_str(), purged.header("content-type")), (204, "", None));
        let kept = scene.ask_of(STANDARD, "DELETE", &format!("/deletedkeys/k?{V}"), "").await;
        let message = "Operation \"purge\" is not allowed because purge protection is enabled for this vault.";
        refused(&kept, 403, "Forbidden", None, message);
        scene.create("k").await;
    });
}

/// A backup brings back all of a key that is gone, and takes nobody's place.
#[test]
fn check_24_backup_and_restore() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let body = exportable("EC-HSM").with("tags", Object::new().with("a", "1")).to_json();
        let (first, second) = (scene.make("k", &body).await, scene.make("k", r#"{"kty":"EC-HSM"}"#).await);
        let backup = scene.good("POST", &format!("/keys/k/backup?{V}"), "").await;
        assert_eq!(names(&backup), ["value"]);
        let backup = backup.to_json();
        let taken = scene.post("/keys/restore", &backup).await;
        refused(
            &taken,
            409,
            "Conflict",
            None,
            "Key k already exists in this vault, and a backup is not restored over it.",
        );
        scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
        assert_eq!(scene.ask("DELETE", &format!("/deletedkeys/k?{V}"), "").await.status, 204);
        assert_eq!(scene.good("POST", &format!("/keys/restore?{V}"), &backup).await, second);
        for version in [&first, &second] {
            assert_eq!(scene.get(&format!("/keys/k/{}", version_of(kid(version)))).await, *version);
        }
        assert!(first.contains("release_policy") && first.contains("tags"), "the control");
    });
}

/// The integers of an RSA private key as they stand in PKCS#8: version, n, e, d, p, q, dp, dq, qi, each with the octet that
/// keeps it positive (RFC 8017, A.1.2).
fn integers(pkcs8: &[u8]) -> Vec<Vec<u8>> {
    fn value<'a>(der: &mut &'a [u8]) -> (u8, &'a [u8]) {
        let (tag, mut len, mut head) = (der[0], usize::from(der[1]), 2);
        if len > 0x80 {
            let octets = len - 0x80;
            len = der[2..2 + octets].iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            head += octets;
        }
        let found = &der[head..head + len];
        *der = &der[head + len..];
        (tag, found)
    }
    let (_, mut outer) = value(&mut &*pkcs8);
    let (_version, _algorithm, (tag, mut key)) = (value(&mut outer), value(&mut outer), value(&mut outer));
    assert_eq!(tag, 4, "an octet string");
    let (_, mut inner) = value(&mut key);
    let mut integers = Vec::new();
    while !inner.is_empty() {
        integers.push(value(&mut inner).1.to_vec());
    }
    integers
}

/// Both spellings of `Hsm` make an HSM key of an RSA key that is brought in, and nothing private comes back. The modulus is
/// echoed; where it was sent with the octet that keeps it positive, Azure echoes that too (recorded) and it is left out here
/// (docs/divergences.md).
#[test]
fn check_25_bringing_in() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let pkcs8 = SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap();
        let integers = integers(&pkcs8);
        let names_of = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
        let jwk = names_of
            .iter()
            .zip(&integers[1..])
            .fold(Object::new().with("kty", "RSA"), |jwk, (name, octets)| jwk.with(*name, b64::encode(octets)));
        assert_eq!((integers[1].len(), integers[1][0]), (257, 0), "a leading zero");
        let short = jwk.clone().with("n", b64::encode(&integers[1][1..]));
        for (spelling, jwk) in [("Hsm", &jwk), ("hsm", &jwk), ("Hsm", &short)] {
            let body = Object::new().with(spelling, true).with("key", jwk.clone()).to_json();
            let made = scene.good("PUT", &format!("/keys/in?{V}"), &body).await;
            let key = object(&made, &["key"]);
            assert_eq!((names(key), text(key, &["kty"])), (vec!["kid", "kty", "key_ops", "n", "e"], "RSA-HSM"));
            assert_eq!(text(key, &["n"]), text(jwk, &["n"]), "as it came");
            assert_eq!(scene.get("/keys/in").await, made, "and is shown so");
            // It is the key that was brought in.
            let digest = b64::encode([7; 32]);
            let sign = format!(r#"{{"alg":"RS256","value":"{digest}"}}"#);
            let signature = scene.good("POST", &format!("/keys/in/sign?{V}"), &sign).await;
            let value = text(&signature, &["value"]);
            let verify = format!(r#"{{"alg":"RS256","digest":"{digest}","value":"{value}"}}"#);
            let verified = scene.good("POST", &format!("/keys/in/verify?{V}"), &verify).await;
            assert_eq!(verified.to_json(), r#"{"value":true}"#);
        }
    });
}

/// A policy that only rotates gets the notice that Azure adds; rotating makes a version that has what the one before had,
/// and is released as that was.
#[test]
fn check_39_rotation() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let first = scene.make("k", &exportable("EC-HSM").to_json()).await;
        let policy = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}]}"#;
        let set = scene.good("PUT", &format!("/keys/k/rotationpolicy?{V}"), policy).await;
        let expected = format!(
            r#"{{"id":"https://{}/keys/k/rotationpolicy","lifetimeActions":[{{"trigger":{{"timeAfterCreate":"P30D"}},"action":{{"type":"Rotate"}}}},{{"trigger":{{"timeBeforeExpiry":"P30D"}},"action":{{"type":"Notify"}}}}],"attributes":{{"created":1800000000,"updated":1800000000}}}}"#,
            scene.authority(PREMIUM)
        );
        assert_eq!(set.to_json(), expected);
        let rotated = scene.good("POST", &format!("/keys/k/rotate?{V}"), "").await;
        assert_ne!(kid(&rotated), kid(&first));
        assert_eq!(flag(&rotated, &["attributes", "exportable"]), Some(true));
        assert_eq!(member(&rotated, &["release_policy"]), member(&first, &["release_policy"]));
        let body = Object::new().with("target", attested(MEASUREMENT)).to_json();
        let released = scene.good("POST", &format!("/keys/k/release?{V}"), &body).await;
        let payload = super::release::payload(&released);
        assert_eq!(member(&payload, &["response", "key", "key", "kid"]).and_then(Value::as_str), Some(kid(&rotated)));
    });
}
