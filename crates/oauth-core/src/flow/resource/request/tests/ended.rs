//! APIs that report an invalid token in their own way.

use super::*;

fn api_with_rules() -> Api {
    let rules = r#"[{"status":404},{"status":200,"body":{"error.code":[190]}},{"status":403,"body":{"code":["EXPIRED"]}}]"#;
    api()
        .with_expired_token_replies(ExpiredTokenReply::from_json(rules).unwrap())
        .unwrap()
}

fn json() -> HeaderMap {
    fields(&[("content-type", "application/json")])
}

const ENDED: &[u8] = br#"{"error":{"code":190}}"#;

/// The step after this body was inspected.
#[track_caller]
fn inspect_body(request: &mut ResourceRequest, status: u16, body: &[u8]) -> Step {
    let step = reply(request, &at(0.0), status, &json()).unwrap();
    assert!(matches!(step, Step::Peek(16_384)), "{step:?}");
    request.resume(&at(0.0), Event::Body(body)).unwrap()
}

#[test]
fn body_reporting_an_invalid_token_triggers_one_renewal() {
    let mut request = get(&api_with_rules(), "/me");
    sent(&mut request, &at(0.0));
    let step = inspect_body(&mut request, 200, ENDED);
    assert!(matches!(step, Step::Renew(TokenOwner::Any)), "{step:?}");
    retry(&mut request, &at(0.0));
    // The next reply is returned without inspection.
    let step = reply(&mut request, &at(0.0), 200, &json()).unwrap();
    assert!(matches!(step, Step::Done), "{step:?}");
}

#[test]
fn body_that_matches_no_rule_is_returned_to_the_caller() {
    for (status, body) in [
        (200, &b"{}"[..]),
        (200, b""),
        (403, ENDED),
        (403, br#"{"code":"NO"}"#),
    ] {
        let mut request = get(&api_with_rules(), "/me");
        sent(&mut request, &at(0.0));
        let step = inspect_body(&mut request, status, body);
        assert!(matches!(step, Step::Done), "{step:?}");
        assert!(request.resume(&at(0.0), Event::Body(ENDED)).is_err());
    }
}

#[test]
fn status_rule_or_401_alone_triggers_a_renewal() {
    for (api, status) in [
        (api_with_rules(), 404),
        (api_with_rules(), 401),
        (api(), 401),
    ] {
        let mut request = get(&api, "/me");
        sent(&mut request, &at(0.0));
        let step = reply(&mut request, &at(0.0), status, &json()).unwrap();
        assert!(matches!(step, Step::Renew(_)), "{status} {step:?}");
    }
    for (api, status) in [
        (api(), 404),
        (api(), 200),
        (api_with_rules(), 201),
        (api_with_rules(), 400),
    ] {
        let mut request = get(&api, "/me");
        sent(&mut request, &at(0.0));
        let step = reply(&mut request, &at(0.0), status, &json()).unwrap();
        assert!(matches!(step, Step::Done), "{status} {step:?}");
    }
}

#[test]
fn streamed_request_with_an_invalid_token_is_refused_without_resending() {
    let mut request = get(&api_with_rules(), "/me").body_once();
    sent(&mut request, &at(0.0));
    let step = inspect_body(&mut request, 200, ENDED);
    assert!(matches!(step, Step::DoneRefused), "{step:?}");
}

#[test]
fn unrequested_body_event_is_out_of_order() {
    let mut request = get(&api_with_rules(), "/me");
    sent(&mut request, &at(0.0));
    let error = request.resume(&at(0.0), Event::Body(ENDED)).unwrap_err();
    assert_eq!(error.code(), "misuse.out_of_order");
    // The reply is still accepted.
    assert!(reply(&mut request, &at(0.0), 201, &json()).is_ok());
}
