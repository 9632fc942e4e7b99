//! Log in with PayPal: live and sandbox.

use oauth_core::jose::Alg;
use serde_json::{Value, json};

use super::{basic, preset, with, without};
use crate::party::{Party, authorization_request, parameter};

fn reply(id_token: &str) -> Value {
    json!({
        "scope": "openid https://uri.paypal.com/services/paypalattributes", "access_token": "A21",
        "token_type": "Bearer", "expires_in": "28800", "refresh_token": "R23", "nonce": "2026-01-01Z",
        "id_token": id_token,
    })
}

#[test]
fn signs_in_in_the_live_and_sandbox_environments() {
    for (variables, domain) in [
        (vec![], "paypal.com"),
        (vec![("host", "sandbox.paypal.com")], "sandbox.paypal.com"),
    ] {
        let party = Party::new(&preset("paypal", &variables), Alg::Rs256);
        let authorization = party.begin(authorization_request("openid"));
        let claims = party.claims(&authorization);
        assert_eq!(claims["iss"], format!("https://www.{domain}"));
        let reply = reply(&party.signed(&claims));
        let outcome = party.redeem(authorization, &reply);
        let (url, header, body) = outcome.request();
        assert_eq!(url, format!("https://api.{domain}/v1/oauth2/token"));
        assert_eq!(header, Some(basic()));
        assert_eq!(parameter(&body, "client_secret"), None);
        outcome.unwrap();
    }
}

#[test]
fn a_token_without_subject_or_of_the_other_environment_is_refused() {
    let party = Party::new(&preset("paypal", &[]), Alg::Rs256);
    for (claim, value, code) in [
        ("sub", None, "jwt.missing_claim"),
        ("iss", Some("https://www.sandbox.paypal.com"), "jwt.issuer"),
    ] {
        let authorization = party.begin(authorization_request("openid"));
        let claims = with(
            party.claims(&authorization),
            "user_id",
            "https://www.paypal.com/u/1",
        );
        let claims = match value {
            Some(value) => with(claims, claim, value),
            None => without(claims, claim),
        };
        let reply = reply(&party.signed(&claims));
        assert_eq!(party.redeem(authorization, &reply).code(), Some(code));
    }
}
