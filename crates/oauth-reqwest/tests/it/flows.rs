use oauth_core::endpoint::introspection::{Introspection, TokenState};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::token::TokenKind;
use oauth_core::{AuthorizationRequest, Scope};
use oauth_reqwest::Session;
use oauth_reqwest::loopback::Listener;
use oauth_testkit::Fault;

use crate::support::{
    PATIENCE, browse, confidential, counters, discovered, driver, expired, login, public, served,
};

#[tokio::test]
async fn client_credentials_with_discovery() {
    let (served, driver) = (served(), driver());
    let server = discovered(&driver, &served).await;
    assert_eq!(server.issuer().as_str(), served.base());
    let client = confidential(&served);
    let tokens = driver
        .run(client.client_credentials(Scope::parse("read write").unwrap()))
        .await
        .unwrap();
    assert_eq!(tokens.expires_in, Some(3600));
    assert_eq!(tokens.scope, Scope::parse("write read").unwrap());
}

#[tokio::test]
async fn a_person_logs_in_and_the_refresh_token_rotates() {
    let (served, driver) = (served(), driver());
    let client = public(discovered(&driver, &served).await, &served);
    let tokens = login(&driver, &client).await;
    let first = tokens.refresh_token.clone().unwrap();
    assert!(served.with(|twin| {
        let entry = twin.log().iter().find(|entry| entry.path == "/authorize");
        entry.is_some_and(|entry| entry.query("code_challenge_method") == Some("S256"))
    }));

    let source = Session::refreshing(driver, &client, expired(&tokens)).unwrap();
    let renewed = source.token().await.unwrap();
    let second = renewed.refresh_token.clone().unwrap();
    assert_ne!(first.secret().expose(), second.secret().expose());
    assert!(source.renew(&renewed).await.is_ok());
    assert_eq!(counters(&served).refreshes, 2);
    assert_eq!(counters(&served).reuse_events, 0);
}

#[tokio::test]
async fn a_no_is_an_error_and_not_on_the_page() {
    let (served, driver) = (served(), driver());
    let client = public(discovered(&driver, &served).await, &served);
    served.with(|twin| twin.deny_next());
    let listener = Listener::bind().await.unwrap();
    let ask = AuthorizationRequest::new(listener.redirect_uri().clone());
    let (tell, told) = tokio::sync::oneshot::channel();
    let open = |url: &oauth_core::url::Url| {
        let url = url.as_str().to_owned();
        tokio::spawn(async { tell.send(browse(url).await) });
        Ok(())
    };
    let login = listener.login(&driver, &client, ask, open, PATIENCE);
    assert_eq!(login.await.unwrap_err().code(), "denied.access_denied");
    let (status, page) = told.await.unwrap();
    assert_eq!(status, 200);
    assert!(!page.contains("denied") && !page.contains("said no"));
    assert_eq!(counters(&served).token_requests, 0);
}

#[tokio::test]
async fn a_callback_of_another_issuer_ends_the_login() {
    let (served, driver) = (served(), driver());
    let client = public(discovered(&driver, &served).await, &served);
    served.with(|twin| twin.inject(Fault::WrongIssuerInCallback));
    let listener = Listener::bind().await.unwrap();
    let ask = AuthorizationRequest::new(listener.redirect_uri().clone());
    let open = |url: &oauth_core::url::Url| {
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    };
    let login = listener.login(&driver, &client, ask, open, PATIENCE);
    assert_eq!(login.await.unwrap_err().code(), "callback.issuer");
    assert_eq!(counters(&served).token_requests, 0);
}

#[tokio::test]
async fn a_token_is_looked_up_and_forgotten() {
    let (served, driver) = (served(), driver());
    let client = confidential(&served);
    let exchange = client.client_credentials(Scope::none());
    let tokens = driver.run(exchange).await.unwrap();
    let question = || {
        client.introspect(Introspection {
            token: tokens.access_token.clone(),
            hint: Some(TokenKind::Access),
        })
    };
    let state = driver.run(question()).await.unwrap();
    assert!(matches!(state, TokenState::Active(_)));
    let revocation = Revocation {
        token: tokens.access_token.clone(),
        hint: None,
    };
    driver.run(client.revoke(revocation)).await.unwrap();
    let state = driver.run(question()).await.unwrap();
    assert!(matches!(state, TokenState::Inactive));
}
