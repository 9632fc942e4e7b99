//! Grants over stores that misbehave, and the other sources.

pub(crate) mod unsaved;

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use oauth_core::error::{Cause, Error};
use oauth_core::exchange::Boxed;
use oauth_core::flow::keeper::GrantId;
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Scope, Secret, Tokens};
use oauth_session::store::{
    Answer, Entry, FileStore, Lease, MemoryStore, RecordTimes, SaveOutcome,
};
use oauth_session::{FixedToken, GrantSource, Store, TokenDriver, TokenSource, blocking};

/// A driver that issues one token after the other, and counts them.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl TokenDriver for Counting {
    fn run(&self, _: Boxed<Tokens>) -> Answer<'_, Tokens> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            // Gives other callers time to arrive.
            tokio::time::sleep(Duration::from_millis(20)).await;
            tokens(&format!("token-{number}"))
        })
    }
}

fn client() -> Client {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"))
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .expect("an endpoint");
    Client::new(server, ClientId::new("id"), ClientAuth::basic("secret")).expect("a client")
}

fn tokens(access_token: &str) -> Result<Tokens, Error> {
    let now = Moment::system()?.now().as_secs();
    Tokens::from_json(&format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","received_at":{now},
        "access_token":"{access_token}","expires_in":3600,"scope":"read"}}"#
    ))
}

fn machine(driver: &Counting, store: Arc<dyn Store>) -> GrantSource {
    GrantSource::with_store(driver.clone(), client().keeper(GrantId::client()), store)
}

/// A store that accepts calls, and never answers.
struct Silent;

impl Store for Silent {
    fn load<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(pending())
    }

    fn save<'a>(
        &'a self,
        _: &'a str,
        _: &'a Secret<String>,
        _: u64,
        _: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(pending())
    }

    fn lease<'a>(&'a self, _: &'a str, _: &'a str, _: Duration) -> Answer<'a, Lease> {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_store_blocks_no_caller_forever() {
    let driver = Rotating::default();
    let error = of_ann(driver.clone(), Arc::new(Silent)).token().await;
    let error = error.expect_err("no store");
    assert_eq!((error.code(), error.endpoint()), ("lost", Some("store")));
    assert_eq!(
        driver.0.load(Ordering::SeqCst),
        0,
        "nothing is sent without a lease"
    );
    // Except requests that need no lease.
    let driver = Counting::default();
    let token = machine(&driver, Arc::new(Silent)).token().await;
    assert_eq!(token.expect("a token").access_token.expose(), "token-0");
}

#[tokio::test]
async fn workers_sharing_a_store_cause_one_token_request() {
    let (driver, store) = (Counting::default(), Arc::new(MemoryStore::default()));
    let workers: Vec<_> = (0..20).map(|_| machine(&driver, store.clone())).collect();
    let all = workers.iter().map(|worker| async move {
        let token = worker.token().await.expect("a token");
        token.access_token.expose().clone()
    });
    let mut all: Vec<_> = join_all(all).await;
    all.dedup();
    assert_eq!(all, ["token-0"]);
    assert_eq!(driver.0.load(Ordering::SeqCst), 1);
}

/// Runs futures concurrently.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    let mut outputs = Vec::new();
    std::future::poll_fn(|context| {
        for slot in &mut futures {
            if let Some(future) = slot
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                outputs.push(output);
                *slot = None;
            }
        }
        if futures.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs
}

#[test]
fn threads_without_a_runtime_share_a_blocking_source() {
    let driver = Counting::default();
    let session =
        blocking::GrantSource::client_credentials(driver.clone(), &client(), Scope::none());
    let tokens: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..50).map(|_| scope.spawn(|| session.token())).collect();
        all.into_iter()
            .map(|one| one.join().expect("a thread"))
            .collect()
    });
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(driver.0.load(Ordering::SeqCst), 1);
    let first = session.token().expect("a token");
    let second = session.renew(&first).expect("another");
    assert_ne!(first.access_token.expose(), second.access_token.expose());
}

#[tokio::test]
async fn a_fixed_token_source_returns_its_token_until_refused() {
    let source: Arc<dyn TokenSource> =
        Arc::new(FixedToken::from_tokens(tokens("only").expect("tokens")));
    let token = source.token(None).await.expect("the token");
    assert_eq!(token.access_token.expose(), "only");
    let error = source.token(Some(&token)).await.expect_err("no other");
    assert_eq!(error.code(), "grant.revoked");
}

/// A server with a token family for each login, which accepts each refresh token once.
#[derive(Clone, Default)]
pub(crate) struct Rotating(pub(crate) Arc<AtomicUsize>);

impl TokenDriver for Rotating {
    fn run(&self, _: Boxed<Tokens>) -> Answer<'_, Tokens> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { person(&format!("renewed-{number}")) })
    }
}

pub(crate) fn person(name: &str) -> Result<Tokens, Error> {
    let now = Moment::system()?.now().as_secs();
    Tokens::from_json(&format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","received_at":{now},
        "access_token":"{name}","expires_in":3600,"scope":"read","refresh_token":"of-{name}",
        "refresh_scope":null,"id_token":null}}"#
    ))
}

pub(crate) fn of_ann(driver: impl TokenDriver + 'static, store: Arc<dyn Store>) -> GrantSource {
    GrantSource::with_store(driver, client().keeper(GrantId::user("ann")), store)
}

