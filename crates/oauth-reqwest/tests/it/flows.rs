use std::collections::BTreeSet;

use oauth_core::endpoint::device_authorization::DeviceAuthorization;
use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::grant::Extension;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::TokenKind;
use oauth_core::{AuthorizationRequest, Moment, Scope, danger};
use oauth_reqwest::GrantSource;
use oauth_reqwest::loopback::Listener;
use oauth_testkit::Fault;

use crate::support::{
    TEST_TIMEOUT, browse, callback_of, confidential, counters, discover_server, driver,
    expired_tokens, login, public, start_twin,
};

#[tokio::test]
async fn client_credentials_with_discovery_succeed() {
    let (served, driver) = (start_twin(), driver());
    let server = discover_server(&driver, &served).await;
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
async fn a_user_logs_in_and_the_refresh_token_rotates() {
    let (served, driver) = (start_twin(), driver());
    let client = public(discover_server(&driver, &served).await, &served);
    let tokens = login(&driver, &client).await;
    let first = tokens.refresh_token.clone().unwrap();
    assert!(served.with(|twin| {
        let entry = twin.log().iter().find(|entry| entry.path == "/authorize");
        entry.is_some_and(|entry| entry.query("code_challenge_method") == Some("S256"))
    }));

    let source = GrantSource::refreshing(driver, &client, expired_tokens(&tokens)).unwrap();
    let renewed = source.token().await.unwrap();
    let second = renewed.refresh_token.clone().unwrap();
    assert_ne!(first.secret().expose(), second.secret().expose());
    assert!(source.renew(&renewed).await.is_ok());
    assert_eq!(counters(&served).refreshes, 2);
    assert_eq!(counters(&served).reuse_events, 0);
}

#[tokio::test]
async fn a_denial_is_returned_as_an_error_and_not_shown_on_the_page() {
    let (served, driver) = (start_twin(), driver());
    let client = public(discover_server(&driver, &served).await, &served);
    served.with(|twin| twin.deny_next());
    let listener = Listener::bind().await.unwrap();
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let (tell, receiver) = tokio::sync::oneshot::channel();
    let open = |url: &oauth_core::url::Url| {
        let url = url.as_str().to_owned();
        tokio::spawn(async { tell.send(browse(url).await) });
        Ok(())
    };
    let login = listener.login(&driver, &client, request, open, TEST_TIMEOUT);
    assert_eq!(login.await.unwrap_err().code(), "denied.access_denied");
    let (status, page) = receiver.await.unwrap();
    assert_eq!(status, 200);
    assert!(!page.contains("denied") && !page.contains("said no"));
    assert_eq!(counters(&served).token_requests, 0);
}

#[tokio::test]
async fn a_callback_from_another_issuer_fails_the_login() {
    let (served, driver) = (start_twin(), driver());
    let client = public(discover_server(&driver, &served).await, &served);
    served.with(|twin| twin.inject(Fault::WrongIssuerInCallback));
    let listener = Listener::bind().await.unwrap();
    let request = AuthorizationRequest::new(listener.redirect_uri().clone());
    let open = |url: &oauth_core::url::Url| {
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    };
    let login = listener.login(&driver, &client, request, open, TEST_TIMEOUT);
    assert_eq!(login.await.unwrap_err().code(), "callback.issuer");
    assert_eq!(counters(&served).token_requests, 0);
}

#[tokio::test]
async fn a_callback_with_a_wrong_state_or_issuer_is_refused() {
    let (served, driver) = (start_twin(), driver());
    let client = public(discover_server(&driver, &served).await, &served);
    let redirect_uri = RedirectUri::parse("https://app.example/callback").unwrap();
    let begin = || {
        let request =
            AuthorizationRequest::new(redirect_uri.clone()).scope(Scope::parse("openid").unwrap());
        client
            .authorize(&Moment::system().unwrap(), request)
            .unwrap()
    };
    for (fault, code) in [
        (Fault::ForeignStateInCallback, "callback.state"),
        (Fault::WrongIssuerInCallback, "callback.issuer"),
    ] {
        let (url, pending) = begin();
        served.with(|twin| twin.inject(fault.clone()));
        let callback = callback_of(url.as_str().to_owned()).await;
        let refused = client.redeem(pending, &callback);
        assert_eq!(refused.err().map(|error| error.code()), Some(code));
    }
    assert_eq!(counters(&served).token_requests, 0);
    let (url, pending) = begin();
    let callback = callback_of(url.as_str().to_owned()).await;
    let redeemed = client.redeem(pending, &callback).unwrap();
    driver.run(redeemed).await.unwrap();
    // The twin compares the verifier with the challenge; its log has the other parameters.
    let log = served.with(|twin| twin.log().to_vec());
    let logged = log.iter().filter(|entry| entry.path == "/authorize");
    for name in ["state", "nonce", "code_challenge"] {
        let values: BTreeSet<_> = logged
            .clone()
            .filter_map(|entry| entry.query(name))
            .collect();
        assert!(
            values.len() == 3 && values.iter().all(|value| value.len() == 43),
            "{name}"
        );
    }
    assert!(
        log.iter()
            .any(|entry| entry.form("code_verifier").is_some())
    );
}

#[tokio::test]
async fn the_password_grant_works() {
    let (served, driver) = (start_twin(), driver());
    let client = confidential(&served);
    let (user, password) = served.with(|twin| {
        let (user, password) = twin.resource_owner();
        (user.to_owned(), password.to_owned())
    });
    let grant = |password: &str| danger::password(&*user, password);
    let tokens = driver
        .run(client.token(grant(&password), Scope::parse("read").unwrap()))
        .await
        .unwrap();
    assert_eq!(tokens.scope, Scope::parse("read").unwrap());
    let refused = driver
        .run(client.token(grant("guess"), Scope::none()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "denied.invalid_grant");
}

#[tokio::test]
async fn an_extension_grant_is_requested_by_its_uri() {
    let (served, driver) = (start_twin(), driver());
    let person = public(discover_server(&driver, &served).await, &served);
    let subject = login(&driver, &person).await;
    let exchange = Extension::new("urn:ietf:params:oauth:grant-type:token-exchange")
        .and_then(|grant| grant.parameter("subject_token", subject.access_token.clone()))
        .and_then(|grant| {
            let kind = "urn:ietf:params:oauth:token-type:access_token".to_owned();
            grant.parameter("subject_token_type", kind)
        })
        .unwrap();
    let client = confidential(&served);
    let tokens = driver
        .run(client.token(exchange, Scope::none()))
        .await
        .unwrap();
    assert!(!tokens.access_token.matches(subject.access_token.expose()));
}

#[tokio::test]
async fn a_device_code_is_requested() {
    let (served, driver) = (start_twin(), driver());
    let client = public(discover_server(&driver, &served).await, &served);
    let request = DeviceAuthorization::new(Scope::parse("read").unwrap());
    let code = driver.run(client.call(request)).await.unwrap();
    assert!(code.expires_in >= code.interval && !code.user_code.is_empty());
    let page = code.verification_uri_complete.unwrap();
    assert!(page.same_origin(&code.verification_uri));
    assert!(page.as_str().contains(&code.user_code));
}

#[tokio::test]
async fn a_token_is_introspected_and_revoked() {
    let (served, driver) = (start_twin(), driver());
    let client = confidential(&served);
    let exchange = client.client_credentials(Scope::none());
    let tokens = driver.run(exchange).await.unwrap();
    let question = || {
        client.introspect(
            Introspection::new(tokens.access_token.clone()).token_type_hint(TokenKind::Access),
        )
    };
    let state = driver.run(question()).await.unwrap();
    assert!(matches!(state, IntrospectionResponse::Active(_)));
    let revocation = Revocation::new(tokens.access_token.clone());
    driver.run(client.revoke(revocation)).await.unwrap();
    let state = driver.run(question()).await.unwrap();
    assert!(matches!(state, IntrospectionResponse::Inactive));
}
