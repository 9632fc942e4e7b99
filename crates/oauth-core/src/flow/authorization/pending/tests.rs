#![allow(clippy::unwrap_used)] // tests may panic

use serde_json::json;

use super::*;
use crate::client::Client;
use crate::flow::authorization::AuthorizationRequest;
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client, client_of, error_code, server};

const CB: &str = "https://app.example/cb";
const OTHER: &str = "iss=https://other.example";
const OWN: &str = "iss=https://as.example";

fn pending(client: &Client, scope: &str) -> PendingAuthorization {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    let request = request.scope(Scope::parse(scope).unwrap());
    client.authorize(&at(), request).unwrap().1
}

/// The result of a callback with these parameters; `STATE` stands for the flow's own state.
fn callback_result(client: &Client, parameters: &str) -> Result<(), &'static str> {
    let pending = pending(client, "read");
    let parameters = parameters.replace("STATE", pending.state().expose());
    error_code(
        client
            .redeem(pending, &format!("{CB}?{parameters}"))
            .map(drop),
    )
}

/// A server that always returns `iss`.
fn client_of_server_with_iss() -> Client {
    let metadata = json!({"authorization_response_iss_parameter_supported": true});
    client_of(server().with_metadata(metadata.as_object().cloned().unwrap()))
}

#[test]
fn callback_checks_state_then_issuer_then_error_then_code() {
    let client = client_of_server_with_iss();
    let cases = [
        // Neither code nor error: there is nothing to verify.
        (format!("state=wrong&{OTHER}"), Err("callback.missing_code")),
        (
            format!("state=wrong&{OTHER}&error=access_denied&code=c"),
            Err("callback.state"),
        ),
        (format!("{OWN}&code=c"), Err("callback.state")),
        (
            format!("state=STATE&{OTHER}&error=access_denied&code=c"),
            Err("callback.issuer"),
        ),
        (
            "state=STATE&error=access_denied&code=c".to_owned(),
            Err("callback.missing_issuer"),
        ),
        (
            format!("state=STATE&{OWN}&error=access_denied&code=c"),
            Err("denied.access_denied"),
        ),
        (
            format!("state=STATE&{OWN}&code=a%00b"),
            Err("callback.encoding"),
        ),
        (format!("state=STATE&{OWN}&code=c"), Ok(())),
    ];
    for (parameters, expected) in cases {
        assert_eq!(
            callback_result(&client, &parameters),
            expected,
            "{parameters}"
        );
    }
}

#[test]
fn error_of_an_unverified_callback_is_named_in_the_detail() {
    let client = client_of_server_with_iss();
    let pending = pending(&client, "read");
    let callback = format!(
        "{CB}?error=access_denied&{OTHER}&state={}",
        pending.state().expose()
    );
    let error = client.redeem(pending, &callback).map(drop).unwrap_err();
    assert_eq!(error.code(), "callback.issuer");
    assert_eq!(error.detail(), Some("it says error=access_denied"));
}

#[test]
fn flow_recognizes_only_its_own_state_at_its_redirect_uri() {
    let pending = pending(&client(), "read");
    let state = pending.state().expose();
    assert!(pending.recognizes(&format!("{CB}?state={state}&code=c")));
    // An error response is also recognized, whether or not it is authentic.
    assert!(pending.recognizes(&format!("{CB}?state={state}&error=access_denied")));
    for callback in [
        format!("{CB}?code=c"),
        format!("{CB}?code=c&state={state}x"),
        format!("{CB}?code=c&state={state}&state={state}"),
        format!("https://other.example/cb?code=c&state={state}"),
    ] {
        assert!(!pending.recognizes(&callback), "{callback}");
    }
}

#[test]
fn flow_of_another_server_or_client_is_refused() {
    let callback =
        |pending: &PendingAuthorization| format!("{CB}?code=c&state={}", pending.state().expose());
    let elsewhere =
        crate::server::Server::new(crate::issuer::Issuer::parse("https://b.example").unwrap())
            .with_endpoint(EndpointKind::Token, "https://b.example/token")
            .unwrap();
    let auth = crate::client_auth::ClientAuth::none();
    let another = Client::new(
        server(),
        crate::client_config::ClientId::new("another"),
        auth,
    )
    .unwrap();
    for client_of_no_flow in [client_of(elsewhere), another] {
        let pending = pending(&client(), "read");
        let callback = callback(&pending);
        let redeemed = client_of_no_flow.redeem(pending, &callback).map(drop);
        assert_eq!(error_code(redeemed), Err("stored.issuer"));
    }
}

