//! Encrypting, wrapping, ML-DSA and random octets as SDKs ask for them.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use super::scene::{HSM, PREMIUM, STANDARD, Scene, V, inner, member, text};
use crate::support::runtime;

fn names(object: &Object) -> Vec<&str> {
    object.iter().map(|(name, _)| name).collect()
}

fn version_of(kid: &str) -> &str {
    kid.rsplit('/').next().unwrap()
}

impl Scene {
    async fn made(&self, key: &str, body: &str) -> String {
        let bundle = self.good("POST", &format!("/keys/{key}/create?{V}"), body).await;
        text(&bundle, &["key", "kid"]).to_owned()
    }
}

/// GCM answers the iv and tag that the service made, and the associated data that came; its answer decrypts as it is, in
/// any spelling of octets. An iv that is sent is not used.
#[test]
fn gcm_answers_what_decrypting_takes() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let kid = scene.made("k", r#"{"kty":"oct-HSM"}"#).await;
        let iv = b64::encode([7; 12]);
        for (extra, members) in [
            (String::new(), vec!["kid", "value", "iv", "tag"]),
            (format!(r#","iv":"{iv}","aad":null"#), vec!["kid", "value", "iv", "tag"]),
            (r#","aad":"AQID""#.into(), vec!["kid", "value", "iv", "tag", "aad"]),
        ] {
            let body = format!(r#"{{"alg":"A256GCM","value":"c2VjcmV0"{extra}}}"#);
            let encrypted = scene.good("POST", &format!("/keys/k//encrypt?{V}"), &body).await;
            assert_eq!(names(&encrypted), members);
            assert_eq!(text(&encrypted, &["kid"]), kid);
            assert_eq!(b64::decode(text(&encrypted, &["iv"])).unwrap().len(), 12);
            assert_eq!(b64::decode(text(&encrypted, &["tag"])).unwrap().len(), 16);
            assert_ne!(text(&encrypted, &["iv"]), iv);
            let back = encrypted.clone().with("alg", "A256GCM");
            let padded = back.clone().with("tag", format!("{}==", text(&back, &["tag"])));
            for body in [back.to_json(), padded.to_json()] {
                let decrypted = scene.good("POST", &format!("/keys/k/{}/decrypt?{V}", version_of(&kid)), &body).await;
                let expected = Object::new().with("kid", kid.as_str()).with("value", "c2VjcmV0");
                assert_eq!(decrypted, expected);
            }
        }
    });
}

/// A Managed HSM sorts the members of this answer as of all others.
#[test]
fn managed_hsms_sort() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let ask = async |word: &str, body: &str| scene.ask_of(HSM, "POST", &format!("/keys/k/{word}?{V}"), body).await;
        assert_eq!(ask("create", r#"{"kty":"oct-HSM"}"#).await.status, 200);
        let encrypted = ask("encrypt", r#"{"alg":"A256GCM","value":"c2VjcmV0","aad":"AQID"}"#).await.json();
        assert_eq!(names(&encrypted), ["aad", "iv", "kid", "tag", "value"]);
        let decrypted = ask("decrypt", &encrypted.with("alg", "A256GCM").to_json()).await.json();
        assert_eq!((names(&decrypted), text(&decrypted, &["value"])), (vec!["kid", "value"], "c2VjcmV0"));
    });
}

/// CBC answers the iv that came; RSA answers kid and value alone, and decrypts by every algorithm, whatever form of the
/// path.
#[test]
fn cbc_and_rsa_answer_what_decrypting_takes() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (oct, rsa) =
            (scene.made("o", r#"{"kty":"oct-HSM","key_size":128}"#).await, scene.made("r", r#"{"kty":"RSA"}"#).await);
        let iv = b64::encode([7; 16]);
        let body = format!(r#"{{"alg":"A128CBCPAD","value":"c2VjcmV0","iv":"{iv}"}}"#);
        let encrypted = scene.good("POST", &format!("/keys/o/encrypt?{V}"), &body).await;
        assert_eq!((names(&encrypted), text(&encrypted, &["kid"])), (vec!["kid", "value", "iv"], oct.as_str()));
        let back = encrypted.with("alg", "A128CBCPAD").to_json();
        assert_eq!(text(&scene.good("POST", &format!("/keys/o/decrypt?{V}"), &back).await, &["value"]), "c2VjcmV0");
        for algorithm in ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"] {
            for (encrypt, decrypt) in [("encrypt", "decrypt"), ("wrapkey", "unwrapkey"), ("wrapKey", "unwrapKey")] {
                let body = format!(r#"{{"alg":"{algorithm}","value":"c2VjcmV0","iv":null,"aad":null,"tag":null}}"#);
                let encrypted = scene.good("POST", &format!("/keys/r//{encrypt}?{V}"), &body).await;
                assert_eq!((names(&encrypted), text(&encrypted, &["kid"])), (vec!["kid", "value"], rsa.as_str()));
                let back = encrypted.with("alg", algorithm).to_json();
                let decrypted = scene.good("POST", &format!("/keys/r/{}/{decrypt}?{V}", version_of(&rsa)), &back).await;
                assert_eq!(decrypted, Object::new().with("kid", rsa.as_str()).with("value", "c2VjcmV0"));
            }
        }
    });
}

/// Symmetric keys wrap and unwrap, under both spellings of the path; what does not unwrap is 400, always in one sentence.
#[test]
fn keys_are_wrapped() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.made("k", r#"{"kty":"oct-HSM"}"#).await;
        let key = b64::encode([9; 32]);
        for algorithm in ["A256KW", "A256KWPAD", "CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD"] {
            for (wrap, unwrap) in [("wrapkey", "unwrapkey"), ("wrapKey", "UNWRAPKEY")] {
                let body = format!(r#"{{"alg":"{algorithm}","value":"{key}"}}"#);
                let wrapped = scene.good("POST", &format!("/keys/k/{wrap}?{V}"), &body).await;
                assert_eq!(names(&wrapped), ["kid", "value"]);
                let octets = b64::decode(text(&wrapped, &["value"])).unwrap();
                let back = wrapped.with("alg", algorithm).to_json();
                let unwrapped = scene.good("POST", &format!("/keys/k/{unwrap}?{V}"), &back).await;
                assert_eq!(text(&unwrapped, &["value"]), key);
                for at in [0, 20, octets.len() - 1] {
                    let mut bad = octets.clone();
                    bad[at] ^= 1;
                    let bad = format!(r#"{{"alg":"{algorithm}","value":"{}"}}"#, b64::encode(bad));
                    let refused = scene.post("/keys/k/unwrapkey", &bad).await;
                    assert_eq!((refused.status, refused.code().as_str()), (400, "BadParameter"));
                    assert_eq!(refused.message(), "cipher: ciphertext does not open");
                }
            }
        }
    });
}

/// What is asked wrongly is 400 and says how; what the key may not do, and states that forbid it, are 403 with Azure's
/// sentences.
#[test]
fn what_is_not_encrypted() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.made("k", r#"{"kty":"oct-HSM"}"#).await;
        scene.create("ec").await;
        for (path, body, message) in [
            ("/keys/k/encrypt", r#"{"value":"AQ"}"#, "Property alg is missing."),
            ("/keys/k/encrypt", r#"{"alg":"A256GCM"}"#, "Property value is missing."),
            ("/keys/k/encrypt", r#"{"alg":"A256GCM","value":"?"}"#, "Property value is not base64url."),
            ("/keys/k/encrypt", r#"{"alg":"A256GCM","value":"AQ","aad":5}"#, "Property aad has the wrong JSON type."),
            ("/keys/k/encrypt", r#"{"alg":"a256gcm","value":"AQ"}"#, "Property alg has invalid value a256gcm"),
            ("/keys/k/encrypt", r#"{"alg":"A256KW","value":"AQ"}"#, "Property alg has invalid value A256KW"),
            ("/keys/k/wrapkey", r#"{"alg":"A256GCM","value":"AQ"}"#, "Property alg has invalid value A256GCM"),
            (
                "/keys/k/encrypt",
                r#"{"alg":"A128GCM","value":"AQ"}"#,
                "cipher: A128GCM takes a key of 128 bits instead of 256",
            ),
            ("/keys/k/encrypt", r#"{"alg":"RSA-OAEP","value":"AQ"}"#, "cipher: RSA-OAEP does not fit"),
            ("/keys/k/encrypt", r#"{"alg":"A256CBC","value":"AQ"}"#, "cipher: iv is missing"),
            ("/keys/k/decrypt", r#"{"alg":"A256GCM","value":"AQ"}"#, "cipher: iv is missing"),
            ("/keys/k/wrapkey", r#"{"alg":"A256KW","value":"AQ"}"#, "cipher: text of 1 octets instead of 16 to"),
            (
                "/keys/k/wrapkey",
                r#"{"alg":"A256KWPAD","value":"AQ","aad":"AQ"}"#,
                "cipher: aad has no place in this algorithm",
            ),
        ] {
            let response = scene.post(path, body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{path} {body}");
            assert!(response.message().starts_with(message), "{}", response.body);
        }
        let given = r#"{"alg":"A256GCM","value":"AQ"}"#;
        let wrap = r#"{"alg":"A256KW","value":"AQ"}"#;
        let lacks = scene.post("/keys/ec/encrypt", given).await;
        assert_eq!((lacks.status, inner(&lacks).as_deref()), (403, Some("KeyOperationForbidden")));
        scene.good("PATCH", &format!("/keys/k?{V}"), r#"{"key_ops":["encrypt","decrypt"]}"#).await;
        for (word, name) in [("wrapkey", "wrapKey"), ("unwrapKey", "unwrapKey")] {
            let lacks = scene.post(&format!("/keys/k/{word}"), wrap).await;
            assert_eq!((lacks.status, inner(&lacks).as_deref()), (403, Some("KeyOperationForbidden")));
            assert_eq!(lacks.message(), format!("Operation {name} is not permitted on this key."));
        }
        let ended = r#"{"attributes":{"nbf":1,"exp":1799999999}}"#;
        scene.good("PATCH", &format!("/keys/k?{V}"), ended).await;
        let expired = scene.post("/keys/k/encrypt", given).await;
        assert_eq!((expired.status, inner(&expired).as_deref()), (403, Some("KeyExpired")));
        assert_eq!(scene.post("/keys/k/decrypt", given).await.status, 400, "still looked at");
        scene.good("PATCH", &format!("/keys/k?{V}"), r#"{"attributes":{"enabled":false}}"#).await;
        let disabled = scene.post("/keys/k/decrypt", given).await;
        assert_eq!((disabled.status, inner(&disabled).as_deref()), (403, Some("KeyDisabled")));
        assert_eq!(disabled.message(), "Operation decrypt is not allowed on a disabled key.");
    });
}

/// ML-DSA keys are made by the name of their parameters, show their public half, sign messages as they are and verify;
/// what their making needs is said.
#[test]
fn ml_dsa_keys_sign() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (kty, alg, public, signature) in [
            ("AKP", "ML-DSA-44", 1_312, 2_420),
            ("AKP-HSM", "ML-DSA-65", 1_952, 3_309),
            ("AKP", "ML-DSA-87", 2_592, 4_627),
        ] {
            let path = format!("/keys/k/create?{V}");
            let made = scene.good("POST", &path, &format!(r#"{{"kty":"{kty}","alg":"{alg}"}}"#)).await;
            let key = member(&made, &["key"]).and_then(Value::as_object).unwrap();
            assert_eq!(names(key), ["kid", "kty", "key_ops", "alg", "pub"]);
            assert_eq!((text(key, &["kty"]), text(key, &["alg"])), (kty, alg));
            assert_eq!(key.get("key_ops").unwrap().to_json(), r#"["sign","verify"]"#);
            assert_eq!(b64::decode(text(key, &["pub"])).unwrap().len(), public);
            let message = b64::encode("a message of any length");
            let sign = format!(r#"{{"alg":"{alg}","value":"{message}"}}"#);
            let signed = scene.good("POST", &format!("/keys/k/sign?{V}"), &sign).await;
            let value = text(&signed, &["value"]);
            assert_eq!(b64::decode(value).unwrap().len(), signature);
            for (message, expected) in [(message.as_str(), true), ("AQ", false)] {
                let body = format!(r#"{{"alg":"{alg}","digest":"{message}","value":"{value}"}}"#);
                let verified = scene.good("POST", &format!("/keys/k/verify?{V}"), &body).await;
                assert_eq!(verified.to_json(), format!(r#"{{"value":{expected}}}"#));
            }
        }
        for (body, message) in [
            (r#"{"kty":"AKP"}"#, "Property alg is missing."),
            (r#"{"kty":"AKP","alg":"ML-DSA-45"}"#, "Property alg has invalid value ML-DSA-45"),
            (r#"{"kty":"AKP","alg":"ml-dsa-44"}"#, "Property alg has invalid value ml-dsa-44"),
        ] {
            let response = scene.post("/keys/bad/create", body).await;
            assert_eq!((response.status, response.message().as_str()), (400, message));
        }
        let other = scene.post("/keys/k/sign", r#"{"alg":"ML-DSA-44","value":"AQ"}"#).await;
        assert!(other.message().starts_with("signature: ML-DSA-44 does not fit"), "{}", other.body);
    });
}

/// ML-DSA signs under a context and over a message representative that was made elsewhere, without being told its algorithm;
/// null is none, and what is signed so holds so and not otherwise.
#[test]
fn ml_dsa_takes_contexts_and_representatives() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for host in [PREMIUM, HSM] {
            let ask = async |word: &str, body: &str| {
                let response = scene.ask_of(host, "POST", &format!("/keys/k/{word}?{V}"), body).await;
                assert_eq!(response.status, 200, "{body}: {}", response.body);
                response.json()
            };
            ask("create", r#"{"kty":"AKP-HSM","alg":"ML-DSA-44"}"#).await;
            let mu = b64::encode([5; 64]);
            let long = b64::encode([6; 255]);
            for (sign, verify, other) in [
                (
                    r#""value":"AQ""#.to_owned(),
                    r#""digest":"AQ""#.to_owned(),
                    r#""digest":"AQ","context":"AQ""#.to_owned(),
                ),
                (
                    r#""alg":"ML-DSA-44","value":"AQ","context":"","external_mu":null"#.into(),
                    r#""alg":"ML-DSA-44","digest":"AQ""#.into(),
                    r#""digest":"Ag""#.into(),
                ),
                (
                    format!(r#""value":"AQ","context":"{long}""#),
                    format!(r#""digest":"AQ","context":"{long}""#),
                    r#""digest":"AQ""#.into(),
                ),
                (
                    format!(r#""external_mu":"{mu}","context":null"#),
                    format!(r#""external_mu":"{mu}""#),
                    r#""digest":"AQ""#.into(),
                ),
            ] {
                let signed = ask("sign", &format!("{{{sign}}}")).await;
                assert_eq!(names(&signed), ["kid", "value"]);
                let value = text(&signed, &["value"]);
                for (verify, expected) in [(&verify, true), (&other, false)] {
                    let body = format!(r#"{{{verify},"value":"{value}"}}"#);
                    assert_eq!(ask("verify", &body).await.to_json(), format!(r#"{{"value":{expected}}}"#), "{body}");
                }
            }
        }
    });
}

/// Lengths that are not possible, what cannot stand beside a representative, and keys that are not ML-DSA are 400, for
/// signing and for verifying.
#[test]
fn wrong_contexts_are_refused() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.made("k", r#"{"kty":"AKP","alg":"ML-DSA-44"}"#).await;
        scene.create("ec").await;
        let (mu, long) = (b64::encode([5; 64]), b64::encode([6; 256]));
        let text = |name: &str, verify: bool, body: &str| {
            let body = body.replace("TEXT", if verify { "digest" } else { "value" });
            (
                format!("/keys/{name}/{}", if verify { "verify" } else { "sign" }),
                if verify { format!(r#"{{{body},"value":"AQ"}}"#) } else { format!("{{{body}}}") },
            )
        };
        for verify in [false, true] {
            let of = if verify { "verification" } else { "signature" };
            let beside = if verify { "digest" } else { "value" };
            for (name, body, message) in [
                (
                    "k",
                    format!(r#""TEXT":"AQ","context":"{long}""#),
                    format!("{of}: context of 256 octets, at most 255"),
                ),
                (
                    "k",
                    r#""external_mu":"AQ""#.into(),
                    format!("{of}: message representative of 1 octets instead of 64"),
                ),
                ("k", r#""external_mu":"""#.into(), format!("{of}: message representative of 0 octets instead of 64")),
                (
                    "k",
                    format!(r#""external_mu":"{mu}","alg":"ML-DSA-44""#),
                    "Property alg is not supported beside external_mu.".into(),
                ),
                (
                    "k",
                    format!(r#""external_mu":"{mu}","context":"""#),
                    "Property context is not supported beside external_mu.".into(),
                ),
                (
                    "k",
                    r#""alg":"ML-DSA-44","TEXT":"AQ","context":5"#.into(),
                    "Property context has the wrong JSON type.".into(),
                ),
                (
                    "k",
                    r#""alg":"ML-DSA-65","TEXT":"AQ","context":"AQ""#.into(),
                    format!("{of}: ML-DSA-65 does not fit"),
                ),
                ("ec", r#""TEXT":"AQ""#.into(), "Property alg is missing.".into()),
                (
                    "ec",
                    format!(r#""external_mu":"{mu}""#),
                    format!("{of}: a context or external mu is for ML-DSA keys"),
                ),
                (
                    "ec",
                    r#""alg":"ES256","TEXT":"AQ","context":"""#.into(),
                    format!("{of}: a context or external mu is for ML-DSA keys"),
                ),
            ] {
                let (path, body) = text(name, verify, &body);
                let response = scene.post(&path, &body).await;
                assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
                assert!(response.message().starts_with(&message), "{body}: {}", response.body);
            }
            if !verify {
                let (path, body) = text("k", verify, &format!(r#""external_mu":"{mu}","TEXT":"AQ""#));
                let expected = format!("Property {beside} is not supported beside external_mu.");
                assert_eq!(scene.post(&path, &body).await.message(), expected);
            }
        }
    });
}

/// RSNULL signs octets as they are, in both services, and too many of them are 400.
#[test]
fn rsnull_signs_octets_as_they_are() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for host in [PREMIUM, HSM] {
            let made = scene.ask_of(host, "POST", &format!("/keys/r/create?{V}"), r#"{"kty":"RSA-HSM"}"#).await;
            assert_eq!(made.status, 200, "{}", made.body);
            let octets = b64::encode([7; 100]);
            let sign = format!(r#"{{"alg":"RSNULL","value":"{octets}"}}"#);
            let signed = scene.ask_of(host, "POST", &format!("/keys/r/sign?{V}"), &sign).await.json();
            let value = text(&signed, &["value"]);
            assert_eq!(b64::decode(value).unwrap().len(), 256);
            for (digest, expected) in [(octets.as_str(), true), ("AQ", false)] {
                let body = format!(r#"{{"alg":"RSNULL","digest":"{digest}","value":"{value}"}}"#);
                let verified = scene.ask_of(host, "POST", &format!("/keys/r/verify?{V}"), &body).await;
                assert_eq!(verified.json().to_json(), format!(r#"{{"value":{expected}}}"#));
            }
            let long = format!(r#"{{"alg":"RSNULL","value":"{}"}}"#, b64::encode([7; 246]));
            let refused = scene.ask_of(host, "POST", &format!("/keys/r/sign?{V}"), &long).await;
            assert_eq!((refused.status, refused.code().as_str()), (400, "BadParameter"));
            assert!(refused.message().starts_with("signature: message of 246 octets is too long"), "{}", refused.body);
        }
    });
}

/// A Managed HSM gives random octets, as many as asked for, from 1 to 128; its sentence for others is recorded. Key vaults
/// give none.
#[test]
fn random_octets() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let path = format!("/rng?{V}");
        let ask = async |body: &str| scene.ask_of(HSM, "POST", &path, body).await;
        let mut seen = std::collections::BTreeSet::new();
        for count in [1, 32, 32, 128] {
            let answer = ask(&format!(r#"{{"count":{count}}}"#)).await.json();
            assert_eq!(names(&answer), ["value"]);
            let octets = b64::decode(text(&answer, &["value"])).unwrap();
            assert_eq!(octets.len(), count);
            seen.insert(octets);
        }
        assert_eq!(seen.len(), 4);
        let sentence = "GetRandomBytesRequest: count cannot be greater than 128 or less than 1";
        for (body, message) in [
            (r#"{"count":0}"#, sentence),
            (r#"{"count":129}"#, sentence),
            (r#"{"count":-1}"#, sentence),
            (r#"{"count":99999999999999999999}"#, sentence),
            (r#"{"count":1.5}"#, sentence),
            (r#"{"count":"32"}"#, sentence),
            ("{}", "Property count is missing."),
            (r#"{"count":null}"#, "Property count is missing."),
        ] {
            let response = ask(body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
            assert!(response.message().starts_with(&format!("{message} (Activity ID: ")), "{}", response.body);
        }
        for host in [PREMIUM, STANDARD] {
            let response = scene.ask_of(host, "POST", &path, r#"{"count":32}"#).await;
            assert_eq!((response.status, response.code().as_str()), (400, "NotSupported"));
        }
    });
}
