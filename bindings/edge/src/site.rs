//! Sign-in for web applications: the settings of a site.

use std::time::Duration;

use http::Method;
use oauth_core::scope::Scope;
use oauth_core::url::Url;
use oauth_seal::Keys;
use oauth_web::{
    CallbackMode, Config, IdentityEndpoint, Keep, Lookup, MAX_FORM, Provider, SameSite, Site,
    Upstream, testing_key,
};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::client::NativeClient;
use crate::error::{fail, invalid};
use crate::keys::NativeKey;
use crate::plain::{member, millis, read};
use crate::server::transport;
use crate::visit::{NativeVisit, need, request};

/// Who people sign in with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenProvider {
    id: String,
    title: Option<String>,
    scope: String,
    identity: Option<GivenIdentity>,
    parameters: Vec<(String, String)>,
    callback: Option<String>,
    callback_mode: Option<String>,
    tenant: Option<String>,
    registered: Option<(String, String)>,
}

/// Where a provider without OpenID Connect says who a person is.
#[derive(Deserialize)]
struct GivenIdentity {
    url: String,
    subject: String,
    claims: Vec<(String, String)>,
}

/// An API that pages may call.
#[derive(Deserialize)]
struct GivenUpstream {
    name: String,
    url: String,
    methods: Option<Vec<String>>,
}

/// The settings of a site; what is absent is as the site has it by default.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    base_urls: Vec<String>,
    loopback: bool,
    name: Option<String>,
    prefix: Option<String>,
    lifetime_ms: Option<f64>,
    idle_ms: Option<f64>,
    flow_lifetime_ms: Option<f64>,
    flows: Option<u32>,
    same_site: Option<String>,
    home: Option<String>,
    return_origins: Option<Vec<String>>,
    claims: Option<Vec<String>>,
    #[serde(default)]
    api: Vec<GivenUpstream>,
    keep: Option<String>,
    #[serde(default)]
    looks_up: bool,
    client_metadata: Option<String>,
}

/// A site in the making.
#[wasm_bindgen]
pub struct NativeSiteSetup {
    keys: Keys,
    providers: Vec<Provider>,
}

#[wasm_bindgen]
impl NativeSiteSetup {
    /// Its cookies are sealed with this key.
    pub fn of(key: &NativeKey) -> Self {
        Self {
            keys: Keys::new(key.0.clone()),
            providers: Vec::new(),
        }
    }

    /// Its cookies are sealed with the key for tests, which everybody has.
    #[wasm_bindgen(js_name = forTests)]
    pub fn for_tests() -> Self {
        Self {
            keys: Keys::new(testing_key()),
            providers: Vec::new(),
        }
    }

    /// Opens what this key sealed, too.
    pub fn also(&mut self, key: &NativeKey) {
        self.keys = self.keys.clone().also(key.0.clone());
    }

    /// People may sign in with this one.
    pub fn provider(&mut self, client: &NativeClient, given: &JsValue) -> Result<(), JsValue> {
        let given: GivenProvider = read(given, "the settings of a provider are texts")?;
        let client = client.facade().core().clone();
        let known = Provider::new(given.id.clone(), client).map_err(fail)?;
        self.providers.push(provider(known, given)?);
        Ok(())
    }

    /// With this one as well, whose client is asked for when it is first needed.
    pub fn later(&mut self, given: &JsValue) -> Result<(), JsValue> {
        let given: GivenProvider = read(given, "the settings of a provider are texts")?;
        let later = Provider::later(given.id.clone()).map_err(fail)?;
        self.providers.push(provider(later, given)?);
        Ok(())
    }

    /// The site, whose sessions live in a store or not.
    pub fn site(&self, given: &JsValue, in_store: bool) -> Result<NativeSite, JsValue> {
        let options = read(given, "a setting of the site is of another type")?;
        let config = self.config(options, in_store)?;
        Site::new(config).map(NativeSite).map_err(fail)
    }
}

