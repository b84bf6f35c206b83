//! Keys that are brought wrapped, as the tools of Azure's BYOK specification make them.

use skerry_jose::b64;
use skerry_jose::json::Object;
use skerry_keywrap::{Algorithm, Plaintext, TargetKey, wrap};
use zeroize::Zeroizing;

use super::scene::{HSM, PREMIUM, STANDARD, Scene, V, text};
use crate::support::{Response, machine, runtime};

const KEK: &str = r#"{"kty":"RSA-HSM","key_ops":["import"]}"#;

impl Scene {
    async fn kek(&self, host: &str) -> Object {
        let made = self.ask_of(host, "POST", &format!("/keys/kek/create?{V}"), KEK).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.json()
    }

    async fn bring(&self, host: &str, jwk: &Object) -> Response {
        let body = Object::new().with("key", jwk.clone()).with("Hsm", true).to_json();
        self.ask_of(host, "PUT", &format!("/keys/brought?{V}"), &body).await
    }
}

/// The JWK that a tool makes for this key: its material, wrapped.
fn brought(kek: &Object, kty: &str, octets: &[u8]) -> Object {
    let part = |name| b64::decode(text(kek, &["key", name])).unwrap();
    let significant: Vec<u8> = part("e").into_iter().skip_while(|octet| *octet == 0).collect();
    let target = TargetKey::from_components(&part("n"), &significant).unwrap();
    let plain = Plaintext::new(Zeroizing::new(octets.to_vec()));
    let ciphertext = wrap(Algorithm::CkmRsaAesKeyWrap, &target, &plain, &mut *machine().randomness()).unwrap();
    let header =
        Object::new().with("kid", text(kek, &["key", "kid"])).with("alg", "dir").with("enc", "CKM_RSA_AES_KEY_WRAP");
    let blob = Object::new()
        .with("schema_version", "1.0.0")
        .with("header", header)
        .with("ciphertext", b64::encode(ciphertext))
        .with("generator", "a tool; version 1");
    Object::new().with("kty", kty).with("key_hsm", b64::encode(blob.to_json()))
}

/// In both services a wrapped key becomes a key that works; the answer has neither key nor blob.
#[test]
fn wrapped_keys_are_imported() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for host in [PREMIUM, HSM] {
            let kek = scene.kek(host).await;
            let response = scene.bring(host, &brought(&kek, "oct-HSM", &[7; 32])).await;
            assert_eq!(response.status, 200, "{}", response.body);
            let bundle = response.json();
            assert_eq!(text(&bundle, &["key", "kty"]), "oct-HSM");
            assert!(!response.body.contains("key_hsm") && !response.body.contains(r#""k":"#), "{}", response.body);
            let wrapped = r#"{"alg":"A256KW","value":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
            let ours = scene.ask_of(host, "POST", &format!("/keys/brought/wrapkey?{V}"), wrapped).await;
            let clear = format!(r#"{{"key":{{"kty":"oct-HSM","k":"{}"}}}}"#, b64::encode([7; 32]));
            assert_eq!(scene.ask_of(host, "PUT", &format!("/keys/clear?{V}"), &clear).await.status, 200);
            let theirs = scene.ask_of(host, "POST", &format!("/keys/clear/wrapkey?{V}"), wrapped).await;
            assert_eq!(text(&ours.json(), &["value"]), text(&theirs.json(), &["value"]), "the same key");
        }
    });
}

/// Whatever is wrong with a blob or the key it was made for is 400 with one sentence each; secrets beside a blob, other
/// forms and other vaults' keys have theirs.
#[test]
fn what_is_not_imported() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let kek = scene.kek(PREMIUM).await;
        let good = brought(&kek, "oct-HSM", &[7; 32]);
        let other = scene.kek(HSM).await;
        let closed = "import: wrapped key does not open to a key of this kind";
        let no_kek = "the key that the imported key is wrapped to is no version of a key of this vault that imports, or \
                      cannot be used now";
        for (jwk, message) in [
            (brought(&kek, "oct-HSM", &[7; 31]), closed),
            (brought(&kek, "RSA-HSM", &[7; 32]), closed),
            (brought(&kek, "EC-HSM", &[7; 32]), closed),
            (good.clone().with("n", "AQAB"), closed),
            (brought(&other, "oct-HSM", &[7; 32]), no_kek),
            (good.clone().with("k", "AQ"), "Property k is not supported beside key_hsm."),
            (good.clone().with("key_hsm", "e30"), "Property schema_version is missing."),
            (good.clone().with("key_hsm", "AQ"), "Property key_hsm is not a key transfer blob."),
            (good.clone().with("key_ops", vec!["import"]), "key operations: a key that imports others is an RSA-HSM key, made here and not exportable"),
        ] {
            let response = scene.bring(PREMIUM, &jwk).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{}", response.body);
            assert_eq!(response.message(), message);
        }
        assert_eq!(scene.bring(PREMIUM, &good).await.status, 200, "the control");
        for body in [
            r#"{"kty":"RSA-HSM","key_ops":["import","decrypt"]}"#,
            r#"{"kty":"RSA","key_ops":["import"]}"#,
            r#"{"kty":"EC-HSM","key_ops":["import"]}"#,
        ] {
            let response = scene.ask("POST", &format!("/keys/bad/create?{V}"), body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
            assert!(response.message().starts_with("key operations: a key that imports others"), "{}", response.body);
        }
        let standard = scene.ask_of(STANDARD, "POST", &format!("/keys/kek/create?{V}"), KEK).await;
        assert_eq!(standard.status, 400, "{}", standard.body);
        let used = scene.ask("POST", &format!("/keys/kek/encrypt?{V}"), r#"{"alg":"RSA-OAEP","value":"AQ"}"#).await;
        assert_eq!(used.message(), "Operation encrypt is not permitted on this key.");
    });
}
