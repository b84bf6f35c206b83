//! Which names a listener answers to, and which of them a request was addressed to.
//!
//! Vault names, kids and challenges follow from the Host of a request, so a Host that is not ours, or is not the name
//! that TLS was opened for, is refused with 421 before anything else is looked at (RFC 9110, 15.5.20). In HTTP/2
//! `:authority` is the Host (RFC 9113, 8.3.1). Nothing here resolves a name.

use std::net::{IpAddr, Ipv6Addr};

use http::header::HOST;
use http::request::Parts;
use http::{StatusCode, Version};

use crate::limits::HOST_BYTES_MAX;

/// The names that a listener answers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Exact names.
    pub hosts: Vec<String>,
    /// Domains in which one more label names a resource: `vault.example` makes `kv1.vault.example` resource `kv1`.
    pub domains: Vec<String>,
    /// Addresses that clients may use instead of a name.
    pub addresses: Vec<IpAddr>,
    /// The port that clients address, which a gateway may make another than the listener's; 0 is the listener's own.
    pub port: u16,
}

/// The name a request was addressed to, which is one of the listener's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
    resource: Option<String>,
}

/// Why a request is not for this listener.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Neither Host nor `:authority` (RFC 9112, 3.2).
    #[error("the request names no host")]
    Missing,
    /// More than one Host (RFC 9112, 3.2).
    #[error("the request has several host headers")]
    Duplicate,
    /// Host and the authority of the target differ (RFC 9113, 8.3.1).
    #[error("the host header is not the authority of the request")]
    Conflict,
    /// Not `name`, `name:port` or the like of an address.
    #[error("the host is malformed")]
    Malformed,
    /// A well-formed host that is not served here.
    #[error("the host is not served here")]
    Foreign,
    /// The right name with a port that is not served.
    #[error("the port of the host is not served here")]
    Port,
    /// Another name than the one in the TLS handshake (RFC 6066, 3).
    #[error("the host is not the name that the TLS connection is for")]
    NotTlsName,
}

impl HostError {
    /// 400 for what is no host, 421 for another's.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Duplicate | Self::Conflict | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Foreign | Self::Port | Self::NotTlsName => StatusCode::MISDIRECTED_REQUEST,
        }
    }
}

impl Host {
    /// The name in lower case without a trailing dot, or the address; IPv6 in brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port as addressed; none for the scheme's default.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The label in front of a domain; none when an exact name or an address was used.
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// `name` or `name:port`: what stands in kids and links.
    pub fn authority(&self) -> String {
        self.port.map_or_else(|| self.name.clone(), |port| format!("{}:{port}", self.name))
    }
}

impl Names {
    /// The name addressed, iff `host` is one of these names at their port, and is `sni` where there is one.
    ///
    /// `host` and `sni` are the client's; `default_port` is that of the scheme, which a host without a port means.
    pub fn resolve(&self, host: &str, sni: Option<&str>, default_port: u16) -> Result<Host, HostError> {
        let (name, port) = parse(host)?;
        if sni.is_some_and(|sni| !sni.trim_end_matches('.').eq_ignore_ascii_case(&name)) {
            return Err(HostError::NotTlsName);
        }
        let resource = self.find(&name).ok_or(HostError::Foreign)?;
        let port = port.unwrap_or(default_port);
        if port != self.port {
            return Err(HostError::Port);
        }
        Ok(Host { name, port: Some(port).filter(|port| *port != default_port), resource })
    }

    /// These names with a port that was not configured set to the one bound.
    pub(crate) fn bound_to(mut self, port: u16) -> Names {
        if self.port == 0 {
            self.port = port;
        }
        self
    }

    /// The resource that a name of ours means, if any; none for a name that is not ours.
    fn find(&self, name: &str) -> Option<Option<String>> {
        if self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name)) || self.has_address(name) {
            return Some(None);
        }
        let (label, domain) = name.split_once('.')?;
        let known = self.domains.iter().any(|own| own.eq_ignore_ascii_case(domain));
        known.then(|| Some(label.to_owned()))
    }

    fn has_address(&self, name: &str) -> bool {
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        literal.parse::<IpAddr>().is_ok_and(|address| self.addresses.contains(&address))
    }
}

/// The name addressed, whatever it is: of a listener that answers to every name.
pub(crate) fn as_addressed(host: &str, default_port: u16) -> Result<Host, HostError> {
    let (name, port) = parse(host)?;
    Ok(Host { name, port: port.filter(|port| *port != default_port), resource: None })
}

/// The one host that a request names, as its client wrote it.
pub(crate) fn host_of(parts: &Parts) -> Result<&str, HostError> {
    let mut headers = parts.headers.get_all(HOST).iter();
    let header = headers.next();
    if headers.next().is_some() {
        return Err(HostError::Duplicate);
    }
    let header = header.map(|value| value.to_str().map_err(|_| HostError::Malformed)).transpose()?;
    match (parts.uri.authority().map(|authority| authority.as_str()), header) {
        (Some(authority), Some(header)) if !authority.eq_ignore_ascii_case(header) => Err(HostError::Conflict),
        // RFC 9112, 3.2: HTTP/1.1 has to send the header even when the target is absolute.
        (Some(_), None) if parts.version <= Version::HTTP_11 => Err(HostError::Missing),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(HostError::Missing),
    }
}

/// RFC 9110, 7.2: a host and perhaps a port. User information is not part of it.
fn parse(host: &str) -> Result<(String, Option<u16>), HostError> {
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return Err(HostError::Malformed);
    }
    if let Some(rest) = host.strip_prefix('[') {
        let (literal, port) = rest.split_once(']').ok_or(HostError::Malformed)?;
        let address: Ipv6Addr = literal.parse().map_err(|_| HostError::Malformed)?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(HostError::Malformed)?) };
        return Ok((format!("[{address}]"), port.map(parse_port).transpose()?));
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let port = port.map(parse_port).transpose()?;
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.split('.').all(is_label) { Ok((name.to_ascii_lowercase(), port)) } else { Err(HostError::Malformed) }
}

/// Only the form that clients print: no sign, no leading zero, not empty.
fn parse_port(digits: &str) -> Result<u16, HostError> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| canonical).ok_or(HostError::Malformed)
}

/// RFC 1035, 2.3.4. The underscore is no host name, but names in container networks have it.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
