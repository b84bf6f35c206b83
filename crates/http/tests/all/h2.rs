//! HTTP/2: the same answers as HTTP/1.1, and what can be done to it by frames.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use skerry_http::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{BODY_MAX, Site, in_time, runtime};

const SHORT: Duration = Duration::from_millis(300);

type Client = SendRequest<Full<Bytes>>;

async fn client(site: &Site, sni: &str) -> Client {
    let stream = site.tls_stream(sni, &[b"h2"]).await;
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn send(client: &mut Client, request: Request<Full<Bytes>>) -> Response<Bytes> {
    in_time(client.ready()).await.unwrap();
    let (parts, body) = in_time(client.send_request(request)).await.unwrap().into_parts();
    Response::from_parts(parts, in_time(body.collect()).await.unwrap().to_bytes())
}

fn request(method: Method, host: &str, path: &str, body: &[u8]) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::copy_from_slice(body));
    Request::builder().method(method).uri(format!("https://{host}{path}")).body(body).unwrap()
}

fn get(host: &str, path: &str) -> Request<Full<Bytes>> {
    request(Method::GET, host, path, b"")
}

/// Requests, bodies and HEAD are answered as over HTTP/1.1, with the headers of all.
#[test]
fn requests_are_answered() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let (mut client, host) = (client(&site, "host.test").await, site.host());
        let response = send(&mut client, get(&host, "//keys/a%20b?api%2Dversion=7.4")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(body.contains(&format!("\"origin\":\"https://{host}\"")) && body.contains("\"a b\""), "{body}");
        assert_eq!(response.headers()["x-ms-request-id"].len(), 36);
        assert_eq!(response.headers()["content-length"], body.len().to_string());
        assert!(response.headers().contains_key("strict-transport-security"));
        let response = send(&mut client, request(Method::POST, &host, "/body", b"abc")).await;
        assert_eq!(response.body().as_ref(), b"3");
        let response = send(&mut client, request(Method::HEAD, &host, "/body", b"")).await;
        assert_eq!((&response.headers()["content-length"], response.body().len()), (&"1".parse().unwrap(), 0));
        let response = send(&mut client, request(Method::POST, &host, "/body", &vec![0; BODY_MAX + 1])).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(send(&mut client, get(&host, "/panic")).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(send(&mut client, get(&host, "/echo")).await.status(), StatusCode::OK);
    });
}

/// `:authority` is the host: another's is 421 on a connection that stays good, and a Host that differs is 400.
#[test]
fn the_authority_is_the_host() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let (mut client, port) = (client(&site, "kv1.vault.test").await, site.address.port());
        for (host, status) in [
            ("kv1.vault.test", StatusCode::OK),
            ("kv2.vault.test", StatusCode::MISDIRECTED_REQUEST),
            ("evil.test", StatusCode::MISDIRECTED_REQUEST),
            ("KV1.vault.test", StatusCode::OK),
        ] {
            let response = send(&mut client, get(&format!("{host}:{port}"), "/echo")).await;
            assert_eq!(response.status(), status, "{host}");
        }
        let host = format!("kv1.vault.test:{port}");
        for (header, status) in [(host.as_str(), StatusCode::OK), ("kv2.vault.test", StatusCode::BAD_REQUEST)] {
            let mut request = get(&host, "/echo");
            request.headers_mut().insert("host", header.parse().unwrap());
            assert_eq!(send(&mut client, request).await.status(), status, "{header}");
        }
    });
}

/// Heads have the same limits as over HTTP/1.1.
#[test]
fn heads_are_limited() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let (mut client, host) = (client(&site, "host.test").await, site.host());
        let mut many = get(&host, "/panic");
        for _ in 0..101 {
            many.headers_mut().append("x", "y".parse().unwrap());
        }
        let mut long = get(&host, "/panic");
        long.headers_mut().insert("x", "y".repeat(40_000).parse().unwrap());
        for request in [many, long] {
            assert_eq!(send(&mut client, request).await.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        assert_eq!(send(&mut client, get(&host, "/echo")).await.status(), StatusCode::OK);
    });
}

