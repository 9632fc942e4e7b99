//! The system's resolver, which records its answers: when a connection fails, the addresses that were tried are more
//! useful than the name. They show a network without a route for IPv6, the address of a proxy,
//! or an outdated entry in a hosts file.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::localhost;

/// The numbers of recorded names and of reported addresses.
const MAX_NAMES: usize = 64;
const MAX_ADDRESSES: usize = 8;

#[derive(Clone, Default)]
pub(crate) struct Resolver(Arc<Mutex<HashMap<String, Vec<IpAddr>>>>);

impl Resolver {
    /// The addresses at which a request to this URL was tried, if they are known.
    pub(crate) fn tried_addresses(&self, url: &Url) -> Option<String> {
        let name = url.domain()?;
        let addresses = match name {
            localhost::NAME => localhost::ADDRESSES.map(|address| address.ip()).to_vec(),
            name => self.entries().get(name).cloned()?,
        };
        let shown = addresses.iter().take(MAX_ADDRESSES).map(IpAddr::to_string);
        Some(shown.collect::<Vec<_>>().join(", "))
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, name: String, addresses: &[SocketAddr]) {
        let mut entries = self.entries();
        if entries.len() >= MAX_NAMES {
            entries.clear();
        }
        entries.insert(name, addresses.iter().map(SocketAddr::ip).collect());
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let lookup = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<_> = lookup.collect();
            resolver.remember(name.as_str().to_ascii_lowercase(), &addresses);
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn resolved_addresses_are_remembered_for_a_limited_number_of_names() {
        let resolver = Resolver::default();
        let mut addresses = resolver
            .resolve("localhost".parse().unwrap())
            .await
            .unwrap();
        let first = addresses.next().unwrap().ip();
        assert_eq!(resolver.entries()["localhost"].first(), Some(&first));
        let url = Url::parse("https://AS.example:7/x").unwrap();
        assert_eq!(resolver.tried_addresses(&url), None);
        resolver.remember("as.example".to_owned(), &localhost::ADDRESSES.repeat(5));
        let detail = resolver.tried_addresses(&url).unwrap();
        assert!(detail.starts_with("127.0.0.1, ::1, "), "{detail}");
        assert_eq!(detail.split(", ").count(), MAX_ADDRESSES);
        for number in 0..2 * MAX_NAMES {
            resolver.remember(format!("{number}.example"), &[]);
        }
        assert!(resolver.entries().len() <= MAX_NAMES);
        assert_eq!(
            resolver.tried_addresses(&Url::parse("https://127.0.0.1/").unwrap()),
            None
        );
    }
}
