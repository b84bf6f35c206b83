//! Which hosts are served: the table, and that it stands before everything else on the wire.

use http::StatusCode;
use skerry_http::{HostError, Limits, Names};

use crate::support::{Site, names, request, runtime};

fn at_8443() -> Names {
    Names { port: 8443, addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()], ..names() }
}

/// Spellings of one name are one host, which keeps the port as addressed and the label before a domain.
#[test]
fn names_of_ours_are_resolved() {
    for (host, sni, authority, resource) in [
        ("host.test:8443", None, "host.test:8443", None),
        ("HOST.Test:8443", Some("host.test"), "host.test:8443", None),
        ("host.test.:8443", Some("host.test"), "host.test:8443", None),
        ("host.test:8443", Some("HOST.test"), "host.test:8443", None),
        ("KV1.vault.test:8443", Some("kv1.vault.test"), "kv1.vault.test:8443", Some("kv1")),
        ("127.0.0.1:8443", None, "127.0.0.1:8443", None),
        ("[::1]:8443", None, "[::1]:8443", None),
        ("[0:0::1]:8443", None, "[::1]:8443", None),
    ] {
        let resolved = at_8443().resolve(host, sni, 443).unwrap();
        assert_eq!((resolved.authority().as_str(), resolved.resource()), (authority, resource), "{host}");
        assert_eq!(resolved.port(), Some(8443));
    }
}

/// On the default port kids carry none, whether the client wrote it or not.
#[test]
fn the_default_port_is_not_shown() {
    let names = Names { port: 443, ..names() };
    for host in ["host.test", "host.test:443"] {
        let resolved = names.resolve(host, None, 443).unwrap();
        assert_eq!((resolved.authority().as_str(), resolved.port()), ("host.test", None));
    }
}

/// What is no host is malformed; what is another's is foreign; both with their status.
#[test]
fn each_refusal_has_its_variant() {
    use HostError::*;
    let long = format!("{}host.test:8443", "a.".repeat(130));
    for (host, sni, expected) in [
        ("", None, Malformed),
        (":8443", None, Malformed),
        ("host.test:", None, Malformed),
        ("host.test:08443", None, Malformed),
        ("host.test:+8443", None, Malformed),
        ("host.test:65536", None, Malformed),
        ("host.test:8443:8443", None, Malformed),
        ("user@host.test:8443", None, Malformed),
        ("host.test:8443@evil.test", None, Malformed),
        ("host..test:8443", None, Malformed),
        ("host.test..:8443", None, Malformed),
        (".host.test:8443", None, Malformed),
        ("host.test/x", None, Malformed),
        ("host.test,evil.test", None, Malformed),
        ("host test", None, Malformed),
        ("::1", None, Malformed),
        ("[::1", None, Malformed),
        ("[::1]8443", None, Malformed),
        ("[host.test]:8443", None, Malformed),
        (&long, None, Malformed),
        ("evil.test:8443", None, Foreign),
        ("vault.test:8443", None, Foreign),
        ("a.b.vault.test:8443", None, Foreign),
        ("kv1.vault.test.evil.test:8443", None, Foreign),
        ("xhost.test:8443", None, Foreign),
        ("127.0.0.2:8443", None, Foreign),
        ("0x7f.1:8443", None, Foreign),
        ("[::2]:8443", None, Foreign),
        ("host.test", None, Port),
        ("host.test:443", None, Port),
        ("host.test:8443", Some("kv1.vault.test"), NotTlsName),
        ("kv1.vault.test:8443", Some("kv2.vault.test"), NotTlsName),
        ("127.0.0.1:8443", Some("host.test"), NotTlsName),
    ] {
        assert_eq!(at_8443().resolve(host, sni, 443), Err(expected.clone()), "{host}");
        let status = if expected == Malformed { StatusCode::BAD_REQUEST } else { StatusCode::MISDIRECTED_REQUEST };
        assert_eq!(expected.status(), status);
    }
    assert_eq!(Missing.status(), StatusCode::BAD_REQUEST);
}

/// A request for somebody else, or for nobody, does not reach the surface: not even one that would panic there.
#[test]
fn foreign_hosts_do_not_reach_the_surface() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let port = site.address.port();
        for (host_lines, status, code) in [
            ("".to_owned(), 400, "BadRequest"),
            ("Host:\r\n".to_owned(), 400, "BadRequest"),
            (format!("Host: host.test:{port}\r\nHost: host.test:{port}\r\n"), 400, "BadRequest"),
            ("Host: user@host.test\r\n".to_owned(), 400, "BadRequest"),
            ("Host: h\u{f6}st.test\r\n".to_owned(), 400, "BadRequest"),
            (format!("Host: evil.test:{port}\r\n"), 421, "MisdirectedRequest"),
            ("Host: host.test\r\n".to_owned(), 421, "MisdirectedRequest"),
            ("Host: host.test:1\r\n".to_owned(), 421, "MisdirectedRequest"),
        ] {
            let mut wire = site.connect().await;
            wire.send(format!("GET /panic HTTP/1.1\r\n{host_lines}\r\n")).await;
            let response = wire.response().await.unwrap();
            assert_eq!((response.status, response.code().as_str()), (status, code), "{host_lines}");
        }
    });
}

/// The name of the target counts when the target is absolute, and has to be that of the header.
#[test]
fn absolute_targets_agree_with_the_host() {
    runtime().block_on(async {
        let site = Site::plain(Limits::default()).await;
        let host = site.host();
        let same = site.get(&format!("http://{host}/echo")).await;
        assert_eq!(
            (same.status, same.json().get("origin").unwrap().as_str().unwrap()),
            (200, &*format!("http://{host}"))
        );
        let other = site.get(&format!("http://kv1.vault.test:{}/echo", site.address.port())).await;
        assert_eq!((other.status, other.code().as_str()), (400, "BadRequest"));
        let mut wire = site.connect().await;
        wire.send(format!("GET http://{host}/echo HTTP/1.1\r\n\r\n")).await;
        assert_eq!(wire.response().await.unwrap().status, 400);
    });
}

/// A TLS connection opened for one name serves no other, though both are ours; the connection stays good.
#[test]
fn the_host_is_the_name_of_the_tls_connection() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let port = site.address.port();
        let mut wire = site.connect_tls("kv1.vault.test", &[]).await;
        for (host, status) in [("kv2.vault.test", 421), ("kv1.vault.test", 200), ("host.test", 421)] {
            wire.send(request("GET", "/echo", &format!("{host}:{port}"), "", "")).await;
            let response = wire.response().await.unwrap();
            assert_eq!(response.status, status, "{host}");
            if status == 200 {
                assert_eq!(response.json().get("resource").unwrap().as_str(), Some("kv1"));
                let origin = format!("https://kv1.vault.test:{port}");
                assert_eq!(response.json().get("origin").unwrap().as_str(), Some(origin.as_str()));
            }
        }
    });
}

/// By address there is no name in the handshake, and the address is served iff it is configured.
#[test]
fn addresses_have_no_tls_name() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let mut wire = site.connect_tls("127.0.0.1", &[]).await;
        wire.send(request("GET", "/echo", &format!("127.0.0.1:{}", site.address.port()), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
    });
}
