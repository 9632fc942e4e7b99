//! Responses about a user or a token, and the tokens that an API accepts.

use super::*;
use crate::endpoint::introspection::{Introspection, SignedResponse};
use crate::flow::access_token::{AccessTokenVerifier, ReceivedRequest};
use crate::jose::signing_input;
use crate::testing::NOW;
use crate::token::access_token::{ProvenKeys, VerifiedAccessToken};
use crate::{Tokens, base64};

const FAPI2: [SecurityProfile; 2] = [
    SecurityProfile::Fapi2Security,
    SecurityProfile::Fapi2MessageSigning,
];
/// The thumbprint of the key of [`dpop`].
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

/// A client that has signed in, and its tokens.
fn signed_in(client: &Client) -> Tokens {
    let mut exchange = client.client_credentials(Scope::none());
    drop(exchange.resume(&at(), Input::Begin).unwrap());
    let reply = r#"{"access_token":"a","token_type":"DPoP","expires_in":600}"#;
    match exchange.resume(&at(), Input::Reply(json(200, reply))) {
        Ok(Step::Done(tokens)) => tokens,
        other => panic!("{other:?}"),
    }
}

#[test]
fn fapi_refuses_to_request_signed_responses_with_forbidden_algorithms() {
    let section = "FAPI 2.0 Security Profile section 5.4.1";
    let userinfo = json!({"userinfo_endpoint": "https://as.example/userinfo"});
    let bank = client(read(userinfo, Rules::default()), jwt_auth(Alg::Es256));
    let bank = bank.with_dpop(dpop(Alg::Es256));
    for profile in FAPI2 {
        let bank = bank.clone().with_profile(profile);
        let claims = |algs: &[Alg]| {
            let client = bank.clone().with_userinfo_algs(algs.iter().copied());
            first(client.userinfo(Arc::new(signed_in(&client)), "ann".to_owned()))
        };
        assert_eq!(clause(claims(&[Alg::Rs256])), section);
        assert_eq!(claims(&[Alg::Rs256, Alg::Ps256]).unwrap(), "/userinfo");
        let introspected = |algs: &[Alg]| {
            let signed = SignedResponse {
                algs: algs.to_vec(),
                ..SignedResponse::default()
            };
            first(bank.introspect(Introspection::new("t").signed(signed)))
        };
        assert_eq!(clause(introspected(&[Alg::Rs256, Alg::Es384])), section);
        assert_eq!(
            introspected(&[Alg::Rs256, Alg::Es256]).unwrap(),
            "/introspect"
        );
    }
}

/// The result of verifying a token with this introspection response.
fn introspected(
    verifier: &AccessTokenVerifier,
    proven: ProvenKeys,
    more: &str,
) -> Result<VerifiedAccessToken, Error> {
    let mut exchange = verifier.verify_with("opaque", proven);
    drop(exchange.resume(&at(), Input::Begin)?);
    let reply = format!(r#"{{"active":true,"client_id":"id"{more}}}"#);
    match exchange.resume(&at(), Input::Reply(json(200, &reply)))? {
        Step::Done(token) => Ok(token),
        step => panic!("{step:?}"),
    }
}

#[test]
fn api_under_fapi_refuses_unbound_tokens() {
    let bound = format!(r#","cnf":{{"jkt":"{JKT}"}}"#);
    let certified = r#","cnf":{"x5t#S256":"print"}"#;
    for (profile, is_accepted) in [
        (Some(SecurityProfile::Fapi2Security), false),
        (Some(SecurityProfile::Strict), true),
        (None, true),
    ] {
        let client = profile.map_or_else(conforming_client, |profile| {
            conforming_client().with_profile(profile)
        });
        let verifier = client.introspecting_verifier("https://api.example");
        let by = |proven, more: &str| introspected(&verifier, proven, more);
        assert!(by(ProvenKeys::dpop(JKT), &bound).is_ok(), "{profile:?}");
        assert!(by(ProvenKeys::certificate("print"), certified).is_ok());
        let unbound = by(ProvenKeys::none(), "");
        assert_eq!(unbound.is_ok(), is_accepted, "{profile:?}");
        // The certificate of the connection alone does not bind the token.
        assert_eq!(
            by(ProvenKeys::certificate("print"), "").is_ok(),
            is_accepted
        );
        if let Err(error) = unbound {
            assert_eq!(error.code(), "access_token.proof_required");
            assert!(error.detail().unwrap().contains("section 5.3.3.1"));
            assert_eq!(error.refusal().unwrap().status, 401);
        }
    }
}

#[test]
fn api_under_fapi_refuses_forbidden_signature_algorithms() {
    let jwks = json!({"jwks_uri": "https://as.example/jwks"});
    let plain = client(read(jwks, Rules::default()), jwt_auth(Alg::Es256));
    let fapi = plain.clone().with_dpop(dpop(Alg::Es256));
    let fapi = fapi.with_profile(SecurityProfile::Fapi2Security);
    // The first step: the keys are requested, or the algorithm is refused.
    let token = |client: &Client, alg: &str, names: Option<Alg>| {
        let mut verifier = client.access_token_verifier("https://api.example");
        if let Some(alg) = names {
            verifier = verifier.with_algs([alg]).unwrap();
        }
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
        let token = format!("{}.{}", signing_input(&header, "{}"), "A".repeat(86));
        error_code(first(verifier.verify(&token)).map(drop))
    };
    for names in [None, Some(Alg::Rs256)] {
        assert_eq!(token(&plain, "RS256", names), Ok(()));
        assert_eq!(token(&fapi, "RS256", names), Err("jws.alg_not_allowed"));
    }
    assert_eq!(token(&plain, "ES384", None), Ok(()));
    assert_eq!(token(&fapi, "ES384", None), Err("jws.alg_not_allowed"));
    assert_eq!(token(&fapi, "PS256", None), Ok(()));

    let proof = |client: &Client, alg: &str| {
        let header = format!(r#"{{"alg":"{alg}","typ":"dpop+jwt"}}"#);
        let ath = base64::sha256_of_parts(["opaque"]);
        let claims = format!(
            r#"{{"jti":"1","htm":"GET","htu":"https://api.example/","iat":{NOW},"ath":"{ath}"}}"#
        );
        let request = ReceivedRequest::new("GET", "https://api.example/")
            .with_authorization("DPoP opaque")
            .with_dpop(format!("{}.AAAA", signing_input(&header, &claims)));
        let verifier = client.introspecting_verifier("https://api.example");
        error_code(first(verifier.verify_request(request)).map(drop))
    };
    // The next check is that of the key, which these proofs lack.
    assert_eq!(proof(&plain, "RS256"), Err("dpop_proof.jwk"));
    assert_eq!(proof(&fapi, "RS256"), Err("dpop_proof.alg"));
    assert_eq!(proof(&fapi, "PS256"), Err("dpop_proof.jwk"));
}
