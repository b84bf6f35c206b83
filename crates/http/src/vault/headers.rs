//! The headers that every answer of a vault carries, refusals at the door included (recorded).

use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderName, HeaderValue};

/// What a vault says of itself with every answer. No client reads it, but tests of clients look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHeaders {
    /// `x-ms-keyvault-region`.
    pub region: HeaderValue,
    /// `x-ms-keyvault-service-version`.
    pub service_version: HeaderValue,
}

impl ServiceHeaders {
    /// These headers for one peer, to which its own address is told (recorded: the family is named twice).
    pub(crate) fn for_peer(&self, peer: SocketAddr) -> Vec<(HeaderName, HeaderValue)> {
        let (kind, family) = match peer.ip().to_canonical() {
            IpAddr::V4(_) => ("Ipv4", "InterNetwork"),
            IpAddr::V6(_) => ("Ipv6", "InterNetworkV6"),
        };
        let network = format!("conn_type={kind};addr={};act_addr_fam={family};", peer.ip().to_canonical());
        let mut headers = vec![(REGION, self.region.clone()), (SERVICE_VERSION, self.service_version.clone())];
        // Infallible: an address is visible ASCII.
        headers.extend(HeaderValue::try_from(network).ok().map(|network| (NETWORK_INFO, network)));
        headers
    }
}

const REGION: HeaderName = HeaderName::from_static("x-ms-keyvault-region");
const SERVICE_VERSION: HeaderName = HeaderName::from_static("x-ms-keyvault-service-version");
const NETWORK_INFO: HeaderName = HeaderName::from_static("x-ms-keyvault-network-info");

#[cfg(test)]
mod tests {
    use super::*;

    /// The peer's own address, in the form that was recorded; IPv4 within IPv6 is IPv4.
    #[test]
    fn the_peer_is_told_its_address() {
        let (region, service_version) = (HeaderValue::from_static("local"), HeaderValue::from_static("1.9"));
        let headers = ServiceHeaders { region, service_version };
        for (address, expected) in [
            ("127.0.0.1:1", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"),
            ("[::ffff:127.0.0.1]:1", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"),
            ("[2001:db8::1]:1", "conn_type=Ipv6;addr=2001:db8::1;act_addr_fam=InterNetworkV6;"),
        ] {
            let address: Result<SocketAddr, _> = address.parse();
            let told = address.map(|address| headers.for_peer(address));
            let expected = [(REGION, "local"), (SERVICE_VERSION, "1.9"), (NETWORK_INFO, expected)];
            assert_eq!(told, Ok(expected.map(|(name, value)| (name, HeaderValue::from_static(value))).to_vec()));
        }
    }
}
