//! Backups and restores as SDKs ask for them.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use super::scene::{HSM, PREMIUM, STANDARD, Scene, V, exportable, inner, member, release_policy, text};
use crate::support::{Response, runtime};

impl Scene {
    async fn backup(&self, key: &str) -> String {
        let answer = self.good("POST", &format!("/keys/{key}/backup?{V}"), "").await;
        assert_eq!(answer.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["value"]);
        text(&answer, &["value"]).to_owned()
    }

    async fn restore_of(&self, host: &str, value: &str) -> Response {
        let body = Object::new().with("value", value).to_json();
        self.ask_of(host, "POST", &format!("/keys/restore?{V}"), &body).await
    }

    async fn remove(&self, key: &str) {
        self.good("DELETE", &format!("/keys/{key}?{V}"), "").await;
        assert_eq!(self.ask("DELETE", &format!("/deletedkeys/{key}?{V}"), "").await.status, 204);
    }
}

/// A purged key is restored as it was, version for version, with its policies; the answer is its newest version. Octets
/// may be padded and in the other alphabet.
#[test]
fn purged_keys_are_restored() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let body = exportable("EC-HSM").with("tags", Object::new().with("a", "1"));
        let old = scene.good("POST", &format!("/keys/MyKey/create?{V}"), &body.to_json()).await;
        let newest = scene.good("POST", &format!("/keys/mykey/create?{V}"), r#"{"kty":"EC-HSM"}"#).await;
        let policy = r#"{"attributes":{"expiryTime":"P90D"}}"#;
        let rotation = scene.good("PUT", &format!("/keys/mykey/rotationpolicy?{V}"), policy).await;
        let list = scene.good("GET", &format!("/keys/mykey/versions?{V}"), "").await;
        let value = scene.backup("MYKEY").await;
        assert!(b64::decode(&value).unwrap().starts_with(b"&SkerryKeyBackupV1."));
        let spelled = format!("{}==", value.trim_end_matches('=').replace('-', "+").replace('_', "/"));
        for value in [value.as_str(), spelled.as_str()] {
            scene.remove("mykey").await;
            let restored = scene.restore_of(PREMIUM, value).await;
            assert_eq!((restored.status, restored.json()), (200, newest.clone()));
            assert_eq!(scene.good("GET", &format!("/keys/mykey/versions?{V}"), "").await, list);
            assert_eq!(scene.good("GET", &format!("/keys/mykey/rotationpolicy?{V}"), "").await, rotation);
            let kid = text(&old, &["key", "kid"]).rsplit_once('/').unwrap().1;
            assert_eq!(scene.good("GET", &format!("/keys/mykey/{kid}?{V}"), "").await, old);
        }
    });
}

/// A key is restored into another vault of its kind, under that one's host; another kind of vault does not open it.
#[test]
fn keys_are_restored_elsewhere() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let kid = scene.create("k").await;
        let value = scene.backup("k").await;
        let copy = scene.restore_of(STANDARD, &value).await;
        let expected = kid.replace(PREMIUM, STANDARD);
        assert_eq!(text(&copy.json(), &["key", "kid"]), expected);
        let foreign = scene.restore_of(HSM, &value).await;
        assert_eq!((foreign.status, foreign.code().as_str()), (400, "BadParameter"));
        let message = "backup: a backup of another installation or kind of vault, or one that was changed: ";
        assert!(foreign.message().starts_with(message), "{}", foreign.body);
        let secret = scene.good("POST", &format!("/keys/x/create?{V}"), &exportable("EC-HSM").to_json()).await;
        assert!(secret.contains("release_policy"));
        let refused = scene.restore_of(STANDARD, &scene.backup("x").await).await;
        assert_eq!(refused.status, 400);
        assert!(refused.message().starts_with("AKV.SKR.1001: "), "{}", refused.body);
    });
}

