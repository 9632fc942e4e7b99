//! UserTesting, both servers, as PROVIDERS.md has them.

mod common;

use std::time::Duration;

use common::*;
use oauth_testkit::{Twin, TwinDriver};
use serde_json::json;

const ISSUER: &str = "/oauth2/aus1p3vtd8vtm4Bxv0h8";
const APPS: &str = "/oauth2/0oa1partnerapp2345678";
const KEY: [(&str, &str); 4] = [
    ("grant_type", "client_credentials"),
    ("scope", "studies:read"),
    ("client_id", "0oa-usertesting-key"),
    ("client_secret", "s3cr+t/%: ~"),
];
const RESULTS: &str = "/api/v2/sessionResults/?testId=7";

fn driver() -> TwinDriver {
    TwinDriver::new(Twin::usertesting("https://auth.usertesting.com"))
}

fn apps() -> TwinDriver {
    TwinDriver::new(Twin::usertesting_apps("https://auth.usertesting.com"))
}

fn token(driver: &mut TwinDriver) -> String {
    text(
        &json(&post(driver, &format!("{ISSUER}/v1/token"), &KEY)),
        "access_token",
    )
}

#[test]
fn metadata_is_served_under_both_well_known_forms() {
    let mut driver = driver();
    let issuer = driver.twin().issuer().to_owned();
    assert_eq!(
        issuer,
        "https://auth.usertesting.com/oauth2/aus1p3vtd8vtm4Bxv0h8"
    );
    for path in [
        format!("/.well-known/oauth-authorization-server{ISSUER}"),
        format!("{ISSUER}/.well-known/oauth-authorization-server"),
        format!("{ISSUER}/.well-known/openid-configuration"),
    ] {
        let document = json(&get(&mut driver, &path, None));
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["token_endpoint"], format!("{issuer}/v1/token"));
        assert_eq!(
            document["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert!(document["dpop_signing_alg_values_supported"].is_array());
    }
    assert_eq!(
        get(&mut driver, "/.well-known/openid-configuration", None).status(),
        404
    );
}

#[test]
fn client_credentials_are_accepted_in_the_body_or_by_basic() {
    let mut driver = driver();
    let path = format!("{ISSUER}/v1/token");
    let reply = json(&post(&mut driver, &path, &KEY));
    assert_eq!(
        (
            &reply["token_type"],
            &reply["expires_in"],
            &reply["scope"],
            &reply["refresh_token"]
        ),
        (
            &json!("Bearer"),
            &json!(3600),
            &json!("studies:read"),
            &json!(null)
        )
    );
    assert_eq!(text(&reply, "access_token").split('.').count(), 3);
    assert!(text(&reply, "access_token").starts_with("eyJ"));

    let auth = encoded_basic(KEY[2].1, KEY[3].1);
    assert_eq!(
        post_as(&mut driver, &path, Some(&auth), &KEY[..2]).status(),
        200
    );
    refused(
        &post_as(&mut driver, &path, Some(&auth), &KEY),
        400,
        "invalid_request",
    );
    let old = [KEY[0], ("scope", "public_api.read"), KEY[2], KEY[3]];
    assert_eq!(post(&mut driver, &path, &old).status(), 200);
    refused(
        &post(&mut driver, &path, &[KEY[0], KEY[2], KEY[3]]),
        400,
        "invalid_scope",
    );
    let code = [("grant_type", "authorization_code"), KEY[2], KEY[3]];
    refused(
        &post(&mut driver, &path, &code),
        400,
        "unsupported_grant_type",
    );
}

#[test]
fn one_token_is_valid_for_both_apis() {
    let mut driver = driver();
    let token = token(&mut driver);
    assert_eq!(
        json(&get(&mut driver, RESULTS, Some(&token)))["testId"],
        "7"
    );
    let reply = get(
        &mut driver,
        "/api/v1/sessionResults/?testId=7",
        Some(&token),
    );
    assert_eq!(reply.status(), 200);
    let reply = get(&mut driver, "/api/v1/sessionResults/", Some(&token));
    assert_eq!(reply.status(), 400);
    assert_eq!(json(&reply)["errorCode"], "BAD_REQUEST");
    assert!(json(&reply)["errorMessage"].is_string());
    assert_eq!(get(&mut driver, RESULTS, None).status(), 401);
    driver.advance(Duration::from_secs(3600));
    assert_eq!(get(&mut driver, RESULTS, Some(&token)).status(), 401);
}

#[test]
fn results_are_limited_to_ten_a_minute() {
    let mut driver = driver().at(1_750_000_000);
    let token_1 = token(&mut driver);
    for _ in 0..10 {
        assert_eq!(get(&mut driver, RESULTS, Some(&token_1)).status(), 200);
    }
    driver.advance(Duration::from_secs(59));
    let reply = get(&mut driver, RESULTS, Some(&token_1));
    assert_eq!(reply.status(), 429);
    assert_eq!(reply.headers()["x-ratelimit-reset"], "1750000060");
    assert_eq!(reply.headers().get("retry-after"), None);
    assert_eq!(
        get(
            &mut driver,
            "/api/v1/sessionResults?testId=7",
            Some(&token_1)
        )
        .status(),
        200
    );
    let token_2 = token(&mut driver);
    assert_eq!(get(&mut driver, RESULTS, Some(&token_2)).status(), 200);
    driver.advance(Duration::from_secs(1));
    assert_eq!(get(&mut driver, RESULTS, Some(&token_1)).status(), 200);
    assert_eq!(driver.twin().counters().api_429, 1);
}

#[test]
fn tokens_are_introspected_and_revoked() {
    let mut driver = driver();
    let token = token(&mut driver);
    let form = [("token", &*token), KEY[2], KEY[3]];
    let (look, revoke) = (
        format!("{ISSUER}/v1/introspect"),
        format!("{ISSUER}/v1/revoke"),
    );
    assert_eq!(json(&post(&mut driver, &look, &form))["active"], true);
    assert_eq!(post(&mut driver, &revoke, &form).status(), 200);
    assert_eq!(json(&post(&mut driver, &look, &form))["active"], false);
    assert_eq!(
        json(&get(&mut driver, &format!("{ISSUER}/v1/keys"), None)),
        json!({ "keys": [] })
    );
    let device = format!("{ISSUER}/v1/device/authorize");
    refused(
        &post(&mut driver, &device, &KEY[2..]),
        400,
        "unauthorized_client",
    );
}

fn authorize(driver: &mut TwinDriver, redirect_uri: &str, more: &[(&str, &str)]) -> Option<String> {
    let challenge = challenge();
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", "0oa1partnerapp2345678"),
        ("redirect_uri", redirect_uri),
        ("scope", "clips:read studies:read"),
        ("state", "st"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    query.extend(more);
    let url = visit_authorization_endpoint(driver, &format!("{APPS}/v1/authorize"), &query);
    driver.browse(&url)
}

#[test]
fn a_partner_app_gets_a_user_token() {
    let mut driver = apps();
    let callback = authorize(&mut driver, "https://app.example/callback", &[]).unwrap();
    assert_eq!(param(&callback, "iss").unwrap(), driver.twin().issuer());
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &param(&callback, "code").unwrap()),
        ("redirect_uri", "https://app.example/callback"),
        ("client_id", "0oa1partnerapp2345678"),
        ("client_secret", "s3cr+t/%: ~"),
        ("code_verifier", VERIFIER),
    ];
    let path = format!("{APPS}/v1/token");
    let token = json(&post(&mut driver, &path, &form));
    assert_eq!(
        (&token["scope"], &token["refresh_token"]),
        (&json!("clips:read studies:read"), &json!(null))
    );
    let access = text(&token, "access_token");
    assert_eq!(get(&mut driver, RESULTS, Some(&access)).status(), 200);
    let cc = [KEY[0], form[3], form[4]];
    refused(
        &post(&mut driver, &path, &cc),
        400,
        "unsupported_grant_type",
    );
}

