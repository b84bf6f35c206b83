//! TLS: what is agreed is what is spoken, and what is no TLS is let go.

use std::io;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, Error as RustlsError};
use skerry_http::Limits;
use skerry_http::tls::{self, TlsError};

use crate::support::{Site, Wire, certificate_and_key, client_config, client_config_of, request, runtime};

/// Both versions are spoken; with both, the newer one.
#[test]
fn two_versions_are_spoken() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        for (offered, agreed) in [(&[&TLS12][..], &TLS12), (&[&TLS13], &TLS13), (&[&TLS12, &TLS13], &TLS13)] {
            let stream = site.handshake("host.test", &[], client_config_of(offered)).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(agreed.version));
            let mut wire = Wire::new(stream);
            wire.send(request("GET", "/echo", &site.host(), "", "")).await;
            assert_eq!(wire.response().await.unwrap().status, 200);
        }
    });
}

/// No early data: it could be replayed (RFC 8446, 8).
#[test]
fn early_data_is_not_taken() {
    let (der, key) = certificate_and_key();
    let config = tls::server_config(&[der], &key).unwrap();
    assert_eq!(config.max_early_data_size, 0);
}

/// A client that offers protocols none of which is HTTP is told so in the handshake; one that offers none gets HTTP/1.1.
#[test]
fn protocols_are_agreed() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        for (offered, agreed) in [
            (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
            (&[b"http/1.1", b"h2"], Some(b"h2")),
            (&[b"h3", b"http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let stream = site.tls_stream("host.test", offered).await;
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        }
        let error = site.handshake("host.test", &[b"h3"], client_config()).await.unwrap_err();
        let expected = RustlsError::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(error.into_inner().unwrap().downcast_ref::<RustlsError>(), Some(&expected));
    });
}

/// What was agreed is spoken: HTTP/2 where HTTP/1.1 was agreed is malformed, and the other way round.
#[test]
fn other_protocols_than_the_agreed_are_refused() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        for alpn in [&[&b"http/1.1"[..]][..], &[]] {
            let mut wire = site.connect_tls("host.test", alpn).await;
            wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
            let rest = wire.rest().await;
            assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
        }
        let mut wire = site.connect_tls("host.test", &[b"h2"]).await;
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        let rest = wire.rest().await;
        assert!(!rest.windows(5).any(|window| window == b"HTTP/"), "{}", String::from_utf8_lossy(&rest));
    });
}

/// Plain HTTP on the TLS port, and bytes that are nothing, end their own connection without an answer in plain text.
#[test]
fn plain_text_is_let_go() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let plain = request("GET", "/echo", &site.host(), "Authorization: Bearer secret\r\n", "");
        for bytes in [plain.as_bytes(), &[0; 64], &[0xff; 64], b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x00\x02"] {
            let mut wire = site.connect().await;
            wire.send(bytes).await;
            if bytes.len() > 5 {
                // At most an alert of seven bytes.
                assert!(wire.rest().await.len() <= 7);
            }
        }
        let mut wire = site.connect_tls("host.test", &[]).await;
        wire.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 200);
    });
}

/// A handshake that does not come, or stops half-way, has a time.
#[test]
fn handshakes_have_a_time() {
    runtime().block_on(async {
        let limits = Limits { handshake_time_max: Duration::from_millis(100), ..Limits::default() };
        let site = Site::tls(limits).await;
        for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
            let mut wire = site.connect().await;
            wire.send(bytes).await;
            assert!(wire.is_closed().await);
        }
    });
}

/// A client that trusts another certificate does not get as far as a request.
#[test]
fn names_the_certificate_lacks_fail_at_the_client() {
    runtime().block_on(async {
        let site = Site::tls(Limits::default()).await;
        let error = site.handshake("evil.test", &[], client_config()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    });
}

/// A configuration needs a chain, and the key of its leaf.
#[test]
fn configurations_are_checked() {
    let (der, key) = certificate_and_key();
    let other = rcgen::KeyPair::generate().unwrap().serialize_der();
    assert_eq!(tls::server_config(&[], &key).unwrap_err(), TlsError::NoCertificate);
    for (chain, key) in [(&der, &b"no key"[..]), (&der, &other), (&b"no certificate".to_vec(), &key)] {
        let error = tls::server_config(std::slice::from_ref(chain), key).unwrap_err();
        assert!(matches!(error, TlsError::Certificate(_)), "{error:?}");
    }
}
