#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::time::Duration;

use super::super::AccessTokenVerifier;
use crate::endpoint::introspection::SignedResponse;
use crate::error::{Cause, Error};
use crate::exchange::{Exchange, Input, Step};
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::testing::{self, NOW, error_code, json};
use crate::token::access_token::{ProvenKeys, VerifiedAccessToken};

const API: &str = "https://api.example";
const GOOD: &str = r#""client_id":"c","sub":"u","aud":"https://api.example","scope":"read write""#;

fn verifier() -> AccessTokenVerifier {
    testing::client().introspecting_verifier(API)
}

fn later(seconds: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW + seconds), [9; 32])
}

/// Verifies a token with this introspection response; `None` if no request may be sent.
fn verify_at(
    verifier: &AccessTokenVerifier,
    token: &str,
    proven: ProvenKeys,
    at: &Moment,
    response: Option<&str>,
) -> Result<VerifiedAccessToken, Error> {
    let mut exchange = verifier.verify_with(token, proven);
    match (exchange.resume(at, Input::Begin)?, response) {
        (Step::Done(token), None) => Ok(token),
        (Step::Send(request), Some(response)) => {
            let form = format!("token={token}&token_type_hint=access_token");
            assert_eq!(request.body().as_ref(), form.as_bytes());
            assert!(request.headers().contains_key("authorization"));
            match exchange.resume(at, Input::Reply(json(200, response)))? {
                Step::Done(token) => Ok(token),
                step => panic!("{step:?}"),
            }
        }
        (step, _) => panic!("{step:?}"),
    }
}

fn active(members: &str) -> String {
    format!(r#"{{"active":true,{members}}}"#)
}

fn verify_with_members(members: &str) -> Result<(), &'static str> {
    let response = active(members);
    let shown = verify_at(
        &verifier(),
        "t",
        ProvenKeys::none(),
        &later(0),
        Some(&response),
    );
    error_code(shown.map(drop))
}

