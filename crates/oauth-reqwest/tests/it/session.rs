use std::sync::{Arc, Mutex};

use oauth_core::error::Advice;
use oauth_core::token::RefreshToken;
use oauth_core::{Scope, Tokens};
use oauth_reqwest::GrantSource;
use oauth_testkit::{Fault, Served};
use tokio::task::JoinSet;

use crate::support::{
    confidential, counters, driver, expired_tokens, login, public, server, start_twin, until,
};

fn secret(token: Option<&RefreshToken>) -> &str {
    token.unwrap().secret().expose()
}

/// A source whose token has expired and whose refresh token is accepted once.
async fn expired_source(served: &Served) -> (GrantSource, Tokens) {
    let driver = driver();
    let client = public(server(served.base()), served);
    let tokens = login(&driver, &client).await;
    let old = expired_tokens(&tokens);
    (
        GrantSource::refreshing(driver, &client, old.clone()).unwrap(),
        old,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_cause_one_token_request() {
    let served = start_twin();
    let (source, _) = expired_source(&served).await;
    let before = counters(&served).token_requests;
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let source = source.clone();
        callers.spawn(async move { source.token().await.unwrap() });
    }
    let all = callers.join_all().await;
    let first = all[0].access_token.expose();
    assert!(
        all.iter()
            .all(|tokens| tokens.access_token.expose() == first)
    );
    assert_eq!(counters(&served).token_requests - before, 1);
    assert_eq!(counters(&served).reuse_events, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_callers_cause_one_token_request() {
    let served = start_twin();
    let (source, _) = expired_source(&served).await;
    let before = counters(&served).token_requests;
    let mut callers = JoinSet::new();
    for _ in 0..10_000 {
        let source = source.clone();
        callers.spawn(async move { source.token().await.unwrap().access_token.expose().clone() });
    }
    let all: std::collections::BTreeSet<_> = callers.join_all().await.into_iter().collect();
    assert_eq!(all.len(), 1);
    assert_eq!(counters(&served).token_requests - before, 1);
    assert_eq!(counters(&served).reuse_events, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_with_the_same_rejected_token_make_one_request() {
    let served = start_twin();
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    let dead = source.token().await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let (source, dead) = (source.clone(), dead.clone());
        callers.spawn(async move { source.renew(&dead).await.unwrap() });
    }
    for tokens in callers.join_all().await {
        assert_ne!(tokens.access_token.expose(), dead.access_token.expose());
    }
    assert_eq!(counters(&served).token_requests, 2);
}

#[tokio::test]
async fn tokens_survive_cancellation_of_the_caller_that_requested_them() {
    let served = start_twin();
    let (source, old) = expired_source(&served).await;
    let before = counters(&served).token_requests;
    served.with(|twin| twin.inject(Fault::SlowBody { millis_per_byte: 1 }));
    let leader = tokio::spawn({
        let source = source.clone();
        async move { source.token().await.map(drop) }
    });
    until(|| counters(&served).refreshes == 1).await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let tokens = source.token().await.unwrap();
    assert_ne!(
        secret(tokens.refresh_token.as_ref()),
        secret(old.refresh_token.as_ref())
    );
    assert_eq!(counters(&served).token_requests - before, 1);
}

#[tokio::test]
async fn a_renewal_completes_even_if_every_caller_has_gone() {
    let served = start_twin();
    let (source, _) = expired_source(&served).await;
    let stored = Arc::new(Mutex::new(None));
    let store = Arc::clone(&stored);
    let source = source.on_tokens(move |tokens| {
        *store.lock().unwrap() = Some(tokens.to_json());
        Ok(())
    });
    served.with(|twin| twin.inject(Fault::SlowBody { millis_per_byte: 1 }));
    let leader = tokio::spawn(async move { source.token().await.map(drop) });
    until(|| counters(&served).refreshes == 1).await;
    leader.abort();
    assert!(leader.await.is_err());
    until(|| stored.lock().unwrap().is_some()).await;
    let json = stored.lock().unwrap().take().unwrap();
    assert!(Tokens::from_json(json.expose()).is_ok());
}

#[tokio::test]
async fn an_error_reaches_every_waiting_caller_and_the_next_one_retries() {
    let served = start_twin();
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    let refusal = Fault::Status {
        status: 503,
        retry_after: None,
    };
    served.with(|twin| twin.inject(refusal));
    let (one, two, three) = tokio::join!(source.token(), source.token(), source.token());
    for result in [one, two, three] {
        assert_eq!(result.unwrap_err().code(), "denied.busy");
    }
    assert_eq!(counters(&served).token_requests, 1);
    assert!(source.token().await.is_ok());
    assert_eq!(counters(&served).token_requests, 2);
}

#[tokio::test]
async fn retry_after_is_respected_and_the_error_repeated_meanwhile() {
    let served = start_twin();
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    let refusal = Fault::Status {
        status: 503,
        retry_after: Some(70),
    };
    served.with(|twin| twin.inject(refusal));
    for is_repeated in [false, true, true] {
        let error = source.token().await.unwrap_err();
        // A second more than the server says, so that a retry after the pause succeeds.
        let pause = error.retry_after().unwrap().as_secs();
        assert!((70..=71).contains(&pause), "{pause}");
        assert_eq!(error.is_repeated(), is_repeated);
    }
    assert_eq!(counters(&served).token_requests, 1);
}

#[tokio::test]
async fn an_ended_grant_stays_ended_without_further_requests() {
    let served = start_twin();
    let (source, _) = expired_source(&served).await;
    served.with(|twin| twin.revoke_all());
    let before = counters(&served).token_requests;
    for _ in 0..3 {
        let error = source.token().await.unwrap_err();
        assert_eq!(error.code(), "denied.invalid_grant");
        assert_eq!(error.advice(), Advice::Reauthorize);
    }
    assert_eq!(counters(&served).token_requests - before, 1);
}

#[tokio::test]
async fn a_token_with_a_lifetime_of_two_seconds_is_usable() {
    let served = start_twin();
    served.with(|twin| twin.set_access_token_lifetime(2));
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    let tokens = source.token().await.unwrap();
    assert_eq!(tokens.expires_in, Some(2));
}

/// The runtime of a renewal may end before the renewal does.
#[test]
fn the_end_of_a_runtime_does_not_block_callers_in_another() {
    let served = start_twin();
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    served.with(|twin| {
        twin.inject(Fault::SlowBody {
            millis_per_byte: 60_000,
        })
    });
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let source = source.clone();
        tokio::spawn(async move { source.token().await.map(drop) });
        until(|| counters(&served).token_requests == 1).await;
    });
    drop(first);
    assert!(runtime().block_on(source.token()).is_ok());
}

#[test]
fn debug_output_contains_no_secrets() {
    let served = start_twin();
    let source = GrantSource::client_credentials(driver(), &confidential(&served), Scope::none());
    let secret = served.with(|twin| twin.client_secret().to_owned());
    assert!(!format!("{source:?} {:?}", driver()).contains(&secret));
}
