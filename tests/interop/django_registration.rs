//! `django-oauth-toolkit`: dynamic client registration (RFC 7591), and its management (RFC 7592).

use oauth_core::client_auth::Credentials;
use oauth_core::endpoint::registration::Registration;
use oauth_core::error::Error;
use oauth_core::flow::discovery::PreferredDocument;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::registered_client::Warning;
use oauth_core::{
    Client, ClientMetadata, delete_registration, read_registration, register, update_registration,
};

use crate::browser::CALLBACK;
use crate::django::shared;
use crate::oidc_provider::driver;

fn client_metadata(method: &str) -> ClientMetadata {
    let callback = RedirectUri::parse(CALLBACK).expect("a URI");
    let mut metadata = ClientMetadata::with_redirect_uris([callback]);
    metadata.client_name = Some("App".to_owned());
    metadata.token_endpoint_auth_method = Some(method.to_owned());
    metadata
}

fn code<T>(result: Result<T, Error>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

#[test]
fn a_registered_client_signs_users_in() -> Result<(), Error> {
    let (server, driver) = (shared(), driver());
    let found = server.discovered(&driver, PreferredDocument::default(), &[])?;
    let public = Registration::new(client_metadata("none"));
    let registered = driver.run(register(found.clone(), public))?;
    let client = Client::registered(found.clone(), &registered, Credentials::default())?;
    let login = server.person().sign_in(&driver, &client, "read", &[])?;
    let refresh = login.tokens.refresh_token.expect("a refresh token");
    driver.run(client.refresh(&refresh))?;
    // It omits the expiration time of a secret, which is required (RFC 7591 section 3.2.1).
    let secret = Registration::new(client_metadata("client_secret_basic"));
    let registered = driver.run(register(found.clone(), secret))?;
    assert_eq!(registered.warnings, [Warning::SecretExpiryMissing]);
    let client = Client::registered(found, &registered, Credentials::default())?;
    let login = server.person().sign_in(&driver, &client, "read", &[])?;
    assert!(login.tokens.refresh_token.is_some());
    Ok(())
}

#[test]
fn a_registration_is_read_updated_and_deleted() -> Result<(), Error> {
    let (server, driver) = (shared(), driver());
    let found = server.discovered(&driver, PreferredDocument::default(), &[])?;
    let first = driver.run(register(
        found.clone(),
        Registration::new(client_metadata("none")),
    ))?;
    let read = driver.run(read_registration(found.clone(), first.clone()))?;
    assert_eq!(read.client_id, first.client_id);
    assert_eq!(read.metadata.client_name.as_deref(), Some("App"));

    let mut metadata = client_metadata("none");
    metadata.client_name = Some("New".to_owned());
    let updated = driver.run(update_registration(found.clone(), read.clone(), metadata))?;
    assert_eq!(updated.metadata.client_name.as_deref(), Some("New"));
    // The server has replaced the token.
    let spent = driver.run(read_registration(found.clone(), read));
    assert_eq!(code(spent), Some("denied.invalid_token"));

    driver.run(delete_registration(found.clone(), updated.clone()))?;
    let removed = driver.run(read_registration(found.clone(), updated));
    assert_eq!(code(removed), Some("denied.invalid_token"));
    // It supports only some methods, and reports others with the registered error code.
    let mut odd = client_metadata("none");
    odd.grant_types = vec!["urn:ietf:params:oauth:grant-type:token-exchange".to_owned()];
    let refused = driver.run(register(found, Registration::new(odd)));
    assert_eq!(code(refused), Some("denied.invalid_client_metadata"));
    Ok(())
}
