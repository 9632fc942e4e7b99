#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::client_auth::ClientAssertion;
use crate::client_id_metadata_document::ClientIdUrl;
use crate::crypto::SigningKey;
use crate::endpoint::revocation::Revocation;
use crate::exchange::Input;
use crate::flow::authorization::AuthorizationRequest;
use crate::flow::logout::LogoutRequest;
use crate::issuer::Issuer;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::testing::{at, error_code, server};

fn stored_registration(method: &str, more: &str) -> RegisteredClient {
    let text = format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"c","client_secret":"s",
        "client_secret_expires_at":0,"metadata":{{"redirect_uris":["https://app.example/cb"],
        "token_endpoint_auth_method":"{method}"{more}}}}}"#
    );
    RegisteredClient::from_json(&text, &server()).unwrap()
}

fn key() -> Credentials {
    Credentials {
        assertion: Some(ClientAssertion::new(SigningKey::host("k", Alg::Es256))),
        ..Credentials::default()
    }
}

#[test]
fn registered_client_authenticates_by_its_registered_method() {
    let made = |method: &str, credentials: Credentials| {
        let client = Client::registered(server(), &stored_registration(method, ""), credentials)?;
        assert_eq!(client.client_id().as_str(), "c");
        let allowed = RedirectUri::parse("https://app.example/cb")?;
        assert!(client.0.allows_redirect_uri(&allowed));
        assert!(
            !client
                .0
                .allows_redirect_uri(&RedirectUri::parse("https://app.example/other")?)
        );
        Ok::<_, Error>(client.auth().name())
    };
    for method in ["none", "client_secret_basic", "client_secret_post"] {
        assert_eq!(error_code(made(method, Credentials::default())), Ok(method));
        // An available key is not used.
        assert_eq!(error_code(made(method, key())), Ok(method));
    }
    assert_eq!(
        error_code(made("private_key_jwt", key())),
        Ok("private_key_jwt")
    );
    for method in [
        "private_key_jwt",
        "tls_client_auth",
        "client_secret_jwt",
        "odd",
    ] {
        let none = made(method, Credentials::default());
        assert_eq!(
            error_code(none),
            Err("client_auth.no_usable_method"),
            "{method}"
        );
    }
}

#[test]
fn registered_client_requires_its_issuer_and_its_id_token_alg() {
    let other = Server::new(Issuer::parse("https://other.example").unwrap());
    let foreign = Client::registered(
        other,
        &stored_registration("none", ""),
        Credentials::default(),
    );
    assert_eq!(error_code(foreign.map(|_| ())), Err("stored.issuer"));
    let named = |alg: &str| {
        let more = format!(r#","id_token_signed_response_alg":"{alg}""#);
        let client = stored_registration("none", &more);
        Client::registered(server(), &client, Credentials::default())
    };
    let algs = named("ES256").map(|client| client.0.id_token_algs.clone());
    assert_eq!(error_code(algs), Ok(Some(vec![Alg::Es256])));
    assert_eq!(error_code(named("none").map(|_| ())), Err("key.algorithm"));
}

#[test]
fn metadata_document_client_requires_server_support() {
    let url = ClientIdUrl::parse("https://app.example/c.json").unwrap();
    let uri = RedirectUri::parse("https://app.example/cb").unwrap();
    let mut metadata = ClientMetadata::with_redirect_uris([uri]);
    let public = ClientIdMetadataDocument::new(url.clone(), metadata.clone()).unwrap();
    metadata.token_endpoint_auth_method = Some("private_key_jwt".to_owned());
    metadata.jwks_uri = Some("https://app.example/keys".to_owned());
    let with_key = ClientIdMetadataDocument::new(url, metadata).unwrap();

    let refused = Client::with_metadata_document(server(), &public, Credentials::default());
    assert_eq!(
        error_code(refused.map(|_| ())),
        Err("client_id_metadata.not_supported")
    );
    let mut server_metadata = server().metadata().clone();
    server_metadata.insert(
        client_id_metadata_document::SUPPORT_MEMBER.to_owned(),
        true.into(),
    );
    let server = server().with_metadata(server_metadata);
    let made = |document, credentials| {
        let client = Client::with_metadata_document(server.clone(), document, credentials)?;
        assert_eq!(client.client_id().as_str(), "https://app.example/c.json");
        Ok::<_, Error>(client.auth().name())
    };
    assert_eq!(error_code(made(&public, key())), Ok("none"));
    assert_eq!(error_code(made(&with_key, key())), Ok("private_key_jwt"));
    // "authenticate on every call if the document declares private_key_jwt"
    let without = made(&with_key, Credentials::default());
    assert_eq!(error_code(without), Err("client_auth.no_usable_method"));
}

#[test]
fn unregistered_client_refuses_every_operation_but_registration() {
    let client = Client::unregistered(server());
    let refused = |result: Result<(), Error>| {
        assert_eq!(error_code(result), Err("client_auth.client_id"));
    };
    let begun = client
        .client_credentials(Scope::none())
        .resume(&at(), Input::Begin);
    refused(begun.map(|_| ()));
    let revoked = client
        .revoke(Revocation::new("t"))
        .resume(&at(), Input::Begin);
    refused(revoked.map(|_| ()));
    let uri = RedirectUri::parse("https://app.example/cb").unwrap();
    let request = AuthorizationRequest::new(uri);
    refused(client.authorize(&at(), request).map(|_| ()));
    refused(client.end_session_url(&LogoutRequest::new()).map(|_| ()));
}
