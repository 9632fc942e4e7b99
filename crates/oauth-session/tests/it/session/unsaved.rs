//! Unsaved tokens, after failures of the store or the end of a runtime, are stored later.

use super::*;

/// A store that fails this many more times.
#[derive(Clone, Default)]
pub(crate) struct Failing(pub(crate) MemoryStore, pub(crate) Arc<AtomicUsize>);

impl Failing {
    fn is_down(&self) -> bool {
        let decrement = |remaining: usize| remaining.checked_sub(1);
        let (order, load) = (Ordering::SeqCst, Ordering::SeqCst);
        self.1.fetch_update(order, load, decrement).is_ok()
    }

    fn fail<T>() -> Answer<'static, T>
    where
        T: Send + 'static,
    {
        let error = Error::lost(Cause::unknown("down")).at_endpoint("store");
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Store for Failing {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        if self.is_down() {
            Self::fail()
        } else {
            self.0.load(key)
        }
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        if self.is_down() {
            Self::fail()
        } else {
            self.0.save(key, record, version, times)
        }
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        if self.is_down() {
            Self::fail()
        } else {
            self.0.lease(key, holder, ttl)
        }
    }
}

/// [`Rotating`], during whose answers the store goes down.
struct Unlucky(Rotating, Failing, usize);

impl TokenDriver for Unlucky {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        self.1.1.store(self.2, Ordering::SeqCst);
        self.0.run(exchange)
    }
}

async fn in_store(memory: &MemoryStore, key: &str) -> String {
    let entry = memory.load(key).await.expect("loaded").expect("a record");
    entry.record.expose().clone()
}

#[tokio::test(start_paused = true)]
async fn unsaved_tokens_are_stored_even_if_no_caller_is_left() {
    let store = Failing::default();
    let driver = Unlucky(Rotating::default(), store.clone(), 40);
    let session = of_ann(driver, Arc::new(store.clone()));
    let first = person("first").expect("tokens");
    session.log_in(first.clone()).await.expect("stored");
    let key = session.key().expect("a key").to_owned();
    let token = session.renew(&first).await.expect("a token");
    assert_eq!(token.access_token.expose(), "renewed-0");
    assert!(in_store(&store.0, &key).await.contains("first"));
    drop(session);
    // An hour, on the paused clock.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(in_store(&store.0, &key).await.contains("renewed-0"));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_could_not_be_stored_is_stored_later() {
    let store = Failing::default();
    let session = of_ann(Rotating::default(), Arc::new(store.clone()));
    store.1.store(40, Ordering::SeqCst);
    let error = session.log_in(person("first").expect("tokens")).await;
    assert_eq!(error.expect_err("no store").code(), "lost");
    let key = session.key().expect("a key").to_owned();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(in_store(&store.0, &key).await.contains("first"));
}

/// [`Rotating`] with delayed answers.
#[derive(Clone, Default)]
struct Slow(Rotating);

impl TokenDriver for Slow {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        let answer = self.0.run(exchange);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            answer.await
        })
    }
}

#[test]
fn an_orderly_shutdown_loses_no_grant() {
    const GRANTS: usize = 20;
    let (driver, memory) = (Slow::default(), MemoryStore::new());
    let sessions: Vec<_> = (0..GRANTS)
        .map(|number| {
            let id = GrantId::user(format!("person {number}"));
            let keeper = client().keeper(id);
            GrantSource::with_store(driver.clone(), keeper, Arc::new(memory.clone()))
        })
        .collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for session in &sessions {
            let first = person("first").expect("tokens");
            session.log_in(first.clone()).await.expect("stored");
            let session = session.clone();
            tokio::spawn(async move { session.renew(&first).await.map(drop) });
        }
        while driver.0.0.load(Ordering::SeqCst) < GRANTS {
            tokio::task::yield_now().await;
        }
        for session in &sessions {
            session
                .drain(Duration::from_secs(20))
                .await
                .expect("drained");
        }
    });
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for session in &sessions {
            let record = in_store(&memory, session.key().expect("a key")).await;
            assert!(record.contains("renewed-") && record.contains(r#""attempt":null"#));
            // The token in memory is handed out, without further calls.
            let token = session.token().await.expect("a token");
            let error = session.renew(&token).await.expect_err("no more");
            assert_eq!(error.code(), "token_source.closed");
        }
    });
    assert_eq!(driver.0.0.load(Ordering::SeqCst), GRANTS);
}

