//! The URL by which an attestation authority is known: `iss` of its tokens, `authority` of a release policy.
//!
//! Such a URL is compared and never fetched from here. What could be read in two ways is refused instead of normalised:
//! user information, query, fragment, empty and dotted segments, percent-encoding, anything but ASCII. What is left is
//! compared byte for byte after four changes that no authority can turn against another: scheme and host in lower case,
//! the default port dropped, one trailing slash dropped.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;

/// An absolute https URL that names an authority. Equality is that of the normal form; the text as given is kept.
#[derive(Clone, Debug)]
pub struct IssuerUrl {
    text: String,
    normal: String,
}

impl IssuerUrl {
    /// Accepts iff the text is `https://host[:port][/path]` with nothing ambiguous in it; the text may come from anyone.
    ///
    /// `http` is refused for every host, `localhost` included: an authority without TLS has no identity.
    pub fn parse(text: &str) -> Result<IssuerUrl, IssuerUrlError> {
        check_bytes(text)?;
        let rest = after_scheme(text).ok_or(IssuerUrlError::NotHttps)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(IssuerUrlError::UserInfo);
        }
        let (host, port) = split_port(authority);
        let (host, port, path) = (normal_host(host)?, normal_port(port)?, normal_path(path)?);
        Ok(IssuerUrl { text: text.to_owned(), normal: format!("{SCHEME}{host}{port}{path}") })
    }

    /// The authority that a release policy names: as [`parse`](Self::parse), but that a port which no URL can have makes a name
    /// that no issuer has. Azure takes such policies (the SDKs' suites set them), and they must never be met.
    pub fn named(text: &str) -> Result<IssuerUrl, IssuerUrlError> {
        match Self::parse(text) {
            Err(IssuerUrlError::Port) => Ok(IssuerUrl { text: text.to_owned(), normal: format!("{NOBODY}{text}") }),
            parsed => parsed,
        }
    }

    /// Whether no issuer can have this name: it equals nothing that [`parse`](Self::parse) makes.
    pub fn is_nobody(&self) -> bool {
        self.normal.starts_with(NOBODY)
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form that is compared: lower-case scheme and host, no default port, no trailing slash.
    pub fn normal(&self) -> &str {
        &self.normal
    }
}

impl PartialEq for IssuerUrl {
    fn eq(&self, other: &Self) -> bool {
        self.normal == other.normal
    }
}

impl Eq for IssuerUrl {}

