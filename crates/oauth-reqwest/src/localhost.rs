//! A resolver that maps `localhost` to loopback addresses, regardless of what DNS or a hosts file says.

use std::future::ready;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The only name that [`Url::is_local`](oauth_core::url::Url::is_local) lets through.
pub(crate) const NAME: &str = "localhost";

/// The addresses of `localhost` (RFC 6761 section 6.3). The port is the URL's.
pub(crate) const ADDRESSES: [SocketAddr; 2] = [
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// The resolver of requests over plain http: it knows one name, and queries no server. A request to any other name
/// would leave this machine unencrypted.
pub(crate) struct LocalhostResolver;

impl Resolve for LocalhostResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(ready(if name.as_str().eq_ignore_ascii_case(NAME) {
            Ok(Box::new(ADDRESSES.into_iter()) as Addrs)
        } else {
            Err("plain http is for this machine alone".into())
        }))
    }
}
