//! With the feature `otel`: spans come to a collector, go on in the client's trace, and say no more than they should.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use crate::process::*;
use crate::serve::{CONFIG, Site};

/// A collector that takes one batch and keeps its octets.
fn collector() -> (u16, JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (mut head, mut line) = (String::new(), String::new());
        while stream.read_line(&mut line).unwrap() > 2 {
            head.push_str(&line);
            line.clear();
        }
        let len = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; len.unwrap()];
        stream.read_exact(&mut body).unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        (head, body)
    });
    (port, thread)
}

/// A request is a span of its client's trace, with operation, status and request id; keys, tokens and paths are not in it.
#[test]
fn spans_come_to_a_collector() {
    let (port, collected) = collector();
    let site = Site::new();
    let traces = format!("[traces]\nendpoint = \"http://127.0.0.1:{port}/v1/traces\"\n");
    site.put("skerry.toml", &format!("{}{traces}", CONFIG.replace("ADDRESS", "0")));
    let running = site.start();
    let line = running.said.iter().find_map(|line| line.strip_prefix("listening on ")).unwrap();
    let attestation = line.split(", ").next().unwrap().rsplit(':').next().unwrap();
    let (ca, origin) = (site.path("tls.pem"), format!("https://localhost:{attestation}"));
    let get = |path, bearer| get(ca.to_str().unwrap(), &origin, path, bearer).status;
    assert_eq!(get("/policies/SevSnpVm?api-version=2022-08-01", Some("secret-token")), 401);
    assert_eq!(get("/secret-path", None), 404);
    assert_eq!(running.stop("TERM").0.code(), Some(0));
    let (head, body) = collected.join().unwrap();
    assert!(head.starts_with("POST /v1/traces ") && head.to_lowercase().contains("application/x-protobuf"), "{head}");
    let has = |octets: &[u8]| body.windows(octets.len()).any(|window| window == octets);
    for there in ["attestation GetPolicy", "attestation None", "skerry.request_id", "http.response.status_code"] {
        assert!(has(there.as_bytes()), "{there}");
    }
    for secret in ["secret", "Bearer", "policies", "localhost"] {
        assert!(!has(secret.as_bytes()), "{secret}");
    }
}
