//! Requests with a token that is bound to a key (RFC 9449 section 7).

use std::sync::Arc;

use crate::http::header::WWW_AUTHENTICATE;
use ::base64::Engine as _;
use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;
use crate::client::Client;
use crate::crypto::{Signer, SigningKey};
use crate::dpop::{DPOP, DPOP_NONCE, DpopKey};
use crate::error::Cause;
use crate::exchange::SigningJob;
use crate::jose::{Alg, PublicJwk};
use crate::testing::client;

const JWK: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;
/// From RFC 9449 section 7.1, with `ath` in its proof.
const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const ATH: &str = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";

/// Signs with zeros: only the signing input matters here.
struct Zeros;

impl Signer for Zeros {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(Bytes::from_static(&[0; 64]))
    }
}

fn bound(key: SigningKey) -> Client {
    client().with_dpop(DpopKey::new(key, PublicJwk::parse(JWK).unwrap()).unwrap())
}

fn local() -> Client {
    bound(SigningKey::local("ours", Alg::Es256, Arc::new(Zeros)))
}

fn client_with_host_key() -> Client {
    bound(SigningKey::host("ours", Alg::Es256))
}

fn api_of(client: &Client) -> Api {
    api().with_dpop(client).unwrap()
}

fn tokens() -> Tokens {
    let mut tokens = Tokens::bearer(TOKEN);
    tokens.token_type = TokenType::Dpop;
    tokens
}

fn moment(number: u8) -> Clock {
    Clock {
        moment: Moment::fixed(UnixTime::from_secs(START), [number; 32]),
        elapsed: Duration::from_secs(number.into()),
    }
}

/// The claims of the proof sent with a request whose token has the scheme `DPoP`.
#[track_caller]
fn proof_claims(step: Result<Step, Error>) -> Value {
    let Ok(Step::Send {
        authorization: Some(authorization),
        dpop: Some(dpop),
        ..
    }) = step
    else {
        panic!("{step:?}");
    };
    assert_eq!(authorization.to_str().unwrap(), format!("DPoP {TOKEN}"));
    assert!(dpop.is_sensitive());
    claims(dpop.to_str().unwrap())
}

