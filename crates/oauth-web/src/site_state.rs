//! The state of a site, which all its requests share: the settings, the base URLs, and the clients known so far.

use std::sync::atomic::AtomicBool;

use oauth_core::error::{Error, ValidationFailure};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::url::Url;

use crate::client_connections::Connections;
use crate::config::Config;
use crate::cookie::Jar;
use crate::provider::Provider;
use crate::{session, testing};

/// The settings of a site, its base URLs, and the clients of its providers.
pub(crate) struct SiteState {
    pub(crate) config: Config,
    pub(crate) base_urls: Vec<BaseUrl>,
    pub(crate) connections: Connections,
    /// The registration of each provider of the settings, in their order; see [`registration`](Self::registration).
    registrations: Vec<Option<String>>,
    /// Whether the site seals with the key for tests.
    pub(crate) has_testing_key: bool,
    /// Whether a large session has already been logged.
    pub(crate) is_large_session_logged: AtomicBool,
    /// Whether a session that the store does not have has already been logged.
    pub(crate) is_unknown_session_logged: AtomicBool,
    /// Whether another large response has already been logged.
    pub(crate) is_large_response_logged: AtomicBool,
}

/// A base URL of the site.
pub(crate) struct BaseUrl {
    pub(crate) url: Url,
    pub(crate) origin: String,
    /// The path, without a slash at the end.
    pub(crate) root: String,
    pub(crate) jar: Jar,
    /// The URL of the document of the site's client, if it is on this origin.
    pub(crate) client_metadata: Option<Url>,
}

impl SiteState {
    /// Checks the configuration, and prepares the site.
    ///
    /// # Errors
    /// The errors of [`Site::new`](crate::Site::new).
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        config.check()?;
        let base_urls = config.base_urls.iter().map(|url| BaseUrl {
            origin: url.origin(),
            root: url.path().trim_end_matches('/').to_owned(),
            jar: Jar::new(config.keys.clone(), url, &config.name),
            client_metadata: config.client_metadata_at(url),
            url: url.clone(),
        });
        let base_urls: Vec<_> = base_urls.collect();
        for base_url in &base_urls {
            for provider in &config.providers {
                base_url.redirect_uri(&config, provider)?;
            }
        }
        let connections = Connections::default();
        let registrations = config.providers.iter().map(fixed_registration).collect();
        let has_testing_key = testing::is_testing_key(config.keys.current());
        Ok(Self {
            config,
            registrations,
            has_testing_key,
            base_urls,
            connections,
            is_large_session_logged: AtomicBool::new(false),
            is_unknown_session_logged: AtomicBool::new(false),
            is_large_response_logged: AtomicBool::new(false),
        })
    }

    /// The base URL that a request is for; the only one, if there is only one.
    pub(crate) fn base_url(&self, host: &str) -> Option<&BaseUrl> {
        if let [base_url] = self.base_urls.as_slice() {
            return Some(base_url);
        }
        let host = host.to_ascii_lowercase();
        self.base_urls.iter().find(|base_url| {
            let Some((scheme, authority)) = base_url.origin.split_once("://") else {
                return false;
            };
            // Some proxies write the port that the scheme implies (RFC 9110 section 4.2.3).
            let implied = if scheme == "https" { ":443" } else { ":80" };
            authority == host.strip_suffix(implied).unwrap_or(&host)
        })
    }

    /// The registration of the provider of the settings with this id, unless its client is made later. Each request
    /// of a signed-in user needs it, so it is hashed once.
    pub(crate) fn registration(&self, id: &str) -> Option<&str> {
        let mut providers = self.config.providers.iter();
        let index = providers.position(|provider| provider.id == id)?;
        self.registrations.get(index)?.as_deref()
    }

    /// The provider of the settings with this id.
    pub(crate) fn provider(&self, id: &str) -> Result<&Provider, Error> {
        let mut providers = self.config.providers.iter();
        let provider = providers.find(|provider| provider.id == id);
        provider.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
    }
}

/// The registration that sessions of a provider must belong to, unless its client is made later.
pub(crate) fn fixed_registration(provider: &Provider) -> Option<String> {
    if let Some((issuer, client_id)) = &provider.registered {
        return Some(session::registration(issuer, client_id));
    }
    let client = provider.client.as_ref()?;
    let (issuer, client_id) = (client.server().issuer(), client.client_id());
    Some(session::registration(issuer.as_str(), client_id.as_str()))
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
