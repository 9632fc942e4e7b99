//! Requests to the store, and its answers.

use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::{self, Entry, Lease, SaveOutcome};
use oauth_web::Event as VisitEvent;

/// The timeout of a call of the store, in milliseconds.
pub(super) const STORE_TIMEOUT: u64 = 2_000;
/// The timeout of a request to the provider, in milliseconds.
pub(super) const REQUEST_TIMEOUT: u64 = 15_000;

pub(super) enum Order {
    Load(String),
    Lease(String, String, Duration),
    Save(String, Secret<String>, u64),
    Remove(String),
    /// A lease is extended; no task waits for the answer.
    Extend(String, String, Duration),
}

pub(super) enum StoreReply {
    Loaded(Option<Entry>),
    Leased(Lease),
    Saved(SaveOutcome),
    Removed,
    Failed,
}

impl StoreReply {
    pub(super) fn of_visit(self) -> VisitEvent {
        match self {
            Self::Loaded(entry) => VisitEvent::Loaded(entry),
            Self::Leased(lease) => VisitEvent::Leased(lease),
            Self::Saved(saved) => VisitEvent::Saved(saved),
            Self::Removed => VisitEvent::Removed,
            Self::Failed => VisitEvent::Failed(no_answer()),
        }
    }

    pub(super) fn of_keeper(self) -> keeper::Event {
        match self {
            Self::Loaded(entry) => keeper::Event::Loaded(entry),
            Self::Leased(lease) => keeper::Event::Leased(lease),
            Self::Saved(saved) => keeper::Event::Saved(saved),
            Self::Removed | Self::Failed => keeper::Event::Failed(no_answer()),
        }
    }
}

fn no_answer() -> Error {
    Error::lost(Cause::unknown("the store does not answer")).at_endpoint("store")
}

/// The beginning of a record's name, for a transcript.
pub(super) fn short(key: &str) -> &str {
    key.get(..6).unwrap_or(key)
}
