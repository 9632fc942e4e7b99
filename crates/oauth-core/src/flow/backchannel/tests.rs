#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests may panic

use serde_json::json as value;

use super::*;
use crate::base64::{self, Alphabet, url_safe};
use crate::client::Client;
use crate::crypto::{Signer, SigningKey};
use crate::endpoint::backchannel_authentication::{DuplicatePolicy, Hint, TokenDeliveryMode};
use crate::error::Cause;
use crate::exchange::{Input, Step};
use crate::jose::{Alg, KeySet};
use crate::moment::UnixTime;
use crate::request_signing::RequestSigning;
use crate::scope::Scope;
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client_of, error_code, json, run_with_reply, server};

const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn client() -> Client {
    let kind = EndpointKind::BackchannelAuthentication;
    let server = server()
        .with_endpoint(kind, "https://as.example/bc")
        .unwrap();
    let client = client_of(server).with_id_token_algs([Alg::EdDsa]);
    client.keep_keys(UnixTime::from_secs(NOW), KeySet::parse(KEYS).unwrap());
    client
}

fn openid() -> Scope {
    Scope::parse("openid").unwrap()
}

fn backchannel_request() -> BackchannelAuthentication {
    BackchannelAuthentication::new(Hint::Login("ann".to_owned()), openid()).unwrap()
}

fn form_of(client: &Client, authentication_request: BackchannelAuthentication) -> String {
    let mut exchange = client.authenticate_backchannel(authentication_request);
    let Step::Send(request) = exchange.resume(&at(), Input::Begin).unwrap() else {
        panic!("a request")
    };
    String::from_utf8(request.body().to_vec()).unwrap()
}

#[test]
fn backchannel_parameters_are_sent_and_the_binding_message_is_returned() {
    let request = backchannel_request()
        .binding_message("W4SCT")
        .unwrap()
        .user_code("1234")
        .requested_expiry(120)
        .acr_values(["a", "b"]);
    let sent = "scope=openid&login_hint=ann&binding_message=W4SCT&user_code=1234\
                &requested_expiry=120&acr_values=a+b";
    assert_eq!(form_of(&client(), request.clone()), sent);
    let answer = r#"{"auth_req_id":"1c2","expires_in":120}"#;
    let begun = run_with_reply(
        client().authenticate_backchannel(request),
        json(200, answer),
    )
    .unwrap();
    assert_eq!(begun.binding_message.as_deref(), Some("W4SCT"));
    assert_eq!((begun.interval, begun.expires_in), (5, 120));
    assert_eq!(begun.expires_at, UnixTime::from_secs(NOW + 120));
    assert!(begun.client_notification_token.is_none());
    assert!(!format!("{begun:?}").contains("1c2"));
}

#[test]
fn ping_mode_sends_a_random_client_notification_token() {
    let form = form_of(
        &client(),
        backchannel_request().token_delivery_mode(TokenDeliveryMode::Ping),
    );
    let token = form
        .split('&')
        .find_map(|pair| pair.strip_prefix("client_notification_token="));
    assert_eq!(token.map(str::len), Some(43));
}

struct Zeros;

impl Signer for Zeros {
    fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
        Ok(vec![0; 64].into())
    }
}

#[test]
fn supported_request_signing_sends_only_the_request_object() {
    let key = SigningKey::local("k", Alg::Es256, Arc::new(Zeros));
    let client_accepting = |alg: &str| {
        let kind = EndpointKind::BackchannelAuthentication;
        let server = server()
            .with_endpoint(kind, "https://as.example/bc")
            .unwrap();
        let name = "backchannel_authentication_request_signing_alg_values_supported";
        let accepted_algs = value!([alg]);
        let server = server.with_metadata([(name.to_owned(), accepted_algs)].into_iter().collect());
        client_of(server).with_request_signing(RequestSigning::new(key.clone()))
    };
    let form = form_of(&client_accepting("ES256"), backchannel_request());
    let jws = form.strip_prefix("request=").unwrap();
    assert!(!jws.contains('&'), "{form}");
    let claims = base64::decode(jws.split('.').nth(1).unwrap(), Alphabet::UrlSafe).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["login_hint"], "ann");
    assert_eq!(
        (&claims["aud"], &claims["iss"]),
        (&value!("https://as.example"), &value!("id"))
    );
    for member in ["exp", "iat", "nbf", "jti"] {
        assert!(claims.get(member).is_some(), "{member}");
    }
    let mut other = client_accepting("PS256").authenticate_backchannel(backchannel_request());
    let refused = other.resume(&at(), Input::Begin);
    assert_eq!(error_code(refused.map(drop)), Err("key.algorithm"));
    // A server that does not announce signed requests gets plain parameters.
    let plain = client_of(
        server()
            .with_endpoint(
                EndpointKind::BackchannelAuthentication,
                "https://as.example/bc",
            )
            .unwrap(),
    );
    let plain = plain.with_request_signing(RequestSigning::new(key.clone()));
    assert_eq!(
        form_of(&plain, backchannel_request()),
        "scope=openid&login_hint=ann"
    );
}

