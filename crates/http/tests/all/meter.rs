//! What the server counts: each request once, under labels from closed sets, whatever a stranger sends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderValue;
use skerry_http::{Limits, Observer, Operation};

use crate::support::{Site, client_config_of, request, runtime};

/// Requests, refusals before the surface, panics and what ran too long are each counted as what they were.
#[test]
fn every_end_of_a_request_is_counted() {
    runtime().block_on(async {
        let limits = Limits { request_time_max: Duration::from_millis(300), ..Limits::default() };
        let site = Site::plain(limits).await;
        site.is_well().await;
        assert_eq!(site.ask("HEAD", "/echo", "", "").await.status, 200);
        assert_eq!(site.ask("POST", "/body", "", "body").await.status, 200);
        assert_eq!(site.get("/unread").await.status, 401);
        assert_eq!(site.get("/panic").await.status, 500);
        assert_eq!(site.get("/wait").await.status, 503);
        assert_eq!(site.ask("BREW", "/echo", "", "").await.status, 200);
        let mut wire = site.connect().await;
        wire.send(request("GET", "/echo", "other.test", "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 421);
        let seen = site.meter.snapshot();
        // Its client was let go, and its work goes on.
        assert_eq!((seen.overdue, seen.panics, seen.in_flight), (1, 1, 1));
        site.gate.go.add_permits(1);
        while site.meter.snapshot().in_flight > 0 {
            tokio::task::yield_now().await;
        }
        // Its place is given back before it is counted.
        while count(&site, "GET", "2xx") < 2 {
            tokio::task::yield_now().await;
        }
        for (method, class, expected) in [
            ("GET", "2xx", 2),
            ("HEAD", "2xx", 1),
            ("POST", "2xx", 1),
            ("other", "2xx", 1),
            ("GET", "4xx", 2),
            ("GET", "5xx", 1),
        ] {
            assert_eq!(count(&site, method, class), expected, "{method} {class}");
        }
        let seen = site.meter.snapshot();
        let [(operation, took)] = seen.took.as_slice() else { panic!("{:?}", seen.took) };
        assert_eq!((operation.surface(), operation.name(), took.count()), ("other", "None", 8));
        assert!(took.seconds() >= 0.3, "the work that ran too long");
    });
}

fn count(site: &Site, method: &str, class: &str) -> u64 {
    let answers = site.meter.snapshot().answers;
    answers.iter().filter(|(_, own, of, _)| *own == method && *of == class).map(|(.., seen)| seen).sum()
}

/// Connections are counted while they are open, when they are accepted, and when there are too many; handshakes by how they
/// ended.
#[test]
fn connections_and_handshakes_are_counted() {
    runtime().block_on(async {
        let limits = Limits { connections_max: 1, handshake_time_max: Duration::from_millis(100), ..Limits::default() };
        let site = Site::tls(limits).await;
        let held = site.tls_stream("host.test", &[b"http/1.1"]).await;
        while site.meter.snapshot().handshakes.count() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(site.meter.snapshot().connections, 1);
        assert!(site.connect().await.is_closed().await);
        drop(held);
        let left = async || {
            while site.meter.snapshot().connections > 0 {
                tokio::task::yield_now().await;
            }
        };
        left().await;
        let mut wire = site.connect().await;
        wire.send("GET / HTTP/1.1\r\n\r\n").await;
        wire.rest().await;
        left().await;
        let mut silent = site.connect().await;
        assert!(silent.is_closed().await);
        left().await;
        let seen = site.meter.snapshot();
        assert_eq!((seen.accepted, seen.turned_away), (4, 1));
        assert_eq!((seen.handshakes.count(), seen.handshakes_failed, seen.handshakes_late), (1, 1, 1));
        drop(client_config_of(rustls::DEFAULT_VERSIONS));
    });
}

/// Who observes is told of each request once, with what it asked and was answered, of a panic too; and what it says of a trace
/// goes out.
#[test]
fn observer_is_told() {
    runtime().block_on(async {
        let told = Arc::new(Mutex::new(Vec::new()));
        let finished = {
            let told = Arc::clone(&told);
            move |finished: &skerry_http::Finished<'_>| {
                let status = finished.reply.map(|reply| reply.status().as_u16());
                let trace = finished.request.trace().cloned();
                told.lock().unwrap().push((finished.request.segments().join("/"), status, trace));
            }
        };
        let begun = |headers: &http::HeaderMap| headers.get("traceparent").cloned();
        let observer = Observer { begun: Some(Arc::new(begun)), finished: Arc::new(finished) };
        let site = Site::observed(Limits::default(), None, None, Some(observer)).await;
        let response = site.ask("GET", "/echo", "traceparent: 00-1-2-01\r\n", "").await;
        assert_eq!(response.header("traceresponse"), Some("00-1-2-01"));
        assert_eq!(site.get("/panic").await.header("traceresponse"), None);
        let trace = Some(HeaderValue::from_static("00-1-2-01"));
        let expected = vec![("echo".to_owned(), Some(200), trace), ("panic".to_owned(), None, None)];
        assert_eq!(*told.lock().unwrap(), expected);
    });
}

/// No operation has a name that could be anything else than a word of this program.
#[test]
fn operations_are_a_closed_set() {
    for operation in Operation::all() {
        assert!(operation.name().bytes().all(|byte| byte.is_ascii_alphabetic()), "{operation:?}");
    }
    assert_eq!(Operation::all().count(), 51);
}
