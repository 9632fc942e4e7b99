//! APIs that tell of an ended token by rules of their own.

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

/// What follows once this body was looked at.
#[track_caller]
fn looked_at(request: &mut ResourceRequest, status: u16, body: &[u8]) -> Step {
    let step = reply(request, &at(0.0), status, &json()).unwrap();
    assert!(matches!(step, Step::Peek(16_384)), "{step:?}");
    request.resume(&at(0.0), Event::Body(body)).unwrap()
}

#[test]
fn a_body_that_tells_of_the_token_is_answered_by_one_renewal() {
    let mut request = get(&api_with_rules(), "/me");
    sent(&mut request, &at(0.0));
    let step = looked_at(&mut request, 200, ENDED);
    assert!(matches!(step, Step::Renew(TokenOwner::Any)), "{step:?}");
    retry(&mut request, &at(0.0));
    // The next reply is returned without inspection.
    let step = reply(&mut request, &at(0.0), 200, &json()).unwrap();
    assert!(matches!(step, Step::Done), "{step:?}");
}

#[test]
fn any_other_body_is_the_callers() {
    for (status, body) in [
        (200, &b"{}"[..]),
        (200, b""),
        (403, ENDED),
        (403, br#"{"code":"NO"}"#),
    ] {
        let mut request = get(&api_with_rules(), "/me");
        sent(&mut request, &at(0.0));
        let step = looked_at(&mut request, status, body);
        assert!(matches!(step, Step::Done), "{step:?}");
        assert!(request.resume(&at(0.0), Event::Body(ENDED)).is_err());
    }
}

#[test]
fn a_status_may_tell_it_alone_and_a_401_needs_no_rule() {
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
fn what_can_be_sent_once_is_not_sent_again_and_its_token_is_forgotten() {
    let mut request = get(&api_with_rules(), "/me").body_once();
    sent(&mut request, &at(0.0));
    let step = looked_at(&mut request, 200, ENDED);
    assert!(matches!(step, Step::DoneRefused), "{step:?}");
}

#[test]
fn a_body_that_nobody_asked_for_is_out_of_order() {
    let mut request = get(&api_with_rules(), "/me");
    sent(&mut request, &at(0.0));
    let error = request.resume(&at(0.0), Event::Body(ENDED)).unwrap_err();
    assert_eq!(error.code(), "misuse.out_of_order");
    // And the reply can still come.
    assert!(reply(&mut request, &at(0.0), 201, &json()).is_ok());
}