#[test]
fn invalid_hints_scope_or_binding_messages_are_refused_before_sending() {
    let both = Hint::only_one_of(Some("a".into()), None, Some("b".into()));
    assert_eq!(error_code(both.map(drop)), Err("ciba.hint"));
    assert_eq!(
        error_code(Hint::only_one_of(Some(String::new()), None, None).map(drop)),
        Err("ciba.hint")
    );
    for (login_hint_token, id_token_hint) in
        [(Some(""), None), (None, Some("")), (Some(""), Some(""))]
    {
        let hint = Hint::only_one_of(
            None,
            login_hint_token.map(Into::into),
            id_token_hint.map(Into::into),
        );
        assert_eq!(error_code(hint.map(drop)), Err("ciba.hint"));
    }
    assert!(Hint::only_one_of(None, Some("t".into()), Some("".into())).is_ok());
    assert!(Hint::only_one_of(None, Some("t".into()), None).is_ok());
    let hint = || Hint::Login("a".to_owned());
    let plain = BackchannelAuthentication::new(hint(), Scope::parse("x").unwrap());
    assert_eq!(error_code(plain.map(drop)), Err("ciba.openid_scope"));
    for text in [
        "",
        " ",
        "a\nb",
        "a\u{1b}[2J",
        "a\u{202e}b",
        "a\u{200b}b",
        &"x".repeat(101),
    ] {
        let refused = error_code(backchannel_request().binding_message(text).map(drop));
        assert_eq!(refused, Err("ciba.binding_message"), "{text:?}");
    }
}

