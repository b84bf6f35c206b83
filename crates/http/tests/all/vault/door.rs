//! Before any key: challenges, tokens, names, versions, permissions, bodies.

use std::time::Duration;

use skerry_http::Limits;
use skerry_identity::Permission;
use skerry_jose::json::Value;

use super::scene::{
    AUTHORIZATION, HSM, ISSUER, PREMIUM, STANDARD, Scene, THROTTLED, V, bearer, claims, forged, inner, signed,
};
use crate::support::{request, runtime};

const VERSION: &str = "0123456789abcdef0123456789abcdef";

/// Every operation: method, path behind the host, body, and the permission it takes.
pub(super) fn operations() -> Vec<(&'static str, String, &'static str, Permission)> {
    use Permission::*;
    let ec = r#"{"kty":"EC"}"#;
    let mut operations = vec![
        ("POST", "/keys/k/create".into(), ec, Create),
        ("PUT", "/keys/k".into(), r#"{"key":{"kty":"oct","k":"AA"}}"#, Import),
        ("GET", "/keys/k".into(), "", Get),
        ("GET", format!("/keys/k/{VERSION}"), "", Get),
        ("HEAD", "/keys/k/".into(), "", Get),
        ("PATCH", "/keys/k/".into(), "{}", Update),
        ("PATCH", format!("/keys/k/{VERSION}"), "{}", Update),
        ("DELETE", "/keys/k".into(), "", Delete),
        ("GET", "/keys".into(), "", List),
        ("GET", "/keys/k/versions".into(), "", List),
        ("GET", "/deletedkeys".into(), "", List),
        ("GET", "/deletedkeys/k".into(), "", Get),
        ("POST", "/deletedkeys/k/recover".into(), "", Recover),
        ("DELETE", "/deletedkeys/k".into(), "", Purge),
        ("POST", "/keys/k//sign".into(), r#"{"alg":"ES256","value":"AA"}"#, Sign),
        ("POST", "/keys/k/verify".into(), r#"{"alg":"ES256","digest":"AA","value":"AA"}"#, Verify),
        ("POST", "/keys/k//release".into(), r#"{"target":"a.b.c"}"#, Release),
        ("POST", "/keys/restore".into(), "{}", Restore),
        ("POST", "/keys/k/backup".into(), "", Backup),
        ("POST", "/keys/k/rotate".into(), "", Rotate),
        ("GET", "/x-skerry/floor".into(), "", GetVaultFloor),
        ("PATCH", "/x-skerry/floor".into(), "{}", SetVaultFloor),
        ("GET", "/keys/k/rotationpolicy".into(), "", GetRotationPolicy),
        ("PUT", "/keys/k/rotationpolicy".into(), "{}", SetRotationPolicy),
        ("GET", format!("/keys/k/{VERSION}/attestation"), "", Get),
    ];
    for (word, permission) in [
        ("encrypt", Encrypt),
        ("decrypt", Decrypt),
        ("wrapkey", WrapKey),
        ("unwrapkey", UnwrapKey),
        ("securewrapkey", WrapKey),
        ("secureunwrapkey", UnwrapKey),
    ] {
        operations.push(("POST", format!("/keys/k//{word}"), "{}", permission));
    }
    operations
}

/// Whoever has no token is challenged, whatever he asks for and whatever is wrong with it, without his body being waited
/// for; a Managed HSM's challenge has no body.
#[test]
fn strangers_are_challenged_before_all_else() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let port = scene.site.address.port();
        let others = ["/", "/nothing/here", "/keys/a_b", "/keys?api-version=9.9", "/keys/k/v/frobnicate", "/rng"];
        let others = others.into_iter().map(|path| ("POST", path.to_owned()));
        let known = operations().into_iter().map(|(method, path, ..)| (method, path));
        for (method, path) in others.chain(known) {
            for (host, headers) in [
                (PREMIUM, "Content-Type: application/json\r\nContent-Length: 0\r\n"),
                (HSM, "Content-Length: 100000\r\n"),
                ("unknown.vault.test", ""),
            ] {
                let headers = if method == "HEAD" { "" } else { headers };
                let response = scene.send(host, method, &path, headers, "").await;
                let expected =
                    format!(r#"Bearer authorization="{AUTHORIZATION}", resource="https://vault.test:{port}""#);
                assert_eq!(response.status, 401, "{host} {method} {path}");
                assert_eq!(response.header("www-authenticate"), Some(expected.as_str()));
                if host == HSM {
                    assert_eq!(response.header("content-length"), Some("0"));
                } else if method != "HEAD" {
                    let body = r#"{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer or PoP token."}}"#;
                    assert_eq!(response.body, body);
                }
            }
        }
    });
}

/// The resource of the challenge is the domain of the host, or the host where it names no vault.
#[test]
fn the_resource_is_the_domain() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let port = scene.site.address.port();
        for (host, resource) in [
            (PREMIUM, "vault.test"),
            ("KV1.Vault.Test", "vault.test"),
            ("host.test", "host.test"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            let response = scene.send(host, "GET", "/keys", "", "").await;
            let challenge = response.header("www-authenticate").unwrap().to_owned();
            assert!(challenge.ends_with(&format!(r#", resource="https://{resource}:{port}""#)), "{challenge}");
            // What the challenge asks for is taken, with a slash behind it or without.
            for slash in ["", "/"] {
                let token = signed(&claims("admin").with("aud", format!("https://{resource}:{port}{slash}")));
                let headers = format!("Authorization: bearer {token}\r\n");
                let expected = if host == "127.0.0.1" { 404 } else { 200 };
                let response = scene.send(host, "GET", &format!("/keys?{V}"), &headers, "").await;
                assert_eq!(response.status, expected, "{host}: {}", response.body);
            }
        }
    });
}

/// Each token that is not believed is challenged again, with Azure's sentence where it is known.
#[test]
fn tokens_that_are_not_believed() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let port = scene.site.address.port();
        let good = bearer("admin");
        let (head, _) = good.split_once('.').unwrap();
        let forged = forged(&good);
        let now = claims("admin").get("iat").and_then(Value::as_u64).unwrap();
        for (token, message) in [
            (
                signed(&claims("admin").with("aud", "https://management.azure.com")),
                format!("AKV10022: Invalid audience. Expected https://vault.test:{port}, found: https://management.azure.com."),
            ),
            (
                signed(&claims("admin").with("iss", "https://evil.test/")),
                format!("AKV10032: Invalid issuer. Expected one of {ISSUER}, found https://evil.test/."),
            ),
            (
                forged,
                format!("AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: '{head}'."),
            ),
            (
                signed(&claims("admin").with("iat", now - 7_200).with("exp", now - 3_600)),
                format!("[TokenExpired] Error validating token: expired at {}, now {}.", now - 3_600, now + 10),
            ),
            ("not-a-token".to_owned(), "Error validating token: bearer token: token has 1 parts, not 3.".to_owned()),
            (signed(&claims("admin").with("oid", "")), String::new()),
        ] {
            let headers = format!("Authorization: Bearer {token}\r\n");
            let response = scene.send(PREMIUM, "GET", &format!("/keys?{V}"), &headers, "").await;
            assert_eq!((response.status, response.code().as_str()), (401, "Unauthorized"));
            assert!(response.header("www-authenticate").unwrap().starts_with("Bearer authorization="));
            assert!(message.is_empty() || response.message() == message, "{}", response.body);
            let response = scene.send(HSM, "GET", &format!("/keys?{V}"), &headers, "").await;
            assert_eq!((response.status, response.body.as_str()), (401, ""));
        }
        for headers in ["Authorization: Basic YTpi\r\n", "Authorization: Bearer\r\n", "Authorization: PoP x\r\n"] {
            let response = scene.send(PREMIUM, "GET", &format!("/keys?{V}"), headers, "").await;
            assert!(response.message().starts_with("AKV10000"), "{headers}");
        }
    });
}

