//! `WebSite`: the native half of a web site's sign-in, with its settings and the host of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oauth_core::Moment;
use oauth_core::error::{Error, Kind, Misuse};
use oauth_seal::Keys;
use oauth_web::{Access, Config, PageRequirements, Request, SettingError, Storage};
use oauth_web_tower::Host;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::fork_safety::PerProcess;
use crate::keys::{KeyArgument, SealingKey};
use crate::network::{Network, RequestSettings};
use crate::store::Store;
use crate::text::text;
use crate::value::Fields;
use crate::web_provider::{Provider, connect_provider};
use crate::web_session::Session;
use crate::web_visit::Visit;
use crate::{errors, runtime};

/// The native half of a site; users create `Site` of `web/_site.py`.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct WebSite {
    site: oauth_web::Site,
    store: Option<Store>,
    request_settings: Arc<RequestSettings>,
    host: PerProcess<Host>,
    /// The process whose visits connect.
    process: AtomicU32,
    /// The providers whose clients are created by functions.
    later: Arc<Vec<Py<Provider>>>,
    /// The seconds by which the clock is ahead, in tests.
    ahead: Arc<AtomicU64>,
}

impl WebSite {
    fn host(&self, py: Python<'_>) -> PyResult<Host> {
        self.host.with(|| self.make(py), Host::clone)
    }

    fn make(&self, py: Python<'_>) -> PyResult<Host> {
        let (site, driver) = (self.site.clone(), self.request_settings.driver(py)?);
        let host = match &self.store {
            Some(store) => Ok(Host::with_store(site, driver, store.for_this_process(py)?)),
            None => Host::new(site, driver),
        };
        let host = host.map_err(|error| errors::raise(py, &error))?;
        // The visit that was connecting belongs to the parent process. Several threads of one process may get here.
        let process = std::process::id();
        if self.process.swap(process, Ordering::AcqRel) != process {
            self.site.abandon_connecting();
        }
        let (later, ahead) = (Arc::clone(&self.later), Arc::clone(&self.ahead));
        let host = host.connect(move |id| connect_provider(Arc::clone(&later), id));
        let host = host.clock(move || {
            let now = Moment::system()?;
            let clock_advance = Duration::from_secs(ahead.load(Ordering::Relaxed));
            let later_moment = now.now().after(clock_advance);
            Ok(now.at_time(later_moment))
        });
        Ok(host.log(|note| {
            runtime::call_python(move |py| {
                let text = format!("{}: {}", note.code, note.detail);
                if note.is_site_fault {
                    errors::warn_of_site(py, &text);
                } else {
                    errors::log(py, "info", &text);
                }
            });
        }))
    }
}

#[pymethods]
impl WebSite {
    #[new]
    #[pyo3(signature = (settings, providers, key, old_keys, store, network))]
    fn new(
        py: Python<'_>,
        settings: &str,
        providers: Vec<Py<Provider>>,
        key: KeyArgument,
        old_keys: Vec<KeyArgument>,
        store: Option<Store>,
        network: Option<&Bound<'_, Network>>,
    ) -> PyResult<Self> {
        let raise = |error| errors::raise(py, &error);
        let mut keys = Keys::new(key.0.map_err(|error| raise(with_name(KEY, error)))?);
        for old in old_keys {
            keys = keys.with_previous(old.0.map_err(|error| raise(with_name("old_keys", error)))?);
        }
        let native = providers.iter();
        let native = native
            .map(|provider| provider.get().provider.clone())
            .collect();
        let storage = match &store {
            Some(_) => Storage::Store,
            None => Storage::Cookie,
        };
        let config = Config::read(settings, keys, native, storage);
        let config = config.map_err(|error| refused(py, error))?;
        let first = providers
            .first()
            .and_then(|first| first.get().client.get(py));
        let settings = match (network, first) {
            (None, Some(first)) => Arc::clone(&first.get().inner.request_settings),
            (network, _) => RequestSettings::new(network.map(Bound::get), None)?,
        };
        let mut later = providers;
        later.retain(|provider| provider.get().make.is_some());
        Ok(Self {
            site: oauth_web::Site::new(config).map_err(raise)?,
            store,
            request_settings: settings,
            host: PerProcess::new(),
            process: AtomicU32::new(std::process::id()),
            later: Arc::new(later),
            ahead: Arc::default(),
        })
    }

