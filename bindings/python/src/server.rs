//! Servers: by name, by metadata, by discovery.

use std::collections::BTreeMap;
use std::time::Duration;

use oauth_core::error::Error;
use oauth_facade::Transport;
use oauth_reqwest::{Driver, Options, reqwest};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::api::Api;
use crate::errors;
use crate::work::{Answer, Work};

/// One authorization server.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Server(pub(crate) oauth_facade::Server);

impl Server {
    pub(crate) const fn of(server: oauth_facade::Server) -> Self {
        Self(server)
    }
}

#[pymethods]
impl Server {
    /// A server by a metadata document at hand (RFC 8414), as a mapping or as JSON text.
    #[staticmethod]
    #[pyo3(signature = (issuer, metadata, *, transport = "https"))]
    fn from_metadata(
        py: Python<'_>,
        issuer: &str,
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
        oauth_facade::Server::from_metadata(issuer, &text, read_transport(transport)?)
            .map(Self)
            .map_err(|error| errors::raise(py, &error))
    }

    /// Who the server is.
    #[getter]
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// What the server says about itself, endpoints included.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?
            .call_method1("loads", (self.0.metadata(),))
    }

    /// The origins of its API, if it came from a preset: where its tokens may be sent.
    #[getter]
    fn api_origins<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        let origins = self.0.api_origins().map_err(|e| errors::raise(py, &e))?;
        pyo3::types::PyTuple::new(py, origins)
    }

    /// The API of this server's preset, or the one at origins: see Api.
    #[pyo3(signature = (**options))]
    fn api<'py>(
        slf: &Bound<'py, Self>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let keywords = PyDict::new(slf.py());
        if let Some(options) = options {
            keywords.update(options.as_mapping())?;
        }
        keywords.set_item("server", slf)?;
        slf.py().get_type::<Api>().call((), Some(&keywords))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Server {}>", self.0.issuer())
    }
}

/// A server by the name of its preset, with the preset's variables and options.
///
/// loopback moves it to a base such as "http://127.0.0.1:1234", for tests.
#[pyfunction]
#[pyo3(signature = (name, *, options = Vec::new(), loopback = None, **variables))]
pub(crate) fn provider(
    py: Python<'_>,
    name: &str,
    options: Vec<String>,
    loopback: Option<&str>,
    variables: Option<BTreeMap<String, String>>,
) -> PyResult<Server> {
    let preset = oauth_providers::provider(name);
    filled(preset, &options, loopback, variables.unwrap_or_default())
        .map(Server)
        .map_err(|error| errors::raise(py, &error))
}

/// A server by a provider file of one's own, the text of it, in the format of the presets.
#[pyfunction]
#[pyo3(signature = (text, *, options = Vec::new(), loopback = None, **variables))]
pub(crate) fn provider_file(
    py: Python<'_>,
    text: &str,
    options: Vec<String>,
    loopback: Option<&str>,
    variables: Option<BTreeMap<String, String>>,
) -> PyResult<Server> {
    let preset = oauth_providers::Provider::from_toml(text);
    filled(preset, &options, loopback, variables.unwrap_or_default())
        .map(Server)
        .map_err(|error| errors::raise(py, &error))
}

fn filled(
    preset: Result<oauth_providers::Provider, Error>,
    options: &[String],
    loopback: Option<&str>,
    variables: BTreeMap<String, String>,
) -> Result<oauth_facade::Server, Error> {
    let mut preset = preset?;
    for (variable, value) in variables {
        preset = preset.with(&variable, &value)?;
    }
    for option in options {
        preset = preset.option(option)?;
    }
    if let Some(base) = loopback {
        preset = preset.on_loopback(base)?;
    }
    oauth_facade::Server::from_provider(preset)
}

/// Fetches the metadata of an issuer.
#[pyfunction]
#[pyo3(signature = (issuer, *, transport = "https", timeout = 30.0))]
pub(crate) fn discover(
    py: Python<'_>,
    issuer: &str,
    transport: &str,
    timeout: f64,
) -> PyResult<Py<PyAny>> {
    discovery(py, issuer, transport, timeout)?.wait(py)
}

/// Fetches the metadata of an issuer, in a coroutine.
#[pyfunction]
#[pyo3(signature = (issuer, *, transport = "https", timeout = 30.0))]
pub(crate) fn adiscover<'py>(
    py: Python<'py>,
    issuer: &str,
    transport: &str,
    timeout: f64,
) -> PyResult<Bound<'py, PyAny>> {
    discovery(py, issuer, transport, timeout)?.later(py)
}

fn discovery(py: Python<'_>, issuer: &str, transport: &str, timeout: f64) -> PyResult<Work> {
    let machine = oauth_facade::Server::discover(issuer, read_transport(transport)?)
        .map_err(|error| errors::raise(py, &error))?;
    let driver = driver(py, seconds(timeout)?)?;
    Ok(Work::new("discover", async move {
        driver.run(machine).await.map(Answer::Record)
    }))
}

/// The two values of `transport`.
pub(crate) fn read_transport(name: &str) -> PyResult<Transport> {
    match name {
        "https" => Ok(Transport::Https),
        "loopback_http" => Ok(Transport::LoopbackHttp),
        _ => Err(PyValueError::new_err(
            "transport is \"https\" or \"loopback_http\"",
        )),
    }
}

pub(crate) fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout)
        .ok()
        .filter(|pause| !pause.is_zero())
        .ok_or_else(|| PyValueError::new_err("a timeout is a positive number of seconds"))
}

pub(crate) fn driver(py: Python<'_>, timeout: Duration) -> PyResult<Driver> {
    let options = Options::default().timeout(timeout);
    py.detach(|| Driver::with_options(reqwest::Client::builder(), options))
        .map_err(|error| errors::raise(py, &error))
}