fn claims(jws: &str) -> Value {
    let part = jws.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn job(step: Result<Step, Error>) -> SigningJob {
    match step {
        Ok(Step::Sign(job)) => job,
        step => panic!("{step:?}"),
    }
}

fn nonce_challenge(nonce: &str) -> HeaderMap {
    fields(&[
        (WWW_AUTHENTICATE.as_str(), r#"DPoP error="use_dpop_nonce""#),
        (DPOP_NONCE, nonce),
    ])
}

#[test]
fn bound_token_is_sent_with_a_proof_for_the_request() {
    let mut request = get(&api_of(&local()), "/things?page=2");
    request.resume(&moment(1), Event::Begin).unwrap();
    let claims = proof_claims(request.resume(&moment(1), Event::Token(&tokens())));
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["htu"], "https://api.example/things");
    assert_eq!(claims["ath"], ATH);
    assert_eq!(claims["iat"], START);
    assert!(claims.get("nonce").is_none());
}

#[test]
fn proof_with_a_host_key_is_signed_by_the_host() {
    let mut request = get(&api_of(&client_with_host_key()), "/things");
    request.resume(&moment(1), Event::Begin).unwrap();
    let job = job(request.resume(&moment(1), Event::Token(&tokens())));
    assert_eq!((job.key_id.as_str(), job.alg), ("ours", "ES256"));
    let input = String::from_utf8(job.signing_input.to_vec()).unwrap();
    assert_eq!(claims(&input)["ath"], ATH);
    // Any other event is an error, and leaves the request usable.
    let early = reply(&mut request, &moment(2), 200, &HeaderMap::new()).unwrap_err();
    assert_eq!(early.code(), "misuse.out_of_order");
    let signature = Bytes::from_static(&[7; 64]);
    let claims = proof_claims(request.resume(&moment(2), Event::Signed(signature)));
    assert_eq!(claims["iat"], START);
    let done = reply(&mut request, &moment(3), 200, &HeaderMap::new());
    assert!(matches!(done, Ok(Step::Done)));

    let mut request = get(&api_of(&client_with_host_key()), "/things");
    request.resume(&moment(1), Event::Begin).unwrap();
    request.resume(&moment(1), Event::Token(&tokens())).unwrap();
    let der = request.resume(&moment(1), Event::Signed(Bytes::from_static(&[7; 70])));
    assert_eq!(der.unwrap_err().code(), "client_auth.signature_length");
}

#[test]
fn nonce_challenge_is_retried_once_and_the_nonce_is_shared_by_clones() {
    let client = local();
    let api = api_of(&client);
    let mut request = get(&api, "/things");
    request.resume(&moment(1), Event::Begin).unwrap();
    let first = proof_claims(request.resume(&moment(1), Event::Token(&tokens())));
    // The token is the same, so it is not reported to the source as refused.
    let step = reply(&mut request, &moment(2), 401, &nonce_challenge("n-1"));
    assert!(matches!(step, Ok(Step::Token(_))), "{step:?}");
    let second = proof_claims(request.resume(&moment(2), Event::Token(&tokens())));
    assert_eq!(second["nonce"], "n-1");
    assert_ne!(first["jti"], second["jti"]);
    let again = reply(&mut request, &moment(3), 401, &nonce_challenge("n-2"));
    assert!(matches!(again, Ok(Step::Done)), "{again:?}");

    // "n-2" came with a refusal, and the later "n-3" with a success.
    let mut later = get(&api_of(&client.clone()), "/other");
    later.resume(&moment(4), Event::Begin).unwrap();
    let claims = proof_claims(later.resume(&moment(4), Event::Token(&tokens())));
    assert_eq!(claims["nonce"], "n-2");
    reply(&mut later, &moment(5), 200, &fields(&[(DPOP_NONCE, "n-3")])).unwrap();
    let mut last = get(&api, "/other");
    last.resume(&moment(6), Event::Begin).unwrap();
    let claims = proof_claims(last.resume(&moment(6), Event::Token(&tokens())));
    assert_eq!(claims["nonce"], "n-3");
}

#[test]
fn nonce_challenge_without_exactly_one_nonce_is_not_retried() {
    let challenge = (WWW_AUTHENTICATE.as_str(), r#"DPoP error="use_dpop_nonce""#);
    let two = [challenge, (DPOP_NONCE, "a"), (DPOP_NONCE, "b")];
    for headers in [&[challenge][..], &two[..]] {
        let mut request = get(&api_of(&local()), "/things");
        request.resume(&moment(1), Event::Begin).unwrap();
        proof_claims(request.resume(&moment(1), Event::Token(&tokens())));
        let step = reply(&mut request, &moment(2), 401, &fields(headers));
        assert!(matches!(step, Ok(Step::Done)), "{step:?}");
    }
}

#[test]
fn streamed_body_is_not_resent_for_a_nonce() {
    let url = format!("{API}/things");
    let mut request = ResourceRequest::new(&api_of(&local()), Method::POST, &url).body_once();
    request.resume(&moment(1), Event::Begin).unwrap();
    proof_claims(request.resume(&moment(1), Event::Token(&tokens())));
    let step = reply(&mut request, &moment(2), 401, &nonce_challenge("n"));
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
}

#[test]
fn invalid_token_in_either_scheme_triggers_a_renewal() {
    for challenge in [
        r#"DPoP error="invalid_token", algs="ES256""#,
        r#"DPoP algs="ES256", Bearer error="invalid_token""#,
        r#"DPoP algs="ES256""#,
    ] {
        let mut request = get(&api_of(&local()), "/things");
        request.resume(&moment(1), Event::Begin).unwrap();
        proof_claims(request.resume(&moment(1), Event::Token(&tokens())));
        let headers = fields(&[(WWW_AUTHENTICATE.as_str(), challenge)]);
        let step = reply(&mut request, &moment(2), 401, &headers);
        assert!(matches!(step, Ok(Step::Renew(_))), "{challenge}: {step:?}");
    }
}

#[test]
fn dpop_challenge_is_ignored_for_a_bearer_token() {
    let mut request = get(&api_of(&local()), "/things");
    sent(&mut request, &moment(1));
    let step = reply(&mut request, &moment(2), 401, &nonce_challenge("n"));
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
}

#[test]
fn bound_token_without_a_key_is_not_sent() {
    let mut request = get(&api(), "/things");
    request.resume(&moment(1), Event::Begin).unwrap();
    let refused = request.resume(&moment(1), Event::Token(&tokens()));
    assert_eq!(refused.unwrap_err().code(), "key.missing");
    assert_eq!(
        api().with_dpop(&client()).unwrap_err().code(),
        "key.missing"
    );
}

#[test]
fn callers_own_dpop_header_is_refused() {
    let mut request = get(&api_of(&local()), "/things");
    request.add_header(DPOP, "mine");
    request.resume(&moment(1), Event::Begin).unwrap();
    let refused = request.resume(&moment(1), Event::Token(&tokens()));
    assert_eq!(refused.unwrap_err().code(), "token.more_than_one_method");
}

#[test]
fn unsupported_proof_algorithm_is_not_retried() {
    let client = local();
    for (algs, expected) in [
        ("ES256 PS256", Ok(())),
        ("PS256 EdDSA", Err("key.algorithm")),
    ] {
        let api = api_of(&client);
        let mut request = ResourceRequest::new(&api, Method::GET, API);
        request.resume(&moment(1), Event::Begin).unwrap();
        request.resume(&moment(2), Event::Token(&tokens())).unwrap();
        let mut headers = nonce_challenge("n1");
        let field = format!("DPoP error=\"use_dpop_nonce\", algs=\"{algs}\"");
        headers.insert(WWW_AUTHENTICATE, field.parse().unwrap());
        let refused = Event::Reply(StatusCode::UNAUTHORIZED, &headers);
        let next = request.resume(&moment(3), refused).map(drop);
        assert_eq!(next.map_err(|error| error.code()), expected, "{algs}");
    }
}

#[test]
fn proof_refused_for_its_time_is_retried_once_with_the_apis_time() {
    let api = api_of(&local());
    let mut headers = fields(&[
        (
            WWW_AUTHENTICATE.as_str(),
            r#"DPoP error="invalid_dpop_proof""#,
        ),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]);
    let mut request = ResourceRequest::new(&api, Method::GET, API);
    request.resume(&moment(1), Event::Begin).unwrap();
    let first = proof_claims(request.resume(&moment(2), Event::Token(&tokens())));
    assert_eq!(first["iat"], START);
    let status = StatusCode::UNAUTHORIZED;
    let again = request.resume(&moment(3), Event::Reply(status, &headers));
    assert!(matches!(again, Ok(Step::Token(_))));
    let second = proof_claims(request.resume(&moment(4), Event::Token(&tokens())));
    assert_eq!(second["iat"], 784_111_777);
    headers.insert("date", "Sun, 06 Nov 1994 09:49:37 GMT".parse().unwrap());
    let last = request.resume(&moment(5), Event::Reply(status, &headers));
    assert!(matches!(last, Ok(Step::Done)));
    // A streamed body is not sent again.
    let mut request = ResourceRequest::new(&api_of(&local()), Method::GET, API).body_once();
    request.resume(&moment(6), Event::Begin).unwrap();
    request.resume(&moment(7), Event::Token(&tokens())).unwrap();
    let last = request.resume(&moment(8), Event::Reply(status, &headers));
    assert!(matches!(last, Ok(Step::Done)));
}