#[test]
fn nonce_is_kept_only_for_openid_requests() {
    assert!(pending(&client(), "read").nonce().is_none());
    let openid = pending(&client(), "openid read");
    assert!(openid.nonce().is_some());
    assert_eq!(openid.started_at(), UnixTime::from_secs(NOW));
    assert_eq!(openid.issuer(), "https://as.example");
    let stored = PendingAuthorization::from_json(openid.to_json().expose()).unwrap();
    assert!(
        stored
            .nonce()
            .unwrap()
            .matches(openid.nonce().unwrap().expose())
    );
}

#[test]
fn debug_shows_no_flow_secrets() {
    let pending = pending(&client(), "openid");
    let stored: serde_json::Value = serde_json::from_str(pending.to_json().expose()).unwrap();
    let shown = format!("{pending:?}");
    for name in ["state", "nonce", "code_verifier"] {
        let secret = stored.get(name).and_then(|value| value.as_str()).unwrap();
        assert!(secret.len() > 20 && !shown.contains(secret), "{name}");
    }
}

/// OpenID Connect Core section 3.1.2.1.
#[test]
fn max_age_is_kept_until_the_callback_and_invalid_values_are_refused() {
    let send = |value: &str| {
        let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
        let request = request.scope(Scope::parse("openid").unwrap());
        error_code(client().authorize(&at(), request.extra("max_age", value)))
    };
    for (value, seconds) in [("0", 0), ("3600", 3600)] {
        let (_, pending) = send(value).unwrap();
        let pending = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
        assert_eq!(pending.max_age, Some(seconds));
    }
    for value in [
        "",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "an hour",
        "18446744073709551616",
    ] {
        let refused = send(value).map(drop);
        assert_eq!(refused, Err("form.malformed_parameter"), "{value}");
    }
}

#[test]
fn stored_openid_flow_without_nonce_is_refused() {
    let text = pending(&client(), "openid").to_json();
    assert!(PendingAuthorization::from_json(text.expose()).is_ok());
    for nonce in [json!(null), json!("")] {
        let mut stored: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text.expose()).unwrap();
        stored.insert("nonce".to_owned(), nonce);
        let stored = serde_json::to_string(&stored).unwrap();
        let read = error_code(PendingAuthorization::from_json(&stored).map(drop));
        assert_eq!(read, Err("stored.malformed"));
    }
}

#[test]
fn redemption_may_narrow_but_not_extend_the_resources() {
    let client = client();
    let authorization_request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    let authorization_request = authorization_request
        .resource("https://a.example/")
        .unwrap();
    let authorization_request = authorization_request
        .resource("https://b.example/")
        .unwrap()
        .audience("x");
    let (_, pending) = client.authorize(&at(), authorization_request).unwrap();
    let stored = pending.to_json();
    let narrowed = |resources: &[&str]| {
        let pending = PendingAuthorization::from_json(stored.expose()).unwrap();
        pending.for_resources(resources.iter().copied())
    };
    let one = narrowed(&["https://b.example/"]).unwrap();
    let callback = format!("{CB}?code=c&state={}", one.state().expose());
    let mut exchange = client.redeem(one, &callback).unwrap();
    let Ok(crate::Step::Send(request)) =
        crate::Exchange::resume(&mut exchange, &at(), crate::Input::Begin)
    else {
        unreachable!()
    };
    let body = String::from_utf8_lossy(request.body()).into_owned();
    assert!(
        body.contains("resource=https%3A%2F%2Fb.example%2F&audience=x")
            || body.contains("audience=x&resource=https%3A%2F%2Fb.example%2F"),
        "{body}"
    );
    assert!(!body.contains("a.example"), "{body}");
    let wider = narrowed(&["https://c.example/"]).map(drop);
    assert_eq!(error_code(wider), Err("resource.exceeds_grant"));
}
