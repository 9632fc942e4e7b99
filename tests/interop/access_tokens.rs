//! An API that verifies the JWT access tokens of `oidc-provider` (RFC 9068).

use std::time::Duration;

use oauth_core::flow::access_token::AccessTokenVerifier;
use oauth_core::grant::TokenRequest;
use oauth_core::jose::{Enc, JweAlg};
use oauth_core::{AuthorizationRequest, Client, Error, Scope};
use oauth_reqwest::blocking::{Driver, Listener};

use crate::encryption::encryption;
use crate::oidc_provider::{OidcProvider, driver, open};

const API: &str = "https://api.example/";

fn read() -> Scope {
    Scope::parse("read").expect("a scope")
}

/// A token of the client itself.
fn client_token(driver: &Driver, client: &Client) -> String {
    client_token_for(driver, client, API)
}

fn client_token_for(driver: &Driver, client: &Client, api: &str) -> String {
    let token_request = TokenRequest::from(read()).resource(api).expect("a URI");
    let tokens = driver
        .run(client.client_credentials(token_request))
        .expect("a token");
    tokens.access_token.expose().clone()
}

#[test]
fn an_api_verifies_access_tokens_locally() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "basic").expect("a client");
    let verifier = client.access_token_verifier(API).require_scope(read());
    let client_tokens = driver.run(verifier.verify(&client_token(&driver, &client)));
    let client_tokens = client_tokens.expect("the client's own");
    assert_eq!(client_tokens.issuer(), server.issuer());
    assert_eq!(client_tokens.client_id(), Some(server.client_id("basic")));
    assert_eq!(
        (client_tokens.audience(), client_tokens.scope()),
        (vec![API], &read())
    );

    let listener = Listener::bind().expect("a listener");
    let request = AuthorizationRequest::new(listener.redirect_uri().clone()).scope(read());
    let request = request.resource(API).expect("a URI");
    let login = listener.login(&driver, &client, request, open, Duration::from_secs(30));
    let tokens = login.expect("a login").tokens;
    let shown = driver.run(verifier.verify(tokens.access_token.expose()));
    let shown = shown.expect("a person's");
    assert_eq!(shown.subject(), "somebody");

    // An API that is not a client of the server.
    let found = server.discovered(&driver).expect("metadata");
    let alone = AccessTokenVerifier::new(found, API);
    let shown = driver.run(alone.verify(tokens.access_token.expose()));
    assert_eq!(shown.expect("the same").subject(), "somebody");
}

#[test]
fn tokens_issued_for_another_purpose_are_refused() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "basic").expect("a client");
    let token = client_token(&driver, &client);
    let code = |verifier: AccessTokenVerifier, token: &str| {
        let refused = driver.run(verifier.verify(token)).map(drop);
        refused.expect_err("a refusal")
    };
    let elsewhere = client.access_token_verifier("https://other.example/");
    assert_eq!(code(elsewhere, &token).code(), "jwt.audience");
    let write = Scope::parse("write").expect("a scope");
    let more = client.access_token_verifier(API).require_scope(write);
    let refused = code(more, &token);
    assert_eq!(refused.code(), "access_token.insufficient_scope");
    assert_eq!(refused.refusal().map(|refusal| refusal.status), Some(403));

    // An ID token of the same server, for the same client, signed by the same keys.
    let login = crate::library::sign_in(&driver, &client, "openid").expect("a login");
    let id_token = login.tokens.id_token.expect("an ID token");
    let verifier = client.access_token_verifier(server.client_id("basic"));
    let refused: Error = code(verifier, id_token.expose());
    assert_eq!(refused.code(), "jwt.typ");
}

#[test]
fn an_encrypted_access_token_is_readable_only_by_its_api() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "basic").expect("a client");
    let sealed_api = "https://sealed.example/";
    let sealed = client_token_for(&driver, &client, sealed_api);
    assert_eq!(sealed.split('.').count(), 5);
    let agreed = |which| encryption(&server, which, JweAlg::EcdhEs, Enc::A256Gcm);
    let alone = || {
        let found = server.discovered(&driver).expect("metadata");
        AccessTokenVerifier::new(found, sealed_api)
    };
    let verifier = alone().with_encryption(agreed("sealed-api"));
    let shown = driver.run(verifier.verify(&sealed)).expect("its own");
    assert_eq!(shown.audience(), [sealed_api]);
    assert_eq!(shown.client_id(), Some(server.client_id("basic")));

    let code = |verifier: AccessTokenVerifier, token: &str| {
        let refused = driver.run(verifier.verify(token)).map(drop);
        let refused = refused.expect_err("a refusal");
        assert_eq!(refused.refusal().map(|refusal| refusal.status), Some(401));
        refused.code()
    };
    assert_eq!(code(alone(), &sealed), "jwe.unexpected");
    let other = alone().with_encryption(agreed("userinfo-both"));
    assert_eq!(code(other, &sealed), "jwe.decryption");
    let plain = client_token(&driver, &client);
    let accepting = verifier.clone().or_audience(API);
    assert_eq!(code(accepting, &plain), "jwe.not_encrypted");
    // Decryption does not validate the content: its audience is still a different one.
    assert_eq!(code(verifier.with_audience(API), &sealed), "jwt.audience");
}