/// A request that takes the last place makes the next one wait for nothing: 503, on a connection that stays good.
#[test]
fn too_many_are_busy() {
    runtime().block_on(async {
        let site = Site::tls(Limits { in_flight_per_peer_max: 1, ..Limits::default() }).await;
        let (mut client, host) = (client(&site, "host.test").await, site.host());
        let waiting = client.send_request(get(&host, "/wait"));
        site.gate.somebody().await;
        let busy = send(&mut client, get(&host, "/echo")).await;
        assert_eq!(
            (busy.status(), &busy.headers()["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
        site.gate.go.add_permits(1);
        assert_eq!(in_time(waiting).await.unwrap().status(), StatusCode::OK);
        assert_eq!(send(&mut client, get(&host, "/echo")).await.status(), StatusCode::OK);
    });
}

/// Frames by hand, over a connection without TLS.
struct Frames {
    stream: TcpStream,
    host: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 0xb;
const REFUSED_STREAM: u32 = 7;
/// `:status 200`, the first octet of the head of such a response (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

impl Frames {
    async fn open(site: &Site, settings: &[(u16, u32)]) -> Frames {
        let stream = TcpStream::connect(site.address).await.unwrap();
        let mut frames = Frames { stream, host: site.host() };
        frames.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let payload = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        frames.send(SETTINGS, 0, 0, &payload.collect::<Vec<_>>()).await;
        frames
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// False if the server has closed.
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        in_time(self.stream.write_all(&Self::frame(kind, flags, stream, payload))).await.is_ok()
    }

    fn head(&self, method: &str, path: &str) -> Vec<u8> {
        let fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", &self.host)];
        fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
    }

    async fn get(&mut self, stream: u32, path: &str) -> bool {
        let head = self.head("GET", path);
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head).await
    }

    async fn reset(&mut self, stream: u32) -> bool {
        self.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await
    }

    /// The next frame, or none if the server closed.
    async fn next(&mut self) -> Option<Frame> {
        in_time(async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; len as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], flags: head[4], stream, payload })
        })
        .await
    }

    /// The next frame of a kind.
    async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The error code of the GOAWAY that the server closes with.
    async fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        code
    }
}

/// A field that is neither indexed nor compressed (RFC 7541, 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    assert!(name.len() < 127 && value.len() < 127);
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn code(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.payload[..4].try_into().unwrap())
}

/// Streams beyond the number that was announced are refused.
#[test]
fn streams_are_counted() {
    runtime().block_on(async {
        let site = Site::plain(Limits { h2_streams_max: 2, ..Limits::default() }).await;
        let mut frames = Frames::open(&site, &[]).await;
        let settings = frames.next_of(SETTINGS).await.unwrap();
        let announced = settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]).unwrap();
        assert_eq!(announced[2..], 2_u32.to_be_bytes());
        for stream in [1, 3, 5] {
            frames.get(stream, "/wait").await;
        }
        let reset = frames.next_of(RST_STREAM).await.unwrap();
        assert_eq!((reset.stream, code(&reset)), (5, REFUSED_STREAM));
        site.gate.go.add_permits(2);
        assert_eq!(frames.next_of(HEADERS).await.unwrap().payload[0], STATUS_200);
    });
}

/// Rapid reset (CVE-2023-44487): the connection is ended, whatever else it has open.
#[test]
fn rapid_resets_end_the_connection() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut frames = Frames::open(&site, &[]).await;
        let head = frames.head("GET", "/wait");
        let mut batch = Vec::new();
        for stream in (1..4_000).step_by(2) {
            batch.extend(Frames::frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
            batch.extend(Frames::frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        // The server may close before it has taken all.
        let _ = frames.stream.write_all(&batch).await;
        assert!(matches!(frames.goaway().await, Some(ENHANCE_YOUR_CALM) | None));
        site.is_well().await;
    });
}

/// Made you reset (CVE-2025-8671): errors that make the server reset streams end the connection too.
#[test]
fn provoked_resets_end_the_connection() {
    runtime().block_on(async {
        let site = Site::plain(Limits { h2_local_resets_max: 4, ..Limits::default() }).await;
        let mut frames = Frames::open(&site, &[]).await;
        for stream in (1..100).step_by(2) {
            frames.get(stream, "/wait").await;
            // A window beyond what there may be (RFC 9113, 6.9.1).
            frames.send(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()).await;
        }
        assert!(matches!(frames.goaway().await, Some(ENHANCE_YOUR_CALM) | None));
        site.is_well().await;
    });
}

