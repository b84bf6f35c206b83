//! Checks 1 to 5, 40 to 42: what is asked of everybody, and what every answer has.

use skerry_jose::b64;

use super::super::door::operations;
use super::super::scene::{AUTHORIZATION, HSM, ISSUER, PREMIUM, Scene, V, bearer, claims, forged, signed, text};
use super::{names, refused};
use crate::support::{Response, runtime};

const NO_TOKEN: &str = "AKV10000: Request is missing a Bearer or PoP token.";

fn challenged(scene: &Scene, response: &Response) {
    let resource = format!("https://vault.test:{}", scene.site.address.port());
    let expected = format!(r#"Bearer authorization="{AUTHORIZATION}", resource="{resource}""#);
    assert_eq!((response.status, response.header("www-authenticate")), (401, Some(expected.as_str())));
}

/// Any call without Authorization, without a body: 401 with a challenge; a Managed HSM's has no body.
#[test]
fn check_01_any_call_without_a_token_is_challenged() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (method, path, ..) in operations() {
            let response = scene.send(PREMIUM, method, &format!("{path}?{V}"), "Content-Length: 0\r\n", "").await;
            challenged(&scene, &response);
            if method != "HEAD" {
                refused(&response, 401, "Unauthorized", None, NO_TOKEN);
                assert_eq!(response.header("content-length"), Some("97"), "as recorded");
            }
            let response = scene.send(HSM, method, &format!("{path}?{V}"), "Content-Length: 0\r\n", "").await;
            challenged(&scene, &response);
            assert_eq!((response.header("content-length"), response.body.as_str()), (Some("0"), ""));
        }
    });
}

/// The first request of every SDK, for a key that is not there, in the spellings that were seen: 401 and nothing else.
#[test]
fn check_02_create_without_body_and_token_is_challenged() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for headers in
            ["Content-Length: 0\r\n", "Content-Type: application/json\r\nContent-Length: 0\r\n", "Accept: */*\r\n", ""]
        {
            let response = scene.send(PREMIUM, "POST", &format!("/keys/unknown/create?{V}"), headers, "").await;
            challenged(&scene, &response);
            refused(&response, 401, "Unauthorized", None, NO_TOKEN);
        }
    });
}

async fn with_token(scene: &Scene, token: &str) -> Response {
    scene.send(PREMIUM, "GET", &format!("/keys?{V}"), &format!("Authorization: Bearer {token}\r\n"), "").await
}

/// A token for the resource manager.
#[test]
fn check_03_a_token_for_another_audience() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let token = signed(&claims("admin").with("aud", "https://management.azure.com"));
        let response = with_token(&scene, &token).await;
        challenged(&scene, &response);
        let port = scene.site.address.port();
        let message = format!(
            "AKV10022: Invalid audience. Expected https://vault.test:{port}, found: https://management.azure.com."
        );
        refused(&response, 401, "Unauthorized", None, &message);
    });
}

/// A token of another tenant, and one whose signature is not the provider's.
#[test]
fn check_04_a_token_of_another_tenant_and_a_bad_signature() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let response = with_token(&scene, &signed(&claims("admin").with("iss", "https://sts.test/other/"))).await;
        challenged(&scene, &response);
        let message = format!("AKV10032: Invalid issuer. Expected one of {ISSUER}, found https://sts.test/other/.");
        refused(&response, 401, "Unauthorized", None, &message);
        let good = bearer("admin");
        let (head, _) = good.split_once('.').unwrap();
        let response = with_token(&scene, &forged(&good)).await;
        challenged(&scene, &response);
        let message =
            format!("AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: '{head}'.");
        refused(&response, 401, "Unauthorized", None, &message);
        assert_eq!(with_token(&scene, &good).await.status, 200, "the control");
    });
}