#[test]
fn expires_in_must_be_positive_and_may_be_a_numeric_string() {
    for (expires_in, outcome) in [
        ("1", Ok(1)),
        (r#""120""#, Ok(120)),
        (r#""120.5""#, Ok(120)),
        ("0", Err("reply.shape")),
        ("-1", Err("reply.shape")),
        (r#""+120""#, Err("reply.shape")),
    ] {
        let body = format!(r#"{{"auth_req_id":"1c2","expires_in":{expires_in}}}"#);
        let begun = run_with_reply(
            client().authenticate_backchannel(backchannel_request()),
            json(200, &body),
        );
        assert_eq!(
            error_code(begun.map(|begun| begun.expires_in)),
            outcome,
            "{expires_in}"
        );
    }
}

fn awaited_request() -> AwaitedRequest {
    AwaitedRequest {
        auth_req_id: "1c2".into(),
        client_notification_token: "n0tify".into(),
        token_request: openid().into(),
    }
}

#[test]
fn ping_requires_its_token_and_request_id() {
    let ping = |authorization: Option<&str>, body: &str| {
        let refused = awaited_request().pinged(authorization, body.as_bytes());
        refused.map_err(|error| (error.code(), error.refusal().map(|refusal| refusal.status)))
    };
    let body = r#"{"auth_req_id":"1c2"}"#;
    assert_eq!(ping(Some("Bearer n0tify"), body), Ok(()));
    assert_eq!(ping(Some("bearer  n0tify"), body), Ok(()));
    for authorization in [
        None,
        Some(""),
        Some("n0tify"),
        Some("Basic n0tify"),
        Some("Bearer n0tifi"),
    ] {
        let refused = Err(("ciba.client_notification_token", Some(401)));
        assert_eq!(ping(authorization, body), refused, "{authorization:?}");
    }
    let valid = Some("Bearer n0tify");
    let unknown = Err(("ciba.unknown_request", Some(400)));
    assert_eq!(ping(valid, r#"{"auth_req_id":"1c3"}"#), unknown);
    assert_eq!(ping(valid, r#"{"auth_req_id":7}"#), unknown);
    assert_eq!(ping(valid, "{"), Err(("reply.json", Some(400))));
    assert_eq!(ping(valid, "[]"), Err(("reply.shape", Some(400))));
}

/// Pushes tokens whose ID token has these claims; returns the compared hashes and the result.
fn push(claims: serde_json::Value) -> (Vec<String>, Result<(), &'static str>) {
    let mut all = value!({
        "iss": "https://as.example", "aud": "id", "sub": "u", "iat": NOW, "exp": NOW + 60,
        "urn:openid:params:jwt:claim:auth_req_id": "1c2", "at_hash": "ah",
        "urn:openid:params:jwt:claim:rt_hash": "rh",
    });
    for (name, claim) in claims.as_object().unwrap() {
        if claim.is_null() {
            drop(all.as_object_mut().unwrap().remove(name))
        } else {
            all[name] = claim.clone()
        }
    }
    let header = url_safe(r#"{"alg":"EdDSA","kid":"one"}"#);
    let id_token = format!(
        "{header}.{}.{}",
        url_safe(all.to_string()),
        url_safe([0; 64])
    );
    let body = value!({ "auth_req_id": "1c2", "access_token": "a", "token_type": "Bearer",
        "refresh_token": "r", "id_token": id_token });
    let authorization = Some("Bearer n0tify".to_owned());
    let mut exchange =
        client().accept_push(awaited_request(), authorization, body.to_string().into());
    let (mut compared, mut input) = (Vec::new(), Input::Begin);
    loop {
        input = match exchange.resume(&at(), input) {
            Ok(Step::Verify(job)) => {
                if let crate::exchange::VerificationJob::HalfHash { value, half, .. } = job {
                    compared.push(format!("{half} of {}", value.expose()));
                }
                Input::Verified(true)
            }
            Ok(Step::Done(login)) => {
                assert!(login.id_token.is_some() && login.tokens.refresh_token.is_some());
                return (compared, Ok(()));
            }
            Ok(step) => panic!("{step:?}"),
            Err(error) => return (compared, Err(error.code())),
        };
    }
}

#[test]
fn pushed_tokens_require_matching_id_token_hashes_and_request_id() {
    let (compared, outcome) = push(value!({}));
    assert_eq!((compared.len(), outcome), (2, Ok(())));
    assert!(compared.contains(&"ah of a".to_owned()) && compared.contains(&"rh of r".to_owned()));
    let request = "urn:openid:params:jwt:claim:auth_req_id";
    assert_eq!(
        push(value!({ request: "other" })).1,
        Err("id_token.auth_req_id")
    );
    for missing in [request, "at_hash", "urn:openid:params:jwt:claim:rt_hash"] {
        let refused = push(value!({ missing: null })).1;
        assert_eq!(refused, Err("jwt.missing_claim"), "{missing}");
    }
    let mut unauthenticated = client().accept_push(awaited_request(), None, "{}".into());
    let refused = unauthenticated.resume(&at(), Input::Begin);
    assert_eq!(
        error_code(refused.map(drop)),
        Err("ciba.client_notification_token")
    );
}

/// Repeated prompts tire users until they approve one (RFC 10027 section 6.1.15).
#[test]
fn identical_pending_backchannel_request_is_refused() {
    let client = client();
    let answer = r#"{"auth_req_id":"1c2","expires_in":120}"#;
    let begin = |authentication_request, answer: &str| {
        let exchange = client
            .clone()
            .authenticate_backchannel(authentication_request);
        error_code(run_with_reply(exchange, json(200, answer)).map(|request| request.auth_req_id))
    };
    // A failed request has not prompted the user.
    let denied = client.authenticate_backchannel(backchannel_request());
    let denied = run_with_reply(denied, json(400, r#"{"error":"unknown_user_id"}"#));
    assert!(denied.is_err());
    let name = begin(backchannel_request(), answer).unwrap();
    assert_eq!(
        begin(backchannel_request(), answer).map(drop),
        Err("ciba.duplicate_request")
    );
    // Another user or another scope is a different request, and the caller may allow repetitions.
    let bob = BackchannelAuthentication::new(Hint::Login("bob".to_owned()), openid()).unwrap();
    assert!(begin(bob, answer.replace("1c2", "2").as_str()).is_ok());
    let scope = Scope::parse("openid pay").unwrap();
    let pay = BackchannelAuthentication::new(Hint::Login("ann".to_owned()), scope).unwrap();
    assert!(begin(pay, answer.replace("1c2", "3").as_str()).is_ok());
    assert!(
        begin(
            backchannel_request().repeat(DuplicatePolicy::Allowed),
            answer
        )
        .is_ok()
    );

    let poll = |status, body: &str| {
        let login = client.poll_backchannel_token(name.clone(), openid(), None);
        error_code(run_with_reply(login, json(status, body)).map(drop))
    };
    let pending = r#"{"error":"authorization_pending"}"#;
    assert_eq!(poll(400, pending), Err("denied.authorization_pending"));
    assert_eq!(
        begin(backchannel_request(), answer).map(drop),
        Err("ciba.duplicate_request")
    );
    let no = r#"{"error":"access_denied"}"#;
    assert_eq!(poll(400, no), Err("denied.access_denied"));
    assert!(begin(backchannel_request(), answer).is_ok());

    // An expired request no longer counts as pending.
    let late = Moment::fixed(UnixTime::from_secs(NOW + 120), [9; 32]);
    let mut again = client.authenticate_backchannel(backchannel_request());
    assert!(matches!(
        again.resume(&late, Input::Begin),
        Ok(Step::Send(_))
    ));
    let mut duplicate = client.authenticate_backchannel(backchannel_request());
    assert_eq!(
        error_code(duplicate.resume(&late, Input::Begin).map(drop)),
        Err("ciba.duplicate_request")
    );
    drop(again);
    let mut next = client.authenticate_backchannel(backchannel_request());
    assert!(matches!(
        next.resume(&late, Input::Begin),
        Ok(Step::Send(_))
    ));
}
