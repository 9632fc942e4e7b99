//! The plain server: metadata, client authentication, and codes.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::plain::*;
use common::*;
use serde_json::json;

#[test]
fn metadata_is_served_at_both_well_known_urls() {
    let mut driver = driver();
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let document = json(&get(&mut driver, path, None));
        assert_eq!(document["issuer"], "https://as.test");
        assert_eq!(document["token_endpoint"], "https://as.test/token");
        assert_eq!(
            document["authorization_response_iss_parameter_supported"],
            true
        );
    }
    assert_eq!(
        post(&mut driver, "/.well-known/openid-configuration", &[]).status(),
        405
    );
}

#[test]
fn client_credentials_are_accepted_by_basic_and_by_body() {
    let mut driver = driver();
    let auth = basic_credentials(&mut driver);
    let reply = post_as(
        &mut driver,
        "/token",
        Some(&auth),
        &[("grant_type", "client_credentials")],
    );
    assert_eq!(reply.headers()["cache-control"], "no-store");
    let token = json(&reply);
    assert_eq!(
        (
            &token["token_type"],
            &token["expires_in"],
            &token["scope"],
            &token["refresh_token"]
        ),
        (&json!("Bearer"), &json!(3600), &json!("read"), &json!(null))
    );

    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "twin-client"),
        ("client_secret", "s3cr+t/%: ~"),
        ("scope", "read write"),
    ];
    assert_eq!(
        json(&post(&mut driver, "/token", &form))["scope"],
        "read write"
    );
}

#[test]
fn client_authentication_is_strict() {
    let mut driver = driver();
    let grant = ("grant_type", "client_credentials");
    // Not form-encoded: '+' reads as a space.
    let raw = raw_basic("twin-client", "s3cr+t/%: ~");
    let reply = post_as(&mut driver, "/token", Some(&raw), &[grant]);
    refused(&reply, 401, "invalid_client");
    assert!(
        reply.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Basic")
    );

    let auth = basic_credentials(&mut driver);
    let both = [
        grant,
        ("client_id", "twin-client"),
        ("client_secret", "s3cr+t/%: ~"),
    ];
    refused(
        &post_as(&mut driver, "/token", Some(&auth), &both),
        400,
        "invalid_request",
    );
    let other = [grant, ("client_id", "twin-public")];
    refused(
        &post_as(&mut driver, "/token", Some(&auth), &other),
        400,
        "invalid_request",
    );

    let wrong = [
        grant,
        ("client_id", "twin-client"),
        ("client_secret", "wrong"),
    ];
    refused(&post(&mut driver, "/token", &wrong), 401, "invalid_client");
    refused(
        &post(&mut driver, "/token", &[grant]),
        401,
        "invalid_client",
    );
    // A confidential client does not become public by leaving out its secret.
    let without_secret = [grant, ("client_id", "twin-client")];
    refused(
        &post(&mut driver, "/token", &without_secret),
        401,
        "invalid_client",
    );
    let bearer = post_as(&mut driver, "/token", Some("Bearer x"), &[grant]);
    refused(&bearer, 401, "invalid_client");
}

#[test]
fn malformed_requests_are_refused() {
    let mut driver = driver();
    let twice = [
        ("grant_type", "client_credentials"),
        ("scope", "read"),
        ("scope", "write"),
    ];
    refused(&post(&mut driver, "/token", &twice), 400, "invalid_request");
    refused(&post(&mut driver, "/token", &[]), 400, "invalid_request");
    let unknown = post(&mut driver, "/token", &[("grant_type", "magic")]);
    refused(&unknown, 400, "unsupported_grant_type");
    let reply = get(&mut driver, "/token", None);
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );

    let body = r#"{"grant_type":"client_credentials"}"#;
    let request = http::Request::post("https://as.test/token")
        .header("content-type", "application/json")
        .body(Bytes::from(body))
        .unwrap();
    refused(&driver.send(request), 400, "invalid_request");

    let auth = basic_credentials(&mut driver);
    let scope = [("grant_type", "client_credentials"), ("scope", "root")];
    refused(
        &post_as(&mut driver, "/token", Some(&auth), &scope),
        400,
        "invalid_scope",
    );
}

