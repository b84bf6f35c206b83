//! Addresses by what they lead to (IANA special-purpose registries, RFC 6890), so that a name cannot lead inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address leads to. Only [`Public`](Self::Public) is connected to unless configuration allows more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AddressClass {
    /// The internet.
    Public,
    /// This machine.
    Loopback,
    /// A network behind a border: RFC 1918, shared (RFC 6598), unique local (RFC 4193).
    Private,
    /// The link, and what clouds answer there: instance metadata, credentials.
    LinkLocal,
    /// Many machines.
    Multicast,
    /// Nothing that is meant to be connected to: unspecified, documentation, tunnels, unassigned.
    Reserved,
}

impl AddressClass {
    /// The class of an address; one that wraps an IPv4 address has the class of that.
    pub fn of(address: IpAddr) -> AddressClass {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

impl std::fmt::Display for AddressClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

fn of_v4(address: Ipv4Addr) -> AddressClass {
    let within = |(network, bits, _): &&(Ipv4Addr, u32, AddressClass)| {
        let shift = 32_u32.saturating_sub(*bits);
        address.to_bits().checked_shr(shift) == network.to_bits().checked_shr(shift)
    };
    V4.iter().find(within).map_or(AddressClass::Public, |(_, _, class)| *class)
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    let within = |(network, bits, _): &&(Ipv6Addr, u32, Lead)| {
        let shift = 128_u32.saturating_sub(*bits);
        address.to_bits().checked_shr(shift) == network.to_bits().checked_shr(shift)
    };
    match V6.iter().find(within).map(|(_, _, lead)| *lead) {
        Some(Lead::To(class)) => class,
        Some(Lead::ToV4) => {
            let [.., a, b, c, d] = address.octets();
            of_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Whatever is not assigned yet.
        None => AddressClass::Reserved,
    }
}

#[derive(Clone, Copy)]
enum Lead {
    To(AddressClass),
    /// The last 32 bits are an IPv4 address.
    ToV4,
}

/// IANA IPv4 special-purpose address registry; the rest is public.
const V4: [(Ipv4Addr, u32, AddressClass); 16] = {
    use AddressClass::{LinkLocal, Loopback, Multicast, Private, Reserved};
    [
        (Ipv4Addr::new(0, 0, 0, 0), 8, Reserved),
        (Ipv4Addr::new(10, 0, 0, 0), 8, Private),
        (Ipv4Addr::new(100, 64, 0, 0), 10, Private),
        (Ipv4Addr::new(127, 0, 0, 0), 8, Loopback),
        // Azure's platform answers a virtual machine here, in the midst of public addresses.
        (Ipv4Addr::new(168, 63, 129, 16), 32, LinkLocal),
        (Ipv4Addr::new(169, 254, 0, 0), 16, LinkLocal),
        (Ipv4Addr::new(172, 16, 0, 0), 12, Private),
        (Ipv4Addr::new(192, 0, 0, 0), 24, Reserved),
        (Ipv4Addr::new(192, 0, 2, 0), 24, Reserved),
        (Ipv4Addr::new(192, 88, 99, 0), 24, Reserved),
        (Ipv4Addr::new(192, 168, 0, 0), 16, Private),
        (Ipv4Addr::new(198, 18, 0, 0), 15, Reserved),
        (Ipv4Addr::new(198, 51, 100, 0), 24, Reserved),
        (Ipv4Addr::new(203, 0, 113, 0), 24, Reserved),
        (Ipv4Addr::new(224, 0, 0, 0), 4, Multicast),
        (Ipv4Addr::new(240, 0, 0, 0), 4, Reserved),
    ]
};

/// IANA IPv6 special-purpose address registry, the narrower before the wider; only 2000::/3 is assigned (RFC 4291, 2.4).
const V6: [(Ipv6Addr, u32, Lead); 13] = {
    use AddressClass::{LinkLocal, Loopback, Multicast, Private, Public, Reserved};
    [
        (Ipv6Addr::LOCALHOST, 128, Lead::To(Loopback)),
        (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, Lead::ToV4),
        // NAT64 (RFC 6052).
        (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, Lead::ToV4),
        (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Lead::To(Private)),
        // Protocol assignments, Teredo among them (RFC 4380).
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Lead::To(Reserved)),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Lead::To(Reserved)),
        // 6to4 (RFC 3056) carries any IPv4 address.
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Lead::To(Reserved)),
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Lead::To(Reserved)),
        (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Lead::To(Public)),
        (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Lead::To(Private)),
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Lead::To(LinkLocal)),
        // Site-local, deprecated (RFC 3879).
        (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Lead::To(Private)),
        (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Lead::To(Multicast)),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last address of every range, and what lies just outside.
    #[test]
    fn addresses_have_their_class() {
        use AddressClass::{LinkLocal, Loopback, Multicast, Private, Public, Reserved};
        for (class, addresses) in [
            (Loopback, "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1"),
            (Private, "10.0.0.1 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.1 100.64.0.0 100.127.255.255"),
            (Private, "100.100.100.200 fc00::1 fdff::1 fd00:ec2::254 fec0::1 64:ff9b:1::1 ::ffff:10.0.0.1"),
            (LinkLocal, "169.254.0.0 169.254.169.254 169.254.255.255 168.63.129.16 fe80::1 febf::1"),
            (LinkLocal, "::ffff:169.254.169.254 64:ff9b::a9fe:a9fe"),
            (Multicast, "224.0.0.1 239.255.255.255 ff02::1 ff0e::1"),
            (Reserved, "0.0.0.0 0.255.255.255 240.0.0.0 255.255.255.255 192.0.0.1 192.0.2.1 198.18.0.1 198.19.255.255"),
            (Reserved, "198.51.100.1 203.0.113.1 192.88.99.1 :: ::2 ::7f00:1 100::1 2001::1 2001:1ff::1 2001:db8::1"),
            (Reserved, "2002:7f00:1:: 3fff::1 4000::1 5f00::1 fbff::1"),
            (Public, "1.0.0.0 9.255.255.255 11.0.0.0 126.255.255.255 128.0.0.1 100.63.255.255 100.128.0.0"),
            (Public, "168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0"),
            (Public, "192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255"),
            (Public, "2000::1 2001:200::1 2600:1:: 2a00:: 3fff:1000::1 ::ffff:1.1.1.1 64:ff9b::101:101"),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(AddressClass::of(address.parse().unwrap()), class, "{address}");
            }
        }
    }
}
