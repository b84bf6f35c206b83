//! The vault's API against servers that do what a vault does, and against such that do not: nothing is sent to them, or
//! believed, that should not be.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::JoinHandle;

use rustls::{ServerConnection, StreamOwned};
use skerry_client::http::{Endpoint, HttpError};
use skerry_client::limits::{EMPTY_PAGES_MAX, RETRIES_MAX};
use skerry_client::vault::{
    AnswerError, Authorities, ChallengeError, Credential, CredentialError, KeyName, KeyRef, MetadataService, NewKey,
    NewKind, PagesError, Secret, Settings, Vault, VaultError,
};
use zeroize::Zeroizing;

use crate::http::{client, response, run, server_config};

const TOKEN: &str = "the.bearer.token";

/// A server that answers requests one after another, as long as there are answers: where it is, and what it read.
struct Server {
    url: String,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    /// `answers` are told the server's URL.
    fn new(tls: bool, answers: impl FnOnce(&str) -> Vec<Vec<u8>>) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = if tls { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let answers = answers(&url);
        let thread = std::thread::spawn(move || {
            let answered = |answer: &Vec<u8>| {
                let (stream, _) = listener.accept().unwrap();
                match tls {
                    true => {
                        let connection = ServerConnection::new(server_config()).unwrap();
                        let mut stream = StreamOwned::new(connection, stream);
                        let read = exchange(&mut stream, answer);
                        stream.conn.send_close_notify();
                        stream.flush().ok();
                        read
                    }
                    false => exchange(&mut { stream }, answer),
                }
            };
            answers.iter().map(answered).collect()
        });
        Server { url, thread }
    }

    /// A vault that challenges first, and then gives these answers.
    fn vault(answers: impl FnOnce(&str) -> Vec<Vec<u8>>) -> Server {
        Server::new(true, |url| [vec![challenge(url, url)], answers(url)].concat())
    }

    fn read(self) -> Vec<String> {
        self.thread.join().unwrap()
    }

    fn asked_as(&self, credential: Credential) -> Vault {
        Vault::new(client(), Endpoint::parse(&self.url).unwrap(), credential, |_| ()).unwrap()
    }

    fn asked(&self) -> Vault {
        self.asked_as(Credential::Token(secret(TOKEN)))
    }
}

fn exchange(stream: &mut (impl std::io::Read + std::io::Write), answer: &[u8]) -> String {
    let (mut read, mut chunk) = (Vec::new(), [0; 4096]);
    while !whole(&read) {
        match stream.read(&mut chunk) {
            Ok(len) if len > 0 => read.extend_from_slice(&chunk[..len]),
            _ => break,
        }
    }
    stream.write_all(answer).ok();
    stream.flush().ok();
    String::from_utf8(read).unwrap()
}

/// Whether a request is there with the body that it announces.
fn whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    body.len() >= length.parse().unwrap()
}

