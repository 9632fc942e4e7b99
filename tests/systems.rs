//! The four systems, from credentials to the first API call, and what happens after an hour, a
//! revocation and a wrong redirect URL. The README of `oauth-reqwest` shows these lines.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::Advice;
use oauth_core::flow::resource::{Allowance, OnRateLimit};
use oauth_core::flow::resource_connection::ConnectRequest;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;
use oauth_core::{
    AuthorizationRequest, ClientId, ClientMetadata, Error, Moment, Scope, Secret, danger,
};
use oauth_providers::{Provider, provider};
use oauth_reqwest::{
    AddressPolicy, Authorized, Driver, GrantSource, Options, ResourceConnection, reqwest,
};
use oauth_session::store::FileStore;
use oauth_session::{FixedToken, Sources};
use oauth_testkit::{Served, Twin};
use reqwest::redirect::Policy;

type Id = (ClientId, Option<Secret<String>>);

/// UserVoice, with the key of a trusted client.
#[rustfmt::skip]
async fn uservoice(driver: Driver, uservoice: Provider, (id, secret): Id) -> Result<u16, Error> {
// readme
// `uservoice` is provider("uservoice")?.with("subdomain", "acme")?
let client = uservoice.client(id, secret)?;
let source = GrantSource::client_credentials(driver.clone(), &client, Scope::none());
let api = Authorized::with_sources(driver, Sources::one(source), uservoice.api()?)?;
let suggestions = format!("{}admin/suggestions", uservoice.api_roots()?[0]);
let page = api.get(&suggestions).send().await?;
// end
Ok(page.status().as_u16())
}

/// UserVoice, with a token that was created in its console.
#[rustfmt::skip]
async fn console(driver: Driver, uservoice: Provider, token: String) -> Result<u16, Error> {
// readme
let source = FixedToken::new(token);           // or from_env("UV_TOKEN"), from_file("uv.token")
let api = Authorized::with_sources(driver, Sources::one(source), uservoice.api()?)?;
let suggestions = format!("{}admin/suggestions", uservoice.api_roots()?[0]);
let page = api.get(&suggestions).send().await?;
// end
Ok(page.status().as_u16())
}

/// UserTesting, with an account's credentials.
#[rustfmt::skip]
async fn usertesting(driver: Driver, usertesting: Provider, (id, secret): Id) -> Result<Authorized, Error> {
// readme
// `usertesting` is provider("usertesting")?
let client = usertesting.client(id, secret)?;
let source = GrantSource::client_credentials(driver.clone(), &client, usertesting.default_scope());
let limits = usertesting.api()?.keeping(Allowance::new(10, 60));
let api = Authorized::with_sources(driver, Sources::one(source), limits)?
    .on_rate_limit(OnRateLimit::Wait { longest: Duration::from_secs(300) })
    .on_wait(|pause| eprintln!("UserTesting allows ten calls a minute: {} s", pause.as_secs()));
let results = format!("{}sessionResults/?testId=1", usertesting.api_roots()?[0]);
let page = api.get(&results).send().await?;
// end
assert_eq!(page.status(), 200);
Ok(api)
}

/// A partner app of UserTesting, for a user.
#[rustfmt::skip]
async fn usertesting_apps(
    driver: Driver,
    apps: Provider,
    (id, secret): Id,
    registered: &str,
    visit: impl AsyncFn(String) -> String,
) -> Result<Authorized, Error> {
// readme
// `apps` is provider("usertesting-apps")?.with("guid", GUID)?
let callback_uri = RedirectUri::parse(registered)?;
let client = apps.client(id, secret)?.with_redirect_uris([callback_uri.clone()]);
let request = AuthorizationRequest::new(callback_uri).scope(Scope::parse("clips:read studies:read")?);
let (url, pending) = client.authorize(&Moment::system()?, request)?;
// Keep `pending.to_json()` in the person's session, send them to `url`, and take what comes back: `visit` stands for
// their browser, and returns the URL to which the server redirects.
let callback = visit(url.as_str().to_owned()).await;
let login = driver.run(client.redeem(pending, &callback)?).await?;
let source = GrantSource::refreshing(driver.clone(), &client, login.tokens)?;
let api = Authorized::with_sources(driver, Sources::one(source), apps.api()?)?;
// end
Ok(api)
}