/// A host of ours that has no vault is 404, and never another vault.
#[test]
fn unknown_vaults_are_not_found() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let response = scene.ask_of("kv2.vault.test", "GET", &format!("/keys?{V}"), "").await;
        assert_eq!((response.status, response.code().as_str()), (404, "VaultNotFound"));
        let foreign = scene.send("kv1.evil.test", "GET", "/keys", "", "").await;
        assert_eq!((foreign.status, foreign.header("www-authenticate")), (421, None));
    });
}

/// Every answer of a vault has the headers that Azure's have, whoever gave it.
#[test]
fn every_answer_has_the_service_s_headers() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let good = scene.ask("GET", &format!("/keys?{V}"), "").await;
        let purged = {
            scene.create("gone").await;
            scene.good("DELETE", &format!("/keys/gone?{V}"), "").await;
            scene.ask("DELETE", &format!("/deletedkeys/gone?{V}"), "").await
        };
        assert_eq!((purged.status, purged.body.as_str(), purged.header("content-type")), (204, "", None));
        let challenged = scene.send(PREMIUM, "GET", "/keys", "", "").await;
        let missing = scene.ask("GET", &format!("/keys/nope?{V}"), "").await;
        let foreign = scene.send("evil.test", "GET", "/keys", "", "").await;
        let malformed = scene.send(PREMIUM, "GET", "/keys/%00", "", "").await;
        for response in [good, purged, challenged, missing, foreign, malformed] {
            for (name, value) in [
                ("x-ms-keyvault-region", "local"),
                ("x-ms-keyvault-service-version", "1.9.0.0"),
                ("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"),
                ("cache-control", "no-cache"),
            ] {
                assert_eq!(response.header(name), Some(value), "{} {}", response.status, response.body);
            }
        }
    });
}

