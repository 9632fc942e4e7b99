#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod api;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::client::Client;
use crate::client_auth::{Certificate, ClientAssertion, ClientAuth};
use crate::client_id::ClientId;
use crate::crypto::{Signer, SigningKey};
use crate::dpop::DpopKey;
use crate::error::Cause;
use crate::exchange::{Exchange, Input, Step};
use crate::flow::authorization::{AuthorizationRequest, HostGeneratedValues, ResponseType};
use crate::grant::{ClientCredentials, Password, TokenRequest};
use crate::issuer::Issuer;
use crate::jose::PublicJwk;
use crate::json::Json;
use crate::quirk::{Quirk, Rules};
use crate::redirect_uri::RedirectUri;
use crate::request_signing::RequestSigning;
use crate::scope::Scope;
use crate::server::{EndpointKind, Server};
use crate::testing::{at, error_code, json};

const ISSUER: &str = "https://as.example";

struct Sixtyfour;

impl Signer for Sixtyfour {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(Bytes::from_static(&[7; 64]))
    }
}

fn key(alg: Alg) -> SigningKey {
    SigningKey::local("k1", alg, Arc::new(Sixtyfour))
}

fn read(changes: Value, rules: Rules) -> Server {
    let mut document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://as.example/authorize",
        "token_endpoint": "https://as.example/token",
        "introspection_endpoint": "https://as.example/introspect",
        "pushed_authorization_request_endpoint": "https://as.example/par",
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    let members = document.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    let text = document.to_string();
    let Ok(Json::Object(object)) = crate::json::parse(&text) else {
        panic!("an object")
    };
    Server::read(&Issuer::parse(ISSUER).unwrap(), &object, rules).unwrap()
}

fn discovered_server() -> Server {
    read(json!({}), Rules::default())
}

fn jwt_auth(alg: Alg) -> ClientAuth {
    ClientAuth::assertion(ClientAssertion::new(key(alg)))
}

fn dpop(alg: Alg) -> DpopKey {
    let jwk = match alg {
        Alg::Es256 => {
            r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#
        }
        _ => {
            r#"{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#
        }
    };
    DpopKey::new(key(alg), PublicJwk::parse(jwk).unwrap()).unwrap()
}

fn client(server: Server, auth: ClientAuth) -> Client {
    Client::new(server, ClientId::new("id"), auth).unwrap()
}

fn conforming_client() -> Client {
    client(discovered_server(), jwt_auth(Alg::Es256)).with_dpop(dpop(Alg::Es256))
}

fn authorization_request() -> AuthorizationRequest {
    let request = AuthorizationRequest::new(RedirectUri::parse("https://app.example/cb").unwrap());
    request.scope(Scope::parse("openid").unwrap())
}

/// The URL of the first request, or the error.
fn first<T>(mut exchange: impl Exchange<Output = T>) -> Result<String, Error> {
    match exchange.resume(&at(), Input::Begin)? {
        Step::Send(request) => Ok(request.uri().path().to_owned()),
        Step::Done(_) => Ok("done".to_owned()),
        _ => panic!("no such step"),
    }
}

fn authorizing(client: &Client) -> Result<String, Error> {
    first(client.begin_authorization(authorization_request()))
}

fn credentials(client: &Client) -> Result<String, Error> {
    first(client.token(ClientCredentials, TokenRequest::new()))
}

/// The clause that an error names.
fn clause(result: Result<String, Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code(), "profile.forbidden");
    let detail = error.detail().unwrap();
    detail.split(':').next().unwrap().to_owned()
}

#[test]
fn profile_requires_bound_tokens_despite_the_unbound_tokens_quirk() {
    let rules = Rules {
        quirks: vec![Quirk::UnboundTokens],
        ..Rules::default()
    };
    let auth = || jwt_auth(Alg::Es256);
    let bank = client(read(json!({}), rules), auth()).with_dpop(dpop(Alg::Es256));
    let ends = |client: &Client| {
        let mut exchange = client.client_credentials(Scope::none());
        let _ = exchange.resume(&at(), Input::Begin).unwrap();
        let bearer = r#"{"access_token":"a","token_type":"Bearer"}"#;
        error_code(
            exchange
                .resume(&at(), Input::Reply(json(200, bearer)))
                .map(drop),
        )
    };
    assert_eq!(ends(&bank), Ok(()));
    let bank = bank.with_profile(SecurityProfile::Fapi2Security);
    assert_eq!(ends(&bank), Err("token.not_sender_constrained"));
}

