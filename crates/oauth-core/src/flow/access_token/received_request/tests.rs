#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::dpop::DpopNonceKey;
use crate::error::Cause;
use crate::exchange::VerificationJob;
use crate::jose::{Alg, KeySet, signing_input};
use crate::moment::UnixTime;
use crate::server::EndpointKind;
use crate::testing::{self, NOW, error_code};

const URL: &str = "https://api.example/orders";
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
/// The key of the examples of RFC 9449, and its thumbprint (section 6.1).
const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;
const BOUND: &str = r#","cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#;
const OTHER: &str = r#","cnf":{"jkt":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"}"#;
const CERTIFICATE: &str = r#","cnf":{"x5t#S256":"of-the-certificate"}"#;

fn verifier() -> AccessTokenVerifier {
    let server = testing::server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let verifier = AccessTokenVerifier::new(server.unwrap(), "https://api.example")
        .with_algs([Alg::Es256])
        .and_then(|verifier| verifier.with_dpop_algs([Alg::Es256]))
        .unwrap();
    verifier.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    verifier
}

/// A token whose signature verifies.
fn token_with(more: &str) -> String {
    let claims = format!(
        r#"{{"iss":"https://as.example","aud":"https://api.example","sub":"u","client_id":"c",
        "jti":"j","iat":{NOW},"exp":{}{more}}}"#,
        NOW + 300
    );
    let header = r#"{"alg":"ES256","kid":"1","typ":"at+jwt"}"#;
    format!("{}.{}", signing_input(header, &claims), "A".repeat(86))
}

fn proof_for(token: &str, jti: &str, more: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let ath = crate::base64::url_safe(Sha256::digest(token));
    let iat = if more.contains("\"iat\"") {
        String::new()
    } else {
        format!(r#","iat":{NOW}"#)
    };
    let claims = format!(r#"{{"jti":"{jti}","htm":"GET","htu":"{URL}","ath":"{ath}"{iat}{more}}}"#);
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{JWK}}}"#);
    format!("{}.{}", signing_input(&header, &claims), "A".repeat(86))
}

fn request() -> ReceivedRequest {
    ReceivedRequest::new("GET", URL)
}

fn bound_request(token: &str, jti: &str, more: &str) -> ReceivedRequest {
    request()
        .with_authorization(format!("DPoP {token}"))
        .with_dpop(proof_for(token, jti, more))
}

fn at(seconds: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW + seconds), [9; 32])
}

/// Runs a verification whose signatures are all valid.
fn run(
    verifier: &AccessTokenVerifier,
    request: ReceivedRequest,
    at: &Moment,
) -> Result<VerifiedAccessToken, Error> {
    let mut exchange = verifier.verify_request(request);
    let mut input = Input::Begin;
    loop {
        match exchange.resume(at, input)? {
            Step::Verify(VerificationJob::Signature { alg: "ES256", .. }) => {
                input = Input::Verified(true);
            }
            Step::Done(token) => return Ok(token),
            step => panic!("{step:?}"),
        }
    }
}

/// The code of the error, and the response to the request.
fn refusal_of(request: ReceivedRequest) -> (&'static str, u16, String) {
    let error = run(&verifier(), request, &at(0)).unwrap_err();
    let refusal = error.refusal().unwrap();
    let challenge = refusal.challenge.clone().unwrap_or_default();
    (error.code(), refusal.status, challenge)
}

#[test]
fn bound_token_with_a_matching_proof_is_accepted() {
    let token = token_with(BOUND);
    let verified = run(&verifier(), bound_request(&token, "1", ""), &at(0)).unwrap();
    assert_eq!(verified.subject(), "u");
    let proof = verified.dpop_proof().unwrap();
    assert!(BOUND.contains(proof.jkt()));
    assert_eq!(proof.next_nonce(), None);

    let mut headers = HeaderMap::new();
    let scheme = format!("dpop   {token}");
    headers.append(AUTHORIZATION, scheme.parse().unwrap());
    headers.append(DPOP, proof_for(&token, "1", "").parse().unwrap());
    let request = request().with_headers(&headers);
    assert!(!format!("{request:?}").contains(&token));
    assert!(run(&verifier(), request, &at(0)).is_ok());
}

