//! Approval on other devices, at `oidc-provider`: on its page with a code, or on the user's own device; and the polling
//! for its result, or one request after a notification.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use oauth_core::endpoint::backchannel_authentication::{
    BackchannelAuthentication, BackchannelAuthenticationResponse, Hint, TokenDeliveryMode,
};
use oauth_core::endpoint::device_authorization::{
    DeviceAuthorization, DeviceAuthorizationResponse,
};
use oauth_core::flow::backchannel::AwaitedRequest;
use oauth_core::flow::poll::PollTiming;
use oauth_core::flow::redeem::Login;
use oauth_core::grant::TokenRequest;
use oauth_core::jose::Alg;
use oauth_core::request_signing::RequestSigning;
use oauth_core::{Client, ClientAuth, ClientId, Error, Scope, Secret};
use oauth_crypto::{ClientKeys, PrivateKey};
use oauth_reqwest::blocking::Driver;
use reqwest::blocking::Client as Browser;

use crate::mailbox::{PostRequest, mailbox};
use crate::oidc_provider::{OidcProvider, driver};

const MAX_WAIT: Duration = Duration::from_secs(30);
const PERSON: &str = "somebody";
const MESSAGE: &str = "W4SCT";

fn scope() -> Scope {
    Scope::parse("openid read").expect("a scope")
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map(drop).expect_err("a refusal").code()
}

#[track_caller]
fn is_signed_in(login: Result<Login, Error>) {
    let login = login.unwrap_or_else(|error| panic!("tokens: {error}"));
    let id_token = login.id_token.expect("an ID token");
    assert_eq!(id_token.subject(), PERSON);
}

fn device(driver: &Driver, client: &Client) -> DeviceAuthorizationResponse {
    let device_authorization = driver.run(client.call(DeviceAuthorization::new(scope())));
    device_authorization.expect("a code")
}

/// The values of the hidden fields of the form on a page.
fn hidden(page: &str) -> Vec<(String, String)> {
    let between = |text: &str, start: &str| -> Option<String> {
        let (_, rest) = text.split_once(start)?;
        rest.split('"').next().map(str::to_owned)
    };
    let inputs = page.split("<input type=\"hidden\"").skip(1);
    let field = |tag| Some((between(tag, "name=\"")?, between(tag, "value=\"")?));
    inputs.filter_map(field).collect()
}

/// The user opens the page of the code, and presses its buttons; with `abort` they deny at the last one.
fn visit(code: &DeviceAuthorizationResponse, abort: Option<(&str, &str)>) -> String {
    let browser = Browser::builder().cookie_store(true).build();
    let browser = browser.expect("a browser");
    let start = code.verification_uri_complete.as_ref().expect("a URL");
    let page = |reply: reqwest::Result<reqwest::blocking::Response>| {
        let reply = reply.expect("an answer");
        reply.text().expect("a page")
    };
    let mut shown = page(browser.get(start.as_str()).send());
    // The code itself, and the confirmation that it is the user's own device.
    for _ in 0..2 {
        let mut fields = hidden(&shown);
        let confirm_field = fields.iter_mut().find(|(name, _)| name == "confirm");
        if let (Some((name, value)), Some((no, yes))) = (confirm_field, abort) {
            (*name, *value) = (no.to_owned(), yes.to_owned());
        }
        let form = serde_urlencoded::to_string(fields).expect("a form");
        let post = browser.post(code.verification_uri.as_str()).body(form);
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        shown = page(post.send());
    }
    shown
}

fn quick(code: &DeviceAuthorizationResponse) -> PollTiming {
    PollTiming {
        interval: 1,
        expires_at: code.expires_at,
    }
}

#[test]
fn a_device_signs_in_once_the_user_has_entered_the_code() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "device").expect("a client");
    let device_authorization = device(&driver, &client);
    assert!(
        device_authorization
            .verification_uri
            .as_str()
            .starts_with(server.issuer())
    );
    let grant = || oauth_core::grant::DeviceCode::new(device_authorization.device_code.clone());
    let login = thread::scope(|scope_of_threads| {
        let person = scope_of_threads.spawn(|| {
            thread::sleep(Duration::from_millis(1500));
            visit(&device_authorization, None)
        });
        let login =
            driver.run(client.sign_in(grant(), scope(), Some(quick(&device_authorization))));
        assert_eq!(person.join().expect("a page"), "signed in");
        login
    });
    is_signed_in(login);
    // A code can be used only once.
    let again = driver.run(client.sign_in(grant(), scope(), None));
    assert_eq!(code(again), "denied.invalid_grant");
}

#[test]
fn a_user_denies_a_device() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "device").expect("a client");
    let device_authorization = device(&driver, &client);
    let grant = || oauth_core::grant::DeviceCode::new(device_authorization.device_code.clone());
    let early = driver.run(client.sign_in(grant(), scope(), None));
    assert_eq!(code(early), "denied.authorization_pending");
    visit(&device_authorization, Some(("abort", "yes")));
    let refused = driver.run(client.sign_in(grant(), scope(), Some(quick(&device_authorization))));
    assert_eq!(code(refused), "denied.access_denied");
}

fn backchannel_request(delivery: TokenDeliveryMode) -> BackchannelAuthentication {
    let hint = Hint::Login(PERSON.to_owned());
    let backchannel_request = BackchannelAuthentication::new(hint, scope()).expect("a request");
    let backchannel_request = backchannel_request
        .token_delivery_mode(delivery)
        .requested_expiry(60);
    backchannel_request
        .binding_message(MESSAGE)
        .expect("a message")
}

