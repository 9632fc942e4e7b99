//! Sign-in for web applications: the settings of a site.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use napi::Result;
use napi_derive::napi;
use oauth_core::Error;
use oauth_core::scope::Scope;
use oauth_core::url::Url;
use oauth_reqwest::Driver;
use oauth_seal::{Key, Keys};
use oauth_session::Store;
use oauth_web::{
    CallbackMode, Config, IdentityEndpoint, Keep, Lookup, Provider, SameSite, Site, Upstream,
    testing_key,
};
use oauth_web_tower::Host;

use crate::client::NativeClient;
use crate::error::{fail, invalid};
use crate::js_callbacks::{Foreign, Handler};
use crate::keys::NativeKey;
use crate::network::{NativeNetwork, over};
use crate::runtime::millis;
use crate::server::transport;
use crate::store::NativeStore;
use crate::web_visit::NativeSite;

/// Who people sign in with.
#[napi(object, object_to_js = false)]
pub struct NativeSiteProvider {
    /// Its name in URLs and sessions.
    pub id: String,
    /// What people call it.
    pub title: Option<String>,
    /// Names with spaces between.
    pub scope: String,
    /// Where it says who a person is, if it does not speak OpenID Connect.
    pub identity: Option<NativeIdentityEndpoint>,
    /// More parameters of the authorization request.
    pub parameters: Vec<(String, String)>,
    /// The path of its callback.
    pub callback: Option<String>,
    /// `query` or `form_post`.
    pub callback_mode: Option<String>,
    /// Whose people sign in there.
    pub tenant: Option<String>,
    /// The issuer and the client id, of one whose client is asked for later.
    pub registered: Option<(String, String)>,
}

/// Where a provider without OpenID Connect says who a person is.
#[napi(object, object_to_js = false)]
pub struct NativeIdentityEndpoint {
    /// Asked with the access token.
    pub url: String,
    /// The member that is the person's subject.
    pub subject: String,
    /// Claims, and the members that are they.
    pub claims: Vec<(String, String)>,
}

/// An API that pages may call.
#[napi(object, object_to_js = false)]
pub struct NativeUpstream {
    /// Its name in the site's URLs.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What may be asked of it.
    pub methods: Option<Vec<String>>,
}

/// The settings of a site; what is absent is as the site has it by default.
#[napi(object, object_to_js = false)]
pub struct NativeSiteOptions {
    /// Where people reach it.
    pub base_urls: Vec<String>,
    /// Whether plain http is allowed on loopback addresses.
    pub loopback: bool,
    /// Names the cookies.
    pub name: Option<String>,
    /// Where its own pages are.
    pub prefix: Option<String>,
    /// Milliseconds.
    pub lifetime_ms: Option<f64>,
    /// Milliseconds.
    pub idle_ms: Option<f64>,
    /// Milliseconds.
    pub flow_lifetime_ms: Option<f64>,
    /// How many sign-ins may be under way.
    pub flows: Option<u32>,
    /// `lax` or `strict`.
    pub same_site: Option<String>,
    /// Where people go who asked for no page.
    pub home: Option<String>,
    /// Other origins that people may return to.
    pub return_origins: Option<Vec<String>>,
    /// The claims that a session keeps.
    pub claims: Option<Vec<String>>,
    /// The APIs that pages may call.
    pub api: Vec<NativeUpstream>,
    /// `identity`, `access_token` or `store`.
    pub keep: Option<String>,
    /// Whether providers are looked up.
    pub looks_up: bool,
    /// The document at the URL that is the client's id, in JSON.
    pub client_metadata: Option<String>,
}

/// A site in the making.
#[napi]
pub struct NativeSiteSetup {
    keys: Keys,
    providers: Vec<Provider>,
}

#[napi]
impl NativeSiteSetup {
    /// Its cookies are sealed with this key.
    #[napi(factory)]
    pub fn of(key: &NativeKey) -> Self {
        let key: Key = key.0.clone();
        Self {
            keys: Keys::new(key),
            providers: Vec::new(),
        }
    }

    /// Its cookies are sealed with the key for tests, which everybody has.
    #[napi(factory)]
    pub fn for_tests() -> Self {
        Self {
            keys: Keys::new(testing_key()),
            providers: Vec::new(),
        }
    }

    /// Opens what this key sealed, too.
    #[napi]
    pub fn also(&mut self, key: &NativeKey) {
        self.keys = self.keys.clone().also(key.0.clone());
    }

    /// People may sign in with this one.
    #[napi]
    pub fn provider(&mut self, client: &NativeClient, given: NativeSiteProvider) -> Result<()> {
        let client = client.facade().core().clone();
        let known = Provider::new(given.id.clone(), client).map_err(fail)?;
        self.providers.push(provider(known, given)?);
        Ok(())
    }

