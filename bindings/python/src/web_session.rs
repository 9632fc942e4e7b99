//! Who is signed in at a site, for Python.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::text::text;
use crate::tokens::Tokens;
use crate::value;

/// Whom a provider vouched for. A person is an issuer and a subject, and not an address.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct Identity(pub(crate) oauth_web::Identity);

#[pymethods]
impl Identity {
    /// The provider's name at the site.
    #[getter]
    fn provider(&self) -> &str {
        &self.0.provider
    }

    /// The provider's issuer (iss).
    #[getter]
    fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The person's identifier there (sub), which is never another's.
    #[getter]
    fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The session at the provider, if it has named one.
    #[getter]
    fn sid(&self) -> Option<&str> {
        self.0.sid.as_deref()
    }

    /// When the person authenticated, in UTC, if the provider says.
    #[getter]
    fn auth_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let time = self.0.auth_time.map(|time| value::of_time(py, time));
        time.transpose()
    }

    /// How the person authenticated, if the provider says.
    #[getter]
    fn acr(&self) -> Option<&str> {
        self.0.acr.as_deref()
    }

    /// What else the provider vouched for: all claims at the sign-in, and in a session those that the site keeps.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        value::of_map(py, &self.0.claims)
    }

    /// It says nothing about the person.
    fn __repr__(&self) -> String {
        format!("<oauth_core.web.Identity of {}>", self.0.issuer)
    }
}

/// Which provider is wanted. The one that is given has to be what is said here, or it is not taken.
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
        let mut ask = oauth_web::ProviderQuery::default();
        (ask.id, ask.issuer, ask.tenant) = (id, issuer, tenant);
        (ask.host, ask.path) = (host, path);
        Self(ask)
    }

    /// The provider of this name: of a callback, a session, or a choice.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// One of this issuer.
    #[getter]
    fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// One of this tenant.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The Host that was opened, where nothing of that is said.
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

/// A session: who is signed in, and until when. It holds no token.
#[pyclass(frozen, module = "oauth_core.web")]
pub(crate) struct Session(pub(crate) Arc<oauth_web::Session>);

#[pymethods]
impl Session {
    /// Who is signed in.
    #[getter]
    fn identity(&self) -> Identity {
        Identity(self.0.identity.clone())
    }

    /// What the application added when it let the person in.
    #[getter]
    fn local<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        value::of_map(py, &self.0.local)
    }

    /// When it began, in UTC.
    #[getter]
    fn started_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::of_time(py, self.0.started_at)
    }

    /// When it ends, in UTC.
    #[getter]
    fn until<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::of_time(py, self.0.until)
    }

    /// What was granted.
    #[getter]
    fn scope(&self) -> Vec<&str> {
        self.0.scope.split_whitespace().collect()
    }

    /// Whose people the provider signs in, where a site has tenants.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The access token that it has in its cookie, of a site with keep="access_token".
    #[getter]
    fn tokens(&self) -> Option<Tokens> {
        let tokens = self.0.tokens()?;
        Some(Tokens::of(Arc::clone(tokens)))
    }

    /// Whose tokens the store keeps for it, as client.source(subject=...) names it; None where there is no store.
    #[getter]
    fn grant(&self) -> Option<String> {
        let grant = self.0.grant()?;
        grant.subject().map(str::to_owned)
    }

    /// It says nothing about the person.
    fn __repr__(&self) -> String {
        let until = self.0.until.as_secs();
        format!("<oauth_core.web.Session until {until}>")
    }
}
