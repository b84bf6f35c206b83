//! A sweep over every route and method that the OpenAPI document has, with requests that are right, nearly right, and absurd:
//! none is answered with 5xx, none hangs, every refusal is an envelope with a code of the closed list, every success is as
//! described, and the server lives after it. What is sent follows from the document and from seeds alone.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use rand_core::Rng as _;
use skerry_http::{Reply, Surface as Surfaces};
use skerry_jose::b64;
use skerry_jose::json::{self, Object, Value};
use skerry_testkit::seeded;
use tokio::io::AsyncWriteExt as _;

use super::scene::{AUTHORITY, HSM, MEASUREMENT, PREMIUM, Scene, V, attested, bearer, exportable, release_policy};
use crate::openapi::{Row, fault, resolved, rows, rows_of};
use crate::support::{Response, Site, runtime};

/// Somebody who sends what he likes to one host, with one token.
pub(crate) struct Sweeper<'a> {
    pub(crate) site: &'a Site,
    pub(crate) host: String,
    pub(crate) authorization: String,
    /// How often each status was answered.
    pub(crate) statuses: BTreeMap<u16, usize>,
}

impl Sweeper<'_> {
    /// Sends this and judges the answer, if there is one: whoever is cut off in his body may be left without.
    pub(crate) async fn send(&mut self, row: &Row, method: &str, target: &str, body: &[u8]) -> Option<Response> {
        self.send_cut(row, method, target, body, body.len()).await
    }

    /// The same, but that the body is said to be longer than what comes of it.
    pub(crate) async fn send_cut(
        &mut self,
        row: &Row,
        method: &str,
        target: &str,
        body: &[u8],
        said: usize,
    ) -> Option<Response> {
        let what = format!("{method} {target} {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        let len = if said == 0 { String::new() } else { format!("Content-Length: {said}\r\n") };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\n{len}\r\n",
            self.host, self.authorization
        );
        let mut wire = self.site.connect().await;
        // The server may have answered and closed before it had all: that is an answer too.
        let _ = wire.stream.write_all(&[head.as_bytes(), body].concat()).await;
        if said > body.len() {
            let _ = wire.stream.shutdown().await;
        }
        let response = if method == "HEAD" { wire.head().await } else { wire.response().await };
        let Some(response) = response else {
            assert!(said > body.len(), "closed without an answer: {what}");
            return None;
        };
        *self.statuses.entry(response.status).or_default() += 1;
        judge(row, method, &response, &what);
        Some(response)
    }

    /// How often any of these was answered.
    pub(crate) fn seen(&self, statuses: std::ops::Range<u16>) -> usize {
        self.statuses.range(statuses).map(|(_, count)| count).sum()
    }
}

/// What every answer has to be.
fn judge(row: &Row, method: &str, response: &Response, what: &str) {
    let status = response.status;
    assert!((200..300).contains(&status) || (400..500).contains(&status), "{status} {} for {what}", response.body);
    if method == "HEAD" {
        return;
    }
    if response.body.is_empty() {
        return assert!(status == 204, "{status} without a body for {what}");
    }
    let body = json::parse(response.body.as_bytes(), &skerry_jose::limits::JSON);
    let body = body.unwrap_or_else(|error| panic!("{error} in {status} {} for {what}", response.body));
    // A name that is empty or a word makes another row's path of it.
    let rows = rows();
    let others = rows.iter().filter(|other| other.method == method && other.path != row.path);
    let faults: Vec<_> =
        [row].into_iter().chain(others).filter_map(|row| row.answer(status)).map(|own| fault(own, &body)).collect();
    assert!(faults.iter().any(Option::is_none), "{:?} in {status} {} for {what}", faults.first(), response.body);
    assert!(status < 400 || !response.message().is_empty(), "{what}");
}

const VERSION: &str = "0123456789abcdef0123456789abcdef";

