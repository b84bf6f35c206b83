//! Malformed requests in plenty: each is refused or closed, none is answered with 5xx, and none harms the next.

use std::time::Duration;

use rand_core::Rng as _;
use skerry_http::Limits;
use skerry_testkit::seeded;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::support::{Site, request, runtime};

/// Times so short that what waits for more is soon given up.
fn impatient() -> Limits {
    let short = Duration::from_millis(300);
    Limits {
        head_time_max: short,
        body_time_max: short,
        idle_time_max: short,
        linger_time_max: short,
        ..Limits::default()
    }
}

/// The status of the first answer; none if the connection was closed without one. What comes after is read to the end.
async fn first_status(site: &Site, bytes: Vec<u8>) -> Option<u16> {
    let mut wire = site.connect().await;
    // The server may have closed already: that is an answer too.
    let _ = wire.stream.write_all(&bytes).await;
    let rest = wire.rest().await;
    let text = String::from_utf8_lossy(&rest).into_owned();
    let statuses: Vec<u16> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|response| response.get(..3).and_then(|status| status.parse().ok()).expect("a status"))
        .collect();
    assert!(statuses.iter().all(|status| *status < 500), "{:?} for {:?}", statuses, String::from_utf8_lossy(&bytes));
    statuses.first().copied()
}

/// Request lines that are none.
#[test]
fn request_lines_are_strict() {
    runtime().block_on(async {
        let site = Site::plain(impatient()).await;
        let host = format!("\r\nHost: {}\r\n\r\n", site.host());
        for line in [
            "GET",
            "GET /echo",
            "GET  HTTP/1.1",
            "GET /echo HTTP/1.1 x",
            "GET /echo HTTP/1.2",
            "GET /echo HTTP/2.0",
            "GET /echo HTTP/0.9",
            "GET /echo http/1.1",
            "GET /echo HTTPS/1.1",
            "GET /e cho HTTP/1.1",
            "GET\t/echo\tHTTP/1.1",
            "G\0T /echo HTTP/1.1",
            "G{T /echo HTTP/1.1",
            "GET /\0echo HTTP/1.1",
            "GET /\x01 HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET echo HTTP/1.1",
            "GET ?x HTTP/1.1",
            "GET * HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET http:///echo HTTP/1.1",
            "GET /a%2Fb HTTP/1.1",
            "GET /% HTTP/1.1",
            "GET /echo?% HTTP/1.1",
            "CONNECT / HTTP/1.1",
        ] {
            let status = first_status(&site, format!("{line}{host}").into_bytes()).await;
            assert!(matches!(status, None | Some(400 | 421)), "{status:?} for {line}");
        }
        site.is_well().await;
    });
}

/// A CONNECT to a name of ours opens no tunnel.
#[test]
fn nothing_is_tunnelled() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let host = site.host();
        let response = site.ask("CONNECT", &host, "", "").await;
        assert_eq!((response.status, response.message().as_str()), (400, "the request target is not a path"));
        for upgrade in ["websocket", "h2c"] {
            let headers =
                format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n");
            assert_eq!(site.ask("GET", "/echo", &headers, "").await.status, 200, "{upgrade}");
        }
    });
}

/// Header lines that are none: where two readers could see two requests there is no request.
#[test]
fn header_lines_are_strict() {
    runtime().block_on(async {
        let site = Site::plain(impatient()).await;
        let host = format!("Host: {}", site.host());
        for lines in [
            "X : y",
            "X",
            ": y",
            "X: a\0b",
            "X: a\x01b",
            "X: a\x7fb",
            "X: a\rb",
            "X\0: a",
            "X(: a",
            "X: a\r\n folded",
            "X: a\r\n\tfolded",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: 0x1",
            "Content-Length: 1 1",
            "Content-Length: 99999999999999999999",
            "Content-Length: 1\r\nContent-Length: 2",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: ",
        ] {
            let bytes = format!("POST /echo HTTP/1.1\r\n{host}\r\n{lines}\r\n\r\n").into_bytes();
            let status = first_status(&site, bytes).await;
            assert!(matches!(status, None | Some(400)), "{status:?} for {lines:?}");
        }
        site.is_well().await;
    });
}

