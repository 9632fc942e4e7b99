#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{AuthorizationRequest, ResponseMode};
use super::*;
use crate::client::Client;
use crate::exchange::{Input, Step};
use crate::jose::KeySet;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client_of, server};

const CB: &str = "https://app.example/cb";
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn client() -> Client {
    let client = client_of(server()).with_authorization_algs([Alg::EdDsa]);
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    client
}

fn begin_flow(client: &Client, mode: ResponseMode) -> PendingAuthorization {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    let request = request
        .scope(Scope::parse("read").unwrap())
        .response_mode(mode);
    let (url, pending) = client.authorize(&at(), request).unwrap();
    let expected = format!("response_mode={}", mode.as_str());
    assert!(url.as_str().contains(&expected), "{}", url.as_str());
    pending
}

/// A response with the common claims and these; the test host decides whether its signature is valid.
fn jwt(pending: &PendingAuthorization, changes: &Value) -> String {
    typed_jwt(pending, changes, &json!({}))
}

/// [`jwt`] with these members in its header.
fn typed_jwt(pending: &PendingAuthorization, changes: &Value, more: &Value) -> String {
    let mut claims = json!({
        "iss": "https://as.example", "aud": "id", "exp": NOW + 60,
        "code": "c0de", "state": pending.state().expose(),
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut header = json!({ "alg": "EdDSA", "kid": "one" });
    let members = header.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let header = part(&header);
    format!(
        "{header}.{}.{}",
        part(&claims),
        URL_SAFE_NO_PAD.encode([1; 64])
    )
}

/// The flow's next request after this callback with valid signatures, or the error.
fn redeem(client: &Client, pending: PendingAuthorization, callback: &str) -> Result<String, Error> {
    let mut login = client.redeem(pending, callback)?;
    let mut step = login.resume(&at(), Input::Begin)?;
    loop {
        step = match step {
            Step::Verify(_) => login.resume(&at(), Input::Verified(true))?,
            Step::Send(request) if request.uri() == "https://as.example/token" => {
                return Ok(String::from_utf8(request.body().to_vec()).unwrap());
            }
            Step::Send(request) => return Ok(request.uri().to_string()),
            other => panic!("{other:?}"),
        };
    }
}

fn answer(changes: &Value) -> Result<String, &'static str> {
    let client = client();
    let pending = begin_flow(&client, ResponseMode::Jwt);
    let callback = format!("{CB}?response={}", jwt(&pending, changes));
    redeem(&client, pending, &callback).map_err(|error| error.code())
}

#[test]
fn code_of_a_verified_jarm_response_is_redeemed() {
    let sent = answer(&json!({})).unwrap();
    assert!(sent.contains("code=c0de"), "{sent}");
    let several = json!({"aud": ["id"], "iat": NOW, "nbf": NOW, "jti": "x", "foo": {"a": 1}});
    assert!(answer(&several).is_ok());
    for (mode, place) in [
        (ResponseMode::QueryJwt, "?"),
        (ResponseMode::FragmentJwt, "#"),
        (ResponseMode::FormPostJwt, ""),
    ] {
        let client = client();
        let pending = begin_flow(&client, mode);
        let stored = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
        let url = if place.is_empty() { "" } else { CB };
        let callback = format!("{url}{place}response={}", jwt(&pending, &json!({})));
        assert!(pending.recognizes(&callback));
        let sent = redeem(&client, stored, &callback).unwrap();
        assert!(sent.contains("code=c0de"), "{mode:?}");
    }
}

#[test]
fn invalid_jarm_claims_end_the_flow_before_the_code_is_sent() {
    for (changes, code) in [
        (json!({"iss": "https://evil.example"}), "jwt.issuer"),
        (json!({"iss": null}), "jwt.missing_claim"),
        (json!({"iss": 1}), "jwt.malformed_claim"),
        (json!({"aud": "other"}), "jwt.audience"),
        (json!({"aud": null}), "jwt.missing_claim"),
        (json!({"aud": ["id", "other"]}), "jwt.untrusted_audience"),
        (json!({"exp": null}), "jwt.missing_claim"),
        (json!({"exp": "soon"}), "jwt.malformed_claim"),
        (json!({"exp": NOW - 60}), "jwt.expired"),
        (json!({"nbf": NOW + 61}), "jwt.not_yet_valid"),
        (json!({"iat": NOW + 61}), "jwt.issued_in_future"),
        (json!({"state": "other"}), "callback.state"),
        (json!({"state": null}), "callback.state"),
        (json!({"state": 1}), "jwt.malformed_claim"),
        (json!({"code": null}), "callback.missing_code"),
        (json!({"code": 1}), "jwt.malformed_claim"),
        (
            json!({"code": null, "error": "access_denied"}),
            "denied.access_denied",
        ),
    ] {
        assert_eq!(answer(&changes), Err(code), "{changes}");
    }
}

#[test]
fn jarm_response_with_another_typ_is_refused() {
    let typed = |typ: &str| {
        let client = client();
        let pending = begin_flow(&client, ResponseMode::Jwt);
        let jwt = typed_jwt(&pending, &json!({}), &json!({ "typ": typ }));
        let callback = format!("{CB}?response={jwt}");
        redeem(&client, pending, &callback)
            .map(drop)
            .map_err(|error| error.code())
    };
    for typ in ["JWT", "jwt", "application/jwt"] {
        assert_eq!(typed(typ), Ok(()), "{typ}");
    }
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt", "id_token+jwt"] {
        assert_eq!(typed(typ), Err("jwt.typ"), "{typ}");
    }
}

