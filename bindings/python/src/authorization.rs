//! An authorization in progress, and the listener for its callback.

use std::sync::{Mutex, PoisonError};

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::flow::authorization::AuthorizationWarning;
use oauth_core::redirect_uri::RedirectUri;
use oauth_facade::Begun;
use oauth_reqwest::DeviceLogin;
use oauth_reqwest::device_login::Opener;
use oauth_reqwest::loopback::{self, Paste};
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::network::seconds;
use crate::pending_call::{Answer, PendingCall};
use crate::sync_async::twins;
use crate::text::text;
use crate::{errors, no_pickle, runtime, value};

/// An authorization under way: state, nonce and verifier inside. It can be redeemed once.
///
/// It holds secrets, so it cannot be pickled: store the text of serialize() in the person's
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
    pub(crate) fn begun(begun: Begun) -> Self {
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
        self.1
            .as_ref()
            .ok_or_else(|| PyAttributeError::new_err("a stored flow has no URL any more"))
    }
}

fn codes(warnings: &[AuthorizationWarning]) -> Vec<&'static str> {
    warnings.iter().map(|warning| warning.code()).collect()
}

#[pymethods]
impl PendingAuthorization {
    /// Where to send the person (RFC 6749 section 4.1.1).
    ///
    /// A flow that was stored has been sent already, and has none: AttributeError.
    #[getter]
    fn url(&self) -> PyResult<&str> {
        Ok(&self.start()?.url)
    }

    /// For how many seconds the URL is valid, if the server stated it (RFC 9126 section 2.2).
    ///
    /// AttributeError as for url.
    #[getter]
    fn expires_in(&self) -> PyResult<Option<u64>> {
        Ok(self.start()?.expires_in)
    }

    /// What to serve at your request_uri, before the person is sent there (RFC 9101 section 5.2).
    ///
    /// None if there is no such request_uri; AttributeError as for url.
    #[getter]
    fn request_object(&self) -> PyResult<Option<&str>> {
        let object = self.start()?.request_object.as_ref();
        Ok(object.map(|object| object.expose().as_str()))
    }

    /// What is wrong with the request, although it is made.
    ///
    /// acr_values_unsupported if the server's metadata list none of the acr_values (RFC 9470 section 7),
    /// authorization_details_unprotected if authorization_details go through the browser unsigned
    /// (RFC 9396 section 12).
    /// AttributeError as for url.
    #[getter]
    fn warnings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.start()?.warnings)
    }

    /// The issuer the person is sent to.
    #[getter]
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The key to find this flow by when several wait in one session.
    ///
    /// RFC 6749 section 10.12.
    #[getter]
    fn state(&self) -> &str {
        self.0.state().expose()
    }

    /// The URI that the callback must arrive at.
    #[getter]
    fn redirect_uri(&self) -> &str {
        self.0.redirect_uri()
    }

    /// When the flow began, in UTC, to expire old ones.
    #[getter]
    fn started_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::of_time(py, self.0.started_at())
    }

    /// Whether a callback carries this flow's state.
    ///
    /// False for any other, and once the flow has been redeemed. callback_url is the whole URL or its query.
    fn recognizes(&self, #[pyo3(from_py_with = text)] callback_url: String) -> bool {
        self.0.recognizes(&callback_url)
    }

    /// What to keep until the callback, in the person's session. It contains secrets.
    ///
    /// misuse.already_finished once the flow has been redeemed.
    fn serialize(&self, py: Python<'_>) -> PyResult<String> {
        let text = self.0.to_json().map(|text| text.expose().clone());
        text.map_err(|error| errors::raise(py, &error))
    }

    /// Reads what serialize() wrote; stored.malformed for anything else.
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

/// When it is the turn of a code on another device in a login: "only", "first", "if_not_opened" or "never".
///
/// device is what the caller says, if anything, opener whether a function of theirs shows the page, parameters are the
/// names of what is asked for.
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
    let opener = match opener {
        true => Opener::Callers,
        false => Opener::Hosts,
    };
    let login = login.with_parameters(parameters.iter().map(String::as_str));
    login
        .timing(opener, client.us.client.core().server())
        .as_str()
}

