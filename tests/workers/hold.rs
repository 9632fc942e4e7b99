//! A store that reports what its worker holds, so that the killer of the worker knows the cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::Secret;
use oauth_reqwest::oauth_session::Store;
use oauth_reqwest::oauth_session::store::{Answer, Entry, Lease, Saved, Times};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::worker::say;

/// What a worker holds at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    #[default]
    Nothing,
    /// The lease: the next worker waits until it expires.
    Lease,
    /// The lease, and possibly the marker in the store that the refresh token is in flight, whose
    /// fate the next worker does not know.
    Mark,
}

/// The store of a worker. It reports a hold before it may begin, and its end once it has ended, so
/// that the last report is never too small.
pub(crate) struct ReportingStore {
    store: Arc<dyn Store>,
    held: Mutex<HeldLease>,
}

#[derive(Default)]
struct HeldLease {
    hold: Hold,
    holder: String,
}

impl ReportingStore {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            held: Mutex::default(),
        }
    }

    pub(crate) fn hold(&self) -> Hold {
        self.held().hold
    }

    fn held(&self) -> MutexGuard<'_, HeldLease> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, hold: Hold) {
        let mut held = self.held();
        if held.hold != hold {
            held.hold = hold;
            say(&json!({ "hold": hold }));
        }
    }

    /// Reports a request for the lease; an extension changes nothing.
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

impl Store for ReportingStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.store.load(key)
    }

    /// While the lease is held, the first save is the marker, and the next one the outcome.
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
