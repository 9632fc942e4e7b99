//! The core's client at the plain server: approval on other devices, and assertions.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{get, json};
use oauth_core::assertion::Assertion;
use oauth_core::endpoint::backchannel_authentication::{
    BackchannelAuthentication, BackchannelAuthenticationResponse, DuplicatePolicy, Hint,
    TokenDeliveryMode,
};
use oauth_core::endpoint::device_authorization::{
    DeviceAuthorization, DeviceAuthorizationResponse,
};
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::flow::backchannel::AwaitedRequest;
use oauth_core::flow::identity_assertion::{IdentityAssertionRequest, is_advertised};
use oauth_core::flow::poll::PollTiming;
use oauth_core::flow::redeem::Login;
use oauth_core::grant::{Extension, IdentitySubject, TokenExchange, TokenRequest};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::request_signing::RequestSigning;
use oauth_core::{Client, ClientAuth, ClientId, Scope, discover};
use oauth_crypto::PrivateKey;
use oauth_testkit::twin::BackchannelDelivery;
use oauth_testkit::{Fault, Twin, TwinDriver};

const SUBJECT: &str = "user-248289761001";

fn driver(base: &str) -> TwinDriver {
    TwinDriver::new(Twin::generic(base))
}

fn scope(names: &str) -> Scope {
    Scope::parse(names).unwrap()
}

fn client(driver: &mut TwinDriver) -> Client {
    let issuer = Issuer::parse(driver.twin().issuer()).unwrap();
    let server = driver.run(discover(issuer)).unwrap();
    let twin = driver.twin();
    let auth = ClientAuth::basic(twin.client_secret());
    Client::new(server, ClientId::new(twin.client_id()), auth).unwrap()
}

/// Runs an exchange, with a callback before its n-th poll; returns the pauses and the result.
fn wait<E: Exchange>(
    driver: &mut TwinDriver,
    mut exchange: E,
    mut meanwhile: impl FnMut(&mut TwinDriver, usize),
) -> (Vec<u64>, Result<E::Output, &'static str>) {
    let (mut pauses, mut input) = (Vec::new(), Input::Begin);
    loop {
        let moment = driver.moment();
        input = match exchange.resume(&moment, input) {
            Ok(Step::Sleep(pause)) => {
                driver.advance(pause);
                pauses.push(pause.as_secs());
                meanwhile(driver, pauses.len());
                Input::Elapsed
            }
            Ok(Step::Send(request)) => {
                let reply = driver.send(request);
                let delivery = reply.extensions().get::<oauth_testkit::twin::Delivery>();
                if delivery.is_some_and(|delivery| delivery.lost) {
                    Input::Lost(Cause::unknown("gone"))
                } else {
                    Input::Reply(reply)
                }
            }
            Ok(Step::Verify(job)) => Input::Verified(oauth_crypto::verify(&job)),
            Ok(Step::Sign(_)) => panic!("the keys are at hand"),
            Ok(Step::Done(output)) => return (pauses, Ok(output)),
            Err(error) => return (pauses, Err(error.code())),
        };
    }
}

fn device(driver: &mut TwinDriver, client: &Client) -> DeviceAuthorizationResponse {
    let request = DeviceAuthorization::new(scope("openid read"));
    driver.run(client.call(request)).unwrap()
}

fn approve(driver: &mut TwinDriver, code: &DeviceAuthorizationResponse) {
    let page = code.verification_uri_complete.as_ref().unwrap();
    let path = page.as_str().strip_prefix("https://as.test").unwrap();
    assert_eq!(get(driver, path, None).status(), 200);
}

fn is_signed_in(login: &Login) {
    assert_eq!(login.id_token.as_ref().unwrap().subject(), SUBJECT);
}

