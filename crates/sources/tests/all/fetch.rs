use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use rcgen::generate_simple_self_signed;
use rustls::CertificateError;
use skerry_sources::{AddressClass, Allowed, FetchError, FetchLimits, Fetcher, Origin, Resolver, Roots, RootsError};
use skerry_sources::{Stage, Url};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::server::{Answer, Server, roots, table};

async fn fetched(answer: Answer) -> Result<Vec<u8>, FetchError> {
    let server = Server::start().await;
    server.answer("/x", answer);
    server.fetcher().get(&server.url("/x"), 1000).await.map(|body| body.to_vec())
}

async fn refused(answer: Answer) -> FetchError {
    fetched(answer).await.unwrap_err()
}

fn raw(text: &str) -> Answer {
    Answer::Bytes(text.as_bytes().to_vec())
}

/// The control of everything below, and all that a server learns.
#[tokio::test]
async fn good_answer_is_fetched() {
    let server = Server::start().await;
    server.answer("/x?y=1", Answer::ok("hello"));
    let body = server.fetcher().get(&server.url("/x?y=1"), 5).await.unwrap();
    assert_eq!(body.as_ref(), b"hello");
    let expected = format!(
        "GET /x?y=1 HTTP/1.1\r\nhost: idp.example:{}\r\nuser-agent: skerry/0.1.0\r\naccept: */*\r\n\
         accept-encoding: identity\r\nconnection: close\r\n\r\n",
        server.port()
    );
    assert_eq!(server.requests(), [expected]);
}

/// A body may come in chunks or end with the connection.
#[tokio::test]
async fn bodies_come_in_three_forms() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
    assert_eq!(fetched(raw(chunked)).await.unwrap(), b"hello");
    assert_eq!(fetched(raw("HTTP/1.1 200 OK\r\n\r\nhello")).await.unwrap(), b"hello");
    assert_eq!(fetched(raw("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\nhello")).await.unwrap(), b"hello");
    assert_eq!(fetched(Answer::ok("x".repeat(1000))).await.unwrap(), [b'x'; 1000]);
}

/// Attack 17: a redirect is an answer that is refused; nobody goes where it points.
#[tokio::test]
async fn attack_17_redirect_is_not_followed() {
    let (server, trap) = (Server::start().await, Server::start().await);
    for status in [301, 302, 303, 307, 308] {
        for target in [trap.url("/").to_string(), "/y".to_owned(), "http://169.254.169.254/".to_owned()] {
            server.answer("/x", Answer::head(&format!("{status} X\r\nContent-Length: 0\r\nLocation: {target}")));
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = server.fetcher().get(&server.url("/x"), 1000).await.unwrap_err();
            assert_eq!(refusal, FetchError::Redirect { status });
        }
    }
    assert_eq!((server.requests().len(), server.count("/y"), trap.connections()), (15, 0, 0));
}

/// Attack 17: an origin that configuration does not name is not even resolved.
#[tokio::test]
async fn attack_17_origin_that_is_not_allowed() {
    let (server, trap) = (Server::start().await, Server::start().await);
    for text in [
        trap.url("/x").to_string(),
        format!("https://evil.example:{}/x", server.port()),
        format!("https://127.0.0.1:{}/x", server.port()),
        "https://idp.example/x".to_owned(),
    ] {
        let url = Url::parse(&text).unwrap();
        let refusal = server.fetcher().get(&url, 1000).await.unwrap_err();
        assert_eq!(refusal, FetchError::NotAllowed { origin: url.origin().clone() });
    }
    assert_eq!((server.connections(), trap.connections()), (0, 0));
}

/// Attack 17: a name of an allowed origin that leads inside, alone or beside a public address.
#[tokio::test]
async fn attack_17_name_that_leads_inside() {
    let server = Server::start().await;
    let origin = server.origin("idp.example");
    for (address, class) in [
        ("127.0.0.1", AddressClass::Loopback),
        ("::1", AddressClass::Loopback),
        ("::ffff:127.0.0.1", AddressClass::Loopback),
        ("10.0.0.1", AddressClass::Private),
        ("169.254.169.254", AddressClass::LinkLocal),
        ("224.0.0.1", AddressClass::Multicast),
        ("0.0.0.0", AddressClass::Reserved),
    ] {
        for names in [&[("idp.example", address)][..], &[("idp.example", "1.1.1.1"), ("idp.example", address)]] {
            let allowed = vec![Allowed::new(origin.clone())];
            let fetcher = Fetcher::new(allowed, &roots(), table(names), FetchLimits::default()).unwrap();
            let refusal = fetcher.get(&server.url("/x"), 1000).await.unwrap_err();
            let address = address.parse().unwrap();
            assert_eq!(refusal, FetchError::Address { origin: origin.clone(), address, class });
        }
    }
    assert_eq!(server.connections(), 0);
}