#[test]
fn active_token_yields_its_claims() {
    let response = active(&format!(
        r#"{GOOD},"exp":{},"token_type":"Bearer","groups":["g"],"username":"al""#,
        NOW + 300
    ));
    let proven = ProvenKeys::none();
    let token = verify_at(&verifier(), "t", proven, &later(0), Some(&response)).unwrap();
    assert_eq!((token.subject(), token.client_id()), ("u", Some("c")));
    assert_eq!(token.scope().as_str(), "read write");
    assert_eq!(token.issuer(), "https://as.example");
    assert_eq!(token.audience(), [API]);
    assert_eq!(token.expires_at(), Some(UnixTime::from_secs(NOW + 300)));
    assert_eq!(token.claims().texts("groups").unwrap(), ["g"]);
    assert_eq!(token.claims().text("username").unwrap(), Some("al"));
    // Claims that the server need not return may be absent.
    let response = active(r#""client_id":"c""#);
    let proven = ProvenKeys::none();
    let token = verify_at(&verifier(), "t", proven, &later(0), Some(&response)).unwrap();
    assert_eq!((token.subject(), token.client_id()), ("c", Some("c")));
    assert!(token.audience().is_empty() && token.scope().is_empty());
    assert_eq!(token.expires_at(), None);
    assert_eq!(token.issuer(), "https://as.example");
    let mut claims: Vec<_> = token.claims().as_map().keys().collect();
    claims.sort_unstable();
    assert_eq!(claims, ["client_id", "iss"]);
}

#[test]
fn client_is_no_subject_if_the_response_shows_a_user() {
    for member in [
        r#""username":"alice""#,
        r#""username":"""#,
        r#""user_id":7"#,
        r#""preferred_username":"alice""#,
        r#""email":"alice@example.com""#,
        r#""auth_time":1"#,
        r#""acr":"1""#,
        r#""amr":["pwd"]"#,
        r#""sid":"1""#,
        r#""act":{"sub":"c"}"#,
        r#""scope":"read openid""#,
    ] {
        let response = active(&format!(r#""client_id":"c",{member}"#));
        let proven = ProvenKeys::none();
        let shown = verify_at(&verifier(), "t", proven, &later(0), Some(&response));
        let error = shown.unwrap_err();
        assert_eq!(error.code(), "jwt.missing_claim", "{member}");
        assert_eq!(error.detail(), Some("sub"), "{member}");
        let named = format!(r#""client_id":"c","sub":"u",{member}"#);
        assert_eq!(verify_with_members(&named), Ok(()), "{member}");
    }
    let absent = r#""client_id":"c","username":null,"email":null"#;
    assert_eq!(verify_with_members(absent), Ok(()));
}

#[test]
fn introspection_failures_use_the_codes_of_jwt_verification() {
    for (members, expected) in [
        (r#""client_id":"c""#.to_owned(), Ok(())),
        (r#""sub":"u""#.to_owned(), Err("jwt.missing_claim")),
        (r#""client_id":"""#.to_owned(), Err("jwt.malformed_claim")),
        (format!(r#"{GOOD},"iss":"https://as.example""#), Ok(())),
        (
            format!(r#"{GOOD},"iss":"https://other.example""#),
            Err("jwt.issuer"),
        ),
        (
            r#""client_id":"c","aud":["https://api.example/","x"]"#.to_owned(),
            Err("jwt.audience"),
        ),
        (format!(r#"{GOOD},"exp":{}"#, NOW - 61), Err("jwt.expired")),
        (
            format!(r#"{GOOD},"nbf":{}"#, NOW + 61),
            Err("jwt.not_yet_valid"),
        ),
        (
            format!(r#"{GOOD},"token_type":"refresh_token""#),
            Err("jwt.unexpected_claim"),
        ),
        (
            format!(r#"{GOOD},"token_use":"refresh_token""#),
            Err("jwt.unexpected_claim"),
        ),
        (
            format!(r#"{GOOD},"nonce":"n""#),
            Err("jwt.unexpected_claim"),
        ),
        (
            format!(r#"{GOOD},"cnf":{{"jkt":"k"}}"#),
            Err("access_token.proof_required"),
        ),
        // Members beyond the size limit are dropped.
        (
            format!(
                r#"{GOOD},"a":"{}","cnf":{{"jkt":"k"}}"#,
                "x".repeat(300 << 10)
            ),
            Err("introspection.malformed"),
        ),
    ] {
        let shown: String = members.chars().take(200).collect();
        assert_eq!(verify_with_members(&members), expected, "{shown}");
    }
}

#[test]
fn token_with_invalid_characters_is_refused_without_introspection() {
    for token in ["", "=", "a b", "Bearer a", "a\r\nX: y", "a\0", "t\u{f6}ken"] {
        let proven = ProvenKeys::none();
        let error = verify_at(&verifier(), token, proven, &later(0), None).unwrap_err();
        assert_eq!(error.code(), "access_token.malformed", "{token:?}");
        let refusal = error.refusal().unwrap();
        assert_eq!(refusal.status, 401);
        let challenge = refusal.challenge.as_deref().unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
    // Some servers' tokens are not token68.
    let mut exchange = verifier().verify("00Dx!AQ~-._|");
    let step = exchange.resume(&later(0), Input::Begin).unwrap();
    assert!(matches!(step, Step::Send(_)), "{step:?}");
}

#[test]
fn inactive_token_is_answered_with_invalid_token() {
    let response = r#"{"active":false,"sub":"u","client_id":"c"}"#;
    let proven = ProvenKeys::none();
    let error = verify_at(&verifier(), "t", proven, &later(0), Some(response)).unwrap_err();
    assert_eq!(error.code(), "access_token.inactive");
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.status, 401);
    let challenge = refusal.challenge.as_deref().unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");

    let needs = verifier().require_scope(Scope::parse("admin").unwrap());
    let proven = ProvenKeys::none();
    let error = verify_at(&needs, "t", proven, &later(0), Some(&active(GOOD))).unwrap_err();
    assert_eq!(error.code(), "access_token.insufficient_scope");
    assert_eq!(error.refusal().unwrap().status, 403);
    let proven = ProvenKeys::dpop("k");
    let bound = active(&format!(r#"{GOOD},"cnf":{{"jkt":"k"}}"#));
    verify_at(&verifier(), "t", proven, &later(0), Some(&bound)).unwrap();
}

#[test]
fn failed_introspection_gives_5xx_without_a_challenge() {
    let refused = |input: Input| {
        let mut exchange = verifier().verify("t");
        let Step::Send(_) = exchange.resume(&later(0), Input::Begin).unwrap() else {
            panic!("a request")
        };
        let error = exchange.resume(&later(0), input).unwrap_err();
        let refusal = error.refusal().unwrap().clone();
        (error.code(), refusal.status, refusal.challenge)
    };
    let lost = refused(Input::Lost(Cause::unsent("no way")));
    assert_eq!((lost.1, lost.2), (503, None));
    let denied = refused(Input::Reply(json(401, r#"{"error":"invalid_client"}"#)));
    assert_eq!(denied, ("denied.invalid_client", 503, None));
    let large = active(&format!(r#"{GOOD},"a":"{}""#, "x".repeat(300 << 10)));
    let large = refused(Input::Reply(json(200, &large)));
    assert_eq!(large, ("introspection.malformed", 503, None));
    let shape = refused(Input::Reply(json(200, r#"{"active":"true"}"#)));
    assert_eq!((shape.1, shape.2), (503, None));

    // A bad signature of the response is also the server's fault.
    let signed = verifier().with_signed_introspection(SignedResponse::default());
    let mut exchange = signed.verify("t");
    let Step::Send(request) = exchange.resume(&later(0), Input::Begin).unwrap() else {
        panic!("a request")
    };
    let media = "application/token-introspection+jwt";
    assert_eq!(request.headers()["accept"], media);
    let plain = Input::Reply(json(200, &active(GOOD)));
    let error = exchange.resume(&later(0), plain).unwrap_err();
    assert_eq!(error.refusal().unwrap().status, 503);
    let mut exchange = signed.verify("t");
    let Step::Send(_) = exchange.resume(&later(0), Input::Begin).unwrap() else {
        panic!("a request")
    };
    let jwt = testing::reply(200, &[("content-type", media)], "no jwt");
    let error = exchange.resume(&later(0), Input::Reply(jwt)).unwrap_err();
    assert!(error.code().starts_with("jws."), "{error}");
    assert_eq!(error.refusal().unwrap().status, 503);
}

fn clone_for(verifier: &AccessTokenVerifier, audience: &str) -> AccessTokenVerifier {
    verifier.clone().with_audience(audience)
}

#[test]
fn clones_share_the_introspection_cache_but_not_requirements() {
    let verifier = verifier().with_introspection_cache(Duration::from_secs(30), 10);
    let response = active(&format!(r#"{GOOD},"exp":{}"#, NOW + 20));
    let none = ProvenKeys::none;
    verify_at(&verifier, "t", none(), &later(0), Some(&response)).unwrap();
    let clone = verifier.clone();
    verify_at(&clone, "t", none(), &later(19), None).unwrap();
    let needs = clone.require_scope(Scope::parse("admin").unwrap());
    let known = verify_at(&needs, "t", none(), &later(1), None);
    assert_eq!(
        error_code(known.map(drop)),
        Err("access_token.insufficient_scope")
    );
    let unbound = verify_at(&verifier, "t", ProvenKeys::dpop("k"), &later(1), None);
    assert_eq!(
        error_code(unbound.map(drop)),
        Err("access_token.proof_required")
    );
    let other = clone_for(&verifier, "https://other.example");
    let elsewhere = verify_at(&other, "t", none(), &later(1), None);
    assert_eq!(error_code(elsewhere.map(drop)), Err("jwt.audience"));
    // Neither an expired entry nor another token is in the cache.
    let dead = r#"{"active":false}"#;
    for (token, at) in [("t", 20), ("t1", 1)] {
        let outcome = verify_at(&verifier, token, none(), &later(at), Some(dead));
        assert_eq!(error_code(outcome.map(drop)), Err("access_token.inactive"));
        let known = verify_at(&verifier, token, none(), &later(at + 4), None);
        let refused = known.unwrap_err();
        assert_eq!(refused.code(), "access_token.inactive");
        assert_eq!(refused.refusal().unwrap().status, 401);
    }
    let endless = active(GOOD);
    let first = verify_at(&verifier, "e", none(), &later(0), Some(&endless)).unwrap();
    let again = verify_at(&verifier, "e", none(), &later(29), None).unwrap();
    assert_eq!((first.expires_at(), again.expires_at()), (None, None));
    verify_at(&verifier, "e", none(), &later(30), Some(&endless)).unwrap();
}

#[test]
fn every_verification_introspects_without_a_cache() {
    for _ in 0..2 {
        verify_at(
            &verifier(),
            "t",
            ProvenKeys::none(),
            &later(0),
            Some(&active(GOOD)),
        )
        .unwrap();
    }
    let keeps_nothing = verifier().with_introspection_cache(Duration::from_secs(30), 0);
    for _ in 0..2 {
        let proven = ProvenKeys::none();
        verify_at(&keeps_nothing, "t", proven, &later(0), Some(&active(GOOD))).unwrap();
    }
    let debug = format!("{keeps_nothing:?}");
    assert!(!debug.contains("hunter22"), "{debug}");
}

fn begin_lookup(
    verifier: &AccessTokenVerifier,
) -> impl Exchange<Output = VerifiedAccessToken> + use<> {
    let mut exchange = verifier.verify("t");
    let Step::Send(_) = exchange.resume(&later(0), Input::Begin).unwrap() else {
        panic!("a request")
    };
    exchange
}

fn waits(exchange: &mut impl Exchange<Output = VerifiedAccessToken>, input: Input) {
    match exchange.resume(&later(0), input).unwrap() {
        Step::Sleep(pause) => assert_eq!(pause, Duration::from_millis(50)),
        step => panic!("{step:?}"),
    }
}

#[test]
fn only_one_of_several_verifications_introspects_a_new_token() {
    let verifier = verifier().with_introspection_cache(Duration::from_secs(30), 10);
    let mut first = begin_lookup(&verifier);
    let mut second = verifier.clone().verify("t");
    waits(&mut second, Input::Begin);
    waits(&mut second, Input::Elapsed);
    let response = Input::Reply(json(200, &active(GOOD)));
    let Step::Done(_) = first.resume(&later(0), response).unwrap() else {
        panic!("an answer")
    };
    let Step::Done(token) = second.resume(&later(0), Input::Elapsed).unwrap() else {
        panic!("the same answer")
    };
    assert_eq!(token.subject(), "u");
    let early = verifier.verify("other").resume(&later(0), Input::Elapsed);
    assert_eq!(error_code(early.map(drop)), Err("misuse.out_of_order"));
}

#[test]
fn waiting_verification_sends_its_own_request_if_the_first_fails_or_stalls() {
    let verifier = verifier().with_introspection_cache(Duration::from_secs(30), 10);
    // The lookup failed, or its driver was dropped.
    let mut lost = begin_lookup(&verifier);
    let mut second = verifier.verify("t");
    waits(&mut second, Input::Begin);
    let cause = Input::Lost(Cause::unsent("no way"));
    lost.resume(&later(0), cause).unwrap_err();
    let Step::Send(_) = second.resume(&later(0), Input::Elapsed).unwrap() else {
        panic!("its own request")
    };
    let mut third = verifier.verify("t");
    waits(&mut third, Input::Begin);
    drop(second);
    let Step::Send(_) = third.resume(&later(0), Input::Elapsed).unwrap() else {
        panic!("its own request")
    };
    // A slow lookup delays other verifications by at most five seconds.
    let mut patient = verifier.verify("t");
    waits(&mut patient, Input::Begin);
    for _ in 1..100 {
        waits(&mut patient, Input::Elapsed);
    }
    let Step::Send(_) = patient.resume(&later(0), Input::Elapsed).unwrap() else {
        panic!("its own request")
    };
}
