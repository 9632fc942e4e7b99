//! Sites: their settings, and the host of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oauth_core::Moment;
use oauth_core::error::{Error, Kind, Misuse};
use oauth_core::url::Url;
use oauth_seal::Keys;
use oauth_web::{Access, Config, Keep, Lookup, Need, Request, SameSite, Upstream};
use oauth_web_tower::Host;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::fork_safety::PerProcess;
use crate::keys::{GivenKey, Key};
use crate::network::{Network, RequestSettings, seconds};
use crate::server::read_transport;
use crate::store::Store;
use crate::text::text;
use crate::value::Fields;
use crate::web_provider::{Provider, Several, made};
use crate::web_session::Session;
use crate::web_visit::Visit;
use crate::{errors, runtime};

/// A site whose people sign in; `web/_site.py` is what users make of it.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct WebSite {
    site: oauth_web::Site,
    store: Option<Store>,
    line: Arc<RequestSettings>,
    host: PerProcess<Host>,
    /// Those whose clients functions give.
    later: Arc<Vec<Py<Provider>>>,
    /// By how many seconds the clock is ahead, in tests.
    ahead: Arc<AtomicU64>,
}

impl WebSite {
    fn host(&self, py: Python<'_>) -> PyResult<Host> {
        self.host.with(|| self.make(py), Host::clone)
    }

    fn make(&self, py: Python<'_>) -> PyResult<Host> {
        let (site, driver) = (self.site.clone(), self.line.driver(py)?);
        let host = match &self.store {
            Some(store) => Ok(Host::with_store(site, driver, store.here(py)?)),
            None => Host::new(site, driver),
        };
        let host = host.map_err(|error| errors::raise(py, &error))?;
        // Whoever was at it is of the process that this one was forked from.
        self.site.abandon_connecting();
        let (later, ahead) = (Arc::clone(&self.later), Arc::clone(&self.ahead));
        let host = host.connect(move |id| made(Arc::clone(&later), id));
        let host = host.clock(move || {
            let now = Moment::system()?;
            let ahead = Duration::from_secs(ahead.load(Ordering::Relaxed));
            let then = now.now().after(ahead);
            Ok(now.at_time(then))
        });
        Ok(host.log(|note| {
            runtime::call_python(move |py| {
                errors::log(
                    py,
                    "warning",
                    &format!("web: {}: {}", note.code, note.detail),
                );
            });
        }))
    }
}

