//! The plain server: backchannel authentication on the user's device (CIBA Core).

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::plain::*;
use common::*;
use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;
use oauth_testkit::twin::BackchannelDelivery;
use oauth_testkit::{Fault, Twin, TwinDriver};
use serde_json::{Value, json};

const GRANT: (&str, &str) = ("grant_type", "urn:openid:params:grant-type:ciba");
const TOKEN: &str = "a-token-of-the-client-with-many-bits";
const ASK: [(&str, &str); 2] = [("scope", "openid read"), ("login_hint", "alice")];

/// Sends the authentication request.
fn send_authentication_request(
    driver: &mut TwinDriver,
    form: &[(&str, &str)],
) -> http::Response<Bytes> {
    let auth = basic_credentials(driver);
    post_as(driver, "/backchannel_authentication", Some(&auth), form)
}

fn begun(driver: &mut TwinDriver, more: &[(&str, &str)]) -> (String, Value) {
    let reply = send_authentication_request(driver, &[&ASK[..], more].concat());
    assert_eq!(reply.status(), 200);
    let body = json(&reply);
    (text(&body, "auth_req_id"), body)
}

/// Requests the tokens.
fn poll(driver: &mut TwinDriver, id: &str) -> http::Response<Bytes> {
    let auth = basic_credentials(driver);
    post_as(driver, "/token", Some(&auth), &[GRANT, ("auth_req_id", id)])
}

#[test]
fn a_request_waits_for_the_user() {
    let mut driver = driver();
    let (id, body) = begun(&mut driver, &[("binding_message", "W4SCT")]);
    assert_eq!(
        (&body["expires_in"], &body["interval"]),
        (&json!(120), &json!(5))
    );
    refused(&poll(&mut driver, &id), 400, "authorization_pending");
    driver.advance(Duration::from_secs(4));
    refused(&poll(&mut driver, &id), 400, "slow_down");
    driver.advance(Duration::from_secs(9));
    refused(&poll(&mut driver, &id), 400, "slow_down");

    let other = "/authentication_device?binding_message=OTHER";
    assert_eq!(get(&mut driver, other, None).status(), 400);
    let page = "/authentication_device?binding_message=W4SCT";
    assert_eq!(get(&mut driver, page, None).status(), 200);
    assert_eq!(get(&mut driver, page, None).status(), 400);
    driver.advance(Duration::from_secs(15));
    let tokens = json(&poll(&mut driver, &id));
    assert_eq!(tokens["scope"], "openid read");
    let claims = jws::claims(&text(&tokens, "id_token"));
    assert_eq!(
        (&claims["aud"], &claims["sub"]),
        (&json!("twin-client"), &json!("user-248289761001"))
    );
    assert!(tokens["refresh_token"].is_string());
    driver.advance(Duration::from_secs(15));
    refused(&poll(&mut driver, &id), 400, "invalid_grant");
    refused(&poll(&mut driver, "another"), 400, "invalid_grant");
}

#[test]
fn the_user_denies_or_does_not_respond() {
    let mut driver = driver();
    let now = driver.now();
    assert!(!driver.twin().answer_backchannel(now));
    let (first, _) = begun(&mut driver, &[]);
    let (second, body) = begun(&mut driver, &[("requested_expiry", "30")]);
    assert_eq!(body["expires_in"], 30);
    driver.twin().deny_next();
    // The one that has waited longest.
    assert!(driver.twin().answer_backchannel(now));
    refused(&poll(&mut driver, &first), 400, "access_denied");
    refused(&poll(&mut driver, &second), 400, "authorization_pending");
    driver.advance(Duration::from_secs(30));
    refused(&poll(&mut driver, &second), 400, "expired_token");
    let now = driver.now();
    assert!(!driver.twin().answer_backchannel(now));
}