/// Chunked bodies whose framing does not hold end as incomplete, and nothing after them is taken for a request.
#[test]
fn chunks_are_strict() {
    runtime().block_on(async {
        let site = Site::plain(impatient()).await;
        let head = request("POST", "/body", &site.host(), "Transfer-Encoding: chunked\r\n", "");
        let smuggled = request("GET", "/echo", &site.host(), "", "");
        for body in [
            "x\r\n".to_owned(),
            "-1\r\nx\r\n0\r\n\r\n".to_owned(),
            "+1\r\nx\r\n0\r\n\r\n".to_owned(),
            "0x1\r\nx\r\n0\r\n\r\n".to_owned(),
            "1\nx\n0\n\n".to_owned(),
            "1\r\nxy\r\n0\r\n\r\n".to_owned(),
            "2\r\nx\r\n0\r\n\r\n".to_owned(),
            "FFFFFFFFFFFFFFFF\r\nx".to_owned(),
            "10000000000000001\r\nx\r\n0\r\n\r\n".to_owned(),
            "\r\n\r\n".to_owned(),
            format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(20_000)),
            format!("0\r\n{}\r\n", "T: x\r\n".repeat(20_000)),
            format!("0\r\nT: {}\r\n\r\n", "x".repeat(50_000)),
        ] {
            let bytes = format!("{head}{body}{smuggled}").into_bytes();
            let mut wire = site.connect().await;
            let _ = wire.stream.write_all(&bytes).await;
            let rest = String::from_utf8_lossy(&wire.rest().await).into_owned();
            assert!(!rest.contains("HTTP/1.1 200"), "{rest} for {:?}", body.get(..20));
            assert!(!rest.contains("HTTP/1.1 5"), "{rest}");
        }
        site.is_well().await;
    });
}

/// Two lengths: the chunks count (RFC 9112, 6.1), and nothing else is read from that connection.
#[test]
fn two_lengths_end_the_connection() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let smuggled = request("GET", "/echo", &site.host(), "", "");
        for headers in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        ] {
            let mut wire = site.connect().await;
            let head = request("POST", "/body", &site.host(), headers, "");
            wire.send(format!("{head}3\r\nabc\r\n0\r\n\r\n{smuggled}")).await;
            assert_eq!(wire.response().await.unwrap().body, "3");
            assert!(wire.rest().await.is_empty());
        }
    });
}

/// A length that lies cuts its own request short, or leaves bytes that are no request.
#[test]
fn lengths_that_lie_harm_their_own_connection() {
    runtime().block_on(async {
        let site = Site::plain(impatient()).await;
        let mut wire = site.connect().await;
        wire.send(request("POST", "/body", &site.host(), "Content-Length: 1\r\n", "") + "abc\r\n\r\n").await;
        assert_eq!(wire.response().await.unwrap().body, "1");
        assert_eq!(wire.response().await.unwrap().status, 400);
        assert!(wire.is_closed().await);
        let mut wire = site.connect().await;
        wire.send(request("POST", "/body", &site.host(), "Content-Length: 4\r\n", "") + "abc").await;
        assert_eq!(wire.response().await.unwrap().status, 408);
        assert!(wire.is_closed().await);
        site.is_well().await;
    });
}

/// Old clients are served, one request to a connection; what HTTP/1.0 does not have is refused.
#[test]
fn http_1_0_is_served_once() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        wire.send(format!("GET /echo HTTP/1.0\r\nHost: {}\r\n\r\n", site.host())).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
        assert!(wire.is_closed().await);
        for head in [
            "GET /echo HTTP/1.0\r\n".to_owned(),
            format!("POST /body HTTP/1.0\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n", site.host()),
        ] {
            let mut wire = site.connect().await;
            wire.send(head + "\r\n").await;
            assert_eq!(wire.response().await.unwrap().status, 400);
        }
    });
}

/// Every byte of a good request is changed in turn, in three ways: an answer below 500, or the end of that connection.
#[test]
fn every_byte_may_be_wrong() {
    runtime().block_on(async {
        let site = Site::plain(impatient()).await;
        let good = request("POST", "/body?x=%41", &site.host(), "Authorization: Bearer a.b\r\n", "{}").into_bytes();
        let host = site.host();
        let mut asked = JoinSet::new();
        let site = std::sync::Arc::new(site);
        for at in 0..good.len() {
            for mask in [0x01, 0x20, 0x80] {
                let (mut bytes, site) = (good.clone(), std::sync::Arc::clone(&site));
                bytes[at] ^= mask;
                asked.spawn(async move { first_status(&site, bytes).await });
            }
        }
        let answered = asked.join_all().await.into_iter().flatten().collect::<Vec<_>>();
        assert!(answered.contains(&200) && answered.contains(&400) && answered.contains(&421), "{host}");
        site.is_well().await;
    });
}

/// Bytes that are nothing, seeded: refused or closed.
#[test]
fn noise_is_refused() {
    runtime().block_on(async {
        let site = std::sync::Arc::new(Site::plain(impatient()).await);
        let mut random = seeded(59);
        let mut asked = JoinSet::new();
        for len in 1..200_usize {
            let mut noise = vec![0; len];
            random.fill_bytes(&mut noise);
            let site = std::sync::Arc::clone(&site);
            asked.spawn(async move { first_status(&site, noise).await });
        }
        let answered = asked.join_all().await.into_iter().flatten().collect::<Vec<_>>();
        assert!(answered.iter().all(|status| *status == 400), "{answered:?}");
        site.is_well().await;
    });
}
