//! Token sources whose tokens come from a sign-in at an identity provider.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use oauth_core::flow::keeper::GrantId;
use oauth_core::grant::IdentitySubject;
use oauth_core::{Client, Error, Scope};
use oauth_reqwest::oauth_session::store::MemoryStore;
use oauth_reqwest::oauth_session::{GrantSource, SubjectTokenSource};
use oauth_testkit::Served;

use crate::connection_ways::{SignIn as EndedSignIn, signed_in, trusting};
use crate::support::{confidential, counters, discover_server, driver, start_twin};

async fn client_of(served: &Served) -> Client {
    let server = discover_server(&driver(), served).await;
    let client = confidential(served);
    Client::new(server, client.client_id().clone(), client.auth().clone()).unwrap()
}

fn id() -> GrantId {
    GrantId::user("ann").requesting(Scope::parse("read").unwrap())
}

#[tokio::test]
async fn an_identity_assertion_source_gets_and_renews_tokens_across_workers() {
    let idp = start_twin();
    let served = trusting(&idp).await;
    let (provider, login) = signed_in(&idp).await;
    let sign_in = GrantSource::refreshing(driver(), &provider, login).unwrap();
    let store = Arc::new(MemoryStore::new());
    let resource_client = client_of(&served).await;
    let source = || {
        let sign_in = SubjectTokenSource::new(&provider, sign_in.clone());
        GrantSource::by_identity_shared(driver(), &resource_client, id(), sign_in, store.clone())
    };
    let (first, second) = (source(), source());
    // Many callers in two workers cause one exchange, and one assertion.
    let before = (
        counters(&idp).token_requests,
        counters(&served).token_requests,
    );
    let all = (0..20).map(|number| {
        let source = if number % 2 == 0 { &first } else { &second };
        let source = source.clone();
        tokio::spawn(async move { source.token().await.unwrap().access_token.clone() })
    });
    let mut tokens = Vec::new();
    for one in all.collect::<Vec<_>>() {
        tokens.push(one.await.unwrap().expose().clone());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    let spent = |before: (u64, u64)| {
        let now = (
            counters(&idp).token_requests,
            counters(&served).token_requests,
        );
        (now.0 - before.0, now.1 - before.1)
    };
    assert_eq!(spent(before), (1, 1));
    let token = first.token().await.unwrap();
    assert_eq!(token.scope, Scope::parse("read").unwrap());
    assert!(token.refresh_token.is_none());

    // A token that the API refused is replaced by a new exchange: no assertion is sent twice.
    let before = (
        counters(&idp).token_requests,
        counters(&served).token_requests,
    );
    let next = first.renew(&token).await.unwrap();
    assert!(!next.access_token.matches(token.access_token.expose()));
    assert_eq!(spent(before), (1, 1));
    // The other worker finds it in the store.
    let found = second.renew(&token).await.unwrap();
    assert!(found.access_token.matches(next.access_token.expose()));
    assert_eq!(spent(before), (1, 1));
    // A later process too, whose sign-in is not even read.
    let nobody = SubjectTokenSource::read(&provider, || panic!("the tokens are fresh"));
    let third =
        GrantSource::by_identity_shared(driver(), &resource_client, id(), nobody, store.clone());
    assert!(
        third
            .token()
            .await
            .unwrap()
            .access_token
            .matches(next.access_token.expose())
    );
    assert_eq!(spent(before), (1, 1));
}

#[tokio::test]
async fn tokens_about_to_expire_are_replaced() {
    let idp = start_twin();
    let served = trusting(&idp).await;
    served.with(|twin| twin.set_access_token_lifetime(2));
    let (provider, login) = signed_in(&idp).await;
    let sign_in = GrantSource::refreshing(driver(), &provider, login).unwrap();
    let resource_client = client_of(&served).await;
    let sign_in = SubjectTokenSource::new(&provider, sign_in);
    let source = GrantSource::by_identity(driver(), &resource_client, id(), sign_in);
    let first = source.token().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let second = source.token().await.unwrap();
    assert!(!second.access_token.matches(first.access_token.expose()));
}

#[tokio::test]
async fn an_expired_id_token_is_renewed_by_the_source_of_the_sign_in() {
    let idp = start_twin();
    let served = trusting(&idp).await;
    let (provider, login) = signed_in(&idp).await;
    let resource_client = client_of(&served).await;
    let renewed = Arc::default();
    let sign_in = SubjectTokenSource::new(&provider, EndedSignIn::new(login.clone(), &renewed));
    let source = GrantSource::by_identity(driver(), &resource_client, id(), sign_in);
    source.token().await.unwrap();
    assert_eq!(renewed.load(Ordering::SeqCst), 1);
    // Without one the user has to sign in there again, and nothing is sent.
    let mut without = login;
    without.id_token = None;
    let plain = GrantSource::refreshing(driver(), &provider, without).unwrap();
    let source = GrantSource::by_identity(
        driver(),
        &resource_client,
        id(),
        SubjectTokenSource::new(&provider, plain),
    );
    let refused = source.token().await.unwrap_err();
    assert_eq!(refused.code(), "identity_assertion.no_id_token");
}

#[tokio::test]
async fn the_sign_in_is_read_each_time_and_its_error_is_returned() {
    let idp = start_twin();
    let served = trusting(&idp).await;
    let (provider, login) = signed_in(&idp).await;
    let resource_client = client_of(&served).await;
    let id_token = login.id_token.clone().unwrap();
    let reads = Arc::new(Mutex::new(Vec::<Result<(), Error>>::new()));
    let sign_in = SubjectTokenSource::read(&provider, {
        let reads = Arc::clone(&reads);
        move || {
            let next = reads.lock().unwrap().pop();
            let id_token = id_token.clone();
            Box::pin(async move {
                match next {
                    Some(Err(error)) => Err(error),
                    _ => Ok(IdentitySubject::IdToken(id_token)),
                }
            })
        }
    });
    let source = GrantSource::by_identity(driver(), &resource_client, id(), sign_in);
    let gone = oauth_core::error::Misuse::NoRefreshToken;
    reads.lock().unwrap().push(Err(gone.into()));
    assert_eq!(
        source.token().await.unwrap_err().code(),
        "grant.no_refresh_token"
    );
    assert_eq!(counters(&idp).token_requests, 1, "only the sign-in itself");
    // The user has signed in again.
    let token = source.token().await.unwrap();
    let next = source.renew(&token).await.unwrap();
    assert!(!next.access_token.matches(token.access_token.expose()));
}
