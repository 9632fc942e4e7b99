//! The system's resolver, which remembers what it said: where a connection fails, the addresses that were
//! tried say more than the name. A network that has a name for IPv6 and no way there is told by its
//! addresses, and so is a proxy's or a stale file's.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::local;

/// So many names are remembered, and so many addresses are told.
const NAMES: usize = 64;
const ADDRESSES: usize = 8;

#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Vec<IpAddr>>>>);

impl Names {
    /// The addresses that a request to this URL was tried at, if they are known.
    pub(crate) fn of(&self, url: &Url) -> Option<String> {
        let name = url.domain()?;
        let found = match name {
            local::NAME => local::ADDRESSES.map(|address| address.ip()).to_vec(),
            name => self.known().get(name).cloned()?,
        };
        let shown = found.iter().take(ADDRESSES).map(IpAddr::to_string);
        Some(shown.collect::<Vec<_>>().join(", "))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, name: String, found: &[SocketAddr]) {
        let mut known = self.known();
        if known.len() >= NAMES {
            known.clear();
        }
        known.insert(name, found.iter().map(SocketAddr::ip).collect());
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let us = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<_> = found.collect();
            us.keep(name.as_str().to_ascii_lowercase(), &found);
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_found_is_remembered_and_not_for_ever() {
        let names = Names::default();
        let mut found = names.resolve("localhost".parse().unwrap()).await.unwrap();
        let first = found.next().unwrap().ip();
        assert_eq!(names.known()["localhost"].first(), Some(&first));
        let url = Url::parse("https://AS.example:7/x").unwrap();
        assert_eq!(names.of(&url), None);
        names.keep("as.example".to_owned(), &local::ADDRESSES.repeat(5));
        let told = names.of(&url).unwrap();
        assert!(told.starts_with("127.0.0.1, ::1, "), "{told}");
        assert_eq!(told.split(", ").count(), ADDRESSES);
        for number in 0..2 * NAMES {
            names.keep(format!("{number}.example"), &[]);
        }
        assert!(names.known().len() <= NAMES);
        assert_eq!(names.of(&Url::parse("https://127.0.0.1/").unwrap()), None);
    }
}
