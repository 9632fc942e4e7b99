//! Dynamic registration at the plain server: by hand, and with the library.

mod common;

use bytes::Bytes;
use common::plain::*;
use common::*;
use http::{Request, Response};
use oauth_core::client_auth::Credentials;
use oauth_core::endpoint::registration::Registration;
use oauth_core::issuer::Issuer;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{
    AuthorizationRequest, Client, ClientMetadata, Error, RegisteredClient, Scope, Secret,
    delete_registration, discover, read_registration, register, server::Server,
    update_registration,
};
use oauth_testkit::TwinDriver;
use serde_json::{Value, json};

fn send(
    driver: &mut TwinDriver,
    request: (&str, &str),
    token: &str,
    body: &Value,
) -> Response<Bytes> {
    let (method, path) = request;
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", driver.twin().base()))
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    driver.send(request.body(body.to_string().into()).unwrap())
}

fn registered_as(driver: &mut TwinDriver, body: &Value) -> Value {
    let reply = send(driver, ("POST", "/register"), "", body);
    assert_eq!(reply.status(), 201);
    json(&reply)
}

fn configuration_path(client: &Value) -> String {
    text(client, "registration_client_uri").replace("https://as.test", "")
}

#[test]
fn a_registered_client_gets_a_secret_only_if_its_method_uses_one() {
    let mut driver = driver();
    let body = json!({ "redirect_uris": [REDIRECT] });
    let client = registered_as(&mut driver, &body);
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(client["client_secret_expires_at"], 0);
    assert!(client["client_secret"].is_string());
    let public = json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none" });
    let client = registered_as(&mut driver, &public);
    assert!(client.get("client_secret").is_none());
    assert_eq!(driver.twin().registered_clients().len(), 2);
    assert_eq!(get(&mut driver, "/register", None).status(), 405);
}

