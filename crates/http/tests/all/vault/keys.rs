//! Keys from their making to their end, as SDKs ask for them and read the answers.

use std::collections::BTreeSet;

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use super::scene::{HSM, PREMIUM, STANDARD, Scene, V, exportable, inner, member, release_policy, text};
use crate::support::runtime;

fn names(object: &Object) -> Vec<&str> {
    object.iter().map(|(name, _)| name).collect()
}

fn object<'a>(bundle: &'a Object, path: &[&str]) -> &'a Object {
    member(bundle, path).and_then(Value::as_object).unwrap()
}

fn version_of(kid: &str) -> &str {
    kid.rsplit('/').next().unwrap()
}

/// A new key is Azure's default where nothing is said, with members in the recorded order and nothing private among them.
#[test]
fn created_keys_are_azure_s() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let rsa = scene.good("POST", &format!("/keys/MyKey/create?{V}"), r#"{"kty":"RSA","attributes":{}}"#).await;
        assert_eq!(names(&rsa), ["key", "attributes"]);
        let key = object(&rsa, &["key"]);
        assert_eq!(names(key), ["kid", "kty", "key_ops", "n", "e"]);
        let ops = r#"["encrypt","decrypt","sign","verify","wrapKey","unwrapKey"]"#;
        assert_eq!(key.get("key_ops").unwrap().to_json(), ops);
        assert_eq!((text(key, &["kty"]), text(key, &["e"])), ("RSA", "AQAB"));
        assert_eq!(b64::decode(text(key, &["n"])).unwrap().len(), 256);
        let kid = text(key, &["kid"]);
        let base = format!("https://{}/keys/MyKey/", scene.authority(PREMIUM));
        let version = kid.strip_prefix(&base).unwrap();
        assert!(version.len() == 32 && version.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        let attributes = object(&rsa, &["attributes"]);
        let expected = ["enabled", "created", "updated", "recoveryLevel", "recoverableDays", "hsmPlatform"];
        assert_eq!(names(attributes), expected);
        assert_eq!(attributes.get("created").and_then(Value::as_u64), Some(1_800_000_000));
        for (body, kty, crv, len) in [
            (r#"{"kty":"EC"}"#, "EC", "P-256", 32),
            (r#"{"kty":"EC-HSM","crv":"P-384"}"#, "EC-HSM", "P-384", 48),
            (r#"{"kty":"EC","crv":"P-521"}"#, "EC", "P-521", 66),
            (r#"{"kty":"EC","crv":"P-256K"}"#, "EC", "P-256K", 32),
        ] {
            let ec = scene.good("POST", &format!("/keys/ec/create?{V}"), body).await;
            let key = object(&ec, &["key"]);
            assert_eq!(names(key), ["kid", "kty", "key_ops", "crv", "x", "y"]);
            assert_eq!((text(key, &["kty"]), text(key, &["crv"])), (kty, crv));
            assert_eq!(b64::decode(text(key, &["x"])).unwrap().len(), len);
        }
    });
}

/// A Managed HSM makes HSM keys of what it is asked for, and sorts its members.
#[test]
fn managed_hsms_sort_and_upgrade() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.ask_of(HSM, "POST", &format!("/keys/k/create?{V}"), r#"{"kty":"RSA"}"#).await.json();
        assert_eq!(names(&made), ["attributes", "key"]);
        assert_eq!(names(object(&made, &["key"])), ["e", "key_ops", "kid", "kty", "n"]);
        assert_eq!(text(&made, &["key", "kty"]), "RSA-HSM");
        let list = scene.ask_of(HSM, "GET", &format!("/keys?{V}"), "").await.json();
        assert_eq!(names(&list), ["nextLink", "value"]);
        let missing = scene.ask_of(HSM, "GET", &format!("/keys/nope?{V}"), "").await;
        let id = missing.header("x-ms-request-id").unwrap();
        assert!(missing.message().ends_with(&format!(" (Activity ID: {id})")), "{}", missing.body);
        let body = r#"{"kty":"EC-HSM","attributes":{"exportable":true}}"#;
        let rule = scene.ask_of(HSM, "POST", &format!("/keys/x/create?{V}"), body).await;
        assert!(
            rule.message().starts_with("Exportable keys must have release policy. (Activity ID: "),
            "{}",
            rule.body
        );
    });
}

/// Every form of a key's path leads to the newest version or the one that is named, whatever the case of its name; kids
/// carry the host as addressed.
#[test]
fn forms_of_a_path_are_one_key() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (first, second) = (scene.create("Pay").await, scene.create("pay").await);
        let old = version_of(&first);
        for (path, kid) in [
            ("/keys/pay", &second),
            ("/keys/PAY/", &second),
            ("//keys/pay", &second),
            ("/Keys/pay", &second),
            (&format!("/keys/pay/{old}"), &first),
            (&format!("/keys/pay/{old}/"), &first),
            (&format!("/keys/pay/{}", old.to_uppercase()), &first),
        ] {
            let found = scene.good("GET", &format!("{path}?{V}"), "").await;
            assert_eq!(text(&found, &["key", "kid"]), kid, "{path}");
        }
        let head = scene.ask("HEAD", &format!("/keys/pay?{V}"), "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        let alias = scene.ask_of("host.test", "GET", &format!("/keys/pay?{V}"), "").await.json();
        let expected = format!("https://{}/keys/Pay/{}", scene.authority("host.test"), version_of(&second));
        assert_eq!(text(&alias, &["key", "kid"]), expected);
        for host in [STANDARD, HSM] {
            let elsewhere = scene.ask_of(host, "GET", &format!("/keys/pay?{V}"), "").await;
            assert_eq!((elsewhere.status, elsewhere.code().as_str()), (404, "KeyNotFound"));
        }
    });
}

