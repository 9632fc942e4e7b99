//! Logouts by this and by other processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_session::Grants;
use oauth_session::store::{Answer, Entry, Lease, MemoryStore, RecordTimes, SaveOutcome, Store};

use crate::sessions::{Rotating, client, new_grants, person, requests, store_stale_logins, tokens};

#[tokio::test(start_paused = true)]
async fn a_logout_revokes_the_tokens_and_ends_the_grant_for_every_worker() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (first_worker, second_worker) = (new_grants(&server, &store), new_grants(&server, &store));
    let ann = person(1);
    first_worker
        .log_in(&ann, tokens("ann", Duration::ZERO))
        .await
        .expect("stored");
    let elsewhere = second_worker.get(&ann).token().await.expect("a token");
    first_worker.log_out(&ann).await.expect("logged out");
    let revoked = server.0.revoked.lock().expect("no panic").clone();
    assert_eq!(revoked.len(), 1);
    assert!(
        revoked
            .iter()
            .all(|form| form.contains("token=rt-ann") && form.contains("refresh_token"))
    );
    // The other worker considers its token valid until an API refuses it.
    let error = second_worker
        .get(&ann)
        .renew(&elsewhere)
        .await
        .expect_err("logged out");
    assert_eq!(error.advice(), oauth_core::error::Advice::Reauthorize);
    assert_eq!(requests(&server), 0);
    // The user logs in again, and both workers get the new tokens.
    second_worker
        .log_in(&ann, tokens("ann-again", Duration::ZERO))
        .await
        .expect("stored");
    for sessions in [&first_worker, &second_worker] {
        let token = sessions.get(&ann).token().await.expect("a token");
        assert_eq!(token.access_token.expose(), "of-ann-again");
    }
    first_worker.log_out(&ann).await.expect("logged out");
    let error = first_worker
        .get(&ann)
        .token()
        .await
        .expect_err("nobody is in");
    assert_eq!(error.advice(), oauth_core::error::Advice::Reauthorize);
    // Logging out a grant that never existed succeeds.
    first_worker
        .log_out(&person(2))
        .await
        .expect("nothing to do");
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_cannot_revoke_reports_it_and_removes_the_record() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store);
    sessions
        .log_in(&person(1), tokens("ann", Duration::ZERO))
        .await
        .expect("stored");
    *server.0.is_gone.lock().expect("no panic") = true;
    let error = sessions.log_out(&person(1)).await.expect_err("no way");
    assert_eq!(error.code(), "lost.unsent");
    assert!(sessions.list(None).await.expect("listed").grants.is_empty());
    assert!(sessions.get(&person(1)).token().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_logout_waits_for_a_running_renewal() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (first_worker, second_worker) = (new_grants(&server, &store), new_grants(&server, &store));
    store_stale_logins(&server, &*store, 1).await;
    let renewing = tokio::spawn({
        let there = second_worker.clone();
        async move { there.get(&person(0)).token().await }
    });
    while requests(&server) == 0 {
        tokio::task::yield_now().await;
    }
    first_worker.log_out(&person(0)).await.expect("logged out");
    renewing.await.expect("no panic").expect("a token");
    // The token that it returned was revoked.
    let revoked = server.0.revoked.lock().expect("no panic").clone();
    assert!(
        revoked.iter().all(|form| form.contains("token=next-0")),
        "{revoked:?}"
    );
    assert_eq!(revoked.len(), 1);
}

/// A logout by a different program that shares the store does not wait for a renewal under way.
#[tokio::test(start_paused = true)]
async fn tokens_renewed_during_a_logout_are_revoked() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store);
    store_stale_logins(&server, &*store, 1).await;
    let session = sessions.get(&person(0));
    let renewing = tokio::spawn({
        let session = session.clone();
        async move { session.token().await }
    });
    while requests(&server) == 0 {
        tokio::task::yield_now().await;
    }
    let key = session.key().expect("a key");
    assert!(store.remove(key).await.expect("an answer"));
    let error = renewing.await.expect("no panic").expect_err("logged out");
    assert_eq!(error.code(), "lost");
    let revoked = server.0.revoked.lock().expect("no panic").clone();
    assert_eq!(revoked.len(), 1);
    assert!(revoked[0].contains("token=next-0"), "{revoked:?}");
    let entry = store.load(key).await.expect("an answer");
    assert!(entry.expect("its mark").is_removed());
    let error = session.token().await.expect_err("logged out");
    assert_eq!(error.code(), "grant.no_refresh_token");
    assert_eq!(requests(&server), 1);
}

/// A store that fails while it is down.
pub(crate) struct Flaky(pub(crate) Arc<MemoryStore>, pub(crate) AtomicBool);

impl Flaky {
    fn available(&self) -> Result<&MemoryStore, Error> {
        if self.1.load(Ordering::SeqCst) {
            return Err(Error::lost(Cause::unknown("down")).at_endpoint("store"));
        }
        Ok(&self.0)
    }
}

impl Store for Flaky {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move { self.available()?.load(key).await })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async move { self.available()?.save(key, record, version, times).await })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move { self.available()?.lease(key, holder, ttl).await })
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_waiting_for_the_store_is_not_stored_after_a_logout_of_any_worker() {
    let ann = person(1);
    for is_here in [true, false] {
        let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
        let flaky = Arc::new(Flaky(Arc::clone(&store), AtomicBool::new(true)));
        let store_handle: Arc<dyn Store> = Arc::clone(&flaky) as _;
        let here = Grants::new(server.clone(), &client("id"), store_handle);
        let other_grants = new_grants(&server, &store);
        let age = Duration::from_secs(if is_here { 0 } else { 5 });
        let failed = here.log_in(&ann, tokens("late", age)).await;
        assert_eq!(failed.expect_err("down").endpoint(), Some("store"));
        // The tokens are used meanwhile.
        here.get(&ann).token().await.expect("a token");
        flaky.1.store(!is_here, Ordering::SeqCst);
        let worker = if is_here { &here } else { &other_grants };
        worker.log_out(&ann).await.expect("logged out");
        flaky.1.store(false, Ordering::SeqCst);
        if is_here {
            let nobody = here.get(&ann).token().await;
            assert!(nobody.is_err(), "the token of an ended login");
        }
        tokio::time::sleep(Duration::from_secs(300)).await;
        let nobody = here.get(&ann).token().await.expect_err("logged out");
        assert_eq!(nobody.code(), "grant.no_refresh_token");
        let keys = store.scan(None).await.expect("listed").keys;
        assert!(keys.is_empty(), "{keys:?}");
        let revoked = server.0.revoked.lock().expect("no panic").join(" ");
        assert_eq!(revoked.matches("rt-late").count(), 1, "{revoked}");
    }
}

/// The store is needed to end what others have stored, and not for what this process alone knows.
#[tokio::test(start_paused = true)]
async fn a_logout_during_a_store_outage_ends_a_login_not_yet_stored() {
    let ann = person(1);
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let flaky = Arc::new(Flaky(Arc::clone(&store), AtomicBool::new(true)));
    let grants = Grants::new(server.clone(), &client("id"), Arc::clone(&flaky) as _);
    let login = grants.log_in(&ann, tokens("late", Duration::ZERO)).await;
    assert_eq!(login.expect_err("down").endpoint(), Some("store"));
    let logout = grants.log_out(&ann).await.expect_err("down");
    assert_eq!(logout.endpoint(), Some("store"));
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    assert_eq!(revoked.matches("rt-late").count(), 1, "{revoked}");
    flaky.1.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let keys = store.scan(None).await.expect("listed").keys;
    assert!(keys.is_empty(), "{keys:?}");
}
