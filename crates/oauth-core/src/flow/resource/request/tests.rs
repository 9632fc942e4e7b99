//! Requests to an API with limits and two token owners, with a simulated clock.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)] // tests may panic

mod metadata;
mod open;

use std::time::Duration;

use crate::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use crate::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;

use super::super::*;
use crate::Tokens;
use crate::error::Advice;
use crate::moment::{Moment, UnixTime};
use crate::token::TokenType;

const API: &str = "https://api.example";
const START: u64 = 1_750_000_000;
const WAIT: OnRateLimit = OnRateLimit::Wait {
    longest: Duration::from_secs(600),
};

fn at(seconds: f64) -> Clock {
    let elapsed = Duration::from_secs_f64(seconds);
    Clock {
        moment: Moment::fixed(UnixTime::from_secs(START + elapsed.as_secs()), [7; 32]),
        elapsed,
    }
}

fn api() -> Api {
    Api::new(Resource::new([API]).unwrap())
}

fn get(api: &Api, path: &str) -> ResourceRequest {
    ResourceRequest::new(api, Method::GET, &format!("{API}{path}"))
}

fn fields(fields: &[(&str, &str)]) -> HeaderMap {
    let read = |&(name, value): &(&str, &str)| {
        let name: http::HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    fields.iter().map(read).collect()
}

/// Advances to the sent request; panics if another step comes first.
fn sent(request: &mut ResourceRequest, at: &Clock) {
    let step = request.resume(at, Event::Begin).unwrap();
    assert!(matches!(step, Step::Token(_)), "{step:?}");
    retry(request, at);
}

fn retry(request: &mut ResourceRequest, at: &Clock) {
    let tokens = Tokens::bearer("t");
    let step = request.resume(at, Event::Token(&tokens)).unwrap();
    assert!(matches!(step, Step::Send { .. }), "{step:?}");
}

fn reply(
    request: &mut ResourceRequest,
    at: &Clock,
    status: u16,
    headers: &HeaderMap,
) -> Result<Step, Error> {
    let status = StatusCode::from_u16(status).unwrap();
    request.resume(at, Event::Reply(status, headers))
}

#[track_caller]
fn pause(step: Result<Step, Error>) -> f64 {
    match step.unwrap() {
        Step::Wait(pause) => pause.as_secs_f64(),
        step => panic!("{step:?}"),
    }
}

#[test]
fn non_bearer_token_is_not_sent_as_bearer() {
    for (token_type, code) in [
        (TokenType::Dpop, "key.missing"),
        (
            TokenType::Other("mac".to_owned()),
            "token.unsupported_token_type",
        ),
    ] {
        let mut request = get(&api(), "/things");
        let _ = request.resume(&at(0.0), Event::Begin).unwrap();
        let mut tokens = Tokens::bearer("t");
        tokens.token_type = token_type;
        let error = request.resume(&at(0.0), Event::Token(&tokens)).unwrap_err();
        assert_eq!(error.code(), code);
    }
}

#[test]
fn first_401_triggers_one_renewal() {
    let mut request = ResourceRequest::new(&api(), Method::POST, API).body(Bytes::from("x"));
    sent(&mut request, &at(0.0));
    let none = HeaderMap::new();
    let step = reply(&mut request, &at(0.0), 401, &none).unwrap();
    assert!(matches!(step, Step::Renew(TokenOwner::Any)), "{step:?}");
    retry(&mut request, &at(0.0));
    let step = reply(&mut request, &at(0.0), 401, &none).unwrap();
    assert!(matches!(step, Step::Done), "{step:?}");
    let again = request.resume(&at(0.0), Event::Begin);
    assert_eq!(again.unwrap_err().code(), "misuse.already_finished");
}

#[test]
fn streamed_body_is_never_sent_twice() {
    let none = HeaderMap::new();
    let mut put = ResourceRequest::new(&api(), Method::PUT, API).body_once();
    sent(&mut put, &at(0.0));
    let step = reply(&mut put, &at(0.0), 401, &none).unwrap();
    assert!(matches!(step, Step::DoneRefused), "{step:?}");

    let mut get = get(&api(), "/a").body_once();
    sent(&mut get, &at(0.0));
    let step = reply(&mut get, &at(0.0), 302, &fields(&[("location", "/b")])).unwrap();
    assert!(matches!(step, Step::Done), "{step:?}");

    let mut put = ResourceRequest::new(&api(), Method::PUT, API)
        .body_once()
        .on_rate_limit(WAIT);
    sent(&mut put, &at(0.0));
    let refused = reply(&mut put, &at(0.0), 429, &fields(&[("retry-after", "1")]));
    assert_eq!(refused.unwrap_err().code(), "resource.rate_limited");
}

#[test]
fn redirects_are_followed_only_within_the_origin() {
    let api = Api::new(Resource::new([API, "https://other.example"]).unwrap());
    for elsewhere in [
        "https://other.example/",
        "https://evil.example/",
        "http://api.example/",
        "https://api.example:8443/",
        "//evil.example/",
        "https://api.example@evil.example/",
        "/\\evil.example",
        "https:evil.example",
        "///evil.example/",
        "%2e%2e/b",
        "",
        "#b",
    ] {
        let mut request = get(&api, "/a");
        sent(&mut request, &at(0.0));
        let location = HeaderMap::from_iter([(LOCATION, elsewhere.parse().unwrap())]);
        let step = reply(&mut request, &at(0.0), 302, &location).unwrap();
        assert!(matches!(step, Step::Done), "{elsewhere}: {step:?}");
    }
    for here in [
        "/b",
        "b",
        "../b",
        "?b=c:d",
        "//api.example/b",
        "/b#c",
        "https://api.example/b",
        "https://API.example:443/b#c",
    ] {
        for status in [301, 302, 303, 307, 308] {
            let mut request = ResourceRequest::new(&api, Method::HEAD, API);
            sent(&mut request, &at(0.0));
            let step = reply(
                &mut request,
                &at(0.0),
                status,
                &fields(&[("location", here)]),
            );
            assert!(matches!(step, Ok(Step::Token(_))), "{here}: {step:?}");
        }
    }
}

#[test]
fn unsafe_request_follows_only_307_and_308_and_redirects_are_limited_to_20() {
    let to = fields(&[("location", "/b")]);
    for (status, is_followed) in [
        (301, false),
        (302, false),
        (303, false),
        (307, true),
        (308, true),
    ] {
        let mut post = ResourceRequest::new(&api(), Method::POST, API).body(Bytes::from("x"));
        sent(&mut post, &at(0.0));
        let step = reply(&mut post, &at(0.0), status, &to).unwrap();
        assert_eq!(matches!(step, Step::Token(_)), is_followed, "{status}");
        assert_eq!(post.bytes().map(Bytes::len), Some(1));
    }
    let mut stream = ResourceRequest::new(&api(), Method::POST, API).body_once();
    sent(&mut stream, &at(0.0));
    let step = reply(&mut stream, &at(0.0), 308, &to);
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");

    let mut host = get(&api(), "/a").without_redirects();
    sent(&mut host, &at(0.0));
    assert!(matches!(
        reply(&mut host, &at(0.0), 302, &to),
        Ok(Step::Done)
    ));

    let mut get = get(&api(), "/a");
    sent(&mut get, &at(0.0));
    for _ in 0..20 {
        assert!(matches!(
            reply(&mut get, &at(0.0), 302, &to),
            Ok(Step::Token(_))
        ));
        retry(&mut get, &at(0.0));
    }
    assert!(matches!(
        reply(&mut get, &at(0.0), 302, &to),
        Ok(Step::Done)
    ));
}

#[test]
fn location_is_ignored_unless_the_status_is_a_redirect() {
    let to = fields(&[("location", "/b")]);
    for status in [200, 201, 202, 300, 304, 305, 306, 309, 404] {
        let mut request = get(&api(), "/a");
        sent(&mut request, &at(0.0));
        let step = reply(&mut request, &at(0.0), status, &to);
        assert!(matches!(step, Ok(Step::Done)), "{status}: {step:?}");
    }
}

#[test]
fn redirect_with_two_locations_is_not_followed() {
    let mut two = fields(&[("location", "/b")]);
    two.append(LOCATION, HeaderValue::from_static("/c"));
    let mut request = get(&api(), "/a");
    sent(&mut request, &at(0.0));
    assert!(matches!(
        reply(&mut request, &at(0.0), 302, &two),
        Ok(Step::Done)
    ));
}

#[test]
fn invalid_url_or_header_fails_before_a_token_is_requested() {
    let code =
        |mut request: ResourceRequest| request.resume(&at(0.0), Event::Begin).unwrap_err().code();
    for (url, expected) in [
        ("https://evil.example/", "resource.origin_not_allowed"),
        ("http://api.example/", "url.insecure"),
        ("/a", "url.syntax"),
    ] {
        let request = ResourceRequest::new(&api(), Method::GET, url);
        assert_eq!(code(request), expected);
    }
    let mut odd = get(&api(), "/a");
    odd.add_header("x-a", "b\r\nc: d");
    assert_eq!(code(odd), "http.header_value");
}

#[test]
fn request_with_its_own_credentials_is_refused() {
    let tokens = Tokens::bearer("t");
    let mut request = get(&api(), "/a").headers(HeaderMap::from_iter([(
        AUTHORIZATION,
        HeaderValue::from_static("Basic x"),
    )]));
    request.resume(&at(0.0), Event::Begin).unwrap();
    let refused = request.resume(&at(0.0), Event::Token(&tokens));
    assert_eq!(refused.unwrap_err().code(), "token.more_than_one_method");

    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let mut request = ResourceRequest::new(&api(), Method::POST, API)
        .headers(HeaderMap::from_iter([(CONTENT_TYPE, form)]))
        .body(Bytes::from("access_token=x"));
    request.resume(&at(0.0), Event::Begin).unwrap();
    let refused = request.resume(&at(0.0), Event::Token(&tokens));
    assert_eq!(refused.unwrap_err().code(), "token.more_than_one_method");
}

mod crowd;
#[cfg(feature = "ended-tokens")]
mod ended;
mod limits;
mod owners;
#[cfg(feature = "sha2")]
mod possession;