#[pymethods]
impl WebSite {
    #[new]
    #[pyo3(signature = (providers, base_urls, key, *, old_keys = Vec::new(), store = None, name = None, prefix = None,
                        lifetime = None, idle = None, flow_lifetime = None, flows = None, same_site = "lax",
                        home = None, return_origins = Vec::new(), claims = None, transport = "https",
                        network = None, keep = None, api = Vec::new(), lookup = "fixed",
                        client_metadata = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        providers: Vec<Py<Provider>>,
        base_urls: Several,
        key: GivenKey,
        old_keys: Vec<GivenKey>,
        store: Option<Store>,
        #[pyo3(from_py_with = text)] name: Option<String>,
        #[pyo3(from_py_with = text)] prefix: Option<String>,
        lifetime: Option<f64>,
        idle: Option<f64>,
        flow_lifetime: Option<f64>,
        flows: Option<usize>,
        same_site: &str,
        #[pyo3(from_py_with = text)] home: Option<String>,
        #[pyo3(from_py_with = text)] return_origins: Vec<String>,
        #[pyo3(from_py_with = text)] claims: Option<Vec<String>>,
        transport: &str,
        network: Option<&Bound<'_, Network>>,
        keep: Option<&str>,
        #[pyo3(from_py_with = text)] api: Vec<(String, String, Vec<String>)>,
        lookup: &str,
        #[pyo3(from_py_with = text)] client_metadata: Option<String>,
    ) -> PyResult<Self> {
        let raise = |error| errors::raise(py, &error);
        let urls = |name: &str, texts: Vec<String>| -> PyResult<Vec<Url>> {
            let urls = texts.iter().map(|text| Url::parse(text));
            urls.collect::<Result<_, _>>()
                .map_err(|error| raise(named(name, error)))
        };
        let transport = read_transport(transport)?;
        let lookup = match lookup {
            "fixed" => Lookup::Fixed,
            "asked" => Lookup::Asked,
            _ => return Err(PyValueError::new_err("lookup is fixed or asked")),
        };
        if providers.is_empty() && lookup == Lookup::Fixed {
            return Err(PyTypeError::new_err("a site has at least one provider"));
        }
        let base_urls = urls(BASE_URL, base_urls.0)?;
        for url in &base_urls {
            let allowed = url.require(transport);
            allowed.map_err(|error| raise(named(BASE_URL, error)))?;
        }
        let base_url = base_urls.first().cloned();
        let base_url = base_url.ok_or_else(|| PyTypeError::new_err("a site has a base URL"))?;
        let mut keys = Keys::new(key.0.map_err(|error| raise(named(KEY, error)))?);
        for old in old_keys {
            keys = keys.also(old.0.map_err(|error| raise(named("old_keys", error)))?);
        }
        let mut config = Config::without_providers(base_url, keys);
        config.lookup = lookup;
        match (keep, store.is_some()) {
            (None | Some("store"), true) => config = config.in_store(),
            (None | Some("identity"), false) => {}
            (Some("access_token"), false) => config.keep = Keep::AccessToken,
            _ => {
                let what = "keep is store with a store, and identity or access_token without";
                return Err(PyValueError::new_err(what));
            }
        }
        for (name, url, methods) in api {
            let upstream = Upstream::new(name, Url::parse(&url).map_err(raise)?);
            let methods = methods
                .iter()
                .map(|name| Method::from_bytes(name.as_bytes()));
            let methods: Result<Vec<_>, _> = methods.collect();
            let methods = methods.map_err(|_| PyValueError::new_err("a method is a token"))?;
            config.api.push(upstream.methods(methods));
        }
        config.base_urls = base_urls;
        config.transport = transport;
        if let Some(document) = client_metadata {
            let set = config.set_client_metadata(&document);
            set.map_err(|error| raise(named("client_metadata", error)))?;
        }
        config.providers = providers
            .iter()
            .map(|one| one.get().provider.clone())
            .collect();
        let set = |place: &mut Duration, given: Option<f64>| -> PyResult<()> {
            if let Some(given) = given {
                *place = seconds(given)?;
            }
            Ok(())
        };
        set(&mut config.lifetime, lifetime)?;
        set(&mut config.flow_lifetime, flow_lifetime)?;
        if let Some(idle) = idle {
            config.idle = Some(seconds(idle)?);
        }
        for (place, given) in [
            (&mut config.name, name),
            (&mut config.prefix, prefix),
            (&mut config.home, home),
        ] {
            *place = given.unwrap_or_else(|| std::mem::take(place));
        }
        config.flows = flows.unwrap_or(config.flows);
        config.claims = claims.unwrap_or_else(|| std::mem::take(&mut config.claims));
        config.return_origins = urls("return_origins", return_origins)?;
        config.same_site = match same_site {
            "lax" => SameSite::Lax,
            "strict" => SameSite::Strict,
            _ => return Err(PyValueError::new_err("same_site is lax or strict")),
        };
        let first = providers
            .first()
            .and_then(|first| first.get().client.get(py));
        let line = match (network, first) {
            (None, Some(first)) => Arc::clone(&first.get().us.line),
            (network, _) => RequestSettings::new(network.map(Bound::get), None)?,
        };
        let mut later = providers;
        later.retain(|provider| provider.get().make.is_some());
        Ok(Self {
            site: oauth_web::Site::new(config).map_err(raise)?,
            store,
            line,
            host: PerProcess::new(),
            later: Arc::new(later),
            ahead: Arc::default(),
        })
    }

    /// Whether the body of such a request is for the site.
    ///
    /// path is not decoded, and has the root path in front. Read no more than MAX_FORM bytes and one of it, and leave
    /// every other body alone.
    fn reads_form(&self, method: &str, path: &str) -> bool {
        let method = Method::from_bytes(method.as_bytes());
        method.is_ok_and(|method| self.site.reads_form(&method, path))
    }

    /// Begins a request.
    #[pyo3(signature = (method, host, target, headers, form = None, *, access = "open", acr = Vec::new(),
                        max_age = None, scope = Vec::new(), tenant = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn begin(
        &self,
        py: Python<'_>,
        method: &str,
        #[pyo3(from_py_with = text)] host: String,
        #[pyo3(from_py_with = text)] target: String,
        headers: Fields,
        form: Option<Vec<u8>>,
        access: &str,
        #[pyo3(from_py_with = text)] acr: Vec<String>,
        max_age: Option<u64>,
        #[pyo3(from_py_with = text)] scope: Vec<String>,
        #[pyo3(from_py_with = text)] tenant: Option<String>,
    ) -> PyResult<Visit> {
        if form
            .as_ref()
            .is_some_and(|form| form.len() > oauth_web::MAX_FORM)
        {
            return Ok(Visit::too_large());
        }
        let request = request(method, host, target, headers, form)?;
        let mut need = Need::acr(acr);
        need.max_age = max_age;
        need.scope = scope;
        need.tenant = tenant;
        let access = match access {
            "open" => Access::Open,
            "quiet" => Access::Quiet,
            "signed_in" => Access::SignedIn,
            _ => return Err(PyValueError::new_err("access is open, quiet or signed_in")),
        };
        let seen = request.clone();
        let visit = match need == Need::default() {
            true => self.site.visit(request, access),
            false => self.site.challenge(request, need),
        };
        Ok(Visit::new(self.host(py)?, visit, seen))
    }

    /// Ends a session everywhere, and its grant: a visit that ends with None.
    fn end(&self, py: Python<'_>, session: &Session) -> PyResult<Visit> {
        let visit = self.site.end(Arc::clone(&session.0));
        Ok(Visit::new(self.host(py)?, visit, of_nobody()?))
    }

    /// Begins a visit that ends the session of a request, and its grant, and ends in a Reply whose cookies are to be set.
    fn sign_out(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] host: String,
        #[pyo3(from_py_with = text)] target: String,
        headers: Fields,
    ) -> PyResult<Visit> {
        let request = request("GET", host, target, headers, None)?;
        let visit = self.site.tokens_over(request.clone());
        Ok(Visit::new(self.host(py)?, visit, request))
    }

    /// Begins a visit that waits for the client of a provider of the settings, and ends in None.
    ///
    /// web.unknown_provider, lost.timeout, and what its function raises.
    fn connect(&self, py: Python<'_>, provider: &str) -> PyResult<Visit> {
        let visit = self.site.connect(provider);
        Ok(Visit::new(self.host(py)?, visit, of_nobody()?))
    }

    /// Has the clock be this many more seconds ahead: for tests.
    fn advance(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Begins a visit that signs somebody in for a test, and ends in a Reply that sets the cookies.
    ///
    /// identity is a JSON object of provider, issuer, subject, and perhaps sid, auth_time, acr, claims. web.setup
    /// unless the site seals with the testing key.
    fn testing(&self, py: Python<'_>, identity: &str) -> PyResult<Visit> {
        let wrong = || PyTypeError::new_err("identity is that of somebody");
        let identity = serde_json::from_str(identity).map_err(|_| wrong())?;
        let visit = self.site.testing(identity);
        Ok(Visit::new(self.host(py)?, visit, of_nobody()?))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.web {:?}>", self.site)
    }
}

