//! The HTTPS client against servers that answer, lie, stall by closing, or are somebody else.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use http::Method;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use skerry_client::Roots;
use skerry_client::attestation::{AttestError, attest_snp};
use skerry_client::http::{Answer, Ask, Client, Endpoint, HttpError};
use skerry_client::limits::ANSWER_BYTES_MAX;

pub(crate) struct Certified {
    pub(crate) der: Vec<u8>,
    key: Vec<u8>,
}

pub(crate) fn certified() -> &'static Certified {
    static CERTIFIED: OnceLock<Certified> = OnceLock::new();
    CERTIFIED.get_or_init(|| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "kv1.invalid".to_owned()]).unwrap();
        Certified { der: params.self_signed(&key).unwrap().der().to_vec(), key: key.serialized_der().to_vec() }
    })
}

/// A server that reads one request and writes these bytes: where it is, and what it read.
fn server(tls: bool, answer: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        if !tls {
            // What is no TLS record ends the handshake at once.
            stream.write_all(&answer).unwrap();
            return String::new();
        }
        let mut stream = StreamOwned::new(ServerConnection::new(server_config()).unwrap(), stream);
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        // A client that does not believe the certificate goes away, which is no failure of the server's.
        while !read.ends_with(b"\r\n\r\n") && !read.ends_with(b"}") {
            match stream.read(&mut chunk) {
                Ok(len) if len > 0 => read.extend_from_slice(&chunk[..len]),
                _ => return String::new(),
            }
        }
        stream.write_all(&answer).ok();
        stream.conn.send_close_notify();
        stream.flush().ok();
        String::from_utf8(read).unwrap()
    });
    (url, thread)
}

pub(crate) fn server_config() -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified().key.clone()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certified().der.clone().into()], key).unwrap();
    Arc::new(config)
}

pub(crate) fn response(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn client() -> Client {
    Client::new(&Roots::new(&certified().der).unwrap()).unwrap()
}

fn ask(url: &str, ask: Ask<'_>) -> Result<Answer, HttpError> {
    run(client().ask(&Endpoint::parse(url).unwrap(), ask))
}

fn get() -> Ask<'static> {
    Ask { method: Method::GET, path: "/keys?api-version=7.4", bearer: None, body: None }
}

/// One request as servers need it, and its answer, whatever the status.
#[test]
fn request_is_whole_and_answer_is_given_back() {
    let (url, thread) = server(true, response("418 Teapot", "short and stout"));
    let body = Some(r#"{"a":1}"#.to_owned());
    let ask_it = Ask { method: Method::POST, path: "/x?y=%20", bearer: Some("to.ke.n"), body };
    let answer = ask(&format!("{url}/below/"), ask_it).unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (418, &b"short and stout"[..]));
    let read = thread.join().unwrap();
    assert!(read.starts_with("POST /below/x?y=%20 HTTP/1.1\r\n"), "{read}");
    let authority = url.strip_prefix("https://").unwrap();
    for line in [&format!("host: {authority}"), "authorization: Bearer to.ke.n", "content-type: application/json"] {
        assert!(read.contains(&format!("\r\n{line}\r\n")), "{line} is not in\n{read}");
    }
    assert!(read.ends_with("\r\n\r\n{\"a\":1}"), "{read}");
}

/// A redirect is an answer like any other: nobody is sent elsewhere with a token.
#[test]
fn redirects_are_not_followed() {
    let (url, thread) =
        server(true, b"HTTP/1.1 302 Found\r\nLocation: https://localhost:1/\r\nContent-Length: 0\r\n\r\n".to_vec());
    assert_eq!(ask(&url, get()).unwrap().status.as_u16(), 302);
    thread.join().unwrap();
}

/// Only https URLs that can be read in one way.
#[test]
fn odd_urls_are_refused() {
    for url in [
        "",
        "localhost",
        "http://localhost",
        "https://",
        "https://user@localhost",
        "https://localhost?x=1",
        "https://localhost/#x",
        "https://local host",
        "https://-",
        "https://localhost:",
        "https://localhost:x",
        "https://localhost:65536",
        "https://localhost:0443",
        "https://localhost.",
    ] {
        assert_eq!(Endpoint::parse(url), Err(HttpError::Url(url.to_owned())), "{url}");
    }
    for url in ["https://localhost", "https://localhost:8443/", "https://127.0.0.1:1", "https://[::1]:8443/a/b"] {
        assert!(Endpoint::parse(url).is_ok(), "{url}");
    }
}

/// A token that would break out of its header goes nowhere.
#[test]
fn odd_tokens_are_refused() {
    let (url, thread) = server(true, response("200 OK", ""));
    let refused = ask(&url, Ask { bearer: Some("a\r\nHost: evil"), ..get() }).map(drop);
    assert_eq!(refused, Err(HttpError::Bearer));
    let refused = ask(&url, Ask { path: "/a b", ..get() }).map(drop);
    assert_eq!(refused, Err(HttpError::Url(format!("{url}/a b"))));
    // Neither was sent: the server still waits for its one request.
    assert!(ask(&url, get()).is_ok());
    thread.join().unwrap();
}

