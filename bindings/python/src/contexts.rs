//! Checks the contexts of an application that connects to several servers, tools or tenants (mix-up defence).

use oauth_core::flow::authorization;
use oauth_core::redirect_uri::RedirectUri;
use pyo3::prelude::*;

use crate::client::Client;
use crate::errors;
use crate::text::text;

/// One context of an application, for check_contexts(): a tool, provider or tenant that it connects
/// to.
///
/// id is the context argument of authorize() and redeem(); owner is the party that has set up the context,
/// such as a tenant; client is the registration that it uses, and redirect_uri that of its flows.
///
/// MisuseError context.identifier for an id that is empty, longer than 256 bytes, or a dot segment;
/// redirect_uri.refused.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct ConnectionContext(authorization::ConnectionContext);

#[pymethods]
impl ConnectionContext {
    #[new]
    #[pyo3(signature = (id, /, *, owner, client, redirect_uri))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] id: String,
        #[pyo3(from_py_with = text)] owner: String,
        client: &Client,
        #[pyo3(from_py_with = text)] redirect_uri: String,
    ) -> PyResult<Self> {
        let client = client.inner.client.core();
        RedirectUri::parse(&redirect_uri)
            .and_then(|uri| {
                let (server, client_id) = (client.server(), client.client_id());
                authorization::ConnectionContext::new(id, owner, server, client_id, uri)
            })
            .map(Self)
            .map_err(|error| errors::raise(py, &error))
    }

    /// The unique identifier of the context.
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    /// The party that has set up the context.
    #[getter]
    fn owner(&self) -> &str {
        &self.0.owner
    }

    /// The redirect URI of the context's flows.
    #[getter]
    fn redirect_uri(&self) -> &str {
        self.0.redirect_uri.as_str()
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.ConnectionContext {:?}>", self.0.id)
    }
}

/// The redirect URI of one context: redirect_uri with the identifier of the context appended as a path segment.
/// Register each of them with its server.
///
/// MisuseError context.identifier for an id that is empty, longer than 256 bytes, or a dot segment;
/// redirect_uri.refused.
#[pyfunction]
#[pyo3(signature = (redirect_uri, id, /))]
pub(crate) fn redirect_uri_of_context(
    py: Python<'_>,
    #[pyo3(from_py_with = text)] redirect_uri: String,
    #[pyo3(from_py_with = text)] id: String,
) -> PyResult<String> {
    RedirectUri::parse(&redirect_uri)
        .and_then(|uri| uri.of_context(&id))
        .map(String::from)
        .map_err(|error| errors::raise(py, &error))
}

/// Checks all configured contexts of an application (draft-ietf-oauth-security-topics-update section 2.2.2).
///
/// MisuseError context.identifier for two with the same identifier; registration.shared for contexts of
/// different owners that share a client registration: one could use what is granted to the other;
/// redirect_uri.shared for contexts that share a redirect URI, unless the response itself identifies
/// the context.
#[pyfunction]
#[pyo3(signature = (contexts, /))]
pub(crate) fn check_contexts(
    py: Python<'_>,
    contexts: Vec<PyRef<'_, ConnectionContext>>,
) -> PyResult<()> {
    let contexts: Vec<_> = contexts.iter().map(|context| context.0.clone()).collect();
    authorization::check_contexts(&contexts).map_err(|error| errors::raise(py, &error))
}