    /// Whether the site reads the body of such a request.
    ///
    /// path is not decoded, and starts with the root path. Read at most MAX_FORM + 1 bytes of this body, and do not
    /// read any other.
    fn reads_form(&self, method: &str, path: &str) -> bool {
        let method = Method::from_bytes(method.as_bytes());
        method.is_ok_and(|method| self.site.reads_form(&method, path))
    }

    /// Begins the visit of a request.
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
        let mut requirements = PageRequirements::acr(acr);
        requirements.max_age = max_age;
        requirements.scope = scope;
        requirements.tenant = tenant;
        let access = match access {
            "open" => Access::Open,
            "silent" => Access::Silent,
            "signed_in" => Access::SignedIn,
            _ => {
                return Err(PyValueError::new_err(
                    "access must be open, silent or signed_in",
                ));
            }
        };
        let original_request = request.clone();
        let visit = if requirements == PageRequirements::default() {
            self.site.visit(request, access)
        } else {
            self.site.challenge(request, requirements)
        };
        Ok(Visit::new(self.host(py)?, visit, original_request))
    }

    /// Begins a visit that ends a session on all devices that share it, and its grant; its result is None.
    fn end(&self, py: Python<'_>, session: &Session) -> PyResult<Visit> {
        let visit = self.site.end(Arc::clone(&session.0));
        Ok(Visit::new(self.host(py)?, visit, placeholder_request()?))
    }

    /// Begins a visit that ends the session of a request, and its grant; its result is a Reply whose cookies are to be set.
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

    /// Begins a visit that waits for the client of a configured provider; its result is None.
    ///
    /// web.unknown_provider, lost.timeout, and the exceptions of the provider's function.
    fn connect(&self, py: Python<'_>, provider: &str) -> PyResult<Visit> {
        let visit = self.site.connect(provider);
        Ok(Visit::new(self.host(py)?, visit, placeholder_request()?))
    }

    /// Advances the clock by this many seconds, for tests.
    fn advance(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Begins a visit that signs a user in for a test; its result is a Reply that sets the cookies.
    ///
    /// identity is a JSON object with provider, issuer, subject, and optionally sid, auth_time, acr, claims. web.setup
    /// unless the site's key is the testing key.
    fn testing(&self, py: Python<'_>, identity: &str) -> PyResult<Visit> {
        let malformed_identity = || PyTypeError::new_err("the identity to sign in is malformed");
        let identity = serde_json::from_str(identity).map_err(|_| malformed_identity())?;
        let visit = self.site.testing(identity);
        Ok(Visit::new(self.host(py)?, visit, placeholder_request()?))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.web {:?}>", self.site)
    }
}

/// The publicly known key for tests; a site that is not on a loopback address refuses it.
#[pyfunction]
pub(crate) fn testing_key() -> SealingKey {
    SealingKey::of(oauth_web::testing_key())
}

/// The names of arguments in errors, with the environment variables that they may come from.
const BASE_URL: &str = "base_url (OAUTH_BASE_URL)";
const KEY: &str = "key (OAUTH_KEY)";

/// The error for invalid settings of a site or a provider.
pub(crate) fn refused(py: Python<'_>, error: SettingError) -> PyErr {
    match error {
        SettingError::Type {
            name,
            expected: expected_type,
        } => PyTypeError::new_err(SettingError::type_text(&name, &expected_type)),
        SettingError::Value("base_url", error) => errors::raise(py, &with_name(BASE_URL, error)),
        SettingError::Value(name, error) => errors::raise(py, &with_name(name, error)),
        SettingError::Refused(error) => errors::raise(py, &error),
    }
}

/// Adds the name of the setting to an error.
fn with_name(name: &str, error: Error) -> Error {
    let detail = match (error.kind(), error.detail()) {
        (Kind::Misuse(Misuse::InsecureTransport), Some(url)) => {
            format!(
                "{name}: {url}; OAUTH_TRANSPORT=loopback_http, or transport=\"loopback_http\", is for tests on this machine"
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
        method: method.map_err(|_| PyValueError::new_err("method must be an HTTP token"))?,
        host,
        target,
        headers: header_map(headers),
        form: form.map(Into::into),
    })
}

/// The placeholder request of a visit without a browser.
fn placeholder_request() -> PyResult<Request> {
    request(
        "GET",
        String::new(),
        "/".to_owned(),
        Fields(Vec::new()),
        None,
    )
}

/// Parses header fields. Malformed ones are dropped.
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
