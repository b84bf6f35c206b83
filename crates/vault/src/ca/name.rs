//! Names in certificates, and the constraints on them (RFC 5280, 4.2.1.6 and 4.2.1.10).

use std::net::{IpAddr, Ipv6Addr};

use x509_cert::Certificate;
use x509_cert::der::asn1::Utf8StringRef;
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::name::GeneralName;

use super::CaError;

/// A name that a leaf may carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// A DNS name, perhaps with a wildcard in front.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// One of these with a port, as one text.
    Port {
        /// All of it.
        text: String,
        /// What is in front of the port.
        host: Box<Name>,
    },
}

impl Name {
    /// An address, a DNS name, or either with a port, an IPv6 address in brackets then.
    pub(super) fn parse(text: &str) -> Result<Name, CaError> {
        if let Ok(address) = text.parse() {
            return Ok(Name::Ip(address));
        }
        let Some((host, port)) = text.rsplit_once(':') else { return Name::dns(text) };
        let odd = || CaError::Name(text.to_owned());
        if port.parse::<u16>().ok().filter(|number| *number > 0 && number.to_string() == port).is_none() {
            return Err(odd());
        }
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().map(|address| Name::Ip(address.into())).map_err(|_| odd())?,
            None if host.contains(':') => return Err(odd()),
            None => host.parse().map(Name::Ip).or_else(|_| Name::dns(host)).map_err(|_| odd())?,
        };
        Ok(Name::Port { text: text.to_owned(), host: Box::new(host) })
    }

    /// A DNS name in letters, digits, hyphens and underscores; a wildcard is the whole first label, above two more.
    pub(super) fn dns(text: &str) -> Result<Name, CaError> {
        let is_name = match text.strip_prefix("*.") {
            Some(rest) => rest.contains('.') && is_dns(rest),
            None => is_dns(text),
        };
        if is_name { Ok(Name::Dns(text.to_owned())) } else { Err(CaError::Name(text.to_owned())) }
    }
}

/// A range of addresses: those which agree with the first where the mask has ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// IPv4.
    V4([u8; 4], [u8; 4]),
    /// IPv6.
    V6([u8; 16], [u8; 16]),
}

impl Range {
    fn new(address: IpAddr, prefix: u8) -> Result<Range, CaError> {
        let odd = CaError::Range { address, prefix };
        let shift = u32::from(prefix);
        let range = match address {
            IpAddr::V4(v4) if shift <= 32 => {
                Range::V4(v4.octets(), (!u32::MAX.checked_shr(shift).unwrap_or(0)).to_be_bytes())
            }
            IpAddr::V6(v6) if shift <= 128 => {
                Range::V6(v6.octets(), (!u128::MAX.checked_shr(shift).unwrap_or(0)).to_be_bytes())
            }
            _ => return Err(odd),
        };
        // Bits behind the prefix would be read differently by different verifiers.
        if range.covers_host_bits() { Err(odd) } else { Ok(range) }
    }

    fn covers_host_bits(&self) -> bool {
        let beyond = |address: &[u8], mask: &[u8]| address.iter().zip(mask).any(|(a, m)| a & !m != 0);
        match self {
            Range::V4(address, mask) => beyond(address, mask),
            Range::V6(address, mask) => beyond(address, mask),
        }
    }

