//! Rotation as SDKs ask for it: policies member for member, in every spelling that clients send, and new versions.

use skerry_jose::json::{Object, Value};

use super::scene::{HSM, PREMIUM, Scene, V, exportable, inner, member, text};
use crate::support::runtime;

const ROTATE_ONLY: &str = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}],
    "attributes":{"expiryTime":"P90D"}}"#;

fn policy_path(key: &str) -> String {
    format!("/keys/{key}/rotationpolicy?{V}")
}

fn number(object: &Object, path: &[&str]) -> Option<u64> {
    member(object, path).and_then(Value::as_u64)
}

/// A key vault has a default policy, and answers one that only rotates with the action to notify that it adds (recorded);
/// the id carries the host as addressed and the name as first given, and the times come with the first that is set.
#[test]
fn key_vault_policies_are_azure_s() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("Pay").await;
        let id = format!("https://{}/keys/Pay/rotationpolicy", scene.authority(PREMIUM));
        let notify = r#"{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Notify"}}"#;
        let default = scene.good("GET", &policy_path("pay"), "").await;
        let expected = format!(r#"{{"id":"{id}","lifetimeActions":[{notify}],"attributes":{{}}}}"#);
        assert_eq!(default.to_json(), expected);
        let set = scene.good("PUT", &policy_path("PAY"), ROTATE_ONLY).await;
        let rotate = r#"{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}"#;
        let times = r#""created":1800000000,"updated":1800000000"#;
        let expected = format!(
            r#"{{"id":"{id}","lifetimeActions":[{rotate},{notify}],"attributes":{{"expiryTime":"P90D",{times}}}}}"#
        );
        assert_eq!(set.to_json(), expected);
        assert_eq!(scene.good("GET", &format!("/keys/pay//rotationPolicy?{V}"), "").await, set);
        let back = scene.good("PUT", &policy_path("pay"), &set.to_json()).await;
        assert_eq!(back, set, "what was given is taken back");
        let emptied = scene.good("PUT", &policy_path("pay"), "{}").await;
        let expected = format!(r#"{{"id":"{id}","lifetimeActions":[{notify}],"attributes":{{{times}}}}}"#);
        assert_eq!(emptied.to_json(), expected);
    });
}

/// A Managed HSM sorts its members, adds nothing, and refuses what would notify.
#[test]
fn managed_hsm_policies_are_azure_s() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.ask_of(HSM, "POST", &format!("/keys/k/create?{V}"), r#"{"kty":"EC-HSM"}"#).await;
        assert_eq!(made.status, 200);
        let id = format!("https://{}/keys/k/rotationpolicy", scene.authority(HSM));
        let default = scene.ask_of(HSM, "GET", &policy_path("k"), "").await;
        assert_eq!(default.json().to_json(), format!(r#"{{"attributes":{{}},"id":"{id}","lifetimeActions":[]}}"#));
        let early = scene.ask_of(HSM, "POST", &format!("/keys/k/rotate?{V}"), "").await;
        assert_eq!((early.status, early.code().as_str()), (400, "BadParameter"));
        let id_of = early.header("x-ms-request-id").unwrap().to_owned();
        let message = "key k has no rotation policy, which a Managed HSM needs before it rotates";
        assert_eq!(early.message(), format!("{message} (Activity ID: {id_of})"));
        let set = scene.ask_of(HSM, "PUT", &policy_path("k"), ROTATE_ONLY).await;
        let attributes = r#"{"created":1800000000,"expiryTime":"P90D","updated":1800000000}"#;
        let action = r#"{"action":{"type":"Rotate"},"trigger":{"timeAfterCreate":"P30D"}}"#;
        let expected = format!(r#"{{"attributes":{attributes},"id":"{id}","lifetimeActions":[{action}]}}"#);
        assert_eq!(set.json().to_json(), expected);
        assert_eq!(scene.ask_of(HSM, "POST", &format!("/keys/k/rotate?{V}"), "").await.status, 200);
        let notify = ROTATE_ONLY.replace("Rotate", "Notify");
        let refused = scene.ask_of(HSM, "PUT", &policy_path("k"), &notify).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "BadParameter"));
        assert!(refused.message().starts_with("rotation policy: a Managed HSM does not notify"), "{}", refused.body);
    });
}