#[test]
fn profile_names_round_trip_and_every_clause_has_a_source() {
    for profile in SecurityProfile::ALL {
        assert_eq!(SecurityProfile::from_name(profile.as_str()), Some(*profile));
        for clause in profile.clauses() {
            assert!(profile.requires(clause.requirement));
            assert!(!clause.source.is_empty() && clause.to_string().contains(clause.text));
        }
    }
    assert_eq!(SecurityProfile::from_name("fapi"), None);
    let all = |profile: SecurityProfile| profile.clauses().len();
    assert_eq!(
        all(SecurityProfile::Fapi2MessageSigning),
        all(SecurityProfile::Fapi2Security) + 4
    );
}

#[test]
fn conforming_fapi_client_uses_par_and_gets_tokens() {
    let client = conforming_client().with_profile(SecurityProfile::Fapi2Security);
    assert_eq!(authorizing(&client).unwrap(), "/par");
    assert_eq!(credentials(&client).unwrap(), "/token");
    // With mutual TLS instead of both keys.
    let tls = client_tls().with_profile(SecurityProfile::Fapi2Security);
    assert_eq!(authorizing(&tls).unwrap(), "/par");
    // With tokens bound to the certificate.
    let bound = self::client(discovered_server(), jwt_auth(Alg::Es256));
    let bound = bound.with_certificate_bound_tokens();
    let bound = bound.with_profile(SecurityProfile::Fapi2Security);
    assert_eq!(credentials(&bound).unwrap(), "/token");
}

fn client_tls() -> Client {
    client(discovered_server(), ClientAuth::tls(Certificate::Pki))
}

#[test]
fn fapi_refuses_nonconforming_clients_naming_the_clause() {
    let with = |auth| client(discovered_server(), auth).with_dpop(dpop(Alg::Es256));
    let by_hand = Server::new(Issuer::parse(ISSUER).unwrap());
    let by_hand = by_hand.with_endpoint(EndpointKind::Token, "https://as.example/token");
    let to_endpoint = ClientAssertion::new(key(Alg::Es256))
        .audience(crate::client_auth::AssertionAudience::TokenEndpoint);
    let section = |number: &str| format!("FAPI 2.0 Security Profile section {number}");
    for (client, number) in [
        (with(ClientAuth::basic("hunter22")), "5.3.3.1"),
        (with(ClientAuth::none()), "5.3.3.1"),
        (with(ClientAuth::assertion(to_endpoint)), "5.3.3.1"),
        (client(discovered_server(), jwt_auth(Alg::Es256)), "5.3.3.1"),
        (with(jwt_auth(Alg::Rs256)), "5.4.1"),
        (
            client(discovered_server(), jwt_auth(Alg::Es256)).with_dpop(dpop(Alg::Rs256)),
            "5.4.1",
        ),
        (
            with(jwt_auth(Alg::Es256)).with_request_signing(RequestSigning::new(key(Alg::Rs256))),
            "5.4.1",
        ),
        (
            client(by_hand.unwrap(), jwt_auth(Alg::Es256)).with_dpop(dpop(Alg::Es256)),
            "5.3.3.1",
        ),
    ] {
        let client = client.with_profile(SecurityProfile::Fapi2Security);
        assert_eq!(clause(credentials(&client)), section(number), "{client:?}");
    }
}

#[test]
fn fapi_refuses_hybrid_flows_and_requests_without_pkce() {
    let client = conforming_client().with_profile(SecurityProfile::Fapi2Security);
    let refused =
        |request: AuthorizationRequest| clause(first(client.begin_authorization(request)));
    let section = "FAPI 2.0 Security Profile section 5.3.3.2";
    assert_eq!(
        refused(authorization_request().response_type(ResponseType::CodeIdToken)),
        section
    );
    assert_eq!(
        refused(crate::danger::without_pkce(authorization_request())),
        section
    );
    let quirks = vec![Quirk::WithoutPkce];
    let rules = Rules {
        quirks,
        ..Rules::default()
    };
    let breaking = self::client(read(json!({}), rules), jwt_auth(Alg::Es256));
    let breaking = breaking.with_dpop(dpop(Alg::Es256));
    let breaking = breaking.with_profile(SecurityProfile::Fapi2Security);
    assert_eq!(clause(authorizing(&breaking)), section);
}

