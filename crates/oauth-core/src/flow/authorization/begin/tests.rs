#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use crate::http::Request;
use bytes::Bytes;
use serde_json::json;

use super::super::Push;
use super::*;
use crate::client::Client;
use crate::client_auth::ClientAuth;
use crate::client_config::ClientId;
use crate::error::Advice;
use crate::form;
use crate::moment::UnixTime;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::server::Server;
use crate::testing::{at, client, error_code, json as reply, server};

const CB: &str = "https://app.example/cb";
const URI: &str = "urn:ietf:params:oauth:request_uri:6esc";

fn authorization_request() -> AuthorizationRequest {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    request.scope(Scope::parse("openid read").unwrap())
}

fn pushing() -> Server {
    let metadata = json!({"require_pushed_authorization_requests": true});
    let server = server().with_metadata(metadata.as_object().cloned().unwrap());
    let kind = EndpointKind::PushedAuthorizationRequest;
    server
        .with_endpoint(kind, "https://as.example/par")
        .unwrap()
}

fn begin(auth: ClientAuth) -> Client {
    Client::new(pushing(), ClientId::new("id"), auth).unwrap()
}

fn sent(step: Step<Authorization>) -> Request<Bytes> {
    match step {
        Step::Send(request) => request,
        step => panic!("{step:?}"),
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = form::parse(text).unwrap().into_iter();
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

#[test]
fn begin_authorization_finishes_at_once_without_par() {
    let (url, pending) = client().authorize(&at(), authorization_request()).unwrap();
    let mut exchange = client().begin_authorization(authorization_request());
    let Step::Done(made) = exchange.resume(&at(), Input::Begin).unwrap() else {
        panic!("nothing to send")
    };
    assert_eq!((made.url, made.expires_in), (url, None));
    assert_eq!(made.pending.to_json().expose(), pending.to_json().expose());
    assert_eq!(
        error_code(exchange.resume(&at(), Input::Begin)).map(drop),
        Err("misuse.already_finished")
    );
}

#[test]
fn pushed_request_carries_all_parameters_and_the_url_only_two() {
    for auth in [
        ClientAuth::none(),
        ClientAuth::basic("hunter22"),
        ClientAuth::post("hunter22"),
    ] {
        let client = begin(auth.clone());
        let mut exchange = client.begin_authorization(authorization_request());
        let request = sent(exchange.resume(&at(), Input::Begin).unwrap());
        assert_eq!(request.uri(), "https://as.example/par");
        let pushed = pairs(std::str::from_utf8(request.body()).unwrap());
        // The same parameters as in the URL for a server that does not require PAR.
        let url = crate::testing::client()
            .authorize(&at(), authorization_request())
            .unwrap()
            .0;
        let mut expected = pairs(url.query().unwrap());
        expected.extend(
            auth.secret()
                .filter(|_| auth.name() == "client_secret_post")
                .map(|secret| ("client_secret".to_owned(), secret.to_owned())),
        );
        let sorted = |mut pairs: Vec<(String, String)>| {
            pairs.sort();
            pairs
        };
        assert_eq!(sorted(pushed), sorted(expected), "{}", auth.name());
        let answer = format!(r#"{{"request_uri":"{URI}","expires_in":90}}"#);
        let step = exchange
            .resume(&at(), Input::Reply(reply(201, &answer)))
            .unwrap();
        let Step::Done(made) = step else {
            panic!("{step:?}")
        };
        let expected = [("client_id", "id"), ("request_uri", URI)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(made.url.query().unwrap()), expected);
        assert_eq!(made.expires_in, Some(90));
        // The callback is checked as in any other flow.
        let callback = format!("{CB}?code=c&state={}", made.pending.state().expose());
        assert!(client.redeem(made.pending, &callback).is_ok());
    }
}

#[test]
fn invalid_push_response_is_refused() {
    for (status, body, expected) in [
        (201, r#"{"expires_in":90}"#, "reply.shape"),
        (201, r#"{"request_uri":"","expires_in":90}"#, "reply.shape"),
        (201, r#"{"request_uri":"urn:a"}"#, "reply.shape"),
        (
            201,
            r#"{"request_uri":"urn:a","expires_in":0}"#,
            "reply.shape",
        ),
        (
            400,
            r#"{"error":"invalid_request"}"#,
            "denied.invalid_request",
        ),
        // RFC 9396 section 5: the server rejects these `authorization_details`.
        (
            400,
            r#"{"error":"invalid_authorization_details"}"#,
            "denied.invalid_authorization_details",
        ),
        (302, "", "reply.redirect"),
    ] {
        let mut exchange = begin(ClientAuth::none()).begin_authorization(authorization_request());
        let _ = sent(exchange.resume(&at(), Input::Begin).unwrap());
        let step = exchange.resume(&at(), Input::Reply(reply(status, body)));
        assert_eq!(error_code(step).map(drop), Err(expected), "{body}");
    }
}

#[test]
fn required_push_is_never_replaced_by_url_parameters() {
    let always = || AuthorizationRequest {
        push: Push::Always,
        ..authorization_request()
    };
    let refused = client().authorize(&at(), always());
    assert_eq!(
        error_code(refused).map(drop),
        Err("authorization.push_required")
    );
    let mut exchange = client().begin_authorization(always());
    let step = exchange.resume(&at(), Input::Begin);
    assert_eq!(error_code(step).map(drop), Err("endpoint.missing"));
    let refused = begin(ClientAuth::none()).authorize(&at(), authorization_request());
    assert_eq!(
        error_code(refused).map(drop),
        Err("authorization.push_required")
    );
}

/// RFC 9126 section 2.3 lists 405, 413 and 429 besides the errors of a token endpoint. The request is not repeated,
/// since it would fail again.
#[test]
fn push_refused_by_status_is_not_repeated() {
    for status in [405, 413, 429] {
        for body in ["", "<html>413</html>", r#"{"message":"too large"}"#] {
            let mut exchange =
                begin(ClientAuth::none()).begin_authorization(authorization_request());
            let _ = sent(exchange.resume(&at(), Input::Begin).unwrap());
            let step = exchange.resume(&at(), Input::Reply(reply(status, body)));
            let error = step.map(drop).unwrap_err();
            let expected = match status {
                429 => "denied.busy",
                _ => "denied.http_status",
            };
            assert_eq!(error.code(), expected, "{status} {body}");
            assert_eq!(
                error
                    .server_error()
                    .and_then(|server_error| server_error.status()),
                Some(status)
            );
            assert_eq!(error.endpoint(), Some("pushed_authorization_request"));
            let is_for_later = matches!(error.advice(), Advice::Retry { .. });
            assert_eq!(is_for_later, status == 429, "{:?}", error.advice());
            let again = exchange.resume(&at(), Input::Begin).map(drop);
            assert_eq!(error_code(again), Err("misuse.already_finished"));
        }
    }
    // An OAuth error in the body takes precedence over the status.
    let mut exchange = begin(ClientAuth::none()).begin_authorization(authorization_request());
    let _ = sent(exchange.resume(&at(), Input::Begin).unwrap());
    let error_reply = reply(413, r#"{"error":"invalid_request"}"#);
    let step = exchange.resume(&at(), Input::Reply(error_reply)).map(drop);
    assert_eq!(error_code(step), Err("denied.invalid_request"));
}

/// An expired `request_uri` is not reused, nor is anything else of its request: "a client SHOULD only
/// use a request_uri value once" (RFC 9126 section 4).
#[test]
fn restarted_authorization_is_pushed_again_with_fresh_values() {
    let client = begin(ClientAuth::none());
    let begun = |seed: u8, uri: &str, now: u64| {
        let at = Moment::fixed(UnixTime::from_secs(now), [seed; 32]);
        let mut exchange = client.begin_authorization(authorization_request());
        let request = sent(exchange.resume(&at, Input::Begin).unwrap());
        let answer = format!(r#"{{"request_uri":"{uri}","expires_in":60}}"#);
        let step = exchange.resume(&at, Input::Reply(reply(201, &answer)));
        let Ok(Step::Done(begun)) = step else {
            panic!("{step:?}")
        };
        let pushed = pairs(std::str::from_utf8(request.body()).unwrap());
        (pushed, begun)
    };
    let (first, expired) = begun(1, "urn:example:1", 1_750_000_000);
    let (second, fresh) = begun(2, "urn:example:2", 1_750_000_060);
    for name in ["state", "nonce", "code_challenge"] {
        let value_of_parameter = |pairs: &[(String, String)]| {
            let mut pairs = pairs.iter();
            pairs
                .find(|(parameter, _)| parameter == name)
                .unwrap()
                .1
                .clone()
        };
        assert_ne!(
            value_of_parameter(&first),
            value_of_parameter(&second),
            "{name}"
        );
    }
    assert!(fresh.url.as_str().contains("urn%3Aexample%3A2"));
    // The callback of the second flow is not recognized by the first, and completes the second.
    let state = fresh.pending.state().expose();
    let callback = format!("{CB}?code=c&state={state}");
    assert!(!expired.pending.recognizes(&callback));
    assert!(fresh.pending.recognizes(&callback));
    assert!(client.redeem(fresh.pending, &callback).is_ok());
}
