//! Logouts by this and by other processes.

use std::sync::Arc;
use std::time::Duration;

use oauth_session::Store as _;
use oauth_session::store::MemoryStore;

use crate::sessions::{Rotating, person, requests, sessions, stale, tokens};

#[tokio::test(start_paused = true)]
async fn a_logout_revokes_and_every_worker_learns_of_it() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (first_worker, second_worker) = (sessions(&server, &store), sessions(&server, &store));
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
async fn a_logout_that_cannot_revoke_says_so_and_removes_the_record() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = sessions(&server, &store);
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
async fn a_logout_waits_for_a_renewal_under_way() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (first_worker, second_worker) = (sessions(&server, &store), sessions(&server, &store));
    stale(&server, &*store, 1).await;
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
async fn what_a_renewal_brings_after_a_logout_is_revoked() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = sessions(&server, &store);
    stale(&server, &*store, 1).await;
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
