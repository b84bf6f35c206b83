//! Instance metadata as a virtual machine's clients meet it, and what keeps others away from its tokens.

use std::num::NonZeroUsize;
use std::sync::Arc;

use skerry_attestation_result::unix_secs;
use skerry_http::metadata::{Config, Surface};
use skerry_http::{Limits, MintRefusal, Minted, Names, Pool, Surface as Surfaces};
use skerry_jose::json::{Object, Value};

use crate::support::{Response, Site, machine, now, request, runtime};

const CLIENT: &str = "0b1c2d3e-0000-4000-8000-000000000002";

fn mint(resource: &str) -> Result<Minted, MintRefusal> {
    match resource {
        "https://vault.test" => {
            let now = unix_secs(now());
            let (not_before, expires_on) = (now, now + 86_400);
            Ok(Minted { access_token: "token".into(), client_id: CLIENT.into(), not_before, expires_on })
        }
        "https://later.test" => Err(MintRefusal::Unavailable),
        _ => Err(MintRefusal::Resource),
    }
}

/// A listener whose only name is its address.
async fn site(queue_max: usize) -> Site {
    let config = Config {
        mint: Arc::new(|resource, at| {
            assert_eq!(at, now());
            mint(resource)
        }),
        instance: Object::new().with("compute", Object::new().with("name", "simulated")),
        pool: Arc::new(Pool::new(NonZeroUsize::MIN, queue_max).unwrap()),
        machine: machine(),
    };
    let surface = Surfaces::Metadata(Arc::new(Surface::new(config)));
    let names = Names { addresses: vec![[127, 0, 0, 1].into()], ..Names::default() };
    Site::with(Limits::default(), None, Some((surface, names))).await
}

async fn ask(site: &Site, method: &str, path: &str, headers: &str) -> Response {
    let mut wire = site.connect().await;
    wire.send(request(method, path, &site.address.to_string(), headers, "")).await;
    let response = if method == "HEAD" { wire.head().await } else { wire.response().await };
    response.unwrap()
}

const METADATA: &str = "Metadata: true\r\n";
const TOKEN: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.test";

fn error(response: &Response) -> (String, String) {
    let body = response.json();
    let member = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    (member("error"), member("error_description"))
}

/// The token of the machine, its numbers as text (recorded); one SDK ends the path with a slash.
#[test]
fn the_machine_s_token_is_given() {
    runtime().block_on(async {
        let site = site(1).await;
        let expected = format!(
            "{}\"client_id\":\"{CLIENT}\"{}",
            r#"{"access_token":"token","#,
            concat!(
                r#","expires_in":"86400","expires_on":"1800086400","not_before":"1800000000","#,
                r#""resource":"https://vault.test","token_type":"Bearer"}"#
            )
        );
        let slashed = TOKEN.replace("token?", "token/?");
        for path in [TOKEN, &slashed, &TOKEN.to_uppercase().replace("HTTPS%3A%2F%2FVAULT.TEST", "https://vault.test")] {
            let response = ask(&site, "GET", path, METADATA).await;
            assert_eq!((response.status, &response.body), (200, &expected), "{path}");
            assert_eq!(response.header("cache-control"), Some("no-store"));
        }
        let response = ask(&site, "GET", &TOKEN.replace("2018-02-01", "2025-04-07"), "METADATA: True\r\n").await;
        assert_eq!(response.status, 200);
    });
}

/// Without the header that no browser can be made to send, and through any proxy, there is nothing, not even a 404.
#[test]
fn forwarded_and_forged_requests_are_refused() {
    runtime().block_on(async {
        let site = site(1).await;
        let missing = "required metadata header not specified";
        let forwarded = "forwarded requests are not answered";
        for (headers, reason) in [
            ("", missing),
            ("Metadata: false\r\n", missing),
            ("Metadata:\r\n", missing),
            ("Metadata: true, true\r\n", missing),
            ("Metadata: true\r\nMetadata: true\r\n", missing),
            ("Metadata: true\r\nX-Forwarded-For: 127.0.0.1\r\n", forwarded),
            ("Metadata: true\r\nx-forwarded-for:\r\n", forwarded),
        ] {
            for path in [TOKEN, "/metadata/instance?api-version=2021-02-01", "/x"] {
                let response = ask(&site, "GET", path, headers).await;
                let expected = ("invalid_request".to_owned(), reason.to_owned());
                assert_eq!((response.status, error(&response)), (400, expected), "{headers}{path}");
            }
        }
    });
}