#[test]
fn invalid_parameters_are_rejected_with_their_error_code() {
    let mut driver = driver();
    let long = "x".repeat(101);
    let cases: [(&[(&str, &str)], &str); 10] = [
        (&[("scope", "openid")], "invalid_request"),
        (
            &[ASK[0], ASK[1], ("id_token_hint", "a.b.c")],
            "invalid_request",
        ),
        (&[ASK[0], ("login_hint_token", "a.b.c")], "invalid_request"),
        (&[ASK[0], ("id_token_hint", "a.b.c")], "invalid_request"),
        (&[ASK[0], ("login_hint", "bob")], "unknown_user_id"),
        (&[("scope", "read"), ASK[1]], "invalid_scope"),
        (&[("scope", "openid unheard-of"), ASK[1]], "invalid_scope"),
        (
            &[ASK[0], ASK[1], ("binding_message", &long)],
            "invalid_binding_message",
        ),
        (
            &[ASK[0], ASK[1], ("binding_message", "a\u{7}")],
            "invalid_binding_message",
        ),
        (
            &[ASK[0], ASK[1], ("requested_expiry", "0")],
            "invalid_request",
        ),
    ];
    for (form, error) in cases {
        refused(&send_authentication_request(&mut driver, form), 400, error);
    }
    let public = [&ASK[..], &[("client_id", "twin-public")]].concat();
    let reply = post(&mut driver, "/backchannel_authentication", &public);
    refused(&reply, 401, "invalid_client");
    let reply = call(&mut driver, "GET", "/backchannel_authentication", None);
    assert_eq!(reply.status(), 405);
}

#[test]
fn an_expired_id_token_hint_of_this_server_identifies_its_user() {
    let mut driver = driver();
    let (id, _) = begun(&mut driver, &[]);
    get(&mut driver, "/authentication_device", None);
    let hint = text(&json(&poll(&mut driver, &id)), "id_token");
    driver.advance(Duration::from_secs(3600));
    let form = [ASK[0], ("id_token_hint", &*hint)];
    assert_eq!(
        send_authentication_request(&mut driver, &form).status(),
        200
    );
    // Signed with the same key, by another server.
    let mut other = TwinDriver::new(Twin::generic("https://other.test"));
    let (id, _) = begun(&mut other, &[]);
    get(&mut other, "/authentication_device", None);
    let foreign = text(&json(&poll(&mut other, &id)), "id_token");
    let form = [ASK[0], ("id_token_hint", &*foreign)];
    refused(
        &send_authentication_request(&mut driver, &form),
        400,
        "invalid_request",
    );
}

#[test]
fn a_client_is_pinged_and_then_gets_tokens_with_one_poll() {
    let mut driver = driver();
    let uri: http::Uri = "https://client.test/notified".parse().unwrap();
    driver
        .twin()
        .set_backchannel_delivery(BackchannelDelivery::Ping(uri.clone()));
    refused(
        &send_authentication_request(&mut driver, &ASK),
        400,
        "invalid_request",
    );
    let short = [ASK[0], ASK[1], ("client_notification_token", "short")];
    refused(
        &send_authentication_request(&mut driver, &short),
        400,
        "invalid_request",
    );
    let (id, _) = begun(&mut driver, &[("client_notification_token", TOKEN)]);
    assert!(driver.twin().take_notifications().is_empty());
    get(&mut driver, "/authentication_device", None);
    let notifications = driver.twin().take_notifications();
    assert_eq!(notifications.len(), 1);
    let ping = notifications.first().unwrap();
    assert_eq!(ping.uri(), &uri);
    assert_eq!(ping.headers()["authorization"], format!("Bearer {TOKEN}"));
    let body: Value = serde_json::from_slice(ping.body()).unwrap();
    assert_eq!(body, json!({ "auth_req_id": id }));
    assert_eq!(poll(&mut driver, &id).status(), 200);
    assert!(driver.twin().take_notifications().is_empty());
}