impl Hash for IssuerUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normal.hash(state);
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for IssuerUrl {
    type Err = IssuerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Why a text does not name an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerUrlError {
    /// More bytes than `ISSUER_BYTES_MAX`.
    #[error("issuer url of {bytes} bytes, at most {max}")]
    TooLong {
        /// Bytes given.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A byte that is not printable ASCII; an international name must come as its A-label (RFC 5890).
    #[error("issuer url has byte {byte:#04x}")]
    NotPrintableAscii {
        /// The byte.
        byte: u8,
    },
    /// Not `https://`.
    #[error("issuer url is not https")]
    NotHttps,
    /// User information before the host (RFC 3986, 3.2.1).
    #[error("issuer url has user information")]
    UserInfo,
    /// No host, an empty or overlong label, or a character no host name has (RFC 1123, 2.1).
    #[error("issuer url has no valid host")]
    Host,
    /// An empty port, one with leading zeros, or one outside 1 to 65535.
    #[error("issuer url has no valid port")]
    Port,
    /// A query (RFC 3986, 3.4).
    #[error("issuer url has a query")]
    Query,
    /// A fragment (RFC 3986, 3.5).
    #[error("issuer url has a fragment")]
    Fragment,
    /// An empty segment, `.` or `..`, or a character other than letters, digits and `-._~`.
    #[error("issuer url has an ambiguous path")]
    Path,
}

/// Longest URL read. RFC 7519 sets no bound for `iss`; a host has 253 characters at most (RFC 1035, 2.3.4), and the
/// longest path seen in the wild (Entra, tenant and version) has 43.
pub(crate) const ISSUER_BYTES_MAX: usize = 1024;

/// RFC 1035, 2.3.4.
const HOST_BYTES_MAX: usize = 253;

/// RFC 1035, 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

const SCHEME: &str = "https://";

/// What no normal form of a URL begins with.
const NOBODY: &str = "nobody: ";

fn check_bytes(text: &str) -> Result<(), IssuerUrlError> {
    if text.len() > ISSUER_BYTES_MAX {
        return Err(IssuerUrlError::TooLong { bytes: text.len(), max: ISSUER_BYTES_MAX });
    }
    if let Some(byte) = text.bytes().find(|byte| !byte.is_ascii_graphic()) {
        return Err(IssuerUrlError::NotPrintableAscii { byte });
    }
    // RFC 3986, 3.4 and 3.5: nothing before may hold these characters, so whichever comes first delimits.
    match text.bytes().find(|byte| matches!(byte, b'?' | b'#')) {
        Some(b'?') => Err(IssuerUrlError::Query),
        Some(_) => Err(IssuerUrlError::Fragment),
        None => Ok(()),
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// The host, and the port with its colon taken off. Colons within brackets belong to an IPv6 address (RFC 3986, 3.2.2).
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let literal = if authority.starts_with('[') { authority.find(']').unwrap_or(0) } else { 0 };
    let (_, tail) = authority.split_at(literal);
    match tail.find(':') {
        None => (authority, None),
        Some(at) => {
            let (host, port) = authority.split_at(literal.saturating_add(at));
            (host, port.strip_prefix(':'))
        }
    }
}

fn normal_host(host: &str) -> Result<String, IssuerUrlError> {
    if let Some(literal) = host.strip_prefix('[') {
        let address: Option<Ipv6Addr> = literal.strip_suffix(']').and_then(|text| text.parse().ok());
        return address.map(|address| format!("[{address}]")).ok_or(IssuerUrlError::Host);
    }
    let valid = host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label);
    if valid { Ok(host.to_ascii_lowercase()) } else { Err(IssuerUrlError::Host) }
}

/// Underscores are not host names (RFC 1123), and a trailing dot (the empty last label) is another spelling of the same
/// host: both are refused.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// `:port`, or nothing for none and for 443 (RFC 9110, 4.2.2).
fn normal_port(port: Option<&str>) -> Result<String, IssuerUrlError> {
    let Some(digits) = port else { return Ok(String::new()) };
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse::<u16>() {
        Ok(443) if canonical => Ok(String::new()),
        Ok(number) if canonical => Ok(format!(":{number}")),
        _ => Err(IssuerUrlError::Port),
    }
}

fn normal_path(path: &str) -> Result<&str, IssuerUrlError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.strip_prefix('/') {
        None => Ok(path),
        Some(segments) if segments.split('/').all(is_segment) => Ok(path),
        Some(_) => Err(IssuerUrlError::Path),
    }
}

fn is_segment(segment: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !matches!(segment, "" | "." | "..") && segment.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn issuer(text: &str) -> IssuerUrl {
        IssuerUrl::parse(text).unwrap()
    }

    // Spellings of one authority are equal, keep their own text, and share one normal form.
    #[test]
    fn spellings_of_one_authority_are_equal() {
        for (normal, spellings) in [
            (
                "https://a.attest.net",
                &[
                    "https://a.attest.net",
                    "https://a.attest.net/",
                    "HTTPS://A.Attest.NET",
                    "https://a.attest.net:443",
                    "https://A.attest.net:443/",
                ][..],
            ),
            ("https://localhost:8443", &["https://localhost:8443", "https://LOCALHOST:8443/"]),
            ("https://127.0.0.1:8443", &["https://127.0.0.1:8443"]),
            ("https://[::1]:8443", &["https://[::1]:8443", "https://[0:0::1]:8443/"]),
            ("https://[::1]", &["https://[::1]", "https://[::1]:443"]),
            ("https://sts.windows.net/Tid", &["https://sts.windows.net/Tid/", "https://STS.windows.net/Tid"]),
            ("https://login.microsoftonline.com/t/v2.0", &["https://login.microsoftonline.com/t/v2.0"]),
            ("https://xn--bcher-kva.example", &["https://XN--bcher-kva.example"]),
        ] {
            for text in spellings {
                assert_eq!(issuer(text), issuer(normal), "{text}");
                assert_eq!(issuer(text).normal(), normal, "{text}");
                assert_eq!(issuer(text).as_str(), *text);
            }
        }
    }

    // Issuer confusion: what only looks like the authority is another one.
    #[test]
    fn look_alikes_are_other_authorities() {
        let authority = issuer("https://a.attest.net");
        for text in [
            "https://a.attest.net.evil.example",
            "https://a.attest.ne",
            "https://aa.attest.net",
            "https://attest.net",
            "https://a-attest.net",
            "https://a.attest.net:8443",
            "https://a.attest.net:444",
            "https://a.attest.net/x",
            "https://a.attest.net/a.attest.net",
            "https://xn--attest-4of.net",
        ] {
            assert_ne!(issuer(text), authority, "{text}");
        }
        assert_ne!(issuer("https://a.net/Path"), issuer("https://a.net/path"));
    }

    // Each refusal has its own variant.
    #[test]
    fn each_refusal_has_its_variant() {
        use IssuerUrlError::*;
        let long = format!("https://a.example/{}", "x".repeat(ISSUER_BYTES_MAX));
        let label = format!("https://{}.example", "x".repeat(64));
        let host = format!("https://{}example", "x.".repeat(124));
        let byte = |byte| NotPrintableAscii { byte };
        for (text, expected) in [
            (long.as_str(), TooLong { bytes: long.len(), max: ISSUER_BYTES_MAX }),
            ("https://bücher.example", byte(0xC3)),
            ("https://а.attest.net", byte(0xD0)),
            (" https://a.attest.net", byte(b' ')),
            ("https://a.attest.net\n", byte(b'\n')),
            ("https://a.attest.net\0", byte(0)),
            ("https://a\tb.net", byte(b'\t')),
            ("", NotHttps),
            ("a.attest.net", NotHttps),
            ("//a.attest.net", NotHttps),
            ("https:a.attest.net", NotHttps),
            ("https:/a.attest.net", NotHttps),
            ("http://a.attest.net", NotHttps),
            ("http://localhost", NotHttps),
            ("httpss://a.attest.net", NotHttps),
            ("file:///etc", NotHttps),
            ("https://a.attest.net@evil.example", UserInfo),
            ("https://user:pass@a.attest.net", UserInfo),
            ("https://@a.attest.net", UserInfo),
            ("https://", Host),
            ("https:///x", Host),
            ("https://:8443", Host),
            ("https://a..net", Host),
            ("https://.a.net", Host),
            ("https://a.attest.net.", Host),
            ("https://-a.net", Host),
            ("https://a-.net", Host),
            ("https://a_b.net", Host),
            ("https://*.attest.net", Host),
            ("https://a%2eattest.net", Host),
            ("https://a.attest.net\\.evil.example", Host),
            ("https://[::1", Host),
            ("https://[::1]x", Host),
            ("https://[a.net]", Host),
            ("https://[fe80::1%25eth0]", Host),
            (&label, Host),
            (&host, Host),
            ("https://a.attest.net:", Port),
            ("https://a.attest.net:/", Port),
            ("https://a.attest.net:0", Port),
            ("https://a.attest.net:0443", Port),
            ("https://a.attest.net:+443", Port),
            ("https://a.attest.net:65536", Port),
            ("https://a.attest.net:44x", Port),
            ("https://a.attest.net:443:443", Port),
            ("https://::1", Host),
            ("https://a.attest.net?", Query),
            ("https://a.attest.net/?x=1#f", Query),
            ("https://a.attest.net#x?y", Fragment),
            ("https://a.attest.net/#", Fragment),
            ("https://a.attest.net//", Path),
            ("https://a.attest.net//x", Path),
            ("https://a.attest.net/x//", Path),
            ("https://a.attest.net/.", Path),
            ("https://a.attest.net/x/../y", Path),
            ("https://a.attest.net/%2e", Path),
            ("https://a.attest.net/a@b", Path),
            ("https://a.attest.net/a\\b", Path),
            ("https://a.attest.net/a;b", Path),
        ] {
            assert_eq!(IssuerUrl::parse(text).unwrap_err(), expected, "{text}");
        }
    }

    proptest! {
        // The normal form is one: it parses to an equal URL whose normal form is itself.
        #[test]
        fn the_normal_form_is_stable(host in "[a-zA-Z0-9]{1,8}(\\.[a-zA-Z0-9]{1,8}){0,3}", port in prop::option::of(1_u16..), path in "(/[a-zA-Z0-9._~-]{3,6}){0,3}/?") {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let text = format!("https://{host}{port}{path}");
            let first = issuer(&text);
            let second = issuer(first.normal());
            prop_assert_eq!(second.normal(), first.normal());
            prop_assert_eq!(second, first);
        }

        // Arbitrary text never panics, and what is accepted is printable ASCII under https.
        #[test]
        fn arbitrary_text_is_judged(text in "(https://)?[ -~é]{0,40}") {
            if let Ok(url) = IssuerUrl::parse(&text) {
                prop_assert!(url.normal().starts_with("https://"));
                prop_assert_eq!(issuer(url.normal()), url);
            }
        }
    }
}