impl NativeSiteSetup {
    /// The provider that was given last.
    pub(crate) fn last(&self) -> Option<Provider> {
        self.providers.last().cloned()
    }

    fn config(&self, given: Options, in_store: bool) -> Result<Config, JsValue> {
        let mut urls = urls(&given.base_urls)?.into_iter();
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
        let flow_lifetime = given.flow_lifetime_ms.map(millis);
        set(&mut config.flow_lifetime, flow_lifetime);
        let flows = given.flows;
        let flows = flows.map(|flows| usize::try_from(flows).unwrap_or(usize::MAX));
        set(&mut config.flows, flows);
        if let Some(idle) = given.idle_ms {
            config.idle = Some(millis(idle)).filter(|idle| *idle != Duration::MAX);
        }
        if let Some(origins) = given.return_origins {
            config.return_origins = self::urls(&origins)?;
        }
        config.api = given
            .api
            .into_iter()
            .map(upstream)
            .collect::<Result<_, _>>()?;
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

fn provider(mut provider: Provider, given: GivenProvider) -> Result<Provider, JsValue> {
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

fn upstream(given: GivenUpstream) -> Result<Upstream, JsValue> {
    let upstream = Upstream::new(given.name, Url::parse(&given.url).map_err(fail)?);
    let Some(methods) = given.methods else {
        return Ok(upstream);
    };
    let methods = methods.iter().map(|name| {
        Method::from_bytes(name.as_bytes()).map_err(|_| invalid("a method is none of HTTP"))
    });
    Ok(upstream.methods(methods.collect::<Result<Vec<_>, _>>()?))
}

fn urls(texts: &[String]) -> Result<Vec<Url>, JsValue> {
    let urls = texts.iter().map(|text| Url::parse(text));
    urls.collect::<Result<_, _>>().map_err(fail)
}

/// A site whose people sign in.
#[wasm_bindgen]
pub struct NativeSite(Site);

#[wasm_bindgen]
impl NativeSite {
    /// Whether its sessions live in a store.
    #[wasm_bindgen(getter, js_name = isStored)]
    pub fn is_stored(&self) -> bool {
        self.0.keep() == Keep::Store
    }

    /// Whether the site has a page at this path.
    pub fn owns(&self, path: &str) -> bool {
        self.0.owns(path)
    }

    /// How many bytes of such a request's body the site reads; none of those it leaves alone.
    #[wasm_bindgen(js_name = formLimit)]
    pub fn form_limit(&self, method: &str, path: &str) -> u32 {
        let reads = Method::from_bytes(method.as_bytes())
            .is_ok_and(|method| self.0.reads_form(&method, path));
        let limit = u32::try_from(MAX_FORM).unwrap_or(u32::MAX);
        if reads { limit } else { 0 }
    }

    /// A request, as the browser sent it, and what the page wants of it.
    pub fn visit(&self, given: &JsValue) -> Result<NativeVisit, JsValue> {
        let (request, access) = request(given)?;
        let is_over = member(given, "access").is_some_and(|access| access == "over");
        let seen = request.clone();
        let visit = match need(given)? {
            _ if is_over => self.0.tokens_over(request),
            Some(need) => self.0.challenge(request, need),
            None => self.0.visit(request, access),
        };
        Ok(NativeVisit::new(&self.0, visit, Some(seen)))
    }

    /// Waits for the client of a provider, which is asked for unless it is known.
    pub fn connect(&self, provider: &str) -> NativeVisit {
        NativeVisit::new(&self.0, self.0.connect(provider), None)
    }

    /// Somebody is signed in for a test: the answer sets the cookies.
    pub fn testing(&self, identity: &str) -> Result<NativeVisit, JsValue> {
        let identity = serde_json::from_str(identity);
        let identity = identity.map_err(|_| invalid("an identity is somebody"))?;
        Ok(NativeVisit::new(&self.0, self.0.testing(identity), None))
    }
}
