//! How a session uses the timing that its driver declares.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::error::{Cause, Delivery, Error};
use oauth_core::exchange::Boxed;
use oauth_core::{Secret, Tokens};
use oauth_session::store::{Answer, Entry, Lease, MemoryStore, RecordTimes, SaveOutcome};
use oauth_session::{GrantSource, Store, TokenDriver};
use tokio::time::{Instant, sleep};

use crate::session::{of_ann, person};

/// A driver with this request duration, possibly endless, and this declared maximum.
#[derive(Clone)]
struct TimedDriver {
    duration: Option<u64>,
    declared_maximum: Option<u64>,
    runs: Arc<AtomicUsize>,
}

fn driver_taking(takes: impl Into<Option<u64>>, says: impl Into<Option<u64>>) -> TimedDriver {
    let (takes, says, runs) = (takes.into(), says.into(), Arc::default());
    TimedDriver {
        duration: takes,
        declared_maximum: says,
        runs,
    }
}

/// A driver without a network for its first request.
struct OfflineFirst(TimedDriver);

impl TokenDriver for OfflineFirst {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        let answer = self.0.run(exchange);
        match self.0.runs.load(Ordering::SeqCst) {
            1 => {
                let unsent = Error::lost(Cause::unsent("no network"));
                Box::pin(std::future::ready(Err(unsent)))
            }
            _ => answer,
        }
    }

    fn longest(&self) -> Duration {
        self.0.longest()
    }
}

/// A driver with the default declarations.
struct Undeclared(TimedDriver);

impl TokenDriver for Undeclared {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        self.0.run(exchange)
    }
}

impl TokenDriver for TimedDriver {
    fn run(&self, _: Boxed<Tokens>) -> Answer<'_, Tokens> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            match self.duration {
                Some(seconds) => sleep(Duration::from_secs(seconds)).await,
                None => pending().await,
            }
            person("renewed")
        })
    }

    fn longest(&self) -> Duration {
        self.declared_maximum
            .map_or(Undeclared(self.clone()).longest(), Duration::from_secs)
    }
}

/// A store that records when leases were taken and for how many seconds, and may stop answering.
#[derive(Clone)]
struct Leases {
    memory: MemoryStore,
    since: Instant,
    taken: Arc<Mutex<Vec<(u64, u64)>>>,
    is_silent: Arc<AtomicBool>,
}

impl Leases {
    fn new() -> Self {
        Self {
            memory: MemoryStore::new(),
            since: Instant::now(),
            taken: Arc::default(),
            is_silent: Arc::default(),
        }
    }

    fn take_request(&self) -> Vec<(u64, u64)> {
        self.taken.lock().expect("no panic").clone()
    }

    /// The answer, or none.
    fn answer<'a, T: Send + 'a>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        if self.is_silent.load(Ordering::SeqCst) {
            Box::pin(pending())
        } else {
            answer
        }
    }
}

impl Store for Leases {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.answer(self.memory.load(key))
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        self.answer(self.memory.save(key, record, version, times))
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        let taken = (self.since.elapsed().as_secs(), ttl.as_secs());
        self.taken.lock().expect("no panic").push(taken);
        self.answer(self.memory.lease(key, holder, ttl))
    }
}

/// A session with a first token, with this driver and store.
async fn with_first(driver: TimedDriver, store: &Leases) -> (GrantSource, Tokens) {
    let session = of_ann(driver, Arc::new(store.clone()));
    let first = person("first").expect("tokens");
    session.log_in(first.clone()).await.expect("stored");
    (session, first)
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_extended_while_the_request_runs() {
    let store = Leases::new();
    let (session, first) = with_first(driver_taking(20, 30), &store).await;
    session.renew(&first).await.expect("a token");
    let every = [0, 3, 6, 9, 12, 15, 18].map(|second| (second, 10));
    assert_eq!(store.take_request()[..7], every);
    assert_eq!(store.take_request()[7..], [(20, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_store_does_not_delay_the_response() {
    let store = Leases::new();
    let (session, first) = with_first(driver_taking(7, 30), &store).await;
    let renewing = session.clone();
    let renewal = tokio::spawn(async move { renewing.renew(&first).await });
    sleep(Duration::from_secs(5)).await;
    store.is_silent.store(true, Ordering::SeqCst);
    sleep(Duration::from_millis(1900)).await;
    store.is_silent.store(false, Ordering::SeqCst);
    let since = Instant::now();
    let token = renewal.await.expect("no panic").expect("a token");
    assert_eq!(token.access_token.expose(), "renewed");
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_over_the_time_limit_is_abandoned_as_of_unknown_fate() {
    for (says, limit) in [(Some(5), 6), (None, 31)] {
        let store = Leases::new();
        let driver = driver_taking(None, says);
        let (session, first) = with_first(driver.clone(), &store).await;
        let since = Instant::now();
        let error = session.renew(&first).await.expect_err("no answer");
        assert_eq!(error.code(), "lost.timeout");
        assert_eq!(
            error.cause().map(|cause| cause.delivery()),
            Some(Delivery::Unknown)
        );
        assert_eq!(since.elapsed().as_secs(), limit);
        // The request may have arrived: the next worker finds the marker.
        let record = store.memory.load(session.key().expect("a key")).await;
        let record = record.expect("loaded").expect("a record");
        assert!(!record.record.expose().contains(r#""attempt":null"#));
    }
}

/// In the last seconds of the token's lifetime, nothing answers.
#[tokio::test(start_paused = true)]
async fn callers_with_a_valid_token_do_not_wait_long_for_its_renewal() {
    for is_silent in [true, false] {
        let store = Leases::new();
        let driver = driver_taking(None, 3000);
        let session = of_ann(OfflineFirst(driver.clone()), Arc::new(store.clone()));
        // Of its 300 s, 20 are left. The first renewal fails.
        let mut old = person("old").expect("tokens");
        old.expires_in = Some(300);
        old.received_at = old.received_at.before(Duration::from_secs(280));
        let unsent = session.log_in(old).await.expect_err("no network");
        assert_eq!(unsent.code(), "lost.unsent");
        store.is_silent.store(is_silent, Ordering::SeqCst);
        let since = Instant::now();
        for _ in 0..3 {
            let token = session.token().await.expect("a token");
            assert_eq!(token.access_token.expose(), "old");
            assert_eq!(since.elapsed().as_secs(), 1);
            // One renewal runs in the background.
            let runs = 1 + usize::from(!is_silent);
            assert_eq!(driver.runs.load(Ordering::SeqCst), runs);
        }
        // A caller that reports it as refused has to wait.
        let token = session.token().await.expect("a token");
        let renewed = tokio::time::timeout(Duration::from_secs(5), session.renew(&token)).await;
        assert!(renewed.is_err(), "{renewed:?}");
    }
}
