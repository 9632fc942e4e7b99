#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::client::register;
use crate::exchange::{Exchange as _, Input, Step};
use crate::redirect_uri::RedirectUri;
use crate::server::Server;
use crate::testing::{at, error_code, json, reply, run_with_reply, server};

fn registrar() -> Server {
    server()
        .with_endpoint(EndpointKind::Registration, "https://as.example/register")
        .unwrap()
}

fn request() -> Registration {
    let uri = RedirectUri::parse("http://127.0.0.1/cb").unwrap();
    Registration::new(ClientMetadata::with_redirect_uris([uri]))
}

#[test]
fn metadata_is_posted_as_json_with_the_optional_initial_access_token() {
    for (token, header) in [(None, None), (Some("init-1"), Some("Bearer init-1"))] {
        let request = request().initial_access_token(token.map(Secret::from));
        let mut exchange = register(registrar(), request);
        let Step::Send(sent) = exchange.resume(&at(), Input::Begin).unwrap() else {
            panic!("a request")
        };
        assert_eq!(sent.method(), "POST");
        assert_eq!(sent.uri(), "https://as.example/register");
        assert_eq!(sent.headers()["content-type"], "application/json");
        let authorization = sent.headers().get("authorization");
        assert_eq!(authorization.and_then(|value| value.to_str().ok()), header);
        assert_eq!(
            sent.body(),
            r#"{"redirect_uris":["http://127.0.0.1/cb"],"application_type":"native"}"#
        );
    }
}

#[test]
fn inconsistent_metadata_is_refused_before_sending() {
    let mut wrong = request();
    wrong.metadata.grant_types = vec!["implicit".to_owned()];
    let mut exchange = register(registrar(), wrong);
    let error = exchange.resume(&at(), Input::Begin).unwrap_err();
    assert_eq!(error.code(), "client_metadata.inconsistent");
    assert_eq!(error.endpoint(), Some("registration"));
    let nowhere = register(server(), request()).resume(&at(), Input::Begin);
    assert_eq!(error_code(nowhere.map(|_| ())), Err("endpoint.missing"));
}

#[test]
fn registration_error_codes_are_mapped_and_tokens_are_redacted() {
    let refused = |status, error: &str| {
        let request = request().initial_access_token(Secret::from("S3CR3T-init"));
        let body = format!(r#"{{"error":"{error}","error_description":"of S3CR3T-init"}}"#);
        run_with_reply(register(registrar(), request), json(status, &body)).unwrap_err()
    };
    for (error, code) in [
        ("invalid_redirect_uri", "denied.invalid_redirect_uri"),
        ("invalid_client_metadata", "denied.invalid_client_metadata"),
        (
            "invalid_software_statement",
            "denied.invalid_software_statement",
        ),
        (
            "unapproved_software_statement",
            "denied.unapproved_software_statement",
        ),
    ] {
        let refused = refused(400, error);
        assert_eq!(refused.code(), code);
        assert!(!format!("{refused} {refused:?}").contains("S3CR3T"));
    }
    assert_eq!(refused(401, "invalid_token").code(), "denied.invalid_token");
}

#[test]
fn malformed_registration_response_is_refused() {
    let answer =
        |body| error_code(run_with_reply(register(registrar(), request()), body).map(|_| ()));
    let shape = Err("registration.malformed");
    assert_eq!(answer(json(201, "[]")), shape);
    assert_eq!(answer(json(201, "")), shape);
    assert_eq!(answer(json(201, r#"{"client_id":""}"#)), shape);
    assert_eq!(answer(json(201, r#"{"client_id":7}"#)), shape);
    assert_eq!(answer(json(404, "")), Err("denied.http_status"));
    assert_eq!(
        answer(reply(302, &[("location", "https://evil.example/")], "")),
        Err("reply.redirect")
    );
}
