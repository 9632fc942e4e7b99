//! Twitch: the claims parameter, and a granted scope that is a list.

use oauth_core::jose::Alg;
use serde_json::{Value, json};

use super::{preset, with, without};
use crate::party::{CLIENT, Party, SECRET, StartedAuthorization, authorization_request, parameter};

fn reply(authorization: &StartedAuthorization, id_token: &str) -> Value {
    json!({
        "access_token": "rfx", "expires_in": 14_124, "id_token": id_token,
        "nonce": authorization.query_parameter("nonce"), "refresh_token": "5b9", "scope": ["openid", "user:read:email"],
        "token_type": "bearer",
    })
}

#[test]
fn signs_in_with_the_claims_parameter_and_a_scope_list() {
    let provider = preset("twitch", &[]);
    let party = Party::new(&provider, Alg::Rs256);
    let claims = r#"{"id_token":{"email":null}}"#;
    provider.authorization_parameter("claims").expect("listed");
    let authorization =
        party.begin(authorization_request("openid user:read:email").extra("claims", claims));
    assert_eq!(
        authorization.query_parameter("claims").as_deref(),
        Some(claims)
    );
    let claims_with_email = with(party.claims(&authorization), "email", "ann@example.org");
    let claims_with_email = with(claims_with_email, "azp", CLIENT);
    let reply = reply(&authorization, &party.signed(&claims_with_email));
    let outcome = party.redeem(authorization, &reply);
    let (url, header, body) = outcome.request();
    assert_eq!(url, "https://id.twitch.tv/oauth2/token");
    assert_eq!(header, None);
    assert_eq!(parameter(&body, "client_secret").as_deref(), Some(SECRET));
    let login = outcome.unwrap();
    assert_eq!(login.tokens.scope.to_string(), "openid user:read:email");
}

#[test]
fn a_nonce_beside_the_token_does_not_replace_the_nonce_claim() {
    let party = Party::new(&preset("twitch", &[]), Alg::Rs256);
    let authorization = party.begin(authorization_request("openid"));
    let claims = without(party.claims(&authorization), "nonce");
    let reply = reply(&authorization, &party.signed(&claims));
    let outcome = party.redeem(authorization, &reply);
    assert_eq!(outcome.code(), Some("jwt.missing_claim"));
}
