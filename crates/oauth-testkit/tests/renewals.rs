//! Tokens that are renewed with the access token itself, by a client of oauth-core: exchanged for a long-lived one at
//! once, renewed from half of that lifetime on, and no more once they have ended.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::exchange::{Exchange as _, Input, Step};
use oauth_core::flow::authorization::AuthorizationRequest;
use oauth_core::flow::keeper::{self, Decision, Event, GrantId, Keeper};
use oauth_core::issuer::Issuer;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::self_renewal::SelfRenewal;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, Error, Scope, Tokens};
use oauth_testkit::{Twin, TwinDriver};

const BASE: &str = "https://as.test";
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn driver() -> TwinDriver {
    let mut twin = Twin::generic(BASE);
    twin.withhold_refresh_tokens();
    TwinDriver::new(twin)
}

fn client(driver: &mut TwinDriver) -> Client {
    let at = |path: &str| Url::parse(&format!("{BASE}{path}")).unwrap();
    let exchange = SelfRenewal::new(at("/access_token"), "exchange_token", "short_lived_token")
        .with_client_auth()
        .with_lifetime_below(DAY);
    let renew =
        SelfRenewal::new(at("/refresh_access_token"), "refresh_token", "access_token").after(DAY);
    let mut server = Server::new(Issuer::parse(BASE).unwrap());
    for (kind, path) in [
        (EndpointKind::Authorization, "/authorize"),
        (EndpointKind::Token, "/token"),
    ] {
        server = server
            .with_endpoint(kind, &format!("{BASE}{path}"))
            .unwrap();
    }
    let server = server.with_renewals([exchange, renew]);
    let (id, secret) = (
        driver.twin().client_id().to_owned(),
        driver.twin().client_secret().to_owned(),
    );
    Client::new(server, ClientId::new(id), ClientAuth::post(secret.as_str())).unwrap()
}

/// The tokens of a login, which came without a refresh token.
fn login(driver: &mut TwinDriver, client: &Client) -> Tokens {
    let exchange =
        AuthorizationRequest::new(RedirectUri::parse("https://app.example/callback").unwrap())
            .scope(Scope::parse("read").unwrap());
    let (url, pending) = client.authorize(&driver.moment(), exchange).unwrap();
    let callback = driver.browse(url.as_str()).unwrap();
    driver
        .run(client.redeem(pending, &callback).unwrap())
        .unwrap()
        .tokens
}

fn renewed_tokens(
    driver: &mut TwinDriver,
    client: &Client,
    tokens: &Tokens,
) -> Result<Tokens, Error> {
    driver.run(client.refresh(tokens.refresh_token.as_ref().unwrap()))
}

fn renews_with_access_token(tokens: &Tokens) -> bool {
    let refresh = tokens.refresh_token.as_ref().unwrap();
    refresh.secret().matches(tokens.access_token.expose())
}

#[test]
fn an_access_token_is_exchanged_and_then_renewed_repeatedly() {
    let mut driver = driver();
    let client = client(&mut driver);
    let short = login(&mut driver, &client);
    assert!(renews_with_access_token(&short));
    // The kind of token is still known after storage.
    let short = Tokens::from_json(short.to_json().expose()).unwrap();
    let long = renewed_tokens(&mut driver, &client, &short).unwrap();
    assert_eq!(long.expires_in, Some(60 * DAY));
    assert!(
        renews_with_access_token(&long) && !long.access_token.matches(short.access_token.expose())
    );
    let logged = driver.twin().log().last().unwrap().clone();
    assert_eq!(
        (logged.path.as_str(), logged.query.len(), logged.body.len()),
        ("/access_token", 4, 0)
    );

    driver.advance(Duration::from_secs(2 * DAY));
    let next = renewed_tokens(&mut driver, &client, &long).unwrap();
    let logged = driver.twin().log().last().unwrap().clone();
    assert_eq!(
        (logged.path.as_str(), logged.query.len()),
        ("/refresh_access_token", 2)
    );
    let (now, token) = (driver.now(), next.access_token.expose().clone());
    assert!(driver.twin().honours(now, &token));
    assert_eq!(driver.twin().counters().renewals, 2);
    // Only its own client can renew it, as with a refresh token.
    let other = Client::new(
        client.server().clone(),
        ClientId::new("other"),
        ClientAuth::none(),
    )
    .unwrap();
    let error = renewed_tokens(&mut driver, &other, &next).unwrap_err();
    assert_eq!(error.code(), "stored.issuer");
}

