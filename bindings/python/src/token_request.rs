//! Converts keyword arguments to the parameters of a token request.

use oauth_facade::{Arg, Args, TokenRequest};
use pyo3::prelude::*;
use pyo3::types::PyAny;

use crate::value::{self, OperationArg};

/// The `authorization_details` of a request: a list of objects, as JSON.
pub(crate) struct Details(Arg);

impl<'a, 'py> FromPyObject<'a, 'py> for Details {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let text = py.import("json")?.call_method1("dumps", (object,))?;
        Ok(Self(Arg::Text(text.extract::<String>()?.into())))
    }
}

/// The parameters of a token request, from its keyword arguments.
pub(crate) fn token_request(
    py: Python<'_>,
    scope: Option<OperationArg>,
    resource: Option<OperationArg>,
    audience: Option<OperationArg>,
    extra: Option<OperationArg>,
    authorization_details: Option<Details>,
) -> PyResult<TokenRequest> {
    let details = authorization_details.map(|details| OperationArg(details.0));
    let arguments = [scope, resource, audience, extra, details];
    let arguments = arguments.map(|argument| argument.map_or(Arg::Null, |argument| argument.0));
    TokenRequest::read(&mut Args::from(Vec::from(arguments)))
        .map_err(|refusal| value::refused(py, refusal))
}
