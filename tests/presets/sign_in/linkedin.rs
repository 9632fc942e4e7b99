//! LinkedIn: neither nonce nor PKCE, and a granted scope with commas.

use oauth_core::endpoint::introspection::Introspection;
use oauth_core::jose::Alg;
use serde_json::{Value, json};

use super::{preset, with, without};
use crate::party::{CALLBACK, CLIENT, NOW, Party, SECRET, authorization_request, parameter};

fn party() -> Party {
    Party::new(&preset("linkedin", &[]), Alg::Rs256)
}

fn reply(id_token: &str) -> Value {
    json!({
        "access_token": "AQX", "expires_in": 5_183_999, "scope": "email,openid,profile",
        "token_type": "Bearer", "id_token": id_token,
    })
}

#[test]
fn signs_in_without_nonce_and_pkce() {
    let party = party();
    let authorization = party.begin(authorization_request("openid profile email"));
    assert_eq!(authorization.query_parameter("code_challenge"), None);
    assert!(
        authorization.query_parameter("state").is_some()
            && authorization.query_parameter("nonce").is_some()
    );
    let claims = without(party.claims(&authorization), "nonce");
    let claims = with(claims, "email_verified", "true");
    // LinkedIn sends this header, although it is not a valid compression.
    let header = json!({ "zip": "RS256", "typ": "JWT", "kid": "k", "alg": "RS256" });
    let reply = reply(&party.signed_as(&header, &claims));
    let outcome = party.redeem(authorization, &reply);
    let (url, header, body) = outcome.request();
    assert_eq!(url, "https://www.linkedin.com/oauth/v2/accessToken");
    assert_eq!(header, None);
    assert_eq!(parameter(&body, "client_secret").as_deref(), Some(SECRET));
    assert_eq!(parameter(&body, "code_verifier"), None);
    let login = outcome.unwrap();
    assert_eq!(login.tokens.scope.to_string(), "email openid profile");
    assert_eq!(
        login.id_token.expect("openid was asked for").subject(),
        "person-1"
    );
}

#[test]
fn a_wrong_nonce_or_state_is_refused() {
    let party = party();
    let authorization = party.begin(authorization_request("openid"));
    let claims = with(party.claims(&authorization), "nonce", "of another login");
    let reply = reply(&party.signed(&claims));
    assert_eq!(
        party.redeem(authorization, &reply).code(),
        Some("id_token.nonce")
    );

    let authorization = party.begin(authorization_request("openid"));
    let foreign = format!("{CALLBACK}?code=c0de&state=of-another-login");
    let refused = party
        .client
        .redeem(authorization.pending, &foreign)
        .map(drop);
    assert_eq!(refused.map_err(|error| error.code()), Err("callback.state"));
}

#[test]
fn introspection_sends_the_credentials_in_the_body() {
    let party = party();
    let reply = json!({
        "active": true, "client_id": CLIENT, "created_at": NOW, "status": "active",
        "expires_at": NOW + 5_184_000, "scope": "openid,profile", "auth_type": "3L",
    });
    let exchange = party.client.introspect(Introspection::new("AQX"));
    let outcome = party.run(exchange, &reply);
    let (url, header, body) = outcome.request();
    assert_eq!(url, "https://www.linkedin.com/oauth/v2/introspectToken");
    assert_eq!(header, None);
    assert_eq!(parameter(&body, "client_secret").as_deref(), Some(SECRET));
    outcome.unwrap();
}