/// A name that is taken is 409, by a live key and by a deleted one; so is a state that a purge has seen replaced.
#[test]
fn conflicts_are_409() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.good("POST", &format!("/keys/k/create?{V}"), &exportable("EC-HSM").to_json()).await;
        let value = scene.backup("k").await;
        let taken = scene.restore_of(PREMIUM, &value).await;
        assert_eq!((taken.status, taken.code().as_str(), inner(&taken)), (409, "Conflict", None));
        assert_eq!(taken.message(), "Key k already exists in this vault, and a backup is not restored over it.");
        let change = Object::new().with("release_policy", release_policy("cd", false));
        scene.good("PATCH", &format!("/keys/k?{V}"), &change.to_json()).await;
        scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
        let deleted = scene.restore_of(PREMIUM, &value).await;
        assert_eq!((deleted.status, deleted.code().as_str()), (409, "Conflict"));
        assert_eq!(inner(&deleted).as_deref(), Some("ObjectIsDeletedButRecoverable"));
        assert_eq!(scene.ask("DELETE", &format!("/deletedkeys/k?{V}"), "").await.status, 204);
        let older = scene.restore_of(PREMIUM, &value).await;
        assert_eq!((older.status, older.code().as_str(), inner(&older)), (409, "Conflict", None));
        let message = "backup: the backup is of generation 1, older than 2, which this vault has seen";
        assert_eq!(older.message(), message);
    });
}

/// What is no backup is 400: no value, not base64, something else, a changed one.
#[test]
fn bodies_that_are_no_backup() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("k").await;
        let value = scene.backup("k").await;
        scene.remove("k").await;
        let mut altered = b64::decode(&value).unwrap();
        *altered.last_mut().unwrap() ^= 1;
        let altered = Object::new().with("value", b64::encode(altered)).to_json();
        let azure = Object::new().with("value", b64::encode("&AzureKeyVaultKeyBackupV1.microsoft.comeyJ")).to_json();
        for (body, message) in [
            ("{}", "Property value is missing."),
            (r#"{"value":1}"#, "Property value has the wrong JSON type."),
            (r#"{"value":"?"}"#, "Property value is not base64url."),
            (r#"{"value":""}"#, "backup: not a backup of a key"),
            (&azure, "backup: not a backup of a key"),
            (&altered, "backup: a backup of another installation or kind of vault, or one that was changed: "),
        ] {
            let response = scene.ask("POST", &format!("/keys/restore?{V}"), body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
            assert!(response.message().starts_with(message), "{}", response.body);
        }
        let missing = scene.ask("POST", &format!("/keys/k/backup?{V}"), "").await;
        assert_eq!((missing.status, missing.code().as_str()), (404, "KeyNotFound"));
        assert_eq!(scene.restore_of(PREMIUM, &value).await.status, 200, "the control");
    });
}

/// A restored body may be as long as the longest backup; other bodies stay as short as they were.
#[test]
fn long_backups_are_restored() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let long =
            (0..15).fold(Object::new(), |tags, number| tags.with(format!("{number:0>256}"), "\u{10ffff}".repeat(256)));
        let body = Object::new().with("kty", "EC").with("tags", long).to_json();
        for _ in 0..32 {
            scene.good("POST", &format!("/keys/k/create?{V}"), &body).await;
        }
        let answer = scene.ask("POST", &format!("/keys/k/backup?{V}"), "").await.body;
        let value = answer.strip_prefix(r#"{"value":""#).and_then(|rest| rest.strip_suffix(r#""}"#)).unwrap();
        assert!(value.len() > 512 * 1024);
        scene.remove("k").await;
        let restored = scene.restore_of(PREMIUM, value).await;
        assert_eq!(restored.status, 200, "{}", restored.body);
        let kids = scene.good("GET", &format!("/keys/k/versions?{V}&maxresults=2"), "").await;
        assert_eq!(member(&kids, &["value"]).and_then(Value::as_array).map(<[Value]>::len), Some(2));
        let sign = format!(r#"{{"alg":"ES256","value":"{value}"}}"#);
        let long = scene.ask("POST", &format!("/keys/k/sign?{V}"), &sign).await;
        assert_eq!((long.status, long.code().as_str()), (413, "RequestTooLarge"));
    });
}

/// A key whose name is that of the operation is backed up and restored like any other.
#[test]
fn key_named_restore() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let kid = scene.create("restore").await;
        let value = scene.backup("restore").await;
        scene.remove("restore").await;
        let restored = scene.restore_of(PREMIUM, &value).await.json();
        assert_eq!(text(&restored, &["key", "kid"]), kid);
        assert_eq!(text(&scene.good("GET", &format!("/keys/restore?{V}"), "").await, &["key", "kid"]), kid);
    });
}
