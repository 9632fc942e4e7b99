//! The grants of all signed-in users: one shared source of tokens for each. How grants are kept is in `grants.rs` of
//! oauth-session.

use std::sync::{Arc, Mutex, PoisonError};

use oauth_core::Client;
use oauth_reqwest::Driver;
use oauth_session::Store;

/// The number of providers whose grants are kept in memory: as tenants come and go, the least recently used are dropped.
const MAX_PROVIDERS: usize = 256;

/// The number of unused sources kept for each provider.
const MAX_IDLE_SOURCES: usize = 10_000;

/// The grants by provider, the most recently used at the end.
#[derive(Default)]
pub(crate) struct Grants {
    people: Option<usize>,
    pools: Mutex<Vec<Pool>>,
}

struct Pool {
    provider: String,
    client: Client,
    grants: oauth_session::Grants,
}

impl Grants {
    pub(crate) fn new(people: usize) -> Self {
        Self {
            people: Some(people),
            pools: Mutex::default(),
        }
    }

    /// The grants of a provider's people. They start empty for a new client.
    pub(crate) fn for_visit(
        &self,
        provider: &str,
        client: &Client,
        parts: impl FnOnce() -> (Driver, Arc<dyn Store>),
    ) -> oauth_session::Grants {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pools.iter().position(|pool| pool.provider == provider);
        let pool = at.map(|at| pools.remove(at));
        let pool = pool.filter(|pool| pool.client.is_clone_of(client));
        let pool = pool.unwrap_or_else(|| {
            let (driver, store) = parts();
            let grants = oauth_session::Grants::new(driver, client, store);
            Pool {
                provider: provider.to_owned(),
                client: client.clone(),
                grants: grants.capacity(self.people.unwrap_or(MAX_IDLE_SOURCES)),
            }
        });
        let grants = pool.grants.clone();
        pools.push(pool);
        if pools.len() > MAX_PROVIDERS {
            pools.remove(0);
        }
        grants
    }

    /// The number of users whose tokens are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().map(|pool| pool.grants.in_memory()).sum()
    }
}
