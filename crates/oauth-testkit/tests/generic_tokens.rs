//! The generic twin after the login: its tokens and grants, API, metadata, CORS, UserInfo and request log.

mod common;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use common::plain::*;
use common::*;
use oauth_testkit::twin::Rotation;
use oauth_testkit::{Fault, TwinDriver};
use serde_json::{Value, json};

#[test]
fn refresh_rotates_and_reuse_revokes_the_token_family() {
    let mut driver = driver();
    let code = code(&mut driver);
    let first = json(&redeem(&mut driver, &code));
    let second = json(&refresh(&mut driver, &text(&first, "refresh_token")));
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(driver.twin().counters().refreshes, 1);

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
    assert_eq!(get(&mut driver, "/api/echo", Some(&access)).status(), 401);
    assert_eq!(driver.twin().counters().refreshes, 1);
}

#[test]
fn rotation_determines_whether_a_used_refresh_token_is_accepted_again() {
    // The status at once, after 29 seconds, and after 30.
    for (rotation, again) in [
        (Rotation::Strict, [400, 400, 400]),
        (Rotation::Grace(30), [200, 200, 400]),
        (Rotation::Lenient, [200, 200, 200]),
        (Rotation::Never, [200, 200, 200]),
    ] {
        let mut driver = driver();
        driver.twin().set_rotation(rotation);
        let code = code(&mut driver);
        let first = text(&json(&redeem(&mut driver, &code)), "refresh_token");
        let second = json(&refresh(&mut driver, &first));
        let is_replaced = second["refresh_token"].is_string();
        assert_eq!(is_replaced, rotation != Rotation::Never);
        for (pause, status) in [0, 29, 1].into_iter().zip(again) {
            driver.advance(Duration::from_secs(pause));
            let now = driver.now();
            assert_eq!(driver.twin().honours(now, &first), status == 200);
            assert_eq!(refresh(&mut driver, &first).status(), status);
        }
        let events = again.iter().filter(|status| **status == 400).count();
        assert_eq!(driver.twin().counters().reuse_events, events as u64);
        let (now, access) = (driver.now(), text(&second, "access_token"));
        assert_eq!(driver.twin().honours(now, &access), events == 0);
    }
}

#[test]
fn expires_in_can_be_omitted() {
    let mut driver = driver();
    driver.twin().set_access_token_lifetime(60);
    driver.twin().hide_access_token_lifetime();
    let code = code(&mut driver);
    let token = json(&redeem(&mut driver, &code));
    assert!(token["expires_in"].is_null());
    let access = text(&token, "access_token");
    assert_eq!(get(&mut driver, "/api/echo", Some(&access)).status(), 200);
    driver.advance(Duration::from_secs(60));
    assert_eq!(get(&mut driver, "/api/echo", Some(&access)).status(), 401);
}

#[test]
fn a_refresh_can_narrow_the_scope_but_not_extend_it() {
    let mut driver = driver();
    let callback = authorize(&mut driver, "twin-client", &[("scope", "read email")]).unwrap();
    let token = json(&redeem(&mut driver, &param(&callback, "code").unwrap()));
    let auth = basic_credentials(&mut driver);
    let refresh = text(&token, "refresh_token");
    let form = |scope| {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", &*refresh),
            ("scope", scope),
        ]
    };
    let wider = post_as(&mut driver, "/token", Some(&auth), &form("read write"));
    refused(&wider, 400, "invalid_scope");
    let narrower = post_as(&mut driver, "/token", Some(&auth), &form("email"));
    assert_eq!(json(&narrower)["scope"], "email");
}

#[test]
fn the_password_grant_accepts_only_the_resource_owner() {
    let mut driver = driver();
    let auth = basic_credentials(&mut driver);
    let (user, password) = driver.twin().resource_owner();
    let (user, password) = (user.to_owned(), password.to_owned());
    let form = |password| {
        [
            ("grant_type", "password"),
            ("username", &*user),
            ("password", password),
        ]
    };
    assert_eq!(
        post_as(&mut driver, "/token", Some(&auth), &form(&password)).status(),
        200
    );
    let wrong = post_as(&mut driver, "/token", Some(&auth), &form("guess"));
    refused(&wrong, 400, "invalid_grant");
    let public = [("grant_type", "password"), ("client_id", "twin-public")];
    refused(&post(&mut driver, "/token", &public), 401, "invalid_client");
}

