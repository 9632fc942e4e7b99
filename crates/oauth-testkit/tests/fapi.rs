//! Direct requests to the FAPI twin: what it accepts and what it refuses.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use common::*;
use http::{Request, Response};
use oauth_core::crypto::Signer as _;
use oauth_core::jose::Alg;
use oauth_crypto::PrivateKey;
use oauth_testkit::twin::DpopNonces;
use oauth_testkit::{Twin, TwinDriver};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const BASE: &str = "https://as.test";
const NOW: u64 = 1_750_000_000;
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const HOME: &str = "https://app.example/callback";

fn bank() -> TwinDriver {
    let mut driver = TwinDriver::new(Twin::fapi(BASE)).at(NOW);
    driver.twin().set_dpop_nonces(DpopNonces::Unasked);
    driver
}

fn jwt(key: &PrivateKey, header: Value, claims: Value) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn client_key(driver: &mut TwinDriver) -> PrivateKey {
    PrivateKey::from_jwk(driver.twin().client_key(), Alg::Es256).unwrap()
}

/// Valid claims, changed by `with`; null removes a claim.
fn change_claims(mut claims: Value, with: Value) -> Value {
    for (name, value) in with.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn assertion(driver: &mut TwinDriver, with: Value) -> String {
    let claims = json!({
        "iss": "twin-client", "sub": "twin-client", "aud": BASE, "iat": NOW, "exp": NOW + 60,
        "jti": unique(),
    });
    let key = client_key(driver);
    jwt(&key, json!({ "alg": "ES256" }), change_claims(claims, with))
}

/// A string that is unique to this call.
fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("j{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn proof_by(key: &PrivateKey, method: &str, path: &str, with: Value) -> String {
    let claims = json!({
        "htm": method, "htu": format!("{BASE}{path}"), "iat": NOW, "jti": unique(),
    });
    let header = json!({
        "alg": "ES256", "typ": "dpop+jwt", "jwk": key.public_jwk().to_value(),
    });
    jwt(key, header, change_claims(claims, with))
}

/// A form with an assertion, and the proof that goes with it.
fn send(
    driver: &mut TwinDriver,
    path: &str,
    form: &[(&str, &str)],
    proof: Option<&str>,
) -> Response<Bytes> {
    let signed = assertion(driver, json!({}));
    let mut form = form.to_vec();
    form.push(("client_assertion", &signed));
    form.push(("client_assertion_type", JWT_BEARER));
    let mut request = Request::post(format!("{BASE}{path}"))
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    driver.send(request.body(pairs(&form).into()).unwrap())
}

fn error(reply: &Response<Bytes>) -> String {
    json(reply)["error"].as_str().unwrap_or("none").to_owned()
}

fn authorization_parameters(challenge: &str) -> Vec<(&'static str, String)> {
    vec![
        ("client_id", "twin-client".to_owned()),
        ("response_type", "code".to_owned()),
        ("redirect_uri", HOME.to_owned()),
        ("state", "af0ifjsldkj".to_owned()),
        ("code_challenge", challenge.to_owned()),
        ("code_challenge_method", "S256".to_owned()),
    ]
}

fn borrowed<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    pairs.iter().map(|(n, v)| (*n, v.as_str())).collect()
}

fn pushed(driver: &mut TwinDriver, parameters: &[(&'static str, String)]) -> Response<Bytes> {
    send(driver, "/par", &borrowed(parameters), None)
}

/// A code for a request that is pushed and then opened in a browser.
fn code(driver: &mut TwinDriver, more: &[(&'static str, String)]) -> String {
    let mut parameters = authorization_parameters(&challenge());
    parameters.extend_from_slice(more);
    let reply = pushed(driver, &parameters);
    assert_eq!(reply.status(), 201, "{:?}", json(&reply));
    let uri = json(&reply)["request_uri"].as_str().unwrap().to_owned();
    let brought = [("client_id", "twin-client"), ("request_uri", uri.as_str())];
    let url = visit_authorization_endpoint(driver, "/authorize", &brought);
    let home = driver.browse(&url).expect("a way home");
    assert_eq!(param(&home, "iss").as_deref(), Some(BASE));
    // It can be used once.
    assert_eq!(driver.browse(&url), None);
    param(&home, "code").unwrap()
}

fn redeem(driver: &mut TwinDriver, code: &str, proof: Option<&str>) -> Response<Bytes> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", HOME),
        ("code_verifier", VERIFIER),
    ];
    send(driver, "/token", &form, proof)
}

fn call_api(
    driver: &mut TwinDriver,
    scheme: &str,
    token: &str,
    proof: Option<&str>,
) -> (u16, String) {
    let mut request = Request::get(format!("{BASE}/api/echo"));
    request = request.header("authorization", format!("{scheme} {token}"));
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    let reply = driver.send(request.body(Bytes::new()).unwrap());
    let challenge = reply.headers().get("www-authenticate");
    let challenge = challenge.map(|field| field.to_str().unwrap().to_owned());
    (reply.status().as_u16(), challenge.unwrap_or_default())
}

fn ath(token: &str) -> Value {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token)).into()
}