/// Every version that clients send, in whatever spelling of the parameter; and Azure's words for the others.
#[test]
fn versions_are_those_of_clients() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for version in [
            "2016-10-01",
            "7.0",
            "7.1",
            "7.2",
            "7.3-preview",
            "7.3",
            "7.4",
            "7.5-preview.1",
            "7.5",
            "7.6-preview.2",
            "7.6",
            "2025-06-01-preview",
            "2025-07-01",
            "2026-01-01-preview",
            "2026-03-01-preview",
            "2026-04-01",
            "2026-05-01-preview",
            "2026-07-01-preview",
        ] {
            scene.good("GET", &format!("/keys?api%2Dversion={version}"), "").await;
        }
        for (query, message) in [
            ("", "api-version must be specified"),
            (
                "?api-version=9.9",
                "The specified version (9.9) is not recognized. Consider using the latest supported version (7.6).",
            ),
            (
                "?api-version=",
                "The specified version () is not recognized. Consider using the latest supported version (7.6).",
            ),
            ("?api-version=7.4&api-version=7.4", "Parameter api-version came more than once."),
        ] {
            let response = scene.ask("GET", &format!("/keys{query}"), "").await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"));
            assert_eq!(response.message(), message);
        }
    });
}

/// Names that are none have Azure's sentence; tricks with the path do not get as far.
#[test]
fn names_are_checked() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let long = "a".repeat(128);
        for (method, path, found) in [
            ("GET", "/keys/a_b", "a_b"),
            ("POST", "/keys/dot.ted/create", "dot.ted"),
            ("PUT", "/keys/sp%20ace", "sp ace"),
            ("DELETE", "/keys/%C3%BCmlaut", "\u{fc}mlaut"),
            ("GET", &format!("/keys/{long}"), &long),
            ("GET", "/keys//versions", ""),
            ("GET", "/deletedkeys/a%252fb", "a%2fb"),
        ] {
            let response = scene.ask(method, &format!("{path}?{V}"), "").await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{path}");
            assert_eq!(response.message(), format!("The request URI contains an invalid name: {found}"));
        }
        for path in ["/keys/../keys", "/keys/%2e%2e/x", "/keys/a%2fb", "/keys/a%5cb", "/keys/%00", "/keys/a\\b"] {
            let response = scene.ask("GET", &format!("{path}?{V}"), "").await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadRequest"), "{path}");
        }
        for version in ["x", &VERSION[1..], &format!("{VERSION}0"), "zz23456789abcdef0123456789abcdef"] {
            scene.create("here").await;
            let response = scene.ask("GET", &format!("/keys/here/{version}?{V}"), "").await;
            assert_eq!((response.status, response.code().as_str()), (404, "KeyNotFound"), "{version}");
        }
    });
}

