#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests may panic

use std::sync::Arc;

use crate::http::Request;
use ::base64::Engine as _;
use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::client::Client;
use crate::client_auth::{ClientAuth, SignedSecret};
use crate::client_config::ClientId;
use crate::crypto::Signer;
use crate::endpoint::{Auth, Context, Endpoint, EndpointRequest, Reply};
use crate::error::Cause;
use crate::exchange::{Exchange, Input, Step};
use crate::jose::Alg;
use crate::moment::UnixTime;
use crate::quirk::{Quirk, Rules};
use crate::scope::Scope;
use crate::testing::{NOW, at, client, error_code, json, reply, run_with_reply, server};
use crate::token::{TokenType, Tokens};

const JWK: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;
const BOUND: &str = r#"{"access_token":"abcd","token_type":"DPoP","expires_in":60}"#;
const NONCE: &str = r#"{"error":"use_dpop_nonce"}"#;

fn moment(number: u8) -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW), [number; 32])
}

fn host_key() -> DpopKey {
    let key = SigningKey::host("ours", Alg::Es256);
    DpopKey::new(key, PublicJwk::parse(JWK).unwrap()).unwrap()
}

/// Signs with zeros: only the signing input matters here.
struct Zeros;

impl Signer for Zeros {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(Bytes::from_static(&[0; 64]))
    }
}

fn local() -> Client {
    let key = SigningKey::local("ours", Alg::Es256, Arc::new(Zeros));
    client().with_dpop(DpopKey::new(key, PublicJwk::parse(JWK).unwrap()).unwrap())
}

fn sent_request(step: Step<impl Sized>) -> Request<Bytes> {
    match step {
        Step::Send(request) => request,
        step => panic!("{step:?}"),
    }
}

/// Header and claims of a JWS.
fn decode_jws(jws: &str) -> (Value, Value) {
    let mut parts = jws.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap_or_default()
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

fn proof_of(request: &Request<Bytes>) -> (Value, Value) {
    let mut proofs = request.headers().get_all(DPOP).iter();
    let proof = proofs.next().unwrap();
    assert!(proofs.next().is_none(), "exactly one");
    decode_jws(proof.to_str().unwrap())
}

#[test]
fn proof_contains_the_public_key_and_request_claims() {
    let mut exchange = local().client_credentials(Scope::none());
    let request = sent_request(exchange.resume(&at(), Input::Begin).unwrap());
    let (header, claims) = proof_of(&request);
    assert_eq!(header["typ"], "dpop+jwt");
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["jwk"], host_key().public_jwk().to_value());
    assert_eq!(header.as_object().unwrap().len(), 3);
    assert_eq!(claims["htm"], "POST");
    assert_eq!(claims["htu"], "https://as.example/token");
    assert_eq!(claims["iat"], NOW);
    assert!(claims["jti"].as_str().unwrap().len() >= 16);
    assert_eq!(claims.as_object().unwrap().len(), 4, "no ath, no nonce");
    let Step::Done(tokens) = exchange
        .resume(&at(), Input::Reply(json(200, BOUND)))
        .unwrap()
    else {
        panic!("tokens")
    };
    assert_eq!(tokens.token_type, TokenType::Dpop);
}

#[test]
fn bearer_token_is_refused_where_dpop_was_requested() {
    let bearer = r#"{"access_token":"a","token_type":"Bearer"}"#;
    let send = |client: Client, body: &str| {
        error_code(
            run_with_reply(client.client_credentials(Scope::none()), json(200, body)).map(drop),
        )
    };
    assert_eq!(send(local(), bearer), Err("token.not_sender_constrained"));
    assert_eq!(send(local(), BOUND), Ok(()));
    assert_eq!(send(local(), &BOUND.to_lowercase()), Ok(()));
    let none = r#"{"access_token":"a"}"#;
    assert_eq!(send(local(), none), Err("token.missing_token_type"));
    assert_eq!(send(client(), BOUND), Err("token.unsupported_token_type"));
}

