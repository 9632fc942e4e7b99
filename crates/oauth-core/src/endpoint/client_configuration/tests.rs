#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::client::{delete_registration, read_registration, update_registration};
use crate::exchange::{Exchange, Input, Step};
use crate::issuer::Issuer;
use crate::quirk::{Rules, Strictness};
use crate::server::Server;
use crate::testing::{at, error_code, json, reply, run_with_reply, server};

const STORED: &str = r#"{"version":1,"issuer":"https://as.example","client_id":"c",
    "registration_access_token":"R3GT0K3N","registration_client_uri":"https://as.example/r/c",
    "metadata":{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}}"#;

fn registered_client() -> RegisteredClient {
    RegisteredClient::from_json(STORED, &server()).unwrap()
}

fn sent(mut exchange: impl Exchange) -> (String, String) {
    let Step::Send(request) = exchange.resume(&at(), Input::Begin).unwrap() else {
        panic!("a request")
    };
    assert_eq!(request.headers()["authorization"], "Bearer R3GT0K3N");
    assert_eq!(
        request.headers().contains_key("content-type"),
        !request.body().is_empty()
    );
    let line = format!("{} {}", request.method(), request.uri());
    let body = String::from_utf8(request.body().to_vec()).unwrap();
    (line, body)
}

#[test]
fn requests_use_the_registration_client_uri() {
    let line = |method: &str| format!("{method} https://as.example/r/c");
    let read = sent(read_registration(server(), registered_client()));
    assert_eq!(read, (line("GET"), String::new()));
    let deleted = sent(delete_registration(server(), registered_client()));
    assert_eq!(deleted, (line("DELETE"), String::new()));
    let mut metadata = registered_client().metadata;
    metadata.client_name = Some("New".to_owned());
    let (put, body) = sent(update_registration(server(), registered_client(), metadata));
    assert_eq!(put, line("PUT"));
    for part in [
        r#""client_id":"c""#,
        r#""client_name":"New""#,
        r#""redirect_uris":["https://app.example/cb"]"#,
        r#""token_endpoint_auth_method":"none""#,
    ] {
        assert!(body.contains(part), "{part}");
    }
    for never in ["registration_", "_at\"", "client_secret"] {
        assert!(!body.contains(never), "{never}");
    }
}

#[test]
fn updated_registration_replaces_the_stored_client() {
    let body = r#"{"client_id":"c","registration_access_token":"t2","token_endpoint_auth_method":"none","client_name":"New"}"#;
    let read = run_with_reply(
        read_registration(server(), registered_client()),
        json(200, body),
    )
    .unwrap();
    assert!(read.registration_access_token.unwrap().matches("t2"));
    let metadata = registered_client().metadata;
    let update = update_registration(server(), registered_client(), metadata);
    let updated = run_with_reply(update, json(200, body)).unwrap();
    assert_eq!(updated.metadata.client_name.as_deref(), Some("New"));

    let evil = body.replace(
        r#""client_name":"New""#,
        r#""redirect_uris":["https://evil.example/"]"#,
    );
    let update = update_registration(server(), registered_client(), registered_client().metadata);
    assert_eq!(
        error_code(run_with_reply(update, json(200, &evil)).map(|_| ())),
        Err("registration.redirect_uri")
    );
}

#[test]
fn deletion_succeeds_on_204_and_by_lenient_rules_on_200() {
    let deleted = |answer| {
        error_code(run_with_reply(
            delete_registration(server(), registered_client()),
            answer,
        ))
    };
    assert_eq!(deleted(reply(204, &[], "")), Ok(()));
    assert_eq!(deleted(json(200, "{}")), Ok(()));
    assert_eq!(
        deleted(json(401, r#"{"error":"invalid_token"}"#)),
        Err("denied.invalid_token")
    );
    assert_eq!(deleted(reply(405, &[], "")), Err("denied.http_status"));
    let strict = server().with_rules(Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    });
    let strict = run_with_reply(
        delete_registration(strict, registered_client()),
        json(200, "{}"),
    );
    assert_eq!(error_code(strict), Err("denied.http_status"));
}

#[test]
fn unmanaged_or_foreign_registration_sends_no_request() {
    let begun = |server, client| {
        let step = read_registration(server, client).resume(&at(), Input::Begin);
        error_code(step.map(|_| ()))
    };
    let mut unmanaged = registered_client();
    unmanaged.registration_access_token = None;
    assert_eq!(begun(server(), unmanaged), Err("registration.not_managed"));
    let mut nowhere = registered_client();
    nowhere.registration_client_uri = None;
    assert_eq!(begun(server(), nowhere), Err("registration.not_managed"));
    let other = Server::new(Issuer::parse("https://other.example").unwrap());
    assert_eq!(begun(other, registered_client()), Err("stored.issuer"));
    // A stored record may have been altered: a token is only sent over TLS, regardless of the stored URL.
    let plain = STORED.replace("https://as.example/r/c", "http://as.example/r/c");
    assert_eq!(
        error_code(RegisteredClient::from_json(&plain, &server()).map(|_| ())),
        Err("stored.malformed")
    );
}