/// Azure's words for a version that is none, behind the door.
#[test]
fn check_05_an_unknown_api_version() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let response = scene.ask("GET", "/keys?api-version=9.9", "").await;
        let message =
            "The specified version (9.9) is not recognized. Consider using the latest supported version (7.6).";
        refused(&response, 400, "BadParameter", None, message);
        challenged(&scene, &scene.send(PREMIUM, "GET", "/keys?api-version=9.9", "", "").await);
    });
}

/// Random octets of a Managed HSM, and its recorded sentence for other counts.
#[test]
fn check_40_random_octets() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for count in ["0", "129", "-1"] {
            let body = format!(r#"{{"count":{count}}}"#);
            let response = scene.ask_of(HSM, "POST", &format!("/rng?{V}"), &body).await;
            let id = response.header("x-ms-request-id").unwrap();
            let message =
                format!("GetRandomBytesRequest: count cannot be greater than 128 or less than 1 (Activity ID: {id})");
            refused(&response, 400, "BadParameter", None, &message);
        }
        let answer = scene.ask_of(HSM, "POST", &format!("/rng?{V}"), r#"{"count":32}"#).await;
        let answer = (answer.status, answer.json());
        assert_eq!((answer.0, names(&answer.1)), (200, vec!["value"]));
        assert_eq!(b64::decode(text(&answer.1, &["value"])).unwrap().len(), 32);
    });
}

/// Headers of every answer: good ones, refusals and challenges.
#[test]
fn check_41_headers_of_every_answer() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let token = format!("Authorization: Bearer {}\r\n", bearer("admin"));
        let mut ids = std::collections::BTreeSet::new();
        for (token, path, status) in
            [(token.as_str(), "/keys", 200), (&token, "/keys/nope", 404), ("", "/keys", 401), (&token, "/nothing", 404)]
        {
            let headers = format!("{token}x-ms-client-request-id: 5d1c2f8e-0000-11ee-be56-0242ac120002\r\n");
            let response = scene.send(PREMIUM, "GET", &format!("{path}?{V}"), &headers, "").await;
            assert_eq!(response.status, status);
            for (name, value) in [
                ("x-ms-client-request-id", "5d1c2f8e-0000-11ee-be56-0242ac120002"),
                ("x-ms-keyvault-region", "local"),
                ("x-ms-keyvault-service-version", "1.9.0.0"),
                ("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"),
                ("cache-control", "no-cache"),
                ("pragma", "no-cache"),
                ("expires", "-1"),
                ("content-type", "application/json; charset=utf-8"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(response.header(name), Some(value), "{path}");
            }
            assert!(ids.insert(response.header("x-ms-request-id").unwrap().to_owned()), "an id is given once");
        }
        let silent = scene.ask("GET", &format!("/keys?{V}"), "").await;
        assert_eq!(silent.header("x-ms-client-request-id"), None, "nothing to repeat");
    });
}

/// What SDKs look for before they send a token: the host ends with a dot and the resource's host. Their rule is applied here
/// to the challenge as it is sent; that an unmodified SDK passes it, and refuses a challenge for `https://vault.azure.net`,
/// is asserted by `tests/real-clients/release.py`, which `./test` runs.
#[test]
fn check_42_the_resource_is_a_domain_of_the_host() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let passes = |host: &str, resource: &str| host.ends_with(&format!(".{resource}"));
        let response = scene.send(PREMIUM, "GET", &format!("/keys?{V}"), "", "").await;
        let challenge = response.header("www-authenticate").unwrap().to_owned();
        let resource = challenge.split(r#"resource="https://"#).nth(1).and_then(|rest| rest.strip_suffix('"')).unwrap();
        // One SDK compares with the port, the others without.
        assert!(passes(&scene.authority(PREMIUM), resource), "{challenge}");
        assert!(passes(PREMIUM, resource.split(':').next().unwrap()), "{challenge}");
        assert!(!passes(PREMIUM, "vault.azure.net"), "the control");
        // The parsers split at commas, then at equals signs, and take items of two parts.
        for item in challenge.strip_prefix("Bearer ").unwrap().split(", ") {
            assert_eq!(item.split('=').count(), 2, "{item}");
        }
    });
}
