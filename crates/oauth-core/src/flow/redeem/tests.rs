#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod hybrid;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::client::Client;
use crate::error::{Advice, Cause};
use crate::exchange::{Input, Step};
use crate::flow::authorization::AuthorizationRequest;
use crate::http::Response;
use crate::jose::{
    Decrypter, DecryptionFailed, DecryptionJob, Enc, JweAlg, KeySet, ResponseEncryption,
};
use crate::moment::Moment;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client_of, json, run_with_reply, server};
use bytes::Bytes;

const CB: &str = "https://app.example/cb";
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn later(seconds: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW + seconds), [9; 32])
}

fn client() -> Client {
    let keys = "https://as.example/jwks";
    let server = server().with_endpoint(EndpointKind::Jwks, keys).unwrap();
    client_of(server).with_id_token_algs([crate::jose::Alg::EdDsa])
}

/// A login whose code is spent, at this time: the step after the token response.
fn begin_redeem(
    client: &Client,
    now: &Moment,
    kid: &str,
) -> (
    impl Exchange<Output = Login> + use<>,
    Result<Step<Login>, Error>,
) {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    let request = request.scope(Scope::parse("openid").unwrap());
    let (_, pending) = client.authorize(now, request).unwrap();
    let callback = format!("{CB}?code=c&state={}", pending.state().expose());
    let mut login = client.redeem(pending, &callback).unwrap();
    assert!(matches!(login.resume(now, Input::Begin), Ok(Step::Send(_))));
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#));
    let token = format!("{header}.{}.{}", part("{}"), part("signature"));
    let body = format!(r#"{{"access_token":"t0ken","token_type":"Bearer","id_token":"{token}"}}"#);
    let step = login.resume(now, Input::Reply(json(200, &body)));
    (login, step)
}

/// The result of a login whose key request gets this reply.
fn with_keys(
    client: &Client,
    now: &Moment,
    kid: &str,
    answer: Input,
) -> Result<Step<Login>, Error> {
    let (mut login, step) = begin_redeem(client, now, kid);
    let Ok(Step::Send(request)) = step else {
        panic!("keys are asked for: {step:?}")
    };
    assert_eq!(request.uri().path(), "/jwks");
    login.resume(now, answer)
}

fn reply(status: u16) -> Input {
    let response: Response<Bytes> = json(status, "{}");
    Input::Reply(response)
}

/// "The client MUST NOT use the code more than once" (RFC 6749 section 4.1.2): a retry would fetch the
/// keys again but reuse the code.
#[test]
fn failures_after_the_code_was_spent_advise_reauthorization() {
    for answer in [
        Input::Lost(Cause::unsent("no connection")),
        Input::Lost(Cause::unknown("no answer")),
        reply(503),
        reply(429),
    ] {
        let error = with_keys(&client(), &at(), "one", answer).unwrap_err();
        assert_eq!(error.advice(), Advice::Reauthorize, "{error}");
    }
    // The host could not verify the signature.
    let client = client();
    client.keep_keys(at().now(), KeySet::parse(KEYS).unwrap());
    let (mut login, step) = begin_redeem(&client, &at(), "one");
    assert!(matches!(step, Ok(Step::Verify(_))), "{step:?}");
    let lost = Input::Lost(Cause::unsent("no algorithms here"));
    let error = login.resume(&at(), lost).unwrap_err();
    assert_eq!(error.advice(), Advice::Reauthorize);
}

#[test]
fn cached_keys_are_used_for_a_day_while_the_server_is_unavailable() {
    for (after, status, will_do) in [
        (1000, 503, true),
        (1000, 429, true),
        (86_399, 500, true),
        (86_400, 503, false),
        (1000, 404, false),
        (1000, 403, false),
    ] {
        let client = client();
        client.keep_keys(at().now(), KeySet::parse(KEYS).unwrap());
        let step = with_keys(&client, &later(after), "one", reply(status));
        let is_tried = matches!(step, Ok(Step::Verify(_)));
        assert_eq!(is_tried, will_do, "{after} {status} {step:?}");
    }
}

/// OpenID Connect Core section 10.1.1.
#[test]
fn keys_fetched_for_a_token_are_not_fetched_again_for_it() {
    let client = client();
    let answer = Input::Reply(json(200, KEYS));
    let error = with_keys(&client, &at(), "two", answer).unwrap_err();
    assert_eq!(error.code(), "jws.no_matching_key");
    // The next token may be signed with an even newer key.
    assert!(matches!(
        begin_redeem(&client, &at(), "two").1,
        Ok(Step::Send(_))
    ));
}

/// Many users sign in just after a key rotation: one login fetches the new key.
#[test]
fn concurrent_login_waits_for_the_keys_being_fetched() {
    let replaced = KEYS.replace("\"one\"", "\"two\"");
    let client = client();
    client.keep_keys(at().now(), KeySet::parse(KEYS).unwrap());
    let (mut first, step) = begin_redeem(&client, &at(), "two");
    assert!(matches!(step, Ok(Step::Send(_))), "{step:?}");
    let (mut second, step) = begin_redeem(&client, &at(), "two");
    assert!(matches!(step, Ok(Step::Sleep(_))), "{step:?}");
    let step = second.resume(&later(1), Input::Elapsed);
    assert!(matches!(step, Ok(Step::Sleep(_))), "{step:?}");
    let step = first.resume(&later(2), Input::Reply(json(200, &replaced)));
    assert!(matches!(step, Ok(Step::Verify(_))), "{step:?}");
    let step = second.resume(&later(2), Input::Elapsed);
    assert!(matches!(step, Ok(Step::Verify(_))), "{step:?}");
}

#[test]
fn waiting_login_fails_if_the_key_fetch_fails_or_stalls() {
    for is_answered in [true, false] {
        let client = client();
        client.keep_keys(at().now(), KeySet::parse(KEYS).unwrap());
        let (mut first, step) = begin_redeem(&client, &at(), "two");
        assert!(matches!(step, Ok(Step::Send(_))), "{step:?}");
        let (mut second, _) = begin_redeem(&client, &at(), "two");
        let now = if is_answered {
            assert!(first.resume(&later(1), reply(503)).is_err());
            later(1)
        } else {
            // The login that was fetching the keys was dropped.
            drop(first);
            later(10)
        };
        let error = second.resume(&now, Input::Elapsed).unwrap_err();
        assert_eq!(error.code(), "jws.no_matching_key");
    }
}

/// In a replay the clock stands still.
#[test]
fn wait_for_keys_ends_even_if_the_clock_stands_still() {
    let client = client();
    client.keep_keys(at().now(), KeySet::parse(KEYS).unwrap());
    drop(begin_redeem(&client, &at(), "two"));
    let (mut login, mut step) = begin_redeem(&client, &at(), "two");
    let mut looks = 0;
    while let Ok(Step::Sleep(_)) = step {
        looks += 1;
        assert!(looks < 100);
        step = login.resume(&at(), Input::Elapsed);
    }
    assert_eq!(step.unwrap_err().code(), "jws.no_matching_key");
}

/// Turns every ciphertext into this text.
struct Known(String);

impl Decrypter for Known {
    fn decrypt(&self, _: &DecryptionJob) -> Result<Secret<Vec<u8>>, DecryptionFailed> {
        Ok(Secret::new(self.0.clone().into_bytes()))
    }
}

/// "The Client MUST decrypt the signed ID Token contained within the encrypted ID Token" before it is used as a hint
/// (OpenID Connect Core section 3.1.2.1), and a refreshed ID token is compared with it.
#[test]
fn signed_id_token_inside_an_encrypted_one_is_stored() {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    let request = request.scope(Scope::parse("openid").unwrap());
    let (url, _) = client().authorize(&at(), request.clone()).unwrap();
    let (_, nonce) = url.as_str().split_once("nonce=").unwrap();
    let nonce = nonce.split('&').next().unwrap();
    let claims = format!(
        r#"{{"iss":"https://as.example","sub":"ann","aud":"id","iat":{NOW},"exp":{},"nonce":"{nonce}"}}"#,
        NOW + 60
    );
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signature = URL_SAFE_NO_PAD.encode([1; 64]);
    let header = part(r#"{"alg":"EdDSA","kid":"one"}"#);
    let signed = format!("{header}.{}.{signature}", part(&claims));
    let encryption = ResponseEncryption::new(JweAlg::Dir, Known(signed.clone()));
    let client = client().with_id_token_encryption(encryption.encs([Enc::A128Gcm]));
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());

    let header = part(r#"{"alg":"dir","enc":"A128GCM"}"#);
    let [iv, text, tag] = [12, 4, 16].map(|bytes| URL_SAFE_NO_PAD.encode(vec![1; bytes]));
    let jwe = format!("{header}..{iv}.{text}.{tag}");
    let (_, pending) = client.authorize(&at(), request).unwrap();
    let callback = format!("{CB}?code=c&state={}", pending.state().expose());
    let mut login = client.redeem(pending, &callback).unwrap();
    assert!(matches!(
        login.resume(&at(), Input::Begin),
        Ok(Step::Send(_))
    ));
    let body = format!(
        r#"{{"access_token":"t","token_type":"Bearer","refresh_token":"r","id_token":"{jwe}"}}"#
    );
    let step = login.resume(&at(), Input::Reply(json(200, &body)));
    assert!(matches!(step, Ok(Step::Verify(_))), "{step:?}");
    let Ok(Step::Done(login)) = login.resume(&at(), Input::Verified(true)) else {
        panic!("a login");
    };
    assert_eq!(login.id_token.unwrap().text().expose(), &signed);
    assert_eq!(login.tokens.id_token.unwrap().expose(), &signed);
    let stored_id_token = login.tokens.refresh_token.unwrap().id_token;
    assert_eq!(stored_id_token.unwrap().expose(), &signed);
}

/// The claim is voluntary (OpenID Connect Core section 5.5.1.1), so this is a warning: the API decides.
#[test]
fn step_up_login_without_the_requested_acr_is_warned_about() {
    let signed_in = |acr: &str| {
        let client = client();
        client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
        let required = StepUp {
            acr_values: vec!["phr".to_owned(), "mfa".to_owned()],
            ..StepUp::default()
        };
        let before = r#"{"access_token":"a","token_type":"Bearer"}"#;
        let before =
            run_with_reply(client.client_credentials(Scope::none()), json(200, before)).unwrap();
        let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
        let request = request.scope(Scope::parse("openid").unwrap());
        let request = request.step_up(required, &before);
        let (url, pending) = client.authorize(&at(), request).unwrap();
        let (_, nonce) = url.as_str().split_once("nonce=").unwrap();
        let nonce = nonce.split('&').next().unwrap();
        let claims = format!(
            r#"{{"iss":"https://as.example","sub":"ann","aud":"id","iat":{NOW},"exp":{},"nonce":"{nonce}"{acr}}}"#,
            NOW + 60
        );
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = part(r#"{"alg":"EdDSA","kid":"one"}"#);
        let signature = URL_SAFE_NO_PAD.encode([1; 64]);
        let body = format!(
            r#"{{"access_token":"t","token_type":"Bearer","id_token":"{header}.{}.{signature}"}}"#,
            part(&claims)
        );
        let callback = format!("{CB}?code=c&state={}", pending.state().expose());
        let mut login = client.redeem(pending, &callback).unwrap();
        let _ = login.resume(&at(), Input::Begin).unwrap();
        let _ = login.resume(&at(), Input::Reply(json(200, &body))).unwrap();
        match login.resume(&at(), Input::Verified(true)) {
            Ok(Step::Done(login)) => login.tokens.warnings,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(signed_in(r#","acr":"mfa""#), []);
    assert_eq!(signed_in(r#","acr":"pwd""#), [Warning::AcrNotMet]);
    assert_eq!(signed_in(""), [Warning::AcrNotMet]);
    assert_eq!(Warning::AcrNotMet.code(), "acr_not_met");
}

/// RFC 9396 section 7: the granted permissions may exceed or differ from the requested ones.
#[test]
fn authorization_details_not_granted_are_warned_about() {
    let expected = r#"[{"type":"payment","actions":["initiate"],"amount":"12.50"}]"#;
    let client = client_of(server());
    let granted = |granted_details: &str| {
        let details = AuthorizationDetails::parse(expected).unwrap();
        let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
        let request = request.authorization_details(&details);
        let (_, pending) = client.authorize(&at(), request).unwrap();
        let callback = format!("{CB}?code=c&state={}", pending.state().expose());
        let mut login = client.redeem(pending, &callback).unwrap();
        let _ = login.resume(&at(), Input::Begin).unwrap();
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{granted_details}}}"#);
        match login.resume(&at(), Input::Reply(json(200, &body))) {
            Ok(Step::Done(login)) => Ok(login.tokens.warnings),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code()),
        }
    };
    let missing = Ok(vec![Warning::AuthorizationDetailsMissing]);
    assert_eq!(granted(""), missing);
    let member = |details: &str| format!(r#","authorization_details":{details}"#);
    assert_eq!(granted(&member("[]")), missing);
    let other = r#"[{"type":"payment","actions":["read"]}]"#;
    assert_eq!(granted(&member(other)), missing);
    let more = r#"[{"type":"payment","actions":["read","initiate"],"id":"p"}]"#;
    assert_eq!(granted(&member(more)), Ok(Vec::new()));
    assert_eq!(
        granted(&member(r#"[{"id":"p"}]"#)),
        Err("token_response.malformed")
    );
}