#[test]
fn unbound_token_is_accepted_only_as_a_bearer_token() {
    let token = token_with("");
    let bearer = request().with_authorization(format!("bearer {token}"));
    let verified = run(&verifier(), bearer.clone(), &at(0)).unwrap();
    assert!(verified.dpop_proof().is_none());
    // Other header fields are ignored.
    let with_field = bearer.with_dpop("?").with_dpop("?");
    assert!(run(&verifier(), with_field, &at(0)).is_ok());
    let (code, status, challenge) = refusal_of(bound_request(&token, "1", ""));
    assert_eq!((code, status), ("access_token.proof_required", 401));
    assert_eq!(
        challenge,
        r#"DPoP error="invalid_token", algs="ES256", Bearer"#
    );
}

#[test]
fn bound_token_sent_as_bearer_is_refused() {
    let token = token_with(BOUND);
    let bearer = request().with_authorization(format!("Bearer {token}"));
    let refusal = (
        "access_token.proof_required",
        401,
        r#"Bearer error="invalid_token", DPoP algs="ES256""#.to_owned(),
    );
    assert_eq!(refusal_of(bearer.clone()), refusal);
    // A valid proof does not help: the request used the Bearer scheme (RFC 9449 section 7.2).
    let with_proof = bearer.with_dpop(proof_for(&token, "1", ""));
    assert_eq!(refusal_of(with_proof), refusal);
}

#[test]
fn token_bound_to_another_key_is_refused() {
    let (code, status, challenge) = refusal_of(bound_request(&token_with(OTHER), "1", ""));
    assert_eq!((code, status), ("access_token.proof_required", 401));
    // As in figure 17 of RFC 9449.
    assert_eq!(
        challenge,
        r#"DPoP error="invalid_token", algs="ES256", Bearer"#
    );
}

