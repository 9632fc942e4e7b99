//! Deliberately wrong stores, which the contract must detect.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_core::moment::UnixTime;
use oauth_session::store::{
    Answer, Entry, Lease, MemoryStore, Page, RecordTimes, SaveOutcome, Store,
};

/// What a store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Saves regardless of the version.
    IgnoresVersion,
    /// Treats every record with an expiration time as expired.
    ExpiresAtOnce,
    /// Hides expired records, which still block saves.
    HidesExpired,
    /// Checks the version and saves in two steps.
    ChecksThenSaves,
    /// Counts each record's versions from 1.
    CountsFromOne,
    /// Forgets a removed record and its versions.
    ForgetsVersions,
    /// Has a record from the start.
    InventsRecords,
    /// Truncates records.
    TruncatesRecords,
    /// Ignores the case of keys, like some file systems.
    FoldsKeys,
    /// Keeps separate records for each handle.
    SharesNothing,
    /// Never expires leases.
    NeverExpiresLeases,
    /// Expires leases at once.
    ExpiresLeasesAtOnce,
    /// Releases leases of other holders.
    ReleasesOthersLeases,
    /// Never releases leases.
    NeverReleasesLeases,
    /// Refuses the lease to its own holder.
    LocksOutTheHolder,
    /// Stores leases as records.
    LeaseIsRecord,
    /// Releases the lease on a save.
    SaveEndsLease,
    /// Reports a removal without removing.
    RemovesNothing,
    /// Returns only one page of a scan.
    ScansOnePage,
    /// Never reports due records.
    ForgetsDue,
    /// Returns due records in reverse order.
    ReversesDue,
    /// Returns only errors.
    Fails,
}

/// All mistakes, with the contract's cases that must detect them.
pub(crate) fn mistakes() -> Vec<(Mistake, &'static [&'static str])> {
    vec![
        (
            Mistake::IgnoresVersion,
            &[
                "a record is saved at its version only",
                "one of many savers wins",
                "a worker that slept through its lease is fenced off",
            ],
        ),
        (
            Mistake::ChecksThenSaves,
            &["one of many savers wins", "no save of many is lost"],
        ),
        (
            Mistake::CountsFromOne,
            &["a first version is higher than those of before"],
        ),
        (
            Mistake::ForgetsVersions,
            &["a removed record is at a version of its own"],
        ),
        (Mistake::InventsRecords, &["nothing is there at first"]),
        (
            Mistake::TruncatesRecords,
            &["a record comes back as it was saved"],
        ),
        (Mistake::FoldsKeys, &["keys are independent"]),
        (Mistake::SharesNothing, &["all handles see one place"]),
        (
            Mistake::NeverExpiresLeases,
            &[
                "a lease expires after its time",
                "a worker that slept through its lease is fenced off",
            ],
        ),
        (
            Mistake::ExpiresLeasesAtOnce,
            &[
                "a lease is one holder's",
                "one of many takers has the lease",
            ],
        ),
        (
            Mistake::ReleasesOthersLeases,
            &["another's lease is not given back"],
        ),
        (Mistake::NeverReleasesLeases, &["a lease is given back"]),
        (
            Mistake::LocksOutTheHolder,
            &["the holder takes the lease anew"],
        ),
        (
            Mistake::LeaseIsRecord,
            &["a lease needs no record, and is none"],
        ),
        (
            Mistake::SaveEndsLease,
            &["saving and leasing do not touch each other"],
        ),
        (Mistake::RemovesNothing, &["a removal ends what there is"]),
        (Mistake::ScansOnePage, &["a scan tells of every record"]),
        (Mistake::ForgetsDue, &["what is due is told in order"]),
        (Mistake::ExpiresAtOnce, &["a record stays until its end"]),
        (
            Mistake::HidesExpired,
            &["a record that has ended is absent"],
        ),
        (Mistake::ReversesDue, &["what is due is told in order"]),
        (Mistake::Fails, &["nothing is there at first"]),
    ]
}

/// A [`MemoryStore`] with a mistake.
pub(crate) struct FaultyStore {
    way: Mistake,
    memory: MemoryStore,
    holders: Arc<AtomicU64>,
    counts: Arc<Mutex<HashMap<String, Entry>>>,
}

impl FaultyStore {
    pub(crate) fn new(way: Mistake) -> Self {
        Self {
            way,
            memory: MemoryStore::new(),
            holders: Arc::default(),
            counts: Arc::default(),
        }
    }

    const fn counts(&self) -> bool {
        matches!(self.way, Mistake::CountsFromOne | Mistake::ForgetsVersions)
    }

    fn count(&self, key: &str, record: &Secret<String>, version: u64) -> SaveOutcome {
        let mut counts = self.counts.lock().expect("no panic");
        if counts.get(key).map_or(0, |entry| entry.version) != version {
            return SaveOutcome::Conflict;
        }
        let (version, record) = (version + 1, record.clone());
        if self.way == Mistake::ForgetsVersions && record.expose().is_empty() {
            counts.remove(key)
        } else {
            counts.insert(key.to_owned(), Entry { version, record })
        };
        SaveOutcome::At(version)
    }

