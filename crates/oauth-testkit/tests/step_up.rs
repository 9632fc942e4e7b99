//! Step-up: the twin's API requires more of a login, and the client meets that with another login.

mod common;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{encoded_basic, get, json as read, post_as, refused, text};
use http::header::WWW_AUTHENTICATE;
use oauth_core::flow::resource::step_up;
use oauth_core::issuer::Issuer;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Scope, Tokens, discover,
};
use oauth_testkit::{Twin, TwinDriver};
use serde_json::{Value, json};

const BASE: &str = "https://as.test";
const HOME: &str = "https://app.example/callback";

fn twin() -> TwinDriver {
    TwinDriver::new(Twin::generic(BASE))
}

fn client(driver: &mut TwinDriver) -> Client {
    let server = driver.run(discover(Issuer::parse(BASE).unwrap())).unwrap();
    let id = ClientId::new(driver.twin().public_client_id());
    Client::new(server, id, ClientAuth::none()).unwrap()
}

/// A login, for an API's requirement if there is one.
fn login(
    driver: &mut TwinDriver,
    client: &Client,
    step_up: Option<(StepUp, &Tokens)>,
) -> Result<Tokens, Error> {
    let mut request = AuthorizationRequest::new(RedirectUri::parse(HOME).unwrap())
        .scope(Scope::parse("openid read").unwrap());
    if let Some((required, tokens)) = step_up {
        request = request.step_up(required, tokens);
    }
    let (url, pending) = client.authorize(&driver.moment(), request)?;
    let callback = driver.browse(url.as_str()).unwrap();
    let login = driver.run(client.redeem(pending, &callback)?)?;
    Ok(login.tokens)
}

/// Calls the API with these tokens: the status, and the step-up that it requires.
fn call_api(driver: &mut TwinDriver, tokens: &Tokens) -> (u16, Option<StepUp>) {
    let token = tokens.access_token.expose().clone();
    let reply = get(driver, "/api/echo", Some(&token));
    let challenges = reply.headers().get_all(WWW_AUTHENTICATE).iter();
    let required = step_up(reply.status(), challenges.map(|field| field.as_bytes()));
    (reply.status().as_u16(), required)
}

fn challenge(driver: &mut TwinDriver, tokens: &Tokens) -> String {
    let token = tokens.access_token.expose().clone();
    let reply = get(driver, "/api/echo", Some(&token));
    let challenge = reply.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let (_, error) = challenge.split_once(", error=").unwrap();
    format!("error={error}")
}

fn introspect(driver: &mut TwinDriver, tokens: &Tokens) -> Value {
    let token = tokens.access_token.expose().clone();
    let twin = driver.twin();
    let basic = encoded_basic(twin.client_id(), twin.client_secret());
    read(&post_as(
        driver,
        "/introspect",
        Some(&basic),
        &[("token", &token)],
    ))
}

#[test]
fn a_step_up_login_satisfies_the_api() {
    let mut driver = twin();
    let client = client(&mut driver);
    driver.twin().require_step_up(&["phr", "mfa"], None);
    let first = login(&mut driver, &client, None).unwrap();
    assert_eq!(
        challenge(&mut driver, &first),
        "error=\"insufficient_user_authentication\", acr_values=\"phr mfa\""
    );
    let (status, required) = call_api(&mut driver, &first);
    let required = required.unwrap();
    assert_eq!(
        (status, required.acr_values.join(" ").as_str()),
        (401, "phr mfa")
    );

    let second = login(&mut driver, &client, Some((required, &first))).unwrap();
    assert_eq!(call_api(&mut driver, &second), (200, None));
    assert!(second.warnings.is_empty());
    let introspection = introspect(&mut driver, &second);
    assert_eq!(
        (&introspection["acr"], &introspection["auth_time"]),
        (&json!("phr"), &json!(driver.now().as_secs()))
    );
    // The second login does not change the first token, and a refresh keeps the login's properties.
    assert_eq!(call_api(&mut driver, &first).0, 401);
    let renewed = driver.run(client.refresh(second.refresh_token.as_ref().unwrap()));
    assert_eq!(call_api(&mut driver, &renewed.unwrap()), (200, None));
    // Any one of the values suffices.
    driver.twin().require_step_up(&["loa3", "phr"], None);
    assert_eq!(call_api(&mut driver, &second), (200, None));
    driver.twin().require_step_up(&["loa3"], None);
    assert_eq!(call_api(&mut driver, &second).0, 401);
    driver.twin().require_step_up(&[], None);
    assert_eq!(call_api(&mut driver, &first), (200, None));
}

