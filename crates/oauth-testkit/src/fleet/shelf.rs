//! A store as three plain functions.

use std::collections::HashMap;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::flow::keeper::{Entry, Lease, Saved};

/// A store under test: the three verbs a keeper needs, each done in one step.
///
/// Delays, lost answers and outages are the simulation's part. So is the time: `now` is the
/// store's own clock, and the only one a lease is measured by.
pub trait Shelf {
    /// Reads the record.
    fn load(&mut self, key: &str) -> Option<Entry>;

    /// Saves the record if it is still at `version`; 0 is the version of one that is not there. An
    /// empty record says that it was removed.
    fn save(&mut self, key: &str, record: &Secret<String>, version: u64) -> Saved;

    /// Takes the lease for `ttl` unless another holds it; for no time at all, gives it back.
    fn lease(&mut self, now: Duration, key: &str, holder: &str, ttl: Duration) -> Lease;

    /// Loses the last saves of a record, or all of them. One that cannot loses nothing.
    fn lose(&mut self, _key: &str, _saves: usize) {}
}

/// The plainest store that keeps the contract.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// Of each record, all that was saved: a store may fall back.
    records: HashMap<String, Vec<Entry>>,
    leases: HashMap<String, (String, Duration)>,
    /// The last version that any record was given.
    given: u64,
}

impl Shelf for Plain {
    fn load(&mut self, key: &str) -> Option<Entry> {
        self.records.get(key)?.last().cloned()
    }

    fn save(&mut self, key: &str, record: &Secret<String>, version: u64) -> Saved {
        if self.load(key).map_or(0, |entry| entry.version) != version {
            return Saved::Conflict;
        }
        self.given += 1;
        let (version, record) = (self.given, record.clone());
        let entry = Entry { version, record };
        self.records.entry(key.to_owned()).or_default().push(entry);
        Saved::At(version)
    }

    fn lease(&mut self, now: Duration, key: &str, holder: &str, ttl: Duration) -> Lease {
        let held = self.leases.get(key).filter(|(_, until)| now < *until);
        match held {
            Some((other, _)) if other != holder && ttl.is_zero() => Lease::Won,
            Some((other, until)) if other != holder => Lease::Held(*until - now),
            _ if ttl.is_zero() => {
                self.leases.remove(key);
                Lease::Won
            }
            _ => {
                let lease = (holder.to_owned(), now + ttl);
                self.leases.insert(key.to_owned(), lease);
                Lease::Won
            }
        }
    }

    fn lose(&mut self, key: &str, saves: usize) {
        if let Some(saved) = self.records.get_mut(key) {
            saved.truncate(saved.len().saturating_sub(saves));
        }
    }
}
