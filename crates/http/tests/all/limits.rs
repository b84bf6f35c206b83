//! What a stranger may cost: each limit is met, and the server is well afterwards.

use std::time::Duration;

use skerry_http::Limits;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::support::{Site, Wire, in_time, request, runtime};

/// Long enough for a loaded machine to come round to what is expected within, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

/// Connections beyond the limit are closed; a place that is given back is taken by the next.
#[test]
fn connections_are_counted() {
    runtime().block_on(async {
        let site = Site::plain(Limits { connections_max: 2, ..Limits::default() }).await;
        let mut held = [site.connect().await, site.connect().await];
        for wire in &mut held {
            wire.send(request("GET", "/echo", &site.host(), "", "")).await;
            assert_eq!(wire.response().await.unwrap().status, 200);
        }
        assert!(site.connect().await.is_closed().await);
        drop(held);
        becomes_well(&site).await;
    });
}

/// One address has its own limit, and does not take the places of others.
#[test]
fn connections_are_counted_by_peer() {
    runtime().block_on(async {
        let site = Site::plain(Limits { connections_max: 3, connections_per_peer_max: 1, ..Limits::default() }).await;
        let mut held = site.connect_from([127, 0, 0, 2]).await;
        held.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(held.response().await.unwrap().status, 200);
        assert!(site.connect_from([127, 0, 0, 2]).await.is_closed().await);
        site.is_well().await;
    });
}

/// More requests than may be in flight get 503 and when to come again, in all and by address; the connection stays good.
#[test]
fn requests_in_flight_are_counted() {
    runtime().block_on(async {
        for (limits, others) in [
            (Limits { in_flight_max: 1, ..Limits::default() }, 503),
            (Limits { in_flight_per_peer_max: 1, ..Limits::default() }, 200),
        ] {
            let site = Site::plain(limits).await;
            let mut first = site.connect().await;
            first.send(request("GET", "/wait", &site.host(), "", "")).await;
            site.gate.somebody().await;
            let mut second = site.connect().await;
            second.send(request("GET", "/panic", &site.host(), "", "")).await;
            let busy = second.response().await.unwrap();
            assert_eq!((busy.status, busy.code().as_str(), busy.header("retry-after")), (503, "ServerBusy", Some("1")));
            let mut other = site.connect_from([127, 0, 0, 2]).await;
            other.send(request("GET", "/echo", &site.host(), "", "")).await;
            assert_eq!(other.response().await.unwrap().status, others);
            site.gate.go.add_permits(1);
            assert_eq!(first.response().await.unwrap().body, "waited");
            second.send(request("GET", "/echo", &site.host(), "", "")).await;
            assert_eq!(second.response().await.unwrap().status, 200);
        }
    });
}

/// `Retry-After` makes clients ask again whatever the status, so nothing final carries it.
#[test]
fn only_busy_is_worth_a_retry() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let far = format!("/{}", "a/".repeat(40));
        for (method, path, headers, body) in [
            ("GET", "/echo", "", ""),
            ("GET", "/unread", "", ""),
            ("GET", "/panic", "", ""),
            ("GET", "/%00", "", ""),
            ("GET", far.as_str(), "", ""),
            ("POST", "/body", "Content-Encoding: gzip\r\n", "x"),
            ("POST", "/body", "Content-Length: 9999999\r\n", ""),
        ] {
            assert_eq!(site.ask(method, path, headers, body).await.header("retry-after"), None, "{path}");
        }
    });
}

/// All bodies together have a budget: what is beyond gets 503, and what ends gives its share back.
#[test]
fn bodies_are_paid_from_one_budget() {
    runtime().block_on(async {
        let site = Site::plain(Limits { bodies_bytes_max: 1_000, ..Limits::default() }).await;
        let mut first = site.connect().await;
        first.send(request("POST", "/read-then-wait", &site.host(), "", &"x".repeat(800))).await;
        site.gate.somebody().await;
        let refused = site.ask("POST", "/body", "", &"x".repeat(201)).await;
        assert_eq!((refused.status, refused.body.as_str()), (503, "too many bodies are being held"));
        assert_eq!(site.ask("POST", "/body", "", &"x".repeat(200)).await.body, "200");
        site.gate.go.add_permits(1);
        assert_eq!(first.response().await.unwrap().body, "800");
        assert_eq!(site.ask("POST", "/body", "", &"x".repeat(1_000)).await.body, "1000");
    });
}

/// A connection that says nothing, or not all of a head, is closed after the time for heads; trickling does not extend it.
#[test]
fn heads_have_a_time() {
    runtime().block_on(async {
        let site = Site::plain(Limits { head_time_max: SHORT, ..Limits::default() }).await;
        for bytes in ["", "G", "GET /echo HTTP/1.1\r\nHost: ", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut wire = site.connect().await;
            wire.send(bytes).await;
            in_time(wire.rest()).await;
        }
        let mut wire = site.connect().await;
        wire.send("GET /echo HTTP/1.1\r\n").await;
        // Each byte comes well within the time.
        let bytes = in_time(async {
            let mut bytes = 0;
            while wire.is_open_for(SHORT / 10).await && wire.stream.write_all(b"x").await.is_ok() {
                bytes += 1;
            }
            bytes
        });
        assert!(bytes.await < 40);
        site.is_well().await;
    });
}

/// The time for a head counts for each request of a connection, from its first byte.
#[test]
fn later_heads_have_a_time_too() {
    runtime().block_on(async {
        let site = Site::plain(Limits { head_time_max: SHORT, ..Limits::default() }).await;
        let mut wire = site.connect().await;
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
        assert!(wire.is_open_for(SHORT * 3).await, "idle is not slow");
        wire.send("GET /e").await;
        assert!(wire.is_closed().await);
    });
}