#[test]
fn a_device_waits_for_its_user() {
    let mut driver = driver();
    let public = ("client_id", "twin-public");
    let device = json(&post(&mut driver, "/device_authorization", &[public]));
    let code = text(&device, "device_code");
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", &*code),
        public,
    ];
    refused(
        &post(&mut driver, "/token", &form),
        400,
        "authorization_pending",
    );
    driver.advance(Duration::from_secs(4));
    refused(&post(&mut driver, "/token", &form), 400, "slow_down");
    // The interval has grown by five seconds.
    driver.advance(Duration::from_secs(9));
    refused(&post(&mut driver, "/token", &form), 400, "slow_down");

    let page = text(&device, "verification_uri_complete");
    let page = page.strip_prefix("https://as.test").unwrap();
    assert_eq!(get(&mut driver, page, None).status(), 200);
    driver.advance(Duration::from_secs(15));
    assert_eq!(post(&mut driver, "/token", &form).status(), 200);
    driver.advance(Duration::from_secs(15));
    refused(&post(&mut driver, "/token", &form), 400, "invalid_grant");

    let device = json(&post(&mut driver, "/device_authorization", &[public]));
    let form = [
        form[0],
        ("device_code", &*text(&device, "device_code")),
        public,
    ];
    driver.twin().deny_next();
    let page = format!("/device?user_code={}", text(&device, "user_code"));
    get(&mut driver, &page, None);
    refused(&post(&mut driver, "/token", &form), 400, "access_denied");
    driver.advance(Duration::from_secs(600));
    refused(&post(&mut driver, "/token", &form), 400, "expired_token");
}

#[test]
fn token_exchange_accepts_only_valid_access_tokens() {
    let mut driver = driver();
    let auth = basic_credentials(&mut driver);
    let code = code(&mut driver);
    let subject = text(&json(&redeem(&mut driver, &code)), "access_token");
    let access_token = "urn:ietf:params:oauth:token-type:access_token";
    let form = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", &*subject),
        ("subject_token_type", access_token),
    ];
    let token = json(&post_as(&mut driver, "/token", Some(&auth), &form));
    assert_eq!(token["issued_token_type"], access_token);
    let access = text(&token, "access_token");
    assert_eq!(get(&mut driver, "/api/echo", Some(&access)).status(), 200);
    driver.twin().expire_access_tokens();
    refused(
        &post_as(&mut driver, "/token", Some(&auth), &form),
        400,
        "invalid_request",
    );
}

#[test]
fn tokens_are_introspected_and_revoked() {
    let mut driver = driver();
    let auth = basic_credentials(&mut driver);
    let code = code(&mut driver);
    let token = json(&redeem(&mut driver, &code));
    let (access, refresh) = (text(&token, "access_token"), text(&token, "refresh_token"));
    let introspect = |driver: &mut TwinDriver, token: &str| {
        json(&post_as(
            driver,
            "/introspect",
            Some(&auth),
            &[("token", token)],
        ))
    };
    let introspection = introspect(&mut driver, &access);
    assert_eq!(
        (
            &introspection["active"],
            &introspection["client_id"],
            &introspection["exp"]
        ),
        (&json!(true), &json!("twin-client"), &json!(1_750_003_600))
    );
    assert_eq!(introspect(&mut driver, &refresh)["active"], true);
    assert_eq!(
        introspect(&mut driver, "nonsense"),
        json!({ "active": false })
    );
    refused(
        &post(&mut driver, "/introspect", &[("token", &access)]),
        401,
        "invalid_client",
    );

    let foreign = [("token", &*access), ("client_id", "twin-public")];
    refused(
        &post(&mut driver, "/revoke", &foreign),
        400,
        "invalid_grant",
    );
    let reply = post_as(&mut driver, "/revoke", Some(&auth), &[("token", &refresh)]);
    assert_eq!((reply.status().as_u16(), reply.body().len()), (200, 0));
    assert_eq!(introspect(&mut driver, &access), json!({ "active": false }));
    assert_eq!(
        post_as(&mut driver, "/revoke", Some(&auth), &[("token", "?")]).status(),
        200
    );
    let counters = driver.twin().counters();
    assert_eq!((counters.revocations, counters.introspections), (2, 4));
}

