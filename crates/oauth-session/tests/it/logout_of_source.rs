//! Logouts of one source, with a store and without one.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use oauth_core::error::{Advice, Error};
use oauth_core::{Moment, Scope};
use oauth_session::store::{MemoryStore, Store};
use oauth_session::{GrantSource, Grants, blocking, simulated};

use crate::logout::Flaky;
use crate::sessions::{Rotating, client, new_grants, person, requests, store_stale_logins, tokens};
use crate::step_ups::{required_acr, stepped_up};

const LONG_AGO: Duration = Duration::from_secs(2 * 3600);

fn with_store(server: &Rotating, store: &Arc<MemoryStore>) -> GrantSource {
    GrantSource::for_grant(server.clone(), &client("id"), person(0), store.clone())
}

fn without_store(server: &Rotating, age: Duration) -> GrantSource {
    GrantSource::refreshing(server.clone(), &client("id"), tokens("ann", age)).expect("a source")
}

fn revoked(server: &Rotating) -> Vec<String> {
    server.0.revoked.lock().expect("no panic").clone()
}

async fn assert_logged_out(source: &GrantSource) {
    let error = source.token().await.expect_err("logged out");
    assert_eq!(error.code(), "grant.no_refresh_token");
    assert_eq!(error.advice(), Advice::Reauthorize);
    assert!(source.latest().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_source_revokes_removes_the_record_and_is_noticed_elsewhere() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (here, elsewhere) = (with_store(&server, &store), with_store(&server, &store));
    here.log_in(tokens("ann", Duration::ZERO))
        .await
        .expect("stored");
    let token = elsewhere.token().await.expect("a token");
    here.log_out().await.expect("logged out");
    assert_eq!(revoked(&server).len(), 1);
    assert!(revoked(&server)[0].contains("token=rt-ann&token_type_hint=refresh_token"));
    assert!(store.scan(None).await.expect("listed").keys.is_empty());
    assert_logged_out(&here).await;
    // The other worker considers its token valid until an API refuses it.
    let error = elsewhere.renew(&token).await.expect_err("logged out");
    assert_eq!(error.advice(), Advice::Reauthorize);
    assert_eq!(requests(&server), 0);
    // The user logs in again.
    elsewhere
        .log_in(tokens("again", Duration::ZERO))
        .await
        .expect("stored");
    let token = elsewhere.token().await.expect("a token");
    assert_eq!(token.access_token.expose(), "of-again");
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_source_without_a_store_revokes_and_forgets() {
    let server = Rotating::default();
    let source = without_store(&server, Duration::ZERO);
    let clone = source.clone();
    clone.token().await.expect("a token");
    source.log_out().await.expect("logged out");
    assert_eq!(revoked(&server).len(), 1);
    assert!(revoked(&server)[0].contains("token=rt-ann"));
    assert_logged_out(&clone).await;
    assert_eq!(requests(&server), 0);
    // Nobody is logged in.
    source.log_out().await.expect("nothing to do");
    assert_eq!(revoked(&server).len(), 1);
    source
        .log_in(tokens("again", Duration::ZERO))
        .await
        .expect("adopted");
    let token = clone.token().await.expect("a token");
    assert_eq!(token.access_token.expose(), "of-again");
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_source_that_cannot_revoke_fails_and_logs_out_anyway() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let stored = with_store(&server, &store);
    stored
        .log_in(tokens("ann", Duration::ZERO))
        .await
        .expect("stored");
    let local = without_store(&server, Duration::ZERO);
    *server.0.is_gone.lock().expect("no panic") = true;
    for source in [&stored, &local] {
        let error = source.log_out().await.expect_err("no way");
        assert_eq!(error.code(), "lost.unsent");
        assert_logged_out(source).await;
    }
    assert!(store.scan(None).await.expect("listed").keys.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_source_waits_for_a_running_renewal() {
    for is_stored in [true, false] {
        let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
        let hooked = Arc::new(Mutex::new(0));
        let source = if is_stored {
            store_stale_logins(&server, &*store, 1).await;
            with_store(&server, &store)
        } else {
            without_store(&server, LONG_AGO)
        };
        let calls = Arc::clone(&hooked);
        let source = source.on_tokens(move |_| {
            *calls.lock().expect("no panic") += 1;
            Ok(())
        });
        let renewing = tokio::spawn({
            let source = source.clone();
            async move { source.token().await }
        });
        while requests(&server) == 0 {
            tokio::task::yield_now().await;
        }
        source.log_out().await.expect("logged out");
        assert_eq!(*hooked.lock().expect("no panic"), 1);
        renewing.await.expect("no panic").expect("a token");
        // The token that it returned was revoked.
        assert_eq!(revoked(&server).len(), 1);
        assert!(revoked(&server)[0].contains("token=next-0"));
        assert_logged_out(&source).await;
        assert_eq!(requests(&server), 1);
    }
}

/// A renewal that was decided on, but has sent nothing yet: the logout must not end the tokens that it is about to use.
#[tokio::test(start_paused = true)]
async fn a_logout_of_a_source_waits_for_a_renewal_that_has_not_sent_its_request() {
    let server = Rotating::default();
    let source = without_store(&server, LONG_AGO);
    let mut renewing = Box::pin(source.token());
    let first = poll_fn(|context| Poll::Ready(renewing.as_mut().poll(context))).await;
    assert!(first.is_pending());
    assert_eq!(requests(&server), 0);
    source.log_out().await.expect("logged out");
    renewing.await.expect("a token");
    assert_eq!(requests(&server), 1);
    assert_eq!(revoked(&server).len(), 1);
    assert!(revoked(&server)[0].contains("token=next-0"));
    assert_logged_out(&source).await;
}

/// Another thread begins a renewal while the logout reads the clock. The check for a renewal and the end of the login are
/// one step, so there is no such moment between them.
#[tokio::test]
async fn a_renewal_that_begins_during_a_logout_does_not_outlive_it() {
    let server = Rotating::default();
    let source = without_store(&server, LONG_AGO);
    let (thread, clock_source) = (Arc::new(Mutex::new(None)), source.clone());
    let started = Arc::clone(&thread);
    simulated::set(Box::new(move || {
        let mut started = started.lock().expect("no panic");
        if started.is_none() {
            let (source, (begun, is_begun)) = (clock_source.clone(), mpsc::channel());
            *started = Some(std::thread::spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_time().build().expect("a runtime");
                let token = async {
                    let mut renewing = Box::pin(source.token());
                    let first = poll_fn(|context| Poll::Ready(renewing.as_mut().poll(context)));
                    let is_pending = first.await.is_pending();
                    begun.send(is_pending).expect("the clock waits");
                    renewing.await.map(drop)
                };
                runtime.block_on(token)
            }));
            assert!(is_begun.recv().expect("no panic"), "a renewal has begun");
        }
        Moment::system().expect("a clock")
    }));
    let logout = source.log_out().await;
    simulated::unset();
    logout.expect("logged out");
    let thread = thread.lock().expect("no panic").take();
    thread
        .expect("the clock was read")
        .join()
        .expect("no panic")
        .expect("a token");
    assert_eq!(requests(&server), 1);
    // The token that it returned was revoked.
    assert_eq!(revoked(&server).len(), 1);
    assert!(revoked(&server)[0].contains("token=next-0"));
    assert_logged_out(&source).await;
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_source_waits_for_a_use_of_its_refresh_token() {
    let server = Rotating::default();
    let source = without_store(&server, Duration::ZERO);
    let held = source.hold(Duration::from_secs(5)).await.expect("held");
    let leaving = tokio::spawn({
        let source = source.clone();
        async move { source.log_out().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(revoked(&server).is_empty() && !leaving.is_finished());
    drop(held);
    leaving.await.expect("no panic").expect("logged out");
    assert_eq!(revoked(&server).len(), 1);
}

/// Callers do not get the error of the last renewal instead.
#[tokio::test(start_paused = true)]
async fn a_source_that_failed_before_its_logout_has_no_login() {
    let server = Rotating::default();
    let source = without_store(&server, LONG_AGO);
    *server.0.refuses.lock().expect("no panic") = Some("rt-ann");
    let error = source.token().await.expect_err("refused");
    assert_eq!(error.code(), "denied.invalid_grant");
    source.log_out().await.expect("logged out");
    assert_logged_out(&source).await;
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_source_ends_a_login_that_is_not_stored_yet() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let flaky = Arc::new(Flaky(Arc::clone(&store), AtomicBool::new(true)));
    let as_store: Arc<dyn Store> = Arc::clone(&flaky) as _;
    let source = GrantSource::for_grant(server.clone(), &client("id"), person(0), as_store);
    let failed = source.log_in(tokens("late", Duration::ZERO)).await;
    assert_eq!(failed.expect_err("down").endpoint(), Some("store"));
    source.token().await.expect("a token");
    flaky.1.store(false, Ordering::SeqCst);
    source.log_out().await.expect("logged out");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_logged_out(&source).await;
    assert!(store.scan(None).await.expect("listed").keys.is_empty());
    assert_eq!(revoked(&server).join(" ").matches("rt-late").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_of_a_pool_logs_out_as_the_pool_does() -> Result<(), Error> {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let grants: Grants = new_grants(&server, &store);
    let ann = person(1);
    grants.log_in(&ann, tokens("ann", Duration::ZERO)).await?;
    for acr in ["phr", "mfa"] {
        grants.log_in(&ann, stepped_up(acr, acr)).await?;
    }
    // A logout of a step-up ends only that grant.
    let phr = grants.get(&ann.clone().stepped_up(&required_acr("phr")));
    phr.log_out().await?;
    assert_eq!(revoked(&server).len(), 1);
    grants.get(&ann).token().await?;
    grants.get(&ann).log_out().await?;
    assert!(store.scan(None).await?.keys.is_empty());
    let revoked = revoked(&server).join(" ");
    for name in ["rt-ann", "rt-phr", "rt-mfa"] {
        assert_eq!(revoked.matches(name).count(), 1, "{revoked}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_source_of_the_client_requests_a_new_token_after_its_logout() {
    let server = Rotating::default();
    let source = GrantSource::client_credentials(server.clone(), &client("id"), Scope::none());
    let before = source.token().await.expect("a token");
    source.log_out().await.expect("revoked");
    assert_eq!(revoked(&server).len(), 1);
    let after = source.token().await.expect("a token");
    assert!(!before.access_token.matches(after.access_token.expose()));
}

#[test]
fn a_blocking_source_logs_out() {
    let server = Rotating::default();
    let tokens = tokens("ann", Duration::ZERO);
    let source = blocking::GrantSource::refreshing(server.clone(), &client("id"), tokens);
    let source = source.expect("a source");
    source.log_out().expect("logged out");
    assert_eq!(revoked(&server).len(), 1);
    let error = source.token().expect_err("logged out");
    assert_eq!(error.code(), "grant.no_refresh_token");
}
