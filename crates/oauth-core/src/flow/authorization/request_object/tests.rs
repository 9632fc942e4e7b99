#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::super::{Authorization, AuthorizationRequest};
use super::*;
use crate::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use crate::client::Client;
use crate::crypto::{Signer, SigningKey};
use crate::error::Cause;
use crate::exchange::{Exchange, Input, Step};
use crate::jose::Alg;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client_of, error_code, server};

const CB: &str = "https://app.example/cb";

/// Returns zeros of the right length.
struct Sixtyfour;

impl Signer for Sixtyfour {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(Bytes::from_static(&[7; 64]))
    }
}

fn local() -> RequestSigning {
    RequestSigning::new(SigningKey::local("k1", Alg::Es256, Arc::new(Sixtyfour)))
}

fn authorization_request(scope: &str) -> AuthorizationRequest {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    request.scope(Scope::parse(scope).unwrap())
}

fn begin(client: &Client, request: AuthorizationRequest) -> Result<Authorization, &'static str> {
    let mut exchange = client.begin_authorization(request);
    match error_code(exchange.resume(&at(), Input::Begin))? {
        Step::Done(begun) => Ok(begun),
        step => panic!("{step:?}"),
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = form::parse(query).unwrap().into_iter();
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().map(|(name, _)| name.as_str()).collect()
}

fn claims_of(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.');
    let mut next = || -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (next(), next())
}

fn object(pairs: &[(String, String)]) -> (Value, Value) {
    let found = pairs.iter().find(|(name, _)| name == "request");
    claims_of(&found.unwrap().1)
}

#[test]
fn every_parameter_becomes_a_claim_with_its_json_type() {
    let client = client_of(server()).with_request_signing(local());
    let details: AuthorizationDetails = [AuthorizationDetail::new("payment").action("pay")]
        .into_iter()
        .collect();
    let requested_claims = json!({"id_token": {"acr": {"essential": true}}});
    let request = authorization_request("openid read")
        .max_age(300)
        .prompt("login consent")
        .claims(requested_claims.as_object().unwrap())
        .authorization_details(&details)
        .resource("https://a.example/")
        .and_then(|request| request.resource("https://b.example/"))
        .unwrap();
    let begun = begin(&client, request.clone()).unwrap();
    let query = pairs(begun.url.query().unwrap());
    // Outside the JWT, only the parameters that OpenID Connect requires.
    assert_eq!(
        names(&query),
        ["response_type", "client_id", "scope", "request"]
    );
    let (header, claims) = object(&query);
    assert_eq!(
        header,
        json!({"alg": "ES256", "kid": "k1", "typ": "oauth-authz-req+jwt"})
    );
    let claim = |name: &str| claims.get(name).cloned().unwrap_or_default();
    assert_eq!(claim("iss"), json!("id"));
    assert_eq!(claim("client_id"), json!("id"));
    assert_eq!(claim("aud"), json!("https://as.example"));
    assert_eq!(claim("nbf"), json!(NOW));
    assert_eq!(claim("exp"), json!(NOW + 300));
    assert_eq!(claim("max_age"), json!(300));
    assert_eq!(claim("claims"), requested_claims);
    let payment = json!([{"type": "payment", "actions": ["pay"]}]);
    assert_eq!(claim("authorization_details"), payment);
    let resources = json!(["https://a.example/", "https://b.example/"]);
    assert_eq!(claim("resource"), resources);
    assert_eq!(claim("prompt"), json!("login consent"));
    assert_eq!(claim("state"), json!(begun.pending.state().expose()));
    for absent in ["sub", "request", "request_uri"] {
        assert_eq!(claim(absent), Value::Null, "{absent}");
    }
    // The same parameters as in a request that is not signed.
    let plain = begun_plain(request);
    for (name, _) in pairs(plain.url.query().unwrap()) {
        assert!(claims.get(&name).is_some(), "{name}");
    }
}

#[test]
fn without_openid_only_client_id_stands_outside_the_request_object() {
    let client = client_of(server()).with_request_signing(local().lifetime(60));
    let begun = begin(&client, authorization_request("read")).unwrap();
    let query = pairs(begun.url.query().unwrap());
    assert_eq!(names(&query), ["client_id", "request"]);
    assert_eq!(object(&query).1.get("exp"), Some(&json!(NOW + 60)));
}

#[test]
fn pushed_request_object_is_sent_with_client_authentication_only() {
    let kind = EndpointKind::PushedAuthorizationRequest;
    let server = server()
        .with_endpoint(kind, "https://as.example/par")
        .unwrap();
    let client = client_of(server).with_request_signing(local());
    let mut exchange = client.begin_authorization(authorization_request("openid").pushed());
    let Ok(Step::Send(request)) = exchange.resume(&at(), Input::Begin) else {
        panic!("a request")
    };
    let body = pairs(std::str::from_utf8(request.body()).unwrap());
    assert_eq!(names(&body), ["request", "client_id"]);
    assert!(request.headers().contains_key("authorization"));
}

