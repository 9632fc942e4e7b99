//! Amazon Cognito: endpoints at a domain of the pool's own, access tokens without an audience.

use oauth_core::jose::Alg;
use serde_json::json;

use super::{basic, preset, with};
use crate::party::{CLIENT, NOW, Party, authorization_request, parameter};

fn party() -> Party {
    let variables = [
        ("region", "eu-central-1"),
        ("user_pool_id", "eu-central-1_EXAMPLE12"),
        ("domain", "acme.auth.eu-central-1.amazoncognito.com"),
    ];
    Party::new(&preset("cognito", &variables), Alg::Rs256)
}

/// The header names no type.
fn access_token(party: &Party) -> String {
    let claims = json!({
        "iss": party.client.server().issuer().as_str(), "sub": "person-1", "client_id": CLIENT,
        "token_use": "access", "scope": "openid", "iat": NOW, "exp": NOW + 3600, "jti": "1",
    });
    party.signed_as(&json!({ "kid": "k", "alg": "RS256" }), &claims)
}

#[test]
fn signs_in_at_the_domain_with_the_pool_as_issuer() {
    let party = party();
    let authorization = party.begin(authorization_request("openid profile"));
    let claims = with(party.claims(&authorization), "token_use", "id");
    let claims = with(claims, "cognito:username", "ann");
    let reply = json!({
        "access_token": access_token(&party), "refresh_token": "eyJ.r", "token_type": "Bearer",
        "expires_in": 3600, "id_token": party.signed(&claims),
    });
    let outcome = party.redeem(authorization, &reply);
    let (url, header, body) = outcome.request();
    let domain = "https://acme.auth.eu-central-1.amazoncognito.com";
    assert_eq!(url, format!("{domain}/oauth2/token"));
    assert_eq!(header, Some(basic()));
    assert!(parameter(&body, "code_verifier").is_some());
    let id_token = outcome.unwrap().id_token.expect("openid was asked for");
    assert_eq!(
        id_token.issuer(),
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE12"
    );
}

#[test]
fn an_access_token_is_rejected_as_an_id_token() {
    let party = party();
    let authorization = party.begin(authorization_request("openid"));
    let token = access_token(&party);
    let reply = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 3600, "id_token": token,
    });
    let outcome = party.redeem(authorization, &reply);
    assert_eq!(outcome.code(), Some("jwt.unexpected_claim"));
}

#[test]
fn an_access_token_outside_rfc_9068_is_refused_by_the_verifier() {
    let party = party();
    let token = access_token(&party);
    let verifier = party.client.access_token_verifier("https://api.example");
    let outcome = party.run(verifier.verify(&token), &json!({}));
    assert_eq!(outcome.code(), Some("jwt.typ"));
}