fn challenge(authority: &str, resource: &str) -> Vec<u8> {
    let header = format!(r#"Bearer authorization="{authority}/tenant", resource="{resource}""#);
    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {header}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn secret(text: &str) -> Secret {
    Secret::bearer(Zeroizing::new(text.to_owned())).unwrap()
}

fn name() -> KeyName {
    KeyName::parse("pay").unwrap()
}

fn key_ref() -> KeyRef {
    name().into()
}

fn bundle(url: &str) -> String {
    format!(r#"{{"key":{{"kid":"{url}/keys/pay/0123456789abcdef0123456789abcdef","kty":"EC","crv":"P-256"}}}}"#)
}

fn page(rows: &[&str], next: Option<&str>) -> Vec<u8> {
    let rows: Vec<String> = rows.iter().map(|name| format!(r#"{{"kid":"https://v/keys/{name}"}}"#)).collect();
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    response("200 OK", &format!(r#"{{"value":[{}],"nextLink":{next}}}"#, rows.join(",")))
}

fn all(vault: &Vault) -> Result<Vec<String>, VaultError> {
    run(async {
        let (mut pages, mut names) = (vault.keys(), Vec::new());
        while let Some(page) = pages.next().await? {
            names.extend(page.into_iter().map(|row| row.name));
        }
        Ok(names)
    })
}

/// The token goes with the second request and not the first; one challenge is enough for all that follows.
#[test]
fn token_follows_the_challenge() {
    let server = Server::vault(|url| vec![response("200 OK", &bundle(url)); 2]);
    let vault = server.asked();
    for _ in 0..2 {
        assert_eq!(run(vault.get(&key_ref())).unwrap().name, "pay");
    }
    let read = server.read();
    let bearer = format!("\r\nauthorization: Bearer {TOKEN}\r\n");
    assert_eq!(read.iter().map(|request| request.contains(&bearer)).collect::<Vec<_>>(), [false, true, true]);
    assert!(read[0].starts_with("GET /keys?api-version=2025-07-01 "), "{}", read[0]);
    assert!(read[1].starts_with("GET /keys/pay?api-version=2025-07-01 "), "{}", read[1]);
}

/// What needs no body says so, as Azure's front demands of a POST (RFC 9110, 8.6).
#[test]
fn empty_bodies_are_announced() {
    let server = Server::vault(|url| vec![response("200 OK", &bundle(url)); 2]);
    let vault = server.asked();
    assert!(run(vault.rotate(&name())).is_ok() && run(vault.recover(&name())).is_ok());
    let read = server.read();
    assert!(read[1].starts_with("POST /keys/pay/rotate?") && read[2].starts_with("POST /deletedkeys/pay/recover?"));
    for request in &read[1..] {
        assert!(request.contains("\r\ncontent-length: 0\r\n"), "{request}");
    }
}

/// A server that asks for tokens of somebody else's domain, or does not ask as a vault does, gets none.
#[test]
fn odd_challenges_get_no_token() {
    type Case = (fn(&str) -> Vec<u8>, fn(&str) -> ChallengeError);
    let cases: [Case; 4] = [
        (
            |url| challenge(url, "https://vault.azure.net"),
            |authority| ChallengeError::Domain { resource: "https://vault.azure.net".into(), vault: authority.into() },
        ),
        (
            |url| challenge(url, "https://localhost:1"),
            |authority| ChallengeError::Domain { resource: "https://localhost:1".into(), vault: authority.into() },
        ),
        (|_| response("200 OK", "{}"), |_| ChallengeError::Status { status: 200 }),
        (|_| response("401 Unauthorized", "{}"), |_| ChallengeError::None),
    ];
    for (answer, expected) in cases {
        let server = Server::new(true, |url| vec![answer(url)]);
        let vault = server.asked();
        let expected = expected(vault.endpoint().authority());
        assert_eq!(run(vault.get(&key_ref())), Err(VaultError::Challenge(expected)));
        assert!(!server.read().concat().contains(TOKEN));
    }
}

/// A client's secret goes to the authority that is configured, whoever else a vault names, and what comes back is used.
#[test]
fn secrets_go_to_their_authority_only() {
    let client_of = |authorities| {
        let secret = Secret::new(Zeroizing::new("s&cret".to_owned()));
        Credential::Client { id: "me".to_owned(), secret, authorities }
    };
    let authority = Server::new(true, |_| {
        vec![response("200 OK", &format!(r#"{{"token_type":"Bearer","access_token":"{TOKEN}"}}"#))]
    });
    let named = authority.url.clone();
    let server = Server::new(true, |url| vec![challenge(&named, url), response("200 OK", &bundle(url))]);
    let vault = server.asked_as(client_of(Authorities::of(Endpoint::parse(&authority.url).unwrap())));
    run(vault.get(&key_ref())).unwrap();
    let form = authority.read().concat();
    assert!(form.starts_with("POST /tenant/oauth2/v2.0/token HTTP/1.1\r\n"), "{form}");
    assert!(form.contains("client_secret=s%26cret") && form.contains("grant_type=client_credentials"), "{form}");
    assert!(server.read()[1].contains(TOKEN));

    let server = Server::new(true, |url| vec![challenge("https://login.evil.example", url)]);
    let vault = server.asked_as(client_of(Authorities::microsoft()));
    let refused = CredentialError::Authority { authority: "login.evil.example".into() };
    assert_eq!(run(vault.get(&key_ref())), Err(VaultError::Credential(refused)));
    server.read();

    let refusal = r#"{"error":"invalid_client","error_description":"no"}"#;
    let authority = Server::new(true, |_| vec![response("401 Unauthorized", refusal)]);
    let named = authority.url.clone();
    let server = Server::new(true, |url| vec![challenge(&named, url)]);
    let vault = server.asked_as(client_of(Authorities::of(Endpoint::parse(&authority.url).unwrap())));
    let refused = CredentialError::Refused { status: 401, code: "invalid_client".into(), message: "no".into() };
    assert_eq!(run(vault.get(&key_ref())), Err(VaultError::Credential(refused)));
    authority.read();
    server.read();
}

/// The machine's own token comes over plain HTTP, asked for with the header that no browser sends.
#[test]
fn machines_get_their_token() {
    let metadata = Server::new(false, |_| {
        vec![response("200 OK", &format!(r#"{{"token_type":"Bearer","access_token":"{TOKEN}"}}"#))]
    });
    let server = Server::vault(|url| vec![response("200 OK", &bundle(url))]);
    let vault = server.asked_as(Credential::Machine(MetadataService::parse(&metadata.url).unwrap()));
    run(vault.get(&key_ref())).unwrap();
    let read = metadata.read().concat();
    assert!(read.contains("\r\nmetadata: true\r\n"), "{read}");
    assert!(read.contains("&resource=https%3A%2F%2Flocalhost%3A"), "{read}");
    server.read();
    let metadata = Server::new(false, |_| vec![response("200 OK", r#"{"access_token":"x"}"#)]);
    let server = Server::vault(|_| Vec::new());
    let vault = server.asked_as(Credential::Machine(MetadataService::parse(&metadata.url).unwrap()));
    assert_eq!(run(vault.get(&key_ref())), Err(VaultError::Credential(CredentialError::Answer)));
    metadata.read();
    server.read();
}

/// Pages are followed to the end, empty ones on the way too, at the path and query of the link.
#[test]
fn lists_go_on_to_their_end() {
    let server = Server::vault(|url| {
        vec![
            page(&["a", "b"], Some(&format!("{url}/keys?api-version=7.4&$skiptoken=1"))),
            page(&[], Some(&format!("{url}/keys?api-version=7.4&$skiptoken=2"))),
            page(&["c"], None),
        ]
    });
    assert_eq!(all(&server.asked()).unwrap(), ["a", "b", "c"]);
    let read = server.read();
    assert!(read[2].starts_with("GET /keys?api-version=7.4&$skiptoken=1 "), "{}", read[2]);
    for end in ["null", "\"\""] {
        let body = format!(r#"{{"value":[],"nextLink":{end}}}"#);
        let server = Server::vault(|_| vec![response("200 OK", &body)]);
        assert_eq!(all(&server.asked()).unwrap(), [""; 0]);
        server.read();
    }
}

/// A list of many pages takes one connection, as long as the server keeps it, and another after that.
#[test]
fn lists_keep_their_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let link = |at| format!("{url}/keys?{at}");
    // Requests on each connection: the challenge, three pages, and the page after the server has closed.
    let connections = [
        vec![challenge(&url, &url)],
        vec![page(&["a"], Some(&link(1))), page(&["b"], Some(&link(2))), page(&["c"], Some(&link(3)))],
        vec![page(&["d"], None)],
    ];
    let thread = std::thread::spawn(move || {
        let answered = |answers: &Vec<Vec<u8>>| {
            let connection = ServerConnection::new(server_config()).unwrap();
            let mut stream = StreamOwned::new(connection, listener.accept().unwrap().0);
            let read: Vec<String> = answers.iter().map(|answer| exchange(&mut stream, answer)).collect();
            stream.conn.send_close_notify();
            stream.flush().ok();
            read.len()
        };
        connections.iter().map(answered).collect::<Vec<_>>()
    });
    let vault = Vault::new(client(), Endpoint::parse(&url).unwrap(), Credential::Token(secret(TOKEN)), |_| ());
    assert_eq!(all(&vault.unwrap()).unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(thread.join().unwrap(), [1, 3, 1]);
}

/// A link elsewhere, a link to itself, and pages without end: the list ends, and nobody else gets the token.
#[test]
fn lists_do_not_lead_elsewhere() {
    let foreign = Server::new(true, |_| Vec::new());
    let link = format!("{}/keys", foreign.url);
    let server = Server::vault(|_| vec![page(&["a"], Some(&link))]);
    let refused = |why| Err(VaultError::Pages { operation: "list", why });
    assert_eq!(all(&server.asked()), refused(PagesError::Foreign(link.clone())));
    server.read();
    assert_eq!(foreign.read(), [""; 0]);
    let server = Server::vault(|url| vec![page(&["a"], Some(&format!("{url}/keys?api-version=2025-07-01")))]);
    assert_eq!(all(&server.asked()), refused(PagesError::Circle));
    server.read();
    let server =
        Server::vault(|url| (0..EMPTY_PAGES_MAX).map(|at| page(&[], Some(&format!("{url}/keys?{at}")))).collect());
    assert_eq!(all(&server.asked()), refused(PagesError::Empty));
    server.read();
    for body in [r#"{"value":{}}"#, r#"{}"#, r#"{"value":[],"nextLink":1}"#, r#"{"value":[{"kid":"https://v/x/a"}]}"#] {
        let server = Server::vault(|_| vec![response("200 OK", body)]);
        assert!(matches!(all(&server.asked()), Err(VaultError::Answer { operation: "list", .. })), "{body}");
        server.read();
    }
}

/// Busy servers are asked again as they say and no more often than the limit; what may have been done is not asked twice.
#[test]
fn busy_servers_are_asked_again() {
    let busy = |status: &str| format!("HTTP/1.1 {status}\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let server = Server::vault(|url| vec![busy("503 Busy"), busy("429 Many"), response("200 OK", &bundle(url))]);
    assert!(run(server.asked().get(&key_ref())).is_ok());
    assert_eq!(server.read().len(), 4);
    let tries = usize::try_from(RETRIES_MAX).unwrap() + 1;
    let server = Server::vault(|_| vec![busy("429 Many"); tries]);
    let refused = run(server.asked().get(&key_ref())).unwrap_err();
    assert!(matches!(&refused, VaultError::Unavailable { refusal, .. } if refusal.status == 429), "{refused:?}");
    server.read();
    let new = NewKey { kind: NewKind::Ec { curve: None }, hsm: false, settings: Settings::default() };
    let server = Server::vault(|url| vec![busy("429 Many"), response("200 OK", &bundle(url))]);
    assert!(run(server.asked().create(&name(), &new)).is_ok());
    let read = server.read();
    assert!(read[1] == read[2] && read[2].ends_with(r#"{"kty":"EC"}"#), "{read:?}");
    let server = Server::vault(|_| vec![busy("503 Busy")]);
    let refused = run(server.asked().create(&name(), &new)).unwrap_err();
    assert!(matches!(&refused, VaultError::Unavailable { refusal, .. } if refusal.status == 503), "{refused:?}");
    server.read();
}

/// A refusal is given in the server's words, with the id of its log; one without words is a status.
#[test]
fn refusals_are_the_server_s() {
    let body = r#"{"error":{"code":"Forbidden","message":"no","innererror":{"code":"KeyDisabled"}}}"#;
    let head = format!("HTTP/1.1 403 Forbidden\r\nx-ms-request-id: r-1\r\nContent-Length: {}\r\n\r\n", body.len());
    let server = Server::vault(|_| vec![format!("{head}{body}").into_bytes()]);
    let Err(VaultError::Refused { operation: "get", refusal }) = run(server.asked().get(&key_ref())) else { panic!() };
    assert_eq!((refusal.status, refusal.code.as_str(), refusal.message.as_str()), (403, "Forbidden", "no"));
    assert_eq!((refusal.inner.as_deref(), refusal.request_id.as_deref()), (Some("KeyDisabled"), Some("r-1")));
    server.read();
    for body in ["", "<html>", "[]", r#"{"error":1}"#] {
        let server = Server::vault(|_| vec![response("404 Not Found", body)]);
        let refused = run(server.asked().get(&key_ref())).unwrap_err();
        assert!(matches!(&refused, VaultError::Refused { refusal, .. } if refusal.status == 404), "{refused:?}");
        server.read();
    }
}

/// An answer that is cut off, is not JSON, has another shape, or is about another key is none.
#[test]
fn odd_answers_are_not_believed() {
    let server = Server::vault(|_| vec![b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"key\":".to_vec()]);
    let vault = server.asked();
    let authority = vault.endpoint().authority().to_owned();
    assert_eq!(run(vault.get(&key_ref())), Err(VaultError::Http(HttpError::Protocol { authority })));
    server.read();
    let get = |body: &str| {
        let server = Server::vault(|_| vec![response("200 OK", body)]);
        let answer = run(server.asked().get(&key_ref()));
        server.read();
        let Err(VaultError::Answer { operation: "get", why }) = answer else { panic!("{answer:?}") };
        why
    };
    assert!(matches!(get("{\"key\":"), AnswerError::Json(_)));
    assert_eq!(get("[]"), AnswerError::NotAnObject);
    assert_eq!(get("{}"), AnswerError::Member("key"));
    let other = bundle("https://v").replace("/keys/pay/", "/keys/other/");
    assert_eq!(get(&other), AnswerError::OtherKey { asked: "pay".into(), seen: "other".into() });
    let server = Server::vault(|_| vec![response("200 OK", r#"{"value":"true"}"#)]);
    let why = AnswerError::Member("value");
    assert_eq!(
        run(server.asked().verify(&key_ref(), "ES256", &[], &[])),
        Err(VaultError::Answer { operation: "verify", why })
    );
    server.read();
}

/// A vault is a host: identifiers of its keys have no other path in front.
#[test]
fn vaults_have_no_path() {
    let endpoint = Endpoint::parse("https://localhost/below").unwrap();
    let refused = Vault::new(client(), endpoint, Credential::Token(secret(TOKEN)), |_| ()).map(drop);
    assert_eq!(refused, Err(VaultError::Http(HttpError::Url("https://localhost/below".into()))));
}
