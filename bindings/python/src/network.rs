//! How requests leave this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oauth_reqwest::transport::Settings;
use oauth_reqwest::{Driver, Transport};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::process::PerProcess;
use crate::{errors, secret};

/// Certificates, proxy and limits, of token requests and of calls to APIs alike.
///
/// What is left out is the system's: its certificates (or those that SSL_CERT_FILE and SSL_CERT_DIR
/// name), and the proxy that HTTPS_PROXY, ALL_PROXY and NO_PROXY name. Files are read once, here.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Network(Transport);

/// PEM, or the path of a file that holds it.
pub(crate) struct Pem(String);

impl<'py> FromPyObject<'_, 'py> for Pem {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = given.extract::<String>() {
            return Ok(Self(text));
        }
        let path: PathBuf = given.extract()?;
        let text = path.into_os_string().into_string();
        text.map(Self)
            .map_err(|_| PyValueError::new_err("the path is not Unicode"))
    }
}

#[pymethods]
impl Network {
    /// ca is trusted beside the system's authorities, only_ca instead of them; they and
    /// client_certificate with its client_key are PEM texts or paths. proxy is a URL (http, https,
    /// socks5, socks5h) or "direct". Times are seconds.
    #[new]
    #[pyo3(signature = (*, ca = None, only_ca = None, client_certificate = None,
                        client_key = None, proxy = None, connect_timeout = None, timeout = None,
                        user_agent = None, in_flight_per_origin = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        ca: Option<Pem>,
        only_ca: Option<Pem>,
        client_certificate: Option<Pem>,
        client_key: Option<Pem>,
        proxy: Option<String>,
        connect_timeout: Option<f64>,
        timeout: Option<f64>,
        user_agent: Option<String>,
        in_flight_per_origin: Option<usize>,
    ) -> PyResult<Self> {
        let mut settings = Settings::default();
        settings.ca = ca.map(|pem| pem.0);
        settings.only_ca = only_ca.map(|pem| pem.0);
        settings.client_certificate = client_certificate.map(|pem| secret(pem.0));
        settings.client_key = client_key.map(|pem| secret(pem.0));
        settings.proxy = proxy.map(secret);
        settings.connect_timeout = connect_timeout;
        settings.timeout = timeout;
        settings.user_agent = user_agent;
        settings.in_flight_per_origin = in_flight_per_origin;
        py.detach(|| settings.read())
            .map(Self)
            .map_err(|error| errors::raise(py, &error))
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Network>"
    }
}

/// A transport of this process.
pub(crate) struct Line {
    transport: Transport,
    driver: PerProcess<Driver>,
}

impl Line {
    /// Over this network, or the system's; with this limit, or the network's.
    pub(crate) fn new(network: Option<&Network>, timeout: Option<f64>) -> PyResult<Arc<Self>> {
        let mut transport = network.map(|network| network.0.clone()).unwrap_or_default();
        if let Some(timeout) = timeout {
            transport.options.timeout = seconds(timeout)?;
        }
        Ok(Arc::new(Self {
            transport,
            driver: PerProcess::new(),
        }))
    }

    /// How long one request may take.
    pub(crate) const fn timeout(&self) -> Duration {
        self.transport.options.timeout
    }

    pub(crate) fn driver(&self, py: Python<'_>) -> PyResult<Driver> {
        let make = || {
            py.detach(|| self.transport.driver())
                .map_err(|error| errors::raise(py, &error))
        };
        self.driver.with(make, Driver::clone)
    }
}

pub(crate) fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout)
        .ok()
        .filter(|pause| !pause.is_zero())
        .ok_or_else(|| PyValueError::new_err("a timeout is a positive number of seconds"))
}
