//! Where people reach a site, and which of its pages a path is.

use std::sync::atomic::AtomicBool;

use oauth_core::error::{Error, ValidationFailure};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;

use crate::config::{Config, Provider};
use crate::connect::Connections;
use crate::cookie::Jar;
use crate::request::Request;

/// The settings of a site, and what follows from them.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) places: Vec<Place>,
    pub(crate) connections: Connections,
    /// Whether it was said that sessions are large.
    pub(crate) is_large_known: AtomicBool,
}

/// Where people reach the site: one base URL.
pub(crate) struct Place {
    pub(crate) url: Url,
    pub(crate) origin: String,
    /// Its path, without a slash at the end.
    pub(crate) root: String,
    pub(crate) jar: Jar,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
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
    /// The application's own.
    Application,
}

impl Inner {
    /// # Errors
    /// See [`Site::new`](crate::Site::new).
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        let places = config.base_urls.iter().map(|url| Place {
            origin: url.origin(),
            root: url.path().trim_end_matches('/').to_owned(),
            jar: Jar::new(config.keys.clone(), url, &config.name),
            url: url.clone(),
        });
        let places: Vec<_> = places.collect();
        for place in &places {
            for provider in &config.providers {
                place.redirect_uri(&config, provider)?;
            }
        }
        let connections = Connections::default();
        Ok(Self {
            config,
            places,
            connections,
            is_large_known: AtomicBool::new(false),
        })
    }

    /// The base URL that a request is for; the only one, if there is only one.
    pub(crate) fn place(&self, host: &str) -> Option<&Place> {
        if let [place] = self.places.as_slice() {
            return Some(place);
        }
        let host = host.to_ascii_lowercase();
        self.places.iter().find(|place| {
            let authority = place.origin.split_once("://").map(|(_, rest)| rest);
            authority == Some(host.as_str())
        })
    }

    pub(crate) fn page(&self, place: &Place, request: &Request) -> Page {
        self.page_at(place, request.path())
    }

    pub(crate) fn page_at(&self, place: &Place, path: &str) -> Page {
        let Some(path) = path.strip_prefix(place.root.as_str()) else {
            return Page::Application;
        };
        let config = &self.config;
        if config.is_callback(path) {
            return Page::Callback;
        }
        let Some(page) = path.strip_prefix(config.prefix.as_str()) else {
            return Page::Application;
        };
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        match page.split_once('/') {
            Some(("", "login")) => Page::Login,
            Some(("", "check")) => Page::Check,
            Some(("", "logout")) => Page::Logout,
            Some(("", "logout/done")) => Page::LoggedOut,
            Some(("", "session")) => Page::Session,
            Some(("", "backchannel-logout")) => Page::BackChannel(None),
            Some(("", "frontchannel-logout")) => Page::FrontChannel(None),
            Some(("", rest)) => match rest.split_once('/') {
                Some(("backchannel-logout", id)) => Page::BackChannel(named(id)),
                Some(("api", path)) => {
                    let name = path.split('/').next().unwrap_or_default();
                    Page::Api(name.to_owned())
                }
                Some(("frontchannel-logout", id)) => Page::FrontChannel(named(id)),
                _ => Page::Unknown,
            },
            // `/author` is not below `/auth`.
            _ if page.is_empty() => Page::Unknown,
            _ => Page::Application,
        }
    }

    pub(crate) fn provider(&self, id: &str) -> Result<&Provider, Error> {
        let mut providers = self.config.providers.iter();
        let found = providers.find(|provider| provider.id == id);
        found.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
    }
}

impl Place {
    /// Where a provider sends people back to.
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
