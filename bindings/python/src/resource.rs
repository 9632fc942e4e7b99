//! Checks of plug-ins before they attach a token, and after a reply.

use oauth_facade::Attachment;
use pyo3::prelude::*;

use crate::errors;
use crate::text::text;
use crate::tokens::Tokens;
use crate::value::Fields;

/// The origins a token may be sent to. For plug-ins.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Resource(pub(crate) oauth_facade::Resource);

#[pymethods]
impl Resource {
    /// The value of the Authorization header for this request, if it may carry the token.
    ///
    /// RFC 6750 section 2.1. headers are pairs of names and values.
    /// resource.origin_not_allowed, token.in_query, token.more_than_one_method,
    /// token.not_token68 and url.* if it may not.
    #[pyo3(signature = (tokens, url, headers, body = None))]
    fn authorization(
        &self,
        py: Python<'_>,
        tokens: &Tokens,
        #[pyo3(from_py_with = text)] url: String,
        headers: &Bound<'_, PyAny>,
        body: Option<&[u8]>,
    ) -> PyResult<String> {
        let headers = Fields::wanted(headers, oauth_facade::Resource::reads)?;
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

    /// Whether a reply of this status can be about the token.
    ///
    /// If not, its verdict is "pass", whatever the headers are.
    #[staticmethod]
    fn may_be_about_the_token(status: u16) -> bool {
        oauth_facade::Resource::may_be_about_the_token(status)
    }

    /// What a reply asks for: "pass", "renew", "widen_scope", "step_up" or "refused".
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

/// What a reply of an API wants of the person, as JSON: step_up() reads it.
#[pyfunction]
#[pyo3(signature = (status, challenges, /))]
pub(crate) fn step_up(
    py: Python<'_>,
    status: u16,
    #[pyo3(from_py_with = text)] challenges: Vec<String>,
) -> PyResult<Option<String>> {
    let wanted = oauth_facade::step_up(status, &challenges);
    wanted.map_err(|error| errors::raise(py, &error))
}