/// A certificate of another CA, or for another name, is not believed, and nothing is sent.
#[test]
fn strangers_are_not_believed() {
    let (url, thread) = server(true, response("200 OK", ""));
    let other = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let other = other.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let stranger = Client::new(&Roots::new(other.der()).unwrap()).unwrap();
    let refused = run(stranger.ask(&Endpoint::parse(&url).unwrap(), get())).map(drop).unwrap_err();
    let HttpError::Certificate { source: rustls::Error::InvalidCertificate(_), .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(thread.join().unwrap(), "");
    let (url, thread) = server(true, response("200 OK", ""));
    let refused = ask(&url.replace("localhost", "127.0.0.1"), get()).map(drop).unwrap_err();
    let HttpError::Certificate { source, .. } = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("not valid for name"), "{source}");
    assert_eq!(thread.join().unwrap(), "");
}

/// A name at an address that is given is not looked up: `.invalid` has none (RFC 6761, 6.4). Its certificate is demanded all
/// the same, and the server is asked by the name.
#[test]
fn addresses_can_be_given() {
    let asked = |name: &str| {
        let (url, thread) = server(true, response("200 OK", "{}"));
        let endpoint = Endpoint::parse(&url.replace("localhost", name)).unwrap().at(Ipv4Addr::LOCALHOST.into());
        (run(client().ask(&endpoint, get())), endpoint, thread.join().unwrap())
    };
    let (answer, endpoint, read) = asked("kv1.invalid");
    assert_eq!(answer.unwrap().status, 200);
    assert!(read.contains(&format!("host: {}\r\n", endpoint.authority())), "{read}");
    let (answer, endpoint, read) = asked("kv2.invalid");
    let Err(HttpError::Certificate { authority, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((authority.as_str(), read.as_str()), (endpoint.authority(), ""));
}

/// Nobody there, no TLS there, no HTTP there: each is told apart.
#[test]
fn other_ends_are_told_apart() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let authority = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    drop(listener);
    let refused = ask(&format!("https://{authority}"), get()).map(drop);
    assert_eq!(refused, Err(HttpError::Connect { authority, kind: ErrorKind::ConnectionRefused }));
    let (url, thread) = server(false, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let refused = ask(&url, get()).map(drop).unwrap_err();
    assert!(matches!(refused, HttpError::Tls { .. }), "{refused:?}");
    thread.join().unwrap();
    for answer in [&b""[..], b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"] {
        let (url, thread) = server(true, answer.to_vec());
        let authority = url.strip_prefix("https://").unwrap().to_owned();
        assert_eq!(ask(&url, get()).map(drop), Err(HttpError::Protocol { authority }), "{answer:?}");
        thread.join().unwrap();
    }
}

/// An answer of the limit is read, one beyond it is not.
#[test]
fn answers_are_bounded() {
    let (url, thread) = server(true, response("200 OK", &"x".repeat(ANSWER_BYTES_MAX)));
    assert_eq!(ask(&url, get()).unwrap().body.len(), ANSWER_BYTES_MAX);
    thread.join().unwrap();
    let (url, thread) = server(true, response("200 OK", &"x".repeat(ANSWER_BYTES_MAX + 1)));
    assert_eq!(ask(&url, get()).map(drop), Err(HttpError::TooLarge { max: ANSWER_BYTES_MAX }));
    thread.join().unwrap();
}

/// What an attestation service says of evidence, and what is no judgement of it.
#[test]
fn judgements_are_told_from_failures() {
    let attest = |status: &str, body: &str| {
        let (url, thread) = server(true, response(status, body));
        let answer = run(attest_snp(&client(), &Endpoint::parse(&url).unwrap(), "{}".to_owned()));
        assert!(thread.join().unwrap().starts_with("POST /attest/SevSnpVm?api-version=2022-08-01 "));
        answer
    };
    assert_eq!(attest("200 OK", r#"{"token":"a.b.c"}"#), Ok("a.b.c".to_owned()));
    for body in ["", "[]", "{}", r#"{"token":1}"#] {
        assert_eq!(attest("200 OK", body), Err(AttestError::Answer), "{body}");
    }
    let refusal = r#"{"error":{"code":"PolicyEvaluationError","message":"floor.debug"}}"#;
    let refused = AttestError::Refused { code: "PolicyEvaluationError".into(), message: "floor.debug".into() };
    assert_eq!(attest("400 Bad Request", refusal), Err(refused));
    for (status, body) in
        [("401 Unauthorized", refusal), ("429 Many", refusal), ("503 Busy", refusal), ("400 Bad", "{}")]
    {
        let number = status[..3].parse().unwrap();
        assert_eq!(attest(status, body), Err(AttestError::Status { status: number }), "{status}");
    }
}

/// Roots in PEM: one or several, and nothing else.
#[test]
fn roots_are_read_from_pem() {
    let pem = |der: &[u8]| {
        let body = skerry_jose::b64::encode_standard(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    };
    let one = pem(&certified().der);
    assert!(Roots::from_pem(one.as_bytes()).is_ok());
    assert!(Roots::from_pem(one.repeat(2).as_bytes()).is_ok());
    for text in ["", "nothing", &pem(&[0x30, 0]), &format!("{one}{}", pem(&[0x30, 0]))] {
        let refused = Roots::from_pem(text.as_bytes()).map(drop);
        assert_eq!(refused, Err(skerry_client::ReleaseAnswerError::Root), "{text}");
    }
    // A system's bundle may have something that nobody can read, beside one at least that can be read.
    assert!(Roots::from_bundle(format!("{}{one}", pem(&[0x30, 0])).as_bytes()).is_ok());
    for text in ["", "nothing", &pem(&[0x30, 0])] {
        let refused = Roots::from_bundle(text.as_bytes()).map(drop);
        assert_eq!(refused, Err(skerry_client::ReleaseAnswerError::Root), "{text}");
    }
}
