//! The address policy of a driver: a URL that a server or document supplied must not lead to addresses that only this
//! machine can reach (RFC 9728 section 7.7).
//!
//! Addresses are checked after the name is resolved, and only the checked addresses are connected to, so a name that
//! resolves to another address a moment later gains nothing.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use oauth_core::address::{RequestAddressPolicy, is_public};
use oauth_core::error::{Cause, Loss};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which addresses a driver connects to. A refused one is the error `lost.not_public`.
///
/// If addresses are checked, no proxy is used, because it would resolve the name out of sight. A request that would go
/// through a proxy is refused; if a proxy enforces its own rules, choose [`Any`](Self::Any).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AddressPolicy {
    /// Any for a URL that the caller configured; public ones only for one that another party named, whose
    /// request is marked with [`RequestAddressPolicy::PublicOnly`].
    #[default]
    PublicWhereMarked,
    /// Public ones only, also for URLs that the caller configured: for programs whose users choose the URLs.
    PublicOnly,
    /// Any, also for URLs that another party named: for tests, and networks in which you run all servers.
    Any,
}

impl AddressPolicy {
    /// The policy with this name: `public_where_marked`, `public_only` or `any`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "public_where_marked" => Some(Self::PublicWhereMarked),
            "public_only" => Some(Self::PublicOnly),
            "any" => Some(Self::Any),
            _ => None,
        }
    }

    /// Whether the addresses of a request with this address policy are checked.
    pub(crate) const fn checks(self, address_policy: RequestAddressPolicy) -> bool {
        match self {
            Self::PublicWhereMarked => matches!(address_policy, RequestAddressPolicy::PublicOnly),
            Self::PublicOnly => true,
            Self::Any => false,
        }
    }
}

/// A resolver that returns only the public addresses in another one's answer.
///
/// ```
/// use std::sync::Arc;
/// use oauth_reqwest::addresses::PublicOnly;
/// use oauth_reqwest::reqwest::{self, dns::Resolve};
///
/// fn builder(own: Arc<dyn Resolve>) -> reqwest::ClientBuilder {
///     // A host that is an address itself is not resolved: look at it first.
///     reqwest::Client::builder().no_proxy().dns_resolver(Arc::new(PublicOnly::new(own)))
/// }
/// ```
#[derive(Clone)]
pub struct PublicOnly(Arc<dyn Resolve>);

impl PublicOnly {
    /// Wraps this resolver, which is called once for each connection.
    pub fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self(resolver)
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.0.resolve(name);
        Box::pin(async move {
            let addresses: Vec<_> = lookup
                .await?
                .filter(|address| is_public(address.ip()))
                .collect();
            if addresses.is_empty() {
                Err(NotPublic::Name.into())
            } else {
                Ok(Box::new(addresses.into_iter()) as Addrs)
            }
        })
    }
}

impl fmt::Debug for PublicOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicOnly")
    }
}

/// Why no connection was made. The addresses are left out, because the name may have been chosen to learn them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NotPublic {
    Name,
    Literal,
    LoopbackName,
    PlainHttp,
    Proxied,
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name has no public address",
            Self::Literal => "the host is an address that is not public",
            Self::LoopbackName => "the host is a name of this machine itself, which is not public",
            Self::PlainHttp => "plain http is for this machine alone",
            Self::Proxied => "a proxy would resolve the name, where its address cannot be judged",
        })
    }
}

impl std::error::Error for NotPublic {}

/// Which requests go through a proxy, according to the driver's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Proxies {
    /// The requests for which the environment names one.
    #[default]
    Environment,
    None,
    All,
}

/// Checks whether a request to this URL may be sent if addresses are checked, before its name is resolved.
pub(crate) fn check(url: &Url, proxies: Proxies) -> Result<(), Cause> {
    let refused = |reason: NotPublic| Err(Cause::unsent(reason).because(Loss::NotPublic));
    if url.scheme() != "https" {
        return refused(NotPublic::PlainHttp);
    }
    if literal(url).is_some_and(|address| !is_public(address)) {
        return refused(NotPublic::Literal);
    }
    if is_loopback_name(url) {
        return refused(NotPublic::LoopbackName);
    }
    let is_proxied = match proxies {
        Proxies::None => false,
        Proxies::All => true,
        Proxies::Environment => {
            let uri = url.as_str().parse::<Uri>();
            uri.map_or(true, |uri| Matcher::from_system().intercept(&uri).is_some())
        }
    };
    if is_proxied {
        refused(NotPublic::Proxied)
    } else {
        Ok(())
    }
}