/// Socios.com, with the application's token and a user's on one API.
#[rustfmt::skip]
async fn socios(
    driver: Driver,
    socios: Provider,
    (id, secret): Id,
    visit: impl AsyncFn(String) -> String,
) -> Result<Authorized, Error> {
// readme
// `socios` is provider("socios")?
let client = socios.client(id, secret)?;
let mut request = AuthorizationRequest::new(RedirectUri::parse("https://app.example/callback")?);
request.extra = vec![("partner_tag".into(), "acme".into()), ("campaign".into(), "spring".into())];
let (url, pending) = client.authorize(&Moment::system()?, request)?;
let callback = visit(url.as_str().to_owned()).await;
let login = driver.run(client.redeem(pending, &callback)?).await?;

let application = GrantSource::client_credentials(driver.clone(), &client, Scope::none());
let fan = GrantSource::refreshing(driver.clone(), &client, login.tokens)?;
let sources = Sources::application(application).with_user(fan);
let api = Authorized::with_sources(driver, sources, socios.api()?)?;
let root = &socios.api_roots()?[0];
let polls = api.get(&format!("{root}polls/1.0.0/polls")).send().await?;       // the application's token
let wallet = api.get(&format!("{root}wallet/1.0.0/user/wallet")).send().await?;     // the person's
// end
assert_eq!((polls.status(), wallet.status()), (reqwest::StatusCode::OK, reqwest::StatusCode::OK));
Ok(api)
}

/// An API of which only the URL is known.
#[rustfmt::skip]
async fn known_by_its_url(
    driver: Driver,
    request: ConnectRequest,
    folder: &Path,
    show: impl Fn(&Url) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<u16, Error> {
// readme
// `request` is ConnectRequest::new("https://mcp.example/mcp")?
let request = request.register(ClientMetadata::of_native_app("Notes"));
let url = request.resource().as_str().to_owned();
let store = Arc::new(FileStore::new(folder)?);
// `show` opens a page; without it, the browser of this machine does.
let connection = ResourceConnection::new(driver, request).store(store).open(show);
let reply = connection.authorized().post(&url).body("{}").send().await?;
// end
Ok(reply.status().as_u16())
}

#[test]
fn the_readme_contains_the_code_of_this_file() {
    let readme = include_str!("../crates/oauth-reqwest/README.md");
    let source = include_str!("systems.rs");
    let parts = source.split("// readme\n").skip(1);
    let shown: Vec<_> = parts
        .filter_map(|part| part.split_once("// end\n"))
        .collect();
    assert_eq!(shown.len(), 6);
    for (code, _) in shown {
        assert!(readme.contains(code), "the README does not show:\n{code}");
    }
}

fn driver() -> Driver {
    Driver::new(reqwest::Client::builder().no_proxy()).expect("a driver")
}

fn preset(served: &Served, name: &str) -> Provider {
    let preset = provider(name).expect("a preset");
    preset.on_loopback(served.base()).expect("a loopback base")
}

fn client(served: &Served) -> Id {
    served.with(|twin| {
        (
            ClientId::new(twin.client_id()),
            Some(twin.client_secret().into()),
        )
    })
}

/// A user's browser: opens the URL, and returns the URL it ends at.
async fn visit(url: String) -> String {
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none());
    let browser = browser.build().expect("a browser");
    let page = browser.get(url).send().await.expect("a page");
    let location = &page.headers()["location"];
    location.to_str().expect("a URL").to_owned()
}

#[tokio::test]
async fn uservoice_calls_succeed_and_a_revocation_is_reported() -> Result<(), Error> {
    let served = Served::start(Twin::uservoice).expect("a twin");
    let acme = || preset(&served, "uservoice").with("subdomain", "acme");
    assert_eq!(uservoice(driver(), acme()?, client(&served)).await?, 200);

    let now = Moment::system()?.now();
    let token = served.with(|twin| twin.console_token(now));
    assert_eq!(console(driver(), acme()?, token.clone()).await?, 200);
    served.with(Twin::revoke_all);
    let error = console(driver(), acme()?, token).await.unwrap_err();
    assert_eq!(
        (error.code(), error.advice()),
        ("grant.revoked", Advice::Reauthorize)
    );
    // With a key, a revoked token is replaced.
    assert_eq!(uservoice(driver(), acme()?, client(&served)).await?, 200);
    Ok(())
}

#[tokio::test]
async fn usertesting_calls_succeed_and_expired_tokens_are_replaced() -> Result<(), Error> {
    let served = Served::start(Twin::usertesting).expect("a twin");
    let preset = preset(&served, "usertesting");
    let api = usertesting(driver(), preset.clone(), client(&served)).await?;
    assert_eq!(served.with(|twin| twin.counters().token_requests), 1);
    // An hour later the API refuses the token, and a new one is requested.
    served.advance(Duration::from_secs(3600));
    let results = format!("{}sessionResults/?testId=2", preset.api_roots()?[0]);
    assert_eq!(api.get(&results).send().await?.status(), 200);
    assert_eq!(served.with(|twin| twin.counters().token_requests), 2);
    Ok(())
}