#[test]
fn a_token_is_bound_to_the_key_of_its_dpop_proof() {
    let mut driver = bank();
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let code = code(&mut driver, &[]);
    let proof = proof_by(&key, "POST", "/token", json!({}));
    let tokens = redeem(&mut driver, &code, Some(&proof));
    let tokens = json(&tokens);
    assert_eq!(tokens["token_type"], "DPoP");
    let token = tokens["access_token"].as_str().unwrap();
    let proof = |key: &PrivateKey, with| proof_by(key, "GET", "/api/echo", with);
    let valid_token = proof(&key, json!({ "ath": ath(token) }));
    assert_eq!(
        call_api(&mut driver, "DPoP", token, Some(&valid_token)).0,
        200
    );
    // And again: it was used before.
    let (status, challenge) = call_api(&mut driver, "DPoP", token, Some(&valid_token));
    assert!(
        status == 401 && challenge.contains("invalid_dpop_proof"),
        "{challenge}"
    );
    let other = PrivateKey::generate(Alg::Es256).unwrap();
    let by_other = proof(&other, json!({ "ath": ath(token) }));
    let (status, challenge) = call_api(&mut driver, "DPoP", token, Some(&by_other));
    assert!(
        status == 401 && challenge.contains("invalid_token"),
        "{challenge}"
    );
    assert_eq!(call_api(&mut driver, "DPoP", token, None).0, 401);
    assert_eq!(call_api(&mut driver, "Bearer", token, None).0, 401);
    for with in [
        json!({ "ath": ath("another") }),
        json!({}),
        json!({ "ath": ath(token), "htm": "POST" }),
        json!({ "ath": ath(token), "htu": "https://as.test/api/other" }),
        json!({ "ath": ath(token), "iat": NOW - 61 }),
        json!({ "ath": ath(token), "iat": NOW + 61 }),
        json!({ "ath": ath(token), "iat": "now" }),
        json!({ "ath": ath(token), "jti": null }),
    ] {
        let wrong = proof(&key, with.clone());
        let (status, challenge) = call_api(&mut driver, "DPoP", token, Some(&wrong));
        assert!(
            status == 401 && challenge.contains("invalid_dpop_proof"),
            "{with}"
        );
    }
}

