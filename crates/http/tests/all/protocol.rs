//! HTTP/1.1 as it is on the wire: what goes back always, what is malformed, and what happens to bodies.

use skerry_http::Limits;
use tokio::io::AsyncWriteExt as _;

use crate::support::{BODY_MAX, Site, request, runtime};

/// Every answer carries the same headers, a refusal at the door included; there is no Server header.
#[test]
fn every_answer_has_the_headers_of_all() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let foreign = {
            let mut wire = site.connect().await;
            wire.send(request("GET", "/", "evil.test", "", "")).await;
            wire.response().await.unwrap()
        };
        let mut ids = Vec::new();
        for response in [site.get("/echo").await, site.get("/unread").await, site.get("/%00").await, foreign] {
            for (name, value) in [
                ("content-type", "application/json; charset=utf-8"),
                ("cache-control", "no-cache"),
                ("pragma", "no-cache"),
                ("expires", "-1"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(response.header(name), Some(value), "{name}");
            }
            assert_eq!(response.header("content-length").unwrap(), response.body.len().to_string());
            assert_eq!((response.header("server"), response.header("strict-transport-security")), (None, None));
            ids.push(response.header("x-ms-request-id").unwrap().to_owned());
        }
        assert_eq!(site.get("/echo").await.json().get("id").unwrap().as_str().unwrap().len(), 36);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    });
}

/// HSTS is for TLS alone (RFC 6797, 7.2).
#[test]
fn tls_answers_ask_for_tls() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let mut wire = site.connect_tls("host.test", &[]).await;
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        let response = wire.response().await.unwrap();
        assert_eq!(response.header("strict-transport-security"), Some("max-age=31536000;includeSubDomains"));
    });
}

/// The client's id comes back iff it is one, and is visible ASCII of bounded length.
#[test]
fn client_ids_are_repeated_iff_harmless() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let long = "x".repeat(129);
        let longest = "x".repeat(128);
        for (line, expected) in [
            ("x-ms-client-request-id: 4f1e-a\r\n".to_owned(), Some("4f1e-a")),
            (format!("x-ms-client-request-id: {longest}\r\n"), Some(longest.as_str())),
            (format!("x-ms-client-request-id: {long}\r\n"), None),
            ("x-ms-client-request-id: a b\r\n".to_owned(), None),
            ("x-ms-client-request-id: \u{e9}\r\n".to_owned(), None),
            ("x-ms-client-request-id:\r\n".to_owned(), None),
            ("x-ms-client-request-id: a\r\nx-ms-client-request-id: a\r\n".to_owned(), None),
        ] {
            let response = site.ask("GET", "/echo", &line, "").await;
            assert_eq!(response.header("x-ms-client-request-id"), expected, "{line}");
        }
    });
}

/// HEAD is answered as GET without the body, and the next answer on the connection begins where it should.
#[test]
fn head_has_no_body() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        wire.send(request("HEAD", "/body", &site.host(), "", "")).await;
        let head = wire.head().await.unwrap();
        assert_eq!((head.status, head.header("content-length")), (200, Some("1")));
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().json().get("method").unwrap().as_str(), Some("GET"));
    });
}

/// Requests sent at once are answered in their order on one connection.
#[test]
fn pipelined_requests_are_answered_in_order() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        let all = (0..8).map(|n| request("POST", &format!("/echo/{n}"), &site.host(), "", "body"));
        wire.send(all.collect::<String>()).await;
        for n in 0..8 {
            let response = wire.response().await.unwrap();
            let segments = response.json().get("segments").unwrap().as_array().unwrap().to_vec();
            assert_eq!(segments[1].as_str(), Some(n.to_string().as_str()));
        }
    });
}

/// Path and query reach the surface decoded once; what is ambiguous does not.
#[test]
fn targets_are_decoded_at_the_door() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let response = site.get("//keys/a%20b//release?api%2Dversion=7.4&x=%26").await.json();
        assert_eq!(response.get("segments").unwrap().clone(), vec!["keys", "a b", "", "release"].into());
        assert_eq!(response.get("query").unwrap().clone(), vec!["api-version=7.4", "x=&"].into());
        for path in ["/a%2Fb", "/a/../b", "/%2e%2e/b", "/%00", "/%zz", "/%ff", "/x?y=%0", "/x?%00"] {
            let response = site.get(path).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadRequest"), "{path}");
        }
        let many = format!("/{}", "a/".repeat(40));
        assert_eq!(site.get(&many).await.message(), "the path has more than 32 segments");
        let many = format!("/x?{}", "a&".repeat(65));
        assert_eq!(site.get(&many).await.message(), "the query has more than 64 parameters");
        assert_eq!(site.ask("OPTIONS", "*", "", "").await.message(), "the request target is not a path");
    });
}

/// The bearer token is that of the one Authorization header, its scheme in any case.
#[test]
fn bearer_tokens_are_read() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        for (lines, expected) in [
            ("Authorization: Bearer a.b.c\r\n", Some("a.b.c")),
            ("Authorization: bearer  a.b.c\r\n", Some("a.b.c")),
            ("Authorization: Bearer \r\n", None),
            ("Authorization: Basic a\r\n", None),
            ("Authorization: Bearer a\r\nAuthorization: Bearer a\r\n", None),
        ] {
            let response = site.ask("GET", "/echo", lines, "").await.json();
            assert_eq!(response.get("bearer").and_then(|token| token.as_str()), expected, "{lines}");
        }
    });
}

