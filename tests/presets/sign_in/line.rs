//! LINE Login: ID tokens that are signed with the channel secret or with a key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::ClientId;
use oauth_core::jose::Alg;
use serde_json::{Value, json};

use super::{preset, with};
use crate::party::{CLIENT, Party, SECRET, StartedAuthorization, authorization_request, parameter};

fn reply(id_token: &str) -> Value {
    json!({
        "access_token": "bNl", "expires_in": 2_592_000, "id_token": id_token,
        "refresh_token": "Aa1", "scope": "profile openid", "token_type": "Bearer",
    })
}

/// As LINE signs for web logins: with the channel secret.
fn mac(secret: &str, claims: &Value) -> String {
    let engine = URL_SAFE_NO_PAD;
    let header = json!({ "typ": "JWT", "alg": "HS256" });
    let part = |value: &Value| engine.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(claims));
    let tag = oauth_crypto::mac(Alg::Hs256, secret.as_bytes(), input.as_bytes());
    format!("{input}.{}", engine.encode(tag.expect("a tag")))
}

#[test]
fn a_web_login_signed_with_the_channel_secret_is_accepted_if_configured() {
    let party = Party::new(&preset("line", &[]), Alg::Es256);
    let authorization = party.begin(authorization_request("openid profile"));
    let token_response = |authorization: &StartedAuthorization, secret| {
        let claims = with(party.claims(authorization), "amr", json!(["linesso"]));
        reply(&mac(secret, &claims))
    };
    let reply = token_response(&authorization, SECRET);
    let outcome = party.redeem(authorization, &reply);
    assert_eq!(outcome.code(), Some("jws.alg_not_allowed"));

    let configured_client = party.client.clone().with_id_token_algs([Alg::Hs256]);
    let configured_party = Party::of(configured_client, Alg::Es256);
    let authorization = configured_party.begin(authorization_request("openid profile"));
    let reply = token_response(&authorization, SECRET);
    let outcome = configured_party.redeem(authorization, &reply);
    let (url, header, body) = outcome.request();
    assert_eq!(url, "https://api.line.me/oauth2/v2.1/token");
    assert_eq!(header, None);
    assert_eq!(parameter(&body, "client_secret").as_deref(), Some(SECRET));
    assert_eq!(parameter(&body, "id_token_key_type"), None);
    assert!(parameter(&body, "code_verifier").is_some());
    outcome.unwrap();

    let authorization = configured_party.begin(authorization_request("openid"));
    let reply = token_response(&authorization, "0123456789abcdef0123456789abcdeX");
    let outcome = configured_party.redeem(authorization, &reply);
    assert_eq!(outcome.code(), Some("jws.bad_signature"));
}

#[test]
fn the_option_requests_asymmetric_id_tokens() {
    let provider = preset("line", &[]).option("asymmetric_id_tokens");
    let party = Party::new(&provider.expect("an option"), Alg::Es256);
    let authorization = party.begin(authorization_request("openid"));
    let reply = reply(&party.signed(&party.claims(&authorization)));
    let outcome = party.redeem(authorization, &reply);
    let (_, _, body) = outcome.request();
    let parameter_value = parameter(&body, "id_token_key_type");
    assert_eq!(parameter_value.as_deref(), Some("JWK"));
    outcome.unwrap();
}

#[test]
fn a_native_app_without_a_secret_refuses_hs256_tokens() {
    let client = preset("line", &[]).client(ClientId::new(CLIENT), None);
    let party = Party::of(client.expect("a public client"), Alg::Es256);
    let authorization = party.begin(authorization_request("openid"));
    let valid = reply(&party.signed(&party.claims(&authorization)));
    let outcome = party.redeem(authorization, &valid);
    let (_, header, body) = outcome.request();
    assert_eq!((header, parameter(&body, "client_secret")), (None, None));
    outcome.unwrap();

    let configured_client = party.client.clone().with_id_token_algs([Alg::Hs256]);
    let configured_party = Party::of(configured_client, Alg::Es256);
    let authorization = configured_party.begin(authorization_request("openid"));
    let reply = reply(&mac("", &configured_party.claims(&authorization)));
    let outcome = configured_party.redeem(authorization, &reply);
    assert_eq!(outcome.code(), Some("jws.alg_not_allowed"));
}
