//! Helpers for all tests: a driver, a served twin, its client.

use std::time::Duration;

use oauth_core::issuer::Issuer;
use oauth_core::quirk::Rules;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Tokens, danger};
use oauth_reqwest::{Driver, Options, reqwest};
use oauth_testkit::twin::Counters;
use oauth_testkit::{Served, Twin};

/// A time limit that only a broken test reaches.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn driver() -> Driver {
    driver_with(Options::default())
}

pub(crate) fn driver_with(options: Options) -> Driver {
    Driver::with_options(reqwest::Client::builder().no_proxy(), options).unwrap()
}

pub(crate) fn start_twin() -> Served {
    Served::start(Twin::generic).unwrap()
}

pub(crate) fn counters(served: &Served) -> Counters {
    served.with(|twin| twin.counters())
}

pub(crate) fn server(base: &str) -> Server {
    let mut server = danger::loopback_server(Server::new(danger::loopback_issuer(base).unwrap()));
    for (kind, path) in [
        (EndpointKind::Authorization, "authorize"),
        (EndpointKind::Token, "token"),
        (EndpointKind::Revocation, "revoke"),
        (EndpointKind::Introspection, "introspect"),
    ] {
        server = server
            .with_endpoint(kind, &format!("{base}/{path}"))
            .unwrap();
    }
    server
}

pub(crate) fn confidential(served: &Served) -> Client {
    let (id, secret) =
        served.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let auth = ClientAuth::basic(secret.as_str());
    Client::new(server(served.base()), ClientId::new(id), auth).unwrap()
}

pub(crate) fn public(server: Server, served: &Served) -> Client {
    let id = served.with(|twin| twin.public_client_id().to_owned());
    Client::new(server, ClientId::new(id), ClientAuth::none()).unwrap()
}

pub(crate) async fn discover_server(driver: &Driver, served: &Served) -> Server {
    let issuer: Issuer = danger::loopback_issuer(served.base()).unwrap();
    let exchange = danger::discover_on_loopback(issuer, Rules::default());
    driver.run(exchange).await.unwrap()
}

/// These tokens, as if received in 1970.
pub(crate) fn expired_tokens(tokens: &Tokens) -> Tokens {
    let mut stored: serde_json::Value = serde_json::from_str(tokens.to_json().expose()).unwrap();
    stored["received_at"] = 0.into();
    Tokens::from_json(&stored.to_string()).unwrap()
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// The callback URL after the user approves.
pub(crate) async fn callback_of(url: String) -> String {
    let reply = browser().get(url).send().await.unwrap();
    reply.headers()["location"].to_str().unwrap().to_owned()
}

/// Opens a URL as a browser that follows the only redirect; returns the page.
pub(crate) async fn browse(url: String) -> (u16, String) {
    let callback = callback_of(url).await;
    let page = browser().get(callback).send().await.unwrap();
    (page.status().as_u16(), page.text().await.unwrap())
}

/// The tokens of a user who logs in at the served twin.
pub(crate) async fn login(driver: &Driver, client: &Client) -> Tokens {
    use oauth_core::{AuthorizationRequest, Scope};
    use oauth_reqwest::loopback::Listener;

    let listener = Listener::bind().await.unwrap();
    let request = AuthorizationRequest::new(listener.redirect_uri().clone())
        .scope(Scope::parse("read write offline_access").unwrap());
    let open = |url: &oauth_core::url::Url| {
        tokio::spawn(browse(url.as_str().to_owned()));
        Ok(())
    };
    listener
        .login(driver, client, request, open, TEST_TIMEOUT)
        .await
        .unwrap()
        .tokens
}

/// Polls until `done`; only the test harness limits the time.
pub(crate) async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
