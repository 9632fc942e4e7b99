//! Classifies IP addresses as public or not (RFC 6890), for requests to URLs that a server or document supplied (RFC
//! 9728 section 7.7).
//!
//! The core opens no connection: it marks such a request with [`RequestAddressPolicy::PublicOnly`] in its extensions,
//! and a driver checks each resolved address with [`is_public`] before it connects. An earlier check is not enough: the
//! name may resolve to another address by then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::url::Url;

/// The addresses to which a request may be sent; a driver finds it in the request's extensions.
///
/// ```
/// use oauth_core::address::{RequestAddressPolicy, is_public};
/// use oauth_core::http::Extensions;
///
/// // In a driver, of each address that the host resolves to:
/// fn may_connect(extensions: &Extensions, address: std::net::IpAddr) -> bool {
///     match extensions.get::<RequestAddressPolicy>() {
///         Some(RequestAddressPolicy::PublicOnly) => is_public(address),
///         Some(RequestAddressPolicy::Any) | None => true,
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestAddressPolicy {
    /// Any address: the party that configured the URL knows its network.
    #[default]
    Any,
    /// Only public addresses, see [`is_public`]: the URL comes from a challenge or a metadata document, and may point
    /// to something that only this machine can reach.
    PublicOnly,
}

/// IPv4 addresses that are not public: the network, and the length of its prefix. The blocks of RFC 6890 that are
/// globally reachable are left out.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // "this network"
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // shared by carriers (RFC 6598)
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // the host of a virtual machine at Azure
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, metadata of clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays (RFC 7526)
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

/// Addresses of `2000::/3`, from which all public ones come, that are not public.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    // Protocol assignments: Teredo (whose last bits may hold any IPv4 address), benchmarks, ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, whose next bits are any IPv4 address
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation (RFC 9637)
];

/// The block from which all public IPv6 addresses come (RFC 4291 section 2.4, IANA).
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The NAT64 prefix (RFC 6052 section 2.1): DNS64 servers put an IPv4 address after it.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether an address is public: it does not belong to this machine, its network, its cloud or a multicast group.
///
/// An IPv6 address that represents an IPv4 address (mapped or NAT64) is classified as that address. If a public address
/// is misclassified, one connection fails; if an internal address is, an internal network is exposed. Therefore every
/// reserved, deprecated or unknown address is classified as not public.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// The IP address, if the host of the URL is one; `None` if it is a name, which must be resolved first.
pub fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host();
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    v6.unwrap_or(host).parse().ok()
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    let is_in =
        |(network, length): &(Ipv4Addr, u32)| (bits ^ network.to_bits()) >> (32 - length) == 0;
    !NOT_PUBLIC_V4.iter().any(is_in)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_in = |(network, length): &(Ipv6Addr, u32)| {
        (address.to_bits() ^ network.to_bits()) >> (128 - length) == 0
    };
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    if is_in(&NAT64) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    is_in(&GLOBAL_UNICAST) && !NOT_PUBLIC_V6.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;

    fn assert_public(is_wanted: bool, texts: &[&str]) {
        for text in texts {
            let address = text.parse().unwrap();
            assert_eq!(is_public(address), is_wanted, "{text}");
        }
    }

    #[test]
    fn special_purpose_ipv4_blocks_are_not_public_up_to_their_registered_bounds() {
        assert_public(
            false,
            &[
                "0.255.255.255",
                "10.255.255.255",
                "100.127.255.255",
                "168.63.129.16",
                "172.16.0.0",
                "172.31.255.255",
                "192.0.0.192",
                "192.88.99.1",
                "198.19.255.255",
                "239.255.255.255",
                "255.255.255.255",
            ],
        );
        assert_public(
            true,
            &[
                "1.1.1.1",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "168.63.129.17",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
            ],
        );
    }

    #[test]
    fn ipv6_addresses_are_public_only_in_allocated_global_unicast() {
        assert_public(
            false,
            &[
                "::",
                "::1",
                "::7f00:1",
                "::5db8:d822",
                "100::1",
                "1fff::1",
                "2001::1",
                "2001:1ff:ffff::1",
                "2001:db8::1",
                "2002:7f00:1::",
                "2002:5db8:d822::1",
                "3fff:fff::1",
                "4000::1",
                "5f00::1",
                "fc00::1",
                "fe80::1",
                "fec0::1",
                "ff0e::1",
            ],
        );
        assert_public(
            true,
            &[
                "2000::1",
                "2001:200::1",
                "2001:4860:4860::8888",
                "2606:4700::1111",
                "3ffe::1",
                "3fff:1000::1",
            ],
        );
    }

    #[test]
    fn embedded_ipv4_addresses_are_classified_as_the_ipv4_address() {
        assert_public(
            false,
            &[
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "64:ff9b::127.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b:1::8.8.8.8",
            ],
        );
        assert_public(true, &["::ffff:93.184.216.34", "64:ff9b::93.184.216.34"]);
    }

    #[test]
    fn literal_returns_the_address_only_for_ip_hosts() {
        let address_of = |text: &str| literal(&Url::parse(text).unwrap());
        assert_eq!(
            address_of("https://10.0.0.1:8443/x"),
            "10.0.0.1".parse().ok()
        );
        assert_eq!(address_of("https://[fd00::1]/"), "fd00::1".parse().ok());
        assert_eq!(address_of("https://as.example/"), None);
        assert_eq!(address_of("https://localhost/"), None);
    }
}