/// Work whose stream was reset keeps its place until it is done: resetting gains nobody more than the places there are.
#[test]
fn reset_work_keeps_its_place() {
    runtime().block_on(async {
        let site = Site::plain(Limits { in_flight_per_peer_max: 1, ..Limits::default() }).await;
        let mut frames = Frames::open(&site, &[]).await;
        frames.get(1, "/wait").await;
        site.gate.somebody().await;
        frames.reset(1).await;
        frames.get(3, "/echo").await;
        assert_ne!(frames.next_of(HEADERS).await.unwrap().payload[0], STATUS_200);
        site.gate.go.add_permits(1);
        let mut stream = 5;
        loop {
            frames.get(stream, "/echo").await;
            if frames.next_of(HEADERS).await.unwrap().payload[0] == STATUS_200 {
                break;
            }
            stream += 2;
        }
    });
}

/// A connection is idle once its last stream was reset, though the work behind it goes on, and ends as idle ones do.
#[test]
fn a_reset_leaves_an_idle_connection() {
    runtime().block_on(async {
        let site = Site::plain(Limits { idle_time_max: SHORT, linger_time_max: SHORT, ..Limits::default() }).await;
        let mut frames = Frames::open(&site, &[]).await;
        frames.get(1, "/wait").await;
        site.gate.somebody().await;
        frames.reset(1).await;
        assert_eq!(frames.goaway().await, Some(0));
    });
}

/// An idle connection is told to go (RFC 9113, 6.8), however many pings it sends.
#[test]
fn idle_connections_are_told() {
    runtime().block_on(async {
        let site = Site::plain(Limits { idle_time_max: SHORT, linger_time_max: SHORT, ..Limits::default() }).await;
        let mut frames = Frames::open(&site, &[]).await;
        frames.get(1, "/echo").await;
        assert_eq!(frames.next_of(HEADERS).await.unwrap().payload[0], STATUS_200);
        let mut gone = false;
        while !gone {
            frames.send(PING, 0, 0, &[0; 8]).await;
            gone = frames.next().await.is_none_or(|frame| frame.kind == GOAWAY);
        }
        frames.goaway().await;
        site.is_well().await;
    });
}

/// A client that leaves no window for its reply is cut off, however busy it keeps the connection otherwise.
#[test]
fn replies_that_nobody_takes_have_a_time() {
    runtime().block_on(async {
        let limits = Limits { request_time_max: SHORT, idle_time_max: SHORT, ..Limits::default() };
        let site = Site::plain(limits).await;
        let no_window = [(4, 0)];
        let mut frames = Frames::open(&site, &no_window).await;
        frames.get(1, "/echo").await;
        let head = frames.head("HEAD", "/echo");
        let mut stream = 3;
        in_time(async {
            while frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head).await {
                stream += 2;
                match frames.next_of(HEADERS).await {
                    Some(answer) => assert_eq!(answer.payload[0], STATUS_200),
                    None => break,
                }
            }
        })
        .await;
        site.is_well().await;
    });
}

/// A head that never ends is not kept (CVE-2024-27316).
#[test]
fn endless_heads_are_ended() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut frames = Frames::open(&site, &[]).await;
        let (head, field) = (frames.head("GET", "/panic"), literal("x", &"y".repeat(120)).repeat(100));
        frames.send(HEADERS, END_STREAM, 1, &head).await;
        for _ in 0..100 {
            frames.send(CONTINUATION, 0, 1, &field).await;
        }
        assert_eq!(frames.goaway().await, Some(ENHANCE_YOUR_CALM));
        site.is_well().await;
    });
}

/// A head that stops half-way has the time that heads have.
#[test]
fn half_heads_have_a_time() {
    runtime().block_on(async {
        let site = Site::plain(Limits { head_time_max: SHORT, ..Limits::default() }).await;
        let mut frames = Frames::open(&site, &[]).await;
        let head = frames.head("GET", "/panic");
        frames.send(HEADERS, END_STREAM, 1, &head).await;
        while frames.next().await.is_some() {}
        site.is_well().await;
    });
}

