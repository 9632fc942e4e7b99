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
pub(crate) enum Way {
    /// Saves regardless of the version.
    IgnoresVersion,
    /// Treats every record with an expiration time as expired.
    EndsAtOnce,
    /// Hides expired records, which still block saves.
    HidesEnded,
    /// Checks the version and saves in two steps.
    LooksThenSaves,
    /// Counts each record's versions from 1.
    CountsFromOne,
    /// Forgets a removed record and its versions.
    ForgetsVersions,
    /// Has a record from the start.
    InventsRecords,
    /// Truncates records.
    CutsRecords,
    /// Ignores the case of keys, like some file systems.
    FoldsKeys,
    /// Keeps separate records for each handle.
    SharesNothing,
    /// Never expires leases.
    NeverEndsLeases,
    /// Expires leases at once.
    LeasesNothing,
    /// Releases leases of other holders.
    GivesBackAnothers,
    /// Never releases leases.
    GivesBackNothing,
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
    TurnsDueAround,
    /// Returns only errors.
    Fails,
}

/// All mistakes, with the contract's cases that must detect them.
pub(crate) fn ways() -> Vec<(Way, &'static [&'static str])> {
    vec![
        (
            Way::IgnoresVersion,
            &[
                "a record is saved at its version only",
                "one of many savers wins",
                "a worker that slept through its lease is fenced off",
            ],
        ),
        (
            Way::LooksThenSaves,
            &["one of many savers wins", "no save of many is lost"],
        ),
        (
            Way::CountsFromOne,
            &["a first version is higher than those of before"],
        ),
        (
            Way::ForgetsVersions,
            &["a removed record is at a version of its own"],
        ),
        (Way::InventsRecords, &["nothing is there at first"]),
        (Way::CutsRecords, &["a record comes back as it was saved"]),
        (Way::FoldsKeys, &["keys are independent"]),
        (Way::SharesNothing, &["all handles see one place"]),
        (
            Way::NeverEndsLeases,
            &[
                "a lease expires after its time",
                "a worker that slept through its lease is fenced off",
            ],
        ),
        (
            Way::LeasesNothing,
            &[
                "a lease is one holder's",
                "one of many takers has the lease",
            ],
        ),
        (
            Way::GivesBackAnothers,
            &["another's lease is not given back"],
        ),
        (Way::GivesBackNothing, &["a lease is given back"]),
        (Way::LocksOutTheHolder, &["the holder takes the lease anew"]),
        (
            Way::LeaseIsRecord,
            &["a lease needs no record, and is none"],
        ),
        (
            Way::SaveEndsLease,
            &["saving and leasing do not touch each other"],
        ),
        (Way::RemovesNothing, &["a removal ends what there is"]),
        (Way::ScansOnePage, &["a scan tells of every record"]),
        (Way::ForgetsDue, &["what is due is told in order"]),
        (Way::EndsAtOnce, &["a record stays until its end"]),
        (Way::HidesEnded, &["a record that has ended is absent"]),
        (Way::TurnsDueAround, &["what is due is told in order"]),
        (Way::Fails, &["nothing is there at first"]),
    ]
}

/// A [`MemoryStore`] with a mistake.
pub(crate) struct FaultyStore {
    way: Way,
    memory: MemoryStore,
    holders: Arc<AtomicU64>,
    counts: Arc<Mutex<HashMap<String, Entry>>>,
}

impl FaultyStore {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            memory: MemoryStore::new(),
            holders: Arc::default(),
            counts: Arc::default(),
        }
    }

    const fn counts(&self) -> bool {
        matches!(self.way, Way::CountsFromOne | Way::ForgetsVersions)
    }

    fn count(&self, key: &str, record: &Secret<String>, version: u64) -> SaveOutcome {
        let mut counts = self.counts.lock().expect("no panic");
        if counts.get(key).map_or(0, |entry| entry.version) != version {
            return SaveOutcome::Conflict;
        }
        let (version, record) = (version + 1, record.clone());
        if self.way == Way::ForgetsVersions && record.expose().is_empty() {
            counts.remove(key)
        } else {
            counts.insert(key.to_owned(), Entry { version, record })
        };
        SaveOutcome::At(version)
    }

    fn key(&self, key: &str) -> String {
        match self.way {
            Way::FoldsKeys => key.to_lowercase(),
            _ => key.to_owned(),
        }
    }
}

impl Clone for FaultyStore {
    fn clone(&self) -> Self {
        Self {
            way: self.way,
            memory: match self.way {
                Way::SharesNothing => MemoryStore::new(),
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
                Way::Fails => Err(Error::lost(Cause::unknown("no store")).at_endpoint("store")),
                Way::InventsRecords => Ok(entry.or(Some(Entry {
                    version: 1,
                    record: Secret::from("{}"),
                }))),
                _ if self.counts() => Ok(self.counts.lock().expect("no panic").get(key).cloned()),
                Way::HidesEnded => {
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
            times.due = times.due.filter(|_| self.way != Way::ForgetsDue);
            match self.way {
                Way::EndsAtOnce => {
                    times.until = times.until.map(|_| UnixTime::from_secs(0));
                }
                Way::HidesEnded if times.until == Some(UnixTime::from_secs(1)) => {
                    times.until = None;
                    let mut counts = self.counts.lock().expect("no panic");
                    let record = record.clone();
                    counts.insert(key.clone(), Entry { version, record });
                }
                _ if self.counts() => return Ok(self.count(&key, record, version)),
                Way::CutsRecords => {
                    let cut: String = record.expose().chars().take(4000).collect();
                    return self
                        .memory
                        .save(&key, &Secret::new(cut), version, times)
                        .await;
                }
                Way::SaveEndsLease => {
                    self.memory.lease(&key, "one", Duration::ZERO).await?;
                }
                _ => {}
            }
            if !matches!(self.way, Way::IgnoresVersion | Way::LooksThenSaves) {
                return self.memory.save(&key, record, version, times).await;
            }
            let stored = self.memory.load(&key).await?;
            let stored = stored.map_or(0, |entry| entry.version);
            if self.way == Way::LooksThenSaves && stored != version {
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
                Way::LeasesNothing => Ok(Lease::Won),
                Way::NeverEndsLeases if !ttl.is_zero() => {
                    self.memory.lease(&key, holder, ttl * 10_000).await
                }
                Way::LocksOutTheHolder if !ttl.is_zero() => {
                    self.memory.lease(&key, &renamed, ttl).await
                }
                Way::GivesBackNothing if ttl.is_zero() => Ok(Lease::Won),
                Way::GivesBackAnothers if ttl.is_zero() => {
                    self.memory.lease(&key, "one", ttl).await
                }
                Way::LeaseIsRecord if !ttl.is_zero() => {
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
            Way::RemovesNothing => Box::pin(async { Ok(true) }),
            _ => self.memory.remove(key),
        }
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let mut page = self.memory.scan(cursor).await?;
            page.next = page.next.filter(|_| self.way != Way::ScansOnePage);
            Ok(page)
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let mut due = self.memory.due(before, limit).await?;
            if self.way == Way::TurnsDueAround {
                due.reverse();
            }
            Ok(due)
        })
    }
}
