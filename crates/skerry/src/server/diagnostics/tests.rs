//! Lines are what Azure's are, whatever a client sends; a file that is slow loses them and delays nobody.

use std::sync::{Condvar, Mutex};

use bytes::Bytes;
use http::StatusCode;
use skerry_http::{Context, Limits, Names, Operation};
use uuid::Uuid;

use super::*;

fn request(method: &str, uri: &str) -> Request {
    let names = Names { domains: vec!["vault.test".to_owned()], port: 443, ..Names::default() };
    let context = Context {
        id: Uuid::from_bytes([7; 16]),
        peer: "[::ffff:192.0.2.9]:4711".parse().unwrap(),
        host: names.resolve("payments.vault.test", None, 443).unwrap(),
        tls: true,
        limits: Limits::default(),
    };
    let request = http::Request::builder().method(method).uri(uri).header("user-agent", "azsdk-python/1");
    let request = request.header("authorization", "Bearer secret-token").body(Bytes::from_static(b"secret-body"));
    Request::of(request.unwrap(), context).unwrap()
}

fn told<'a>(request: &'a Request, operation: &str, reply: &'a Reply) -> Finished<'a> {
    let operation = Operation::all().find(|one| (one.surface(), one.name()) == ("vault", operation)).unwrap();
    let begun = UNIX_EPOCH + Duration::new(1_451_957_521, 269_122_600);
    Finished { request, operation, begun, took: Duration::from_millis(78), reply: Some(reply) }
}

/// A line has the members of Azure's schema, in its order; tokens and bodies are in none.
#[test]
fn line_is_as_azure_s() {
    const V: &str = "0123456789abcdef0123456789abcdef";
    let request = request("POST", &format!("/keys/k%20%22/{V}/release?api-version=7.4&$skiptoken=secret"));
    let line = record(&told(&request, "Release", &Reply::empty(StatusCode::OK))).to_json();
    let expected = format!(
        r#"{{"time":"2016-01-05T01:32:01.2691226Z","resourceId":"{RESOURCE}PAYMENTS","operationName":"KeyRelease","operationVersion":"7.4","category":"AuditEvent","resultType":"Success","resultSignature":"OK","resultDescription":"","durationMs":78,"callerIpAddress":"192.0.2.9","correlationId":"07070707-0707-0707-0707-070707070707","identity":{{}},"properties":{{"clientInfo":"azsdk-python/1","requestUri":"https://payments.vault.test/keys/k%20%22/{V}/release?api-version=7.4","id":"https://payments.vault.test/keys/k%20%22/{V}","httpStatusCode":200,"requestId":"07070707-0707-0707-0707-070707070707"}}}}"#
    );
    assert_eq!(line, expected);
    assert!(!line.contains("secret"));
}

/// What was refused says why, in the words that the client got; a challenge is an authentication.
#[test]
fn refusals_are_described() {
    let request = request("GET", "/keys/k");
    let denied = Reply::error(StatusCode::FORBIDDEN, "Forbidden", "no\nrelease");
    let record_of = |operation, reply| record(&told(&request, operation, reply));
    let text = |record: &Object, name: &str| record.get(name).and_then(json::Value::as_str).unwrap().to_owned();
    let denied = record_of("Get", &denied);
    assert!(!denied.to_json().contains('\n'), "one line");
    let seen = ["operationName", "resultType", "resultSignature", "resultDescription"].map(|name| text(&denied, name));
    assert_eq!(seen, ["KeyGet", "Failed", "Forbidden", "no\nrelease"]);
    let challenged = record_of("Get", &Reply::empty(StatusCode::UNAUTHORIZED));
    assert_eq!(text(&challenged, "operationName"), "Authentication");
}

/// Every operation of a vault has a name, and no two have one.
#[test]
fn operations_have_names() {
    let names: std::collections::BTreeSet<_> = Operation::all()
        .filter(|operation| operation.surface() == "vault" && operation.name() != "None")
        .map(|operation| name(operation.name()))
        .collect();
    assert!(names.len() == NAMES.len() && !names.contains("Unknown"));
}

/// A disk that stands still until it is let go.
#[derive(Clone, Default)]
struct Stuck(Arc<(Mutex<bool>, Condvar)>, Arc<Mutex<Vec<u8>>>);

impl io::Write for Stuck {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let (gate, changed) = &*self.0;
        drop(changed.wait_while(gate.lock().unwrap(), |open| !*open).unwrap());
        self.1.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// While the disk stands still requests go on: what does not fit into the queue is counted as lost, the rest is written.
#[test]
fn slow_disk_delays_nobody() {
    let disk = Stuck::default();
    let out = Out { path: PathBuf::new(), file: Some(Box::new(disk.clone())), failing: false };
    let diagnostics = Diagnostics::start_with(out, 2).unwrap();
    let (request, reply) = (request("GET", "/keys/k"), Reply::empty(StatusCode::OK));
    for _ in 0..10 {
        diagnostics.tell(&told(&request, "Get", &reply));
    }
    let (written, dropped) = diagnostics.seen();
    assert_eq!(written, 0);
    assert!((7..=8).contains(&dropped), "{dropped} of 10 where two wait and one may be being written");
    *disk.0.0.lock().unwrap() = true;
    disk.0.1.notify_all();
    while diagnostics.seen().0 + dropped < 10 {
        std::thread::yield_now();
    }
    let lines = String::from_utf8(disk.1.lock().unwrap().clone()).unwrap();
    assert_eq!(u64::try_from(lines.lines().count()), Ok(10 - dropped));
}

/// A file that was moved away goes on to grow until it is opened anew; then there is another, with a mode of its own.
#[test]
fn file_is_opened_anew() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let diagnostics = Diagnostics::start(&path).unwrap();
    let (request, reply) = (request("GET", "/keys/k"), Reply::empty(StatusCode::OK));
    let tell = || {
        diagnostics.tell(&told(&request, "Get", &reply));
        diagnostics.flush();
    };
    tell();
    std::fs::rename(&path, &moved).unwrap();
    tell();
    diagnostics.reopen();
    tell();
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&moved), lines(&path), diagnostics.seen()), (2, 1, (3, 0)));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Diagnostics::start(&folder.path().join("none/audit.jsonl")).is_err());
}

/// What other surfaces are asked is none of a vault's.
#[test]
fn other_surfaces_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let diagnostics = Diagnostics::start(&folder.path().join("audit.jsonl")).unwrap();
    let (request, reply) = (request("GET", "/certs"), Reply::empty(StatusCode::OK));
    let operation = Operation::all().find(|one| one.surface() == "attestation").unwrap();
    diagnostics.tell(&Finished { operation, ..told(&request, "Get", &reply) });
    diagnostics.flush();
    assert_eq!(diagnostics.seen(), (0, 0));
}
