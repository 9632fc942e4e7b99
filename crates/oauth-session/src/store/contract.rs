//! The contract of [`Store`], as tests to run against any store.
//!
//! A store has only a few methods, but a fault in one shows only when two workers interfere, or one crashes. Pass
//! some handles on one store to [`assert()`], in a test of your own:
//!
//! ```
//! use std::sync::Arc;
//! use oauth_session::store::{MemoryStore, contract};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let memory = MemoryStore::new();
//! contract::assert(&[Arc::new(memory.clone()), Arc::new(memory)]).await;
//! # });
//! ```
//!
//! Pass every kind of handle that workers will have: clones of one, and handles with connections of
//! their own. The tests write under keys that no other run has, and leave their records behind. They
//! wait in real time for short leases to expire, and need a tokio runtime with a clock; on a runtime with
//! several threads their workers meet more often.
//!
//! [`scan`](Store::scan) and [`due`](Store::due) are checked only if the store has them: their cases pass for one that
//! returns `misuse.not_supported`. The same applies to the expiry of records: a store may keep them instead.

mod expiry;
mod harness;
mod lease;
mod listing;
mod saving;

use std::sync::Arc;
use std::time::Duration;

use super::Store;
use harness::{CaseResult, Harness};

/// The time limit of a case, after which a store that does not answer fails it.
const CASE_TIMEOUT: Duration = Duration::from_secs(60);

/// The result of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The requirement of the case.
    pub case: &'static str,
    /// Success, or a description of the failure.
    pub outcome: Result<(), String>,
}

/// Runs all cases against one store, given as several handles; one report for each.
///
/// # Panics
/// Without a store, or outside a tokio runtime.
pub async fn check(stores: &[Arc<dyn Store>]) -> Vec<Report> {
    let harness = Harness::new(stores);
    vec![
        report("nothing is there at first", saving::nothing(&harness)).await,
        report("version 0 creates a record", saving::create(&harness)).await,
        report(
            "a record is saved at its version only",
            saving::conflict(&harness),
        )
        .await,
        report(
            "a version is higher than the last",
            saving::versions_rise(&harness),
        )
        .await,
        report(
            "a removed record is at a version of its own",
            saving::removed_record(&harness),
        )
        .await,
        report(
            "a first version is higher than those of before",
            saving::versions_are_not_reused(&harness),
        )
        .await,
        report("a removal ends what there is", listing::removal(&harness)).await,
        report("a scan tells of every record", listing::scan(&harness)).await,
        report("what is due is told in order", listing::due(&harness)).await,
        report(
            "a record stays until its end",
            expiry::unexpired_record_stays(&harness),
        )
        .await,
        report(
            "a record that has ended is absent",
            expiry::absent(&harness),
        )
        .await,
        report("all handles see one place", saving::shared(&harness)).await,
        report(
            "one of many savers wins",
            saving::one_of_many_saves_wins(&harness),
        )
        .await,
        report("no save of many is lost", saving::count(&harness)).await,
        report("keys are independent", saving::keys(&harness)).await,
        report(
            "a record comes back as it was saved",
            saving::texts(&harness),
        )
        .await,
        report("a lease is one holder's", lease::exclusive(&harness)).await,
        report(
            "one of many takers has the lease",
            lease::one_of_many_wins(&harness),
        )
        .await,
        report(
            "the holder takes the lease anew",
            lease::reacquire(&harness),
        )
        .await,
        report("a lease is given back", lease::give_back(&harness)).await,
        report(
            "another's lease is not given back",
            lease::not_theirs(&harness),
        )
        .await,
        report("a lease expires after its time", lease::expired(&harness)).await,
        report("leases are independent", lease::keys(&harness)).await,
        report(
            "a lease needs no record, and is none",
            lease::lease_creates_no_record(&harness),
        )
        .await,
        report(
            "saving and leasing do not touch each other",
            lease::apart(&harness),
        )
        .await,
        report(
            "a worker that slept through its lease is fenced off",
            lease::fences_late_saves(&harness),
        )
        .await,
    ]
}

/// [`check`] as a test.
///
/// # Panics
/// If a case does not hold, with a list of all that do not; as [`check`].
pub async fn assert(stores: &[Arc<dyn Store>]) {
    let violations: Vec<String> = check(stores)
        .await
        .into_iter()
        .filter_map(|report| Some(format!("- {}: {}", report.case, report.outcome.err()?)))
        .collect();
    assert!(
        violations.is_empty(),
        "the store breaks its contract\n{}",
        violations.join("\n")
    );
}

async fn report(case: &'static str, run: impl Future<Output = CaseResult>) -> Report {
    let outcome = match tokio::time::timeout(CASE_TIMEOUT, run).await {
        Ok(verdict) => verdict,
        Err(_) => Err(format!("not done within {} s", CASE_TIMEOUT.as_secs())),
    };
    Report { case, outcome }
}
