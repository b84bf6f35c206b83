//! The token service as MSAL and the Azure SDKs meet it: discovery, the client credentials grant, and every refusal.

use std::num::NonZeroUsize;
use std::sync::Arc;

use skerry_attestation_result::unix_secs;
use skerry_http::identity::{ClientCredentials, Config, Surface};
use skerry_http::{MintRefusal, Minted, Pool, Surface as Surfaces};
use skerry_jose::json::{Object, Value};

use crate::support::{Response, Site, machine, now, runtime};

const TENANT: &str = "6f1e9b0a-0000-4000-8000-000000000001";
const ISSUER: &str = "https://sts.test/6f1e9b0a/";

/// One client, one resource; the token says what it was asked for.
fn mint(presented: &ClientCredentials) -> Result<Minted, MintRefusal> {
    if presented.client_id == "later" {
        return Err(MintRefusal::Unavailable);
    }
    if presented.client_id != "client" || *presented.secret != "s3cr&t=+" {
        return Err(MintRefusal::Client);
    }
    if presented.resource != "https://vault.test" {
        return Err(MintRefusal::Resource);
    }
    let now = unix_secs(now());
    let (not_before, expires_on) = (now, now + 3_600);
    let access_token = format!("token for {}", presented.resource);
    Ok(Minted { access_token, client_id: presented.client_id.clone(), not_before, expires_on })
}

fn surface(queue_max: usize) -> Surfaces {
    let config = Config {
        tenants: vec![TENANT.into(), "common".into(), "adfs".into()],
        issuer: ISSUER.into(),
        keys: Box::new(|| Object::new().with("keys", Vec::<Object>::new())),
        mint: Arc::new(|presented, at| {
            assert_eq!(at, now());
            mint(presented)
        }),
        pool: Arc::new(Pool::new(NonZeroUsize::MIN, queue_max).unwrap()),
        machine: machine(),
    };
    Surfaces::Identity(Arc::new(Surface::new(config)))
}

const FORM: &str = "client_id=client&grant_type=client_credentials&client_info=1&client_secret=s3cr%26t%3D%2B\
    &claims=%7B%22access_token%22%3A+%7B%22xms_cc%22%3A+%7B%22values%22%3A+%5B%22CP1%22%5D%7D%7D%7D";

async fn post(site: &Site, path: &str, form: &str) -> Response {
    site.ask("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", form).await
}

fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// OAuth's envelope (RFC 6749, 5.2), which is never kept.
fn error(response: &Response) -> String {
    let body = response.json();
    assert_eq!(response.header("cache-control"), Some("no-store"), "{}", response.body);
    assert!(!text(&body, "error_description").is_empty(), "{}", response.body);
    text(&body, "error").to_owned()
}

