//! Dynamic client registration at `oidc-provider` (RFC 7591), and its management (RFC 7592).

use oauth_core::client_auth::Credentials;
use oauth_core::client_metadata::ApplicationType;
use oauth_core::endpoint::registration::Registration;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::{
    Client, ClientMetadata, Error, RegisteredClient, Scope, Secret, delete_registration,
    read_registration, register, update_registration,
};
use oauth_crypto::PrivateKey;
use oauth_reqwest::blocking::Driver;

use crate::library::sign_in;
use crate::oidc_provider::{OidcProvider, driver};

fn client_metadata(method: &str, grants: &[&str]) -> ClientMetadata {
    let uri = RedirectUri::parse("http://127.0.0.1/callback").expect("a redirect URI");
    let mut metadata = ClientMetadata::with_redirect_uris([uri]);
    metadata.token_endpoint_auth_method = Some(method.to_owned());
    metadata.grant_types = grants.iter().map(|&grant| grant.to_owned()).collect();
    metadata.scope = Scope::parse("openid offline_access read").ok();
    metadata.client_name = Some("App".to_owned());
    metadata
}

const ALL: &[&str] = &["authorization_code", "refresh_token", "client_credentials"];

fn made(
    driver: &Driver,
    server: &Server,
    metadata: ClientMetadata,
) -> Result<RegisteredClient, Error> {
    driver.run(register(server.clone(), Registration::new(metadata)))
}

fn refused<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("", |error| error.code())
}

#[test]
fn registered_clients_sign_users_in_by_their_registered_methods() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    for (method, grants) in [
        ("client_secret_basic", ALL),
        ("client_secret_post", ALL),
        ("none", &["authorization_code", "refresh_token"]),
    ] {
        let registered = made(&driver, &found, client_metadata(method, grants)).expect("a client");
        assert_eq!(registered.metadata.auth_method(), method);
        assert_eq!(registered.client_secret.is_some(), method != "none");
        let text = registered.to_json();
        let stored = RegisteredClient::from_json(text.expose(), &found).expect("what was stored");
        let client = Client::registered(found.clone(), &stored, Credentials::default());
        let client = client.expect("a client");
        let login = sign_in(&driver, &client, "openid offline_access").expect("a login");
        assert!(login.id_token.is_some());
        let refresh = login.tokens.refresh_token.expect("a refresh token");
        driver.run(client.refresh(&refresh)).expect("new tokens");
    }
}

#[test]
fn a_client_registers_its_public_key_and_signs_with_the_private_one() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    let pem = server.private_key("key-ES256");
    let key = || PrivateKey::read_for(&found, pem, None).expect("a key");
    let mut metadata = client_metadata("private_key_jwt", ALL);
    let jwk = key().public_jwk().to_value();
    let keys = serde_json::json!({ "keys": [jwk] });
    metadata.jwks = keys.as_object().cloned();
    let registered = made(&driver, &found, metadata).expect("a client");
    let make_credentials = || {
        let mut credentials = Credentials::default();
        credentials.assertion = Some(key().client_assertion(String::new()));
        credentials
    };
    let client =
        Client::registered(found.clone(), &registered, make_credentials()).expect("a client");
    driver
        .run(client.client_credentials(Scope::none()))
        .expect("a token");
    let without = Client::registered(found, &registered, Credentials::default());
    assert_eq!(refused(without), "client_auth.no_usable_method");
}

#[test]
fn a_client_without_redirect_uris_is_registered_without_response_types() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    let mut metadata = client_metadata("client_secret_basic", &["client_credentials"]);
    metadata.redirect_uris.clear();
    let registered = made(&driver, &found, metadata).expect("a client");
    let client = Client::registered(found, &registered, Credentials::default()).expect("a client");
    driver
        .run(client.client_credentials(Scope::none()))
        .expect("a token");
}

#[test]
fn a_registration_is_read_updated_and_deleted() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    let first =
        made(&driver, &found, client_metadata("client_secret_basic", ALL)).expect("a client");
    let read = driver
        .run(read_registration(found.clone(), first.clone()))
        .expect("a registration");
    assert_eq!(read.client_id, first.client_id);
    assert_eq!(read.metadata.client_name.as_deref(), Some("App"));

    let mut metadata = read.metadata.clone();
    metadata.client_name = Some("New".to_owned());
    let update = update_registration(found.clone(), read.clone(), metadata);
    let updated = driver.run(update).expect("an update");
    assert_eq!(updated.metadata.client_name.as_deref(), Some("New"));
    // The server has replaced the token.
    let spent = driver.run(read_registration(found.clone(), read));
    assert_eq!(refused(spent), "denied.invalid_token");
    let client = Client::registered(found.clone(), &updated, Credentials::default());
    let client = client.expect("a client");
    driver
        .run(client.client_credentials(Scope::none()))
        .expect("a token");

    let delete = delete_registration(found.clone(), updated.clone());
    driver.run(delete).expect("that it is deleted");
    let removed = driver.run(read_registration(found, updated));
    assert_eq!(refused(removed), "denied.invalid_token");
    let again = driver.run(client.client_credentials(Scope::none()));
    assert_eq!(refused(again), "denied.invalid_client");
}

#[test]
fn metadata_that_the_server_rejects_is_reported_with_its_error_code() {
    let (server, driver) = (OidcProvider::start(), driver());
    let found = server.discovered(&driver).expect("metadata");
    // A native application cannot register an https URL of `localhost`.
    let mut claimed = client_metadata("none", &["authorization_code"]);
    let https = RedirectUri::parse("https://localhost/callback").expect("a redirect URI");
    claimed.redirect_uris.push(https);
    claimed.application_type = Some(ApplicationType::Native);
    assert_eq!(
        refused(made(&driver, &found, claimed)),
        "denied.invalid_redirect_uri"
    );
    let odd = client_metadata("none", &["authorization_code", "odd"]);
    assert_eq!(
        refused(made(&driver, &found, odd)),
        "denied.invalid_client_metadata"
    );
}

#[test]
fn an_initial_access_token_permits_registration() {
    let server = OidcProvider::start_with(&[("INITIAL_ACCESS_TOKEN", "an-initial-token")]);
    let driver = driver();
    let found = server.discovered(&driver).expect("metadata");
    let metadata = client_metadata("none", &["authorization_code"]);
    let without = refused(made(&driver, &found, metadata.clone()));
    assert!(without.starts_with("denied."), "{without}");
    let request = Registration::new(metadata);
    let request = request.initial_access_token(Secret::from("an-initial-token"));
    assert!(driver.run(register(found, request)).is_ok());
}
