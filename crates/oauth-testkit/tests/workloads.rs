//! The plain server: the tokens of workloads, in place of a client secret and as the subject of an exchange.

mod common;

use bytes::Bytes;
use common::plain::*;
use common::*;
use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;
use oauth_testkit::TwinDriver;
use serde_json::{Value, json};

const PLATFORM: &str = "https://platform.test";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn platform(driver: &mut TwinDriver) -> PrivateKey {
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let jwk = key.public_jwk().to_json();
    driver
        .twin()
        .register_assertion_key(PLATFORM, &jwk)
        .unwrap();
    key
}

fn token(driver: &TwinDriver, key: &PrivateKey, changes: &Value) -> String {
    let now = driver.now().as_secs();
    let mut claims = json!({
        "iss": PLATFORM, "sub": "repo:a/b", "aud": "https://as.test", "iat": now, "exp": now + 300,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    jws::sign_jwt(key, &json!({ "alg": "ES256" }), &claims)
}

fn authenticated(
    driver: &mut TwinDriver,
    assertion: &str,
    more: &[(&str, &str)],
) -> http::Response<Bytes> {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    post_as(driver, "/token", None, &[&form[..], more].concat())
}

#[test]
fn a_valid_workload_token_authenticates_the_confidential_client() {
    let mut driver = driver();
    let key = platform(&mut driver);
    let valid_token = token(&driver, &key, &json!({}));
    for more in [&[][..], &[("client_id", "twin-client")]] {
        // The same token is accepted until it expires.
        let reply = authenticated(&mut driver, &valid_token, more);
        assert_eq!(reply.status(), 200);
    }
    let foreign_key = PrivateKey::generate(Alg::Es256).unwrap();
    let now = driver.now().as_secs();
    for bad in [
        token(&driver, &foreign_key, &json!({})),
        token(&driver, &key, &json!({ "iss": "https://other.test" })),
        token(&driver, &key, &json!({ "aud": "https://other.test" })),
        token(&driver, &key, &json!({ "aud": ["https://as.test", "x"] })),
        token(&driver, &key, &json!({ "exp": now - 120 })),
        "no JWT".to_owned(),
    ] {
        let reply = authenticated(&mut driver, &bad, &[]);
        refused(&reply, 401, "invalid_client");
    }
    let other = [("client_id", "other")];
    refused(
        &authenticated(&mut driver, &valid_token, &other),
        401,
        "invalid_client",
    );
}

#[test]
fn any_client_can_exchange_a_workload_token() {
    let mut driver = driver();
    let key = platform(&mut driver);
    let exchange = |driver: &mut TwinDriver, subject: &str, audience: &str| {
        let form = [
            ("grant_type", EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", JWT),
            ("audience", audience),
            ("scope", "read"),
        ];
        post_as(driver, "/token", None, &form)
    };
    let valid_token = token(&driver, &key, &json!({}));
    let issued = json(&exchange(&mut driver, &valid_token, "//pool"));
    assert_eq!(
        issued["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    let token_of = text(&issued, "access_token");
    let auth = basic_credentials(&mut driver);
    let seen = json(&post_as(
        &mut driver,
        "/introspect",
        Some(&auth),
        &[("token", &token_of)],
    ));
    assert_eq!(
        (&seen["sub"], &seen["aud"]),
        (&json!("repo:a/b"), &json!(["//pool"]))
    );
    let elsewhere = token(&driver, &key, &json!({ "aud": "https://other.test" }));
    refused(
        &exchange(&mut driver, &elsewhere, "//pool"),
        400,
        "invalid_request",
    );
}