#[test]
fn certificate_bound_token_requires_the_matching_certificate() {
    let token = token_with(CERTIFICATE);
    let bearer = request().with_authorization(format!("Bearer {token}"));
    let right = bearer.clone().with_certificate("of-the-certificate");
    assert!(run(&verifier(), right, &at(0)).is_ok());
    for wrong in [bearer.clone(), bearer.with_certificate("another")] {
        assert_eq!(refusal_of(wrong).0, "access_token.proof_required");
    }
    let both = BOUND.replace('}', r#","x5t#S256":"of-the-certificate"}"#);
    let bound = bound_request(&token_with(&both), "1", "");
    assert_eq!(refusal_of(bound.clone()).0, "access_token.proof_required");
    let bound = bound.with_certificate("of-the-certificate");
    assert!(run(&verifier(), bound, &at(0)).is_ok());
}

#[test]
fn missing_malformed_or_duplicate_token_is_answered_with_a_challenge() {
    let both = r#"Bearer, DPoP algs="ES256""#.to_owned();
    let basic = request().with_authorization("Basic dTpw");
    let no_scheme = request().with_authorization(token_with(""));
    for request in [request(), basic, no_scheme] {
        assert_eq!(
            refusal_of(request),
            ("access_token.missing", 401, both.clone())
        );
    }
    for empty in ["Bearer", "DPoP ", "bearer   "] {
        let (code, status, _) = refusal_of(request().with_authorization(empty));
        assert_eq!((code, status), ("access_token.malformed", 401), "{empty}");
    }
    let bearer = format!("Bearer {}", token_with(""));
    let two = request()
        .with_authorization(&bearer)
        .with_authorization(&bearer);
    let challenge = r#"Bearer error="invalid_request", DPoP algs="ES256""#;
    assert_eq!(
        refusal_of(two),
        ("access_token.duplicate", 400, challenge.to_owned())
    );
}

#[test]
fn invalid_proof_is_answered_with_invalid_dpop_proof() {
    let token = token_with(BOUND);
    let none = request().with_authorization(format!("DPoP {token}"));
    let challenge = r#"DPoP error="invalid_dpop_proof", algs="ES256", Bearer"#.to_owned();
    assert_eq!(
        refusal_of(none),
        ("dpop_proof.missing", 401, challenge.clone())
    );
    let post = request().with_authorization(format!("DPoP {token}"));
    let two = post.with_dpop(proof_for(&token, "1", "")).with_dpop("?");
    assert_eq!(
        refusal_of(two),
        ("dpop_proof.duplicate", 401, challenge.clone())
    );
    let bound = bound_request(&token, "1", "");
    let mut exchange = verifier().verify_request(bound.clone());
    assert!(matches!(
        exchange.resume(&at(0), Input::Begin),
        Ok(Step::Verify(_))
    ));
    let error = exchange.resume(&at(0), Input::Verified(false)).unwrap_err();
    assert_eq!(error.code(), "dpop_proof.signature");
    assert_eq!(error.refusal().unwrap().challenge, Some(challenge));
    // If the host cannot verify the signature, the proof is not accepted.
    let mut exchange = verifier().verify_request(bound);
    drop(exchange.resume(&at(0), Input::Begin));
    let lost = exchange.resume(&at(0), Input::Lost(Cause::unsent("no thread")));
    assert_eq!(lost.unwrap_err().refusal().unwrap().status, 503);
    let relative =
        ReceivedRequest::new("GET", "/orders").with_authorization(format!("DPoP {token}"));
    assert_eq!(
        refusal_of(relative.with_dpop("?")),
        ("url.syntax", 500, String::new())
    );
}

#[test]
fn all_asymmetric_algorithms_are_announced_by_default() {
    let server = testing::server().with_endpoint(EndpointKind::Jwks, "https://as.example/jwks");
    let verifier = AccessTokenVerifier::new(server.unwrap(), "https://api.example");
    let error = run(&verifier, request(), &at(0)).unwrap_err();
    let algs = "ES256 ES384 ES512 EdDSA Ed25519 PS256 PS384 PS512 RS256 RS384 RS512";
    let challenge = format!(r#"Bearer, DPoP algs="{algs}""#);
    assert_eq!(error.refusal().unwrap().challenge, Some(challenge));
    assert_eq!(
        verifier.refuse_missing().challenge,
        Some("Bearer".to_owned())
    );
}

#[test]
fn replayed_proof_is_refused() {
    let (verifier, token) = (verifier(), token_with(BOUND));
    let seen = |verifier: &AccessTokenVerifier, jti: &str, seconds: u64| {
        error_code(run(verifier, bound_request(&token, jti, ""), &at(seconds)).map(drop))
    };
    assert_eq!(seen(&verifier, "1", 0), Ok(()));
    assert_eq!(seen(&verifier, "1", 0), Err("dpop_proof.replayed"));
    // At the last moment of its validity, and with a clone.
    assert_eq!(
        seen(&verifier.clone(), "1", 120),
        Err("dpop_proof.replayed")
    );
    assert_eq!(seen(&verifier, "1", 121), Err("dpop_proof.iat"));
    assert_eq!(seen(&verifier, "2", 0), Ok(()));
    let accepted = run(&verifier, bound_request(&token, "3", ""), &at(0)).unwrap();
    assert_eq!(accepted.dpop_proof().unwrap().replay_refusal(), None);
}

/// The application remembers proofs; it gets a key, the response to a replay, and `forget_at`.
#[test]
fn caller_managed_replay_protection_provides_the_refusal() {
    let token = token_with(BOUND);
    let refused = |verifier: &AccessTokenVerifier| {
        run(verifier, bound_request(&token, "1", ""), &at(0)).map(|token| {
            let proof = token.dpop_proof().unwrap();
            (
                proof.replay_key().to_owned(),
                proof.replay_refusal().cloned(),
            )
        })
    };
    let own = verifier().with_dpop_algs([Alg::Es256]).unwrap();
    let by_caller = own.clone().with_dpop_replay(ReplayProtection::Caller);
    let (key, refusal) = refused(&by_caller).unwrap();
    assert_eq!(refused(&by_caller).unwrap(), (key, refusal.clone()));
    let refusal = refusal.unwrap();
    let challenge = r#"DPoP error="invalid_dpop_proof", algs="ES256", Bearer"#;
    assert_eq!(
        (refusal.status, refusal.challenge.as_deref()),
        (401, Some(challenge))
    );
    assert_eq!(refusal.dpop_nonce, None);
    // The same as from a verifier that remembers proofs itself.
    refused(&own).unwrap();
    assert_eq!(refused(&own).unwrap_err().refusal(), Some(&refusal));
}

/// Dropping an algorithm would hide a mistake, and with none left every proof would be refused.
#[test]
fn no_algorithm_and_those_with_a_shared_secret_are_refused() {
    for (algs, reason) in [
        (&[][..], "the list is empty"),
        (&[Alg::Hs256], "HS256"),
        (&[Alg::Es256, Alg::Hs512], "HS512"),
    ] {
        let error = verifier().with_dpop_algs(algs.iter().copied()).unwrap_err();
        assert_eq!(error.code(), "form.malformed_parameter", "{algs:?}");
        assert_eq!(
            error.detail(),
            Some(format!("dpop_algs: {reason}").as_str())
        );
        let error = verifier().with_algs(algs.iter().copied()).unwrap_err();
        assert_eq!(error.code(), "form.malformed_parameter", "{algs:?}");
        assert_eq!(error.detail(), Some(format!("algs: {reason}").as_str()));
    }
}

/// It would be forgotten immediately and could be replayed.
#[test]
fn proof_that_expires_during_token_verification_is_refused() {
    let token = token_with(BOUND);
    for replay in [ReplayProtection::Process, ReplayProtection::Caller] {
        let verifier = verifier().with_dpop_replay(replay);
        for (seconds, outcome) in [(120, Ok(())), (121, Err("dpop_proof.iat"))] {
            let request = bound_request(&token, &seconds.to_string(), "");
            let mut exchange = verifier.verify_request(request);
            let proof = exchange.resume(&at(0), Input::Begin).unwrap();
            assert!(matches!(proof, Step::Verify(_)));
            let signature = exchange.resume(&at(0), Input::Verified(true)).unwrap();
            assert!(matches!(signature, Step::Verify(_)));
            let ended = exchange.resume(&at(seconds), Input::Verified(true));
            assert_eq!(error_code(ended.map(drop)), outcome, "{replay:?} {seconds}");
        }
    }
}

#[test]
fn refused_request_does_not_consume_its_proof() {
    let (verifier, valid_token) = (verifier(), token_with(BOUND));
    let demanding = verifier
        .clone()
        .require_scope(crate::Scope::parse("admin").unwrap());
    let refused = run(&demanding, bound_request(&valid_token, "1", ""), &at(0)).unwrap_err();
    assert_eq!(refused.code(), "access_token.insufficient_scope");
    assert_eq!(refused.refusal().unwrap().status, 403);
    assert!(run(&verifier, bound_request(&valid_token, "1", ""), &at(0)).is_ok());
}

#[test]
fn missing_nonce_is_answered_with_a_challenge_carrying_one() {
    let verifier = verifier().with_dpop_nonces(DpopNonceKey::new([7; 32]));
    let token = token_with(BOUND);
    let error = run(&verifier, bound_request(&token, "1", ""), &at(0)).unwrap_err();
    assert_eq!(error.code(), "dpop_proof.nonce");
    let refusal = error.refusal().unwrap();
    let nonce = refusal.dpop_nonce.clone().unwrap();
    let headers: Vec<_> = refusal.headers().collect();
    let challenge = r#"DPoP error="use_dpop_nonce", algs="ES256", Bearer"#;
    assert_eq!(
        headers,
        [("www-authenticate", challenge), ("dpop-nonce", &nonce)]
    );

    let again = bound_request(&token, "2", &format!(r#","nonce":"{nonce}""#));
    let verified = run(&verifier, again, &at(1)).unwrap();
    assert_eq!(verified.dpop_proof().unwrap().next_nonce(), None);
    // When the nonce is about to expire, the response contains the next one.
    let later = bound_request(
        &token,
        "3",
        &format!(r#","nonce":"{nonce}","iat":{}"#, NOW + 200),
    );
    let verified = run(&verifier, later, &at(200)).unwrap();
    let next = verified.dpop_proof().unwrap().next_nonce();
    assert!(next.is_some_and(|next| next != nonce));
    // Other refusals of a DPoP request also carry one; those of a bearer token do not.
    let wrong = run(&verifier, bound_request(&token, "2", r#","htx":1"#), &at(0)).unwrap_err();
    assert!(wrong.refusal().unwrap().dpop_nonce.is_some());
    let bearer = request().with_authorization(format!("Bearer {token}"));
    let error = run(&verifier, bearer, &at(0)).unwrap_err();
    assert_eq!(error.refusal().unwrap().dpop_nonce, None);
}

#[test]
fn exchange_refuses_out_of_order_input_and_input_after_its_end() {
    let mut exchange = verifier().verify_request(request());
    assert_eq!(
        error_code(exchange.resume(&at(0), Input::Begin).map(drop)),
        Err("access_token.missing")
    );
    let after_end = exchange.resume(&at(0), Input::Begin).map(drop);
    assert_eq!(error_code(after_end), Err("misuse.already_finished"));
    let mut exchange = verifier().verify_request(request());
    let early = exchange.resume(&at(0), Input::Verified(true)).map(drop);
    assert_eq!(error_code(early), Err("misuse.out_of_order"));
}