#[test]
fn redirect_uris_are_compared_exactly() {
    let mut driver = apps();
    assert!(authorize(&mut driver, "http://127.0.0.1:8400/callback", &[]).is_some());
    assert!(authorize(&mut driver, "http://127.0.0.1:8401/callback", &[]).is_none());
    assert!(authorize(&mut driver, "https://app.example/callback/", &[]).is_none());
    assert!(authorize(&mut driver, "https://APP.example/callback", &[]).is_none());
    assert!(authorize(&mut driver, "https://other.example/callback", &[]).is_none());
    assert_eq!(driver.twin().log().last().unwrap().status, 400);
}

#[test]
fn a_secret_in_the_authorization_url_is_refused() {
    let mut driver = apps();
    let secret = [("client_secret", "s3cr+t/%: ~")];
    assert!(authorize(&mut driver, "https://app.example/callback", &secret).is_none());
    assert_eq!(driver.twin().counters().secrets_in_url, 1);
}

#[test]
fn an_unknown_scope_is_refused() {
    let mut driver = apps();
    let query = [
        ("response_type", "code"),
        ("client_id", "0oa1partnerapp2345678"),
        ("redirect_uri", "https://app.example/callback"),
        ("scope", "clips:write"),
    ];
    let url = visit_authorization_endpoint(&mut driver, &format!("{APPS}/v1/authorize"), &query);
    let callback = driver.browse(&url).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "invalid_scope");
}