/// Attack 17: the same with the system's resolver, which knows this one name everywhere.
#[tokio::test]
async fn attack_17_system_resolves_to_loopback() {
    let server = Server::start().await;
    server.answer("/x", Answer::ok("hello"));
    let url = Url::parse(&format!("https://localhost:{}/x", server.port())).unwrap();
    let fetch = async |allowed: Allowed| {
        let limits = FetchLimits::default();
        Fetcher::new(vec![allowed], &roots(), Resolver::System, limits).unwrap().get(&url, 1000).await
    };
    let refusal = fetch(Allowed::new(url.origin().clone())).await.unwrap_err();
    assert!(matches!(refusal, FetchError::Address { class: AddressClass::Loopback, .. }), "{refusal:?}");
    assert_eq!(server.connections(), 0);
    let body = fetch(Allowed::new(url.origin().clone()).address(AddressClass::Loopback)).await.unwrap();
    assert_eq!(body.as_ref(), b"hello");
}

/// Attack 17: an address in the URL itself is judged like one that was looked up.
#[tokio::test]
async fn attack_17_address_as_host() {
    for (text, class) in [
        ("https://127.0.0.1:1/", AddressClass::Loopback),
        ("https://[::1]:1/", AddressClass::Loopback),
        ("https://169.254.169.254/", AddressClass::LinkLocal),
        ("https://[::ffff:a9fe:a9fe]/", AddressClass::LinkLocal),
        ("https://168.63.129.16/", AddressClass::LinkLocal),
        ("https://192.168.0.1/", AddressClass::Private),
    ] {
        let url = Url::parse(text).unwrap();
        // A class that is allowed for one origin is not for another.
        let other = Allowed::new(Origin::parse("https://10.0.0.1").unwrap()).address(class);
        let allowed = vec![other, Allowed::new(url.origin().clone())];
        let fetcher = Fetcher::new(allowed, &roots(), Resolver::System, FetchLimits::default()).unwrap();
        match fetcher.get(&url, 1000).await.unwrap_err() {
            FetchError::Address { origin, class: found, .. } => assert_eq!((&origin, found), (url.origin(), class)),
            other => panic!("{other:?}"),
        }
    }
}

/// Names without addresses, and names that nobody knows.
#[tokio::test]
async fn name_without_address() {
    let url = Url::parse("https://idp.example/x").unwrap();
    let allowed = || vec![Allowed::new(url.origin().clone())];
    let fetcher = Fetcher::new(allowed(), &roots(), table(&[]), FetchLimits::default()).unwrap();
    let refusal = fetcher.get(&url, 1000).await.unwrap_err();
    assert_eq!(refusal, FetchError::NoAddress { host: "idp.example".into() });
}

/// A server must show a certificate of the given roots for the name that was asked for.
#[tokio::test]
async fn certificate_must_be_of_the_name_and_the_roots() {
    let server = Server::start().await;
    let url = Url::parse(&format!("https://stranger.example:{}/x", server.port())).unwrap();
    let allowed = || vec![Allowed::new(url.origin().clone()).address(AddressClass::Loopback)];
    let names = || table(&[("stranger.example", "127.0.0.1")]);
    let fetcher = Fetcher::new(allowed(), &roots(), names(), FetchLimits::default()).unwrap();
    match fetcher.get(&url, 1000).await.unwrap_err() {
        FetchError::Tls(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {}
        other => panic!("{other:?}"),
    }
    let foreign = generate_simple_self_signed(vec!["idp.example".to_owned()]).unwrap();
    let foreign = Roots::from_der(&[foreign.cert.der()]).unwrap();
    let allowed = vec![Allowed::new(server.origin("idp.example")).address(AddressClass::Loopback)];
    let names = table(&[("idp.example", "127.0.0.1")]);
    let fetcher = Fetcher::new(allowed, &foreign, names, FetchLimits::default()).unwrap();
    let refusal = fetcher.get(&server.url("/x"), 1000).await.unwrap_err();
    assert_eq!(refusal, FetchError::Tls(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    assert_eq!(server.requests(), Vec::<String>::new());
}

/// Attack 17: a server that speaks plain HTTP where TLS is due is not spoken to.
#[tokio::test]
async fn attack_17_downgrade_to_plain_http() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = socket.accept().await.unwrap();
        stream.writable().await.unwrap();
        stream.try_write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        std::future::pending::<()>().await;
    });
    let refusal = to_loopback(port, FetchLimits::default()).await;
    assert_eq!(refusal, FetchError::Tls(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)));
}

/// Nobody listens: the address is named.
#[tokio::test]
async fn nobody_listens() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    drop(socket);
    let refusal = to_loopback(address.port(), FetchLimits::default()).await;
    assert_eq!(refusal, FetchError::Connect { address, kind: io::ErrorKind::ConnectionRefused });
}

