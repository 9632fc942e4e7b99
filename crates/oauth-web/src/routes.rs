//! The base URLs of a site, and the routes of its own pages below them.

use std::sync::atomic::AtomicBool;

use oauth_core::error::{Error, ValidationFailure};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;

use crate::config::{Config, Provider};
use crate::connect::Connections;
use crate::cookie::Jar;
use crate::request::Request;

/// The settings of a site, and its base URLs.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) base_urls: Vec<BaseUrl>,
    pub(crate) connections: Connections,
    /// Whether it was said that sessions are large.
    pub(crate) is_large_known: AtomicBool,
}

/// A base URL of the site.
pub(crate) struct BaseUrl {
    pub(crate) url: Url,
    pub(crate) origin: String,
    /// Its path, without a slash at the end.
    pub(crate) root: String,
    pub(crate) jar: Jar,
}

/// The route of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Login,
    Callback,
    Check,
    Logout,
    LoggedOut,
    Session,
    BackChannel(Option<String>),
    FrontChannel(Option<String>),
    Api(String),
    Unknown,
    /// A page of the application.
    Application,
}

impl Inner {
    /// # Errors
    /// See [`Site::new`](crate::Site::new).
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        let base_urls = config.base_urls.iter().map(|url| BaseUrl {
            origin: url.origin(),
            root: url.path().trim_end_matches('/').to_owned(),
            jar: Jar::new(config.keys.clone(), url, &config.name),
            url: url.clone(),
        });
        let base_urls: Vec<_> = base_urls.collect();
        for base_url in &base_urls {
            for provider in &config.providers {
                base_url.redirect_uri(&config, provider)?;
            }
        }
        let connections = Connections::default();
        Ok(Self {
            config,
            base_urls,
            connections,
            is_large_known: AtomicBool::new(false),
        })
    }

    /// The base URL that a request is for; the only one, if there is only one.
    pub(crate) fn base_url(&self, host: &str) -> Option<&BaseUrl> {
        if let [base_url] = self.base_urls.as_slice() {
            return Some(base_url);
        }
        let host = host.to_ascii_lowercase();
        self.base_urls.iter().find(|base_url| {
            let authority = base_url.origin.split_once("://").map(|(_, rest)| rest);
            authority == Some(host.as_str())
        })
    }

    pub(crate) fn route(&self, base_url: &BaseUrl, request: &Request) -> Route {
        self.route_at(base_url, request.path())
    }

    pub(crate) fn route_at(&self, base_url: &BaseUrl, path: &str) -> Route {
        let Some(path) = path.strip_prefix(base_url.root.as_str()) else {
            return Route::Application;
        };
        let config = &self.config;
        if config.is_callback(path) {
            return Route::Callback;
        }
        let Some(page) = path.strip_prefix(config.prefix.as_str()) else {
            return Route::Application;
        };
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        match page.split_once('/') {
            Some(("", "login")) => Route::Login,
            Some(("", "check")) => Route::Check,
            Some(("", "logout")) => Route::Logout,
            Some(("", "logout/done")) => Route::LoggedOut,
            Some(("", "session")) => Route::Session,
            Some(("", "backchannel-logout")) => Route::BackChannel(None),
            Some(("", "frontchannel-logout")) => Route::FrontChannel(None),
            Some(("", rest)) => match rest.split_once('/') {
                Some(("backchannel-logout", id)) => Route::BackChannel(named(id)),
                Some(("api", path)) => {
                    let name = path.split('/').next().unwrap_or_default();
                    Route::Api(name.to_owned())
                }
                Some(("frontchannel-logout", id)) => Route::FrontChannel(named(id)),
                _ => Route::Unknown,
            },
            // `/author` is not below `/auth`.
            _ if page.is_empty() => Route::Unknown,
            _ => Route::Application,
        }
    }

    pub(crate) fn provider(&self, id: &str) -> Result<&Provider, Error> {
        let mut providers = self.config.providers.iter();
        let found = providers.find(|provider| provider.id == id);
        found.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
    }
}

impl BaseUrl {
    /// The redirect URI of a provider.
    pub(crate) fn redirect_uri(
        &self,
        config: &Config,
        provider: &Provider,
    ) -> Result<RedirectUri, Error> {
        let path = config.callback(provider);
        RedirectUri::parse(&format!("{}{}{path}", self.origin, self.root))
    }

    /// One of the site's own pages, as a path.
    pub(crate) fn page(&self, config: &Config, name: &str) -> String {
        format!("{}{}/{name}", self.root, config.prefix)
    }
}
