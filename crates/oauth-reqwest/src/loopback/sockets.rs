//! The sockets of a listener, bound to loopback addresses only (RFC 8252 sections 7.3 and 8.3), and the redirect URI
//! that leads to them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;
use tokio::net::{TcpListener, TcpStream};

/// The number of free ports of one family that are tried in the other.
const MAX_PORT_TRIES: u32 = 16;

/// One socket, or for `localhost` one for each address family: a browser may try either first.
#[derive(Debug)]
pub(super) struct ListenerSockets {
    first: TcpListener,
    second: Option<TcpListener>,
}

impl ListenerSockets {
    /// A port of `127.0.0.1`, or of `[::1]` if there is no IPv4.
    pub(super) async fn bind(port: u16) -> Result<(Self, String), Error> {
        let bound = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
                v6.map_err(|_| error)
            }
            bound => bound,
        };
        let failed = |error| failed(port, error);
        let socket = bound.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let host = host_of(&literal(address.ip()), address.port());
        Ok((Self::single(socket), host))
    }

    /// The address that a redirect URI names, and the URI with the port that was bound.
    pub(super) async fn at(uri: &RedirectUri) -> Result<(Self, String, RedirectUri), Error> {
        let refused = || Error::from(Misuse::RedirectUriRefused);
        let url = Url::parse(uri.as_str()).map_err(|_| refused())?;
        let name = url.host().to_owned();
        let ip = match name.as_str() {
            "localhost" => None,
            _ if !url.is_loopback() => return Err(refused()),
            _ => Some(address(&name).ok_or_else(refused)?),
        };
        if url.scheme() != "http" {
            return Err(refused());
        }
        let named = has_port(uri.as_str());
        let requested_port = if named { url.port() } else { 0 };
        let failed = |error| failed(requested_port, error);
        let bound = match ip {
            Some(ip) => Self::single(
                TcpListener::bind((ip, requested_port))
                    .await
                    .map_err(failed)?,
            ),
            None => Self::bind_ipv4_and_ipv6(requested_port)
                .await
                .map_err(failed)?,
        };
        let port = bound.first.local_addr().map_err(failed)?.port();
        let uri = if named && requested_port != 0 {
            // Exactly as given: servers compare it character by character.
            uri.clone()
        } else {
            let rest = url.path_and_query();
            RedirectUri::parse(&format!("http://{name}:{port}{rest}"))?
        };
        Ok((bound, host_of(&name, port), uri))
    }

    /// Both addresses of `localhost`. A port that another process has in one of them is not used: that
    /// process would receive callbacks.
    async fn bind_ipv4_and_ipv6(port: u16) -> io::Result<Self> {
        let mut tries = MAX_PORT_TRIES;
        loop {
            let first = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
                    return v6.map(Self::single).map_err(|_| error);
                }
                bound => bound?,
            };
            let same = first.local_addr()?.port();
            let second = match TcpListener::bind((Ipv6Addr::LOCALHOST, same)).await {
                Ok(second) => Some(second),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tries -= 1;
                    if port == 0 && tries > 0 {
                        continue;
                    }
                    return Err(error);
                }
                // This machine has no IPv6.
                Err(_) => None,
            };
            return Ok(Self { first, second });
        }
    }

    const fn single(first: TcpListener) -> Self {
        Self {
            first,
            second: None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.second {
            None => self.first.accept().await,
            Some(second) => tokio::select! {
                accepted = self.first.accept() => accepted,
                accepted = second.accept() => accepted,
            },
        }
    }
}

fn failed(port: u16, reason: io::Error) -> Error {
    let detail = match port {
        0 => "cannot listen".to_owned(),
        _ => format!("cannot listen on port {port}: {}", reason.kind()),
    };
    Error::from(Misuse::ListenerUnavailable)
        .about(&detail)
        .caused_by(Cause::unsent(reason))
}

/// Whether a URI names its port.
fn has_port(uri: &str) -> bool {
    let rest = uri.split_once("//").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn address(host: &str) -> Option<IpAddr> {
    let without_brackets = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    without_brackets.unwrap_or(host).parse().ok()
}

fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The `Host` that browsers send.
fn host_of(name: &str, port: u16) -> String {
    match port {
        // Clients leave out the port that http implies.
        80 => name.to_owned(),
        _ => format!("{name}:{port}"),
    }
}