/// Attack 59: a body of more bytes than allowed is not read, whether it says so, hides it, or never ends.
#[tokio::test]
async fn attack_59_oversize_bodies() {
    let too_large = FetchError::BodyTooLarge { max: 1000 };
    assert_eq!(refused(Answer::ok("x".repeat(1001))).await, too_large);
    // What is announced is believed at once: nothing of it need come.
    assert_eq!(refused(Answer::Stalls(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".to_vec())).await, too_large);
    assert_eq!(refused(Answer::NeverEnds(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await, too_large);
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    assert_eq!(refused(raw(&chunked)).await, too_large);
}

/// Attack 59: heads without end, of many headers or of large ones.
#[tokio::test]
async fn attack_59_oversize_heads() {
    let many = (0..65).map(|at| format!("X-{at}: x\r\n")).collect::<String>();
    assert_eq!(refused(raw(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"))).await, FetchError::HeadTooLarge);
    let large = "x".repeat(16 * 1024);
    assert_eq!(refused(raw(&format!("HTTP/1.1 200 OK\r\nX: {large}\r\n\r\n"))).await, FetchError::HeadTooLarge);
    assert_eq!(refused(Answer::NeverEnds(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await, FetchError::HeadTooLarge);
}

/// A lower limit of the head holds, too, though hyper reads more than that at once.
#[tokio::test]
async fn small_head_limit_holds() {
    let server = Server::start().await;
    let limits = FetchLimits { head_bytes_max: 100, ..FetchLimits::default() };
    // The status line has 17 bytes, the end 2.
    for (len, expected) in [(100, Ok(())), (101, Err(FetchError::HeadTooLarge))] {
        let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(len - 24));
        assert_eq!(head.len(), len);
        server.answer("/x", raw(&head));
        let fetched = server.fetcher_with(limits).get(&server.url("/x"), 1000).await;
        assert_eq!(fetched.map(|_| ()), expected, "{len}");
    }
}

/// Attack 59: what is compressed is refused, so that nothing can unfold.
#[tokio::test]
async fn attack_59_compressed_body() {
    for encoding in ["gzip", "br", "identity, gzip", "identity\r\nContent-Encoding: gzip"] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\r\nx");
        assert_eq!(refused(raw(&answer)).await, FetchError::Encoding, "{encoding}");
    }
}

/// Only 200 is an answer; what is cut short or no HTTP is none.
#[tokio::test]
async fn other_answers_are_refused() {
    for status in [204, 206, 400, 404, 500, 503] {
        let answer = Answer::head(&format!("{status} X\r\nContent-Length: 0"));
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(refused(answer).await, FetchError::Status { status });
    }
    assert_eq!(refused(raw("hello")).await, FetchError::Protocol { stage: Stage::Head });
    assert_eq!(refused(raw("")).await, FetchError::Closed { stage: Stage::Head });
    let cut = raw("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello");
    assert_eq!(refused(cut).await, FetchError::Closed { stage: Stage::Body });
}

/// Attack 59: a server that takes its time is left, wherever it stalls.
#[tokio::test]
async fn attack_59_slow_server() {
    // Long enough for a busy machine to get as far as the stall; all cases wait at the same time.
    let limits = FetchLimits { time_max: Duration::from_secs(1), ..FetchLimits::default() };
    let (server, mut cases) = (Server::start().await, JoinSet::new());
    for (at, (sent, stage)) in [
        ("", Stage::Head),
        ("HTTP/1.1 200 OK\r\nContent-", Stage::Head),
        ("HTTP/1.1 100 Continue\r\n\r\n", Stage::Head),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Stage::Body),
        ("HTTP/1.1 200 OK\r\n\r\nhell", Stage::Body),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{at}");
        server.answer(&path, Answer::Stalls(sent.as_bytes().to_vec()));
        let (fetcher, url) = (server.fetcher_with(limits), server.url(&path));
        cases.spawn(async move { (fetcher.get(&url, 1000).await.unwrap_err(), stage) });
    }
    // Never accepted, so the handshake is never answered: the backlog takes the connection.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    cases.spawn(async move { (to_loopback(port, limits).await, Stage::Handshake) });
    for (refusal, stage) in cases.join_all().await {
        assert_eq!(refusal, FetchError::Timeout { stage });
    }
}

/// Roots are certificates, some, and not too many.
#[test]
fn roots_are_certificates() {
    assert_eq!(Roots::from_pem(b"").unwrap_err(), RootsError::Empty);
    assert_eq!(Roots::from_pem(b"hello").unwrap_err(), RootsError::Empty);
    assert_eq!(
        Roots::from_pem(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----").unwrap_err(),
        RootsError::Pem
    );
    assert_eq!(Roots::from_der(&vec![b"x"; 513]).unwrap_err(), RootsError::TooMany);
    match Roots::from_der(&[b"x"]).unwrap_err() {
        RootsError::Certificate { at: 0, .. } => {}
        other => panic!("{other:?}"),
    }
}

async fn to_loopback(port: u16, limits: FetchLimits) -> FetchError {
    let url = Url::parse(&format!("https://127.0.0.1:{port}/x")).unwrap();
    let allowed = vec![Allowed::new(url.origin().clone()).address(AddressClass::Loopback)];
    let fetcher = Fetcher::new(allowed, &roots(), Resolver::System, limits).unwrap();
    fetcher.get(&url, 1000).await.unwrap_err()
}
