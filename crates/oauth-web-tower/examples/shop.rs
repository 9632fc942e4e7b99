//! A shop whose users sign in at a twin: run `cargo run -p oauth-web-tower --example shop`, and open the URL that it
//! prints.

use axum::Router;
use axum::routing::get;
use oauth_core::url::{Transport, Url};
use oauth_core::{Client, ClientAuth, ClientId, danger, quirk::Rules};
use oauth_reqwest::Driver;
use oauth_testkit::{Served, Twin};
use oauth_web::{Config, Provider, Site};
use oauth_web_tower::{Host, SignIn, User};

type Failure = Box<dyn std::error::Error>;

async fn index(user: Option<User>) -> String {
    match user {
        Some(user) => format!("Hello, {}", user.identity.subject),
        None => "Hello, stranger: /me is for those who sign in".to_owned(),
    }
}

async fn me(user: User) -> String {
    format!("{} until {}", user.identity.subject, user.until.as_secs())
}

/// The application at this base URL, whose users sign in at the twin.
async fn app(base: &str, twin: &Served) -> Result<Router, Failure> {
    twin.with(|twin| twin.register_redirect_uri(&format!("{base}/auth/callback")));
    let driver = Driver::new(reqwest::Client::builder().no_proxy())?;
    let issuer = danger::loopback_issuer(twin.base())?;
    let server = driver
        .run(danger::discover_on_loopback(issuer, Rules::default()))
        .await?;
    let (id, secret) =
        twin.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let client = Client::new(
        server,
        ClientId::new(id),
        ClientAuth::basic(secret.as_str()),
    )?;
    let keys = oauth_seal::Keys::new([7; 32]);
    let mut config = Config::new(Url::parse(base)?, keys, Provider::new("twin", client)?);
    config.transport = Transport::LoopbackHttp;
    let host = Host::new(Site::new(config)?, driver)?.log(|note| eprintln!("{note:?}"));
    let router = Router::new().route("/", get(index)).route("/me", get(me));
    Ok(router.layer(SignIn::new(host)))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let twin = Served::start(Twin::generic)?;
    let app = app(&base, &twin).await?;
    println!("{base}/me");
    axum::serve(listener, app).await?;
    Ok(())
}

#[tokio::test]
async fn a_user_signs_in() -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let twin = Served::start(Twin::generic)?;
    let app = app(&base, &twin).await?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    let browser = reqwest::Client::builder()
        .no_proxy()
        .cookie_store(true)
        .build()?;
    let page = browser
        .get(format!("{base}/me"))
        .header("accept", "text/html");
    let page = page.send().await?.text().await?;
    assert!(page.starts_with("user-"), "{page}");
    Ok(())
}
