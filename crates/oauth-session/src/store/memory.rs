//! The store in the memory of one process.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oauth_core::Secret;
use oauth_core::moment::UnixTime;

use super::{Answer, Entry, LONGEST, Lease, PAGE, Page, Saved, Store, is_forgotten, next};

/// Records in the memory of this process, for all its threads and tasks. Clones share them.
///
/// To find what is due takes a look at every record.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<String, Grant>>>);

#[derive(Default)]
struct Grant {
    entry: Option<Entry>,
    due: Option<UnixTime>,
    lease: Option<Held>,
}

struct Held {
    holder: String,
    until: Instant,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn grants(&self) -> MutexGuard<'_, BTreeMap<String, Grant>> {
        // Each verb changes one value in one assignment, so a panic leaves no partial change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    fn save(&mut self, record: &Secret<String>, version: u64, due: Option<UnixTime>) -> Saved {
        let stored = self.entry.as_ref().map_or(0, |entry| entry.version);
        let Some(version) = next(version).filter(|_| stored == version) else {
            return Saved::Conflict;
        };
        let record = record.clone();
        self.entry = Some(Entry { version, record });
        self.due = due;
        Saved::At(version)
    }

    fn is_there(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| !entry.is_removed())
    }

    fn is_forgotten(&self) -> bool {
        let version = self.entry.as_ref().map_or(0, |entry| entry.version);
        !self.is_there() && self.lease.is_none() && is_forgotten(version)
    }

    fn lease(&mut self, holder: &str, ttl: Duration, now: Instant) -> Lease {
        let other = self
            .lease
            .as_ref()
            .filter(|held| held.holder != holder && now < held.until);
        match (other, ttl.is_zero()) {
            (Some(_), true) => return Lease::Won,
            (Some(held), false) => return Lease::Held(held.until - now),
            (None, true) => self.lease = None,
            (None, false) => {
                self.lease = Some(Held {
                    holder: holder.to_owned(),
                    until: now + ttl.min(LONGEST),
                });
            }
        }
        Lease::Won
    }
}

impl Store for Memory {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move { Ok(self.grants().get(key).and_then(|grant| grant.entry.clone())) })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        due: Option<UnixTime>,
    ) -> Answer<'a, Saved> {
        Box::pin(async move {
            let mut grants = self.grants();
            let grant = grants.entry(key.to_owned()).or_default();
            Ok(grant.save(record, version, due))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let mut grants = self.grants();
            let grant = grants.entry(key.to_owned()).or_default();
            Ok(grant.lease(holder, ttl, Instant::now()))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut grants = self.grants();
            grants.retain(|_, grant| !grant.is_forgotten());
            let grant = grants.entry(key.to_owned()).or_default();
            let was_there = grant.is_there();
            grant.lease = None;
            let version = grant.entry.as_ref().map_or(0, |entry| entry.version);
            grant.save(&Secret::new(String::new()), version, None);
            Ok(was_there)
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
            let grants = self.grants();
            let there = grants
                .range::<str, _>((after, Bound::Unbounded))
                .filter(|(_, grant)| grant.is_there());
            let keys: Vec<String> = there.map(|(key, _)| key.clone()).take(PAGE).collect();
            let next = keys.last().filter(|_| keys.len() == PAGE).cloned();
            Ok(Page { keys, next })
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let grants = self.grants();
            let mut due: Vec<_> = grants
                .iter()
                .filter_map(|(key, grant)| Some((grant.due.filter(|_| grant.is_there())?, key)))
                .filter(|(due, _)| *due < before)
                .collect();
            due.sort();
            Ok(due
                .into_iter()
                .map(|(_, key)| key.clone())
                .take(limit)
                .collect())
        })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