#[test]
fn a_device_signs_in_once_the_user_approves() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let code = device(&mut driver, &client);
    let login = client.poll_device_token(&code, scope("openid read"));
    let (pauses, login) = wait(&mut driver, login, |driver, count| match count {
        1 => driver.twin().inject(Fault::SlowDown),
        3 => driver.twin().inject(Fault::LostReply),
        5 => approve(driver, &code),
        _ => {}
    });
    is_signed_in(&login.unwrap());
    assert_eq!(pauses, [5, 10, 10, 20, 10]);
    let logged = driver
        .twin()
        .log()
        .iter()
        .filter(|entry| entry.path == "/token");
    // Only the fault caused `slow_down`.
    let faults: Vec<_> = logged.map(|entry| (entry.status, entry.fault)).collect();
    let expected = [
        (400, Some("slow_down")),
        (400, None),
        (400, Some("lost_reply")),
        (400, None),
        (200, None),
    ];
    assert_eq!(faults, expected);
}

#[test]
fn polling_for_a_device_reports_a_denial_or_an_expiry() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let ends = |driver: &mut TwinDriver, fault: Option<Fault>| {
        let code = device(driver, &client);
        let login = client.poll_device_token(&code, scope("openid read"));
        let (pauses, ended) = wait(driver, login, |driver, count| match (&fault, count) {
            (Some(fault), 2) => driver.twin().inject(fault.clone()),
            (None, 2) => {
                driver.twin().deny_next();
                approve(driver, &code);
            }
            _ => {}
        });
        (pauses, ended.map(drop))
    };
    assert_eq!(
        ends(&mut driver, None),
        (vec![5, 5], Err("denied.access_denied"))
    );
    let expired = (vec![5, 5], Err("denied.expired_token"));
    assert_eq!(ends(&mut driver, Some(Fault::ExpiredToken)), expired);
    // Without an answer, polling ends before the code expires.
    let before = driver.twin().counters().token_requests;
    let code = device(&mut driver, &client);
    let login = client.poll_device_token(&code, scope("openid read"));
    let (pauses, ended) = wait(&mut driver, login, |_, _| {});
    assert_eq!(ended.map(drop), Err("denied.expired_token"));
    assert_eq!(pauses.len(), 119);
    assert_eq!(driver.twin().counters().token_requests - before, 119);
}

// The tokens were in the lost response: a code can be used only once, so the user must approve again.
#[test]
fn tokens_lost_in_a_reply_cannot_be_fetched_again() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let code = device(&mut driver, &client);
    approve(&mut driver, &code);
    let login = client.poll_device_token(&code, scope("openid read"));
    let (pauses, ended) = wait(&mut driver, login, |driver, count| {
        if count == 1 {
            driver.twin().inject(Fault::LostReply);
        }
    });
    assert_eq!(
        (pauses, ended.map(drop)),
        (vec![5, 10], Err("denied.invalid_grant"))
    );
}

fn backchannel_request(delivery: TokenDeliveryMode) -> BackchannelAuthentication {
    let hint = Hint::Login("alice".to_owned());
    let request =
        BackchannelAuthentication::new(hint, scope("openid read offline_access")).unwrap();
    request
        .token_delivery_mode(delivery)
        .binding_message("W4SCT")
        .unwrap()
}

fn awaited_request(begun: &BackchannelAuthenticationResponse) -> AwaitedRequest {
    AwaitedRequest {
        auth_req_id: begun.auth_req_id.clone(),
        client_notification_token: begun.client_notification_token.clone().unwrap(),
        token_request: TokenRequest::from(scope("openid read offline_access")),
    }
}

/// The notification that the twin would post: the value of the header, and the body.
fn notification(driver: &mut TwinDriver) -> (String, Bytes) {
    let now = driver.now();
    assert!(driver.twin().answer_backchannel(now));
    let mut notifications = driver.twin().take_notifications();
    let request = notifications.pop().unwrap();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    (authorization.to_owned(), request.body().clone())
}

