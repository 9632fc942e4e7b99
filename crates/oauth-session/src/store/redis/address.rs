//! The addresses of Redis servers, sentinels and clusters, parsed from a URL.

use oauth_core::error::Error;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

use super::setup;

/// The address of Redis.
pub(super) enum Address {
    Single(Client),
    Sentinels(Sentinels),
    Cluster(Vec<ConnectionInfo>),
}

/// The sentinels to ask for the address of the primary called `primary`.
pub(super) struct Sentinels {
    pub(super) nodes: Vec<Client>,
    pub(super) primary: String,
    /// The connection settings of that server, except host and port.
    server: ConnectionInfo,
}

/// The default port of a sentinel.
const SENTINEL_PORT: &str = "26379";

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").ok_or_else(invalid_url)?;
        let Some((scheme, kind)) = scheme.split_once('+') else {
            return Client::open(url)
                .map(Self::Single)
                .map_err(|_| invalid_url());
        };
        if !["redis", "rediss", "valkey", "valkeys"].contains(&scheme) {
            return Err(invalid_url());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let hosts = hosts.split(',').filter(|host| !host.is_empty());
        match kind {
            "sentinel" => {
                let (primary, database) = path.split_once('/').unwrap_or((path, "0"));
                let sentinel_credentials = parse_sentinel_credentials(query)?;
                let node = |host: &str| {
                    let port = if has_port(host) {
                        String::new()
                    } else {
                        format!(":{SENTINEL_PORT}")
                    };
                    Client::open(format!("{scheme}://{sentinel_credentials}{host}{port}"))
                        .map_err(|_| invalid_url())
                };
                let nodes = hosts.map(node).collect::<Result<Vec<_>, _>>()?;
                if nodes.is_empty() || primary.is_empty() {
                    return Err(invalid_url());
                }
                Ok(Self::Sentinels(Sentinels {
                    nodes,
                    primary: primary.to_owned(),
                    server: connection_info(&format!("{scheme}://{user}server/{database}"))?,
                }))
            }
            "cluster" if path.is_empty() && query.is_empty() => {
                let nodes = hosts.map(|host| connection_info(&format!("{scheme}://{user}{host}")));
                let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
                if nodes.is_empty() {
                    Err(invalid_url())
                } else {
                    Ok(Self::Cluster(nodes))
                }
            }
            _ => Err(invalid_url()),
        }
    }
}

impl Sentinels {
    /// The server at this host and port.
    pub(super) fn primary_at(&self, host: String, port: u16) -> ConnectionInfo {
        let addr = match self.server.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        self.server.clone().set_addr(addr)
    }
}

/// The credentials for sentinels, which have their own.
fn parse_sentinel_credentials(query: &str) -> Result<String, Error> {
    let (mut name, mut password) = ("", None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sentinel_username", text)) => name = text,
            Some(("sentinel_password", text)) => password = Some(text),
            _ => return Err(invalid_url()),
        }
    }
    Ok(password.map_or_else(String::new, |password| format!("{name}:{password}@")))
}

/// Whether a host has a port after it: those of IPv6 have colons in brackets.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn connection_info(url: &str) -> Result<ConnectionInfo, Error> {
    url.into_connection_info().map_err(|_| invalid_url())
}

/// The error for an invalid URL: the details could show a part of it.
fn invalid_url() -> Error {
    setup("not a URL of a Redis server")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).expect(url)
    }

    fn at(info: &ConnectionInfo) -> String {
        let redis = info.redis_settings();
        let word = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let (name, password) = (word(redis.username()), word(redis.password()));
        format!("{} {name} {password} {}", info.addr(), redis.db())
    }

    #[test]
    fn a_sentinel_url_is_parsed() {
        let url = "redis+sentinel://me:s%40me@one,two:7000,[::1]/main/3?sentinel_password=other";
        let Address::Sentinels(sentinels) = address(url) else {
            panic!("other than sentinels")
        };
        let nodes = sentinels.nodes.iter();
        let nodes: Vec<_> = nodes.map(|node| at(node.get_connection_info())).collect();
        let expected = [
            "one:26379 - other 0",
            "two:7000 - other 0",
            "::1:26379 - other 0",
        ];
        assert_eq!(nodes, expected);
        assert_eq!(sentinels.primary, "main");
        assert_eq!(
            at(&sentinels.primary_at("ten".to_owned(), 10)),
            "ten:10 me s@me 3"
        );
    }

    #[test]
    fn a_cluster_url_is_parsed() {
        let Address::Cluster(nodes) = address("redis+cluster://:word@one:1,two") else {
            panic!("other than a cluster")
        };
        let nodes: Vec<_> = nodes.iter().map(at).collect();
        assert_eq!(nodes, ["one:1 - word 0", "two:6379 - word 0"]);
        assert!(matches!(address("redis://one"), Address::Single(_)));
    }

    #[test]
    fn other_urls_are_refused() {
        for url in [
            "one",
            "http://one",
            "redis+sentinel://one",
            "redis+sentinel:///main",
            "redis+sentinel://one/main?password=S3CR3T",
            "redis+cluster://",
            "redis+cluster://one/1",
            "redis+other://one",
            "http+cluster://one",
        ] {
            let error = Address::parse(url).err().expect(url);
            assert_eq!(error.code(), "store.setup");
            assert!(!error.to_string().contains("S3CR3T"));
        }
    }
}
