use proptest::prelude::*;
use skerry_sources::{Origin, Url, UrlError};

/// What may be fetched, in the form in which it is compared and asked for.
#[test]
fn urls_have_one_form() {
    for (text, origin, target) in [
        ("https://a.example", "https://a.example", "/"),
        ("HTTPS://A.Example:443/", "https://a.example", "/"),
        ("https://a.example:8443/certs", "https://a.example:8443", "/certs"),
        ("https://a.example/X/y/", "https://a.example", "/X/y/"),
        ("https://a.example?p=b2c_1", "https://a.example", "/?p=b2c_1"),
        ("https://a.example/k?p=%2e/..", "https://a.example", "/k?p=%2e/.."),
        ("https://a.example/realms/my%20realm", "https://a.example", "/realms/my%20realm"),
        ("https://127.0.0.1:1/", "https://127.0.0.1:1", "/"),
        ("https://[0:0::1]:8443/", "https://[::1]:8443", "/"),
        ("https://1.example/", "https://1.example", "/"),
        ("https://a.0xample/", "https://a.0xample", "/"),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!((url.origin().to_string().as_str(), url.target()), (origin, target), "{text}");
        assert_eq!(Url::parse(&url.to_string()).unwrap(), url);
        assert_eq!(Origin::parse(origin).unwrap(), *url.origin());
    }
    for text in ["https://a.example/x", "https://a.example/?"] {
        assert_eq!(Origin::parse(text).unwrap_err(), UrlError::Path, "{text}");
    }
}

/// Attack 14, 17: texts that could be read in two ways, and everything that is not https, are no URLs.
#[test]
fn attack_17_ambiguous_and_plain_urls_are_refused() {
    use UrlError::*;
    let long = format!("https://a.example/{}", "x".repeat(2048));
    for (text, expected) in [
        (long.as_str(), TooLong { bytes: long.len() }),
        ("http://a.example/", NotHttps),
        ("http://127.0.0.1/", NotHttps),
        ("file:///etc/passwd", NotHttps),
        ("//a.example/", NotHttps),
        ("", NotHttps),
        ("https://a.example@evil.example/", UserInfo),
        ("https://u:p@a.example/", UserInfo),
        ("https://bücher.example/", NotPrintableAscii { byte: 0xC3 }),
        ("https://a.example/ x", NotPrintableAscii { byte: b' ' }),
        ("https://a.example/\r\nHost: b", NotPrintableAscii { byte: b'\r' }),
        ("https://a.example/#x", Fragment),
        ("https://", Host),
        ("https:///x", Host),
        ("https://a..example", Host),
        ("https://a.example.", Host),
        ("https://a_b.example", Host),
        ("https://*.example", Host),
        ("https://a%2eexample/", Host),
        ("https://a.example\\@b/", UserInfo),
        ("https://a.example\\b/", Host),
        ("https://2130706433/", Host),
        ("https://0x7f000001/", Host),
        ("https://127.1/", Host),
        ("https://0177.0.0.1/", Host),
        ("https://127.0.0.0x1/", Host),
        ("https://a.0x/", Host),
        ("https://[::1/", Host),
        ("https://[::1]x/", Host),
        ("https://[fe80::1%25eth0]/", Host),
        ("https://a.example:/", Port),
        ("https://a.example:0/", Port),
        ("https://a.example:0443/", Port),
        ("https://a.example:65536/", Port),
        ("https://a.example:1:2/", Port),
        ("https://a.example//", Path),
        ("https://a.example/x//y", Path),
        ("https://a.example/../x", Path),
        ("https://a.example/x/.", Path),
        ("https://a.example/%2E%2e/x", Path),
        ("https://a.example/x%2fy", Path),
        ("https://a.example/x%5cy", Path),
        ("https://a.example/x\\y", Path),
        ("https://a.example/%", Path),
        ("https://a.example/%zz", Path),
        ("https://a.example/x?a[]=1", Query),
        ("https://a.example/x?%4", Query),
    ] {
        assert_eq!(Url::parse(text).unwrap_err(), expected, "{text}");
    }
}

proptest! {
    /// Arbitrary text is judged without panic, and what is accepted has one form that parses to itself.
    #[test]
    fn accepted_urls_are_stable(text in "(https://)?[a-z0-9.:@/?%\\[\\]#-]{0,40}|https://[ -~é]{0,30}") {
        if let Ok(url) = Url::parse(&text) {
            let again = Url::parse(&url.to_string()).unwrap();
            prop_assert_eq!(&again, &url);
            prop_assert!(url.target().starts_with('/') && url.target().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(&Origin::parse(&url.origin().to_string()).unwrap(), url.origin());
        }
    }
}
