//! Compiles and runs the README's Rust examples, which are copied from this file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::SigningJob;
use oauth_core::flow::keeper::GrantId;
use oauth_core::flow::resource::{OnRateLimit, Resource};
use oauth_core::{Client, ClientId, Exchange, Input, Moment, Scope, Secret, Step, Tokens, danger};
use oauth_providers::{Provider, provider};
use oauth_reqwest::{Authorized, Driver, GrantSource, reqwest};
use oauth_session::store::FileStore;
use oauth_session::{FixedToken, Sources, Token};
use oauth_testkit::{Served, Twin};

#[rustfmt::skip]
async fn three_lines(driver: Driver, secret: Secret<String>) -> Result<reqwest::Response, Error> {
// readme
let client = provider("usertesting")?.client(ClientId::new("id"), Some(secret))?;
let source = GrantSource::client_credentials(driver.clone(), &client, Scope::parse("studies:read")?);
let api = Authorized::new(driver, source, Resource::new(["https://api.use2.usertesting.com"])?);
let page = api.get("https://api.use2.usertesting.com/api/v2/sessionResults/?testId=1").send().await?;
// end
Ok(page)
}

#[rustfmt::skip]
async fn shared(driver: Driver, client: Client, folder: &Path, tokens: Tokens) -> Result<Token, Error> {
// readme
let store = Arc::new(FileStore::new(folder)?);
let source = GrantSource::for_grant(driver, &client, GrantId::user("ann"), store);
source.log_in(tokens).await?;
let token = source.token().await?;
// end
Ok(token)
}

#[rustfmt::skip]
fn two_owners(driver: Driver, provider: &Provider, application: GrantSource, person: GrantSource) -> Result<Authorized, Error> {
// readme
let sources = Sources::application(application).with_user(person);
let api = Authorized::with_sources(driver, sources, provider.api()?)?
    .on_rate_limit(OnRateLimit::Wait { longest: Duration::from_secs(300) });
// end
Ok(api)
}

#[rustfmt::skip]
fn whole_driver<E: Exchange>(
    mut exchange: E,
    http: impl Fn(http::Request<Bytes>) -> Result<http::Response<Bytes>, Cause>,
    sleep: impl Fn(std::time::Duration),
    sign: impl Fn(SigningJob) -> Result<Bytes, Cause>,
) -> Result<E::Output, Error> {
// readme
let mut input = Input::Begin;
loop {
    input = match exchange.resume(&Moment::system()?, input)? {
        Step::Send(request) => http(request).map_or_else(Input::Lost, Input::Reply),
        Step::Sleep(pause) => { sleep(pause); Input::Elapsed }
        Step::Sign(job) => sign(job).map_or_else(Input::Lost, Input::Signed),
        Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
        Step::Done(output) => return Ok(output),
    };
}
// end
}

#[test]
fn the_readme_contains_the_code_of_this_file() {
    let readme = include_str!("../README.md");
    let source = include_str!("readme.rs");
    let shown: Vec<_> = source
        .split("// readme\n")
        .skip(1)
        .filter_map(|part| part.split_once("// end\n"))
        .map(|(code, _)| code)
        .collect();
    assert_eq!(shown.len(), 4);
    for code in shown {
        assert!(readme.contains(code), "the README does not show:\n{code}");
    }
}

/// The same lines, with the provider's twin.
#[tokio::test]
async fn the_three_line_example_works() -> Result<(), Error> {
    let served = Served::start(Twin::usertesting).expect("a twin");
    let (id, secret) =
        served.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let driver = Driver::new(reqwest::Client::builder())?;
    let client = provider("usertesting")?
        .on_loopback(served.base())?
        .client(ClientId::new(id), Some(secret.into()))?;
    let source =
        GrantSource::client_credentials(driver.clone(), &client, Scope::parse("studies:read")?);
    let api = Authorized::new(driver, source, danger::loopback_resource([served.base()])?);
    let url = format!("{}/api/v2/sessionResults/?testId=1", served.base());
    assert_eq!(api.get(&url).send().await?.status(), 200);
    Ok(())
}

/// A login in one process, and its token in another process that only has the folder.
#[tokio::test]
async fn the_shared_token_example_works_across_processes() -> Result<(), Error> {
    let client = provider("usertesting")?.client(ClientId::new("id"), Some("secret".into()))?;
    let now = Moment::system()?.now().as_secs();
    let tokens = Tokens::from_json(&format!(
        r#"{{"version":1,"issuer":"{}","client_id":"id","received_at":{now},"access_token":"abc",
        "expires_in":3600,"scope":"","refresh_token":"def"}}"#,
        client.server().issuer().as_str(),
    ))?;
    let driver = Driver::new(reqwest::Client::builder())?;
    let folder = tempfile::tempdir().expect("a folder");
    let token = shared(driver.clone(), client.clone(), folder.path(), tokens).await?;
    assert_eq!(token.access_token.expose(), "abc");
    let store = Arc::new(FileStore::new(folder.path())?);
    let keeper = client.keeper(GrantId::user("ann"));
    let other = GrantSource::with_store(driver, keeper, store);
    assert_eq!(other.token().await?.access_token.expose(), "abc");
    Ok(())
}

/// One API with two sources, as `tests/systems.rs` uses it against its twin.
#[tokio::test]
async fn the_example_of_an_api_with_two_token_owners_works() -> Result<(), Error> {
    let socios = provider("socios")?;
    let client = socios.client(ClientId::new("id"), Some("secret".into()))?;
    let driver = Driver::new(reqwest::Client::builder())?;
    let source = || GrantSource::client_credentials(driver.clone(), &client, Scope::none());
    let api = two_owners(driver.clone(), &socios, source(), source())?;
    let odd = api
        .get("https://api-public.socios.com/polls%2Fuser")
        .send()
        .await;
    assert_eq!(odd.unwrap_err().code(), "resource.route_ambiguous");
    let other = two_owners(
        driver.clone(),
        &provider("usertesting")?,
        source(),
        source(),
    );
    assert_eq!(other.unwrap_err().code(), "resource.no_token_source");
    let fixed = Sources::one(FixedToken::new("a"));
    assert!(Authorized::with_sources(driver, fixed, socios.api()?).is_ok());
    Ok(())
}

/// The README's driver, with a function in place of the server.
#[test]
fn the_driver_example_works() -> Result<(), Error> {
    let client = provider("usertesting")?.client(ClientId::new("id"), Some("secret".into()))?;
    let reply = r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#;
    let http = |_| {
        let reply = http::Response::builder()
            .header("content-type", "application/json")
            .body(reply.into());
        reply.map_err(Cause::unsent)
    };
    let tokens = whole_driver(
        client.client_credentials(Scope::none()),
        http,
        |_| {},
        |_| Err(Cause::unsent("no key")),
    )?;
    assert_eq!(tokens.expires_in, Some(3600));
    // Never run: it would send requests to the internet.
    let _ = three_lines;
    Ok(())
}