/// Paths that are none, and methods that a path does not take; tunnelled methods are not looked at.
#[test]
fn paths_and_methods_are_checked() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for path in ["/", "/nothing/here", "/secrets", "/keys/x/y/frobnicate", "/deletedkeys/x/y", "/settings"] {
            let response = scene.ask("GET", &format!("{path}?{V}"), "").await;
            assert_eq!((response.status, response.code().as_str()), (404, "NotFound"), "{path}");
        }
        // Nor is a Managed HSM backed up, or restored, by who may call it.
        for (method, path) in
            [("POST", "/backup"), ("GET", "/backup/1/pending"), ("PUT", "/restore"), ("PUT", "/prerestore")]
        {
            let response = scene.ask_of(HSM, method, &format!("{path}?{V}"), "{}").await;
            assert_eq!(response.status, 404, "{path}");
        }
        for (method, path, allow) in [
            ("DELETE", "/keys", "GET"),
            ("POST", "/keys/k", "GET, PUT, PATCH, DELETE"),
            ("GET", "/keys/k/create", "POST"),
            ("TRACE", "/keys/k/", "GET, PUT, PATCH, DELETE"),
        ] {
            let headers = format!("Authorization: Bearer {}\r\nX-HTTP-METHOD: GET\r\n", bearer("admin"));
            let response = scene.send(PREMIUM, method, &format!("{path}?{V}"), &headers, "").await;
            assert_eq!((response.status, response.header("allow")), (405, Some(allow)), "{method} {path}");
        }
    });
}

/// Every route by every caller: who lacks the permission gets 403 and no more, body unread; who has that one alone is let by.
#[test]
fn every_route_takes_its_permission_and_no_other() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (method, path, body, permission) in operations() {
            let path = format!("{path}?{V}");
            let response = scene.ask_as(&format!("not-{permission}"), PREMIUM, method, &path, "").await;
            assert_eq!(response.status, 403, "{method} {path}");
            if method != "HEAD" {
                assert_eq!(response.code(), "Forbidden");
                assert_eq!(inner(&response).as_deref(), Some("ForbiddenByPolicy"));
                let expected = format!(
                    "The user, group or application 'oid=not-{permission};iss={ISSUER}' does not have keys {permission} \
                     permission on key vault 'kv1;location=local'."
                );
                assert_eq!(response.message(), expected);
            }
            let stranger = scene.ask_as("nobody", PREMIUM, method, &path, "").await;
            assert_eq!(stranger.status, 403);
            let response = scene.ask_as(&format!("only-{permission}"), PREMIUM, method, &path, body).await;
            let denied = method != "HEAD" && response.status == 403;
            assert!(!denied || inner(&response).as_deref() != Some("ForbiddenByPolicy"), "{method} {path}");
            assert!(response.status < 500, "{method} {path}: {}", response.body);
        }
    });
}

/// A Managed HSM says who may not do what in its own words.
#[test]
fn managed_hsms_deny_in_their_own_words() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (permission, method, path, action, scope) in [
            (Permission::Release, "POST", "/keys/k/release", "keys/release/action", "/keys/k"),
            (Permission::List, "GET", "/keys", "keys/read/action", "/keys"),
            (Permission::Create, "POST", "/keys/k/create", "keys/create", "/keys/k"),
        ] {
            let who = format!("not-{permission}");
            let response = scene.ask_as(&who, HSM, method, &format!("{path}?{V}"), "").await;
            let id = response.header("x-ms-request-id").unwrap().to_owned();
            assert_eq!((response.status, response.code().as_str()), (403, "AccessDenied"));
            let expected = format!(
                "Not authorized to access Microsoft.KeyVault/managedHsm/{action} on {scope} (Activity ID: {id})"
            );
            assert_eq!(response.message(), expected);
        }
    });
}

