//! An API that requires no authorization, and one that begins to require it.

use super::*;
use crate::error::{Error, Misuse};

fn no_token_needed() -> Event<'static> {
    Event::NoToken(Misuse::ConnectOpen.into())
}

fn begin(request: ResourceRequest) -> ResourceRequest {
    let mut request = request;
    let step = request.resume(&at(0.0), Event::Begin);
    assert!(matches!(step, Ok(Step::Token(_))), "{step:?}");
    request
}

fn new() -> ResourceRequest {
    get(&api(), "/things")
}

#[track_caller]
fn assert_sent_without_token(step: &Result<Step, Error>) {
    let Ok(Step::Send {
        authorization,
        dpop,
        ..
    }) = step
    else {
        panic!("{step:?}");
    };
    assert!(authorization.is_none() && dpop.is_none());
}

#[test]
fn request_is_sent_without_a_token_where_the_api_needs_none() {
    let mut request = begin(new());
    assert_sent_without_token(&request.resume(&at(0.0), no_token_needed()));
    let reply = request.resume(&at(1.0), Event::Reply(StatusCode::OK, &HeaderMap::new()));
    assert!(matches!(reply, Ok(Step::Done)), "{reply:?}");
    // No token lacks a scope.
    let mut request = begin(new());
    assert_sent_without_token(&request.resume(&at(0.0), no_token_needed()));
    let mut more = HeaderMap::new();
    let challenge = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    more.insert("www-authenticate", challenge.parse().unwrap());
    assert!(
        request
            .required_step_up(StatusCode::FORBIDDEN, &more)
            .is_none()
    );
}

#[test]
fn other_token_failures_end_the_request() {
    let mut request = begin(new());
    let refused = request.resume(&at(0.0), Event::NoToken(Misuse::NoRefreshToken.into()));
    assert_eq!(
        refused.map(drop).map_err(|error| error.code()),
        Err("grant.no_refresh_token")
    );
}

#[test]
fn unprotected_api_that_answers_401_gets_a_token() {
    let mut request = begin(new());
    assert_sent_without_token(&request.resume(&at(0.0), no_token_needed()));
    let refused = Event::Reply(StatusCode::UNAUTHORIZED, &HeaderMap::new());
    let step = request.resume(&at(1.0), refused);
    assert!(matches!(step, Ok(Step::Renew(_))), "{step:?}");
    // If the API no longer requires a token, its reply is returned.
    assert_sent_without_token(&request.resume(&at(1.0), no_token_needed()));
    let refused = Event::Reply(StatusCode::UNAUTHORIZED, &HeaderMap::new());
    let step = request.resume(&at(2.0), refused);
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");

    let mut stream = begin(new().body_once());
    assert_sent_without_token(&stream.resume(&at(0.0), no_token_needed()));
    let refused = Event::Reply(StatusCode::UNAUTHORIZED, &HeaderMap::new());
    let step = stream.resume(&at(1.0), refused);
    assert!(matches!(step, Ok(Step::DoneRefused)), "{step:?}");
}