/// Waits on a loopback address for one callback (RFC 8252 section 7.3).
///
/// At this port or a free one, and this path or /callback; or at redirect_uri, which is registered as a whole.
/// misuse.setup if the port is taken, redirect_uri.refused for an address that is not loopback, TypeError for a
/// redirect_uri together with a port or path.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Listener {
    redirect_uri: String,
    socket: Mutex<Option<Socket>>,
    pasted: Paste,
}

enum Socket {
    Bound(loopback::Listener),
    /// It answers a browser already, while the URL is being opened.
    Listening(Arrival),
}

/// The wait for a callback. It ends with this value.
struct Arrival(JoinHandle<Result<String, Error>>);

impl Arrival {
    async fn url(mut self) -> Result<String, Error> {
        let arrived = (&mut self.0).await;
        arrived.unwrap_or_else(|_| Err(Error::lost(Cause::unknown("the listener has stopped"))))
    }
}

/// Ends what [`listen`] began: the port is free when this returns.
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
    // How it ended does not matter.
    let _ = py.detach(|| runtime.block_on(&mut arrival.0));
    Ok(())
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets the listener answer from now on, for a login that opens its URL before it waits: opening it may take until the
/// browser has been sent back.
#[pyfunction]
#[pyo3(signature = (listener, flow, timeout, /))]
pub(crate) fn listen(
    py: Python<'_>,
    listener: &Listener,
    flow: &PendingAuthorization,
    timeout: f64,
) -> PyResult<()> {
    let patience = seconds(timeout)?;
    let runtime = runtime::handle()?;
    let pending = flow.0.pending();
    let pending = pending.map_err(|error| errors::raise(py, &error))?;
    let mut socket = listener
        .socket
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    *socket = socket.take().map(|socket| match socket {
        Socket::Bound(bound) => Socket::Listening(Arrival(
            runtime.spawn(async move { bound.wait(&pending, patience).await }),
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
        port: u16,
        path: Option<&str>,
        redirect_uri: Option<&str>,
    ) -> PyResult<Self> {
        if redirect_uri.is_some() && (port != 0 || path.is_some()) {
            let text = "a redirect_uri has its port and its path: give none";
            return Err(PyTypeError::new_err(text));
        }
        let handle = runtime::handle()?;
        let bind = async {
            let listener = match redirect_uri {
                Some(uri) => loopback::Listener::at(&RedirectUri::parse(uri)?).await?,
                None => loopback::Listener::bind_on(port).await?,
            };
            match path {
                Some(path) => listener.at_path(path),
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
    /// A person pasted it, whole or its query. Whether it is a callback of this flow, and
    /// somebody waits for it. misuse.already_finished once the flow has been redeemed.
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

    /// The URI that the callback must arrive at: pass it to authorize().
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
        /// timeout is in seconds; lost.timeout when it has elapsed. A callback of another flow is
        /// answered with an error page, and the wait continues. A listener waits once, then misuse.already_finished.
        #[pyo3(signature = (flow, *, timeout = 300.0))]
        fn callback / acallback(self, py, flow: &PendingAuthorization, timeout: f64) {
            self.waiting(py, flow, timeout)
        }
    }
}

impl Listener {
    fn waiting(
        &self,
        py: Python<'_>,
        flow: &PendingAuthorization,
        timeout: f64,
    ) -> PyResult<PendingCall> {
        let patience = seconds(timeout)?;
        let begin = || {
            let pending = flow.0.pending()?;
            let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
            Ok((pending, socket.take().ok_or(Misuse::Over)?))
        };
        let (pending, socket) = begin().map_err(|error: Error| errors::raise(py, &error))?;
        Ok(PendingCall::new("callback", async move {
            let url = match socket {
                Socket::Bound(bound) => bound.wait(&pending, patience).await,
                Socket::Listening(arrival) => arrival.url().await,
            };
            url.map(Answer::Text)
        }))
    }
}