#[test]
fn a_proof_is_verified_before_a_token_is_issued() {
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let own_proof = || proof_by(&key, "POST", "/token", json!({}));
    let form = [("grant_type", "client_credentials"), ("scope", "read")];
    let mut driver = bank();
    let reply = send(&mut driver, "/token", &form, None);
    assert_eq!(error(&reply), "invalid_dpop_proof");
    assert_eq!(
        send(&mut driver, "/token", &form, Some(&own_proof())).status(),
        200
    );
    let header = |header: Value| {
        let claims = json!({
            "htm": "POST", "htu": format!("{BASE}/token"), "iat": NOW, "jti": unique(),
        });
        jwt(&key, header, claims)
    };
    let jwk = key.public_jwk().to_value();
    let private: Value = serde_json::from_str(driver.twin().client_key()).unwrap();
    for wrong in [
        header(json!({ "alg": "ES256", "typ": "JWT", "jwk": jwk })),
        header(json!({ "alg": "none", "typ": "dpop+jwt", "jwk": jwk })),
        header(json!({ "alg": "ES256", "typ": "dpop+jwt" })),
        header(json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": private })),
        own_proof()[..60].to_owned(),
        "no.jwt".to_owned(),
    ] {
        let reply = send(&mut driver, "/token", &form, Some(&wrong));
        assert_eq!(error(&reply), "invalid_dpop_proof", "{wrong}");
    }
}

#[test]
fn nonces_are_issued_and_required() {
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let form = [("grant_type", "client_credentials"), ("scope", "read")];
    for nonces in [DpopNonces::Kept, DpopNonces::Once] {
        let mut driver = bank();
        driver.twin().set_dpop_nonces(nonces);
        let send = |driver: &mut TwinDriver, nonce: Value| {
            let proof = proof_by(&key, "POST", "/token", json!({ "nonce": nonce }));
            let reply = send(driver, "/token", &form, Some(&proof));
            let next = reply.headers()["dpop-nonce"].to_str().unwrap().to_owned();
            (error(&reply), next)
        };
        let (refused, first) = send(&mut driver, Value::Null);
        assert_eq!(refused, "use_dpop_nonce");
        let (taken, second) = send(&mut driver, first.as_str().into());
        assert_eq!(taken, "none");
        assert_eq!(first == second, nonces == DpopNonces::Kept);
        assert_eq!(send(&mut driver, second.as_str().into()).0, "none");
        driver.twin().rotate_dpop_nonces();
        assert_eq!(
            send(&mut driver, second.as_str().into()).0,
            "use_dpop_nonce"
        );
    }
}

#[test]
fn a_code_is_bound_to_the_dpop_key_of_its_request() {
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let other = PrivateKey::generate(Alg::Es256).unwrap();
    let mut driver = bank();
    let jkt = key.public_jwk().thumbprint();
    let code = code(&mut driver, &[("dpop_jkt", jkt)]);
    let proof = |key| proof_by(key, "POST", "/token", json!({}));
    let reply = redeem(&mut driver, &code, Some(&proof(&other)));
    assert_eq!(error(&reply), "invalid_dpop_proof");
    let reply = redeem(&mut driver, &code, Some(&proof(&key)));
    assert_eq!(reply.status(), 200);
}

#[test]
fn requests_must_be_pushed_with_valid_parameters() {
    let mut driver = bank();
    let plain = authorization_parameters(&challenge());
    let url = visit_authorization_endpoint(&mut driver, "/authorize", &borrowed(&plain));
    assert_eq!(driver.browse(&url), None, "it was not pushed");
    for (name, value, expected) in [
        (
            "redirect_uri",
            "https://attacker.example/",
            "invalid_request",
        ),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        (
            "response_type",
            "code id_token",
            "unsupported_response_type",
        ),
        ("response_type", "token", "unsupported_response_type"),
        ("response_mode", "smoke", "invalid_request"),
        ("scope", "everything", "invalid_scope"),
        ("client_id", "another", "invalid_client"),
        ("request_uri", "urn:x", "invalid_request"),
        (
            "authorization_details",
            "no",
            "invalid_authorization_details",
        ),
        (
            "authorization_details",
            r#"[{"type":"house"}]"#,
            "invalid_authorization_details",
        ),
        ("resource", "/relative", "invalid_target"),
    ] {
        let mut parameters = plain.clone();
        parameters.retain(|(key, _)| *key != name);
        parameters.push((name, value.to_owned()));
        assert_eq!(
            error(&pushed(&mut driver, &parameters)),
            expected,
            "{name}={value}"
        );
    }
    let without: Vec<_> = plain
        .iter()
        .filter(|(n, _)| !n.starts_with("code_ch"))
        .cloned()
        .collect();
    assert_eq!(error(&pushed(&mut driver, &without)), "invalid_request");
    let reply = json(&pushed(&mut driver, &plain));
    let uri = reply["request_uri"].as_str().unwrap();
    driver.advance(std::time::Duration::from_secs(60));
    let late = [("client_id", "twin-client"), ("request_uri", uri)];
    let url = visit_authorization_endpoint(&mut driver, "/authorize", &late);
    assert_eq!(driver.browse(&url), None, "it has expired");
}

#[test]
fn request_objects_are_verified() {
    let mut driver = bank();
    driver.twin().require_signed_requests();
    let reply = pushed(&mut driver, &authorization_parameters(&challenge()));
    assert_eq!(error(&reply), "invalid_request");
    let object = |driver: &mut TwinDriver, with: Value| {
        let mut claims = json!({
            "iss": "twin-client", "aud": BASE, "nbf": NOW, "exp": NOW + 60,
        });
        for (name, value) in authorization_parameters(&challenge()) {
            claims[name] = value.into();
        }
        let key = client_key(driver);
        jwt(
            &key,
            json!({ "alg": "ES256", "typ": "oauth-authz-req+jwt" }),
            change_claims(claims, with),
        )
    };
    // Nor through the browser.
    driver.twin().allow_unpushed_requests();
    let plain = authorization_parameters(&challenge());
    let url = visit_authorization_endpoint(&mut driver, "/authorize", &borrowed(&plain));
    assert_eq!(driver.browse(&url), None);
    let request_object = object(&mut driver, json!({}));
    let brought = [
        ("client_id", "twin-client"),
        ("request", request_object.as_str()),
    ];
    let url = visit_authorization_endpoint(&mut driver, "/authorize", &brought);
    assert!(driver.browse(&url).is_some());
    let mut push = |with: Value, beside: &[(&'static str, String)]| {
        let object = object(&mut driver, with);
        let mut form = vec![("request", object)];
        form.extend_from_slice(beside);
        let reply = pushed(&mut driver, &form);
        error(&reply)
    };
    assert_eq!(push(json!({}), &[]), "none");
    let lists = json!({ "resource": ["https://one.example/"], "aud": [BASE], "max_age": 60 });
    assert_eq!(push(lists, &[]), "none");
    let beside = [("scope", "openid".to_owned())];
    assert_eq!(push(json!({}), &beside), "invalid_request_object");
    for with in [
        json!({ "iss": "another" }),
        json!({ "client_id": "another" }),
        json!({ "aud": "https://other.example" }),
        json!({ "aud": null }),
        json!({ "exp": null }),
        json!({ "nbf": null }),
        json!({ "exp": NOW }),
        json!({ "exp": NOW + 3601 }),
        json!({ "nbf": NOW + 60 }),
        json!({ "exp": "soon" }),
        json!({ "sub": "twin-client" }),
        json!({ "request_uri": "urn:x" }),
    ] {
        assert_eq!(push(with.clone(), &[]), "invalid_request_object", "{with}");
    }
}

#[test]
fn assertions_are_verified_and_accepted_once() {
    let mut driver = bank();
    let mut send = |with: Value, twice: bool| {
        let signed = assertion(&mut driver, with);
        let form = [
            ("token", "unknown"),
            ("client_assertion", signed.as_str()),
            ("client_assertion_type", JWT_BEARER),
        ];
        let first = post(&mut driver, "/revoke", &form);
        let last = if twice {
            post(&mut driver, "/revoke", &form)
        } else {
            first
        };
        last.status().as_u16()
    };
    assert_eq!(send(json!({}), false), 200);
    assert_eq!(send(json!({}), true), 401);
    for with in [
        json!({ "iss": "another" }),
        json!({ "sub": "another" }),
        json!({ "aud": [BASE] }),
        json!({ "aud": format!("{BASE}/token") }),
        json!({ "exp": NOW }),
        json!({ "exp": null }),
        json!({ "iat": NOW + 11 }),
        json!({ "exp": NOW + 7200 }),
        json!({ "jti": null }),
    ] {
        assert_eq!(send(with.clone(), false), 401, "{with}");
    }
}

#[test]
fn granted_authorization_details_are_returned_and_resources_can_be_narrowed() {
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let mut driver = bank();
    let details = r#"[{"type":"payment","amount":"12.50"}]"#;
    let [one, other] = ["https://one.example/", "https://other.example/"];
    let code = code(
        &mut driver,
        &[
            ("authorization_details", details.to_owned()),
            ("resource", one.to_owned()),
            ("resource", other.to_owned()),
        ],
    );
    let proof = || proof_by(&key, "POST", "/token", json!({}));
    let redeem = |driver: &mut TwinDriver, resource: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", HOME),
            ("code_verifier", VERIFIER),
            ("resource", resource),
        ];
        send(driver, "/token", &form, Some(&proof()))
    };
    let reply = redeem(&mut driver, "https://third.example/");
    assert_eq!(error(&reply), "invalid_target");
    let tokens = json(&redeem(&mut driver, one));
    assert_eq!(tokens["authorization_details"][0]["amount"], "12.50");
    let form = [("token", tokens["access_token"].as_str().unwrap())];
    let body = json(&send(&mut driver, "/introspect", &form, None));
    assert_eq!(body["aud"], json!([one]));
    assert_eq!(body["cnf"]["jkt"], key.public_jwk().thumbprint());
    assert_eq!(body["authorization_details"][0]["type"], "payment");
}