/// The documents of both versions, and of a tenant by each of its names, lead back to the name the client came by.
#[test]
fn discovery_leads_to_the_token_endpoint() {
    runtime().block_on(async {
        let site = Site::of(surface(1)).await;
        let base = format!("http://{}", site.host());
        for (path, token, keys) in [
            (
                format!("/{TENANT}/v2.0"),
                format!("/{TENANT}/oauth2/v2.0/token"),
                format!("/{TENANT}/discovery/v2.0/keys"),
            ),
            (format!("/{TENANT}"), format!("/{TENANT}/oauth2/token"), format!("/{TENANT}/discovery/keys")),
            ("/common/v2.0".into(), "/common/oauth2/v2.0/token".into(), "/common/discovery/v2.0/keys".into()),
            ("/adfs".into(), "/adfs/oauth2/token".into(), "/adfs/discovery/keys".into()),
        ] {
            let response = site.get(&format!("{path}/.well-known/openid-configuration")).await;
            let document = response.json();
            assert_eq!((response.status, text(&document, "issuer")), (200, ISSUER));
            assert_eq!(text(&document, "token_endpoint"), base.clone() + &token);
            assert_eq!(text(&document, "jwks_uri"), base.clone() + &keys);
            for demanded in ["authorization_endpoint", "device_authorization_endpoint"] {
                assert!(text(&document, demanded).starts_with(&base), "{demanded}");
            }
            assert_eq!(site.get(&keys).await.body, r#"{"keys":[]}"#);
            let form = format!("{FORM}&scope=https%3A%2F%2Fvault.test%2F.default");
            assert_eq!(post(&site, &token, &form).await.status, 200, "{token}");
        }
    });
}

/// The second version answers in numbers, the first in text and with more members (recorded). Neither is kept.
#[test]
fn tokens_are_given() {
    runtime().block_on(async {
        let site = Site::of(surface(1)).await;
        let two = post(
            &site,
            &format!("/{TENANT}/oauth2/v2.0/token?client-request-id=4f1e"),
            &format!("{FORM}&scope=https%3A%2F%2Fvault.test%2F.default"),
        )
        .await;
        let expected = concat!(
            r#"{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600,"#,
            r#""access_token":"token for https://vault.test"}"#
        );
        assert_eq!((two.status, two.body.as_str()), (200, expected));
        let one = post(&site, &format!("/{TENANT}/oauth2/token"), &format!("{FORM}&resource=https://vault.test")).await;
        let expected = concat!(
            r#"{"token_type":"Bearer","expires_in":"3600","ext_expires_in":"3600","expires_on":"1800003600","#,
            r#""not_before":"1800000000","resource":"https://vault.test","access_token":"token for https://vault.test"}"#
        );
        assert_eq!((one.status, one.body.as_str()), (200, expected));
        for response in [&one, &two] {
            assert_eq!(response.header("cache-control"), Some("no-store"));
            assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
        }
    });
}

/// One resource is meant, whatever MSAL for Go asks for besides; a resource may end in a slash, which stays.
#[test]
fn scopes_name_one_resource() {
    runtime().block_on(async {
        let site = Site::of(surface(1)).await;
        for (scope, status, expected) in [
            ("https://vault.test/.default", 200, ""),
            ("https://vault.test/.default openid offline_access profile", 200, ""),
            ("openid  https://vault.test/.default", 200, ""),
            ("https://vault.test//.default", 400, "invalid_scope"),
            ("https://other.test/.default", 400, "invalid_scope"),
            ("https://vault.test/.default https://other.test/.default", 400, "invalid_scope"),
            ("https://vault.test", 400, "invalid_scope"),
            ("openid", 400, "invalid_scope"),
            ("/.default", 400, "invalid_scope"),
            (".default", 400, "invalid_scope"),
        ] {
            let form = format!("{FORM}&scope={}", scope.replace(' ', "+"));
            let response = post(&site, "/common/oauth2/v2.0/token", &form).await;
            assert_eq!(response.status, status, "{scope}: {}", response.body);
            if status != 200 {
                assert_eq!(error(&response), expected, "{scope}");
            }
        }
    });
}

/// Each thing wrong with a form is 400 with OAuth's code; a wrong client is 401, and which half was wrong is not said.
#[test]
fn refusals_have_their_codes() {
    runtime().block_on(async {
        let site = Site::of(surface(1)).await;
        let resource = "resource=https://vault.test";
        let grant = "grant_type=client_credentials";
        let secret = "client_secret=s3cr%26t%3D%2B";
        for (form, status, expected) in [
            (String::new(), 400, "invalid_request"),
            (format!("{FORM}&{resource}&{resource}"), 400, "invalid_request"),
            (format!("{FORM}&{resource}&scope=https://vault.test/.default"), 400, "invalid_request"),
            (FORM.to_owned(), 400, "invalid_request"),
            (format!("client_id=client&{secret}&{resource}"), 400, "invalid_request"),
            (format!("client_id=client&{grant}&{resource}"), 400, "invalid_request"),
            (format!("{grant}&{secret}&{resource}"), 400, "invalid_request"),
            (format!("client_id=&{grant}&{secret}&{resource}"), 400, "invalid_request"),
            (format!("client_id=client&client_id=client&{grant}&{secret}&{resource}"), 400, "invalid_request"),
            ("%zz=1".to_owned(), 400, "invalid_request"),
            ("a=%ff".to_owned(), 400, "invalid_request"),
            ("a&".repeat(33), 400, "invalid_request"),
            (format!("grant_type=password&client_id=client&{secret}&{resource}"), 400, "unsupported_grant_type"),
            (format!("grant_type=refresh_token&client_id=client&{secret}&{resource}"), 400, "unsupported_grant_type"),
            (format!("client_id=other&{grant}&{secret}&{resource}"), 401, "invalid_client"),
            (format!("client_id=client&{grant}&client_secret=wrong&{resource}"), 401, "invalid_client"),
            (format!("{FORM}&resource=https://other.test"), 400, "invalid_resource"),
            (r#"{"client_id":"client"}"#.to_owned(), 400, "invalid_request"),
        ] {
            let response = post(&site, "/common/oauth2/token", &form).await;
            assert_eq!((response.status, error(&response).as_str()), (status, expected), "{form}");
            assert_eq!(response.header("retry-after"), None);
        }
        let [unknown, wrong] = ["client_id=other&client_secret=s3cr%26t%3D%2B", "client_id=client&client_secret=x"];
        let unknown = post(&site, "/common/oauth2/token", &format!("{unknown}&{grant}&{resource}")).await;
        let wrong = post(&site, "/common/oauth2/token", &format!("{wrong}&{grant}&{resource}")).await;
        assert_eq!(unknown.body, wrong.body);
    });
}

/// Forms have a largest size.
#[test]
fn forms_are_small() {
    runtime().block_on(async {
        let site = Site::of(surface(1)).await;
        let response = post(&site, "/common/oauth2/token", &"x".repeat(16 * 1024 + 1)).await;
        assert_eq!((response.status, error(&response).as_str()), (413, "invalid_request"));
    });
}

/// Other tenants, paths and methods.
#[test]
fn other_tenants_paths_and_methods_are_refused() {
    runtime().block_on(async {
        let site = Site::of(surface(1)).await;
        for path in ["/other/v2.0/.well-known/openid-configuration", "/%61dfsx/oauth2/token"] {
            let method = if path.ends_with("token") { "POST" } else { "GET" };
            let response = site.ask(method, path, "", "").await;
            assert_eq!((response.status, error(&response).as_str()), (400, "invalid_tenant"), "{path}");
        }
        for path in [
            "/",
            "/common",
            "/common/discovery/instance",
            "/common/oauth2/v2.0/authorize",
            "/common/oauth2/v2.0/devicecode",
        ] {
            let response = site.get(path).await;
            assert_eq!((response.status, error(&response).as_str()), (404, "not_found"), "{path}");
        }
        for (method, path, allow) in [
            ("GET", "/common/oauth2/v2.0/token", "POST"),
            ("POST", "/common/.well-known/openid-configuration", "GET, HEAD"),
            ("DELETE", "/common/discovery/keys", "GET, HEAD"),
        ] {
            let response = site.ask(method, path, "", "").await;
            assert_eq!((response.status, response.header("allow")), (405, Some(allow)), "{path}");
        }
    });
}

/// What cannot be made now may be made in a moment: 503, and when to ask again.
#[test]
fn busy_is_told() {
    runtime().block_on(async {
        let site = Site::of(surface(1)).await;
        let form = FORM.replace("client_id=client", "client_id=later") + "&resource=https://vault.test";
        let later = post(&site, "/common/oauth2/token", &form).await;
        let full = Site::of(surface(0)).await;
        let busy = post(&full, "/common/oauth2/token", &format!("{FORM}&resource=https://vault.test")).await;
        for response in [later, busy] {
            assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        }
    });
}

/// The OpenAPI document of the vaults and the attestation service is here for reading.
#[test]
fn the_description_is_served() {
    runtime().block_on(async {
        let site = Site::of(surface(64)).await;
        let served = site.get("/openapi.json").await;
        assert_eq!((served.status, served.header("content-type")), (200, Some("application/json; charset=utf-8")));
        assert_eq!(served.body, skerry_http::openapi::document().to_json());
        let refused = site.ask("POST", "/openapi.json", "", "").await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    });
}
