//! The grants of everybody who is signed in: one source of tokens for each, whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use oauth_core::Client;
use oauth_reqwest::Driver;
use oauth_session::{Sessions, Store};

/// How many providers' grants are at hand: of tenants that come and go, those that nobody asked for the longest go.
const PROVIDERS: usize = 256;

/// How many sources that nobody uses are kept for each provider.
const PEOPLE: usize = 10_000;

/// The grants by provider, those that were asked for last at the end.
#[derive(Default)]
pub(crate) struct Grants {
    people: Option<usize>,
    pools: Mutex<Vec<Pool>>,
}

struct Pool {
    provider: String,
    client: Client,
    grants: Sessions,
}

impl Grants {
    pub(crate) fn new(people: usize) -> Self {
        Self {
            people: Some(people),
            pools: Mutex::default(),
        }
    }

    /// The grants of a provider's people. Those of a client that was made anew begin anew.
    pub(crate) fn of(
        &self,
        provider: &str,
        client: &Client,
        parts: impl FnOnce() -> (Driver, Arc<dyn Store>),
    ) -> Sessions {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pools.iter().position(|pool| pool.provider == provider);
        let known = at.map(|at| pools.remove(at));
        let known = known.filter(|pool| pool.client.is_clone_of(client));
        let pool = known.unwrap_or_else(|| {
            let (driver, store) = parts();
            let grants = Sessions::new(driver, client, store);
            Pool {
                provider: provider.to_owned(),
                client: client.clone(),
                grants: grants.capacity(self.people.unwrap_or(PEOPLE)),
            }
        });
        let grants = pool.grants.clone();
        pools.push(pool);
        if pools.len() > PROVIDERS {
            pools.remove(0);
        }
        grants
    }

    /// How many people's tokens are at hand.
    pub(crate) fn in_memory(&self) -> usize {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().map(|pool| pool.grants.in_memory()).sum()
    }
}