/// A name that was bound to this address by somebody else's DNS is not ours.
#[test]
fn other_hosts_are_not_served() {
    runtime().block_on(async {
        let site = site(1).await;
        let port = site.address.port();
        for host in
            [format!("evil.test:{port}"), format!("localhost:{port}"), "127.0.0.1".into(), format!("127.0.0.2:{port}")]
        {
            let mut wire = site.connect().await;
            wire.send(request("GET", TOKEN, &host, METADATA, "")).await;
            let response = wire.response().await.unwrap();
            assert_eq!((response.status, response.code().as_str()), (421, "MisdirectedRequest"), "{host}");
        }
    });
}

/// The parameters: a version that is a date, one resource, and no other identity than the machine's.
#[test]
fn parameters_are_checked() {
    runtime().block_on(async {
        let site = site(1).await;
        let base = "/metadata/identity/oauth2/token";
        let resource = "resource=https://vault.test";
        for (query, expected) in [
            (resource.to_owned(), "invalid_request"),
            (format!("api-version=&{resource}"), "invalid_request"),
            (format!("api-version=2017-12-31&{resource}"), "invalid_request"),
            (format!("api-version=7.4&{resource}"), "invalid_request"),
            (format!("api-version=2018-02-01x&{resource}"), "invalid_request"),
            (format!("api-version=2018-02-01&api-version=2018-02-01&{resource}"), "invalid_request"),
            ("api-version=2018-02-01".to_owned(), "invalid_request"),
            ("api-version=2018-02-01&resource=".to_owned(), "invalid_request"),
            (format!("api-version=2018-02-01&{resource}&{resource}"), "invalid_request"),
            ("api-version=2018-02-01&resource=https://other.test".to_owned(), "invalid_resource"),
            (format!("api-version=2018-02-01&{resource}&client_id=other"), "invalid_request"),
            (format!("api-version=2018-02-01&{resource}&client_id={CLIENT}&client_id={CLIENT}"), "invalid_request"),
            (format!("api-version=2018-02-01&{resource}&object_id={CLIENT}"), "invalid_request"),
            (format!("api-version=2018-02-01&{resource}&msi_res_id=/subscriptions/x"), "invalid_request"),
            (format!("api-version=2018-02-01&{resource}&mi_res_id=/subscriptions/x"), "invalid_request"),
        ] {
            let response = ask(&site, "GET", &format!("{base}?{query}"), METADATA).await;
            assert_eq!((response.status, error(&response).0.as_str()), (400, expected), "{query}");
        }
        let named = format!("{TOKEN}&client_id={}", CLIENT.to_uppercase());
        assert_eq!(ask(&site, "GET", &named, METADATA).await.status, 200);
    });
}

/// The machine tells a little of itself; other paths and methods are refused.
#[test]
fn the_instance_is_described() {
    runtime().block_on(async {
        let site = site(1).await;
        let response = ask(&site, "GET", "/metadata/instance?api-version=2021-02-01", METADATA).await;
        assert_eq!((response.status, response.body.as_str()), (200, r#"{"compute":{"name":"simulated"}}"#));
        assert_eq!(ask(&site, "HEAD", "/metadata/instance?api-version=2021-02-01", METADATA).await.status, 200);
        for path in ["/", "/metadata", "/metadata/attested/document?api-version=2021-02-01"] {
            let response = ask(&site, "GET", path, METADATA).await;
            assert_eq!((response.status, error(&response).0.as_str()), (404, "not_found"), "{path}");
        }
        for method in ["POST", "PUT", "OPTIONS"] {
            let response = ask(&site, method, TOKEN, METADATA).await;
            assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")), "{method}");
        }
    });
}

/// What cannot be made now may be made in a moment.
#[test]
fn busy_is_told() {
    runtime().block_on(async {
        let later = TOKEN.replace("vault.test", "later.test");
        for (site, path) in [(site(1).await, later.as_str()), (site(0).await, TOKEN)] {
            let response = ask(&site, "GET", path, METADATA).await;
            assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        }
    });
}
