//! The removal of a connection's old grants, from a server that its API no longer names, once there are tokens of the
//! new server.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error};
use oauth_reqwest::oauth_session::store::{
    Answer, Entry, Lease, MemoryStore, Page, RecordTimes, SaveOutcome,
};
use oauth_reqwest::oauth_session::{Store, connections};

use crate::connection_moved::Stage;
use crate::connection_siblings::{status, token};
use crate::support::browse;

/// A store whose removals can be made to fail.
#[derive(Default)]
struct Stubborn {
    inside: MemoryStore,
    keeps: AtomicBool,
}

impl Store for Stubborn {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.inside.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        self.inside.save(key, record, version, times)
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        self.inside.lease(key, holder, ttl)
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        if self.keeps.load(Ordering::SeqCst) {
            Box::pin(async { Err(Error::lost(Cause::unknown("it is stubborn"))) })
        } else {
            self.inside.remove(key)
        }
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        self.inside.scan(cursor)
    }
}

/// The names of the grants in the store.
async fn grants(stage: &Stage) -> BTreeSet<String> {
    let store = &stage.apis.store;
    let mut found = BTreeSet::new();
    for key in store.scan(None).await.unwrap().keys {
        let entry = store.load(&key).await.unwrap();
        if !key.starts_with("connection:") && entry.is_some_and(|entry| !entry.is_removed()) {
            found.insert(key);
        }
    }
    found
}

/// The grants that the stored connection has yet to remove.
async fn replaced_grants(stage: &Stage) -> BTreeSet<String> {
    let stored = connections::load(&*stage.apis.store, &stage.request.key("")).await;
    let connection = stored.unwrap().connection.unwrap();
    connection.replaced_grants.into_iter().collect()
}

/// A stage whose API has moved, and refuses the earlier token.
async fn moved_stage(store: Option<Arc<dyn Store>>) -> (Stage, BTreeSet<String>) {
    let stage = Stage::with_store(store).await;
    let before = grants(&stage).await;
    assert_eq!(before.len(), 1);
    stage.refuse_token().await;
    stage.set_authorization_server(&stage.second);
    (stage, before)
}

#[tokio::test]
async fn tokens_of_the_former_server_are_removed_once_replaced() {
    let (stage, before) = moved_stage(None).await;
    assert_eq!(stage.call().await, Ok(200));
    let now = grants(&stage).await;
    assert_eq!(now.len(), 1);
    assert!(now.is_disjoint(&before));
    assert!(replaced_grants(&stage).await.is_empty());
    // This costs neither a login nor a token.
    assert_eq!(stage.call().await, Ok(200));
    assert_eq!(stage.apis.logins(), 2);
}

#[tokio::test]
async fn the_old_connection_is_removed_only_after_new_tokens_exist() {
    let (stage, before) = moved_stage(None).await;
    let page_closed = || Error::lost(Cause::unsent("the user has closed the page"));
    let closed = stage.apis.connection("a").open(move |_| Err(page_closed()));
    let url = stage.apis.url("a");
    assert!(status(&closed, &url).await.is_err());
    assert_eq!(grants(&stage).await, before);
    assert_eq!(replaced_grants(&stage).await, before);
    // As if the process had ended there: the next one completes the removal.
    let next = stage.apis.connection("a");
    assert_eq!(status(&next, &url).await, Ok(200));
    assert!(grants(&stage).await.is_disjoint(&before));
    assert!(replaced_grants(&stage).await.is_empty());
}

#[tokio::test]
async fn a_failed_removal_is_retried_by_the_next_connection_and_costs_no_token() {
    let store = Arc::new(Stubborn::default());
    let (stage, before) = moved_stage(Some(store.clone())).await;
    store.keeps.store(true, Ordering::SeqCst);
    assert_eq!(stage.call().await, Ok(200));
    assert!(grants(&stage).await.is_superset(&before));
    assert_eq!(replaced_grants(&stage).await, before);
    store.keeps.store(false, Ordering::SeqCst);
    let next = stage.apis.connection("a");
    assert_eq!(status(&next, &stage.apis.url("a")).await, Ok(200));
    assert!(grants(&stage).await.is_disjoint(&before));
    assert!(replaced_grants(&stage).await.is_empty());
    assert_eq!(stage.apis.logins(), 2);
}