/// The path of a row with this name and version in it.
fn filled(row: &Row, name: &str, version: &str) -> String {
    row.path.replace("{key-name}", name).replace("{key-version}", version)
}

/// Names and versions that are none, or nearly none, as they stand in a request line.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        "..",
        ".",
        "%2e%2e",
        "%2E",
        "a%2fb",
        "a%5cb",
        "%00",
        "%0d%0a",
        "%",
        "%zz",
        "%ff",
        "%c3%bc",
        "%F0%9F%94%91",
        "%E2%80%AE",
        "a_b",
        "a.b",
        "a+b",
        "a%20b",
        "%20",
        "-",
        "--",
        "'",
        "%22",
        "a;b",
        "a:b",
        "*",
        "~",
        "create",
        "restore",
        "versions",
        "sign",
        "NOPE",
        "%6Eope",
        "nope%0a",
        "0",
        "null",
        VERSION,
        "zz23456789abcdef0123456789abcdef",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend([127, 128, 300, 4_000].map(|len| "n".repeat(len)));
    names
}

/// What stands behind the path: missing, absurd, twice, in other spellings.
fn odd_queries() -> Vec<String> {
    let mut queries: Vec<String> = [
        "",
        "?",
        "?api-version",
        "?api-version=",
        "?api-version=9.9",
        "?api-version=7.4%00",
        "?api-version=%ff",
        "?api-version=7.4&api-version=7.4",
        "?api-version=7.4&API-VERSION=7.3",
        "?api%2Dversion=7.4",
        "?api-version=%F0%9F%94%91",
        "?api-version=latest",
        "?api-version=-1",
        "?api-version=7.4;x",
        "?%",
        "?=&&=",
        "?api-version=7.4&maxresults=",
        "?api-version=7.4&maxresults=99999999999999999999",
        "?api-version=7.4&maxresults=2&$skiptoken=%00",
        "?api-version=7.4&$skiptoken=AAAA",
        "?api-version=7.4&$top=1&$filter=x%20eq%20y",
    ]
    .map(str::to_owned)
    .to_vec();
    queries.push(format!("?api-version={}", "7".repeat(3_000)));
    queries.push(format!("?{}api-version=7.4", "a=b&".repeat(80)));
    queries
}

/// Methods that a row's path may or may not take.
const METHODS: [&str; 9] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "FROBNICATE"];

/// Every path with every method, every odd name and every odd query.
pub(crate) async fn lines(sweeper: &mut Sweeper<'_>, rows: &[Row], name: &str) {
    for row in rows {
        let target = |query: &str| format!("{}{query}", filled(row, name, VERSION));
        for method in METHODS {
            let response = sweeper.send(row, method, &target(&format!("?{V}")), b"").await;
            // A key may be named as an operation is.
            let paths = [row.path, if row.path == "/keys/restore" { "/keys/{key-name}" } else { row.path }];
            let takes = |method: &str| rows.iter().any(|other| paths.contains(&other.path) && other.method == method);
            let allowed = takes(method) || method == "HEAD" && takes("GET");
            assert_eq!(response.unwrap().status == 405, !allowed, "{method} {}", row.path);
        }
        for query in odd_queries() {
            sweeper.send(row, &row.method, &target(&query), b"").await;
        }
        for odd in odd_names() {
            for (name, version) in [(odd.as_str(), VERSION), (name, odd.as_str())] {
                let target = filled(row, name, version);
                if row.path.contains('{') {
                    sweeper.send(row, &row.method, &format!("{target}?{V}"), b"").await;
                }
            }
        }
        for target in [format!("//{}", row.path), format!("{}/", row.path), format!("{}/x/y/z", row.path)] {
            let target = target.replace("{key-name}", name).replace("{key-version}", VERSION);
            sweeper.send(row, &row.method, &format!("{target}?{V}"), b"").await;
        }
        let target = target(&format!("?{V}"));
        for body in [&b"x"[..], b"{}", b"null", &[0xff; 64], &[b'['; 4_096]] {
            sweeper.send(row, &row.method, &target, body).await;
        }
        sweeper.send_cut(row, &row.method, &target, b"{", 100).await;
    }
}

