//! Every authentication method of `oidc-provider`, and an ID token of every algorithm.

use std::time::Duration;

use oauth_core::client_auth::{AssertionAudience, ClientAssertion};
use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::jose::Alg;
use oauth_core::{Client, ClientAuth, ClientId, Moment, Scope};
use oauth_crypto::{ClientKeys, PrivateKey, client_secret_jwt};
use oauth_reqwest::blocking::Driver;

use crate::library::sign_in;
use crate::oidc_provider::{OidcProvider, driver};

/// The registered client for this algorithm.
fn assertion(server: &OidcProvider, alg: Alg) -> (String, ClientAssertion) {
    if alg.is_symmetric() {
        let name = format!("secret-{}", alg.as_str());
        let made = client_secret_jwt(server.secret(&name), alg).expect("a long secret");
        return (name, made);
    }
    let name = format!("key-{}", alg.as_str());
    let key = PrivateKey::from_pem(server.private_key(&name), alg).expect("a key");
    (name, key.client_assertion("theirs"))
}

fn client(server: &OidcProvider, driver: &Driver, alg: Alg) -> Client {
    let (name, assertion) = assertion(server, alg);
    let found = server.discovered(driver).expect("metadata");
    let auth = ClientAuth::assertion(assertion);
    let client = Client::new(found, ClientId::new(name), auth).expect("a client");
    client.with_id_token_algs([alg])
}

#[test]
fn every_algorithm_authenticates_and_signs_id_tokens() {
    let (server, driver) = (OidcProvider::start(), driver());
    for alg in Alg::ALL.iter().copied() {
        let client = client(&server, &driver, alg);
        let read = Scope::parse("read").expect("a scope");
        let tokens = driver.run(client.client_credentials(read));
        let tokens = tokens.unwrap_or_else(|error| panic!("{}: {error}", alg.as_str()));
        let introspection_request = Introspection::new(tokens.access_token.clone());
        let introspection = driver
            .run(client.introspect(introspection_request))
            .expect("it is asked so too");
        assert!(
            matches!(introspection, IntrospectionResponse::Active(_)),
            "{}",
            alg.as_str()
        );
        let login = sign_in(&driver, &client, "openid read");
        let login = login.unwrap_or_else(|error| panic!("{}: {error}", alg.as_str()));
        let id_token = login.id_token.expect("openid was asked for");
        assert_eq!(id_token.subject(), "somebody", "{}", alg.as_str());
        let token = Revocation::new(login.tokens.access_token.clone());
        driver.run(client.revoke(token)).expect("revoked");
    }
}

#[test]
fn an_assertion_with_another_audience_or_key_is_refused() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    let client_with = |assertion: ClientAssertion| {
        let auth = ClientAuth::assertion(assertion);
        let client =
            Client::new(found.clone(), ClientId::new("key-ES256"), auth).expect("a client");
        driver
            .run(client.client_credentials(Scope::none()))
            .map(drop)
    };
    let (_, assertion) = assertion(&server, Alg::Es256);
    let elsewhere = AssertionAudience::Other("https://another.example".to_owned());
    let refused = client_with(assertion.clone().audience(elsewhere)).expect_err("another audience");
    assert_eq!(refused.code(), "denied.invalid_client");
    let foreign = PrivateKey::generate(Alg::Es256).expect("a key");
    let refused = client_with(foreign.client_assertion("theirs")).expect_err("another key");
    assert_eq!(refused.code(), "denied.invalid_client");
    // The audience for servers that do not accept the issuer.
    let (_, assertion) = self::assertion(&server, Alg::Es256);
    client_with(assertion.audience(AssertionAudience::TokenEndpoint))
        .expect("it takes this one too");
}

/// The access tokens are opaque: the API introspects them at the server that issued them.
#[test]
fn an_api_introspects_opaque_tokens() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = client(&server, &driver, Alg::Es256);
    let api = client.introspecting_verifier("https://api.example");
    let cached = (api.clone()).with_introspection_cache(Duration::from_secs(60), 10);
    let login = sign_in(&driver, &client, "openid read").expect("a login");
    let text = login.tokens.access_token.expose().as_str();
    for api in [&api, &cached] {
        let token = driver.run(api.verify(text)).expect("it is good");
        assert_eq!(
            (token.subject(), token.client_id().unwrap_or_default()),
            ("somebody", "key-ES256")
        );
        assert!(token.scope().contains("read"), "{}", token.scope());
        assert!(token.expires_at() > Some(Moment::system().expect("a clock").now()));
    }
    let admin = (api.clone()).require_scope(Scope::parse("admin").expect("a scope"));
    let refused = driver.run(admin.verify(text)).expect_err("another scope");
    assert_eq!(refused.refusal().map(|refusal| refusal.status), Some(403));

    let token = Revocation::new(login.tokens.access_token.clone());
    driver.run(client.revoke(token)).expect("revoked");
    driver
        .run(cached.verify(text))
        .expect("believed for a while");
    let refresh = login.tokens.refresh_token.as_ref();
    let refresh = refresh.map(|token| token.secret().expose().as_str());
    for dead in [Some(text), Some("made-up"), refresh].into_iter().flatten() {
        let refused = driver.run(api.verify(dead)).expect_err("no access token");
        let response = refused.refusal().expect("an answer");
        assert_eq!(response.status, 401, "{refused}");
    }
}

/// The server finds the keys in the published set: while a key is rotated, clients may sign
/// with either.
#[test]
fn a_client_key_is_rotated() {
    let pem = |alg| {
        let key = PrivateKey::generate(alg).expect("a key");
        key.to_pem().expect("PEM").to_string()
    };
    let (new, old) = (pem(Alg::Es256), pem(Alg::Rs256));
    let read = |texts: &[&str]| ClientKeys::read(texts.iter().copied()).expect("keys");
    let published = read(&[&new, &old]).public_jwks();
    let server = OidcProvider::start_with(&[("CLIENT_JWKS", &published)]);
    let driver = driver();
    let found = server.discovered(&driver).expect("metadata");
    let authenticate_with = |keys: ClientKeys| {
        let assertion = keys.client_assertion(&found, None).expect("it signs");
        let alg = assertion.key().alg();
        let auth = ClientAuth::assertion(assertion);
        let client = Client::new(found.clone(), ClientId::new("key-rotated"), auth);
        let client = client.expect("a client");
        let scope = Scope::parse("read").expect("a scope");
        let tokens = driver.run(client.client_credentials(scope));
        tokens.map(|_| alg).map_err(|error| error.code())
    };
    // A worker with both keys signs with the newest, one with only the old key still works; then it is removed.
    assert_eq!(authenticate_with(read(&[&new, &old])), Ok(Alg::Es256));
    assert_eq!(authenticate_with(read(&[&old])), Ok(Alg::Rs256));
    assert_eq!(authenticate_with(read(&[&new])), Ok(Alg::Es256));
    let foreign = pem(Alg::Es256);
    assert_eq!(
        authenticate_with(read(&[&foreign])),
        Err("denied.invalid_client")
    );
}