/// What is not there is 404 with Azure's sentence.
#[test]
fn missing_keys_are_not_found() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("here").await;
        let version = "0".repeat(32);
        for (method, path, body, found) in [
            ("GET", "/keys/nope".to_owned(), "", "A key with (name/id) nope was not found in this key vault."),
            (
                "GET",
                format!("/keys/here/{version}"),
                "",
                "A key with (name/id) here/00000000000000000000000000000000 was",
            ),
            ("PATCH", "/keys/nope/".into(), "{}", "A key with (name/id) nope was"),
            ("DELETE", "/keys/nope".into(), "", "A key with (name/id) nope was"),
            ("GET", "/keys/nope/versions".into(), "", "A key with (name/id) nope was"),
            ("POST", "/keys/nope//sign".into(), r#"{"alg":"ES256","value":"AA"}"#, "A key with (name/id) nope was"),
            ("POST", "/keys/nope/release".into(), r#"{"target":"a.b.c"}"#, "A key with (name/id) nope was"),
            ("GET", "/deletedkeys/here".into(), "", "Deleted Key not found: here"),
            ("DELETE", "/deletedkeys/here".into(), "", "Deleted Key not found: here"),
            ("POST", "/deletedkeys/here/recover".into(), "", "Deleted Key not found: here"),
        ] {
            let response = scene.ask(method, &format!("{path}?{V}"), body).await;
            assert_eq!((response.status, response.code().as_str()), (404, "KeyNotFound"), "{method} {path}");
            assert!(response.message().starts_with(found), "{}", response.body);
        }
    });
}