/// Control frames that want an answer nobody reads: the server stops, and the connection ends.
#[test]
fn floods_of_control_frames_end() {
    runtime().block_on(async {
        let limits = Limits { head_time_max: SHORT, idle_time_max: SHORT, linger_time_max: SHORT, ..Limits::default() };
        let site = Site::plain(limits).await;
        for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[]), (WINDOW_UPDATE, &[0, 0, 0, 1])] {
            let mut frames = Frames::open(&site, &[]).await;
            let batch = Frames::frame(kind, 0, 0, payload).repeat(10_000);
            while in_time(frames.stream.write_all(&batch)).await.is_ok() {}
        }
        site.is_well().await;
    });
}

/// A body of empty frames (CVE-2019-9518) ends the connection.
#[test]
fn empty_frames_are_no_body() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let mut frames = Frames::open(&site, &[]).await;
        let head = frames.head("POST", "/body");
        frames.send(HEADERS, END_HEADERS, 1, &head).await;
        for _ in 0..1_000 {
            frames.send(DATA, 0, 1, &[]).await;
        }
        assert_eq!(frames.goaway().await, Some(ENHANCE_YOUR_CALM));
        site.is_well().await;
    });
}

/// More data than the window has, and frames that are none, end their own connection.
#[test]
fn broken_frames_end_their_connection() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let beyond = [Frames::frame(DATA, 0, 1, &[0; 16_384]).repeat(16), Vec::new()].concat();
        for bytes in [
            beyond,
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            vec![0xff; 64],
            Frames::frame(DATA, 0, 0, b"x"),
            Frames::frame(HEADERS, END_HEADERS, 2, &[0x82]),
            Frames::frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Frames::frame(PING, 0, 0, b"short"),
            Frames::frame(CONTINUATION, END_HEADERS, 1, &[]),
            Frames::frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            Frames::frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        ] {
            let mut frames = Frames::open(&site, &[]).await;
            let head = frames.head("POST", "/wait");
            frames.send(HEADERS, END_HEADERS, 1, &head).await;
            site.gate.somebody().await;
            let _ = frames.stream.write_all(&bytes).await;
            let code = frames.goaway().await;
            assert_ne!(code, Some(0), "{:?}", bytes.get(..16));
            site.gate.go.add_permits(1);
        }
        site.is_well().await;
    });
}

/// Tunnels and pseudo-headers that are no request are refused (RFC 9113, 8.3.1, 8.5).
#[test]
fn requests_need_their_pseudo_headers() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let host = site.host();
        let fields = |fields: &[(&str, &str)]| fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let heads: [Vec<u8>; 7] = [
            fields(&[(":method", "CONNECT"), (":authority", &host)]),
            fields(&[(":method", "GET"), (":scheme", "http"), (":authority", &host)]),
            fields(&[(":method", "GET"), (":path", "/panic"), (":authority", &host)]),
            fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/panic")]),
            fields(&[(":method", "GET"), (":scheme", "http"), (":path", "*"), (":authority", &host)]),
            fields(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/panic"),
                (":authority", &host),
                ("Upper", "x"),
            ]),
            fields(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/panic"),
                (":authority", &host),
                ("connection", "x"),
            ]),
        ];
        for (number, head) in heads.iter().enumerate() {
            let mut frames = Frames::open(&site, &[]).await;
            frames.send(HEADERS, END_HEADERS | END_STREAM, 1, head).await;
            let refused = loop {
                let frame = frames.next().await;
                match frame {
                    Some(Frame { kind: HEADERS, payload, .. }) => break payload[0] != STATUS_200 && payload[0] != 0x8e,
                    Some(Frame { kind: RST_STREAM | GOAWAY, .. }) | None => break true,
                    Some(_) => {}
                }
            };
            assert!(refused, "head {number}");
        }
        let mut frames = Frames::open(&site, &[]).await;
        let by_host = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/echo"), ("host", &host)]);
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &by_host).await;
        assert_eq!(frames.next_of(HEADERS).await.unwrap().payload[0], STATUS_200);
    });
}
