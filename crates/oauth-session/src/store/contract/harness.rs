//! The harness of the contract cases: the handles under test, fresh keys, many workers.

use std::future::Future;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oauth_core::Secret;
use oauth_core::error::{Error, Kind, Misuse};
use oauth_core::moment::UnixTime;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::store::{Entry, Lease, RecordTimes, SaveOutcome, Store};

/// Success of a case, or a description of the failure.
pub(super) type CaseResult = Result<(), String>;

/// The time for which the expiry of a short lease is awaited.
const EXPIRY_DEADLINE: Duration = Duration::from_secs(20);

/// The number of concurrent workers.
pub(super) const CONCURRENT_WORKERS: usize = 16;

#[derive(Clone)]
pub(super) struct Harness {
    stores: Vec<Arc<dyn Store>>,
    run: String,
}

impl Harness {
    pub(super) fn new(stores: &[Arc<dyn Store>]) -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        assert!(!stores.is_empty(), "there is no store to check");
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            stores: stores.to_vec(),
            run: format!(
                "{:x}-{:x}-{:x}",
                now.unwrap_or_default().as_nanos(),
                process::id(),
                RUNS.fetch_add(1, Ordering::Relaxed)
            ),
        }
    }

    /// A key of this run.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{name}-{}", self.run)
    }

    /// One of the handles.
    fn store(&self, worker: usize) -> &Arc<dyn Store> {
        &self.stores[worker % self.stores.len()]
    }

    pub(super) async fn load(&self, worker: usize, key: &str) -> Result<Option<Entry>, String> {
        let result = self.store(worker).load(key).await;
        result.map_err(|error| format!("load: {error}"))
    }

    pub(super) async fn save(
        &self,
        worker: usize,
        key: &str,
        text: &str,
        version: u64,
    ) -> Result<SaveOutcome, String> {
        self.save_due(worker, key, text, version, None).await
    }

    /// Saves a record that is due at this many seconds since 1970.
    pub(super) async fn save_due(
        &self,
        worker: usize,
        key: &str,
        text: &str,
        version: u64,
        due: Option<u64>,
    ) -> Result<SaveOutcome, String> {
        let due = due.map(UnixTime::from_secs);
        let times = RecordTimes { due, until: None };
        self.save_at(worker, key, text, version, times).await
    }

    /// Saves a record with these times.
    pub(super) async fn save_at(
        &self,
        worker: usize,
        key: &str,
        text: &str,
        version: u64,
        times: RecordTimes,
    ) -> Result<SaveOutcome, String> {
        let record = Secret::from(text);
        let result = self.store(worker).save(key, &record, version, times).await;
        result.map_err(|error| format!("save at version {version}: {error}"))
    }

    pub(super) async fn remove(&self, worker: usize, key: &str) -> Result<bool, String> {
        let result = self.store(worker).remove(key).await;
        result.map_err(|error| format!("remove: {error}"))
    }

    /// All pages that a handle lists, one after the other, with the keys of this run; `None` if the store cannot list.
    pub(super) async fn scan(&self, worker: usize) -> Result<Option<Vec<String>>, String> {
        let mut keys = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let result = self.store(worker).scan(cursor.as_deref()).await;
            let Some(page) =
                unless_unsupported(result).map_err(|error| format!("scan: {error}"))?
            else {
                return Ok(None);
            };
            keys.extend(
                page.keys
                    .into_iter()
                    .filter(|key| self.is_key_of_this_run(key)),
            );
            match page.next {
                Some(next) if cursor.as_ref() == Some(&next) => {
                    return Err(format!("scan leads from {next:?} to where it was"));
                }
                Some(next) => cursor = Some(next),
                None => return Ok(Some(keys)),
            }
        }
    }

    /// The keys of records due before this time; `None` if the store cannot list them.
    pub(super) async fn due(
        &self,
        worker: usize,
        before: u64,
        limit: usize,
    ) -> Result<Option<Vec<String>>, String> {
        let before = UnixTime::from_secs(before);
        let result = self.store(worker).due(before, limit).await;
        unless_unsupported(result).map_err(|error| format!("due: {error}"))
    }

    /// Whether a key belongs to this run.
    pub(super) fn is_key_of_this_run(&self, key: &str) -> bool {
        key.ends_with(&self.run)
    }

    pub(super) async fn lease(
        &self,
        worker: usize,
        key: &str,
        holder: &str,
        millis: u64,
    ) -> Result<Lease, String> {
        let ttl = Duration::from_millis(millis);
        let result = self.store(worker).lease(key, holder, ttl).await;
        result.map_err(|error| format!("lease: {error}"))
    }

    /// Checks through every handle that the record has this version and this text.
    pub(super) async fn expect_record(&self, key: &str, version: u64, text: &str) -> CaseResult {
        for worker in 0..self.stores.len() {
            let Some(entry) = self.load(worker, key).await? else {
                return Err("the record is not there".to_owned());
            };
            expect_equal("the version loaded", &entry.version, &version)?;
            let record = entry.record.expose();
            if record != text {
                let (is, want) = (excerpt(record), excerpt(text));
                return Err(format!("loaded {is:?} instead of {want:?}"));
            }
        }
        Ok(())
    }

    /// Saves the record, which must succeed, and returns the new version.
    pub(super) async fn save_record(
        &self,
        key: &str,
        text: &str,
        version: u64,
    ) -> Result<u64, String> {
        let saved = self.save(0, key, text, version).await?;
        saved_version(saved, version)
    }

    /// Checks that a save over this version is a conflict.
    pub(super) async fn expect_conflict(&self, key: &str, version: u64) -> CaseResult {
        let saved = self.save(0, key, "too late", version).await?;
        expect_equal(
            &format!("the answer to a save at version {version}"),
            &saved,
            &SaveOutcome::Conflict,
        )
    }

    /// Acquires or releases the lease, which must succeed.
    pub(super) async fn expect_won(&self, key: &str, holder: &str, millis: u64) -> CaseResult {
        let lease = self.lease(0, key, holder, millis).await?;
        expect_equal(
            &format!("the lease of {holder} for {millis} ms"),
            &lease,
            &Lease::Won,
        )
    }

    /// Tries to take the lease through every handle: another must hold it, for about `remaining` more
    /// milliseconds and no longer.
    pub(super) async fn expect_held(&self, key: &str, holder: &str, remaining: u64) -> CaseResult {
        let remaining = Duration::from_millis(remaining);
        for worker in 0..self.stores.len() {
            match self.lease(worker, key, holder, 60_000).await? {
                Lease::Won => {
                    return Err(format!("{holder} was given a lease that another holds"));
                }
                Lease::Held(reported) if reported > remaining || reported < remaining / 2 => {
                    return Err(format!(
                        "{holder} was told to wait {reported:?} for a lease of {remaining:?} that has just begun"
                    ));
                }
                Lease::Held(_) => {}
            }
        }
        Ok(())
    }

    /// Waits until another holder's lease of this many milliseconds expires, and acquires it for a minute.
    pub(super) async fn expect_takeover(&self, key: &str, holder: &str, millis: u64) -> CaseResult {
        let started = Instant::now();
        let mut worker = 0;
        while started.elapsed() < EXPIRY_DEADLINE {
            match self.lease(worker, key, holder, 60_000).await? {
                Lease::Won => return Ok(()),
                Lease::Held(rest) if rest > Duration::from_millis(millis) => {
                    return Err(format!(
                        "{holder} was told to wait {rest:?} for a lease of {millis} ms"
                    ));
                }
                Lease::Held(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            worker += 1;
        }
        Err(format!("a lease of {millis} ms does not end"))
    }

    /// Runs many workers concurrently, each with its own number.
    pub(super) async fn run_concurrently<T, F>(
        &self,
        work: impl Fn(Self, usize) -> F,
    ) -> Result<Vec<T>, String>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let mut workers = JoinSet::new();
        let barrier = Arc::new(Barrier::new(CONCURRENT_WORKERS));
        for worker in 0..CONCURRENT_WORKERS {
            let (work, barrier) = (work(self.clone(), worker), Arc::clone(&barrier));
            workers.spawn(async move {
                barrier.wait().await;
                work.await
            });
        }
        let mut results = Vec::new();
        while let Some(result) = workers.join_next().await {
            results.push(result.map_err(|error| format!("a verb panicked: {error}"))??);
        }
        Ok(results)
    }
}

/// The version of the record that was saved over this one.
pub(super) fn saved_version(saved: SaveOutcome, version: u64) -> Result<u64, String> {
    match saved {
        SaveOutcome::At(saved_at) if saved_at >= 1 << 53 => {
            Err(format!("version {saved_at} is not below 2^53"))
        }
        SaveOutcome::At(saved_at) if saved_at > version => Ok(saved_at),
        saved => Err(format!(
            "the answer to a save over version {version} is {saved:?}"
        )),
    }
}

/// The result of an optional method.
fn unless_unsupported<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(error) if matches!(error.kind(), Kind::Misuse(Misuse::NotSupported)) => Ok(None),
        result => result.map(Some),
    }
}

pub(super) fn expect_equal<T: PartialEq + std::fmt::Debug>(
    subject: &str,
    actual: &T,
    expected: &T,
) -> CaseResult {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{subject} is {actual:?} instead of {expected:?}"))
    }
}

/// Enough of a string to distinguish it from others. The texts of the cases are not secret.
fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}
