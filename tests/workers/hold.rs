//! A store that reports whether its worker holds the lease or a marker: the cost of killing the worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::Secret;
use oauth_reqwest::oauth_session::Store;
use oauth_reqwest::oauth_session::store::{Answer, Entry, Lease, RecordTimes, SaveOutcome};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::worker::print_json;

/// What a worker holds in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    #[default]
    Nothing,
    /// The lease: the next worker waits until it expires.
    Lease,
    /// The lease, and possibly the marker in the store that the refresh token is in flight, whose
    /// fate the next worker does not know.
    Marker,
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

    fn report(&self, hold: Hold) {
        let mut held = self.held();
        if held.hold != hold {
            held.hold = hold;
            print_json(&json!({ "hold": hold }));
        }
    }

    /// Reports a request for the lease; an extension changes nothing.
    fn report_request(&self, holder: &str) {
        let is_extended = {
            let mut held = self.held();
            let is_extended = held.hold != Hold::Nothing && held.holder == holder;
            held.holder = holder.to_owned();
            is_extended
        };
        if !is_extended {
            self.report(Hold::Lease);
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
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async move {
            let before = self.hold();
            if before == Hold::Lease {
                self.report(Hold::Marker);
            }
            let saved = self.store.save(key, record, version, times).await;
            match (before, &saved) {
                (Hold::Marker, Ok(SaveOutcome::At(_)))
                | (Hold::Lease, Ok(SaveOutcome::Conflict)) => {
                    self.report(Hold::Lease);
                }
                _ => {}
            }
            saved
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            if !ttl.is_zero() {
                self.report_request(holder);
            }
            let leased = self.store.lease(key, holder, ttl).await;
            match &leased {
                Ok(Lease::Won) if ttl.is_zero() => self.report(Hold::Nothing),
                Ok(Lease::Held(_)) if self.hold() == Hold::Lease => self.report(Hold::Nothing),
                _ => {}
            }
            leased
        })
    }
}