    /// The form in a certificate: address, then mask.
    fn read(octets: &[u8]) -> Result<Range, CaError> {
        if let Ok(octets) = <[u8; 8]>::try_from(octets) {
            let [a, b, c, d, mask @ ..] = octets;
            return Ok(Range::V4([a, b, c, d], mask));
        }
        let (address, mask) = octets.split_at_checked(16).ok_or(CaError::Unreadable)?;
        match (address.try_into(), mask.try_into()) {
            (Ok(address), Ok(mask)) => Ok(Range::V6(address, mask)),
            _ => Err(CaError::Unreadable),
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        let agree = |range: &[u8], mask: &[u8], octets: &[u8]| {
            range.iter().zip(mask).zip(octets).all(|((range, mask), octet)| (range ^ octet) & mask == 0)
        };
        match (self, address) {
            (Range::V4(range, mask), IpAddr::V4(address)) => agree(range, mask, &address.octets()),
            (Range::V6(range, mask), IpAddr::V6(address)) => agree(range, mask, &address.octets()),
            _ => false,
        }
    }
}

/// What a constrained CA may issue for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Permitted {
    /// Subtrees of DNS names, at least one: the name itself and all below.
    pub(super) dns: Vec<String>,
    /// Ranges of addresses; with none, no address is permitted.
    pub(super) ip: Vec<Range>,
}

impl Permitted {
    pub(super) fn new(dns: &[&str], ip: &[(IpAddr, u8)]) -> Result<Permitted, CaError> {
        if dns.is_empty() {
            return Err(CaError::NoSubtree);
        }
        if let Some(odd) = dns.iter().find(|subtree| !is_dns(subtree)) {
            return Err(CaError::Subtree((*odd).to_owned()));
        }
        let ip = ip.iter().map(|(address, prefix)| Range::new(*address, *prefix)).collect::<Result<_, _>>()?;
        Ok(Permitted { dns: dns.iter().map(|subtree| (*subtree).to_owned()).collect(), ip })
    }

    /// The constraints of a certificate that this module made; none if it has none.
    pub(super) fn read(certificate: &Certificate) -> Result<Option<Permitted>, CaError> {
        let found = certificate.tbs_certificate().get_extension::<NameConstraints>();
        let Some((_, constraints)) = found.map_err(|_| CaError::Unreadable)? else { return Ok(None) };
        let mut permitted = Permitted { dns: Vec::new(), ip: Vec::new() };
        for subtree in constraints.permitted_subtrees.unwrap_or_default() {
            match subtree.base {
                GeneralName::DnsName(name) => permitted.dns.push(name.as_str().to_owned()),
                GeneralName::IpAddress(octets) => permitted.ip.push(Range::read(octets.as_bytes())?),
                _ => return Err(CaError::Unreadable),
            }
        }
        if permitted.dns.is_empty() { Err(CaError::Unreadable) } else { Ok(Some(permitted)) }
    }

    /// Whether a name, or the host in front of its port, is within.
    pub(super) fn check(&self, name: &Name) -> Result<(), CaError> {
        let (permitted, text) = match name {
            Name::Dns(name) => (self.dns.iter().any(|subtree| is_within(name, subtree)), name.clone()),
            Name::Ip(address) => (self.ip.iter().any(|range| range.has(*address)), address.to_string()),
            Name::Port { text, host } => (self.check(host).is_ok(), text.clone()),
        };
        if permitted { Ok(()) } else { Err(CaError::NotPermitted { name: text }) }
    }
}

/// RFC 5280, 4.2.1.10: the subtree's own name, or any with labels in front. A wildcard stands for such labels.
fn is_within(name: &str, subtree: &str) -> bool {
    let (name, subtree) = (name.to_ascii_lowercase(), subtree.to_ascii_lowercase());
    name.strip_suffix(&subtree).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// RFC 1034, 3.5, and underscores, which verifiers take; the last label is not a number, or it would be an address.
fn is_dns(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && !text.rsplit('.').next().is_some_and(number)
}

/// The common name, if it is all of a name and UTF-8, as this module writes them.
pub(super) fn common_name(name: &x509_cert::name::Name) -> Option<String> {
    let mut members = name.iter();
    let (Some(member), None) = (members.next(), members.next()) else { return None };
    if member.oid.to_string() != COMMON_NAME {
        return None;
    }
    member.value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.as_str().to_owned())
}

/// RFC 5280, A.1, id-at-commonName.
const COMMON_NAME: &str = "2.5.4.3";