/// The key for tests, which everybody has: no site takes it that others could reach.
#[pyfunction]
pub(crate) fn testing_key() -> Key {
    Key::of(oauth_web::testing_key())
}

/// Arguments, and the variables that they may be of.
const BASE_URL: &str = "base_url (OAUTH_BASE_URL)";
const KEY: &str = "key (OAUTH_KEY)";

/// The error, which says whose value it is about.
fn named(name: &str, error: Error) -> Error {
    let detail = match (error.kind(), error.detail()) {
        (Kind::Misuse(Misuse::InsecureTransport), Some(url)) => {
            format!(
                "{name}: {url}; OAUTH_TRANSPORT=loopback_http, or transport=\"loopback_http\", is for tests on this exchange"
            )
        }
        (_, Some(detail)) => format!("{name}: {detail}"),
        (_, None) => name.to_owned(),
    };
    error.about(&detail)
}

fn request(
    method: &str,
    host: String,
    target: String,
    headers: Fields,
    form: Option<Vec<u8>>,
) -> PyResult<Request> {
    let method = Method::from_bytes(method.as_bytes());
    Ok(Request {
        method: method.map_err(|_| PyValueError::new_err("method is a token"))?,
        host,
        target,
        headers: header_map(headers),
        form: form.map(Into::into),
    })
}

/// The request of a visit that no browser has sent.
fn of_nobody() -> PyResult<Request> {
    request(
        "GET",
        String::new(),
        "/".to_owned(),
        Fields(Vec::new()),
        None,
    )
}

/// Fields that HTTP does not know are nobody's.
fn header_map(fields: Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.0 {
        let bytes: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
        let value = bytes
            .ok()
            .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
            headers.append(name, value);
        }
    }
    headers
}
