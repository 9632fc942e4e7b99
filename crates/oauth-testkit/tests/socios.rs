//! Socios.com, as PROVIDERS.md has it.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::*;
use http::Response;
use oauth_testkit::{Twin, TwinDriver};
use serde_json::json;

const KEY: &str = "sociosConsumerKey";
const SECRET: &str = "c0nsumer+s3cret/xyz";
const REDIRECT: &str = "https://app.example/callback";

fn driver() -> TwinDriver {
    TwinDriver::new(Twin::socios("https://partner.socios.com"))
}

fn app(driver: &mut TwinDriver) -> Response<Bytes> {
    let auth = raw_basic(KEY, SECRET);
    post_as(
        driver,
        "/oauth2/token",
        Some(&auth),
        &[("grant_type", "client_credentials")],
    )
}

fn connect(driver: &mut TwinDriver) -> String {
    let query = [
        ("response_type", "code"),
        ("client_id", KEY),
        ("redirect_uri", REDIRECT),
        ("state", "st"),
        ("partner_tag", "acme"),
        ("referrer", "mail"),
        ("campaign", "spring"),
        ("param1", "a"),
        ("param2", "b"),
        ("param3", "c"),
    ];
    let url = visit_authorization_endpoint(driver, "/oauth2/authorize", &query);
    let callback = driver.browse(&url).unwrap();
    assert_eq!(
        (
            param(&callback, "state").as_deref(),
            param(&callback, "iss")
        ),
        (Some("st"), None)
    );
    param(&callback, "code").unwrap()
}

fn exchange(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("client_id", KEY),
        ("client_secret", SECRET),
    ]
}

fn user(driver: &mut TwinDriver) -> serde_json::Value {
    let code = connect(driver);
    json(&post(driver, "/oauth2/token", &exchange(&code)))
}

fn refresh(driver: &mut TwinDriver, token: &str) -> Response<Bytes> {
    let auth = raw_basic(KEY, SECRET);
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    post_as(driver, "/oauth2/token", Some(&auth), &form)
}

#[test]
fn client_credentials_require_unencoded_basic() {
    let mut driver = driver();
    let twin = driver.twin();
    assert_eq!((twin.client_id(), twin.client_secret()), (KEY, SECRET));
    let token = json(&app(&mut driver));
    assert_eq!(
        (&token["token_type"], &token["expires_in"]),
        (&json!("bearer"), &json!(7200))
    );
    let grant = ("grant_type", "client_credentials");
    let encoded = encoded_basic(KEY, SECRET);
    let reply = post_as(&mut driver, "/oauth2/token", Some(&encoded), &[grant]);
    refused(&reply, 401, "invalid_client");
    let body = [grant, ("client_id", KEY), ("client_secret", SECRET)];
    refused(
        &post(&mut driver, "/oauth2/token", &body),
        401,
        "invalid_client",
    );
}

#[test]
fn the_code_exchange_requires_credentials_in_the_body() {
    let mut driver = driver();
    let code = connect(&mut driver);
    let form = exchange(&code);
    let auth = raw_basic(KEY, SECRET);
    let basic = post_as(&mut driver, "/oauth2/token", Some(&auth), &form[..3]);
    refused(&basic, 401, "invalid_client");
    let both = post_as(&mut driver, "/oauth2/token", Some(&auth), &form);
    refused(&both, 400, "invalid_request");
    let elsewhere = [
        form[0],
        form[1],
        ("redirect_uri", "https://app.example/"),
        form[3],
        form[4],
    ];
    refused(
        &post(&mut driver, "/oauth2/token", &elsewhere),
        400,
        "invalid_grant",
    );
    let nowhere = [form[0], form[1], form[3], form[4]];
    refused(
        &post(&mut driver, "/oauth2/token", &nowhere),
        400,
        "invalid_grant",
    );

    let token = json(&post(&mut driver, "/oauth2/token", &form));
    assert_eq!(
        (&token["token_type"], &token["expires_in"]),
        (&json!("bearer"), &json!(7200))
    );
    assert!(token["refresh_token"].is_string());
    refused(
        &post(&mut driver, "/oauth2/token", &form),
        400,
        "invalid_grant",
    );
}

