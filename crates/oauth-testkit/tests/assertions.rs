//! The plain server: tokens for tokens, and for assertions of service accounts and of identity providers.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::plain::*;
use common::*;
use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;
use oauth_testkit::{Fault, Twin, TwinDriver};
use serde_json::{Value, json};

const EXCHANGE: (&str, &str) = (
    "grant_type",
    "urn:ietf:params:oauth:grant-type:token-exchange",
);
const JWT_BEARER: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID: &str = "urn:ietf:params:oauth:token-type:id_token";
const REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const OTHER: &str = "https://other.test";

fn send_authentication_request(
    driver: &mut TwinDriver,
    form: &[(&str, &str)],
) -> http::Response<Bytes> {
    let auth = basic_credentials(driver);
    post_as(driver, "/token", Some(&auth), form)
}

fn introspect(driver: &mut TwinDriver, token: &str) -> Value {
    let auth = basic_credentials(driver);
    json(&post_as(
        driver,
        "/introspect",
        Some(&auth),
        &[("token", token)],
    ))
}

/// The tokens of a user, for the confidential client.
fn person(driver: &mut TwinDriver, scope: &str) -> Value {
    let url = authorize(driver, "twin-client", &[("scope", scope)]).unwrap();
    let code = param(&url, "code").unwrap();
    json(&redeem(driver, &code))
}

fn machine(driver: &mut TwinDriver) -> String {
    let reply = send_authentication_request(driver, &[("grant_type", "client_credentials")]);
    text(&json(&reply), "access_token")
}

#[test]
fn the_actor_chain_is_preserved() {
    let mut driver = driver();
    let subject = text(&person(&mut driver, "read write"), "access_token");
    let actor = machine(&mut driver);
    let exchange = |driver: &mut TwinDriver, subject: &str, more: &[(&str, &str)]| {
        let form = [
            EXCHANGE,
            ("subject_token", subject),
            ("subject_token_type", ACCESS),
        ];
        send_authentication_request(driver, &[&form[..], more].concat())
    };
    let acting = [("actor_token", &*actor), ("actor_token_type", ACCESS)];
    let exchange_form = [
        acting[0],
        acting[1],
        ("scope", "read"),
        ("resource", "https://api.test/a"),
        ("resource", "https://api.test/b"),
        ("audience", "backend"),
    ];
    let token = json(&exchange(&mut driver, &subject, &exchange_form));
    assert_eq!(
        (&token["issued_token_type"], &token["scope"]),
        (&json!(ACCESS), &json!("read"))
    );
    assert_eq!(token.get("refresh_token"), None);
    let delegated = text(&token, "access_token");
    let introspection = introspect(&mut driver, &delegated);
    assert_eq!(introspection["act"], json!({ "sub": "twin-client" }));
    assert_eq!(introspection["sub"], "user-248289761001");
    assert_eq!(
        introspection["aud"],
        json!(["https://api.test/a", "https://api.test/b", "backend"])
    );

    let again = json(&exchange(&mut driver, &delegated, &acting));
    let introspection = introspect(&mut driver, &text(&again, "access_token"));
    assert_eq!(
        introspection["act"],
        json!({ "sub": "twin-client", "act": { "sub": "twin-client" } })
    );
    // The subject cannot be its own actor.
    let alone = json(&exchange(&mut driver, &subject, &[]));
    assert_eq!(
        introspect(&mut driver, &text(&alone, "access_token")).get("act"),
        None
    );

    for (more, error) in [
        (&[acting[0]][..], "invalid_request"),
        (&[acting[1]], "invalid_request"),
        (&[("actor_token", "dead"), acting[1]], "invalid_request"),
        (&[acting[0], ("actor_token_type", ID)], "invalid_request"),
        (&[("requested_token_type", REFRESH)], "invalid_request"),
        (&[("resource", "no-uri")], "invalid_target"),
        (&[("scope", "openid")], "invalid_scope"),
    ] {
        refused(&exchange(&mut driver, &subject, more), 400, error);
    }
    driver.twin().inject(Fault::IssuedTokenType);
    let wrong = json(&exchange(&mut driver, &subject, &[]));
    assert_eq!(
        wrong["issued_token_type"],
        "urn:ietf:params:oauth:token-type:jwt"
    );
}

