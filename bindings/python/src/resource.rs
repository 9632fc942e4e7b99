//! `Resource`: for plug-ins of HTTP clients, decides whether a request may carry the token, and what a response means for it.

use oauth_facade::Attachment;
use pyo3::prelude::*;

use crate::errors;
use crate::text::text;
use crate::tokens::Tokens;
use crate::value::Fields;

/// The origins to which a token may be sent. For plug-ins.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Resource(pub(crate) oauth_facade::Resource);

#[pymethods]
impl Resource {
    /// The value of the Authorization header for this request, if it may carry the token.
    ///
    /// RFC 6750 section 2.1. headers are pairs of names and values. resource.origin_not_allowed, token.in_query,
    /// token.more_than_one_method, token.not_token68 and url.* if it must not.
    #[pyo3(signature = (tokens, url, headers, body = None))]
    fn authorization(
        &self,
        py: Python<'_>,
        tokens: &Tokens,
        #[pyo3(from_py_with = text)] url: String,
        headers: &Bound<'_, PyAny>,
        body: Option<&[u8]>,
    ) -> PyResult<String> {
        let headers = Fields::select(headers, oauth_facade::Resource::reads)?;
        let request = Attachment {
            url: &url,
            headers: &headers.0,
            body,
        };
        let token = tokens.0.bearer_token();
        token
            .and_then(|token| self.0.authorization(&request, token))
            .map_err(|error| errors::raise(py, &error))
    }

    /// Whether a response with this status can be about the token.
    ///
    /// If not, its verdict is "pass", whatever its headers.
    #[staticmethod]
    fn may_be_about_the_token(status: u16) -> bool {
        oauth_facade::Resource::may_be_about_the_token(status)
    }

    /// The consequence of a response: "pass", "renew", "widen_scope", "step_up" or "refused".
    ///
    /// RFC 6750 section 3.1 and RFC 9470 section 3. headers are pairs of names and values.
    #[staticmethod]
    fn verdict(py: Python<'_>, status: u16, headers: Fields) -> PyResult<&'static str> {
        oauth_facade::Resource::verdict(status, &headers.0).map_err(|e| errors::raise(py, &e))
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Resource>"
    }
}

/// The step-up that an API's response requires, as JSON: step_up() parses it.
#[pyfunction]
#[pyo3(signature = (status, challenges, /))]
pub(crate) fn step_up(
    py: Python<'_>,
    status: u16,
    #[pyo3(from_py_with = text)] challenges: Vec<String>,
) -> PyResult<Option<String>> {
    let required = oauth_facade::step_up(status, &challenges);
    required.map_err(|error| errors::raise(py, &error))
}
