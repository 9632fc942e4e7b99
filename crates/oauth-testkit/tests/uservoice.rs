//! UserVoice, as PROVIDERS.md has it.

mod common;

use std::time::Duration;

use common::*;
use oauth_testkit::{Twin, TwinDriver};
use serde_json::json;

const TOKEN: &str = "/api/v2/oauth/token";
const AUTH: &str = "/api/v2/oauth/auth";
const REDIRECT: &str = "https://app.example/callback";
const TRUSTED: [(&str, &str); 3] = [
    ("grant_type", "client_credentials"),
    ("client_id", "uv-trusted-key"),
    ("client_secret", "s3cr+t/%: ~"),
];

fn driver() -> TwinDriver {
    TwinDriver::new(Twin::uservoice("https://acme.uservoice.com/"))
}

fn trusted(driver: &mut TwinDriver) -> String {
    text(&json(&post(driver, TOKEN, &TRUSTED)), "access_token")
}

fn user(
    driver: &mut TwinDriver,
    pkce: &[(&str, &str)],
    proof: Option<&str>,
) -> http::Response<bytes::Bytes> {
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", "uv-public-key"),
        ("redirect_uri", REDIRECT),
        ("state", "st"),
    ];
    query.extend(pkce);
    let url = visit_authorization_endpoint(driver, AUTH, &query);
    let callback = driver.browse(&url).unwrap();
    assert_eq!(param(&callback, "state").unwrap(), "st");
    assert_eq!(param(&callback, "iss"), None);
    let code = param(&callback, "code").unwrap();
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "uv-public-key"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
    ];
    form.extend(proof.map(|verifier| ("code_verifier", verifier)));
    post(driver, TOKEN, &form)
}

#[test]
fn the_token_response_contains_only_a_token() {
    let mut driver = driver();
    let token = json(&post(&mut driver, TOKEN, &TRUSTED));
    assert_eq!(token.as_object().unwrap().len(), 1);
    let token = text(&token, "access_token");
    assert!(token.len() == 16 && token.bytes().all(|b| b.is_ascii_hexdigit()));
    driver.twin().set_access_token_lifetime(60);
    assert_eq!(
        json(&post(&mut driver, TOKEN, &TRUSTED))
            .as_object()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn basic_authentication_is_refused() {
    let mut driver = driver();
    for auth in [
        raw_basic(TRUSTED[1].1, TRUSTED[2].1),
        encoded_basic(TRUSTED[1].1, TRUSTED[2].1),
    ] {
        let reply = post_as(&mut driver, TOKEN, Some(&auth), &TRUSTED[..1]);
        refused(&reply, 401, "invalid_client");
        refused(
            &post_as(&mut driver, TOKEN, Some(&auth), &TRUSTED),
            400,
            "invalid_request",
        );
    }
}

#[test]
fn public_clients_use_codes_with_or_without_pkce() {
    let mut driver = driver();
    let challenge = challenge();
    let s256 = ("code_challenge_method", "S256");
    assert_eq!(user(&mut driver, &[], None).status(), 200);
    let standard = [("code_challenge", challenge.as_str()), s256];
    assert_eq!(user(&mut driver, &standard, Some(VERIFIER)).status(), 200);
    refused(&user(&mut driver, &standard, None), 400, "invalid_grant");
    // The documented deviation: the challenge is sent as `code_verifier`, alone or in addition.
    let misnamed_challenge = [("code_verifier", challenge.as_str()), s256];
    assert_eq!(
        user(&mut driver, &misnamed_challenge, Some(VERIFIER)).status(),
        200
    );
    let both = [standard[0], misnamed_challenge[0], s256];
    assert_eq!(user(&mut driver, &both, Some(VERIFIER)).status(), 200);

    // The verifier itself must never be in a URL.
    let leak = [
        ("client_id", "uv-public-key"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
    ];
    let leak = [&leak[..], &[standard[0], s256, ("code_verifier", VERIFIER)]].concat();
    let url = visit_authorization_endpoint(&mut driver, AUTH, &leak);
    let callback = driver.browse(&url).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "invalid_request");
}

#[test]
fn clients_are_limited_to_their_grants() {
    let mut driver = driver();
    let public = [TRUSTED[0], ("client_id", "uv-public-key")];
    refused(&post(&mut driver, TOKEN, &public), 401, "invalid_client");
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        TRUSTED[1],
        TRUSTED[2],
    ];
    refused(
        &post(&mut driver, TOKEN, &refresh),
        400,
        "unsupported_grant_type",
    );
    let query = [
        ("response_type", "code"),
        TRUSTED[1],
        ("redirect_uri", REDIRECT),
    ];
    let url = visit_authorization_endpoint(&mut driver, AUTH, &query);
    let callback = driver.browse(&url).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "unauthorized_client");
}

#[test]
fn each_kind_of_token_is_limited_to_its_routes() {
    let mut driver = driver();
    let app = trusted(&mut driver);
    let person = text(&json(&user(&mut driver, &[], None)), "access_token");
    let mut status = |path, token: &str| get(&mut driver, path, Some(token)).status().as_u16();
    assert_eq!(status("/api/v2/admin/suggestions", &app), 200);
    assert_eq!(status("/api/v2/admin/suggestions", &person), 403);
    assert_eq!(status("/api/v2/end_users/me", &person), 200);
    assert_eq!(status("/api/v2/end_users/me", &app), 403);
    assert_eq!(status("/api/v2/nowhere", &app), 404);
    assert_eq!(status("/.well-known/oauth-authorization-server", &app), 404);
}

#[test]
fn an_expired_token_receives_a_401_without_a_challenge() {
    let mut driver = driver();
    let app = trusted(&mut driver);
    driver.advance(Duration::from_secs(10 * 365 * 86_400));
    assert_eq!(
        get(&mut driver, "/api/v2/admin/suggestions", Some(&app)).status(),
        200
    );
    driver.twin().expire_access_tokens();
    let reply = get(&mut driver, "/api/v2/admin/suggestions", Some(&app));
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers().get("www-authenticate"), None);
    assert_eq!(json(&reply)["errors"][0]["key"], json!("unauthorized"));
    assert_eq!(driver.twin().counters().api_401, 1);
    let app = trusted(&mut driver);
    assert_eq!(
        get(&mut driver, "/api/v2/admin/suggestions", Some(&app)).status(),
        200
    );
}

#[test]
fn a_call_over_the_limit_gets_a_retry_after() {
    let mut driver = driver();
    let app = trusted(&mut driver);
    driver.twin().set_rate_limit(2);
    let mut call = |after| {
        driver.advance(Duration::from_secs(after));
        let reply = get(&mut driver, "/api/v2/admin/suggestions", Some(&app));
        let pause = reply
            .headers()
            .get("retry-after")
            .map(|v| v.to_str().unwrap().to_owned());
        (reply.status().as_u16(), pause)
    };
    assert_eq!(call(0), (200, None));
    assert_eq!(call(10), (200, None));
    assert_eq!(call(20), (429, Some("30".to_owned())));
    assert_eq!(call(30), (200, None));
}
