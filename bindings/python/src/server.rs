//! `Server`: an authorization server, from a preset, from a metadata document, or by discovery.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oauth_core::error::Error;
use oauth_facade::{Discover, ErasedExchange, PreferredDocument, Transport};
use oauth_providers::{Choices, Provider};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::api::{Api, Source, owned_sources, with_expired_token_replies};
use crate::errors;
use crate::hooks::Hook;
use crate::network::{LazyDriver, Network, RequestSettings};
use crate::pending_call::{CallResult, PendingCall};
use crate::rate_limits::Limits;
use crate::text::{origins, text};

/// One authorization server: from provider(), discover() or Server.from_metadata().
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Server(pub(crate) oauth_facade::Server);

impl Server {
    pub(crate) const fn of(server: oauth_facade::Server) -> Self {
        Self(server)
    }
}

#[pymethods]
impl Server {
    /// A server from a given metadata document (RFC 8414), as a mapping or as JSON text.
    ///
    /// UntrustedError metadata.issuer if the document has a different issuer, MalformedError metadata.* or
    /// reply.* if it is not what RFC 8414 section 2 describes. transport="loopback_http" allows plain http
    /// to a literal loopback address, for tests.
    #[staticmethod]
    #[pyo3(signature = (issuer, metadata, *, transport = "https"))]
    fn from_metadata(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] issuer: String,
        metadata: &Bound<'_, PyAny>,
        transport: &str,
    ) -> PyResult<Self> {
        let text: String = if metadata.is_instance_of::<PyString>() {
            metadata.extract()?
        } else {
            let document = pyo3::types::PyDict::new(py);
            document.update(metadata.cast::<pyo3::types::PyMapping>()?)?;
            py.import("json")?
                .call_method1("dumps", (document,))?
                .extract()?
        };
        oauth_facade::Server::from_metadata(&issuer, &text, read_transport(transport)?)
            .map(Self)
            .map_err(|error| errors::raise(py, &error))
    }

    /// The issuer identifier of the server, an https URL (RFC 8414 section 2).
    #[getter]
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The metadata of the server, including its endpoints; a new dict each time.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?
            .call_method1("loads", (self.0.metadata(),))
    }

    /// Whether each context of an application that uses this server needs its own redirect URI.
    #[getter]
    fn needs_distinct_redirect_uri(&self) -> bool {
        self.0.needs_distinct_redirect_uri()
    }

    /// The origins of the preset's API, to which its tokens may be sent; empty without a preset.
    #[getter]
    fn api_origins<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        let origins = self.0.api_origins().map_err(|e| errors::raise(py, &e))?;
        pyo3::types::PyTuple::new(py, origins)
    }

    /// This server's API for the application's tokens and a user's, each on its own routes.
    ///
    /// Each request carries the token of its route's owner, by the preset's rule; origins replace
    /// those of the preset's API. Requests are sent over network, or like those
    /// of the first source's client. on_rate_limit, longest_wait (seconds), allowance,
    /// expired_token_replies and on_wait (called with seconds) are as for Api. url.* for an invalid origin.
    #[pyo3(signature = (*, app = None, user = None, origins = None, on_rate_limit = "error",
                        longest_wait = 300.0, allowance = None, expired_token_replies = None, on_wait = None,
                        network = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn api(
        &self,
        py: Python<'_>,
        app: Option<Source>,
        user: Option<Source>,
        #[pyo3(from_py_with = origins)] origins: Option<Vec<String>>,
        on_rate_limit: &str,
        longest_wait: f64,
        allowance: Option<&Bound<'_, PyAny>>,
        expired_token_replies: Option<&Bound<'_, PyAny>>,
        on_wait: Option<Hook>,
        network: Option<&Bound<'_, Network>>,
    ) -> PyResult<Api> {
        let sources = owned_sources(app, user);
        let limits = Limits::new(on_rate_limit, longest_wait, allowance, on_wait)?;
        let owners: Vec<_> = sources.iter().map(|(owner, _)| *owner).collect();
        let api = self.0.api(origins.as_deref(), &owners, limits.keeping);
        let mut sources_iter = sources.iter();
        let api =
            api.and_then(|api| sources_iter.try_fold(api, |api, (_, source)| source.calls(api)));
        let api = with_expired_token_replies(py, api, expired_token_replies)?;
        let settings = match (
            network,
            sources
                .iter()
                .find_map(|(_, source)| source.request_settings()),
        ) {
            (None, Some(settings)) => settings,
            (network, _) => RequestSettings::new(network.map(Bound::get), None)?,
        };
        Ok(Api::new(api, sources, settings, limits))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Server {}>", self.0.issuer())
    }
}

/// The server of a preset, with the preset's variables and options.
///
/// options turns documented deviations on. loopback replaces the base of issuer, endpoints and API
/// with one such as "http://127.0.0.1:1234", for tests. provider.unknown for a name that
/// providers() does not contain, provider.variable for a variable that is missing, unknown or of the
/// wrong type.
#[pyfunction]
#[pyo3(signature = (name, *, options = Vec::new(), loopback = None, **variables))]
pub(crate) fn provider(
    py: Python<'_>,
    #[pyo3(from_py_with = text)] name: String,
    #[pyo3(from_py_with = text)] options: Vec<String>,
    loopback: Option<&str>,
    #[pyo3(from_py_with = text)] variables: Option<BTreeMap<String, String>>,
) -> PyResult<Server> {
    let preset = oauth_providers::provider(&name);
    configured(py, preset, options, loopback, variables)
}

