//! Checks 9, 10, 13 to 16: what keys do, and when they do not.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use super::super::scene::{MEASUREMENT, Scene, V, attested, exportable, text};
use super::{flag, kid, names, refused, rows};
use crate::support::{Response, runtime};

fn verification(response: &Response) -> bool {
    assert_eq!(response.status, 200, "{}", response.body);
    let answer = response.json();
    assert_eq!(names(&answer), ["value"]);
    answer.get("value").and_then(Value::as_bool).unwrap()
}

/// Signs a digest of this length, and verifies it as it is and with a bit flipped; the length of the signature.
async fn signs(scene: &Scene, algorithm: &str, digest_len: usize) -> usize {
    let digest = b64::encode(vec![7; digest_len]);
    let signed = scene.post("/keys/k/sign", &format!(r#"{{"alg":"{algorithm}","value":"{digest}"}}"#)).await;
    assert_eq!(signed.status, 200, "{}", signed.body);
    let signed = signed.json();
    assert_eq!(names(&signed), ["kid", "value"]);
    let signature = b64::decode(text(&signed, &["value"])).unwrap();
    let mut flipped = signature.clone();
    flipped[digest_len / 2] ^= 1;
    for (signature, expected) in [(&signature, true), (&flipped, false)] {
        let value = b64::encode(signature);
        let body = format!(r#"{{"alg":"{algorithm}","digest":"{digest}","value":"{value}"}}"#);
        assert_eq!(verification(&scene.post("/keys/k/verify", &body).await), expected);
    }
    signature.len()
}

/// R and S of 32 octets each.
#[test]
fn check_09_es256k() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", r#"{"kty":"EC","crv":"P-256K"}"#).await;
        assert_eq!(signs(&scene, "ES256K", 32).await, 64);
    });
}

/// R and S of 66 octets each; a wrong signature is an answer and no refusal.
#[test]
fn check_10_es512() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", r#"{"kty":"EC","crv":"P-521"}"#).await;
        assert_eq!(signs(&scene, "ES512", 64).await, 132);
    });
}

/// What is encrypted is decrypted, for every algorithm of RSA and form of path; the answer names the version.
#[test]
fn check_13_rsa_encrypts_and_decrypts() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.make("k", r#"{"kty":"RSA"}"#).await;
        for algorithm in ["RSA-OAEP", "RSA-OAEP-256", "RSA1_5"] {
            for base in ["/keys/k", "/keys/k/"] {
                let body = format!(r#"{{"alg":"{algorithm}","value":"c2VjcmV0"}}"#);
                let encrypted = scene.good("POST", &format!("{base}/encrypt?{V}"), &body).await;
                assert_eq!((names(&encrypted), text(&encrypted, &["kid"])), (vec!["kid", "value"], kid(&made)));
                let body = Object::new().with("alg", algorithm).with("value", text(&encrypted, &["value"])).to_json();
                let decrypted = scene.good("POST", &format!("{base}/decrypt?{V}"), &body).await;
                assert_eq!(decrypted, Object::new().with("kid", kid(&made)).with("value", "c2VjcmV0"));
            }
        }
    });
}

/// What a key's operations do not have in them it does not do.
#[test]
fn check_14_an_operation_that_is_not_among_the_key_s() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", r#"{"kty":"RSA","key_ops":["encrypt","decrypt"]}"#).await;
        let response = scene.post("/keys/k/wrapkey", r#"{"alg":"RSA-OAEP","value":"AQ"}"#).await;
        let message = "Operation wrapKey is not permitted on this key.";
        refused(&response, 403, "Forbidden", Some("KeyOperationForbidden"), message);
    });
}

/// A disabled key is not shown and does nothing; it is listed, and comes back.
#[test]
fn check_15_a_disabled_key() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("k").await;
        let sign = format!(r#"{{"alg":"ES256","value":"{}"}}"#, b64::encode([7; 32]));
        assert_eq!(scene.patch("/keys/k/", r#"{"attributes":{"enabled":false}}"#).await.status, 200);
        for (response, operation) in [
            (scene.ask("GET", &format!("/keys/k?{V}"), "").await, "get"),
            (scene.post("/keys/k/sign", &sign).await, "sign"),
        ] {
            let message = format!("Operation {operation} is not allowed on a disabled key.");
            refused(&response, 403, "Forbidden", Some("KeyDisabled"), &message);
        }
        let list = scene.get("/keys").await;
        assert_eq!((rows(&list).len(), flag(rows(&list)[0], &["attributes", "enabled"])), (1, Some(false)));
        assert_eq!(scene.patch("/keys/k/", r#"{"attributes":{"enabled":true}}"#).await.status, 200);
        assert_eq!(scene.post("/keys/k/sign", &sign).await.status, 200);
        assert_eq!(scene.ask("GET", &format!("/keys/k?{V}"), "").await.status, 200);
    });
}

/// What has ended makes nothing new, and still opens, checks and releases what is old.
#[test]
fn check_16_a_key_that_has_ended() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", &exportable("RSA-HSM").to_json()).await;
        let oaep = r#"{"alg":"RSA-OAEP","value":"AQ"}"#.to_owned();
        let digest = b64::encode([7; 32]);
        let sign = format!(r#"{{"alg":"RS256","value":"{digest}"}}"#);
        let mut old = Vec::new();
        for (word, body) in [("encrypt", &oaep), ("wrapkey", &oaep), ("sign", &sign)] {
            let answer = scene.good("POST", &format!("/keys/k/{word}?{V}"), body).await;
            old.push(text(&answer, &["value"]).to_owned());
        }
        let ended = r#"{"attributes":{"exp":1799999999}}"#;
        assert_eq!(scene.patch("/keys/k", ended).await.status, 200);
        for (word, name, body) in
            [("encrypt", "encrypt", &oaep), ("wrapkey", "wrapKey", &oaep), ("sign", "sign", &sign)]
        {
            let response = scene.post(&format!("/keys/k/{word}"), body).await;
            let message = format!("Operation {name} is not allowed on an expired key.");
            refused(&response, 403, "Forbidden", Some("KeyExpired"), &message);
        }
        for (word, body) in [
            ("decrypt", format!(r#"{{"alg":"RSA-OAEP","value":"{}"}}"#, old[0])),
            ("unwrapkey", format!(r#"{{"alg":"RSA-OAEP","value":"{}"}}"#, old[1])),
            ("verify", format!(r#"{{"alg":"RS256","digest":"{digest}","value":"{}"}}"#, old[2])),
            ("release", Object::new().with("target", attested(MEASUREMENT)).to_json()),
        ] {
            let response = scene.post(&format!("/keys/k/{word}"), &body).await;
            assert_eq!(response.status, 200, "{word}: {}", response.body);
        }
    });
}
