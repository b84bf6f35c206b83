//! Checks 6 to 8, 11, 12, 17 to 19: keys as they are made, shown, changed and listed.

use skerry_jose::b64;
use skerry_jose::json::Value;

use super::super::scene::{PREMIUM, Scene, V, text};
use super::{kid, names, not_found, number, object, refused, rows, version_of};
use crate::support::runtime;

/// A key of which nothing is said but that it is RSA.
#[test]
fn check_06_rsa_by_default() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.make("k", r#"{"kty":"RSA"}"#).await;
        assert_eq!(names(&made), ["key", "attributes"]);
        let key = object(&made, &["key"]);
        assert_eq!(names(key), ["kid", "kty", "key_ops", "n", "e"]);
        assert_eq!((text(key, &["kty"]), text(key, &["e"])), ("RSA", "AQAB"));
        let ops = r#"["encrypt","decrypt","sign","verify","wrapKey","unwrapKey"]"#;
        assert_eq!(key.get("key_ops").unwrap().to_json(), ops);
        let n = b64::decode(text(key, &["n"])).unwrap();
        assert_eq!((n.len(), n[0] >> 7), (256, 1), "2048 bits");
        let version = kid(&made).strip_prefix(&format!("https://{}/keys/k/", scene.authority(PREMIUM))).unwrap();
        assert!(version.len() == 32 && version.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    });
}

/// The same again is another version, and the newest is what the name stands for.
#[test]
fn check_07_a_second_version() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let first = scene.make("k", r#"{"kty":"RSA"}"#).await;
        let second = scene.make("k", r#"{"kty":"RSA"}"#).await;
        assert_ne!(kid(&first), kid(&second));
        for path in ["/keys/k", "/keys/k/"] {
            assert_eq!(scene.get(path).await, second);
        }
        assert_eq!(scene.get(&format!("/keys/k/{}", version_of(kid(&first)))).await, first);
    });
}

/// P-256 by default, all four curves by name; the point is shown and the scalar is not.
#[test]
fn check_08_curves() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (body, crv, len) in [
            (r#"{"kty":"EC"}"#, "P-256", 32),
            (r#"{"kty":"EC","crv":"P-256"}"#, "P-256", 32),
            (r#"{"kty":"EC","crv":"P-384"}"#, "P-384", 48),
            (r#"{"kty":"EC","crv":"P-521"}"#, "P-521", 66),
            (r#"{"kty":"EC","crv":"P-256K"}"#, "P-256K", 32),
        ] {
            let made = scene.make("k", body).await;
            let key = object(&made, &["key"]);
            assert_eq!(names(key), ["kid", "kty", "key_ops", "crv", "x", "y"]);
            assert_eq!((text(key, &["kty"]), text(key, &["crv"])), ("EC", crv));
            assert_eq!(key.get("key_ops").unwrap().to_json(), r#"["sign","verify"]"#);
            for coordinate in ["x", "y"] {
                assert_eq!(b64::decode(text(key, &[coordinate])).unwrap().len(), len);
            }
        }
    });
}

/// A name that is none.
#[test]
fn check_11_a_name_that_is_none() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let response = scene.post("/keys/a_b/create", r#"{"kty":"EC"}"#).await;
        refused(&response, 400, "BadParameter", None, "The request URI contains an invalid name: a_b");
    });
}

/// A key that is not there.
#[test]
fn check_12_a_key_that_is_not_there() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        not_found(&scene.ask("GET", &format!("/keys/nope?{V}"), "").await, "nope");
    });
}

/// Tags that are sent replace all, tags that are not stay; the kid stays, and the time of the change is not before that of
/// the making.
#[test]
fn check_17_updates_of_tags() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.make("k", r#"{"kty":"EC","tags":{"a":"1","b":"2"}}"#).await;
        for (body, tags) in [
            (r#"{"tags":{"c":"3"}}"#, Some(r#"{"c":"3"}"#)),
            (r#"{"key_ops":["sign"]}"#, Some(r#"{"c":"3"}"#)),
            (r#"{"attributes":{"enabled":true}}"#, Some(r#"{"c":"3"}"#)),
            (r#"{"tags":{}}"#, None),
        ] {
            let response = scene.patch("/keys/k/", body).await;
            assert_eq!(response.status, 200, "{}", response.body);
            let changed = response.json();
            assert_eq!(changed.get("tags").map(Value::to_json).as_deref(), tags, "{body}");
            assert_eq!(kid(&changed), kid(&made));
            assert!(number(&changed, &["attributes", "updated"]) >= number(&changed, &["attributes", "created"]));
            assert_eq!(scene.get("/keys/k").await, changed);
        }
    });
}

/// Thirty keys are a page of 25 with a link, and one of 5 with none; shorter pages by `maxresults`.
#[test]
fn check_18_pages_of_keys() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for at in 0..30 {
            scene.create(&format!("k{at:02}")).await;
        }
        let base = format!("https://{}", scene.authority(PREMIUM));
        let mut kids = Vec::new();
        let mut path = format!("/keys?{V}");
        for (len, last) in [(25, false), (5, true)] {
            let page = scene.good("GET", &path, "").await;
            assert_eq!((names(&page), rows(&page).len()), (vec!["value", "nextLink"], len));
            kids.extend(rows(&page).into_iter().map(|row| text(row, &["kid"]).to_owned()));
            match page.get("nextLink").and_then(Value::as_str) {
                Some(link) => path = link.strip_prefix(&base).unwrap().to_owned(),
                None => assert!(last && page.get("nextLink").unwrap().is_null()),
            }
        }
        let expected: Vec<_> = (0..30).map(|at| format!("{base}/keys/k{at:02}")).collect();
        assert_eq!(kids, expected, "by name, and no version in a kid");
        let short = scene.good("GET", &format!("/keys?{V}&maxresults=2"), "").await;
        assert_eq!(rows(&short).len(), 2);
    });
}

/// Versions come by their ids; the link is absolute, on the same host, with a token, and repeats `maxresults`.
#[test]
fn check_19_pages_of_versions() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(scene.create("k").await);
        }
        made.sort_unstable();
        let base = format!("https://{}", scene.authority(PREMIUM));
        let first = scene.good("GET", &format!("/keys/k/versions?{V}&maxresults=2"), "").await;
        let link = text(&first, &["nextLink"]);
        assert!(link.starts_with(&format!("{base}/keys/k/versions?{V}&$skiptoken=")), "{link}");
        assert!(link.ends_with("&maxresults=2"), "{link}");
        let second = scene.good("GET", link.strip_prefix(&base).unwrap(), "").await;
        assert!(second.get("nextLink").unwrap().is_null());
        let listed: Vec<_> = rows(&first).into_iter().chain(rows(&second)).map(|row| text(row, &["kid"])).collect();
        assert_eq!(listed, made);
    });
}