#[test]
fn pushed_tokens_are_protected_by_their_id_token() {
    let mut driver = driver();
    let uri: http::Uri = "https://client.test/pushed".parse().unwrap();
    driver
        .twin()
        .set_backchannel_delivery(BackchannelDelivery::Push(uri));
    let (id, response_body) = begun(&mut driver, &[("client_notification_token", TOKEN)]);
    assert_eq!(response_body.get("interval"), None);
    refused(&poll(&mut driver, &id), 400, "unauthorized_client");
    get(&mut driver, "/authentication_device", None);
    let notifications = driver.twin().take_notifications();
    let body: Value = serde_json::from_slice(notifications.first().unwrap().body()).unwrap();
    assert_eq!(body["auth_req_id"], id);
    let claims = jws::claims(&text(&body, "id_token"));
    assert_eq!(claims["urn:openid:params:jwt:claim:auth_req_id"], id);
    for name in ["at_hash", "urn:openid:params:jwt:claim:rt_hash"] {
        assert!(claims[name].is_string(), "{name}");
    }
    let access = text(&body, "access_token");
    assert_eq!(get(&mut driver, "/api/echo", Some(&access)).status(), 200);

    begun(&mut driver, &[("client_notification_token", TOKEN)]);
    driver.twin().deny_next();
    get(&mut driver, "/authentication_device", None);
    let notifications = driver.twin().take_notifications();
    let body: Value = serde_json::from_slice(notifications.first().unwrap().body()).unwrap();
    assert_eq!(
        (&body["error"], body.get("access_token")),
        (&json!("access_denied"), None)
    );
}

#[test]
fn a_signed_request_must_be_from_the_client_and_is_accepted_once() {
    let mut driver = driver();
    let [key, other] = [(); 2].map(|()| PrivateKey::generate(Alg::Es256).unwrap());
    let jwk = key.public_jwk().to_json();
    driver
        .twin()
        .register_assertion_key("twin-client", &jwk)
        .unwrap();
    let now = driver.now().as_secs();
    let claims = json!({
        "iss": "twin-client", "aud": "https://as.test", "iat": now, "nbf": now, "exp": now + 60, "jti": "1",
        "scope": "openid", "login_hint": "alice", "requested_expiry": 30,
    });
    let header = json!({ "alg": "ES256" });
    let valid_token = jws::sign_jwt(&key, &header, &claims);
    let reply = send_authentication_request(&mut driver, &[("request", &valid_token)]);
    assert_eq!(
        (reply.status().as_u16(), &json(&reply)["expires_in"]),
        (200, &json!(30))
    );
    refused(
        &send_authentication_request(&mut driver, &[("request", &valid_token)]),
        400,
        "invalid_request",
    );
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims["jti"] = "2".into();
        claims[name] = value;
        jws::sign_jwt(&key, &header, &claims)
    };
    for bad in [
        jws::sign_jwt(&other, &header, &claims),
        with("iss", json!("another")),
        with("aud", json!("https://elsewhere.test")),
        with("exp", json!(now)),
        with("nbf", Value::Null),
        with("jti", Value::Null),
        with("scope", json!(["openid"])),
    ] {
        refused(
            &send_authentication_request(&mut driver, &[("request", &bad)]),
            400,
            "invalid_request",
        );
    }
    let fresh = with("jti", json!("3"));
    let beside = [("request", &*fresh), ("scope", "openid")];
    refused(
        &send_authentication_request(&mut driver, &beside),
        400,
        "invalid_request",
    );
    assert_eq!(
        send_authentication_request(&mut driver, &[("request", &fresh)]).status(),
        200
    );
}

#[test]
fn polling_clients_get_slow_down_and_expired_token() {
    let mut driver = driver();
    let (id, _) = begun(&mut driver, &[]);
    driver.twin().inject(Fault::SlowDown);
    driver.twin().inject(Fault::ExpiredToken);
    // The tokens wait for the client's poll.
    begun(&mut driver, &[]);
    refused(&poll(&mut driver, &id), 400, "slow_down");
    driver.advance(Duration::from_secs(5));
    refused(&poll(&mut driver, &id), 400, "expired_token");
    driver.advance(Duration::from_secs(5));
    refused(&poll(&mut driver, &id), 400, "authorization_pending");
}

#[test]
fn the_log_shows_no_request_id_or_notification_token() {
    let mut driver = driver();
    let (id, _) = begun(&mut driver, &[("client_notification_token", TOKEN)]);
    poll(&mut driver, &id);
    let shown = format!("{:?}", driver.twin().log());
    assert!(!shown.contains(&id) && !shown.contains(TOKEN), "{shown}");
}