    /// With this one as well, whose client is asked for when it is first needed.
    #[napi]
    pub fn later(&mut self, given: NativeSiteProvider) -> Result<()> {
        let later = Provider::later(given.id.clone()).map_err(fail)?;
        self.providers.push(provider(later, given)?);
        Ok(())
    }

    /// The site. With a store its sessions live there.
    #[napi]
    pub fn site(
        &self,
        options: NativeSiteOptions,
        admit: Option<Handler<'_>>,
        store: Option<&NativeStore>,
        network: Option<&NativeNetwork>,
    ) -> Result<NativeSite> {
        let config = self.config(options, store.is_some())?;
        let site = Site::new(config).map_err(fail)?;
        let host = host(site, over(network)?, store.map(NativeStore::shared)).map_err(fail)?;
        let admit = admit.map(|admit| Foreign::new("admit function", &admit));
        Ok(NativeSite::new(host, admit.transpose()?.map(Arc::new)))
    }
}

impl NativeSiteSetup {
    /// The provider that was given last.
    pub(crate) fn last(&self) -> Option<Provider> {
        self.providers.last().cloned()
    }

    fn config(&self, given: NativeSiteOptions, in_store: bool) -> Result<Config> {
        let mut urls = urls(given.base_urls)?.into_iter();
        let Some(url) = urls.next() else {
            return Err(invalid("a site has a baseUrl"));
        };
        let mut config = Config::without_providers(url, self.keys.clone());
        match (given.keep.as_deref(), in_store) {
            (None | Some("store"), true) => config = config.in_store(),
            (None | Some("identity"), false) => {}
            (Some("access_token"), false) => config.keep = Keep::AccessToken,
            _ => {
                let what = "keep is store with a store, and identity or access_token without";
                return Err(invalid(what));
            }
        }
        if given.looks_up {
            config.lookup = Lookup::Asked;
        }
        config.base_urls.extend(urls);
        config.providers.clone_from(&self.providers);
        config.transport = transport(given.loopback);
        if let Some(document) = given.client_metadata {
            config.set_client_metadata(&document).map_err(fail)?;
        }
        set(&mut config.name, given.name);
        set(&mut config.prefix, given.prefix);
        set(&mut config.home, given.home);
        set(&mut config.claims, given.claims);
        set(&mut config.lifetime, given.lifetime_ms.map(millis));
        set(
            &mut config.flow_lifetime,
            given.flow_lifetime_ms.map(millis),
        );
        set(
            &mut config.flows,
            given
                .flows
                .map(|flows| usize::try_from(flows).unwrap_or(usize::MAX)),
        );
        if let Some(idle) = given.idle_ms {
            config.idle = Some(millis(idle)).filter(|idle| *idle != Duration::MAX);
        }
        if let Some(origins) = given.return_origins {
            config.return_origins = self::urls(origins)?;
        }
        config.api = given.api.into_iter().map(upstream).collect::<Result<_>>()?;
        config.same_site = match given.same_site.as_deref() {
            None | Some("lax") => SameSite::Lax,
            Some("strict") => SameSite::Strict,
            Some(_) => return Err(invalid("sameSite is lax or strict")),
        };
        Ok(config)
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

fn provider(mut provider: Provider, given: NativeSiteProvider) -> Result<Provider> {
    provider.scope = Scope::parse(&given.scope).map_err(fail)?;
    set(&mut provider.title, given.title);
    if let Some(endpoint) = given.identity {
        let url = Url::parse(&endpoint.url).map_err(fail)?;
        let mut identity = IdentityEndpoint::new(url, endpoint.subject);
        identity.claims = endpoint.claims;
        provider.identity = Some(identity);
    }
    provider.parameters = given.parameters;
    provider.callback = given.callback;
    provider.tenant = given.tenant;
    provider.registered = given.registered;
    provider.callback_mode = match given.callback_mode.as_deref() {
        None | Some("query") => CallbackMode::Query,
        Some("form_post") => CallbackMode::FormPost,
        Some(_) => return Err(invalid("callbackMode is query or form_post")),
    };
    Ok(provider)
}

fn upstream(given: NativeUpstream) -> Result<Upstream> {
    let upstream = Upstream::new(given.name, Url::parse(&given.url).map_err(fail)?);
    let Some(methods) = given.methods else {
        return Ok(upstream);
    };
    let methods = methods.iter().map(|name| {
        Method::from_bytes(name.as_bytes()).map_err(|_| invalid("a method is none of HTTP"))
    });
    Ok(upstream.methods(methods.collect::<Result<Vec<_>>>()?))
}

fn urls(texts: Vec<String>) -> Result<Vec<Url>> {
    let urls = texts.iter().map(|text| Url::parse(text));
    urls.collect::<std::result::Result<_, _>>().map_err(fail)
}

fn host(
    site: Site,
    driver: Driver,
    store: Option<Arc<dyn Store>>,
) -> std::result::Result<Host, Error> {
    match store {
        Some(store) => Ok(Host::with_store(site, driver, store)),
        None => Host::new(site, driver),
    }
}
