//! `Network`: certificates, proxy and limits of requests, and the drivers that use them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use oauth_core::exchange::{Boxed, Exchange};
use oauth_core::{Error, Tokens};
use oauth_reqwest::transport::Settings;
use oauth_reqwest::{Driver, Transport};
use oauth_session::TokenDriver;
use oauth_session::store::Answer as DriveAnswer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::fork_safety::PerProcess;
use crate::text::text;
use crate::{errors, held_key, secret};

/// The network settings of token requests and API calls: certificates, proxy and limits.
///
/// The defaults are the system's certificates (or those that SSL_CERT_FILE and
/// SSL_CERT_DIR name), and the proxy that HTTPS_PROXY, ALL_PROXY and NO_PROXY name. Files
/// are read once, by the constructor.
///
/// ca is trusted in addition to the system's authorities, only_ca instead of them; they and
/// client_certificate with its client_key (RFC 8705) are PEM or paths. proxy is a URL (http,
/// https, socks5, socks5h) or "direct". Times are in seconds: connect_timeout is 10, timeout of one
/// request 30. At most in_flight_per_origin requests, 16, run at once to one origin. addresses
/// are the addresses to connect to: with "public_where_marked" any address, but only public ones for
/// a URL that a server named rather than the program; with "public_only" only public ones; with "any"
/// any (lost.not_public otherwise). transport.setup for a file that cannot be read.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Network(Arc<Drivers>);

/// PEM text, or the path of a file that contains it.
pub(crate) struct Pem(String);

impl<'py> FromPyObject<'_, 'py> for Pem {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.extract::<String>() {
            return Ok(Self(text));
        }
        let path: PathBuf = object.extract()?;
        let text = path.into_os_string().into_string();
        text.map(Self)
            .map_err(|_| PyValueError::new_err("the path must be valid Unicode"))
    }
}

#[pymethods]
impl Network {
    #[new]
    #[pyo3(signature = (*, ca = None, only_ca = None, client_certificate = None,
                        client_key = None, proxy = None, connect_timeout = None, timeout = None,
                        user_agent = None, in_flight_per_origin = None, addresses = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        ca: Option<Pem>,
        only_ca: Option<Pem>,
        client_certificate: Option<Pem>,
        client_key: Option<Pem>,
        #[pyo3(from_py_with = text)] proxy: Option<String>,
        connect_timeout: Option<f64>,
        timeout: Option<f64>,
        #[pyo3(from_py_with = text)] user_agent: Option<String>,
        in_flight_per_origin: Option<usize>,
        #[pyo3(from_py_with = text)] addresses: Option<String>,
    ) -> PyResult<Self> {
        if in_flight_per_origin == Some(0) {
            let message = "in_flight_per_origin must be at least 1";
            return Err(PyValueError::new_err(message));
        }
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
        settings.addresses = addresses;
        py.detach(|| settings.read())
            .map(|transport| Self(Arc::new(Drivers::of(transport))))
            .map_err(|error| errors::raise(py, &error))
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Network>"
    }
}

impl Network {
    /// The thumbprint of the client certificate, if there is one.
    pub(crate) fn certificate_thumbprint(&self) -> Option<String> {
        self.0.transport.certificate_thumbprint()
    }
}

/// A transport, and its driver in this process, which all callers share.
pub(crate) struct Drivers {
    transport: Transport,
    shared_driver: PerProcess<Mutex<Option<Driver>>>,
}

impl Drivers {
    const fn of(transport: Transport) -> Self {
        Self {
            transport,
            shared_driver: PerProcess::new(),
        }
    }

    /// The drivers of the system's transport.
    fn system() -> Arc<Self> {
        static SYSTEM: OnceLock<Arc<Drivers>> = OnceLock::new();
        Arc::clone(SYSTEM.get_or_init(|| Arc::new(Self::of(Transport::default()))))
    }

    /// The driver with this timeout. The first call takes some milliseconds, because it reads the system's certificates.
    /// Must be called without the GIL, because creating the driver holds a lock.
    fn driver(&self, timeout: Duration) -> Result<Driver, Error> {
        let make = || Ok::<_, Error>(Mutex::default());
        self.shared_driver.with(make, |cell| {
            let mut slot = cell.lock().unwrap_or_else(PoisonError::into_inner);
            let driver = match &*slot {
                Some(driver) => driver.clone(),
                None => {
                    let driver = self.transport.driver()?;
                    slot.insert(driver.with_signer(held_key::signature)).clone()
                }
            };
            Ok(driver.with_timeout(timeout))
        })?
    }
}

/// The network and timeout of the requests of a client or an API.
pub(crate) struct RequestSettings {
    drivers: Arc<Drivers>,
    timeout: Duration,
}

impl RequestSettings {
    /// The settings with this network, or the system's, and with this timeout, or the network's.
    pub(crate) fn new(network: Option<&Network>, timeout: Option<f64>) -> PyResult<Arc<Self>> {
        let drivers = network.map_or_else(Drivers::system, |network| Arc::clone(&network.0));
        let timeout = match timeout {
            Some(timeout) => seconds(timeout)?,
            None => drivers.transport.options.timeout,
        };
        Ok(Arc::new(Self { drivers, timeout }))
    }

    /// The timeout of one request.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn driver(&self, py: Python<'_>) -> PyResult<Driver> {
        py.detach(|| self.drivers.driver(self.timeout))
            .map_err(|error| errors::raise(py, &error))
    }
}

/// A driver that is created on first use, so that creating a token source does not block an event loop.
pub(crate) struct LazyDriver(pub(crate) Arc<RequestSettings>);

impl LazyDriver {
    /// Runs an exchange to its end.
    pub(crate) async fn exchange<E: Exchange>(&self, exchange: E) -> Result<E::Output, Error> {
        self.driver()?.run(exchange).await
    }

    fn driver(&self) -> Result<Driver, Error> {
        self.0.drivers.driver(self.0.timeout)
    }
}

impl TokenDriver for LazyDriver {
    fn run(&self, exchange: Boxed<Tokens>) -> DriveAnswer<'_, Tokens> {
        Box::pin(self.exchange(exchange))
    }

    fn revoke(&self, exchange: Boxed<()>) -> DriveAnswer<'_, ()> {
        Box::pin(self.exchange(exchange))
    }

    fn longest(&self) -> Duration {
        self.0.timeout
    }
}

/// A timeout argument, in seconds.
pub(crate) fn seconds(timeout: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(timeout)
        .ok()
        .filter(|pause| !pause.is_zero())
        .ok_or_else(|| PyValueError::new_err("a timeout must be a positive number of seconds"))
}
