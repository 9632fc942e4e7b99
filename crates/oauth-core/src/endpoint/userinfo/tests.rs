#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails says so

use super::*;
use crate::client::Client;
use crate::exchange::{Exchange as _, Input, Step};
use crate::testing::{at, code, of, reply, server};

const PLACE: &str = "https://as.example/userinfo";

fn client() -> Client {
    of(server()
        .with_endpoint(EndpointKind::Userinfo, PLACE)
        .unwrap())
}

/// What comes of a response to a question about `ann`.
fn told(status: u16, media: &str, body: &str) -> Result<Claims, Error> {
    let mut call = client().call(UserInfo::new(Tokens::bearer("t0ken"), "ann"));
    let Step::Send(request) = call.resume(&at(), Input::Begin)? else {
        panic!("a request");
    };
    assert_eq!(
        (
            request.method().as_str(),
            request.uri().to_string().as_str()
        ),
        ("GET", PLACE)
    );
    assert_eq!(request.headers()["authorization"], "Bearer t0ken");
    assert!(request.body().is_empty() && !request.headers().contains_key("content-type"));
    let reply = reply(status, &[("content-type", media)], body);
    match call.resume(&at(), Input::Reply(reply))? {
        Step::Done(claims) => Ok(claims),
        step => panic!("{step:?}"),
    }
}

#[test]
fn what_is_told_is_about_the_user_who_signed_in() {
    let claims = told(
        200,
        "application/json; charset=utf-8",
        r#"{"sub":"ann","name":"Ann"}"#,
    )
    .unwrap();
    assert_eq!(claims.text("name").unwrap(), Some("Ann"));
    // Not a word of it reaches a log.
    assert!(!format!("{claims:?}").contains("Ann"));
}

#[test]
fn what_is_about_somebody_else_or_nobody_is_refused() {
    let json = "application/json";
    for (status, media, body, wanted) in [
        (200, json, r#"{"sub":"bob"}"#, "userinfo.subject"),
        (200, json, r#"{"sub":"ANN"}"#, "userinfo.subject"),
        (200, json, r#"{"name":"Ann"}"#, "userinfo.malformed"),
        (200, json, r#"{"sub":1}"#, "userinfo.malformed"),
        (200, json, r#"{"sub":null}"#, "userinfo.malformed"),
        (
            200,
            json,
            r#"{"sub":"bob","sub":"ann"}"#,
            "reply.duplicate_member",
        ),
        (200, "text/html", "<html>", "reply.content_type"),
        (200, "application/jwt", "e30.e30.e30", "reply.content_type"),
        (
            401,
            json,
            r#"{"error":"invalid_token"}"#,
            "denied.invalid_token",
        ),
        (403, json, "{}", "denied.http_status"),
    ] {
        assert_eq!(
            code(told(status, media, body).map(drop)),
            Err(wanted),
            "{body}"
        );
    }
}

#[test]
fn tokens_of_another_server_are_not_sent() {
    let foreign = r#"{"version":1,"issuer":"https://other.example","client_id":"id","access_token":"t",
        "received_at":1,"expires_in":null,"scope":"","refresh_token":null,"refresh_scope":null,"id_token":null}"#;
    let tokens = Tokens::from_json(foreign).unwrap();
    let mut call = client().call(UserInfo::new(tokens, "ann"));
    let refused = call.resume(&at(), Input::Begin).map(drop);
    assert_eq!(code(refused), Err("stored.issuer"));
}