#[test]
fn a_service_account_gets_tokens_for_its_signed_assertion() {
    for alg in [Alg::Es256, Alg::Rs256] {
        let mut driver = driver();
        let [key, other] = [(); 2].map(|()| PrivateKey::generate(alg).unwrap());
        let jwk = key.public_jwk().to_json();
        driver.twin().register_assertion_key("robot", &jwk).unwrap();
        let private = key.to_pem().unwrap();
        assert!(
            driver
                .twin()
                .register_assertion_key("robot", &private)
                .is_err()
        );
        let now = driver.now().as_secs();
        let header = json!({ "alg": alg.as_str() });
        let claims = json!({
            "iss": "robot", "sub": "somebody", "aud": "https://as.test/token", "exp": now + 60, "jti": "1",
        });
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            jws::sign_jwt(&key, &header, &claims)
        };
        let valid_token = jws::sign_jwt(&key, &header, &claims);
        let form = [JWT_BEARER, ("assertion", &*valid_token), ("scope", "write")];
        let reply = post(&mut driver, "/token", &form);
        assert_eq!(reply.status(), 200);
        let token = json(&reply);
        assert_eq!(
            (&token["scope"], token.get("refresh_token")),
            (&json!("write"), None)
        );
        let introspection = introspect(&mut driver, &text(&token, "access_token"));
        assert_eq!(
            (&introspection["sub"], &introspection["client_id"]),
            (&json!("somebody"), &json!("robot"))
        );
        // Each assertion can be used once.
        refused(&post(&mut driver, "/token", &form), 400, "invalid_grant");

        let foreign = jws::sign_jwt(&other, &header, &claims);
        for bad in [
            foreign,
            with("iss", json!("stranger")),
            with("aud", json!("https://elsewhere.test")),
            with("exp", json!(now)),
            with("exp", json!(now + 7200)),
            with("iat", json!(now + 60)),
            with("sub", json!("")),
            "nonsense".to_owned(),
        ] {
            let form = [JWT_BEARER, ("assertion", &*bad)];
            refused(&post(&mut driver, "/token", &form), 400, "invalid_grant");
        }
        // A client may identify itself; a wrong identification is refused.
        let used_assertion = with("jti", json!("2"));
        let form = [
            JWT_BEARER,
            ("assertion", &*used_assertion),
            ("client_id", "nobody"),
        ];
        refused(&post(&mut driver, "/token", &form), 401, "invalid_client");
        let form = [
            JWT_BEARER,
            ("assertion", &*used_assertion),
            ("client_id", "twin-public"),
        ];
        let token = json(&post(&mut driver, "/token", &form));
        let introspection = introspect(&mut driver, &text(&token, "access_token"));
        assert_eq!(introspection["client_id"], "twin-public");
    }
}

/// An identity provider, and a server that trusts it.
fn idp_and_server() -> (TwinDriver, TwinDriver) {
    let (mut idp, mut other) = (driver(), TwinDriver::new(Twin::generic(OTHER)));
    idp.twin().vouch_to(OTHER, "twin-client");
    let keys = json(&get(&mut idp, "/jwks", None));
    let trusted = other
        .twin()
        .trust_identity_provider("https://as.test", &keys);
    trusted.unwrap();
    (idp, other)
}

fn request_identity_assertion(
    idp: &mut TwinDriver,
    token: &str,
    kind: &str,
    more: &[(&str, &str)],
) -> http::Response<Bytes> {
    let form = [
        EXCHANGE,
        ("requested_token_type", ID_JAG),
        ("subject_token", token),
        ("subject_token_type", kind),
    ];
    send_authentication_request(idp, &[&form[..], more].concat())
}

#[test]
fn an_identity_provider_asserts_the_signed_in_user() {
    let (mut idp, mut other) = idp_and_server();
    let tokens = person(&mut idp, "openid offline_access");
    let [id_token, refresh] = ["id_token", "refresh_token"].map(|name| text(&tokens, name));
    let exchange_form = [
        ("audience", OTHER),
        ("scope", "read write"),
        ("resource", "https://api.test/"),
    ];
    let body = json(&request_identity_assertion(
        &mut idp,
        &id_token,
        ID,
        &exchange_form,
    ));
    assert_eq!(
        (&body["issued_token_type"], &body["token_type"]),
        (&json!(ID_JAG), &json!("N_A"))
    );
    let assertion = text(&body, "access_token");
    assert_eq!(jws::header(&assertion)["typ"], "oauth-id-jag+jwt");
    let claims = jws::claims(&assertion);
    assert_eq!(
        (&claims["aud"], &claims["client_id"]),
        (&json!(OTHER), &json!("twin-client"))
    );
    assert_eq!(claims["resource"], "https://api.test/");

    let form = [JWT_BEARER, ("assertion", &*assertion), ("scope", "read")];
    let token = json(&send_authentication_request(&mut other, &form));
    assert_eq!(
        (&token["scope"], token.get("refresh_token")),
        (&json!("read"), None)
    );
    let introspection = introspect(&mut other, &text(&token, "access_token"));
    assert_eq!(
        (&introspection["sub"], &introspection["aud"]),
        (&json!("user-248289761001"), &json!(["https://api.test/"]))
    );
    refused(
        &send_authentication_request(&mut other, &form),
        400,
        "invalid_grant",
    );
    // A refresh token is accepted as well.
    let body = json(&request_identity_assertion(
        &mut idp,
        &refresh,
        REFRESH,
        &[("audience", OTHER)],
    ));
    let form = [JWT_BEARER, ("assertion", &*text(&body, "access_token"))];
    assert_eq!(send_authentication_request(&mut other, &form).status(), 200);

    for (token, kind, more, error) in [
        (&*id_token, ID, &[][..], "invalid_request"),
        (
            &id_token,
            ID,
            &[("audience", OTHER), ("audience", "b")],
            "invalid_request",
        ),
        (
            &id_token,
            ID,
            &[("audience", "https://unknown.test")],
            "invalid_target",
        ),
        (&id_token, ACCESS, &[("audience", OTHER)], "invalid_request"),
        ("a.b.c", ID, &[("audience", OTHER)], "invalid_grant"),
        ("dead", REFRESH, &[("audience", OTHER)], "invalid_grant"),
    ] {
        refused(
            &request_identity_assertion(&mut idp, token, kind, more),
            400,
            error,
        );
    }
    idp.advance(Duration::from_secs(300));
    let late = request_identity_assertion(&mut idp, &id_token, ID, &[("audience", OTHER)]);
    refused(&late, 400, "invalid_grant");
}