#[test]
fn a_user_signs_in_by_backchannel_authentication() {
    let mut driver = driver("https://as.test");
    let plain = client(&mut driver);
    // A second client, which signs its requests.
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let jwk = key.public_jwk().to_json();
    driver
        .twin()
        .register_assertion_key("twin-client", &jwk)
        .unwrap();
    let signing = plain
        .clone()
        .with_request_signing(RequestSigning::new(key.signing_key("")));
    for client in [plain, signing] {
        let request = driver
            .run(client.authenticate_backchannel(backchannel_request(TokenDeliveryMode::Poll)))
            .unwrap();
        let timing = PollTiming {
            interval: request.interval,
            expires_at: request.expires_at,
        };
        let login = client.poll_backchannel_token(
            request.auth_req_id,
            scope("openid read offline_access"),
            Some(timing),
        );
        let (pauses, login) = wait(&mut driver, login, |driver, count| {
            if count == 3 {
                let page = "/authentication_device?binding_message=W4SCT";
                assert_eq!(get(driver, page, None).status(), 200);
            }
        });
        is_signed_in(&login.unwrap());
        assert_eq!(pauses, [5, 5, 5]);
    }
}

#[test]
fn a_ping_is_verified_and_followed_by_one_token_request() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let uri = "https://client.test/ping".parse().unwrap();
    driver
        .twin()
        .set_backchannel_delivery(BackchannelDelivery::Ping(uri));
    let request = driver
        .run(client.authenticate_backchannel(backchannel_request(TokenDeliveryMode::Ping)))
        .unwrap();
    let (authorization, body) = notification(&mut driver);
    let awaited = awaited_request(&request);
    awaited.pinged(Some(&authorization), &body).unwrap();
    let foreign = awaited.pinged(Some("Bearer another"), &body);
    assert_eq!(
        foreign.map_err(|error| error.code()),
        Err("ciba.client_notification_token")
    );
    let login = client.poll_backchannel_token(request.auth_req_id, awaited.token_request, None);
    let before = driver.twin().counters().token_requests;
    is_signed_in(&driver.run(login).unwrap());
    assert_eq!(driver.twin().counters().token_requests - before, 1);
}

#[test]
fn pushed_tokens_must_match_their_id_token() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let uri = "https://client.test/push".parse().unwrap();
    driver
        .twin()
        .set_backchannel_delivery(BackchannelDelivery::Push(uri));
    let mut begin = || {
        let again = backchannel_request(TokenDeliveryMode::Push).repeat(DuplicatePolicy::Allowed);
        let request = client.authenticate_backchannel(again);
        let request = driver.run(request).unwrap();
        let (authorization, body) = notification(&mut driver);
        (awaited_request(&request), authorization, body)
    };
    let (first, second) = (begin(), begin());
    let (awaited, authorization, body) = first;
    let pushed = client.accept_push(awaited.clone(), Some(authorization.clone()), body.clone());
    let login = driver.run(pushed).unwrap();
    is_signed_in(&login);
    assert!(login.tokens.refresh_token.is_some());
    // With the access token of another request the ID token vouches for nothing.
    let mut mixed: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let other: serde_json::Value = serde_json::from_slice(&second.2).unwrap();
    mixed["access_token"] = other["access_token"].clone();
    let pushed = client.accept_push(awaited, Some(authorization), mixed.to_string().into());
    let refused = driver
        .run(pushed)
        .map(drop)
        .map_err(|error: Error| error.code());
    assert_eq!(refused, Err("id_token.at_hash"));
}

#[test]
fn a_token_is_exchanged_with_an_actor_token() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let code = device(&mut driver, &client);
    approve(&mut driver, &code);
    let subject = driver
        .run(client.poll_device_token(&code, scope("openid read")))
        .unwrap()
        .tokens
        .access_token;
    let actor = driver
        .run(client.client_credentials(Scope::none()))
        .unwrap();
    let grant = || {
        let grant = TokenExchange::new(subject.clone(), "access_token").unwrap();
        let token = Some(actor.access_token.clone());
        grant.actor(token, Some("access_token")).unwrap()
    };
    let tokens = driver.run(client.token(grant(), TokenRequest::new()));
    let tokens = tokens.unwrap();
    let named = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(tokens.issued_token_type(), Some(named));
    driver.twin().inject(Fault::IssuedTokenType);
    let outcome = driver.run(client.token(grant(), TokenRequest::new()));
    assert_ne!(outcome.unwrap().issued_token_type(), Some(named));
}

