//! An authorization under way, and the listener for its callback.

use std::sync::{Mutex, MutexGuard, PoisonError};

use oauth_core::error::{Error, Misuse};
use oauth_core::{Pending, Secret};
use oauth_reqwest::loopback;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

use crate::server::seconds;
use crate::work::{Answer, Work};
use crate::{errors, no_pickle, runtime};

/// An authorization under way: state, nonce and verifier inside. It can be redeemed once.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Flow {
    url: Option<String>,
    issuer: String,
    pending: Mutex<Option<Secret<String>>>,
}

impl Flow {
    pub(crate) fn new(url: Option<String>, pending: &Pending) -> Self {
        Self {
            url,
            issuer: pending.issuer().to_owned(),
            pending: Mutex::new(Some(pending.to_json())),
        }
    }

    /// For the one redemption.
    pub(crate) fn take(&self) -> Result<Secret<String>, Error> {
        self.pending().take().ok_or_else(spent)
    }

    fn pending(&self) -> MutexGuard<'_, Option<Secret<String>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Flow {
    /// Where to send the person. A flow that was stored has been sent already, and has none.
    #[getter]
    fn url(&self) -> PyResult<&str> {
        self.url
            .as_deref()
            .ok_or_else(|| PyAttributeError::new_err("a stored flow has no URL any more"))
    }

    /// The issuer the person is sent to.
    #[getter]
    fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What to keep until the callback, in the person's session. It holds secrets.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        let pending = self.pending();
        let text = pending.as_ref().map(|text| text.expose().clone());
        text.ok_or_else(|| errors::raise(py, &spent()))
    }

    /// Reads what to_json() wrote.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        let pending = Pending::from_json(text).map_err(|error| errors::raise(py, &error))?;
        Ok(Self::new(None, &pending))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Flow to {}>", self.issuer)
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        no_pickle("a Flow")
    }
}

fn spent() -> Error {
    Error::from(Misuse::Over).about("this flow was redeemed before")
}

/// Waits on a loopback address for one callback (RFC 8252).
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Listener {
    redirect_uri: String,
    socket: Mutex<Option<loopback::Listener>>,
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (*, port = 0))]
    fn new(py: Python<'_>, port: u16) -> PyResult<Self> {
        let handle = runtime::handle()?;
        let bound = py.detach(|| handle.block_on(loopback::Listener::bind_on(port)));
        let socket = bound.map_err(|error| errors::raise(py, &error))?;
        Ok(Self {
            redirect_uri: socket.redirect_uri().as_str().to_owned(),
            socket: Mutex::new(Some(socket)),
        })
    }

    /// Where the callback must come to.
    #[getter]
    fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Waits for the callback of this flow, and gives back its URL.
    #[pyo3(signature = (flow, *, timeout = 300.0))]
    fn callback(&self, py: Python<'_>, flow: &Flow, timeout: f64) -> PyResult<Py<PyAny>> {
        self.waiting(py, flow, timeout)?.wait(py)
    }

    /// callback(), in a coroutine.
    #[pyo3(signature = (flow, *, timeout = 300.0))]
    fn acallback<'py>(
        &self,
        py: Python<'py>,
        flow: &Flow,
        timeout: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.waiting(py, flow, timeout)?.later(py)
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Listener at {}>", self.redirect_uri)
    }
}

impl Listener {
    fn waiting(&self, py: Python<'_>, flow: &Flow, timeout: f64) -> PyResult<Work> {
        let patience = seconds(timeout)?;
        let begin = || {
            let text = flow.pending().clone().ok_or_else(spent)?;
            let pending = Pending::from_json(text.expose())?;
            let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
            Ok((pending, socket.take().ok_or(Misuse::Over)?))
        };
        let (pending, socket) = begin().map_err(|error: Error| errors::raise(py, &error))?;
        Ok(Work::new("callback", async move {
            socket.wait(&pending, patience).await.map(Answer::Text)
        }))
    }
}
