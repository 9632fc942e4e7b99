//! Azure AD B2C: one issuer for all policies, and replies that may have no access token.

use oauth_core::jose::Alg;
use serde_json::{Value, json};

use super::{preset, with, without};
use crate::party::{CLIENT, NOW, Party, SECRET, authorization_request, parameter};

const TENANT: &str = "775527ff-9a37-4307-8b3d-cc311f58d925";

fn party() -> Party {
    let variables = [
        ("host", "contoso.b2clogin.com"),
        ("tenant_id", TENANT),
        ("policy", "b2c_1_sign_in"),
    ];
    Party::new(&preset("microsoft-entra-b2c", &variables), Alg::Rs256)
}

fn reply(id_token: &str) -> Value {
    json!({
        "access_token": "eyJ.a.b", "token_type": "Bearer", "not_before": NOW, "expires_in": 3600,
        "scope": CLIENT, "refresh_token": "eyJ.r", "refresh_token_expires_in": 1_209_600,
        "id_token": id_token, "id_token_expires_in": 3600, "profile_info": "eyJ2ZXIiOiIxLjAifQ",
    })
}

#[test]
fn signs_in_through_the_policy_named_in_the_token() {
    let party = party();
    let authorization = party.begin(authorization_request(&format!(
        "openid offline_access {CLIENT}"
    )));
    let claims = with(party.claims(&authorization), "tfp", "b2c_1_sign_in");
    let issuer = format!("https://contoso.b2clogin.com/{TENANT}/v2.0/");
    assert_eq!(claims["iss"], issuer);
    let reply = reply(&party.signed(&claims));
    let outcome = party.redeem(authorization, &reply);
    let (url, header, body) = outcome.request();
    let below = format!("https://contoso.b2clogin.com/{TENANT}/b2c_1_sign_in");
    assert_eq!(url, format!("{below}/oauth2/v2.0/token"));
    assert_eq!(header, None);
    assert_eq!(parameter(&body, "client_secret").as_deref(), Some(SECRET));
    let id_token = outcome.unwrap().id_token.expect("openid was asked for");
    assert_eq!(id_token.claims().as_map()["tfp"], "b2c_1_sign_in");
}

#[test]
fn another_tenant_or_issuer_format_is_refused() {
    let host = "https://contoso.b2clogin.com";
    for issuer in [
        format!("{host}/00000000-9a37-4307-8b3d-cc311f58d925/v2.0/"),
        format!("{host}/tfp/{TENANT}/b2c_1_sign_in/v2.0/"),
        format!("{host}/{TENANT}/v2.0"),
    ] {
        let party = party();
        let authorization = party.begin(authorization_request("openid"));
        let claims = with(party.claims(&authorization), "iss", issuer.as_str());
        let reply = reply(&party.signed(&claims));
        assert_eq!(
            party.redeem(authorization, &reply).code(),
            Some("jwt.issuer"),
            "{issuer}"
        );
    }
}

#[test]
fn a_response_without_an_access_token_is_rejected() {
    let party = party();
    let authorization = party.begin(authorization_request("openid"));
    let reply = reply(&party.signed(&party.claims(&authorization)));
    let reply = with(without(reply, "access_token"), "scope", "openid");
    let outcome = party.redeem(authorization, &reply);
    assert_eq!(outcome.code(), Some("token.missing_access_token"));
}
