//! Hybrid flows (OpenID Connect Core section 3.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::*;
use super::{CB, KEYS};
use crate::client::Client;
use crate::exchange::{Input, Step, VerificationJob};
use crate::flow::authorization::{
    AuthorizationRequest, PendingAuthorization, ResponseMode, ResponseType,
};
use crate::jose::{Alg, KeySet};
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::testing::{NOW, at, client_of, json as answer, server};

fn client() -> Client {
    let client = client_of(server()).with_id_token_algs([Alg::EdDsa]);
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    client
}

fn authorization_request() -> AuthorizationRequest {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    request
        .scope(Scope::parse("openid").unwrap())
        .response_type(ResponseType::CodeIdToken)
}

/// A token with the flow's common claims and these; the test host decides whether its signature is valid.
fn id_token(pending: &PendingAuthorization, changes: &Value) -> String {
    let mut claims = json!({
        "iss": "https://as.example", "sub": "ann", "aud": "id", "iat": NOW, "exp": NOW + 60,
        "nonce": pending.nonce().unwrap().expose(),
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({ "alg": "EdDSA", "kid": "one" }));
    let signature = URL_SAFE_NO_PAD.encode([1; 64]);
    format!("{header}.{}.{signature}", part(&claims))
}

/// The request that a flow sends after this callback, with valid signatures and hashes of these
/// values, or its error.
fn redeem(
    change: impl FnOnce(&PendingAuthorization) -> String,
    hashes: &[&str],
) -> Result<String, Error> {
    let client = client();
    let (_, pending) = client.authorize(&at(), authorization_request()).unwrap();
    let state = pending.state().expose().clone();
    let given = change(&pending);
    let callback = format!("{CB}#code=c0de&state={state}{given}");
    let mut login = client.redeem(pending, &callback)?;
    let mut step = login.resume(&at(), Input::Begin)?;
    loop {
        let valid = match step {
            Step::Send(request) => {
                return Ok(String::from_utf8(request.body().to_vec()).unwrap());
            }
            Step::Verify(VerificationJob::HalfHash { value, half, .. }) => {
                assert!([&state, "c0de"].contains(&value.expose().as_str()));
                hashes.contains(&half.as_str())
            }
            Step::Verify(VerificationJob::Signature { .. }) => true,
            other => panic!("{other:?}"),
        };
        step = login.resume(&at(), Input::Verified(valid))?;
    }
}

fn callback_with_id_token(changes: Value) -> impl FnOnce(&PendingAuthorization) -> String {
    move |pending| format!("&id_token={}", id_token(pending, &changes))
}

#[test]
fn hybrid_request_uses_fragment_or_form_post_and_requires_openid() {
    let url = |request| client().authorize(&at(), request).map(|(url, _)| url);
    let fragment = url(authorization_request()).unwrap();
    assert!(fragment.as_str().contains("response_type=code+id_token"));
    assert!(!fragment.as_str().contains("response_mode="));
    let posted = url(authorization_request().response_mode(ResponseMode::FormPost)).unwrap();
    assert!(posted.as_str().contains("response_mode=form_post"));

    let in_query = url(authorization_request().response_mode(ResponseMode::Query)).unwrap_err();
    assert_eq!(in_query.code(), "form.malformed_parameter");
    let without_openid =
        url(authorization_request().scope(Scope::parse("read").unwrap())).unwrap_err();
    assert_eq!(without_openid.code(), "form.malformed_parameter");
}

#[test]
fn code_is_sent_after_the_front_channel_id_token_is_verified() {
    let form = redeem(
        callback_with_id_token(json!({ "c_hash": "c", "s_hash": "s" })),
        &["c", "s"],
    )
    .unwrap();
    assert!(form.contains("code=c0de"), "{form}");
    assert!(!form.contains("id_token"), "{form}");
    // Only FAPI requires `s_hash`.
    assert!(redeem(callback_with_id_token(json!({ "c_hash": "c" })), &["c"]).is_ok());
}

#[test]
fn code_is_not_sent_with_a_missing_or_invalid_id_token() {
    type Case = (
        Box<dyn FnOnce(&PendingAuthorization) -> String>,
        &'static str,
    );
    let faulty = |changes| -> Box<dyn FnOnce(&PendingAuthorization) -> String> {
        Box::new(callback_with_id_token(changes))
    };
    let cases: [Case; 8] = [
        (Box::new(|_| String::new()), "id_token.missing"),
        (faulty(json!({})), "jwt.missing_claim"),
        (faulty(json!({ "c_hash": "another" })), "id_token.c_hash"),
        (
            faulty(json!({ "c_hash": "c", "s_hash": "another" })),
            "id_token.s_hash",
        ),
        (
            faulty(json!({ "c_hash": "c", "nonce": "another" })),
            "id_token.nonce",
        ),
        (
            faulty(json!({ "c_hash": "c", "iss": "https://as.example1" })),
            "jwt.issuer",
        ),
        (
            faulty(json!({ "c_hash": "c", "exp": NOW - 600 })),
            "jwt.expired",
        ),
        (
            Box::new(|pending| {
                let token = id_token(pending, &json!({ "c_hash": "c" }));
                format!("&id_token={token}&id_token={token}")
            }),
            "callback.duplicate_parameter",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(redeem(change, &["c"]).unwrap_err().code(), expected);
    }
}

#[test]
fn id_tokens_of_both_channels_must_have_the_same_subject() {
    for (subject, expected) in [("ann", None), ("bob", Some("id_token.subject_changed"))] {
        let client = client();
        let (_, pending) = client.authorize(&at(), authorization_request()).unwrap();
        let front = id_token(&pending, &json!({ "c_hash": "c" }));
        let back = id_token(&pending, &json!({ "sub": subject }));
        let state = pending.state().expose();
        let callback = format!("{CB}#code=c&state={state}&id_token={front}");
        let mut login = client.redeem(pending, &callback).unwrap();
        let mut input = Input::Begin;
        let seen = loop {
            input = match login.resume(&at(), input) {
                Ok(Step::Verify(_)) => Input::Verified(true),
                Ok(Step::Send(_)) => Input::Reply(answer(
                    200,
                    &json!({ "access_token": "t", "token_type": "Bearer", "id_token": back })
                        .to_string(),
                )),
                Ok(Step::Done(login)) => break Ok(login),
                Err(error) => break Err(error),
                other => panic!("{other:?}"),
            };
        };
        assert_eq!(seen.as_ref().err().map(Error::code), expected);
        if let Ok(login) = seen {
            assert_eq!(login.tokens.id_token.unwrap().expose(), &back);
        }
    }
}

#[test]
fn stored_hybrid_flow_still_requires_its_id_token() {
    let (_, pending) = client().authorize(&at(), authorization_request()).unwrap();
    let text = pending.to_json().expose().clone();
    let again = PendingAuthorization::from_json(&text).unwrap();
    assert_eq!(*again.to_json().expose(), text);
    let callback = format!("{CB}#code=c&state={}", again.state().expose());
    let refused = client().redeem(again, &callback).map(drop).unwrap_err();
    assert_eq!(refused.code(), "id_token.missing");

    for (hash_claim, spoilt) in [
        (
            "\"response_mode\":\"fragment\"",
            "\"response_mode\":\"query\"",
        ),
        ("\"scope\":\"openid\"", "\"scope\":\"read\",\"nonce\":null"),
    ] {
        assert!(text.contains(hash_claim), "{text}");
        let mut stored: Value = serde_json::from_str(&text).unwrap();
        let change: Value = serde_json::from_str(&format!("{{{spoilt}}}")).unwrap();
        let members = stored.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        let refused = PendingAuthorization::from_json(&stored.to_string()).unwrap_err();
        assert_eq!(refused.code(), "stored.malformed");
    }
}

/// RFC 9207 section 2.4: the ID token names the issuer as well. An error comes without an ID token.
#[test]
fn id_token_replaces_the_iss_parameter_but_errors_still_require_it() {
    let mut request = authorization_request();
    request.issuer_required = true;
    let begin = || client().authorize(&at(), request.clone()).unwrap().1;
    let pending = begin();
    let token = id_token(&pending, &json!({ "c_hash": "c" }));
    let state = pending.state().expose();
    let vouched = format!("{CB}#code=c&state={state}&id_token={token}");
    assert!(client().redeem(pending, &vouched).is_ok());

    let pending = begin();
    let state = pending.state().expose();
    let contradicting =
        format!("{CB}#code=c&state={state}&id_token=t&iss=https%3A%2F%2Fother.example");
    let refused = client().redeem(pending, &contradicting).map(drop);
    assert_eq!(refused.unwrap_err().code(), "callback.issuer");
    let pending = begin();
    let state = pending.state().expose();
    let error = format!("{CB}#error=access_denied&state={state}");
    let refused = client().redeem(pending, &error).map(drop);
    assert_eq!(refused.unwrap_err().code(), "callback.missing_issuer");
}
