//! Sign in with Slack: refusals with status 200 and words of Slack's own.

use oauth_core::jose::Alg;
use serde_json::{Value, json};

use super::{preset, with};
use crate::party::{Party, SECRET, authorization_request, parameter};

fn reply(id_token: &str) -> Value {
    json!({
        "ok": true, "access_token": "xoxp-1", "token_type": "Bearer", "id_token": id_token,
    })
}

#[test]
fn signs_in_at_the_openid_endpoints() {
    let party = Party::new(&preset("slack-signin", &[]), Alg::Rs256);
    let authorization = party.begin(authorization_request("openid profile"));
    assert!(authorization.query_parameter("code_challenge").is_some());
    let claims = with(
        party.claims(&authorization),
        "https://slack.com/team_id",
        "T0RR",
    );
    let reply = reply(&party.signed(&claims));
    let outcome = party.redeem(authorization, &reply);
    let (url, header, body) = outcome.request();
    assert_eq!(url, "https://slack.com/api/openid.connect.token");
    assert_eq!(header, None);
    assert_eq!(parameter(&body, "client_secret").as_deref(), Some(SECRET));
    let id_token = outcome.unwrap().id_token.expect("openid was asked for");
    assert_eq!(
        id_token.claims().as_map()["https://slack.com/team_id"],
        "T0RR"
    );
}

#[test]
fn an_empty_nonce_is_refused() {
    let party = Party::new(&preset("slack-signin", &[]), Alg::Rs256);
    let authorization = party.begin(authorization_request("openid"));
    let reply = reply(&party.signed(&with(party.claims(&authorization), "nonce", "")));
    assert_eq!(
        party.redeem(authorization, &reply).code(),
        Some("id_token.nonce")
    );
}

#[test]
fn a_refusal_with_status_200_is_mapped_to_its_registered_error() {
    for (slack_error, expected_code) in [
        ("invalid_code", "denied.invalid_grant"),
        ("code_already_used", "denied.invalid_grant"),
        ("bad_redirect_uri", "denied.invalid_grant"),
        ("bad_client_secret", "denied.invalid_client"),
        ("invalid_client_id", "denied.invalid_client"),
    ] {
        let party = Party::new(&preset("slack-signin", &[]), Alg::Rs256);
        let authorization = party.begin(authorization_request("openid"));
        let outcome = party.redeem(authorization, &json!({ "ok": false, "error": slack_error }));
        assert_eq!(outcome.code(), Some(expected_code), "{slack_error}");
    }
}

#[test]
fn the_without_pkce_option_omits_the_challenge_and_verifier() {
    let provider = preset("slack-signin", &[]).option("without_pkce");
    let party = Party::new(&provider.expect("an option"), Alg::Rs256);
    let authorization = party.begin(authorization_request("openid"));
    assert_eq!(authorization.query_parameter("code_challenge"), None);
    let reply = reply(&party.signed(&party.claims(&authorization)));
    let outcome = party.redeem(authorization, &reply);
    let (_, _, body) = outcome.request();
    assert_eq!(parameter(&body, "code_verifier"), None);
    outcome.unwrap();
}