#[test]
fn a_refused_renewal_hides_the_token_and_an_expired_token_is_not_sent() {
    let mut driver = driver();
    let client = client(&mut driver);
    let short = login(&mut driver, &client);
    let long = renewed_tokens(&mut driver, &client, &short).unwrap();
    // Younger than a day.
    let error = renewed_tokens(&mut driver, &client, &long).unwrap_err();
    assert!(error.code().starts_with("denied."), "{error:?}");
    // A token from the URL is redacted from the error, like one from a body.
    let token = long.access_token.expose();
    let reply_body =
        format!(r#"{{"error":"invalid_request","error_description":"{token} is odd"}}"#);
    let mut refresh = client.refresh(long.refresh_token.as_ref().unwrap());
    let Step::Send(request) = refresh.resume(&driver.moment(), Input::Begin).unwrap() else {
        panic!("nothing is to be signed")
    };
    assert!(request.uri().query().unwrap().contains(token.as_str()));
    let reply = Input::Reply(
        http::Response::builder()
            .status(400)
            .body(reply_body.into())
            .unwrap(),
    );
    let error = refresh.resume(&driver.moment(), reply).unwrap_err();
    assert!(
        !format!("{error:?} {error}").contains(token.as_str()),
        "{error}"
    );
    let logged = driver.twin().log().len();
    driver.advance(Duration::from_secs(60 * DAY));
    let error = renewed_tokens(&mut driver, &client, &long).unwrap_err();
    assert_eq!(
        (error.code(), error.advice().as_str()),
        ("grant.no_refresh_token", "reauthorize")
    );
    assert_eq!(driver.twin().log().len(), logged);
}

#[test]
fn a_refresh_token_is_used_if_the_server_issues_one() {
    let mut driver = TwinDriver::new(Twin::generic(BASE));
    let client = client(&mut driver);
    let tokens = login(&mut driver, &client);
    assert!(!renews_with_access_token(&tokens));
    let next = renewed_tokens(&mut driver, &client, &tokens).unwrap();
    assert!(!renews_with_access_token(&next));
    let counters = driver.twin().counters();
    assert_eq!((counters.refreshes, counters.renewals), (1, 0));
}

#[test]
fn client_tokens_are_requested_anew() {
    let mut driver = driver();
    let client = client(&mut driver);
    let client_tokens = driver
        .run(client.client_credentials(Scope::parse("read").unwrap()))
        .unwrap();
    assert!(client_tokens.refresh_token.is_none());
}

/// Renews as a host does, without a store.
fn renew(driver: &mut TwinDriver, keeper: &mut Keeper) -> Result<Arc<Tokens>, Error> {
    let mut step = keeper.resume(&driver.moment(), Event::Begin);
    loop {
        step = match step {
            keeper::Step::Run(exchange) => {
                let outcome = driver.run(exchange);
                keeper.resume(&driver.moment(), Event::Completed(outcome))
            }
            keeper::Step::Done(outcome) => return outcome,
            _ => panic!("there is no store"),
        };
    }
}

#[test]
fn a_keeper_exchanges_a_login_at_once_and_renews_from_half_the_lifetime_on() {
    let mut driver = driver();
    let client = client(&mut driver);
    let short = login(&mut driver, &client);
    let mut keeper = client.keeper(GrantId::user("me"));
    keeper.replace(&driver.moment(), short.clone()).unwrap();
    // It is valid, so it is returned while it is being exchanged.
    let now = driver.now();
    let Decision::UseAndRenew(tokens) = keeper.ask(now, None) else {
        panic!("it is exchanged at once")
    };
    assert!(tokens.access_token.matches(short.access_token.expose()));
    let long = renew(&mut driver, &mut keeper).unwrap();
    assert_eq!(long.expires_in, Some(60 * DAY));

    driver.advance(Duration::from_secs(30 * DAY - HOUR));
    assert!(matches!(
        keeper.ask(driver.now(), None),
        Decision::UseToken(_)
    ));
    driver.advance(Duration::from_secs(2 * HOUR));
    let Decision::UseAndRenew(_) = keeper.ask(driver.now(), None) else {
        panic!("half of it is over")
    };
    let next = renew(&mut driver, &mut keeper).unwrap();
    assert!(!next.access_token.matches(long.access_token.expose()));
    assert_eq!(driver.twin().counters().renewals, 2);

    // After two months without a renewal the user has to log in again.
    driver.advance(Duration::from_secs(61 * DAY));
    assert!(matches!(keeper.ask(driver.now(), None), Decision::Renew));
    let error = renew(&mut driver, &mut keeper).unwrap_err();
    assert_eq!(
        (error.code(), error.advice().as_str()),
        ("grant.no_refresh_token", "reauthorize")
    );
    assert_eq!(driver.twin().counters().renewals, 2);
}