#[test]
fn a_client_gets_tokens_with_an_assertion_for_a_service_account() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let jwk = key.public_jwk().to_json();
    let assertion = |key: &PrivateKey| {
        let issuer = "https://as.test";
        Assertion::new(key.signing_key("k1"), "robot", "robot", issuer).unwrap()
    };
    let refused = driver.run(client.tokens_for_own_assertion(assertion(&key), scope("read")));
    let refused = refused.map(drop).map_err(|error| error.code());
    assert_eq!(refused, Err("denied.invalid_grant"));
    driver.twin().register_assertion_key("robot", &jwk).unwrap();
    // Twice, because each request signs a new assertion.
    for _ in 0..2 {
        let tokens = driver.run(client.tokens_for_own_assertion(assertion(&key), scope("read")));
        assert_eq!(tokens.unwrap().scope, scope("read"));
    }
}

#[test]
fn an_extension_grant_is_sent_unchanged() {
    let mut driver = driver("https://as.test");
    let client = client(&mut driver);
    let subject = driver
        .run(client.client_credentials(Scope::none()))
        .unwrap();
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let grant = Extension::new("urn:ietf:params:oauth:grant-type:token-exchange")
        .and_then(|grant| grant.parameter("subject_token", subject.access_token))
        .and_then(|grant| grant.parameter("subject_token_type", kind));
    let tokens = driver.run(client.token(grant.unwrap(), TokenRequest::new()));
    assert_eq!(tokens.unwrap().issued_token_type(), Some(kind));
}

#[test]
fn an_identity_provider_issues_an_assertion_for_another_server() {
    let (mut idp, mut other) = (driver("https://as.test"), driver("https://other.test"));
    let (own_client, resource_client) = (client(&mut idp), client(&mut other));
    assert!(is_advertised(resource_client.server()));
    idp.twin().vouch_to("https://other.test", "twin-client");
    let keys = json(&get(&mut idp, "/jwks", None));
    other
        .twin()
        .trust_identity_provider("https://as.test", &keys)
        .unwrap();
    let code = device(&mut idp, &own_client);
    approve(&mut idp, &code);
    let login = idp
        .run(own_client.poll_device_token(&code, scope("openid read")))
        .unwrap();
    let id_token = login.tokens.id_token.clone().unwrap();
    let send = || {
        let subject = IdentitySubject::IdToken(id_token.clone());
        IdentityAssertionRequest::new(subject, "https://other.test", scope("read")).unwrap()
    };
    let assertion = idp.run(own_client.identity_assertion(send())).unwrap();
    let redeem = || resource_client.redeem_identity_assertion(assertion.clone(), Scope::none());
    assert_eq!(other.run(redeem()).unwrap().scope, scope("read"));
    let again = other.run(redeem()).map(drop).map_err(|error| error.code());
    assert_eq!(again, Err("denied.invalid_grant"));
    // An assertion is accepted neither as another token type nor at another server.
    idp.twin().inject(Fault::IssuedTokenType);
    let wrong = idp.run(own_client.identity_assertion(send()));
    let wrong = wrong.map(drop).map_err(|error| error.code());
    assert_eq!(wrong, Err("token.unexpected_issued_token_type"));
    let elsewhere = own_client.redeem_identity_assertion(assertion, Scope::none());
    let refused = idp.run(elsewhere).map(drop).map_err(|error| error.code());
    assert_eq!(refused, Err("jwt.audience"));
    idp.advance(Duration::from_secs(600));
    let late = idp.run(own_client.identity_assertion(send())).map(drop);
    assert_eq!(late.map_err(|error| error.code()), Err("jwt.expired"));
}