#[test]
fn the_api_sends_challenges_and_limits_the_rate() {
    let mut driver = driver();
    let reply = get(&mut driver, "/api/echo", None);
    let challenge = reply.headers()["www-authenticate"].to_str().unwrap();
    let place = format!(
        "{}/.well-known/oauth-protected-resource/api/echo",
        driver.twin().base()
    );
    assert_eq!(
        challenge,
        format!("Bearer realm=\"twin\", resource_metadata=\"{place}\"")
    );
    let reply = get(&mut driver, "/api/echo", Some("nonsense"));
    let challenge = reply.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("error=\"invalid_token\""));

    let auth = basic_credentials(&mut driver);
    let form = [("grant_type", "client_credentials"), ("scope", "read")];
    let token = json(&post_as(&mut driver, "/token", Some(&auth), &form));
    let token = text(&token, "access_token");
    let reply = call(&mut driver, "POST", "/api/echo", Some(&token));
    assert_eq!(reply.status(), 403);
    let challenge = reply.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("insufficient_scope"));

    driver.twin().set_rate_limit(1);
    assert_eq!(get(&mut driver, "/api/echo", Some(&token)).status(), 200);
    driver.advance(Duration::from_secs(20));
    let reply = get(&mut driver, "/api/echo", Some(&token));
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["retry-after"]),
        (429, &"40".parse().unwrap())
    );
    driver.advance(Duration::from_secs(40));
    assert_eq!(get(&mut driver, "/api/echo", Some(&token)).status(), 200);
    driver.advance(Duration::from_secs(3600));
    assert_eq!(get(&mut driver, "/api/echo", Some(&token)).status(), 401);
    let counters = driver.twin().counters();
    assert_eq!(
        (counters.api_calls, counters.api_401, counters.api_429),
        (7, 3, 1)
    );
}

#[test]
fn the_log_records_every_request_and_shows_no_secrets() {
    let mut driver = driver();
    let auth = basic_credentials(&mut driver);
    let code = code(&mut driver);
    let token = json(&redeem(&mut driver, &code));
    let twin = driver.twin();
    let log = twin.log();
    assert_eq!(log[1].form("code"), Some(&*code));
    assert_eq!(log[1].header("authorization"), Some(&*auth));
    assert_eq!(log[0].query("client_id"), Some("twin-client"));
    let shown = format!("{log:?} {} {:?}", serde_json::to_string(log).unwrap(), twin);
    for secret in [&*code, &auth[6..], "s3cr", &text(&token, "access_token")] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("authorization_code"));
}

#[test]
fn equal_histories_give_equal_tokens() {
    let tokens = || {
        let mut driver = driver();
        (0..3).map(|_| code(&mut driver)).collect::<Vec<_>>()
    };
    assert_eq!(tokens(), tokens());
    let mut unique = tokens();
    unique.dedup();
    assert_eq!(unique.len(), 3);
}

#[test]
fn cors_permits_only_the_configured_origin() {
    let mut driver = driver();
    let send = |driver: &mut TwinDriver, method: &str, path: &str, origin: &str| {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://as.test{path}"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .body(Bytes::new())
            .unwrap();
        let reply = driver.send(request);
        let allowed = reply.headers().get("access-control-allow-origin");
        (
            reply.status().as_u16(),
            allowed.map(|v| v.to_str().unwrap().to_owned()),
        )
    };
    let (spa, metadata) = ("https://spa.example", "/.well-known/openid-configuration");
    assert_eq!(send(&mut driver, "GET", metadata, spa), (200, None));
    driver.twin().cors_origin(spa);
    assert_eq!(
        send(&mut driver, "GET", metadata, spa),
        (200, Some(spa.to_owned()))
    );
    assert_eq!(
        send(&mut driver, "OPTIONS", "/token", spa),
        (204, Some(spa.to_owned()))
    );
    assert_eq!(
        send(&mut driver, "GET", "/api/echo", spa),
        (401, Some(spa.to_owned()))
    );
    assert_eq!(
        send(&mut driver, "OPTIONS", "/token", "https://evil.example"),
        (405, None)
    );
    assert_eq!(send(&mut driver, "GET", "/authorize", spa), (400, None));
}

