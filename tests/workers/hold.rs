//! A store that reports what its worker holds, so that whoever kills it knows what that may cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::Secret;
use oauth_reqwest::oauth_session::Store;
use oauth_reqwest::oauth_session::store::{Answer, Entry, Lease, Saved, Times};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::worker::say;

/// What a worker has in hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    #[default]
    Nothing,
    /// The lease. Whoever comes next waits until it expires.
    Lease,
    /// The lease, and the store may say that the refresh token is in flight: its fate is not known
    /// to whoever comes next.
    Mark,
}

/// The store of a worker. It tells of a hold before it may be there, and that it is over once it is:
/// what was told last is never too little.
pub(crate) struct Telling {
    store: Arc<dyn Store>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    hold: Hold,
    holder: String,
}

impl Telling {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            held: Mutex::default(),
        }
    }

    pub(crate) fn hold(&self) -> Hold {
        self.held().hold
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, hold: Hold) {
        let mut held = self.held();
        if held.hold != hold {
            held.hold = hold;
            say(&json!({ "hold": hold }));
        }
    }

    /// The lease is asked for; one that is extended changes nothing.
    fn ask(&self, holder: &str) {
        let is_extended = {
            let mut held = self.held();
            let is_extended = held.hold != Hold::Nothing && held.holder == holder;
            held.holder = holder.to_owned();
            is_extended
        };
        if !is_extended {
            self.tell(Hold::Lease);
        }
    }
}

impl Store for Telling {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.store.load(key)
    }

    /// With a lease in hand, the first that is saved is the marker, and the next what has become of it.
    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: Times,
    ) -> Answer<'a, Saved> {
        Box::pin(async move {
            let before = self.hold();
            if before == Hold::Lease {
                self.tell(Hold::Mark);
            }
            let saved = self.store.save(key, record, version, times).await;
            match (before, &saved) {
                (Hold::Mark, Ok(Saved::At(_))) | (Hold::Lease, Ok(Saved::Conflict)) => {
                    self.tell(Hold::Lease);
                }
                _ => {}
            }
            saved
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            if !ttl.is_zero() {
                self.ask(holder);
            }
            let leased = self.store.lease(key, holder, ttl).await;
            match &leased {
                Ok(Lease::Won) if ttl.is_zero() => self.tell(Hold::Nothing),
                Ok(Lease::Held(_)) if self.hold() == Hold::Lease => self.tell(Hold::Nothing),
                _ => {}
            }
            leased
        })
    }
}
