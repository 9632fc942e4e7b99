//! `PendingAuthorization`: an authorization that awaits its callback, and `Listener`, which receives the callback.

use std::sync::{Mutex, PoisonError};

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::flow::authorization::AuthorizationWarning;
use oauth_core::redirect_uri::RedirectUri;
use oauth_facade::StartedAuthorization;
use oauth_reqwest::DeviceLogin;
use oauth_reqwest::device_login::PageOpener;
use oauth_reqwest::loopback::{self, Paste};
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::network::seconds;
use crate::pending_call::{CallResult, PendingCall};
use crate::sync_async::twins;
use crate::text::{port, text};
use crate::{errors, no_pickle, runtime, value};

/// An authorization that awaits its callback: state, nonce and PKCE verifier. It can be redeemed once.
///
/// It contains secrets, so it cannot be pickled: store the text of serialize() in the user's
/// session.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct PendingAuthorization(pub(crate) oauth_facade::AuthorizationFlow, Option<Start>);

/// The values that are known only when a flow begins.
struct Start {
    url: String,
    expires_in: Option<u64>,
    request_object: Option<Secret<String>>,
    warnings: Vec<&'static str>,
}

impl PendingAuthorization {
    /// A flow that has just begun.
    pub(crate) fn begun(begun: StartedAuthorization) -> Self {
        let start = Start {
            url: begun.url,
            expires_in: begun.expires_in,
            request_object: begun.request_object,
            warnings: codes(begun.pending.warnings()),
        };
        Self(
            oauth_facade::AuthorizationFlow::new(&begun.pending),
            Some(start),
        )
    }

    fn start(&self) -> PyResult<&Start> {
        self.1.as_ref().ok_or_else(|| {
            PyAttributeError::new_err("a deserialized PendingAuthorization no longer has a URL")
        })
    }
}

fn codes(warnings: &[AuthorizationWarning]) -> Vec<&'static str> {
    warnings.iter().map(|warning| warning.code()).collect()
}

#[pymethods]
impl PendingAuthorization {
    /// The URL to send the user to (RFC 6749 section 4.1.1).
    ///
    /// AttributeError for a deserialized flow, which no longer has one.
    #[getter]
    fn url(&self) -> PyResult<&str> {
        Ok(&self.start()?.url)
    }

    /// The number of seconds for which the URL is valid, if the server stated it (RFC 9126 section 2.2).
    ///
    /// AttributeError as for url.
    #[getter]
    fn expires_in(&self) -> PyResult<Option<u64>> {
        Ok(self.start()?.expires_in)
    }

    /// The request object to serve at your request_uri, before the user is sent there (RFC 9101 section 5.2).
    ///
    /// None if there is no such request_uri; AttributeError as for url.
    #[getter]
    fn request_object(&self) -> PyResult<Option<&str>> {
        let object = self.start()?.request_object.as_ref();
        Ok(object.map(|object| object.expose().as_str()))
    }

    /// The codes of problems with the request that do not prevent it.
    ///
    /// acr_values_unsupported if the server's metadata lists none of the acr_values (RFC 9470 section 7),
    /// authorization_details_unprotected if authorization_details go through the browser unsigned
    /// (RFC 9396 section 12).
    /// AttributeError as for url.
    #[getter]
    fn warnings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.start()?.warnings)
    }

    /// The issuer that the user is sent to.
    #[getter]
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The state parameter: the key of this flow when several are pending in one session (RFC 6749 section 10.12).
    #[getter]
    fn state(&self) -> &str {
        self.0.state().expose()
    }

    /// The URI at which the callback must arrive.
    #[getter]
    fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    /// The start of the flow, in UTC, to expire old flows.
    #[getter]
    fn started_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::time_to_py(py, self.0.started_at())
    }

    /// Whether a callback contains this flow's state.
    ///
    /// False for any other, and once the flow has been redeemed. callback_url is the whole URL or its query.
    fn recognizes(&self, #[pyo3(from_py_with = text)] callback_url: String) -> bool {
        self.0.recognizes(&callback_url)
    }

    /// The flow as text, to keep in the user's session until the callback. It contains secrets.
    ///
    /// misuse.already_finished once the flow has been redeemed.
    fn serialize(&self, py: Python<'_>) -> PyResult<String> {
        let text = self.0.to_json().map(|text| text.expose().clone());
        text.map_err(|error| errors::raise(py, &error))
    }

    /// Parses the result of serialize(); stored.malformed for any other text.
    #[staticmethod]
    fn deserialize(py: Python<'_>, #[pyo3(from_py_with = text)] text: String) -> PyResult<Self> {
        let flow = oauth_facade::AuthorizationFlow::parse(&text);
        flow.map(|flow| Self(flow, None))
            .map_err(|error| errors::raise(py, &error))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.PendingAuthorization to {}>", self.0.issuer())
    }

    fn __reduce__(&self) -> PyResult<Py<PyAny>> {
        no_pickle("a PendingAuthorization")
    }
}

/// When a login uses a code that is entered on another device: "only", "first", "if_not_opened" or "never".
///
/// device is the caller's option, if given; opener is whether the caller opens the page; parameters are the
/// names of the requested options.
#[pyfunction]
#[pyo3(signature = (client, device, opener, parameters, /))]
pub(crate) fn code_turn(
    client: &Client,
    device: Option<bool>,
    opener: bool,
    parameters: Vec<String>,
) -> &'static str {
    let login = match device {
        Some(true) => DeviceLogin::Always,
        Some(false) => DeviceLogin::Never,
        None => DeviceLogin::WhereNoBrowser,
    };
    let opener = if opener {
        PageOpener::Callers
    } else {
        PageOpener::Hosts
    };
    let login = login.with_parameters(parameters.iter().map(String::as_str));
    login
        .timing(opener, client.inner.client.core().server())
        .as_str()
}