/// An update changes what it says and nothing else, of the version it names or the newest.
#[test]
fn updates_change_what_they_say() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let body = r#"{"kty":"EC","key_ops":["sign"],"attributes":{"exp":1900000000},"tags":{"a":"1","ä":"ö"}}"#;
        let old = scene.good("POST", &format!("/keys/k/create?{V}"), body).await;
        scene.create("k").await;
        let version = version_of(text(&old, &["key", "kid"])).to_owned();
        let changed = scene.good("PATCH", &format!("/keys/k/{version}?{V}"), r#"{"key_ops":["verify"]}"#).await;
        assert_eq!(object(&changed, &["key"]).get("key_ops").unwrap().to_json(), r#"["verify"]"#);
        assert_eq!(text(&changed, &["tags", "ä"]), "ö");
        assert_eq!(member(&changed, &["attributes", "exp"]).and_then(Value::as_u64), Some(1_900_000_000));
        let cleared = scene.good("PATCH", &format!("/keys/k/{version}/?{V}"), r#"{"tags":{}}"#).await;
        assert!(!cleared.contains("tags"));
        let newest = scene.good("PATCH", &format!("/keys/k/?{V}"), r#"{"tags":{"n":"2"},"attributes":{}}"#).await;
        assert_ne!(version_of(text(&newest, &["key", "kid"])), version);
        assert_eq!(text(&newest, &["tags", "n"]), "2");
        let early = scene.ask("PATCH", &format!("/keys/k/?{V}"), r#"{"attributes":{"nbf":2,"exp":1}}"#).await;
        assert_eq!((early.status, early.code().as_str()), (400, "BadParameter"));
    });
}

/// A disabled key is not handed out and does nothing, and says so; it is listed, and can be enabled again.
#[test]
fn disabled_keys_do_nothing() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("k").await;
        scene.good("PATCH", &format!("/keys/k/?{V}"), r#"{"attributes":{"enabled":false}}"#).await;
        let digest = b64::encode([7; 32]);
        let sign = format!(r#"{{"alg":"ES256","value":"{digest}"}}"#);
        for (method, path, body, operation) in [
            ("GET", "/keys/k", "", "get"),
            ("POST", "/keys/k//sign", sign.as_str(), "sign"),
            ("POST", "/keys/k/release", r#"{"target":"a.b.c"}"#, "release"),
        ] {
            let response = scene.ask(method, &format!("{path}?{V}"), body).await;
            assert_eq!((response.status, response.code().as_str()), (403, "Forbidden"));
            assert_eq!(inner(&response).as_deref(), Some("KeyDisabled"));
            assert_eq!(response.message(), format!("Operation {operation} is not allowed on a disabled key."));
        }
        let list = scene.good("GET", &format!("/keys?{V}"), "").await;
        let rows = list.get("value").and_then(Value::as_array).unwrap().to_vec();
        assert_eq!(rows[0].get(&["attributes", "enabled"]).and_then(Value::as_bool), Some(false));
        scene.good("PATCH", &format!("/keys/k/?{V}"), r#"{"attributes":{"enabled":true}}"#).await;
        scene.good("POST", &format!("/keys/k/sign?{V}"), &sign).await;
    });
}

/// Signatures verify, of the version that is named; a wrong one is an answer. Outside its time a key verifies and does not
/// sign; what it may not do, and what does not fit it, have refusals of their own.
#[test]
fn keys_sign_and_verify() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let first = scene.create("k").await;
        let second = scene.create("k").await;
        let hash = b64::encode([7; 32]);
        let sign = format!(r#"{{"alg":"ES256","value":"{hash}"}}"#);
        let old = version_of(&first);
        for (path, kid) in
            [("/keys/k/sign", &second), ("/keys/k//SIGN", &second), (&format!("/keys/k/{old}/sign"), &first)]
        {
            let signed = scene.good("POST", &format!("{path}?{V}"), &sign).await;
            assert_eq!((names(&signed), text(&signed, &["kid"])), (vec!["kid", "value"], kid.as_str()));
            let value = text(&signed, &["value"]);
            assert_eq!(b64::decode(value).unwrap().len(), 64);
            // Padded, and in the other alphabet: octets are octets.
            let spelled = format!("{}==", value.replace('-', "+").replace('_', "/"));
            for (value, expected) in [(value, true), (&spelled, true), (&b64::encode([1; 64]), false)] {
                let body = format!(r#"{{"alg":"ES256","digest":"{hash}","value":"{value}"}}"#);
                let verified = scene.good("POST", &format!("/keys/k/{}/verify?{V}", version_of(kid)), &body).await;
                assert_eq!(verified.to_json(), format!(r#"{{"value":{expected}}}"#));
            }
        }
        for (body, reason) in [
            (r#"{"alg":"ES384","value":"AA"}"#.to_owned(), "signature: ES384 does not fit"),
            (r#"{"alg":"ES256","value":"AA"}"#.to_owned(), "signature: digest for ES256 has 1 octets instead of 32"),
            (format!(r#"{{"alg":"RSNULL","value":"{hash}"}}"#), "signature: RSNULL does not fit"),
            (format!(r#"{{"alg":"A256GCM","value":"{hash}"}}"#), "Property alg has invalid value A256GCM"),
            (r#"{"alg":"ES256"}"#.to_owned(), "Property value is missing."),
        ] {
            let response = scene.ask("POST", &format!("/keys/k/sign?{V}"), &body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
            assert!(response.message().starts_with(reason), "{}", response.body);
        }
        for (attributes, inner_code, message) in [
            (
                r#"{"nbf":1800000001}"#,
                "KeyNotYetValid",
                "Operation sign is not allowed on a key that is not yet valid.",
            ),
            (r#"{"nbf":1,"exp":1799999999}"#, "KeyExpired", "Operation sign is not allowed on an expired key."),
        ] {
            scene.good("PATCH", &format!("/keys/k/?{V}"), &format!(r#"{{"attributes":{attributes}}}"#)).await;
            let response = scene.ask("POST", &format!("/keys/k/sign?{V}"), &sign).await;
            assert_eq!((response.status, inner(&response).as_deref()), (403, Some(inner_code)));
            assert_eq!(response.message(), message);
            let body = format!(r#"{{"alg":"ES256","digest":"{hash}","value":"AA"}}"#);
            scene.good("POST", &format!("/keys/k/verify?{V}"), &body).await;
        }
        scene.good("PATCH", &format!("/keys/k/{old}?{V}"), r#"{"key_ops":["verify"]}"#).await;
        let response = scene.ask("POST", &format!("/keys/k/{old}/sign?{V}"), &sign).await;
        assert_eq!((response.status, inner(&response).as_deref()), (403, Some("KeyOperationForbidden")));
        assert_eq!(response.message(), "Operation sign is not permitted on this key.");
    });
}

/// A key that is brought in is the key that was sent, in both spellings of `Hsm`; what cannot be is said.
#[test]
fn keys_are_brought_in() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        // RFC 7515, A.3.1.
        let jwk = r#""crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI""#;
        for (member, kty, expected) in [
            ("", "EC", "EC"),
            (r#","Hsm":true"#, "EC", "EC-HSM"),
            (r#","hsm":true"#, "EC", "EC-HSM"),
            (r#","Hsm":false"#, "EC-HSM", "EC-HSM"),
        ] {
            let body = format!(r#"{{"key":{{"kty":"{kty}",{jwk},"key_ops":["sign"]}},"tags":{{"i":"1"}}{member}}}"#);
            let made = scene.good("PUT", &format!("/keys/in?{V}"), &body).await;
            assert_eq!((text(&made, &["key", "kty"]), text(&made, &["tags", "i"])), (expected, "1"));
            assert_eq!(text(&made, &["key", "x"]), "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
            assert_eq!(object(&made, &["key"]).get("key_ops").unwrap().to_json(), r#"["sign"]"#);
            assert!(!object(&made, &["key"]).contains("d"));
        }
        let other_half = jwk.replace("f83O", "f83P");
        for (body, reason) in [
            (format!(r#"{{"key":{{"kty":"EC",{other_half}}}}}"#), "import: ec point is not on the curve"),
            (format!(r#"{{"key":{{"kty":"EC",{}}}}}"#, &jwk[..jwk.find(r#","d""#).unwrap()]), "Property key: member d is missing."),
            (r#"{"key":{"kty":"oct-HSM","k":"AAAA"}}"#.into(), "import: symmetric key of 3 octets is not offered"),
            (r#"{"key":{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}}"#.into(), "symmetric keys are HSM keys"),
        ] {
            let response = scene.ask("PUT", &format!("/keys/bad?{V}"), &body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
            assert_eq!(response.message(), reason);
        }
        let wrapped = scene.ask("PUT", &format!("/keys/bad?{V}"), r#"{"key":{"kty":"RSA-HSM","key_hsm":"e30"}}"#).await;
        assert_eq!((wrapped.status, wrapped.message().as_str()), (400, "Property schema_version is missing."));
    });
}

/// Lists come in pages of at most 25 rows, each with a link to the next on the host and port that were addressed, and null at
/// the end. Rows name keys without a version and carry no material.
#[test]
fn lists_come_in_pages() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for number in 0..28 {
            scene.create(&format!("k{number:02}")).await;
        }
        let base = format!("https://{}", scene.authority(PREMIUM));
        let (mut path, mut found, mut sizes) = (format!("/keys?{V}"), BTreeSet::new(), Vec::new());
        loop {
            let page = scene.good("GET", &path, "").await;
            assert_eq!(names(&page), ["value", "nextLink"]);
            let rows = page.get("value").and_then(Value::as_array).unwrap();
            sizes.push(rows.len());
            for row in rows {
                let row = row.as_object().unwrap();
                assert_eq!(names(row), ["kid", "attributes"]);
                let kid = text(row, &["kid"]);
                assert!(found.insert(kid.strip_prefix(&format!("{base}/keys/")).unwrap().to_owned()));
            }
            match page.get("nextLink").and_then(Value::as_str) {
                Some(link) => {
                    assert!(link.starts_with(&format!("{base}/keys?api-version=7.4&$skiptoken=")), "{link}");
                    path = link.strip_prefix(&base).unwrap().to_owned();
                }
                None => break assert!(page.get("nextLink").unwrap().is_null()),
            }
        }
        assert_eq!((found.len(), sizes), (28, vec![25, 3]));
        let small = scene.good("GET", &format!("/keys/?{V}&maxresults=5"), "").await;
        let link = text(&small, &["nextLink"]);
        assert!(link.ends_with("&maxresults=5") && link.contains("/keys?"), "{link}");
        for (query, message) in [
            ("maxresults=0", "a page has 1 to 25 rows, not 0"),
            ("maxresults=26", "a page has 1 to 25 rows, not 26"),
            ("maxresults=-1", "Parameter maxresults has invalid value -1"),
            ("maxresults=x", "Parameter maxresults has invalid value x"),
            ("maxresults=1&maxresults=1", "Parameter maxresults came more than once."),
            ("$skiptoken=x", "the page token is not one of this list"),
            ("%24skiptoken=", "the page token is not one of this list"),
        ] {
            let response = scene.ask("GET", &format!("/keys?{V}&{query}"), "").await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{query}");
            assert_eq!(response.message(), message);
        }
        let token = link.split("$skiptoken=").nth(1).unwrap().split('&').next().unwrap();
        let elsewhere = scene.ask("GET", &format!("/deletedkeys?{V}&$skiptoken={token}"), "").await;
        assert_eq!(elsewhere.message(), "the page token is not one of this list");
    });
}

/// Versions are listed by their ids, with the page size that was asked for.
#[test]
fn versions_are_listed_by_id() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let mut made = BTreeSet::new();
        for _ in 0..5 {
            made.insert(scene.create("k").await);
        }
        let (mut path, mut listed, mut sizes) = (format!("/keys/k/versions?{V}&maxresults=2"), Vec::new(), Vec::new());
        loop {
            let page = scene.good("GET", &path, "").await;
            let rows = page.get("value").and_then(Value::as_array).unwrap();
            sizes.push(rows.len());
            listed.extend(rows.iter().map(|row| row.get(&["kid"]).and_then(Value::as_str).unwrap().to_owned()));
            let Some(link) = page.get("nextLink").and_then(Value::as_str) else { break };
            assert!(link.contains("/keys/k/versions?") && link.ends_with("&maxresults=2"), "{link}");
            path = link.split_once(&scene.authority(PREMIUM)).unwrap().1.to_owned();
        }
        assert_eq!(listed, made.into_iter().collect::<Vec<_>>());
        assert_eq!(sizes, [2, 2, 1]);
    });
}

/// Deleting keeps a key aside: its name is taken, it can be seen, recovered with all versions, or purged; where it is
/// protected it cannot be purged.
#[test]
fn deleted_keys_are_kept_aside() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (first, second) = (scene.create("k").await, scene.create("k").await);
        let deleted = scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
        assert_eq!(names(&deleted)[..3], ["recoveryId", "deletedDate", "scheduledPurgeDate"]);
        assert_eq!(text(&deleted, &["recoveryId"]), format!("https://{}/deletedkeys/k", scene.authority(PREMIUM)));
        assert_eq!(text(&deleted, &["key", "kid"]), second);
        let date = |name| deleted.get(name).and_then(Value::as_u64).unwrap();
        assert_eq!(date("scheduledPurgeDate") - date("deletedDate"), 90 * 86_400);
        assert_eq!(scene.ask("GET", &format!("/keys/k?{V}"), "").await.status, 404);
        assert_eq!(scene.ask("DELETE", &format!("/keys/k?{V}"), "").await.status, 404);
        assert_eq!(scene.good("GET", &format!("/deletedkeys/k?{V}"), "").await, deleted);
        let list = scene.good("GET", &format!("/deletedkeys?{V}"), "").await;
        let row = member(&list, &["value"]).and_then(Value::as_array).unwrap()[0].clone();
        let row = row.as_object().unwrap().clone();
        assert_eq!(names(&row), ["recoveryId", "deletedDate", "scheduledPurgeDate", "kid", "attributes"]);
        let taken = scene.ask("POST", &format!("/keys/K/create?{V}"), r#"{"kty":"EC"}"#).await;
        assert_eq!((taken.status, taken.code().as_str()), (409, "Conflict"));
        assert_eq!(inner(&taken).as_deref(), Some("ObjectIsDeletedButRecoverable"));
        assert!(taken.message().contains("its name cannot be reused"), "{}", taken.body);
        let recovered = scene.good("POST", &format!("/deletedkeys/k/recover?{V}"), "").await;
        assert_eq!(text(&recovered, &["key", "kid"]), second);
        scene.good("GET", &format!("/keys/k/{}?{V}", version_of(&first)), "").await;
        scene.good("DELETE", &format!("/keys/k?{V}"), "").await;
        assert_eq!(scene.ask("DELETE", &format!("/deletedkeys/k?{V}"), "").await.status, 204);
        assert_eq!(scene.ask("GET", &format!("/deletedkeys/k?{V}"), "").await.status, 404);
        scene.create("k").await;
        let path = format!("/keys/k/create?{V}");
        assert_eq!(scene.ask_of(STANDARD, "POST", &path, r#"{"kty":"EC"}"#).await.status, 200);
        assert_eq!(scene.ask_of(STANDARD, "DELETE", &format!("/keys/k?{V}"), "").await.status, 200);
        let kept = scene.ask_of(STANDARD, "DELETE", &format!("/deletedkeys/k?{V}"), "").await;
        assert_eq!((kept.status, kept.code().as_str()), (403, "Forbidden"));
        assert!(kept.message().contains("purge protection"), "{}", kept.body);
    });
}

/// The rules of exportable keys, each with Azure's number and sentence (key-vault spec 3.6).
#[test]
fn rules_of_release_policies_are_numbered() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let refused = async |host: &str, method: &str, path: &str, body: &Object, message: &str| {
            let response = scene.ask_of(host, method, &format!("{path}?{V}"), &body.to_json()).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{}", response.body);
            assert_eq!(response.message(), message);
        };
        let wants = |exportable| Object::new().with("exportable", exportable);
        let ec = |kty: &str| Object::new().with("kty", kty);
        let policy = release_policy("ab", false);
        let create = "/keys/new/create";
        let text = "AKV.SKR.1001: The exportable attribute is only supported with premium vaults and API version >= '7.3-preview'.";
        refused(STANDARD, "POST", create, &exportable("EC"), text).await;
        let text = "AKV.SKR.1004: Exportable keys must have release policy.";
        refused(PREMIUM, "POST", create, &ec("EC-HSM").with("attributes", wants(true)), text).await;
        let text = "AKV.SKR.1005: Non-exportable keys must not have release policy.";
        refused(PREMIUM, "POST", create, &ec("EC-HSM").with("release_policy", policy.clone()), text).await;
        let text = "AKV.SKR.1006: The exportable attribute is only supported with HSM keys.";
        refused(PREMIUM, "POST", create, &exportable("EC"), text).await;

        scene.create("plain").await;
        let text = "AKV.SKR.1003: The exportable attribute of an existing key cannot be changed.";
        refused(PREMIUM, "PATCH", "/keys/plain", &Object::new().with("attributes", wants(true)), text).await;

        let made = scene.good("POST", &format!("/keys/rel/create?{V}"), &exportable("EC-HSM").to_json()).await;
        assert_eq!(names(object(&made, &["release_policy"])), ["contentType", "data"]);
        let kid = made.get("key").and_then(|key| key.get(&["kid"])).and_then(Value::as_str).unwrap();
        let versioned = format!("/keys/rel/{}", version_of(kid));
        let change = Object::new().with("release_policy", policy.clone());
        let text = "AKV.SKR.1016: Key Release Policy can only be set on versionless key.";
        refused(PREMIUM, "PATCH", &versioned, &change, text).await;
        scene.good("PATCH", &format!("/keys/rel/?{V}"), &change.to_json()).await;
        let fixed = Object::new().with("release_policy", release_policy("ab", true));
        let changed = scene.good("PATCH", &format!("/keys/rel/?{V}"), &fixed.to_json()).await;
        assert_eq!(member(&changed, &["release_policy", "immutable"]).and_then(Value::as_bool), Some(true));
        let text = "AKV.SKR.1020: Immutable Key Release Policy cannot be modified.";
        refused(PREMIUM, "PATCH", "/keys/rel", &change, text).await;
        scene.good("PATCH", &format!("/keys/rel/?{V}"), r#"{"tags":{"still":"ok"}}"#).await;

        let junk = Object::new().with("data", b64::encode("not json"));
        let junk = exportable("EC-HSM").with("release_policy", junk);
        let response = scene.ask("POST", &format!("{create}?{V}"), &junk.to_json()).await;
        assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"));
        assert!(response.message().starts_with("release policy: "), "{}", response.body);
        let hsm = scene.ask_of(STANDARD, "POST", &format!("{create}?{V}"), r#"{"kty":"RSA-HSM"}"#).await;
        assert_eq!((hsm.status, hsm.message().as_str()), (400, "an HSM key needs a premium vault or a Managed HSM"));
    });
}
