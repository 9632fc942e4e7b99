//! The store in the memory of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oauth_core::Secret;
use oauth_core::moment::UnixTime;

use super::{
    Answer, Entry, Lease, MAX_LEASE, PAGE_KEYS, Page, RecordTimes, SaveOutcome, Store,
    is_forgotten, is_past, next_version,
};

/// Records in the memory of this process, for all its threads and tasks. Clones share them.
///
/// To find what is due, every record is checked.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    grants: BTreeMap<String, Grant>,
    /// The expiry times of records. An entry may be outdated if its record was saved again.
    ends: BTreeSet<(UnixTime, String)>,
}

/// The number of expired records deleted when another is added.
const MAX_DELETED_AT_ONCE: usize = 16;

#[derive(Default)]
struct Grant {
    entry: Option<Entry>,
    times: RecordTimes,
    lease: Option<LeaseEntry>,
}

struct LeaseEntry {
    holder: String,
    until: Instant,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // Each method changes one value in one assignment, so a panic leaves no partial change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    /// Deletes some expired records.
    fn sweep(&mut self) {
        for _ in 0..MAX_DELETED_AT_ONCE {
            let Some((until, key)) = self.ends.pop_first() else {
                return;
            };
            if !is_past(until) {
                self.ends.insert((until, key));
                return;
            }
            if self.grants.get(&key).is_some_and(Grant::is_forgotten) {
                self.grants.remove(&key);
            }
        }
    }
}

impl Grant {
    fn save(&mut self, record: &Secret<String>, version: u64, times: RecordTimes) -> SaveOutcome {
        // An expired record is absent, but its version is not used again.
        let last = self.entry.as_ref().map_or(0, |entry| entry.version);
        let stored = self.entry().map_or(0, |entry| entry.version);
        let Some(version) = next_version(last).filter(|_| stored == version) else {
            return SaveOutcome::Conflict;
        };
        let record = record.clone();
        self.entry = Some(Entry { version, record });
        self.times = times;
        SaveOutcome::At(version)
    }

    /// The record, unless it has expired.
    fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref().filter(|_| !self.times.is_over())
    }

    fn is_there(&self) -> bool {
        self.entry().is_some_and(|entry| !entry.is_removed())
    }

    fn is_forgotten(&self) -> bool {
        let version = self.entry.as_ref().map_or(0, |entry| entry.version);
        let is_forgotten = self.times.is_over() || !self.is_there() && is_forgotten(version);
        let now = Instant::now();
        is_forgotten && self.lease.as_ref().is_none_or(|lease| lease.until <= now)
    }

    fn lease(&mut self, holder: &str, ttl: Duration, now: Instant) -> Lease {
        let other_lease = self
            .lease
            .as_ref()
            .filter(|lease| lease.holder != holder && now < lease.until);
        match (other_lease, ttl.is_zero()) {
            (Some(_), true) => return Lease::Won,
            (Some(lease), false) => return Lease::Held(lease.until - now),
            (None, true) => self.lease = None,
            (None, false) => {
                self.lease = Some(LeaseEntry {
                    holder: holder.to_owned(),
                    until: now + ttl.min(MAX_LEASE),
                });
            }
        }
        Lease::Won
    }
}

impl Store for MemoryStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            Ok(self
                .records()
                .grants
                .get(key)
                .and_then(Grant::entry)
                .cloned())
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async move {
            let mut records = self.records();
            if let Some(until) = times.until {
                records.sweep();
                records.ends.insert((until, key.to_owned()));
            }
            let grant = records.grants.entry(key.to_owned()).or_default();
            Ok(grant.save(record, version, times))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let mut records = self.records();
            let grant = records.grants.entry(key.to_owned()).or_default();
            Ok(grant.lease(holder, ttl, Instant::now()))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut records = self.records();
            records.grants.retain(|_, grant| !grant.is_forgotten());
            let grant = records.grants.entry(key.to_owned()).or_default();
            let existed = grant.is_there();
            grant.lease = None;
            let version = grant.entry().map_or(0, |entry| entry.version);
            grant.save(&Secret::new(String::new()), version, RecordTimes::NONE);
            Ok(existed)
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let lower_bound = cursor.map_or(Bound::Unbounded, Bound::Excluded);
            let records = self.records();
            let live_records = records
                .grants
                .range::<str, _>((lower_bound, Bound::Unbounded))
                .filter(|(_, grant)| grant.is_there());
            let keys: Vec<String> = live_records
                .map(|(key, _)| key.clone())
                .take(PAGE_KEYS)
                .collect();
            let next = keys.last().filter(|_| keys.len() == PAGE_KEYS).cloned();
            Ok(Page { keys, next })
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let records = self.records();
            let mut due_keys: Vec<_> = records
                .grants
                .iter()
                .filter_map(|(key, grant)| {
                    Some((grant.times.due.filter(|_| grant.is_there())?, key))
                })
                .filter(|(due, _)| *due < before)
                .collect();
            due_keys.sort();
            Ok(due_keys
                .into_iter()
                .map(|(_, key)| key.clone())
                .take(limit)
                .collect())
        })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