#[tokio::test]
async fn the_hook_receives_new_tokens_before_any_caller() {
    let early: Arc<Mutex<Vec<bool>>> = Arc::default();
    let (requested, events) = (Arc::new(OnceLock::<GrantSource>::new()), Arc::clone(&early));
    let others = Arc::clone(&requested);
    let session = GrantSource::client_credentials(Counting::default(), &client(), Scope::none());
    let session = session.on_tokens(move |_| {
        let (other, dead) = (others.get().expect("a session"), tokens("dead"));
        let dead = dead.expect("tokens");
        let mut context = Context::from_waker(Waker::noop());
        let is_renewed = pin!(other.renew(&dead)).poll(&mut context).is_ready();
        let is_had = pin!(other.token()).poll(&mut context).is_ready();
        let is_cached = matches!(other.ready(), Ok(Some(_)));
        let seen = [is_renewed, is_had, is_cached];
        events.lock().expect("a lock").extend(seen);
        Ok(())
    });
    assert!(requested.set(session.clone()).is_ok());
    let token = session.token().await.expect("a token").into_arc();
    assert!(token.access_token.matches("token-0"));
    assert_eq!(*early.lock().expect("a lock"), [false; 3]);
    assert!(matches!(session.ready(), Ok(Some(_))));
}

#[tokio::test]
async fn a_failing_on_tokens_hook_is_reported_and_the_tokens_are_kept() {
    let session = GrantSource::client_credentials(Counting::default(), &client(), Scope::none());
    let session = session.on_tokens(|_| Err(Error::lost(Cause::unknown("the disk is full"))));
    let error = session.token().await.expect_err("the hook's error");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(session.last_error().is_none());
    let token = session.token().await.expect("the token").into_arc();
    assert!(token.access_token.matches("token-0"));
}

#[tokio::test]
async fn a_login_during_a_renewal_is_never_lost() {
    let driver = Rotating::default();
    for round in 0..10_000 {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let before = of_ann(driver.clone(), store.clone());
        before
            .log_in(person("first").expect("tokens"))
            .await
            .expect("stored");
        let session = of_ann(driver.clone(), store.clone());
        let refused = session.token().await.expect("a token");
        let renewing = {
            let session = session.clone();
            tokio::spawn(async move { session.renew(&refused).await.map(drop) })
        };
        let logging_in = {
            let session = session.clone();
            tokio::spawn(async move {
                for _ in 0..round % 10 {
                    tokio::task::yield_now().await;
                }
                session.log_in(person("second").expect("tokens")).await
            })
        };
        // Its own result may be either token.
        let _ = renewing.await.expect("no panic");
        logging_in.await.expect("no panic").expect("stored");
        let next = of_ann(driver.clone(), store)
            .token()
            .await
            .expect("a token");
        assert_eq!(next.access_token.expose(), "second", "round {round}");
        let client_token = session.token().await.expect("a token");
        assert_eq!(
            client_token.access_token.expose(),
            "second",
            "round {round}"
        );
    }
}

/// The result of `work` on its own thread, unless it hangs.
fn result_in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    wait.recv_timeout(Duration::from_secs(20)).ok()
}

#[test]
fn a_session_without_a_runtime_fails_and_works_again_within_one() {
    let driver = Counting::default();
    let session = GrantSource::client_credentials(driver.clone(), &client(), Scope::none());
    let outside = session.clone();
    let polled = result_in_time(move || {
        let mut token_call = Box::pin(outside.token());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match token_call.as_mut().poll(&mut context) {
            std::task::Poll::Ready(answer) => answer.map(drop).map_err(|error| error.code()),
            std::task::Poll::Pending => Ok(()),
        }
    });
    assert_eq!(polled, Some(Err("runtime.missing")));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    assert!(runtime.block_on(session.token()).is_ok());
}

#[test]
fn a_source_on_an_ended_runtime_fails_and_works_on_another() {
    let session = GrantSource::client_credentials(Counting::default(), &client(), Scope::none());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let handle = runtime.handle().clone();
    drop(runtime);
    let closed = session.clone();
    let code = result_in_time(move || {
        let answer = handle.block_on(closed.token());
        answer.map(drop).map_err(|error| error.code())
    });
    assert_eq!(code, Some(Err("lost")));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    assert!(runtime.block_on(session.token()).is_ok());
}

#[test]
fn a_runtime_can_end_while_callers_keep_calling() {
    for _ in 0..60 {
        let ended = result_in_time(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            let (requests, callers) = std::sync::mpsc::channel();
            for _ in 0..8 {
                // A token that expires at once: every call begins a renewal.
                let session = of_ann(Rotating::default(), Arc::new(MemoryStore::new()));
                let sender = requests.clone();
                runtime.spawn(async move {
                    loop {
                        let _ = session.log_in(person("again").expect("tokens")).await;
                        let _ = sender.send(());
                        tokio::task::yield_now().await;
                    }
                });
            }
            callers.iter().take(100).for_each(drop);
            drop(runtime);
        });
        assert!(ended.is_some(), "the runtime does not end");
    }
}

#[tokio::test]
async fn a_logout_and_login_in_another_worker_are_detected() {
    let (driver, store) = (Rotating::default(), MemoryStore::new());
    let one = of_ann(driver.clone(), Arc::new(store.clone()));
    let first = person("first").expect("tokens");
    one.log_in(first.clone()).await.expect("stored");
    let key = one.key().expect("a key");
    assert!(store.remove(key).await.expect("removed"));
    let two = of_ann(driver.clone(), Arc::new(store.clone()));
    two.log_in(person("second").expect("tokens"))
        .await
        .expect("stored");
    // The API refuses what was revoked at the logout.
    let token = one.renew(&first).await.expect("a token");
    assert_eq!(token.access_token.expose(), "second");
    assert_eq!(driver.0.load(Ordering::SeqCst), 0, "nothing was sent");
}
