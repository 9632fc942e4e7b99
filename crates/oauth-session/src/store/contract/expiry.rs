//! The contract cases for records that expire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oauth_core::moment::UnixTime;

use super::harness::{CaseResult, Harness, saved_version};
use crate::store::RecordTimes;

/// The number of records that expire: more than a store deletes at a time.
const EXPIRING_RECORDS: usize = 24;

/// The time this many seconds from now.
fn from_now(seconds: u64) -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::from_secs(now.map_or(0, |now| now.as_secs())).after(Duration::from_secs(seconds))
}

/// The time of a record that has already expired.
const PAST: RecordTimes = RecordTimes::until(UnixTime::from_secs(1));

/// A record that has not expired stays, also while others expire, and a later save determines its expiry.
pub(super) async fn unexpired_record_stays(harness: &Harness) -> CaseResult {
    let key = harness.key("ending:stays");
    let later = RecordTimes::until(from_now(3600));
    let version = saved_version(harness.save_at(0, &key, "text", 0, later).await?, 0)?;
    harness.expect_record(&key, version, "text").await?;
    // Expired records do not affect others.
    for number in 0..EXPIRING_RECORDS {
        let other_key = harness.key(&format!("ending:other:{number}"));
        saved_version(
            harness.save_at(number, &other_key, "text", 0, PAST).await?,
            0,
        )?;
    }
    harness.expect_record(&key, version, "text").await?;
    // The last save counts: it no longer expires.
    let version = saved_version(harness.save(1, &key, "again", version).await?, version)?;
    harness.expect_record(&key, version, "again").await
}

/// A record that has expired is absent, and its version is not used again. A store without expiry may keep it.
pub(super) async fn absent(harness: &Harness) -> CaseResult {
    let key = harness.key("ending:absent");
    let first_version = saved_version(harness.save_at(0, &key, "text", 0, PAST).await?, 0)?;
    let Some(entry) = harness.load(1, &key).await? else {
        // The record is absent: no save at its version succeeds, and a new record gets a new version.
        harness.expect_conflict(&key, first_version).await?;
        if harness.load(0, &key).await?.is_some() {
            return Err("a record that has expired was loaded".to_owned());
        }
        let next_version = harness.save_record(&key, "again", 0).await?;
        return if next_version > first_version {
            harness.expect_record(&key, next_version, "again").await
        } else {
            Err(format!(
                "version {next_version} does not exceed {first_version}"
            ))
        };
    };
    // A store without expiry still has all of it.
    harness.expect_record(&key, entry.version, "text").await
}