#[test]
fn an_assertion_is_valid_for_one_server_client_and_use_until_it_expires() {
    let (mut idp, mut other) = idp_and_server();
    let [key, foreign_key] = [(); 2].map(|()| PrivateKey::generate(Alg::Es256).unwrap());
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    let keys = json!({ "keys": [jwk] });
    let twin = other.twin();
    twin.trust_identity_provider("https://idp.test", &keys)
        .unwrap();
    assert!(
        twin.trust_identity_provider("https://idp.test", &json!({ "keys": [{}] }))
            .is_err()
    );
    let now = other.now().as_secs();
    let claims = json!({
        "iss": "https://idp.test", "sub": "somebody", "aud": OTHER, "client_id": "twin-client",
        "iat": now, "exp": now + 60, "jti": "1", "scope": "read",
    });
    let header = json!({ "alg": "ES256", "typ": "application/OAUTH-ID-JAG+JWT" });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        jws::sign_jwt(&key, &header, &claims)
    };
    for bad in [
        jws::sign_jwt(&foreign_key, &header, &claims),
        jws::sign_jwt(&key, &json!({ "alg": "ES256" }), &claims),
        with("iss", json!("https://as.test")),
        with("aud", json!([OTHER])),
        with("aud", json!("https://as.test")),
        with("client_id", json!("another")),
        with("exp", json!(now)),
        with("jti", Value::Null),
        with("sub", Value::Null),
        with("cnf", json!({ "jkt": "x" })),
    ] {
        let form = [JWT_BEARER, ("assertion", &*bad)];
        refused(
            &send_authentication_request(&mut other, &form),
            400,
            "invalid_grant",
        );
    }
    let valid_token = with("jti", json!("2"));
    let too_much_scope = [
        JWT_BEARER,
        ("assertion", &*valid_token),
        ("scope", "read write"),
    ];
    refused(
        &send_authentication_request(&mut other, &too_much_scope),
        400,
        "invalid_scope",
    );
    let form = [JWT_BEARER, ("assertion", &*valid_token)];
    refused(
        &post(&mut other, "/token", &form),
        400,
        "unauthorized_client",
    );
    refused(
        &send_authentication_request(&mut idp, &form),
        400,
        "invalid_grant",
    );
    assert_eq!(send_authentication_request(&mut other, &form).status(), 200);
    refused(
        &send_authentication_request(&mut other, &form),
        400,
        "invalid_grant",
    );
}

#[test]
fn the_metadata_lists_supported_assertions() {
    let mut driver = driver();
    let document = json(&get(&mut driver, "/.well-known/openid-configuration", None));
    let mut fapi = TwinDriver::new(Twin::fapi("https://fapi.test"));
    let strict = json(&get(&mut fapi, "/.well-known/openid-configuration", None));
    for name in [
        "device_authorization_endpoint",
        "backchannel_authentication_endpoint",
        "backchannel_token_delivery_modes_supported",
        "identity_chaining_requested_token_types_supported",
        "authorization_grant_profiles_supported",
    ] {
        assert!(
            document[name].is_string() || document[name].is_array(),
            "{name}"
        );
        assert_eq!(strict.get(name), None, "{name}");
    }
    let granted = document["grant_types_supported"].as_array().unwrap();
    for form in [EXCHANGE, JWT_BEARER] {
        assert!(granted.iter().any(|name| name == form.1), "{}", form.1);
        let reply = post(&mut fapi, "/token", &[form]);
        refused(&reply, 400, "unsupported_grant_type");
    }
    assert_eq!(
        post(&mut fapi, "/backchannel_authentication", &[]).status(),
        404
    );
    assert_eq!(get(&mut fapi, "/authentication_device", None).status(), 404);
}
