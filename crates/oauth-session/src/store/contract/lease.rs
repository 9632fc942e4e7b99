//! The contract cases for leases.

use super::harness::{CaseResult, Harness, expect_equal};
use super::saving::ODD_KEYS;
use crate::store::Lease;

const MINUTE_MS: u64 = 60_000;

/// A lease in milliseconds: short for a human, and long enough for a busy machine to reach the next
/// line.
const SHORT_LEASE_MS: u64 = 120;

pub(super) async fn exclusive(harness: &Harness) -> CaseResult {
    let key = harness.key("exclusive");
    harness.expect_won(&key, "one", MINUTE_MS).await?;
    harness.expect_held(&key, "two", MINUTE_MS).await?;
    harness.expect_held(&key, "ONE", MINUTE_MS).await
}

pub(super) async fn one_of_many_wins(harness: &Harness) -> CaseResult {
    for round in 0..8 {
        let key = harness.key(&format!("takers{round}"));
        let leases = harness
            .run_concurrently(|harness, worker| {
                let key = key.clone();
                async move {
                    let holder = format!("worker {worker}");
                    harness.lease(worker, &key, &holder, MINUTE_MS).await
                }
            })
            .await?;
        let winners = leases.iter().filter(|lease| **lease == Lease::Won);
        expect_equal("the number of holders", &winners.count(), &1)?;
    }
    Ok(())
}

pub(super) async fn reacquire(harness: &Harness) -> CaseResult {
    let key = harness.key("again");
    harness.expect_won(&key, "one", MINUTE_MS).await?;
    harness.expect_won(&key, "one", 10 * MINUTE_MS).await?;
    harness.expect_held(&key, "two", 10 * MINUTE_MS).await?;
    // The latest call counts, even if it shortens the lease.
    harness.expect_won(&key, "one", SHORT_LEASE_MS).await?;
    harness.expect_takeover(&key, "two", SHORT_LEASE_MS).await
}

pub(super) async fn give_back(harness: &Harness) -> CaseResult {
    let key = harness.key("give-back");
    harness.expect_won(&key, "one", MINUTE_MS).await?;
    harness.expect_won(&key, "one", 0).await?;
    harness.expect_won(&key, "two", MINUTE_MS).await?;
    harness.expect_held(&key, "one", MINUTE_MS).await
}

pub(super) async fn not_theirs(harness: &Harness) -> CaseResult {
    let key = harness.key("not-theirs");
    // At first there is no holder.
    harness.expect_won(&key, "two", 0).await?;
    harness.expect_won(&key, "one", MINUTE_MS).await?;
    harness.expect_won(&key, "two", 0).await?;
    harness.expect_held(&key, "two", MINUTE_MS).await
}

pub(super) async fn expired(harness: &Harness) -> CaseResult {
    let key = harness.key("over");
    harness.expect_won(&key, "one", SHORT_LEASE_MS).await?;
    harness.expect_takeover(&key, "two", SHORT_LEASE_MS).await?;
    // A former holder has no rights any more.
    harness.expect_won(&key, "one", 0).await?;
    harness.expect_held(&key, "one", MINUTE_MS).await
}

pub(super) async fn keys(harness: &Harness) -> CaseResult {
    let holder = |name: &str| format!("of {name}");
    let key = |name: &str| harness.key(&format!("{name}!"));
    for name in ODD_KEYS {
        harness
            .expect_won(&key(name), &holder(name), MINUTE_MS)
            .await?;
    }
    for name in &ODD_KEYS[1..] {
        harness.expect_won(&key(name), &holder(name), 0).await?;
    }
    harness
        .expect_held(&key(ODD_KEYS[0]), "another", MINUTE_MS)
        .await
}

pub(super) async fn lease_creates_no_record(harness: &Harness) -> CaseResult {
    let key = harness.key("alone");
    harness.expect_won(&key, "one", MINUTE_MS).await?;
    let entry = harness.load(0, &key).await?;
    expect_equal("that a lease made a record", &entry.is_some(), &false)?;
    harness.expect_conflict(&key, 1).await?;
    let version = harness.save_record(&key, "first", 0).await?;
    harness.expect_won(&key, "one", 0).await?;
    harness.expect_record(&key, version, "first").await
}

pub(super) async fn apart(harness: &Harness) -> CaseResult {
    let key = harness.key("apart");
    let first_version = harness.save_record(&key, "first", 0).await?;
    harness.expect_won(&key, "one", MINUTE_MS).await?;
    harness.expect_record(&key, first_version, "first").await?;
    // A save checks only the version, and leaves the lease alone.
    let second_version = harness.save_record(&key, "second", first_version).await?;
    harness.expect_conflict(&key, first_version).await?;
    harness.expect_held(&key, "two", MINUTE_MS).await?;
    harness.expect_won(&key, "one", 0).await?;
    harness.expect_record(&key, second_version, "second").await
}

pub(super) async fn fences_late_saves(harness: &Harness) -> CaseResult {
    let key = harness.key("fenced");
    let first_version = harness.save_record(&key, "first", 0).await?;
    harness.expect_won(&key, "sleeper", SHORT_LEASE_MS).await?;
    harness
        .expect_takeover(&key, "next", SHORT_LEASE_MS)
        .await?;
    let second_version = harness.save_record(&key, "second", first_version).await?;
    harness.expect_conflict(&key, first_version).await?;
    harness.expect_won(&key, "sleeper", 0).await?;
    harness.expect_held(&key, "sleeper", MINUTE_MS).await?;
    harness.expect_record(&key, second_version, "second").await
}