#[test]
fn invalid_metadata_is_rejected_with_its_error_code() {
    let mut driver = driver();
    for (body, error) in [
        (json!([]), "invalid_client_metadata"),
        (json!({}), "invalid_redirect_uri"),
        (
            json!({ "redirect_uris": ["http://127.0.0.1/cb"] }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": ["http://app.example/cb"], "application_type": "native" }),
            "invalid_redirect_uri",
        ),
        (
            json!({ "redirect_uris": [REDIRECT], "grant_types": ["odd"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "odd" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [REDIRECT], "client_id": "mine" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "grant_types": ["client_credentials"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "redirect_uris": [REDIRECT], "jwks": {}, "jwks_uri": "x" }),
            "invalid_client_metadata",
        ),
        (
            json!({ "software_statement": "eyJ" }),
            "invalid_software_statement",
        ),
    ] {
        let reply = send(&mut driver, ("POST", "/register"), "", &body);
        refused(&reply, 400, error);
    }
    assert!(driver.twin().registered_clients().is_empty());
}

#[test]
fn registration_can_require_an_initial_access_token() {
    let mut driver = driver();
    driver.twin().set_initial_access_token(Some("init"));
    let body = json!({ "redirect_uris": [REDIRECT] });
    for (token, status) in [("", 401), ("other", 401), ("init", 201)] {
        let reply = send(&mut driver, ("POST", "/register"), token, &body);
        assert_eq!(reply.status(), status);
    }
    driver.twin().set_initial_access_token(None);
    assert_eq!(
        send(&mut driver, ("POST", "/register"), "", &body).status(),
        201
    );
}

#[test]
fn a_registration_access_token_is_bound_to_its_client_and_replaced_on_update() {
    let mut driver = driver();
    let body = json!({ "redirect_uris": [REDIRECT] });
    let one = registered_as(&mut driver, &body);
    let other = registered_as(&mut driver, &body);
    let (first, at) = (
        text(&one, "registration_access_token"),
        configuration_path(&one),
    );
    let foreign = text(&other, "registration_access_token");
    let nothing = json!({});
    refused(
        &send(&mut driver, ("GET", &at), &foreign, &nothing),
        401,
        "invalid_token",
    );
    let read = json(&send(&mut driver, ("GET", &at), &first, &nothing));
    let second = text(&read, "registration_access_token");
    assert_ne!(first, second);
    assert_eq!(read["client_secret"], one["client_secret"]);
    refused(
        &send(&mut driver, ("GET", &at), &first, &nothing),
        401,
        "invalid_token",
    );

    let mut new = json!({ "redirect_uris": [REDIRECT], "client_id": other["client_id"] });
    refused(
        &send(&mut driver, ("PUT", &at), &second, &new),
        400,
        "invalid_request",
    );
    new["client_id"] = one["client_id"].clone();
    new["client_id_issued_at"] = 1.into();
    refused(
        &send(&mut driver, ("PUT", &at), &second, &new),
        400,
        "invalid_request",
    );
    new.as_object_mut().unwrap().remove("client_id_issued_at");
    new["client_secret"] = "mine".into();
    refused(
        &send(&mut driver, ("PUT", &at), &second, &new),
        400,
        "invalid_request",
    );
    new["client_secret"] = one["client_secret"].clone();
    new["token_endpoint_auth_method"] = "none".into();
    let updated = json(&send(&mut driver, ("PUT", &at), &second, &new));
    assert!(updated.get("client_secret").is_none());
    let third = text(&updated, "registration_access_token");
    assert_eq!(
        send(&mut driver, ("PATCH", &at), &third, &nothing).status(),
        405
    );
    assert_eq!(
        send(&mut driver, ("DELETE", &at), &third, &nothing).status(),
        204
    );
    refused(
        &send(&mut driver, ("DELETE", &at), &third, &nothing),
        401,
        "invalid_token",
    );
}

fn server(driver: &mut TwinDriver) -> Server {
    driver
        .run(discover(Issuer::parse("https://as.test").unwrap()))
        .unwrap()
}

fn requested_metadata(method: &str, grants: &[&str]) -> ClientMetadata {
    let mut metadata = ClientMetadata::with_redirect_uris([RedirectUri::parse(REDIRECT).unwrap()]);
    metadata.token_endpoint_auth_method = Some(method.to_owned());
    metadata.grant_types = grants.iter().map(|&grant| grant.to_owned()).collect();
    metadata.client_name = Some("App".to_owned());
    metadata
}

const ALL: &[&str] = &["authorization_code", "refresh_token", "client_credentials"];

fn made(driver: &mut TwinDriver, method: &str) -> (Server, RegisteredClient) {
    let server = server(driver);
    let request = Registration::new(requested_metadata(method, ALL));
    let client = driver.run(register(server.clone(), request)).unwrap();
    (server, client)
}

fn error_code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("", |error| error.code())
}

#[test]
fn a_registered_client_signs_users_in_with_its_registered_method() {
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        let mut driver = driver();
        let (server, client) = made(&mut driver, method);
        assert_eq!(client.metadata.auth_method(), method);
        assert_eq!(client.client_secret.is_some(), method != "none");
        // As in a restarted program.
        let stored = client.to_json();
        let client = RegisteredClient::from_json(stored.expose(), &server).unwrap();
        let client = Client::registered(server, &client, Credentials::default()).unwrap();
        let request = AuthorizationRequest::new(RedirectUri::parse(REDIRECT).unwrap());
        let (url, pending) = client.authorize(&driver.moment(), request).unwrap();
        let callback = driver.browse(url.as_str()).unwrap();
        let login = driver
            .run(client.redeem(pending, &callback).unwrap())
            .unwrap();
        let refreshed = driver.run(client.refresh(login.tokens.refresh_token.as_ref().unwrap()));
        assert!(refreshed.is_ok(), "{method}");
        let client_tokens = driver.run(client.client_credentials(Scope::none()));
        assert_eq!(client_tokens.is_ok(), method != "none");
    }
}

#[test]
fn the_application_type_is_derived_from_the_redirect_uris() {
    let mut driver = driver();
    let server = server(&mut driver);
    // The twin treats a client without a type as a web application, which must not use these.
    for uri in ["http://127.0.0.1/cb", "com.example.app:/cb"] {
        let uri = RedirectUri::parse(uri).unwrap();
        let request = Registration::new(ClientMetadata::with_redirect_uris([uri]));
        let client = driver.run(register(server.clone(), request)).unwrap();
        assert!(client.client_secret.is_some());
    }
    let uris = ["http://127.0.0.1/cb", REDIRECT].map(|uri| RedirectUri::parse(uri).unwrap());
    let request = Registration::new(ClientMetadata::with_redirect_uris(uris));
    let refused = driver.run(register(server, request));
    assert_eq!(error_code(refused), "denied.invalid_redirect_uri");
}

#[test]
fn an_initial_access_token_permits_registration() {
    let mut driver = driver();
    driver.twin().set_initial_access_token(Some("S3CR3T-init"));
    let server = server(&mut driver);
    let request = Registration::new(requested_metadata("none", &[]));
    let open = driver.run(register(server.clone(), request.clone()));
    assert_eq!(error_code(open), "denied.invalid_token");
    let request = request.initial_access_token(Secret::from("S3CR3T-init"));
    assert!(driver.run(register(server, request)).is_ok());
}

#[test]
fn a_registration_is_read_updated_and_deleted_with_rotating_tokens() {
    let mut driver = driver();
    let (server, first) = made(&mut driver, "client_secret_basic");
    let read = driver
        .run(read_registration(server.clone(), first.clone()))
        .unwrap();
    let spent = driver.run(read_registration(server.clone(), first.clone()));
    assert_eq!(error_code(spent), "denied.invalid_token");

    let mut metadata = read.metadata.clone();
    metadata.client_name = Some("New".to_owned());
    metadata.token_endpoint_auth_method = Some("client_secret_post".to_owned());
    let update = update_registration(server.clone(), read, metadata);
    let updated = driver.run(update).unwrap();
    assert_eq!(updated.metadata.client_name.as_deref(), Some("New"));
    let client = Client::registered(server.clone(), &updated, Credentials::default()).unwrap();
    assert_eq!(client.auth().name(), "client_secret_post");
    let tokens = driver
        .run(client.client_credentials(Scope::none()))
        .unwrap();

    driver
        .run(delete_registration(server.clone(), updated.clone()))
        .unwrap();
    let removed = driver.run(read_registration(server, updated));
    assert_eq!(error_code(removed), "denied.invalid_token");
    let again = driver.run(client.client_credentials(Scope::none()));
    assert_eq!(error_code(again), "denied.invalid_client");
    let (now, token) = (driver.now(), tokens.access_token.expose().clone());
    assert!(
        !driver.twin().honours(now, &token),
        "its tokens are gone with it"
    );
}

#[test]
fn a_client_that_the_server_has_forgotten_registers_again() {
    let mut driver = driver();
    let (server, registration) = made(&mut driver, "client_secret_basic");
    driver.twin().forget_client(registration.client_id.as_str());
    let client = Client::registered(server, &registration, Credentials::default()).unwrap();
    let refused = driver.run(client.client_credentials(Scope::none()));
    assert_eq!(error_code(refused), "denied.invalid_client");
    let (server, anew) = made(&mut driver, "client_secret_basic");
    let client = Client::registered(server, &anew, Credentials::default()).unwrap();
    assert!(driver.run(client.client_credentials(Scope::none())).is_ok());
}