#[test]
fn unbound_tokens_quirk_accepts_bearer_tokens() {
    let rules = Rules {
        quirks: vec![Quirk::UnboundTokens],
        ..Rules::default()
    };
    let server = server().with_rules(rules);
    let client = Client::new(server, ClientId::new("id"), ClientAuth::basic("s")).unwrap();
    let client = client.with_dpop(local().dpop_key().unwrap().clone());
    for (body, kind) in [
        (
            r#"{"access_token":"a","token_type":"Bearer"}"#,
            TokenType::Bearer,
        ),
        (BOUND, TokenType::Dpop),
    ] {
        let mut exchange = client.client_credentials(Scope::none());
        let _ = exchange.resume(&at(), Input::Begin).unwrap();
        match exchange.resume(&at(), Input::Reply(json(200, body))) {
            Ok(Step::Done(tokens)) => assert_eq!(tokens.token_type, kind),
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn client_secret_and_proof_signatures_are_requested_in_order() {
    let auth = ClientAuth::signed_secret(SignedSecret::apple("team", "apple"));
    let client = Client::new(server(), ClientId::new("id"), auth).unwrap();
    let mut exchange = client
        .with_dpop(host_key())
        .client_credentials(Scope::none());
    let mut keys = Vec::new();
    let mut input = Input::Begin;
    let request = loop {
        match exchange.resume(&at(), input).unwrap() {
            Step::Sign(job) => {
                keys.push(job.key_id.clone());
                input = Input::Signed(Bytes::from(vec![7; 64]));
            }
            step => break sent_request(step),
        }
    };
    assert_eq!(keys, ["apple", "ours"]);
    let body = std::str::from_utf8(request.body()).unwrap();
    let secret = body.split("client_secret=").nth(1).unwrap();
    assert_eq!(decode_jws(secret).0["kid"], "apple");
    assert_eq!(proof_of(&request).0["typ"], "dpop+jwt");
    let mut exchange = local().client_credentials(Scope::none());
    assert_eq!(
        error_code(exchange.resume(&at(), Input::Signed(Bytes::new()))).map(drop),
        Err("misuse.out_of_order")
    );
}

#[test]
fn use_dpop_nonce_is_retried_once_and_the_nonce_is_reused() {
    let client = local();
    let mut exchange = client.client_credentials(Scope::none());
    let first = sent_request(exchange.resume(&moment(1), Input::Begin).unwrap());
    let refused = || {
        reply(
            400,
            &[("content-type", "application/json"), (DPOP_NONCE, "n1")],
            NONCE,
        )
    };
    let second = sent_request(
        exchange
            .resume(&moment(2), Input::Reply(refused()))
            .unwrap(),
    );
    assert_eq!(proof_of(&second).1["nonce"], "n1");
    assert_ne!(proof_of(&first).1["jti"], proof_of(&second).1["jti"]);
    assert_eq!(first.body(), second.body());
    let again = error_code(exchange.resume(&moment(3), Input::Reply(refused())));
    assert_eq!(again.map(drop), Err("denied.use_dpop_nonce"));
    // A reconfigured clone shares the nonces that the other clones have received.
    let changed = client.with_header("user-agent", "x").unwrap();
    let mut exchange = changed.client_credentials(Scope::none());
    let next = sent_request(exchange.resume(&moment(4), Input::Begin).unwrap());
    assert_eq!(proof_of(&next).1["nonce"], "n1");
}

#[test]
fn nonce_challenge_is_retried_and_other_refusals_are_not() {
    let send = |status, headers: &[(&'static str, &str)], body| {
        let mut exchange = local().client_credentials(Scope::none());
        let _ = exchange.resume(&moment(1), Input::Begin).unwrap();
        let step = exchange.resume(&moment(2), Input::Reply(reply(status, headers, body)));
        error_code(step).map(|step| matches!(step, Step::Send(_)))
    };
    let json = ("content-type", "application/json");
    let nonce = (DPOP_NONCE, "n1");
    let challenge = ("www-authenticate", r#"DPoP error="use_dpop_nonce""#);
    assert_eq!(send(401, &[json, nonce], NONCE), Ok(true));
    assert_eq!(send(401, &[challenge, nonce], ""), Ok(true));
    assert_eq!(send(400, &[json], NONCE), Err("denied.use_dpop_nonce"));
    let large = format!(
        r#"{{"error":"use_dpop_nonce","x":"{}"}}"#,
        "x".repeat(1 << 20)
    );
    assert!(
        !matches!(send(400, &[json, nonce], &large), Ok(true)),
        "not read"
    );
    let other = r#"{"error":"invalid_scope"}"#;
    assert_eq!(
        send(400, &[json, nonce], other),
        Err("denied.invalid_scope")
    );
    assert_eq!(
        send(500, &[json, nonce], NONCE),
        Err("denied.use_dpop_nonce")
    );
    let twice = [json, nonce, (DPOP_NONCE, "n2")];
    assert_eq!(send(400, &twice, NONCE), Err("dpop.duplicate_nonce"));
    // Existing tokens are kept.
    let tokens = r#"{"access_token":"a","token_type":"DPoP"}"#;
    assert_eq!(send(200, &twice, tokens), Ok(false));
}

#[test]
fn nonce_from_a_reply_to_a_request_without_proof_is_used_next() {
    let client = local();
    let introspected = |headers: &[(&'static str, &str)]| {
        let mut exchange =
            client.introspect(crate::endpoint::introspection::Introspection::new("t"));
        let request = sent_request(exchange.resume(&moment(1), Input::Begin).unwrap());
        assert!(!request.headers().contains_key("dpop"));
        let body = r#"{"active":false}"#;
        let step = exchange.resume(&moment(2), Input::Reply(reply(200, headers, body)));
        assert!(matches!(step, Ok(Step::Done(_))));
    };
    let json = ("content-type", "application/json");
    introspected(&[json, (DPOP_NONCE, "n0"), (DPOP_NONCE, "n1")]);
    introspected(&[json, (DPOP_NONCE, "n1")]);
    introspected(&[json]);
    let mut exchange = client.client_credentials(Scope::none());
    let next = sent_request(exchange.resume(&moment(3), Input::Begin).unwrap());
    assert_eq!(proof_of(&next).1["nonce"], "n1");
}

#[test]
fn nonces_are_kept_per_origin_and_server_role() {
    let nonces = Nonces::default();
    let url = |text: &str| Url::parse(text).unwrap();
    nonces.store_nonce(
        ServerRole::ResourceServer,
        &url("https://rs.example/a"),
        "r1",
    );
    let newest_nonce = |role, text: &str| nonces.newest_nonce(role, &url(text));
    assert_eq!(
        newest_nonce(ServerRole::ResourceServer, "https://rs.example/b?c").as_deref(),
        Some("r1")
    );
    assert_eq!(
        newest_nonce(ServerRole::ResourceServer, "https://rs.example:8443/a"),
        None
    );
    assert_eq!(
        newest_nonce(ServerRole::AuthorizationServer, "https://rs.example/a"),
        None
    );
    for number in 0..200 {
        let text = format!("https://rs{number}.example/");
        nonces.store_nonce(ServerRole::ResourceServer, &url(&text), "n");
    }
    assert_eq!(nonces.0.lock().unwrap().len(), MAX_NONCES);
}

#[test]
fn invalid_nonce_is_ignored() {
    for (text, is_kept) in [
        ("eyJ7S_zG.eyJH0-Z.HX4w-7v", true),
        ("a", true),
        ("a b", false),
        ("a\"b", false),
        ("a\\b", false),
        ("", false),
        ("é", false),
    ] {
        let reply = reply(200, &[(DPOP_NONCE, text)], "");
        let has_nonce = nonce_field(reply.headers()).unwrap().is_some();
        assert_eq!(has_nonce, is_kept, "{text}");
    }
}

/// An endpoint that requires an access token.
struct Own(Arc<Tokens>);

impl Endpoint for Own {
    const NAME: &'static str = "own";
    type Output = ();

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let url = Url::parse("https://as.example/own?a=b")?;
        Ok(EndpointRequest::get(url).auth(Auth::Token(Arc::clone(&self.0))))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<(), Error> {
        reply.object().map(drop)
    }
}

#[test]
fn access_token_is_sent_with_the_scheme_of_its_type() {
    let client = local();
    let call = client.client_credentials(Scope::none());
    let bound = run_with_reply(call, json(200, BOUND)).unwrap();
    let begin = |client: &Client, tokens: Tokens| {
        let mut exchange = client.call(Own(Arc::new(tokens)));
        error_code(exchange.resume(&at(), Input::Begin)).map(sent_request)
    };
    let request = begin(&client, bound.clone()).unwrap();
    let header = |request: &Request<Bytes>| request.headers()["authorization"].clone();
    assert_eq!(header(&request), "DPoP abcd");
    assert!(header(&request).is_sensitive());
    let claims = proof_of(&request).1;
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["htu"], "https://as.example/own");
    assert_eq!(claims["ath"], base64::url_safe(hash(&bound.access_token)));
    let request = begin(&client, Tokens::bearer("own")).map(|_| ());
    assert_eq!(request, Ok(()));
    let broken = begin(&client, Tokens::bearer("own token")).map(drop);
    assert_eq!(broken, Err("token.not_token68"));
    assert_eq!(
        begin(&crate::testing::client(), bound.clone()).map(drop),
        Err("key.missing")
    );
    let other = Client::new(server(), ClientId::new("other"), ClientAuth::none()).unwrap();
    let bearer = Tokens {
        token_type: TokenType::Bearer,
        ..bound.clone()
    };
    for theirs in [bearer, bound] {
        assert_eq!(begin(&other, theirs).map(drop), Err("stored.issuer"));
    }
}

/// RFC 9449 section 7.1 gives the hash of its example token.
#[test]
fn ath_matches_the_rfc_9449_example() {
    let token = Secret::from("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    assert_eq!(
        base64::url_safe(hash(&token)),
        "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    );
}

#[test]
fn key_with_an_algorithm_that_does_not_match_its_jwk_is_refused() {
    let key = SigningKey::host("ours", Alg::Ps256);
    let made = DpopKey::new(key, PublicJwk::parse(JWK).unwrap());
    assert_eq!(error_code(made.map(drop)), Err("key.algorithm"));
}

#[test]
fn htu_has_a_slash_for_an_empty_path_and_no_query() {
    let key = local().dpop_key().cloned().unwrap();
    for (text, htu) in [
        ("https://rs.example", "https://rs.example/"),
        ("https://rs.example?a=b", "https://rs.example/"),
        ("https://rs.example/a/?b#c", "https://rs.example/a/"),
    ] {
        let url = Url::parse(text.split('#').next().unwrap()).unwrap();
        let proof = Proof {
            method: "GET",
            url: &url,
            token: None,
            nonce: None,
            issued_at: at().now(),
        };
        let (_, claims) = decode_jws(&key.signing_input(&proof, &at()).unwrap());
        assert_eq!(claims["htu"], htu, "{text}");
    }
}

#[test]
fn dpop_algorithm_unsupported_by_the_server_is_refused() {
    let with = |algs: &[&str]| {
        let metadata = serde_json::json!({ "dpop_signing_alg_values_supported": algs });
        let server = server().with_metadata(metadata.as_object().cloned().unwrap());
        let key = local().dpop_key().cloned().unwrap();
        let client = Client::new(server, ClientId::new("id"), ClientAuth::basic("hunter22"));
        let mut exchange = client
            .unwrap()
            .with_dpop(key)
            .client_credentials(Scope::none());
        error_code(exchange.resume(&at(), Input::Begin)).map(drop)
    };
    assert_eq!(with(&["PS256", "ES256"]), Ok(()));
    assert_eq!(with(&["PS256", "ES384"]), Err("key.algorithm"));
}

fn client_with_key(auth: ClientAuth, jwk: &str) -> Client {
    let key = SigningKey::local("ours", Alg::Es256, Arc::new(Zeros));
    let key = DpopKey::new(key, PublicJwk::parse(jwk).unwrap()).unwrap();
    let client = Client::new(server(), ClientId::new("id"), auth).unwrap();
    client.with_dpop(key)
}

/// Another key of the same curve.
const OTHER: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

#[test]
fn public_clients_refresh_token_requires_the_same_dpop_key() {
    let granted = |auth: &ClientAuth| {
        let reply = r#"{"access_token":"a","token_type":"DPoP","refresh_token":"r"}"#;
        let client = client_with_key(auth.clone(), JWK);
        let uri = crate::redirect_uri::RedirectUri::parse("https://app.example/cb").unwrap();
        let request = crate::AuthorizationRequest::new(uri);
        let (_, pending) = client.authorize(&at(), request).unwrap();
        let state = pending.state().expose();
        let callback = format!("https://app.example/cb?code=c&state={state}");
        let exchange = client.redeem(pending, &callback).unwrap();
        let tokens = run_with_reply(exchange, json(200, reply)).unwrap().tokens;
        // The binding survives storage and a renewal.
        let tokens = Tokens::from_json(tokens.to_json().expose()).unwrap();
        let refreshed = client.refresh(tokens.refresh_token.as_ref().unwrap());
        run_with_reply(refreshed, json(200, reply)).unwrap()
    };
    let refresh = |client: &Client, tokens: &Tokens| {
        let mut exchange = client.refresh(tokens.refresh_token.as_ref().unwrap());
        error_code(exchange.resume(&at(), Input::Begin)).map(drop)
    };
    let public = ClientAuth::none();
    let tokens = granted(&public);
    assert_eq!(
        refresh(&client_with_key(public.clone(), JWK), &tokens),
        Ok(())
    );
    assert_eq!(
        refresh(&client_with_key(public.clone(), OTHER), &tokens),
        Err("key.mismatch")
    );
    let without = Client::new(server(), ClientId::new("id"), public).unwrap();
    assert_eq!(refresh(&without, &tokens), Err("key.mismatch"));
    // A client with authentication may change the key.
    let secret = ClientAuth::basic("hunter22");
    let tokens = granted(&secret);
    assert_eq!(refresh(&client_with_key(secret, OTHER), &tokens), Ok(()));
}

#[test]
fn proof_refused_for_its_time_is_retried_once_with_the_servers_time() {
    let client = local();
    // Sun, 06 Nov 1994, long before the test's clock.
    let late = || {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let json = ("content-type", "application/json");
        reply(400, &[json, date], r#"{"error":"invalid_dpop_proof"}"#)
    };
    let mut exchange = client.client_credentials(Scope::none());
    let first = proof_of(&sent_request(
        exchange.resume(&moment(1), Input::Begin).unwrap(),
    ));
    assert_eq!(first.1["iat"], NOW);
    let second = proof_of(&sent_request(
        exchange.resume(&moment(2), Input::Reply(late())).unwrap(),
    ));
    assert_eq!(second.1["iat"], 784_111_777);
    assert_ne!(first.1["jti"], second.1["jti"]);
    let refused = error_code(exchange.resume(&moment(3), Input::Reply(late()))).map(drop);
    assert_eq!(refused, Err("denied.invalid_dpop_proof"));
    // All clones of the client use it from then on.
    let mut exchange = client.clone().client_credentials(Scope::none());
    let third = proof_of(&sent_request(
        exchange.resume(&moment(4), Input::Begin).unwrap(),
    ));
    assert_eq!(third.1["iat"], 784_111_777);
    // A different refusal has no effect.
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let other = reply(400, &[date], r#"{"error":"invalid_client"}"#);
    let mut exchange = local().client_credentials(Scope::none());
    let _ = exchange.resume(&moment(5), Input::Begin);
    assert!(exchange.resume(&moment(6), Input::Reply(other)).is_err());
}