/// "may reject nonce values longer than 64 characters" (FAPI 2.0 Security Profile section 5.3.2.2)
#[test]
fn host_nonce_is_limited_to_64_characters_by_fapi() {
    let asking = |client: &Client, request: AuthorizationRequest, length: usize| {
        let verifier = crate::pkce::CodeVerifier::parse(&"v".repeat(43)).unwrap();
        let challenge = verifier.challenge(crate::pkce::ChallengeMethod::S256);
        let (state, nonce) = ("s".repeat(65), "n".repeat(length));
        let values = HostGeneratedValues::new(&state, &nonce, verifier.expose(), &challenge);
        first(client.begin_authorization_with(values.unwrap(), request))
    };
    let bank = conforming_client().with_profile(SecurityProfile::Fapi2Security);
    assert_eq!(asking(&bank, authorization_request(), 64).unwrap(), "/par");
    let refused = asking(&bank, authorization_request(), 65);
    assert_eq!(clause(refused), "FAPI 2.0 Security Profile section 5.3.3.2");
    // Without `openid` it is not sent.
    let plain = AuthorizationRequest::new(RedirectUri::parse("https://app.example/cb").unwrap());
    assert_eq!(asking(&bank, plain, 65).unwrap(), "/par");
    let strict = self::conforming_client().with_profile(SecurityProfile::Strict);
    assert_eq!(
        asking(&strict, authorization_request(), 65).unwrap(),
        "/par"
    );
}

#[test]
fn password_grant_is_refused_by_every_profile() {
    for profile in SecurityProfile::ALL {
        let client = conforming_client().with_profile(*profile);
        let grant = Password {
            username: "ann".into(),
            password: "hunter22".into(),
        };
        let refused = clause(first(client.token(grant, TokenRequest::new())));
        assert!(refused.contains("section"), "{refused}");
    }
}