#[test]
fn the_callback_carries_code_state_and_issuer() {
    let mut driver = driver();
    let callback = authorize(&mut driver, "twin-client", &[]).unwrap();
    assert!(callback.starts_with("https://app.example/callback?code="));
    assert_eq!(param(&callback, "state").unwrap(), "s t&a=te");
    assert_eq!(param(&callback, "iss").unwrap(), "https://as.test");
    assert_eq!(driver.twin().counters().authorizations, 1);
}

#[test]
fn a_code_is_accepted_once_and_within_a_minute() {
    let mut driver = driver();
    let code_1 = code(&mut driver);
    let token = json(&redeem(&mut driver, &code_1));
    let access = text(&token, "access_token");
    assert_eq!(get(&mut driver, "/api/echo", Some(&access)).status(), 200);

    // Reuse of the code revokes its tokens (RFC 6749 section 4.1.2).
    refused(&redeem(&mut driver, &code_1), 400, "invalid_grant");
    assert_eq!(get(&mut driver, "/api/echo", Some(&access)).status(), 401);
    refused(
        &refresh(&mut driver, &text(&token, "refresh_token")),
        400,
        "invalid_grant",
    );

    let code_2 = code(&mut driver);
    driver.advance(Duration::from_secs(59));
    assert_eq!(redeem(&mut driver, &code_2).status(), 200);
    let code_3 = code(&mut driver);
    driver.advance(Duration::from_secs(60));
    refused(&redeem(&mut driver, &code_3), 400, "invalid_grant");
}

#[test]
fn a_code_is_bound_to_client_and_redirect_uri() {
    let mut driver = driver();
    let auth = basic_credentials(&mut driver);
    let code = code(&mut driver);
    let grant = ("grant_type", "authorization_code");
    for wrong in [None, Some("https://app.example/other")] {
        let mut form = vec![grant, ("code", &code)];
        form.extend(wrong.map(|uri| ("redirect_uri", uri)));
        refused(
            &post_as(&mut driver, "/token", Some(&auth), &form),
            400,
            "invalid_grant",
        );
    }
    let form = [
        grant,
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("client_id", "twin-public"),
    ];
    refused(&post(&mut driver, "/token", &form), 400, "invalid_grant");
    assert_eq!(redeem(&mut driver, &code).status(), 200);
}

#[test]
fn pkce_is_verified_and_required_for_public_clients() {
    let mut driver = driver();
    let callback = authorize(&mut driver, "twin-public", &[]).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "invalid_request");

    let challenge = challenge();
    let plain = [
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "plain"),
    ];
    let callback = authorize(&mut driver, "twin-public", &plain).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "invalid_request");

    let s256 = [
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let callback = authorize(&mut driver, "twin-public", &s256).unwrap();
    let code = param(&callback, "code").unwrap();
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("client_id", "twin-public"),
    ];
    refused(&post(&mut driver, "/token", &form), 400, "invalid_grant");
    form.push(("code_verifier", &challenge));
    refused(&post(&mut driver, "/token", &form), 400, "invalid_grant");
    form.pop();
    form.push(("code_verifier", VERIFIER));
    assert_eq!(post(&mut driver, "/token", &form).status(), 200);

    // The verifier itself in the URL.
    let leaked = [s256[0], s256[1], ("code_verifier", VERIFIER)];
    let callback = authorize(&mut driver, "twin-public", &leaked).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "invalid_request");
}

#[test]
fn an_unexpected_verifier_is_rejected() {
    let mut driver = driver();
    let auth = basic_credentials(&mut driver);
    let code = code(&mut driver);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    refused(
        &post_as(&mut driver, "/token", Some(&auth), &form),
        400,
        "invalid_grant",
    );
}