fn begun(
    driver: &Driver,
    client: &Client,
    delivery: TokenDeliveryMode,
) -> BackchannelAuthenticationResponse {
    let request = driver.run(client.authenticate_backchannel(backchannel_request(delivery)));
    let request = request.unwrap_or_else(|error| panic!("a request: {error}"));
    assert_eq!((request.expires_in, request.interval), (60, 5));
    request
}

/// The user reads the message on their device, and approves or denies.
fn decide(server: &OidcProvider, verdict: &str) {
    let url = format!("{}/_answer/{verdict}", server.issuer());
    let reply = Browser::new().post(url).send().expect("an answer");
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.text().expect("a message"), MESSAGE);
}

#[test]
fn a_user_approves_or_denies_a_backchannel_request() {
    let (server, driver) = (OidcProvider::start(), driver());
    let client = server.client(&driver, "ciba-poll").expect("a client");
    for (verdict, expected) in [("yes", None), ("no", Some("denied.access_denied"))] {
        let request = begun(&driver, &client, TokenDeliveryMode::Poll);
        let pace = PollTiming {
            interval: 1,
            expires_at: request.expires_at,
        };
        let ended = thread::scope(|scope_of_threads| {
            let person = scope_of_threads.spawn(|| {
                thread::sleep(Duration::from_millis(1500));
                decide(&server, verdict);
            });
            let id = request.auth_req_id.clone();
            let ended = driver.run(client.poll_backchannel_token(id, scope(), Some(pace)));
            person.join().expect("an answer");
            ended
        });
        match expected {
            None => is_signed_in(ended),
            Some(expected) => assert_eq!(code(ended), expected),
        }
    }
    let hint = Hint::Login("a stranger".to_owned());
    let stranger = BackchannelAuthentication::new(hint, scope()).expect("a request");
    let unknown = driver.run(client.authenticate_backchannel(stranger));
    let unknown = unknown.map(drop).expect_err("a refusal");
    let server_error = unknown.server_error().and_then(|said| said.error());
    assert_eq!(server_error, Some("unknown_user_id"));
}

/// Verifies the server's notification, after which the tokens are requested once.
fn pinged(mailbox: &Receiver<PostRequest>, request: &BackchannelAuthenticationResponse) {
    let posted = mailbox.recv_timeout(MAX_WAIT).expect("a notification");
    let token = request.client_notification_token.clone();
    let awaited = AwaitedRequest {
        auth_req_id: request.auth_req_id.clone(),
        client_notification_token: token.expect("a token"),
        token_request: TokenRequest::from(scope()),
    };
    let (header, body) = (posted.authorization.as_deref(), posted.body.as_bytes());
    awaited.pinged(header, body).expect("it is ours");
    let refused = awaited.pinged(None, body);
    assert_eq!(code(refused), "ciba.client_notification_token");
    let other = AwaitedRequest {
        auth_req_id: Secret::from("another"),
        ..awaited
    };
    assert_eq!(code(other.pinged(header, body)), "ciba.unknown_request");
}

#[test]
fn a_client_is_pinged_after_the_user_has_answered() {
    let (uri, mailbox) = mailbox("/notified", "204 No Content");
    let server = OidcProvider::start_with(&[("BACKCHANNEL_NOTIFICATION_URI", &uri)]);
    let driver = driver();
    let client = server.client(&driver, "ciba-ping").expect("a client");
    let request = begun(&driver, &client, TokenDeliveryMode::Ping);
    assert!(mailbox.try_recv().is_err(), "nobody has answered");
    decide(&server, "yes");
    pinged(&mailbox, &request);
    let login = client.poll_backchannel_token(request.auth_req_id, scope(), None);
    is_signed_in(driver.run(login));

    let request = begun(&driver, &client, TokenDeliveryMode::Ping);
    decide(&server, "no");
    pinged(&mailbox, &request);
    let refused = driver.run(client.poll_backchannel_token(request.auth_req_id, scope(), None));
    assert_eq!(code(refused), "denied.access_denied");
}

// This server refuses a ping client's request without the notification token.
#[test]
fn a_client_in_ping_mode_must_send_a_notification_token() {
    let server =
        OidcProvider::start_with(&[("BACKCHANNEL_NOTIFICATION_URI", "http://127.0.0.1/notified")]);
    let driver = driver();
    let client = server.client(&driver, "ciba-ping").expect("a client");
    let refused =
        driver.run(client.authenticate_backchannel(backchannel_request(TokenDeliveryMode::Poll)));
    assert_eq!(code(refused), "denied.invalid_request");
}

#[test]
fn backchannel_requests_are_signed() -> Result<(), Error> {
    let (server, driver) = (OidcProvider::fapi(), driver());
    let found = server.discovered(&driver)?;
    let pem = server.private_key("backchannel");
    let keys = ClientKeys::read([pem]).expect("keys");
    let assertion = keys.client_assertion(&found, Some(Alg::Es256));
    let auth = ClientAuth::assertion(assertion.expect("an assertion"));
    let plain = Client::new(found, ClientId::new("backchannel"), auth)?;
    // This client is registered for signed requests, which the server enforces.
    let refused =
        driver.run(plain.authenticate_backchannel(backchannel_request(TokenDeliveryMode::Poll)));
    assert_eq!(code(refused), "denied.invalid_request");
    let key = PrivateKey::from_jwk(pem, Alg::Es256).expect("a key");
    let client = plain.with_request_signing(RequestSigning::new(key.signing_key("theirs")));
    let request = begun(&driver, &client, TokenDeliveryMode::Poll);
    decide(&server, "yes");
    let login = client.poll_backchannel_token(request.auth_req_id, scope(), None);
    is_signed_in(driver.run(login));
    Ok(())
}
