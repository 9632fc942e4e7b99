#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::time::Duration;

use crate::PendingAuthorization;
use crate::exchange::{Exchange, Input, Step};
use crate::flow::resource::verdict;
use crate::form;
use crate::http::{HeaderMap, HeaderValue, StatusCode};
use crate::moment::{Moment, UnixTime};
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::testing::{NOW, at, client, error_code, json};

use super::*;

const CB: &str = "https://app.example/cb";
const MFA: &str = r#"Bearer error="insufficient_user_authentication", acr_values="mfa phr", max_age="5", scope="pay""#;

fn step_up_requirement(field: &'static str) -> StepUp {
    let mut headers = HeaderMap::new();
    headers.insert("www-authenticate", HeaderValue::from_static(field));
    verdict(StatusCode::UNAUTHORIZED, &headers)
        .step_up()
        .unwrap()
}

fn authorization_request() -> AuthorizationRequest {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    request.scope(Scope::parse("read").unwrap())
}

fn later_by(seconds: u64) -> Moment {
    let now = UnixTime::from_secs(NOW).after(Duration::from_secs(seconds));
    Moment::fixed(now, [9; 32])
}

/// Logs in with this request; the flow and the tokens go through storage.
fn login(request: AuthorizationRequest) -> Tokens {
    let (_, pending) = client().authorize(&at(), request).unwrap();
    let pending = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
    let callback = format!("{CB}?code=c&state={}", pending.state().expose());
    let mut exchange = client().redeem(pending, &callback).unwrap();
    let Ok(Step::Send(_)) = exchange.resume(&at(), Input::Begin) else {
        panic!("a request")
    };
    let reply =
        r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r","scope":"read list"}"#;
    let Ok(Step::Done(login)) = exchange.resume(&at(), Input::Reply(json(200, reply))) else {
        panic!("tokens")
    };
    Tokens::from_json(login.tokens.to_json().expose()).unwrap()
}

fn refresh(tokens: &Tokens) -> Tokens {
    let mut exchange = client().refresh(tokens.refresh_token.as_ref().unwrap());
    let _ = exchange.resume(&at(), Input::Begin);
    let reply = r#"{"access_token":"b","token_type":"Bearer"}"#;
    let Ok(Step::Done(tokens)) = exchange.resume(&at(), Input::Reply(json(200, reply))) else {
        panic!("tokens")
    };
    Tokens::from_json(tokens.to_json().expose()).unwrap()
}

#[test]
fn step_up_requests_the_apis_requirement_and_the_granted_scope() {
    let tokens = login(authorization_request());
    let again = authorization_request().acr_values(["low"]).max_age(1000);
    let again = again.step_up(step_up_requirement(MFA), &tokens);
    let (url, _) = client().authorize(&at(), again).unwrap();
    let pairs = form::parse(url.query().unwrap()).unwrap();
    let value = |name: &str| {
        let mut found = pairs.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.to_string());
        assert!(found.next().is_none(), "{name}");
        value
    };
    assert_eq!(value("acr_values").as_deref(), Some("mfa phr"));
    assert_eq!(value("max_age").as_deref(), Some("5"));
    assert_eq!(value("scope").as_deref(), Some("read list pay"));
}