#[tokio::test(start_paused = true)]
async fn draining_stores_unsaved_tokens_or_reports_that_it_failed() {
    for (failures, is_stored) in [(20, true), (usize::MAX, false)] {
        let store = Failing::default();
        let driver = Unlucky(Rotating::default(), store.clone(), failures);
        let session = of_ann(driver, Arc::new(store.clone()));
        let first = person("first").expect("tokens");
        session.log_in(first.clone()).await.expect("stored");
        session.renew(&first).await.expect("a token");
        let drained = session.drain(Duration::from_secs(60)).await;
        assert_eq!(drained.is_ok(), is_stored);
        let record = in_store(&store.0, session.key().expect("a key")).await;
        assert_eq!(record.contains("renewed-0"), is_stored);
    }
}

#[tokio::test(start_paused = true)]
async fn drain_does_not_wait_to_store_a_client_token_in_a_failing_store() {
    let store = Failing::default();
    let driver = Unlucky(Rotating::default(), store.clone(), usize::MAX);
    let session = GrantSource::with_store(
        driver,
        client().keeper(GrantId::client()),
        Arc::new(store.clone()),
    );
    session.token().await.expect("a token");
    let start = tokio::time::Instant::now();
    session
        .drain(Duration::from_secs(60))
        .await
        .expect("drained");
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(session.latest().is_some());
}

#[tokio::test]
async fn a_login_after_draining_is_stored() {
    let memory = MemoryStore::new();
    let session = of_ann(Rotating::default(), Arc::new(memory.clone()));
    session
        .drain(Duration::from_secs(5))
        .await
        .expect("drained");
    let login = person("late").expect("tokens");
    session.log_in(login).await.expect("stored");
    let key = session.key().expect("a key");
    assert!(in_store(&memory, key).await.contains("late"));
}

#[tokio::test]
async fn a_login_replaces_a_truncated_record_and_a_renewal_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = FileStore::new(folder.path()).expect("a store");
    let session = || of_ann(Rotating::default(), Arc::new(store.clone()));
    let first = session();
    let login = person("first").expect("tokens");
    first.log_in(login.clone()).await.expect("stored");
    let names = std::fs::read_dir(folder.path()).expect("a folder");
    let record = names
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .expect("a record");
    let text = std::fs::read_to_string(&record).expect("a record");
    let cut = text.get(..text.len() - 9).expect("ASCII");
    std::fs::write(&record, cut).expect("written");
    for error in [first.renew(&login).await, session().token().await] {
        let error = error.expect_err("a record that cannot be read");
        assert_eq!(error.code(), "stored.malformed");
    }
    assert_eq!(std::fs::read_to_string(&record).expect("a record"), cut);
    let again = session();
    let login = person("again").expect("tokens");
    again.log_in(login).await.expect("stored");
    for session in [again, session()] {
        let token = session.token().await.expect("a token");
        assert_eq!(token.access_token.expose(), "again");
    }
}

#[test]
fn blocking_sources_can_be_drained() {
    let keeper = client().keeper(GrantId::user("ann"));
    let driver = Slow::default();
    let session =
        blocking::GrantSource::with_store(driver.clone(), keeper, Arc::new(MemoryStore::new()));
    let first = person("first").expect("tokens");
    session.log_in(first.clone()).expect("stored");
    let renewing = session.clone();
    let other = std::thread::spawn(move || renewing.renew(&first).map(drop));
    while driver.0.0.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    session.drain(Duration::from_secs(20)).expect("drained");
    other.join().expect("no panic").expect("a token");
    let token = session.token().expect("a token");
    assert_eq!(token.access_token.expose(), "renewed-0");
    assert!(session.renew(&token).is_err());
}
