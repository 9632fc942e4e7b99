//! The routes of the site's own pages, below its base URLs.

use crate::request::Request;
use crate::site_state::{BaseUrl, SiteState};

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
    ClientMetadata,
    Unknown,
    /// A page of the application.
    Application,
}

impl SiteState {
    pub(crate) fn route(&self, base_url: &BaseUrl, request: &Request) -> Route {
        self.route_at(base_url, request.path())
    }

    pub(crate) fn route_at(&self, base_url: &BaseUrl, path: &str) -> Route {
        match &base_url.client_metadata {
            Some(published) if published.path() == path => Route::ClientMetadata,
            _ => self.page_at(base_url, path),
        }
    }

    /// The site's own page at this path, except the client metadata document.
    pub(crate) fn page_at(&self, base_url: &BaseUrl, path: &str) -> Route {
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
}