/// Whether the host is `localhost` or a name below it: they mean this machine, regardless of what a name server says
/// (RFC 6761 section 6.3).
fn is_loopback_name(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let labels = host.strip_suffix('.').unwrap_or(host);
    labels.rsplit('.').next() == Some("localhost")
}

/// As reqwest reads the host: `127.1` and `0x7f.1` are addresses to it.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    v6.unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use super::*;

    /// Gives one answer after the other, the last forever.
    struct Answers(Mutex<Vec<Vec<SocketAddr>>>);

    impl Resolve for Answers {
        fn resolve(&self, _: Name) -> Resolving {
            let mut answers = self.0.lock().unwrap();
            let outcome = match answers.len() {
                1 => answers[0].clone(),
                _ => answers.remove(0),
            };
            Box::pin(std::future::ready(Ok(
                Box::new(outcome.into_iter()) as Addrs
            )))
        }
    }

    async fn resolved(answers: &[&[&str]]) -> Result<Vec<String>, String> {
        let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 0);
        let answers = answers
            .iter()
            .map(|answer| answer.iter().map(address).collect());
        let resolver = PublicOnly::new(Arc::new(Answers(Mutex::new(answers.collect()))));
        let outcome = resolver.resolve("as.example".parse().unwrap()).await;
        outcome
            .map(|found| found.map(|to| to.ip().to_string()).collect())
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn only_the_public_addresses_of_a_name_are_tried() {
        let mixed = resolved(&[&["10.0.0.1", "93.184.216.34", "::1", "2606:4700::1111"]]).await;
        assert_eq!(mixed.unwrap(), ["93.184.216.34", "2606:4700::1111"]);
        let private = resolved(&[&["10.0.0.1", "127.0.0.1"]]).await;
        let text = private.unwrap_err();
        assert_eq!(text, "the name has no public address");
    }

    #[tokio::test]
    async fn the_checked_resolution_is_used_for_the_connection() {
        let rebound = resolved(&[&["93.184.216.34"], &["127.0.0.1"]]).await;
        assert_eq!(rebound.unwrap(), ["93.184.216.34"]);
    }

    #[test]
    fn ip_addresses_in_urls_are_checked_in_normalized_form() {
        let refused = |url: &str| {
            let checked = check(&url.parse().unwrap(), Proxies::None);
            checked.map_err(|cause| (cause.loss(), cause.to_string()))
        };
        for url in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
        ] {
            let (loss, text) = refused(url).unwrap_err();
            assert_eq!(loss, Loss::NotPublic, "{url}");
            assert!(text.contains("not public"), "{url}: {text}");
        }
        for url in [
            "https://localhost/",
            "https://LOCALHOST.:8443/",
            "https://as.tenant.localhost/",
        ] {
            let (loss, text) = refused(url).unwrap_err();
            assert_eq!(loss, Loss::NotPublic, "{url}");
            assert!(text.contains("this machine itself"), "{url}: {text}");
        }
        assert_eq!(refused("https://localhost.as.example/"), Ok(()));
        assert_eq!(refused("https://notlocalhost/"), Ok(()));
        let (loss, text) = refused("http://93.184.216.34/").unwrap_err();
        assert_eq!((loss, text.contains("plain http")), (Loss::NotPublic, true));
        assert_eq!(refused("https://93.184.216.34/"), Ok(()));
        assert_eq!(refused("https://as.example/"), Ok(()));
        let proxied = check(&"https://as.example/".parse().unwrap(), Proxies::All);
        assert_eq!(proxied.unwrap_err().loss(), Loss::NotPublic);
    }

    #[test]
    fn the_address_policy_decides_which_requests_are_checked() {
        for (policy, marked, unmarked) in [
            (AddressPolicy::default(), true, false),
            (AddressPolicy::PublicOnly, true, true),
            (AddressPolicy::Any, false, false),
        ] {
            assert_eq!(
                policy.checks(RequestAddressPolicy::PublicOnly),
                marked,
                "{policy:?}"
            );
            assert_eq!(
                policy.checks(RequestAddressPolicy::Any),
                unmarked,
                "{policy:?}"
            );
        }
    }
}
