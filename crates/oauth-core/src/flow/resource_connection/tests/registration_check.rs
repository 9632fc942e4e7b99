//! Whether the server still knows a client that was registered earlier.

use super::*;
use crate::error::Cause;
use crate::testing::run_with_reply;

/// A connection that has registered its client, with these further members in the server's answer.
fn connection_with_registration(members: &str) -> Connection {
    let created = format!(
        r#"{{"client_id":"c","token_endpoint_auth_method":"none"{members},
        "redirect_uris":["http://127.0.0.1:7/callback"]}}"#
    );
    let stored = format!(
        r#"{{"version":1,"issuer":"https://one.example","client_id":"c"{members},
        "metadata":{created}}}"#
    );
    let found = connect_to(connect_request(), DCR).outcome.unwrap();
    let client = RegisteredClient::from_json(&stored, &found.server).unwrap();
    Connection {
        registration: Some(client),
        ..found
    }
}

const MANAGED: &str = r#","registration_access_token":"t1",
    "registration_client_uri":"https://one.example/register/c""#;

fn check(status: u16, body: &str) -> RegistrationCheck {
    let check = connection_with_registration(MANAGED)
        .check_registration()
        .unwrap();
    run_with_reply(check, json(status, body)).unwrap()
}

#[test]
fn registration_is_checked_only_if_it_can_be_read() {
    assert!(
        connection_with_registration("")
            .check_registration()
            .is_none()
    );
    let token_only = r#","registration_access_token":"t1""#;
    assert!(
        connection_with_registration(token_only)
            .check_registration()
            .is_none()
    );
    let unregistered = connect_to(connect_request(), DCR).outcome.unwrap();
    assert!(unregistered.check_registration().is_none());
    let mut check = connection_with_registration(MANAGED)
        .check_registration()
        .unwrap();
    let Step::Send(request) = check.resume(&at(), Input::Begin).unwrap() else {
        panic!("a request")
    };
    let line = format!("{} {}", request.method(), request.uri());
    assert_eq!(line, "GET https://one.example/register/c");
    assert_eq!(request.headers()["authorization"], "Bearer t1");
}

#[test]
fn client_is_reported_as_forgotten_only_by_an_explicit_refusal() {
    let invalid = r#"{"error":"invalid_token"}"#;
    for (status, body) in [(401, invalid), (401, "{}"), (404, "{}"), (400, invalid)] {
        let outcome = check(status, body);
        assert!(
            matches!(&outcome, RegistrationCheck::Forgotten(_)),
            "{status} {body}: {outcome:?}"
        );
    }
    // "If the client does not have permission to read its record, the server MUST return an HTTP 403 Forbidden."
    for (status, body) in [
        (403, r#"{"error":"access_denied"}"#),
        (400, "{}"),
        (405, "{}"),
        (429, "{}"),
        (503, "{}"),
        (200, "[]"),
        (200, r#"{"client_id":"of-another"}"#),
    ] {
        let outcome = check(status, body);
        assert!(
            matches!(&outcome, RegistrationCheck::Unanswered),
            "{status} {body}: {outcome:?}"
        );
    }
    let mut lost = connection_with_registration(MANAGED)
        .check_registration()
        .unwrap();
    let _ = lost.resume(&at(), Input::Begin).unwrap();
    let outcome = lost.resume(&at(), Input::Lost(Cause::unknown("reset")));
    assert!(matches!(
        outcome,
        Ok(Step::Done(RegistrationCheck::Unanswered))
    ));
}

#[test]
fn read_registration_updates_tokens_and_keeps_omitted_members() {
    let read = r#"{"client_id":"c","registration_access_token":"t2",
        "token_endpoint_auth_method":"none"}"#;
    let RegistrationCheck::Known(client) = check(200, read) else {
        panic!("it is known")
    };
    let token = client.registration_access_token.as_ref().unwrap();
    assert_eq!(token.expose(), "t2");
    let uri = client.registration_client_uri.as_ref().unwrap();
    assert_eq!(uri.as_str(), "https://one.example/register/c");
    assert_eq!(client.metadata.redirect_uris.len(), 1);
}