/// Policies in the spellings that clients send: null for what is not said, types in any case, members that are read-only.
#[test]
fn policies_are_read_as_clients_send_them() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("k").await;
        for (body, actions) in [
            ("{}", vec!["Notify"]),
            (r#"{"lifetimeActions":null,"attributes":null}"#, vec!["Notify"]),
            (r#"{"lifetimeActions":[],"attributes":{"expiryTime":null}}"#, vec!["Notify"]),
            (
                r#"{"id":"https://elsewhere.test/x","lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D","timeBeforeExpiry":null},
                    "action":{"type":"rotate"}},{"trigger":{"timeAfterCreate":null,"timeBeforeExpiry":"P10D"},
                    "action":{"type":"NOTIFY"}}],"attributes":{"expiryTime":"P1Y","created":1,"updated":2}}"#,
                vec!["Rotate", "Notify"],
            ),
        ] {
            let set = scene.good("PUT", &policy_path("k"), body).await;
            let found = member(&set, &["lifetimeActions"]).and_then(Value::as_array).unwrap().to_vec();
            let found: Vec<_> = found.iter().map(|one| one.get(&["action", "type"]).unwrap().as_str().unwrap()).collect();
            assert_eq!(found, actions, "{body}");
            let times = (number(&set, &["attributes", "created"]), number(&set, &["attributes", "updated"]));
            assert_eq!(times, (Some(1_800_000_000), Some(1_800_000_000)));
        }
    });
}