/// A listener on a loopback address for one callback (RFC 8252 section 7.3).
///
/// It uses this port or a free one, and this path or /callback; or the registered redirect_uri as a whole.
/// listener.unavailable if the port is taken, redirect_uri.refused for an address that is not a loopback address, TypeError for a
/// redirect_uri together with a port or path.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Listener {
    redirect_uri: String,
    socket: Mutex<Option<Socket>>,
    pasted: Paste,
}

enum Socket {
    Bound(loopback::Listener),
    /// The listener already answers the browser while the URL is being opened.
    Listening(Arrival),
}

/// The task that waits for a callback; dropping it ends the wait.
struct Arrival(JoinHandle<Result<String, Error>>);

impl Arrival {
    async fn url(mut self) -> Result<String, Error> {
        let arrived = (&mut self.0).await;
        arrived.unwrap_or_else(|_| Err(Error::lost(Cause::unknown("the listener has stopped"))))
    }
}

/// Stops a listener that [`listen`] started: the port is free when this returns.
#[pyfunction]
#[pyo3(signature = (listener, /))]
pub(crate) fn stop_listening(py: Python<'_>, listener: &Listener) -> PyResult<()> {
    let mut socket = listener
        .socket
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let Some(Socket::Listening(mut arrival)) = socket.take() else {
        return Ok(());
    };
    drop(socket);
    let runtime = runtime::handle()?;
    arrival.0.abort();
    // The outcome does not matter.
    let _ = py.detach(|| runtime.block_on(&mut arrival.0));
    Ok(())
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts answering the browser now, for a login that opens its URL before it waits: opening may return only after the
/// redirect.
#[pyfunction]
#[pyo3(signature = (listener, flow, timeout, /))]
pub(crate) fn listen(
    py: Python<'_>,
    listener: &Listener,
    flow: &PendingAuthorization,
    timeout: f64,
) -> PyResult<()> {
    let max_wait = seconds(timeout)?;
    let runtime = runtime::handle()?;
    let pending = flow.0.pending();
    let pending = pending.map_err(|error| errors::raise(py, &error))?;
    let mut socket = listener
        .socket
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    *socket = socket.take().map(|socket| match socket {
        Socket::Bound(bound) => Socket::Listening(Arrival(
            runtime.spawn(async move { bound.wait(&pending, max_wait).await }),
        )),
        listening => listening,
    });
    Ok(())
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (*, port = 0, path = None, redirect_uri = None))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = port)] port: u16,
        #[pyo3(from_py_with = text)] path: Option<String>,
        #[pyo3(from_py_with = text)] redirect_uri: Option<String>,
    ) -> PyResult<Self> {
        if redirect_uri.is_some() && (port != 0 || path.is_some()) {
            let text = "port and path cannot be given with redirect_uri, which contains them";
            return Err(PyTypeError::new_err(text));
        }
        let handle = runtime::handle()?;
        let bind = async {
            let listener = match redirect_uri {
                Some(uri) => {
                    loopback::Listener::for_redirect_uri(&RedirectUri::parse(&uri)?).await?
                }
                None => loopback::Listener::bind_on(port).await?,
            };
            match path {
                Some(path) => listener.at_path(&path),
                None => Ok(listener),
            }
        };
        let bound = py.detach(|| handle.block_on(bind));
        let mut socket = bound.map_err(|error| errors::raise(py, &error))?;
        Ok(Self {
            redirect_uri: socket.redirect_uri().as_str().to_owned(),
            pasted: socket.paste(),
            socket: Mutex::new(Some(Socket::Bound(socket))),
        })
    }

    /// Takes a pasted callback URL, for a browser that cannot reach this listener.
    ///
    /// text is the whole URL or its query. Returns whether it is a callback of this flow that
    /// callback() waits for. misuse.already_finished once the flow has been redeemed.
    fn paste(
        &self,
        py: Python<'_>,
        flow: &PendingAuthorization,
        #[pyo3(from_py_with = text)] text: String,
    ) -> PyResult<bool> {
        let pending = flow.0.pending();
        let pending = pending.map_err(|error| errors::raise(py, &error))?;
        Ok(self.pasted.give_callback(&text, &pending))
    }

    /// The URI at which the callback must arrive: pass it to authorize().
    #[getter]
    fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Listener at {}>", self.redirect_uri)
    }
}

twins! {
    impl Listener {
        /// Waits for the callback of this flow, and returns its URL.
        ///
        /// timeout is in seconds; lost.no_callback when it has elapsed. A callback of a different flow gets
        /// an error page, and the wait continues. A listener waits once, then misuse.already_finished.
        #[pyo3(signature = (flow, *, timeout = 300.0))]
        fn callback / acallback(self, py, flow: &PendingAuthorization, timeout: f64) {
            self.wait_for_callback(py, flow, timeout)
        }
    }
}

impl Listener {
    fn wait_for_callback(
        &self,
        py: Python<'_>,
        flow: &PendingAuthorization,
        timeout: f64,
    ) -> PyResult<PendingCall> {
        let max_wait = seconds(timeout)?;
        let begin = || {
            let pending = flow.0.pending()?;
            let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
            Ok((pending, socket.take().ok_or(Misuse::Over)?))
        };
        let (pending, socket) = begin().map_err(|error: Error| errors::raise(py, &error))?;
        Ok(PendingCall::new("callback", async move {
            let url = match socket {
                Socket::Bound(bound) => bound.wait(&pending, max_wait).await,
                Socket::Listening(arrival) => arrival.url().await,
            };
            url.map(CallResult::Text)
        }))
    }
}