#[test]
fn host_signs_the_request_object_and_request_uri_replaces_it() {
    let key = SigningKey::host("k1", Alg::Es256);
    let client = client_of(server()).with_request_signing(RequestSigning::new(key));
    let url = Url::parse("https://app.example/requests/4711").unwrap();
    let mut exchange =
        client.begin_authorization(authorization_request("read").request_uri(url.clone()));
    let Ok(Step::Sign(job)) = exchange.resume(&at(), Input::Begin) else {
        panic!("a job")
    };
    assert_eq!((job.key_id.as_str(), job.alg), ("k1", "ES256"));
    let signed = Input::Signed(Bytes::from_static(&[7; 64]));
    let Ok(Step::Done(begun)) = exchange.resume(&at(), signed) else {
        panic!("done")
    };
    let query = pairs(begun.url.query().unwrap());
    assert_eq!(names(&query), ["client_id", "request_uri"]);
    assert_eq!(query.get(1).unwrap().1, url.as_str());
    let object = begun.request_object.unwrap();
    assert_eq!(
        claims_of(object.expose()).1.get("client_id"),
        Some(&json!("id"))
    );
    // A synchronous call cannot wait for the host's signature.
    let at_once = client
        .authorize(&at(), authorization_request("read"))
        .map(drop);
    assert_eq!(error_code(at_once), Err("misuse.setup"));
}

#[test]
fn wrong_signature_length_or_a_failed_host_ends_the_request() {
    for (input, error) in [
        (
            Input::Signed(Bytes::from_static(&[7; 63])),
            "client_auth.signature_length",
        ),
        (
            Input::Lost(Cause::unsent("no token in the slot")),
            "lost.unsent",
        ),
    ] {
        let key = SigningKey::host("k1", Alg::Es256);
        let client = client_of(server()).with_request_signing(RequestSigning::new(key));
        let mut exchange = client.begin_authorization(authorization_request("read"));
        let _ = exchange.resume(&at(), Input::Begin);
        assert_eq!(
            error_code(exchange.resume(&at(), input)).map(drop),
            Err(error)
        );
    }
}

#[test]
fn invalid_request_object_settings_are_refused_before_signing() {
    let with = |metadata: Value| server().with_metadata(metadata.as_object().cloned().unwrap());
    let reference =
        |text: &str| authorization_request("read").request_uri(Url::parse(text).unwrap());
    let hosted = "https://app.example/r";
    let signing = |server| client_of(server).with_request_signing(local());
    let long = format!("https://app.example/{}", "r".repeat(500));
    for (client, request, error) in [
        (client_of(server()), reference(hosted), "key.missing"),
        (
            signing(server()),
            reference("http://app.example/r"),
            "form.malformed_parameter",
        ),
        (
            signing(server()),
            reference(&long),
            "form.malformed_parameter",
        ),
        (
            signing(with(json!({"request_uri_parameter_supported": false}))),
            reference(hosted),
            "form.malformed_parameter",
        ),
        (
            signing(server()),
            reference(hosted).pushed(),
            "form.reserved_parameter",
        ),
        (
            signing(with(
                json!({"request_object_signing_alg_values_supported": ["PS256"]}),
            )),
            authorization_request("read"),
            "key.algorithm",
        ),
        (
            client_of(with(json!({"require_signed_request_object": true}))),
            authorization_request("read"),
            "authorization.request_object_required",
        ),
        (
            signing(server()),
            authorization_request("read").extra("request", "x"),
            "form.reserved_parameter",
        ),
    ] {
        assert_eq!(begin(&client, request).map(drop), Err(error));
    }
}

fn begun_plain(request: AuthorizationRequest) -> Authorization {
    begin(&client_of(server()), request).unwrap()
}

#[test]
fn client_assertion_key_signs_where_request_objects_are_required() {
    let metadata = json!({"require_signed_request_object": true});
    let server = server().with_metadata(metadata.as_object().cloned().unwrap());
    let key = SigningKey::local("k1", Alg::Es256, Arc::new(Sixtyfour));
    let auth = crate::ClientAuth::assertion(crate::client_auth::ClientAssertion::new(key));
    let client = Client::new(server, crate::ClientId::new("id"), auth).unwrap();
    let begun = begin(&client, authorization_request("read")).unwrap();
    let query = pairs(begun.url.query().unwrap());
    assert_eq!(names(&query), ["client_id", "request"]);
}