/// Microsoft Entra's claims challenge, which is base64-encoded.
#[test]
fn claims_challenge_is_decoded_into_the_claims_parameter() {
    let challenge =
        r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
    let again = authorization_request().step_up(
        step_up_requirement(challenge),
        &login(authorization_request()),
    );
    let (url, _) = client().authorize(&at(), again).unwrap();
    let pairs = form::parse(url.query().unwrap()).unwrap();
    let claims: Vec<_> = pairs.iter().filter(|(name, _)| name == "claims").collect();
    let [(_, claims)] = &claims[..] else {
        panic!("{claims:?}")
    };
    assert_eq!(claims, r#"{"access_token":{}}"#);
}

#[test]
fn step_up_already_satisfied_by_a_login_is_refused_as_repeated() {
    let step_up = |field, tokens: &Tokens, later| {
        let again = authorization_request().step_up(step_up_requirement(field), tokens);
        error_code(client().authorize(&later_by(later), again.clone())).map(|_| again)
    };
    let tokens = login(step_up(MFA, &login(authorization_request()), 0).unwrap());
    for tokens in [tokens.clone(), refresh(&tokens)] {
        let repeated = step_up(MFA, &tokens, 5).map(drop);
        assert_eq!(repeated, Err("step_up.repeated"));
        // Any one of the values suffices, in any order.
        let turned = MFA.replace("mfa phr", "phr mfa").leak();
        let repeated = step_up(turned, &tokens, 5).map(drop);
        assert_eq!(repeated, Err("step_up.repeated"));
        // An older login or a different requirement is not a repetition.
        assert!(step_up(MFA, &tokens, 6).is_ok());
        for other in [
            r#"Bearer error="insufficient_user_authentication", acr_values="phr", max_age="5""#,
            r#"Bearer error="insufficient_user_authentication", acr_values="mfa phr", max_age="4""#,
            r#"Bearer error="insufficient_user_authentication", acr_values="mfa phr", scope="admin""#,
            r#"Bearer error="insufficient_scope", scope="admin""#,
            r#"Bearer error="insufficient_claims", claims="e30=""#,
        ] {
            assert!(step_up(other, &tokens, 0).is_ok(), "{other}");
        }
    }
    // A scope that was requested and not granted is not requested again.
    let scope = r#"Bearer error="insufficient_scope", scope="pay""#;
    let tokens = login(step_up(scope, &login(authorization_request()), 0).unwrap());
    assert_eq!(
        step_up(scope, &tokens, 0).map(drop),
        Err("step_up.repeated")
    );
}

/// An API that alternates between two requirements would cause endless logins.
#[test]
fn alternating_step_up_requirements_are_limited() {
    let other = r#"Bearer error="insufficient_user_authentication", acr_values="pin""#;
    let mut tokens = login(authorization_request());
    for field in [MFA, other, MFA, other, MFA] {
        tokens = login(authorization_request().step_up(step_up_requirement(field), &tokens));
    }
    let next = |tokens: &Tokens, seconds| {
        let again = authorization_request().step_up(step_up_requirement(other), tokens);
        error_code(client().authorize(&later_by(seconds), again)).map(drop)
    };
    assert_eq!(next(&tokens, 60), Err("step_up.limit"));
    assert_eq!(next(&refresh(&tokens), 0), Err("step_up.limit"));
    // The API was used successfully in between.
    assert_eq!(next(&tokens, 61), Ok(()));
}

#[test]
fn empty_step_up_requirement_is_refused() {
    let request =
        authorization_request().step_up(StepUp::default(), &login(authorization_request()));
    let asked = client().authorize(&at(), request).map(drop);
    assert_eq!(error_code(asked), Err("step_up.empty"));
    for field in [
        r#"Bearer error="insufficient_user_authentication""#,
        r#"Bearer error="insufficient_user_authentication", scope="pay""#,
        r#"Bearer error="insufficient_user_authentication", max_age="-1""#,
        r#"Bearer error="insufficient_user_authentication", max_age="+1""#,
        r#"Bearer error="invalid_token", acr_values="mfa""#,
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("www-authenticate", HeaderValue::from_static(field));
        let judged = verdict(StatusCode::UNAUTHORIZED, &headers);
        assert_eq!(judged.step_up(), None, "{field}");
    }
}

/// RFC 9470 section 3: with any scheme, and also with a `max_age` of 0.
#[test]
fn max_age_zero_is_a_valid_step_up_requirement() {
    let zero = step_up_requirement(r#"Bearer error="insufficient_user_authentication", max_age=0"#);
    assert_eq!(zero.max_age, Some(0));
    let request = authorization_request().step_up(zero, &login(authorization_request()));
    let (url, _) = client().authorize(&at(), request).unwrap();
    assert!(url.as_str().contains("max_age=0"));
}
