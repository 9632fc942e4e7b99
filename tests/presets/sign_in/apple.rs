//! Sign in with Apple: a client secret signed by the client, and `form_post`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::client_auth::SignedSecret;
use oauth_core::exchange::{VerificationJob, VerificationKey};
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::jose::Alg;
use oauth_core::server::EndpointKind;
use oauth_core::{AuthorizationRequest, Client, ClientAuth, ClientId, Error};
use serde_json::{Value, json};

use super::{preset, with, without};
use crate::party::{CLIENT, NOW, Party, authorization_request, parameter};

fn party() -> Party {
    let server = preset("apple", &[]).server().expect("a server");
    let auth = ClientAuth::signed_secret(SignedSecret::apple("TEAM123456", "KEY1234567"));
    let client = Client::new(server, ClientId::new(CLIENT), auth).expect("a client");
    // Apple and the client share one key here, and Apple's keys are RSA keys: their signatures
    // are distinguished by the algorithm.
    Party::of(client.with_id_token_algs([Alg::Es256]), Alg::Es256)
}

fn reply(id_token: &str) -> Value {
    json!({
        "access_token": "a.0.b", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r.0.b",
        "id_token": id_token,
    })
}

fn form_post(scope: &str) -> AuthorizationRequest {
    let mut request = authorization_request(scope);
    request.response_mode = ResponseMode::FormPost;
    request
}

#[test]
fn signs_in_with_a_signed_secret_and_form_post() {
    let party = party();
    let authorization = party.begin(form_post("openid name email"));
    assert_eq!(
        authorization.query_parameter("response_mode").as_deref(),
        Some("form_post")
    );
    assert_eq!(
        authorization.query_parameter("scope").as_deref(),
        Some("openid name email")
    );
    let claims = party.claims(&authorization);
    let claims = with(claims, "email", "x1@privaterelay.appleid.com");
    // Booleans as strings, as they are seen in the field.
    let claims = with(claims, "email_verified", "true");
    let claims = with(claims, "nonce_supported", true);
    let state = authorization.query_parameter("state").expect("a state");
    let user = "%7B%22name%22%3A%7B%22firstName%22%3A%22Ann%22%7D%7D";
    let posted = format!("state={state}&code=c0de&user={user}");
    let reply = reply(&party.signed(&claims));
    let outcome = party.redeem_at(authorization, &posted, &reply);

    let (url, header, body) = outcome.request();
    assert_eq!(url, "https://appleid.apple.com/auth/token");
    assert_eq!(header, None);
    assert_eq!(parameter(&body, "client_id").as_deref(), Some(CLIENT));
    assert!(parameter(&body, "code_verifier").is_some());
    let secret = parameter(&body, "client_secret").expect("a secret");
    assert_secret(&party, &secret);

    let login = outcome.unwrap();
    let id_token = login.id_token.expect("openid was asked for");
    assert_eq!(id_token.subject(), "person-1");
    assert_eq!(id_token.claims().as_map()["email_verified"], "true");
}

fn assert_secret(party: &Party, jwt: &str) {
    let engine = URL_SAFE_NO_PAD;
    let (input, signature) = jwt.rsplit_once('.').expect("a JWT");
    let job = VerificationJob::Signature {
        alg: "ES256",
        key: VerificationKey::Public(Arc::new(party.key.public_jwk().clone())),
        signing_input: input.to_owned().into(),
        signature: engine.decode(signature).expect("base64").into(),
    };
    assert!(oauth_crypto::verify(&job));
    let read = |part: &str| -> Value {
        serde_json::from_slice(&engine.decode(part).expect("base64")).expect("JSON")
    };
    let (header, claims) = input.split_once('.').expect("two parts");
    assert_eq!(read(header), json!({ "alg": "ES256", "kid": "KEY1234567" }));
    assert_eq!(
        read(claims),
        json!({
            "iss": "TEAM123456", "iat": NOW, "exp": NOW + 300, "aud": "https://appleid.apple.com",
            "sub": CLIENT,
        })
    );
}

#[test]
fn a_token_without_the_nonce_is_refused_despite_nonce_supported_false() {
    let party = party();
    let authorization = party.begin(form_post("openid email"));
    let claims = without(party.claims(&authorization), "nonce");
    let claims = with(claims, "nonce_supported", false);
    let reply = reply(&party.signed(&claims));
    let outcome = party.redeem(authorization, &reply);
    assert_eq!(outcome.code(), Some("jwt.missing_claim"));
}

#[test]
fn id_tokens_must_be_signed_by_rs256_and_there_is_no_userinfo() {
    let provider = preset("apple", &[]);
    let party = Party::new(&provider, Alg::Es256);
    let authorization = party.begin(form_post("openid email"));
    let reply = reply(&party.signed(&party.claims(&authorization)));
    assert_eq!(
        party.redeem(authorization, &reply).code(),
        Some("jws.alg_not_allowed")
    );
    let rs256 = Party::new(&provider, Alg::Rs256);
    let authorization = rs256.begin(form_post("openid email"));
    let reply = self::reply(&rs256.signed(&rs256.claims(&authorization)));
    rs256.redeem(authorization, &reply).unwrap();

    let server = provider.server().expect("a server");
    let missing = server.endpoint(EndpointKind::Userinfo).map(drop);
    assert_eq!(
        missing.map_err(|error: Error| error.code()),
        Err("endpoint.missing")
    );
}