/// What Azure offers and this vault does not has a code of its own.
#[test]
fn absent_operations_say_so() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (method, path, operation) in [
            ("POST", "/keys/k//securewrapkey", "secureWrapKey"),
            ("POST", "/keys/k/secureunwrapkey", "secureUnwrapKey"),
            ("POST", "/rng", "random bytes"),
        ] {
            let response = scene.ask(method, &format!("{path}?{V}"), "{}").await;
            assert_eq!((response.status, response.code().as_str()), (400, "NotSupported"), "{path}");
            assert_eq!(response.message(), format!("Operation {operation} is not supported by this vault."));
        }
    });
}

/// Bodies that are none: empty, not JSON, not an object, a name twice, too large, encoded, too slow.
#[test]
fn bodies_are_checked() {
    runtime().block_on(async {
        let limits = Limits { body_time_max: Duration::from_millis(300), ..Limits::default() };
        let scene = Scene::with(limits, 1_024).await;
        let path = format!("/keys/k/create?{V}");
        for body in ["", "{", "[]", "\"x\"", r#"{"kty":5}"#, r#"{"kty":"EC","kty":"EC"}"#, r#"{"kty":"DSA"}"#] {
            let response = scene.ask("POST", &path, body).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{body}");
            assert!(!response.message().is_empty());
        }
        let token = format!("Authorization: Bearer {}\r\n", bearer("admin"));
        for (headers, body, status, code) in [
            ("Content-Length: 524289\r\n", "", 413, "RequestTooLarge"),
            ("Content-Encoding: gzip\r\n", "x", 415, "UnsupportedMediaType"),
            ("Content-Length: 5\r\n", "", 408, "RequestTimeout"),
        ] {
            let response = scene.send(PREMIUM, "POST", &path, &format!("{token}{headers}"), body).await;
            assert_eq!((response.status, response.code().as_str()), (status, code));
        }
        assert_eq!(scene.ask("GET", &format!("/keys/k?{V}"), "").await.status, 404, "nothing was made");
    });
}

/// Full threads are 503 with a time to come again, and nothing is made.
#[test]
fn full_pools_are_busy() {
    runtime().block_on(async {
        let scene = Scene::with(Limits::default(), 0).await;
        let response = scene.ask("POST", &format!("/keys/k/create?{V}"), r#"{"kty":"EC"}"#).await;
        assert_eq!((response.status, response.code().as_str()), (503, "ServerBusy"));
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(scene.ask("GET", &format!("/keys/k?{V}"), "").await.status, 404);
    });
}

/// A challenge and the request that follows it, on one connection, as SDKs send them.
#[test]
fn the_challenge_is_followed_on_one_connection() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (host, path) = (scene.authority(STANDARD), format!("/keys/k/create?{V}"));
        let mut wire = scene.site.connect().await;
        wire.send(request("POST", &path, &host, "Content-Type: application/json\r\nContent-Length: 0\r\n", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 401);
        let headers = format!("Authorization: Bearer {}\r\n", bearer("admin"));
        wire.send(request("POST", &path, &host, &headers, r#"{"kty":"EC"}"#)).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
    });
}

/// A vault with Azure's limits says 429 in Azure's words, and when to come again; who has no permission learns nothing of it.
#[test]
fn a_vault_with_limits_says_when_to_come_again() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let (path, body) = (format!("/keys/k/create?{V}"), r#"{"kty":"EC-HSM"}"#);
        for _ in 0..10 {
            assert_eq!(scene.ask_of(THROTTLED, "POST", &path, body).await.status, 200);
        }
        let refused = scene.ask_of(THROTTLED, "POST", &path, body).await;
        assert_eq!((refused.status, refused.code()), (429, "Throttled".into()));
        assert_eq!(refused.header("retry-after"), Some("10"));
        let message =
            "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
        assert_eq!(refused.message(), message);
        assert_eq!(scene.ask_as("only-get", THROTTLED, "POST", &path, body).await.status, 403);
        assert_eq!(scene.ask_of(THROTTLED, "POST", &path, r#"{"kty":"EC"}"#).await.status, 200, "another budget");
        assert_eq!(scene.ask_of(PREMIUM, "POST", &path, body).await.status, 200, "another vault");
    });
}
