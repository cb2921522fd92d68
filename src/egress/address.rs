//! Which addresses a function may reach.
//!
//! A function of somebody the operator does not trust runs inside the operator's network, so an
//! address is refused unless it is known to be on the public internet: IPv4 by a list of what is
//! not, IPv6 by the one prefix that is (2000::/3) less its special parts. An address that only
//! wraps an IPv4 address is judged by that one.
//!
//! Sources: the IANA special-purpose registries (RFC 6890 and what was added since), RFC 6052
//! (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What the operator's file permits besides public addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allow {
    /// Public addresses, and those in `and`.
    Public {
        /// Networks that are permitted although they are not public.
        and: Vec<Network>,
    },
    /// Every address. For development, and for nodes whose functions are all trusted.
    Everything,
}

/// An address range: `10.1.0.0/16`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(IpNet);

impl Network {
    /// Whether `address` is in it. An IPv4 address is not, where it is written as one of IPv6.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not an address and not a network in CIDR notation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.1.0.0/16")]
pub(crate) struct NotANetwork(String);

impl Allow {
    /// Nothing besides public addresses.
    pub(crate) const PUBLIC: Self = Self::Public { and: Vec::new() };

    /// Whether a function may connect to `address`.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let and = match self {
            Self::Everything => return true,
            Self::Public { and } => and,
        };
        if and.iter().any(|network| network.0.contains(&address)) {
            return true;
        }
        match address {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => match wrapped_v4(v6) {
                Some(v4) => self.permits(IpAddr::V4(v4)),
                None => is_public_v6(v6),
            },
        }
    }
}

impl Default for Allow {
    fn default() -> Self {
        Self::PUBLIC
    }
}

impl Network {
    /// The range.
    pub(crate) fn range(self) -> IpNet {
        self.0
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|network| Self(network.trunc()))
            .map_err(|_| NotANetwork(text.to_owned()))
    }
}

/// IPv4 ranges that are not on the public internet, or must not be reached from a node.
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),        // this network
    v4([10, 0, 0, 0], 8),       // private
    v4([100, 64, 0, 0], 10),    // carrier-grade NAT; one cloud's metadata service too
    v4([127, 0, 0, 0], 8),      // loopback
    v4([168, 63, 129, 16], 32), // Azure's host agent: public by number, internal in fact
    v4([169, 254, 0, 0], 16),   // link-local; most clouds' metadata services
    v4([172, 16, 0, 0], 12),    // private
    v4([192, 0, 0, 0], 24),     // protocol assignments
    v4([192, 0, 2, 0], 24),     // documentation
    v4([192, 88, 99, 0], 24),   // 6to4 relays, withdrawn
    v4([192, 168, 0, 0], 16),   // private
    v4([198, 18, 0, 0], 15),    // benchmarking
    v4([198, 51, 100, 0], 24),  // documentation
    v4([203, 0, 113, 0], 24),   // documentation
    v4([224, 0, 0, 0], 4),      // multicast
    v4([240, 0, 0, 0], 4),      // reserved, and broadcast
];

/// All of the public IPv6 internet so far (RFC 4291); whatever else is assigned later is refused
/// until somebody has looked at it.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Parts of [`GLOBAL_V6`] that are not public.
const NOT_PUBLIC_V6: [Ipv6Net; 3] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments (ORCHID, benchmarking, AMT)
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

const MAPPED: Ipv6Net = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4
        .iter()
        .any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    GLOBAL_V6.contains(&address)
        && !NOT_PUBLIC_V6
            .iter()
            .any(|network| network.contains(&address))
}

/// The IPv4 address that a packet to `address` ends up at, if it is one of the wrappers.
fn wrapped_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let low = bits as u32;
    if MAPPED.contains(&address) || NAT64.contains(&address) {
        Some(Ipv4Addr::from_bits(low))
    } else if SIX_TO_FOUR.contains(&address) {
        Some(Ipv4Addr::from_bits((bits >> 80) as u32))
    } else if TEREDO.contains(&address) {
        // Teredo stores the client's address inverted.
        Some(Ipv4Addr::from_bits(!low))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(allow: &Allow, address: &str) -> bool {
        allow.permits(address.parse().expect("an address of this table"))
    }

    #[test]
    fn public_addresses_pass() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.15",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001:800::200e",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:0808:0808::1",
            "2001:0:1:2:3:4:f7f7:f7f7", // Teredo client 8.8.8.8
        ] {
            assert!(permitted(&Allow::PUBLIC, address), "{address}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1", // IPv4-compatible, withdrawn
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1", // IPv4-translated
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8", // local-use NAT64: where it leads is the operator's business
            "100::1",
            "2001:db8::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:0:1:2:3:4:80ff:fffe", // Teredo client 127.0.0.1
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!permitted(&Allow::PUBLIC, address), "{address}");
        }
    }

    #[test]
    fn a_network_of_the_file_is_permitted_however_it_is_written() {
        let allow = Allow::Public {
            and: ["127.0.0.0/8", "10.1.2.3", "fd00:1::/32"]
                .map(|text| text.parse().expect("a network of this table"))
                .into(),
        };
        for (address, expected) in [
            ("127.9.9.9", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.2.3", true),
            ("10.1.2.4", false),
            ("fd00:1::5", true),
            ("fd00:2::5", false),
            ("::1", false),
            ("8.8.8.8", true),
        ] {
            assert_eq!(permitted(&allow, address), expected, "{address}");
        }
        assert!(permitted(&Allow::Everything, "169.254.169.254"));
    }

    #[test]
    fn networks_are_parsed_strictly() {
        assert_eq!("10.1.2.3/8".parse::<Network>(), "10.0.0.0/8".parse());
        assert_eq!("::1".parse::<Network>(), "::1/128".parse());
        for text in ["", "*", "10.0.0.0/33", "localhost", "10.0.0", "::/129"] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork(text.into())));
        }
    }
}
