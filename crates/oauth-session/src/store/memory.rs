//! Records in the memory of one process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oauth_core::Secret;

use super::{Answer, Entry, LONGEST, Lease, Saved, Store};

/// Records in the memory of this process, for all its threads and tasks. Clones share them.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<HashMap<String, Grant>>>);

#[derive(Default)]
struct Grant {
    entry: Option<Entry>,
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

    fn grants(&self) -> MutexGuard<'_, HashMap<String, Grant>> {
        // Each verb changes one value in one assignment, so a panic elsewhere leaves none half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    fn save(&mut self, record: &Secret<String>, version: u64) -> Saved {
        let stored = self.entry.as_ref().map_or(0, |entry| entry.version);
        if stored != version {
            return Saved::Conflict;
        }
        self.entry = Some(Entry {
            version: version + 1,
            record: record.clone(),
        });
        Saved::At(version + 1)
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
    ) -> Answer<'a, Saved> {
        Box::pin(async move {
            let mut grants = self.grants();
            let grant = grants.entry(key.to_owned()).or_default();
            Ok(grant.save(record, version))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let mut grants = self.grants();
            let grant = grants.entry(key.to_owned()).or_default();
            Ok(grant.lease(holder, ttl, Instant::now()))
        })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
