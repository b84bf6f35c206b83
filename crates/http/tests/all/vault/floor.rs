//! The floor of a vault over the wire: an extension of ours, so it says what it has and takes nothing it does not know.

use skerry_attestation_result::unix_secs;
use skerry_jose::json::{Object, Value};

use super::scene::{MEASUREMENT, PREMIUM, Scene, V, attested, exportable, release_policy};
use crate::support::{now, runtime};

const FLOOR: &str = "/x-skerry/floor?api-version=7.4";

fn token(measurement: &str) -> String {
    Object::new().with("target", attested(measurement)).to_json()
}

/// What is set is shown, beside what configuration demands; null takes back; what is not named stays.
#[test]
fn the_floor_is_shown_and_set() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let nothing = r#"{"generation":0,"min_iat":0,"configured":{"simulated":false}}"#;
        assert_eq!(scene.good("GET", FLOOR, "").await.to_json(), nothing);
        let policy = release_policy(MEASUREMENT, false);
        let body = Object::new().with("min_iat", 5_u64).with("token_age_max_secs", 60_u64).with("policy", policy);
        let set = scene.good("PATCH", FLOOR, &body.to_json()).await;
        let names: Vec<&str> = set.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["generation", "min_iat", "token_age_max_secs", "policy", "updated", "configured"]);
        assert_eq!(scene.good("GET", FLOOR, "").await, set);
        let back = scene.good("PATCH", FLOOR, r#"{"policy":null,"token_age_max_secs":null}"#).await;
        let updated = unix_secs(now());
        let left = format!(r#"{{"generation":2,"min_iat":5,"updated":{updated},"configured":{{"simulated":false}}}}"#);
        assert_eq!(back.to_json(), left);
    });
}

/// What it cannot be set to is named; an unknown member is a mistake and not passed over.
#[test]
fn bad_floors_are_named() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.good("PATCH", FLOOR, r#"{"min_iat":5}"#).await;
        for (body, message) in [
            (r#"{"min_iatt":5}"#, "Property min_iatt is not known here."),
            (r#"{"Min_Iat":5}"#, "Property Min_Iat is not known here."),
            (r#"{"min_iat":"5"}"#, "Property min_iat has the wrong JSON type."),
            (r#"{"token_age_max_secs":-1}"#, "Property token_age_max_secs has the wrong JSON type."),
            (r#"{"policy":{}}"#, "Property data is missing."),
            (r#"{"policy":[]}"#, "Property policy has the wrong JSON type."),
            (r#"{"min_iat":4}"#, "the earliest attestation token of the vault is 5 already, which is not lowered to 4"),
            (
                r#"{"token_age_max_secs":0}"#,
                "a vault that takes no attestation token releases nothing: the oldest is 1 s old or more",
            ),
        ] {
            let refused = scene.ask("PATCH", FLOOR, body).await;
            assert_eq!((refused.status, refused.code().as_str()), (400, "BadParameter"), "{body}");
            assert_eq!(refused.message(), message);
        }
        assert_eq!(scene.ask("PATCH", FLOOR, r#"{"policy":{"data":"e30"}}"#).await.status, 400);
        assert_eq!(scene.ask("PATCH", "/x-skerry/floor", "{}").await.status, 400, "the version is asked for here too");
        assert_eq!(scene.ask("DELETE", FLOOR, "").await.status, 405);
        assert_eq!(
            scene.good("GET", FLOOR, "").await.get("generation").and_then(Value::as_u64),
            Some(1),
            "one was good"
        );
    });
}

/// From the moment that the floor is raised no older token is good; who may read the key learns that it is the vault's.
#[test]
fn a_raised_floor_denies_at_once() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.good("POST", &format!("/keys/k/create?{V}"), &exportable("EC-HSM").to_json()).await;
        let (path, body) = (format!("/keys/k/release?{V}"), token(MEASUREMENT));
        assert_eq!(scene.ask("POST", &path, &body).await.status, 200);
        scene.good("PATCH", FLOOR, &Object::new().with("policy", release_policy("other", false)).to_json()).await;
        let denied = scene.ask("POST", &path, &body).await;
        assert_eq!((denied.status, denied.code().as_str()), (403, "Forbidden"));
        let message = denied.message();
        let sentence = "Target environment attestation does not meet key release policy requirements.";
        assert!(message.starts_with(sentence) && message.contains("the vault's floor"), "{message}");
        let denied = scene.ask_as("only-release", PREMIUM, "POST", &path, &body).await;
        assert_eq!(denied.message(), sentence);
        scene.good("PATCH", FLOOR, r#"{"policy":null}"#).await;
        assert_eq!(scene.ask("POST", &path, &body).await.status, 200, "the control");
    });
}