#[tokio::test]
async fn processes_with_tokens_of_the_former_server_follow_without_a_login() {
    let stage = Stage::with_store(None).await;
    let (url, before) = (stage.apis.url("a"), grants(&stage).await);
    // Two more connections, which have read the tokens.
    let (second, third) = (stage.apis.connection("a"), stage.apis.connection("a"));
    assert_eq!(token(&second).await, token(&stage.connection).await);
    let held = third.token().await.unwrap();
    stage.refuse_token().await;
    stage.set_authorization_server(&stage.second);
    assert_eq!(stage.call().await, Ok(200));
    assert!(grants(&stage).await.is_disjoint(&before));
    // One is refused by the API, the other tries to renew at the former server.
    assert_eq!(status(&second, &url).await, Ok(200));
    let renewed = third.token_other_than(Some(&*held)).await.unwrap();
    let current = token(&stage.connection).await;
    assert_eq!(renewed.access_token.expose(), &current);
    assert_eq!(stage.apis.logins(), 2);
    // The removed grants have not been stored again.
    assert!(grants(&stage).await.is_disjoint(&before));
}

#[tokio::test]
async fn concurrent_moves_to_a_new_server_leave_one_grant() {
    let (stage, before) = moved_stage(None).await;
    let url = stage.apis.url("a");
    let calls = (0..6).map(|_| {
        let (connection, url) = (stage.apis.connection("a"), url.clone());
        tokio::spawn(async move { status(&connection, &url).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), Ok(200));
    }
    // Each registers its own client, because the first one's port is in use; the last one's tokens stay.
    let now = grants(&stage).await;
    assert_eq!(now.len(), 1);
    assert!(now.is_disjoint(&before));
    assert!(replaced_grants(&stage).await.is_empty());
}

#[tokio::test]
async fn concurrent_first_connections_leave_one_grant() {
    let stage = Stage::with_store(None).await;
    let url = stage.apis.url("b");
    stage.connection.forget().await.unwrap();
    let calls = (0..6).map(|_| {
        let (connection, url) = (stage.apis.connection("b"), url.clone());
        tokio::spawn(async move { status(&connection, &url).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), Ok(200));
    }
    assert_eq!(grants(&stage).await.len(), 1);
    // The grant is the connection's: the next process needs no login.
    let logins = stage.apis.logins();
    assert_eq!(status(&stage.apis.connection("b"), &url).await, Ok(200));
    assert_eq!(stage.apis.logins(), logins);
}

#[tokio::test]
async fn a_sign_in_that_finishes_after_another_connection_leaves_no_tokens() {
    let stage = Stage::with_store(None).await;
    stage.connection.forget().await.unwrap();
    let (url, page) = (stage.apis.url("b"), Arc::new(Mutex::new(None)));
    let slow = stage.apis.connection("b").open({
        let page = Arc::clone(&page);
        move |url| {
            *page.lock().unwrap() = Some(url.as_str().to_owned());
            Ok(())
        }
    });
    let signing_in = tokio::spawn({
        let (slow, url) = (slow.clone(), url.clone());
        async move { status(&slow, &url).await }
    });
    while page.lock().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let quick = stage.apis.connection("b");
    assert_eq!(status(&quick, &url).await, Ok(200));
    let now = grants(&stage).await;
    // The slow one still gets its response, and then uses the tokens of the other.
    let page = page.lock().unwrap().take().unwrap();
    browse(page).await;
    assert_eq!(signing_in.await.unwrap(), Ok(200));
    assert_eq!(grants(&stage).await, now);
    assert_eq!(token(&slow).await, token(&quick).await);
}

#[tokio::test]
async fn forgetting_a_connection_removes_its_current_and_replaced_grants() {
    let (stage, _) = moved_stage(None).await;
    let page_closed = || Error::lost(Cause::unsent("the user has closed the page"));
    let closed = stage.apis.connection("a").open(move |_| Err(page_closed()));
    assert!(status(&closed, &stage.apis.url("a")).await.is_err());
    stage.apis.connection("a").forget().await.unwrap();
    assert!(grants(&stage).await.is_empty());
}