/// What is no request is refused with 400 and the connection closed; the server stays well.
#[test]
fn malformed_requests_are_refused() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let host = format!("Host: {}\r\n", site.host());
        for bytes in [
            "GET\r\n\r\n".to_owned(),
            "GET /\r\n\r\n".to_owned(),
            "\0\0\0\0 / HTTP/1.1\r\n\r\n".to_owned(),
            format!("GET / HTTP/9.9\r\n{host}\r\n"),
            format!("GET / HTTP/1.1\r\n{host} folded\r\nbad header\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{host}X: a\0b\r\n\r\n"),
            format!("POST /body HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n"),
            format!("POST /body HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n"),
            format!("POST /body HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            format!("POST /body HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n"),
            format!("POST /body HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ] {
            let mut wire = site.connect().await;
            wire.send(&bytes).await;
            assert_eq!(wire.response().await.unwrap().status, 400, "{bytes:?}");
            assert!(wire.is_closed().await, "{bytes:?}");
        }
        site.is_well().await;
    });
}

/// Heads have a largest size and a largest number of headers.
#[test]
fn large_heads_are_refused() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let (long, many) = (format!("X: {}\r\n", "x".repeat(40_000)), "X: y\r\n".repeat(100));
        for headers in [long, many] {
            assert_eq!(site.ask("GET", "/echo", &headers, "").await.status, 431);
        }
        let path = format!("/{}", "x".repeat(40_000));
        assert!(matches!(site.get(&path).await.status, 414 | 431));
        assert_eq!(site.ask("GET", "/echo", &"X: y\r\n".repeat(98), "").await.status, 200);
    });
}

/// A body is read to its limit exactly, whether its length was told or not.
#[test]
fn bodies_have_a_largest_size() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let fits = "x".repeat(BODY_MAX);
        let response = site.ask("POST", "/body", "", &fits).await;
        assert_eq!((response.status, response.body.as_str()), (200, "100000"));
        let response = site.ask("POST", "/body", "", &(fits.clone() + "x")).await;
        assert_eq!((response.status, response.body.as_str()), (413, "the body has more than 100000 bytes"));
        let chunk = format!("{:x}\r\n{fits}\r\n", fits.len());
        for (end, status) in [("0\r\n\r\n", 200), ("1\r\nx\r\n0\r\n\r\n", 413)] {
            let mut wire = site.connect().await;
            wire.send(request("POST", "/body", &site.host(), "Transfer-Encoding: chunked\r\n", "")).await;
            wire.send(chunk.clone() + end).await;
            assert_eq!(wire.response().await.unwrap().status, status);
        }
    });
}

/// A length beyond the limit is refused on the head alone.
#[test]
fn a_large_length_is_refused_before_the_body() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        wire.send(request("POST", "/body", &site.host(), "Content-Length: 100001\r\n", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 413);
    });
}

/// Nothing is inflated: any coding but identity is refused.
#[test]
fn encoded_bodies_are_refused() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        for (coding, status) in [("gzip", 415), ("deflate", 415), ("identity, gzip", 415), ("Identity", 200)] {
            let response = site.ask("POST", "/body", &format!("Content-Encoding: {coding}\r\n"), "abc").await;
            assert_eq!(response.status, status, "{coding}");
        }
    });
}

/// A challenge goes out before the body has come, and the connection serves the next request once it has.
#[test]
fn challenges_do_not_wait_for_the_body() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        wire.send(request("POST", "/unread", &site.host(), "Content-Length: 30000\r\n", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 401);
        wire.send("x".repeat(30_000) + &request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
    });
}

/// A large body that nobody wants does not keep its sender from reading why, and ends the connection.
#[test]
fn large_unread_bodies_end_the_connection() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        let body = "x".repeat(1 << 20);
        // All of it is written before anything is read: without the server's lingering the answer would be lost.
        wire.send(request("POST", "/unread", &site.host(), "", &body)).await;
        assert_eq!(wire.response().await.unwrap().status, 401);
        assert!(wire.is_closed().await);
        site.is_well().await;
    });
}

/// `Expect: 100-continue` is answered with 100 only where the body is wanted.
#[test]
fn continue_is_said_only_for_wanted_bodies() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let expect = "Expect: 100-continue\r\nContent-Length: 3\r\n";
        let mut wire = site.connect().await;
        wire.send(request("POST", "/body", &site.host(), expect, "")).await;
        assert_eq!(wire.head().await.unwrap().status, 100);
        wire.send("abc").await;
        assert_eq!(wire.response().await.unwrap().body, "3");
        let mut wire = site.connect().await;
        wire.send(request("POST", "/unread", &site.host(), expect, "")).await;
        assert_eq!(wire.response().await.unwrap().status, 401);
    });
}

/// A client that goes away within its body ends its own request alone, and the surface is told.
#[test]
fn aborted_bodies_are_incomplete() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        wire.send(request("POST", "/read-then-wait", &site.host(), "Content-Length: 10\r\n", "")).await;
        wire.send("abc").await;
        wire.stream.shutdown().await.unwrap();
        drop(wire);
        // The surface came to the gate, so its read has ended though seven bytes never came.
        site.gate.somebody().await;
        site.gate.go.add_permits(1);
        site.is_well().await;
    });
}

/// A panic is one 500 without text; others on the same connection and elsewhere are served.
#[test]
fn a_panic_is_one_500() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        wire.send(request("GET", "/panic", &site.host(), "", "")).await;
        let response = wire.response().await.unwrap();
        assert_eq!((response.status, response.body.as_str()), (500, ""));
        assert!(response.header("x-ms-request-id").is_some());
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
        site.is_well().await;
    });
}