/// Bodies that are none, or not of this operation, whatever it is.
fn odd_bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        &b""[..],
        b" ",
        b"null",
        b"true",
        b"0",
        b"\"x\"",
        b"[]",
        b"[{}]",
        b"{}",
        b"{",
        b"}",
        b"{\"",
        b"{\"a\"",
        b"{\"a\":",
        b"{\"a\":1,}",
        b"{\"a\":1 \"b\":2}",
        b"{'a':1}",
        b"{}{}",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\u0000\"}",
        b"{\"\":1}",
        b"{\"a\":1,\"a\":1}",
        b"{\"a\":{\"b\":1,\"b\":2}}",
        b"{\"a\":1e999999}",
        b"{\"a\":-0}",
        b"{\"a\":1.}",
        b"{\"a\":01}",
        b"{\"a\":NaN}",
        b"{\"a\":\"\n\"}",
        b"\0",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    for depth in [7, 8, 9, 100, 10_000] {
        bodies.push(format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes());
        bodies.push(format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).into_bytes());
    }
    bodies.push(format!("{{\"a\":{}}}", "9".repeat(5_000)).into_bytes());
    bodies.push(
        format!("{{{}}}", (0..600).map(|at| format!("\"{at}\":{at}")).collect::<Vec<_>>().join(",")).into_bytes(),
    );
    bodies
}

/// Values that may stand where another is expected.
fn odd_values() -> Vec<&'static str> {
    vec![
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1.5",
        "1e3",
        "-0",
        "65537",
        "2147483648",
        "18446744073709551615",
        "18446744073709551616",
        "9999999999999999999999999999999",
        r#""""#,
        r#""x""#,
        r#""AQ""#,
        r#""A""#,
        r#""====""#,
        r#""+/+/""#,
        r#""\u0000""#,
        r#""\ud83d\udd11""#,
        "[]",
        "[[]]",
        "[null]",
        r#"["x"]"#,
        r#"["sign","sign"]"#,
        "{}",
        r#"{"x":1}"#,
        r#"{"":null}"#,
    ]
}

/// The members of a body, their places in it, and what they might be instead: odd values, and every word of a closed set.
fn variants(schema: &'static Object, body: &Object) -> Vec<String> {
    let mut found = Vec::new();
    let schema = resolved(schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return found };
    for (name, own) in properties.iter() {
        let own = resolved(own.as_object().unwrap());
        let raw = |value: &str| {
            let rest: Vec<_> = body.iter().filter(|(other, _)| *other != name).map(member).collect();
            format!("{{{}}}", rest.into_iter().chain([format!("{:?}:{value}", name)]).collect::<Vec<_>>().join(","))
        };
        found.extend(odd_values().into_iter().map(raw));
        let items = own.get("items").and_then(Value::as_object);
        for words in [Some(own), items].into_iter().flatten() {
            let words = words.get("enum").and_then(Value::as_array).unwrap_or_default();
            for word in words.iter().map(Value::to_json) {
                found.push(raw(&if items.is_some() { format!("[{word}]") } else { word }));
            }
        }
        let mut without = body.clone();
        without.remove(name);
        found.push(without.to_json());
        if let Some(value) = body.get(name) {
            // Twice, and in another case.
            let twice = format!("{{{},{}}}", body.to_json().trim_matches(['{', '}']), member((name, value)));
            found.push(twice);
            found.push(raw("null").replacen(name, &name.to_uppercase(), 1));
        }
        let inner = body.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        if own.contains("properties") {
            found.extend(variants(own, &inner).iter().map(|inner| raw(inner)));
        }
    }
    found
}

fn member((name, value): (&str, &Value)) -> String {
    format!("{}:{}", Value::from(name).to_json(), value.to_json())
}

