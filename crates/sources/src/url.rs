//! URLs that may be fetched: `https` with a host, a path, perhaps a query, and nothing that could be read in two ways.
//!
//! Refused rather than normalised: user information, fragments, empty or dotted segments, hosts that end in a number
//! without being an address (`0x7f.1`, which resolvers take for 127.0.0.1). Scheme and host are compared in lower case
//! and the default port is dropped; everything else is kept as given.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::URL_BYTES_MAX;

/// An `https` URL. Equality is that of origin, path and query, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    origin: Origin,
    target: String,
}

impl Url {
    /// Accepts iff the text is an unambiguous `https` URL; it may come from anyone.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        check_bytes(text)?;
        let rest = after_scheme(text).ok_or(UrlError::NotHttps)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let origin = Origin::from_authority(authority)?;
        let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
        check_path(path)?;
        check_query(query)?;
        let path = if path.is_empty() { "/" } else { path };
        Ok(Url { origin, target: format!("{path}{query}") })
    }

    /// Host and port.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Path and query, as a request line has them (RFC 9112, 3.2.1).
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The URL whose path is this one's, without its trailing slash, and then `suffix`. The caller vouches for the suffix.
    pub(crate) fn joined(&self, suffix: &str) -> Result<Url, UrlError> {
        Url::parse(&format!("{}{}{suffix}", self.origin, self.target.trim_end_matches('/')))
    }

    /// Whether both name the same issuer: equal but for one trailing slash.
    pub(crate) fn same_issuer(&self, other: &Url) -> bool {
        let path = |url: &Url| url.target.strip_suffix('/').unwrap_or(&url.target).to_owned();
        self.origin == other.origin && path(self) == path(other)
    }

    pub(crate) fn has_query(&self) -> bool {
        self.target.contains('?')
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

impl std::str::FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A host and a port, reached by `https`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl Origin {
    /// Accepts iff the text is an unambiguous `https` URL without path or query, but for a lone slash.
    pub fn parse(text: &str) -> Result<Origin, UrlError> {
        let url = Url::parse(text)?;
        if url.target == "/" { Ok(url.origin) } else { Err(UrlError::Path) }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host[:port]` as a Host header has it (RFC 9110, 7.2).
    pub(crate) fn authority(&self) -> String {
        let port = if self.port == HTTPS_PORT { String::new() } else { format!(":{}", self.port) };
        match &self.host {
            Host::Name(name) => format!("{name}{port}"),
            Host::Address(IpAddr::V4(address)) => format!("{address}{port}"),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]{port}"),
        }
    }

    fn from_authority(authority: &str) -> Result<Origin, UrlError> {
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        // Colons within brackets belong to an IPv6 address (RFC 3986, 3.2.2).
        let literal = if authority.starts_with('[') { authority.find(']').unwrap_or(0) } else { 0 };
        let (_, tail) = authority.split_at(literal);
        let colon = tail.find(':').map(|at| literal.saturating_add(at));
        let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
        let host = Host::parse(host)?;
        let port = if colon.is_some() { parse_port(port)? } else { HTTPS_PORT };
        Ok(Origin { host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.authority())
    }
}

impl std::str::FromStr for Origin {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Host {
    fn parse(host: &str) -> Result<Host, UrlError> {
        if let Some(literal) = host.strip_prefix('[') {
            let address = literal.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok());
            return address.map(|address| Host::Address(address.into())).ok_or(UrlError::Host);
        }
        let last = host.rsplit('.').next().unwrap_or_default();
        if is_number(last) {
            return host.parse::<Ipv4Addr>().map(|address| Host::Address(address.into())).map_err(|_| UrlError::Host);
        }
        let valid = host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label);
        if valid { Ok(Host::Name(host.to_ascii_lowercase())) } else { Err(UrlError::Host) }
    }
}

/// Why a text is not a URL that may be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum UrlError {
    #[error("url of {bytes} bytes, at most {URL_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("url has byte {byte:#04x}")]
    NotPrintableAscii { byte: u8 },
    #[error("url is not https")]
    NotHttps,
    #[error("url has user information")]
    UserInfo,
    #[error("url has no valid host")]
    Host,
    #[error("url has no valid port")]
    Port,
    #[error("url has an ambiguous path")]
    Path,
    #[error("url has a malformed query")]
    Query,
    #[error("url has a fragment")]
    Fragment,
}

fn check_bytes(text: &str) -> Result<(), UrlError> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong { bytes: text.len() });
    }
    match text.bytes().find(|byte| !byte.is_ascii_graphic()) {
        Some(byte) => Err(UrlError::NotPrintableAscii { byte }),
        None if text.contains('#') => Err(UrlError::Fragment),
        None => Ok(()),
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// `:port`, without leading zeros, from 1 on.
fn parse_port(text: &str) -> Result<u16, UrlError> {
    let digits = text.strip_prefix(':').unwrap_or_default();
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| canonical).ok_or(UrlError::Port)
}

/// What resolvers may read as a part of an IPv4 address in decimal, octal or hexadecimal (inet_aton(3)).
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    let decimal = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    decimal || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// RFC 1123, 2.1. An underscore is no host name; a trailing dot would be another spelling of the same host.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check_path(path: &str) -> Result<(), UrlError> {
    if matches!(path, "" | "/") {
        return Ok(());
    }
    let segments = path.strip_prefix('/').unwrap_or(path);
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    if segments.split('/').all(is_segment) { Ok(()) } else { Err(UrlError::Path) }
}

/// RFC 3986, 3.3, but nothing that a server may take for a dot or a slash.
fn is_segment(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    let disguised = ["%2e", "%2f", "%5c", "%00"].iter().any(|escape| lower.contains(escape));
    !matches!(segment, "" | "." | "..") && !disguised && is_encoded(segment, b"-._~!$&'()*+,;=:@")
}

/// RFC 3986, 3.4.
fn check_query(query: &str) -> Result<(), UrlError> {
    let Some(query) = query.strip_prefix('?') else { return Ok(()) };
    if is_encoded(query, b"-._~!$&'()*+,;=:@/?") { Ok(()) } else { Err(UrlError::Query) }
}

/// Only letters, digits, `extra`, and `%` with two hexadecimal digits.
fn is_encoded(text: &str, extra: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escape = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        let valid = match byte {
            b'%' => escape(bytes.next()) && escape(bytes.next()),
            byte => byte.is_ascii_alphanumeric() || extra.contains(&byte),
        };
        if !valid {
            return false;
        }
    }
    true
}

const SCHEME: &str = "https://";
const HTTPS_PORT: u16 = 443;
/// RFC 1035, 2.3.4.
const HOST_BYTES_MAX: usize = 253;
/// RFC 1035, 2.3.4.
const LABEL_BYTES_MAX: usize = 63;
