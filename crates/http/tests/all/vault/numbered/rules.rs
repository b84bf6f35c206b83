//! Checks 26 to 31: the rules of exportable keys and their policies.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use super::super::scene::{
    AUTHORITY, HSM, PREMIUM, STANDARD, Scene, V, exportable, member, policy_text, release_policy, text,
};
use super::{flag, kid, names, object, refused, version_of};
use crate::support::runtime;

async fn create_is_refused(scene: &Scene, host: &str, body: &Object, message: &str) {
    let response = scene.ask_of(host, "POST", &format!("/keys/k/create?{V}"), &body.to_json()).await;
    refused(&response, 400, "BadParameter", None, message);
    assert_eq!(scene.ask_of(host, "GET", &format!("/keys/k?{V}"), "").await.status, 404, "nothing was made");
}

/// An exportable key without a policy.
#[test]
fn check_26_exportable_without_policy() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let body = Object::new().with("kty", "RSA-HSM").with("attributes", Object::new().with("exportable", true));
        let message = "AKV.SKR.1004: Exportable keys must have release policy.";
        create_is_refused(&scene, PREMIUM, &body, message).await;
    });
}

/// A policy of a key that never leaves.
#[test]
fn check_27_policy_without_exportable() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let message = "AKV.SKR.1005: Non-exportable keys must not have release policy.";
        for kty in ["RSA", "RSA-HSM", "EC"] {
            let body = Object::new().with("kty", kty).with("release_policy", release_policy("ab", false));
            create_is_refused(&scene, PREMIUM, &body, message).await;
        }
    });
}

/// Exportable keys are a premium vault's, and HSM keys.
#[test]
fn check_28_exportable_elsewhere() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let message = "AKV.SKR.1001: The exportable attribute is only supported with premium vaults and API version >= '7.3-preview'.";
        create_is_refused(&scene, STANDARD, &exportable("RSA-HSM"), message).await;
        let message = "AKV.SKR.1006: The exportable attribute is only supported with HSM keys.";
        create_is_refused(&scene, PREMIUM, &exportable("RSA"), message).await;
    });
}

/// The policy comes back in the service's own words: a key vault's values are texts, a Managed HSM's keep their types, and
/// the version is written out.
#[test]
fn check_29_an_exportable_key() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let sent = |version: &str| {
            let policy = format!(
                r#"{{ "anyOf": [ {{ "anyOf": [ {{ "equals": true, "claim": "sdk-test" }} ], "authority": "{AUTHORITY}" }} ], "version": "{version}" }}"#
            );
            exportable("RSA-HSM").with("release_policy", Object::new().with("data", b64::encode(policy))).to_json()
        };
        for (host, version, value) in [(PREMIUM, "1.0.0", r#""true""#), (HSM, "1.0.0", "true"), (HSM, "1.0", "true")] {
            let path = format!("/keys/k{}/create?{V}", version.len());
            let response = scene.ask_of(host, "POST", &path, &sent(version)).await;
            assert_eq!(response.status, 200, "{}", response.body);
            let made = response.json();
            assert_eq!(flag(&made, &["attributes", "exportable"]), Some(true));
            let policy = object(&made, &["release_policy"]);
            assert_eq!(names(policy), ["contentType", "data"]);
            assert_eq!(text(policy, &["contentType"]), "application/json; charset=utf-8");
            let data = String::from_utf8(b64::decode(text(policy, &["data"])).unwrap()).unwrap();
            let expected = format!(
                r#"{{"version":"1.0.0","anyOf":[{{"authority":"{AUTHORITY}","anyOf":[{{"claim":"sdk-test","equals":{value}}}]}}]}}"#
            );
            assert_eq!(data, expected, "{host}");
        }
        let plain = scene.make("plain", r#"{"kty":"RSA-HSM"}"#).await;
        assert_eq!(member(&plain, &["attributes", "exportable"]), None, "shown only where it is so");
    });
}

/// A policy that is fixed stays, whatever else changes; one that is not is changed.
#[test]
fn check_30_immutable_policies() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let fixed = exportable("EC-HSM").with("release_policy", release_policy("ab", true)).to_json();
        let made = scene.make("fixed", &fixed).await;
        assert_eq!(names(object(&made, &["release_policy"])), ["contentType", "data", "immutable"]);
        assert_eq!(flag(&made, &["release_policy", "immutable"]), Some(true));
        // The same policy, and one that is none, are refused so too (recorded).
        let message = "AKV.SKR.1020: Immutable Key Release Policy cannot be modified.";
        let none = Object::new().with("data", b64::encode("{}"));
        for policy in [release_policy("cd", false), release_policy("ab", true), none] {
            let response = scene.patch("/keys/fixed", &Object::new().with("release_policy", policy).to_json()).await;
            refused(&response, 400, "BadParameter", None, message);
        }
        let tagged = scene.patch("/keys/fixed", r#"{"tags":{"a":"1"}}"#).await.json();
        assert_eq!(text(&tagged, &["tags", "a"]), "1");
        assert_eq!(member(&tagged, &["release_policy"]), member(&made, &["release_policy"]));
        scene.make("open", &exportable("EC-HSM").to_json()).await;
        let change = Object::new().with("release_policy", release_policy("cd", false)).to_json();
        let changed = scene.patch("/keys/open", &change).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let clause = r#"{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":"cd"}"#;
        assert_eq!(text(&changed.json(), &["release_policy", "data"]), b64::encode(policy_text(clause)));
    });
}

/// The policy is the key's and not a version's; a key that was made to stay stays.
#[test]
fn check_31_policies_of_versions_and_of_plain_keys() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.make("k", &exportable("EC-HSM").to_json()).await;
        let change = Object::new().with("release_policy", release_policy("cd", false)).to_json();
        let response = scene.patch(&format!("/keys/k/{}", version_of(kid(&made))), &change).await;
        let message = "AKV.SKR.1016: Key Release Policy can only be set on versionless key.";
        refused(&response, 400, "BadParameter", None, message);
        scene.make("plain", r#"{"kty":"EC-HSM"}"#).await;
        let message = "AKV.SKR.1003: The exportable attribute of an existing key cannot be changed.";
        let exportable = Object::new().with("attributes", Object::new().with("exportable", true));
        for body in [exportable.clone(), exportable.with("release_policy", release_policy("cd", false))] {
            refused(&scene.patch("/keys/plain", &body.to_json()).await, 400, "BadParameter", None, message);
        }
        assert_eq!(member(&scene.get("/keys/plain").await, &["release_policy"]).map(Value::to_json), None);
    });
}