/// What is no policy is 400 and names the member or the rule; what was set before stays.
#[test]
fn policies_that_are_none() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("k").await;
        let before = scene.good("PUT", &policy_path("k"), ROTATE_ONLY).await;
        let action = |trigger: &str, kind: &str| {
            format!(r#"{{"lifetimeActions":[{{"trigger":{trigger},"action":{kind}}}],"attributes":{{"expiryTime":"P90D"}}}}"#)
        };
        let rotate = r#"{"type":"Rotate"}"#;
        let with = |period: &str| action(&format!(r#"{{"timeAfterCreate":"{period}"}}"#), rotate);
        let mut cases = vec![
            (r#"{"lifetimeActions":{}}"#.to_owned(), "Property lifetimeActions has the wrong JSON type.".to_owned()),
            (r#"{"lifetimeActions":["x"]}"#.into(), "Property lifetimeActions has the wrong JSON type.".into()),
            (r#"{"lifetimeActions":[{}]}"#.into(), "Property trigger is missing.".into()),
            (action("{}", "{}"), "Property type is missing.".into()),
            (action("{}", rotate), "Property trigger is missing.".into()),
            (action("null", rotate), "Property trigger is missing.".into()),
            (
                action(r#"{"timeAfterCreate":"P30D","timeBeforeExpiry":"P30D"}"#, rotate),
                "Property trigger came more than once.".into(),
            ),
            (action(r#"{"timeAfterCreate":30}"#, rotate), "Property timeAfterCreate has the wrong JSON type.".into()),
            (
                action(r#"{"timeAfterCreate":"P30D"}"#, r#"{"type":"Explode"}"#),
                "Property type has invalid value Explode".into(),
            ),
            (r#"{"attributes":[]}"#.into(), "Property attributes has the wrong JSON type.".into()),
            (
                r#"{"attributes":{"expiryTime":"forever"}}"#.into(),
                "Property expiryTime has invalid value forever".into(),
            ),
            (with("P6D"), "rotation policy: P6D is shorter than the 7 days that are the least here".into()),
            (with("P90D"), "rotation policy: P90D is not less than the lifetime P90D".into()),
            (
                r#"{"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Rotate"}}]}"#.into(),
                "rotation policy: timeBeforeExpiry needs an expiryTime".into(),
            ),
        ];
        for bad in ["", "P", "30", "PT720H", "P1.5M", "p30d", "P-30D", "P30D "] {
            cases.push((with(bad), format!("Property timeAfterCreate has invalid value {bad}")));
        }
        for (body, message) in cases {
            let response = scene.ask("PUT", &policy_path("k"), &body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
            assert_eq!(response.message(), message, "{body}");
        }
        assert_eq!(scene.good("GET", &policy_path("k"), "").await, before);
    });
}

/// Rotating answers the new version, with what the one before had and the end that the policy gives it; with no body, an
/// empty one or any other.
#[test]
fn rotation_answers_the_new_version() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let body = exportable("EC-HSM").with("tags", Object::new().with("a", "1")).with("key_ops", vec!["sign"]);
        let first = scene.good("POST", &format!("/keys/k/create?{V}"), &body.to_json()).await;
        scene.good("PUT", &policy_path("k"), ROTATE_ONLY).await;
        let mut kids = vec![text(&first, &["key", "kid"]).to_owned()];
        for (path, body) in [("/keys/k/rotate", ""), ("/keys/K//rotate", "{}"), ("/keys/k/ROTATE", "not json")] {
            let rotated = scene.good("POST", &format!("{path}?{V}"), body).await;
            let members: Vec<_> = rotated.iter().map(|(name, _)| name).collect();
            assert_eq!(members, ["key", "attributes", "tags", "release_policy"]);
            for path in [&["key", "kty"][..], &["key", "crv"], &["tags", "a"], &["release_policy", "data"]] {
                assert_eq!(text(&rotated, path), text(&first, path));
            }
            assert_eq!(number(&rotated, &["attributes", "exp"]), Some(1_800_000_000 + 90 * 86_400));
            assert_eq!(member(&rotated, &["attributes", "exportable"]).and_then(Value::as_bool), Some(true));
            kids.push(text(&rotated, &["key", "kid"]).to_owned());
        }
        let newest = scene.good("GET", &format!("/keys/k?{V}"), "").await;
        assert_eq!(Some(text(&newest, &["key", "kid"])), kids.last().map(String::as_str));
        assert_eq!(kids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    });
}

/// Keys that are not there, deleted or disabled are not rotated, each with Azure's code.
#[test]
fn keys_that_are_not_rotated() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (method, path, body) in [
            ("POST", format!("/keys/k/rotate?{V}"), ""),
            ("GET", policy_path("k"), ""),
            ("PUT", policy_path("k"), ROTATE_ONLY),
        ] {
            let missing = scene.ask(method, &path, body).await;
            assert_eq!((missing.status, missing.code().as_str()), (404, "KeyNotFound"));
            scene.create("k").await;
            scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
            let deleted = scene.ask(method, &path, body).await;
            assert_eq!((deleted.status, deleted.code().as_str()), (404, "KeyNotFound"));
            assert_eq!(scene.ask("DELETE", &format!("/deletedkeys/k?{V}"), "").await.status, 204);
        }
        scene.create("k").await;
        scene.good("PATCH", &format!("/keys/k?{V}"), r#"{"attributes":{"enabled":false}}"#).await;
        let disabled = scene.ask("POST", &format!("/keys/k/rotate?{V}"), "").await;
        assert_eq!((disabled.status, inner(&disabled).as_deref()), (403, Some("KeyDisabled")));
        assert_eq!(disabled.message(), "Operation rotate is not allowed on a disabled key.");
        for path in ["/keys/k/0123456789abcdef0123456789abcdef/rotate", "/keys/k/x/rotationpolicy"] {
            let response = scene.ask("POST", &format!("{path}?{V}"), "").await;
            assert_eq!((response.status, response.code().as_str()), (404, "NotFound"), "{path}");
        }
    });
}
