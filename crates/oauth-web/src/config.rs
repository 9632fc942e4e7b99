//! [`Config`]: the settings of a site, as Rust values. The same settings as plain data, for language bindings, are in
//! `settings.rs`.

use std::time::Duration;

use http::Method;
use oauth_core::client_id_metadata_document::{ClientIdMetadataDocument, ClientIdUrl};
use oauth_core::danger;
use oauth_core::error::{Error, Misuse};
use oauth_core::url::{Transport, Url};
use oauth_seal::Keys;

use crate::provider::Provider;
use crate::testing;

/// The settings of a site. [`Site::new`](crate::Site::new) checks them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The URLs of the site, root path included, such as `https://shop.example`. The `Host` of a request selects one of
    /// them, and is trusted for nothing else.
    pub base_urls: Vec<Url>,
    /// Whether plain http is allowed; it is never allowed except for loopback addresses and `localhost`.
    pub transport: Transport,
    /// The keys that seal cookies.
    pub keys: Keys,
    /// Where sessions are stored.
    pub keep: SessionStorage,
    /// The name of the cookies: letters, digits, `-` and `_`. Unless set, `oauth-session`, because frameworks use
    /// `session` themselves, with the path of the base URL before it: `shop-oauth-session` for
    /// `https://example.com/shop`. Two sites on one host need two names, and two paths give them.
    pub name: String,
    /// The path of the site's own pages, below the root path: `/auth` unless set.
    pub prefix: String,
    /// The identity providers, at least one.
    pub providers: Vec<Provider>,
    /// The lifetime of a session: 8 hours unless set, or 24 with [`SessionStorage::Store`].
    pub lifetime: Duration,
    /// The idle timeout of a session: 2 hours with [`SessionStorage::Store`] unless set. Other sessions have none.
    pub idle: Option<Duration>,
    /// The time limit of a sign-in: 15 minutes unless set.
    pub flow_lifetime: Duration,
    /// How many sign-ins a browser may have in progress: 4 unless set. The oldest is dropped.
    pub flows: usize,
    /// `SameSite` of the session's cookie. Unless set, [`SameSite::Strict`] with [`api`](Self::api), where a request
    /// with the cookie may be a call with a token (RFC 10017 section 6.1.3.2), and otherwise [`SameSite::Lax`].
    pub same_site: Option<SameSite>,
    /// The page after a sign-in that requested no page, a path of the site: `/` unless set.
    pub home: String,
    /// Other origins that users may return to, compared exactly.
    pub return_origins: Vec<Url>,
    /// The claims of the ID token that a session keeps.
    pub claims: Vec<String>,
    /// APIs that pages of the site may call with the user's token, at `{prefix}/api/{name}/`. They need [`SessionStorage::Store`]
    /// or [`SessionStorage::AccessToken`].
    pub api: Vec<Upstream>,
    /// Whether the host looks up further providers: [`Lookup::Fixed`] unless set.
    pub lookup: Lookup,
    /// The client ID metadata document of this site, which it serves at the document's URL, below a base URL. That URL
    /// is the client's id at providers that accept such ids. See [`set_client_metadata`](Self::set_client_metadata).
    pub client_metadata: Option<ClientIdMetadataDocument>,
}

/// The source of a site's providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// Only from [`Config::providers`].
    Fixed,
    /// The host looks up others ([`Step::Provider`](crate::Step::Provider)), such as those of tenants that come and
    /// go. Each provider then has its own callback, `{prefix}/callback/{id}`, even if there is only one.
    Asked,
}

/// An API that pages of the site may call with the user's token, which they never see.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Upstream {
    /// The name in the site's URLs: letters, digits, `-` and `_`.
    pub name: String,
    /// The base URL of the API: all requests go below it.
    pub url: Url,
    /// The allowed methods; `GET` unless set.
    pub methods: Vec<Method>,
}

/// Where sessions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionStorage {
    /// Only the identity, in a sealed cookie. There are no tokens, and the session cannot be ended from elsewhere: a
    /// stolen copy is valid until it expires.
    Identity,
    /// As [`Identity`](Self::Identity), with the access token of the login in the cookie too, for sites without a store.
    /// No refresh token is kept: concurrent requests would use it twice. Once the access token has expired, a page
    /// redirects to the provider and back without a prompt, and a script gets 401. Signing out revokes it.
    AccessToken,
    /// The session is in a store, and the cookie holds a handle. Tokens are kept and renewed in the store, and a session
    /// can be ended everywhere at once.
    Store,
}

/// `SameSite` of the session's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with links from other sites.
    Lax,
    /// Not sent with links from other sites: a page of the site repeats the navigation, which therefore takes two more
    /// requests.
    Strict,
}

/// The access mode of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Open,
    /// Everyone; a user with a session at the provider is first signed in here, without a prompt.
    Silent,
    /// Only signed-in users.
    SignedIn,
}