/// A body that does not come in its time is refused by the surface that asked for it, and ends the connection.
#[test]
fn bodies_have_a_time() {
    runtime().block_on(async {
        let site = Site::plain(Limits { body_time_max: SHORT, linger_time_max: SHORT, ..Limits::default() }).await;
        for sent in ["", "12345"] {
            let mut wire = site.connect().await;
            wire.send(request("POST", "/body", &site.host(), "Content-Length: 10\r\n", "")).await;
            wire.send(sent).await;
            let response = wire.response().await.unwrap();
            assert_eq!((response.status, response.body.as_str()), (408, "the body did not come in time"));
            assert!(wire.is_closed().await);
        }
    });
}

/// A connection on which nothing happens is closed after the idle time, and not before.
#[test]
fn idle_connections_are_closed() {
    runtime().block_on(async {
        let site = Site::plain(Limits { idle_time_max: SHORT * 4, ..Limits::default() }).await;
        let mut wire = site.connect().await;
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
        assert!(wire.is_open_for(SHORT).await);
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
        assert!(wire.is_closed().await);
    });
}

/// The body of a request that was answered without it is no slow head: its connection idles as others do.
#[test]
fn an_unwanted_body_is_no_slow_head() {
    runtime().block_on(async {
        let site = Site::plain(Limits { head_time_max: SHORT, ..Limits::default() }).await;
        let mut wire = site.connect().await;
        wire.send(request("POST", "/unread", &site.host(), "Content-Length: 10\r\n", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 401);
        wire.send("0123456789").await;
        assert!(wire.is_open_for(SHORT * 3).await);
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
    });
}

/// An unwanted body that does not come ends its connection after the time to linger.
#[test]
fn an_unwanted_body_has_a_time() {
    runtime().block_on(async {
        let site = Site::plain(Limits { linger_time_max: SHORT, ..Limits::default() }).await;
        let mut wire = site.connect().await;
        wire.send(request("POST", "/unread", &site.host(), "Content-Length: 10\r\n", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 401);
        assert!(wire.is_closed().await);
    });
}

/// A request that outlasts its time is answered for; its work goes on, and holds its place until it is done.
#[test]
fn requests_have_a_time() {
    runtime().block_on(async {
        let limits = Limits { request_time_max: SHORT, in_flight_max: 1, ..Limits::default() };
        let site = Site::plain(limits).await;
        let response = site.get("/wait").await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
        assert_eq!(site.get("/echo").await.status, 503);
        site.gate.go.add_permits(1);
        becomes_well(&site).await;
    });
}

/// A client that never closes is cut off after the time to linger: its place is free again.
#[test]
fn clients_that_do_not_close_are_cut_off() {
    runtime().block_on(async {
        let limits = Limits { connections_max: 1, linger_time_max: SHORT, ..Limits::default() };
        let site = Site::plain(limits).await;
        let mut wire = site.connect().await;
        wire.send("no http\r\n\r\n").await;
        assert_eq!(wire.response().await.unwrap().status, 400);
        assert!(wire.is_closed().await);
        becomes_well(&site).await;
    });
}

/// A client that asks and never reads is not read from for ever: what the server holds for it is bounded.
#[test]
fn replies_that_nobody_takes_are_bounded() {
    runtime().block_on(async {
        let limits = Limits { idle_time_max: SHORT * 2, linger_time_max: SHORT, ..Limits::default() };
        for method in ["HEAD", "GET"] {
            let site = Site::plain(limits).await;
            never_reads(site.connect().await, &request(method, "/unread", &site.host(), "", "")).await;
            let site = Site::tls(limits).await;
            let wire = site.connect_tls("host.test", &[]).await;
            never_reads(wire, &request(method, "/unread", &site.host(), "", "")).await;
        }
    });
}

/// Buffers of the system hold some megabytes; what is beyond them the server would have to hold.
async fn never_reads<S: AsyncRead + AsyncWrite + Unpin>(mut wire: Wire<S>, one: &str) {
    let batch = one.repeat(1_000);
    let mut sent = 0;
    while in_time(wire.stream.write_all(batch.as_bytes())).await.is_ok() {
        sent += batch.len();
        assert!(sent < 32 << 20, "the server goes on reading");
    }
}

/// A head limit below what the HTTP implementation can do is that of the implementation.
#[test]
fn small_limits_are_no_panic() {
    runtime().block_on(async {
        let limits = Limits {
            head_bytes_max: 1,
            h2_stream_window_bytes: u32::MAX,
            h2_connection_window_bytes: u32::MAX,
            in_flight_max: usize::MAX,
            bodies_bytes_max: usize::MAX,
            idle_time_max: Duration::MAX,
            ..Limits::default()
        };
        let site = Site::plain(limits).await;
        assert_eq!(site.ask("GET", "/echo", &format!("X: {}\r\n", "x".repeat(7_000)), "").await.status, 200);
        assert_eq!(site.ask("GET", "/echo", &format!("X: {}\r\n", "x".repeat(9_000)), "").await.status, 431);
    });
}

/// A place is given back a moment after its client has seen the end.
async fn becomes_well(site: &Site) {
    in_time(async {
        loop {
            let mut wire = site.connect().await;
            if wire.stream.write_all(request("GET", "/echo", &site.host(), "", "").as_bytes()).await.is_err() {
                continue;
            }
            if wire.response().await.is_some_and(|response| response.status == 200) {
                return;
            }
        }
    })
    .await;
}
