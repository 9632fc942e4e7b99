//! The interface of a simulated store, and the default one: three synchronous functions.

use std::collections::HashMap;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::flow::keeper::{Entry, Lease, SaveOutcome};

/// A store under test: the three operations that a keeper needs, each atomic.
///
/// Delays, lost answers and outages are simulated outside of it. So is the time: `now` is the store's own
/// clock, the only one by which leases are measured.
pub trait FakeStore {
    /// Reads the record.
    fn load(&mut self, key: &str) -> Option<Entry>;

    /// Saves the record if it is still at `version`; 0 is the version of an absent one. An empty
    /// record is a tombstone.
    fn save(&mut self, key: &str, record: &Secret<String>, version: u64) -> SaveOutcome;

    /// Grants `holder` the lease for `ttl` unless another holds it; a `ttl` of zero releases it.
    fn lease(&mut self, now: Duration, key: &str, holder: &str, ttl: Duration) -> Lease;

    /// Loses the last saves of a record, or all of them. Does nothing by default.
    fn lose(&mut self, _key: &str, _saves: usize) {}
}

/// The simplest store that fulfils the contract.
#[derive(Debug, Default)]
pub(super) struct PlainStore {
    /// All saves of each record: a store may fall back to an earlier one.
    records: HashMap<String, Vec<Entry>>,
    leases: HashMap<String, (String, Duration)>,
    /// The last version that was assigned to any record.
    last_version: u64,
}

#[cfg(feature = "web")]
impl PlainStore {
    /// The stored keys and records without tombstones, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let last = self.records.iter().filter_map(|(key, saved)| {
            let record = saved.last()?.record.expose();
            Some((key.as_str(), record.as_str()))
        });
        last.filter(|(_, record)| !record.is_empty())
    }
}

impl FakeStore for PlainStore {
    fn load(&mut self, key: &str) -> Option<Entry> {
        self.records.get(key)?.last().cloned()
    }

    fn save(&mut self, key: &str, record: &Secret<String>, version: u64) -> SaveOutcome {
        if self.load(key).map_or(0, |entry| entry.version) != version {
            return SaveOutcome::Conflict;
        }
        self.last_version += 1;
        let (version, record) = (self.last_version, record.clone());
        let entry = Entry { version, record };
        self.records.entry(key.to_owned()).or_default().push(entry);
        SaveOutcome::At(version)
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