impl Config {
    /// The settings of a site at this URL, where people sign in with this provider.
    pub fn new(base_url: Url, keys: Keys, provider: Provider) -> Self {
        Self {
            providers: vec![provider],
            ..Self::without_providers(base_url, keys)
        }
    }

    /// The settings of a site at this URL; add providers, or have them looked up ([`lookup`](Self::lookup)).
    pub fn without_providers(base_url: Url, keys: Keys) -> Self {
        Self {
            name: default_name(&base_url),
            base_urls: vec![base_url],
            transport: Transport::Https,
            keys,
            keep: SessionStorage::Identity,
            prefix: "/auth".to_owned(),
            providers: Vec::new(),
            lifetime: Duration::from_secs(8 * 3600),
            idle: None,
            flow_lifetime: Duration::from_secs(15 * 60),
            flows: 4,
            same_site: None,
            home: "/".to_owned(),
            return_origins: Vec::new(),
            api: Vec::new(),
            lookup: Lookup::Fixed,
            client_metadata: None,
            claims: [
                "name",
                "preferred_username",
                "email",
                "email_verified",
                "picture",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }

    /// Keeps sessions in a store: for 24 hours, or until 2 hours after the last use.
    #[must_use]
    pub const fn in_store(mut self) -> Self {
        self.keep = SessionStorage::Store;
        self.lifetime = Duration::from_secs(24 * 3600);
        self.idle = Some(Duration::from_secs(2 * 3600));
        self
    }

    /// Reads the document of [`client_metadata`](Self::client_metadata) as it will be served, JSON with its URL as
    /// `client_id`. The URL may be plain http where [`transport`](Self::transport) allows it.
    ///
    /// # Errors
    /// `client_id_metadata.*`, `client_metadata.*`
    pub fn set_client_metadata(&mut self, document: &str) -> Result<(), Error> {
        let members: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
        let id = members["client_id"].as_str().unwrap_or_default();
        let url = match self.transport {
            Transport::Https => ClientIdUrl::parse(id)?,
            Transport::LoopbackHttp => danger::loopback_client_id_url(id)?,
        };
        self.client_metadata = Some(ClientIdMetadataDocument::parse(url, document)?);
        Ok(())
    }

    /// The URL of the document of the site's client, if it is on the origin of this base URL.
    pub(crate) fn client_metadata_at(&self, base_url: &Url) -> Option<Url> {
        let document = self.client_metadata.as_ref()?;
        let url = Url::parse(document.url().as_str()).ok()?;
        url.same_origin(base_url).then_some(url)
    }

    /// `SameSite` of the session's cookie.
    pub(crate) fn session_same_site(&self) -> SameSite {
        let unless_set = if self.api.is_empty() {
            SameSite::Lax
        } else {
            SameSite::Strict
        };
        self.same_site.unwrap_or(unless_set)
    }

    /// The callback path of a provider, below the root path.
    pub(crate) fn callback(&self, provider: &Provider) -> String {
        let is_only = self.lookup == Lookup::Fixed && self.providers.len() == 1;
        match (&provider.callback, is_only) {
            (Some(path), _) => path.clone(),
            (None, true) => format!("{}/callback", self.prefix),
            (None, false) => format!("{}/callback/{}", self.prefix, provider.id),
        }
    }

    /// Whether this path, below the root path, is a callback.
    pub(crate) fn is_callback(&self, path: &str) -> bool {
        let is_asked = self.lookup == Lookup::Asked;
        let is_only = !is_asked && self.providers.len() == 1;
        let path_in_site = path.strip_prefix(self.prefix.as_str());
        let rest = path_in_site.and_then(|path| path.strip_prefix("/callback"));
        let id = rest.and_then(|rest| rest.strip_prefix('/'));
        // Compared in parts: each request is, and none needs the text of `callback` for that.
        let mut providers = self.providers.iter();
        providers.any(|provider| match &provider.callback {
            Some(callback) => callback == path,
            None if is_only => rest == Some(""),
            None => id == Some(provider.id.as_str()),
        }) || is_asked && id.is_some_and(is_name)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(first) = self.base_urls.first() else {
            return Err(setup("base_urls: none given"));
        };
        for url in &self.base_urls {
            // The paths of the site's own pages must not depend on the `Host` header.
            if url.path().trim_end_matches('/') != first.path().trim_end_matches('/') {
                return Err(setup("base_urls: all must have the same path"));
            }
            url.require(self.transport)?;
            if url.query().is_some() {
                return Err(setup("base_urls: one has a query"));
            }
        }
        let is_open = !self.base_urls.iter().all(testing::is_loopback_only);
        if is_open && self.keys.iter().any(testing::is_testing_key) {
            return Err(setup(
                "keys: the testing key is public, and not allowed for a public site",
            ));
        }
        if !is_name(&self.name) {
            return Err(setup("name: letters, digits, - and _ only, 1 to 32"));
        }
        if !is_path(&self.prefix) || self.prefix == "/" {
            return Err(setup("prefix: a path such as /auth"));
        }
        if !self.home.starts_with('/') {
            return Err(setup("home: must be a path of the site"));
        }
        if self.flows == 0 || self.flows > 16 {
            return Err(setup("flows: 1 to 16"));
        }
        if self.lifetime.as_secs() == 0 || self.flow_lifetime.as_secs() == 0 {
            return Err(setup("lifetime, flow_lifetime: at least a second"));
        }
        if self.idle.is_some() && self.keep != SessionStorage::Store {
            return Err(setup(
                "idle: only a session in a store can tell when it was used",
            ));
        }
        self.check_api()?;
        self.check_providers()
    }

    fn check_api(&self) -> Result<(), Error> {
        if !self.api.is_empty() && self.keep == SessionStorage::Identity {
            return Err(setup(
                "api: needs SessionStorage::Store or SessionStorage::AccessToken, since SessionStorage::Identity keeps no tokens",
            ));
        }
        for (index, upstream) in self.api.iter().enumerate() {
            upstream.url.require(self.transport)?;
            let mut later_upstreams = self.api.iter().skip(index + 1);
            let is_duplicate = later_upstreams.any(|other| other.name == upstream.name);
            if !is_name(&upstream.name) || is_duplicate || upstream.url.query().is_some() {
                return Err(setup(
                    "api: a name is invalid or used twice, or a URL has a query",
                ));
            }
        }
        Ok(())
    }

    fn check_providers(&self) -> Result<(), Error> {
        if self.providers.is_empty() && self.lookup == Lookup::Fixed {
            return Err(setup("providers: there is none"));
        }
        for (index, provider) in self.providers.iter().enumerate() {
            let later_providers = || self.providers.iter().skip(index + 1);
            if later_providers().any(|other| other.id == provider.id) {
                return Err(setup("providers: two have the same id"));
            }
            // Mix-up defence (RFC 9700 section 2.1): each provider has its own redirect URI.
            let callback = self.callback(provider);
            if later_providers().any(|other| self.callback(other) == callback) {
                return Err(setup("providers: two have the same callback"));
            }
            self.check_provider(provider)?;
        }
        Ok(())
    }

    /// Checks the settings of one provider.
    ///
    /// # Errors
    /// `web.setup`
    pub(crate) fn check_provider(&self, provider: &Provider) -> Result<(), Error> {
        if !is_name(&provider.id) {
            return Err(setup(
                "providers: an id must be 1 to 32 letters, digits, - and _",
            ));
        }
        if !is_path(&self.callback(provider)) {
            return Err(setup(
                "providers: a callback is a path such as /auth/callback",
            ));
        }
        match (&provider.identity, provider.scope.contains("openid")) {
            (None, true) => {}
            (None, false) => return Err(setup("providers: the scope has to contain openid")),
            (Some(_), true) => return Err(setup("providers: openid, or an identity endpoint")),
            (Some(identity), false) => identity.url.require(self.transport)?,
        }
        if provider
            .logout_max_age_without_expiry
            .is_some_and(|age| age.as_secs() == 0)
        {
            return Err(setup(
                "providers: logout_max_age_without_expiry: at least a second",
            ));
        }
        if self.keep == SessionStorage::AccessToken && provider.scope.contains("offline_access") {
            return Err(setup(
                "providers: offline_access asks for a refresh token, which needs a store",
            ));
        }
        let is_plain = self.base_urls.iter().any(|url| url.scheme() == "http");
        if provider.response_mode.is_posted() && is_plain {
            return Err(setup(
                "providers: browsers keep no SameSite=None cookie of plain http",
            ));
        }
        Ok(())
    }
}

impl Upstream {
    /// An API of this name below this URL, for `GET`.
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        Self {
            name: name.into(),
            url,
            methods: vec![Method::GET],
        }
    }

    /// Allows these methods.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }
}

pub(crate) fn setup(detail: &str) -> Error {
    Error::from(Misuse::WebSetup).about(detail)
}

/// Cookies with `__Host-` names are those of a whole host, so the name includes the path.
fn default_name(base_url: &Url) -> String {
    let path = base_url.path().trim_matches('/');
    match path.len() {
        0 => "oauth-session".to_owned(),
        1..=16 if is_name(path) => format!("{path}-oauth-session"),
        _ => {
            let hash = oauth_seal::digest("oauth-web path 1", [path]);
            format!("{}-oauth-session", hash.get(..16).unwrap_or(&hash))
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=32).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Whether every router parses this path the same way.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./~".contains(&byte);
    let is_segment = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    text.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_segment))
        && text.bytes().all(is_plain)
}
