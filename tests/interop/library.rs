//! The library against `oidc-provider`.

use std::time::Duration;

use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::flow::redeem::Login;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::token::TokenKind;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, ClientId, Error, Scope, Tokens};
use oauth_reqwest::blocking::{Driver, Listener};

use crate::oidc_provider::{OidcProvider, driver, open};

fn scope(names: &str) -> Scope {
    Scope::parse(names).expect("a scope")
}

/// A user signs in.
pub(crate) fn sign_in(driver: &Driver, client: &Client, names: &str) -> Result<Login, Error> {
    let listener = Listener::bind()?;
    let request = AuthorizationRequest::new(listener.redirect_uri().clone()).scope(scope(names));
    listener.login(driver, client, request, open, Duration::from_secs(30))
}

fn login(driver: &Driver, client: &Client, names: &str) -> Result<Tokens, Error> {
    let login = sign_in(driver, client, names)?;
    assert_eq!(login.id_token.is_some(), names.contains("openid"));
    Ok(login.tokens)
}

fn is_active(driver: &Driver, client: &Client, token: &Tokens) -> bool {
    let introspection =
        Introspection::new(token.access_token.clone()).token_type_hint(TokenKind::Access);
    match driver
        .run(client.introspect(introspection))
        .expect("an answer")
    {
        IntrospectionResponse::Active(state) => {
            assert_eq!(
                state.client_id.as_deref(),
                Some(client.client_id().as_str())
            );
            true
        }
        _ => false,
    }
}

#[test]
fn discovery_finds_the_endpoints() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    assert_eq!(found.issuer().as_str(), server.issuer());
    for kind in [
        EndpointKind::Authorization,
        EndpointKind::Token,
        EndpointKind::Revocation,
        EndpointKind::Introspection,
        EndpointKind::Jwks,
    ] {
        let url = found.endpoint(kind).expect("an endpoint");
        assert!(url.as_str().starts_with(server.issuer()), "{url}");
    }
    assert!(found.authorization_response_iss_supported());
    assert_eq!(
        found.code_challenge_methods(),
        Some(vec!["S256".to_owned()])
    );
}

#[test]
fn client_credentials_with_special_characters_are_accepted() {
    let (server, driver) = (OidcProvider::start(), driver());
    for which in ["basic", "post"] {
        let client = server.client(&driver, which).expect("a client");
        let tokens = driver
            .run(client.client_credentials(scope("read")))
            .expect("a token");
        assert_eq!(tokens.scope, scope("read"));
        assert_eq!(tokens.expires_in, Some(60));
        assert!(is_active(&driver, &client, &tokens));
    }
}

#[test]
fn a_wrong_secret_is_refused_with_invalid_client() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    let id = ClientId::new(server.client_id("basic"));
    let client = Client::new(found, id, ClientAuth::basic("wrong: +%/")).expect("a client");
    let refused = driver
        .run(client.client_credentials(Scope::none()))
        .expect_err("a refusal");
    assert_eq!(refused.code(), "denied.invalid_client");
    assert_eq!(
        refused.server_error().and_then(|said| said.status()),
        Some(401)
    );
    assert!(!refused.to_string().contains("wrong: +%/"));
}

#[test]
fn a_code_with_pkce_is_redeemed_refreshed_with_rotation_and_revoked() {
    let (server, driver) = (OidcProvider::start(), driver());
    for which in ["native", "basic", "post"] {
        let client = server.client(&driver, which).expect("a client");
        let first = login(&driver, &client, "openid read")
            .unwrap_or_else(|error| panic!("{which}: {error}"));
        assert_eq!(first.scope, scope("openid read"));
        assert!(first.id_token.is_some(), "openid was asked for");
        let spent = first.refresh_token.clone().expect("a refresh token");

        let second = driver.run(client.refresh(&spent)).expect("a refresh");
        let next = second.refresh_token.clone().expect("a refresh token");
        assert!(
            !next.secret().matches(spent.secret().expose()),
            "{which}: the token rotates"
        );
        assert!(!second.access_token.matches(first.access_token.expose()));

        // The server detects a reused token, and revokes the grant.
        let replayed = driver.run(client.refresh(&spent)).expect_err("a refusal");
        assert_eq!(replayed.code(), "denied.invalid_grant");
        assert_eq!(replayed.advice().as_str(), "reauthorize");
        assert_eq!(
            driver.run(client.refresh(&next)).err().map(|e| e.code()),
            Some("denied.invalid_grant")
        );
    }
}

#[test]
fn a_token_is_revoked_and_an_unknown_one_accepted() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "basic").expect("a client");
    let tokens = login(&driver, &client, "openid read").expect("tokens");
    assert!(is_active(&driver, &client, &tokens));
    let revoke = |token| driver.run(client.revoke(Revocation::new(token)));
    revoke(tokens.access_token.clone()).expect("revoked");
    assert!(!is_active(&driver, &client, &tokens));
    revoke("never-issued".into()).expect("an unknown token is no error");
    let refresh = tokens.refresh_token.expect("a refresh token");
    revoke(refresh.secret().clone()).expect("revoked");
    assert_eq!(
        driver.run(client.refresh(&refresh)).err().map(|e| e.code()),
        Some("denied.invalid_grant")
    );
}

#[test]
fn a_redirect_uri_not_registered_is_refused_before_sending() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "native").expect("a client");
    let held =
        client.with_redirect_uris([RedirectUri::parse("https://app.example/cb").expect("a URI")]);
    let other = RedirectUri::parse("https://app.example/cb2").expect("a URI");
    let moment = oauth_core::Moment::system().expect("a moment");
    let refused = held
        .authorize(&moment, AuthorizationRequest::new(other))
        .expect_err("a refusal");
    assert_eq!(refused.code(), "redirect_uri.not_registered");
}

#[test]
fn the_verifier_of_another_flow_is_refused() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "native").expect("a client");
    let listener = Listener::bind().expect("a listener");
    let request =
        || AuthorizationRequest::new(listener.redirect_uri().clone()).scope(scope("openid"));
    let moment = || oauth_core::Moment::system().expect("a moment");
    let (url, pending) = client.authorize(&moment(), request()).expect("a URL");
    let (_, other) = client.authorize(&moment(), request()).expect("a URL");
    // The other flow's verifier with this flow's state: as with an injected code.
    let mut stolen: serde_json::Value =
        serde_json::from_str(other.to_json().expose()).expect("JSON");
    stolen["state"] = serde_json::Value::from(pending.state().expose().as_str());
    let stolen = oauth_core::PendingAuthorization::from_json(&stolen.to_string()).expect("a flow");
    open(&url).expect("a browser");
    let callback = listener
        .wait(&pending, Duration::from_secs(30))
        .expect("a callback");
    let refused = driver
        .run(client.redeem(stolen, &callback).expect("judged"))
        .expect_err("a refusal");
    assert_eq!(refused.code(), "denied.invalid_grant");
}
