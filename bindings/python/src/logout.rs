//! RP-initiated logout at the server, and front-channel logout requests (OpenID Connect).

use oauth_core::flow::logout::{self, Session};
use oauth_facade::EndSession;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::client::Client;
use crate::text::text;
use crate::{errors, secret};

#[pymethods]
impl Client {
    /// The URL to open in the browser to log the user out at the server.
    ///
    /// OpenID Connect RP-Initiated Logout section 2. id_token_hint is the ID token of the login, which identifies the
    /// session to end; it is part of the URL, so keep the URL out of logs. A URL of more than 4000 bytes might not
    /// arrive: post end_session_form() instead. post_logout_redirect_uri must be registered, and state is returned
    /// there: check_logout_return() compares it. Your application has to end its own session.
    ///
    /// Nothing is sent. endpoint.missing for a server without such an endpoint, redirect_uri.refused.
    #[pyo3(signature = (*, id_token_hint = None, logout_hint = None, post_logout_redirect_uri = None,
                        state = None, ui_locales = None))]
    fn end_session_url(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] id_token_hint: Option<String>,
        #[pyo3(from_py_with = text)] logout_hint: Option<String>,
        #[pyo3(from_py_with = text)] post_logout_redirect_uri: Option<String>,
        #[pyo3(from_py_with = text)] state: Option<String>,
        #[pyo3(from_py_with = text)] ui_locales: Option<String>,
    ) -> PyResult<String> {
        let request = EndSession {
            id_token_hint: id_token_hint.map(secret),
            logout_hint,
            post_logout_redirect_uri,
            state: state.map(secret),
            ui_locales,
        };
        let url = self.inner.client.end_session_url(request);
        url.map_err(|error| errors::raise(py, &error))
    }

    /// The end session request as a form, which keeps the ID token out of the URL.
    ///
    /// The browser posts it cross-site, so a server whose session cookie is
    /// SameSite=Lax gets the ID token but not the session, and some servers do not accept POST: prefer the URL
    /// while it is short enough.
    #[pyo3(signature = (*, id_token_hint = None, logout_hint = None, post_logout_redirect_uri = None,
                        state = None, ui_locales = None))]
    fn end_session_form(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] id_token_hint: Option<String>,
        #[pyo3(from_py_with = text)] logout_hint: Option<String>,
        #[pyo3(from_py_with = text)] post_logout_redirect_uri: Option<String>,
        #[pyo3(from_py_with = text)] state: Option<String>,
        #[pyo3(from_py_with = text)] ui_locales: Option<String>,
    ) -> PyResult<LogoutForm> {
        let request = EndSession {
            id_token_hint: id_token_hint.map(secret),
            logout_hint,
            post_logout_redirect_uri,
            state: state.map(secret),
            ui_locales,
        };
        let form = self.inner.client.end_session_form(request);
        form.map(LogoutForm)
            .map_err(|error| errors::raise(py, &error))
    }
}

/// The form of Client.end_session_form(), to post in the browser.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct LogoutForm(oauth_facade::LogoutForm);

#[pymethods]
impl LogoutForm {
    /// The URL that the form is posted to.
    #[getter]
    fn action(&self) -> &str {
        self.0.action().as_str()
    }

    /// The fields by name. The ID token among them contains data about the user: keep it out of logs.
    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = PyDict::new(py);
        for (name, value) in self.0.fields() {
            fields.set_item(name, value)?;
        }
        Ok(fields)
    }

    /// A page with the form, which submits itself, and has a button for browsers without scripts.
    ///
    /// Send it with Cache-Control: no-store and with content_security_policy.
    #[getter]
    fn html(&self) -> String {
        self.0.html()
    }

    /// The Content-Security-Policy of the page: it allows its own script, and nothing else.
    #[getter]
    fn content_security_policy(&self) -> &'static str {
        self.0.content_security_policy()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.LogoutForm for {}>", self.0.action().as_str())
    }
}

/// Checks the state with which the user returns from a logout (OpenID Connect RP-Initiated Logout section 3).
///
/// url is the whole URL that was requested, or its query; state is the one that was sent. A request
/// without it may come from anyone: show a page, and change nothing.
///
/// logout.state; logout.malformed for an invalid query, or one larger than 64 KiB.
#[pyfunction]
#[pyo3(signature = (url, /, *, state))]
pub(crate) fn check_logout_return(
    py: Python<'_>,
    #[pyo3(from_py_with = text)] url: String,
    #[pyo3(from_py_with = text)] state: String,
) -> PyResult<()> {
    logout::check_return(&url, &secret(state)).map_err(|error| errors::raise(py, &error))
}

/// A front-channel logout request (OpenID Connect Front-Channel Logout section 3).
///
/// The server makes the browser load it in a frame. url is the whole URL of the request, or its query. Browsers
/// withhold cookies there, so prefer back-channel logout. Respond with Cache-Control: no-store, with 400 if this
/// raises, and let only the server frame the page (frame-ancestors).
///
/// logout.malformed if only one of iss and sid is present (section 2) or either is repeated, and
/// for an invalid query, or one larger than 64 KiB.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct FrontChannelLogout(logout::FrontChannelLogout);

#[pymethods]
impl FrontChannelLogout {
    #[new]
    #[pyo3(signature = (url, /))]
    fn new(py: Python<'_>, #[pyo3(from_py_with = text)] url: String) -> PyResult<Self> {
        let parsed = logout::FrontChannelLogout::parse(&url);
        parsed.map(Self).map_err(|error| errors::raise(py, &error))
    }

    /// Whether it ends the session of the browser that sent it, whose ID token has this issuer and sid.
    ///
    /// Nothing proves who made the browser load the frame, so no other session may be ended.
    #[pyo3(signature = (*, issuer, sid = None))]
    fn ends(
        &self,
        #[pyo3(from_py_with = text)] issuer: String,
        #[pyo3(from_py_with = text)] sid: Option<String>,
    ) -> bool {
        self.0.ends(&Session::new(issuer, None, sid))
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.FrontChannelLogout>"
    }
}