/// The names of the presets.
#[pyfunction]
pub(crate) fn providers(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    PyTuple::new(py, oauth_providers::names().collect::<Vec<_>>())
}

/// A server from your own provider file: its TOML text, or a path to it.
///
/// The other arguments are those of provider().
///
/// Text with more than one line is the file itself. provider.data if it does not match the
/// format, OSError if the path cannot be read.
#[pyfunction]
#[pyo3(signature = (path_or_text, /, *, options = Vec::new(), loopback = None, **variables))]
pub(crate) fn provider_file(
    py: Python<'_>,
    path_or_text: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = text)] options: Vec<String>,
    loopback: Option<&str>,
    #[pyo3(from_py_with = text)] variables: Option<BTreeMap<String, String>>,
) -> PyResult<Server> {
    // A path contains no line break, and a provider file has more than one line.
    let text = match path_or_text.extract::<String>() {
        Ok(text) if text.contains('\n') => text,
        _ => std::fs::read_to_string(path_or_text.extract::<PathBuf>()?)?,
    };
    let preset = Provider::from_toml(&text);
    configured(py, preset, options, loopback, variables)
}

fn configured(
    py: Python<'_>,
    preset: Result<Provider, Error>,
    options: Vec<String>,
    loopback: Option<&str>,
    variables: Option<BTreeMap<String, String>>,
) -> PyResult<Server> {
    let choices = Choices {
        variables: variables.unwrap_or_default(),
        options,
        loopback: loopback.map(str::to_owned),
    };
    preset
        .and_then(|preset| preset.with_choices(&choices))
        .and_then(oauth_facade::Server::from_provider)
        .map(Server)
        .map_err(|error| errors::raise(py, &error))
}

/// Fetches the metadata of an issuer (RFC 8414, OpenID Connect Discovery).
///
/// prefer is the document to fetch first, if a server has both: only that of "openid" contains
/// the userinfo endpoint and the like. timeout is that of one request in seconds, by default the
/// network's, 30. UntrustedError metadata.issuer if the document has a different issuer, MalformedError
/// metadata.* if it is invalid, DeniedError if the server refuses, LostError if no response arrives, issuer.*
/// for an invalid issuer.
#[pyfunction]
#[pyo3(signature = (issuer, *, transport = "https", prefer = "oauth", timeout = None, network = None))]
pub(crate) fn discover(
    py: Python<'_>,
    #[pyo3(from_py_with = text)] issuer: String,
    transport: &str,
    prefer: &str,
    timeout: Option<f64>,
    network: Option<&Bound<'_, Network>>,
) -> PyResult<Py<PyAny>> {
    discovery(py, &issuer, transport, prefer, timeout, network)?.wait(py)
}

/// discover(), in a coroutine.
#[pyfunction]
#[pyo3(signature = (issuer, *, transport = "https", prefer = "oauth", timeout = None, network = None))]
pub(crate) fn adiscover<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = text)] issuer: String,
    transport: &str,
    prefer: &str,
    timeout: Option<f64>,
    network: Option<&Bound<'py, Network>>,
) -> PyResult<Bound<'py, PyAny>> {
    discovery(py, &issuer, transport, prefer, timeout, network)?
        .into_coroutine(py, intern!(py, "adiscover"))
}

fn discovery(
    py: Python<'_>,
    issuer: &str,
    transport: &str,
    prefer: &str,
    timeout: Option<f64>,
    network: Option<&Bound<'_, Network>>,
) -> PyResult<PendingCall> {
    let exchange = discovery_exchange(issuer, transport, prefer)?
        .map_err(|error| errors::raise(py, &error))?;
    let driver = LazyDriver(RequestSettings::new(network.map(Bound::get), timeout)?);
    Ok(PendingCall::new("discover", async move {
        driver.exchange(exchange).await.map(CallResult::Record)
    }))
}

/// The exchange that fetches a server's metadata.
pub(crate) fn discovery_exchange(
    issuer: &str,
    transport: &str,
    prefer: &str,
) -> PyResult<Result<ErasedExchange, oauth_facade::Error>> {
    let invalid_prefer = || PyValueError::new_err("prefer must be \"oauth\" or \"openid\"");
    let settings = Discover {
        prefer: PreferredDocument::from_name(prefer).ok_or_else(invalid_prefer)?,
        ..Discover::default()
    };
    let transport = read_transport(transport)?;
    Ok(oauth_facade::Server::discover_with(
        issuer, transport, settings,
    ))
}

/// Parses the `transport` argument.
pub(crate) fn read_transport(name: &str) -> PyResult<Transport> {
    match name {
        "https" => Ok(Transport::Https),
        "loopback_http" => Ok(Transport::LoopbackHttp),
        _ => Err(PyValueError::new_err(
            "transport must be \"https\" or \"loopback_http\"",
        )),
    }
}