    fn key(&self, key: &str) -> String {
        match self.way {
            Mistake::FoldsKeys => key.to_lowercase(),
            _ => key.to_owned(),
        }
    }
}

impl Clone for FaultyStore {
    fn clone(&self) -> Self {
        Self {
            way: self.way,
            memory: match self.way {
                Mistake::SharesNothing => MemoryStore::new(),
                _ => self.memory.clone(),
            },
            holders: Arc::clone(&self.holders),
            counts: Arc::clone(&self.counts),
        }
    }
}

impl Store for FaultyStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let entry = self.memory.load(&self.key(key)).await?;
            match self.way {
                Mistake::Fails => Err(Error::lost(Cause::unknown("no store")).at_endpoint("store")),
                Mistake::InventsRecords => Ok(entry.or(Some(Entry {
                    version: 1,
                    record: Secret::from("{}"),
                }))),
                _ if self.counts() => Ok(self.counts.lock().expect("no panic").get(key).cloned()),
                Mistake::HidesExpired => {
                    let is_hidden = self
                        .counts
                        .lock()
                        .expect("no panic")
                        .contains_key(&self.key(key));
                    Ok(entry.filter(|_| !is_hidden))
                }
                _ => Ok(entry),
            }
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
            let key = self.key(key);
            let mut times = times;
            times.due = times.due.filter(|_| self.way != Mistake::ForgetsDue);
            match self.way {
                Mistake::ExpiresAtOnce => {
                    times.until = times.until.map(|_| UnixTime::from_secs(0));
                }
                Mistake::HidesExpired if times.until == Some(UnixTime::from_secs(1)) => {
                    times.until = None;
                    let mut counts = self.counts.lock().expect("no panic");
                    let record = record.clone();
                    counts.insert(key.clone(), Entry { version, record });
                }
                _ if self.counts() => return Ok(self.count(&key, record, version)),
                Mistake::TruncatesRecords => {
                    let cut: String = record.expose().chars().take(4000).collect();
                    return self
                        .memory
                        .save(&key, &Secret::new(cut), version, times)
                        .await;
                }
                Mistake::SaveEndsLease => {
                    self.memory.lease(&key, "one", Duration::ZERO).await?;
                }
                _ => {}
            }
            if !matches!(self.way, Mistake::IgnoresVersion | Mistake::ChecksThenSaves) {
                return self.memory.save(&key, record, version, times).await;
            }
            let stored = self.memory.load(&key).await?;
            let stored = stored.map_or(0, |entry| entry.version);
            if self.way == Mistake::ChecksThenSaves && stored != version {
                return Ok(SaveOutcome::Conflict);
            }
            // Gives all workers time to read.
            tokio::time::sleep(Duration::from_millis(20)).await;
            loop {
                let now = self.memory.load(&key).await?;
                let now = now.map_or(0, |entry| entry.version);
                if let SaveOutcome::At(version) = self.memory.save(&key, record, now, times).await?
                {
                    return Ok(SaveOutcome::At(version));
                }
            }
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let key = self.key(key);
            let number = self.holders.fetch_add(1, Ordering::Relaxed);
            let renamed = format!("{holder} {number}");
            match self.way {
                Mistake::ExpiresLeasesAtOnce => Ok(Lease::Won),
                Mistake::NeverExpiresLeases if !ttl.is_zero() => {
                    self.memory.lease(&key, holder, ttl * 10_000).await
                }
                Mistake::LocksOutTheHolder if !ttl.is_zero() => {
                    self.memory.lease(&key, &renamed, ttl).await
                }
                Mistake::NeverReleasesLeases if ttl.is_zero() => Ok(Lease::Won),
                Mistake::ReleasesOthersLeases if ttl.is_zero() => {
                    self.memory.lease(&key, "one", ttl).await
                }
                Mistake::LeaseIsRecord if !ttl.is_zero() => {
                    let record = Secret::from(holder);
                    self.memory
                        .save(&key, &record, 0, RecordTimes::NONE)
                        .await?;
                    self.memory.lease(&key, holder, ttl).await
                }
                _ => self.memory.lease(&key, holder, ttl).await,
            }
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        match self.way {
            Mistake::RemovesNothing => Box::pin(async { Ok(true) }),
            _ => self.memory.remove(key),
        }
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let mut page = self.memory.scan(cursor).await?;
            page.next = page.next.filter(|_| self.way != Mistake::ScansOnePage);
            Ok(page)
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let mut due = self.memory.due(before, limit).await?;
            if self.way == Mistake::ReversesDue {
                due.reverse();
            }
            Ok(due)
        })
    }
}
