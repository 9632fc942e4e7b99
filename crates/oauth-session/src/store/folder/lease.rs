//! The lease of a key, as a small file next to the record.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use serde::{Deserialize, Serialize};

use super::LockedKey;
use crate::store::{ENDPOINT, Lease, malformed};

const FORMAT: &str = "oauth-core lease 1";

/// The extension of a lease's file.
const LEASE: &str = "lease";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::store) struct LeaseRecord {
    format: String,
    pub(in crate::store) holder: String,
    /// When the lease was acquired, in milliseconds since 1970, like `until`.
    pub(in crate::store) taken_at: u64,
    pub(in crate::store) until: u64,
}

/// The change of the stored lease.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Change {
    Keep,
    Write(LeaseRecord),
    Remove,
}

impl LeaseRecord {
    pub(in crate::store) fn new(holder: String, taken_at: u64, until: u64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            holder,
            taken_at,
            until,
        }
    }
}

/// The clock of leases.
pub(in crate::store) fn clock() -> Result<u64, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(|_| Error::from(Misuse::NoClock).at_endpoint(ENDPOINT))?;
    Ok(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

impl LockedKey<'_> {
    /// Acquires the lease for this many milliseconds; 0 releases it.
    pub(in crate::store) fn lease(&self, holder: &str, ttl: u64) -> Result<Lease, Error> {
        let now = clock()?;
        let (lease, change) = decide(self.read_lease()?, holder, ttl, now);
        match change {
            Change::Keep => {}
            Change::Write(held) => {
                let bytes = serde_json::to_vec(&held).map_err(|_| malformed("lease"))?;
                self.write(LEASE, &Secret::new(bytes))?;
            }
            Change::Remove => {
                self.remove_lease()?;
            }
        }
        Ok(lease)
    }

    pub(in crate::store) fn remove_lease(&self) -> Result<bool, Error> {
        self.remove(LEASE)
    }

    fn read_lease(&self) -> Result<Option<LeaseRecord>, Error> {
        let Some(bytes) = self.read(LEASE)? else {
            return Ok(None);
        };
        let lease: Option<LeaseRecord> = serde_json::from_slice(bytes.expose()).ok();
        let lease = lease.filter(|lease| lease.format == FORMAT && lease.taken_at <= lease.until);
        // It is replaced as a whole, so a crash cannot leave this.
        let name = self.name(LEASE);
        lease
            .map(Some)
            .ok_or_else(|| malformed(&format!("{name}: not a lease")))
    }
}

/// Decides who holds the lease from now on, if another holder requests it for this many milliseconds.
pub(in crate::store) fn decide(
    stored: Option<LeaseRecord>,
    holder: &str,
    ttl: u64,
    now: u64,
) -> (Lease, Change) {
    let had_lease = stored.is_some();
    let (stored, is_moved) = match stored {
        // The clock has been set back: the expiry of the lease is no longer known, only its duration. Regarding it as
        // expired could let two workers hold it; waiting for the clock to catch up could take hours.
        Some(lease) if now < lease.taken_at => {
            let expires_at = now.saturating_add(lease.until - lease.taken_at);
            let taken_at = now;
            (
                Some(LeaseRecord {
                    taken_at,
                    until: expires_at,
                    ..lease
                }),
                true,
            )
        }
        stored => (stored, false),
    };
    let other_lease = stored.filter(|lease| lease.holder != holder && now < lease.until);
    match (other_lease, ttl) {
        (Some(_), 0) => (Lease::Won, Change::Keep),
        (Some(lease), _) => {
            let remaining = Duration::from_millis(lease.until - now);
            let change = if is_moved {
                Change::Write(lease)
            } else {
                Change::Keep
            };
            (Lease::Held(remaining), change)
        }
        (None, 0) if had_lease => (Lease::Won, Change::Remove),
        (None, 0) => (Lease::Won, Change::Keep),
        (None, _) => {
            let lease = LeaseRecord::new(holder.to_owned(), now, now.saturating_add(ttl));
            (Lease::Won, Change::Write(lease))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, taken_at: u64, until: u64) -> LeaseRecord {
        LeaseRecord::new(holder.to_owned(), taken_at, until)
    }

    const fn held_for(millis: u64) -> Lease {
        Lease::Held(Duration::from_millis(millis))
    }

    #[test]
    fn a_lease_can_be_taken_at_its_expiry() {
        let stored = Some(record("one", 1000, 1500));
        let decision = decide(stored.clone(), "two", 100, 1499);
        assert_eq!(decision, (held_for(1), Change::Keep));
        let over = decide(stored, "two", 100, 1500);
        assert_eq!(over, (Lease::Won, Change::Write(record("two", 1500, 1600))));
    }

    #[test]
    fn a_clock_set_back_neither_ends_nor_prolongs_a_lease() {
        let stored = Some(record("one", 3_600_000, 3_600_500));
        let moved = record("one", 7, 507);
        let decision = decide(stored, "two", 100, 7);
        assert_eq!(decision, (held_for(500), Change::Write(moved.clone())));
        let decision = decide(Some(moved.clone()), "two", 100, 506);
        assert_eq!(decision, (held_for(1), Change::Keep));
        let over = decide(Some(moved), "two", 100, 507);
        assert_eq!(over, (Lease::Won, Change::Write(record("two", 507, 607))));
    }

    #[test]
    fn the_holder_can_extend_its_lease_after_the_clock_is_set_back() {
        let stored = Some(record("one", 3_600_000, 3_600_500));
        let decision = decide(stored.clone(), "one", 100, 7);
        assert_eq!(decision, (Lease::Won, Change::Write(record("one", 7, 107))));
        let back = decide(stored, "one", 0, 7);
        assert_eq!(back, (Lease::Won, Change::Remove));
    }

    #[test]
    fn only_the_holder_releases_a_lease() {
        let stored = Some(record("one", 1000, 1500));
        let not_theirs = decide(stored.clone(), "two", 0, 1200);
        assert_eq!(not_theirs, (Lease::Won, Change::Keep));
        assert_eq!(decide(stored, "one", 0, 1200), (Lease::Won, Change::Remove));
        assert_eq!(decide(None, "one", 0, 1200), (Lease::Won, Change::Keep));
    }
}