#[test]
fn a_login_over_the_max_age_requires_another() {
    let mut driver = twin();
    let client = client(&mut driver);
    driver.twin().require_step_up(&[], Some(60));
    let first = login(&mut driver, &client, None).unwrap();
    driver.advance(Duration::from_secs(60));
    assert_eq!(call_api(&mut driver, &first), (200, None));
    driver.advance(Duration::from_secs(1));
    assert_eq!(
        challenge(&mut driver, &first),
        "error=\"insufficient_user_authentication\", max_age=\"60\""
    );
    // A refresh does not count as a login.
    let renewed = driver.run(client.refresh(first.refresh_token.as_ref().unwrap()));
    let renewed = renewed.unwrap();
    let (status, required) = call_api(&mut driver, &renewed);
    assert_eq!(status, 401);
    let second = login(&mut driver, &client, Some((required.unwrap(), &renewed))).unwrap();
    assert_eq!(call_api(&mut driver, &second), (200, None));
    // Once that login is too old, another may be required.
    driver.advance(Duration::from_secs(61));
    let (_, required) = call_api(&mut driver, &second);
    let third = login(&mut driver, &client, Some((required.unwrap(), &second))).unwrap();
    assert_eq!(call_api(&mut driver, &third), (200, None));
}

#[test]
fn a_step_up_that_the_user_cannot_satisfy_is_requested_once() {
    let mut driver = twin();
    let client = client(&mut driver);
    driver.twin().require_step_up(&["phr"], None);
    driver.twin().set_claim("acr", "pwd");
    let first = login(&mut driver, &client, None).unwrap();
    let (_, required) = call_api(&mut driver, &first);
    let second = login(&mut driver, &client, Some((required.unwrap(), &first))).unwrap();
    let warnings: Vec<_> = second
        .warnings
        .iter()
        .map(|warning| warning.code())
        .collect();
    assert_eq!(warnings, ["acr_not_met"]);
    let (status, required) = call_api(&mut driver, &second);
    assert_eq!(status, 401);
    let again = login(&mut driver, &client, Some((required.unwrap(), &second)));
    assert_eq!(again.unwrap_err().code(), "step_up.repeated");
}

/// Microsoft's challenge, <https://learn.microsoft.com/entra/identity-platform/claims-challenge>.
#[test]
fn required_claims_of_the_challenge_are_requested_at_login() {
    let mut driver = twin();
    let client = client(&mut driver);
    let claims = json!({ "access_token": { "acrs": { "essential": true, "value": "c1" } } });
    driver.twin().require_claims(claims.clone());
    let first = login(&mut driver, &client, None).unwrap();
    let encoded = STANDARD.encode(claims.to_string());
    assert_eq!(
        challenge(&mut driver, &first),
        format!("error=\"insufficient_claims\", claims=\"{encoded}\"")
    );
    let (_, required) = call_api(&mut driver, &first);
    let second = login(&mut driver, &client, Some((required.unwrap(), &first))).unwrap();
    assert_eq!(call_api(&mut driver, &second), (200, None));
    driver
        .twin()
        .require_claims(json!({ "access_token": null }));
    assert_eq!(call_api(&mut driver, &second).0, 401);
    // UserInfo does not require the claims.
    let token = second.access_token.expose().clone();
    assert_eq!(get(&mut driver, "/userinfo", Some(&token)).status(), 200);
}

/// A client's own token involves no login.
#[test]
fn a_client_without_a_user_cannot_step_up() {
    let mut driver = twin();
    let twin = driver.twin();
    let basic = encoded_basic(twin.client_id(), twin.client_secret());
    let form = [("grant_type", "client_credentials"), ("scope", "read")];
    let token = text(
        &read(&post_as(&mut driver, "/token", Some(&basic), &form)),
        "access_token",
    );
    assert_eq!(get(&mut driver, "/api/echo", Some(&token)).status(), 200);
    driver.twin().require_step_up(&[], Some(60));
    let reply = get(&mut driver, "/api/echo", Some(&token));
    refused(&reply, 401, "insufficient_user_authentication");
}