#[tokio::test]
async fn a_usertesting_app_logs_a_user_in() -> Result<(), Error> {
    const REGISTERED: &str = "https://app.example/callback";
    let served = Served::start(Twin::usertesting_apps).expect("a twin");
    let apps = || preset(&served, "usertesting-apps").with("guid", "0oa1partnerapp2345678");
    let api = usertesting_apps(driver(), apps()?, client(&served), REGISTERED, visit).await?;
    let results = format!("{}sessionResults/?testId=1", apps()?.api_roots()?[0]);
    assert_eq!(api.get(&results).send().await?.status(), 200);

    // An unregistered redirect URL is refused before a browser opens.
    let (id, secret) = client(&served);
    let strict = apps()?
        .client(id, secret)?
        .with_redirect_uris([RedirectUri::parse(REGISTERED)?]);
    let other = AuthorizationRequest::new(RedirectUri::parse("https://app.example/other")?);
    let error = strict.authorize(&Moment::system()?, other).unwrap_err();
    assert_eq!(error.code(), "redirect_uri.not_registered");

    // Without a refresh token, the user has to log in again after an hour or a revocation.
    served.with(Twin::revoke_all);
    let error = api.get(&results).send().await.unwrap_err();
    assert_eq!(
        (error.code(), error.advice()),
        ("grant.no_refresh_token", Advice::Reauthorize)
    );
    Ok(())
}

#[tokio::test]
async fn socios_routes_get_the_right_token() -> Result<(), Error> {
    let served = Served::start(Twin::socios).expect("a twin");
    let preset = preset(&served, "socios");
    let api = socios(driver(), preset.clone(), client(&served), visit).await?;
    let root = &preset.api_roots()?[0];
    let entry = served.with(|twin| {
        twin.log()
            .iter()
            .find(|e| e.path == "/oauth2/authorize")
            .cloned()
    });
    let query: BTreeMap<_, _> = entry.expect("a login").query.into_iter().collect();
    assert_eq!(
        (query["partner_tag"].as_str(), query["campaign"].as_str()),
        ("acme", "spring")
    );

    // Both tokens are revoked: one refresh for the user, one new token for the application.
    served.with(Twin::expire_access_tokens);
    let wallet = api
        .get(&format!("{root}wallet/1.0.0/user/wallet"))
        .send()
        .await?;
    let body = wallet.bytes().await.expect("a body");
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert!(body["data"]["userId"].is_string(), "{body}");
    let polls = api.get(&format!("{root}polls/1.0.0/polls")).send().await?;
    assert_eq!(polls.status(), 200);
    assert_eq!(served.with(|twin| twin.counters().refreshes), 1);

    // After a revocation the user has to log in again, while the application continues.
    served.with(Twin::revoke_all);
    let error = api
        .get(&format!("{root}user/polls"))
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.advice()),
        ("denied.invalid_grant", Advice::Reauthorize)
    );
    let polls = api.get(&format!("{root}polls/1.0.0/polls")).send().await?;
    assert_eq!(polls.status(), 200);
    Ok(())
}

#[tokio::test]
async fn an_api_known_by_its_url_is_called_and_the_login_is_reused() -> Result<(), Error> {
    let served = Served::start(Twin::generic).expect("a twin");
    let folder = tempfile::tempdir().expect("a folder");
    for _ in 0..2 {
        // The twin is on this machine, and named by its own API.
        let options = Options::default().addresses(AddressPolicy::Any);
        let builder = reqwest::Client::builder().no_proxy();
        let driver = Driver::with_options(builder, options)?;
        let request = danger::loopback_connect_request(&format!("{}/api/echo", served.base()))?;
        let show = |page: &Url| {
            let page = page.as_str().to_owned();
            tokio::spawn(async move { reqwest::get(visit(page).await).await });
            Ok(())
        };
        assert_eq!(
            known_by_its_url(driver, request, folder.path(), show).await?,
            200
        );
    }
    let logins = served.with(|twin| {
        let log = twin.log().iter();
        log.filter(|entry| entry.path.starts_with("/authorize"))
            .count()
    });
    assert_eq!(logins, 1);
    Ok(())
}
