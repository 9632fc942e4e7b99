//! `Session`, `Identity` and `ProviderQuery`: the data of a web site's sign-in.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::text::text;
use crate::tokens::Tokens;
use crate::value;

/// An identity that a provider has authenticated. Issuer and subject identify the user; an email address does not.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct Identity(pub(crate) oauth_web::Identity);

#[pymethods]
impl Identity {
    /// The provider's id at the site.
    #[getter]
    fn provider(&self) -> &str {
        &self.0.provider
    }

    /// The provider's issuer (iss).
    #[getter]
    fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The user's identifier there (sub), which is never reassigned.
    #[getter]
    fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The session at the provider, if it names one.
    #[getter]
    fn sid(&self) -> Option<&str> {
        self.0.sid.as_deref()
    }

    /// The time when the user authenticated, in UTC, if the provider states it.
    #[getter]
    fn auth_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let time = self.0.auth_time.map(|time| value::time_to_py(py, time));
        time.transpose()
    }

    /// The authentication context class (acr), if the provider states it.
    #[getter]
    fn acr(&self) -> Option<&str> {
        self.0.acr.as_deref()
    }

    /// The other claims: all of them at the sign-in, but in a session only those that the site keeps.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        value::map_to_py(py, &self.0.claims)
    }

    /// Reveals nothing about the user.
    fn __repr__(&self) -> String {
        format!("<oauth_core.web.Identity of {}>", self.0.issuer)
    }
}

/// A query for a provider. A provider that does not match all of it is refused.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct ProviderQuery(pub(crate) oauth_web::ProviderQuery);

#[pymethods]
impl ProviderQuery {
    #[new]
    #[pyo3(signature = (*, id = None, issuer = None, tenant = None, host = String::new(), path = String::new()))]
    fn new(
        #[pyo3(from_py_with = text)] id: Option<String>,
        #[pyo3(from_py_with = text)] issuer: Option<String>,
        #[pyo3(from_py_with = text)] tenant: Option<String>,
        #[pyo3(from_py_with = text)] host: String,
        #[pyo3(from_py_with = text)] path: String,
    ) -> Self {
        let mut query = oauth_web::ProviderQuery::default();
        (query.id, query.issuer, query.tenant) = (id, issuer, tenant);
        (query.host, query.path) = (host, path);
        Self(query)
    }

    /// The id of the provider: from a callback, a session, or the user's choice.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// The issuer, when it initiated the sign-in.
    #[getter]
    fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// The tenant whose provider is wanted.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The Host of the request, if none of these is set.
    #[getter]
    fn host(&self) -> &str {
        &self.0.host
    }

    /// The path of the page, root path included.
    #[getter]
    fn path(&self) -> &str {
        &self.0.path
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.web.ProviderQuery of {:?}>", self.0.id)
    }
}

/// A session: the signed-in user, and its end.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct Session(pub(crate) Arc<oauth_web::Session>);

#[pymethods]
impl Session {
    /// The identity of the signed-in user.
    #[getter]
    fn identity(&self) -> Identity {
        Identity(self.0.identity.clone())
    }

    /// The data that the application added when it admitted the user.
    #[getter]
    fn local<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        value::map_to_py(py, &self.0.local)
    }

    /// The start of the session, in UTC.
    #[getter]
    fn started_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::time_to_py(py, self.0.started_at)
    }

    /// The end of the session, in UTC.
    #[getter]
    fn until<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::time_to_py(py, self.0.until)
    }

    /// The granted scope.
    #[getter]
    fn scope(&self) -> Vec<&str> {
        self.0.scope.split_whitespace().collect()
    }

    /// The tenant of the provider, if the site has tenants.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The tokens in the session's cookie, at a site with keep="access_token".
    #[getter]
    fn tokens(&self) -> Option<Tokens> {
        let tokens = self.0.tokens()?;
        Some(Tokens::of(Arc::clone(tokens)))
    }

    /// The subject of the session's grant in the store, for client.source(subject=...); None without a store.
    #[getter]
    fn grant(&self) -> Option<String> {
        let grant = self.0.grant()?;
        grant.subject().map(str::to_owned)
    }

    /// Reveals nothing about the user.
    fn __repr__(&self) -> String {
        let until = self.0.until.as_secs();
        format!("<oauth_core.web.Session until {until}>")
    }
}