/// Bodies of every operation that takes one: good ones cut short anywhere, with each member wrong in every way, and with
/// things in them that nobody knows.
pub(crate) async fn bodies(sweeper: &mut Sweeper<'_>, row: &Row, target: &str, good: &[Object]) {
    let Some(schema) = row.body() else { return };
    for body in odd_bodies() {
        sweeper.send(row, &row.method, target, &body).await;
    }
    for good in good {
        for body in variants(schema, good) {
            sweeper.send(row, &row.method, target, body.as_bytes()).await;
        }
        let text = good.clone().with("unknown", Object::new().with("x", vec![1_u64])).to_json().into_bytes();
        sweeper.send(row, &row.method, target, &text).await;
        spoilt(sweeper, row, target, &text).await;
    }
}

/// A body cut short anywhere, with and without a word about its length, and with a bit of it flipped.
pub(crate) async fn spoilt(sweeper: &mut Sweeper<'_>, row: &Row, target: &str, text: &[u8]) {
    let mut random = seeded(u64::try_from(text.len()).unwrap());
    let mut upto = |len: usize| usize::try_from(random.next_u64()).unwrap() % len;
    for _ in 0..12 {
        let cut = upto(text.len());
        sweeper.send(row, &row.method, target, &text[..cut]).await;
        sweeper.send_cut(row, &row.method, target, &text[..cut], text.len()).await;
        let mut flipped = text.to_vec();
        flipped[cut] ^= 1 << upto(8);
        sweeper.send(row, &row.method, target, &flipped).await;
    }
}

impl Scene {
    fn sweeper(&self, host: &str) -> Sweeper<'_> {
        let authorization = format!("Authorization: Bearer {}\r\n", bearer("admin"));
        Sweeper { site: &self.site, host: self.authority(host), authorization, statuses: BTreeMap::new() }
    }
}

