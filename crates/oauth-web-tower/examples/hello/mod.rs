//! The parts common to the examples of all frameworks: a host, a socket, and an API to call.

use std::env;
use std::sync::Arc;

use oauth_core::scope::Scope;
use oauth_core::url::{Transport, Url};
use oauth_core::{Error, danger};
use oauth_reqwest::{Authorized, Driver, ProcessEnvironment};
use oauth_web::{ResponseMode, Upstream};
use oauth_web_tower::{Host, SessionSource};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A host from environment variables, whose users allow it to call an API. The provider is on this machine.
pub(crate) async fn host() -> Result<Host, Error> {
    let scope = std::env::var("HELLO_SCOPE");
    let scope = Scope::parse(scope.as_deref().unwrap_or("openid read offline_access"))?;
    let driver = Driver::new(reqwest::Client::builder())?;
    let environment = Arc::new(ProcessEnvironment::new());
    let response_mode = env::var("HELLO_RESPONSE_MODE");
    let response_mode = response_mode
        .ok()
        .and_then(|name| ResponseMode::from_name(&name));
    // Pages call it with a token that they never see, where there are tokens.
    let pages = match (env::var("OAUTH_STORE"), env::var("HELLO_API")) {
        (Ok(_), Ok(api)) => vec![Upstream::new("twin", Url::parse(&api)?)],
        _ => Vec::new(),
    };
    let change = |mut config: oauth_web::Config| {
        for provider in &mut config.providers {
            provider.scope = scope.clone();
            provider.response_mode = response_mode.unwrap_or_default();
        }
        config.api = pages.clone();
        config
    };
    let host = Host::from_environment(environment, driver, Transport::LoopbackHttp, change).await?;
    Ok(host.log(|note| eprintln!("{}: {}", note.code, note.detail)))
}

pub(crate) fn address() -> Result<(&'static str, u16), Failure> {
    Ok(("127.0.0.1", env::var("PORT")?.parse()?))
}

/// The API.
#[derive(Clone)]
pub(crate) struct Calls {
    url: String,
    driver: Driver,
}

impl Calls {
    pub(crate) fn from_env() -> Result<Self, Failure> {
        let driver = Driver::new(reqwest::Client::builder())?;
        let url = env::var("HELLO_API")?;
        Ok(Self { url, driver })
    }

    /// The status of a call with these tokens.
    pub(crate) async fn with(&self, tokens: SessionSource) -> Result<String, Error> {
        let origin = self.url.split('/').take(3).collect::<Vec<_>>().join("/");
        let api = danger::loopback_resource([origin.as_str()])?;
        let api = Authorized::new(self.driver.clone(), tokens, api);
        let reply = api.get(self.url.as_str()).send().await?;
        Ok(reply.status().as_u16().to_string())
    }
}