#[test]
fn jarm_response_with_a_bad_signature_is_refused() {
    let server = server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let client = client_of(server.unwrap()).with_authorization_algs([Alg::EdDsa]);
    let pending = begin_flow(&client, ResponseMode::Jwt);
    let callback = format!("{CB}?response={}", jwt(&pending, &json!({})));
    let mut login = client.redeem(pending, &callback).unwrap();
    let Ok(Step::Send(_)) = login.resume(&at(), Input::Begin) else {
        panic!("keys")
    };
    let keys = crate::testing::json(200, KEYS);
    let Ok(Step::Verify(_)) = login.resume(&at(), Input::Reply(keys)) else {
        panic!("a signature")
    };
    let refused = login.resume(&at(), Input::Verified(false)).map(drop);
    assert_eq!(refused.unwrap_err().code(), "jws.bad_signature");
}

#[test]
fn keys_are_fetched_only_after_the_issuer_matches() {
    let jwks = "https://as.example/jwks";
    let server = server().with_endpoint(EndpointKind::Jwks, jwks).unwrap();
    let client = client_of(server).with_authorization_algs([Alg::EdDsa]);
    let redeem = |changes: Value| {
        let pending = begin_flow(&client, ResponseMode::Jwt);
        let callback = format!("{CB}?response={}", jwt(&pending, &changes));
        redeem(&client, pending, &callback).map_err(|error| error.code())
    };
    assert_eq!(
        redeem(json!({"iss": "https://evil.example"})),
        Err("jwt.issuer")
    );
    assert_eq!(redeem(json!({})), Ok(jwks.to_owned()));
}

#[test]
fn plain_and_signed_responses_cannot_be_mixed() {
    let client = client();
    let redeem = |mode, callback: &dyn Fn(&PendingAuthorization) -> String| {
        let pending = begun_or_plain(&client, mode);
        let callback = callback(&pending);
        redeem(&client, pending, &callback).map_err(|error| error.code())
    };
    let state = |pending: &PendingAuthorization| pending.state().expose().clone();
    let plain = |pending: &PendingAuthorization| format!("{CB}?code=c0de&state={}", state(pending));
    let signed =
        |pending: &PendingAuthorization| format!("{CB}?response={}", jwt(pending, &json!({})));
    let both = |pending: &PendingAuthorization| {
        let jwt = jwt(pending, &json!({}));
        format!("{CB}?response={jwt}&code=c0de&state={}", state(pending))
    };
    let iss = |pending: &PendingAuthorization| {
        let jwt = jwt(pending, &json!({}));
        format!("{CB}?response={jwt}&iss=https%3A%2F%2Fevil.example")
    };
    assert_eq!(
        redeem(ResponseMode::Jwt, &plain),
        Err("callback.missing_jarm_response")
    );
    assert_eq!(
        redeem(ResponseMode::Query, &signed),
        Err("callback.missing_code")
    );
    for mode in [ResponseMode::Jwt, ResponseMode::Query] {
        assert_eq!(redeem(mode, &both), Err("callback.mixed_response"));
    }
    // Parameters outside the JWT are ignored.
    assert!(redeem(ResponseMode::Jwt, &iss).is_ok());
}

fn begun_or_plain(client: &Client, mode: ResponseMode) -> PendingAuthorization {
    if mode.is_jwt() {
        return begin_flow(client, mode);
    }
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    client.authorize(&at(), request).unwrap().1
}

#[test]
fn jarm_response_is_recognized_only_by_its_own_flow() {
    let client = client();
    let pending = begin_flow(&client, ResponseMode::Jwt);
    let callback_with = |changes: Value| format!("{CB}?response={}", jwt(&pending, &changes));
    assert!(pending.recognizes(&callback_with(json!({}))));
    assert!(client.recognizes(&pending, &callback_with(json!({}))));
    assert!(!pending.recognizes(&callback_with(json!({"state": "other"}))));
    assert!(!pending.recognizes(&callback_with(json!({"state": null}))));
    assert!(!pending.recognizes(&format!("{CB}?response=x")));
    // An encrypted response can only be read with the key.
    let encrypted = format!("{CB}?response=a.b.c.d.e");
    assert!(pending.recognizes(&encrypted) && !client.recognizes(&pending, &encrypted));
}

#[test]
fn jarm_algorithm_defaults_to_rs256_and_excludes_hmac_and_none() {
    let allowed = |client: &Client| super::allowed_algs(client.config());
    assert_eq!(allowed(&client_of(server())), [Alg::Rs256]);
    let metadata =
        json!({"authorization_signing_alg_values_supported": ["HS256", "ES256", "none"]});
    let server = server().with_metadata(metadata.as_object().cloned().unwrap());
    assert_eq!(allowed(&client_of(server)), [Alg::Es256]);
}