/// Keys of every type, each by its name.
const KEYS: [(&str, &str); 6] = [
    ("rsa", r#"{"kty":"RSA-HSM"}"#),
    ("ec", r#"{"kty":"EC","crv":"P-256"}"#),
    ("p521", r#"{"kty":"EC","crv":"P-521"}"#),
    ("oct", r#"{"kty":"oct-HSM","key_size":128}"#),
    ("akp", r#"{"kty":"AKP","alg":"ML-DSA-44"}"#),
    ("old", r#"{"kty":"EC","attributes":{"exp":1799999999}}"#),
];

/// A body as each operation takes it, for what it is asked of.
fn good(id: &str) -> Vec<Object> {
    let octets = |len: usize| b64::encode(vec![7; len]);
    let of = |json: String| json::parse(json.as_bytes(), &skerry_jose::limits::JSON).unwrap().into_object().unwrap();
    let cipher = || {
        of(format!(r#"{{"alg":"A128GCM","value":"{0}","iv":"{1}","aad":"{0}","tag":"{0}"}}"#, octets(16), octets(12)))
    };
    match id.trim_end_matches("Version") {
        "Create" => vec![
            of(r#"{"kty":"EC","crv":"P-256","key_ops":["sign"],"attributes":{"enabled":true,"nbf":1,"exp":2000000000},"tags":{"a":"b"}}"#.into()),
            exportable("EC-HSM"),
        ],
        "Import" => vec![
            exportable("oct-HSM").with("Hsm", true).with("key", of(format!(r#"{{"kty":"oct-HSM","k":"{}","key_ops":["wrapKey"]}}"#, octets(32)))),
            Object::new().with("key", of(format!(
                r#"{{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"{}"}}"#,
                "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
            ))),
        ],
        "Update" => vec![
            of(r#"{"key_ops":["sign","verify"],"attributes":{"enabled":true,"exp":2000000000,"x-skerry-min-iat":5},"tags":{"a":"b"}}"#.into())
                .with("release_policy", release_policy(MEASUREMENT, false)),
        ],
        "Encrypt" | "Decrypt" => vec![cipher()],
        "WrapKey" | "UnwrapKey" => vec![of(format!(r#"{{"alg":"A128KW","value":"{}"}}"#, octets(24)))],
        "Sign" => vec![of(format!(r#"{{"alg":"ES256","value":"{}"}}"#, octets(32)))],
        "Verify" => vec![of(format!(r#"{{"alg":"ES256","digest":"{}","value":"{}"}}"#, octets(32), octets(64)))],
        "Release" => vec![
            Object::new().with("target", attested(MEASUREMENT)).with("nonce", "n").with("enc", "RSA_AES_KEY_WRAP_256"),
        ],
        "SetRotationPolicy" => vec![of(
            r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}],"attributes":{"expiryTime":"P90D"}}"#.into(),
        )],
        "Restore" => vec![Object::new().with("value", octets(100))],
        "SetFloor" => vec![
            Object::new()
                .with("min_iat", 5_u64)
                .with("token_age_max_secs", 86_400_u64)
                .with("policy", release_policy(MEASUREMENT, false)),
        ],
        "SecureWrapKey" => vec![Object::new().with("alg", "A128KWPAD")],
        "SecureUnwrapKey" => vec![
            Object::new()
                .with("alg", "A128KWPAD")
                .with("value", octets(40))
                .with("target", attested(MEASUREMENT))
                .with("applicationTrustedIssuer", AUTHORITY),
        ],
        "Random" => vec![Object::new().with("count", 32_u64)],
        other => panic!("no good body of {other}: say one"),
    }
}

/// Request lines of the vault, asked of a key that is not there, so that nothing comes of them but answers.
#[test]
fn every_route_takes_every_line() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for host in [PREMIUM, HSM] {
            let mut sweeper = scene.sweeper(host);
            lines(&mut sweeper, &rows_of(true), "nope").await;
            assert!(sweeper.seen(400..500) > 1_000, "{:?}", sweeper.statuses);
        }
        scene.create("still").await;
    });
}

/// The same without a token: whatever is asked, a challenge, unless it is no request at all.
#[test]
fn strangers_get_challenges_and_nothing_else() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let mut sweeper = Sweeper { authorization: String::new(), ..scene.sweeper(PREMIUM) };
        for row in &rows_of(true) {
            for method in METHODS {
                let target = format!("{}?{V}", filled(row, "nope", VERSION));
                let response = sweeper.send(row, method, &target, b"").await.unwrap();
                assert_eq!(response.status, 401, "{method} {target}");
            }
        }
    });
}

/// Bodies of every operation, asked of keys of every type, on both kinds of vault.
#[test]
fn every_route_takes_every_body() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for host in [PREMIUM, HSM] {
            for (name, body) in KEYS {
                let path = format!("/keys/{name}/create?{V}");
                assert_eq!(scene.ask_of(host, "POST", &path, body).await.status, 200, "{name}");
            }
            let path = format!("/keys/rel/create?{V}");
            assert_eq!(scene.ask_of(host, "POST", &path, &exportable("EC-HSM").to_json()).await.status, 200);
        }
        let mut sweeper = scene.sweeper(PREMIUM);
        for row in rows_of(true).iter().filter(|row| row.body().is_some() && !row.path.contains("{key-version}")) {
            let key = match row.id() {
                "Create" => "made",
                "Import" => "brought",
                "Update" | "SetRotationPolicy" | "Release" => "rel",
                "Sign" | "Verify" => "ec",
                _ => "oct",
            };
            bodies(&mut sweeper, row, &format!("{}?{V}", filled(row, key, VERSION)), &good(row.id())).await;
        }
        assert!(sweeper.seen(200..300) > 300 && sweeper.seen(400..500) > 1_000, "{:?}", sweeper.statuses);
        scene.create("still").await;
    });
}

/// Every algorithm with every type of key that may do everything, for texts of every length that matters: what does not fit
/// is refused.
#[test]
fn every_algorithm_meets_every_key() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (name, body) in KEYS {
            let ops = r#""key_ops":["encrypt","decrypt","sign","verify","wrapKey","unwrapKey"],"kty""#;
            let body = body.replacen(r#""kty""#, ops, 1);
            scene.good("POST", &format!("/keys/{name}/create?{V}"), &body).await;
        }
        let mut sweeper = scene.sweeper(PREMIUM);
        for row in rows_of(true).iter().filter(|row| !row.path.contains("{key-version}")) {
            let Some(algorithms) =
                row.body().map(resolved).and_then(|schema| schema.get("properties")?.get(&["alg", "enum"])?.as_array())
            else {
                continue;
            };
            for (key, _) in KEYS {
                for algorithm in algorithms.iter().filter_map(Value::as_str) {
                    for len in [0, 1, 16, 24, 31, 32, 48, 64, 190, 256, 300] {
                        let value = b64::encode(vec![7; len]);
                        let given = Object::new().with("alg", algorithm).with("value", value.as_str());
                        let body =
                            if row.id() == "Verify" { given.with("digest", b64::encode([7; 32])) } else { given };
                        let target = format!("{}?{V}", filled(row, key, VERSION));
                        sweeper.send(row, &row.method, &target, body.to_json().as_bytes()).await;
                    }
                }
            }
        }
        assert!(sweeper.seen(200..300) > 100 && sweeper.seen(400..500) > 1_000, "{:?}", sweeper.statuses);
        scene.create("still").await;
    });
}

/// The methods of the document are methods, and each row answers what it says when it is asked rightly.
#[test]
fn rows_that_succeed_do() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for (name, body) in KEYS {
            assert_eq!(scene.ask_of(HSM, "POST", &format!("/keys/{name}/create?{V}"), body).await.status, 200);
        }
        assert_eq!(
            scene.ask_of(HSM, "POST", &format!("/keys/rel/create?{V}"), &exportable("EC-HSM").to_json()).await.status,
            200
        );
        let policy = good("SetRotationPolicy")[0].to_json();
        assert_eq!(scene.ask_of(HSM, "PUT", &format!("/keys/rel/rotationpolicy?{V}"), &policy).await.status, 200);
        let backup = scene.ask_of(HSM, "POST", &format!("/keys/ec/backup?{V}"), "").await.body;
        let digest = b64::encode([7; 16]);
        let sealed = |word: &str, body: String| {
            let (scene, path) = (&scene, format!("/keys/oct/{word}?{V}"));
            async move { scene.ask_of(HSM, "POST", &path, &body).await.json() }
        };
        let encrypted =
            sealed("encrypt", format!(r#"{{"alg":"A128GCM","value":"{digest}"}}"#)).await.with("alg", "A128GCM");
        let wrapped =
            sealed("wrapkey", format!(r#"{{"alg":"A128KW","value":"{digest}"}}"#)).await.with("alg", "A128KW");
        let guard = Object::new()
            .with("kty", "RSA-HSM")
            .with("key_ops", vec!["secureWrapKey", "secureUnwrapKey"])
            .with("release_policy", release_policy(MEASUREMENT, false));
        let made = scene.ask_of(HSM, "POST", &format!("/keys/guard/create?{V}"), &guard.to_json()).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let guarded = r#"{"alg":"RSA-OAEP-256"}"#.to_owned();
        let fresh = scene.ask_of(HSM, "POST", &format!("/keys/guard/securewrapkey?{V}"), &guarded).await.json();
        let unguarded = Object::new()
            .with("alg", "RSA-OAEP-256")
            .with("value", fresh.get("value").unwrap().clone())
            .with("target", attested(MEASUREMENT));
        let mut sweeper = scene.sweeper(HSM);
        let mut asked = 0;
        // What ends a key comes last.
        let mut rows: Vec<Row> = rows_of(true).into_iter().filter(Row::succeeds).collect();
        let late = ["DeleteX", "Delete", "ListDeleted", "GetDeleted", "Recover", "Purge", "Restore"];
        rows.sort_by_key(|row| late.iter().position(|id| *id == row.id()));
        for row in &rows {
            assert!(Method::from_bytes(row.method.as_bytes()).is_ok());
            let key = match row.id().trim_end_matches("Version") {
                "Encrypt" | "Decrypt" | "WrapKey" | "UnwrapKey" => "oct",
                "Create" | "Import" => "made",
                "SecureWrapKey" | "SecureUnwrapKey" => "guard",
                "Sign" | "Verify" | "Delete" | "GetDeleted" | "Recover" | "Purge" => "ec",
                _ => "rel",
            };
            let newest = scene.ask_of(HSM, "GET", &format!("/keys/{key}?{V}"), "").await;
            let version = match newest.status {
                200 => newest
                    .json()
                    .get("key")
                    .unwrap()
                    .get(&["kid"])
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .rsplit_once('/')
                    .unwrap()
                    .1
                    .to_owned(),
                _ => VERSION.to_owned(),
            };
            if row.id() == "Purge" {
                scene.ask_of(HSM, "DELETE", &format!("/keys/ec?{V}"), "").await;
            }
            let body = match row.id().trim_end_matches("Version") {
                "Decrypt" => encrypted.to_json(),
                "UnwrapKey" => wrapped.to_json(),
                "SecureWrapKey" => guarded.clone(),
                "SecureUnwrapKey" => unguarded.to_json(),
                "Restore" => backup.clone(),
                "Encrypt" => format!(r#"{{"alg":"A128GCM","value":"{digest}","aad":"AQ"}}"#),
                "WrapKey" => format!(r#"{{"alg":"A128KW","value":"{digest}"}}"#),
                "Update" if row.id().ends_with("Version") => r#"{"tags":{"a":"b"}}"#.into(),
                _ if row.body().is_some() => good(row.id())[0].to_json(),
                _ => String::new(),
            };
            let target = format!("{}?{V}", filled(row, key, &version));
            let response = sweeper.send(row, &row.method, &target, body.as_bytes()).await.unwrap();
            assert!(response.status < 300, "{} {target}: {} {}", row.id(), response.status, response.body);
            asked += 1;
        }
        assert!(asked > 30, "{asked}");
    });
}

/// One request of the sweep to a server that answers everything so.
async fn sweep_of(reply: fn() -> Reply) {
    let site = Site::of(Surfaces::function(move |_| Box::pin(async move { reply() }))).await;
    let host = site.host();
    let mut sweeper = Sweeper { site: &site, host, authorization: String::new(), statuses: BTreeMap::new() };
    let rows = rows_of(true);
    sweeper.send(&rows[0], "GET", "/keys", b"").await;
}

/// The controls: faults of a server are not passed over, nor are refusals without an envelope or with a code of their own,
/// nor answers with more in them than is described.
#[test]
fn faults_are_not_passed_over() {
    let good = || {
        Reply::json(StatusCode::OK, &Object::new().with("value", Vec::<Object>::new()).with("nextLink", Value::Null))
    };
    runtime().block_on(sweep_of(good));
    let answers: [fn() -> Reply; 6] = [
        || Reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
        Reply::busy,
        || Reply::empty(StatusCode::BAD_REQUEST),
        || Reply::text(StatusCode::NOT_FOUND, "what?"),
        || Reply::error(StatusCode::BAD_REQUEST, "Oops", "not of the list"),
        || Reply::json(StatusCode::OK, &Object::new().with("value", Vec::<Object>::new())),
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        let swept = runtime().block_on(async { tokio::spawn(sweep_of(answer)).await });
        assert!(swept.is_err(), "{at} was passed over");
    }
}
