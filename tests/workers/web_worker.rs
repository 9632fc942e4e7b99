//! One web server process: an axum application at which users sign in, until it is killed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use oauth_core::error::{Cause, Error};
use oauth_core::quirk::Rules;
use oauth_core::scope::Scope;
use oauth_core::url::{Transport, Url};
use oauth_core::{Client, ClientAuth, ClientId, danger};
use oauth_reqwest::{Driver, Options};
use oauth_seal::Keys;
use oauth_web::{Config, Provider, Site, Upstream};
use oauth_web_tower::{Host, SignIn, User};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::StoreLocation;
use crate::worker::{LONGEST_REQUEST, print_json, store};

/// The configuration of a web server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) base: String,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) place: StoreLocation,
}

/// Serves until it is killed.
pub(crate) fn run(work: &Served) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let app = app(work).await?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(io)?;
        let port = listener.local_addr().map_err(io)?.port();
        print_json(&json!({ "port": port }));
        axum::serve(listener, app).await.map_err(io)
    })
}

fn io(error: std::io::Error) -> Error {
    Error::lost(Cause::unsent(error))
}

/// The application with default settings, except the timeout of token requests: see [`LONGEST_REQUEST`].
async fn app(work: &Served) -> Result<Router, Error> {
    let options = Options::default()
        .timeout(LONGEST_REQUEST)
        .connect_timeout(Duration::from_secs(1));
    let driver = Driver::with_options(reqwest::Client::builder().no_proxy(), options)?;
    let issuer = danger::loopback_issuer(&work.issuer)?;
    let server = driver
        .run(danger::discover_on_loopback(issuer, Rules::default()))
        .await?;
    let auth = ClientAuth::basic(work.client_secret.as_str());
    let client = Client::new(server, ClientId::new(work.client_id.as_str()), auth)?;
    let provider = Provider::new("twin", client)?;
    let provider = provider.scope(Scope::parse("openid read offline_access")?);
    let base = Url::parse(&work.base)?;
    let mut config = Config::new(base, Keys::new([7; 32]), provider).in_store();
    config.transport = Transport::LoopbackHttp;
    let api = Url::parse(&format!("{}/api", work.issuer))?;
    config.api = vec![Upstream::new("twin", api)];
    let host = Host::with_store(Site::new(config)?, driver, store(&work.place).await?);
    let routes = Router::new().route("/", get(home)).route("/me", get(me));
    Ok(routes.layer(SignIn::new(host)))
}

async fn home() -> &'static str {
    "home"
}

async fn me(user: User) -> String {
    Arc::clone(user.session()).identity.subject.clone()
}