#[test]
fn the_authorization_url_accepts_tag_and_tracking_parameters() {
    let mut driver = driver();
    connect(&mut driver);
    let entry = &driver.twin().log()[0];
    assert_eq!(
        (entry.query("partner_tag"), entry.query("param3")),
        (Some("acme"), Some("c"))
    );
    let other = [
        ("client_id", KEY),
        ("redirect_uri", "http://127.0.0.1:1/callback"),
    ];
    let url = visit_authorization_endpoint(&mut driver, "/oauth2/authorize", &other);
    assert!(driver.browse(&url).is_none());
}

#[test]
fn refresh_rotates_and_reuse_revokes_the_token_family() {
    let mut driver = driver();
    let first = user(&mut driver);
    let second = json(&refresh(&mut driver, &text(&first, "refresh_token")));
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    refused(
        &refresh(&mut driver, &text(&first, "refresh_token")),
        400,
        "invalid_grant",
    );
    assert_eq!(driver.twin().counters().reuse_events, 1);
    refused(
        &refresh(&mut driver, &text(&second, "refresh_token")),
        400,
        "invalid_grant",
    );
    let access = text(&second, "access_token");
    assert_eq!(get(&mut driver, "/user/polls", Some(&access)).status(), 401);

    let body = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_id", KEY),
        ("client_secret", SECRET),
    ];
    refused(
        &post(&mut driver, "/oauth2/token", &body),
        401,
        "invalid_client",
    );
}

#[test]
fn refresh_tokens_expire_after_ninety_days() {
    let mut driver = driver();
    let token = user(&mut driver);
    driver.advance(Duration::from_secs(7_776_000 - 1));
    let token = json(&refresh(&mut driver, &text(&token, "refresh_token")));
    driver.advance(Duration::from_secs(7_776_000));
    refused(
        &refresh(&mut driver, &text(&token, "refresh_token")),
        400,
        "invalid_grant",
    );
    assert_eq!(driver.twin().counters().reuse_events, 0);
}

#[test]
fn revocation_responds_the_same_for_known_and_unknown_tokens() {
    let mut driver = driver();
    let token = user(&mut driver);
    let auth = raw_basic(KEY, SECRET);
    for token in [&*text(&token, "refresh_token"), "never-seen"] {
        let reply = post_as(
            &mut driver,
            "/oauth2/revoke",
            Some(&auth),
            &[("token", token)],
        );
        assert_eq!((reply.status().as_u16(), reply.body().len()), (200, 0));
    }
    refused(
        &refresh(&mut driver, &text(&token, "refresh_token")),
        400,
        "invalid_grant",
    );
    let body = [
        ("token", "x"),
        ("client_id", KEY),
        ("client_secret", SECRET),
    ];
    refused(
        &post(&mut driver, "/oauth2/revoke", &body),
        401,
        "invalid_client",
    );
}

#[test]
fn the_router_requires_the_right_kind_of_token() {
    let mut driver = driver();
    let app = text(&json(&app(&mut driver)), "access_token");
    let user = text(&user(&mut driver), "access_token");
    let mut status = |method, path, token: &str| {
        call(&mut driver, method, path, Some(token))
            .status()
            .as_u16()
    };
    for (method, path, is_user_token) in [
        ("GET", "/polls/1.0.0/polls", false),
        ("GET", "/wallet/1.0.0/user/wallet", true),
        ("GET", "/user/polls", true),
        ("POST", "/user/poll/1/vote", true),
    ] {
        assert_eq!(
            status(method, path, &app),
            if is_user_token { 403 } else { 200 },
            "{path}"
        );
        assert_eq!(
            status(method, path, &user),
            if is_user_token { 200 } else { 403 },
            "{path}"
        );
    }
    assert_eq!(status("GET", "/user/poll/1/vote", &user), 404);
    let wallet = get(&mut driver, "/wallet/1.0.0/user/wallet", Some(&user));
    assert!(json(&wallet)["data"]["userId"].is_string());
}

#[test]
fn an_expired_token_gets_an_invalid_token_challenge() {
    let mut driver = driver();
    let app = text(&json(&app(&mut driver)), "access_token");
    driver.advance(Duration::from_secs(7200));
    let reply = get(&mut driver, "/polls/1.0.0/polls", Some(&app));
    assert_eq!(reply.status(), 401);
    assert_eq!(
        reply.headers()["www-authenticate"],
        "Bearer error=\"invalid_token\""
    );
    assert_eq!(driver.twin().public_client_id(), "");
    assert_eq!(
        get(&mut driver, "/.well-known/openid-configuration", None).status(),
        404
    );
}