#[test]
fn the_api_serves_protected_resource_metadata() {
    let mut driver = driver();
    let base = driver.twin().base().to_owned();
    let metadata_path = "/.well-known/oauth-protected-resource";
    for path in ["/api/echo", ""] {
        let document = json(&get(&mut driver, &format!("{metadata_path}{path}"), None));
        assert_eq!(document["resource"], format!("{base}{path}"));
        assert_eq!(document["authorization_servers"], json!([base]));
        assert_eq!(document["bearer_methods_supported"], json!(["header"]));
        assert!(document.get("dpop_bound_access_tokens_required").is_none());
    }
    assert_eq!(
        get(&mut driver, &format!("{metadata_path}/api"), None).status(),
        404
    );
    assert_eq!(call(&mut driver, "POST", metadata_path, None).status(), 405);
    // The API itself was not called.
    assert_eq!(driver.twin().counters().api_calls, 0);

    for (fault, member) in [
        (Fault::OtherResource, "resource"),
        (Fault::NoAuthorizationServer, "authorization_servers"),
    ] {
        let right = json(&get(&mut driver, metadata_path, None));
        driver.twin().inject(fault);
        // The fault remains until a metadata document is requested.
        assert_eq!(get(&mut driver, "/api/echo", None).status(), 401);
        let wrong = json(&get(&mut driver, metadata_path, None));
        assert_ne!(wrong[member], right[member]);
    }
    let url = "https://evil.example/".to_owned();
    driver.twin().inject(Fault::OtherResourceMetadata { url });
    assert_eq!(get(&mut driver, metadata_path, None).status(), 200);
    let reply = get(&mut driver, "/api/echo", None);
    let challenge = reply.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(
        challenge,
        "Bearer realm=\"twin\", resource_metadata=\"https://evil.example/\""
    );
}

#[test]
fn scopes_and_resource_indicators_can_be_configured() {
    let resource = "https://mcp.example/mcp";
    let granted = |driver: &mut TwinDriver, more: &[(&str, &str)]| {
        let more = [more, &[("resource", resource)]].concat();
        let home = authorize(driver, "twin-client", &more).expect("a callback");
        let code = param(&home, "code").ok_or_else(|| param(&home, "error"))?;
        let access = text(&json(&redeem(driver, &code)), "access_token");
        let auth = basic_credentials(driver);
        let form = [("token", access.as_str())];
        let body = json(&post_as(driver, "/introspect", Some(&auth), &form));
        Ok((body["scope"].clone(), body["aud"].clone()))
    };
    let mut driver = driver();
    assert_eq!(granted(&mut driver, &[]), Ok((json!("read"), json!(null))));

    driver.twin().set_scopes(&["tools", "secret"]);
    driver.twin().know_resources();
    let audience = json!([resource]);
    let first = granted(&mut driver, &[]);
    assert_eq!(first, Ok((json!("tools"), audience.clone())));
    let both = granted(&mut driver, &[("scope", "secret tools")]);
    assert_eq!(both, Ok((json!("secret tools"), audience)));
    let unsupported = granted(&mut driver, &[("scope", "read")]);
    assert_eq!(unsupported, Err(Some("invalid_scope".to_owned())));
    let metadata_path = "/.well-known/oauth-authorization-server";
    let document = json(&get(&mut driver, metadata_path, None));
    assert_eq!(document["scopes_supported"], json!(["tools", "secret"]));
}

#[test]
fn user_claims_depend_on_the_scope_and_agree_in_id_token_and_userinfo() {
    let mut driver = driver();
    let profile = json!({ "name": "Ann", "email": "ann@shop.example", "role": "admin" });
    let profile = profile.as_object().expect("claims").clone();
    driver.twin().describe_person("ann", profile);
    driver.twin().add_person("bob");
    let id_token_claims = |driver: &mut TwinDriver, more: &[(&str, &str)]| {
        let callback = authorize(driver, "twin-client", more).expect("a callback");
        let tokens = json(&redeem(driver, &param(&callback, "code").expect("a code")));
        let userinfo = get(driver, "/userinfo", Some(&text(&tokens, "access_token")));
        let token = text(&tokens, "id_token");
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims"));
        let claims: Value = serde_json::from_slice(&claims.expect("base64")).expect("JSON");
        let userinfo = json(&userinfo);
        for name in ["sub", "role", "email"] {
            assert_eq!(claims[name], userinfo[name], "{name}");
        }
        claims
    };
    let all = ("scope", "openid profile email");
    let named = id_token_claims(&mut driver, &[all, ("login_hint", "ann@shop.example")]);
    assert_eq!(
        (&named["sub"], &named["name"]),
        (&json!("ann"), &json!("Ann"))
    );
    assert_eq!(named["email"], "ann@shop.example");
    let less = id_token_claims(&mut driver, &[("scope", "openid"), ("login_hint", "ann")]);
    assert_eq!(
        (&less["role"], &less["name"]),
        (&json!("admin"), &Value::Null)
    );
    driver.twin().approve_as("ann");
    assert_eq!(
        id_token_claims(&mut driver, &[("scope", "openid")])["sub"],
        "ann"
    );
    let other = id_token_claims(&mut driver, &[("scope", "openid"), ("login_hint", "bob")]);
    assert_eq!(
        (&other["sub"], &other["role"]),
        (&json!("bob"), &Value::Null)
    );
}