#[test]
fn unregistered_redirect_uris_are_refused() {
    let mut driver = driver();
    let mut page = |uri: &str| {
        let query = [
            ("response_type", "code"),
            ("client_id", "twin-client"),
            ("redirect_uri", uri),
        ];
        let url = visit_authorization_endpoint(&mut driver, "/authorize", &query);
        driver.browse(&url).is_none()
    };
    assert!(page("https://app.example/callback/"));
    assert!(page("https://app.example/callback?x=1"));
    assert!(page("https://app.example.evil.test/callback"));
    assert!(page("http://127.0.0.1:1@evil.test/callback"));
    assert!(page("http://127.0.0.1:/callback"));
    assert!(page("http://localhost:4000/callback"));
    // Any port, on loopback addresses (RFC 8252 section 7.3).
    assert!(!page("http://127.0.0.1:49152/callback"));
    assert!(!page("http://[::1]:49152/callback"));
    assert!(page("http://127.0.0.1:49152/other"));

    let url =
        visit_authorization_endpoint(&mut driver, "/authorize", &[("client_id", "twin-client")]);
    assert!(driver.browse(&url).is_none());
    let url = visit_authorization_endpoint(
        &mut driver,
        "/authorize",
        &[("client_id", "nobody"), ("redirect_uri", REDIRECT)],
    );
    assert!(driver.browse(&url).is_none());
    driver
        .twin()
        .register_redirect_uri("https://more.example/cb?a=b");
    let more = [
        ("response_type", "code"),
        ("client_id", "twin-client"),
        ("redirect_uri", "https://more.example/cb?a=b"),
    ];
    let url = visit_authorization_endpoint(&mut driver, "/authorize", &more);
    assert!(
        driver
            .browse(&url)
            .unwrap()
            .starts_with("https://more.example/cb?a=b&code=")
    );
}

#[test]
fn the_authorization_endpoint_reports_errors_in_the_callback() {
    let mut driver = driver();
    driver.twin().deny_next();
    let callback = authorize(&mut driver, "twin-client", &[]).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "access_denied");
    assert_eq!(param(&callback, "state").unwrap(), "s t&a=te");
    assert_eq!(param(&callback, "iss").unwrap(), "https://as.test");
    assert!(
        authorize(&mut driver, "twin-client", &[])
            .unwrap()
            .contains("code=")
    );

    let callback = authorize(&mut driver, "twin-client", &[("scope", "root")]).unwrap();
    assert_eq!(param(&callback, "error").unwrap(), "invalid_scope");
    let token = [
        ("response_type", "token"),
        ("client_id", "twin-client"),
        ("redirect_uri", REDIRECT),
    ];
    let url = visit_authorization_endpoint(&mut driver, "/authorize", &token);
    let callback = driver.browse(&url).unwrap();
    assert_eq!(
        param(&callback, "error").unwrap(),
        "unsupported_response_type"
    );
}

#[test]
fn a_secret_in_the_url_is_refused_and_counted() {
    let mut driver = driver();
    assert!(authorize(&mut driver, "twin-client", &[("client_secret", "x")]).is_none());
    let auth = basic_credentials(&mut driver);
    let reply = post_as(
        &mut driver,
        "/token?client_secret=x",
        Some(&auth),
        &[("grant_type", "client_credentials")],
    );
    refused(&reply, 400, "invalid_request");
    assert_eq!(driver.twin().counters().secrets_in_url, 2);
}

/// A server that binds no tokens to keys ignores what it does not know (RFC 6749 section 3.1).
#[test]
fn dpop_jkt_is_ignored_by_a_server_without_dpop() {
    let mut driver = driver();
    let parameters = [("dpop_jkt", "the thumbprint of a key")];
    let callback = authorize(&mut driver, "twin-client", &parameters).unwrap();
    let code = param(&callback, "code").unwrap();
    let reply = redeem(&mut driver, &code);
    assert_eq!(reply.status(), 200);
}