#[test]
fn message_signing_requires_signed_requests_and_responses() {
    let without_key = client_tls().with_profile(SecurityProfile::Fapi2MessageSigning);
    assert_eq!(
        clause(authorizing(&without_key)),
        "FAPI 2.0 Message Signing section 5.3.2"
    );
    // Signed with the client authentication key.
    let client = conforming_client().with_profile(SecurityProfile::Fapi2MessageSigning);
    let introspection = client.introspect(crate::endpoint::introspection::Introspection::new("t"));
    assert_eq!(
        clause(first(introspection)),
        "FAPI 2.0 Message Signing section 5.5.2"
    );
    for (seconds, is_sent) in [(3600, true), (3601, false)] {
        let signing = RequestSigning::new(key(Alg::Es256)).lifetime(seconds);
        let sent = authorizing(&client.clone().with_request_signing(signing));
        assert_eq!(sent.is_ok(), is_sent, "{seconds}");
    }
    let mut exchange = client.begin_authorization(authorization_request());
    let Ok(Step::Send(request)) = exchange.resume(&at(), Input::Begin) else {
        panic!("a request")
    };
    let body = std::str::from_utf8(request.body()).unwrap();
    assert!(body.contains("request=") && !body.contains("redirect_uri="));
    let reply = crate::testing::json(201, r#"{"request_uri":"urn:a:b","expires_in":60}"#);
    let Ok(Step::Done(begun)) = exchange.resume(&at(), Input::Reply(reply)) else {
        panic!("done")
    };
    // A plain response is refused.
    let state = begun.pending.state().expose();
    let plain = format!("https://app.example/cb?code=c&state={state}&iss=https%3A%2F%2Fas.example");
    let pending = crate::PendingAuthorization::from_json(begun.pending.to_json().expose()).unwrap();
    let refused = client.redeem(pending, &plain).map(drop);
    assert_eq!(
        refused.unwrap_err().code(),
        "callback.missing_jarm_response"
    );
}

#[test]
fn strict_profile_requires_iss_even_if_the_server_does_not_announce_it() {
    let silent = json!({"authorization_response_iss_parameter_supported": null});
    let client = client(
        read(silent, Rules::default()),
        ClientAuth::basic("hunter22"),
    );
    for (profile, expected) in [
        (
            Some(SecurityProfile::Strict),
            Err("callback.missing_issuer"),
        ),
        (Some(SecurityProfile::Oauth21), Ok(())),
        (None, Ok(())),
    ] {
        let client = profile.map_or_else(
            || client.clone(),
            |profile| client.clone().with_profile(profile),
        );
        let mut exchange = client.begin_authorization(authorization_request());
        let mut step = exchange.resume(&at(), Input::Begin).unwrap();
        if let Step::Send(_) = step {
            assert!(profile.is_some());
            let reply = crate::testing::json(201, r#"{"request_uri":"urn:a:b","expires_in":60}"#);
            step = exchange.resume(&at(), Input::Reply(reply)).unwrap();
        }
        let Step::Done(begun) = step else {
            panic!("done")
        };
        let state = begun.pending.state().expose().clone();
        let callback = format!("https://app.example/cb?code=c&state={state}");
        let redeemed = client.redeem(begun.pending, &callback).map(drop);
        assert_eq!(redeemed.map_err(|error| error.code()), expected);
    }
}

/// A server that does not announce PKCE does not support it (RFC 8414 section 2), or an attacker removed it.
#[test]
fn fapi_requires_pkce_in_the_metadata() {
    for profile in [
        SecurityProfile::Fapi2Security,
        SecurityProfile::Fapi2MessageSigning,
    ] {
        let silent = json!({"code_challenge_methods_supported": null});
        let client = client(read(silent, Rules::default()), jwt_auth(Alg::Es256));
        let signing = RequestSigning::new(key(Alg::Es256));
        let client = client.with_dpop(dpop(Alg::Es256)).with_profile(profile);
        let client = client.with_request_signing(signing);
        let redirect_uri = RedirectUri::parse("https://app.example/cb").unwrap();
        let mut begin = client.begin_authorization(AuthorizationRequest::new(redirect_uri));
        let refused = begin.resume(&at(), Input::Begin).map(drop).unwrap_err();
        assert_eq!(refused.code(), "pkce.unsupported");
    }
}

#[test]
fn strict_profile_requires_pkce_in_the_metadata_and_applies_strict_rules() {
    let silent = json!({"code_challenge_methods_supported": null});
    let client = client(
        read(silent, Rules::default()),
        ClientAuth::basic("hunter22"),
    );
    let client = client.with_profile(SecurityProfile::Strict);
    assert_eq!(authorizing(&client).unwrap_err().code(), "pkce.unsupported");
    assert!(client.server().rules().is_strict());
}

#[test]
fn id_token_algorithms_default_to_those_of_fapi_under_fapi() {
    let allowed = |client: &Client| crate::token::id_token::allowed_algs(client.config());
    let silent = conforming_client();
    assert_eq!(allowed(&silent), [Alg::Rs256]);
    assert_eq!(
        allowed(&silent.with_profile(SecurityProfile::Fapi2Security)),
        [Alg::Ps256, Alg::Es256, Alg::EdDsa, Alg::Ed25519]
    );
    let metadata = json!({"id_token_signing_alg_values_supported": ["RS256", "PS256"]});
    let server = read(metadata, Rules::default());
    let client = client(server, jwt_auth(Alg::Es256)).with_dpop(dpop(Alg::Es256));
    assert_eq!(
        allowed(&client.with_profile(SecurityProfile::Fapi2Security)),
        [Alg::Ps256]
    );
}

/// Otherwise the user would log in in vain.
#[test]
fn login_is_refused_if_fapi_forbids_the_algorithm_of_its_id_token_or_response() {
    let begun = |metadata: Value, profile: SecurityProfile, scope: &str| {
        let server = read(metadata, Rules::default());
        let client = client(server, jwt_auth(Alg::Es256)).with_dpop(dpop(Alg::Es256));
        let signing = RequestSigning::new(key(Alg::Es256));
        let client = client.with_profile(profile).with_request_signing(signing);
        let redirect_uri = RedirectUri::parse("https://app.example/cb").unwrap();
        let request = AuthorizationRequest::new(redirect_uri).scope(Scope::parse(scope).unwrap());
        let mut begin = client.begin_authorization(request);
        let step = begin.resume(&at(), Input::Begin).map(drop);
        step.map_err(|error| (error.code(), error.to_string()))
    };
    let by = |member: &str, alg: &str| json!({ member: [alg] });
    let (ids, responses) = (
        "id_token_signing_alg_values_supported",
        "authorization_signing_alg_values_supported",
    );
    for (arguments, profile) in [
        (by(ids, "RS256"), SecurityProfile::Fapi2Security),
        (by(responses, "RS256"), SecurityProfile::Fapi2MessageSigning),
    ] {
        let (code, text) = begun(arguments, profile, "openid").unwrap_err();
        assert_eq!(code, "profile.forbidden");
        assert!(text.contains("section 5.4.1"), "{text}");
    }
    // Algorithms of tokens that are not requested are not checked.
    assert_eq!(
        begun(by(ids, "RS256"), SecurityProfile::Fapi2Security, "read"),
        Ok(())
    );
    assert_eq!(
        begun(
            by(responses, "RS256"),
            SecurityProfile::Fapi2Security,
            "openid"
        ),
        Ok(())
    );
    assert_eq!(
        begun(by(ids, "PS256"), SecurityProfile::Fapi2Security, "openid"),
        Ok(())
    );
}
