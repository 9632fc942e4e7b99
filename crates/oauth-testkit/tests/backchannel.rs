//! The plain server: people who are asked on a device of theirs (CIBA Core).

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
fn ask(driver: &mut TwinDriver, form: &[(&str, &str)]) -> http::Response<Bytes> {
    let auth = confidential(driver);
    post_as(driver, "/backchannel_authentication", Some(&auth), form)
}

fn begun(driver: &mut TwinDriver, more: &[(&str, &str)]) -> (String, Value) {
    let reply = ask(driver, &[&ASK[..], more].concat());
    assert_eq!(reply.status(), 200);
    let said = json(&reply);
    (text(&said, "auth_req_id"), said)
}

/// Asks for the tokens.
fn poll(driver: &mut TwinDriver, id: &str) -> http::Response<Bytes> {
    let auth = confidential(driver);
    post_as(driver, "/token", Some(&auth), &[GRANT, ("auth_req_id", id)])
}

#[test]
fn a_request_waits_for_its_person() {
    let mut driver = driver();
    let (id, said) = begun(&mut driver, &[("binding_message", "W4SCT")]);
    assert_eq!(
        (&said["expires_in"], &said["interval"]),
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
fn a_person_says_no_or_nothing() {
    let mut driver = driver();
    let now = driver.now();
    assert!(!driver.twin().answer_backchannel(now));
    let (first, _) = begun(&mut driver, &[]);
    let (second, said) = begun(&mut driver, &[("requested_expiry", "30")]);
    assert_eq!(said["expires_in"], 30);
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
fn what_must_not_be_asked_is_refused_by_name() {
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
        refused(&ask(&mut driver, form), 400, error);
    }
    let public = [&ASK[..], &[("client_id", "twin-public")]].concat();
    let reply = post(&mut driver, "/backchannel_authentication", &public);
    refused(&reply, 401, "invalid_client");
    let reply = call(&mut driver, "GET", "/backchannel_authentication", None);
    assert_eq!(reply.status(), 405);
}

#[test]
fn an_id_token_names_its_person_even_when_it_has_ended() {
    let mut driver = driver();
    let (id, _) = begun(&mut driver, &[]);
    get(&mut driver, "/authentication_device", None);
    let hint = text(&json(&poll(&mut driver, &id)), "id_token");
    driver.advance(Duration::from_secs(3600));
    let form = [ASK[0], ("id_token_hint", &*hint)];
    assert_eq!(ask(&mut driver, &form).status(), 200);
    // Signed with the same key, by another server.
    let mut other = TwinDriver::new(Twin::generic("https://other.test"));
    let (id, _) = begun(&mut other, &[]);
    get(&mut other, "/authentication_device", None);
    let foreign = text(&json(&poll(&mut other, &id)), "id_token");
    let form = [ASK[0], ("id_token_hint", &*foreign)];
    refused(&ask(&mut driver, &form), 400, "invalid_request");
}

#[test]
fn a_client_is_notified_and_asks_once() {
    let mut driver = driver();
    let uri: http::Uri = "https://client.test/notified".parse().unwrap();
    driver
        .twin()
        .set_backchannel_delivery(BackchannelDelivery::Ping(uri.clone()));
    refused(&ask(&mut driver, &ASK), 400, "invalid_request");
    let short = [ASK[0], ASK[1], ("client_notification_token", "short")];
    refused(&ask(&mut driver, &short), 400, "invalid_request");
    let (id, _) = begun(&mut driver, &[("client_notification_token", TOKEN)]);
    assert!(driver.twin().take_notifications().is_empty());
    get(&mut driver, "/authentication_device", None);
    let told = driver.twin().take_notifications();
    assert_eq!(told.len(), 1);
    let ping = told.first().unwrap();
    assert_eq!(ping.uri(), &uri);
    assert_eq!(ping.headers()["authorization"], format!("Bearer {TOKEN}"));
    let body: Value = serde_json::from_slice(ping.body()).unwrap();
    assert_eq!(body, json!({ "auth_req_id": id }));
    assert_eq!(poll(&mut driver, &id).status(), 200);
    assert!(driver.twin().take_notifications().is_empty());
}

#[test]
fn tokens_are_pushed_and_their_id_token_vouches_for_them() {
    let mut driver = driver();
    let uri: http::Uri = "https://client.test/pushed".parse().unwrap();
    driver
        .twin()
        .set_backchannel_delivery(BackchannelDelivery::Push(uri));
    let (id, said) = begun(&mut driver, &[("client_notification_token", TOKEN)]);
    assert_eq!(said.get("interval"), None);
    refused(&poll(&mut driver, &id), 400, "unauthorized_client");
    get(&mut driver, "/authentication_device", None);
    let told = driver.twin().take_notifications();
    let body: Value = serde_json::from_slice(told.first().unwrap().body()).unwrap();
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
    let told = driver.twin().take_notifications();
    let body: Value = serde_json::from_slice(told.first().unwrap().body()).unwrap();
    assert_eq!(
        (&body["error"], body.get("access_token")),
        (&json!("access_denied"), None)
    );
}

#[test]
fn a_signed_request_is_the_clients_and_good_once() {
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
    let good = jws::signed(&key, &header, &claims);
    let reply = ask(&mut driver, &[("request", &good)]);
    assert_eq!(
        (reply.status().as_u16(), &json(&reply)["expires_in"]),
        (200, &json!(30))
    );
    refused(
        &ask(&mut driver, &[("request", &good)]),
        400,
        "invalid_request",
    );
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims["jti"] = "2".into();
        claims[name] = value;
        jws::signed(&key, &header, &claims)
    };
    for bad in [
        jws::signed(&other, &header, &claims),
        with("iss", json!("another")),
        with("aud", json!("https://elsewhere.test")),
        with("exp", json!(now)),
        with("nbf", Value::Null),
        with("jti", Value::Null),
        with("scope", json!(["openid"])),
    ] {
        refused(
            &ask(&mut driver, &[("request", &bad)]),
            400,
            "invalid_request",
        );
    }
    let fresh = with("jti", json!("3"));
    let beside = [("request", &*fresh), ("scope", "openid")];
    refused(&ask(&mut driver, &beside), 400, "invalid_request");
    assert_eq!(ask(&mut driver, &[("request", &fresh)]).status(), 200);
}

#[test]
fn those_who_ask_are_told_to_go_slower_and_that_it_is_over() {
    let mut driver = driver();
    let (id, _) = begun(&mut driver, &[]);
    driver.twin().inject(Fault::SlowDown);
    driver.twin().inject(Fault::ExpiredToken);
    // They wait for somebody who asks.
    begun(&mut driver, &[]);
    refused(&poll(&mut driver, &id), 400, "slow_down");
    driver.advance(Duration::from_secs(5));
    refused(&poll(&mut driver, &id), 400, "expired_token");
    driver.advance(Duration::from_secs(5));
    refused(&poll(&mut driver, &id), 400, "authorization_pending");
}

#[test]
fn the_log_shows_no_name_of_a_request() {
    let mut driver = driver();
    let (id, _) = begun(&mut driver, &[("client_notification_token", TOKEN)]);
    poll(&mut driver, &id);
    let shown = format!("{:?}", driver.twin().log());
    assert!(!shown.contains(&id) && !shown.contains(TOKEN), "{shown}");
}
